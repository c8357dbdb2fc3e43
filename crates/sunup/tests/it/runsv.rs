//! runsv with real processes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::{Phase, Status};
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, debian, down, ends, file_of, kill, lives, read_status, running,
    wait_exit, wait_for, yield_until,
};

/// A runsv process over a fixture; whatever it supervises ends with it.
struct Runsv {
    child: Child,
    dir: PathBuf,
    stderr: PathBuf,
}

impl Runsv {
    fn start(dir: &Path) -> Self {
        Self::start_as(applet("runsv"), dir)
    }

    fn start_as(mut program: Command, dir: &Path) -> Self {
        let stderr = dir.with_extension("stderr");
        let sink = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&stderr)
            .unwrap();
        let child = program
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(sink)
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            stderr,
        }
    }

    /// With a limit of open files.
    fn start_with_files(runsv: &Path, dir: &Path, files: u32) -> Self {
        let stderr = dir.with_extension("stderr");
        let child = Command::new("prlimit")
            .arg(format!("--nofile={files}"))
            .arg(runsv)
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            stderr,
        }
    }

    /// Waits for a text on its standard error.
    fn says(&self, text: &str) {
        wait_for(text, &[self.stderr.parent().unwrap()], || {
            let said = fs::read_to_string(&self.stderr).unwrap();
            said.contains(text).then_some(())
        });
    }

    fn control(&self, bytes: &str) {
        // Waits for the fifo's reader, so a supervisor that is starting is no problem.
        wait_for("control fifo", &[&self.dir, &supervise(&self.dir)], || {
            fs::metadata(supervise(&self.dir).join("control")).ok()
        });
        fs::write(supervise(&self.dir).join("control"), bytes).unwrap();
    }

    fn status(&self, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        status(&self.dir, what, check)
    }

    fn exit(mut self) {
        self.control("x");
        assert_eq!(wait_exit(&mut self.child).code(), Some(0));
    }
}

impl Drop for Runsv {
    /// After a failed test nothing may stay behind: the supervisor stops its
    /// service on TERM; what a test stopped or killed is killed here.
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill(
                self.child.id(),
                if std::thread::panicking() {
                    Signal::KILL
                } else {
                    Signal::TERM
                },
            );
            drop(self.child.wait());
        }
        for dir in [self.dir.clone(), self.dir.join("log")] {
            if let Some(pid) = read_status(&dir)
                .map(|s| s.pid)
                .filter(|p| *p > 1 && lives(*p))
            {
                kill(pid, Signal::KILL);
            }
        }
    }
}

fn supervise(dir: &Path) -> PathBuf {
    let path = dir.join("supervise");
    drop(fs::DirBuilder::new().mode(0o700).create(&path));
    path
}

fn status(dir: &Path, what: &str, check: impl Fn(&Status) -> bool) -> Status {
    wait_for(what, &[&supervise(dir)], || {
        read_status(dir).filter(|s| check(s))
    })
}

/// A process that ends with its value.
struct Killed(u32);

impl Drop for Killed {
    fn drop(&mut self) {
        if lives(self.0) {
            kill(self.0, Signal::KILL);
        }
    }
}

/// Lines of the file `events` once there are `n`.
fn events(fixture: &Fixture, n: usize) -> Vec<String> {
    let dir = fixture.path("out");
    wait_for(&format!("{n} events"), &[&dir], || {
        let text = fs::read_to_string(dir.join("events")).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= n && text.ends_with('\n')).then_some(lines)
    })
}

/// A service tree with a directory `out` for what the scripts tell.
fn fixture(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new(&[("out/", "")]);
    for (name, content) in files {
        let content = content.replace("OUT", fixture.path("out/events").to_str().unwrap());
        fixture.add(name, &content);
    }
    fixture
}

