//! The inittab, the command line of the kernel, and the boot up to the first respawn.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::super::line::Line;
use super::super::machine::{Boot, HUP, INT, Machine};
use super::{MAKE_GATE, job};

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

/// Then the boot goes on. No file tells a password, so there is no question.
#[test]
fn single_user_is_first_a_shell_and_nothing_else() {
    for word in ["single", "-s", "1"] {
        let machine = Machine::boot(&Boot {
            inittab: "::sysinit:echo goes on >> /events\n",
            files: &[(
                "shell",
                "#!/bin/sh\necho $0 >> /events\nread x < /gate-a\necho left >> /events\n",
            )],
            env: &[("SUSHELL", "/shell")],
            set_up: MAKE_GATE,
            args: word,
            ..Boot::default()
        });
        machine.until_said("tty '': 'sulogin -p'");
        machine.until("shell", |events, _| events.len() == 1);
        machine.until_said("sulogin: /etc/passwd: No such file or directory: starting a shell");
        machine.open_gate("gate-a");
        machine.until_event("goes on");
        assert_eq!(machine.events(), ["/shell", "left", "goes on"]);
    }
}

/// Root's password is `geheim`.
#[test]
fn single_user_asks_for_the_password() {
    const ROOT: &str = "root:$y$j75$abcdefghijklmnop1234$Hnr2lUE36Zy2pd8rGfC8haA.RTFUbKP0gJpZ5u7tcF8:0:0::/:/bin/sh\n";
    let mut line = Line::new();
    let machine = Machine::boot(&Boot {
        inittab: "::sysinit:echo boots >> /events\n",
        files: &[("dev/tty7", ""), ("etc/passwd", ROOT)],
        set_up: &format!("mount --bind {} dev/tty7", line.path.display()),
        env: &[("CONSOLE", "tty7"), ("TERM", "linux")],
        args: "single",
        ..Boot::default()
    });
    let question = "Root's password for a shell, or Control-D to go on without: ";
    for (typed, answer) in [("secret\n", "Wrong password.\n"), ("geheim\n", "# ")] {
        line.expect(question);
        line.until_hidden();
        line.type_in(typed.as_bytes());
        line.expect(answer);
    }
    line.type_in(b"echo \"name=$0 tty=$(cut -d' ' -f7 /proc/self/stat) home=$HOME.\"\n");
    let shown = line.expect("home=/.\n");
    assert!(shown.contains("name=-sh tty="), "{shown}");
    assert!(
        !shown.contains("tty=0 "),
        "no controlling terminal: {shown}"
    );
    assert_eq!(machine.events(), Vec::<String>::new());
    line.type_in(b"exit\n");
    machine.until_event("boots");
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

/// Not even the end of the machine needs a process.
#[test]
fn without_any_process_the_machine_ends_when_it_is_told() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::respawn:/a\n",
        set_up: "exec prlimit --nproc=2:2 chroot . /sbin/init",
        as_nobody: true,
        ..Boot::default()
    });
    machine.until_said("can't start '/a' yet: fork: Resource temporarily unavailable");
    machine.signal(Signal::USR2);
    assert_eq!(machine.end().signal(), Some(INT));
    assert!(
        machine
            .text("console")
            .contains("Requesting system poweroff")
    );
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
