//! What PID 1 says, and where: on the console for people who watch, in the
//! kernel's log (dmesg) for those who come later.
//!
//! PID 1 must not hang on a console whose flow is stopped. It writes through a descriptor
//! of its own that does not block. A file never blocks, and is written through the
//! descriptor that others write through, so that nobody overwrites a line. If the console
//! takes nothing within [`PATIENCE`], the line is lost; PID 1 counts such lines, and says
//! how many they were before the next line. The kernel bounds the rate of what goes to
//! /dev/kmsg.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use model::losses::Losses;
use rustix::event::poll;
use rustix::fs::{Access, CWD, FileType, Mode, OFlags, access, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::stdio::stdin;
use rustix::termios::{isatty, tcgetattr};

use crate::outlet::Outlet;
use crate::say::plain;
use crate::sys::clock::{boot_ns, timespec};
use crate::sys::{power, tty};

/// How long a stopped console may hold up one line (ns).
const PATIENCE: u64 = 100_000_000;
/// How long a console that is only slow may hold up one line (ns), for example after much
/// output of stage 3.
const PATIENCE_MAX: u64 = 2_000_000_000;
/// The time between two tries (ns). While another process writes, the console refuses our
/// line (`EAGAIN`) although poll says that it has room, and no event says when that is
/// over.
const MOMENT: u64 = 1_000_000;

/// Who speaks.
#[derive(Clone, Copy)]
pub struct Voice {
    /// The name for the kernel's log.
    pub name: &'static str,
    /// How each line on the console starts.
    pub opening: &'static str,
}

static VOICE: OnceLock<Voice> = OnceLock::new();
static CONSOLE: OnceLock<Outlet> = OnceLock::new();
/// What was standard error at first; a child may put another terminal there.
static INHERITED: OnceLock<OwnedFd> = OnceLock::new();
static LOSSES: Mutex<Losses> = Mutex::new(Losses::new());
/// Opened when it is first needed: /dev may be mounted as late as in sysinit.
static KERNEL_LOG: OnceLock<OwnedFd> = OnceLock::new();

/// Puts the console on 0-2: the one that `CONSOLE` or `console` names; else
/// what the kernel, or a container, gave us stays there.
pub fn open(voice: Voice) {
    let _ = VOICE.set(voice);
    if !isatty(stdin()) && super::is_the_first() {
        // Nobody hears of a failure: there is no console.
        drop(make());
    }
    let named = named();
    let trouble = named.as_ref().and_then(|name| use_console(name).err());
    if let Some(console) = outlet() {
        drop(CONSOLE.set(console));
    }
    if let (Some(name), Some(e)) = (named, trouble) {
        say(&format!("open console {}: {e}", name.display()));
    }
}

fn named() -> Option<OsString> {
    std::env::var_os("CONSOLE").or_else(|| std::env::var_os("console"))
}

/// In a child: puts the console on 0-2 anew if it hung up. The kernel hangs up a terminal when the
/// session on it ends, but never /dev/console.
pub fn take_up_again() {
    if let (Err(Errno::IO), Some(name)) = (tcgetattr(stdin()), named()) {
        // What does not work now says so itself.
        drop(use_console(&name));
    }
}

/// Where the kernel found no /dev/console to give us, because /dev is empty, makes the node: on
/// a file system of its own, if the root file system cannot take it.
fn make() -> io::Result<()> {
    const PATH: &str = "/dev/console";
    if !matches!(access(PATH, Access::EXISTS), Err(Errno::NOENT)) {
        return Ok(());
    }
    let _ = rustix::fs::mkdir("/dev", Mode::from_raw_mode(0o755));
    let node = || {
        let (kind, perm) = (FileType::CharacterDevice, Mode::from_raw_mode(0o600));
        mknodat(CWD, PATH, kind, perm, makedev(5, 1))
    };
    if node().is_err() {
        mount(
            "dev",
            "/dev",
            "tmpfs",
            MountFlags::NOSUID,
            c"mode=0755,size=64k",
        )?;
        node()?;
    }
    tty::put_on_stdio(&tty::open_terminal(Path::new(PATH))?)
}

/// Standard error; or /dev/console, if standard error cannot be opened anew and may
/// block, for example before /proc is mounted.
fn outlet() -> Option<Outlet> {
    if let Ok(inherited) = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3) {
        drop(INHERITED.set(inherited));
    }
    let inherited = INHERITED.get().map(|fd| Outlet::of(fd.as_fd()));
    match inherited {
        Some(Outlet::Shared(_)) | None => {
            open_to_write("/dev/console").map(Outlet::Own).or(inherited)
        }
        known => known,
    }
}

