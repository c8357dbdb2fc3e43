//! mdev: its rules, accounts, the files of sysfs and what stands in /dev, in
//! namespaces where /etc, /dev and /sys are the test's own.
//!
//! Only real root may make nodes, and only outside of a user namespace; so here
//! mdev is asked for nodes and refused, and that it asks is what is checked.

use std::fs;

use super::Bad::*;
use super::{Bad, Ran, Table, assert_says, enclosed, run};
use crate::common::Fixture;

/// /lib is the last: programs need it to start, but for mdev.
const PLACES: &str = "mount --bind etc /etc; mount --bind sys /sys
    mount --rbind /dev outer; mount --bind dev /dev; touch /dev/null; mount --bind outer/null /dev/null
    for device in zero full; do touch /dev/$device; mount --bind outer/$device /dev/$device; done
    mount --bind lib /lib; exec \"$@\"";

const RULES: &str = "one root:root 600\ntwo root:root 640\n";

fn fixture() -> Fixture {
    let fixture = Fixture::new(&[
        ("outer/", ""),
        ("dev/", ""),
        ("lib/firmware/", ""),
        ("etc/mdev.conf", RULES),
        ("etc/passwd", "root:x:0:0::/:\n"),
        ("etc/group", "root:x:0:\n"),
        ("sys/dev/block/", ""),
    ]);
    for (name, number) in [("one", "250:1"), ("two", "250:2")] {
        let (major, minor) = number.split_once(':').unwrap();
        let uevent = format!("MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\n");
        fixture.add(&format!("sys/devices/{name}/uevent"), &uevent);
        fixture.add(
            &format!("sys/dev/char/{number} -> ../../devices/{name}"),
            "",
        );
    }
    fixture
}

/// Puts something bad at a path of the fixture and looks at all devices. What is
/// said, without the refused nodes, whose number comes with it.
fn scan(bad: Bad, name: &str) -> (Ran, String, usize) {
    let fixture = fixture();
    bad.put(&fixture.path(name));
    let case = format!("{name} {bad:?}");
    let ran = run(&case, enclosed(&fixture, PLACES, "mdev").arg("-s"));
    assert_eq!(ran.code, 0, "{case}: {}", ran.errors);
    let (nodes, others): (Vec<&str>, Vec<&str>) = ran
        .errors
        .split_inclusive('\n')
        .partition(|line| line.ends_with(": create: Operation not permitted\n"));
    let others = others.concat();
    let nodes = nodes.len();
    (ran, others, nodes)
}

const FILE: Table = &[
    (Missing, ""),
    (Empty, ""),
    (Null, ""),
    (Dangling, ""),
    (Long, "longer than 4194304 bytes; the rest is left out"),
    (Endless, "longer than 4194304 bytes; the rest is left out"),
    (Unreadable, "read: Input/output error"),
    (Directory, "read: Is a directory"),
    (Fifo, "read: not a file"),
    (Socket, "read: not a file"),
    (Loop, "read: Too many levels of symbolic links"),
];

#[test]
fn rules() {
    for (bad, part) in FILE {
        let (_, said, nodes) = scan(*bad, "etc/mdev.conf");
        let case = format!("{bad:?}");
        assert_says(&case, &said, "mdev", "/etc/mdev.conf: ", part);
        // Without rules, each device has a node as by default.
        assert_eq!(nodes, 2, "{case}: {said}");
    }
}

/// Without an account, its rules are none, each of which is named.
#[test]
fn accounts() {
    for file in ["etc/passwd", "etc/group"] {
        for (bad, part) in FILE {
            let (_, said, nodes) = scan(*bad, file);
            let case = format!("{file} {bad:?}");
            let kind = if file == "etc/group" { "group" } else { "user" };
            let unknown = format!(": root: no such {kind}\n");
            let (rules, others): (Vec<&str>, Vec<&str>) = said
                .split_inclusive('\n')
                .partition(|line| line.ends_with(&unknown));
            assert_eq!((rules.len(), nodes), (2, 2), "{case}: {said}");
            assert_says(&case, &others.concat(), "mdev", file, part);
        }
    }
}

#[test]
fn many_bad_lines_are_not_all_told() {
    let fixture = fixture();
    let rules = "bad\n".repeat(5000) + RULES;
    fs::write(fixture.path("etc/mdev.conf"), rules).unwrap();
    let ran = run("many", enclosed(&fixture, PLACES, "mdev").arg("-s"));
    let of_rules = ran
        .errors
        .lines()
        .filter(|line| line.contains("conf: line"));
    assert_eq!(of_rules.count(), 17, "{}", ran.errors);
    assert!(
        ran.errors
            .contains("line 17: a mistake, as in further lines")
    );
}

