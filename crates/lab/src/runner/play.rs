//! One run of a job: its processes, its deadline, and what its output tells.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

use super::warden::{self, Report};
use super::{End, Job, Kind, Run, Runner, Setting};
use crate::moment::{self, Moment};

/// How much of what a test said is shown, from its end.
const SAID_BYTES_MAX: usize = 64 << 10;
/// How long a warden may take to end all that it guards.
const CLEAN_UP: Duration = Duration::from_mins(1);
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

impl Runner {
    /// Runs a job: how each of its tests ended.
    pub(super) fn play(&self, job: &Job, setting: &Setting) -> Result<Vec<(String, Run)>> {
        let names = job.names();
        let ticket = self.board.begin(&format!("{} {}", job.suite, names[0]));
        let start = Moment::now();
        let place = place()?;
        let output = place.path().join("output");
        let words = words(job, setting);
        let mut child = warden::call(&self.lab, job.lane.nice(), &output, &words)
            .current_dir(&setting.dir)
            .env("TMPDIR", place.path().join("tmp"))
            .envs(setting.env.iter().map(|(name, value)| (name, value)))
            .spawn()
            .context("start lab as a warden")?;
        let in_time = self.await_end(&mut child, job, &output, ticket)?;
        let report = await_report(&mut child)?;
        let said = fs::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let took = Moment::now().since(start);
        let runs = runs(job, report, &said, in_time, took);
        self.board.end(ticket, &runs);
        Ok(runs)
    }

    /// Waits for the end, or has the test ended at its deadline: whether it was in
    /// time. Of several tests each has a deadline of its own.
    fn await_end(
        &self,
        child: &mut Child,
        job: &Job,
        output: &Path,
        ticket: usize,
    ) -> Result<bool> {
        let pid = Pid::from_child(child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let names = job.names();
        let mut begun = (0, self.clock.now());
        loop {
            if poll(&mut fds, Some(&moment::timespec(LOOK)))? > 0 {
                return Ok(true);
            }
            let now = self.clock.now();
            if names.len() > 1 {
                let said = fs::read(output).unwrap_or_default();
                let ends = ends(&names, &String::from_utf8_lossy(&said));
                let done = ends.iter().filter(|end| **end != Some(End::NotRun)).count();
                let running = ends.iter().position(Option::is_none);
                if let Some(name) = running.and_then(|i| names.get(i)) {
                    self.board.rename(ticket, &format!("{} {name}", job.suite));
                }
                if done != begun.0 {
                    begun = (done, now);
                }
            }
            if now.saturating_sub(begun.1) > job.deadline {
                kill_process(pid, Signal::TERM)?;
                if poll(&mut fds, Some(&moment::timespec(CLEAN_UP)))? == 0 {
                    child.kill()?;
                }
                return Ok(false);
            }
        }
    }
}

/// A directory for the output, and for the test's own files, which whoever the
/// test becomes may make.
fn place() -> Result<TempDir> {
    let place = tempfile::tempdir().context("make a directory for a test")?;
    let work = place.path().join("tmp");
    fs::create_dir(&work)?;
    fs::set_permissions(place.path(), Permissions::from_mode(0o755))?;
    fs::set_permissions(&work, Permissions::from_mode(0o1777))?;
    Ok(place)
}

fn words(job: &Job, setting: &Setting) -> Vec<OsString> {
    let mut words = setting.before.clone();
    words.push(job.program.clone().into());
    match &job.kind {
        Kind::Check(_, args) => words.extend(args.iter().cloned()),
        Kind::Tests(names) => {
            words.extend(names.iter().map(OsString::from));
            words.extend(["--exact", "--test-threads=1"].map(OsString::from));
            // What a test says before its deadline is not to be lost with it.
            words.extend((names.len() == 1).then(|| "--nocapture".into()));
        }
    }
    words
}

fn await_report(child: &mut Child) -> Result<Option<Report>> {
    let mut line = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut line)?;
    }
    child.wait()?;
    Ok(warden::report(&line))
}

/// How each test of a job ended.
fn runs(
    job: &Job,
    report: Option<Report>,
    said: &str,
    in_time: bool,
    took: Duration,
) -> Vec<(String, Run)> {
    let status = report.and_then(|report| report.status);
    let success = in_time && status.is_some_and(|status| status.success());
    let names = job.names();
    let mut ends = match names.len() {
        1 if success => vec![Some(End::Passed)],
        1 => vec![Some(End::Failed)],
        _ => ends(&names, said),
    };
    if !success && names.len() > 1 && !ends.contains(&Some(End::Failed)) && !ends.contains(&None) {
        // It began with none of them.
        ends.fill(Some(End::Failed));
    }
    let how = match status {
        _ if !in_time => format!(
            "no end within {:?}, as processors were to be had",
            job.deadline
        ),
        Some(status) => status.to_string(),
        None => "it could not be started, or its warden ended".into(),
    };
    let many = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let work = report.map_or(Duration::ZERO, |report| report.work) / many;
    let runs = names.into_iter().zip(ends).map(|(name, end)| {
        // Who was at work at the end did not pass.
        let end = end.unwrap_or(End::Failed);
        let said = match end {
            End::Passed => String::new(),
            _ => format!("{}\n({how})", tail(said)),
        };
        let took = took / many;
        (
            name,
            Run {
                end,
                said,
                took,
                work,
            },
        )
    });
    runs.collect()
}

/// What libtest says of each test in one process: none is for who is at work.
fn ends(names: &[String], said: &str) -> Vec<Option<End>> {
    let begins: Vec<Option<usize>> = names
        .iter()
        .map(|name| said.find(&format!("test {name} ... ")))
        .collect();
    let end = |begin: &Option<usize>| {
        let Some(begin) = *begin else {
            return Some(End::NotRun);
        };
        let later = begins.iter().flatten().filter(|other| **other > begin);
        let until = later.min().copied().unwrap_or(said.len());
        let own = said.get(begin..until).unwrap_or_default();
        let own = own.split("\nfailures:\n").next().unwrap_or_default();
        let own = own.split("\ntest result: ").next().unwrap_or_default();
        if own.trim_end().ends_with("ok") {
            Some(End::Passed)
        } else if own.trim_end().ends_with("FAILED") {
            Some(End::Failed)
        } else {
            None
        }
    };
    begins.iter().map(end).collect()
}

/// The end of a text.
fn tail(said: &str) -> &str {
    let from = said.len().saturating_sub(SAID_BYTES_MAX);
    let from = (from..said.len()).find(|at| said.is_char_boundary(*at));
    from.map_or(said, |from| &said[from..]).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_tests_of_one_process_ended() {
        let names = ["a::b", "a::b::c", "d", "e"].map(str::to_owned);
        let said = "\nrunning 4 tests\ntest a::b ... ok\ntest a::b::c ... lab: says this\n\nFAILED\ntest d ... ";
        let want = [
            Some(End::Passed),
            Some(End::Failed),
            None,
            Some(End::NotRun),
        ];
        assert_eq!(ends(&names, said), want);
        let all = "test d ... ok\n\nfailures:\n\n---- a::b stdout ----\nok\n";
        assert_eq!(ends(&names[2..3], all), [Some(End::Passed)]);
        let last = "test d ... ok\n\ntest result: ok. 1 passed\n";
        assert_eq!(ends(&names[2..3], last), [Some(End::Passed)]);
    }

    #[test]
    fn shows_the_end_of_what_was_said() {
        let long = "ä".repeat(SAID_BYTES_MAX);
        assert!(tail(&long).len() <= SAID_BYTES_MAX);
        assert_eq!(tail("short\n"), "short");
    }
}
