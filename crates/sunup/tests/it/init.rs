//! init as PID 1, and the applets that ask it for the end. Each test is a machine of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::common::{applet, patience, yield_until};
use super::machine::{Boot, HUP, INT, Machine};

/// A command that tells that it runs, and its pid, and waits at a fifo.
fn job(name: &str) -> String {
    format!("#!/bin/sh\necho {name} $$ >> /events\nread x < /gate-{name}\n")
}

const MAKE_GATE: &str = "mkfifo gate-a gate-b";

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
fn boots_in_order_and_respawns() {
    let machine = Machine::boot(&Boot {
        inittab: "::once:echo once >> /events\n\
                      ::respawn:/job\n\
                      ::wait:echo wait >> /events\n\
                      ::sysinit:echo sysinit 1 >> /events\n\
                      ::sysinit:sh -c 'exit 3'\n\
                      ::sysinit:echo sysinit 2 >> /events\n",
        files: &[("job", &job("a"))],
        set_up: MAKE_GATE,
        ..Boot::default()
    });
    let is_job = |e: &&String| e.starts_with("a ");
    let jobs = |events: &[String]| events.iter().filter(is_job).count();
    machine.until("respawned job", |events, _| {
        jobs(events) == 1 && events.len() == 5
    });
    assert_eq!(machine.events()[..3], ["sysinit 1", "sysinit 2", "wait"]);
    machine.open_gate("gate-a");
    machine.until("second life", |events, _| jobs(events) == 2);
    let events = machine.events();
    let pids: Vec<&String> = events.iter().filter(is_job).collect();
    assert_ne!(pids[0], pids[1]);
}

#[test]
fn says_how_children_end() {
    let machine = Machine::with(
        "::sysinit:sh -c 'exit 3'\n::sysinit:sh -c 'kill -9 $$'\n::sysinit:/none\n::wait:echo up >> /events",
    );
    machine.until_event("up");
    let console = machine.text("console");
    assert!(console.contains("exited, exitcode:3.\n"), "{console}");
    assert!(console.contains("killed, signal:9.\n"), "{console}");
    assert!(
        console.contains("\rcan't run '/none': No such file"),
        "{console}"
    );
    assert!(console.contains("exited, exitcode:255.\n"), "{console}");
    assert!(console.contains(", tty '': '/none'\n"), "{console}");
}

/// As Buildroot writes it.
#[test]
fn a_comment_may_follow_a_command() {
    let machine = Machine::boot(&Boot {
        inittab: "::sysinit:/say -L  console 0 vt100 # GENERIC_SERIAL\n\
                  ::sysinit:/say $SHELL\t# by the shell\n\
                  ::once:/say end\n",
        files: &[("say", "#!/bin/sh\necho \"$@\" >> /events\n")],
        ..Boot::default()
    });
    machine.until_event("end");
    assert_eq!(machine.events(), ["-L console 0 vt100", "/bin/sh", "end"]);
}

/// Of which busybox makes comments, too.
#[test]
fn a_hash_within_a_word_or_quotes_is_no_comment() {
    let machine = Machine::with(
        "::sysinit:echo a#b $# \\# >> /events # a\n\
         ::sysinit:echo 'a # b' \"c # d\" >> /events # c\n\
         ::once:echo end >> /events\n",
    );
    machine.until_event("end");
    assert_eq!(machine.events(), ["a#b 0 #", "a # b c # d", "end"]);
}

#[test]
fn names_bad_lines_and_goes_on() {
    let machine =
        Machine::with("nonsense\n::once:echo a#b >> /events\n::frob:x\nttyNONE::once:true\n");
    machine.until_event("a#b");
    machine.until_said("can't open /dev/ttyNONE: No such file");
    let bad = machine.said(|l| l.contains("Bad inittab"));
    let expect = [
        "\rBad inittab entry at line 1: not TTY:IGNORED:ACTION:COMMAND",
        "\rBad inittab entry at line 3: unknown action 'frob'; the actions are \
         sysinit, wait, once, respawn, askfirst, ctrlaltdel, shutdown, restart",
    ];
    assert_eq!(bad, expect);
}

