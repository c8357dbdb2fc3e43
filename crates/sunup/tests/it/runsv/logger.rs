//! The pipe between a service and its logger.

use rustix::process::Signal;

use super::super::common::{ends, kill, lives, running};
use super::{Killed, Runsv, events, fixture, status};

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
