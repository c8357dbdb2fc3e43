//! The supervisors that are compared: where they come from, and the words in
//! which each is told the same.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;

use crate::debian::{self, Need};
use crate::{reference, workspace};

/// A supervisor, or the limit that none can pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// The limit: a loop of vfork and exec; for logs, cat(1) into a file
    Bare,
    /// This project's, release build
    Sunup,
    /// Debian's package
    Runit,
    /// Debian's source package, built with the applets of runit
    Busybox,
    /// Debian's package
    S6,
    /// Debian's package
    Daemontools,
}

impl Name {
    /// All, in the order of tables.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// The word for it on the command line and in results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Sunup => "sunup",
            Self::Runit => "runit",
            Self::Busybox => "busybox",
            Self::S6 => "s6",
            Self::Daemontools => "daemontools",
        }
    }
}

/// In the last byte of a status file of s6 (s6-supervise.h).
const S6_READY: u8 = 1 << 3;

/// How a logger marks lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamp {
    /// Not at all.
    Plain,
    /// `@` and 24 hexadecimal digits.
    Tai64n,
    /// Date and time of day.
    Human,
}

/// A peer that is there.
pub struct Peer {
    /// Which.
    pub name: Name,
    /// As it or its package says.
    pub version: String,
    /// Where its programs are.
    bin: PathBuf,
}

impl Peer {
    /// Gets a peer ready; `own` is a directory for links to its programs.
    pub fn provide(name: Name, own: &Path) -> Result<Self> {
        let usr_bin = || PathBuf::from("/usr/bin");
        let (bin, version) = match name {
            Name::Bare => (usr_bin(), "-".to_owned()),
            Name::Sunup => sunup(own)?,
            Name::Busybox => busybox()?,
            Name::Runit => (usr_bin(), packaged("runsvdir", "runit")?),
            Name::S6 => (usr_bin(), packaged("s6-svscan", "s6")?),
            Name::Daemontools => (usr_bin(), packaged("svscan", "daemontools")?),
        };
        Ok(Self { name, version, bin })
    }

    /// The most services that it takes.
    pub fn services_max(&self) -> usize {
        match self.name {
            // Limits of their sources (MAXSERVICES of runsvdir.c, MAX of svscan.c).
            Name::Runit | Name::Daemontools => 1000,
            _ => usize::MAX,
        }
    }

    /// The supervisor of a scan directory; `None` if it has none. `sessions` gives
    /// each service a session, where there is an option for that.
    pub fn supervisor(&self, scan: &Path, sessions: bool) -> Option<Command> {
        let mut command = match (self.name, sessions) {
            (Name::Sunup | Name::Runit | Name::Busybox, _) => {
                let mut command = self.program("runsvdir");
                command.args(sessions.then_some("-P"));
                command
            }
            (Name::S6, false) => {
                let mut command = self.program("s6-svscan");
                // 1000 if it is not told; it sets memory apart for as many.
                command.args(["-c", "10000"]);
                command
            }
            (Name::Daemontools, false) => self.program("svscan"),
            (Name::Bare | Name::S6 | Name::Daemontools, _) => return None,
        };
        command.arg(scan).stdin(Stdio::null()).process_group(0);
        Some(command)
    }

    /// Has it look at its scan directory, if it does not do so unasked.
    pub fn look(&self, scan: &Path) -> Option<Command> {
        let mut command = match self.name {
            Name::S6 => self.program("s6-svscanctl"),
            _ => return None,
        };
        command.arg("-a").arg(scan);
        Some(command)
    }

    /// Asks for the status of services.
    pub fn status(&self, services: &[PathBuf]) -> Vec<Command> {
        match self.name {
            Name::S6 => self.for_each("s6-svstat", &[], services),
            Name::Daemontools => vec![self.for_all("svstat", &[], services)],
            _ => vec![self.for_all("sv", &["status"], services)],
        }
    }

    /// Lists all services; `None` where there is no command for that.
    pub fn list(&self, scan: &Path) -> Option<Command> {
        (self.name == Name::Sunup).then(|| {
            let mut command = self.for_all("sv", &["list"], &[]);
            command.env("SVDIR", scan);
            command
        })
    }

    /// Restarts a service.
    pub fn restart(&self, service: &Path) -> Command {
        let services = [service.to_path_buf()];
        match self.name {
            Name::S6 => self.for_all("s6-svc", &["-wr", "-r"], &services),
            Name::Daemontools => self.for_all("svc", &["-t"], &services),
            _ => self.for_all("sv", &["restart"], &services),
        }
    }

    /// A command of sv for a service; `None` where there is no sv.
    pub fn sv(&self, words: &[&str], service: &Path) -> Option<Command> {
        let has_sv = matches!(self.name, Name::Sunup | Name::Runit | Name::Busybox);
        let services = [service.to_path_buf()];
        has_sv.then(|| self.for_all("sv", words, &services))
    }

    /// Whether a service can tell it by a newline that it is ready, and can be given a time
    /// after which it is killed.
    pub fn knows_readiness(&self) -> bool {
        matches!(self.name, Name::Sunup | Name::S6)
    }

    /// Starts a service and waits until it is ready; `None` where that is not known.
    pub fn start(&self, service: &Path) -> Option<Command> {
        let services = [service.to_path_buf()];
        match self.name {
            Name::Sunup => Some(self.for_all("sv", &["start"], &services)),
            Name::S6 => Some(self.for_all("s6-svc", &["-wU", "-u"], &services)),
            _ => None,
        }
    }

