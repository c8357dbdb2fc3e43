//! The summary as text, for a terminal of 80 columns.

use alloc::string::{String, ToString};
use core::fmt::Write;
use core::time::Duration;

use super::{Boot, plain};
use crate::time::Instant;

/// No line is longer.
const COLUMNS: usize = 80;
/// What stands before a name.
const NUMBERS: usize = 30;
/// What fits into a column of twelve.
const TENTHS_MAX: u128 = 99_999_999;
const SECONDS_MAX: u64 = 9_999_999_999;

/// All of it, with a newline at the end.
pub fn text(boot: &Boot) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(boot, &mut text);
    text
}

fn write(boot: &Boot, out: &mut String) -> core::fmt::Result {
    let until = if boot.up.is_some() {
        "until all that is wanted was up"
    } else {
        "to the end of the record; not all that is wanted was up"
    };
    total(out, boot.kernel(), "kernel", "until process 1 began")?;
    total(out, boot.stage1(), "stage 1", "until its last step ended")?;
    total(out, Some(boot.services()), "services", until)?;
    total(out, Some(boot.total()), "together", "")?;
    if let Some(idle) = boot.idle.last() {
        let all = u128::from(idle.at.0) * u128::from(idle.cpus);
        let busy = all.saturating_sub(u128::from(idle.idle_ns)) * 100;
        let percent = busy.checked_div(all).unwrap_or(0);
        let processors = if idle.cpus == 1 { "" } else { "s" };
        writeln!(
            out,
            "{:>12}   processors, of the time of {} processor{processors}",
            alloc::format!("{percent} %"),
            idle.cpus
        )?;
    }
    if !boot.steps.is_empty() {
        heading(out, "stage 1")?;
    }
    for step in &boot.steps {
        let indent = " ".repeat(2 * step.depth.min(8));
        let reason = step.failure.as_ref().map(|reason| match reason.as_slice() {
            b"" => "failed".to_string(),
            reason => alloc::format!("failed: {}", plain(reason)),
        });
        let took = Some(step.took());
        row(
            boot,
            out,
            took,
            Some(step.since),
            &indent,
            &step.name,
            reason,
        )?;
    }
    if !boot.services.is_empty() {
        heading(out, "services, slowest first")?;
    }
    for service in boot.slowest_first() {
        let trouble = service.trouble().map(|trouble| trouble.to_string());
        row(
            boot,
            out,
            service.took(),
            service.start,
            "",
            &service.name,
            trouble,
        )?;
    }
    if boot.is_full {
        out.push_str("\nThe record was full: what came later is not in it.\n");
    }
    if boot.passed_over > 0 {
        let lines = boot.passed_over;
        writeln!(out, "\n{lines} lines of the record were not understood.")?;
    }
    Ok(())
}

fn total(out: &mut String, took: Option<Duration>, name: &str, note: &str) -> core::fmt::Result {
    let Some(took) = took else { return Ok(()) };
    let what = alloc::format!("{name:<10}{note}");
    writeln!(out, "{:>12}   {}", ms(took), what.trim_end())
}

fn heading(out: &mut String, name: &str) -> core::fmt::Result {
    writeln!(out, "\n{:>12}   {:>12}   {name}", "took", "from")
}

/// A line: how long, from when on, and what; then what went wrong, on lines of its own.
fn row(
    boot: &Boot,
    out: &mut String,
    took: Option<Duration>,
    since: Option<Instant>,
    indent: &str,
    name: &[u8],
    trouble: Option<String>,
) -> core::fmt::Result {
    let none = || "-".to_string();
    let took = took.map_or_else(none, ms);
    let since = since.map_or_else(none, |since| ms(since.since(boot.origin)));
    let name = cut(&plain(name), indent.len());
    writeln!(out, "{took:>12}   {since:>12}   {indent}{name}")?;
    if let Some(trouble) = trouble {
        let trouble = cut(&trouble, indent.len() + 2);
        writeln!(out, "{:NUMBERS$}{indent}  {trouble}", "")?;
    }
    Ok(())
}

/// Milliseconds, with one decimal, or whole seconds where these are many.
fn ms(span: Duration) -> String {
    let tenths = span.as_nanos().saturating_add(50_000) / 100_000;
    if tenths > TENTHS_MAX {
        return alloc::format!("{} s", span.as_secs().min(SECONDS_MAX));
    }
    alloc::format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// A text of ASCII that fits beside the numbers.
fn cut(text: &str, indent: usize) -> String {
    let room = COLUMNS.saturating_sub(NUMBERS + indent);
    match text.get(..room.saturating_sub(3)) {
        Some(start) if text.len() > room => alloc::format!("{start}..."),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::boot_record::Record;

    const RECORD: &[u8] = b"sunup-boot 1
2057611000 note \"init\"
2058000000 step \"/sbin/stage1\" 2409000000 ok
2058100000 step \"mounts\" 2069000000 ok
2069000000 step \"fstab\" 2080049999 failed \"mount /data: no such device\"
2080050000 step \"nodes\" 2405000000 failed \"\"
2409000000 idle 2 482000000
2410000000 start \"/usr/bin/runsvdir -P /etc/runit/sv\" 90
2410000000 ready \"/usr/bin/runsvdir -P /etc/runit/sv\"
2412000000 start \"web\" 98
2460000000 ready \"web\"
2412000000 start \"web/log\" 97
2412500000 ready \"web/log\"
2413000000 start \"broken\" 0
2413000000 hold \"late\" \"needs db, which is not up yet and will not come up for a long time, either\"
garbage
99";

    const TEXT: &str = "   2057.6 ms   kernel    until process 1 began
    351.4 ms   stage 1   until its last step ended
     51.0 ms   services  to the end of the record; not all that is wanted was up
   2460.0 ms   together
        89 %   processors, of the time of 2 processors

        took           from   stage 1
    351.0 ms      2058.0 ms   /sbin/stage1
     10.9 ms      2058.1 ms     mounts
     11.0 ms      2069.0 ms     fstab
                                  failed: mount /data: no such device
    325.0 ms      2080.1 ms     nodes
                                  failed

        took           from   services, slowest first
           -      2413.0 ms   broken
                                could not be started
           -              -   late
                                waits: needs db, which is not up yet and will...
     48.0 ms      2412.0 ms   web
      0.5 ms      2412.0 ms   web/log
      0.0 ms      2410.0 ms   /usr/bin/runsvdir -P /etc/runit/sv

2 lines of the record were not understood.
";

    #[test]
    fn golden_text() {
        let shown = text(&Boot::of(&Record::decode(RECORD).unwrap()));
        assert!(shown == TEXT, "{shown}");
        assert!(shown.lines().all(|line| line.len() <= COLUMNS));
    }

    #[test]
    fn any_name_fits() {
        let mut record = Record::decode(RECORD).unwrap();
        for line in RECORD.split(|b| *b == b'\n') {
            let long = alloc::format!("7 start \"{}\" 1", "\\x0a\\xff".repeat(120));
            record
                .lines
                .extend(crate::format::boot_record::Line::decode(long.as_bytes()));
            let deep = alloc::format!(
                "{} step \"{}\" 99999999999999 ok",
                1 + line.len(),
                "a".repeat(250)
            );
            record
                .lines
                .extend(crate::format::boot_record::Line::decode(deep.as_bytes()));
        }
        let shown = text(&Boot::of(&record));
        assert!(shown.lines().all(|line| line.len() <= COLUMNS), "{shown}");
        assert!(
            shown
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
        );
    }
}
