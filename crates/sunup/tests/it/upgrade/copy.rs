//! The program of PID 1 was replaced, and nobody has told PID 1 of it: a copy in memory ends
//! the machine.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::super::machine::{Boot, HUP, INT, Machine};

/// The program is a file of the machine, which can be replaced.
const OWN_FILE: &str = "cp sbin/init own; umount sbin/init; mv own sbin/init; touch new;";
const STAGE_1: &str = "#!/bin/sh\necho 1 >> /events\n";
const STAGE_2: &str = "#!/bin/sh\necho up >> /events\nexec sleep 1000\n";
const STAGE_3: &str = "#!/bin/sh\necho 3 >> /events\n";
const GOES_ON: &str = "its program was replaced: a copy in memory does the rest";

fn boot(name: &str, set_up: &str) -> Machine {
    let machine = Machine::boot(&Boot {
        name,
        inittab: "::sysinit:/etc/runit/1\n::respawn:/etc/runit/2\n",
        files: &[
            ("etc/runit/1", STAGE_1),
            ("etc/runit/2", STAGE_2),
            ("etc/runit/3", STAGE_3),
        ],
        set_up: &format!("{OWN_FILE}{set_up}"),
        env: &[("SUNUP_TEST_UNMOUNT", "1")],
        ..Boot::default()
    });
    machine.until_event("up");
    machine
}

fn replace(machine: &Machine) {
    fs::rename(machine.root.path("new"), machine.root.path("sbin/init")).unwrap();
}

/// What PID 1 said at the end; each script has run once.
fn ends(mut machine: Machine, signal: Signal, by: i32) -> Vec<String> {
    machine.signal(signal);
    assert_eq!(machine.end().signal(), Some(by));
    assert_eq!(machine.events(), ["1", "up", "3"]);
    let words = [
        GOES_ON,
        "execute a copy",
        "Requesting",
        "power off",
        "reboot...",
    ];
    machine.said(|line| words.iter().any(|word| line.contains(word)))
}

#[test]
fn a_copy_in_memory_ends_the_machine() {
    let machine = boot("init", "");
    replace(&machine);
    let ending = "\rRequesting system poweroff";
    let said = ends(machine, Signal::USR2, INT);
    assert_eq!(said, [ending, &format!("\r{GOES_ON}"), ending]);

    let machine = boot("runit", "");
    replace(&machine);
    let ending = "\r- runit: system reboot...";
    let said = ends(machine, Signal::TERM, HUP);
    assert_eq!(said, [ending, &format!("\r- runit: {GOES_ON}"), ending]);
}

#[test]
fn a_program_that_is_in_its_place_needs_none() {
    let machine = boot("init", "");
    let said = ends(machine, Signal::USR2, INT);
    assert_eq!(said, ["\rRequesting system poweroff"]);
}

/// No file may become as large as the program.
#[test]
fn without_a_copy_the_machine_ends_as_it_is() {
    let machine = boot("init", "ulimit -f 1000;");
    replace(&machine);
    let said = ends(machine, Signal::USR2, INT);
    let failed =
        "\rexecute a copy: its process was killed; its file system cannot be made read-only";
    assert_eq!(
        said,
        [
            "\rRequesting system poweroff",
            &format!("\r{GOES_ON}"),
            failed
        ]
    );
}