#[test]
fn comes_up_without_an_inittab() {
    for inittab in ["", "no line\nis good\n"] {
        let mut machine = Machine::boot(&Boot {
            inittab,
            files: &[("etc/init.d/rcS", "#!/bin/sh\necho rcS >> /events\n")],
            ..Boot::default()
        });
        machine.until_event("rcS");
        machine.until_said("Please press Enter to activate this console. ");
        machine.until_said("the defaults are used");
        machine.signal(Signal::INT);
        assert_eq!(machine.end().signal(), Some(HUP));
    }
}

/// A machine in a machine, as a container is: what both have mounted stays writable
/// when the inner one ends, although somebody in there is at work in it.
#[test]
fn a_container_without_an_inittab_leaves_its_hosts_mounts_alone() {
    let set_up = "
        mkdir -p shared; mount -t tmpfs tmpfs shared
        unshare --mount --pid --fork --kill-child sh -c \
            'mount -t proc proc proc; exec chroot . /sbin/init' || :
        grep ' /.*/shared ' /proc/self/mountinfo | sed 's/.* - //' > options
        echo ended >> events
        exit";
    let busy = "#!/bin/sh\n(cd /shared; echo busy >> /events; exec sleep 1000) &\n\
                until grep -q busy /events; do sleep 0.05; done\nkill -USR2 1\n";
    let machine = Machine::boot(&Boot {
        files: &[("etc/init.d/rcS", busy)],
        set_up,
        ..Boot::default()
    });
    machine.until_event("ended");
    let options = machine.text("options");
    assert!(options.starts_with("tmpfs tmpfs rw"), "{options}");
    assert!(
        machine
            .said(|l| l.contains("umount") || l.contains("swapoff"))
            .is_empty()
    );
}

#[test]
fn single_user_is_a_shell_and_nothing_else() {
    for word in ["single", "-s", "1"] {
        let machine = Machine::boot(&Boot {
            inittab: "::sysinit:echo no >> /events\n",
            args: word,
            ..Boot::default()
        });
        machine.until_said("tty '': '-/bin/sh'");
        assert_eq!(machine.events(), Vec::<String>::new());
    }
}

#[test]
fn strange_words_of_the_kernel_command_line_are_no_error() {
    let machine = Machine::boot(&Boot {
        inittab: "::once:echo $RUNLEVEL $TERM $USER $SHELL $PATH >> /events\n",
        args: "-Z foo --help",
        env: &[("TERM", "linux")],
        ..Boot::default()
    });
    machine.until_event("-Z vt102 root /bin/sh /sbin:/usr/sbin:/bin:/usr/bin");
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
fn no_process_to_be_had_is_tried_again() {
    // The kernel does not limit the number of root's processes: an ordinary user is needed.
    // Three is one for unshare, one for init and one for the first job.
    let machine = Machine::boot(&Boot {
        inittab: "::once:/a\n::respawn:/b\n",
        files: &[("a", &job("a")), ("b", &job("b"))],
        set_up: "mkfifo gate-a gate-b\nexec prlimit --nproc=3:3 chroot . /sbin/init",
        as_nobody: true,
        ..Boot::default()
    });
    machine.until_said("can't start '/b' yet: fork: Resource temporarily unavailable");
    machine.until("a", |events, _| {
        events.len() == 1 && events[0].starts_with("a ")
    });
    machine.open_gate("gate-a");
    machine.until("b", |events, _| events.iter().any(|e| e.starts_with("b ")));
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

// halt, poweroff and reboot, inside of a machine.

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
        inittab: "::wait:poweroff -w\n::wait:echo $? >> /events; true\n::wait:echo up >> /events\n",
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
        (&["init", "3", "x"], "init: must be run as PID 1\n"),
        (
            &["init", "6"],
            "init: must be run as PID 1; to restart the machine: reboot\n",
        ),
        (
            &["init", "0"],
            "init: must be run as PID 1; to switch the machine off: poweroff\n",
        ),
    ] {
        let output = applet(args[0]).args(&args[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(mistake), "{text}");
    }
}

// A terminal.

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

#[test]
fn askfirst_asks_on_a_terminal_of_its_own() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = Path::new(name.to_str().unwrap());
    // As long as we have it open, too, nobody's last close is an error for us.
    let _slave = rustix::fs::open(
        slave,
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let machine = Machine::boot(&Boot {
        inittab: "tty7::askfirst:-/bin/sh\n::wait:echo up >> /events\n",
        files: &[("dev/tty7", "")],
        set_up: &format!("mount --bind {} dev/tty7", slave.display()),
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
