//! One service beside others that keep the supervisor busy: a thousand that start,
//! thousands that fail at once, and one whose exec hangs.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::lines::write_program;
use super::lives::Bench;
use super::measures::What;
use super::peers::{Name, Peer};
use super::probe;
use super::processes::LOOK;
use super::tree::{PATIENCE, Tree};
use crate::moment::Moment;
use crate::sys;

/// More services that fail at once leave a machine no time, if each has a supervisor of
/// its own.
const FAILING_OF_PEERS_MAX: usize = 500;
/// With a shell, as most are; what the program announces goes to its logger.
const RUN: &str = "#!/bin/sh\nexec ../../probe\n";
/// It passes on what its service announces, so that word comes when both of them run.
const LOG_RUN: &str = "#!/bin/sh\nexec cat\n";

impl Bench<'_> {
    /// `sv check` of one service, again and again, from the moment at which others
    /// with loggers are put beside it until all of them have started. With it, it is
    /// `n` services, for some peers take no more.
    pub fn check_beside_starts(&mut self, peer: &Peer, n: usize) -> Result<()> {
        let mut tree = Tree::new(peer, 1, &self.place, self.interrupt)?;
        let own = tree.scan_dir().join("s00000");
        if peer.sv(&["check"], &own).is_none() {
            return tree.end();
        }
        tree.start(false)?;
        tree.await_status_files()?;
        tree.settle()?;
        let others = n.saturating_sub(1);
        put_others(&tree, others)?;
        let until = Moment::now().after(PATIENCE);
        let (mut silent, mut worst_ms) = (others, 0.0_f64);
        while silent > 0 {
            let start = Moment::now();
            if let Some(command) = peer.sv(&["check"], &own) {
                tree.run(command)?;
            }
            let time = Moment::now().since(start);
            while tree.heard()?.is_some() {
                silent = silent.saturating_sub(1);
            }
            // Before the first word, a peer may not even have looked.
            if silent < others {
                let ms = time.as_secs_f64() * 1e3;
                worst_ms = worst_ms.max(ms);
                self.results.add(What::CheckBesideStarts, n, peer.name, ms);
            }
            if Moment::now() > until {
                bail!("{silent} of {others} services have not started after {PATIENCE:?}");
            }
        }
        self.results
            .add(What::CheckBesideStartsWorst, n, peer.name, worst_ms);
        tree.end()
    }

    /// Commands whose effect is waited for, to one service beside `n` that fail at once.
    pub fn command_beside_failing(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if peer.name != Name::Sunup && n > FAILING_OF_PEERS_MAX {
            self.results.note(format!(
                "The peers are not measured beside more than {FAILING_OF_PEERS_MAX} services that fail."
            ));
            return Ok(());
        }
        let mut tree = Tree::new(peer, 1, &self.place, self.interrupt)?;
        let own = tree.scan_dir().join("s00000");
        if peer.sv(&["check"], &own).is_none() {
            return tree.end();
        }
        let failing = (0..n).map(|i| tree.make_failing_service(&format!("fails{i:05}")));
        let failing = failing.collect::<Result<Vec<_>>>()?;
        tree.start(false)?;
        tree.await_status_files()?;
        tree.await_status_files_of(&failing)?;
        tree.settle()?;
        for _ in 0..self.effort.commands {
            // Twice, for each takes back what the other does.
            for word in ["pause", "cont"] {
                let start = Moment::now();
                if let Some(command) = peer.sv(&["-v", word], &own) {
                    tree.run(command)?;
                }
                let ms = Moment::now().since(start).as_secs_f64() * 1e3;
                self.results
                    .add(What::CommandBesideFailing, n, peer.name, ms);
            }
        }
        tree.end()
    }

    /// Restarts of a service beside one whose exec hangs, as on a network that is gone.
    pub fn restart_beside_hang(&mut self, peer: &Peer) -> Result<()> {
        let mut tree = Tree::new(peer, 1, &self.place, self.interrupt)?;
        if peer.name == Name::Bare {
            return tree.end();
        }
        let own = tree.scan_dir().join("s00000");
        let hangs = tree.scan_dir().join("hangs");
        fs::create_dir(&hangs).with_context(|| format!("make {}", hangs.display()))?;
        probe::write(&hangs.join("run"), probe::PLAIN)?;
        // A file of its own, which nobody has open: a lease is on a file, not on a name.
        let run = File::open(hangs.join("run"))?;
        sys::take_lease(&run).context("take a lease")?;
        tree.start(false)?;
        let until = Moment::now().after(PATIENCE);
        while !sys::lease_is_in_the_way(&run)? {
            if Moment::now() > until {
                bail!("no exec of {} after {PATIENCE:?}", hangs.display());
            }
            self.interrupt.rest(LOOK)?;
        }
        for _ in 0..self.effort.commands {
            tree.settle()?;
            let (up, _) = tree.restart(&own)?;
            let ms = up.as_secs_f64() * 1e3;
            self.results.add(What::RestartBesideHang, 0, peer.name, ms);
        }
        if !sys::lease_is_in_the_way(&run)? {
            bail!("the exec of {} hung for too short a time", hangs.display());
        }
        tree.end()
    }
}

/// Makes services with loggers, and puts all of them into the scan directory.
fn put_others(tree: &Tree, n: usize) -> Result<()> {
    let name = |i: usize| format!("other{i:05}");
    for i in 0..n {
        let made = tree.beside(&name(i));
        write_program(&made.join("run"), RUN)?;
        write_program(&made.join("log/run"), LOG_RUN)?;
    }
    let scan_dir: &Path = &tree.scan_dir();
    for i in 0..n {
        let place = scan_dir.join(name(i));
        fs::rename(tree.beside(&name(i)), &place)
            .with_context(|| format!("make {}", place.display()))?;
    }
    Ok(())
}
