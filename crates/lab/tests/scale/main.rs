//! Five thousand services on this workstation, for whoever runs the tests: one
//! process keeps them with fewer than four descriptors each, and when it is killed
//! the next one has them all, and ends them.
//!
//! A test binary of its own: it takes in the orphans of its descendants, and ends
//! whatever is left of them. Ten thousand are in a virtual machine.
// A test may panic; clippy knows that of `#[test]` functions alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use lab::bench::ear::{Ear, Interrupt};
use lab::bench::peers::{Name, Peer};
use lab::bench::{probe, processes};
use lab::moment::Moment;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getrlimit, kill_process, setrlimit,
    wait,
};
use tempfile::TempDir;

const SERVICES: usize = 5000;

/// How long anything may take on a busy workstation.
const PATIENCE: Duration = Duration::from_mins(5);
/// The same for sv, in seconds.
const PATIENCE_S: &str = "280";

#[test]
fn five_thousand_services_outlive_their_supervisor() {
    let interrupt = Interrupt::new().unwrap();
    let tree = Tree::new();
    let mut ear = Ear::new(&interrupt).unwrap();
    let first = tree.supervise(&ear);
    let announced = hear_all(&mut ear);
    // The supervisor starts all of them before it tells of any.
    tree.sv("start", &tree.services);
    let before = tree.pids();
    assert!(before.values().copied().collect::<HashSet<_>>() == announced);
    assert_holds_few_descriptors(first);

    kill_process(first, Signal::KILL).unwrap();
    reap_until(first);
    let second = tree.supervise(&ear);
    tree.await_supervision();
    let after = tree.pids();
    let lost = before
        .iter()
        .filter(|(name, pid)| after.get(*name) != Some(*pid));
    assert_eq!(lost.count(), 0, "{}", tree.complaints());
    assert_holds_few_descriptors(second);

    // By both ways.
    let (by_command, _) = tree.services.split_at(SERVICES / 2);
    tree.sv("stop", by_command);
    assert_eq!(tree.pids().len(), SERVICES - by_command.len());
    kill_process(second, Signal::HUP).unwrap();
    assert_eq!(reap_until(second).exit_status(), Some(111));
    // All that were adopted have ended by now, and nothing else was ever started.
    reap_all();
    assert_eq!(processes::descendants().unwrap(), []);
    assert_eq!(ear.hear(Moment::now()).unwrap(), None);
    // Whom it waits for is told every five seconds, as often as a busy machine makes it.
    let complaints = tree.complaints();
    let others = complaints
        .lines()
        .filter(|line| !line.contains(": waiting for the end of "));
    assert_eq!(others.count(), 0, "{complaints}");
}

/// A scan directory. What runs there ends with it.
struct Tree {
    home: TempDir,
    services: Vec<PathBuf>,
    programs: Peer,
}

