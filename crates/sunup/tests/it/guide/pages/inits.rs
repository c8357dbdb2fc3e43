//! What the pages have for other programs: a unit of systemd, a script of OpenRC, lines of
//! inittab and crontab. Their commands are run as those programs run them.

use rustix::process::Signal;

use super::super::house::House;
use super::super::{file_on, page, pages, texts};
use crate::common::{copy_program, debian, end_by, sunup};
use crate::machine::{Boot, Machine};

/// Each block, by its page and the beginning of its first line, and who tries it.
const TEXTS: [(&str, &str, &str); 8] = [
    (
        "from-runit",
        "# mkdir -p /opt/sunup",
        "lab: debian, ours::the_guide",
    ),
    ("from-runit", "# pkill", "lab: debian, ours::the_guide"),
    ("from-systemd", "[Unit]", "the_unit_of_the_example"),
    (
        "machine-init",
        "::sysinit:",
        "lab: vm, guide::the_smallest_inittab",
    ),
    (
        "start-at-boot",
        "# systemctl",
        "nobody: it names the unit alone",
    ),
    (
        "start-at-boot",
        "# rc-update",
        "nobody: it names the script alone",
    ),
    ("start-at-boot", "SV:", "by_inittab"),
    ("start-at-boot", "@reboot", "by_crontab"),
];

#[test]
fn every_text_is_tried() {
    let mut found = Vec::new();
    let mut names = pages();
    names.sort();
    for name in &names {
        for text in texts(&page(name)) {
            let first = text.lines().next().unwrap().to_owned();
            found.push((name.clone(), first));
        }
    }
    assert_eq!(found.len(), TEXTS.len(), "{found:?}");
    for ((name, first), (page, begin, _)) in found.iter().zip(TEXTS) {
        assert!(name == page && first.starts_with(begin), "{name}: {first}");
    }
}

/// A unit's lines, with their sections, after a look at its form.
fn unit(text: &str, keys: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut section: &[&str] = &[];
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = keys.iter().find(|(known, _)| *known == name).unwrap().1;
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        assert!(section.contains(&key), "{line}: not in this section");
        assert!(value.trim() == value && !value.is_empty(), "{line}");
        assert!(lines.iter().all(|(known, _)| known != key), "{line}: twice");
        lines.push((key.to_owned(), value.to_owned()));
    }
    lines
}

fn value<'u>(unit: &'u [(String, String)], key: &str) -> &'u str {
    let line = unit.iter().find(|(known, _)| known == key);
    &line.unwrap_or_else(|| panic!("no {key}")).1
}

/// A supervisor is started, killed and started, stopped and started, as an init does it. Whoever
/// was killed has not stopped the services; who was stopped has; all run at last.
fn lives(start: &str, stop_signal: &str, stop_codes: &[&str]) {
    let mut house = House::without_supervisor();
    house.write("/etc/sv/web/run", "#!/bin/sh\nexec sleep 1000\n");
    house.prints("ln -s /etc/sv/web /etc/service/web");
    let mut pids = Vec::new();
    for end in ["-KILL", stop_signal, "-KILL"] {
        house.prints(&format!("{start} >/dev/null 2>&1 & main=$!"));
        house.sees("sv status web", "run: web: (pid 1) 0s\n");
        pids.push(house.prints("cat /etc/service/web/supervise/pid"));
        let code = house.prints(&format!(
            "kill {end} $main; wait $main 2>/dev/null; echo $?"
        ));
        let is_stop = end == stop_signal;
        assert!(!is_stop || stop_codes.contains(&code.trim()), "{code}");
        let pid = pids.last().unwrap().trim();
        let lives = house.prints(&format!("kill -0 {pid} 2>/dev/null && echo lives"));
        assert_eq!(lives == "lives\n", !is_stop, "{end}");
    }
    assert_eq!(pids[0], pids[1]);
    assert_ne!(pids[1], pids[2]);
}

#[test]
fn by_systemd() {
    const KEYS: [(&str, &[&str]); 3] = [
        ("Unit", &["Description", "After"]),
        (
            "Service",
            &[
                "ExecStart",
                "KillSignal",
                "KillMode",
                "SuccessExitStatus",
                "Restart",
            ],
        ),
        ("Install", &["WantedBy"]),
    ];
    let page = page("start-at-boot");
    let unit = unit(file_on(&page, "/etc/systemd/system/sunup.service"), &KEYS);
    assert_eq!(value(&unit, "Restart"), "always");
    // The signals go to what ExecStart is, and to nobody else.
    assert_eq!(value(&unit, "KillMode"), "process");
    let signal = value(&unit, "KillSignal").replace("SIG", "-");
    lives(
        value(&unit, "ExecStart"),
        &signal,
        &[value(&unit, "SuccessExitStatus")],
    );
}

