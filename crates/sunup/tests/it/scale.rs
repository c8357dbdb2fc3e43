//! Many services in one process, and what one process may run short of.

use std::fs;
use std::thread;

use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, kill, lives, running, status, until_ready, wait_exit, wait_for,
};
use super::runsvdir::{Runsvdir, lock_holder};

/// So many of a process's descriptors are for a moment only.
const FLEETING: usize = 8;

/// Ends with what it reads.
const LOGGER: &str = "#!/bin/sh\nexec cat >/dev/null\n";

/// A service for which there was no descriptor starts when there is one, though
/// nothing happens in the scan directory.
#[test]
fn services_wait_for_descriptors() {
    // With the second number one more fits in than with the first.
    for spare in [3, 4] {
        let fixture = Fixture::new(&[("scan/", ""), ("all/", "")]);
        for n in 0..4 {
            fixture.add(&format!("new/{n} -> ../all/{n}"), "");
            fixture.add(&format!("all/{n}/run"), SLEEP);
        }
        fixture.add("scan/first -> ../first", "");
        fixture.add("first/run", SLEEP);
        let runsvdir = Runsvdir::start(&fixture);
        status(&fixture.path("first"), "first", running);
        wait_for("fifo", &[&fixture.path("first/supervise")], || {
            fs::metadata(fixture.path("first/supervise/ok")).ok()
        });
        let pid = rustix::process::Pid::from_raw(runsvdir.child.id() as i32);
        let limit = |current: u64| {
            let wanted = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let wanted = rustix::process::Rlimit {
                current: Some(current),
                maximum: wanted.maximum,
            };
            rustix::process::prlimit(pid, rustix::process::Resource::Nofile, wanted).unwrap()
        };
        let open = fs::read_dir(format!("/proc/{}/fd", runsvdir.child.id()))
            .unwrap()
            .count() as u64;
        limit(open + spare + FLEETING as u64);
        // All four at once: one directory takes the other's place.
        fixture.add("new/first -> ../first", "");
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            fixture.path("scan"),
            rustix::fs::CWD,
            fixture.path("new"),
            rustix::fs::RenameFlags::EXCHANGE,
        )
        .unwrap();
        wait_for("complaint", &[&fixture.path("")], || {
            runsvdir
                .said()
                .contains("Too many open files")
                .then_some(())
        });
        limit(open + 100);
        for n in 0..4 {
            status(&fixture.path(&format!("all/{n}")), "running", running);
        }
        runsvdir.hang_up();
    }
}

/// As many services as were started are taken over, whatever it is that there is
/// no descriptor for at first.
#[test]
fn what_was_started_is_taken_over_with_as_few_descriptors() {
    thread::scope(|all| {
        for spare in 1..6 {
            all.spawn(move || take_over(4, &["run"], spare));
            // Here those above the ones that each child copies are needed, too.
            all.spawn(move || take_over(24, &["run"], spare));
            // Two at a time need two more for a moment.
            all.spawn(move || take_over(4, &["run", "log/run"], spare + 1));
        }
    });
}

/// Where descriptors are short, a service with its logger has five of them, and two more
/// are kept free, so that whoever takes over has one for each process.
#[test]
fn a_service_and_its_logger_run_with_seven_descriptors() {
    const SERVICES: usize = 60;
    // What there is besides, whatever the number of services.
    const OTHERS: usize = 64;
    let limit = 7 * SERVICES + OTHERS;
    let fixture = Fixture::new(&[("service", SLEEP), ("logger", LOGGER)]);
    let mut dirs = vec![];
    for n in 0..SERVICES {
        for (dir, program) in [("", "service"), ("/log", "logger")] {
            let (dir, program) = (format!("scan/{n}{dir}"), fixture.path(program));
            fixture.add(&format!("{dir}/run -> {}", program.display()), "");
            dirs.push(fixture.path(&dir));
        }
    }
    let mut first = Runsvdir::start_limited(&fixture, limit);
    let pids: Vec<u32> = dirs.iter().map(|d| status(d, "run", running).pid).collect();
    assert_eq!(first.said(), "");
    kill(first.child.id(), Signal::KILL);
    wait_exit(&mut first.child);
    std::mem::forget(first);
    let second = Runsvdir::start_limited(&fixture, limit);
    for (dir, pid) in dirs.iter().zip(pids) {
        wait_for("successor", &[&dir.join("supervise")], || {
            (lock_holder(dir) == Some(second.child.id())).then_some(())
        });
        assert_eq!(status(dir, "run", running).pid, pid);
    }
    assert_eq!(second.said(), "");
    second.hang_up();
}

/// With too few descriptors for all, those that run are taken over before others start.
#[test]
fn what_runs_is_taken_over_before_anything_is_started() {
    const SERVICES: usize = 60;
    thread::scope(|all| {
        for limit in [64, 100, 200] {
            all.spawn(move || {
                let fixture = Fixture::new(&[]);
                let home = |n: usize| format!("scan/{n}");
                for home in (0..SERVICES).map(home) {
                    fixture.add(&format!("{home}/run"), SLEEP);
                    fixture.add(&format!("{home}/log/run"), LOGGER);
                }
                let first = Runsvdir::start_limited(&fixture, limit);
                wait_for("complaint", &[&fixture.path("")], || {
                    first.said().contains("Too many open files").then_some(())
                });
                first.end_alone(Signal::KILL);
                let dirs = (0..SERVICES).flat_map(|n| [home(n), format!("{}/log", home(n))]);
                let dirs: Vec<_> = dirs.map(|dir| fixture.path(&dir)).collect();
                let pid = |dir: &std::path::PathBuf| Some((dir.clone(), recorded(dir)?));
                let living: Vec<_> = dirs.iter().filter_map(pid).collect();
                assert!(living.len() >= 4, "{limit}: {}", living.len());
                let second = Runsvdir::start_limited(&fixture, limit);
                for (dir, pid) in &living {
                    status(dir, "run", |s| running(s) && s.pid == *pid);
                    wait_for("successor", &[&dir.join("supervise")], || {
                        (lock_holder(dir) == Some(second.child.id())).then_some(())
                    });
                }
                second.hang_up();
                assert!(living.iter().all(|(_, pid)| !lives(*pid)), "{limit}");
            });
        }
    });
}

