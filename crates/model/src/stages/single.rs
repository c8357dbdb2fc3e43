//! Single-user mode: root's shell on the console, between stage 2 and stage 2.

use alloc::vec::Vec;

use super::{Action, Job, Message, Phase, Script, Stage, Stages, Wish};
use crate::time::Instant;

impl Stages {
    pub(super) fn is_single(&self) -> bool {
        self.wish == Some(Wish::Single)
    }

    pub(super) fn start_shell(&mut self, out: &mut Vec<Action>) {
        out.extend([Action::Say(Message::Single), Action::Start(Script::Shell)]);
        self.phase = Phase::Shell(Job::Starting);
    }

    pub(super) fn shell_is_over(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.wish = None;
        self.enter(Stage::Two, now, out);
    }
}
