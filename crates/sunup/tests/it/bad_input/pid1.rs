//! PID 1: the files that it reads or starts. Whatever they are, the machine
//! boots as far as it can, and can be taken down.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::machine::{Boot, HUP, INT, Machine};

/// Shell commands that put something bad at $F of the new root.
const NOT_A_FILE: [(&str, &str); 4] = [
    ("mkdir -p $F", "Is a directory"),
    ("mkfifo -m 755 $F", "not a file"),
    ("ln -s nowhere $F", "No such file or directory"),
    ("ln -s ${F##*/} $F", "Too many levels of symbolic links"),
];

/// The lines of the console that name a file.
fn about(machine: &Machine, file: &str) -> Vec<String> {
    machine.said(|line| line.contains(file))
}

#[test]
fn inittab() {
    let others = [
        ("touch $F", "no entry"),
        ("printf '\\0\\0' >$F", "no entry"),
        ("ln -s /dev/null $F", "no entry"),
        ("ln -s /proc/self/mem $F", "Input/output error"),
        (
            "touch dev/zero; mount --bind /dev/zero dev/zero; ln -s /dev/zero $F",
            "no entry",
        ),
        (
            "yes ::once:x | tr -d '\\n' | head -c 300000 >$F",
            "no entry",
        ),
    ];
    for (put, reason) in NOT_A_FILE.into_iter().chain(others) {
        let mut machine = Machine::boot(&Boot {
            files: &[("etc/init.d/rcS", "#!/bin/sh\necho rcS >> /events\n")],
            set_up: &format!("F=etc/inittab; {put}"),
            ..Boot::default()
        });
        machine.until_event("rcS");
        let said = format!("\r/etc/inittab: {reason}; the defaults are used");
        machine.until_said(&said);
        assert_eq!(machine.said(|line| line == said).len(), 1, "{put}");
        // Read again, it is as bad, and changes nothing.
        machine.signal(Signal::HUP);
        machine.until_said(&format!("/etc/inittab: {reason}; nothing is changed"));
        machine.signal(Signal::TERM);
        assert_eq!(machine.end().signal(), Some(HUP), "{put}");
    }
}

/// One bad line is named; the others hold.
#[test]
fn lines_of_inittab() {
    let long = "x".repeat(5000);
    let machine = Machine::with(&format!(
        "\0::once:a\n\u{1b}[31m::\u{7}:b\n::once:{long}\nshort\n::once:\n::once:echo good >> /events\n"
    ));
    machine.until_event("good");
    for (line, reason) in [
        (1, "a NUL byte"),
        (
            2,
            "unknown action '\\x07'; the actions are sysinit, wait, once, respawn, askfirst, \
             ctrlaltdel, shutdown, restart",
        ),
        (3, "longer than 4096 bytes"),
        (4, "not TTY:IGNORED:ACTION:COMMAND"),
        (5, "no command"),
    ] {
        let said = format!("\rBad inittab entry at line {line}: {reason}");
        assert_eq!(machine.said(|l| l == said).len(), 1, "{said}");
    }
}

/// What the environment says of the console and of the grace.
#[test]
fn variables() {
    for (name, value, part) in [
        ("CONSOLE", "no-such", "open console no-such: No such file"),
        ("CONSOLE", "", "open console : Is a directory"),
        (
            "CONSOLE",
            "a\nb\u{1b}[31m",
            r"open console a\nb\u{1b}[31m: ",
        ),
        ("SUNUP_GRACE", "x\ny", r"SUNUP_GRACE=x\ny: not a number"),
        (
            "SUNUP_GRACE",
            "-1",
            "SUNUP_GRACE=-1: not a number of seconds",
        ),
        ("SUNUP_INIT_HANDOVER", "\u{1}\n:::99999999999999999999", ""),
    ] {
        let machine = Machine::boot(&Boot {
            inittab: "::respawn:echo up >> /events; exec sleep 1000\n",
            env: &[(name, value)],
            ..Boot::default()
        });
        machine.until_event("up");
        if !part.is_empty() {
            machine.until_said(part);
            assert_eq!(about(&machine, part).len(), 1, "{name} {value:?}");
        }
    }
}

/// A last script that cannot run does not keep the machine up.
#[test]
fn the_last_script() {
    for (put, reason) in NOT_A_FILE {
        let mut machine = Machine::boot(&Boot {
            inittab: "::once:echo up >> /events\n",
            set_up: &format!("mkdir -p etc/runit; F=etc/runit/3; {put}"),
            ..Boot::default()
        });
        machine.until_event("up");
        machine.signal(Signal::USR2);
        assert_eq!(machine.end().signal(), Some(INT), "{put}: {reason}");
        // What is no program was not there for busybox; where it looks like one, it is told.
        let said = about(&machine, "can't run '/etc/runit/3'");
        assert!(said.len() <= 1, "{said:?}");
    }
}

/// A stage that cannot be run is told, and the next one comes.
#[test]
fn stages() {
    for (put, _) in NOT_A_FILE {
        let machine = Machine::boot(&Boot {
            name: "runit",
            files: &[(
                "etc/runit/2",
                "#!/bin/sh\necho 2 >> /events; exec sleep 1000\n",
            )],
            set_up: &format!("F=etc/runit/1; {put}"),
            ..Boot::default()
        });
        machine.until_event("2");
        let said = about(&machine, "can't run /etc/runit/1: ");
        assert_eq!(said.len(), 1, "{put}: {said:?}");
    }
}

/// The files with a message to runit, as something that can hold none.
#[test]
fn messages_to_runit() {
    for (put, _) in NOT_A_FILE {
        for file in ["stopit", "reboot", "ctrlaltdel", "nosync"] {
            let mut machine = Machine::boot(&Boot {
                name: "runit",
                files: &[
                    ("etc/runit/1", "#!/bin/sh\n"),
                    (
                        "etc/runit/2",
                        "#!/bin/sh\necho 2 >> /events; exec sleep 1000\n",
                    ),
                    ("etc/runit/3", "#!/bin/sh\n"),
                    ("run/", ""),
                ],
                set_up: &format!("F=etc/runit/{file}; {put}"),
                ..Boot::default()
            });
            machine.until_event("2");
            // Neither is an order to go down; then an order comes that is none of theirs.
            machine.signal(Signal::USR2);
            let how = machine.end().signal();
            assert_eq!(
                how,
                Some(INT),
                "{put} {file}: {:?}",
                machine.text("console")
            );
        }
    }
}
