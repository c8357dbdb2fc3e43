//! runit as PID 1, and runit-init. Each test is a machine of its own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;

use super::common::{Fixture, applet, file_of};
use super::machine::{Boot, HUP, INT, Machine};

const STAGE_1: (&str, &str) = ("etc/runit/1", "#!/bin/sh\necho 1 $# >> /events\n");
/// Tells that it runs and that it was told to end. (What sleeps is there before it
/// is told, and killed by number: a shell's child that has not come to exec yet
/// misses a TERM.)
const STAGE_2: (&str, &str) = (
    "etc/runit/2",
    "#!/bin/sh\ntrap 'kill -9 $!; echo 2 TERM >> /events; exit 0' TERM\n\
     sleep 1000 &\necho 2 up >> /events\nwhile :; do wait; done\n",
);
const STAGE_3: (&str, &str) = ("etc/runit/3", "#!/bin/sh\necho 3 >> /events\n");
/// Debian's runit has these in /run.
const LINKS: [(&str, &str); 3] = [
    ("run/", ""),
    ("etc/runit/stopit -> ../../run/runit.stopit", ""),
    ("etc/runit/reboot -> ../../run/runit.reboot", ""),
];

fn boot(files: &[(&str, &str)]) -> Machine {
    boot_as(
        &Boot {
            name: "runit",
            ..Boot::default()
        },
        files,
    )
}

/// With the three stages, and `files` that may replace them.
fn boot_as(boot: &Boot, files: &[(&str, &str)]) -> Machine {
    let mut all = vec![STAGE_1, STAGE_2, STAGE_3];
    all.retain(|(name, _)| !files.iter().any(|(n, _)| n == name));
    all.extend(files.iter().filter(|(_, content)| *content != "none"));
    Machine::boot(&Boot {
        files: &all,
        ..*boot
    })
}

/// A machine that any runit can boot: what it writes to is not in /etc.
fn boot_debian(files: &[(&str, &str)]) -> Machine {
    let files: Vec<(&str, &str)> = LINKS.iter().chain(files).copied().collect();
    boot(&files)
}

/// The machine has runit-init as another name of its runit: where that is another
/// program, what asks by runit-init cannot be tested.
fn by_runit_init() {
    drop(file_of("runit-init"));
}

fn set_mode(machine: &Machine, name: &str, mode: u32) {
    let path = machine.root.path(name);
    if !path.exists() {
        std::fs::write(&path, "").unwrap();
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn three_stages_and_the_files_say_how_it_ends() {
    for (reboot, end) in [(0o100, HUP), (0, INT)] {
        let mut machine = boot_debian(&[]);
        machine.until_event("2 up");
        set_mode(&machine, "run/runit.reboot", reboot);
        set_mode(&machine, "run/runit.stopit", 0o100);
        let status = machine.signal_until_end(Signal::CONT);
        assert_eq!(status.signal(), Some(end));
        assert_eq!(machine.events(), ["1 0", "2 up", "2 TERM", "3"]);
        let stopit = machine.root.path("run/runit.stopit").metadata().unwrap();
        assert_eq!(stopit.mode() & 0o777, 0);
    }
}

/// Tools tell runit from other programs by this name.
#[test]
fn pid_1_is_called_runit() {
    is_called_runit("");
}

/// Debian's /sbin/init leads to runit-init, which executes runit.
#[test]
fn pid_1_is_called_runit_behind_another_name() {
    by_runit_init();
    is_called_runit("exec chroot . /init");
}

fn is_called_runit(set_up: &str) {
    let comm = "#!/bin/sh\ncat /proc/1/comm >> /events\n";
    let machine = boot_as(
        &Boot {
            name: "runit",
            set_up,
            ..Boot::default()
        },
        &[("etc/runit/1", comm), ("init -> sbin/runit-init", "")],
    );
    machine.until("a name", |events, _| !events.is_empty());
    assert_eq!(machine.events()[0], "runit");
}

#[test]
fn a_stage_that_ends_brings_the_next() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("etc/runit/1", "exit 100", &["here", "3"]),
        ("etc/runit/1", "exit 1", &["here", "2 up", "2 TERM", "3"]),
        ("etc/runit/2", "exit 0", &["1 0", "here", "3"]),
        ("etc/runit/2", "exit 100", &["1 0", "here", "3"]),
        (
            "etc/runit/3",
            "exit 111",
            &["1 0", "2 up", "2 TERM", "here"],
        ),
    ];
    for (name, end, events) in cases {
        let script = format!("#!/bin/sh\necho here >> /events\n{end}\n");
        let mut machine = boot_debian(&[(name, &script)]);
        let status = if events.contains(&"2 up") {
            machine.until_event("2 up");
            set_mode(&machine, "run/runit.stopit", 0o100);
            machine.signal_until_end(Signal::CONT)
        } else {
            machine.end()
        };
        assert_eq!(status.signal(), Some(INT), "{name} {end}");
        assert_eq!(machine.events(), events, "{name} {end}");
    }
}

