//! What happens when the kernel gives no more memory: PID 1 goes on, or starts over,
//! and never ends; a supervisor ends with a word and an exit code.
//!
//! In a build for tests `SUNUP_TEST_MEMORY=SIGNAL=N` has the system refuse every
//! allocation after the Nth that follows the signal.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::common::{Fixture, applet, wait_exit, yield_until};
use super::machine::{Boot, HUP, Machine};

/// So many allocations are still granted: small numbers fail in each place of a turn.
const GRANTED: [u32; 8] = [0, 1, 2, 3, 5, 8, 13, 21];

/// A command that tells that it runs, and waits at a fifo.
const JOB: (&str, &str) = ("job", "#!/bin/sh\necho job $$ >> /events\nread x < /gate\n");

const SHORT: &str = "::sysinit:echo sysinit >> /events\n::respawn:/job\n";

/// As long as an inittab may be: more memory than the reserve has.
fn long_inittab() -> String {
    let entries = (0..254).map(|n| format!("::once:true {n:0900}\n"));
    entries.fold(SHORT.to_owned(), |all, entry| all + &entry)
}

/// From here on the process gets no more address space than this (KiB).
fn limit(pid: Pid, more_kib: u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap();
    let size = status.lines().find_map(|l| l.strip_prefix("VmSize:"));
    let kib: u64 = size
        .unwrap()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .unwrap();
    set_limit(pid, Some((kib + more_kib) * 1024));
}

fn set_limit(pid: Pid, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(pid), Resource::As, limit).unwrap();
}

fn boot<'a>(env: &'a [(&'a str, &'a str)]) -> Machine {
    Machine::boot(&Boot {
        inittab: SHORT,
        files: &[JOB],
        set_up: "mkfifo gate",
        env,
        ..Boot::default()
    })
}

fn until_lives(machine: &Machine, n: usize) {
    machine.until("another life", |events, _| {
        events.iter().filter(|e| e.starts_with("job ")).count() == n
    });
}

/// The job, which is still its child, is followed by another, and the machine ends by TERM.
fn goes_on(machine: &mut Machine, when: &str) {
    machine.open_gate("gate");
    until_lives(machine, 2);
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP), "{when}");
}

/// One signal may take fewer allocations than are granted.
fn signal_until_it_starts_over(machine: &Machine, signal: Signal) {
    let said = "PID 1 is short of memory; it starts over";
    yield_until(|| {
        machine.signal(signal);
        machine.text("console").contains(said).then_some(())
    });
}

/// A file for which there is no memory is as bad as one that cannot be read.
#[test]
fn init_outlives_an_inittab_that_is_too_long_for_the_memory() {
    for more_kib in (0..1536).step_by(128) {
        let mut machine = boot(&[]);
        until_lives(&machine, 1);
        machine.root.add("etc/inittab", &long_inittab());
        limit(machine.pid(), more_kib);
        machine.signal(Signal::HUP);
        machine.until("an answer", |_, console| {
            let answers = ["; nothing is changed", "; it starts over"];
            answers.iter().any(|answer| console.contains(answer)) || more_kib > 1024
        });
        set_limit(machine.pid(), None);
        machine.root.add("etc/inittab", SHORT);
        machine.signal(Signal::HUP);
        goes_on(&mut machine, &more_kib.to_string());
    }
}

/// Wherever it is that there is no memory, PID 1 starts over and loses nothing.
#[test]
fn init_starts_over_whichever_allocation_fails() {
    for granted in GRANTED {
        let when = format!("Hup={granted}");
        let mut machine = boot(&[("SUNUP_TEST_MEMORY", &when)]);
        until_lives(&machine, 1);
        signal_until_it_starts_over(&machine, Signal::HUP);
        goes_on(&mut machine, &when);
        let sysinits = machine.events().into_iter().filter(|e| e == "sysinit");
        assert_eq!(sysinits.count(), 1, "{when}");
    }
}

/// What the reserve has no room for, such as a long file, is not waited for.
#[test]
fn init_starts_over_at_once_for_what_is_large() {
    for granted in [16, 100, 200] {
        let when = format!("Hup={granted}");
        let mut machine = boot(&[("SUNUP_TEST_MEMORY", &when)]);
        until_lives(&machine, 1);
        machine.root.add("etc/inittab", &long_inittab());
        machine.signal(Signal::HUP);
        machine.until_said("bytes were not to be had; it starts over");
        goes_on(&mut machine, &when);
    }
}

#[test]
fn runit_starts_over_whichever_allocation_fails() {
    for granted in GRANTED {
        let when = format!("Cont={granted}");
        let mut machine = Machine::boot(&Boot {
            name: "runit",
            files: &[
                ("etc/runit/1", "#!/bin/sh\necho 1 >> /events\n"),
                (
                    "etc/runit/2",
                    "#!/bin/sh\necho 2 >> /events; exec sleep 1000\n",
                ),
                ("etc/runit/3", "#!/bin/sh\necho 3 >> /events\n"),
            ],
            env: &[("SUNUP_TEST_MEMORY", &when)],
            ..Boot::default()
        });
        machine.until_event("2");
        signal_until_it_starts_over(&machine, Signal::CONT);
        machine.signal(Signal::TERM);
        assert_eq!(machine.end().signal(), Some(HUP), "{when}");
        assert_eq!(machine.events(), ["1", "2", "3"], "{when}");
    }
}

/// Its parent is told by the exit code, whoever reads the line; with no end of
/// supervision does anybody wait for memory.
#[test]
fn a_program_without_memory_ends_with_a_word() {
    let fixture = Fixture::new(&[("sv/a/run", "#!/bin/sh\nexec sleep 1000\n"), ("log/", "")]);
    let programs = [
        ("runsvdir", "sv", 60),
        ("runsv", "sv/a", 30),
        ("svlogd", "log", 4),
    ];
    for (name, operand, last) in programs {
        for (granted, somebody_reads) in [(0, true), (1, true), (last, true), (0, false)] {
            let (mut reader, writer) = std::io::pipe().unwrap();
            if !somebody_reads {
                fill(&writer);
            }
            let mut program = applet(name)
                .arg(fixture.path(operand))
                .env("SUNUP_TEST_MEMORY", granted.to_string())
                .stdin(Stdio::null())
                .stderr(Stdio::from(writer))
                .spawn()
                .unwrap();
            let status = wait_exit(&mut program);
            assert_eq!(status.code(), Some(111), "{name} {granted}: {status}");
            if somebody_reads {
                let mut said = String::new();
                reader.read_to_string(&mut said).unwrap();
                let told = said.contains(": out of memory: ");
                assert!(
                    told && said.ends_with(" bytes were not to be had\n"),
                    "{said}"
                );
            }
        }
    }
}

/// A pipe takes no more.
fn fill(pipe: &std::io::PipeWriter) {
    let flags = rustix::fs::fcntl_getfl(pipe).unwrap();
    rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while rustix::io::write(pipe, &[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(pipe, flags).unwrap();
}
