//! `lab bench boot`: our machine beside one of busybox alone, on the same kernel with the same
//! files, in instructions of the guest, so that the figures are the same on every workstation.
//!
//! QEMU counts an instruction as 4 ns and skips what the machine sleeps, so that the workstation's
//! load has little part in it. What starts first after stage 1 may differ from boot to boot all
//! the same: the machines take turns, and medians count. The way down is from the
//! command to the kernel's last line, by the kernel's stamps.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::report::align;
use super::stats::Sorted;
use crate::boot::{self, Accel, Booted, Options as Machine, Parts};
use crate::image::{self, Compress};
use crate::machine;
use crate::report::Marks;
use crate::rootfs::{self, Source, Stage1};
use crate::{busybox, debian, reference, workspace};

/// What the machines are made of.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// A kernel: a file, or `debian` [default: that of `cargo lab kernel`, or else Debian's]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// A static sunup, instead of building it
    #[arg(long, value_name = "FILE")]
    sunup: Option<PathBuf>,
    /// A static busybox, instead of Debian's; if it has runsvdir, it is the only binary of its machine
    #[arg(long, value_name = "FILE")]
    busybox: Option<PathBuf>,
    /// Where to write boot.md [default: the target directory's lab/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How long a machine may take to its prompt, and to its end.
const PATIENCE: Duration = Duration::from_mins(2);
/// What stands in the kernel's log when the command is given.
const COMMAND: &str = "bench: the command";
/// The kernel's last line.
const DOWN: &str = "reboot: Power down";

/// How often each machine is booted.
const ROUNDS: usize = 5;

/// One life of a machine.
struct Sample {
    marks: Marks,
    down: Duration,
}

/// A machine, and what was measured of it.
struct Column {
    name: &'static str,
    archive: Vec<u8>,
    gzip_bytes: usize,
    samples: Vec<Sample>,
}

impl Column {
    fn new(name: &'static str, source: &Source) -> Result<Self> {
        let archive = image::archive(&rootfs::tree(source)?)?;
        Ok(Self {
            name,
            gzip_bytes: image::pack(&archive, Compress::Gzip)?.len(),
            archive,
            samples: Vec::new(),
        })
    }

    /// The median, if each sample has a value.
    fn median(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let values = self
            .samples
            .iter()
            .map(value)
            .collect::<Option<Vec<f64>>>()?;
        Sorted::new(&values).median()
    }
}

/// What the figures hold for.
struct Place {
    kernel: String,
    busybox: String,
    /// Whether the machine of busybox has a second one, for what the first has not.
    two: bool,
}

/// Boots each machine, prints the table and writes boot.md.
///
/// # Errors
/// What a machine is made of is not to be had, or it does not come up or go down.
pub fn run(options: &Options) -> Result<()> {
    let busybox = match &options.busybox {
        Some(file) => file.clone(),
        None => debian::busybox(&workspace::scratch()?)?,
    };
    let applets = busybox::lines(&busybox, "busybox", &["--list"])?;
    let front = if applets.iter().any(|applet| applet == "runsvdir") {
        None
    } else {
        Some(reference::busybox()?.join("busybox"))
    };
    let parts = |stage1| Parts {
        sunup: options.sunup.clone(),
        busybox: Some(busybox.clone()),
        stage1,
        ..Parts::default()
    };
    let two = front.is_some();
    let sources = [
        (
            "busybox alone",
            Source::Busybox {
                busybox: busybox.clone(),
                front,
            },
        ),
        ("sunup, script", parts(Stage1::Script).source()?),
        ("sunup", parts(Stage1::Native).source()?),
    ];
    let mut place = Place {
        kernel: String::new(),
        busybox: version(&busybox)?,
        two,
    };
    let mut columns = Vec::new();
    for (name, source) in &sources {
        columns.push(Column::new(name, source).context(*name)?);
    }
    for round in 1..=ROUNDS {
        eprintln!("lab: bench: round {round} of {ROUNDS}");
        for column in &mut columns {
            let (sample, kernel) = live(&column.archive, options).context(column.name)?;
            column.samples.push(sample);
            place.kernel = kernel;
        }
    }
    let table = table(&columns);
    print!("{table}");
    let dir = match &options.out {
        Some(dir) => dir.clone(),
        None => workspace::scratch()?.join("bench"),
    };
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let path = dir.join("boot.md");
    fs::write(&path, page(&table, &place)).with_context(|| format!("write {}", path.display()))?;
    println!("boot.md is in {}", dir.display());
    Ok(())
}

/// What a busybox calls itself.
fn version(busybox: &Path) -> Result<String> {
    let help = busybox::lines(busybox, "busybox", &["--help"])?;
    let line = help.first().map_or("", String::as_str);
    Ok(line.split(" (").next().unwrap_or_default().to_owned())
}

