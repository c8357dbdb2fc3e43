//! switch_root in namespaces of its own, as PID 1 of a root that is a tmpfs; Debian's busybox
//! beside it, wherever both are to do the same.

use std::fs;
use std::process::Command;

use super::common::{Fixture, sunup};

/// Makes an old root in memory with a new root in it, and goes into it as PID 1. In the old
/// root are: a directory of another file system, links to it, a deep tree, and a file by which
/// busybox knows an initramfs. `$F` is the fixture; `SWITCH` is executed. Descriptor 9 is the
/// old root.
const SET_UP: &str = r#"
    set -e
    mount -t tmpfs old $F/root; cd $F/root
    mkdir -p bin new dev proc sys run other deep/a/b/c
    cp "$SUNUP" bin/sunup; cp "$(command -v busybox)" bin/busybox
    ln -s busybox bin/sh; ln -s sunup bin/switch_root
    : >init; : >deep/a/b/file; ln -s /other link; ln -s file other-file; ln -s .. deep/up
    mount --bind $F/other other
    mount -t tmpfs new new
    mkdir new/proc new/dev new/bin new/sys
    cp bin/busybox new/bin/; ln -s busybox new/bin/sh; ln -s /bin/start new/init
    cp $F/start new/bin/start
    mount -t proc proc proc
    mount -t tmpfs dev dev; : >dev/mark
    exec 9<.
    exec chroot . /bin/sh -c "$SWITCH"
"#;

/// What the new root's init tells. It has /proc only if that moved along.
const START: &str = "#!/bin/sh\nexec 2>&1\necho \"$0 $*, $$\"\ncd /\necho new: *\necho dev: /dev/*\n\
    [ ! -e /proc/1/fd/9 ] || echo old: $(/bin/busybox find /proc/1/fd/9/ -xdev -mindepth 1)\n";

struct Outcome {
    /// What was said, standard error included.
    said: String,
    code: Option<i32>,
    fixture: Fixture,
}

fn run(set_up: &str, switch: &str) -> Outcome {
    let fixture = Fixture::new(&[
        ("root/", ""),
        ("other/precious", "precious"),
        ("start", START),
    ]);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-c", set_up])
        .env("F", fixture.path("."))
        .env("SUNUP", sunup())
        .env("SWITCH", format!("exec 2>&1; {switch}"))
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let precious = fs::read_to_string(fixture.path("other/precious"));
    assert_eq!(precious.unwrap(), "precious");
    Outcome {
        said: String::from_utf8(output.stdout).unwrap(),
        code: output.status.code(),
        fixture,
    }
}

/// By its path: the shell prefers what it has itself.
const OURS: &str = "exec /bin/switch_root";
const BUSYBOXS: &str = "exec busybox switch_root";

#[test]
fn the_new_root_takes_the_place_of_the_old_one_and_its_files_are_deleted() {
    let ours = run(SET_UP, &format!("{OURS} /new /init a 'b c'"));
    assert_eq!(
        ours.said,
        "/init a b c, 1\nnew: bin dev init proc sys\ndev: /dev/mark\nold: /proc/1/fd/9/other\n"
    );
    assert_eq!(ours.code, Some(0));
    // busybox leaves it to the script to move what the kernel mounted.
    let moves = "mount --move /dev /new/dev; mount --move /proc /new/proc;";
    let busyboxs = run(SET_UP, &format!("{moves} {BUSYBOXS} /new /init a 'b c'"));
    // It leaves directories.
    let (said, old) = busyboxs.said.split_once("old: ").unwrap();
    assert!(ours.said.starts_with(said), "{said}");
    assert!(!old.contains("file") && !old.contains("link"), "{old}");
    let by_script = run(SET_UP, &format!("{moves} {OURS} /new /init a 'b c'"));
    assert_eq!(by_script.said, ours.said);
}

