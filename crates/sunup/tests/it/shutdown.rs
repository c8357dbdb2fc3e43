//! shutdown and telinit. Each test is a machine of its own, whose PID 1 they ask.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use model::format::utmp::{Kind, Record, encode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::common::{applet, file_of, patience};
use super::init::console::terminal;
use super::machine::{Boot, HUP, INT, Machine};

const RUN: (&str, &str) = ("run/", "");

/// What is to run, which goes on when `name` under test is there at all.
fn machine(name: &str, script: &str, boot: &Boot) -> Machine {
    drop(file_of(name));
    let script = format!("#!/bin/sh\nexec >>/events 2>&1\n{script}\n");
    let mut files = vec![("job", script.as_str()), RUN];
    files.extend(boot.files);
    Machine::boot(&Boot {
        inittab: "::once:/job\n",
        files: &files,
        ..*boot
    })
}

#[test]
fn now_ends_the_machine_as_the_letter_says() {
    for (args, fate, end) in [
        ("-h now", "poweroff", INT),
        ("-P +0 good bye", "poweroff", INT),
        ("-H now", "halt", INT),
        ("--reboot --no-wall now", "reboot", HUP),
        ("-t1 -a -r now", "reboot", HUP),
    ] {
        let mut machine = machine("shutdown", &format!("shutdown {args}"), &Boot::default());
        assert_eq!(machine.end().signal(), Some(end), "{args}");
        machine.until_said(&format!("Requesting system {fate}"));
        assert_eq!(machine.events(), Vec::<String>::new());
    }
}

#[test]
fn telinit_and_init_ask_for_the_end() {
    for (command, end) in [("telinit 0", INT), ("telinit 6", HUP), ("init 6", HUP)] {
        let mut machine = machine("telinit", command, &Boot::default());
        assert_eq!(machine.end().signal(), Some(end), "{command}");
        assert_eq!(machine.events(), Vec::<String>::new());
    }
}

#[test]
fn telinit_q_has_the_inittab_read_again() {
    let script = "echo '::once:telinit 6; echo new' >/etc/inittab\ntelinit q || exit\n\
                  echo '::respawn:echo new >>/events; sleep 1000' >/etc/inittab\ninit q";
    let machine = machine("telinit", script, &Boot::default());
    machine.until_event("new");
    machine.until_said("reloading /etc/inittab");
}

/// runit has files of its own for that, which its own PID 1 understands, too.
#[test]
fn runit_is_asked_in_its_own_way() {
    drop(file_of("shutdown"));
    for (command, end) in [
        ("shutdown -h now", INT),
        ("shutdown -r now", HUP),
        ("telinit 6", HUP),
    ] {
        let stage_2 = format!("#!/bin/sh\n{command} >>/events 2>&1\nexec sleep 1000\n");
        let mut machine = Machine::boot(&Boot {
            name: "runit",
            env: &[("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")],
            files: &[
                ("etc/runit/1", "#!/bin/sh\n"),
                ("etc/runit/2", &stage_2),
                (
                    "etc/runit/3",
                    "#!/bin/sh\nls -l /etc/runit/stopit | cut -c1-10 >>/events\n",
                ),
                RUN,
            ],
            ..Boot::default()
        });
        assert_eq!(machine.end().signal(), Some(end), "{command}");
        // The message was taken back.
        assert_eq!(machine.events(), ["----------"], "{command}");
    }
}

#[test]
fn a_foreign_pid_1_is_named_with_the_next_step() {
    let script = "for c in 'shutdown -r now' 'shutdown +5' 'telinit 6' 'init 6' 'telinit q' 'telinit 3'; do\n\
                  $c && exit; echo $?; done >>/events 2>&1; exit 7";
    let mut machine = machine(
        "shutdown",
        "",
        &Boot {
            set_up: "exec chroot . /bin/sh /script",
            files: &[("script", script)],
            env: &[("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")],
            ..Boot::default()
        },
    );
    assert_eq!(machine.end().code(), Some(7), "{:?}", machine.events());
    let events = machine.events();
    assert_eq!(events.len(), 12, "{events:#?}");
    for (at, who) in ["shutdown", "shutdown", "telinit", "init", "telinit"]
        .iter()
        .enumerate()
    {
        let line = &events[2 * at];
        assert!(
            line.starts_with(&format!("{who}: PID 1 is sh, neither init nor runit: ")),
            "{line}"
        );
        assert!(line.contains("from outside"), "{line}");
        assert_eq!(events[2 * at + 1], "1");
    }
    assert!(events[10].contains("no runlevels"), "{}", events[10]);
}

