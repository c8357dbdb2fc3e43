//! A supervisor is killed under our PID 1: its successor tells `finish` how the
//! service ended, whoever saw it.
//!
//! Newer kernels tell it, too. So that PID 1's word is what is tested, the
//! supervisors run under a seccomp filter that denies them `PIDFD_GET_INFO`,
//! unless a test says otherwise.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::common::{ends, kill, read_status, running, wait_for, yield_until};
use super::machine::{Boot, Machine};

const PID_1: [&str; 3] = ["init", "runit", "runsvdir"];

/// Starts a supervisor when the fifo is opened.
const BOSS: &str = "#!/bin/sh\nread -r go </start\nexec /deny /sbin/runsvdir /sv\n";
const RUN: &str = "#!/bin/sh\necho run >>/events\nread -r go </gate\nexit 7\n";
const FINISH: &str = "#!/bin/sh\necho finish $1 $2 >>/events\n";
const FREE: &str = "#!/bin/sh\nexec \"$@\"\n";

/// `mount` makes the place for the file.
const MEMORY: &str = "mkfifo start gate; mount -t tmpfs -o mode=755 tmpfs run";
const NOWHERE: &str = "mkfifo start gate";

/// ioctl(2) with the request `PIDFD_GET_INFO` of any size fails with `EUCLEAN`,
/// which it never does by itself; other system calls are as always.
fn deny() -> String {
    let (prctl, ioctl) = (libc::SYS_prctl, libc::SYS_ioctl);
    let request = libc::PIDFD_GET_INFO & 0xffff;
    let (answer, denied) = (libc::EUCLEAN, libc::SECCOMP_RET_ERRNO);
    let (no_new, filter) = (libc::PR_SET_NO_NEW_PRIVS, libc::PR_SET_SECCOMP);
    // BPF: load, compare, mask and return, as in seccomp(2).
    format!(
        "#!/usr/bin/perl
        my @code = ([0x20, 0, 0, 0], [0x15, 0, 4, {ioctl}], [0x20, 0, 0, 24],
            [0x54, 0, 0, 0xffff], [0x15, 0, 1, {request}], [6, 0, 0, {denied} | {answer}], [6, 0, 0, 0x7fff0000]);
        my $code = join '', map {{ pack 'SCCL', @$_ }} @code;
        my $filter = pack 'Sx![Q]P', scalar @code, $code;
        syscall({prctl}, {no_new}, 1, 0, 0, 0) == 0 or die \"prctl: $!\";
        syscall({prctl}, {filter}, 2, $filter) == 0 or die \"seccomp: $!\";
        syscall({ioctl}, 0, {request}, 0) == -1 && $! == {answer} or die \"not denied: $!\";
        exec @ARGV or die \"exec: $!\";\n"
    )
}

/// A machine with one service, whose supervisor is started by hand.
struct Supervised {
    machine: Machine,
}

impl Supervised {
    fn boot(name: &str, set_up: &str, deny: &str) -> Self {
        let machine = Machine::boot(&Boot {
            name,
            args: if name == "runsvdir" { "/scan" } else { "" },
            inittab: "::respawn:/boss\n",
            set_up,
            files: &[
                ("run/", ""),
                ("sbin/runsvdir -> init", ""),
                ("deny", deny),
                ("boss", BOSS),
                ("scan/boss/run", BOSS),
                ("etc/runit/1", "#!/bin/sh\n"),
                ("etc/runit/2", "#!/bin/sh\nwhile :; do /boss; done\n"),
                ("sv/one/run", RUN),
                ("sv/one/finish", FINISH),
            ],
            ..Boot::default()
        });
        let new = Self { machine };
        new.start();
        new.machine.until_event("run");
        new
    }

    fn start(&self) {
        // set_up makes it before anything reads it.
        let start = self.machine.root.path("start");
        wait_for("start", &[&self.machine.root.path(".")], || {
            start.exists().then_some(())
        });
        self.machine.open_gate("start");
    }

    fn home(&self) -> PathBuf {
        self.machine.root.path("sv/one")
    }

    /// The process by that name below PID 1, as the host numbers it.
    fn process(&self, name: &str) -> u32 {
        let init = children(self.machine.unshare.id());
        yield_until(|| {
            let mut below: Vec<u32> = init.iter().flat_map(|pid| children(*pid)).collect();
            while let Some(pid) = below.pop() {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if comm.trim_end() == name {
                    return Some(pid);
                }
                below.extend(children(pid));
            }
            None
        })
    }

    /// Kills the supervisor; the result is the service's process.
    fn orphan(&self) -> u32 {
        wait_for("status", &[&self.home().join("supervise")], || {
            read_status(&self.home()).filter(running)
        });
        let service = self.process("run");
        let boss = self.process("runsvdir");
        kill(boss, Signal::KILL);
        until_reaped(boss);
        service
    }

