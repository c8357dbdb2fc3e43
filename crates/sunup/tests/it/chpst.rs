//! Tests of chpst and the tools of daemontools with real processes. Debian's
//! chpst gets the same command lines: the program must meet the same state, or
//! the exit code must be the same.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::common::{Fixture, copy_program, debian};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The two programs that are compared, under the name `applet`: the one under test
/// and Debian's.
fn tools(applet: &str, fixture: &Fixture) -> [PathBuf; 2] {
    let link = fixture.path("oracle").join(applet);
    if !link.exists() {
        fs::create_dir_all(fixture.path("oracle")).unwrap();
        symlink(debian("chpst"), &link).unwrap();
    }
    [fixture.applet(applet), link]
}

fn run(tool: &Path, args: &[&str], dir: &Path) -> Output {
    Command::new(tool)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/no/home")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs both in the fixture and compares; answers output and exit code.
fn same_in(fixture: &Fixture, applet: &str, args: &[&str]) -> (String, i32) {
    let [ours, theirs] = tools(applet, fixture).map(|tool| run(&tool, args, &fixture.path("")));
    let seen = |output: &Output| (text(&output.stdout), output.status.code());
    assert_eq!(
        seen(&ours),
        seen(&theirs),
        "{applet} {args:?}: {} / {}",
        text(&ours.stderr),
        text(&theirs.stderr)
    );
    if ours.status.code() == Some(111) {
        let line = text(&ours.stderr);
        assert!(line.starts_with(&format!("{applet}: ")), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    (text(&ours.stdout), ours.status.code().unwrap())
}

fn same(args: &[&str]) -> (String, i32) {
    same_in(&Fixture::new(&[]), "chpst", args)
}

/// The chpst under test alone.
fn tested(fixture: &Fixture, args: &[&str]) -> Output {
    let [tool, _] = tools("chpst", fixture);
    run(&tool, args, &fixture.path(""))
}

/// A command with the privileges of root, of a user namespace if need be.
fn as_root(program: &Path, args: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut unshare = Command::new("unshare");
        unshare.arg("-r").arg(program);
        unshare
    };
    command.args(args);
    command
}

const WHO: [&str; 3] = [
    "sh",
    "-c",
    "id -u; id -g; id -G; grep ^Cap /proc/self/status",
];

#[test]
fn users_and_groups() {
    for (account, seen) in [
        ("nobody", "65534\n65534\n65534\n"),
        ("nobody:daemon:bin", "65534\n1\n1 2\n"),
        (":1234:1:2", "1234\n1\n1 2\n"),
        ("root", "0\n0\n0\n"),
    ] {
        let args = [&["-u", account], &WHO[..]].concat();
        let (output, code) = same(&args);
        // Only root may do that.
        assert_eq!(code, if is_root() { 0 } else { 111 });
        assert!(output.starts_with(if is_root() { seen } else { "" }));
    }
    let glued = [&["-unobody"], &WHO[..]].concat();
    same(&glued);
}

#[test]
fn accounts_that_are_none() {
    for account in [
        "no-such-user",
        "nobody:no-such-group",
        ":1000",
        ":abc",
        ":12x",
        "1000",
        "",
        ":",
        "nobody:",
        "root:0",
    ] {
        for option in ["-u", "-U"] {
            assert_eq!(same(&[option, account, "true"]).1, 111, "{account}");
        }
    }
}

#[test]
fn numbers_that_would_mean_something_else() {
    let fixture = Fixture::new(&[]);
    // Debian's takes group 0 here.
    let output = tested(&fixture, &["-U", ":1000:", "true"]);
    assert_eq!(output.status.code(), Some(111));
    assert_eq!(text(&output.stderr), "chpst: :1000:: empty name\n");
    // To the kernel, the highest number means: leave it as it is. Debian's wraps
    // a higher one, and stays root.
    for account in [
        ":4294967295:1",
        ":1:4294967295",
        ":1:1:4294967295",
        ":4294967296:1",
    ] {
        for option in ["-u", "-U"] {
            let output = tested(&fixture, &[option, account, "true"]);
            assert_eq!(output.status.code(), Some(111));
        }
    }
}

#[test]
fn privileges_are_gone_for_good() {
    let fixture = Fixture::new(&[]);
    if !is_root() {
        let output = tested(&fixture, &["-u", ":1:1", "true"]);
        assert_eq!(
            text(&output.stderr),
            "chpst: become user 1: set the groups: Operation not permitted\n"
        );
        return;
    }
    let back = ["-u", "nobody", "setpriv", "--reuid=0", "true"];
    assert!(!tested(&fixture, &back).status.success());
    let ids = tested(&fixture, &["-u", ":5:6:7", "cat", "/proc/self/status"]);
    let ids = text(&ids.stdout);
    for line in [
        "Uid:\t5\t5\t5\t5",
        "Gid:\t6\t6\t6\t6",
        "Groups:\t6 7 ",
        "CapEff:\t0000000000000000",
    ] {
        assert!(ids.lines().any(|l| l == line), "{line}: {ids}");
    }
    // Where a change of user leaves the capabilities, root could be had back.
    let [tool, _] = tools("chpst", &fixture);
    let output = Command::new("setpriv")
        .args(["--securebits", "+no_setuid_fixup"])
        .arg(&tool)
        .args(["-u", "nobody", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(111));
    assert_eq!(
        text(&output.stderr),
        "chpst: become user 65534: give up privileges: root could be had back\n"
    );
}

#[test]
fn numbers_of_an_account_in_variables() {
    let show = ["sh", "-c", "echo $UID $GID"];
    for (account, seen) in [
        ("nobody", "65534 65534\n"),
        ("nobody:daemon:bin", "65534 1\n"),
        (":5:6", "5 6\n"),
    ] {
        let args = [&["-U", account], &show[..]].concat();
        assert_eq!(same(&args), (seen.to_owned(), 0));
    }
}

#[test]
fn another_name_for_the_program() {
    let (seen, _) = same(&["-b", "other", "cat", "/proc/self/cmdline"]);
    assert_eq!(seen, "other\0/proc/self/cmdline\0");
}

fn variables() -> Fixture {
    Fixture::new(&[
        ("env/PLAIN", "plain"),
        ("env/WORDS", "  two words \t \nsecond line\n"),
        ("env/NUL", "x\0y\n"),
        ("env/END", "z \0 \n"),
        ("env/HOME", ""),
        ("env/EMPTY", "\n"),
        ("env/.hidden", "hidden"),
        ("env/LONG", &"l".repeat(1000)),
        ("env/GONE -> /dev/null", ""),
    ])
}

#[test]
fn a_directory_of_variables() {
    let fixture = variables();
    let sorted = ["sh", "-c", "env -0 | sort -z"];
    let args = [&["-e", "env"], &sorted[..]].concat();
    let (seen, code) = same_in(&fixture, "chpst", &args);
    assert_eq!(code, 0);
    let has = |variable: &str| seen.split('\0').any(|v| v == variable);
    assert!(has("PLAIN=plain") && has("WORDS=  two words") && has("NUL=x\ny"));
    assert!(has("EMPTY=") && has("END=z \n"));
    assert!(!seen.contains("HOME=") && !seen.contains("hidden") && !seen.contains("GONE"));
    let alias = [&["env"], &sorted[..]].concat();
    assert_eq!(same_in(&fixture, "envdir", &alias).0, seen);
}

#[test]
fn the_program_is_looked_up_in_the_former_path() {
    let fixture = Fixture::new(&[("env/PATH", "/no/such/place")]);
    let (seen, code) = same_in(&fixture, "chpst", &["-e", "env", "env"]);
    assert!(code == 0 && seen.contains("PATH=/no/such/place\n"));
}

#[test]
fn what_is_no_variable_is_told_and_left_out() {
    let fixture = Fixture::new(&[("env/sub/", ""), ("env/A", "a")]);
    let args = ["-e", "env", "sh", "-c", "echo $A"];
    assert_eq!(same_in(&fixture, "chpst", &args), ("a\n".to_owned(), 0));
    let output = tested(&fixture, &args);
    let line = "chpst: env/sub: set a variable: not a file\n";
    assert_eq!(text(&output.stderr), line);
    let fixture = Fixture::new(&[("env/B=C", "b"), ("env/A", "a")]);
    let output = tested(&fixture, &["-e", "env", "env"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stdout).contains("B=C"));
    let line = "chpst: env/B=C: set a variable: its name holds a =\n";
    assert_eq!(text(&output.stderr), line);
}

#[test]
fn a_variable_that_cannot_be_read_stops_it() {
    let fixture = Fixture::new(&[("env/A -> nowhere", "")]);
    let output = tested(&fixture, &["-e", "env", "true"]);
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).starts_with("chpst: env/A: read: No such file"));
    let fixture = Fixture::new(&[("env/A", &"x".repeat(128 * 1024 + 1))]);
    let output = tested(&fixture, &["-e", "env", "true"]);
    assert!(text(&output.stderr).contains("its first line is longer than 131072 bytes"));
    assert_eq!(same(&["-e", "/no/such/dir", "true"]).1, 111);
    if !is_root() {
        let fixture = Fixture::new(&[("env/A", "a")]);
        let none = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        fs::set_permissions(fixture.path("env/A"), none).unwrap();
        assert_eq!(same_in(&fixture, "chpst", &["-e", "env", "true"]).1, 111);
    }
}

#[test]
fn nice_levels() {
    let (start, _) = same(&["nice"]);
    let start: i32 = start.trim().parse().unwrap();
    for inc in ["5", "+5"] {
        let (level, _) = same(&["-n", inc, "nice"]);
        assert_eq!(level.trim().parse::<i32>().unwrap(), (start + 5).min(19));
    }
    assert_eq!(
        same(&["-n", "-1", "true"]).1,
        if is_root() { 0 } else { 111 }
    );
    assert_eq!(same(&["-n", "x", "true"]).1, 100);
    assert_eq!(same(&["-n", "5x", "true"]).1, 100);
}

const LIMITS: [&str; 4] = ["prlimit", "--output", "RESOURCE,SOFT,HARD", "--noheadings"];

#[test]
fn limits() {
    for options in [
        &["-m", "3000000000"][..],
        &["-d", "2000000000", "-o", "50", "-p", "3000", "-f", "50000"],
        &["-c", "7", "-r", "1234567", "-t", "9"],
        &["-d", "4000000000", "-m", "3000000000"],
        &["-m", "3000000000", "-d", "4000000000"],
        // Beyond the hard limit: as far as it goes.
        &["-o", "99999999999"],
        &["-o", "18446744073709551615"],
    ] {
        let args = [options, &LIMITS].concat();
        let (seen, code) = same(&args);
        assert_eq!(code, 0);
        assert_ne!(seen, "");
    }
    let (seen, _) = same(&[&["-o", "50"], &LIMITS[..]].concat());
    assert!(
        seen.lines()
            .any(|l| l.starts_with("NOFILE") && l.contains(" 50 ")),
        "{seen}"
    );
    for bad in ["x", "-1", "10k", "=1"] {
        assert_eq!(same(&["-o", bad, "true"]).1, 100, "{bad}");
    }
    // Debian's makes 0 of it.
    let output = tested(&Fixture::new(&[]), &["-o", "18446744073709551616", "true"]);
    assert_eq!(output.status.code(), Some(100));
}

#[test]
fn softlimit_has_more_letters() {
    let fixture = Fixture::new(&[]);
    let options = "-a 2000000000 -c 1 -d 1900000000 -f 4000000 -l 5000 -p 3000 -r 7000000000 \
                   -s 8000000 -o 55 -t 9";
    let args: Vec<&str> = options.split_whitespace().chain(LIMITS).collect();
    let (seen, code) = same_in(&fixture, "softlimit", &args);
    assert_eq!(code, 0);
    assert!(
        seen.lines()
            .any(|l| l.starts_with("STACK") && l.contains(" 8000000 ")),
        "{seen}"
    );
    same_in(&fixture, "softlimit", &[&["-m", "="], &LIMITS[..]].concat());
    assert_eq!(
        same_in(&fixture, "softlimit", &["-u", "root", "true"]).1,
        100
    );
}

/// The lock of each program keeps the other one out.
#[test]
fn locks_exclude_and_wait() {
    for holder in [0, 1] {
        let fixture = Fixture::new(&[]);
        let both = tools("chpst", &fixture);
        let script = "echo ready; read line; echo first > result";
        let mut first = Command::new(&both[holder])
            .args(["-l", "lock", "sh", "-c", script])
            .current_dir(fixture.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        first
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        assert_eq!(same_in(&fixture, "chpst", &["-L", "lock", "true"]).1, 111);
        let second = Command::new(&both[0])
            .args(["-l", "lock", "cat", "result"])
            .current_dir(fixture.path(""))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        first.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(first.wait().unwrap().success());
        // Without the wait, there would be no result to read.
        assert_eq!(text(&second.wait_with_output().unwrap().stdout), "first\n");
    }
}

#[test]
fn locks_that_cannot_be() {
    assert_eq!(same(&["-l", "/no/such/dir/lock", "true"]).1, 111);
    assert_eq!(same(&["-L", ".", "true"]).1, 111);
    assert_eq!(same(&["-l", "a", "-L", "b", "true"]).1, 100);
    let fixture = Fixture::new(&[]);
    assert_eq!(same_in(&fixture, "chpst", &["-l", "lock", "true"]).1, 0);
    let mode = fs::metadata(fixture.path("lock")).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
}

#[test]
fn setlock_is_that_of_daemontools() {
    let fixture = Fixture::new(&[]);
    let [tool, _] = tools("setlock", &fixture);
    let name = tool.display();
    let nested = |inner: &str| {
        let script = format!("{name} {inner} lock echo inside");
        run(&tool, &["lock", "sh", "-c", &script], &fixture.path(""))
    };
    let output = nested("-n");
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        (String::new(), Some(111))
    );
    assert!(text(&output.stderr).starts_with("setlock: lock: lock: "));
    let output = nested("-nx");
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        (String::new(), Some(0))
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(nested("-nxX").status.code(), Some(111));
    for (options, code) in [("-x", 0), ("-X", 111)] {
        let args = [options, "/no/such/dir/lock", "true"];
        assert_eq!(same_in(&fixture, "setlock", &args).1, code);
    }
    assert_eq!(
        same_in(&fixture, "setlock", &["lock", "echo", "in"]).0,
        "in\n"
    );
    assert_eq!(same_in(&fixture, "setlock", &["lock"]).1, 100);
}

#[test]
fn descriptors_are_closed() {
    let script = "for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && open=\"$open $n\"; done; \
                  exec > result; echo \"open:$open\"";
    for (option, open) in [
        ("-0", "open: 1 2\n"),
        ("-01", "open: 2\n"),
        ("-2", "open: 0 1\n"),
    ] {
        let fixture = Fixture::new(&[]);
        for tool in tools("chpst", &fixture) {
            let output = run(&tool, &[option, "sh", "-c", script], &fixture.path(""));
            assert!(output.status.success());
            assert_eq!(fs::read_to_string(fixture.path("result")).unwrap(), open);
        }
    }
    // A failure is told all the same.
    let output = tested(&Fixture::new(&[]), &["-012", "/no/such/program"]);
    assert!(text(&output.stderr).starts_with("chpst: /no/such/program: start: "));
}

const LEADER: [&str; 3] = [
    "sh",
    "-c",
    "read -r pid name state parent group session rest < /proc/$$/stat
     [ $group = $$ ] && echo group; [ $session = $$ ] && echo session; exit 0",
];

#[test]
fn a_session_of_its_own() {
    let fixture = Fixture::new(&[]);
    assert_eq!(same(&[&["-P"], &LEADER[..]].concat()).0, "group\nsession\n");
    assert_eq!(same(&LEADER).0, "");
    assert_eq!(same_in(&fixture, "pgrphack", &LEADER).0, "group\nsession\n");
    // A leader stays one.
    let [tool, _] = tools("chpst", &fixture);
    let output = Command::new("setsid")
        .arg(tool)
        .arg("-vP")
        .args(LEADER)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "group\nsession\n");
    assert!(text(&output.stderr).starts_with("chpst: start a session: "));
}