#[test]
fn a_stage_that_a_signal_kills_has_crashed() {
    // runit's page says so, but runit takes it for a good end.
    let killed = "#!/bin/sh\necho here >> /events\nkill -9 $$\n";
    let mut machine = boot(&[("etc/runit/1", killed)]);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["here", "3"]);
    machine.until_said("stage 1 was killed by signal 9: skipping stage 2...");
    let mut machine = boot(&[("etc/runit/2", killed)]);
    machine.until("third life", |events, _| events.len() == 3);
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["1 0", "here", "here", "3"]);
}

#[test]
fn a_stage_that_is_not_there_is_skipped() {
    for (name, events) in [
        ("etc/runit/2", &["1 0", "3"][..]),
        ("etc/runit/3", &["1 0", "2 up", "2 TERM"]),
    ] {
        let mut machine = boot_debian(&[(name, "none")]);
        let status = if events.contains(&"2 up") {
            machine.until_event("2 up");
            set_mode(&machine, "run/runit.stopit", 0o100);
            machine.signal_until_end(Signal::CONT)
        } else {
            machine.end()
        };
        assert_eq!(status.signal(), Some(INT), "{name}");
        let mut seen = machine.events();
        seen.dedup();
        assert_eq!(seen, events);
    }
}

#[test]
fn stage_2_that_crashes_starts_again() {
    let script = "#!/bin/sh\n\
        if [ -e /again ]; then echo again >> /events; exit 0; fi\n\
        : > /again; echo first >> /events; exit 111\n";
    let mut machine = boot_debian(&[("etc/runit/2", script), ("etc/runit/1", "#!/bin/sh\n")]);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["first", "again", "3"]);
}

#[test]
fn ctrl_alt_del_runs_its_file_and_counts_as_cont() {
    let script = "#!/bin/sh\necho three fingers >> /events\nchmod 100 /etc/runit/stopit\n";
    let mut machine = boot_debian(&[("etc/runit/ctrlaltdel", script), ("run/runit.stopit", "")]);
    machine.until_event("2 up");
    let status = machine.signal_until_end(Signal::INT);
    assert_eq!(status.signal(), Some(INT));
    let events = ["1 0", "2 up", "three fingers", "2 TERM", "3"];
    let mut seen = machine.events();
    seen.dedup();
    assert_eq!(seen, events);
}

#[test]
fn cont_without_the_file_and_ctrl_alt_del_without_one_change_nothing() {
    let mut machine = boot(&[
        ("etc/runit/ctrlaltdel", "echo no >> /events"),
        ("etc/runit/stopit", ""),
    ]);
    machine.until_event("2 up");
    machine.signal(Signal::INT);
    machine.until_said("ctrl-alt-del request...");
    machine.signal(Signal::CONT);
    machine.signal(Signal::USR1);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["1 0", "2 up", "2 TERM", "3"]);
}

#[test]
fn the_signals_of_busybox_say_how_it_ends() {
    for (signal, end, word) in [
        (Signal::USR1, INT, "system halt..."),
        (Signal::USR2, INT, "power off..."),
        (Signal::TERM, HUP, "system reboot..."),
    ] {
        let look = "#!/bin/sh\necho $(stat -c %a /etc/runit/reboot) >> /events\n";
        let mut machine = boot(&[("etc/runit/3", look), ("etc/runit/reboot", "")]);
        machine.until_event("2 up");
        machine.signal(signal);
        assert_eq!(machine.end().signal(), Some(end));
        let mode = if end == HUP { "100" } else { "0" };
        assert_eq!(machine.events(), ["1 0", "2 up", "2 TERM", mode]);
        let said = machine.said(|line| line.contains("- runit: "));
        let expected = [
            "\r- runit: enter stage: /etc/runit/1",
            "\r- runit: leave stage: /etc/runit/1",
            "\r- runit: enter stage: /etc/runit/2",
            "\r- runit: sending TERM to /etc/runit/2...",
            "\r- runit: leave stage: /etc/runit/2",
            "\r- runit: enter stage: /etc/runit/3",
            "\r- runit: leave stage: /etc/runit/3",
            "\r- runit: sending TERM signal to all processes...",
            "\r- runit: sending KILL signal to all processes...",
        ];
        assert_eq!(said[..expected.len()], expected);
        assert_eq!(said[expected.len()..], [format!("\r- runit: {word}")]);
    }
}