#[test]
fn starts_stops_and_shows_it_as_runit_does() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    let text = |name: &str| fs::read_to_string(dir.join("supervise").join(name)).unwrap();

    let up = runsv.status("run", running);
    assert!(up.want_up && !up.paused && !up.got_term);
    assert_eq!(
        (text("stat"), text("pid")),
        ("run\n".into(), format!("{}\n", up.pid))
    );

    runsv.control("p");
    runsv.status("paused", |s| s.paused);
    assert_eq!(text("stat"), "run, paused\n");
    runsv.control("c");
    runsv.status("continued", |s| !s.paused);

    runsv.control("o");
    let once = runsv.status("once", |s| !s.want_up);
    assert_eq!(
        (once.pid, text("stat")),
        (up.pid, "run, want down\n".into())
    );

    runsv.control("d");
    let stopped = runsv.status("down", down);
    assert!(!stopped.want_up);
    assert_eq!(
        (text("stat"), text("pid")),
        ("down\n".into(), String::new())
    );
    assert!(!lives(up.pid));

    runsv.control("u");
    let again = runsv.status("run", running);
    assert!(again.want_up && again.pid != up.pid);
    runsv.exit();
    assert!(!lives(again.pid));
    let modes: Vec<u32> = ["", "control", "ok", "lock", "status", "stat", "pid"]
        .map(|n| {
            std::os::unix::fs::MetadataExt::mode(
                &fs::metadata(dir.join("supervise").join(n)).unwrap(),
            )
        })
        .into();
    assert_eq!(
        modes,
        [
            0o40_700, 0o10_600, 0o10_600, 0o100_600, 0o100_644, 0o100_644, 0o100_644
        ],
    );
}

