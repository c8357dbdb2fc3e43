//! Services that say when they are ready: how soon that is known, and what it costs.
//! In a chain, each is ready before the next is started.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::lives::Bench;
use super::measures::What;
use super::peers::{Name, Peer};
use super::probe::{READY_FD, Step};
use super::processes::{self, LOOK};
use super::stats::Sorted;
use super::tree::{PATIENCE, Tree};
use crate::moment::Moment;

/// It takes a moment to be ready, so that who waits for it does wait.
const SLOW: &[Step] = &[Step::Rest(20), Step::Announce, Step::Ready];
const QUICK: &[Step] = &[Step::Announce, Step::Ready];

impl Bench<'_> {
    /// From the newline of a service to the end of the command that has started it.
    pub fn start_until_ready(&mut self, peer: &Peer) -> Result<()> {
        let mut tree = Tree::new(peer, 1, &self.place, self.interrupt)?;
        let service = tree.scan_dir().join("s00000");
        let Some(first) = peer.start(&service) else {
            return tree.end();
        };
        tree.replace_programs("slow", SLOW)?;
        announce_readiness(&service)?;
        tree.start(false)?;
        // For a service that is up and ready, it ends at once.
        tree.run(first)?;
        for _ in 0..self.effort.ready {
            for command in peer.stop(std::slice::from_ref(&service)) {
                tree.run(command)?;
            }
            tree.await_end()?;
            if let Some(command) = peer.start(&service) {
                tree.run(command)?;
            }
            let ended = Moment::now();
            let up = tree.hear_again()?;
            self.add_ms(What::SvStartReady, &tree, ended.since(up.at));
        }
        tree.end()
    }

    /// A start of services that say when they are ready, beside one of services that do not.
    pub fn start_all_ready(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if !peer.knows_readiness() {
            return Ok(());
        }
        self.start_plain(peer, n)?;
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        tree.replace_programs("ready", QUICK)?;
        for service in tree.services() {
            announce_readiness(&service)?;
        }
        let Some(start) = tree.start(false)? else {
            return tree.end();
        };
        let until = start.after(PATIENCE);
        for service in tree.services() {
            while !peer.says_ready(&service) {
                if Moment::now() > until {
                    bail!("{} is not ready after {PATIENCE:?}", service.display());
                }
                self.interrupt.rest(LOOK)?;
            }
        }
        let all = Moment::now();
        self.add_ms(What::AllReady, &tree, all.since(start));
        tree.end()
    }

    /// A chain of services, each of which needs the one before it to be ready: its start, the
    /// steps of that, and its stop beside one of services that need nothing.
    pub fn chain(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if !matches!(peer.name, Name::Bare | Name::Sunup) {
            return Ok(());
        }
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        tree.replace_programs("ready", QUICK)?;
        let services = tree.services();
        for (before, service) in services.iter().zip(services.iter().skip(1)) {
            announce_readiness(service)?;
            need(service, before)?;
        }
        if let Some(first) = services.first() {
            announce_readiness(first)?;
        }
        let start = match peer.name {
            Name::Bare => tree.start_in_turn()?,
            _ => tree.start(false)?.unwrap_or(Moment::now()),
        };
        let moments = tree.starts();
        let up = moments.last().copied().unwrap_or(start);
        self.add_ms(What::Chain, &tree, up.since(start));
        let steps = moments.iter().zip(moments.iter().skip(1));
        let steps: Vec<f64> = steps
            .map(|(ready, next)| next.since(*ready).as_secs_f64() * 1e3)
            .collect();
        if let Some(step) = Sorted::new(&steps).median() {
            self.results.add(What::ChainStep, n, peer.name, step);
        }
        if peer.name == Name::Bare {
            return tree.end();
        }
        tree.settle()?;
        self.stop_all(&tree, What::StopChain)?;
        tree.end()?;
        let mut plain = Tree::new(peer, n, &self.place, self.interrupt)?;
        plain.start(false)?;
        plain.settle()?;
        self.stop_all(&plain, What::StopAll)?;
        plain.end()
    }

    /// A start of services that need nothing and say nothing, to compare with.
    pub fn start_plain(&mut self, peer: &Peer, n: usize) -> Result<u32> {
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        if let Some(start) = tree.start(false)? {
            self.add_ms(What::Start, &tree, tree.last_start()?.since(start));
        }
        let cost = processes::cost(&tree.supervisors()?)?;
        tree.end()?;
        Ok(cost.anonymous_kib)
    }

    /// Stops all services of a tree, and waits until they are gone.
    pub fn stop_all(&mut self, tree: &Tree, what: What) -> Result<()> {
        let start = Moment::now();
        for command in tree.peer().stop(&tree.services()) {
            tree.run(command)?;
        }
        let end = tree.await_end()?;
        self.add_ms(what, tree, end.since(start));
        Ok(())
    }
}

/// Has a service's newline on a descriptor mean that it is ready.
fn announce_readiness(service: &Path) -> Result<()> {
    let file = service.join("notification-fd");
    fs::write(&file, format!("{READY_FD}\n")).with_context(|| format!("write {}", file.display()))
}

/// Has a service started only when another one is ready.
pub fn need(service: &Path, other: &Path) -> Result<()> {
    let needs = service.join("needs");
    let make = || {
        fs::create_dir_all(&needs)?;
        fs::write(needs.join(other.file_name().unwrap_or_default()), "")
    };
    make().with_context(|| format!("write to {}", needs.display()))
}