/// A root directory with busybox, and accounts of its own.
fn new_root() -> Fixture {
    let fixture = Fixture::new(&[
        ("root/etc/passwd", "web:x:33:34::/:\nbad:x:many:1::/:\n"),
        ("root/etc/group", "www:x:35:\nlame\n"),
        ("root/some/where/", ""),
    ]);
    // It is in the package busybox-static.
    copy_program("/bin/busybox", fixture.path("root/busybox"));
    fixture
}

#[test]
fn another_root() {
    let fixture = new_root();
    let root = fixture.path("root");
    let root = root.to_str().unwrap();
    let show = "pwd; echo $UID $GID";
    for tool in tools("chpst", &fixture) {
        let args = ["-U", "web:www", "-/", root, "/busybox", "sh", "-c", show];
        let output = as_root(&tool, &args).output().unwrap();
        assert_eq!(
            text(&output.stdout),
            "/\n33 35\n",
            "{}",
            text(&output.stderr)
        );
    }
    let [tool, _] = tools("chpst", &fixture);
    let output = as_root(&tool, &["-C", "/some/where", "-/", root, "/busybox", "pwd"]).output();
    assert_eq!(text(&output.unwrap().stdout), "/some/where\n");
    for (account, line) in [
        (
            "bad",
            "chpst: /etc/passwd:2: the third field is not a user's number\n",
        ),
        (
            "web:lame",
            "chpst: /etc/group:2: the third field is not a group's number\n",
        ),
        (
            "root",
            "chpst: root: look it up in /etc/passwd: not there\n",
        ),
    ] {
        let output = as_root(&tool, &["-/", root, "-U", account, "/busybox"])
            .output()
            .unwrap();
        assert_eq!(
            (text(&output.stderr).as_str(), output.status.code()),
            (line, Some(111))
        );
    }
    assert_eq!(same(&["-/", "/no/such/dir", "true"]).1, 111);
}