    /// Starts a successor, which has taken the service over when this returns.
    fn succeed(&self) {
        self.start();
        let control = self.home().join("supervise/control");
        let supervise = self.home().join("supervise");
        for (command, paused) in [("p", true), ("c", false)] {
            yield_until(|| {
                let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
                let fifo = rustix::fs::open(&control, flags, rustix::fs::Mode::empty()).ok()?;
                rustix::io::write(fifo, command.as_bytes()).ok()
            });
            wait_for("paused", &[&supervise], || {
                read_status(&self.home()).filter(|s| running(s) && s.paused == paused)
            });
        }
    }

    fn finished(&self, with: &str) {
        self.machine.until(with, |events, _| {
            events.iter().filter(|e| e.starts_with("finish")).count() == 1
        });
        self.machine.until_event(&format!("finish {with}"));
    }
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// The end of a zombie is an event for its parent alone.
fn until_reaped(pid: u32) {
    assert!(ends(pid));
    yield_until(|| (!PathBuf::from(format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn a_service_that_the_successor_watches() {
    for pid_1 in PID_1 {
        for deny in [deny(), FREE.to_owned()] {
            let by_code = Supervised::boot(pid_1, MEMORY, &deny);
            by_code.orphan();
            by_code.succeed();
            by_code.machine.open_gate("gate");
            by_code.finished("7 0");

            let by_signal = Supervised::boot(pid_1, MEMORY, &deny);
            let service = by_signal.orphan();
            by_signal.succeed();
            kill(service, Signal::USR1);
            by_signal.finished("-1 10");
        }
    }
}

/// Nobody watches, so only PID 1 can tell, whatever the kernel.
#[test]
fn a_service_that_ends_while_no_supervisor_lives() {
    for pid_1 in PID_1 {
        let by_code = Supervised::boot(pid_1, MEMORY, FREE);
        let service = by_code.orphan();
        by_code.machine.open_gate("gate");
        until_reaped(service);
        by_code.start();
        by_code.finished("7 0");

        let by_signal = Supervised::boot(pid_1, MEMORY, FREE);
        let service = by_signal.orphan();
        kill(service, Signal::USR1);
        until_reaped(service);
        by_signal.start();
        by_signal.finished("-1 10");
    }
}

/// Without PID 1's word the kernel is asked, once it knows: after the process was
/// reaped, which is later than the descriptor tells of the end.
#[test]
fn the_kernel_tells_where_it_can() {
    let uname = rustix::system::uname();
    let release = uname.release().to_str().unwrap();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap());
    let can = (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 15);
    let machine = Supervised::boot("init", NOWHERE, FREE);
    machine.orphan();
    machine.succeed();
    machine.machine.open_gate("gate");
    machine.finished(if can { "7 0" } else { "-1 0" });
}

/// PID 1 is held up, so the process is not reaped. The service waits for a word
/// of it, but not for ever.
#[test]
fn who_does_not_reap_is_not_waited_for() {
    let machine = Supervised::boot("init", MEMORY, FREE);
    let service = machine.orphan();
    // The next supervisor's shell waits already.
    machine.process("boss");
    let [init] = children(machine.machine.unshare.id())[..] else {
        panic!("PID 1 has no siblings");
    };
    kill(init, Signal::STOP);
    kill(service, Signal::USR1);
    machine.start();
    machine.finished("-1 0");
    kill(init, Signal::CONT);
    until_reaped(service);
}

/// Without a file that can be trusted the end is unknown; it is noticed all the
/// same, and PID 1 reaps on.
#[test]
fn without_a_word_the_end_is_unknown() {
    let deny = deny();
    let dir = format!("{MEMORY}; mkdir run/sunup; ");
    let others = [
        "mkdir run/sunup/exits",
        "mkfifo run/sunup/exits",
        "echo kept >kept; ln -s /kept run/sunup/exits",
        "ln -s exits run/sunup/exits",
        "touch run/sunup/exits; chmod 666 run/sunup/exits",
    ];
    let others = others.map(|put| format!("{dir}{put}"));
    let file = format!("{MEMORY}; touch run/sunup");
    for set_up in [&[NOWHERE.to_owned(), file][..], &others].concat() {
        for missed in [false, true] {
            // Its stage starts the next supervisor at once; init waits a second.
            let machine = Supervised::boot("runit", &set_up, &deny);
            let service = machine.orphan();
            if !missed {
                machine.succeed();
            }
            kill(service, Signal::USR1);
            until_reaped(service);
            if missed {
                machine.start();
            }
            machine.finished("-1 0");
            if set_up.contains("kept") {
                assert_eq!(machine.machine.text("kept"), "kept\n");
            }
        }
    }
}
