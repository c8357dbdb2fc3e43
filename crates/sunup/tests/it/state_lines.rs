//! Our own files of one line in `supervise`, as `sv` reads them: what they add to a line,
//! and that sv believes them only if they are about the run that `status` shows. The
//! supervisor is played by the test, so that each file holds what it is to hold.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use model::format::state::last::{Last, Outcome};
use model::format::state::ready::{Ready, Source};
use model::format::state::status_text::StatusText;
use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use model::process::Exit;
use rustix::process::geteuid;

use super::common::{Fixture, SLEEP, debian, make_fifo, read_status, status, wait_for};

/// The entries of a service that has all of our own.
const ENTRIES: &[&str] = &[
    "web/notification-fd",
    "web/notify",
    "web/restart",
    "web/give-up",
    "web/setup",
    "web/needs/db",
];

/// A service whose supervisor is the test.
struct Played {
    fixture: Fixture,
    /// Commands arrive here.
    control: fs::File,
    _ok: fs::File,
}

impl Played {
    fn new() -> Self {
        let fixture = Fixture::new(&[("web/run", SLEEP), ("web/supervise/", "")]);
        for entry in ENTRIES {
            fixture.add(entry, "");
        }
        for dir in ["", "web", "web/supervise"] {
            fs::set_permissions(fixture.path(dir), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let fifo = |name: &str| {
            let path = fixture.path(&format!("web/supervise/{name}"));
            make_fifo(&path);
            let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).custom_flags(flags);
            options.open(path).unwrap()
        };
        let (control, ok) = (fifo("control"), fifo("ok"));
        Self {
            fixture,
            control,
            _ok: ok,
        }
    }

    fn supervise(&self, name: &str) -> PathBuf {
        self.fixture.path("web/supervise").join(name)
    }

    /// Puts something into the place of a file, whatever is there.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        self.remove(name);
        fs::write(self.supervise(name), content).unwrap();
    }

    fn remove(&self, name: &str) {
        let path = self.supervise(name);
        drop(fs::remove_dir(&path));
        drop(fs::remove_file(path));
    }

    fn shows(&self, status: &Status) {
        self.put("status", status.encode());
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("SVDIR", self.fixture.path(""))
            .env_remove("SVWAIT")
            .stdin(Stdio::null());
        command
    }

    fn sv(&self, args: &[&str]) -> Output {
        let sv = self.fixture.applet("sv");
        self.command(&sv, args).output().unwrap()
    }

