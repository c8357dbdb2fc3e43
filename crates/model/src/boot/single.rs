//! Single-user mode: root's shell on the console, between a way down without an end
//! (`down`) and another way up.

use alloc::vec::Vec;

use super::slot::{Job, Slot};
use super::{Action, Id, Machine, Message, Phase};
use crate::format::inittab::{self, Entry};
use crate::time::Instant;

impl Machine {
    /// Only a machine that is up can go there.
    pub(super) fn single(&mut self, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Run => self.go_down(None),
            Phase::Sysinit | Phase::Wait => out.push(Action::Say(Message::NotUpYet)),
            Phase::Down(..) | Phase::Single => out.push(Action::Say(Message::AlreadySingle)),
        }
    }

    /// Nothing runs any more: root's shell is next.
    pub(super) fn be_single(&mut self) {
        let shell = Entry::on_console(inittab::Action::Wait, inittab::SULOGIN);
        let mut shell = Slot::new(Id::SHELL, shell, Job::Ready);
        shell.listed = false; // It is forgotten when it ends.
        // First, so that a successor gives it its process before an entry of the same command.
        self.slots.insert(0, shell);
        self.phase = Phase::Single;
    }

    /// Starts root's shell, if it is due.
    pub(super) fn shell_is_over(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        let shell = self.slot(Id::SHELL);
        if let Some(shell) = shell.filter(|s| s.job.is_due(now)) {
            shell.start(out);
        }
        self.slot(Id::SHELL).is_none()
    }

    /// What follows sysinit follows root's shell, too.
    pub(super) fn come_up_again(&mut self) {
        use inittab::Action as A;
        self.phase = Phase::Wait;
        for slot in self.slots.iter_mut().filter(|s| !s.job.has_process()) {
            if let A::Wait | A::Once | A::Respawn | A::Askfirst = slot.entry.action {
                slot.job = Job::Ready;
                slot.failures = 0;
            }
        }
    }
}
