//! What a plain service costs, counted: a tree that uses none of our own files costs what it
//! did before there were any. No times: system calls, by strace.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use model::format::state::last::Last;
use model::format::status::Phase;
use rustix::process::Signal;

use super::common::{Fixture, SLEEP, end_by, status, yield_until};

/// Calls whose number depends on how the work falls into turns, or on the user, who asks who
/// owns what it opens; and a build for tests asks by fcntl before it closes anything.
const NOT_COUNTED: [&str; 8] = [
    "epoll_pwait",
    "epoll_wait",
    "fcntl",
    "futex",
    "geteuid",
    "restart_syscall",
    "wait4",
    "waitid",
];

/// A supervisor of plain services, each of whose calls is noted.
struct Traced {
    fixture: Fixture,
    child: Child,
    names: Vec<String>,
}

impl Traced {
    fn start(count: usize) -> Self {
        let fixture = Fixture::new(&[("trace", "")]);
        let names: Vec<String> = (0..count).map(|n| format!("plain{n}")).collect();
        for name in &names {
            fixture.add(&format!("sv/{name}/run"), SLEEP);
        }
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(fixture.path("trace"))
            .arg(fixture.applet("runsvdir"))
            .arg(fixture.path("sv"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let traced = Self {
            fixture,
            child,
            names,
        };
        traced.until(Phase::Run);
        traced
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("sv").join(name)
    }

    fn until(&self, phase: Phase) {
        for name in &self.names {
            status(&self.dir(name), "the state", |s| s.phase == phase);
        }
    }

    /// What sv calls.
    fn sv(&self, args: &[&str]) -> String {
        let trace = self.fixture.path("sv.trace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .arg(self.fixture.applet("sv"))
            .args(["-w", "60"])
            .args(args)
            .env("SVDIR", self.fixture.path("sv"))
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{args:?}");
        fs::read_to_string(trace).unwrap()
    }

    /// Stops all, and waits until there is nothing left to write.
    fn stop_all(&self) {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let calls = self.sv(&[&["stop"], &names[..]].concat());
        assert_plain(&calls);
        for name in &self.names {
            yield_until(|| {
                let line = fs::read(self.dir(name).join("supervise/last"));
                Last::decode(&line.ok()?)
            });
        }
    }

    /// How often the supervisor has called what, by now.
    fn calls(&self) -> BTreeMap<String, usize> {
        let trace = fs::read_to_string(self.fixture.path("trace")).unwrap();
        let supervisor = trace.split(' ').next().unwrap();
        let mut calls = BTreeMap::new();
        for line in trace.lines() {
            let words = line.split_once(' ').filter(|(pid, _)| *pid == supervisor);
            let call = words.and_then(|(_, text)| text.trim_start().split_once('('));
            if let Some((call, _)) = call.filter(|(call, _)| !call.starts_with(['<', '-', '+']))
                && !NOT_COUNTED.contains(&call)
            {
                *calls.entry(call.to_owned()).or_default() += 1;
            }
        }
        calls
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // strace hands no signals on, and ends with what it traces.
        let trace = fs::read_to_string(self.fixture.path("trace")).unwrap_or_default();
        if let Some(Ok(pid)) = trace.split(' ').next().map(str::parse) {
            super::common::kill(pid, Signal::HUP);
            drop(self.child.wait());
        }
        end_by(&mut self.child, Signal::KILL);
    }
}

/// `sv` looks for no names of others.
fn assert_plain(calls: &str) {
    for directory in ["needs", "wants", "after", "before", "follows"] {
        let mut calls = calls.lines();
        let looks = calls.find(|call| call.contains(&format!("/{directory}\"")));
        assert_eq!(looks, None);
    }
}

const FEW: usize = 2;
const MORE: usize = 12;
/// What a service more may cost its supervisor: to start, and to stop.
const START: usize = 55;
const STOP: usize = 44;
/// On a busy machine a start may be late, which is shown, and costs calls.
const TRIES: usize = 5;

#[test]
fn a_plain_service_costs_so_many_calls() {
    let mut told = vec![];
    for _ in 0..TRIES {
        let trees = [FEW, MORE].map(Traced::start);
        let started = trees.each_ref().map(Traced::calls);
        trees.iter().for_each(Traced::stop_all);
        let stopped = trees.each_ref().map(Traced::calls);
        let start = per_service(&started);
        let stop = per_service(&stopped) - start;
        if start <= START && stop <= STOP {
            return;
        }
        told.push((start, stop, started, stopped));
    }
    panic!("{told:?}");
}

/// How many calls a service more was.
fn per_service([few, more]: &[BTreeMap<String, usize>; 2]) -> usize {
    let [few, more]: [usize; 2] = [few, more].map(|calls| calls.values().sum());
    // What happens once may be more in one of them.
    (more - few + (MORE - FEW) / 2) / (MORE - FEW)
}

/// Others beside a service cost `sv` nothing.
#[test]
fn a_stop_of_one_does_not_look_at_those_beside_it() {
    let tree = Traced::start(4);
    let calls = tree.sv(&["stop", "plain0"]);
    assert_plain(&calls);
    let looks = calls.lines().find(|call| call.contains("plain1"));
    assert_eq!(looks, None);
}
