//! Trees of services from their start to their end, and what is measured on the way.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::ear::Interrupt;
use super::measures::{Part, What};
use super::peers::{Name, Peer};
use super::processes;
use super::results::Results;
use super::tree::Tree;
use crate::moment::Moment;

/// How much is done in one life.
pub struct Effort {
    /// Services killed one after another, as long as there is `kill_time`.
    pub kills: usize,
    /// See `kills`: a peer may wait a second each time.
    pub kill_time: Duration,
    /// Repeated commands.
    pub commands: usize,
    /// Starts of a service that fails at once.
    pub false_starts: u32,
    /// Numbers of services that fail at once, beside one that is told to do something.
    pub failing: &'static [usize],
    /// Starts that are waited for until the service is ready.
    pub ready: usize,
    /// Stops of a service that is deaf to TERM.
    pub kills_late: usize,
    /// What is done once in a boot.
    pub oneshots: usize,
    /// New services.
    pub arrivals: usize,
    /// How long an idle tree is watched.
    pub idle: Duration,
    /// What a logger gets.
    pub log_mib: usize,
}

/// What every measurement needs.
pub struct Bench<'a> {
    /// What was asked for.
    pub parts: Vec<Part>,
    /// How much.
    pub effort: Effort,
    /// A directory in memory.
    pub place: PathBuf,
    /// The user's wish to stop.
    pub interrupt: &'a Interrupt,
    /// Where the samples go.
    pub results: Results,
}

/// How a tree lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is started.
    Start,
    /// It is started, with a session for each service.
    StartSessions,
    /// It gets new services.
    Arrivals,
    /// Its one service fails at once.
    FalseStarts,
    /// Others start beside one that is asked for.
    BesideStarts,
    /// All services but one fail at once.
    BesideFailing,
    /// One of its two services never gets through its exec.
    BesideHang,
    /// Its one service talks, and its supervisor is killed.
    Lines,
    /// Its one service is started until it is ready.
    ReadyOne,
    /// Its services say when they are ready.
    ReadyAll,
    /// Its services need others.
    Needs,
    /// Its services need each the one before it.
    Chain,
    /// All but one of its services are done once.
    Oneshots,
    /// Its one service is deaf to TERM.
    Deaf,
    /// It is a logger whose lines are shown.
    Follow,
    /// What its services do is watched.
    Watch,
    /// Everything else; if it is the first round, it is idle for a while.
    Whole(bool),
}

