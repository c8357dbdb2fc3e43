//! `supervise` in the hands of somebody who may do less than the supervisor: what is
//! planted there is neither followed nor written to nor believed, and what a user was
//! permitted goes on working.
//!
//! As an ordinary user the tests do without a second user; the other ways to make a
//! file that is not the supervisor's alone (mode, links, time) are the same.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::adopt::{self, Part, World};
use model::format::status::{Phase, Status};
use model::format::tai64n::Tai64n;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, geteuid};

use super::bad_input::{enclosed, ordinary, ours, run, until_ready};
use super::common::{
    Fixture, SLEEP, copy_program, end_by, kill, lives, read_status, sunup, wait_exit, wait_for,
};

const NOBODY: u32 = 65534;

/// runsv on `web` of a fixture; what it says goes to `said`.
struct Runsv<'f> {
    fixture: &'f Fixture,
    child: Child,
}

impl<'f> Runsv<'f> {
    fn start(fixture: &'f Fixture) -> Self {
        let said = File::create(fixture.path("said")).unwrap();
        let child = ours("runsv")
            .arg(fixture.path("web"))
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        let runsv = Self { fixture, child };
        until_ready(&fixture.path("web"));
        runsv
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("said")).unwrap()
    }

    fn pid(&self) -> u32 {
        read_status(&self.fixture.path("web")).unwrap().pid
    }

    fn slay(mut self) {
        kill(self.child.id(), Signal::KILL);
        wait_exit(&mut self.child);
    }

    fn end(mut self) {
        sv("exit", &self.fixture.path("web"));
        assert_eq!(wait_exit(&mut self.child).code(), Some(0));
    }
}

impl Drop for Runsv<'_> {
    fn drop(&mut self) {
        end_by(&mut self.child, Signal::TERM);
    }
}

/// A process that is no service.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sv(verb: &str, dir: &Path) {
    let ran = run(verb, ours("sv").args(["-w60", verb]).arg(dir));
    assert_eq!(ran.code, 0, "{verb}: {}{}", ran.out, ran.errors);
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What a child that was started `ago_s` seconds ago writes into `supervise/lock`.
fn record(pid: u32, ago_s: i64) -> Vec<u8> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let world = World {
        boot_id: boot_id.trim().into(),
        pid_namespace: fs::metadata("/proc/self/ns/pid").unwrap().ino(),
    };
    let at = boot_ns().saturating_add_signed(-ago_s * 1_000_000_000);
    let mut line = adopt::prefix(Part::Run, &world, 0);
    line.extend(format!("{pid} {at}").into_bytes());
    line.resize(adopt::BYTES - 1, b' ');
    line.push(b'\n');
    line
}

fn status(pid: u32) -> Vec<u8> {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let status = Status {
        changed: Tai64n::from_unix(now.as_secs() as i64, 0),
        pid,
        paused: false,
        want_up: true,
        got_term: false,
        phase: Phase::Run,
    };
    status.encode().to_vec()
}

/// A service directory with a `supervise` that holds these.
fn planted(lock: &[u8], status: &[u8]) -> Fixture {
    planted_in(Fixture::new(&[]), lock, status)
}

fn planted_in(fixture: Fixture, lock: &[u8], status: &[u8]) -> Fixture {
    fixture.add("web/run", SLEEP);
    fixture.add("web/supervise/", "");
    for (name, content) in [("lock", lock), ("status", status)] {
        fs::write(fixture.path("web/supervise").join(name), content).unwrap();
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(fixture.path("web/supervise").join(name), mode).unwrap();
    }
    fixture
}

/// Makes a file one that others could have written.
fn give_away(path: &Path, how: &str) {
    let open = fs::Permissions::from_mode(0o622);
    match how {
        "mode" => fs::set_permissions(path, open).unwrap(),
        "link" => fs::hard_link(path, path.with_extension("2")).unwrap(),
        "owner" => chown(path, Some(NOBODY), None).unwrap(),
        _ => {}
    }
}

/// The ways that there are for who runs the tests.
fn ways() -> Vec<&'static str> {
    let mut ways = vec!["mode", "link"];
    ways.extend(geteuid().is_root().then_some("owner"));
    ways
}

