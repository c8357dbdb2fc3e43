//! What may hang in the kernel (a dead disk or server, a stopped serial line) is done by a
//! child, and waited for with a bound.
//!
//! A child that waits for a device cannot be killed. It is left to itself then: whoever
//! needed its work says so, and goes on.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, waitpid,
};

use super::clock::{boot_ns, timespec};
use super::spawn;

const SECOND_NS: u64 = 1_000_000_000;
/// After so long, whoever waits is told, and then each time that so much has passed (ns).
const LONG_NS: u64 = 10 * SECOND_NS;

/// Waits for the end of a child. `None`: it did not end within the limit, and was killed.
/// `remind` is called when it takes long, again and again, with how many seconds it was.
pub fn wait(
    pid: spawn::Pid,
    limit: Option<Duration>,
    remind: &mut dyn FnMut(u64),
) -> io::Result<Option<WaitStatus>> {
    let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    let limit = limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64);
    let begin = boot_ns();
    // Without pidfds (before Linux 5.3) the wait has no limit.
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        loop {
            let passed = boot_ns().saturating_sub(begin);
            let left = limit.saturating_sub(passed);
            if left == 0 {
                // If it does not end even now, waiting for it would not, either.
                let _gone = kill_process(pid, Signal::KILL);
                return Ok(None);
            }
            let until_told = LONG_NS - passed % LONG_NS;
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left.min(until_told)))) {
                Ok(0) if until_told < left => remind((passed + until_told) / SECOND_NS),
                Ok(0) | Err(Errno::INTR) => {}
                _ => break,
            }
        }
    }
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            ended => return Ok(ended?.map(|(_, status)| status)),
        }
    }
}

/// Runs `work` in a child and waits for its result, as [`wait`] does.
///
/// # Errors
/// There was no child, or somebody else killed it: then the work may not be done.
pub fn within(
    limit: Option<Duration>,
    remind: &mut dyn FnMut(u64),
    work: &mut dyn FnMut() -> u8,
) -> io::Result<Option<u8>> {
    let pid = spawn::fork(work)?;
    let Some(status) = wait(pid, limit, remind)? else {
        return Ok(None);
    };
    let killed = || io::Error::other("its process was killed");
    let code = status.exit_status().ok_or_else(killed)?;
    Ok(Some(code as u8))
}

/// As [`within`], for what has to be tried in any case: if no child does it, this process does,
/// without a bound.
pub fn within_or_here(
    limit: Option<Duration>,
    remind: &mut dyn FnMut(u64),
    work: &mut dyn FnMut() -> u8,
) -> Option<u8> {
    within(limit, remind, work).unwrap_or_else(|_| Some(work()))
}

/// As [`within`], for a call to the kernel: its result, or [`Errno::TIMEDOUT`].
///
/// # Errors
/// See [`within`].
pub fn call(
    limit: Duration,
    remind: &mut dyn FnMut(u64),
    work: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<io::Result<()>> {
    within(Some(limit), remind, &mut || encode(work())).map(decode)
}

/// As [`call`], and as [`within_or_here`].
pub fn call_or_here(
    limit: Duration,
    remind: &mut dyn FnMut(u64),
    work: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    decode(within_or_here(Some(limit), remind, &mut || encode(work())))
}

/// The result of a call as an exit code.
fn encode(result: io::Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(e) => e.raw_os_error().unwrap_or(libc::EIO) as u8,
    }
}

fn decode(code: Option<u8>) -> io::Result<()> {
    match code {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.into())),
        None => Err(Errno::TIMEDOUT.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause() -> u8 {
        let _never = poll(&mut [], None);
        0
    }

    #[test]
    fn work_whose_process_is_killed_is_not_done() {
        let limit = Some(Duration::from_mins(1));
        let mut nothing = |_| {};
        assert_eq!(within(limit, &mut nothing, &mut || 7).unwrap(), Some(7));
        let killed = within(limit, &mut nothing, &mut || {
            let own = rustix::process::getpid();
            let _ = kill_process(own, Signal::KILL);
            0
        });
        assert!(killed.is_err(), "{killed:?}");
    }

    #[test]
    fn without_a_child_it_is_done_here() {
        let here = rustix::process::getpid();
        let die_elsewhere = || {
            let own = rustix::process::getpid();
            if own != here {
                let _ = kill_process(own, Signal::KILL);
            }
        };
        let long = Duration::from_mins(1);
        let done = within_or_here(Some(long), &mut |_| {}, &mut || {
            die_elsewhere();
            7
        });
        assert_eq!(done, Some(7));
        let done = call_or_here(long, &mut |_| {}, &mut || {
            die_elsewhere();
            Err(Errno::ROFS.into())
        });
        let errno = Errno::from_io_error(&done.unwrap_err());
        assert_eq!(errno, Some(Errno::ROFS));
        // What hangs would hang here, too.
        let short = Some(Duration::from_millis(20));
        assert_eq!(within_or_here(short, &mut |_| {}, &mut pause), None);
    }

    #[test]
    fn what_hangs_is_left_to_itself_and_errors_are_those_of_the_call() {
        let short = Duration::from_millis(20);
        let mut told = Vec::new();
        let ended = within(Some(short), &mut |s| told.push(s), &mut pause);
        assert_eq!(ended.unwrap(), None);
        assert!(told.is_empty());
        let mut hangs = || {
            pause();
            Ok(())
        };
        let hung = call(short, &mut |_| {}, &mut hangs).unwrap();
        assert_eq!(
            Errno::from_io_error(&hung.unwrap_err()),
            Some(Errno::TIMEDOUT)
        );
        let long = Duration::from_mins(1);
        for errno in [Errno::NOENT, Errno::ROFS] {
            let failed = call(long, &mut |_| {}, &mut || Err(errno.into())).unwrap();
            assert_eq!(Errno::from_io_error(&failed.unwrap_err()), Some(errno));
        }
        call(long, &mut |_| {}, &mut || Ok(())).unwrap().unwrap();
    }
}