#[test]
fn finish_is_told_how_run_ended() {
    // Looks first: once it has said that it runs, the file may be there.
    let script = "#!/bin/sh\n[ -e ../code ] && code=3\necho run >>OUT\n[ $code ] && exit $code\nexec sleep 1000\n";
    let finish = "#!/bin/sh\necho \"finish $*\" >>OUT\n";
    let fixture = fixture(&[("web/run", script), ("web/finish", finish)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let run = runsv.status("run", running);
    events(&fixture, 1);
    kill(run.pid, Signal::KILL);
    assert_eq!(events(&fixture, 3)[..3], ["run", "finish -1 9", "run"],);
    fixture.add("code", "");
    runsv.control("t");
    let lines = events(&fixture, 6);
    assert_eq!(lines[3..6], ["finish -1 15", "run", "finish 3 0"],);
    runsv.exit();
}

#[test]
fn what_cannot_be_started_is_finished_with_111() {
    let finish = "#!/bin/sh\necho \"finish $*\" >>OUT\n";
    let fixture = fixture(&[("web/run", "not executable"), ("web/finish", finish)]);
    let runsv = Runsv::start(&fixture.path("web"));
    assert_eq!(events(&fixture, 1)[0], "finish 111 0");
    // It comes up by itself once that is mended.
    fixture.add("web/run", SLEEP);
    runsv.status("run", running);
    runsv.exit();
}

#[test]
fn what_cannot_be_started_is_told_with_the_way_to_mend_it() {
    let fixture = fixture(&[("web/run", "not executable")]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    runsv.says(&format!(
        "runsv: {}: start {}: Permission denied; make it executable with chmod +x\n",
        dir.display(),
        dir.join("run").display()
    ));
    runsv.exit();
}

#[test]
fn a_down_file_is_respected() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/down", "")]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("status", |_| true);
    assert!(down(&first) && !first.want_up);
    runsv.control("u");
    runsv.status("run", running);
    runsv.exit();
}

#[test]
fn control_scripts_stand_in_for_signals() {
    let run = "#!/bin/sh\ntrap 'echo hup >>OUT' HUP\ntrap 'kill $!; exit' TERM\necho run >>OUT\nwhile :; do sleep 1000 & wait $!; kill $!; done\n";
    let fixture = fixture(&[
        ("web/run", run),
        ("web/control/u", "#!/bin/sh\necho u >>OUT\n"),
        ("web/control/h", "#!/bin/sh\necho h >>OUT\n"),
        ("web/control/t", "#!/bin/sh\necho t >>OUT\nexit 1\n"),
        ("web/control/d", "#!/bin/sh\necho d >>OUT\n"),
    ]);
    let runsv = Runsv::start(&fixture.path("web"));
    assert_eq!(events(&fixture, 2), ["u", "run"]);
    runsv.control("h");
    assert_eq!(
        events(&fixture, 3)[2],
        "h",
        "exit code 0 keeps the signal away"
    );
    runsv.control("d");
    runsv.status("down", down);
    let mut last = events(&fixture, 5)[3..5].to_vec();
    last.sort();
    assert_eq!(last, ["d", "t"]);
    runsv.exit();
}

#[test]
fn a_control_script_gets_the_pid() {
    let script = "#!/bin/sh\necho $1 >>OUT\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/control/h", script)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("h");
    assert_eq!(events(&fixture, 1)[0], first.pid.to_string());
    runsv.exit();
}

#[test]
fn the_log_pipe_outlives_both_ends() {
    let run = "#!/bin/sh\necho line $$\nexec sleep 1000\n";
    let log = "#!/bin/sh\nexec cat >>OUT\n";
    let fixture = fixture(&[("web/run", run), ("web/log/run", log)]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    let first = runsv.status("run", running);
    assert_eq!(events(&fixture, 1)[0], format!("line {}", first.pid));
    let logger = status(&dir.join("log"), "logger", running);
    kill(logger.pid, Signal::KILL);
    // Else it might still take the line that comes next.
    assert!(ends(logger.pid));
    kill(first.pid, Signal::KILL);
    let second = runsv.status("restart", |s| running(s) && s.pid != first.pid);
    assert_eq!(events(&fixture, 2)[1], format!("line {}", second.pid));
    // The logger ends by itself when its pipe is closed.
    let logger = status(&dir.join("log"), "logger", running);
    runsv.exit();
    assert!(!lives(logger.pid));
}

#[test]
fn one_supervisor_at_a_time() {
    for first in [applet("runsv"), Command::new(debian("runsv"))] {
        let fixture = fixture(&[("web/run", SLEEP)]);
        let first = Runsv::start_as(first, &fixture.path("web"));
        first.status("run", running);
        let mut second = Runsv::start(&fixture.path("web"));
        assert_eq!(wait_exit(&mut second.child).code(), Some(111));
        let said = fs::read_to_string(&second.stderr).unwrap();
        assert!(said.contains("supervise/lock"), "{said}");
        std::mem::forget(second);
        first.exit();
    }
}

#[test]
fn term_acts_as_exit() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/log/run", "#!/bin/sh\nexec cat\n")]);
    let mut runsv = Runsv::start(&fixture.path("web"));
    let run = runsv.status("run", running);
    kill(runsv.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsv.child).code(), Some(0));
    assert!(!lives(run.pid));
}

#[test]
fn supervise_may_be_a_dangling_link() {
    let fixture = fixture(&[
        ("web/run", SLEEP),
        ("web/supervise -> ../state/web", ""),
        ("web/log/run", "#!/bin/sh\nexec cat\n"),
        ("web/log/supervise -> ../../state/web-log", ""),
        ("state/", ""),
    ]);
    let runsv = Runsv::start(&fixture.path("web"));
    wait_for("state directories", &[&fixture.path("state")], || {
        (fixture.path("state/web").exists() && fixture.path("state/web-log").exists()).then_some(())
    });
    runsv.status("run", running);
    status(&fixture.path("web/log"), "logger", running);
    runsv.exit();
}

// What follows are defects of the reference.