/// A plan outlives who made it, others see it, replace it and cancel it.
#[test]
fn a_plan_is_kept_replaced_and_cancelled() {
    let script = "shutdown -s\n\
        (setsid shutdown -r +300 first)\n\
        shutdown --show\n\
        stat -c %a /run/sunup/shutdown\n\
        [ -e /run/nologin ] || echo logins\n\
        shutdown -h +4 second\n\
        until [ -s /run/nologin ]; do sleep 0.05; done\n\
        shutdown -s\n\
        cat /run/nologin\n\
        ps -eo comm= | grep -c '^shutdown'\n\
        shutdown -c || exit\n\
        [ -e /run/nologin ] || echo logins again\n\
        shutdown -c; echo $?\n\
        ps -eo comm= | grep -c '^shutdown'\n\
        echo done";
    let machine = machine(
        "shutdown",
        script,
        &Boot {
            env: &[("TZ", "UTC")],
            ..Boot::default()
        },
    );
    machine.until_event("done");
    let events = machine.events();
    let like = [
        "no shutdown is planned",
        "reboot: ",
        "reboot: ",
        "600", // Whoever may read the file may hold its lock.
        "logins",
        "poweroff: ",
        "poweroff: ",
        "The system is going down for power-off in 4 minutes!",
        "second",
        "1",
        "logins again",
        "shutdown: no shutdown is planned",
        "1",
        "0",
        "done",
    ];
    assert_eq!(events.len(), like.len(), "{events:#?}");
    for (event, like) in events.iter().zip(like) {
        assert!(event.starts_with(like), "{event}, not {like}: {events:#?}");
    }
    assert!(events[1].ends_with("; `shutdown -c` cancels it"));
    assert!(events[2].contains(" keeps the time"));
}

/// A keeper that was killed leaves no plan, and what it did is taken back.
#[test]
fn a_killed_keeper_keeps_nobody_out() {
    let script = "shutdown -h +4 >/dev/null 9>/held\n\
        until [ -s /run/nologin ]; do sleep 0.05; done\n\
        pid=$(shutdown -s | sed 's/.*process \\([0-9]*\\) .*/\\1/')\n\
        ls -l /proc/$pid/fd | grep -c held\n\
        kill -9 $pid\n\
        while [ -e /proc/$pid ]; do sleep 0.05; done\n\
        shutdown -s\n\
        echo mine >/run/keep\n\
        shutdown -c\n\
        [ -e /run/nologin ] || echo logins\n\
        echo closed >/run/nologin\n\
        shutdown -h +4 >/dev/null\nshutdown -c\ncat /run/nologin\n\
        echo done";
    let machine = machine("shutdown", script, &Boot::default());
    machine.until_event("done");
    assert_eq!(
        machine.events(),
        [
            "0",
            "no shutdown is planned",
            "shutdown: no shutdown is planned",
            "logins",
            "closed",
            "done"
        ]
    );
}

/// The time comes, by the clock of the boot; it is the only test that waits for a minute.
/// There is space for the record of what is planned, and none for /run/nologin.
#[test]
fn a_full_run_keeps_nobody_out() {
    let script = "mount -t tmpfs -o size=16k none /run\nshutdown -h +9 >/dev/null\n\
        while echo full of lines; do :; done >/run/rest 2>/dev/null\n\
        shutdown -h +3 >/dev/null || exit\n\
        pid=$(shutdown -s | sed 's/.*process \\([0-9]*\\) .*/\\1/')\n\
        until ls -l /proc/$pid/fd | grep -q timerfd; do sleep 0.05; done\n\
        ls -s /run/rest | cut -d' ' -f1; shutdown -c\n\
        [ -e /run/nologin ] || echo logins\necho done";
    let machine = machine("shutdown", script, &Boot::default());
    machine.until_event("done");
    assert_eq!(machine.events(), ["12", "logins", "done"]);
}

#[test]
fn the_machine_goes_down_when_the_time_has_come() {
    let mut machine = machine("shutdown", "shutdown -r +1 >/dev/null", &Boot::default());
    machine.until("nologin", |_, _| machine.root.path("run/nologin").exists());
    let told = fs::read_to_string(machine.root.path("run/nologin")).unwrap();
    assert!(told.contains("for reboot in 1 minute!"), "{told}");
    // Patience begins when the minute is over.
    let pidfd = pidfd_open(Pid::from_child(&machine.unshare), PidfdFlags::empty()).unwrap();
    let minute = Timespec::try_from(Duration::from_mins(1)).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&minute)).unwrap();
    assert_eq!(machine.end().signal(), Some(HUP));
}

/// Reads what came to the terminal until `text` has come.
fn read_until(master: &OwnedFd, text: &str) -> String {
    let mut seen = String::new();
    let timeout = Timespec::try_from(patience()).unwrap();
    while !seen.contains(text) {
        let mut fds = [PollFd::from_borrowed_fd(master.as_fd(), PollFlags::IN)];
        assert_eq!(
            poll(&mut fds, Some(&timeout)).unwrap(),
            1,
            "{text:?} in {seen:?}"
        );
        let mut buffer = [0; 4096];
        let n = File::from(master.try_clone().unwrap()).read(&mut buffer);
        // The terminal puts a carriage return before each newline, as the writer does.
        seen += &String::from_utf8_lossy(&buffer[..n.unwrap()]).replace('\r', "");
    }
    seen
}

