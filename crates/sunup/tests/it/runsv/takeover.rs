//! One service has one supervisor and one process: what holds while a supervisor works, and
//! what the next one makes of a killed one.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::super::common::{
    SLEEP, applet, debian, down, ends, kill, lives, running, wait_exit, yield_until,
};
use super::{Killed, Runsv, events, fixture, status, supervise};

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

/// D1: the next supervisor finds the service that runs, and starts no second one.
#[test]
fn after_a_killed_supervisor_there_is_one_copy() {
    let run = "#!/bin/sh\necho $$ >>OUT\nexec sleep 1000\n";
    let fixture = fixture(&[("web/run", run)]);
    let dir = fixture.path("web");
    let first = Runsv::start(&dir);
    first.status("run", running);
    let _copy = Killed(events(&fixture, 1)[0].parse().unwrap());
    first.slay();
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
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    let logger = status(&dir.join("log"), "logger", running);
    events(&fixture, 1);
    first.control("p");
    first.status("paused", |s| s.paused);
    first.slay();
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
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    first.slay();
    kill(service.pid, Signal::KILL);
    assert!(ends(service.pid));
    let second = Runsv::start(&dir);
    assert!(events(&fixture, 1)[0].starts_with("finish -1 "));
    let again = second.status("run", |s| running(s) && s.pid != service.pid);
    second.control("d");
    second.status("down", down);
    second.slay();
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
    let end_script = |n: usize| {
        let pid = events(&fixture, n)[n - 1].parse().unwrap();
        kill(pid, Signal::KILL);
        assert!(ends(pid));
    };
    let first = Runsv::start(&dir);
    let service = first.status("run", running);
    first.control("o");
    first.status("once", |s| !s.want_up);
    first.slay();
    let second = Runsv::start(&dir);
    second.status("adopted", |s| s.pid == service.pid);
    second.control("p");
    let paused = second.status("paused", |s| s.paused);
    assert!(paused.pid == service.pid && !paused.got_term);
    second.control("cd");
    second.status("not paused", |s| !s.paused);
    events(&fixture, 1);
    second.slay();
    end_script(1);
    assert!(lives(service.pid));
    let third = Runsv::start(&dir);
    end_script(2);
    third.status("down", down);
    assert!(!lives(service.pid));
    third.exit();
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
