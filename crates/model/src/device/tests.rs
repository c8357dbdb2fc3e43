//! Plans for every form of rule and every action.

use super::*;
use crate::format::account::User;
use crate::format::mdev_conf;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};

/// Literals, with one `(...)` that matches anything: enough to test plans with.
struct Toy {
    parts: Vec<String>,
    extent: Extent,
}

impl Ere for Toy {
    fn compile(ere: &[u8], extent: Extent) -> Result<Self, String> {
        let ere = core::str::from_utf8(ere).unwrap();
        if ere.contains('[') {
            return Err("toy: a bracket".into());
        }
        let parts = ere.split("(.*)").map(ToOwned::to_owned).collect();
        Ok(Self { parts, extent })
    }

    fn groups<'t>(&self, text: &'t [u8]) -> Option<Groups<'t>> {
        let mut groups = [None; GROUPS];
        groups[0] = Some(text);
        let first = self.parts[0].as_bytes();
        if self.extent == Extent::Part {
            let found = text.windows(first.len()).any(|w| w == first);
            return found.then_some(groups);
        }
        match self.parts.get(1) {
            None => (text == first).then_some(groups),
            Some(last) => {
                groups[1] = Some(text.strip_prefix(first)?.strip_suffix(last.as_bytes())?);
                Some(groups)
            }
        }
    }
}

fn rules(conf: &str) -> Rules<Toy> {
    let (rules, mistakes) = mdev_conf::decode(conf.as_bytes());
    assert_eq!(mistakes, []);
    let (rules, mistakes) = Rules::resolve(rules, &NAMES);
    assert_eq!(mistakes, []);
    rules
}

const NAMES: Names<'static> = Names {
    user: &|name| {
        (name == b"bob").then_some(User {
            uid: 1000,
            gid: 100,
        })
    },
    group: &|name| (name == b"tty").then_some(5),
};

/// An event on the character device 4:64 called `name`.
fn event(action: &str, name: &str) -> Uevent {
    let devpath = "/devices/x/".to_string() + name;
    let vars = [
        ("ACTION", action),
        ("DEVPATH", &devpath),
        ("SUBSYSTEM", "tty"),
        ("MAJOR", "4"),
        ("MINOR", "64"),
        ("DEVNAME", name),
    ];
    Uevent::from_environment(vars.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())))
}

/// The plan in one line: easy to write, easy to compare.
fn plan_of(conf: &str, event: &Uevent) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let root = Some(Number { major: 8, minor: 1 });
    let lines = rules(conf)
        .plan(event, root)
        .into_iter()
        .map(|op| match op {
            Op::Node {
                path,
                device,
                access: Access { user, group, mode },
            } => {
                assert_eq!(Some(device.number), event.number());
                format!("node {} {user}:{group} {mode:o}", text(&path))
            }
            Op::Link { path, target } => format!("link {} {}", text(&path), text(&target)),
            Op::Unlink { path, .. } => format!("unlink {}", text(&path)),
            Op::Run { command, node } => format!("run {} {}", text(&command), text(&node)),
            Op::Firmware { name } => format!("firmware {}", text(&name)),
        });
    lines.collect::<Vec<_>>().join(", ")
}

fn plan(conf: &str, action: &str) -> String {
    plan_of(conf, &event(action, "ttyS0"))
}

