//! Under a limit of file size (`ulimit -f`, limits.conf), a write beyond it is answered by
//! SIGXFSZ, which kills: who has others to look after must outlive it.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use super::common::{Fixture, wait_exit, wait_for};
use super::machine::{Boot, INT, Machine};

/// Starts an applet in the fixture, under a limit of so many blocks of 512 bytes. What it
/// says goes into a pipe, for which there is no limit.
fn limited(fixture: &Fixture, blocks: u32, applet: &str, arg: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -f {blocks} && exec \"$@\""), "sh"])
        .arg(fixture.applet(applet))
        .arg(arg)
        .current_dir(fixture.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_log_that_may_not_grow_is_followed_by_the_next() {
    let fixture = Fixture::new(&[("log/", "")]);
    let mut svlogd = limited(&fixture, 8, "svlogd", "log");
    let lines: Vec<String> = (0..3000).map(|n| format!("line {n}\n")).collect();
    let lines = lines.concat();
    let fed = svlogd.stdin.take().unwrap().write_all(lines.as_bytes());
    assert!(wait_exit(&mut svlogd).success());
    fed.unwrap();
    let mut names: Vec<_> = fs::read_dir(fixture.path("log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('@'))
        .collect();
    names.sort();
    names.push("current".to_owned());
    let logs = names.iter().map(|name| fixture.path("log").join(name));
    let logs: Vec<String> = logs.map(|log| fs::read_to_string(log).unwrap()).collect();
    assert!(logs.iter().all(|log| log.len() <= 8 * 512));
    assert_eq!(logs.concat(), lines);
}

/// Nothing at all may be written: lines are lost, and that is told, but svlogd reads on.
#[test]
fn no_log_at_all_does_not_stop_the_service() {
    let fixture = Fixture::new(&[("log/", "")]);
    let mut svlogd = limited(&fixture, 0, "svlogd", "log");
    let fed = svlogd.stdin.take().unwrap().write_all(b"one\ntwo\n");
    let output = svlogd.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fed.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("2 lines could not be written\n"), "{said}");
}

/// No record and no status can be written. The service meets the signal as ever.
#[test]
fn a_supervisor_outlives_its_own_writes() {
    let run = "#!/bin/sh\nsh -c 'kill -XFSZ $$'\nmkdir code-$?\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("a/run", run)]);
    let mut runsv = limited(&fixture, 0, "runsv", "a");
    wait_for("service", &[&fixture.path("a")], || {
        let ended = runsv.try_wait().unwrap();
        assert_eq!(ended, None, "the supervisor has ended");
        fixture.path("a/code-153").exists().then_some(())
    });
    fs::write(fixture.path("a/supervise/control"), "x").unwrap();
    assert!(wait_exit(&mut runsv).success());
}

#[test]
fn a_record_that_cannot_be_written_keeps_no_machine_up() {
    let mut machine = Machine::boot(&Boot {
        inittab: "::once:sh -c 'ulimit -f 0; poweroff'\n",
        files: &[("var/log/wtmp", "")],
        ..Boot::default()
    });
    assert_eq!(machine.end().signal(), Some(INT));
}