    /// The line of `sv status`, with the seconds masked; the same for root and a user.
    fn line(&self) -> String {
        let output = self.sv(&["status", "web"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stderr, b"", "{output:?}");
        if geteuid().is_root() {
            let sv = self.fixture.applet("sv");
            let drop = ["--reuid=65534", "--regid=65534", "--clear-groups"];
            let args = [&drop[..], &[sv.to_str().unwrap(), "status", "web"]].concat();
            let user = self.command(Path::new("/usr/bin/setpriv"), &args).output();
            assert_eq!(masked(&user.unwrap()), masked(&output));
        }
        masked(&output)
    }

    /// What has arrived at the control fifo.
    fn told(&mut self) -> Vec<u8> {
        let mut bytes = [0; 64];
        let n = self.control.read(&mut bytes).unwrap_or(0);
        bytes[..n].to_vec()
    }
}

fn masked(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let words = text.split_inclusive([' ', ',', '\n']).map(|word| {
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        match &word[digits..] {
            rest if digits > 0 && rest.starts_with('s') => format!("N{rest}"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

fn now() -> Tai64n {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap();
    Tai64n::from_unix(now.as_secs() as i64, now.subsec_nanos())
}

/// A status of a process that lives: this one.
fn runs() -> Status {
    Status {
        changed: now(),
        pid: std::process::id(),
        paused: false,
        want_up: true,
        got_term: false,
        phase: Phase::Run,
    }
}

fn down(want_up: bool) -> Status {
    Status {
        pid: 0,
        phase: Phase::Down,
        want_up,
        ..runs()
    }
}

fn gave_up() -> Last {
    Last {
        exit: Exit::Code(78),
        outcome: Outcome::Exit,
        at: now(),
        restarts: 3,
        pid: 812,
        lived_ms: Some(5012),
        given_up: true,
    }
}

#[test]
fn what_each_file_adds_to_a_line() {
    let web = Played::new();
    let run = runs();
    let pid = run.pid;
    let ready = |source| Ready {
        pid,
        at: run.changed,
        source,
    };
    web.shows(&run);
    assert_eq!(web.line(), format!("run: web: (pid {pid}) Ns\n"));
    web.put("ready", ready(None).encode());
    assert_eq!(web.line(), format!("run: web: (pid {pid}) Ns, starting\n"));
    let told = StatusText::new(pid, run.changed, b"loading \"a\", 40 %");
    web.put("status-text", told.encode());
    let says = r#"says "loading \"a\", 40 %""#;
    assert_eq!(
        web.line(),
        format!("run: web: (pid {pid}) Ns, starting, {says}\n")
    );
    web.put("ready", ready(Some(Source::Message)).encode());
    assert_eq!(web.line(), format!("run: web: (pid {pid}) Ns, {says}\n"));
    web.put("reason", "stop waits for api\n");
    web.remove("status-text");
    web.shows(&Status {
        want_up: false,
        ..run
    });
    assert_eq!(
        web.line(),
        format!("run: web: (pid {pid}) Ns, want down, waits for api\n")
    );
    web.put("reason", "needs db: not enabled\n");
    web.put("last", gave_up().encode());
    web.shows(&down(true));
    assert_eq!(
        web.line(),
        "down: web: Ns, normally up, want up, waits for db\n"
    );
    web.shows(&down(false));
    assert_eq!(
        web.line(),
        "down: web: Ns, normally up, stopped by itself: exit 78\n"
    );
    web.shows(&Status { pid: 0, ..run });
    assert_eq!(web.line(), "done: web: Ns\n");
    // An init script says 0 for it.
    let link = web.fixture.path("init.d/web");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(web.fixture.applet("sv"), &link).unwrap();
    let output = web.command(&link, &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    // Debian's sv knows none of these files, and reads the rest.
    let output = web.command(&debian("sv"), &["status", "web"]).output();
    assert_eq!(
        masked(&output.unwrap()),
        "run: web: (pid 0) Ns, normally up, want up\n"
    );
}

/// Puts something at a path.
type Fill<'a> = &'a dyn Fn(&Path);

/// What somebody may have put in the place of a file: sv neither hangs nor believes it.
#[test]
fn what_is_no_line_of_this_run_changes_nothing() {
    let web = Played::new();
    let (run, target) = (runs(), web.fixture.path("target"));
    let ready = Ready {
        pid: run.pid,
        at: run.changed,
        source: None,
    };
    let others = Ready {
        pid: run.pid + 1,
        ..ready
    };
    let earlier = Ready {
        at: Tai64n::from_unix(1, 0),
        ..ready
    };
    let long = [
        &ready.encode().as_bytes()[..30],
        &[b'9'; 1000].repeat(1000)[..],
    ]
    .concat();
    fs::write(&target, ready.encode()).unwrap();
    let statuses = [
        (run, "run: web: (pid PID) Ns\n"),
        (
            Status {
                want_up: false,
                ..run
            },
            "run: web: (pid PID) Ns, want down\n",
        ),
        (down(true), "down: web: Ns, normally up, want up\n"),
        (down(false), "down: web: Ns, normally up\n"),
    ];
    let fill: [(&str, Fill); 11] = [
        ("empty", &|at| fs::write(at, "").unwrap()),
        ("a megabyte", &|at| fs::write(at, &long).unwrap()),
        ("zeros", &|at| fs::write(at, [0; 4096]).unwrap()),
        ("binary", &|at| fs::write(at, b"\xff\x1b[2J 7\n").unwrap()),
        ("another's", &|at| fs::write(at, others.encode()).unwrap()),
        ("earlier", &|at| fs::write(at, earlier.encode()).unwrap()),
        ("cut off", &|at| {
            fs::write(at, &ready.encode()[..20]).unwrap();
        }),
        ("fifo", &|at: &Path| make_fifo(at)),
        ("link", &|at| symlink(&target, at).unwrap()),
        ("device", &|at| symlink("/dev/zero", at).unwrap()),
        ("directory", &|at| fs::create_dir(at).unwrap()),
    ];
    for (what, fill) in fill {
        let files = ["ready", "reason", "last", "status-text", "crash-loop"];
        for name in files {
            web.remove(name);
            fill(&web.supervise(name));
        }
        for (status, expected) in &statuses {
            web.shows(status);
            let expected = expected.replace("PID", &status.pid.to_string());
            assert_eq!(web.line(), expected, "{what}");
        }
        // Nor does it hold up who waits.
        web.shows(&run);
        let output = web.sv(&["-w", "30", "check", "web"]);
        assert_eq!(output.status.code(), Some(0), "{what}: {output:?}");
    }
}

#[test]
fn a_start_waits_until_the_run_is_ready() {
    let web = Played::new();
    let run = runs();
    let ready = |source| Ready {
        pid: run.pid,
        at: run.changed,
        source,
    };
    let line = |source| ready(source).encode();
    web.put("ready", line(None));
    web.shows(&run);
    let output = web.sv(&["-w", "1", "check", "web"]);
    let pid = run.pid;
    assert_eq!(
        masked(&output),
        format!("timeout: run: web: (pid {pid}) Ns, starting\n")
    );
    assert_eq!(output.status.code(), Some(1));
    // The line comes, and a status after it.
    let sv = web.fixture.applet("sv");
    let mut waiting = web.command(&sv, &["-w", "60", "check", "web"]);
    let waiting = waiting.stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It has to wait at first.
            while began.elapsed() < Duration::from_millis(300) {
                std::thread::yield_now();
            }
            fs::write(web.supervise("ready"), line(Some(Source::Descriptor))).unwrap();
            // In place, as a supervisor: nobody sees an empty one.
            let status = fs::OpenOptions::new()
                .write(true)
                .open(web.supervise("status"));
            status.unwrap().write_all(&run.encode()).unwrap();
        });
        let output = waiting.wait_with_output().unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(masked(&output), format!("ok: run: web: (pid {pid}) Ns\n"));
    });
    // A check comes after it.
    web.fixture.add("web/check", "#!/bin/sh\nexit 1\n");
    assert_eq!(web.sv(&["-w", "1", "check", "web"]).status.code(), Some(1));
    web.fixture.add("web/check", "#!/bin/sh\nexit 0\n");
    assert_eq!(web.sv(&["-w", "30", "check", "web"]).status.code(), Some(0));
}

#[test]
fn a_oneshot_counts_when_it_is_done() {
    let mut web = Played::new();
    web.shows(&Status { pid: 0, ..runs() });
    let output = web.sv(&["-w", "30", "check", "web"]);
    assert_eq!(masked(&output), "ok: done: web: Ns\n");
    assert_eq!(output.status.code(), Some(0));
    // One that is held says for whom.
    web.put("reason", "needs db: starting\n");
    web.shows(&down(true));
    let output = web.sv(&["-w", "1", "start", "web"]);
    assert_eq!(
        masked(&output),
        "timeout: down: web: Ns, normally up, want up, waits for db\n"
    );
    assert_eq!(web.told(), b"u");
}

#[test]
fn our_own_words_send_our_own_bytes() {
    let mut web = Played::new();
    web.shows(&runs());
    for (args, bytes) in [
        (&["ready", "web"][..], &b"R"[..]),
        (&["reset", "web"], b"z"),
        (&["-w", "0", "start", "--now", "web"], b"uf"),
        (&["-w", "0", "stop", "-r", "web"], b"d"),
        (&["up", "web"], b"u"),
        (&["u", "web"], b"u"),
    ] {
        let output = web.sv(args);
        assert_eq!(web.told(), bytes, "{args:?}: {output:?}");
    }
    for args in [
        &["start", "--now"][..],
        &["stop", "-r"],
        &["rea", "web"],
        &["ready"],
    ] {
        assert_eq!(web.sv(args).status.code(), Some(100), "{args:?}");
    }
    // Elsewhere they are names, as in runit.
    let output = web.sv(&["up", "--now"]);
    let line = "fail: --now: unable to change to service directory: file does not exist\n";
    assert_eq!(masked(&output), line);
}

/// How the run of a plain service ended, as its supervisor writes it.
#[test]
fn a_plain_service_has_one_file_more() {
    let fixture = Fixture::new(&[("web/run", "#!/bin/sh\nexec sleep 1000\n")]);
    let mut supervisor = fixture.applet("runsv");
    let web = fixture.path("web");
    let mut child = Command::new(&mut supervisor).arg(&web).spawn().unwrap();
    let first = status(&web, "run", |s| s.phase == Phase::Run);
    let names = || {
        let entries = fs::read_dir(web.join("supervise")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let runits = ["control", "lock", "ok", "pid", "stat", "status"];
    wait_for("files", &[&web.join("supervise")], || {
        (names().len() == runits.len()).then_some(())
    });
    assert!(names().iter().eq(runits.iter()), "{:?}", names());
    super::common::kill(first.pid, rustix::process::Signal::KILL);
    status(&web, "another run", |s| {
        s.phase == Phase::Run && s.pid != first.pid
    });
    // Nobody waits for it, so it comes when there is time.
    let last = wait_for("supervise/last", &[&web.join("supervise")], || {
        Last::decode(&fs::read(web.join("supervise/last")).ok()?)
    });
    assert_eq!((last.pid, last.exit), (first.pid, Exit::Signal(9)));
    assert_eq!((last.restarts, last.given_up), (0, false));
    assert!(last.lived_ms.is_some() && last.at >= first.changed);
    assert_eq!(names().len(), runits.len() + 1);
    let sv = fixture.applet("sv");
    let ended = Command::new(sv).arg("exit").arg(&web).status().unwrap();
    assert!(ended.success());
    child.wait().unwrap();
    assert_eq!(read_status(&web).unwrap().pid, 0);
    let line = fs::read(web.join("supervise/last")).unwrap();
    let last = Last::decode(&line).unwrap();
    assert_eq!((last.exit, last.restarts), (Exit::Signal(15), 1));
}

/// What our own supervisor shows, and a successor after a kill.
#[test]
fn a_killed_supervisors_successor_shows_the_same() {
    let fixture = Fixture::new(&[
        ("sv/web/run", SLEEP),
        ("sv/web/needs/db", ""),
        ("sv/db/run", SLEEP),
        ("sv/db/down", ""),
        ("sv/job/run", "#!/bin/sh\nexit 78\n"),
        ("sv/job/restart", "always 78\n"),
        ("sv/mounts/setup", "#!/bin/sh\nexit 0\n"),
    ]);
    let sv = fixture.applet("sv");
    let say = |args: &[&str]| {
        let mut command = Command::new(&sv);
        let output = command.args(args).env("SVDIR", fixture.path("sv")).output();
        masked(&output.unwrap())
    };
    let names = ["web", "db", "job", "mounts"];
    let expected = "down: web: Ns, normally up, want up, waits for db\n\
        down: db: Ns\n\
        down: job: Ns, normally up, stopped by itself: exit 78\n\
        done: mounts: Ns\n";
    let supervise = |name: &str| fixture.path(&format!("sv/{name}/supervise"));
    let last = || fs::read(supervise("job").join("last")).unwrap();
    let mut before = None;
    for _ in 0..2 {
        let mut runsvdir = Command::new(fixture.applet("runsvdir"));
        let mut child = runsvdir
            .arg(fixture.path("sv"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = [&["status"], &names[..]].concat();
        super::common::yield_until(|| (say(&status) == expected).then_some(()));
        assert_eq!(*before.get_or_insert_with(last), last());
        super::common::end_by(&mut child, rustix::process::Signal::KILL);
    }
    let mut runsvdir = Command::new(fixture.applet("runsvdir"));
    let mut child = runsvdir.arg(fixture.path("sv")).spawn().unwrap();
    let web = fixture.path("sv/web");
    super::common::yield_until(|| say(&["status", "web"]).contains("waits for").then_some(()));
    // Each word goes when it is no longer true.
    assert_eq!(
        say(&["-w", "60", "start", "web"]).lines().next(),
        Some("start: db (needed by web)")
    );
    status(&web, "run", |s| s.phase == Phase::Run);
    let reason = fs::read_to_string(supervise("web").join("reason"));
    assert_eq!(reason.unwrap_or_default(), "");
    fixture.add("sv/job/run", SLEEP);
    say(&["-w", "60", "start", "job"]);
    say(&["-w", "60", "stop", "job"]);
    assert_eq!(say(&["status", "job"]), "down: job: Ns, normally up\n");
    super::common::end_by(&mut child, rustix::process::Signal::HUP);
}
