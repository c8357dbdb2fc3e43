//! The daemon: it reads the kernel's events, and runs one command at a time.
//!
//! It binds the socket before it first looks at all devices, so that it misses none. It
//! makes nodes at once, in the order of events. Commands wait in a queue and run one after
//! another, so that a slow command does not delay nodes. If the kernel dropped events, the
//! daemon looks at all devices again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use model::format::uevent::{DATAGRAM_BYTES_MAX, Uevent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

use crate::devices::Mdev;
use crate::devices::coldplug::{self, Present};
use crate::devices::command::{Command, outcome};
use crate::sys::netlink::{Received, Uevents};
use crate::sys::signal::{self, SignalFd};
use crate::sys::spawn::{self, Pid};

/// How many commands may wait. If there are more, events stay in the socket's buffer.
const COMMANDS_MAX: usize = 1024;

/// How many events are read before the daemon looks at signals again.
const BATCH: usize = 64;

/// Binds the socket, looks at all devices, says so, and serves.
pub fn run(mdev: Mdev, foreground: bool, ready: Option<OwnedFd>) -> u8 {
    let socket = match Uevents::open() {
        Ok(socket) => socket,
        Err(e) => {
            mdev.voice
                .say(format_args!("netlink: listen for device events: {e}"));
            return 1;
        }
    };
    if !mdev.scan() {
        return 1;
    }
    if let Some(ready) = ready {
        // If nobody waits for it, there is nobody to miss it.
        let _heard = rustix::io::write(&ready, b"\n");
    }
    if foreground {
        return Daemon::serve(mdev, socket);
    }
    let voice = mdev.voice;
    match spawn::fork(|| background(mdev, socket)) {
        Ok(_) => 0,
        Err(e) => {
            voice.say(format_args!("fork: {e}"));
            1
        }
    }
}

fn background(mdev: Mdev, socket: Uevents) -> u8 {
    signal::ignore_of_writes();
    let _already_leader = rustix::process::setsid();
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("null");
    if let Ok(null) = null {
        let _kept = rustix::stdio::dup2_stdin(&null);
        let _kept = rustix::stdio::dup2_stdout(&null);
        let _kept = rustix::stdio::dup2_stderr(&null);
    }
    Daemon::serve(mdev, socket)
}

struct Daemon {
    mdev: Mdev,
    socket: Uevents,
    signals: SignalFd,
    /// The running command.
    running: Option<Pid>,
    waiting: VecDeque<Command>,
    /// Events were lost: the devices that the daemon still has to look at.
    rescan: VecDeque<Present>,
    /// Whether the full queue was reported since it was last empty.
    full_said: bool,
}

impl Daemon {
    fn serve(mdev: Mdev, socket: Uevents) -> u8 {
        let wanted = [
            signal::SIGCHLD,
            signal::SIGTERM,
            signal::SIGINT,
            signal::SIGHUP,
        ];
        let signals = match SignalFd::new(&wanted) {
            Ok(signals) => signals,
            Err(e) => {
                mdev.voice.say(format_args!("signalfd: open: {e}"));
                return 1;
            }
        };
        let mut daemon = Self {
            mdev,
            socket,
            signals,
            running: None,
            waiting: VecDeque::new(),
            rescan: VecDeque::new(),
            full_said: false,
        };
        daemon.mdev.voice.detail("listening");
        loop {
            if let Some(code) = daemon.turn() {
                return code;
            }
        }
    }

    /// Waits for an event and handles it. Returns the exit code if the daemon is to end.
    fn turn(&mut self) -> Option<u8> {
        self.wait();
        while let Some(delivered) = self.signals.next() {
            match delivered.signal {
                signal::SIGCHLD => self.reap(),
                signal::SIGHUP => self.mdev.read_rules_again(),
                _ => {
                    self.say_goodbye();
                    return Some(0);
                }
            }
        }
        for _ in 0..BATCH {
            if !self.has_room() {
                break;
            }
            match self.one_event() {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    let voice = self.mdev.voice;
                    voice.say(format_args!(
                        "netlink: receive: {e}; ending, start me again"
                    ));
                    return Some(1);
                }
            }
        }
        None
    }

    fn wait(&self) {
        let room = self.has_room();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if room {
            fds.push(PollFd::new(&self.socket, PollFlags::IN));
        }
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let timeout = (room && !self.rescan.is_empty()).then_some(&now);
        // If a signal interrupted the wait, everything is looked at, too.
        let _ready = poll(&mut fds, timeout);
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < COMMANDS_MAX
    }

    /// Handles one event, or one device of a rescan. False: there is neither.
    fn one_event(&mut self) -> io::Result<bool> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        match self.socket.next(&mut buffer)? {
            Received::Event(bytes) => {
                let datagram = buffer.get(..bytes).unwrap_or_default();
                match Uevent::decode_datagram(datagram) {
                    Ok(event) => self.handle(&event),
                    Err(e) => self.mdev.voice.detail(format_args!("event: read: {e:?}")),
                }
            }
            Received::Unusable => self
                .mdev
                .voice
                .detail("event: not from the kernel; ignored"),
            Received::Lost => self.events_lost(),
            Received::Nothing => return Ok(self.one_present()),
        }
        Ok(true)
    }

    fn one_present(&mut self) -> bool {
        let Some(device) = self.rescan.pop_front() else {
            return false;
        };
        let variables = self.mdev.rules.use_variables();
        if let Some(event) = device.event(variables, self.mdev.voice) {
            self.handle(&event);
        }
        true
    }

    fn handle(&mut self, event: &Uevent) {
        let (waiting, running, voice) = (&mut self.waiting, self.running, self.mdev.voice);
        self.mdev.handle(event, |command| {
            if let Some(pid) = running {
                voice.detail(format_args!("{}: waits for process {pid}", command.text()));
            }
            waiting.push_back(command);
        });
        if !self.has_room() && !self.full_said {
            self.full_said = true;
            self.mdev.voice.say(format_args!(
                "{COMMANDS_MAX} commands wait for process {}; events wait, too",
                self.running.unwrap_or_default()
            ));
        }
        self.start_next();
    }

    fn events_lost(&mut self) {
        if self.rescan.is_empty() {
            self.mdev
                .voice
                .say("events were lost, for the kernel's buffer was full; looking at all devices");
        }
        match coldplug::devices() {
            Ok(devices) => self.rescan = devices.into(),
            Err(e) => self.mdev.voice.say(format_args!("/sys/dev: read: {e}")),
        }
    }

    fn start_next(&mut self) {
        while self.running.is_none() {
            let Some(command) = self.waiting.pop_front() else {
                self.full_said = false;
                return;
            };
            match command.start() {
                Ok(pid) => {
                    self.mdev
                        .voice
                        .detail(format_args!("{}: process {pid}", command.text()));
                    self.running = Some(pid);
                }
                Err(e) => self
                    .mdev
                    .voice
                    .say(format_args!("{}: start: {e}", command.text())),
            }
        }
    }

    /// Reaps every ended child, also those of the program that executed mdev.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let pid = pid.as_raw_nonzero().get();
                    if self.running == Some(pid) {
                        self.running = None;
                        self.mdev
                            .voice
                            .detail(format_args!("process {pid}: {}", outcome(status)));
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.start_next();
    }

    fn say_goodbye(&self) {
        if !self.waiting.is_empty() {
            self.mdev.voice.say(format_args!(
                "told to end; {} commands were not run",
                self.waiting.len()
            ));
        }
    }
}