/// Boots a machine to its prompt and down again; and what its kernel is called.
fn live(archive: &[u8], options: &Options) -> Result<(Sample, String)> {
    let machine = Machine {
        parts: Parts {
            kernel: options.kernel.clone(),
            ..Parts::default()
        },
        accel: Accel {
            no_kvm: true,
            ..Accel::default()
        },
        measure: true,
        ..Machine::default()
    };
    let Booted {
        mut machine,
        kernel,
        ..
    } = boot::start_archive(&machine, archive.to_vec(), &workspace::lab())?;
    let mut marks = Marks::default();
    boot::measure(&mut machine, &mut marks)?;
    machine.expect("login:", PATIENCE)?;
    machine.send(b"root\n")?;
    machine.expect("# ", PATIENCE)?;
    machine.send(format!("echo '<0>{COMMAND}' >/dev/kmsg; poweroff\n").as_bytes())?;
    match machine.end(PATIENCE)? {
        machine::End::PowerOff => {}
        end => bail!("the machine {end}; {}", machine.tail()),
    }
    let console = String::from_utf8_lossy(machine.transcript()).into_owned();
    let stamp = |text| stamp(&console, text).with_context(|| format!("no {text:?} on the console"));
    let sample = Sample {
        marks,
        down: stamp(DOWN)?.saturating_sub(stamp(COMMAND)?),
    };
    Ok((sample, kernel.unwrap_or_default()))
}

/// The kernel's stamp of its line `text` on the console, which the shell's echo of a command that
/// holds the text has not.
fn stamp(console: &str, text: &str) -> Option<Duration> {
    let mut stamps = console.lines().filter_map(|line| {
        let before = line.strip_suffix(text)?.trim_end().strip_suffix(']')?;
        let (_, stamp) = before.rsplit_once('[')?;
        Duration::try_from_secs_f64(stamp.trim().parse().ok()?).ok()
    });
    stamps.next()
}

fn table(columns: &[Column]) -> String {
    type Mark = fn(&Sample) -> Option<Duration>;
    const START: Mark = |_| Some(Duration::ZERO);
    const INIT: Mark = |of| of.marks.init;
    const STAGE1: Mark = |of| of.marks.stage1;
    const LOGIN: Mark = |of| of.marks.login;
    const DOWN: Mark = |of| Some(of.down);
    const TIMES: [(&str, Mark, Mark); 6] = [
        ("the kernel, to `Run /sbin/init`", START, INIT),
        ("init and stage 1", INIT, STAGE1),
        ("supervisor and first getty", STAGE1, LOGIN),
        ("`Run /sbin/init` to the login", INIT, LOGIN),
        ("the kernel's start to the login", START, LOGIN),
        ("`poweroff` to power down", START, DOWN),
    ];
    let mut rows = Vec::new();
    let mut row = |name: &str, unit: &str, value: &dyn Fn(&Column) -> String| {
        let values = columns.iter().map(value);
        let head = [name, unit].map(str::to_owned);
        rows.push(head.into_iter().chain(values).collect::<Vec<String>>());
    };
    row("measure", "unit", &|of| of.name.to_owned());
    for (name, from, to) in TIMES {
        row(name, "ms", &|of| {
            let took = |of: &Sample| Some(to(of)?.saturating_sub(from(of)?).as_secs_f64() * 1e3);
            let time = of.median(took);
            time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"))
        });
    }
    // Exact, for no image has 4 GiB.
    let mib = |bytes: usize| format!("{:.2}", f64::from(bytes as u32) / f64::from(1 << 20));
    row("image", "MiB", &|of| mib(of.archive.len()));
    row("image with gzip", "MiB", &|of| mib(of.gzip_bytes));
    row("memory in use at the login", "MiB", &|of| {
        let memory = of.median(|of| Some(f64::from(of.marks.memory_kib? as u32) / 1024.0));
        memory.map_or_else(|| "-".to_owned(), |mib| format!("{mib:.2}"))
    });
    align(&rows)
}