    /// Starts a service and waits for nothing.
    pub fn start_without_waiting(&self, service: &Path) -> Option<Command> {
        let services = [service.to_path_buf()];
        match self.name {
            Name::Sunup => Some(self.for_all("sv", &["up"], &services)),
            Name::S6 => Some(self.for_all("s6-svc", &["-u"], &services)),
            _ => None,
        }
    }

    /// Whether the service's state file says that it is ready.
    pub fn says_ready(&self, service: &Path) -> bool {
        let read = |name| fs::read(service.join("supervise").join(name)).unwrap_or_default();
        match self.name {
            Name::Sunup => {
                let line = read("ready");
                !line.is_empty() && !line.ends_with(b" starting\n")
            }
            Name::S6 => read("status")
                .last()
                .is_some_and(|flags| flags & S6_READY != 0),
            _ => false,
        }
    }

    /// Stops services, and waits for it where that can be asked for at once for all.
    pub fn stop(&self, services: &[PathBuf]) -> Vec<Command> {
        match self.name {
            Name::S6 => self.for_each("s6-svc", &["-d"], services),
            Name::Daemontools => vec![self.for_all("svc", &["-d"], services)],
            _ => vec![self.for_all("sv", &["-w", "60", "stop"], services)],
        }
    }

    /// A logger that writes its standard input to `dir`, in files of 10 MB, and
    /// keeps 10 of them; `None` where it has no such stamp.
    pub fn logger(&self, stamp: Stamp, dir: &Path) -> Result<Option<Command>> {
        let script = |program: &str, stamp: Option<&str>| {
            let mut command = self.program(program);
            command.args(stamp).args(["n10", "s10000000"]).arg(dir);
            command
        };
        let command = match (self.name, stamp) {
            (Name::Bare, Stamp::Plain) => {
                let mut command = self.program("cat");
                command.stdout(File::create(dir.join("current"))?);
                command
            }
            (Name::Bare, _) | (Name::Daemontools, Stamp::Human) => return Ok(None),
            (Name::S6, Stamp::Plain) => script("s6-log", None),
            (Name::S6, Stamp::Tai64n) => script("s6-log", Some("t")),
            (Name::S6, Stamp::Human) => script("s6-log", Some("T")),
            (Name::Daemontools, Stamp::Plain) => script("multilog", None),
            (Name::Daemontools, Stamp::Tai64n) => script("multilog", Some("t")),
            (Name::Sunup | Name::Runit | Name::Busybox, _) => {
                fs::write(dir.join("config"), "s10000000\nn10\n")?;
                let mut command = self.program("svlogd");
                command.args(match stamp {
                    Stamp::Plain => None,
                    Stamp::Tai64n => Some("-t"),
                    Stamp::Human => Some("-tt"),
                });
                command.arg(dir);
                command
            }
        };
        Ok(Some(command))
    }

    fn for_each(&self, program: &str, options: &[&str], services: &[PathBuf]) -> Vec<Command> {
        let one = |service: &PathBuf| self.for_all(program, options, std::slice::from_ref(service));
        services.iter().map(one).collect()
    }

    /// Runs a program of its with options, for all those services at once.
    pub fn for_all(&self, program: &str, options: &[&str], services: &[PathBuf]) -> Command {
        let mut command = self.program(program);
        command.args(options).args(services).stdin(Stdio::null());
        command
    }

    /// One of its programs, which finds the others in PATH.
    fn program(&self, name: &str) -> Command {
        let mut path = OsString::from(&self.bin);
        path.push(":/usr/bin:/bin");
        let mut command = Command::new(self.bin.join(name));
        command.env_clear().env("PATH", path);
        command
    }
}

fn sunup(own: &Path) -> Result<(PathBuf, String)> {
    let binary = workspace::build_sunup()?;
    for applet in ["runsvdir", "runsv", "sv", "svlogd"] {
        symlink(&binary, own.join(applet)).with_context(|| format!("make a link {applet}"))?;
    }
    // `sunup (sunup) 0.1.0`
    let said = first_line(Command::new(&binary).arg("--version"))?;
    let version = said.rsplit(' ').next().unwrap_or_default();
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty"])
        .current_dir(workspace::root());
    // Sources without their history have none.
    let commit = first_line(&mut git).map_or_else(|_| String::new(), |c| format!(", commit {c}"));
    Ok((own.to_path_buf(), format!("{version}{commit}")))
}

fn busybox() -> Result<(PathBuf, String)> {
    let dir = reference::busybox()?;
    let greeting = first_line(&mut Command::new(dir.join("busybox")))?;
    // `BusyBox v1.35.0 (Debian ...) multi-call binary.`
    let version = greeting.split(' ').nth(1).unwrap_or_default();
    Ok((dir, version.trim_start_matches('v').to_owned()))
}

/// The version of a package of Debian, which is installed if it is missing.
fn packaged(program: &'static str, package: &'static str) -> Result<String> {
    debian::provide(&[Need(program, package)])?;
    first_line(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success());
    let line = line.ok_or_else(|| anyhow!("{command:?}: {}", output.status))?;
    Ok(line.trim().to_owned())
}