#[test]
fn what_the_new_root_has_no_place_for_is_told_and_detached() {
    let set_up = SET_UP.replace("mkdir new/proc new/dev", "mkdir new/proc");
    let ours = run(&set_up, &format!("{OURS} /new /init"));
    assert_eq!(
        ours.said,
        "switch_root: /dev: move to the new root: No such file or directory\n\
        /init , 1\nnew: bin init proc sys\ndev: /dev/*\nold: /proc/1/fd/9/other\n"
    );
}

#[test]
fn another_console_is_used() {
    for program in [OURS, BUSYBOXS] {
        let moves = "mount --move /dev /new/dev; : >/new/dev/tty;";
        let outcome = run(SET_UP, &format!("{moves} {program} -c /dev/tty /new /init"));
        assert_eq!(outcome.said, "", "{program}");
        assert_eq!(outcome.code, Some(0), "{program}");
    }
    let ours = run(SET_UP, &format!("{OURS} -c /dev/none /new /init"));
    let told = "switch_root: /dev/none: open: No such file or directory\n/init , 1\n";
    assert!(ours.said.starts_with(told), "{}", ours.said);
}

/// After a refusal nothing is gone: neither a file, nor a mount.
const WHATS_LEFT: &str = "; echo code $?; cd /; ls init deep/a/b/file new/bin/start dev/mark";

const ALL_IS_THERE: &str = "code 1\ndeep/a/b/file\ndev/mark\ninit\nnew/bin/start\n";

#[test]
fn each_refusal_says_why_and_changes_nothing() {
    let shell = |program: &str| program.replace("exec ", "");
    let in_a_directory = SET_UP.replace("mount -t tmpfs old $F/root;", ":;");
    for (set_up, before, words, why, busybox_too) in [
        (SET_UP, "", "/new /init", "must be run as PID 1", true),
        (
            SET_UP,
            "exec",
            "/deep /init",
            "/deep: is on the file system of /; mount the new root there",
            true,
        ),
        (
            SET_UP,
            "exec",
            "/none /init",
            "/none: enter: No such file or directory",
            true,
        ),
        (
            SET_UP,
            "exec",
            "/new /sbin/none",
            "/new: /sbin/none: No such file or directory",
            false,
        ),
        (
            SET_UP,
            "exec",
            "/new /proc",
            "/new: /proc: Permission denied",
            false,
        ),
        (
            &in_a_directory,
            "exec",
            "/new /init",
            "/: is neither a ramfs nor a tmpfs; its files are not to be deleted",
            true,
        ),
        (SET_UP, "exec", "/new", "NEWROOT or INIT is missing", true),
    ] {
        // As PID 1 its end is that of the machine: then a look from outside has to do.
        let after = if before.is_empty() { WHATS_LEFT } else { "" };
        let ours = run(set_up, &format!("{before} {} {words}{after}", shell(OURS)));
        assert!(
            ours.said.starts_with(&format!("switch_root: {why}\n")),
            "{}",
            ours.said
        );
        if before.is_empty() {
            assert!(ours.said.ends_with(ALL_IS_THERE), "{}", ours.said);
        } else {
            assert_eq!(ours.code, Some(1), "{words}");
        }
        if set_up == in_a_directory {
            assert!(ours.fixture.path("root/deep/a/b/file").exists());
        }
        if busybox_too {
            let theirs = run(
                set_up,
                &format!("{before} {} {words}{after}", shell(BUSYBOXS)),
            );
            assert!(
                theirs.code == Some(1) || theirs.said.contains("code 1\n"),
                "{}",
                theirs.said
            );
        }
    }
}

#[test]
fn an_init_that_cannot_be_executed_is_told() {
    let set_up = SET_UP.replace(
        "cp $F/start new/bin/start",
        "cp /dev/null new/bin/start; chmod 755 new/bin/start",
    );
    let ours = run(&set_up, &format!("{OURS} /new /init"));
    assert_eq!(
        ours.said,
        "switch_root: /init: execute: Exec format error\n"
    );
    assert_eq!(ours.code, Some(127));
}