/// Rules, and the plans for add, remove and change of ttyS0.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("", "node ttyS0 0:0 660", "unlink ttyS0", ""),
    ("null 0:0 666", "node ttyS0 0:0 660", "unlink ttyS0", ""),
    ("ttyS 0:0 666", "node ttyS0 0:0 660", "unlink ttyS0", ""),
    (
        "ttyS0 bob:tty 600",
        "node ttyS0 1000:5 600",
        "unlink ttyS0",
        "",
    ),
    (
        "ttyS0 bob 600",
        "node ttyS0 1000:100 600",
        "unlink ttyS0",
        "",
    ),
    ("ttyS0 7 600", "node ttyS0 7:7 600", "unlink ttyS0", ""),
    (
        "ttyS0 0:0 600\nttyS0 0:0 666",
        "node ttyS0 0:0 600",
        "unlink ttyS0",
        "",
    ),
    (
        "-ttyS0 0:0 600\nttyS0 0:0 666",
        "node ttyS0 0:0 600, node ttyS0 0:0 666",
        "unlink ttyS0, unlink ttyS0",
        "",
    ),
    (
        "-ttyS0 0:0 600",
        "node ttyS0 0:0 600, node ttyS0 0:0 660",
        "unlink ttyS0, unlink ttyS0",
        "",
    ),
    (
        "ttyS(.*) 0:0 600 =serial/%1",
        "node serial/0 0:0 600, unlink ttyS0",
        "unlink serial/0",
        "",
    ),
    (
        "ttyS(.*) 0:0 600 >serial/%1",
        "node serial/0 0:0 600, link ttyS0 serial/0",
        "unlink ttyS0, unlink serial/0",
        "",
    ),
    (
        "ttyS0 0:0 600 =serial/",
        "node serial/ttyS0 0:0 600, unlink ttyS0",
        "unlink serial/ttyS0",
        "",
    ),
    // Moving to the own name is no move.
    (
        "ttyS0 0:0 600 =%0",
        "node ttyS0 0:0 600",
        "unlink ttyS0",
        "",
    ),
    (
        "ttyS0 0:0 600 >%0",
        "node ttyS0 0:0 600",
        "unlink ttyS0",
        "",
    ),
    // A node that moved and one that stays: the own name is wanted.
    (
        "-ttyS0 0:0 600 =a\nttyS0 0:0 666",
        "node a 0:0 600, node ttyS0 0:0 666",
        "unlink a, unlink ttyS0",
        "",
    ),
    (
        "-ttyS0 0:0 600 =a\nttyS0 0:0 600 >b",
        "node a 0:0 600, node b 0:0 600, link ttyS0 b",
        "unlink a, unlink ttyS0, unlink b",
        "",
    ),
    ("ttyS0 0:0 600 !", "", "", ""),
    // `!` holds for the rules after it, too.
    ("-ttyS0 0:0 600 !", "", "", ""),
    (
        "ttyS0 0:0 600 @up",
        "node ttyS0 0:0 600, run up ttyS0",
        "unlink ttyS0",
        "",
    ),
    (
        "ttyS0 0:0 600 $down",
        "node ttyS0 0:0 600",
        "run down ttyS0, unlink ttyS0",
        "",
    ),
    (
        "ttyS0 0:0 600 *any",
        "node ttyS0 0:0 600, run any ttyS0",
        "run any ttyS0, unlink ttyS0",
        "run any ttyS0",
    ),
    (
        "ttyS0 0:0 600 ! *any",
        "run any ttyS0",
        "run any ttyS0",
        "run any ttyS0",
    ),
    (
        "ttyS(.*) 0:0 600 >s%1 *any",
        "node s0 0:0 600, link ttyS0 s0, run any s0",
        "run any s0, unlink ttyS0, unlink s0",
        "run any s0",
    ),
    ("@4,64 0:0 600", "node ttyS0 0:0 600", "unlink ttyS0", ""),
    ("@4,60-64 0:0 600", "node ttyS0 0:0 600", "unlink ttyS0", ""),
    ("@4,65-70 0:0 600", "node ttyS0 0:0 660", "unlink ttyS0", ""),
    ("@5,64 0:0 600", "node ttyS0 0:0 660", "unlink ttyS0", ""),
    // No text was matched, so every group is empty.
    (
        "@4,64 0:0 600 =a%0%1",
        "node a 0:0 600, unlink ttyS0",
        "unlink a",
        "",
    ),
    (
        "$SUBSYSTEM=t(.*) 0:0 600 =%1/%0",
        "node ty/tty 0:0 600, unlink ttyS0",
        "unlink ty/tty",
        "",
    ),
    (
        "$SUBSYSTEM=tt 0:0 600",
        "node ttyS0 0:0 660",
        "unlink ttyS0",
        "",
    ),
    (
        "$NONE=(.*) 0:0 600",
        "node ttyS0 0:0 660",
        "unlink ttyS0",
        "",
    ),
    (
        "SUBSYSTEM=tt;ttyS0 0:0 600",
        "node ttyS0 0:0 600",
        "unlink ttyS0",
        "",
    ),
    (
        "SUBSYSTEM=x;ttyS0 0:0 600",
        "node ttyS0 0:0 660",
        "unlink ttyS0",
        "",
    ),
    (
        "NONE=x;ttyS0 0:0 600",
        "node ttyS0 0:0 660",
        "unlink ttyS0",
        "",
    ),
    (
        "SUBSYSTEM=tty;@4,64 0:0 600",
        "node ttyS0 0:0 600",
        "unlink ttyS0",
        "",
    ),
    (
        "SUBSYSTEM=x;@4,64 0:0 600",
        "node ttyS0 0:0 660",
        "unlink ttyS0",
        "",
    ),
];

