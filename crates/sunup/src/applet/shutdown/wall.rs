//! A message for everybody who is logged in.
//!
//! Who that is, utmp tells; where it names nobody, every terminal that controls a process is
//! written to. Terminals belong to their users, who may stop them: what is written is bounded,
//! never waits for long, and is done by a child that has a limit of its own.

use model::sorted::gather;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};

use crate::machine;
use crate::say::plain_within;
use crate::sys::bounded::within;
use crate::sys::clock::{boot_ns, timespec};
use crate::sys::{local_time, utmp};

/// How long all terminals together may hold up the message (ns).
const PATIENCE: u64 = 100_000_000;
/// How long the child may take.
const LIMIT: Duration = Duration::from_secs(2);
/// More of a message is not shown: a line must leave space in a terminal that is slow, or not
/// read, for the line that says what happens.
const LINE_BYTES_MAX: usize = 1024;
/// More terminals are not written to.
const TERMINALS_MAX: usize = 512;
/// Major number of the pseudo terminals of devpts (Documentation/admin-guide/devices.txt).
const PTS: u32 = 136;

/// A line as others see it: without commands to a terminal, and not long.
pub fn plain(line: &str) -> String {
    plain_within(line, LINE_BYTES_MAX)
}

/// Writes `lines` to all terminals, below a line that says who speaks.
pub fn say(lines: &[&str]) {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let time = local_time::now();
    let user = std::env::var("LOGNAME").unwrap_or_else(|_| "root".to_owned());
    let title = format!(
        "Broadcast message from {user}@{host} ({:02}:{:02}):",
        time.hour, time.minute
    );
    let mut text = format!("\r\n\x07{}\r\n\r\n", plain(&title));
    for line in lines.iter().filter(|line| !line.is_empty()) {
        text.extend([&plain(line), "\r\n"]);
    }
    text.push_str("\r\n");
    drop(within(Some(LIMIT), &mut |_| {}, &mut || {
        write_to_all(text.as_bytes());
        0
    }));
}

/// What is not taken at once is offered again until [`PATIENCE`] is over.
fn write_to_all(text: &[u8]) {
    let mut pending: Vec<(OwnedFd, &[u8])> = terminals()
        .iter()
        .filter_map(|path| Some((open_terminal(path)?, text)))
        .collect();
    let until = boot_ns().saturating_add(PATIENCE);
    loop {
        pending.retain_mut(
            |(terminal, rest)| match rustix::io::write(&*terminal, rest) {
                Ok(n) => {
                    *rest = rest.get(n..).unwrap_or_default();
                    !rest.is_empty()
                }
                Err(e) => e == rustix::io::Errno::AGAIN,
            },
        );
        let left = until.saturating_sub(boot_ns());
        if pending.is_empty() || left == 0 {
            return;
        }
        let fds = pending
            .iter()
            .map(|(fd, _)| PollFd::new(fd, PollFlags::OUT));
        let mut fds: Vec<PollFd> = fds.collect();
        if poll(&mut fds, Some(&timespec(left))) == Ok(0) {
            return;
        }
    }
}

fn terminals() -> BTreeSet<PathBuf> {
    let path = |line: &Vec<u8>| Path::new("/dev").join(OsStr::from_bytes(line));
    let mut found: BTreeSet<PathBuf> = gather(utmp::lines_in_use().iter().map(path));
    if found.is_empty() {
        let devices: BTreeSet<u32> = gather(machine::processes_on_terminals().map(|(_, d)| d));
        found = devices.into_iter().filter_map(terminal_of).collect();
    }
    found.into_iter().take(TERMINALS_MAX).collect()
}

/// The terminal of a device number in the kernel's form (`new_encode_dev`).
fn terminal_of(device: u32) -> Option<PathBuf> {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    if major == PTS {
        return Some(format!("/dev/pts/{minor}").into());
    }
    let told = std::fs::read_to_string(format!("/sys/dev/char/{major}:{minor}/uevent")).ok()?;
    let name = told
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Path::new("/dev").join(name))
}

/// Opens it without waiting, if it is a terminal and no link.
fn open_terminal(path: &Path) -> Option<OwnedFd> {
    let flags =
        OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let terminal = open(path, flags, Mode::empty()).ok()?;
    rustix::termios::isatty(&terminal).then_some(terminal)
}