/// D11: after `k`, runit calls the service down while it lives, and `u` starts a second copy.
#[test]
fn kill_then_up_makes_no_second_copy() {
    // busybox takes one letter a round: which runs come of more letters is chance
    // there. It is known by what it lacks.
    drop(file_of("runsvchdir"));
    let run = "#!/bin/sh\necho run $$ >>OUT\nexec sleep 1000\n";
    // Every start is told of, whatever becomes of it.
    let up = "#!/bin/sh\necho u >>OUT\n";
    let fixture = fixture(&[("web/run", run), ("web/control/u", up)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    events(&fixture, 2);
    runsv.control("kukuku");
    let second = runsv.status("restart", |s| running(s) && s.pid != first.pid);
    events(&fixture, 4);
    runsv.exit();
    let runs = [first, second].map(|s| format!("run {}", s.pid));
    assert_eq!(events(&fixture, 4), ["u", &runs[0], "u", &runs[1]]);
}

/// D12: a hung finish cannot be signalled by runit's runsv.
#[test]
fn a_hung_finish_can_be_killed() {
    let finish = "#!/bin/sh\necho finish >>OUT\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/finish", finish)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("t");
    events(&fixture, 1);
    let finish = runsv.status("finish", |s| s.phase == Phase::Finish);
    runsv.control("k");
    runsv.status("run again", |s| running(s) && s.pid != first.pid);
    assert!(!lives(finish.pid));
    runsv.control("d");
    runsv.status("second finish", |s| {
        s.phase == Phase::Finish && s.pid != finish.pid
    });
    runsv.control("k");
    runsv.status("down", down);
    runsv.exit();
}

/// D13: a hung control script stops runit's runsv altogether.
#[test]
fn a_hung_control_script_holds_nothing_up() {
    let script = "#!/bin/sh\necho t >>OUT\necho $$ >>../pids\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/control/t", script)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("t");
    events(&fixture, 1);
    runsv.control("k");
    runsv.status("restart", |s| running(s) && s.pid != first.pid);
    runsv.control("dk");
    runsv.status("down", down);
    runsv.exit();
    let pids = fs::read_to_string(fixture.path("pids")).unwrap();
    for pid in pids.lines() {
        drop(Killed(pid.parse().unwrap()));
    }
}

/// In the restart gap a command is obeyed.
#[test]
fn commands_are_obeyed_in_the_restart_gap() {
    let fixture = fixture(&[("web/run", "#!/bin/sh\necho run >>OUT\nexit 1\n")]);
    let runsv = Runsv::start(&fixture.path("web"));
    events(&fixture, 1);
    runsv.status("gap", |s| down(s) && s.want_up);
    runsv.control("d");
    runsv.status("want down", |s| down(s) && !s.want_up);
    runsv.exit();
}

/// D21: no process, no pause.
#[test]
fn a_pause_ends_with_its_process() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let runsv = Runsv::start(&fixture.path("web"));
    let first = runsv.status("run", running);
    runsv.control("p");
    runsv.status("paused", |s| s.paused);
    runsv.control("o");
    runsv.status("once", |s| !s.want_up);
    kill(first.pid, Signal::KILL);
    assert!(!runsv.status("down", down).paused);
    runsv.exit();
}

/// D16: a process that a service left behind holds the log pipe open, so the logger
/// never reads its end.
#[test]
fn a_stray_process_does_not_delay_the_end_for_ever() {
    let run = "#!/bin/sh\nsleep 1000 &\necho $! >>OUT\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", run), ("web/log/run", "#!/bin/sh\nexec cat\n")]);
    let runsv = Runsv::start(&fixture.path("web"));
    runsv.status("run", running);
    status(&fixture.path("web/log"), "logger", running);
    let stray = Killed(events(&fixture, 1)[0].parse().unwrap());
    runsv.exit();
    assert!(lives(stray.0));
}

/// D1: the next supervisor finds the service that runs, and starts no second one.
#[test]
fn after_a_killed_supervisor_there_is_one_copy() {
    let run = "#!/bin/sh\necho $$ >>OUT\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", run)]);
    let dir = fixture.path("web");
    let mut first = Runsv::start(&dir);
    first.status("run", running);
    let _copy = Killed(events(&fixture, 1)[0].parse().unwrap());
    kill(first.child.id(), Signal::KILL);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    let second = Runsv::start(&dir);
    // The answer to a command is the new supervisor's.
    second.control("o");
    second.status("once", |s| !s.want_up);
    second.control("d");
    second.status("down", down);
    for pid in events(&fixture, 1) {
        assert!(!lives(pid.parse().unwrap()), "a second copy runs");
    }
    second.exit();
}