/// The process that was named is none of the supervisor's: it has its own, and
/// stopping that does nothing to the other.
fn must_not_touch(case: &str, victim: &Victim, fixture: &Fixture, says: bool) {
    let runsv = Runsv::start(fixture);
    assert_ne!(runsv.pid(), victim.pid(), "{case}");
    sv("down", &fixture.path("web"));
    assert!(lives(victim.pid()), "{case}");
    let said = runsv.said();
    assert_eq!(said.contains("is not taken over"), says, "{case}: {said}");
    runsv.end();
    assert!(lives(victim.pid()), "{case}");
}

#[test]
fn a_record_that_others_could_have_written_is_not_believed() {
    let victim = Victim::start();
    for how in ways() {
        let fixture = planted(&record(victim.pid(), 0), &status(victim.pid()));
        give_away(&fixture.path("web/supervise/lock"), how);
        give_away(&fixture.path("web/supervise/status"), how);
        must_not_touch(how, &victim, &fixture, true);
    }
}

#[test]
fn a_record_from_the_future_is_not_believed() {
    let victim = Victim::start();
    let fixture = planted(&record(victim.pid(), -3600), b"");
    must_not_touch("future", &victim, &fixture, false);
}

/// The shell is above the supervisor, or becomes it. Its record is plausible in all
/// else: it says what it would say of a service that was started after the shell.
#[test]
fn a_record_of_the_supervisor_or_of_what_is_above_it_is_not_believed() {
    for exec in ["", "exec "] {
        let fixture = planted(b"", b"");
        let script = format!("read go\n{exec}\"$0\" runsv web 2>said\nexit $?");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(sunup())
            .current_dir(fixture.path("."))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shell = Victim(child);
        let lock = fixture.path("web/supervise/lock");
        fs::write(&lock, record(shell.pid(), 0)).unwrap();
        // Standard input ends, and `read` with it.
        drop(shell.0.stdin.take());
        let pid = until_ready(&fixture.path("web"));
        assert_ne!(pid, shell.pid(), "{exec}");
        sv("exit", &fixture.path("web"));
        assert_eq!(wait_exit(&mut shell.0).code(), Some(0), "{exec}");
    }
}

/// runit's status names a process without a record.
#[test]
fn a_status_that_others_could_have_written_names_no_process() {
    let victim = Victim::start();
    for how in ways() {
        let fixture = planted(b"", &status(victim.pid()));
        give_away(&fixture.path("web/supervise/status"), how);
        must_not_touch(how, &victim, &fixture, false);
    }
}

/// The same, written by nobody else, is what adoption works by.
#[test]
fn what_is_ours_is_believed() {
    for lock in [true, false] {
        let place = Fixture::new(&[("web/", "")]);
        // runit's status tells times in seconds, which a busy machine may miss.
        let web = place.path("web");
        let sleep = Command::new("sleep").arg("1000").current_dir(&web).spawn();
        let victim = Victim(sleep.unwrap());
        let record = record(victim.pid(), 0);
        let lines = if lock { &record[..] } else { b"" };
        let fixture = planted_in(place, lines, &status(victim.pid()));
        let runsv = Runsv::start(&fixture);
        assert_eq!(runsv.pid(), victim.pid(), "{lock}");
        runsv.end();
    }
}

/// A lock is replaced, not written to; it locks all the same.
#[test]
fn the_lock_is_a_lock_whatever_it_was() {
    for how in ways() {
        let fixture = planted(b"", b"");
        give_away(&fixture.path("web/supervise/lock"), how);
        let runsv = Runsv::start(&fixture);
        let second = run(how, ours("runsv").arg(fixture.path("web")));
        assert_eq!(second.code, 111, "{how}: {}", second.errors);
        let pid = runsv.pid();
        runsv.slay();
        let next = Runsv::start(&fixture);
        assert_eq!(next.pid(), pid, "{how}");
        next.end();
    }
}

