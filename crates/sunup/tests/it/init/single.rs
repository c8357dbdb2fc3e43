//! `telinit 1`: from a machine that is up to root's shell, and back or to the end.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::super::common::{SLEEP, file_of};
use super::super::line::Line;
use super::super::machine::{Boot, HUP, INT, Machine};
use super::MAKE_GATE;

/// What takes the place of root's shell tells who else is there, and does one thing that it is told.
const SHELL: &str = "#!/bin/sh\necho shell $$ of /proc/[0-9]* >> /events\n\
                     read x < /gate-a\n$x >> /events 2>&1\necho left >> /events\n";
/// Does what it is told, again and again.
const ASK: &str = "#!/bin/sh\necho asks >> /events\n\
                   while read x < /gate-b; do $x >> /events 2>&1; echo $x: $? >> /events; done\n";
const STAGE_3: &str = "#!/bin/sh\necho stage 3 $1 >> /events\n";

fn boot(inittab: &str, boot: &Boot) -> Machine {
    drop(file_of("telinit"));
    let mut files = vec![("shell", SHELL), ("ask", ASK), ("etc/runit/3", STAGE_3)];
    files.extend(boot.files);
    Machine::boot(&Boot {
        inittab: &format!("::once:/ask\n{inittab}"),
        files: &files,
        env: &[&[("SUSHELL", "/shell")], boot.env].concat(),
        set_up: &[MAKE_GATE, boot.set_up].join("\n"),
        ..*boot
    })
}

/// Tells a command to who waits at the fifo.
fn tell(machine: &Machine, gate: &str, command: &str) {
    fs::write(machine.root.path(gate), format!("{command}\n")).unwrap();
}

fn until_shell(machine: &Machine) {
    machine.until("shell", |events, _| count(events, "shell ") == 1);
}

/// How often something began with `what`.
fn count(events: &[String], what: &str) -> usize {
    events.iter().filter(|e| e.starts_with(what)).count()
}

/// The service takes its time; what takes no notice of TERM is killed.
#[test]
fn all_stop_but_the_shell_and_come_up_again_when_it_ends() {
    let service = "#!/bin/sh\ntrap 'echo TERM >> /events; exit' TERM\n\
                   echo up $$ >> /events\nmkfifo /never\nwhile :; do read x < /never; done\n";
    let stubborn = "#!/bin/sh\ntrap '' TERM HUP\necho stubborn >> /events\n\
                    while :; do sleep 1000; done\n";
    let machine = boot(
        "::sysinit:echo sysinit >> /events\n::wait:echo wait >> /events\n\
         ::once:/stubborn\n::respawn:/service\n::shutdown:echo shutdown >> /events\n",
        &Boot {
            files: &[("service", service), ("stubborn", stubborn)],
            ..Boot::default()
        },
    );
    let is_up = |n| {
        move |events: &[String], _: &str| {
            count(events, "up ") == n && count(events, "stubborn") == n
        }
    };
    machine.until("services", is_up(1));
    tell(&machine, "gate-b", "telinit 1");
    until_shell(&machine);
    machine.until_said("Sent SIGKILL to all processes");
    let events = machine.events();
    let at = |what: &str| events.iter().position(|e| e.starts_with(what)).unwrap();
    assert!(at("stage 3 single") < at("TERM"), "{events:?}");
    let shell = &events[at("shell ")];
    let pid = shell.split(' ').nth(1).unwrap();
    assert_eq!(*shell, format!("shell {pid} of /proc/1 /proc/{pid}"));
    machine.open_gate("gate-a");
    machine.until("services again", is_up(2));
    let events = machine.events();
    for (what, times) in [("sysinit", 1), ("wait", 2), ("left", 1), ("shutdown", 0)] {
        assert_eq!(count(&events, what), times, "{events:?}");
    }
    let pids: Vec<_> = events.iter().filter(|e| e.starts_with("up ")).collect();
    assert_ne!(pids[0], pids[1]);
}