impl Tree {
    fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).maximum;
        let need = 3 * SERVICES as u64 + 1000;
        assert!(
            lab::debian::is_root() || limit.is_none_or(|limit| limit >= need),
            "this needs {need} descriptors, and `ulimit -Hn` says {limit:?}: raise it, or be root"
        );
        // No more, so that the next supervisor has to make do with what the first had.
        let all = Rlimit {
            current: Some(need),
            maximum: Some(need),
        };
        setrlimit(Resource::Nofile, all).unwrap();
        processes::adopt_orphans().unwrap();
        let home = tempfile::tempdir().unwrap();
        let programs = home.path().join("bin");
        fs::create_dir(&programs).unwrap();
        let programs = Peer::provide(Name::Sunup, &programs).unwrap();
        let probe = home.path().join("probe");
        probe::write(&probe, probe::PLAIN).unwrap();
        let service = |i| home.path().join(format!("service/s{i:05}"));
        let services: Vec<_> = (0..SERVICES).map(service).collect();
        for service in &services {
            fs::create_dir_all(service).unwrap();
            fs::hard_link(&probe, service.join("run")).unwrap();
        }
        Self {
            home,
            services,
            programs,
        }
    }

    /// Starts a supervisor.
    fn supervise(&self, ear: &Ear) -> Pid {
        let scan = self.home.path().join("service");
        let mut command = self.programs.supervisor(&scan, false).unwrap();
        let errors = File::options()
            .create(true)
            .append(true)
            .open(self.errors());
        command
            .stdout(ear.mouth().try_clone().unwrap())
            .stderr(errors.unwrap());
        Pid::from_child(&command.spawn().unwrap())
    }

    fn errors(&self) -> PathBuf {
        self.home.path().join("errors")
    }

    /// What supervisors said.
    fn complaints(&self) -> String {
        fs::read_to_string(self.errors()).unwrap()
    }

    /// Waits until all services have a supervisor: a fifo opens for writing when
    /// somebody reads it.
    fn await_supervision(&self) {
        let services = self.services.clone();
        let all = move || {
            for service in services {
                let ok = service.join("supervise/ok");
                drop(File::options().write(true).open(ok).unwrap());
            }
        };
        let supervised = within_patience(all);
        assert!(supervised.is_some(), "{}", self.complaints());
    }

    /// The services that run, with their processes, as sv tells; the others are down.
    fn pids(&self) -> BTreeMap<PathBuf, Pid> {
        let said = self.run(self.programs.for_all("sv", &["status"], &self.services));
        let mut pids = BTreeMap::new();
        for line in said.lines() {
            let Some((name, rest)) = line.strip_prefix("run: ").and_then(|l| l.split_once(": "))
            else {
                assert!(line.starts_with("down: "), "{line}");
                continue;
            };
            let pid = rest.strip_prefix("(pid ").unwrap().split(')').next();
            pids.insert(
                name.into(),
                Pid::from_raw(pid.unwrap().parse().unwrap()).unwrap(),
            );
        }
        assert_eq!(said.lines().count(), SERVICES);
        pids
    }

    /// Has sv act, which waits for the effect; what it said.
    fn sv(&self, action: &str, services: &[PathBuf]) -> String {
        let options = ["-w", PATIENCE_S, action];
        self.run(self.programs.for_all("sv", &options, services))
    }

    /// Runs a command, which must succeed; what it said. Services that end
    /// meanwhile are reaped, as somebody has to whose children they are.
    fn run(&self, mut command: Command) -> String {
        let said = self.home.path().join("said");
        let out = File::create(&said).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let status = reap_until(Pid::from_child(&command.spawn().unwrap()));
        let said = fs::read_to_string(said).unwrap();
        let bad = || {
            let lines = said.lines();
            let bad: Vec<_> = lines
                .filter(|l| !l.starts_with("run: ") && !l.starts_with("ok: "))
                .take(5)
                .collect();
            format!("{bad:#?}\n{}", self.complaints())
        };
        assert_eq!(status.exit_status(), Some(0), "{}", bad());
        said
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The directory goes after the processes that use it.
        drop(processes::end_all());
    }
}

/// The processes of all services, each heard once.
fn hear_all(ear: &mut Ear) -> HashSet<Pid> {
    let until = Moment::now().after(PATIENCE);
    let all: HashSet<_> = (0..SERVICES)
        .map(|n| {
            ear.hear(until)
                .unwrap()
                .unwrap_or_else(|| panic!("{n} services are up"))
                .pid
        })
        .collect();
    assert_eq!(all.len(), SERVICES);
    all
}

fn assert_holds_few_descriptors(supervisor: Pid) {
    let dir = format!("/proc/{}/fd", supervisor.as_raw_nonzero());
    let descriptors = fs::read_dir(Path::new(&dir)).unwrap().count();
    assert!(descriptors < 4 * SERVICES, "{descriptors}");
}

/// Waits for the end of a child, and reaps who ends before.
fn reap_until(child: Pid) -> WaitStatus {
    let reap = move || loop {
        let (pid, status) = wait(WaitOptions::empty()).unwrap().unwrap();
        if pid == child {
            return status;
        }
    };
    within_patience(reap).expect("the end of a child")
}

/// Waits until there is no child any more.
fn reap_all() {
    let reap = || while wait(WaitOptions::empty()).is_ok() {};
    within_patience(reap).expect("the end of all");
}

/// What `task` gives; `None` if that takes too long.
fn within_patience<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = channel();
    thread::spawn(move || done.send(task()));
    result.recv_timeout(PATIENCE).ok()
}