#[test]
fn every_form_of_rule_and_every_action() {
    for (conf, add, remove, change) in TABLE {
        assert_eq!(plan(conf, "add"), *add, "add: {conf}");
        assert_eq!(plan(conf, "remove"), *remove, "remove: {conf}");
        assert_eq!(plan(conf, "change"), *change, "change: {conf}");
        assert_eq!(plan(conf, "bind"), "", "bind: {conf}");
    }
}

#[test]
fn directories_in_names() {
    let event = event("add", "input/event0");
    assert_eq!(plan_of("", &event), "node input/event0 0:0 660");
    assert_eq!(
        plan_of("input/(.*) 0:0 640 >e/%1", &event),
        "node e/event0 0:0 640, link input/event0 ../e/event0"
    );
    assert_eq!(
        plan_of("input/(.*) 0:0 640 =d/", &event),
        "node d/input/event0 0:0 640, unlink input/event0"
    );
}

#[test]
fn the_root_device_gets_a_link() {
    let mut event = event("add", "sda1");
    for (name, value) in [("SUBSYSTEM", "block"), ("MAJOR", "8"), ("MINOR", "1")] {
        event.set(name.as_bytes(), value.as_bytes());
    }
    assert_eq!(plan_of("", &event), "node sda1 0:0 660, link root sda1");
    assert_eq!(
        plan_of("sda1 0:0 600 =disk/", &event),
        "node disk/sda1 0:0 600, link root disk/sda1, unlink sda1"
    );
    // A character device of the same number is another one.
    event.set(b"SUBSYSTEM", b"char");
    assert_eq!(plan_of("", &event), "node sda1 0:0 660");
}

#[test]
fn without_a_number_there_is_no_node_but_commands_run() {
    let vars = [
        ("ACTION", "add"),
        ("DEVPATH", "/devices/virtual/net/eth0"),
        ("SUBSYSTEM", "net"),
    ];
    let mut event =
        Uevent::from_environment(vars.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())));
    assert_eq!(plan_of("", &event), "");
    assert_eq!(plan_of("eth0 0:0 600 =x/ @up", &event), "run up x/eth0");
    event.set(b"ACTION", b"remove");
    assert_eq!(plan_of("eth0 0:0 600 $down", &event), "run down eth0");
}

#[test]
fn firmware_is_loaded_once_and_its_end_is_no_removal() {
    let mut event = event("add", "ttyS0");
    event.set(b"FIRMWARE", b"a/b.bin");
    assert_eq!(
        plan_of("ttyS0 0:0 600 ! *x", &event),
        "run x ttyS0, firmware a/b.bin"
    );
    event.set(b"FIRMWARE", b"../../etc/shadow");
    assert_eq!(plan_of("ttyS0 0:0 600 !", &event), "");
    event.set(b"ACTION", b"remove");
    assert_eq!(plan_of("", &event), "");
}

