//! A service that is deaf to TERM, and is killed after the time that it was given.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::lives::Bench;
use super::measures::What;
use super::peers::Peer;
use super::probe::Step;
use super::tree::{PATIENCE, Tree};
use crate::moment::{Moment, timespec};

/// What it is given, and the file that says so.
const TIME: Duration = Duration::from_millis(100);
const FILE: &str = "timeout-kill";
/// It tells when TERM came, and goes on.
const DEAF: &[Step] = &[
    Step::HoldTerm,
    Step::Announce,
    Step::AwaitTerm,
    Step::Announce,
];

impl Bench<'_> {
    /// How late KILL is: from TERM, as the service heard it, to its end, less its time.
    pub fn kill_lateness(&mut self, peer: &Peer) -> Result<()> {
        let mut tree = Tree::new(peer, 1, &self.place, self.interrupt)?;
        if !peer.knows_readiness() {
            return tree.end();
        }
        let service = tree.scan_dir().join("s00000");
        tree.replace_programs("deaf", DEAF)?;
        let file = service.join(FILE);
        fs::write(&file, format!("{}\n", TIME.as_millis()))
            .with_context(|| format!("write {}", file.display()))?;
        tree.start(false)?;
        for _ in 0..self.effort.kills_late {
            tree.settle()?;
            let pid = tree.pids().first().copied().context("nothing runs")?;
            let mut stopping = Vec::new();
            for mut command in peer.stop(std::slice::from_ref(&service)) {
                stopping.push(command.spawn().context("stop the service")?);
            }
            let term = tree.hear()?.at;
            let gone = end_of(pid)?;
            for child in &mut stopping {
                child.wait()?;
            }
            let late = gone.since(term).saturating_sub(TIME);
            self.add_ms(What::KillLateness, &tree, late);
            if let Some(mut command) = peer.start_without_waiting(&service) {
                command.status().context("start the service")?;
            }
            tree.hear_again()?;
        }
        tree.end()
    }
}

/// Waits for a process to end, with the process number as a descriptor, which tells at once.
fn end_of(pid: Pid) -> Result<Moment> {
    let fd = pidfd_open(pid, PidfdFlags::empty()).context("watch the service")?;
    poll(
        &mut [PollFd::new(&fd, PollFlags::IN)],
        Some(&timespec(PATIENCE)),
    )?;
    Ok(Moment::now())
}
