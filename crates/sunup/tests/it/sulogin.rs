//! Tests of sulogin with real processes on pseudo-terminals, in a mount namespace that has an
//! /etc of its own.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::common::{Fixture, sunup};
use super::line::Line;

/// `geheim`, by Debian's crypt(3).
const HASHES: [&str; 3] = [
    "$y$j75$abcdefghijklmnop1234$Hnr2lUE36Zy2pd8rGfC8haA.RTFUbKP0gJpZ5u7tcF8",
    "$5$saltsalt$cKRA0A5uaKu0/NNi2WMrB.mMOAVMowckrDNQ4fKUJ06",
    "$6$saltsalt$sfZR6YSW/Dp0uCiyF9fDipa6ORr5LVLOwXNgtzRlXXhkC7xA3w4zy97VIC3vL14AUXGJp3yBjZVztkdiBzJnX1",
];

const PROMPT: &str = "Root's password for a shell, or Control-D to go on without: ";
const WAYS: &str = "Press Enter to go on without a shell, or type reboot or poweroff: ";

/// A shell that says how it was started.
const SHELL: &str = r#"#!/bin/sh
read -r pid name state parent group session tty foreground rest < /proc/$$/stat
[ "$group" = "$$" ] && [ "$session" = "$$" ] && [ "$foreground" = "$$" ] && leads=leads
grep -q '^SigBlk:.0000000000000000$' /proc/self/status && free=free
stty -a | grep -q ' echo ' && echo=echo
echo "shell $USER $LOGNAME $HOME $PWD $leads $free $echo"
exit 7
"#;

/// A terminal, an /etc, and a sulogin.
struct Seat {
    line: Line,
    files: Fixture,
    args: Vec<&'static str>,
    env: Vec<(&'static str, String)>,
}

impl Seat {
    /// With root's password field of /etc/passwd, and of /etc/shadow if there is one.
    fn new(passwd: &str, shadow: Option<&str>) -> Self {
        let root = format!("bin:*:1:1::/:/none\nroot:{passwd}:0:0:root:/usr:/none\n");
        let files = Fixture::new(&[
            ("etc/passwd", &root),
            ("shell", SHELL),
            ("bin/poweroff", "#!/bin/sh\necho asked for poweroff\n"),
            ("bin/reboot", "#!/bin/sh\necho asked for reboot\n"),
        ]);
        if let Some(hash) = shadow {
            files.add(
                "etc/shadow",
                &format!("bin:*:1::::::\nroot:{hash}:1::::::\n"),
            );
        }
        let shell = files.path("shell").to_str().unwrap().to_owned();
        Self {
            line: Line::new(),
            files,
            args: vec![],
            env: vec![("SUSHELL", shell)],
        }
    }

    fn start(&self) -> Child {
        let terminal = || self.line.other_end.try_clone().unwrap();
        let own = self.files.path("bin");
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount --bind \"$ETC\" /etc && PATH=$OWN:$PATH && unset ETC OWN && exec \"$@\"")
            .arg("sh")
            .arg(sunup())
            .arg("sulogin")
            .args(&self.args)
            .env("ETC", self.files.path("etc"))
            .env("OWN", own)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(terminal())
            .stdout(terminal())
            .stderr(terminal())
            .spawn()
            .expect("unshare of the package util-linux")
    }
}

/// What sulogin shows that asks nothing, and how it ends.
fn whole(seat: &mut Seat, until: &str) -> (String, ExitStatus) {
    let mut child = seat.start();
    let shown = seat.line.expect(until);
    (shown, child.wait().unwrap())
}

const STARTED: &str = "shell root root /usr /usr leads free echo\n";

#[test]
fn who_knows_the_password_gets_a_shell() {
    for hash in HASHES {
        for mut seat in [Seat::new(hash, None), Seat::new("x", Some(hash))] {
            let mut child = seat.start();
            seat.line.expect(PROMPT);
            seat.line.until_hidden();
            seat.line.type_in(b"geheim\n");
            let shown = seat.line.expect(STARTED);
            assert!(!shown.contains("geheim"), "{shown}");
            // The shell is sulogin's process.
            assert_eq!(child.wait().unwrap().code(), Some(7));
        }
    }
}

