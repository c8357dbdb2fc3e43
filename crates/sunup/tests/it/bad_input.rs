//! Bad input: for each file, directory and word that an applet takes, everything
//! that may stand there instead of what should. Nothing hangs, panics or dies of
//! a signal; one line names the subject and the reason; the rest goes on.
//!
//! Each module is a table for an applet or two: what is bad, and what is said
//! of it. An empty text means that nothing is said.

mod chpst;
mod client;
mod devices;
mod line;
mod logs;
mod pid1;
mod records;
mod remade;
mod scan;
mod services;

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::common::{Fixture, ends, read_status, running, sunup, wait_for, yield_until};

/// What may stand in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Nothing at all.
    Missing,
    /// A file without content.
    Empty,
    /// Lines with NUL bytes.
    Nul,
    /// Bytes that are no text, an escape sequence among them.
    Binary,
    /// One line of more bytes than any file here may have.
    Long,
    /// A directory with something in it.
    Directory,
    /// A fifo that nobody writes to or reads.
    Fifo,
    /// A socket.
    Socket,
    /// A link that leads nowhere.
    Dangling,
    /// A link that leads to itself.
    Loop,
    /// A link to /dev/null.
    Null,
    /// A link to a device without end.
    Endless,
    /// A link to a device that is always full.
    Full,
    /// A link to a file whose begin cannot be read or written (EIO).
    Unreadable,
}

/// A table: what is bad, and a part of the line that it brings.
pub type Table<'a> = &'a [(Bad, &'a str)];

impl Bad {
    /// Puts it at a path, whatever is there.
    pub fn put(self, path: &Path) {
        remove(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Self::Missing => {}
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Nul => fs::write(path, "a\0b\nc\0\n").unwrap(),
            Self::Binary => fs::write(path, b"\xff\xfe \xff\n\x01\x1b[31m\n").unwrap(),
            Self::Long => fs::write(path, vec![b'x'; 20 << 20]).unwrap(),
            Self::Directory => {
                fs::create_dir(path).unwrap();
                fs::write(path.join("inside"), "kept").unwrap();
            }
            Self::Fifo => {
                let mode = rustix::fs::Mode::from_raw_mode(0o755);
                rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
            }
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Dangling => symlink("/no/such/place", path).unwrap(),
            Self::Loop => symlink(path.file_name().unwrap(), path).unwrap(),
            Self::Null => symlink("/dev/null", path).unwrap(),
            Self::Endless => symlink("/dev/zero", path).unwrap(),
            Self::Full => symlink("/dev/full", path).unwrap(),
            Self::Unreadable => symlink("/proc/self/mem", path).unwrap(),
        }
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// How a program ended, and what it said.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub errors: String,
}

/// An applet of the binary under test, with nothing to read.
pub fn ours(applet: &str) -> Command {
    let mut command = Command::new(sunup());
    command.arg(applet).stdin(Stdio::null());
    command
}

/// As root of namespaces of its own, where a script prepares what it runs with
/// `exec "$@"`; the working directory is the fixture.
pub fn enclosed(fixture: &Fixture, script: &str, applet: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
        .arg("sh")
        .arg(sunup())
        .arg(applet)
        .current_dir(fixture.path("."))
        .stdin(Stdio::null());
    command
}

/// Runs it to its end; `case` is for who reads a failure. Output goes to files:
/// a full pipe must not be what hangs.
pub fn run(case: &str, command: &mut Command) -> Ran {
    let [mut out, mut errors] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let child = command
        .stdout(out.try_clone().unwrap())
        .stderr(errors.try_clone().unwrap())
        .spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{case}: {command:?}: {e}"));
    let ended = ends(child.id());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let errors = text(&mut errors);
    assert!(ended, "{case}: it hangs; it said: {errors}");
    assert!(!errors.contains("panicked"), "{case}: {errors}");
    let code = status.code();
    Ran {
        code: code.unwrap_or_else(|| panic!("{case}: {status}: {errors}")),
        out: text(&mut out),
        errors,
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).expect("what is said is text, whatever the input was")
}

/// Checks that a text is one line, in the form of the house: who says it, about
/// what, and a part of the rest; or nothing at all if that part is empty.
pub fn assert_says(case: &str, errors: &str, who: &str, about: &str, part: &str) {
    if part.is_empty() {
        return assert_eq!(errors, "", "{case}");
    }
    assert_eq!(errors.lines().count(), 1, "{case}: {errors}");
    assert!(errors.ends_with('\n'), "{case}: {errors:?}");
    assert!(errors.starts_with(&format!("{who}: ")), "{case}: {errors}");
    assert!(errors.contains(about), "{case}: no {about} in: {errors}");
    assert!(errors.contains(part), "{case}: no {part:?} in: {errors}");
    let plain = errors.trim_end().chars().all(|c| !c.is_control());
    assert!(plain && !errors.contains("os error"), "{case}: {errors:?}");
}

/// Waits until a supervisor of the directory listens and the service runs; its pid.
pub fn until_ready(dir: &Path) -> u32 {
    until_ready_but(dir, None)
}

/// The same for a process other than `old`, whose status may still be there.
pub fn until_ready_but(dir: &Path, old: Option<u32>) -> u32 {
    let supervise = dir.join("supervise");
    wait_for("supervise", &[dir], || supervise.exists().then_some(()));
    let pid = wait_for("status and fifos", &[&supervise], || {
        let fifos = ["control", "ok"].into_iter().all(|name| {
            let found = fs::symlink_metadata(supervise.join(name));
            found.is_ok_and(|found| found.file_type().is_fifo())
        });
        let status = read_status(dir).filter(|status| fifos && running(status))?;
        Some(status.pid).filter(|pid| old != Some(*pid))
    });
    // All that may be of a predecessor that was killed; but nobody reads then.
    yield_until(|| {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        open(supervise.join("ok"), flags, Mode::empty()).ok()
    });
    pid
}

/// Makes a file or directory inaccessible, runs a command that ordinary users
/// can start, and makes it accessible again. As root the rights are dropped.
pub fn run_without_rights(case: &str, closed: &Path, command: &Command) -> Ran {
    let mode = fs::metadata(closed).unwrap().permissions();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o0)).unwrap();
    let ran = run(case, &mut ordinary(command));
    fs::set_permissions(closed, mode).unwrap();
    ran
}

/// The same command as an ordinary user.
pub fn ordinary(command: &Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args()).stdin(Stdio::null());
        return same;
    }
    let mut dropped = Command::new("setpriv");
    dropped
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    dropped
}