impl Bench<'_> {
    /// Whether a part was asked for.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// One life of a tree of `n` services.
    pub fn live(&mut self, life: Life, peer: &Peer, n: usize) -> Result<()> {
        match life {
            Life::Start | Life::StartSessions => {
                let mut tree = self.tree(peer, n)?;
                self.start(&mut tree, life == Life::StartSessions)?;
                tree.end()
            }
            Life::Arrivals => self.arrivals(peer, n),
            Life::FalseStarts => self.false_starts(peer),
            Life::BesideStarts => self.check_beside_starts(peer, n),
            Life::BesideFailing => self.command_beside_failing(peer, n),
            Life::BesideHang => self.restart_beside_hang(peer),
            Life::Lines => self.lines_lost(peer),
            Life::ReadyOne => self.start_until_ready(peer),
            Life::ReadyAll => self.start_all_ready(peer, n),
            Life::Needs => self.start_with_needs(peer, n),
            Life::Chain => self.chain(peer, n),
            Life::Oneshots => self.oneshots(peer, n),
            Life::Deaf => self.kill_lateness(peer),
            Life::Follow => self.follow_log(peer),
            Life::Watch => self.watch(peer, n),
            Life::Whole(first) => self.whole(peer, n, first),
        }
    }

    fn tree<'t>(&self, peer: &'t Peer, n: usize) -> Result<Tree<'t>>
    where
        Self: 't,
    {
        Tree::new(peer, n, &self.place, self.interrupt)
    }

    /// Adds a sample of a tree.
    pub fn add(&mut self, what: What, tree: &Tree, sample: f64) {
        self.results.add(what, tree.n(), tree.peer().name, sample);
    }

    /// Adds a time.
    pub fn add_ms(&mut self, what: What, tree: &Tree, time: Duration) {
        self.add(what, tree, time.as_secs_f64() * 1e3);
    }

    /// Starts a tree.
    fn start(&mut self, tree: &mut Tree, sessions: bool) -> Result<()> {
        let Some(start) = tree.start(sessions)? else {
            return Ok(());
        };
        let up = tree.last_start()?.since(start);
        if !self.has(Part::Start) {
            return Ok(());
        }
        if sessions {
            self.add_ms(What::StartSessions, tree, up);
            return Ok(());
        }
        self.add_ms(What::Start, tree, up);
        if tree.peer().name != Name::Bare {
            let all = tree.await_status_files()?;
            self.add_ms(What::StatusFiles, tree, all.since(start));
        }
        Ok(())
    }

    /// Everything that one tree can tell, in an order in which nothing disturbs
    /// what follows.
    fn whole(&mut self, peer: &Peer, n: usize, first: bool) -> Result<()> {
        let mut tree = self.tree(peer, n)?;
        let before = processes::kernel_memory_kib()?;
        self.start(&mut tree, false)?;
        if peer.name == Name::Bare {
            self.restarts(&mut tree)?;
            return tree.end();
        }
        tree.await_status_files()?;
        tree.settle()?;
        if self.has(Part::Memory) {
            self.memory(&tree, before)?;
        }
        if first && self.has(Part::Idle) {
            self.idle(&tree)?;
        }
        self.restarts(&mut tree)?;
        self.commands(&mut tree)?;
        tree.end()
    }

    fn restarts(&mut self, tree: &mut Tree) -> Result<()> {
        if !self.has(Part::Restart) {
            return Ok(());
        }
        let times = tree.kill_each(self.effort.kills, self.effort.kill_time)?;
        for time in times {
            self.add_ms(What::Restart, tree, time);
        }
        tree.settle()?;
        let time = tree.kill_all()?;
        self.add_ms(What::RestartAll, tree, time);
        tree.settle()
    }

    fn memory(&mut self, tree: &Tree, kernel_before_kib: u32) -> Result<()> {
        let cost = processes::cost(&tree.supervisors()?)?;
        let kernel_kib = processes::kernel_memory_kib()?.saturating_sub(kernel_before_kib);
        let per_service = |sum: u32| f64::from(sum) / f64::from(tree.n() as u32);
        self.add(What::Memory, tree, per_service(cost.anonymous_kib));
        self.add(What::PageTables, tree, per_service(cost.page_tables_kib));
        self.add(What::KernelMemory, tree, per_service(kernel_kib));
        self.add(What::Processes, tree, f64::from(cost.processes));
        self.add(What::Descriptors, tree, per_service(cost.descriptors));
        Ok(())
    }

    /// How often any process of the tree was put on a processor.
    fn idle(&mut self, tree: &Tree) -> Result<()> {
        let pids = processes::descendants()?;
        let before = processes::switches(&pids);
        self.interrupt.rest(self.effort.idle)?;
        let after = processes::switches(&processes::descendants()?);
        let count = |(pid, n): (&_, &u32)| n.saturating_sub(before.get(pid).copied().unwrap_or(0));
        let wakeups: u32 = after.iter().map(count).sum();
        self.add(What::WakeUps, tree, f64::from(wakeups));
        Ok(())
    }

    fn commands(&mut self, tree: &mut Tree) -> Result<()> {
        let services = tree.services();
        let until = Moment::now().after(self.effort.kill_time);
        for _ in 0..self.effort.commands {
            if self.has(Part::Status) && Moment::now() < until {
                let start = Moment::now();
                for command in tree.peer().status(&services) {
                    tree.run(command)?;
                }
                self.add_ms(What::Status, tree, Moment::now().since(start));
                if let Some(command) = tree.peer().list(&tree.scan_dir()) {
                    let start = Moment::now();
                    tree.run(command)?;
                    self.add_ms(What::List, tree, Moment::now().since(start));
                }
            }
        }
        if self.has(Part::RestartOne) {
            for service in services.iter().take(self.effort.commands) {
                let (up, ended) = tree.restart(service)?;
                self.add_ms(What::RestartOneUp, tree, up);
                self.add_ms(What::RestartOne, tree, ended);
            }
            tree.settle()?;
        }
        if self.has(Part::Stop) {
            self.stop_all(tree, What::StopAll)?;
        }
        Ok(())
    }

    /// New services, by a rename into the scan directory and by a link there.
    /// With them, it is `n` services in the end, for some peers take no more.
    fn arrivals(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if peer.name == Name::Bare {
            return Ok(());
        }
        let arrivals = self.effort.arrivals.min(n.saturating_sub(1));
        let mut tree = self.tree(peer, n - arrivals)?;
        tree.start(false)?;
        for i in 0..arrivals {
            tree.settle()?;
            let made = tree.beside(&format!("new{i}"));
            let place = tree.scan_dir().join(format!("new{i}"));
            tree.make_service(&made)?;
            let start = Moment::now();
            let is_link = i % 2 == 1;
            let placed = if is_link {
                symlink(&made, &place)
            } else {
                fs::rename(&made, &place)
            };
            placed.with_context(|| format!("make {}", place.display()))?;
            if let Some(look) = peer.look(&tree.scan_dir()) {
                tree.run(look)?;
            }
            let heard = tree.hear()?;
            let time = heard.at.since(start).as_secs_f64() * 1e3;
            self.results.add(What::PickUp, n, peer.name, time);
            if is_link && peer.name != Name::Sunup {
                self.results.add(What::Enable, n, peer.name, time);
            }
        }
        if peer.name == Name::Sunup {
            self.enable(&mut tree, n)?;
        }
        tree.end()
    }

    /// How many starts of a service that fails at once are said to be a success, on
    /// a machine with twice as much to do as it can.
    fn false_starts(&mut self, peer: &Peer) -> Result<()> {
        let mut tree = self.tree(peer, 0)?;
        let service = tree.make_failing_service("fails")?;
        // A second is the most that it waits.
        let start = || peer.sv(&["-v", "-w", "1", "start"], &service);
        if start().is_none() {
            return tree.end();
        }
        tree.start(false)?;
        tree.await_status_files_of(std::slice::from_ref(&service))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut busy = Vec::new();
        for _ in 0..2 * processors {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "while :; do :; done"]);
            busy.push(command.spawn().context("keep the machine busy")?);
        }
        let mut tries = Vec::new();
        for _ in 0..self.effort.false_starts {
            let silent = start().map(|mut c| c.stdout(Stdio::null()).stderr(Stdio::null()).spawn());
            tries.extend(silent.transpose().context("start a service")?);
        }
        let mut successes = 0;
        for child in &mut tries {
            successes += u32::from(child.wait().context("start a service")?.success());
        }
        for child in &mut busy {
            child.kill().context("end what keeps the machine busy")?;
            child.wait()?;
        }
        let share = f64::from(successes) * 100.0 / f64::from(self.effort.false_starts);
        self.add(What::FalseStarts, &tree, share);
        tree.end()
    }
}
