//! Called as busybox is, sunup behaves as busybox: options, exit codes, defaults
//! and the texts of sv, each compared with the reference.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use rustix::fs::OFlags;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, down, kill, lives, make_fifo, read_status, running, status, sunup, until_ready,
    until_supervise, wait_exit, wait_for,
};
use super::reference;

/// A directory to stand in, and the two busyboxes that are to agree there.
struct Pair {
    fixture: Fixture,
}

impl Pair {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(files);
        fs::create_dir(fixture.path("bin")).unwrap();
        symlink(sunup(), fixture.path("bin/busybox")).unwrap();
        Self { fixture }
    }

    fn run(&self, binary: &Path, words: &[&str]) -> Output {
        Command::new(binary)
            .args(words)
            .current_dir(self.fixture.path("."))
            // A directory in PATH that may not be searched would change the reason.
            .env("PATH", "/usr/bin:/bin")
            .env_remove("SVDIR")
            .env_remove("SVWAIT")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn ours(&self, words: &[&str]) -> Output {
        self.run(&self.fixture.path("bin/busybox"), words)
    }

    /// Ours, which has the code and the output of the reference.
    fn agree(&self, words: &[&str]) -> (i32, String) {
        let reference = self.run(&reference::busybox().join("busybox"), words);
        let said = masked(&self.ours(words));
        assert_eq!(said, masked(&reference), "{words:?}");
        said
    }

    /// As [`Pair::agree`], about the code alone.
    fn agree_on_code(&self, words: &[&str]) -> i32 {
        let reference = self.run(&reference::busybox().join("busybox"), words);
        let ours = self.ours(words);
        let said = String::from_utf8_lossy(&ours.stderr).into_owned();
        assert_eq!(
            ours.status.code(),
            reference.status.code(),
            "{words:?}: {said}"
        );
        ours.status.code().unwrap()
    }
}