/// The name below /dev of a terminal's path.
fn line_of(path: &str) -> &str {
    path.strip_prefix("/dev/").unwrap()
}

/// Without utmp, every terminal that controls a process has the message, with nothing in it that
/// a terminal would obey; one that is stopped delays nobody. A message of any length leaves space
/// for the warning on a terminal that is read later.
#[test]
fn terminals_are_told_and_a_stopped_one_holds_nothing_up() {
    drop(file_of("shutdown"));
    let (master, _slave, name) = terminal();
    let (stopped, stopped_slave, stopped_name) = terminal();
    rustix::termios::tcflow(&stopped_slave, rustix::termios::Action::OOff).unwrap();
    let inittab = format!(
        "{}::respawn:sleep 1000\n{}::respawn:sleep 1001\n::once:/job\n",
        line_of(&name),
        line_of(&stopped_name)
    );
    let script = "#!/bin/sh\nuntil ps -eo tty=,comm= | grep -q '^pts.*sleep' \
        && [ $(ps -eo tty=,comm= | grep -c '^pts.*sleep') = 2 ]; do sleep 0.05; done\n\
        shutdown -k now \"$(printf 'beware\\033[2J of \\303\\274%090000d')\" >>/events 2>&1\n\
        echo done >>/events\n";
    let machine = Machine::boot(&Boot {
        inittab: &inittab,
        files: &[("job", script), ("dev/pts/", ""), RUN],
        set_up: "mount --rbind /dev/pts dev/pts",
        env: &[("LOGNAME", "evil\u{1b}c")],
        ..Boot::default()
    });
    machine.until_event("done");
    let said = read_until(&master, "NOW!\n");
    assert!(
        said.contains("Broadcast message from evil\\u{1b}c@"),
        "{said}"
    );
    assert!(said.contains("beware\\u{1b}[2J of \u{fc}000"), "{said}");
    assert!(said.contains("000 ... 000"), "{said}");
    assert!(said.contains("going down for power-off NOW!\n"), "{said}");
    drop(stopped);
}

/// utmp says who is logged in; what it says may be anything.
#[test]
fn those_whom_utmp_names_are_told_and_hostile_names_are_left_out() {
    drop(file_of("shutdown"));
    let (master, _slave, name) = terminal();
    let (other, _other_slave, _) = terminal();
    let record = |kind, line: &str| {
        encode(&Record {
            kind,
            pid: 5,
            line: line.as_bytes(),
            user: b"joe",
            host: b"",
            time_s: 1,
            time_us: 2,
        })
    };
    let utmp = [
        record(Kind::User, "../victim"),
        record(Kind::User, "fifo"),
        record(Kind::User, "link"),
        record(Kind::User, line_of(&name)),
    ]
    .concat();
    let machine = Machine::boot(&Boot {
        inittab: "::once:/job\n",
        files: &[
            (
                "job",
                "#!/bin/sh\nmkfifo /dev/fifo; ln -s /victim /dev/link\n\
                 until [ -s /run/utmp ]; do sleep 0.05; done\n\
                 shutdown -r -k now hello\necho done >>/events\n",
            ),
            ("victim", "untouched\n"),
            ("dev/pts/", ""),
            RUN,
        ],
        set_up: "mount --rbind /dev/pts dev/pts",
        ..Boot::default()
    });
    let mut file = File::create(machine.root.path("run/new")).unwrap();
    file.write_all(&utmp).unwrap();
    fs::rename(machine.root.path("run/new"), machine.root.path("run/utmp")).unwrap();
    machine.until_event("done");
    let said = read_until(&master, "NOW!\n");
    assert!(
        said.contains("hello\nThe system is going down for reboot NOW!"),
        "{said}"
    );
    assert_eq!(machine.text("victim"), "untouched\n");
    let mut fds = [PollFd::from_borrowed_fd(other.as_fd(), PollFlags::IN)];
    assert_eq!(
        poll(&mut fds, Some(&Timespec::default())),
        Ok(0),
        "nobody is there"
    );
}

#[test]
fn mistakes_are_named_before_anything_happens() {
    for (args, mistake) in [
        (
            &["tomorrow"][..],
            "shutdown: tomorrow: not `now`, +MINUTES or HH:MM\n",
        ),
        (
            &["-r", "25:00"],
            "shutdown: 25:00: not `now`, +MINUTES or HH:MM\n",
        ),
        (&["--frob", "now"], "shutdown: unknown option --frob\n"),
        (&["-K", "-s", "-x"], "shutdown: unknown option -x\n"),
    ] {
        let output = applet("shutdown").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(mistake), "{text}");
    }
    for args in [&[][..], &["7"], &["0", "6"], &["6x"]] {
        let output = applet("telinit").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("telinit: say one of "), "{text}");
    }
}
