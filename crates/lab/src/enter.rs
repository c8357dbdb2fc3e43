//! A machine without QEMU and without a kernel of its own: the image's init as
//! PID 1 in fresh namespaces, as root or as an ordinary user.
//!
//! Three processes: lab; the *porter* (`lab inside-porter`), which has entered
//! the namespaces, gets its identities mapped by lab and waits for the machine;
//! and PID 1 (`lab inside-init`), which unpacks the image and becomes init.
//! Both are lab itself, started again, and live in [`crate::inside`]. The
//! console and the port for results are pseudo terminals of the workstation.
//!
//! Root's identities inside are ordinary ones outside: a machine that loses its
//! temper must not reach the workstation's devices and settings.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::machine::{End, Machine, Parts};
use crate::moment::Moment;
use crate::sys;

/// First of the outside's identities that root's machine gets, from the range
/// that is set aside for containers.
const BASE_ID: u32 = 524_288;

/// How many of them.
const IDS: u32 = 65_536;

/// The namespaces.
#[derive(Clone, Debug)]
pub struct Enter {
    /// lab's own binary.
    pub lab: PathBuf,
    /// Words as on a kernel's command line: `NAME=VALUE` becomes environment,
    /// others become arguments of init.
    pub append: String,
}

impl Enter {
    /// Starts the machine with the archive `image`.
    pub fn start(&self, image: &[u8]) -> Result<Machine> {
        let console = Pty::open()?;
        let results = Pty::open()?;
        results.make_raw()?;
        let mut command = Command::new(&self.lab);
        command
            .arg("inside-porter")
            .args([&console.name, &results.name])
            .args(self.append.split_whitespace())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let started = Moment::now();
        let mut child = sys::die_with_parent(&mut command)
            .spawn()
            .with_context(|| format!("start {}", self.lab.display()))?;
        let reports = match admit(&mut child, image) {
            Ok(reports) => reports,
            Err(e) => {
                drop(child.kill());
                drop(child.wait());
                return Err(e);
            }
        };
        let parts = Parts {
            child,
            console: console.master,
            results: results.master,
            reports,
            how,
            // Held open, so that the masters do not see an end between two logins.
            keep: Box::new((console.slave, results.slave)),
        };
        Ok(Machine::new(parts, started))
    }
}

/// Waits until the porter is inside, maps its identities, and hands it the image.
fn admit(child: &mut Child, image: &[u8]) -> Result<File> {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("the porter has no standard input and output");
    };
    // Unbuffered beyond this line: it is all the porter says before the image.
    let mut output = BufReader::with_capacity(1, File::from(OwnedFd::from(output)));
    let mut line = String::new();
    output.read_line(&mut line)?;
    if line.trim_end() != "inside" {
        bail!(
            "enter namespaces: {}",
            if line.is_empty() {
                "see above"
            } else {
                line.trim_end()
            }
        );
    }
    map_ids(child.id()).context("map identities")?;
    feed(input, image)?;
    Ok(output.into_inner())
}

/// Writes the image; a machine that does not want it says why itself.
fn feed(mut input: ChildStdin, image: &[u8]) -> Result<()> {
    match input.write_all(image) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("hand over the image"),
    }
}

/// As root a whole range; as an ordinary user oneself as root, and nobody else.
fn map_ids(pid: u32) -> Result<()> {
    let uid = rustix::process::geteuid();
    let gid = rustix::process::getegid();
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).with_context(|| format!("write {path}"))
    };
    if uid.is_root() {
        write("uid_map", format!("0 {BASE_ID} {IDS}"))?;
        write("gid_map", format!("0 {BASE_ID} {IDS}"))
    } else {
        write("setgroups", "deny".into())?;
        write("uid_map", format!("0 {} 1", uid.as_raw()))?;
        write("gid_map", format!("0 {} 1", gid.as_raw()))
    }
}

/// The porter's last word is the wait status of PID 1.
fn how(reports: &[String], status: ExitStatus) -> End {
    use std::os::unix::process::ExitStatusExt;
    let word = reports.iter().find_map(|line| line.strip_prefix("ended "));
    let Some(init) = word
        .and_then(|raw| raw.parse().ok())
        .map(ExitStatus::from_raw)
    else {
        return End::Failed(format!("the porter: {status}"));
    };
    // What reboot(2) does to the PID 1 of a namespace (pid_namespaces(7)).
    match init.signal() {
        Some(2) => End::PowerOff,
        Some(1) => End::Reset,
        _ => End::Init(init.to_string()),
    }
}

/// A pseudo terminal, which the machine may open by its name.
struct Pty {
    master: File,
    slave: File,
    name: String,
}

impl Pty {
    fn open() -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .context("open a pseudo terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let name = name
            .into_string()
            .map_err(|_| anyhow!("a terminal with an odd name"))?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(Path::new(&name), flags, Mode::empty())
            .with_context(|| format!("open {name}"))?;
        if rustix::process::geteuid().is_root() {
            let owner = (Uid::from_raw(BASE_ID), Gid::from_raw(BASE_ID));
            rustix::fs::fchown(&slave, Some(owner.0), Some(owner.1))?;
        }
        Ok(Self {
            master: master.into(),
            slave: slave.into(),
            name,
        })
    }

    /// No echo and no translation: a port, not a terminal.
    fn make_raw(&self) -> Result<()> {
        let mut settings = tcgetattr(&self.slave)?;
        settings.make_raw();
        tcsetattr(&self.slave, OptionalActions::Now, &settings)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_wait_status_tells_how_it_ended() {
        let how = |raw: i32| super::how(&[format!("ended {raw}")], ExitStatus::from_raw(0));
        assert_eq!(how(2), End::PowerOff);
        assert_eq!(how(1), End::Reset);
        assert_eq!(how(42 << 8), End::Init("exit status: 42".into()));
        assert!(matches!(
            super::how(&[], ExitStatus::from_raw(0)),
            End::Failed(_)
        ));
    }
}
