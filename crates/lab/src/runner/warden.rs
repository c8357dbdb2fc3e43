//! The warden of a test: a process (`lab inside-test`) between the runner and the
//! test, which takes in the orphans of all that comes from the test and ends what
//! is left. So no test leaves anything to the next one, and one that hangs goes
//! with all its processes.
//!
//! TERM is the order to end the test. The one line on standard output is for the
//! runner: how the test ended, and what it cost.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, getpriority_process, setpriority_process, wait};
use signal_hook::consts::{SIGCHLD, SIGTERM};
use signal_hook::iterator::Signals;

use crate::bench::processes;
use crate::sys;

/// What a warden tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// None, if it was stopped.
    pub status: Option<ExitStatus>,
    /// Time of processors that all its processes took.
    pub work: Duration,
}

/// The call of a warden for the test that `words` start with a nice value, and whose output
/// goes to a file.
pub fn call(lab: &Path, nice: i32, output: &Path, words: &[OsString]) -> Command {
    let mut command = sys::pristine(lab);
    command.args(["inside-test", &nice.to_string()]);
    command.arg(output).args(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    sys::end_with_parent(&mut command);
    command
}

/// The warden itself.
///
/// # Errors
/// A test that cannot be started, and processes that cannot be ended.
pub fn run(nice: i32, output: &Path, words: &[OsString]) -> Result<()> {
    // The test is started with it: a value given from outside may come too late. Only root may;
    // it costs others no more than time.
    if nice != 0 {
        let _ = setpriority_process(None, nice);
    }
    let mut signals = Signals::new([SIGCHLD, SIGTERM]).context("listen to signals")?;
    processes::adopt_orphans()?;
    let Some((program, words)) = words.split_first() else {
        bail!("no test is named");
    };
    let open = || File::options().append(true).create(true).open(output);
    let out = open().with_context(|| format!("open {}", output.display()))?;
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    let child = sys::new_session(&mut command)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    hand_on_nice_value(child.id());
    let status = await_end(&mut signals, Pid::from_child(&child));
    processes::end_all()?;
    let word = status.map_or_else(|| "stopped".to_owned(), |s| s.into_raw().to_string());
    writeln!(io::stdout(), "{word} {}", work_ms()).context("report")
}

/// A session is scheduled as one, and a nice value counts only within it (sched(7),
/// "The autogroup feature"): so the test's session gets the warden's. Where the kernel
/// has no such groups the value was inherited, which is enough.
fn hand_on_nice_value(test: u32) {
    match getpriority_process(None) {
        Ok(0) | Err(_) => (),
        Ok(nice) => drop(fs::write(
            format!("/proc/{test}/autogroup"),
            nice.to_string(),
        )),
    }
}

/// Reaps until the test is among those who ended; none if it shall be ended.
fn await_end(signals: &mut Signals, test: Pid) -> Option<ExitStatus> {
    for signal in signals.forever() {
        if signal == SIGTERM {
            break;
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == test {
                return Some(ExitStatus::from_raw(status.as_raw()));
            }
        }
    }
    None
}

/// What all who were reaped took (ms): fields 16 and 17 of proc(5)'s stat, in
/// hundredths of a second.
fn work_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields.split(' ').skip(13).take(2);
    ticks.flat_map(str::parse::<u64>).sum::<u64>() * 10
}

/// Reads what [`run`] says.
pub fn report(line: &str) -> Option<Report> {
    let (how, ms) = line.trim_end().split_once(' ')?;
    let status = match how {
        "stopped" => None,
        raw => Some(ExitStatus::from_raw(raw.parse().ok()?)),
    };
    let work = Duration::from_millis(ms.parse().ok()?);
    Some(Report { status, work })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_warden_tells() {
        let told = report("256 120\n").unwrap();
        assert_eq!(told.status.and_then(|s| s.code()), Some(1));
        assert_eq!(told.work, Duration::from_millis(120));
        assert_eq!(report("stopped 0\n").unwrap().status, None);
        assert_eq!(report(""), None);
    }
}