#[test]
fn by_openrc() {
    let page = page("start-at-boot");
    let script = file_on(&page, "/etc/init.d/sunup");
    assert!(script.starts_with("#!/sbin/openrc-run\n"));
    let mut house = House::without_supervisor();
    house.write("/etc/init.d/sunup", script);
    let says = |house: &mut House, words: &str| {
        let words = format!("(set -eu; . /etc/init.d/sunup; echo {words})");
        house.prints(&words).trim_end().to_owned()
    };
    assert_eq!(says(&mut house, "$supervisor"), "supervise-daemon");
    let start = says(&mut house, "$command $command_args");
    let retry = says(&mut house, "$retry");
    drop(house);
    let (signal, seconds) = retry.split_once('/').unwrap();
    assert!(seconds.parse::<u32>().is_ok());
    lives(&start, &format!("-{signal}"), &["111"]);
}

/// In busybox's form by sunup's own init and by busybox's; sysvinit's has the same command.
#[test]
fn by_inittab() {
    let page = page("start-at-boot");
    let (of_sysvinit, of_busybox) = texts(&page)[2].trim_end().split_once('\n').unwrap();
    let fields: Vec<&str> = of_sysvinit.splitn(4, ':').collect();
    let [id, levels, "respawn", command] = fields[..] else {
        panic!("{of_sysvinit}");
    };
    assert!((1..=4).contains(&id.len()) && levels.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(format!("::respawn:{command}"), of_busybox);
    let set_up = "mount --bind /proc/self/fd/9 usr/bin/runsvdir 9<$RUNSVDIR";
    for file in [None, Some(debian("busybox"))] {
        let ours = crate::common::Fixture::new(&[("bin/", "")]);
        copy_program(sunup(), ours.path("bin/runsvdir"));
        let mut machine = Machine::boot(&Boot {
            inittab: &format!("{of_busybox}\n"),
            files: &[(
                "etc/service/web/run",
                "#!/bin/sh\necho up >>/events\nexec sleep 1000\n",
            )],
            env: &[("RUNSVDIR", ours.path("bin/runsvdir").to_str().unwrap())],
            set_up,
            file: file.as_deref(),
            ..Boot::default()
        });
        machine.until_event("up");
        end_by(&mut machine.unshare, Signal::KILL);
    }
}

#[test]
fn by_crontab() {
    let page = page("start-at-boot");
    let (when, command) = texts(&page)[3].trim_end().split_once(' ').unwrap();
    assert_eq!(when, "@reboot");
    let mut house = House::without_supervisor();
    house.write("~/service/web/run", "#!/bin/sh\nexec sleep 1000\n");
    // cron's environment, and what a command prints goes into a mail.
    let cron = "env -i HOME=$HOME LOGNAME=root PATH=/usr/bin:/bin SHELL=/bin/sh /bin/sh -c";
    house.prints(&format!("{cron} '{command}' >/tmp/mail 2>&1 &"));
    house.sees(
        "sv status ~/service/web",
        "run: /root/service/web: (pid 1) 0s\n",
    );
    assert_eq!(house.prints("cat /tmp/mail"), "");
}

/// The unit says what the files beside it say.
#[test]
fn the_unit_of_the_example() {
    const KEYS: [(&str, &[&str]); 3] = [
        ("Unit", &["Requires", "After"]),
        (
            "Service",
            &[
                "User",
                "Environment",
                "ExecStart",
                "Restart",
                "TimeoutStopSec",
            ],
        ),
        ("Install", &["WantedBy"]),
    ];
    let page = page("from-systemd");
    let unit = unit(texts(&page)[0], &KEYS);
    let run = file_on(&page, "/etc/sv/app/run");
    let (user, program) = (value(&unit, "User"), value(&unit, "ExecStart"));
    assert!(
        run.contains(&format!("exec chpst -u {user} {program}\n")),
        "{run}"
    );
    assert!(run.contains(&format!("export {}\n", value(&unit, "Environment"))));
    let seconds: u32 = value(&unit, "TimeoutStopSec").parse().unwrap();
    let kill = file_on(&page, "/etc/sv/app/timeout-kill");
    assert_eq!(kill.trim_end(), (seconds * 1000).to_string());
    let restart = file_on(&page, "/etc/sv/app/restart").trim_end();
    assert_eq!(format!("on-{restart}"), value(&unit, "Restart"));
    let needed = value(&unit, "Requires").strip_suffix(".service").unwrap();
    assert!(page.contains(&format!("\n`/etc/sv/app/needs/{needed}`, empty\n")));
    // The table beside it has a row for each line.
    for (key, _) in &unit {
        assert!(page.contains(&format!("`{key}=")), "{key}");
    }
}
