//! Tests of getty with real processes on pseudo-terminals; busybox's getty has
//! the same dialogues, and what it shows and hands on must be the same.

use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{Fixture, applet, wait_for};
use super::line::Line;

/// A login program that writes down how it was started, all at once.
const LOGIN: &str = r#"#!/bin/sh
{
    for a in "$@"; do echo "arg $a"; done
    echo "TERM $TERM"
    echo "tty $(tty)"
    read -r pid name state parent group session tty foreground rest < /proc/$$/stat
    [ "$group" = "$$" ] && [ "$session" = "$$" ] && [ "$foreground" = "$$" ] && echo leads
    [ -e /proc/$$/fd/9 ] && echo 'inherited 9'
    grep -E '^Sig(Blk|Ign)' /proc/self/status
    stty -a
} > "${0%login}facts.new" 2>&1
mv "${0%login}facts.new" "${0%login}facts"
"#;

/// The getty under test.
fn getty() -> Command {
    prepare(applet("getty"))
}

/// That of busybox.
fn oracle() -> Command {
    let mut command = Command::new("busybox");
    command.arg("getty");
    prepare(command)
}

fn prepare(mut command: Command) -> Command {
    command
        .env("TERM", "inherited")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn start(command: &mut Command) -> Child {
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; is busybox-static installed?"))
}

/// What a getty said, handed on, and answered to its supervisor.
#[derive(Debug, PartialEq)]
struct Dialogue {
    shown: String,
    facts: Option<String>,
    code: Option<i32>,
}

impl Dialogue {
    /// Without what is ignored: busybox leaves that as it was when the tests were started.
    fn but_ignored(&self) -> (&str, Option<Vec<&str>>, Option<i32>) {
        let lines = self.facts.as_ref().map(|facts| {
            let kept = facts.lines().filter(|line| !line.starts_with("SigIgn:"));
            kept.collect()
        });
        (&self.shown, lines, self.code)
    }

    fn fact(&self, fact: &str) -> bool {
        let facts = self.facts.as_deref().unwrap_or_default();
        facts.lines().any(|line| line == fact)
    }
}

/// Starts a getty whose arguments are `args`, with LOGIN, TTY and NAME in their
/// places; each of `keys` is typed at a prompt.
fn talk(mut command: Command, args: &[&str], keys: &[&[u8]]) -> Dialogue {
    let fixture = Fixture::new(&[("login", LOGIN), ("issue", "on \\l \\m %%\n")]);
    let mut line = Line::new();
    let args = args.iter().map(|arg| match *arg {
        "LOGIN" => fixture.path("login"),
        "ISSUE" => fixture.path("issue"),
        "TTY" => line.path.clone(),
        "NAME" => line.name().into(),
        other => other.into(),
    });
    command.args(args);
    let mut child = start(&mut command);
    let mut shown = String::new();
    for keys in keys {
        shown += &line.expect("login: ");
        line.type_in(keys);
    }
    let code = child.wait().unwrap().code();
    // The newline of the cooked line is always the last that getty shows.
    shown += &line.expect("\n");
    Dialogue {
        shown: shown.replace(line.path(), "TTY"),
        facts: fs::read_to_string(fixture.path("facts"))
            .ok()
            .map(|facts| facts.replace(line.path(), "TTY")),
        code,
    }
}

/// The dialogue of both programs, which must not differ.
fn same(args: &[&str], keys: &[&[u8]]) -> Dialogue {
    let seen = talk(getty(), args, keys);
    let theirs = talk(oracle(), args, keys);
    assert_eq!(seen.but_ignored(), theirs.but_ignored(), "{args:?}");
    seen
}

#[test]
fn a_name_is_asked_for_and_handed_to_login() {
    let seen = same(
        &["-f", "ISSUE", "-l", "LOGIN", "38400", "TTY", "vt77"],
        &[b"root\r"],
    );
    let machine = rustix::system::uname();
    let machine = machine.machine().to_str().unwrap();
    assert!(seen.shown.starts_with(&format!("\non TTY {machine} %\n")));
    assert!(seen.shown.ends_with(" login: root\n"));
    assert_eq!(seen.code, Some(0));
    for fact in ["arg --", "arg root", "TERM vt77", "tty TTY", "leads"] {
        assert!(seen.fact(fact), "{fact}: {seen:?}");
    }
    let facts = seen.facts.unwrap();
    assert!(facts.contains("speed 38400 baud"), "{facts}");
    assert!(facts.contains("SigBlk:\t0000000000000000"), "{facts}");
    // The lower half: signals 32 and 33 belong to libc.
    let ignored = facts.split_once("SigIgn:\t").unwrap().1;
    assert_eq!(&ignored[9..16], "0000000", "{facts}");
    assert!(facts.contains(" icrnl ixon ixoff"), "{facts}");
}

#[test]
fn the_terminal_may_come_first_and_by_its_name_and_options_last() {
    let seen = same(&["NAME", "0", "-i", "-l", "LOGIN"], &[b"x\n"]);
    assert!(seen.fact("arg x") && seen.fact("TERM inherited"));
    // This terminal sends a line feed, so a carriage return is not mapped.
    assert!(seen.facts.unwrap().contains(" -icrnl "));
}

/// Words behind TERM are no mistake, and options count wherever they stand.
#[test]
fn more_operands_mean_nothing_and_options_count_between_them() {
    let args = [
        "-L", "TTY", "115200", "vt100", "#", "GENERIC", "-i", "-l", "LOGIN",
    ];
    let seen = same(&args, &[b"x\r"]);
    assert!(seen.fact("arg x") && seen.fact("TERM vt100"), "{seen:?}");
    let args = [
        "-L", "TTY", "115200", "vt100", "-n", "root", "-l", "LOGIN", "-I", "text",
    ];
    let seen = same(&args, &[]);
    assert_eq!(seen.shown, "text\n");
    assert!(seen.fact("arg --") && !seen.fact("arg root"), "{seen:?}");
}

#[test]
fn without_a_prompt_login_asks_for_itself() {
    let seen = same(&["-n", "-L", "-l", "LOGIN", "9600", "TTY"], &[]);
    assert_eq!(seen.shown, "\n");
    let facts = seen.facts.unwrap();
    assert!(facts.starts_with("arg --\nTERM "), "{facts}");
    assert!(facts.contains("speed 9600 baud"), "{facts}");
    assert!(facts.contains(" clocal "), "{facts}");
}

#[test]
fn the_name_can_be_edited() {
    let seen = same(
        &["-i", "-l", "LOGIN", "0", "TTY"],
        &[b"ro\x7fX\x08Y\x15ab\x01c\r"],
    );
    assert!(seen.fact("arg abc"), "{seen:?}");
    assert!(seen.facts.unwrap().contains("erase = ^H;"));
}

#[test]
fn a_long_name_is_cut() {
    let keys = [&[b'a'; 300][..], b"\r"].concat();
    let seen = same(&["-i", "-l", "LOGIN", "0", "TTY"], &[&keys]);
    assert!(seen.fact(&format!("arg {}", "a".repeat(127))), "{seen:?}");
}

#[test]
fn control_c_and_d_hang_up() {
    for key in [b"a\x03", b"a\x04"] {
        let seen = same(&["-i", "-l", "LOGIN", "0", "TTY"], &[key]);
        assert_eq!((seen.code, seen.facts), (Some(0), None));
    }
}

#[test]
fn time_to_give_a_name_ends() {
    let seen = same(&["-i", "-t", "3", "-l", "LOGIN", "0", "TTY"], &[b"a"]);
    assert_eq!((seen.code, seen.facts), (Some(0), None));
}

#[test]
fn an_init_string_is_sent_and_a_newline_awaited() {
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let mut line = Line::new();
    let login = fixture.path("login");
    let login = login.to_str().unwrap();
    let mut command = getty();
    command.args([
        "-i",
        "-w",
        "-I",
        "AT\\x2b\\053\\n",
        "-l",
        login,
        "0",
        line.path(),
    ]);
    let mut child = start(&mut command);
    assert_eq!(line.expect("AT++\n"), "AT++\n");
    line.type_in(b"junk\r");
    assert!(line.expect(" login: ").lines().count() == 1);
    line.type_in(b"x\r");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_modem_tells_the_speed() {
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let mut line = Line::new();
    let mut command = getty();
    command.args(["-i", "-m", "-I", "ATA\\n", "-l"]);
    command
        .arg(fixture.path("login"))
        .args(["9600", line.path()]);
    let mut child = start(&mut command);
    line.expect("ATA\n");
    line.type_in(b"CONNECT 2400 V42\r\n");
    line.expect(" login: ");
    line.type_in(b"x\r");
    assert!(child.wait().unwrap().success());
    let facts = fs::read_to_string(fixture.path("facts")).unwrap();
    assert!(
        facts.contains("arg x\n") && facts.contains("speed 2400 baud"),
        "{facts}"
    );
}

#[test]
fn a_break_selects_the_next_speed() {
    let seen = same(&["-i", "-l", "LOGIN", "9600,2400", "TTY"], &[b"\0", b"x\r"]);
    assert!(seen.facts.unwrap().contains("speed 2400 baud"));
}

#[test]
fn an_odd_speed_is_taken_as_it_is() {
    let mut line = Line::new();
    let mut command = getty();
    command.args(["-i", "12345", line.path()]);
    let mut child = start(&mut command);
    line.expect(" login: ");
    let speed = rustix::termios::tcgetattr(&line.other_end)
        .unwrap()
        .output_speed();
    assert_eq!(speed, 12345);
    line.type_in(b"\x04");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_name_that_looks_like_an_option_is_refused() {
    let seen = talk(
        getty(),
        &["-i", "-l", "LOGIN", "0", "TTY"],
        &[b"-froot\r", b"\r", b"x\r"],
    );
    assert!(seen.shown.contains("must not begin with a dash\n"));
    assert!(seen.fact("arg x"));
}

#[test]
fn standard_input_can_be_the_terminal() {
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let mut line = Line::new();
    let mut command = getty();
    command
        .arg("-il")
        .arg(fixture.path("login"))
        .args(["0", "-"])
        .stdin(Stdio::from(line.other_end.try_clone().unwrap()));
    let mut child = start(&mut command);
    line.expect(" login: ");
    line.type_in(b"x\r");
    assert!(child.wait().unwrap().success());
    let facts = fs::read_to_string(fixture.path("facts")).unwrap();
    assert!(
        facts.contains(&format!("tty {}\nleads\n", line.path())),
        "{facts}"
    );
}

#[test]
fn login_inherits_no_stray_descriptor() {
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let line = Line::new();
    let status = Command::new("sh")
        .args(["-c", "exec \"$@\" 9</dev/null", "sh"])
        .arg(fixture.applet("getty"))
        .args(["-n", "-l"])
        .arg(fixture.path("login"))
        .args(["0", line.path()])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let facts = fs::read_to_string(fixture.path("facts")).unwrap();
    assert!(!facts.contains("inherited"), "{facts}");
}

/// A session leader that has another terminal must give it up first: so it is
/// when one getty becomes another.
#[test]
fn a_session_leader_changes_its_terminal() {
    let (first, second) = (Line::new(), Line::new());
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let relay = format!(
        "#!/bin/sh\nexec {} -n -l {} 0 {}\n",
        fixture.applet("getty").display(),
        fixture.path("login").display(),
        second.path()
    );
    fixture.add("relay", &relay);
    let mut command = getty();
    command
        .arg("-nl")
        .arg(fixture.path("relay"))
        .args(["0", first.path()]);
    assert!(start(&mut command).wait().unwrap().success());
    let facts = fs::read_to_string(fixture.path("facts")).unwrap();
    assert!(
        facts.contains(&format!("tty {}\nleads\n", second.path())),
        "{facts}"
    );
}

#[test]
fn a_hang_up_ends_it() {
    let mut line = Line::new();
    let mut command = getty();
    command.args(["-i", "0", line.path()]);
    let mut child = start(&mut command);
    line.expect(" login: ");
    drop(line);
    let status = child.wait().unwrap();
    // The signal, or the end of input, whichever it meets first.
    assert!(
        status.signal() == Some(1) || status.code() == Some(0),
        "{status}"
    );
}

/// Starts a getty that fails, and ends its wait with SIGTERM.
fn fail(command: &mut Command) -> (String, ExitStatus) {
    let mut child = start(command);
    let mut stderr = child.stderr.take().unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\n") {
        let mut byte = [0];
        assert_eq!(
            stderr.read(&mut byte).unwrap(),
            1,
            "no line on standard error"
        );
        text.extend(byte);
    }
    // It waits now, for ten seconds: it must end by the signal, not by itself.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    (String::from_utf8(text).unwrap(), child.wait().unwrap())
}

#[test]
fn a_missing_terminal_is_told_and_sigterm_ends_the_wait() {
    let (text, status) = fail(getty().args(["0", "no-such-line"]));
    assert_eq!(
        text,
        "getty: /dev/no-such-line: open: No such file or directory\n"
    );
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn a_file_is_no_terminal_and_stays_as_it_is() {
    let fixture = Fixture::new(&[("file", "content")]);
    let path = fixture.path("file");
    let before = fs::metadata(&path).unwrap().permissions();
    let (text, _) = fail(getty().arg("0").arg(&path));
    assert_eq!(
        text,
        format!("getty: {}: open: not a terminal\n", path.display())
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions(), before);
}

#[test]
fn a_group_leader_is_told_what_to_do() {
    let line = Line::new();
    let (text, _) = fail(getty().args(["0", line.path()]).process_group(0));
    assert!(
        text.contains("start a session: ") && text.contains("`setsid getty ...`"),
        "{text}"
    );
}

/// Leads a process group, as a job of a shell does. (A shell needs a terminal for it.)
const LEAD: &str = "if (fork) { wait; exit($? >> 8) } setpgrp; exec @ARGV";

/// The leader of the session lives outside the pid namespace, as that of
/// whoever enters a container: its number is 0 there.
#[test]
fn a_session_led_from_outside_is_not_ours() {
    let fixture = Fixture::new(&[]);
    let line = Line::new();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--pid", "--fork"])
        .args(["perl", "-e", LEAD])
        .arg(fixture.applet("getty"))
        .args(["0", line.path()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let (text, status) = fail(&mut command);
    assert!(text.contains("start a session: "), "{text}");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_missing_login_program_is_told_on_the_terminal_too() {
    let mut line = Line::new();
    let mut command = getty();
    command.args(["-nl", "/no/such/login", "0", line.path()]);
    let (text, status) = fail(&mut command);
    assert!(
        text.starts_with("getty: /no/such/login: start: No such file"),
        "{text}"
    );
    assert!(line.expect(&text).ends_with(&text));
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn a_bad_speed_is_a_usage_error() {
    let output = getty().args(["fast", "tty1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("getty: speed tty1: not a number of baud\n"),
        "{text}"
    );
}

#[test]
fn another_session_keeps_its_terminal_from_an_ordinary_user() {
    let mut line = Line::new();
    let mut first = getty();
    first.args(["-i", "0", line.path()]);
    let holder = start(&mut first);
    line.expect(" login: ");
    let mut second = getty();
    second.args(["-i", "0", line.path()]);
    let end_holder = |mut holder: Child| {
        kill_process(Pid::from_child(&holder), Signal::KILL).unwrap();
        holder.wait().unwrap();
    };
    if rustix::process::geteuid().is_root() {
        // Root takes the line away from the first session.
        let mut thief = start(&mut second);
        line.expect(" login: ");
        // Only one may read the next key.
        end_holder(holder);
        line.type_in(b"\x03");
        assert!(thief.wait().unwrap().success());
    } else {
        let (text, _) = fail(&mut second);
        assert!(
            text.contains("make it the controlling terminal: "),
            "{text}"
        );
        end_holder(holder);
    }
}

#[test]
fn a_supervisor_may_start_it_again_on_the_same_line() {
    let fixture = Fixture::new(&[("login", LOGIN)]);
    let mut line = Line::new();
    for name in ["one", "two"] {
        let mut command = getty();
        command
            .arg("-il")
            .arg(fixture.path("login"))
            .args(["0", line.path()]);
        let mut child = start(&mut command);
        line.expect(" login: ");
        line.type_in(format!("{name}\r").as_bytes());
        let dir: &Path = &fixture.path("");
        wait_for("facts of login", &[dir], || {
            let facts = fs::read_to_string(fixture.path("facts")).ok()?;
            facts.contains(&format!("arg {name}\n")).then_some(())
        });
        assert!(child.wait().unwrap().success());
        line.expect("\n");
    }
}
