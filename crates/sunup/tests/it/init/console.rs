//! The console: a terminal that asks, one whose flow is stopped, and a file.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::super::common::{patience, yield_until};
use super::super::machine::{Boot, Machine};

/// Reads from the terminal's other end until `text` has come.
fn read_until(master: &OwnedFd, text: &str) -> String {
    let mut seen = Vec::new();
    let timeout = Timespec::try_from(patience()).unwrap();
    loop {
        let so_far = String::from_utf8_lossy(&seen).into_owned();
        if so_far.contains(text) {
            return so_far;
        }
        let mut fds = [PollFd::from_borrowed_fd(master.as_fd(), PollFlags::IN)];
        let ready = poll(&mut fds, Some(&timeout)).unwrap();
        assert_eq!(ready, 1, "no {text:?} in {so_far:?}");
        let mut buffer = [0_u8; 1024];
        let n = File::from(master.try_clone().unwrap())
            .read(&mut buffer)
            .unwrap();
        seen.extend_from_slice(&buffer[..n]);
    }
}

/// A terminal: its other end, itself, and its name. As long as we have it open, too, nobody's
/// last close is an error for us.
pub fn terminal() -> (OwnedFd, OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, slave, name)
}

#[test]
fn askfirst_asks_on_a_terminal_of_its_own() {
    let (master, _slave, name) = terminal();
    let machine = Machine::boot(&Boot {
        inittab: "tty7::askfirst:-/bin/sh\n::wait:echo up >> /events\n",
        files: &[("dev/tty7", "")],
        set_up: &format!("mount --bind {name} dev/tty7"),
        env: &[("TERM", "linux")],
        ..Boot::default()
    });
    machine.until_event("up");
    read_until(&master, "\nPlease press Enter to activate this console. ");
    let mut keyboard = File::from(master.try_clone().unwrap());
    keyboard.write_all(b"\n").unwrap();
    let ask = "echo \"name=$0 tty=$(cut -d' ' -f7 /proc/self/stat) term=$TERM.\"\n";
    keyboard.write_all(ask.as_bytes()).unwrap();
    let answer = read_until(&master, "term=vt102.");
    assert!(answer.contains("name=-/bin/sh tty="), "{answer}");
    assert!(
        !answer.contains("tty=0 "),
        "no controlling terminal: {answer}"
    );
    keyboard.write_all(b"exit\n").unwrap();
    read_until(&master, "\nPlease press Enter to activate this console. ");
}

/// What a console did not take, whose flow is stopped, is counted, and the count told
/// when there is room.
#[test]
fn what_the_console_did_not_take_is_counted() {
    let machine = Machine::boot(&Boot {
        inittab: "nonsense\n::sysinit:echo up >> /events\n",
        set_up: "mkfifo dev/full
            exec 2<>dev/full
            dd if=/dev/zero of=dev/full bs=4096 count=1000 oflag=nonblock 2>/dev/null || :",
        ..Boot::default()
    });
    machine.until_event("up");
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let path = machine.root.path("dev/full");
    let console = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    let mut got = Vec::new();
    let mut read = || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = rustix::io::read(&console, &mut buffer) {
            got.extend(buffer[..n].iter().filter(|b| **b != 0));
        }
        String::from_utf8(got.clone()).unwrap()
    };
    machine.signal(Signal::HUP);
    let text = yield_until(|| Some(read()).filter(|text| text.contains("Bad inittab")));
    let count = text.strip_prefix("init: ").unwrap();
    let (count, _) = count
        .split_once(" lines were lost here, for nobody read them\n\r")
        .unwrap();
    assert!(count.parse::<u32>().unwrap() >= 1, "{text}");
}

/// A file as the console is written by PID 1 and by commands in turns.
#[test]
fn a_file_as_the_console_loses_nothing() {
    let machine = Machine::boot(&Boot {
        inittab: "nonsense\n\
                  ::sysinit:echo a command >&2\n\
                  ::sysinit:echo up >> /events\n",
        set_up: "exec 2>log",
        ..Boot::default()
    });
    machine.until_event("up");
    let log = machine.text("log").to_lowercase();
    assert!(
        log.contains("bad inittab") && log.contains("\na command\n"),
        "{log}"
    );
}

/// Each terminal appears when the entry before it runs: to look for them every half minute would
/// take longer than any test. PID 1 watches only as long as an entry waits.
#[test]
fn a_terminal_that_appears_has_its_entry_at_once() {
    let (_master, _slave, name) = terminal();
    let entries: Vec<String> = (1..9)
        .map(|n| format!("usb/tty{n}::respawn:/job {n}\n"))
        .collect();
    let job = format!(
        "#!/bin/sh\n\
         echo up $1 >> /events\n\
         watches() {{ ls -l /proc/1/fd | grep -c inotify; }}\n\
         [ $1 != 1 ] || echo \"watches: $(watches)\" >> /events\n\
         [ $1 = 8 ] || ln -s {name} /dev/usb/tty$(($1 + 1))\n\
         if [ $1 = 8 ]; then until [ $(watches) = 0 ]; do sleep 0.05; done; echo all >> /events; fi\n\
         exec sleep 1000\n"
    );
    let plug = format!(
        "#!/bin/sh\nuntil [ -s /go ]; do sleep 0.05; done\n\
         mkdir /dev/usb.new; mv /dev/usb.new /dev/usb; ln -s {name} /dev/usb/tty1\n"
    );
    let inittab = entries.concat() + "::once:/plug\n";
    let machine = Machine::boot(&Boot {
        inittab: &inittab,
        files: &[("job", &job), ("plug", &plug), ("dev/pts/", ""), ("go", "")],
        set_up: "mount --rbind /dev/pts dev/pts",
        ..Boot::default()
    });
    machine.until_said("/dev/usb/tty8 is not there: '/job 8' starts when it appears");
    std::fs::write(machine.root.path("go"), "1").unwrap();
    machine.until_event("all");
    let events = machine.events();
    assert_eq!(events[..3], ["up 1", "watches: 1", "up 2"]);
    let told = machine.said(|line| line.contains("is not there"));
    assert_eq!(told.len(), 8, "{told:#?}");
}
