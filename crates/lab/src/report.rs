//! What a boot took, by the machine's own clocks.
//!
//! In QEMU the lines on the port for results are the kernel's log, whose time
//! stamps count from the kernel's start; the workstation's clock would measure
//! the emulator. In namespaces there is one clock for both, and a line counts
//! from the start of the first process when it arrives.

use std::fmt::Write;
use std::time::Duration;

/// The moments of a boot, since the machine was switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The kernel runs init.
    pub init: Option<Duration>,
    /// Stage 1 is complete.
    pub stage1: Option<Duration>,
    /// The first login starts.
    pub login: Option<Duration>,
    /// Memory that nobody can have, in KiB: of the whole machine, the root file
    /// system included.
    pub memory_kib: Option<u64>,
    memory_total_kib: Option<u64>,
    /// The machine has told everything.
    pub complete: bool,
}

impl Marks {
    /// Takes a line from the port for results that arrived `after` the start.
    pub fn take(&mut self, line: &str, after: Duration) {
        if let Some(kib) = memory(line, "MemTotal:") {
            self.memory_total_kib = Some(kib);
        } else if let Some(kib) = memory(line, "MemAvailable:") {
            self.memory_kib = self.memory_total_kib.map(|total| total.saturating_sub(kib));
        } else if line == "report: end" {
            self.complete = true;
        } else if let Some((time, text)) = log_line(line, after) {
            let mark = match text {
                "stage1: completed" => &mut self.stage1,
                "report: login" => &mut self.login,
                _ if text.starts_with("Run /") => &mut self.init,
                _ => return,
            };
            // A second login or a second boot is not the first.
            mark.get_or_insert(time);
        }
    }
}

/// `[   12.345678] text` with the kernel's own time, or `<7>text` with ours.
fn log_line(line: &str, after: Duration) -> Option<(Duration, &str)> {
    if let Some(rest) = line.strip_prefix('<') {
        return Some((after, rest.split_once('>')?.1));
    }
    let (stamp, text) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, micros) = stamp.trim().split_once('.')?;
    let time =
        Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    Some((time, text))
}

fn memory(line: &str, field: &str) -> Option<u64> {
    line.strip_prefix(field)?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}

/// What is known about the image that was booted.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The archive, in bytes.
    pub raw: usize,
    /// The same through gzip, in bytes.
    pub gzip: usize,
}

/// What a machine runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// QEMU, on the processor's virtualisation.
    Kvm,
    /// QEMU, in software.
    Emulation,
    /// Namespaces of the workstation's kernel.
    Namespaces,
}

impl Host {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "QEMU with KVM",
            Self::Emulation => "QEMU, software emulation",
            Self::Namespaces => "namespaces",
        }
    }

    /// What comes before init, and what that is.
    fn first_row(self) -> (&'static str, &'static str) {
        match self {
            Self::Namespaces => ("enter", "from lab to init: namespaces, unpacking"),
            _ => ("kernel", "from its start to `Run /sbin/init`"),
        }
    }
}

/// The screen; `kernel` is what a kernel of the machine's own is called.
pub fn render(host: Host, kernel: Option<&str>, marks: &Marks, sizes: Sizes, end: &str) -> String {
    let zero = Some(Duration::ZERO);
    let (first, before_init) = host.first_row();
    let on = kernel.map_or_else(String::new, |kernel| format!(", on {kernel}"));
    let mut text = format!("\n  sunup in {}{on}: {end}\n\n", host.name());
    let mut row = |name: &str, value: String, note: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}",
            format!("    {name:<10} {value:>10}  {note}").trim_end()
        );
    };
    row(first, ms(zero, marks.init), before_init);
    row(
        "stage 1",
        ms(marks.init, marks.stage1),
        "init, mounts, devices, network",
    );
    row(
        "login",
        ms(marks.stage1, marks.login),
        "supervisor and first getty",
    );
    row("together", ms(zero, marks.login), "");
    row(
        "image",
        mib(sizes.raw as u64),
        &format!("{} with gzip", mib(sizes.gzip as u64)),
    );
    // In namespaces the figure is the workstation's.
    if let (Some(kib), false) = (marks.memory_kib, host == Host::Namespaces) {
        row(
            "memory",
            mib(kib * 1024),
            "in use, kernel and root file system included",
        );
    }
    if marks.login.is_none() {
        text.push_str("\n    (no login: the machine did not tell its times)\n");
    }
    text
}

/// The milliseconds between two marks, if both were seen.
fn ms(from: Option<Duration>, to: Option<Duration>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{:.1} ms", to.saturating_sub(from).as_secs_f64() * 1e3),
        _ => "-".into(),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", f64::from((bytes >> 10) as u32) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_kernels_log() {
        let mut marks = Marks::default();
        for line in [
            "[    1.500000] Run /sbin/init as init process",
            "[    1.623456] stage1: completed",
            "[    1.700001] report: login",
            "[    9.000000] report: login",
            "MemTotal:         200000 kB",
            "MemFree:          150000 kB",
            "MemAvailable:     180000 kB",
        ] {
            marks.take(line, Duration::from_secs(77));
        }
        assert!(!marks.complete);
        marks.take("report: end", Duration::ZERO);
        let want = Marks {
            init: Some(Duration::from_millis(1_500)),
            stage1: Some(Duration::from_micros(1_623_456)),
            login: Some(Duration::from_micros(1_700_001)),
            memory_kib: Some(20_000),
            memory_total_kib: Some(200_000),
            complete: true,
        };
        assert_eq!(marks, want);
    }

    #[test]
    fn reads_lines_of_a_machine_without_a_kernel() {
        let mut marks = Marks::default();
        marks.take(
            "<6>Run /sbin/init as init process",
            Duration::from_millis(3),
        );
        marks.take("<7>report: login", Duration::from_millis(20));
        assert_eq!(marks.init, Some(Duration::from_millis(3)));
        assert_eq!(marks.login, Some(Duration::from_millis(20)));
    }

    #[test]
    fn garbage_is_no_mark() {
        let mut marks = Marks::default();
        for line in [
            "",
            "[",
            "[x] y",
            "[1.] ",
            "<7",
            "MemTotal: x kB",
            "MemAvailable: 1 kB",
        ] {
            marks.take(line, Duration::ZERO);
        }
        assert_eq!(marks, Marks::default());
    }

    #[test]
    fn one_screen() {
        let marks = Marks {
            init: Some(Duration::from_millis(1500)),
            ..Marks::default()
        };
        let sizes = Sizes {
            raw: 3 << 20,
            gzip: 1 << 20,
        };
        let text = render(
            Host::Emulation,
            Some("the small kernel 6.1"),
            &marks,
            sizes,
            "powered off",
        );
        assert!(
            text.contains("software emulation, on the small kernel 6.1: powered off\n"),
            "{text}"
        );
        assert!(text.contains("kernel      1500.0 ms"), "{text}");
        assert!(
            text.contains("image        3.00 MiB  1.00 MiB with gzip"),
            "{text}"
        );
        assert!(text.lines().count() < 24);
    }
}
