//! /run/sunup/boot: what PID 1 and the machine's supervisor write into it, and who does not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use model::format::boot_record::{BEGIN, FULL, Record, TEXT_BYTES_MAX, UP, What};
use rustix::process::Signal;

use super::common::{Fixture, applet, kill, yield_until};
use super::machine::{Boot, Machine};

const INITTAB: &str = "::sysinit:mount -t tmpfs -o mode=755 tmpfs /run\n\
     ::sysinit:sh -c 'exit 3'\n\
     ::wait:true\n\
     ::respawn:/sbin/runsvdir /sv\n";
const RUN: &str = "#!/bin/sh\nexec sleep 1000\n";
/// Without an interpreter, until it is replaced.
const BROKEN: &str = "#!/none\n";
const SERVICES: [(&str, &str); 5] = [
    ("run/", ""),
    ("sbin/runsvdir -> init", ""),
    ("sv/web/run", RUN),
    ("sv/web/log/run", "#!/bin/sh\nexec cat\n"),
    ("sv/ä \"b\"\n/run", RUN),
];

fn boot(inittab: &str, set_up: &str, more: &[(&str, &str)]) -> Machine {
    let files = [&SERVICES, more].concat();
    Machine::boot(&Boot {
        inittab,
        set_up,
        files: &files,
        ..Boot::default()
    })
}

/// The path as PID 1 sees it, once PID 1 is there.
fn inside(machine: &Machine, path: &str) -> PathBuf {
    machine.until_said("starting pid");
    PathBuf::from(format!("/proc/{}/root{path}", machine.pid()))
}

fn read(machine: &Machine) -> Option<Record> {
    let record = fs::read(inside(machine, "/run/sunup/boot")).ok()?;
    Record::decode(&record)
}

/// The record, once `check` likes its lines.
fn until(machine: &Machine, check: impl Fn(&[String]) -> bool) -> Vec<String> {
    yield_until(|| Some(words(&read(machine)?)).filter(|lines| check(lines)))
}

/// The lines in order of their moments, without the moments.
fn words(record: &Record) -> Vec<String> {
    assert_eq!(record.passed_over, 0);
    let mut lines = record.lines.clone();
    lines.sort_by_key(|line| line.at);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = lines.iter().filter_map(|line| {
        Some(match &line.what {
            What::Step { name, failure, .. } => match failure {
                None => format!("step {}", text(name)),
                Some(reason) => format!("step {} failed {}", text(name), text(reason)),
            },
            What::Start(name, 0) => format!("failed {}", text(name)),
            What::Start(name, _) => format!("start {}", text(name)),
            What::Ready(name) => format!("ready {}", text(name)),
            What::Note(name) => format!("note {}", text(name)),
            What::Idle(cpus, _) => {
                assert!(*cpus > 0);
                return None;
            }
            other => panic!("{other:?}"),
        })
    });
    words.collect()
}

fn has(lines: &[String], line: &str) -> bool {
    lines.iter().any(|l| l == line)
}

#[test]
fn a_boot_leaves_its_record() {
    let machine = boot(INITTAB, "", &[("sv/off/run", RUN), ("sv/off/down", "")]);
    let lines = until(&machine, |lines| has(lines, "note up"));
    assert_eq!(
        lines[..6],
        [
            "note begin",
            "step mount -t tmpfs -o mode=755 tmpfs /run",
            "step sh -c 'exit 3' failed exited 3",
            "step true",
            "start /sbin/runsvdir /sv",
            "ready /sbin/runsvdir /sv",
        ]
    );
    assert_eq!(lines.last().unwrap(), "note up");
    let mut services = lines[6..lines.len() - 1].to_vec();
    services.sort();
    let all = ["ready web", "ready web/log", "ready ä \"b\"\n", "start web"];
    assert_eq!(
        services,
        [&all[..], &["start web/log", "start ä \"b\"\n"]].concat()
    );
    let file = fs::metadata(inside(&machine, "/run/sunup/boot")).unwrap();
    assert_eq!(
        (file.mode() & 0o7777, file.uid()),
        (0o644, rustix::process::getuid().as_raw())
    );
    let record = read(&machine).unwrap();
    let idle = record
        .lines
        .iter()
        .filter(|line| matches!(line.what, What::Idle(..)));
    assert!(idle.count() >= 1);

    // It is over: neither a restart nor another supervisor adds to it.
    let before = fs::read(inside(&machine, "/run/sunup/boot")).unwrap();
    machine.root.add("sv/new/run", RUN);
    let new = machine.root.path("sv/new/supervise/status");
    yield_until(|| new.exists().then_some(()));
    kill_supervisor(&machine);
    machine.root.add("sv/newer/run", RUN);
    let newer = machine.root.path("sv/newer/supervise/status");
    yield_until(|| newer.exists().then_some(()));
    assert_eq!(
        fs::read(inside(&machine, "/run/sunup/boot")).unwrap(),
        before
    );
}