#[test]
fn a_power_failure_powers_the_machine_off_whatever_the_file_says() {
    let mut machine = boot_debian(&[]);
    machine.until_event("2 up");
    set_mode(&machine, "run/runit.reboot", 0o100);
    machine.signal(Signal::POWER);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["1 0", "2 up", "2 TERM", "3"]);
}

#[test]
fn a_hung_boot_can_be_rebooted() {
    let hangs = "#!/bin/sh\necho hangs >> /events\nexec sleep 1000\n";
    let mut machine = boot(&[("etc/runit/1", hangs)]);
    machine.until_event("hangs");
    machine.signal(Signal::INT);
    machine.until_said("signals only work in stage 2.");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert_eq!(machine.events(), ["hangs", "3"]);
}

#[test]
fn stage_2_that_does_not_end_is_killed() {
    let deaf = "#!/bin/sh\ntrap '' TERM\necho 2 up >> /events\nwhile :; do sleep 1000; done\n";
    let mut machine = boot_debian(&[("etc/runit/2", deaf)]);
    machine.until_event("2 up");
    set_mode(&machine, "run/runit.stopit", 0o100);
    let status = machine.signal_until_end(Signal::CONT);
    assert_eq!(status.signal(), Some(INT));
    assert_eq!(machine.events(), ["1 0", "2 up", "3"]);
}

#[test]
fn who_is_left_after_stage_3_gets_term_and_time() {
    let slow = "#!/bin/sh\ntrap 'kill -9 $!; sleep 1; echo left TERM >> /events; exit' TERM\n\
                sleep 1000 &\necho left up >> /events\nwhile :; do wait; done\n";
    let mut files = LINKS.to_vec();
    files.extend([
        ("left", slow),
        ("etc/runit/1", "#!/bin/sh\nsetsid /left &\n"),
    ]);
    let mut machine = boot_as(
        &Boot {
            name: "runit",
            env: &[("SUNUP_GRACE", "3000")],
            ..Boot::default()
        },
        &files,
    );
    machine.until("both", |events, _| events.len() == 2);
    set_mode(&machine, "run/runit.stopit", 0o100);
    machine.signal(Signal::CONT);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events()[2..], ["2 TERM", "3", "left TERM"]);
}

#[test]
fn init_0_and_init_6_ask_in_etc_runit() {
    by_runit_init();
    for (request, end, reboot) in [("0", INT, 0), ("6", HUP, 0o100)] {
        let files = format!("#!/bin/sh\nset -e\nrunit-init {request}\nsleep 1000 & wait\n");
        let mut machine = boot(&[("etc/runit/2", &files), ("etc/runit/reboot", "")]);
        assert_eq!(machine.end().signal(), Some(end));
        assert_eq!(machine.events(), ["1 0", "3"]);
        let mode = |name| machine.root.path(name).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode("etc/runit/reboot"), reboot);
        assert_eq!(mode("etc/runit/stopit"), 0);
    }
}

#[test]
fn the_files_may_be_links_to_what_is_not_there_yet() {
    by_runit_init();
    for mut machine in [
        boot(&[
            LINKS[0],
            LINKS[1],
            LINKS[2],
            (
                "etc/runit/2",
                "#!/bin/sh\nrunit-init 6\nsleep 1000 & wait\n",
            ),
        ]),
        boot_as(
            &Boot {
                name: "runit",
                set_up: "mount --bind etc etc; mount -o remount,bind,ro etc",
                ..Boot::default()
            },
            &[
                LINKS[0],
                (
                    "etc/runit/2",
                    "#!/bin/sh\nrunit-init 6\nsleep 1000 & wait\n",
                ),
            ],
        ),
    ] {
        assert_eq!(machine.end().signal(), Some(HUP));
        assert_eq!(machine.events(), ["1 0", "3"]);
        let mode = |name| machine.root.path(name).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode("run/runit.reboot"), 0o100);
        assert_eq!(mode("run/runit.stopit"), 0);
    }
}

