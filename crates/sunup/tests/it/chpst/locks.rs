//! A file as a lock.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::super::common::Fixture;
use super::{run, same, same_in, text, tools};

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
