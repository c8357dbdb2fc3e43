//! What PID 1 writes into utmp and wtmp, as who(1) and last(1) of the workstation read it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use model::format::utmp::{Kind, Record, SIZE, encode};
use rustix::process::Signal;

use super::common::file_of;
use super::machine::{Boot, HUP, INT, Machine};

const FILES: [(&str, &str); 2] = [("run/utmp", ""), ("var/log/wtmp", "")];

/// What a program says of a file.
fn said(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .arg(file)
        .env("TZ", "UTC")
        .output()
        .expect("who and last of coreutils and util-linux");
    String::from_utf8(output.stdout).unwrap()
}

/// The first words of the lines of `last -x`, the newest first.
fn history(machine: &Machine) -> Vec<String> {
    let wtmp = machine.root.path("var/log/wtmp");
    said("last", &["-x", "-f"], &wtmp)
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_boot_and_a_shutdown_are_noted_by_init() {
    drop(file_of("telinit"));
    // Whoever asks for the end may have noted that: it stands there once. The boot is noted
    // beside the boot, which a machine that ends at once may not live to see.
    let noted = "until [ -s /var/log/wtmp ]; do :; done";
    for (command, end) in [("poweroff", INT), ("telinit 6", HUP)] {
        let job = format!("::sysinit:echo up >> /events\n::once:sh -c '{noted}; {command}'\n");
        let mut machine = Machine::boot(&Boot {
            inittab: &job,
            files: &FILES,
            ..Boot::default()
        });
        assert_eq!(machine.end().signal(), Some(end), "{command}");
        assert_eq!(history(&machine), ["shutdown", "reboot"], "{command}");
        let boot = said("who", &["-b"], &machine.root.path("run/utmp"));
        assert!(boot.contains("system boot  "), "{boot:?}");
    }
}

#[test]
fn a_boot_and_a_shutdown_are_noted_by_runit() {
    drop(file_of("telinit"));
    let stage = "#!/bin/sh\n";
    let mut files = FILES.to_vec();
    files.extend([
        ("etc/runit/1", stage),
        (
            "etc/runit/2",
            "#!/bin/sh\necho up >> /events\nexec sleep 1000\n",
        ),
        ("etc/runit/3", stage),
    ]);
    let mut machine = Machine::boot(&Boot {
        name: "runit",
        files: &files,
        ..Boot::default()
    });
    machine.until_event("up");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(history(&machine), ["shutdown", "reboot"]);
    let boot = said("who", &["-b"], &machine.root.path("run/utmp"));
    assert_eq!(boot.lines().count(), 1, "{boot:?}");
}

/// A login that ends without a word, as one that is killed does, is nobody's any more.
#[test]
fn the_end_of_an_entry_ends_its_login() {
    drop(file_of("telinit"));
    let machine = Machine::boot(&Boot {
        inittab: "::respawn:/login\n",
        files: &[
            FILES[0],
            FILES[1],
            (
                "login",
                "#!/bin/sh\necho pid $$ >> /events\nexec sleep 1000\n",
            ),
        ],
        ..Boot::default()
    });
    let history = machine.root.path("var/log/wtmp");
    let records = || fs::read(&history).unwrap().len() / SIZE;
    machine.until("a login", |events, _| !events.is_empty() && records() == 1);
    let events = machine.events();
    let pid = events[0].strip_prefix("pid ").unwrap();
    let record = |pid| {
        encode(&Record {
            kind: Kind::User,
            pid,
            line: b"tty1",
            user: b"joe",
            host: b"",
            time_s: 1000,
            time_us: 0,
        })
    };
    let pid: i32 = pid.parse().unwrap();
    let utmp = machine.root.path("run/utmp");
    fs::write(&utmp, [record(1), record(pid)].concat()).unwrap();
    fs::write(&history, record(pid)).unwrap();
    let kill = format!(
        "kill -9 $(cat /proc/{}/task/*/children)",
        machine.pid().as_raw_nonzero()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    machine.until("a logout", |_, _| records() == 2);
    let utmp = fs::read(utmp).unwrap();
    assert_eq!(utmp[..SIZE], record(1), "the other login stays");
    assert_eq!(utmp[SIZE], Kind::Dead as u8);
    assert_eq!(utmp[SIZE + 44], 0, "nobody");
    let told = said("last", &["-f"], &history);
    assert!(
        told.contains("joe") && !told.contains("still logged in"),
        "{told}"
    );
}
