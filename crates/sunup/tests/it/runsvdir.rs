//! runsvdir with real processes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::format::status::Status;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, debian, down, ends, group_and_session, is_sunup, kill, lives,
    read_status, running, until_ready, until_unlocked, wait_exit, wait_for, yield_until,
};

/// A runsvdir over `scan` of a fixture; its services end with it.
pub struct Runsvdir {
    pub child: Child,
    scan: PathBuf,
    stderr: PathBuf,
}

impl Runsvdir {
    pub fn start(fixture: &Fixture) -> Self {
        let stderr = fixture.path("stderr");
        let sink = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&stderr)
            .unwrap();
        Self::start_with(fixture, sink.into())
    }

    fn start_with(fixture: &Fixture, sink: std::os::fd::OwnedFd) -> Self {
        Self::start_by(applet("runsvdir"), fixture, sink)
    }

    /// With so few descriptors.
    pub fn start_limited(fixture: &Fixture, descriptors: usize) -> Self {
        let sink = fs::File::create(fixture.path("stderr")).unwrap();
        let mut shell = Command::new("sh");
        let limit = format!("ulimit -n {descriptors}; exec \"$@\"");
        shell
            .args(["-c", &limit, "sh"])
            .arg(fixture.applet("runsvdir"));
        Self::start_by(shell, fixture, sink.into())
    }

    fn start_by(mut command: Command, fixture: &Fixture, sink: std::os::fd::OwnedFd) -> Self {
        let (scan, stderr) = (fixture.path("scan"), fixture.path("stderr"));
        let child = command
            .arg("-P")
            .arg(&scan)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(sink)
            .spawn()
            .unwrap();
        Self {
            child,
            scan,
            stderr,
        }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Stops everything and waits until nothing is left.
    pub fn hang_up(mut self) {
        let pids: Vec<u32> = all_pids(&self.scan);
        kill(self.child.id(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.child).code(), Some(111));
        assert!(pids.into_iter().all(ends));
    }
}

impl Drop for Runsvdir {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill(self.child.id(), Signal::KILL);
            drop(self.child.wait());
        }
        for pid in all_pids(&self.scan).into_iter().filter(|p| lives(*p)) {
            kill(pid, Signal::KILL);
        }
    }
}

fn all_pids(scan: &Path) -> Vec<u32> {
    let names = fs::read_dir(scan).unwrap().map(|e| e.unwrap().path());
    names
        .flat_map(|dir| [dir.join("log"), dir])
        .filter_map(|dir| read_status(&dir))
        .map(|s| s.pid)
        .filter(|pid| *pid > 1)
        .collect()
}

/// Waits for a status of the service in `dir`, whose supervise directory may not exist yet.
pub fn status(dir: &Path, what: &str, check: impl Fn(&Status) -> bool) -> Status {
    if !dir.join("supervise").exists() {
        wait_for("supervise", &[dir], || {
            dir.join("supervise").is_dir().then_some(())
        });
    }
    wait_for(what, &[&dir.join("supervise")], || {
        read_status(dir).filter(|s| check(s))
    })
}

/// Many run scripts take their own service down by sv, on purpose or when they
/// find that they are not needed; the first run may be as fast as it likes.
#[test]
fn a_first_run_may_command_its_own_service() {
    let names: Vec<String> = (0..50).map(|n| format!("scan/{n}")).collect();
    let fixture = Fixture::new(&[("scan/", "")]);
    let sv = fixture.applet("sv");
    let run = format!("#!/bin/sh\necho >>runs\nexec {} down .\n", sv.display());
    for name in &names {
        fixture.add(&format!("{name}/run"), &run);
    }
    let runsvdir = Runsvdir::start(&fixture);
    for name in &names {
        let dir = fixture.path(name);
        status(&dir, "down", |s| down(s) && !s.want_up);
        assert_eq!(fs::read_to_string(dir.join("runs")).unwrap(), "\n");
    }
    runsvdir.hang_up();
}

/// What a service is told before it ends counts first, however late and in whatever
/// order its supervisor hears of it.
#[test]
fn a_last_command_counts_before_the_end() {
    const RUN: &str = "#!/bin/sh\nsleep 1.1\n: >ready\nread word <go\n\
        printf d >supervise/control\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", RUN),
        // In the place of TERM, which another life may end by before it can tell of itself.
        ("scan/web/control/t", "#!/bin/sh\n"),
        ("scan/other/run", SLEEP),
    ]);
    let dir = fixture.path("scan/web");
    let go = dir.join("go");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let runsvdir = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "web", running);
    // It has lived for a second: after less it would not be started at once.
    until_ready(&dir);
    kill(runsvdir.child.id(), Signal::STOP);
    kill(other.pid, Signal::KILL);
    assert!(ends(other.pid));
    fs::write(&go, "go\n").unwrap();
    assert!(ends(web.pid));
    kill(runsvdir.child.id(), Signal::CONT);
    status(&dir, "down", |s| down(s) && !s.want_up);
    runsvdir.hang_up();
}