/// Ends the supervisor; PID 1 starts the next.
fn kill_supervisor(machine: &Machine) {
    let pid = machine.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let mut children = children.split_whitespace();
    let supervisor = children
        .find(|pid| name(pid).starts_with("runsvdir"))
        .unwrap();
    kill(supervisor.parse().unwrap(), Signal::KILL);
}

/// A supervisor that was killed in the midst has a successor that adds what it does itself.
#[test]
fn a_service_that_does_not_come_up_and_a_successor() {
    let machine = boot(INITTAB, "", &[("sv/bad/run", BROKEN)]);
    let lines = until(&machine, |lines| {
        has(lines, "failed bad") && lines.iter().filter(|l| l.starts_with("ready")).count() == 4
    });
    assert!(!has(&lines, "note up") && !has(&lines, "ready bad"));
    kill_supervisor(&machine);
    machine.root.add("sv/bad/run", RUN);
    let lines = until(&machine, |lines| has(lines, "note up"));
    let count = |line: &str| lines.iter().filter(|l| *l == line).count();
    assert_eq!((count("start bad"), count("ready bad")), (1, 1));
    assert_eq!((count("start web"), count("ready web")), (1, 1));
    assert_eq!(count("start /sbin/runsvdir /sv"), 1);
}

/// By the same means: an upgrade.
#[test]
fn an_upgrade_goes_on() {
    let machine = boot(INITTAB, "", &[("sv/bad/run", BROKEN)]);
    until(&machine, |lines| {
        has(lines, "failed bad") && has(lines, "ready web")
    });
    let pid = machine.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let supervisor = children.split_whitespace().next().unwrap().parse().unwrap();
    kill(supervisor, Signal::USR2);
    machine.root.add("sv/bad/run", RUN);
    let lines = until(&machine, |lines| has(lines, "note up"));
    assert_eq!(lines.iter().filter(|l| *l == "start web").count(), 1);
    assert!(has(&lines, "ready bad"));
}

#[test]
fn the_stages_of_runit() {
    let files = [
        (
            "etc/runit/1",
            "#!/bin/sh\nmount -t tmpfs -o mode=755 tmpfs /run\n",
        ),
        (
            "etc/runit/2",
            "#!/bin/sh\nexec env - PATH=$PATH runsvdir /sv\n",
        ),
    ];
    let machine = Machine::boot(&Boot {
        name: "runit",
        env: &[("PATH", "/sbin:/bin")],
        files: &[&SERVICES[..], &files].concat(),
        ..Boot::default()
    });
    machine.until_said("enter stage");
    let record = yield_until(|| {
        let file = format!("/proc/{}/root/run/sunup/boot", machine.pid());
        Record::decode(&fs::read(file).ok()?).filter(|record| record.has_note(UP))
    });
    let lines = words(&record);
    let first = ["note begin", "step /etc/runit/1", "start /etc/runit/2"];
    assert_eq!(lines[..3], first);
    assert!(has(&lines, "ready web"));
}

/// What a shell starts, or a service, is not the machine's supervisor.
#[test]
fn others_write_nothing() {
    let inittab = INITTAB.replace("/sbin/runsvdir /sv", "sh -c '/sbin/runsvdir /sv; :'");
    let machine = boot(&inittab, "", &[]);
    let status = machine.root.path("sv/web/log/supervise/status");
    yield_until(|| status.exists().then_some(()));
    let lines = until(&machine, |lines| lines.len() == 6);
    assert!(
        lines.last().unwrap().starts_with("ready sh -c"),
        "{lines:?}"
    );
}

/// Whatever stands in its place, the boot goes on, and that is left as it is.
#[test]
fn where_it_cannot_be_written_the_boot_goes_on() {
    let others = [
        ("", "test ! -e /run/sunup"),
        ("touch /run/sunup", "test -f /run/sunup"),
        ("mkdir -p /run/sunup/boot", "test -d /run/sunup/boot"),
        (
            "mkdir /run/sunup; mkfifo /run/sunup/boot",
            "test -p /run/sunup/boot",
        ),
        (
            "mkdir /run/sunup; ln -s /kept /run/sunup/boot",
            "test ! -s /kept",
        ),
    ];
    for (put, is_kept) in others {
        let mount = if put.is_empty() {
            ":"
        } else {
            "mount -t tmpfs tmpfs /run"
        };
        let put = format!("#!/bin/sh\n{mount}\n{put}\n");
        let check = format!(
            "#!/bin/sh\nuntil test -s /sv/web/supervise/pid; do :; done\n{is_kept} && echo kept >>/events\n"
        );
        let inittab = "::sysinit:/put\n::respawn:/sbin/runsvdir /sv\n::once:/check\n";
        let files = [
            ("kept", ""),
            ("put", put.as_str()),
            ("check", check.as_str()),
        ];
        boot(inittab, "", &files).until_event("kept");
    }
}

