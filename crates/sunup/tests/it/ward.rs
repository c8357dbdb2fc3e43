//! tini, docker-init and dumb-init: ours, and Debian's beside them as the oracle. Each case
//! runs with both, in a pid namespace of its own where it is process 1, or beside it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use super::common::{Fixture, debian, sunup, wait_exit, wait_for};

/// Ours and Debian's under the same name.
fn both(fixture: &Fixture, name: &str) -> [PathBuf; 2] {
    fixture.add(&format!("ours/{name} -> {}", sunup().display()), "");
    let theirs = if name == "docker-init" { "tini" } else { name };
    fixture.add(
        &format!("theirs/{name} -> {}", debian(theirs).display()),
        "",
    );
    ["ours", "theirs"].map(|whose| fixture.path(whose).join(name))
}

fn run(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(program)
        .args(args)
        .envs(env.iter().copied())
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command line, variables, and the code that both end with.
type Case = (&'static str, &'static [&'static str], Env, i32);
type Env = &'static [(&'static str, &'static str)];

const CODES: &[Case] = &[
    ("tini", &["--", "true"], &[], 0),
    ("tini", &["--", "sh", "-c", "exit 7"], &[], 7),
    ("tini", &["sh", "--", "-c", "exit 7"], &[], 7),
    ("tini", &["--", "env", "--", "sh", "-c", "exit 6"], &[], 6),
    (
        "tini",
        &["-g", "-w", "-vv", "--", "sh", "-c", "exit 255"],
        &[],
        255,
    ),
    ("tini", &["-e", "7", "--", "sh", "-c", "exit 7"], &[], 0),
    (
        "tini",
        &["-e143", "-e", "9", "--", "sh", "-c", "kill -TERM $$"],
        &[],
        0,
    ),
    ("tini", &["-e", "7", "--", "sh", "-c", "exit 8"], &[], 8),
    ("tini", &["--", "sh", "-c", "kill -KILL $$"], &[], 137),
    ("tini", &["--", "sh", "-c", "kill -SEGV $$"], &[], 139),
    ("tini", &["--", "no-such-program"], &[], 127),
    ("tini", &["--", "/etc"], &[], 126),
    ("tini", &["--", "/etc/passwd"], &[], 126),
    ("tini", &["-e", "256", "--", "true"], &[], 1),
    ("tini", &["-e", "x", "--", "true"], &[], 1),
    ("tini", &["-p", "TERM", "--", "true"], &[], 1),
    (
        "tini",
        &["-p", "SIGTERM", "--", "sh", "-c", "exit 4"],
        &[],
        4,
    ),
    ("tini", &["-Z", "--", "true"], &[], 1),
    ("tini", &["-e"], &[], 1),
    ("tini", &[], &[], 1),
    ("tini", &["--", "--", "true"], &[], 127),
    ("tini", &["-h"], &[], 0),
    ("tini", &["-l"], &[], 0),
    ("tini", &["--version"], &[], 0),
    (
        "tini",
        &["--", "sh", "-c", "exit 7"],
        &[("TINI_SUBREAPER", ""), ("TINI_KILL_PROCESS_GROUP", "")],
        7,
    ),
    ("docker-init", &["--", "sh", "-c", "exit 7"], &[], 7),
    (
        "docker-init",
        &["-s", "--", "sh", "-c", "kill -INT $$"],
        &[],
        130,
    ),
    ("dumb-init", &["true"], &[], 0),
    ("dumb-init", &["--", "sh", "-c", "exit 7"], &[], 7),
    ("dumb-init", &["sh", "-c", "kill -KILL $$"], &[], 137),
    ("dumb-init", &["-c", "sh", "-c", "kill -HUP $$"], &[], 129),
    (
        "dumb-init",
        &["--single-child", "--rewrite", "15:3", "sh", "-c", "exit 5"],
        &[],
        5,
    ),
    (
        "dumb-init",
        &["--rewrite=15:0", "-r2:3", "sh", "-c", "exit 5"],
        &[],
        5,
    ),
    ("dumb-init", &["no-such-program"], &[], 2),
    ("dumb-init", &["/etc"], &[], 2),
    ("dumb-init", &["-r", "32:1", "true"], &[], 1),
    ("dumb-init", &["-r", "0:1", "true"], &[], 1),
    ("dumb-init", &["-r", "15", "true"], &[], 1),
    ("dumb-init", &["-Z", "true"], &[], 1),
    ("dumb-init", &["--yolo", "true"], &[], 1),
    ("dumb-init", &[], &[], 1),
    ("dumb-init", &["-h"], &[], 0),
    ("dumb-init", &["--help"], &[], 0),
    ("dumb-init", &["-V"], &[], 0),
    (
        "dumb-init",
        &["sh", "-c", "exit 7"],
        &[("DUMB_INIT_SETSID", "0")],
        7,
    ),
];

#[test]
fn codes_are_those_of_the_originals() {
    let fixture = Fixture::new(&[]);
    for name in ["tini", "docker-init", "dumb-init"] {
        for (_, args, env, code) in CODES.iter().filter(|(of, ..)| *of == name) {
            for program in both_once(&fixture, name) {
                let got = run(&program, args, env);
                assert_eq!(
                    got.status.code(),
                    Some(*code),
                    "{} {args:?} {env:?}: {}",
                    program.display(),
                    text(&got.stderr)
                );
            }
        }
    }
}

fn both_once(fixture: &Fixture, name: &str) -> [PathBuf; 2] {
    if fixture.path("ours").join(name).exists() {
        return ["ours", "theirs"].map(|whose| fixture.path(whose).join(name));
    }
    both(fixture, name)
}

/// What scripts look for in what is said. (A zombie may be signalled, so `kill -0` fails when it
/// has been reaped.)
#[test]
fn words_that_scripts_look_for() {
    let fixture = Fixture::new(&[]);
    let said = |name: &str, args: &[&str], word: &str| {
        for program in both_once(&fixture, name) {
            let got = run(
                &program,
                args,
                &[("TINI_SUBREAPER", ""), ("DUMB_INIT_DEBUG", "1")],
            );
            let said = text(&got.stdout) + &text(&got.stderr);
            assert!(said.contains(word), "{}: {word}: {said}", program.display());
        }
    };
    said("tini", &["--version"], "tini version 0.19.0");
    said("tini", &["-h"], "-e ");
    said("tini", &[], "supervision of a valid init process");
    said(
        "tini",
        &["--", "nope"],
        "exec nope failed: No such file or directory",
    );
    said("tini", &["-p", "x", "true"], "Not a valid option for -p: x");
    said("tini", &["-vvv", "--", "true"], "Received SIGCHLD");
    said(
        "tini",
        &[
            "-w",
            "--",
            "sh",
            "-c",
            "p=$( (sleep 0 >/dev/null & echo $!) ); while kill -0 $p 2>/dev/null; do :; done",
        ],
        "Reaped zombie process with pid=",
    );
    said("dumb-init", &["-V"], "dumb-init v1.2.5");
    said(
        "dumb-init",
        &["nope"],
        "[dumb-init] nope: No such file or directory",
    );
    said(
        "dumb-init",
        &["sh", "-c", "exit 3"],
        "exited with exit status 3.",
    );
}

/// Runs a script as the program under `words`, as process 1 of a pid namespace, sends process 1
/// the signals when the script has made the file `ready`, and returns its exit code.
fn as_process_1(program: &Path, words: &[&str], fixture: &Fixture, signals: &[Signal]) -> i32 {
    let dir = fixture.path("box");
    drop(fs::remove_dir_all(&dir));
    fs::create_dir(&dir).unwrap();
    let mut unshare = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--pid",
            "--mount",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(program)
        .args(words)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    if !signals.is_empty() {
        wait_for("readiness", &[&dir], || {
            dir.join("ready").exists().then_some(())
        });
        let pid = unshare.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        for signal in signals {
            super::common::kill(children.trim().parse().unwrap(), *signal);
        }
    }
    let code = wait_exit(&mut unshare).code().unwrap();
    let mut rest = String::new();
    unshare.stdout.unwrap().read_to_string(&mut rest).unwrap();
    code
}

/// Waits for each signal, and exits with a code that tells which.
const TELLS: &str = "#!/bin/sh
trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' QUIT; trap 'exit 44' HUP
trap 'exit 45' USR1; trap 'exit 46' USR2; trap 'exit 47' WINCH; trap 'exit 48' PWR
>ready
while :; do sleep 1000 & wait $!; done
";

#[test]
fn process_1_passes_each_signal_on() {
    let fixture = Fixture::new(&[("tells", TELLS)]);
    let tells = fixture.path("tells");
    let tells = tells.to_str().unwrap();
    let signals = [
        (Signal::TERM, 41),
        (Signal::INT, 42),
        (Signal::QUIT, 43),
        (Signal::HUP, 44),
        (Signal::USR1, 45),
        (Signal::USR2, 46),
        (Signal::WINCH, 47),
        (Signal::POWER, 48),
    ];
    for (name, words) in [
        ("tini", vec!["--", tells]),
        ("tini", vec!["-g", "--", tells]),
        ("dumb-init", vec![tells]),
        ("dumb-init", vec!["-c", tells]),
    ] {
        for program in both_once(&fixture, name) {
            for (signal, code) in signals {
                let got = as_process_1(&program, &words, &fixture, &[signal]);
                assert_eq!(got, code, "{} {words:?} {signal:?}", program.display());
            }
        }
    }
    for program in both_once(&fixture, "dumb-init") {
        let words = ["-r", "15:3", "--rewrite", "2:0", tells];
        let got = as_process_1(&program, &words, &fixture, &[Signal::INT, Signal::TERM]);
        assert_eq!(got, 43, "{}", program.display());
    }
}

/// A thousand orphans end while the program runs; none is left when it looks.
#[test]
fn a_thousand_orphans_are_reaped() {
    const SCRIPT: &str = "#!/bin/sh
(i=0; while [ $i -lt 1000 ]; do (sleep 0 &); i=$((i + 1)); done)
n=1
while [ $n -gt 0 ]; do
    n=0
    for s in /proc/[0-9]*/stat; do
        read -r line <$s || continue
        case $line in *') Z '*|*'(sleep)'*) n=$((n + 1));; esac
    done 2>/dev/null
done
exit 9
";
    let fixture = Fixture::new(&[("orphans", SCRIPT)]);
    let script = fixture.path("orphans");
    for name in ["tini", "dumb-init"] {
        let [ours, _] = both_once(&fixture, name);
        let words = ["--", script.to_str().unwrap()];
        assert_eq!(as_process_1(&ours, &words, &fixture, &[]), 9, "{name}");
    }
}

/// What the program finds: its session, its group, what is blocked and ignored, and where its
/// parent works.
#[test]
fn the_program_finds_what_it_finds_under_the_originals() {
    const SCRIPT: &str = "#!/bin/sh
read -r own _ _ _ group session _ </proc/$$/stat
[ $$ = $group ] && echo own group; [ $$ = $session ] && echo own session
grep -E '^Sig(Blk|Ign|Cgt)|^ShdPnd' /proc/self/status
readlink /proc/$PPID/cwd | sed 's,^/.*[a-z].*,elsewhere,'
pwd | sed 's,^/.*[a-z].*,elsewhere,'
";
    let fixture = Fixture::new(&[("look", SCRIPT)]);
    let script = fixture.path("look");
    for (name, words) in [
        ("tini", vec!["-s", "--"]),
        ("dumb-init", vec![]),
        ("dumb-init", vec!["-c"]),
    ] {
        let [ours, theirs] = both_once(&fixture, name).map(|program| {
            let got = Command::new("env")
                .args([
                    "--ignore-signal=INT",
                    "--ignore-signal=TTOU",
                    "--block-signal=USR1",
                ])
                .arg(program)
                .args(&words)
                .arg(&script)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(got.status.success(), "{}", text(&got.stderr));
            text(&got.stdout)
        });
        assert!(ours.contains("SigBlk"), "{ours}");
        assert_eq!(ours, theirs, "{name} {words:?}");
    }
}

/// On a terminal: tini's program is in the foreground, dumb-init's leads the terminal's session.
#[test]
fn the_program_has_the_terminal() {
    const SCRIPT: &str = "#!/bin/sh
read -r own _ _ _ group session tty front _ </proc/$$/stat
[ $$ = $group ] && echo own group; [ $$ = $session ] && echo own session
[ $tty != 0 ] && echo a terminal; [ $front = $group ] && echo in front
exit 6
";
    let fixture = Fixture::new(&[("look", SCRIPT)]);
    let script = fixture.path("look");
    let leads = "own group\r\nown session\r\na terminal\r\nin front\r\n";
    let in_front = "own group\r\na terminal\r\nin front\r\n";
    for (name, words, told) in [("tini", "-s --", in_front), ("dumb-init", "--", leads)] {
        for program in both_once(&fixture, name) {
            // A shell that stays would lead the session, and keep the terminal.
            let line = format!("exec {} {words} {}", program.display(), script.display());
            let got = Command::new("script")
                .args(["-qec", &line, "/dev/null"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(text(&got.stdout), told, "{line}");
            assert_eq!(got.status.code(), Some(6), "{line}");
        }
    }
}

/// `podman run --init` puts it at /dev/init, later versions at /run/podman-init.
#[test]
fn podmans_names_of_it_boot_no_machine() {
    for name in ["init", "podman-init"] {
        let fixture = Fixture::new(&[(&format!("{name} -> {}", sunup().display()), "")]);
        let program = fixture.path(name);
        let alone = "--user --map-root-user --pid --fork --kill-child --mount-proc";
        let mut args: Vec<&str> = alone.split(' ').collect();
        args.extend([program.to_str().unwrap(), "--", "sh", "-c", "exit 7"]);
        let output = run(Path::new("unshare"), &args, &[]);
        assert_eq!(output.status.code(), Some(7), "{name}: {output:?}");
    }
}
