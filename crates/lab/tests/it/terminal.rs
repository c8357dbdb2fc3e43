//! `lab boot` on a terminal: raw while the machine runs, as before afterwards.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::common::lab;
use super::machine::rootfs;

/// A machine that says `up`, repeats a line and stays.
const INIT: &str = "echo up; read line; echo \"heard $line\"; read line; poweroff -f\n";

struct Session {
    keyboard: File,
    terminal: File,
    lab: Child,
    said: Vec<u8>,
}

impl Session {
    /// Boots on a terminal and waits until the machine runs.
    fn start(rootfs: &Path) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let terminal = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let lab = Command::new(lab())
            .args(["boot", "--enter", "--rootfs"])
            .arg(rootfs)
            .stdin(Stdio::from(terminal.try_clone().unwrap()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let mut session = Self {
            keyboard,
            terminal,
            lab,
            said: Vec::new(),
        };
        session.read_until("up\r\n");
        session
    }

    fn read_until(&mut self, text: &str) {
        let out = self.lab.stdout.as_mut().unwrap();
        while !String::from_utf8_lossy(&self.said).contains(text) {
            let mut bytes = [0; 4096];
            let length = out.read(&mut bytes).unwrap();
            assert!(
                length > 0,
                "no {text:?}: {}",
                String::from_utf8_lossy(&self.said)
            );
            self.said.extend_from_slice(&bytes[..length]);
        }
    }

    /// Waits until what lab says has filled the pipe that nobody reads.
    fn until_full(&self) {
        let path = format!("/proc/{}/fd/1", self.lab.id());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        let pipe = rustix::fs::open(path, flags, Mode::empty()).unwrap();
        let now = Timespec::default();
        while poll(&mut [PollFd::new(&pipe, PollFlags::OUT)], Some(&now)) != Ok(0) {
            std::thread::yield_now();
        }
    }

    fn raw(&self) -> bool {
        !tcgetattr(&self.terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ICANON)
    }

    /// Waits for the end; success, and the rest of what it says.
    fn end(mut self) -> (bool, String) {
        let mut out = self.lab.stdout.take().unwrap();
        out.read_to_end(&mut self.said).unwrap();
        let status = self.lab.wait().unwrap();
        assert!(!self.raw(), "the terminal stays raw");
        (
            status.success(),
            String::from_utf8_lossy(&self.said).into_owned(),
        )
    }
}

#[test]
fn keys_reach_the_machine_and_its_end_is_reported() {
    let rootfs = rootfs(INIT);
    let mut session = Session::start(rootfs.path());
    assert!(session.raw());
    session.keyboard.write_all(b"a word\r").unwrap();
    session.read_until("heard a word\r\n");
    session.keyboard.write_all(b"\r").unwrap();
    let (success, said) = session.end();
    assert!(success, "{said}");
    assert!(
        said.contains("sunup in namespaces: powered off\n"),
        "{said}"
    );
}

#[test]
fn ctrl_a_x_pulls_the_plug() {
    let rootfs = rootfs(INIT);
    let mut session = Session::start(rootfs.path());
    session.keyboard.write_all(b"\x01x").unwrap();
    let (success, said) = session.end();
    assert!(success, "{said}");
    assert!(said.contains(": the plug was pulled\n"), "{said}");
}

#[test]
fn a_signal_leaves_no_raw_terminal() {
    let rootfs = rootfs(INIT);
    let session = Session::start(rootfs.path());
    let pid = Pid::from_child(&session.lab);
    kill_process(pid, Signal::TERM).unwrap();
    let (success, _) = session.end();
    assert!(!success);
}

/// Nobody reads what the machine says, which is more than any pipe takes; a signal
/// ends lab, and with it the machine, all the same.
#[test]
fn a_signal_is_heard_while_nobody_reads() {
    let rootfs = rootfs("echo up; while :; do echo more; done\n");
    let mut session = Session::start(rootfs.path());
    let pid = Pid::from_child(&session.lab);
    session.until_full();
    kill_process(pid, Signal::TERM).unwrap();
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let patience = Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience));
    if ended != Ok(1) {
        session.lab.kill().unwrap();
    }
    assert_eq!(ended, Ok(1), "lab goes on");
    assert!(!session.lab.wait().unwrap().success());
}