/// D2: a service and its logger outlive a killed supervisor; the next one
/// takes them over, and lines written meanwhile are not lost.
#[test]
fn a_killed_supervisor_comes_back() {
    let run = "#!/bin/sh\ntrap 'echo usr1' USR1\ntrap 'kill $!; exit' TERM\necho up\nwhile :; do sleep 1000 & wait $!; kill $!; done\n";
    let log = "#!/bin/sh\nexec cat >>OUT\n";
    let finish = "#!/bin/sh\necho \"finish $*\" >>OUT\n";
    let fixture = fixture(&[
        ("web/run", run),
        ("web/log/run", log),
        ("web/finish", finish),
    ]);
    let dir = fixture.path("web");
    let mut first = Runsv::start(&dir);
    let service = first.status("run", running);
    let logger = status(&dir.join("log"), "logger", running);
    events(&fixture, 1);
    first.control("p");
    first.status("paused", |s| s.paused);
    kill(first.child.id(), Signal::KILL);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    kill(service.pid, Signal::CONT);
    kill(logger.pid, Signal::KILL);
    // A logger that is being killed might still take the line with it.
    assert!(ends(logger.pid));
    kill(service.pid, Signal::USR1);

    let second = Runsv::start(&dir);
    status(&dir.join("log"), "new logger", |s| {
        running(s) && s.pid != logger.pid
    });
    assert_eq!(events(&fixture, 2)[1], "usr1", "written while nobody read");
    let same = second.status("adopted", |s| running(s) && s.pid == service.pid);
    assert_eq!(same.changed, service.changed, "its uptime goes on");
    second.control("t");
    let next = second.status("restart", |s| running(s) && s.pid != service.pid);
    assert!(!lives(service.pid) && lives(next.pid));
    second.exit();
}

/// What was stopped by hand before the supervisor was killed stays stopped, and
/// an end that nobody saw is followed by its finish script.
#[test]
fn a_killed_supervisor_forgets_no_order() {
    let finish = "#!/bin/sh\necho \"finish $*\" >>OUT\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/finish", finish)]);
    let dir = fixture.path("web");
    let kill9 = |mut runsv: Runsv| {
        kill(runsv.child.id(), Signal::KILL);
        wait_exit(&mut runsv.child);
        std::mem::forget(runsv);
    };
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    kill9(first);
    kill(service.pid, Signal::KILL);
    assert!(ends(service.pid));
    let second = Runsv::start(&dir);
    assert!(events(&fixture, 1)[0].starts_with("finish -1 "));
    let again = second.status("run", |s| running(s) && s.pid != service.pid);
    second.control("d");
    second.status("down", down);
    kill9(second);
    let third = Runsv::start(&dir);
    third.control("h");
    let still = third.status("down", down);
    assert!(!still.want_up && !lives(again.pid));
    third.exit();
}

/// A supervisor that is killed while `control/t` runs leaves a stop behind that
/// its successor goes on with; a service that runs `once` is let alone.
#[test]
fn a_stop_outlives_its_supervisor() {
    let script = "#!/bin/sh\necho $$ >>OUT\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", SLEEP), ("web/control/t", script)]);
    let dir = fixture.path("web");
    let kill9 = |mut runsv: Runsv| {
        kill(runsv.child.id(), Signal::KILL);
        wait_exit(&mut runsv.child);
        std::mem::forget(runsv);
    };
    let end_script = |n: usize| {
        let pid = events(&fixture, n)[n - 1].parse().unwrap();
        kill(pid, Signal::KILL);
        assert!(ends(pid));
    };
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    first.control("o");
    first.status("once", |s| !s.want_up);
    kill9(first);
    let second = Runsv::start(&dir);
    second.status("adopted", |s| s.pid == service.pid);
    second.control("p");
    let paused = second.status("paused", |s| s.paused);
    assert!(paused.pid == service.pid && !paused.got_term);
    second.control("cd");
    second.status("not paused", |s| !s.paused);
    events(&fixture, 1);
    kill9(second);
    end_script(1);
    assert!(lives(service.pid));
    let third = Runsv::start(&dir);
    end_script(2);
    third.status("down", down);
    assert!(!lives(service.pid));
    third.exit();
}

