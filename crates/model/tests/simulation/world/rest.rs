//! How a game ends: everything works, and what is wanted must come about.

use super::super::checks::{check_kept, check_rest, check_world};
use super::super::kernel::{Runs, Serial};
use super::super::shell::Shell;
use super::Game;

impl Game {
    /// Everything works from now on, signals arrive, what is paused goes on,
    /// scripts and finishes end; and what is wanted must come about in a bounded number of turns.
    pub fn rest(&mut self) -> Result<(), String> {
        self.world
            .note(|| "everything works from now on".to_owned());
        self.world.past.note_names(&self.world.kernel.scan);
        self.world.foul = 0;
        self.world.fuse = None;
        for kind in self.world.kernel.kinds.values_mut() {
            kind.broken = false;
        }
        if self.current().is_none() && !self.shells.is_empty() {
            self.come_to_rest(false)?;
            for shell in &self.shells {
                check_kept(shell, &mut self.world)?;
            }
        }
        self.come_to_rest(true)?;
        match self.current().and_then(|index| self.shells.get(index)) {
            Some(shell) => check_rest(shell, &mut self.world),
            None => Err("there is no supervisor".to_owned()),
        }
    }

    /// Turns and time, until nothing is to be done. `anew`: a supervisor that
    /// ends is started again.
    pub(super) fn come_to_rest(&mut self, anew: bool) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..2000 {
            if anew {
                self.start();
            }
            let before = (self.world.actions, self.shells.len());
            let mut moved = self.settle();
            let mut index = 0;
            while index < self.shells.len() {
                let count = self.shells.len();
                self.round(index, true)?;
                index += usize::from(self.shells.len() >= count);
            }
            check_world(&self.world)?;
            moved |= before != (self.world.actions, self.shells.len());
            moved |= self.shells.iter().any(|shell| shell.core.is_busy());
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet < 2 {
                continue;
            }
            let now = self.world.kernel.now;
            let wakes = |shell: &Shell| {
                let files = shell.core.files_at();
                shell.core.deadline().into_iter().chain(files).min()
            };
            let next = self.shells.iter().filter_map(wakes).min();
            match next {
                Some(at) => {
                    self.world.kernel.now = at.max(now);
                    quiet = 0;
                }
                None => return Ok(()),
            }
        }
        Err("this never comes to rest".to_owned())
    }

    /// Whether a supervisor takes the process for a service's.
    pub(super) fn is_known(&self, serial: Serial) -> bool {
        let mut units = self.shells.iter().flat_map(|shell| shell.units.values());
        units.any(|unit| {
            let mut halves = [Some(&unit.main), unit.log.as_ref()].into_iter().flatten();
            halves.any(|half| half.truth == Some(serial))
        })
    }

    /// What processes do when nothing is wrong; true if they did something.
    pub(super) fn settle(&mut self) -> bool {
        let mut moved = false;
        for process in self.world.kernel.processes.values_mut() {
            process.stopped = false;
        }
        for pid in self.pids(|runs| *runs != Runs::Stranger) {
            let Some(process) = self.world.kernel.processes.get(&pid).cloned() else {
                continue;
            };
            let ends = match process.runs {
                Runs::Setup(_) | Runs::Finish(_) | Runs::Script(..) => true,
                // Without a record a successor cannot know it, not even as its
                // parent: the one hole that is known.
                Runs::Run(_) if process.unrecorded && !self.is_known(process.serial) => true,
                Runs::Run(_) if process.words.stops.is_some() => true,
                Runs::Run(_) | Runs::Stranger => self.world.kernel.is_dying(pid),
            };
            let goes_on = self.go_on(pid);
            if ends && !goes_on {
                let is_setup = matches!(process.runs, Runs::Setup(_));
                self.finish(pid, is_setup || process.serial % 2 == 0);
            }
            let speaks = self.world.rules.readiness && self.world.all_say(pid);
            moved |= ends || goes_on || speaks;
        }
        moved
    }
}
