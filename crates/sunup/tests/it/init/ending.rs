//! How the machine ends: by signals, and by halt, poweroff and reboot.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::super::common::applet;
use super::super::machine::{Boot, HUP, INT, Machine};
use super::console::terminal;

fn is_last_word(line: &str) -> bool {
    ["The system", "Sent SIG", "Requesting"]
        .iter()
        .any(|w| line.contains(w))
}

fn last_words(fate: &str) -> Vec<String> {
    vec![
        "\rThe system is going down NOW!".to_owned(),
        "\rSent SIGTERM to all processes".to_owned(),
        "\rSent SIGKILL to all processes".to_owned(),
        format!("\rRequesting system {fate}"),
    ]
}

#[test]
fn each_signal_ends_the_machine_its_way() {
    let cases = [
        (Signal::USR1, "halt", INT),
        (Signal::POWER, "halt", INT),
        (Signal::USR2, "poweroff", INT),
        (Signal::TERM, "reboot", HUP),
    ];
    for (signal, fate, end) in cases {
        let mut machine = Machine::boot(&Boot {
            inittab: "::sysinit:echo up >> /events\n\
                          ::once:sleep 1000\n\
                          ::respawn:sleep 1000\n\
                          ::shutdown:echo down 1 >> /events\n\
                          ::wait:echo ready >> /events\n\
                          ::shutdown:echo down 2 >> /events\n",
            ..Boot::default()
        });
        machine.until_event("ready");
        machine.signal(signal);
        assert_eq!(machine.end().signal(), Some(end), "{fate}");
        assert_eq!(machine.events(), ["up", "ready", "down 1", "down 2"]);
        assert_eq!(machine.said(is_last_word), last_words(fate));
    }
}

#[test]
fn stage_3_comes_before_the_shutdown_entries() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::shutdown:echo entry >> /events\n::wait:echo up >> /events",
        files: &[("etc/runit/3", "#!/bin/sh\necho stage 3 >> /events\n")],
        ..Boot::default()
    });
    machine.until_event("up");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events(), ["up", "stage 3", "entry"]);
}

#[test]
fn a_hung_sysinit_can_be_rebooted() {
    let mut machine = Machine::with(
        "::sysinit:echo hangs >> /events; exec sleep 1000\n\
         ::sysinit:sh -c 'echo hangs >> /events; exec sleep 1000'\n\
         ::ctrlaltdel:echo three fingers >> /events\n",
    );
    machine.until_event("hangs");
    machine.signal(Signal::INT);
    machine.until_event("three fingers");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert_eq!(machine.said(is_last_word), last_words("reboot"));
}

#[test]
fn the_grace_is_for_those_who_need_it() {
    // It is never waited out: the machine ends with its last process. (What sleeps is there before
    // TERM is sent to all, and killed by number: a process that is just starting would miss it.)
    let mut machine = Machine::boot(&Boot {
        inittab: "::respawn:/slow\n",
        files: &[(
            "slow",
            "#!/bin/sh\ntrap 'kill -9 $!; echo TERM >> /events; sleep 4; echo done >> /events; exit' TERM\n\
             sleep 1000 &\necho up >> /events\nwhile :; do wait; done\n",
        )],
        env: &[("SUNUP_GRACE", "3000")],
        ..Boot::default()
    });
    machine.until_event("up");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert_eq!(machine.events(), ["up", "TERM", "done"]);
}

#[test]
fn who_ignores_term_is_killed() {
    let mut machine = Machine::with(
        "::once:sh -c \"trap '' TERM; echo up >> /events; while :; do sleep 1000; done\"\n",
    );
    machine.until_event("up");
    machine.signal(Signal::TERM);
    assert_eq!(machine.end().signal(), Some(HUP));
    assert_eq!(machine.said(is_last_word), last_words("reboot"));
}

/// An interactive shell takes no notice of TERM, but ends when its terminal hangs up.
#[test]
fn the_grace_is_not_for_shells_on_a_terminal() {
    let (_master, _slave, name) = terminal();
    let mut machine = Machine::boot(&Boot {
        inittab: "tty7::respawn:/shell\n",
        files: &[
            ("dev/tty7", ""),
            (
                "shell",
                "#!/bin/sh\ntrap '' TERM\necho up >> /events\nexec sleep 1000\n",
            ),
        ],
        set_up: &format!("mount --bind {name} dev/tty7"),
        env: &[("SUNUP_GRACE", "3000")],
        ..Boot::default()
    });
    machine.until_event("up");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.said(is_last_word), last_words("poweroff"));
}

#[test]
fn a_container_without_the_right_to_reboot_exits() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::wait:echo up >> /events\n",
        set_up: "exec setpriv --bounding-set -sys_boot --inh-caps -sys_boot chroot . /sbin/init",
        ..Boot::default()
    });
    machine.until_event("up");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().code(), Some(0));
    machine.until_said("poweroff failed: Operation not permitted");
}

#[test]
fn quit_becomes_the_restart_entry() {
    let mut machine = Machine::with(
        "::wait:echo up >> /events\n\
         ::shutdown:echo down >> /events\n\
         ::restart:sh -c 'echo new $$ >> /events; exit 42'\n",
    );
    machine.until_event("up");
    machine.signal(Signal::QUIT);
    assert_eq!(machine.end().code(), Some(42));
    assert_eq!(machine.events(), ["up", "down", "new 1"]);
}

#[test]
fn the_applets_ask_pid_1() {
    for (applet, fate, end) in [
        ("halt", "halt", INT),
        ("poweroff -n -i", "poweroff", INT),
        ("reboot -d 0", "reboot", HUP),
    ] {
        let mut machine = Machine::with(&format!("::once:{applet}\n"));
        assert_eq!(machine.end().signal(), Some(end), "{applet}");
        assert_eq!(machine.said(is_last_word), last_words(fate));
    }
}

#[test]
fn by_force_pid_1_is_not_asked() {
    for (applet, end) in [("halt -f", INT), ("poweroff -nf", INT), ("reboot -f", HUP)] {
        let mut machine = Machine::with(&format!("::once:{applet}\n"));
        assert_eq!(machine.end().signal(), Some(end), "{applet}");
        assert_eq!(machine.said(is_last_word), Vec::<String>::new());
    }
}

#[test]
fn the_record_alone() {
    let machine = Machine::boot(&Boot {
        inittab: "::sysinit:poweroff -w\n::sysinit:echo up >> /events\n",
        files: &[("var/log/wtmp", "")],
        ..Boot::default()
    });
    machine.until_event("up");
    let record = fs::read(machine.root.path("var/log/wtmp")).unwrap();
    assert_eq!(record.len() % 8, 0);
    let text = String::from_utf8_lossy(&record).into_owned();
    assert!(text.contains("~~") && text.contains("shutdown"), "{text:?}");
    assert_eq!(record[0], 1, "RUN_LVL");
}

#[test]
fn mistakes_of_the_caller_are_named() {
    // Neither call reaches the point where PID 1 is signalled.
    for (args, mistake) in [
        (
            &["reboot", "-d", "soon"][..],
            "reboot: -d soon: not a number of seconds\n",
        ),
        (&["init"], "init: must be run as PID 1\n"),
    ] {
        let output = applet(args[0]).args(&args[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(mistake), "{text}");
    }
}
