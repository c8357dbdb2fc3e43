//! `sv lint` and `sv edit`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use rustix::process::geteuid;

use super::super::common::{Fixture, SLEEP, make_fifo, running, status};
use super::super::runsvdir::Runsvdir;
use super::json::{Json, Schema};
use super::text;

fn sv(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = super::sv(&fixture.path("scan"), args);
    command.env("SUNUP_DB", fixture.path("db"));
    command
}

/// What it finds, and its exit code.
fn lint(fixture: &Fixture, args: &[&str]) -> (i32, String) {
    let args = [&["lint"], args].concat();
    let output = sv(fixture, &args).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code().unwrap(), text(&output))
}

fn set_mode(fixture: &Fixture, name: &str, mode: u32) {
    fs::set_permissions(fixture.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_mistake_is_found() {
    let fixture = Fixture::new(&[
        ("scan/a-empty/data", ""),
        ("scan/b-mode/run", "#!/bin/sh\n"),
        ("scan/b-mode/finish", "#!/bin/sh\n"),
        ("scan/b-mode/setup", "mine"),
        ("scan/c-text/run", "exec web\n"),
        ("scan/d-dos/run", "#!/bin/sh\r\nexec web\r\n"),
        ("scan/e-gone/run", "#!/opt/no such/interpreter -e\n"),
        ("scan/f-log/run", SLEEP),
        ("scan/f-log/log/main/", ""),
        ("scan/f-more/run", SLEEP),
        ("scan/f-more/log/", ""),
        ("scan/f-log/log/backoff", "soon"),
        ("scan/g-set/run", SLEEP),
        ("scan/g-set/timeout-kill", "5s\n"),
        ("scan/g-set/restart", "perhaps\n"),
        ("scan/g-set/needs", ""),
        ("scan/h-name/run", SLEEP),
        ("scan/h-name/needs/bsd", ""),
        ("scan/h-name/needs/h-name", ""),
        ("scan/h-name/wants/j-bacck", ""),
        ("scan/h-name/after/nowhere", ""),
        ("scan/h-name/follows/x@1", ""),
        ("scan/h-name/before/web", ""),
        ("scan/i-open/run", SLEEP),
        ("scan/j-back/run", "#!/bin/sh\nweb &\n"),
        ("scan/k-ready/run", SLEEP),
        ("scan/k-ready/notification-fd", "3"),
        ("scan/l-link/run -> ../nowhere", ""),
        ("scan/m-dir/run/", ""),
        ("db/web/run", SLEEP),
        ("db/x@/run", SLEEP),
    ]);
    set_mode(&fixture, "scan/b-mode/run", 0o644);
    set_mode(&fixture, "scan/b-mode/finish", 0o644);
    for name in ["c-text", "d-dos"] {
        set_mode(&fixture, &format!("scan/{name}/run"), 0o755);
    }
    set_mode(&fixture, "scan/i-open/run", 0o777);
    set_mode(&fixture, "scan/i-open", 0o777);
    let expected = "\
a-empty: run: is missing: write it, or see `sv new --help`
b-mode: setup: hint: is not executable, and does not count: chmod +x
b-mode: run: is not executable: chmod +x
b-mode: finish: is not executable: chmod +x
c-text: run: no program: a script begins with a line such as #!/bin/sh
d-dos: run: the lines end as in DOS, and the kernel finds no such interpreter: remove each CR
e-gone: run: its interpreter /opt/no is not there
f-log: log/run: is missing, and nobody reads what the service says: write it
f-log: log/backoff: line 1: not a number of seconds; taken for 60 seconds
f-more: log/run: hint: is missing, and nobody reads what the service says: write it
g-set: timeout-kill: line 1: not a number of milliseconds; taken for no limit
g-set: restart: line 1: not a policy; taken for always
g-set: needs: not a directory; ignored
h-name: needs/bsd: there is no service of this name
h-name: needs/h-name: a service cannot wait for itself: remove it
h-name: wants/j-bacck: hint: there is no service of this name, did you mean j-back?
i-open: run: everybody may write to it: chmod o-w
i-open: .: everybody may write to its directory: chmod o-w
j-back: run: hint: its last command goes to the background, and the run ends: leave out the &
k-ready: notification-fd: hint: holds 3, which run does not name: it is never ready
l-link: run: its link leads to ../nowhere, which cannot be had
m-dir: run: is no file
";
    let (code, lines) = lint(&fixture, &[]);
    assert_eq!(words(&lines), words(expected), "{lines}");
    assert_eq!(code, 11);
    let (code, more) = lint(&fixture, &["-W"]);
    assert_eq!((code, more), (14, lines));
    let (code, lines) = lint(&fixture, &["-a"]);
    assert!(code == 11 && !lines.contains("\nweb: "), "{lines}");
    let (code, json) = lint(&fixture, &["-j"]);
    assert_eq!((code, json.lines().count()), (11, expected.lines().count()));
    let mut schema = Schema::below("`sv lint -j`");
    for (json, line) in json.lines().map(Json::of).zip(expected.lines()) {
        schema.check(&json);
        let start = format!("{}: {}: ", json.text("name"), json.text("file"));
        assert!(line.starts_with(&start), "{line} is not of {start}");
        let is_error = Json::Boolean(!line.contains(": hint: "));
        assert_eq!(json.get("is_error"), Some(&is_error), "{line}");
    }
    let bad = fixture.path("scan/c-text/");
    let (code, lines) = lint(&fixture, &[bad.to_str().unwrap(), "j-back", "web", "x@"]);
    assert!(code == 1 && lines.lines().count() == 2, "{lines}");
}

/// The reasons of the settings have their own tests: what file, and what is taken instead.
fn words(lines: &str) -> Vec<String> {
    let short = |line: &str| match line.split_once(": line 1: ") {
        Some((before, after)) => [before, after.split_once("; ").unwrap().1].join(": "),
        None => line.to_owned(),
    };
    lines.lines().map(short).collect()
}

#[test]
fn a_circle_is_told_and_so_is_what_was_forgotten() {
    let fixture = Fixture::new(&[
        ("scan/a/run", SLEEP),
        ("scan/a/needs/b", ""),
        ("scan/b/run", SLEEP),
        ("scan/b/after/a", ""),
        ("scan/c/run", SLEEP),
        ("scan/c/down", ""),
    ]);
    let (code, lines) = lint(&fixture, &[]);
    let circle = "a needs b, which after a: a circle; its 2 services do not wait for each other\n";
    assert_eq!((code, &lines[..]), (1, circle));
    let (_, json) = lint(&fixture, &["--json"]);
    Schema::below("`sv lint -j`").check(&Json::of(json.trim_end()));
    assert_eq!(Json::of(json.trim_end()).text("text"), circle.trim_end());
    assert_eq!(lint(&fixture, &["a"]), (0, String::new()));
    let _scanner = Runsvdir::start(&fixture);
    super::printed(&fixture.path("scan"), &["start", "c"]);
    status(&fixture.path("scan/c"), "run", running);
    let told = "c: down: hint: it runs, and will not after a boot: `sv enable c`\n";
    assert_eq!(lint(&fixture, &["c"]), (0, told.into()));
    if geteuid().is_root() {
        chown(fixture.path("scan/c/run"), Some(65534), None).unwrap();
        let (code, lines) = lint(&fixture, &["c"]);
        assert_eq!(code, 0);
        let told = "c: run: hint: it does not belong to root, who starts it: chown root\n";
        assert!(lines.starts_with(told), "{lines}");
    }
}

/// Trees as Void, Debian and others have them: no alarm.
#[test]
fn trees_of_others_are_well() {
    let void = "#!/bin/sh\n[ -r ./conf ] && . ./conf\nexec 2>&1\nexec acpid -f ${OPTS:=-l}\n";
    let fixture = Fixture::new(&[
        ("scan/acpid/run", void),
        ("scan/acpid/conf", "OPTS=\n"),
        ("scan/acpid/supervise -> /run/runit/supervise.acpid", ""),
        (
            "scan/agetty-tty1/run",
            "#!/bin/sh\n\ntty=${PWD##*-}\nexec chpst -P agetty $tty\n",
        ),
        (
            "scan/agetty-tty1/finish",
            "#!/bin/sh\nexec utmpset -w ${PWD##*-}\n",
        ),
        ("scan/agetty-tty2/run -> ../agetty-tty1/run", ""),
        (
            "scan/dhcp/run",
            "#!/bin/sh\nmkdir -p /run/x &\nwait\nexec dhcpcd -B\n",
        ),
        ("scan/dhcp/check", "#!/bin/sh\nexec true\n"),
        ("scan/dhcp/log/run", "#!/bin/sh\nexec vlogger -t dhcp\n"),
        (
            "scan/ssh/run",
            "#!/usr/bin/env /lib/runit/invoke-run\nexec /usr/sbin/sshd -D\n",
        ),
        ("scan/ssh/.meta/installed", ""),
        ("scan/ssh/log/run", "#!/usr/bin/chpst -uroot\n"),
        ("scan/ssh/log/supervise -> /run/runit/supervise/ssh.log", ""),
        ("scan/ssh/down", ""),
        ("scan/bin/run -> /bin/sleep", ""),
        (
            "scan/udev/run",
            "#!/bin/sh -e\nudevd --daemon\nexec pause\n",
        ),
        ("scan/once/run", "#!/bin/sh\nmount -a\nsv down once\n"),
        ("scan/tinydns/env/IP", "127.0.0.1\n"),
        ("scan/tinydns/root/data", ""),
        (
            "scan/tinydns/run",
            "#!/bin/sh\nexec envdir ./env sh -c 'exec tinydns'\n",
        ),
        ("scan/tinydns/log/main/", ""),
        (
            "scan/tinydns/log/run",
            "#!/bin/sh\nexec setuidgid l multilog t ./main\n",
        ),
        ("scan/tinydns/log/status", "old"),
        ("scan/milestone/needs/once", ""),
        ("scan/mounts/setup", "#!/bin/sh\nmount -a\n"),
        ("scan/mounts/after/rarely-there", ""),
    ]);
    if fs::metadata("/usr/bin/chpst").is_err() {
        fixture.add("scan/ssh/log/run", "#!/bin/sh\nexec svlogd -tt main\n");
    }
    assert_eq!(lint(&fixture, &[]), (0, String::new()));
    assert_eq!(lint(&fixture, &["-W"]), (0, String::new()));
    // Our own.
    for tree in [
        "rootfs/etc/runit/sv",
        "examples/containers/three-services/services",
    ] {
        let tree = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(tree);
        assert!(tree.is_dir(), "{}", tree.display());
        let output = super::sv(&tree, &["lint", "-W"]).output().unwrap();
        assert_eq!(
            (text(&output), output.status.code()),
            (String::new(), Some(0))
        );
    }
}

#[test]
fn hostile_entries_are_looked_at_and_left_alone() {
    let fixture = Fixture::new(&[
        ("scan/a\nb/run", SLEEP),
        ("scan/a\nb/needs/x\ny", ""),
        ("scan/c/run", SLEEP),
    ]);
    make_fifo(fixture.path("scan/c/setup"));
    make_fifo(fixture.path("scan/c/kill"));
    let (code, lines) = lint(&fixture, &[]);
    assert_eq!(code, 2);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "a\\nb: needs/x\\ny: there is no service of this name, did you mean a\\nb?"
    );
    assert_eq!(lines[1], "c: setup: is no file");
    assert!(lines[2].starts_with("c: kill: "), "{lines:?}");
    let output = sv(&fixture, &["lint", "nowhere"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("sv: nowhere is not in /"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// An editor that appends a line, and notes what it was called with.
fn editor(fixture: &Fixture) -> String {
    let noted = fixture.path("noted");
    let script = format!(
        "#!/bin/sh\nfor it; do :; done\necho \"$@\" >{}\necho '# end' >>\"$it\"\n",
        noted.display()
    );
    fixture.add("editor", &script);
    fixture.path("editor").display().to_string()
}

#[test]
fn a_file_is_edited_where_it_is_and_looked_at_then() {
    let fixture = Fixture::new(&[
        ("scan/", ""),
        ("db/web/run", SLEEP),
        ("db/x@/run", SLEEP),
        ("db/mount/setup", "#!/bin/sh\n"),
        ("db/x@1/run -> ../x@/run", ""),
    ]);
    let editor = editor(&fixture);
    let db = fixture.path("db").canonicalize().unwrap();
    let edit = |args: &[&str], visual: &str| {
        let mut command = sv(&fixture, &[&["edit"], args].concat());
        command.env("VISUAL", visual).env("EDITOR", "false");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        (output.status.code().unwrap(), text(&output) + &said)
    };
    let noted = || fs::read_to_string(fixture.path("noted")).unwrap();
    assert_eq!(edit(&["web"], &format!("{editor} -x")), (0, String::new()));
    assert_eq!(noted(), format!("-x {}/web/run\n", db.display()));
    assert!(
        fs::read_to_string(db.join("web/run"))
            .unwrap()
            .ends_with("1000\n# end\n")
    );
    assert_eq!(edit(&["mount"], &editor), (0, String::new()));
    assert_eq!(noted(), format!("{}/mount/setup\n", db.display()));
    // That of its template, and this is said.
    let told = format!("sv: {0}/x@1/run is {0}/x@/run\n", db.display());
    let (code, lines) = edit(&["x@1"], &editor);
    assert_eq!((code, lines.replace("/private", "")), (0, told));
    // A new one, and a mistake.
    let (code, lines) = edit(&["web", "timeout-kill"], &editor);
    assert!(
        code == 1 && lines.starts_with("web: timeout-kill: line 1: "),
        "{lines}"
    );
    fs::remove_file(db.join("web/timeout-kill")).unwrap();

    let _scanner = Runsvdir::start(&fixture);
    let on = sv(&fixture, &["enable", "web"]).output().unwrap();
    assert!(on.status.success());
    let told = "sv: web runs as before: `sv restart web`\n";
    assert_eq!(edit(&["web"], &editor), (0, told.into()));
    // Nothing has changed.
    assert_eq!(edit(&["web"], "true"), (0, String::new()));

    super::super::common::make_fifo(db.join("web/fifo"));
    for (args, code, told) in [
        (&["web", "fifo"][..], 1, "web: fifo: not a regular file"),
        (
            &["web", "supervise"],
            1,
            "web: supervise: not a regular file",
        ),
        (
            &["web", "../x@/run"],
            1,
            "web: ../x@/run: not a file in the service directory",
        ),
        (
            &["web", "/etc/passwd"],
            1,
            "not a file in the service directory",
        ),
        (&["web", ""], 1, "not a file in the service directory"),
        (
            &["web", "no/such"],
            1,
            "web: no/such: No such file or directory",
        ),
        (&["wbe"], 1, ", did you mean web?"),
        (&[], 100, "say which service"),
        (&["a", "b", "c"], 100, "one file at most"),
    ] {
        let (found, lines) = edit(args, &editor);
        assert!(found == code && lines.contains(told), "{args:?} {lines}");
    }
    let told = "sv: web: call the editor: exit 1\n";
    assert_eq!(edit(&["web"], "false"), (1, told.into()));
}

/// What is no service is told as what it is.
#[test]
fn what_is_no_directory_is_told_and_so_is_a_scan_directory_that_is_none() {
    let fixture = Fixture::new(&[("db/", ""), ("scan/lost -> /nowhere", "")]);
    make_fifo(fixture.path("scan/fifo"));
    let expected = "fifo: .: is no directory: remove it\n\
                    lost: .: its link leads to /nowhere, which cannot be had\n";
    assert_eq!(lint(&fixture, &[]), (2, expected.into()));
    let none = sv(&fixture, &["lint"]).env("SVDIR", "").output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    let edit = sv(&fixture, &["edit", "fifo"]).output().unwrap();
    let said = String::from_utf8_lossy(&edit.stderr).into_owned();
    assert!(!said.contains("did you mean"), "{said}");
}
