//! The life of a service: start, stop, finish and restart, as status files show it.

use std::fs;

use model::format::status::Phase;
use rustix::process::Signal;

use super::super::common::{SLEEP, down, file_of, kill, lives, running, wait_exit};
use super::{Runsv, events, fixture};

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
fn term_acts_as_exit() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/log/run", "#!/bin/sh\nexec cat\n")]);
    let mut runsv = Runsv::start(&fixture.path("web"));
    let run = runsv.status("run", running);
    kill(runsv.child.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsv.child).code(), Some(0));
    assert!(!lives(run.pid));
}

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