#[test]
fn another_directory() {
    let fixture = Fixture::new(&[("sub/", "")]);
    let output = tested(&fixture, &["-C", "sub", "sh", "-c", "echo ${PWD##*/}"]);
    assert_eq!(text(&output.stdout), "sub\n");
    let output = tested(&fixture, &["-C", "gone", "true"]);
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).starts_with("chpst: gone: change to this directory: No such"));
}

#[test]
fn programs_that_do_not_start() {
    let fixture = Fixture::new(&[("plain", "no program\n")]);
    fs::set_permissions(
        fixture.path("plain"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    for program in ["no-such-program", "/etc/passwd", "./x/y", "", "./plain"] {
        assert_eq!(same_in(&fixture, "chpst", &[program]).1, 111, "{program}");
    }
    assert_eq!(same(&["--", "sh", "-c", "exit 7"]).1, 7);
}

#[test]
fn wrong_command_lines() {
    for args in [
        &[][..],
        &["-u"],
        &["-Z", "true"],
        &["-u", "nobody"],
        &["-v"],
    ] {
        assert_eq!(same(args).1, 100, "{args:?}");
    }
    let fixture = Fixture::new(&[]);
    for applet in [
        "envdir",
        "envuidgid",
        "pgrphack",
        "setlock",
        "setuidgid",
        "softlimit",
    ] {
        assert_eq!(same_in(&fixture, applet, &[]).1, 100, "{applet}");
    }
    for applet in ["envdir", "envuidgid", "setlock", "setuidgid"] {
        assert_eq!(same_in(&fixture, applet, &["nobody"]).1, 100, "{applet}");
    }
    let output = tested(&fixture, &["-V"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).starts_with("chpst: (sunup) "));
}

#[test]
fn accounts_by_the_tools_of_daemontools() {
    let fixture = Fixture::new(&[]);
    let args = [&["nobody"], &WHO[..]].concat();
    assert_eq!(
        same_in(&fixture, "setuidgid", &args).1,
        if is_root() { 0 } else { 111 }
    );
    let show = ["nobody", "sh", "-c", "echo $UID $GID"];
    assert_eq!(same_in(&fixture, "envuidgid", &show).0, "65534 65534\n");
    for applet in ["setuidgid", "envuidgid"] {
        for account in ["no-such-user", "nobody:daemon", ":1:1"] {
            assert_eq!(same_in(&fixture, applet, &[account, "true"]).1, 111);
        }
    }
}

#[test]
fn signals_are_handed_on_as_they_came() {
    let fixture = Fixture::new(&[]);
    let [ours, theirs] = tools("chpst", &fixture).map(|tool| {
        let script = "trap '' HUP; exec \"$@\" grep '^Sig[BI]' /proc/self/status";
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&tool)
            .output()
            .unwrap();
        text(&output.stdout)
    });
    assert_eq!(ours, theirs);
    // HUP is the first; others may have been ignored before.
    let ignored = ours.trim_end().rsplit('\t').next().unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{ours}");
}