/// That stage 3 has told them to be down counts no longer.
#[test]
fn services_that_are_supervised_are_stopped_and_come_up_again() {
    let run = "#!/bin/sh\necho up >> /events\nexec sleep 1000\n";
    let finish = "#!/bin/sh\necho finish >> /events\n";
    let stage_3 = "#!/bin/sh\nsv -w 5 force-stop /service/a\necho stage 3 >> /events\n";
    let machine = boot(
        "::respawn:runsvdir /service\n",
        &Boot {
            files: &[
                ("sbin/runsvdir -> init", ""),
                ("sbin/sv -> init", ""),
                ("service/a/run", run),
                ("service/a/finish", finish),
                ("service/b/run", SLEEP),
                ("etc/runit/3", stage_3),
            ],
            ..Boot::default()
        },
    );
    let events = |n| move |events: &[String], _: &str| count(events, "up") == n;
    machine.until("service", events(1));
    tell(&machine, "gate-b", "init s");
    until_shell(&machine);
    let in_order = ["up", "finish", "stage 3"];
    let seen = machine.events();
    let order: Vec<_> = seen
        .iter()
        .filter(|e| in_order.contains(&e.as_str()))
        .collect();
    assert_eq!(order, in_order);
    machine.open_gate("gate-a");
    machine.until("service again", events(2));
}

#[test]
fn every_end_works_from_there() {
    for (command, end) in [("poweroff", INT), ("telinit 6", HUP)] {
        let mut machine = boot("", &Boot::default());
        machine.until_event("asks");
        tell(&machine, "gate-b", "telinit S");
        until_shell(&machine);
        tell(&machine, "gate-a", command);
        assert_eq!(machine.end().signal(), Some(end), "{command}");
        assert!(
            machine.events().contains(&"stage 3".to_owned()),
            "{command}"
        );
    }
}

/// The same a second time, and Ctrl-Alt-Del.
#[test]
fn it_is_told_that_it_is_there_already() {
    let twice = "#!/bin/sh\ninit 1\nread x < /gate-a\n";
    let more = Boot {
        files: &[("twice", twice)],
        ..Boot::default()
    };
    let mut machine = boot("::ctrlaltdel:reboot\n", &more);
    machine.until_event("asks");
    tell(&machine, "gate-b", "telinit 1");
    until_shell(&machine);
    // The shell stays until that is said: its end would bring the machine up.
    tell(&machine, "gate-a", "/twice");
    machine.until_said("single-user mode was asked for already");
    tell(&machine, "gate-a", "end");
    machine.until("up again", |events, _| count(events, "asks") == 2);
    tell(&machine, "gate-b", "telinit s");
    machine.until("shell again", |events, _| count(events, "shell ") == 2);
    machine.signal(Signal::INT);
    assert_eq!(machine.end().signal(), Some(HUP));
}

/// A request for an end on the way there, while stage 3 is at work.
#[test]
fn an_end_replaces_the_way_there() {
    let stage_3 = "#!/bin/sh\ntelinit 1\npoweroff\ntelinit 1\necho stage 3 $1 >> /events\n";
    let mut machine = boot(
        "::shutdown:echo shutdown >> /events\n",
        &Boot {
            files: &[("etc/runit/3", stage_3)],
            ..Boot::default()
        },
    );
    machine.until_event("asks");
    tell(&machine, "gate-b", "telinit 1");
    assert_eq!(machine.end().signal(), Some(INT));
    let events = machine.events();
    assert!(
        events.ends_with(&["stage 3 single".to_owned(), "shutdown".to_owned()]),
        "{events:?}"
    );
    assert_eq!(count(&events, "shell "), 0);
}

/// Process 1 is replaced, and fails, in the shell: it knows where the machine was.
#[test]
fn a_new_program_goes_on_in_single_user_mode() {
    let machine = boot(
        "",
        &Boot {
            env: &[("SUNUP_TEST_PANIC", "Hup")],
            ..Boot::default()
        },
    );
    machine.until_event("asks");
    tell(&machine, "gate-b", "telinit 1");
    until_shell(&machine);
    machine.signal(Signal::HUP);
    machine.until_said("as the test wants; it starts over");
    tell(&machine, "gate-a", "init u");
    machine.until("up again", |events, _| count(events, "asks") == 2);
    let events = machine.events();
    assert_eq!(count(&events, "shell "), 1, "{events:?}");
    let left = events.iter().position(|e| e == "left").unwrap();
    assert_eq!(events[left + 1], "asks");
    machine.until_said("goes on as /sbin/init");
}