#[test]
fn stage_3_may_unmount_the_file() {
    let mut machine = boot(&[
        LINKS[0],
        LINKS[2],
        ("run/runit.reboot", "#!"),
        ("etc/runit/2", "#!/bin/sh\n"),
        ("etc/runit/3", "#!/bin/sh\nrm -r /run\n"),
    ]);
    assert_eq!(machine.end().signal(), Some(HUP));
}

#[test]
fn runit_init_as_pid_1_is_runit() {
    by_runit_init();
    // Also by the name of init, when that is a link to runit-init.
    for set_up in [
        "exec chroot . /sbin/runit-init one two",
        "exec chroot . /init one two",
    ] {
        let mut machine = boot_as(
            &Boot {
                set_up,
                ..Boot::default()
            },
            &[("init -> sbin/runit-init", "")],
        );
        machine.until_event("2 up");
        assert_eq!(machine.events(), ["1 2", "2 up"]);
        machine.signal(Signal::USR2);
        assert_eq!(machine.end().signal(), Some(INT));
    }
}

#[test]
fn a_container_without_the_right_to_reboot_exits() {
    let mut machine = boot_as(
        &Boot {
            name: "runit",
            set_up: "exec setpriv --bounding-set -sys_boot --inh-caps -sys_boot chroot . /sbin/runit",
            ..Boot::default()
        },
        &[],
    );
    machine.until_event("2 up");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().code(), Some(0));
    machine.until_said("power off: refused: Operation not permitted");
    machine.until_said("system halt: refused: Operation not permitted");
}

#[test]
fn runit_that_fails_starts_over_and_takes_over() {
    let mut machine = boot_as(
        &Boot {
            name: "runit",
            env: &[("SUNUP_TEST_PANIC", "Cont")],
            ..Boot::default()
        },
        &[],
    );
    machine.until_event("2 up");
    machine.signal(Signal::CONT);
    machine.until_said("as the test wants; it starts over");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert_eq!(machine.events(), ["1 0", "2 up", "2 TERM", "3"]);
}

/// Stage 2 goes on under the new program, which ends the machine as it should.
#[test]
fn runit_goes_on_in_a_new_program() {
    by_runit_init();
    let ask = "#!/bin/sh
        echo 2 up >> /events
        trap 'echo 2 TERM >> /events; exit' TERM
        /sbin/runit-init u; echo told $? >> /events
        while ! tr '\\0' '\\n' </proc/1/environ | grep -q '^SUNUP_INIT_HANDOVER=2 '; do sleep 0.05; done
        echo anew >> /events
        while :; do sleep 0.05; done\n";
    let mut machine = boot(&[STAGE_1, ("etc/runit/2", ask), STAGE_3]);
    machine.until_event("anew");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    let events = machine.events();
    assert_eq!(events, ["1 0", "2 up", "told 0", "anew", "2 TERM", "3"]);
}

// Without being PID 1. None of these reaches the point where PID 1 is signalled.

fn run(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = applet(name).args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

#[test]
fn mistakes_of_the_caller_are_named() {
    let told = (Some(111), "runit: must be run as process no 1\n".to_owned());
    assert_eq!(run("runit", &[]), told);
    let told = (Some(0), "runit-init: usage: runit-init 0|6|u\n".to_owned());
    assert_eq!(run("runit-init", &[]), told);
    assert_eq!(run("runit-init", &["3"]), told);
}

#[test]
fn init_that_is_a_link_to_runit_init_is_runit_init() {
    let fixture = Fixture::new(&[("sbin/init -> runit-init", "")]);
    let runit_init = fixture.applet("runit-init");
    std::os::unix::fs::symlink(runit_init, fixture.path("sbin/runit-init")).unwrap();
    let output = Command::new(fixture.path("sbin/init")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.starts_with(b"runit-init: usage: "));
}

#[test]
fn who_may_not_ask_is_told() {
    by_runit_init();
    let machine = boot_as(
        &Boot {
            name: "runit",
            set_up: "mount --bind etc etc; mount -o remount,bind,ro etc",
            ..Boot::default()
        },
        &[
            // Without a /run there is no other place.
            (
                "etc/runit/2",
                "#!/bin/sh\nrunit-init 0 2>> /console; echo $? >> /events\nsleep 1000 & wait\n",
            ),
        ],
    );
    machine.until_event("111");
    machine.until_said("runit-init: /etc/runit/stopit: make executable: Read-only file system");
}
