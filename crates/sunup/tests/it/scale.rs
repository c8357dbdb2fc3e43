//! Many services in one process, and what one process may run short of.

use std::fs;

use rustix::process::Signal;

use super::common::{Fixture, SLEEP, kill, lives, running, wait_exit, wait_for};
use super::runsvdir::{Runsvdir, lock_holder, status};

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
        limit(open + spare);
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
    const SERVICES: usize = 4;
    // One to open a directory, one for a file in it.
    for spare in 2..=SERVICES + 2 {
        let fixture = Fixture::new(&[("scan/", "")]);
        let dirs: Vec<_> = (0..SERVICES)
            .map(|n| {
                fixture.add(&format!("scan/{n}/run"), SLEEP);
                fixture.path(&format!("scan/{n}"))
            })
            .collect();
        let mut first = Runsvdir::start(&fixture);
        let pids: Vec<u32> = dirs.iter().map(|d| status(d, "run", running).pid).collect();
        let held = fs::read_dir(format!("/proc/{}/fd", first.child.id()))
            .unwrap()
            .count();
        kill(first.child.id(), Signal::KILL);
        wait_exit(&mut first.child);
        std::mem::forget(first);

        let second = Runsvdir::start_limited(&fixture, held + spare);
        for dir in &dirs {
            wait_for("successor", &[&dir.join("supervise")], || {
                (lock_holder(dir) == Some(second.child.id())).then_some(())
            });
        }
        for (dir, pid) in dirs.iter().zip(pids) {
            assert!(lives(pid));
            assert_eq!(status(dir, "run", running).pid, pid);
            kill(pid, Signal::KILL);
            status(dir, "restarted", |s| running(s) && s.pid != pid);
        }
        assert_eq!(second.said(), "", "{spare}");
        second.hang_up();
    }
}
