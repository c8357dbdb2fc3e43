//! Programs of others: finding one, starting it, and waiting for it with a bound.

use std::ffi::{CStr, CString};
use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process};
use rustix::process::{pidfd_open, waitpid};

use crate::sys::clock::{boot_ns, timespec};
use crate::sys::spawn;

/// Where programs of the system are.
const DIRECTORIES: [&str; 4] = ["/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/"];

/// After so long, whoever waits is told, and then each time that so much has passed (ns).
const LONG_NS: u64 = 10_000_000_000;

/// The file of the program of this name, which has no slash in it.
pub fn find(name: &[u8]) -> Option<CString> {
    if name.contains(&b'/') {
        return None;
    }
    let paths = DIRECTORIES
        .iter()
        .map(|dir| [dir.as_bytes(), name].concat());
    let mut paths = paths.filter_map(|path| CString::new(path).ok());
    paths.find(|path| access(path.as_c_str(), Access::EXEC_OK).is_ok())
}

/// Starts a program; the caller must wait for it.
pub fn start(path: &CStr, arguments: &[&[u8]]) -> io::Result<spawn::Pid> {
    let mut argv = vec![path.to_owned()];
    for argument in arguments {
        argv.push(CString::new(*argument)?);
    }
    spawn::fork(|| {
        let _reason = spawn::exec(path, &argv, None);
        127
    })
}

/// Waits for the end of a child. `None`: it did not end within the limit, and was killed.
/// `remind` is called when it takes long, again and again.
pub fn wait(
    pid: spawn::Pid,
    limit: Option<Duration>,
    remind: &mut dyn FnMut(),
) -> io::Result<Option<WaitStatus>> {
    let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    let limit = limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64);
    let end = boot_ns().saturating_add(limit);
    // Without pidfds (before Linux 5.3) the wait has no limit.
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        loop {
            let left = end.saturating_sub(boot_ns());
            if left == 0 {
                // If it does not end even now, waiting for it would not, either.
                let _gone = kill_process(pid, Signal::KILL);
                return Ok(None);
            }
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left.min(LONG_NS)))) {
                Ok(0) => remind(),
                Err(Errno::INTR) => {}
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