/// The process that the record in `supervise/lock` names, if it lives.
fn recorded(dir: &std::path::Path) -> Option<u32> {
    let record = fs::read(dir.join("supervise/lock")).ok()?;
    let record = model::format::adopt::decode(&record)?;
    Some(record.pid).filter(|pid| lives(*pid))
}

/// A second supervisor has `spare` descriptors more than the first had in use.
fn take_over(services: usize, programs: &[&str], spare: usize) {
    let fixture = Fixture::new(&[("scan/", "")]);
    let mut dirs = vec![];
    for (n, program) in (0..services).flat_map(|n| programs.iter().map(move |p| (n, p))) {
        let program = fixture.path(&format!("scan/{n}/{program}"));
        fixture.add(&program.display().to_string(), SLEEP);
        dirs.push(program.parent().unwrap().to_owned());
    }
    let first = Runsvdir::start(&fixture);
    let pids: Vec<u32> = dirs.iter().map(|d| status(d, "run", running).pid).collect();
    for dir in &dirs {
        wait_for("fifo", &[&dir.join("supervise")], || {
            fs::metadata(dir.join("supervise/ok")).ok()
        });
    }
    let held = fs::read_dir(format!("/proc/{}/fd", first.child.id()))
        .unwrap()
        .count();
    first.end_alone(Signal::KILL);

    let second = Runsvdir::start_limited(&fixture, held + spare + FLEETING);
    for dir in &dirs {
        wait_for("successor", &[&dir.join("supervise")], || {
            (lock_holder(dir) == Some(second.child.id())).then_some(())
        });
    }
    for (dir, pid) in dirs.iter().zip(&pids) {
        assert!(lives(*pid));
        assert_eq!(status(dir, "run", running).pid, *pid);
    }
    for pid in &pids {
        kill(*pid, Signal::KILL);
    }
    for (dir, pid) in dirs.iter().zip(pids) {
        status(dir, "restarted", |s| running(s) && s.pid != pid);
    }
    assert_eq!(second.said(), "", "{services} {programs:?} {spare}");
    second.hang_up();
}

/// sv looks at many in turns, and the last of a turn is what it waits for at first:
/// one that does not stop keeps it from the others for a moment only.
#[test]
fn many_are_stopped_though_one_is_stubborn() {
    let fixture = Fixture::new(&[("scan/", "")]);
    let names: Vec<String> = (0..150).map(|n| format!("s{n:03}")).collect();
    for name in &names {
        fixture.add(&format!("scan/{name}/run"), SLEEP);
    }
    let stubborn = fixture.path("scan/s063");
    fixture.add(
        "scan/s063/run",
        "#!/bin/sh\ntrap '' TERM\n: >ready\nexec sleep 1000\n",
    );
    let runsvdir = Runsvdir::start(&fixture);
    for name in &names {
        status(&fixture.path("scan").join(name), "running", running);
    }
    until_ready(&stubborn);

    let output = fixture.path("output");
    let mut stop = applet("sv")
        .args(["-w", "180", "stop"])
        .args(&names)
        .env("SVDIR", fixture.path("scan"))
        .stdout(fs::File::create(&output).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&output).unwrap();
    wait_for("the others' end", &[&fixture.path("")], || {
        (said().lines().count() == names.len() - 1).then_some(())
    });
    assert!(!said().contains("s063"), "{}", said());
    kill(status(&stubborn, "stubborn", running).pid, Signal::KILL);
    assert!(wait_exit(&mut stop).success());
    let said = said();
    let mut stopped: Vec<&str> = said
        .lines()
        .map(|line| line.strip_prefix("ok: down: ").expect(line))
        .filter_map(|rest| rest.get(..4))
        .collect();
    assert_eq!(stopped.pop(), Some("s063"));
    stopped.push("s063");
    stopped.sort_unstable();
    assert_eq!(stopped, names);
    runsvdir.hang_up();
}

/// Many are asked by several processes; what there is to warn of is told once, and the
/// lines stand as if one had asked.
#[test]
fn a_warning_about_one_of_many_comes_once() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("scan/web"), "running", running);
    // It cannot be told where that leads.
    fixture.add("scan/web/down -> down", "");
    let names: Vec<String> = (0..600).map(|n| format!("missing{n:03}")).collect();
    let said = applet("sv")
        .arg("status")
        .args(&names)
        .arg("web")
        .env("SVDIR", fixture.path("scan"))
        .output()
        .unwrap();
    let warned = String::from_utf8(said.stderr).unwrap();
    let count = |words: &str| warned.lines().filter(|line| line.contains(words)).count();
    // So does the hint where it looked for the others.
    let counts = [count("/web/down: "), count("is not in "), count("")];
    assert_eq!(counts, [1, 1, 2], "{warned}");
    let told = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), names.len() + 1);
    for (line, name) in lines.iter().zip(&names) {
        assert!(line.starts_with(&format!("fail: {name}: ")), "{line}");
    }
    assert!(lines[names.len()].starts_with("run: web: (pid "), "{told}");
    assert_eq!(said.status.code(), Some(99));
    fs::remove_file(fixture.path("scan/web/down")).unwrap();
    runsvdir.hang_up();
}
