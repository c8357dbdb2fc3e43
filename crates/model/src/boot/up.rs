//! The machine up to its shutdown: which entries it has, and which of them are
//! to run.

use alloc::vec::Vec;
use core::mem::take;

use super::slot::{Job, Slot};
use super::{Action, Id, Machine, Message, Phase, RESCUE_AFTER, STAGE3};
use crate::format::inittab::{self, Entry};
use crate::time::Instant;

impl Machine {
    /// Takes over a list of entries. What stays keeps its process.
    pub(super) fn list(&mut self, entries: Vec<Entry>) {
        let (mut slots, mut old): (Vec<Slot>, Vec<Slot>) = take(&mut self.slots)
            .into_iter()
            .partition(|s| s.id.is_own());
        for entry in entries {
            if entry.command == STAGE3 && entry.action == inittab::Action::Shutdown {
                continue; // It runs anyway, and first.
            }
            let job = self.first_job(entry.action);
            let slot = match old.iter().position(|s| s.entry.is_same(&entry)) {
                Some(at) => old.remove(at).listed_as(entry, job),
                None => self.new_slot(entry, job),
            };
            slots.push(slot);
        }
        for slot in old.into_iter().filter(|s| s.job.has_process()) {
            slots.push(Slot {
                listed: false,
                ..slot
            });
        }
        self.slots = slots;
    }

    /// If nothing stays up that is to be kept running, offers root's shell on the console.
    pub(super) fn offer_rescue(&mut self, out: &mut Vec<Action>) {
        let is_kept = |slot: &&Slot| slot.listed && slot.entry.action.respawns();
        let mut kept = self.slots.iter().filter(is_kept).peekable();
        let rescue = Entry::on_console(inittab::Action::Askfirst, inittab::SULOGIN);
        let is_down =
            |slot: &Slot| slot.failures >= RESCUE_AFTER || matches!(slot.job, Job::Absent { .. });
        let fails = |slot: &Slot| is_down(slot) && !slot.entry.is_same(&rescue);
        if self.phase != Phase::Run || kept.peek().is_none() || !kept.all(fails) {
            return;
        }
        // A reload forgets it, but not its process.
        if let Some(slot) = self.slots.iter_mut().find(|s| s.entry.is_same(&rescue)) {
            slot.listed = true;
        } else {
            out.push(Action::Say(Message::NothingStaysUp));
            let slot = self.new_slot(rescue, Job::Ready);
            self.slots.push(slot);
        }
    }

    fn new_slot(&mut self, entry: Entry, job: Job) -> Slot {
        let id = Id(self.next_id);
        self.next_id = self.next_id.wrapping_add(1).max(Id::SHELL.0 + 1);
        Slot::new(id, entry, job)
    }

    /// Whether an entry that appears now starts.
    fn first_job(&self, action: inittab::Action) -> Job {
        use inittab::Action as A;
        let ready = match action {
            A::Sysinit => self.phase == Phase::Sysinit,
            A::Wait | A::Once => matches!(self.phase, Phase::Sysinit | Phase::Wait),
            A::Respawn | A::Askfirst => true,
            A::Ctrlaltdel | A::Shutdown | A::Restart => false,
        };
        if ready { Job::Ready } else { Job::Idle }
    }

    /// Starts the next slot of an action when none of them is under way;
    /// returns whether all are done.
    pub(super) fn in_turn(
        &mut self,
        action: inittab::Action,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        let mut todo = self
            .slots
            .iter_mut()
            .filter(|s| s.entry.action == action && s.job != Job::Idle);
        let under_way = |s: &Slot| s.job != Job::Ready;
        let Some(first) = todo.next() else {
            return true;
        };
        let next = if under_way(first) {
            first
        } else {
            todo.find(|s| under_way(s)).unwrap_or(first)
        };
        if next.job.is_due(now) {
            next.start(out);
        }
        false
    }

    /// Starts the once entries, and whatever must run and does not.
    pub(super) fn keep_running(&mut self, now: Instant, out: &mut Vec<Action>) {
        let frozen = self.frozen;
        for slot in &mut self.slots {
            let wanted = match slot.entry.action {
                inittab::Action::Once => true,
                action => action.respawns() && !frozen,
            };
            if wanted && slot.listed && slot.job.is_due(now) {
                slot.start(out);
            }
        }
    }
}
