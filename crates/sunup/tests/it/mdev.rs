//! Tests of mdev with real processes, each in namespaces of its own where /dev,
//! /etc and /sys are a fixture's.
//!
//! Only real root may make device nodes, in no user namespace. As an ordinary
//! user the same tests check that mdev asks for the same nodes: each refusal
//! names one.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::common::{Fixture, wait_for};

mod daemon;

/// Mounts the fixture's directories over the machine's, inside new namespaces.
/// A regular file dev/null becomes the machine's own null, for tests that need
/// some device node.
const ENTER: &str = "
    if [ -f \"$FIXTURE/dev/null\" ]; then mount --bind /dev/null \"$FIXTURE/dev/null\"; fi
    mount --bind \"$FIXTURE/etc\" /etc
    mount --rbind \"$FIXTURE/dev\" /dev
    if [ -d \"$FIXTURE/sys\" ]; then mount --bind \"$FIXTURE/sys\" /sys; else mount -t sysfs sysfs /sys; fi
    cd /
";

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `script` in new mount and network namespaces, as root there.
fn enclosed(fixture: &Fixture, script: &str) -> Command {
    enclosed_as(fixture, script, !root())
}

/// The network namespace comes last: its files in sysfs belong to whoever is
/// root when it is made.
fn enclosed_as(fixture: &Fixture, script: &str, user_namespace: bool) -> Command {
    let flags = if user_namespace { "-Urm" } else { "-m" };
    let script = format!("{ENTER}{script}");
    let mut command = Command::new("unshare");
    command
        .args([flags, "unshare", "-n", "sh", "-ec", &script])
        .env("FIXTURE", fixture.path(""))
        .env("PATH", path_with(fixture))
        .stdin(Stdio::null());
    command
}

fn path_with(fixture: &Fixture) -> String {
    format!(
        "{}:{}:/usr/sbin:/sbin",
        fixture.bin(&["mdev"]).display(),
        std::env::var("PATH").unwrap()
    )
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; install util-linux"))
}

/// Runs a script that must succeed; what it wrote to standard error, by lines.
fn run(fixture: &Fixture, script: &str) -> Vec<String> {
    let output = output(&mut enclosed(fixture, script));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{script}: {errors}");
    errors.lines().map(str::to_owned).collect()
}

/// A machine with three devices in a fixture of sysfs, and these rules.
fn machine(conf: &str) -> Fixture {
    let fixture = Fixture::new(&[
        ("dev/", ""),
        ("etc/mdev.conf", conf),
        ("etc/passwd", "root:x:0:0::/:\nbob:x:1000:1000::/:\n"),
        ("etc/group", "root:x:0:\ntty:x:5:\n"),
        ("sys/dev/block/", ""),
        ("sys/dev/char/", ""),
    ]);
    for (kind, number, path, name) in [
        ("char", "1:3", "virtual/mem/null", "null"),
        ("char", "13:64", "pci/input/input0/event0", "input/event0"),
        ("block", "7:0", "virtual/block/loop0", "loop0"),
    ] {
        let (major, minor) = number.split_once(':').unwrap();
        fixture.add(
            &format!("sys/devices/{path}/uevent"),
            &format!("MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nEXTRA=more\n"),
        );
        let subsystem = path.split('/').nth(1).unwrap();
        fixture.add(
            &format!("sys/devices/{path}/subsystem -> ../../../../class/{subsystem}"),
            "",
        );
        fixture.add(&format!("sys/class/{subsystem}/"), "");
        fixture.add(
            &format!("sys/dev/{kind}/{number} -> ../../devices/{path}"),
            "",
        );
    }
    fixture
}

fn read(fixture: &Fixture, name: &str) -> String {
    fs::read_to_string(fixture.path(name)).unwrap_or_default()
}

/// Everything below `dir`, one line each: path, type, number, owner, mode, target.
fn tree(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            lines.push(format!(
                "{} {:o} {:x} {}:{} {:?}",
                path.strip_prefix(dir).unwrap().display(),
                meta.mode(),
                meta.rdev(),
                meta.uid(),
                meta.gid(),
                fs::read_link(&path).ok()
            ));
            if meta.is_dir() {
                left.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// The names of nodes that could not be made, from busybox's messages or ours.
fn refused(errors: &[String]) -> Vec<String> {
    let mut names: Vec<String> = errors
        .iter()
        .filter(|line| line.contains("Operation not permitted"))
        .map(|line| {
            let line = line.strip_prefix("mdev: ").unwrap();
            match line.strip_prefix("can't create '") {
                Some(rest) => rest.split('\'').next().unwrap().to_owned(),
                None => line.split(':').next().unwrap().to_owned(),
            }
        })
        .collect();
    names.sort();
    names
}

/// Rules of every form whose outcome does not differ on purpose.
const ORACLE_CONF: &str = "\
# a comment
-SUBSYSTEM=me;null 0:0 666
null 1:1 600 =a/%0x
tty1 bob:tty 600 # comment
tty2 0:tty 620 =foo/
tty7 bob 600
tty8 7 640
@4,10-11 4:5 666 >foo/
tty([4-6]) bob:tty 640 >vt/%1
(tty)(2)([0-9]) 0:5 600 \\
  =x%1/%2/%3%9
-loop0 0:0 600 =l0
loop[0-9] 0:6 640
full|zero 0:0 666
(vcsa)(x)?1 0:0 600 =%1-%2
$ACTION=(a)dd;x 0:0 600
-zram0 0:0 600 !
kmsg 0:0 600 ! @echo \"$MDEV $SUBSYSTEM $ACTION\" > ran; chmod 600 ran
";

#[test]
fn a_scan_makes_what_busybox_makes() {
    let scan = |program: &str| {
        let fixture = Fixture::new(&[
            ("dev/", ""),
            ("etc/mdev.conf", ORACLE_CONF),
            ("etc/passwd", "bob:x:1000:1000::/:\n"),
            ("etc/group", "tty:x:5:\n"),
        ]);
        let errors = run(&fixture, program);
        (
            tree(&fixture.path("dev")),
            refused(&errors),
            read(&fixture, "dev/ran"),
        )
    };
    let there = Command::new("busybox").arg("true").status();
    assert!(there.is_ok(), "install busybox-static");
    let (theirs, their_refusals, their_command) = scan("busybox mdev -s");
    let (ours, our_refusals, our_command) = scan("mdev -s");
    assert_eq!(our_command, their_command);
    assert_eq!(our_command, "kmsg mem add\n");
    if root() {
        assert_eq!(ours, theirs);
        assert!(
            ours.iter().any(|line| line.starts_with("vt/4 ")),
            "{ours:?}"
        );
    } else {
        assert_eq!(our_refusals, their_refusals);
        assert!(
            our_refusals.contains(&"vt/4".to_owned()),
            "{our_refusals:?}"
        );
    }
}

#[test]
fn bad_lines_are_named_and_the_rest_goes_on() {
    let fixture = machine("null 0:0\nnull nobody:0 600\nnull[ 0:0 600\nnull bob:tty 604\n");
    let errors = run(&fixture, "mdev -s");
    assert_eq!(
        errors[..2],
        [
            "mdev: /etc/mdev.conf: line 1: a rule needs DEVICE USER[:GROUP] MODE",
            "mdev: /etc/mdev.conf: line 2: nobody: no such user",
        ]
    );
    assert!(errors[2].starts_with("mdev: /etc/mdev.conf: line 3: null[: "));
    if root() {
        assert_eq!(errors.len(), 3);
        let null = fs::metadata(fixture.path("dev/null")).unwrap();
        assert_eq!(
            (null.mode() & 0o7777, null.uid(), null.gid()),
            (0o604, 1000, 5)
        );
    } else {
        assert_eq!(refused(&errors), ["input/event0", "loop0", "null"]);
    }
}

/// What a short text would cost a matcher: gigabytes.
#[test]
fn an_expression_that_would_take_much_memory_is_named_and_the_rest_goes_on() {
    let groups = "(nu)?|".repeat(10_000);
    let fits = format!("{}null", "(nu)?|".repeat(600));
    let conf = format!(
        "{groups}null 0:0 600\n(((n{{99}}){{99}}){{99}}|null) 0:0 601\n\
         $EXTRA=(.{{1000}}){{1000}} 0:0 602\n{fits} bob:tty 604\n.* 0:0 660 !\n"
    );
    let fixture = machine(&conf);
    let errors = run(&fixture, "ulimit -v 65536; mdev -s");
    for (number, error) in (1..).zip(&errors[..3]) {
        let line = format!("mdev: /etc/mdev.conf: line {number}: ");
        assert!(error.starts_with(&line) && error.len() < 200, "{error}");
        let reason = ": longer than 4096 bytes, repetitions written out";
        assert!(error.ends_with(reason), "{error}");
    }
    if root() {
        assert_eq!(errors.len(), 3);
        let null = fs::metadata(fixture.path("dev/null")).unwrap();
        assert_eq!((null.mode() & 0o7777, null.uid()), (0o604, 1000));
    } else {
        assert_eq!(refused(&errors), ["null"]);
    }
}

#[test]
fn the_systems_log_hears_it_too() {
    let fixture = machine("bad\n.* 0:0 660 !\n");
    let log = UnixDatagram::bind(fixture.path("dev/log")).unwrap();
    log.set_nonblocking(true).unwrap();
    let errors = run(&fixture, "mdev -sS");
    let mut record = [0; 200];
    let bytes = log.recv(&mut record).unwrap();
    let record = std::str::from_utf8(&record[..bytes]).unwrap();
    assert_eq!(record, format!("<29>{}", errors[0]));
}

/// As on devtmpfs, where the kernel has made the nodes already.
#[test]
fn the_kernels_node_gives_way_to_a_link() {
    let fixture = machine("null 0:0 666 >mem/%0\nloop0 0:0 660 =disk/\ninput/.* 0:0 660 >ev\n");
    if !root() {
        // The node cannot be made elsewhere, so what is there stays.
        fixture.add("dev/null -> kept", "");
        fixture.add("dev/loop0 -> kept", "");
        let errors = run(&fixture, "mdev -s");
        assert_eq!(refused(&errors), ["disk/loop0", "ev", "mem/null"]);
        for name in ["null", "loop0"] {
            let path = fixture.path("dev").join(name);
            assert_eq!(fs::read_link(path).unwrap(), Path::new("kept"));
        }
        return;
    }
    let made = "mknod /dev/null c 1 3; mknod /dev/loop0 b 7 0; mkdir /dev/input; mknod /dev/input/event0 c 13 64;";
    // Twice: the second time everything is as it should be.
    let errors = run(&fixture, &format!("{made} mdev -s; mdev -sv"));
    assert_eq!(errors, [""; 0]);
    let link = |name| fs::read_link(fixture.path(name)).unwrap();
    assert_eq!(link("dev/null"), Path::new("mem/null"));
    assert_eq!(link("dev/input/event0"), Path::new("../ev"));
    assert!(!fixture.path("dev/loop0").exists());
    let kind = |name| fs::metadata(fixture.path(name)).unwrap().file_type();
    assert!(kind("dev/mem/null").is_char_device());
    assert!(kind("dev/disk/loop0").is_block_device());
}

#[test]
fn what_is_there_is_corrected() {
    let fixture = machine("null bob:tty 640\nloop0 0:0 600\n.* 0:0 660 !\n");
    if !root() {
        fixture.add("dev/null", "");
        // The right device, but with another owner, which only its owner may change.
        let errors = run(&fixture, "mdev -s").join("\n");
        assert!(
            errors.contains("mdev: null: change the owner: "),
            "{errors}"
        );
        return;
    }
    // The right device keeps its inode; another device's node and a file do not stay.
    let script = "mknod -m 600 /dev/null c 1 3; stat -c %i /dev/null >/dev/inode;
        mknod /dev/loop0 b 7 9; mdev -s";
    assert_eq!(run(&fixture, script), [""; 0]);
    let null = fs::metadata(fixture.path("dev/null")).unwrap();
    assert_eq!(null.ino().to_string(), read(&fixture, "dev/inode").trim());
    assert_eq!(
        (null.mode() & 0o7777, null.uid(), null.gid()),
        (0o640, 1000, 5)
    );
    let loop0 = fs::metadata(fixture.path("dev/loop0")).unwrap();
    assert_eq!(loop0.rdev(), rustix::fs::makedev(7, 0));
    assert!(!fixture.path("dev/input").exists());
}

#[test]
fn commands_know_the_event() {
    let fixture = machine(
        "input/event0 0:0 660 =e0 @echo $MDEV $ACTION $SUBSYSTEM $MAJOR:$MINOR $DEVPATH $EXTRA $PWD >ran\n\
         loop0 0:0 660 @exit 3\n\
         null 0:0 660 $echo never >ran\n",
    );
    run(&fixture, "mdev -s");
    assert_eq!(
        read(&fixture, "dev/ran"),
        "e0 add input 13:64 /devices/pci/input/input0/event0 more /dev\n"
    );
}

#[test]
fn a_helper_takes_its_event_from_the_environment() {
    let fixture = machine("sda.* 0:0 660 >disk/ *echo $ACTION $MDEV $OTHER >>ran\n");
    let event = |action: &str| {
        format!(
            "ACTION={action} DEVPATH=/devices/block/sda SUBSYSTEM=block MAJOR=8 MINOR=0 \
             DEVNAME=sda OTHER=x mdev block;"
        )
    };
    let errors = run(&fixture, &event("add"));
    if root() {
        assert_eq!(errors, [""; 0]);
        let node = fs::metadata(fixture.path("dev/sda")).unwrap();
        assert!(node.file_type().is_block_device());
    } else {
        assert_eq!(refused(&errors), ["disk/sda"]);
        fixture.add("dev/sda -> disk/sda", "");
    }
    run(
        &fixture,
        &(event("change") + &event("bind") + &event("remove")),
    );
    assert_eq!(
        read(&fixture, "dev/ran"),
        "add disk/sda x\nchange disk/sda x\nremove disk/sda x\n"
    );
    for gone in ["dev/sda", "dev/disk/sda"] {
        assert!(fs::symlink_metadata(fixture.path(gone)).is_err(), "{gone}");
    }
    let bare = output(&mut enclosed(&fixture, "mdev"));
    assert_eq!(bare.status.code(), Some(1));
    let text = String::from_utf8(bare.stderr).unwrap();
    assert!(text.contains("needs ACTION and DEVPATH"), "{text}");
}

/// mknod(2) would cut such numbers, and the node would be another device's: here
/// 1:3, which is null.
#[test]
fn numbers_that_no_node_can_have_are_refused() {
    for (major, minor) in [(4097, 3), (1, 1_048_579)] {
        let fixture = machine("");
        let number = format!("{major}:{minor}\n");
        fixture.add("sys/devices/virtual/mem/big/dev", &number);
        let event = format!("MAJOR={major} MINOR={minor} ACTION=add");
        let errors = run(
            &fixture,
            &format!("{event} DEVPATH=/devices/virtual/mem/big mdev mem"),
        );
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].ends_with("Invalid argument"), "{errors:?}");
        assert!(!fixture.path("dev/big").exists(), "{number}");
    }
}

/// What a script tells mdev: an action and a path, and sysfs has the rest. Rules of
/// each form, and what is done by them here and by busybox.
#[test]
fn a_bare_event_is_completed_from_sysfs_as_by_busybox() {
    let call = |program: &str, conf: &str, path: &str| {
        let fixture = Fixture::new(&[
            ("dev/", ""),
            ("etc/mdev.conf", conf),
            ("sys/block/sda/dev", "8:0\n"),
            ("sys/devices/virtual/block/ram3/dev", "1:3\n"),
            ("sys/devices/virtual/mem/full/dev", "1:7\n"),
            ("sys/devices/virtual/net/lo/mtu", "65536\n"),
        ]);
        let script =
            format!("exec 2>&1 >/dev/said; ACTION=add DEVPATH={path} ALIAS=scsi {program}");
        let output = output(&mut enclosed(&fixture, &script));
        let errors = String::from_utf8(output.stdout).unwrap();
        let errors: Vec<String> = errors.lines().map(str::to_owned).collect();
        let said = read(&fixture, "dev/said");
        assert!(output.status.success(), "{conf}: {errors:?}");
        (
            refused(&errors),
            root().then(|| tree(&fixture.path("dev"))),
            said,
        )
    };
    let sda = "/block/sda";
    for (conf, path) in [
        ("", sda),
        ("", "/devices/virtual/block/ram3"),
        ("", "/devices/virtual/mem/full"),
        ("# nothing\n", "/devices/virtual/net/lo"),
        (
            "lo 0:0 600 @echo $MDEV $ACTION\n",
            "/devices/virtual/net/lo",
        ),
        ("s.* 3:4 640\nsda 5:6 400\n", sda),
        ("-s.* 3:4 640\nsda 5:6 400\n", sda),
        (
            "$ALIAS=scs 3:4 640\n$ALIAS=scs. 5:6 400\n$ALIAS=scsi 7:8 444\n",
            sda,
        ),
        ("ALIAS=scs.;sd[b-z] 3:4 640\nALIAS=s.*;sda 5:6 400\n", sda),
        ("@8,1 3:4 640\n@8,0 5:6 400\n", sda),
        ("@8,0-9 3:4 640\n", sda),
        ("sda 3:4 640 >disk/first\n", sda),
        ("sda 3:4 640 >disk/\n", sda),
        ("sda 3:4 640 =disk/\n", sda),
        ("s([x-z])*d([a-c]+) 3:4 640 >%2/%0-%2\n", sda),
        ("sda 3:4 640 !\n", sda),
        ("sda 3:4 640 @echo $MDEV; echo @ $ALIAS\n", sda),
        ("sda 3:4 640 =disk/ @echo $MDEV '*'\n", sda),
        ("sda 3:4 640 $echo never\n", sda),
    ] {
        let theirs = call("busybox mdev", conf, path);
        let ours = call("mdev", conf, path);
        assert_eq!(ours, theirs, "{path} {conf}");
    }
}

#[test]
fn the_subsystem_of_a_bare_event_is_where_its_link_leads() {
    let fixture = machine("$SUBSYSTEM=mem 0:0 660 ! @echo $SUBSYSTEM $MAJOR:$MINOR >ran\n");
    fixture.add("sys/devices/virtual/mem/null/dev", "1:3\n");
    run(
        &fixture,
        "ACTION=add DEVPATH=/devices/virtual/mem/null mdev",
    );
    assert_eq!(read(&fixture, "dev/ran"), "mem 1:3\n");
}

#[test]
fn helpers_take_turns() {
    let fixture = machine("net 0:0 660 *echo $SEQNUM >>order\n");
    let event = |number: u32| format!("ACTION=add DEVPATH=/devices/net SEQNUM={number} mdev;");
    // The first event starts the count.
    fixture.add("dev/mdev.seq", "");
    run(&fixture, &event(41));
    assert_eq!(read(&fixture, "dev/mdev.seq"), "42");
    // A late event waits for nobody and changes nothing.
    run(&fixture, &event(7));
    assert_eq!(read(&fixture, "dev/mdev.seq"), "42");
    // An event waits for the one before it.
    fixture.add("dev/mdev.log", "");
    let late = enclosed(&fixture, &event(43)).spawn().unwrap();
    let dev = fixture.path("dev");
    wait_for("event 43", &[&dev], || {
        read(&fixture, "dev/mdev.log")
            .contains("mdev: 43 add /devices/net\n")
            .then_some(())
    });
    run(&fixture, &event(42));
    assert!(late.wait_with_output().unwrap().status.success());
    let log = read(&fixture, "dev/mdev.log");
    let order = read(&fixture, "dev/order");
    // On a machine this busy it may have had to give up waiting, and says so.
    assert!(
        order == "41\n7\n42\n43\n" || log.contains("event 43 waited 2 s"),
        "{order}{log}"
    );
    // An event that never comes holds nobody up for ever.
    run(&fixture, &event(50));
    assert_eq!(read(&fixture, "dev/mdev.seq"), "51");
    assert!(read(&fixture, "dev/mdev.log").contains("event 50 waited 2 s"));
}

#[test]
fn firmware_goes_to_the_kernel() {
    let fixture = machine("");
    fixture.add("lib/firmware/a/b.bin", "the firmware");
    for request in ["sys/devices/good", "sys/devices/missing"] {
        fixture.add(&format!("{request}/loading"), "");
        fixture.add(&format!("{request}/data"), "");
    }
    // Last, for programs that need /lib to start: mdev does not.
    let script = "mount --bind \"$FIXTURE/lib\" /lib; export ACTION=add;
        DEVPATH=/devices/good FIRMWARE=a/b.bin mdev; DEVPATH=/devices/missing FIRMWARE=c mdev";
    let errors = run(&fixture, script);
    // Written one after the other, as sysfs takes them.
    assert_eq!(read(&fixture, "sys/devices/good/loading"), "10");
    assert_eq!(read(&fixture, "sys/devices/good/data"), "the firmware");
    assert_eq!(read(&fixture, "sys/devices/missing/loading"), "-1");
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("mdev: /lib/firmware/c: load the firmware "),
        "{errors:?}"
    );
}

#[test]
fn without_sysfs_there_is_an_error() {
    let fixture = Fixture::new(&[("dev/", ""), ("etc/", ""), ("sys/", "")]);
    let output = output(&mut enclosed(&fixture, "mdev -s"));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("mdev: /sys/dev: read: "), "{text}");
    assert!(text.ends_with("is /sys mounted?\n"), "{text}");
}