/// How it was done, for those who read the figures.
const METHOD: &str = "\
- Milliseconds are instructions of the guest, 4 ns each (QEMU, one processor, software emulation, `-icount
  shift=2,sleep=off`); time in which the machine sleeps counts and is skipped. The load of the
  workstation has next to no part in it, and disks, real devices and a processor's caches have none.
- The machines take turns, five times; cells are medians. From boot to boot the row of the supervisor and the getty
  differs by up to a millisecond in ours, and the sums with it; all other rows by less than 1 %.
- The image is an initramfs without compression, which is unpacked before `Run /sbin/init`: the bytes of an image
  are in the kernel's row.
- All have the files of `rootfs/` with the same services: mdev, httpd with a logger, and the login on the serial
  line. `sunup, script` and busybox run the shell script `/etc/runit/stage1`, and sunup its program `stage1`.
- The login is the first start of the getty's `run`, which itself leaves the mark just before it executes the
  getty: the getty's own start is not counted, nor what services do that start later. Which of them is first is left
  to the supervisor and the kernel. Four services are prepared before ours starts the first; busybox's has a
  process for each, and the login's is early.
- The kernel trusts the processor's random numbers, as Debian's does.
- Memory is what nobody can have any more (MemTotal less MemAvailable), the root file system included, when the boot
  is reported.
- `poweroff` is typed at the prompt, and a line is in the kernel's log just before it. At the end there are the
  services and the shell; busybox's init sends TERM and KILL, and waits for a second after each and before the end.
";

fn page(table: &str, place: &Place) -> String {
    let mut text = format!(
        "# A boot beside busybox's\n\n\
         Written by `cargo lab bench boot`.\n\n{table}\n\
         ## How\n\n{METHOD}"
    );
    let of_busybox = if place.two {
        "- busybox alone is two binaries: Debian's for shell and tools, and before it one of the same source that has\n  \
         what Debian's has not or has as well: init, mdev, getty, runsvdir, runsv, sv, svlogd, chpst and more, and\n  \
         nothing else (`cargo lab reference`). sunup takes the place of that one, so that the rest is the same bytes. One\n  \
         busybox with everything would be smaller by what both have; `--busybox FILE` measures it.\n"
    } else {
        "- busybox alone is one binary that has everything, and in our machines it is the shell and the tools.\n"
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{of_busybox}\n## Where\n\n{}, 256 MiB; {}.\n\n```sh\ncargo lab bench boot --out docs/bench\n```\n",
        place.kernel, place.busybox
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_kernels_not_the_shells() {
        let console = "~ # echo '<0>bench: the command' >/dev/kmsg; poweroff\r\n\
                       bench: the command\r\n\
                       [    1.250000] bench: the command\r\n\
                       ~ [x] # [    1.500000] reboot: Power down\r\n\
                       [    9.000000] reboot: Power down\r\n";
        assert_eq!(stamp(console, COMMAND), Some(Duration::from_millis(1250)));
        assert_eq!(stamp(console, DOWN), Some(Duration::from_millis(1500)));
        assert_eq!(stamp(console, "other"), None);
        assert_eq!(stamp("[ -1.0] x\n[] x\n[ 1.0 x\n] x", "x"), None);
    }

    fn sample(lines: &[&str]) -> Sample {
        let mut marks = Marks::default();
        for line in lines {
            marks.take(line, Duration::ZERO);
        }
        Sample {
            marks,
            down: Duration::from_millis(40),
        }
    }

    fn column(name: &'static str, samples: Vec<Sample>) -> Column {
        Column {
            name,
            archive: vec![0; 3 << 20],
            gzip_bytes: 1 << 20,
            samples,
        }
    }

    /// The cells of a row.
    fn cells(table: &str, row: usize) -> Vec<&str> {
        let line = table.lines().nth(row).unwrap();
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn a_table_of_two_machines() {
        let whole = [
            "[    0.700000] Run /sbin/init as init process",
            "[    0.720000] stage1: completed",
            "[    0.730000] report: login",
            "MemTotal: 200000 kB",
            "MemAvailable: 189760 kB",
        ];
        let half = sample(&whole[..2]);
        let table = table(&[column("x", vec![sample(&whole)]), column("y", vec![half])]);
        let rows = [
            ["measure", "unit", "x", "y"],
            ["the kernel, to `Run /sbin/init`", "ms", "700.0", "700.0"],
            ["init and stage 1", "ms", "20.0", "20.0"],
            ["supervisor and first getty", "ms", "10.0", "-"],
            ["`Run /sbin/init` to the login", "ms", "30.0", "-"],
            ["the kernel's start to the login", "ms", "730.0", "-"],
            ["`poweroff` to power down", "ms", "40.0", "40.0"],
            ["image", "MiB", "3.00", "3.00"],
            ["image with gzip", "MiB", "1.00", "1.00"],
            ["memory in use at the login", "MiB", "10.00", "-"],
        ];
        assert_eq!(table.lines().count(), rows.len() + 1, "{table}");
        for (n, row) in rows.iter().enumerate() {
            // The second line is the rule below the head.
            assert_eq!(cells(&table, if n == 0 { 0 } else { n + 1 }), row);
        }
    }

    #[test]
    fn the_median_is_that_of_the_difference() {
        let life = |init: &str, login: &str| {
            let init = format!("[ {init}] Run /sbin/init as init process");
            sample(&[&init, &format!("[ {login}] report: login")])
        };
        let three = || {
            vec![
                life("1.000000", "1.900000"),
                life("2.000000", "2.100000"),
                life("3.000000", "3.200000"),
            ]
        };
        let row = |samples| cells(&table(&[column("x", samples)]), 5)[2].to_owned();
        assert_eq!(row(three()), "200.0");
        // A boot of which a mark is missing is not left out in silence.
        let mut with_less = three();
        with_less.push(sample(&[]));
        assert_eq!(row(with_less), "-");
    }

    #[test]
    fn a_page_says_what_was_booted() {
        let place = |two| Place {
            kernel: "the small kernel 6.1".to_owned(),
            busybox: "BusyBox v1".to_owned(),
            two,
        };
        let table = table(&[column("x", Vec::new())]);
        let page = |two| super::page(&table, &place(two));
        for text in [page(true), page(false)] {
            assert!(text.contains(&table), "{text}");
            assert!(text.contains("\nthe small kernel 6.1, 256 MiB; BusyBox v1.\n"));
            assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        }
        assert!(page(true).contains("is two binaries"));
        assert!(page(false).contains("is one binary"));
    }
}
