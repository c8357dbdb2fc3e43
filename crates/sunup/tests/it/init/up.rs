//! A machine that is up: signals that do not end it, orphans, a failure of init itself, and
//! a new program.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::super::machine::{Boot, INT, Machine};
use super::{MAKE_GATE, job};

#[test]
fn stop_continue_and_reload() {
    let machine = Machine::boot(&Boot {
        inittab: "::respawn:/a\n::ctrlaltdel:echo three fingers >> /events\n",
        files: &[("a", &job("a")), ("b", &job("b"))],
        set_up: MAKE_GATE,
        ..Boot::default()
    });
    let lives = |name: &'static str, n| {
        move |events: &[String], _: &str| events.iter().filter(|e| e.starts_with(name)).count() == n
    };
    machine.until("a", lives("a ", 1));
    machine.signal(Signal::TSTP);
    machine.open_gate("gate-a");
    machine.until_said("Scheduling for restart.");
    machine.signal(Signal::INT);
    machine.until_event("three fingers");
    assert!(lives("a ", 1)(&machine.events(), ""));
    machine.signal(Signal::CONT);
    machine.until("a again", lives("a ", 2));
    machine.root.add(
        "etc/inittab",
        "::respawn:/b\n::sysinit:echo no >> /events\n",
    );
    machine.signal(Signal::HUP);
    machine.until_said("reloading /etc/inittab");
    machine.until("b", lives("b ", 1));
    machine.open_gate("gate-a");
    machine.open_gate("gate-b");
    machine.until("b again", lives("b ", 2));
    assert!(lives("a ", 2)(&machine.events(), ""));
    assert!(!machine.events().contains(&"no".to_owned()));
}

#[test]
fn orphans_are_reaped() {
    let machine = Machine::boot(&Boot {
        inittab: "::once:/orphans\n",
        files: &[(
            "orphans",
            "#!/bin/sh\ni=0\nwhile [ $i -lt 500 ]; do (true &); i=$((i+1)); done\n\
             while grep -qs '^State:.Z' /proc/[0-9]*/status; do sleep 0.1; done\n\
             echo reaped >> /events\n",
        )],
        ..Boot::default()
    });
    machine.until_event("reaped");
}

#[test]
fn init_that_fails_starts_over_and_takes_over() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::sysinit:echo sysinit >> /events\n::respawn:/a\n",
        files: &[("a", &job("a"))],
        set_up: MAKE_GATE,
        env: &[("SUNUP_TEST_PANIC", "Hup")],
        ..Boot::default()
    });
    machine.until("a", |events, _| events.len() == 2);
    machine.signal(Signal::HUP);
    machine.until_said("as the test wants; it starts over");
    machine.open_gate("gate-a");
    machine.until("second life", |events, _| events.len() == 3);
    assert!(machine.events()[2].starts_with("a "));
    // A second failure just after the first: a shell is left, and it runs.
    machine.signal(Signal::HUP);
    machine.until_said("only a rescue shell is left");
    assert!(machine.unshare.try_wait().unwrap().is_none());
}

/// `init u`: the program is executed anew, and what ran goes on. (What it was
/// told is in the environment that the new program was started with.)
const UPGRADE: &str = "#!/bin/sh
    read x < /gate-b
    /sbin/init u; echo told $? >> /events
    while ! tr '\\0' '\\n' </proc/1/environ | grep -q '^SUNUP_INIT_HANDOVER='; do sleep 0.05; done
    echo anew >> /events\n";

#[test]
fn pid_1_goes_on_in_a_new_program() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::sysinit:echo sysinit >> /events\n::respawn:/a\n::once:/upgrade\n",
        files: &[("a", &job("a")), ("upgrade", UPGRADE)],
        set_up: MAKE_GATE,
        ..Boot::default()
    });
    machine.until("a", |events, _| events.len() == 2);
    let first = machine.events()[1].clone();
    machine.open_gate("gate-b");
    machine.until_event("anew");
    machine.until_said("goes on as /sbin/init");
    assert_eq!(machine.events()[..3], ["sysinit", &first, "told 0"]);
    // The process is still its child: its end is seen, and it is followed by another.
    machine.open_gate("gate-a");
    machine.until("second life", |events, _| events.len() == 5);
    assert!(machine.events()[4].starts_with("a "));
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
}

/// The new program cannot read the inittab, and goes on with what it was told: nothing
/// else is started, and what ends is started again.
#[test]
fn a_new_program_without_an_inittab_goes_on_as_before() {
    let upgrade = UPGRADE.replace("/sbin/init u", "mv /etc/inittab /kept; /sbin/init u");
    let mut machine = Machine::boot(&Boot {
        inittab: "::sysinit:echo sysinit >> /events\n::respawn:/a\n::once:/upgrade\n",
        files: &[("a", &job("a")), ("upgrade", &upgrade)],
        set_up: MAKE_GATE,
        ..Boot::default()
    });
    machine.until("a", |events, _| events.len() == 2);
    machine.open_gate("gate-b");
    machine.until_event("anew");
    machine.until_said("; the 3 entries of before are used");
    machine.open_gate("gate-a");
    machine.until("second life", |events, _| events.len() == 5);
    assert!(machine.events()[4].starts_with("a "));
    // A readable one says otherwise.
    let inittab = machine.root.path("etc/inittab");
    std::fs::write(&inittab, "::respawn:echo other >> /events; sleep 1000\n").unwrap();
    machine.signal(Signal::HUP);
    machine.until_event("other");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
}

/// While the boot is under way there is more to do than a successor would know.
#[test]
fn no_new_program_before_the_boot_is_over() {
    let machine = Machine::boot(&Boot {
        inittab: "::sysinit:/a\n::sysinit:/ask\n::once:echo up >> /events\n",
        files: &[
            ("a", &job("a")),
            (
                "ask",
                // The boot is not over before it is answered.
                "#!/bin/sh\n/sbin/init u; echo told $? >> /events\n\
                 until grep -q 'no new program' /console; do sleep 0.1; done\n",
            ),
        ],
        set_up: MAKE_GATE,
        ..Boot::default()
    });
    machine.until("a", |events, _| events.len() == 1);
    machine.open_gate("gate-a");
    machine.until_event("up");
    machine.until_said("no new program is executed before the boot is over");
    assert_eq!(machine.events()[1..], ["told 0", "up"]);
}