/// A device whose file cannot be read has no node; the other one has.
#[test]
fn what_the_kernel_says_of_a_device() {
    let table: Table = &[
        (Missing, ""),
        (Dangling, ""),
        (
            Directory,
            "/sys/dev/char/250:1/uevent: read: Is a directory",
        ),
        (Fifo, "/sys/dev/char/250:1/uevent: read: not a file"),
        (Socket, "/sys/dev/char/250:1/uevent: read: not a file"),
        (Loop, "/sys/dev/char/250:1/uevent: read: Too many levels"),
        (Unreadable, "/sys/dev/char/250:1/uevent: read: Input/output"),
    ];
    for (bad, part) in table {
        let (_, said, nodes) = scan(*bad, "sys/devices/one/uevent");
        assert_says(&format!("{bad:?}"), &said, "mdev", "", part);
        assert_eq!(nodes, 1, "{bad:?}: {said}");
    }
    // What is read but says nothing leaves the name of the path.
    for bad in [Empty, Nul, Binary, Long, Null, Endless] {
        let (_, said, nodes) = scan(bad, "sys/devices/one/uevent");
        assert_eq!((said.as_str(), nodes), ("", 2), "{bad:?}");
    }
}

/// A directory in a node's place stays; whatever else there is gives way.
#[test]
fn what_is_in_a_nodes_place() {
    let (_, said, nodes) = scan(Directory, "dev/one");
    let part = "remove what is in its place: Is a directory";
    assert_says("directory", &said, "mdev", "one: ", part);
    assert_eq!(nodes, 1);
    for bad in [Empty, Fifo, Socket, Dangling, Loop, Null] {
        let (_, said, nodes) = scan(bad, "dev/one");
        assert_eq!((said.as_str(), nodes), ("", 2), "{bad:?}");
    }
}

/// An event in the environment, with a bad file at a path.
fn helper(bad: Bad, name: &str, variables: &[(&str, &str)]) -> (Fixture, Ran) {
    let fixture = fixture();
    for file in ["loading", "data"] {
        fixture.add(&format!("sys/devices/one/{file}"), "");
    }
    bad.put(&fixture.path(name));
    let mut command = enclosed(&fixture, PLACES, "mdev");
    command
        .env_remove("SEQNUM")
        .envs([("ACTION", "add"), ("DEVPATH", "/devices/one")])
        .envs(variables.iter().copied());
    let ran = run(&format!("{name} {bad:?}"), &mut command);
    assert_eq!(ran.code, 0, "{name} {bad:?}: {}", ran.errors);
    (fixture, ran)
}

#[test]
fn files_of_a_helper() {
    let table: Table = &[
        (Missing, ""),
        (Dangling, ""),
        (Directory, "open: Is a directory; going on without it"),
        (Fifo, "open: not a file; going on without it"),
        (Socket, "open: not a file; going on without it"),
        (Loop, "open: Too many levels of symbolic links"),
    ];
    for file in ["mdev.log", "mdev.seq"] {
        for (bad, part) in table {
            let (_, ran) = helper(*bad, &format!("dev/{file}"), &[("SEQNUM", "5")]);
            let case = format!("{file} {bad:?}");
            assert_says(&case, &ran.errors, "mdev", file, part);
        }
    }
    for (bad, part) in [
        (Full, "write: No space left on device"),
        (Unreadable, "read: Input/output error"),
    ] {
        let (_, ran) = helper(bad, "dev/mdev.seq", &[("SEQNUM", "5")]);
        assert_says(&format!("{bad:?}"), &ran.errors, "mdev", "mdev.seq", part);
    }
}

/// The kernel is told that there is none, so that its driver need not wait.
#[test]
fn firmware() {
    let table: Table = &[
        (Missing, "No such file or directory"),
        (Dangling, "No such file or directory"),
        (Directory, "Is a directory"),
        (Fifo, "not a file"),
        (Socket, "not a file"),
        (Loop, "Too many levels of symbolic links"),
        (Endless, "longer than 268435456 bytes"),
        (Unreadable, "Input/output error"),
    ];
    let variables = [("FIRMWARE", "chip.bin"), ("SUBSYSTEM", "firmware")];
    for (bad, part) in table {
        let (fixture, ran) = helper(*bad, "lib/firmware/chip.bin", &variables);
        let case = format!("{bad:?}");
        assert_says(&case, &ran.errors, "mdev", "/lib/firmware/chip.bin", part);
        let answer = fs::read_to_string(fixture.path("sys/devices/one/loading")).unwrap();
        assert_eq!(answer, "-1", "{case}");
    }
}