/// Debian's packages send it after they have enabled a service.
#[test]
fn alarm_asks_for_a_look() {
    let fixture = Fixture::new(&[("scan/one/run", SLEEP), ("all/two/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("scan/one"), "one", running);
    kill(runsvdir.child.id(), Signal::ALARM);
    fixture.add("scan/two -> ../all/two", "");
    kill(runsvdir.child.id(), Signal::ALARM);
    status(&fixture.path("all/two"), "two", running);
    runsvdir.hang_up();
}

#[test]
fn follows_the_directory() {
    let fixture = Fixture::new(&[
        ("scan/one/run", SLEEP),
        ("scan/.hidden/run", SLEEP),
        ("scan/file", "not a service"),
        ("scan/two -> ../all/two", ""),
        ("all/two/run", SLEEP),
        ("all/three/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("scan/one"), "one", running);
    let two = status(&fixture.path("all/two"), "two", running);
    assert!(!fixture.path("scan/.hidden/supervise").exists());
    fixture.add("scan/three -> ../all/three", "");
    status(&fixture.path("all/three"), "a new link", running);

    fs::remove_file(fixture.path("scan/two")).unwrap();
    status(&fixture.path("all/two"), "a removed link", down);
    assert!(!lives(two.pid) && lives(one.pid));

    fs::rename(fixture.path("scan/one"), fixture.path("scan/uno")).unwrap();
    fixture.add("scan/two -> ../all/two", "");
    status(&fixture.path("all/two"), "the link is back", running);
    let uno = status(&fixture.path("scan/uno"), "renamed", running);
    assert_eq!(uno.pid, one.pid, "a new name is no new service");
    // It is controlled under its new name, and writes its state there.
    fs::write(fixture.path("scan/uno/supervise/control"), "d").unwrap();
    status(&fixture.path("scan/uno"), "down", down);
    runsvdir.hang_up();
}

#[test]
fn a_replaced_directory_is_another_service() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    let old = status(&fixture.path("scan/web"), "old", running);
    fixture.add("new/run", SLEEP);
    fs::rename(fixture.path("scan/web"), fixture.path("gone")).unwrap();
    fs::rename(fixture.path("new"), fixture.path("scan/web")).unwrap();
    let new = status(&fixture.path("scan/web"), "new", |s| {
        running(s) && s.pid != old.pid
    });
    // Others tell the old one's supervisor, and start the new one beside it.
    let stopped = if is_sunup() {
        !lives(old.pid)
    } else {
        ends(old.pid)
    };
    assert!(stopped, "the old one has stopped before the new one starts");
    assert!(lives(new.pid));
    runsvdir.hang_up();
}

#[test]
fn a_directory_that_is_being_filled_is_not_started_too_early() {
    let fixture = Fixture::new(&[("scan/first/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    // From now on it is told of what comes.
    status(&fixture.path("scan/first"), "first", running);
    for n in 0..100 {
        // In the wrong order on purpose: the directory, its run, and `down` last.
        let dir = fixture.path(&format!("scan/web{n}"));
        let start = Instant::now();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("run"), "").unwrap();
        fs::write(dir.join("down"), "").unwrap();
        let is_quick = start.elapsed() < Duration::from_millis(50);
        let shown = status(&dir, "status", |_| true);
        // Who takes longer than a directory is given to settle shows nothing.
        if is_quick {
            assert!(down(&shown) && !shown.want_up);
            break;
        }
    }
    runsvdir.hang_up();
}

#[test]
fn the_directory_may_be_a_link_that_is_switched() {
    let fixture = Fixture::new(&[
        ("default/one/run", SLEEP),
        ("single/two/run", SLEEP),
        ("current -> default", ""),
        ("scan -> current", ""),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("default/one"), "one", running);
    fixture.add("new -> single", "");
    fs::rename(fixture.path("new"), fixture.path("current")).unwrap();
    status(&fixture.path("single/two"), "two", running);
    status(&fixture.path("default/one"), "one stops", down);
    assert!(!lives(one.pid));
    runsvdir.hang_up();
}

/// An entry may lead through another one, or through a hidden one: what happens
/// to that concerns both.
#[test]
fn an_entry_may_lead_through_another() {
    let fixture = Fixture::new(&[
        ("one/run", SLEEP),
        ("two/run", SLEEP),
        ("three/run", SLEEP),
        ("four/run", SLEEP),
        ("scan/a -> b", ""),
        ("scan/b -> ../one", ""),
        ("scan/c -> .hidden", ""),
        ("scan/.hidden -> ../three", ""),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("one"), "one", running);
    status(&fixture.path("three"), "three", running);
    for (link, to, from) in [("b", "two", "one"), (".hidden", "four", "three")] {
        fixture.add(&format!("new -> ../{to}"), "");
        fs::rename(fixture.path("new"), fixture.path("scan").join(link)).unwrap();
        status(&fixture.path(to), "its successor", running);
        status(&fixture.path(from), "it stops", down);
    }
    // One of two names of a service goes, and then the other.
    fs::remove_file(fixture.path("scan/a")).unwrap();
    fixture.add("scan/d -> ../one", "");
    status(&fixture.path("one"), "comes back", running);
    status(&fixture.path("two"), "has a name left", running);
    fs::remove_file(fixture.path("scan/b")).unwrap();
    status(&fixture.path("two"), "has none", down);
    runsvdir.hang_up();
}

/// D5: runit stops at 1000 services.
#[test]
fn more_than_a_thousand_services() {
    let fixture = Fixture::new(&[("scan/", ""), ("service/run", SLEEP)]);
    for n in 0..1100 {
        // A `down` file keeps the test light: what counts is that each is supervised.
        fixture.add(&format!("scan/{n}/down"), "");
    }
    let runsvdir = Runsvdir::start(&fixture);
    for n in 0..1100 {
        status(&fixture.path(&format!("scan/{n}")), "supervised", down);
    }
    runsvdir.hang_up();
}

/// Ends `unshare`, and with it all that runs in its pid namespace.
struct Namespace(Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// D6: a service is known by file system and inode.
#[test]
fn the_same_inode_on_two_file_systems_is_two_services() {
    let fixture = Fixture::new(&[
        ("scan/a -> ../a/service", ""),
        ("scan/b -> ../b/service", ""),
        ("a/", ""),
        ("b/", ""),
        ("out/", ""),
    ]);
    // A new tmpfs counts its inodes from the start.
    let script = "
        for fs in a b; do
            mount -t tmpfs tmpfs $fs; mkdir $fs/service
            printf '#!/bin/sh\n: >../../out/%s\nexec sleep 1000\n' $fs >$fs/service/run
            chmod +x $fs/service/run
        done
        [ $(stat -c %i a/service) = $(stat -c %i b/service) ]
        exec \"$@\" -P scan";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-ec", script, "sh"])
        .arg(fixture.bin(&["runsv", "runsvdir"]).join("runsvdir"))
        .env(
            "PATH",
            std::env::join_paths([
                &fixture.path("bin"),
                Path::new("/usr/bin"),
                Path::new("/bin"),
            ])
            .unwrap(),
        )
        .current_dir(fixture.path(""))
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare of the package util-linux");
    let _namespace = Namespace(child);
    let out = fixture.path("out");
    wait_for("both", &[&out], || {
        (out.join("a").exists() && out.join("b").exists()).then_some(())
    });
}

#[test]
fn bad_services_are_named_and_harm_no_other() {
    let fixture = Fixture::new(&[
        ("scan/empty/", ""),
        ("scan/noexec/run", "echo"),
        ("scan/nointerpreter/run", "#!/does/not/exist\n"),
        ("scan/dos/run", "#! /bin/sh\r\nexec true\r\n"),
        ("scan/noformat/run", "echo no first line"),
        ("scan/nosupervise/run", SLEEP),
        ("scan/nosupervise/supervise", "a file"),
        ("scan/good/run", SLEEP),
    ]);
    fs::set_permissions(
        fixture.path("scan/noformat/run"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("scan/good"), "good", running);
    let complaints = [
        "runsvdir: empty: start SCAN/empty/run: No such file or directory\n",
        "runsvdir: noexec: start SCAN/noexec/run: Permission denied; make it executable with chmod +x\n",
        "runsvdir: nointerpreter: start SCAN/nointerpreter/run: No such file or directory; \
         the interpreter that its first line names does not exist\n",
        "runsvdir: dos: start SCAN/dos/run: No such file or directory; \
         the interpreter that its first line names does not exist: \
         the line ends in CR (an editor of DOS); remove it\n",
        "runsvdir: noformat: start SCAN/noformat/run: Exec format error; a script must begin with a line like #!/bin/sh\n",
        "runsvdir: nosupervise: make supervise: Not a directory; trying again\n",
    ];
    let real = fs::canonicalize(fixture.path("scan")).unwrap();
    for complaint in complaints {
        let complaint = complaint.replace("SCAN", real.to_str().unwrap());
        wait_for(&complaint, &[&fixture.path("")], || {
            runsvdir.said().contains(&complaint).then_some(())
        });
    }
    fs::remove_file(fixture.path("scan/nosupervise/supervise")).unwrap();
    fixture.add("scan/empty/run", SLEEP);
    status(&fixture.path("scan/nosupervise"), "mended", running);
    status(&fixture.path("scan/empty"), "mended", running);
    // Each complaint was made once, however often it was tried.
    for line in runsvdir.said().lines() {
        assert_eq!(runsvdir.said().matches(line).count(), 1, "{line}");
    }
    runsvdir.hang_up();
}

/// A tree as it is used: sessions of their own, but no session leaders, so that
/// `exec setsid` in a run script does not fork (it would look like an end).
#[test]
fn sessions_are_as_under_runit() {
    let fixture = Fixture::new(&[
        ("scan/plain/run", SLEEP),
        ("scan/setsid/run", "#!/bin/sh\nexec setsid sleep 1000\n"),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let plain = status(&fixture.path("scan/plain"), "plain", running).pid;
    let (group, session) = group_and_session(plain);
    assert_eq!(group, session);
    assert_ne!(session, plain);
    assert_ne!(session, group_and_session(std::process::id()).1);
    let leader = status(&fixture.path("scan/setsid"), "setsid", running).pid;
    yield_until(|| (group_and_session(leader).1 == leader).then_some(()));
    runsvdir.hang_up();
}

/// D8: HUP, and it is gone when its services are.
#[test]
fn hang_up_waits_for_the_services() {
    let slow = "#!/bin/sh\ntrap 'kill -9 $!; sleep 1; exit' TERM\nsleep 1000 &\n: >ready\nwait\n";
    let fixture = Fixture::new(&[("scan/slow/run", slow)]);
    let mut runsvdir = Runsvdir::start(&fixture);
    let service = status(&fixture.path("scan/slow"), "slow", running);
    until_ready(&fixture.path("scan/slow"));
    kill(runsvdir.child.id(), Signal::HUP);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(111));
    assert!(!lives(service.pid));
}

/// How soon something is noticed. Who polls takes as long each time; who is told
/// is quick at least once, even on a busy machine.
fn is_quick(mut once: impl FnMut(u32) -> Duration) -> bool {
    // runit looks again after a second when the clock's grain may hide something.
    let quick = Duration::from_millis(600);
    (0..8).map(&mut once).any(|took| took < quick)
}

/// D4: a new service starts at once, not at the next poll.
#[test]
fn a_new_service_starts_at_once() {
    let fixture = Fixture::new(&[("scan/", "")]);
    for n in (0..8).chain([100]) {
        fixture.add(&format!("all/{n}/run"), SLEEP);
    }
    let runsvdir = Runsvdir::start(&fixture);
    let add = |n: u32| {
        fixture.add(&format!("scan/{n} -> ../all/{n}"), "");
        let start = Instant::now();
        status(&fixture.path(&format!("all/{n}")), "run", running);
        start.elapsed()
    };
    // What follows comes just after a poll, if there are any.
    add(100);
    assert!(is_quick(add));
    runsvdir.hang_up();
}

/// D3: who supervises a service is killed. As init would, the test starts a
/// runsvdir again that has ended.
#[test]
fn the_death_of_a_supervisor_is_noticed_at_once() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    status(&dir, "run", running);
    let mut kill_one = |_| {
        let first = lock_holder(&dir).unwrap();
        kill(first, Signal::KILL);
        let start = Instant::now();
        yield_until(|| {
            if runsvdir.child.try_wait().unwrap().is_some() {
                runsvdir = Runsvdir::start(&fixture);
            }
            lock_holder(&dir).filter(|holder| *holder != first)
        });
        start.elapsed()
    };
    // What follows comes just after a poll, if there are any.
    kill_one(0);
    assert!(is_quick(kill_one));
}

/// kill -9 of the supervisor of many services.
#[test]
fn a_killed_supervisor_takes_all_back() {
    let fixture = Fixture::new(&[("scan/", "")]);
    for n in 0..20 {
        fixture.add(
            &format!("scan/s{n}/run"),
            "#!/bin/sh\necho up\nexec sleep 1000\n",
        );
        fixture.add(
            &format!("scan/s{n}/log/run"),
            "#!/bin/sh\nexec cat >>../lines\n",
        );
    }
    let dirs: Vec<PathBuf> = (0..20)
        .map(|n| fixture.path(&format!("scan/s{n}")))
        .collect();
    let mut first = Runsvdir::start(&fixture);
    let pids: Vec<u32> = dirs.iter().map(|d| status(d, "run", running).pid).collect();
    let loggers: Vec<u32> = dirs
        .iter()
        .map(|d| status(&d.join("log"), "log", running).pid)
        .collect();
    kill(first.child.id(), Signal::KILL);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    assert!(pids.iter().chain(&loggers).all(|pid| lives(*pid)));
    // Two end while nobody watches.
    kill(pids[0], Signal::KILL);
    kill(loggers[1], Signal::KILL);
    assert!(ends(pids[0]) && ends(loggers[1]));

    let second = Runsvdir::start(&fixture);
    status(&dirs[0], "restarted", |s| running(s) && s.pid != pids[0]);
    status(&dirs[1].join("log"), "restarted", |s| {
        running(s) && s.pid != loggers[1]
    });
    for n in 1..20 {
        // The answer to a command shows that the new supervisor is there.
        fs::write(dirs[n].join("supervise/control"), "p").unwrap();
        let same = status(&dirs[n], "adopted", |s| s.paused);
        assert_eq!(same.pid, pids[n]);
        fs::write(dirs[n].join("supervise/control"), "c").unwrap();
    }
    second.hang_up();
    for dir in &dirs[1..] {
        assert_eq!(fs::read_to_string(dir.join("lines")).unwrap(), "up\n");
    }
}

/// TERM, as init sends it to everything: finish scripts run, loggers read to the
/// end, nothing is started again, and a later supervisor starts all anew.
#[test]
fn term_to_all_lets_everything_end() {
    let run = "#!/bin/sh\ntrap 'echo bye; kill $!; exit 0' TERM\necho up\nwhile :; do sleep 1000 & wait $!; kill $!; done\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", run),
        ("scan/web/finish", "#!/bin/sh\necho finish\n"),
        (
            "scan/web/log/run",
            "#!/bin/sh\ntrap '' TERM\nexec cat >>../lines\n",
        ),
    ]);
    let dir = fixture.path("scan/web");
    let lines = |n: usize| {
        wait_for("lines", &[&dir], || {
            let text = fs::read_to_string(dir.join("lines")).unwrap_or_default();
            (text.lines().count() >= n).then_some(text)
        })
    };
    let mut runsvdir = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    lines(1);
    kill(runsvdir.child.id(), Signal::TERM);
    kill(web.pid, Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    assert_eq!(lines(3), "up\nbye\nfinish\n");
    // If it took long, a keeper has written what came last.
    wait_until_unsupervised(&dir);
    assert!(all_pids(&runsvdir.scan).is_empty());
    let next = Runsvdir::start(&fixture);
    status(&dir, "run", running);
    next.hang_up();
}

/// TERM while services run: runsvdir leaves at once, as runit's does, and the
/// services can still be controlled. (Stage 3 stops them with sv.)
#[test]
fn term_leaves_a_keeper() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/finish", "#!/bin/sh\necho finish >>lines\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat\n"),
        ("scan/once/run", "#!/bin/sh\nexec sleep 1000\n"),
    ]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    let once = status(&fixture.path("scan/once"), "run", running);
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    assert!(lives(web.pid));
    // What ends by itself is not started again.
    kill(once.pid, Signal::KILL);
    status(&fixture.path("scan/once"), "once", down);
    fs::write(dir.join("supervise/control"), "d").unwrap();
    status(&dir, "down", down);
    assert_eq!(fs::read_to_string(dir.join("lines")).unwrap(), "finish\n");
    // The keeper ends, and with it the last reader of the fifo.
    wait_until_unsupervised(&dir);
}

/// The next runsvdir takes the services over from the keeper.
#[test]
fn a_keeper_lets_go_of_its_services() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/log/run", "#!/bin/sh\nexec cat\n"),
    ]);
    let dir = fixture.path("scan/web");
    let mut first = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    let logger = status(&dir.join("log"), "run", running);
    kill(first.child.id(), Signal::TERM);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    let second = Runsvdir::start(&fixture);
    // The new supervisor writes the status once it holds the lock.
    let holder = Some(second.child.id());
    wait_for("new holder", &[&dir.join("supervise")], || {
        (lock_holder(&dir) == holder).then_some(())
    });
    kill(web.pid, Signal::KILL);
    status(&dir, "restarted", |s| running(s) && s.pid != web.pid);
    assert!(lives(logger.pid));
    second.hang_up();
    assert!(!lives(logger.pid));
}

/// Who took the service's lock, as /proc/locks tells (proc(5)).
pub fn lock_holder(dir: &Path) -> Option<u32> {
    let inode = fs::metadata(dir.join("supervise/lock")).ok()?.ino();
    let look = |_| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let line = locks
            .lines()
            .find(|line| line.contains(&format!(":{inode} ")))?;
        line.split_whitespace().nth(4)?.parse().ok()
    };
    // It is read in pieces; a lock may be missed when another is let go of between two.
    (0..8).find_map(look)
}

/// Waits until nobody holds the service's lock.
fn wait_until_unsupervised(dir: &Path) {
    until_unlocked(&dir.join("supervise/lock"));
}

/// The log argument, beside Debian's runsvdir: what services say is in the title.
#[test]
fn the_log_argument_is_shown_by_ps() {
    titles_agree("");
}

/// As in a container; also one of a user's.
#[test]
fn the_log_is_shown_where_proc_is_read_only() {
    titles_agree("mount -o remount,bind,ro,nosuid,nodev,noexec /proc");
}

/// As before anything is mounted.
#[test]
fn the_log_is_shown_without_proc() {
    titles_agree("mount -t tmpfs none /proc");
}

/// Both with these mounts.
fn titles_agree(mounts: &str) {
    let usual = std::env::var("PATH").unwrap();
    let titles = [false, true].map(|tested| {
        let fixture = Fixture::new(&[("scan/web/run", SAYS_HELLO), ("said/", "")]);
        let mut path = usual.clone();
        if tested {
            let bin = fixture.bin(&["runsvdir", "runsv"]);
            path = format!("{}:{path}", bin.display());
        }
        let program = if tested {
            fixture.applet("runsvdir")
        } else {
            debian("runsvdir")
        };
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("set -e; {mounts}\nexec \"$@\""))
            .arg("sh")
            .arg(program)
            .env("PATH", path);
        title(&fixture, command)
    });
    assert_eq!(titles[1], format!("log: {}hellothere\n", ".".repeat(49)));
    assert_eq!(titles[0], titles[1]);
}

const SAYS_HELLO: &str =
    "#!/bin/sh\nprintf 'hello\\0there\\n' >&2\necho said >../../said/it\nexec sleep 1000\n";

/// What is shown where a service says hello.
fn title(fixture: &Fixture, mut command: Command) -> String {
    let log = format!("log: {}", ".".repeat(60));
    command.arg("-P").arg(fixture.path("scan")).arg(log);
    let mut runsvdir = Runsvdir {
        child: command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
        scan: fixture.path("scan"),
        stderr: fixture.path("stderr"),
    };
    wait_for("the service", &[&fixture.path("said")], || {
        fixture.path("said/it").exists().then_some(())
    });
    // The supervisor reads the pipe in its own time.
    let title = yield_until(|| {
        let title = fs::read(format!("/proc/{}/cmdline", runsvdir.child.id())).unwrap();
        let mut args = title.rsplit(|b| *b == 0);
        let last = args.find(|arg| !arg.is_empty()).unwrap().to_vec();
        last.ends_with(b"there\n").then_some(last)
    });
    status(&fixture.path("scan/web"), "run", running);
    // runit's runsvdir does not wait for its services (D8).
    kill(runsvdir.child.id(), Signal::HUP);
    wait_exit(&mut runsvdir.child);
    assert!(all_pids(&runsvdir.scan).into_iter().all(ends));
    String::from_utf8(title).unwrap()
}

/// A directory that takes the scan directory's place is watched from then on.
#[test]
fn the_directory_may_be_exchanged_for_another() {
    let fixture = Fixture::new(&[
        ("scan/one/run", SLEEP),
        ("other/two/run", SLEEP),
        ("all/three/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("scan/one"), "one", running);
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        fixture.path("scan"),
        rustix::fs::CWD,
        fixture.path("other"),
        rustix::fs::RenameFlags::EXCHANGE,
    )
    .unwrap();
    status(&fixture.path("scan/two"), "two", running);
    status(&fixture.path("other/one"), "one stops", down);
    assert!(!lives(one.pid));
    fixture.add("scan/three -> ../all/three", "");
    status(&fixture.path("all/three"), "a new link", running);
    runsvdir.hang_up();
}

/// A link stays as it is, but what it leads to is exchanged, goes, comes back,
/// or comes later than the link, its directory included.
#[test]
fn what_a_link_leads_to_may_be_exchanged() {
    let fixture = Fixture::new(&[
        ("scan/web -> ../all/web", ""),
        ("scan/late -> ../later/still/late", ""),
        ("scan/chain -> ../chain", ""),
        ("chain -> all/one", ""),
        ("all/web/run", SLEEP),
        ("all/one/run", SLEEP),
        ("all/two/run", SLEEP),
        ("new/run", SLEEP),
        ("made/still/late/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let path = |name: &str| fixture.path(name);
    // runit looks at what the links lead to only if the directory, too, is another.
    let done = |step: &str| {
        if !is_sunup() {
            fixture.add(&format!("scan/.{step}"), "");
        }
    };
    let first = status(&path("all/web"), "the first", running);
    status(&path("all/one"), "at the end of a chain", running);

    fs::rename(path("all/web"), path("old")).unwrap();
    fs::rename(path("new"), path("all/web")).unwrap();
    done("exchanged");
    status(&path("old"), "the first stops", down);
    let second = status(&path("all/web"), "the second", running);
    assert!(second.pid != first.pid && !lives(first.pid));

    fs::rename(path("all/web"), path("away")).unwrap();
    done("away");
    status(&path("away"), "it went away", down);
    fs::rename(path("away"), path("all/web")).unwrap();
    done("back");
    status(&path("all/web"), "it came back", running);

    fs::remove_file(path("chain")).unwrap();
    fixture.add("chain -> all/two", "");
    done("elsewhere");
    status(&path("all/one"), "the chain leads elsewhere", down);
    status(&path("all/two"), "the chain leads here", running);

    fs::rename(path("made"), path("later")).unwrap();
    done("late");
    status(
        &path("later/still/late"),
        "its directory came late",
        running,
    );
    fs::rename(path("later/still"), path("later/no more")).unwrap();
    done("gone");
    status(&path("later/no more/late"), "its directory went", down);
    runsvdir.hang_up();
}

/// D19: a logger that comes while its service runs gets what the service says
/// from its next start on; one that goes reads until its service has ended.
#[test]
fn log_comes_and_goes_while_supervised() {
    let fixture = Fixture::new(&[
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("new/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let (web, log) = (fixture.path("scan/web"), fixture.path("scan/web/log"));
    let control = |byte: &str| fs::write(web.join("supervise/control"), byte).unwrap();
    let lines = |text: &str| {
        wait_for("lines", &[&web], || {
            (fs::read_to_string(web.join("lines")).ok()? == text).then_some(())
        });
    };
    let first = status(&web, "run", running).pid;
    fs::rename(fixture.path("new"), &log).unwrap();
    let logger = status(&log, "logger", running).pid;
    assert_eq!(status(&web, "as it was", running).pid, first);
    control("t");
    let second = status(&web, "restarted", |s| running(s) && s.pid != first).pid;
    lines("up\n");

    // Away for a moment only.
    fs::rename(&log, fixture.path("away")).unwrap();
    fs::rename(fixture.path("away"), &log).unwrap();
    control("t");
    let third = status(&web, "restarted", |s| running(s) && s.pid != second).pid;
    lines("up\nup\n");
    assert_eq!(status(&log, "as it was", running).pid, logger);

    fs::rename(&log, fixture.path("away")).unwrap();
    wait_for("the look at log", &[&web], || {
        // Nothing tells of it, but the logger's end after the next start.
        control("t");
        let pid = status(&web, "restarted", running).pid;
        (pid != third && !lives(logger)).then_some(())
    });
    status(&fixture.path("away"), "down", down);

    // Another directory in its place, while the service is down.
    control("d");
    status(&web, "down", down);
    fixture.add("new/run", "#!/bin/sh\nexec cat >>../others\n");
    fs::rename(fixture.path("new"), &log).unwrap();
    let logger = status(&log, "another logger", running).pid;
    fs::rename(&log, fixture.path("gone")).unwrap();
    assert!(ends(logger));
    fs::rename(fixture.path("away"), &log).unwrap();
    status(&log, "the first again", running);
    control("u");
    status(&web, "up", running);
    runsvdir.hang_up();
}

/// The supervisor takes what descriptors it may have; its services get what it
/// was started with. (The hard limit is the kernel's for process 1.)
#[test]
fn the_limit_of_descriptors_is_lifted_for_the_supervisor_alone() {
    let script = "#!/bin/sh\necho $(ulimit -Sn) $(ulimit -Hn) >limits\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/web/run", script)]);
    let stderr = fixture.path("stderr");
    let child = Command::new("/bin/sh")
        .args(["-c", "ulimit -Sn 1000; ulimit -Hn 4096; exec \"$@\"", "sh"])
        .arg(fixture.applet("runsvdir"))
        .arg(fixture.path("scan"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let runsvdir = Runsvdir {
        child,
        scan: fixture.path("scan"),
        stderr,
    };
    let limits = wait_for("limits", &[&fixture.path("scan/web")], || {
        let limits = fs::read_to_string(fixture.path("scan/web/limits")).ok()?;
        limits.ends_with('\n').then_some(limits)
    });
    assert_eq!(limits, "1000 4096\n");
    let lifts = "ulimit -Sn 1000; ulimit -Hn 4096; ulimit -Hn 5000 2>/dev/null";
    let may_lift = Command::new("/bin/sh")
        .args(["-c", lifts])
        .status()
        .unwrap();
    let most = if may_lift.success() {
        fs::read_to_string("/proc/sys/fs/nr_open").unwrap()
    } else {
        "4096".to_owned()
    };
    let has = fs::read_to_string(format!("/proc/{}/limits", runsvdir.child.id())).unwrap();
    let line = has
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3..5], [most.trim(), most.trim()], "{line}");
    runsvdir.hang_up();
}

/// A command that reaches the keeper together with the wish to let go is obeyed.
#[test]
fn a_keeper_obeys_before_it_lets_go() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let dir = fixture.path("scan/web");
    let mut first = Runsvdir::start(&fixture);
    let web = status(&dir, "run", running);
    kill(first.child.id(), Signal::TERM);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    fs::write(dir.join("supervise/control"), "d!").unwrap();
    wait_until_unsupervised(&dir);
    let told = read_status(&dir).unwrap();
    assert!(!told.want_up);
    assert!(ends(web.pid));
}

/// A service whose `control/u` runs when the keeper is forked is kept, too.
#[test]
fn a_service_that_is_being_prepared_is_kept() {
    let prepare = "#!/bin/sh\necho $$ >../../prepare\nexec sleep 1000\n";
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/control/u", prepare)]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let script: u32 = wait_for("control/u", &[&fixture.path("")], || {
        let text = fs::read_to_string(fixture.path("prepare")).ok()?;
        text.trim().parse().ok()
    });
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    let web = status(&dir, "run", running);
    kill(web.pid, Signal::KILL);
    kill(script, Signal::KILL);
    status(&dir, "down", down);
    wait_until_unsupervised(&dir);
}

/// A restart under a keeper: the logger is still there for the second run.
#[test]
fn a_restart_under_a_keeper_is_logged() {
    let fixture = Fixture::new(&[
        // It has the keeper stay while web is down.
        ("scan/other/run", SLEEP),
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let dir = fixture.path("scan/web");
    let mut runsvdir = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "run", running);
    kill(runsvdir.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(0));
    fs::write(dir.join("supervise/control"), "d").unwrap();
    status(&dir, "down", down);
    fs::write(dir.join("supervise/control"), "u").unwrap();
    let again = status(&dir, "run", |s| running(s) && s.pid != web.pid);
    wait_for("two lines", &[&dir], || {
        let lines = fs::read_to_string(dir.join("lines")).unwrap_or_default();
        (lines == "up\nup\n").then_some(())
    });
    kill(other.pid, Signal::KILL);
    kill(again.pid, Signal::KILL);
    wait_until_unsupervised(&dir);
}

/// A service that is started after the keeper let its logger end gets it back,
/// with a new pipe; and so does the next supervisor's.
#[test]
fn a_logger_that_ended_with_its_service_comes_back() {
    let fixture = Fixture::new(&[
        ("scan/other/run", SLEEP),
        ("scan/web/run", "#!/bin/sh\necho up\nexec sleep 1000\n"),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >>../lines\n"),
    ]);
    let dir = fixture.path("scan/web");
    let lines = |n: usize| {
        wait_for("lines", &[&dir], || {
            let lines = fs::read_to_string(dir.join("lines")).ok()?;
            (lines.lines().count() == n).then_some(())
        });
    };
    let mut first = Runsvdir::start(&fixture);
    let other = status(&fixture.path("scan/other"), "other", running);
    let web = status(&dir, "run", running);
    kill(first.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut first.child).code(), Some(0));
    std::mem::forget(first);
    kill(web.pid, Signal::KILL);
    status(&dir.join("log"), "no logger", down);
    fs::write(dir.join("supervise/control"), "o").unwrap();
    let again = status(&dir, "run", |s| running(s) && s.pid != web.pid);
    status(&dir.join("log"), "a logger", running);
    lines(2);
    kill(again.pid, Signal::KILL);
    status(&dir.join("log"), "no logger", down);
    kill(other.pid, Signal::KILL);
    wait_until_unsupervised(&dir);
    let second = Runsvdir::start(&fixture);
    status(&dir.join("log"), "a logger", running);
    fs::write(dir.join("supervise/control"), "u").unwrap();
    lines(3);
    second.hang_up();
}

/// Who stops everything is not kept by a command that comes late.
#[test]
fn nothing_is_called_back_after_hup() {
    let deaf = "#!/bin/sh\ntrap '' TERM\n: >ready\nwhile :; do sleep 1000; done\n";
    let fixture = Fixture::new(&[("scan/deaf/run", deaf)]);
    let dir = fixture.path("scan/deaf");
    let mut runsvdir = Runsvdir::start(&fixture);
    let deaf = status(&dir, "run", running);
    until_ready(&dir);
    kill(runsvdir.child.id(), Signal::HUP);
    status(&dir, "told", |s| s.got_term);
    assert!(runsvdir.child.try_wait().unwrap().is_none(), "it waits");
    fs::write(dir.join("supervise/control"), "uok").unwrap();
    assert_eq!(wait_exit(&mut runsvdir.child).code(), Some(111));
    assert!(!lives(deaf.pid));
}

/// A full pipe as standard error holds nothing up. Who reads it later is told how much
/// is missing.
#[test]
fn nobody_has_to_listen() {
    let fixture = Fixture::new(&[
        ("scan/bad/finish", "#!/bin/sh\n: >told\n"),
        ("scan/good/run", SLEEP),
        ("worse/finish", "#!/bin/sh\nexit 1\n"),
    ]);
    let (reader, full) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    while rustix::io::write(&full, &[b'.'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&full, rustix::fs::OFlags::WRONLY).unwrap();
    let runsvdir = Runsvdir::start_with(&fixture, full);
    // What comes after the complaint.
    let bad = fixture.path("scan/bad");
    wait_for("finish", &[&bad], || {
        bad.join("told").exists().then_some(())
    });
    status(&fixture.path("scan/good"), "run", running);
    fs::write(fixture.path("scan/good/supervise/control"), "d").unwrap();
    status(&fixture.path("scan/good"), "down", down);
    let mut got = Vec::new();
    let mut read = || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = rustix::io::read(&reader, &mut buffer) {
            got.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8(got.clone()).unwrap()
    };
    assert!(!read().contains("bad"));
    fs::rename(fixture.path("worse"), fixture.path("scan/worse")).unwrap();
    let text = yield_until(|| Some(read()).filter(|text| text.contains("worse")));
    let mut lines = text.trim_start_matches('.').lines();
    let count = lines.next().unwrap().strip_prefix("runsvdir: ").unwrap();
    let count = count.strip_suffix(" lines were lost here, for nobody read them");
    assert!(count.unwrap().parse::<u32>().unwrap() >= 1, "{text}");
    assert!(lines.next().unwrap().contains("worse"), "{text}");
    runsvdir.hang_up();
}

/// `runsvdir -P DIR log: .....`, where somebody forgot to quote.
#[test]
fn words_behind_the_log_do_not_matter() {
    let fixture = Fixture::new(&[("service/a/run", SLEEP)]);
    let bin = fixture.bin(&["runsvdir", "runsv"]);
    let path = std::env::var("PATH").unwrap();
    let mut child = Command::new(fixture.applet("runsvdir"))
        .args(["-P", "service", "log:", "....", "...."])
        .current_dir(fixture.path("."))
        .env("PATH", format!("{}:{path}", bin.display()))
        .spawn()
        .unwrap();
    let service = fixture.path("service/a");
    wait_for("supervise", &[&service], || {
        service.join("supervise").exists().then_some(())
    });
    wait_for("start", &[&service.join("supervise")], || {
        read_status(&service).filter(running)
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert_eq!(super::common::wait_exit(&mut child).code(), Some(111));
}

/// Wrong calls exit as runit's.
#[test]
fn wrong_calls_exit_with_one() {
    for (name, args) in [("runsvdir", &[][..]), ("runsvdir", &["-P"]), ("runsv", &[])] {
        let code = |mut command: Command| command.args(args).output().unwrap().status.code();
        let reference = code(Command::new(super::common::debian(name)));
        assert_eq!(
            code(super::common::applet(name)),
            reference,
            "{name} {args:?}"
        );
        assert_eq!(reference, Some(1));
    }
}