#[test]
fn the_boot_comes_first_and_a_container_has_none() {
    let early = "#!/bin/sh\ntelinit 1\nuntil grep -q 'no single' /console; do sleep 0.05; done\n";
    let files = &[("early", early)];
    let machine = boot(
        "::wait:/early\n",
        &Boot {
            files,
            ..Boot::default()
        },
    );
    machine.until_event("asks");
    machine.until_said("the boot is not over: no single-user mode yet");
    let set_up = "exec setpriv --bounding-set -sys_boot --inh-caps -sys_boot chroot . /sbin/init";
    let machine = boot(
        "",
        &Boot {
            set_up,
            ..Boot::default()
        },
    );
    machine.until_event("asks");
    for (command, answer) in [
        ("telinit 1", "telinit 1: 1"),
        ("kill -35 1", "kill -35 1: 0"),
    ] {
        tell(&machine, "gate-b", command);
        machine.until_event(answer);
    }
    let refused = "a container that may not reboot has no single-user mode";
    assert_eq!(machine.events()[1], format!("telinit: {refused}"));
    machine.until_said(&format!("\r{refused}\n"));
}

/// The terminal was left in a strange state by who was killed.
#[test]
fn the_shell_has_the_console() {
    let mut line = Line::new();
    let login = "#!/bin/sh\nstty raw -echo\necho logged in >> /events\nread x\n";
    let machine = boot(
        "tty7::respawn:/login\n",
        &Boot {
            files: &[("dev/tty7", ""), ("login", login)],
            set_up: &format!("mount --bind {} dev/tty7", line.path.display()),
            env: &[
                ("CONSOLE", "tty7"),
                ("SUSHELL", "/bin/sh"),
                ("TERM", "linux"),
            ],
            ..Boot::default()
        },
    );
    machine.until_event("logged in");
    tell(&machine, "gate-b", "telinit 1");
    // Both may be read at once.
    let offer = line.expect("# ");
    assert!(offer.contains("starting a shell\n"), "{offer}");
    assert!(line.is_cooked());
    line.type_in(b"echo name=$0 tty=$(cut -d' ' -f7 /proc/self/stat).\n");
    let shown = line.expect(".\n# ");
    assert!(shown.contains("name=-sh tty="), "{shown}");
    assert!(
        !shown.contains("tty=0."),
        "no controlling terminal: {shown}"
    );
    line.type_in(b"exit\n");
    machine.until("login again", |events, _| count(events, "logged in") == 2);
}

/// No stage 3: the scripts that there are unmount.
#[test]
fn runit_has_it_between_stage_2_and_stage_2() {
    let stage_2 = ASK.replace("asks", "asks $$");
    let stubborn = "#!/bin/sh\ntrap '' TERM HUP\nwhile :; do sleep 1000; done\n";
    let mut machine = boot(
        "",
        &Boot {
            name: "runit",
            files: &[
                ("etc/runit/1", "#!/bin/sh\n/stubborn &\necho 1 >> /events\n"),
                ("etc/runit/2", &stage_2),
                ("stubborn", stubborn),
            ],
            env: &[
                ("PATH", "/sbin:/usr/sbin:/bin:/usr/bin"),
                ("SUNUP_GRACE", "1"),
            ],
            ..Boot::default()
        },
    );
    let asks = |n| move |events: &[String], _: &str| count(events, "asks") == n;
    machine.until("stage 2", asks(1));
    tell(&machine, "gate-b", "telinit 1");
    until_shell(&machine);
    let events = machine.events();
    let shell = events.iter().find(|e| e.starts_with("shell ")).unwrap();
    let pid = shell.split(' ').nth(1).unwrap();
    assert_eq!(*shell, format!("shell {pid} of /proc/1 /proc/{pid}"));
    machine.open_gate("gate-a");
    machine.until("stage 2 again", asks(2));
    assert_eq!(count(&machine.events(), "stage 3"), 0);
    tell(&machine, "gate-b", "init 1");
    machine.until("shell again", |events, _| count(events, "shell ") == 2);
    tell(&machine, "gate-a", "init 0");
    assert_eq!(machine.end().signal(), Some(INT));
    let events = machine.events();
    assert_eq!(count(&events, "stage 3"), 1, "{events:?}");
    assert_eq!(events[0], "1");
    let pids: Vec<_> = events.iter().filter(|e| e.starts_with("asks ")).collect();
    assert_ne!(pids[0], pids[1]);
    assert_eq!(count(&events[1..], "1"), 0);
}