/// Exit code and standard output, without the seconds of a status.
fn masked(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let words = text.split(' ').map(|word| {
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        match &word[digits..] {
            rest if digits > 0 && rest.starts_with('s') => format!("N{rest}"),
            _ => word.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    (output.status.code().unwrap(), text)
}

/// The files of a supervisor that lives as long as the value.
struct Fake {
    _fifos: [File; 2],
}

impl Fake {
    fn new(dir: &Path, status: &[u8]) -> Self {
        let supervise = dir.join("supervise");
        fs::create_dir_all(&supervise).unwrap();
        fs::write(supervise.join("status"), status).unwrap();
        let fifo = |name: &str| {
            let path = supervise.join(name);
            make_fifo(&path);
            let mut options = OpenOptions::new();
            let flags = OFlags::NONBLOCK.bits() as i32;
            options.read(true).write(true).custom_flags(flags);
            options.open(path).unwrap()
        };
        Self {
            _fifos: [fifo("ok"), fifo("control")],
        }
    }
}

/// Every status that a supervisor may write.
fn statuses() -> Vec<Status> {
    let changed = Tai64n::from_unix(1_700_000_000, 0);
    let mut all = Vec::new();
    for (phase, pid) in [(Phase::Down, 0), (Phase::Run, 4242), (Phase::Finish, 4243)] {
        for bits in 0..8 {
            let has = |bit: u8| bits & bit != 0;
            all.push(Status {
                changed,
                pid,
                paused: has(1),
                want_up: has(2),
                got_term: has(4),
                phase,
            });
        }
    }
    all
}

#[test]
fn every_status_reads_as_in_busybox() {
    let mut seen = Vec::new();
    for (i, status) in statuses().into_iter().enumerate() {
        let pair = Pair::new(&[("down/down", ""), ("up/", ""), ("logged/log/", "")]);
        let dir = |name| pair.fixture.path(name);
        let record = status.encode();
        let _fakes = [
            Fake::new(&dir("up"), &record),
            Fake::new(&dir("down"), &record),
            Fake::new(&dir("logged"), &record),
            Fake::new(&dir("logged/log"), &record),
        ];
        let words = ["sv", "status", "./up", "./down", "./logged"];
        let (code, text) = pair.agree(&words);
        assert_eq!((code, text.lines().count()), (0, 3), "{i}: {text}");
        seen.push(text);
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() >= 18, "they are different statuses");
}

#[test]
fn the_help_of_sv_lists_no_command_that_it_refuses() {
    let pair = Pair::new(&[]);
    let help = String::from_utf8(pair.ours(&["sv", "--help"]).stdout).unwrap();
    assert!(
        help.contains("try-restart") && !help.contains("sv-list(8)"),
        "{help}"
    );
    assert_eq!(pair.ours(&["sv", "list"]).status.code(), Some(100));
}

#[test]
fn what_is_wrong_with_a_service_is_said_as_in_busybox() {
    let pair = Pair::new(&[
        ("file", ""),
        ("never/", ""),
        ("short/", ""),
        ("none/", ""),
        ("uncontrolled/", ""),
        ("badlog/log", ""),
        ("dead/", ""),
    ]);
    let dir = |name| pair.fixture.path(name);
    let record = statuses()[0].encode();
    let _short = Fake::new(&dir("short"), b"short");
    let _none = Fake::new(&dir("none"), &record);
    fs::remove_file(dir("none/supervise/status")).unwrap();
    let _uncontrolled = Fake::new(&dir("uncontrolled"), &record);
    fs::remove_file(dir("uncontrolled/supervise/control")).unwrap();
    let _badlog = Fake::new(&dir("badlog"), &record);
    drop(Fake::new(&dir("dead"), &record));
    let all = [
        "./absent",
        "./file",
        "./never",
        "./short",
        "./none",
        "./uncontrolled",
    ];
    for verb in ["status", "up", "d", "exit", "start", "check"] {
        for name in all {
            // What would be waited for fails at once, or there is no control to be had.
            let (code, _) = pair.agree(&["sv", "-w", "0", verb, name]);
            assert!(code == 1 || name == "./uncontrolled", "{verb} {name}");
        }
    }
    let (code, text) = pair.agree(&["sv", "status", "./badlog"]);
    assert_eq!(code, 1);
    assert!(text.ends_with("; warning: ./badlog/log: can't change directory: Not a directory\n"));
    // By name it is looked for in the place that is built in.
    let (_, text) = pair.agree(&["sv", "status", "no-such-service"]);
    let reason = "can't change to service directory: No such file or directory";
    assert_eq!(text, format!("fail: no-such-service: {reason}\n"));
    for words in [
        ["sv", "status", "./dead"],
        ["sv", "up", "./dead"],
        ["svc", "-u", "./dead"],
    ] {
        let (code, text) = pair.agree(&words);
        let reason = "can't open supervise/ok: No such device or address";
        assert_eq!((code, text), (1, format!("warning: ./dead: {reason}\n")));
    }
    // D29: there it fails, though it is what was asked for.
    let (code, text) = masked(&pair.ours(&["sv", "exit", "./dead"]));
    assert_eq!(
        (code, text.as_str()),
        (0, "ok: ./dead: runsv not running\n")
    );
    assert_eq!(pair.agree_on_code(&["svc", "-u", "./absent", "./never"]), 1);
}

/// A service under our supervisor, which both command.
struct Service {
    pair: Pair,
    runsv: std::process::Child,
}

impl Service {
    fn start(run: &str) -> Self {
        let pair = Pair::new(&[("web/run", run), ("web/check", "#!/bin/sh\ntest -e ok\n")]);
        let runsv = Command::new(pair.fixture.path("bin/busybox"))
            .args(["runsv", "web"])
            .current_dir(pair.fixture.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { pair, runsv };
        service.wait("a running service", running);
        service
    }

    fn wait(&self, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.pair.fixture.path("web"), what, check)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = read_status(&self.pair.fixture.path("web")).map_or(0, |s| s.pid);
        if pid > 1 && lives(pid) {
            kill(pid, Signal::KILL);
        }
        kill(self.runsv.id(), Signal::TERM);
        wait_exit(&mut self.runsv);
    }
}

#[test]
fn only_v_and_the_words_of_init_scripts_wait() {
    let service = Service::start(SLEEP);
    let pair = &service.pair;
    let silent = (0, String::new());
    assert_eq!(pair.agree(&["sv", "-w", "60", "up", "./web"]), silent);
    pair.fixture.add("web/ok", "");
    let (code, text) = pair.agree(&["sv", "-v", "-w", "60", "up", "./web"]);
    assert!(
        code == 0 && text.starts_with("ok: run: ./web: (pid "),
        "{text}"
    );
    for words in [["sv", "start", "./web"], ["sv", "check", "./web"]] {
        let (code, text) = pair.agree(&words);
        assert!(
            code == 0 && text.starts_with("ok: run: ./web: (pid "),
            "{text}"
        );
    }
    assert_eq!(pair.agree(&["sv", "-w", "60", "down", "./web"]), silent);
    service.wait("a stopped service", down);
    let (code, text) = pair.agree(&["sv", "stop", "./web"]);
    assert_eq!(
        (code, text.as_str()),
        (0, "ok: down: ./web: Ns, normally up\n")
    );
}

#[test]
fn what_does_not_come_about_in_time_is_said_as_in_busybox() {
    let service =
        Service::start("#!/bin/sh\ntrap '' TERM\n: > ready\nwhile :; do sleep 1000; done\n");
    let web = service.pair.fixture.path("web");
    until_ready(&web);
    service.pair.ours(&["sv", "down", "./web"]);
    service.wait("a service that got TERM", |s| s.got_term && !s.want_up);
    // The first is ours: TERM ends sleep, and the shell sleeps again.
    let (code, text) = masked(&service.pair.ours(&["sv", "-w", "1", "stop", "./web"]));
    let pid = read_status(&web).unwrap().pid;
    let expected = format!("timeout: run: ./web: (pid {pid}) Ns, want down, got TERM\n");
    assert_eq!((code, text), (1, expected));
    service.pair.agree(&["sv", "-w", "1", "stop", "./web"]);
    let (_, text) = service
        .pair
        .agree(&["sv", "-v", "-w", "1", "down", "./web"]);
    assert!(text.starts_with("timeout: run: "), "{text}");
}

#[test]
fn exit_codes_are_those_of_busybox() {
    let pair = Pair::new(&[("file", ""), ("web/", ""), ("locked/supervise/", "")]);
    let lock = File::create(pair.fixture.path("locked/supervise/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let cases: &[(&str, i32)] = &[
        ("no-such-applet", 127),
        ("sv", 100),
        ("sv -Z", 100),
        ("sv status", 100),
        ("sv -w x up ./web", 100),
        ("sv frobnicate ./web", 100),
        ("sv status ./web ./web ./none", 3),
        ("svc", 1),
        ("svc -Z ./web", 1),
        ("svc -u", 1),
        ("svok", 1),
        ("svok ./web", 100),
        ("svok ./none", 111),
        ("svok no-such-service", 111),
        ("runsv", 1),
        ("runsv -Z", 1),
        ("runsv ./none", 1),
        ("runsv locked", 1),
        ("runsvdir", 1),
        ("runsvdir -Z .", 1),
        ("svlogd", 1),
        ("svlogd -Z .", 1),
        ("svlogd -r ab .", 1),
        ("svlogd -l x .", 1),
        ("svlogd ./none", 1),
        ("chpst", 1),
        ("chpst -u root", 1),
        ("chpst -n x true", 1),
        ("chpst -d x true", 1),
        ("chpst -u no-such-user true", 1),
        ("chpst -/ ./none true", 1),
        ("chpst -e ./none true", 1),
        ("chpst -v ./none", 127),
        ("chpst -v no-such-program", 127),
        ("chpst -v ./file", 126),
        ("envdir", 1),
        ("envdir web", 1),
        ("envdir none true", 1),
        ("envdir web ./none", 127),
        ("envuidgid no-such-user true", 1),
        ("setuidgid no-such-user true", 1),
        ("softlimit", 1),
        ("softlimit -Z true", 1),
        ("softlimit -o 64 ./none", 127),
        ("mdev -Z", 1),
        ("getty -Z", 1),
        ("halt -Z", 1),
        ("init", 1),
    ];
    for (words, code) in cases {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(pair.agree_on_code(&words), *code, "{words:?}");
    }
    assert_eq!(pair.agree_on_code(&[]), 0);
}

#[test]
fn the_letters_of_chpst_are_those_of_busybox() {
    let pair = Pair::new(&[("env/NAME", "value\n")]);
    let letters = "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ0123456789/=";
    let known = |name: &str, letter: &str| {
        // The value is right for none, so that nothing is run.
        let option = format!("-{letter}");
        let words = [name, &option, "?", "./none"];
        let said = |output: Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let ours = said(pair.ours(&words));
        let reference = said(pair.run(&reference::busybox().join("busybox"), &words));
        let taken = !ours.contains("unknown option");
        assert_eq!(
            taken,
            !reference.contains("invalid option"),
            "{words:?}: {ours}"
        );
        taken
    };
    let taken = letters.chars().filter(|l| known("chpst", &l.to_string()));
    assert_eq!(
        taken.collect::<String>(),
        "acdefflmnopPrstuUv012/".replace("ff", "f")
    );
    for option in [
        "-a 900000000",
        "-c 512",
        "-d 900000000",
        "-f 1024",
        "-l 8192",
        "-o 64",
        "-p 5000",
    ]
    .iter()
    .chain(&[
        "-m 2000000000",
        "-r 90000000",
        "-s 1048576",
        "-t 100",
        "-c 0 -t 7 -c 1024",
    ]) {
        for applet in ["chpst", "softlimit"] {
            let mut words = vec![applet];
            words.extend(option.split(' '));
            words.extend(["sh", "-c", "ulimit -a"]);
            let (code, text) = pair.agree(&words);
            assert!(code == 0 && !text.is_empty(), "{words:?}");
        }
    }
    let (_, text) = pair.agree(&["chpst", "-e", "env", "sh", "-c", "echo $NAME"]);
    assert_eq!(text, "value\n");
}

#[test]
fn users_may_be_numbers() {
    let pair = Pair::new(&[]);
    for user in [
        "65534",
        "65534:1",
        "54321",
        "54321:daemon",
        "nobody",
        "nobody:daemon",
        "nobody:7",
    ] {
        let show = ["sh", "-c", "echo $UID:$GID"];
        let (code, _) = pair.agree(&[&["chpst", "-U", user][..], &show].concat());
        assert_eq!(code, 0);
        let (code, text) = pair.agree(&[&["envuidgid", user][..], &show].concat());
        assert_eq!(code, 0);
        assert!(text.len() > 3, "{text}");
        for words in [&["chpst", "-u", user][..], &["setuidgid", user]] {
            // Root becomes the user; for others it is the same failure.
            pair.agree(&[words, &["sh", "-c", "id -u; id -g; id -G"]].concat());
        }
    }
}

/// What `./finish` is told of a service that ended so.
fn finish_arguments(bin: &Path, end: &str) -> String {
    let fixture = Fixture::new(&[
        (
            "web/run",
            &format!("#!/bin/sh\nulimit -c unlimited\n{end}\n"),
        ),
        (
            "web/finish",
            "#!/bin/sh\necho \"$@\" > told.new\nmv told.new told\n",
        ),
        ("web/down", ""),
    ]);
    let web = fixture.path("web");
    let mut runsv = Command::new(bin)
        .args(["runsv".as_ref(), web.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until_supervise(&web);
    // A status is there before the fifo.
    wait_for("fifo", &[&web.join("supervise")], || {
        fs::metadata(web.join("supervise/ok")).ok()
    });
    fs::write(web.join("supervise/control"), "o").unwrap();
    wait_for("finish", &[&web], || {
        web.join("told").exists().then_some(())
    });
    fs::write(web.join("supervise/control"), "x").unwrap();
    wait_exit(&mut runsv);
    fs::read_to_string(web.join("told")).unwrap()
}

#[test]
fn finish_gets_the_number_of_the_signal_alone() {
    let pair = Pair::new(&[]);
    let ours = pair.fixture.path("bin/busybox");
    let ends = [
        ("exit 0", "0 0\n"),
        ("exit 3", "3 0\n"),
        ("kill -KILL $$", "-1 9\n"),
        // With a core where the machine writes any; runit adds 128 then.
        ("kill -SEGV $$", "-1 11\n"),
    ];
    for (end, expected) in ends {
        assert_eq!(finish_arguments(&ours, end), expected, "{end}");
        let reference = reference::busybox().join("busybox");
        assert_eq!(finish_arguments(&reference, end), expected, "{end}");
    }
}

#[test]
fn what_svlogd_of_busybox_does_not_know_in_a_config_has_no_effect() {
    let pair = Pair::new(&[
        ("theirs/config", "pprefix: \nU127.0.0.1:9\n-*no*\n"),
        ("ours/config", "pprefix: \nU127.0.0.1:9\n-*no*\n"),
        ("input", "yes\na no b\nlast\n"),
    ]);
    let reference = reference::busybox().join("busybox");
    for (binary, dir) in [
        (reference, "theirs"),
        (pair.fixture.path("bin/busybox"), "ours"),
    ] {
        let done = Command::new(binary)
            .args(["svlogd", dir])
            .current_dir(pair.fixture.path("."))
            .stdin(File::open(pair.fixture.path("input")).unwrap())
            .status();
        assert!(done.unwrap().success(), "{dir}");
        let current = fs::read_to_string(pair.fixture.path(dir).join("current"));
        assert_eq!(current.unwrap(), "yes\nlast\n", "{dir}");
    }
}

/// Which ways a command by name follows, found through PATH.
fn follows_busybox(path: &Path, name: &str) -> bool {
    let output = Command::new(name)
        .args(["status", "./none"])
        .env("PATH", path)
        .current_dir(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let says = |word| text.contains(&format!("fail: ./none: {word} change to service directory"));
    assert_ne!(says("can't"), says("unable to"), "{text}");
    says("can't")
}

#[test]
fn a_link_that_leads_through_busybox_is_busybox() {
    let fixture = Fixture::new(&[
        ("usr/sv -> ../bin/busybox", ""),
        ("usr/status -> sv", ""),
        ("plain/sv -> ../bin/sunup", ""),
        ("bin/", ""),
    ]);
    symlink(sunup(), fixture.path("bin/sunup")).unwrap();
    symlink("sunup", fixture.path("bin/busybox")).unwrap();
    assert!(follows_busybox(&fixture.path("usr"), "sv"));
    assert!(!follows_busybox(&fixture.path("plain"), "sv"));
    // A name that is no applet's is no init script there.
    let output = Command::new(fixture.path("usr/status"))
        .arg("status")
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(output.stderr, b"status: applet not found\n");
}

#[test]
fn links_that_busybox_installs_are_busybox() {
    let pair = Pair::new(&[("usr/", ""), ("all/", "")]);
    assert!(pair.ours(&["--install", "-s", "usr"]).status.success());
    assert!(follows_busybox(&pair.fixture.path("usr"), "sv"));
    assert!(pair.ours(&["--install", "all"]).status.success());
    let target = fs::read_link(pair.fixture.path("all/runsvdir")).unwrap();
    assert_eq!(target, pair.fixture.path("bin/busybox"));
}
