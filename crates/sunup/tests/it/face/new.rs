//! `sv new`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::geteuid;

use super::super::common::{Fixture, status, wait_for};
use super::super::runsvdir::Runsvdir;
use super::text;

fn sv(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = super::sv(&fixture.path("scan"), args);
    command.env("SUNUP_DB", fixture.path("db"));
    command
}

fn made(fixture: &Fixture, args: &[&str]) -> Output {
    let output = sv(fixture, args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Each argument arrives as it was said, whatever the shell would make of it.
#[test]
fn what_was_written_runs_the_command_as_it_was_said() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/", "")]);
    let note = fixture.path("note");
    let words: [&[u8]; 7] = [b"a b", b"it's", b"$HOME", b"x\ny", b"", b"-n", b"\xff*"];
    let mut new = sv(&fixture, &["new", "web", "--", "sh", "-c"]);
    let script = "printf '<%s>' \"$@\" >\"$0\"; exec sleep 1000";
    let words_of = words.map(OsStr::from_bytes);
    let output = new.arg(script).arg(&note).args(words_of).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let dir = fixture.path("db/web");
    let told = format!("new: {}; `sv enable web` starts it\n", dir.display());
    assert_eq!(text(&output), told);
    assert_eq!((mode(&dir), mode(&dir.join("run"))), (0o755, 0o755));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

    let scanner = Runsvdir::start(&fixture);
    made(&fixture, &["enable", "web"]);
    let expected: Vec<u8> = words
        .iter()
        .flat_map(|word| [b"<", *word, b">"].concat())
        .collect();
    wait_for("note", &[&fixture.path(".")], || {
        fs::read(&note).ok().filter(|noted| *noted == expected)
    });
    scanner.hang_up();
}

#[test]
fn options_add_what_they_say() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/", "")]);
    let read = |name: &str| fs::read_to_string(fixture.path("db").join(name)).unwrap();
    made(
        &fixture,
        &[
            "new",
            "-u",
            "nobody:daemon",
            "--notify",
            "3",
            "web",
            "--",
            "sleep",
            "9",
        ],
    );
    assert_eq!(
        read("web/run"),
        "#!/bin/sh\nexec 2>&1\nexec chpst -u nobody:daemon sleep 9\n"
    );
    assert_eq!(read("web/notification-fd"), "3");
    assert_eq!(mode(&fixture.path("db/web/notification-fd")), 0o644);
    made(&fixture, &["new", "mount", "--oneshot", "--", "true"]);
    assert_eq!(read("mount/setup"), "#!/bin/sh\nexec 2>&1\nexec true\n");
    assert!(!fixture.path("db/mount/run").exists());
    made(&fixture, &["new", "--log", "ftp", "--", "sleep", "1000"]);
    assert_eq!(mode(&fixture.path("db/ftp/log/run")), 0o755);
    let log = read("ftp/log/run");
    let dir = if geteuid().is_root() {
        "/var/log/ftp"
    } else {
        "main"
    };
    let expected = format!("#!/bin/sh\nmkdir -p {dir} || exit 1\nexec svlogd -tt {dir}\n");
    assert_eq!(log, expected);

    // A oneshot is done, and a template is none without an instance.
    let _scanner = Runsvdir::start(&fixture);
    let done = text(&made(&fixture, &["enable", "mount"]));
    assert!(done.starts_with("ok: done: mount: "), "{done}");
    let told = text(&made(&fixture, &["new", "getty@", "--", "sleep", "1000"]));
    assert!(
        told.ends_with("; `sv enable getty@NAME` starts it\n"),
        "{told}"
    );
    made(&fixture, &["enable", "getty@tty1"]);
    status(&fixture.path("scan/getty@tty1"), "run", |s| s.pid != 0);
}

/// What an instance logs has the instance's name.
#[test]
fn the_log_of_an_instance_has_its_name() {
    let fixture = Fixture::new(&[("scan/", ""), ("db/", ""), ("bin/", "")]);
    made(&fixture, &["new", "-l", "x@", "--", "sleep", "1000"]);
    made(&fixture, &["-w", "0", "list", "-n"]);
    let noted = fixture.path("noted");
    let program = format!("#!/bin/sh\nprintf '%s ' \"$@\" >>{}\n", noted.display());
    fixture.add("bin/svlogd", &program);
    fixture.add("bin/mkdir", "#!/bin/sh\n");
    fs::create_dir_all(fixture.path("db/x@tty1/log")).unwrap();
    let mut log = Command::new("sh");
    let run = fixture.path("db/x@/log/run");
    let path = std::env::join_paths([fixture.path("bin"), "/bin".into(), "/usr/bin".into()]);
    let log = log.arg(run).current_dir(fixture.path("db/x@tty1/log"));
    let log = log.env("PATH", path.unwrap()).env_remove("PWD");
    assert!(log.status().unwrap().success());
    let dir = if geteuid().is_root() {
        "/var/log/x@tty1"
    } else {
        "main"
    };
    assert_eq!(fs::read_to_string(noted).unwrap(), format!("-tt {dir} "));
}

#[test]
fn what_exists_is_left_alone_and_each_mistake_is_told() {
    let fixture = Fixture::new(&[
        ("scan/", ""),
        ("db/web/run", "mine"),
        ("db/lost -> /nowhere", ""),
    ]);
    let fails = |args: &[&str], code: i32, told: &str| {
        let output = sv(&fixture, args)
            .current_dir(fixture.path("."))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?} {said}");
        assert!(said.contains(told), "{args:?} {said}");
    };
    fails(&["new", "web", "--", "true"], 1, "/db/web is there already");
    fails(
        &["new", "lost", "--", "true"],
        1,
        "/db/lost is there already",
    );
    let no_database = super::sv(&fixture.path("scan"), &["new", "x", "--", "true"]);
    let output = { no_database }.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("SUNUP_DB names no database"), "{said}");
    fails(&["new"], 100, "say the name of the service");
    fails(&["new", "x"], 100, "say the command behind --");
    fails(&["new", "x", "--", ""], 100, "say the command behind --");
    fails(&["new", "x", "true", "-g"], 100, "unknown option -g");
    fails(
        &["new", ".x", "--", "true"],
        1,
        ".x: no service can have this name",
    );
    fails(
        &["new", "a/b", "--", "true"],
        1,
        "a/b: no service can have this name",
    );
    fails(&["new", "-n", "many", "x", "--", "true"], 1, "-n many: ");
    fails(
        &["new", "./no/x", "--", "true"],
        1,
        "./no/x: find it: No such file",
    );
    assert_eq!(
        fs::read_to_string(fixture.path("db/web/run")).unwrap(),
        "mine"
    );
    let names = fs::read_dir(fixture.path("db")).unwrap().count();
    assert_eq!(names, 2, "nothing is left");

    // Written, and warned of.
    fails(
        &["new", "gone", "--", "/no/program"],
        0,
        "/no/program is not there, or not exec",
    );
    fails(
        &["new", "typo", "--", "no-such-program"],
        0,
        "is not in PATH, or not executable",
    );
    fails(
        &["new", "near", "--", "bin/web"],
        0,
        "is looked up in the service directory",
    );
    fails(&["new", "./here", "--", "true"], 0, "");
    assert!(fixture.path("here/run").exists());

    // The database is made if there is none.
    fs::rename(fixture.path("db"), fixture.path("old")).unwrap();
    fails(&["new", "web", "--", "true"], 0, "");
    assert!(fixture.path("db/web/run").exists());
}