#[test]
fn files_with_another_name_are_not_written_to() {
    const SECRET: &str =
        "a text that is longer than any file of the supervisor's, and is to stay\n";
    let fixture = Fixture::new(&[
        ("web/run", SLEEP),
        ("web/backoff", ""),
        ("web/supervise/", ""),
        ("secret", SECRET),
    ]);
    for name in [
        "lock", "pid", "stat", "status", "lock.new", "ok.new", "pid.new",
    ] {
        let path = fixture.path("web/supervise").join(name);
        fs::hard_link(fixture.path("secret"), path).unwrap();
    }
    let runsv = Runsv::start(&fixture);
    sv("restart", &fixture.path("web"));
    runsv.end();
    assert_eq!(fs::read_to_string(fixture.path("secret")).unwrap(), SECRET);
}

/// How a name may lead to a file of somebody else.
const PLANTS: [fn(&Path, &Path); 2] = [
    |secret, at| std::os::unix::fs::symlink(secret, at).unwrap(),
    |secret, at| fs::hard_link(secret, at).unwrap(),
];

/// A successor asks who holds the lock to let go of it, by a fifo and nothing else.
#[test]
fn nothing_is_written_through_a_link_or_into_a_file() {
    for plant in PLANTS {
        let fixture = Fixture::new(&[
            ("scan/web/run", SLEEP),
            ("scan/web/supervise/lock", ""),
            ("scan/web/log/run", SLEEP),
            ("scan/web/log/supervise/lock", ""),
            ("secret", "kept"),
        ]);
        let lock = File::open(fixture.path("scan/web/supervise/lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let homes = ["scan/web", "scan/web/log"].map(|dir| fixture.path(dir));
        for home in &homes {
            plant(&fixture.path("secret"), &home.join("supervise/control"));
        }
        let mut runsvdir = ours("runsvdir")
            .arg(fixture.path("scan"))
            .stdout(Stdio::null())
            .stderr(File::create(fixture.path("said")).unwrap())
            .spawn()
            .unwrap();
        wait_for("complaint", &[&fixture.path(".")], || {
            let said = fs::read_to_string(fixture.path("said")).ok()?;
            said.contains("another supervisor holds").then_some(())
        });
        kill(runsvdir.id(), Signal::TERM);
        wait_exit(&mut runsvdir);
        assert_eq!(fs::read(fixture.path("secret")).unwrap(), b"kept");
    }
}

#[test]
fn sv_writes_to_a_fifo_and_nothing_else() {
    for plant in PLANTS {
        let fixture = planted(b"", &status(0));
        fs::write(fixture.path("secret"), "kept").unwrap();
        let ok = fixture.path("web/supervise/ok");
        super::bad_input::Bad::Fifo.put(&ok);
        let reader = fs::OpenOptions::new().read(true).write(true).open(&ok);
        let control = fixture.path("web/supervise/control");
        plant(&fixture.path("secret"), &control);
        for (applet, args) in [
            ("sv", &["-w1", "up"][..]),
            ("sv", &["alarm"]),
            ("svc", &["-u"]),
        ] {
            let web = fixture.path("web").display().to_string() + "/";
            let ran = run(applet, ours(applet).args(args).arg(web));
            assert_ne!(ran.code, 0, "{applet}: {}{}", ran.out, ran.errors);
        }
        drop(reader);
        fs::remove_file(&ok).unwrap();
        plant(&fixture.path("secret"), &ok);
        let ran = run("svok", ours("svok").arg(fixture.path("web")));
        assert_ne!(ran.code, 0, "{}", ran.errors);
        assert_eq!(fs::read(fixture.path("secret")).unwrap(), b"kept");
    }
}

/// As runit's FAQ has it: a user may command a service of root's, also after restarts of
/// the service and of the supervisor. The fifos stay the user's; `status` is the
/// supervisor's again at the next change, and everybody may read it. What its owner wrote
/// into it before names no process of the service.
#[test]
fn a_user_who_was_given_the_fifos_commands_the_service() {
    let fixture = Fixture::new(&[("web/run", SLEEP)]);
    for dir in [".", "web"] {
        fs::set_permissions(fixture.path(dir), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let supervise = fixture.path("web/supervise");
    let give = || {
        fs::set_permissions(&supervise, fs::Permissions::from_mode(0o755)).unwrap();
        let owner = geteuid().is_root().then_some(NOBODY);
        for name in ["ok", "control", "status"] {
            chown(supervise.join(name), owner, None).unwrap();
        }
    };
    let by_user = |verb: &str| {
        let program = user_program(&fixture);
        let mut command = Command::new(program);
        command.args(["sv", "-w60", verb]).arg(fixture.path("web"));
        let ran = run(verb, &mut ordinary(&command));
        assert_eq!(ran.code, 0, "{verb}: {}{}", ran.out, ran.errors);
    };
    let is_given = |name: &str| {
        let owner = fs::metadata(supervise.join(name)).unwrap().uid();
        geteuid().is_root() && owner == NOBODY
    };
    let mut runsv = Runsv::start(&fixture);
    let victim = Victim::start();
    give();
    for _ in 0..2 {
        by_user("status");
        by_user("restart");
        assert!(!is_given("status"));
        by_user("down");
        by_user("status");
        by_user("up");
        give();
        let pid = runsv.pid();
        runsv.slay();
        fs::write(supervise.join("status"), status(victim.pid())).unwrap();
        runsv = Runsv::start(&fixture);
        wait_for("status", &[&supervise], || {
            (!is_given("status")).then_some(())
        });
        assert_eq!(runsv.pid(), pid);
        for name in ["ok", "control"] {
            assert_eq!(is_given(name), geteuid().is_root(), "{name}");
        }
        by_user("down");
        assert!(!lives(pid) && lives(victim.pid()));
        by_user("up");
        assert_eq!(runsv.said(), "");
    }
    runsv.end();
}

/// The binary in a place that every user may enter.
fn user_program(fixture: &Fixture) -> PathBuf {
    let program = fixture.path("sunup");
    if !program.exists() {
        copy_program(sunup(), &program);
    }
    program
}

/// An image with `supervise` in it: on overlayfs the two names of the fifo in the
/// lower layer are two fifos, though they have one inode number.
#[test]
fn on_overlayfs_both_fifos_are_heard() {
    const SCRIPT: &str = "
        mount -t tmpfs tmpfs m
        mkdir -p m/low/web/supervise m/up m/work m/top
        cp run m/low/web/run
        mkfifo m/low/web/supervise/control
        ln m/low/web/supervise/control m/low/web/supervise/ok
        for file in pid stat status lock; do
            echo from the image >m/low/web/supervise/$file
        done
        mount -t overlay -o lowerdir=m/low,upperdir=m/up,workdir=m/work overlay m/top
        exec \"$@\"";
    // What the applet called `sh` would be: a shell that gets the binary's path.
    const WORK: &str = "
        cd m/top
        until_stat() { until [ \"$(cat web/supervise/stat)\" = run ]; do :; done; }
        $S runsv web & boss=$!
        until_stat
        $S svok web || echo not heard
        $S sv -w60 restart ./web/
        first=$(cat web/supervise/pid)
        for name in ok control; do
            rm web/supervise/$name
            kill $(cat web/supervise/pid)
            while [ \"$(cat web/supervise/pid)\" = \"$first\" ]; do :; done
            until_stat
            first=$(cat web/supervise/pid)
            $S svok web || echo $name: not heard
            $S sv -w60 up ./web/
        done
        kill -9 $boss; wait $boss
        $S runsv web & boss=$!
        until $S svok web; do :; done
        [ \"$(cat web/supervise/pid)\" = $first ] || echo a second copy
        $S sv -w60 exit ./web/
        wait $boss; echo end $?";
    let fixture = Fixture::new(&[("run", SLEEP), ("m/", "")]);
    let mut command = enclosed(&fixture, SCRIPT, "unused");
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let program = sunup();
    let mut shell = Command::new(command.get_program());
    shell
        .args(&args[..args.len() - 2])
        .args(["sh", "-c", &format!("S={}\n{WORK}", program.display())])
        .current_dir(fixture.path("."))
        .stdin(Stdio::null());
    command = shell;
    let ran = run("overlay", &mut command);
    let lines: Vec<&str> = ran.out.lines().collect();
    let is_ok = |line: &&str| line.starts_with("ok: ");
    let (oks, others): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(is_ok);
    assert_eq!(others, ["end 0"], "{}{}", ran.out, ran.errors);
    assert_eq!(oks.len(), 4, "{}", ran.out);
}