fn open_to_write(path: &str) -> Option<OwnedFd> {
    let flags =
        OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::APPEND | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// A kernel's `console=ttyS0,115200` comes as a variable, too: a name below
/// /dev, with parameters.
fn use_console(name: &OsString) -> io::Result<()> {
    let name = name.to_string_lossy();
    let name = name.split(',').next().unwrap_or_default();
    let fd = tty::open_terminal(&Path::new("/dev").join(name))?;
    tty::put_on_stdio(&fd)
}

/// Says a line on the console and in the kernel's log.
pub fn say(text: &str) {
    let text = plain(text);
    on_console(&text);
    in_kernel_log(&text);
}

/// Says a line in the kernel's log; on the console only if there is no such log.
pub fn note(text: &str) {
    let text = plain(text);
    if !in_kernel_log(&text) {
        on_console(&text);
    }
}

fn on_console(text: &str) {
    let Some(console) = CONSOLE.get() else {
        return;
    };
    let opening = VOICE.get().map_or("", |voice| voice.opening);
    let line = format!("\r{opening}{text}\n");
    // There is one thread; a lock that is taken means a panic, and then no account.
    let mut losses = LOSSES.try_lock().ok();
    let untold = losses
        .as_ref()
        .map_or_else(String::new, |l| l.opening(name()));
    let written = write_patiently(console, &[untold.as_bytes(), line.as_bytes()].concat());
    if let Some(losses) = &mut losses {
        losses.written(&untold, line.as_bytes(), written);
    }
}

/// Writes what finds room in time; the result is how many bytes that were.
fn write_patiently(console: &Outlet, bytes: &[u8]) -> usize {
    let after = |ns| boot_ns().saturating_add(ns);
    let (mut until, last) = (after(PATIENCE), after(PATIENCE_MAX));
    let mut unsent = tty::unsent(console);
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let left = until.saturating_sub(boot_ns());
        if left == 0 || !console.has_room(left) {
            let before = std::mem::replace(&mut unsent, tty::unsent(console));
            if unsent >= before || boot_ns() > last {
                break;
            }
            until = after(PATIENCE);
            continue;
        }
        match console.write(rest) {
            Ok(n @ 1..) => {
                written += n;
                until = after(PATIENCE);
            }
            Err(Errno::AGAIN) => {
                let _nothing = poll(&mut [], Some(&timespec(MOMENT)));
            }
            _ => break,
        }
    }
    written
}

/// Who speaks.
pub fn name() -> &'static str {
    VOICE.get().map_or("init", |voice| voice.name)
}

fn in_kernel_log(text: &str) -> bool {
    // Facility daemon (3), level debug (7): kept by the kernel, not shown on the console again.
    let line = format!("<31>{}: {text}\n", name());
    if KERNEL_LOG.get().is_none()
        && let Some(log) = open_to_write("/dev/kmsg")
    {
        drop(KERNEL_LOG.set(log));
    }
    KERNEL_LOG
        .get()
        .is_some_and(|log| rustix::io::write(log, line.as_bytes()).is_ok())
}

/// Waits, for a bounded time, until the console has shown everything.
pub fn drain() {
    if let Some(console) = CONSOLE.get() {
        power::drain(console);
    }
}