/// A record that is over belongs to an earlier boot: a container may keep its /run.
#[test]
fn a_boot_begins_anew() {
    let old = "mount -t tmpfs tmpfs run; mkdir run/sunup; \
               printf 'sunup-boot 1\\n5 note \"up\"\\n' >run/sunup/boot";
    let machine = boot(INITTAB.split_once('\n').unwrap().1, old, &[]);
    let lines = until(&machine, |lines| has(lines, "note up") && lines.len() > 2);
    assert_eq!(
        lines[0],
        String::from_utf8_lossy(&[b"note ", BEGIN].concat())
    );
    let record = read(&machine).unwrap();
    assert!(record.lines.iter().all(|line| line.at.0 > 5));
}

#[test]
fn a_full_record_ends() {
    // The newest moment is far away, so the record is not over.
    let old = "mount -t tmpfs tmpfs run; mkdir run/sunup; { echo sunup-boot 1; \
               yes '99999999999999999 free \"a\"' | head -c 262100; echo; } >run/sunup/boot";
    let machine = boot(INITTAB.split_once('\n').unwrap().1, old, &[]);
    let file = inside(&machine, "/run/sunup/boot");
    let text = yield_until(|| {
        let text = fs::read_to_string(&file).ok()?;
        text.ends_with("note \"full\"\n").then_some(text)
    });
    assert!(text.len() <= 256 * 1024, "{}", text.len());
    let status = machine.root.path("sv/web/supervise/pid");
    yield_until(|| (fs::read(&status).is_ok_and(|pid| !pid.is_empty())).then_some(()));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(FULL.len() < TEXT_BYTES_MAX);
}

/// The record of this boot, or that of a file.
#[test]
fn sv_boot_prints_it() {
    let ask = "#!/bin/sh\nuntil grep -q '\"up\"' /run/sunup/boot; do :; done 2>/none\n\
               sv boot >/told 2>&1\n\
               sv boot /run/sunup/boot | cmp - /told && sv boot /none >/none 2>&1; echo $? >>/events\n";
    let files = [
        ("sbin/sv -> init", ""),
        ("ask", ask),
        ("told", ""),
        ("none", ""),
    ];
    let inittab = format!("{INITTAB}::once:/ask\n");
    let machine = boot(&inittab, "", &files);
    machine.until_event("1");
    let told = machine.text("told");
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].ends_with("stage 1   until its last step ended"),
        "{told}"
    );
    assert!(
        lines[1].ends_with("services  until all that is wanted was up"),
        "{told}"
    );
    for part in [
        "  sh -c 'exit 3'\n",
        "failed: exited 3\n",
        "  web/log\n",
        "  /sbin/runsvdir /sv\n",
        "  \\xc3\\xa4 \"b\"\\n\n",
    ] {
        assert!(told.contains(part), "no {part:?}: {told}");
    }
    assert!(!told.contains("could not"), "{told}");
    let refused = "sv: /none: not the record of a boot\n";
    assert_eq!(machine.text("none"), refused);
}

#[test]
fn sv_boot_says_what_is_wrong() {
    let fixture = Fixture::new(&[("sunup", "sunup-boot 1\n1 note \"init\"\n"), ("d/", "")]);
    let boot = |args: &[&str]| {
        let output = applet("sv").arg("boot").args(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let path = |name: &str| fixture.path(name).to_str().unwrap().to_owned();
    let (code, text) = boot(&[&path("sunup")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0.0 ms   kernel "), "{text}");
    for (name, reason) in [
        ("d", "Is a directory"),
        ("e", "No such file"),
        ("sunup/x", "Not a directory"),
    ] {
        let (code, text) = boot(&[&path(name)]);
        assert_eq!(code, Some(1));
        assert!(text.starts_with("sv: ") && text.contains(reason), "{text}");
    }
    let (code, text) = boot(&["a", "b"]);
    assert_eq!(code, Some(100));
    assert!(text.contains("name one record at most"), "{text}");
}
