//! What the program finds: its name, descriptors, session, root, directory and signals. What
//! cannot be started is told.

use std::fs;
use std::process::Command;

use super::super::common::{Fixture, copy_program};
use super::{as_root, run, same, same_in, tested, text, tools};

#[test]
fn another_name_for_the_program() {
    let (seen, _) = same(&["-b", "other", "cat", "/proc/self/cmdline"]);
    assert_eq!(seen, "other\0/proc/self/cmdline\0");
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
