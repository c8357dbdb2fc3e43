//! A machine for tests of PID 1: namespaces of its own, with real processes.
//!
//! It is a directory as root file system and commands that write a line to
//! /events when they run. unshare(1) makes the namespaces and passes on the
//! signal by which the kernel ends PID 1: HUP for a reboot, INT for halt and
//! poweroff. Nothing may run `poweroff`, `init -q`, `telinit 6`, `shutdown now` or `runit-init 0` outside of
//! such a machine: they would signal the PID 1 of the host.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::common::{Fixture, file_of, patience, wait_for};

/// By which signal the kernel ends PID 1 for a reboot, and for halt and poweroff.
pub const HUP: i32 = 1;
pub const INT: i32 = 2;

/// What happens before init starts; the working directory is the new root.
const SET_UP: &str = "
    set -e
    mount --rbind /usr usr
    mount --bind /dev/null dev/null
    mount -t proc proc proc
    mount --bind \"$INIT_UNDER_TEST\" sbin/init
    unset INIT_UNDER_TEST
";

/// How to boot; the default is an empty inittab.
pub struct Boot<'a> {
    pub inittab: &'a str,
    pub files: &'a [(&'a str, &'a str)],
    pub env: &'a [(&'a str, &'a str)],
    pub set_up: &'a str,
    pub args: &'a str,
    /// The name by which it is called, below /sbin, and as a program under test.
    pub name: &'a str,
    /// Its file, if it is not the one under test.
    pub file: Option<&'a Path>,
    /// As an ordinary user, even when root runs the test.
    pub as_nobody: bool,
}

impl Default for Boot<'_> {
    fn default() -> Self {
        Self {
            inittab: "",
            files: &[],
            env: &[],
            set_up: "",
            args: "",
            name: "init",
            file: None,
            as_nobody: false,
        }
    }
}

/// A machine that runs.
pub struct Machine {
    pub root: Fixture,
    pub unshare: Child,
}

impl Machine {
    pub fn boot(boot: &Boot) -> Self {
        let root = Fixture::new(&[
            ("usr/", ""),
            ("proc/", ""),
            ("bin -> usr/bin", ""),
            ("lib -> usr/lib", ""),
            ("lib64 -> usr/lib64", ""),
            ("dev/null", ""),
            ("sbin/init", ""),
            ("sbin/halt -> init", ""),
            ("sbin/poweroff -> init", ""),
            ("sbin/reboot -> init", ""),
            ("sbin/runit -> init", ""),
            ("sbin/runit-init -> init", ""),
            ("sbin/shutdown -> init", ""),
            ("sbin/telinit -> init", ""),
            ("events", ""),
            ("console", ""),
        ]);
        if !boot.inittab.is_empty() {
            root.add("etc/inittab", boot.inittab);
        }
        for (name, content) in boot.files {
            root.add(name, content);
        }
        let console = OpenOptions::new()
            .append(true)
            .open(root.path("console"))
            .unwrap();
        let script = format!(
            "{SET_UP}{}\nexec chroot . /sbin/{} {}",
            boot.set_up, boot.name, boot.args
        );
        let mut command = Command::new("unshare");
        if boot.as_nobody && rustix::process::geteuid().is_root() {
            give_to_nobody(root.path(".").as_path());
            command = Command::new("setpriv");
            command.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "unshare",
            ]);
        }
        let unshare = command
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
            ])
            .args(["sh", "-c", &script])
            .current_dir(root.path("."))
            .env(
                "INIT_UNDER_TEST",
                boot.file.map_or_else(|| file_of(boot.name), Path::to_owned),
            )
            .envs(boot.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .expect("unshare of the package util-linux");
        Self { root, unshare }
    }

    pub fn with(inittab: &str) -> Self {
        Self::boot(&Boot {
            inittab,
            ..Boot::default()
        })
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.root.path(name)).unwrap()).into_owned()
    }

    pub fn events(&self) -> Vec<String> {
        self.text("events").lines().map(str::to_owned).collect()
    }

    /// Waits until `check` likes what was written to /events and the console.
    pub fn until(&self, what: &str, check: impl Fn(&[String], &str) -> bool) {
        let root = self.root.path(".");
        let seen = || (self.events(), self.text("console"));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, &[&root], || {
                let (events, console) = seen();
                check(&events, &console).then_some(())
            });
        }));
        assert!(done.is_ok(), "no {what}: {:#?}", seen());
    }

    pub fn until_event(&self, event: &str) {
        self.until(event, |events, _| events.iter().any(|e| e == event));
    }

    pub fn until_said(&self, text: &str) {
        self.until(text, |_, console| console.contains(text));
    }

    /// PID 1 as it is called out here; it must have shown a sign of life before.
    pub fn pid(&self) -> Pid {
        let pid = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }

    /// Sends a signal to PID 1, which must have shown a sign of life before.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Sends a signal to PID 1 again and again until it ends: a PID 1 that is not
    /// ours may lose one that comes just after a start.
    pub fn signal_until_end(&mut self, signal: Signal) -> ExitStatus {
        let pidfd = pidfd_open(Pid::from_child(&self.unshare), PidfdFlags::empty()).unwrap();
        let pause = Timespec::try_from(patience() / 20).unwrap();
        for _ in 0..20 {
            let pid = self.unshare.id();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let init = children.ok().and_then(|c| c.trim().parse().ok());
            if let Some(init) = init.and_then(Pid::from_raw) {
                let _ = kill_process(init, signal);
            }
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            if poll(&mut fds, Some(&pause)).unwrap() == 1 {
                break;
            }
        }
        self.end()
    }

    /// Waits for the end of the machine.
    pub fn end(&mut self) -> ExitStatus {
        let pidfd = pidfd_open(Pid::from_child(&self.unshare), PidfdFlags::empty()).unwrap();
        let timeout = Timespec::try_from(patience()).unwrap();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let ended = poll(&mut fds, Some(&timeout)).unwrap();
        assert_eq!(
            ended,
            1,
            "no end: {:#?}",
            (self.events(), self.text("console"))
        );
        self.unshare.wait().unwrap()
    }

    /// Ends every process that waits for the fifo.
    pub fn open_gate(&self, gate: &str) {
        drop(
            OpenOptions::new()
                .write(true)
                .open(self.root.path(gate))
                .unwrap(),
        );
    }

    /// The lines of the console that `wanted` likes.
    pub fn said(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let console = self.text("console");
        let lines = console.split('\n').filter(|l| wanted(l));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The end of unshare is the end of PID 1 (--kill-child).
        drop(self.unshare.kill());
        drop(self.unshare.wait());
    }
}

fn give_to_nobody(dir: &Path) {
    std::os::unix::fs::lchown(dir, Some(65534), Some(65534)).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            give_to_nobody(&entry.path());
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(65534), Some(65534)).unwrap();
        }
    }
}