#[test]
fn a_wrong_password_is_asked_for_again() {
    let mut seat = Seat::new("x", Some(HASHES[0]));
    let mut child = seat.start();
    for wrong in [&b"Geheim\n"[..], b"\n"] {
        seat.line.expect(PROMPT);
        seat.line.until_hidden();
        seat.line.type_in(wrong);
        let shown = seat.line.expect("Wrong password.\n");
        assert!(!shown.contains("Geheim"), "{shown}");
        assert!(seat.line.is_cooked());
    }
    // A line that is too long is wrong as a whole; keys of the line editor work.
    seat.line.expect(PROMPT);
    seat.line.until_hidden();
    seat.line.type_in(b"no\x15geheix\x7fm\n");
    seat.line.expect("shell root");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn echo_comes_back_on_every_way_out() {
    type Leaves = fn(&mut Seat, &Child);
    let ways: [(&str, Leaves); 4] = [
        ("control-D", |seat, _| seat.line.type_in(b"\x04")),
        ("TERM", |_, child| send(child, Signal::TERM)),
        ("HUP", |_, child| send(child, Signal::HUP)),
        ("the time", |_, _| {}),
    ];
    for (name, leave) in ways {
        let mut seat = Seat::new("x", Some(HASHES[1]));
        if name == "the time" {
            seat.args = vec!["-t", "1"];
        }
        let mut child = seat.start();
        seat.line.expect(PROMPT);
        if name != "the time" {
            seat.line.until_hidden();
        }
        leave(&mut seat, &child);
        let ended = child.wait().unwrap();
        let want = match name {
            "TERM" => (None, Some(15)),
            "HUP" => (None, Some(1)),
            _ => (Some(0), None),
        };
        assert_eq!((ended.code(), ended.signal()), want, "{name}");
        assert!(seat.line.is_cooked(), "{name}");
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Keys that send signals are letters of a password.
#[test]
fn control_c_ends_nothing_while_the_password_is_typed() {
    let mut seat = Seat::new(HASHES[2], None);
    let mut child = seat.start();
    seat.line.expect(PROMPT);
    seat.line.until_hidden();
    seat.line.type_in(b"\x03\x1c\x1a\n");
    seat.line.expect("Wrong password.\n");
    seat.line.expect(PROMPT);
    seat.line.until_hidden();
    seat.line.type_in(b"\x04");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A predecessor that was killed left the line without echo.
#[test]
fn a_line_without_echo_gets_it_back() {
    let mut seat = Seat::new("", None);
    let mut modes = tcgetattr(&seat.line.other_end).unwrap();
    modes.make_raw();
    tcsetattr(&seat.line.other_end, OptionalActions::Now, &modes).unwrap();
    let (shown, _) = whole(&mut seat, STARTED);
    assert!(shown.contains("echo\n"), "{shown}");
}

#[test]
fn what_lets_in_without_a_password_is_said() {
    let empty = "sulogin: root has no password: starting a shell\n";
    for mut seat in [Seat::new("", None), Seat::new("x", Some(""))] {
        let (shown, ended) = whole(&mut seat, STARTED);
        assert!(shown.contains(empty), "{shown}");
        assert_eq!(ended.code(), Some(7));
    }
    let mut seat = Seat::new("x", None);
    let (shown, _) = whole(&mut seat, STARTED);
    let want = "sulogin: /etc/shadow: No such file or directory: starting a shell\n";
    assert!(shown.contains(want), "{shown}");
}

/// The shell of a root that no file knows has no home but /.
#[test]
fn broken_files_let_in_and_are_named() {
    type Breaks = fn(&Fixture);
    let cases: [(Breaks, &str); 6] = [
        (
            |f| fs::remove_file(f.path("etc/passwd")).unwrap(),
            "No such file or directory",
        ),
        (
            |f| f.add("etc/passwd", "\u{1}\u{2}garbage\n::\n"),
            "no line for root",
        ),
        (
            |f| f.add("etc/passwd", &"x".repeat(10 << 20)),
            "no line for root",
        ),
        (|f| f.add("etc/passwd", ""), "no line for root"),
        (
            |f| {
                fs::remove_file(f.path("etc/passwd")).unwrap();
                mkfifoat(CWD, f.path("etc/passwd"), Mode::RUSR).unwrap();
            },
            "not a file",
        ),
        (
            |f| {
                fs::remove_file(f.path("etc/passwd")).unwrap();
                f.add("etc/passwd/", "");
            },
            "Is a directory",
        ),
    ];
    for (breaks, reason) in cases {
        let mut seat = Seat::new("x", Some(HASHES[0]));
        breaks(&seat.files);
        let (shown, _) = whole(&mut seat, "shell root root / / leads free echo\n");
        let want = format!("sulogin: /etc/passwd: {reason}: starting a shell\n");
        assert!(shown.contains(&want), "{want}: {shown}");
    }
}

#[test]
fn a_lock_is_a_lock_unless_it_is_told_otherwise() {
    for (passwd, shadow, why) in [
        ("*", None, "root's password is locked"),
        ("x", Some("!$6$s$h"), "root's password is locked"),
        (
            "$1$salt$hash",
            None,
            "root's password cannot be checked by this sulogin",
        ),
        (
            "x",
            Some("$2b$05$x"),
            "root's password cannot be checked by this sulogin",
        ),
    ] {
        let mut seat = Seat::new(passwd, shadow);
        let mut child = seat.start();
        let shown = seat.line.expect(WAYS);
        assert!(
            shown.contains(&format!("sulogin: {why}: no shell\n")),
            "{shown}"
        );
        seat.line.type_in(b"help\n");
        seat.line.expect(WAYS);
        seat.line.type_in(b"\n");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        seat.args = vec!["-e"];
        let (shown, _) = whole(&mut seat, STARTED);
        let want = format!("sulogin: {why}: starting a shell, as -e says\n");
        assert!(shown.contains(&want), "{shown}");
    }
}

/// Which is found only when a password was typed.
#[test]
fn a_broken_hash_is_no_wrong_password() {
    for hash in [
        "$6$salt",
        "$y$j9T$salt",
        "$y$jxT$LbYwAzV8LmPH$GxcnLJfTZHJrhfV",
    ] {
        let mut seat = Seat::new(hash, None);
        let mut child = seat.start();
        seat.line.expect(PROMPT);
        seat.line.until_hidden();
        seat.line.type_in(b"geheim\n");
        let shown = seat.line.expect(WAYS);
        assert!(
            shown.contains("cannot be checked by this sulogin: no shell\n"),
            "{shown}"
        );
        seat.line.type_in(b"\x04");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn who_gets_no_shell_may_end_the_machine() {
    for word in ["poweroff", "reboot"] {
        let mut seat = Seat::new("*", None);
        let mut child = seat.start();
        seat.line.expect(WAYS);
        seat.line.type_in(format!("{word}\n").as_bytes());
        seat.line.expect(&format!("asked for {word}\n"));
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn other_shells_are_tried() {
    let mut seat = Seat::new("", None);
    seat.env = vec![("SUSHELL", "/nowhere/sh".to_owned())];
    seat.args = vec!["-p"];
    let mut child = seat.start();
    let shown = seat
        .line
        .expect("sulogin: /none: start: No such file or directory\n");
    assert!(
        shown.contains("sulogin: /nowhere/sh: start: No such"),
        "{shown}"
    );
    seat.line
        .type_in(b"echo \"<$0 $SHELL $SUSHELL>\"; exit 9\n");
    seat.line.expect("<-sh /bin/sh >\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn the_terminal_may_be_named() {
    let mut seat = Seat::new("", None);
    let name = seat.line.path.to_str().unwrap().to_owned();
    let etc = seat.files.path("etc");
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc && exec \"$@\"")
        .arg(etc)
        .arg(sunup())
        .args(["sulogin", name.strip_prefix("/dev/").unwrap()])
        .envs(seat.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    seat.line.expect(STARTED);
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn mistakes_of_the_caller_are_named() {
    for (args, mistake) in [
        (
            &["-t", "soon"][..],
            "sulogin: -t soon: not a number of seconds\n",
        ),
        (&["tty1", "tty2"], "sulogin: one terminal, please: tty2\n"),
        (
            &["no/such/tty"],
            "sulogin: no/such/tty: open: No such file or directory\n",
        ),
    ] {
        let output = Command::new(sunup())
            .arg("sulogin")
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(mistake), "{text}");
    }
}
