//! Users and groups: by name or number, in variables, and for good.

use std::process::Command;

use super::super::common::Fixture;
use super::{is_root, same, same_in, tested, text, tools};

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