#[test]
fn no_device_leads_out_of_dev() {
    assert_eq!(plan_of("", &event("add", "../etc/passwd")), "");
    let mut event = event("add", "ttyS0");
    event.set(b"EVIL", b"../x");
    assert_eq!(
        plan_of("$EVIL=(.*) 0:0 600 =a/%0", &event),
        "node ttyS0 0:0 600"
    );
}

#[test]
fn what_cannot_be_resolved_is_named_and_left_out() {
    let conf = b"a nobody:0 600\nb 0:nogroup 600\n[ 0:0 600\nA=[;c 0:0 600\nd 0:0 600 @x";
    let (decoded, _) = mdev_conf::decode(conf);
    let (rules, mistakes) = Rules::<Toy>::resolve(decoded, &NAMES);
    let mistakes: Vec<String> = mistakes
        .iter()
        .map(|m| format!("{} {}", m.line, m.reason))
        .collect();
    assert_eq!(
        mistakes,
        [
            "1 nobody: no such user",
            "2 nogroup: no such group",
            "3 [: toy: a bracket",
            "4 [: toy: a bracket",
        ]
    );
    assert!(rules.use_variables());
}

#[test]
fn only_names_and_numbers_need_no_variables() {
    assert!(!rules("a 0:0 600 =b\n@1,2 0:0 600").use_variables());
    assert!(rules("A=b;c 0:0 600").use_variables());
    assert!(rules("$A=b 0:0 600").use_variables());
    assert!(rules("a 0:0 600 @b").use_variables());
}

#[test]
fn percent_signs() {
    let mut groups: Groups = [None; GROUPS];
    groups[0] = Some(b"whole");
    groups[8] = Some(b"");
    groups[9] = Some(b"nine");
    assert_eq!(
        substitute(b"%0-%9-%8-%5-%%-%a-%", &groups),
        b"whole-nine--%5-%%-%a-%".as_slice()
    );
}

#[test]
fn expressions_have_a_length_each_and_together() {
    let resolve = |conf: &str| {
        let (decoded, mistakes) = mdev_conf::decode(conf.as_bytes());
        assert_eq!(mistakes, []);
        let (rules, mistakes) = Rules::<Toy>::resolve(decoded, &NAMES);
        let told = mistakes.iter().map(|m| format!("{} {}", m.line, m.reason));
        (rules.rules.len(), told.collect::<Vec<_>>())
    };
    let long = "x".repeat(ERE_BYTES_MAX + 1);
    let conf = format!("good 0:0 600\n{long} 0:0 600\nA=a{{9999}};b 0:0 600\nlast 0:0 600\n");
    let (good, told) = resolve(&conf);
    assert_eq!(good, 2);
    let reason = "longer than 4096 bytes, repetitions written out";
    assert_eq!(
        told,
        [
            format!("2 {}...: {reason}", "x".repeat(64)),
            format!("3 a{{9999}}: {reason}")
        ]
    );
    let full = ERES_BYTES_MAX / ERE_BYTES_MAX;
    let line = format!("{} 0:0 600\n", "y".repeat(ERE_BYTES_MAX));
    let (good, told) = resolve(&(line.repeat(full + 1) + "@1,3 0:0 600\n"));
    assert_eq!((good, told.len()), (full + 1, 1));
    assert!(told[0].ends_with(
        "...: the file's expressions are longer than 131072 bytes, repetitions written out"
    ));
    let many = "null 0:0 600\n".repeat(mdev_conf::RULES_MAX);
    assert_eq!(resolve(&many), (mdev_conf::RULES_MAX, Vec::new()));
}