// What follows stands in the supervisor's way.

/// A fifo where a file is to be written blocks nobody: the service runs and is controlled.
#[test]
fn fifos_in_the_way_of_state_files_do_not_block() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let dir = fixture.path("web");
    for name in ["status", "stat", "pid"] {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let path = supervise(&dir).join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
    }
    let runsv = Runsv::start(&dir);
    wait_for("files", &[&supervise(&dir)], || {
        let is_file =
            |name: &str| fs::metadata(supervise(&dir).join(name)).is_ok_and(|m| m.is_file());
        ["status", "stat", "pid"]
            .into_iter()
            .all(is_file)
            .then_some(())
    });
    runsv.status("run", running);
    runsv.exit();
}

/// What stands where the control fifo is to be may be removed later.
#[test]
fn a_control_fifo_that_cannot_be_made_is_made_later() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/supervise/control/", "")]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    runsv.says("open supervise/control: Is a directory; trying again");
    fs::remove_dir(dir.join("supervise/control")).unwrap();
    // The test's own file must not take the fifo's place.
    wait_for("control", &[&supervise(&dir)], || {
        let found = fs::metadata(dir.join("supervise/ok")).ok()?;
        std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()).then_some(())
    });
    runsv.exit();
}

/// D20: a command's outcome that could not be written is written later.
#[test]
fn a_state_that_cannot_be_written_is_written_later() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    runsv.status("run", running);
    let file = supervise(&dir).join("status");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    runsv.control("o");
    runsv.says("supervise/status");
    fs::remove_dir(&file).unwrap();
    runsv.status("once", |s| running(s) && !s.want_up);
    runsv.exit();
}

/// A supervisor without descriptors to look at its predecessor's process must
/// not take it for dead: at each step of its start the limit may be met.
#[test]
fn no_second_copy_for_want_of_descriptors() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/log/run", "#!/bin/sh\nexec cat\n")]);
    let dir = fixture.path("web");
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    let logger = status(&dir.join("log"), "logger", running);
    let mut last = first;
    for files in 4..44 {
        // One without descriptors may have ended by itself.
        if last.child.try_wait().unwrap().is_none() {
            kill(last.child.id(), Signal::KILL);
            wait_exit(&mut last.child);
        }
        std::mem::forget(last);
        drop(fs::remove_file(dir.with_extension("stderr")));
        // New fifos tell when the supervisor is through with its start.
        for name in ["control", "ok"] {
            drop(fs::remove_file(supervise(&dir).join(name)));
        }
        last = Runsv::start_with_files(&fixture.applet("runsv"), &dir, files);
        let (child, stderr) = (&mut last.child, &last.stderr);
        // It may end without a word, which is no event of the file system.
        yield_until(|| {
            let said = !fs::read(stderr).unwrap_or_default().is_empty();
            let works = dir.join("supervise/ok").exists();
            (said || works || child.try_wait().unwrap().is_some()).then_some(())
        });
        let processes = |of: &Path| {
            let all = fs::read_dir("/proc").unwrap();
            let pids = all.filter_map(|e| e.unwrap().file_name().to_str()?.parse::<u32>().ok());
            let here = |pid: &u32| {
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == of) && lives(*pid)
            };
            pids.filter(here).collect::<Vec<u32>>()
        };
        let real = fs::canonicalize(&dir).unwrap();
        assert_eq!(processes(&real), [service.pid], "{files} descriptors");
        assert_eq!(
            processes(&real.join("log")),
            [logger.pid],
            "{files} descriptors"
        );
    }
    last.exit();
}
