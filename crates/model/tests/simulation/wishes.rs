//! What the administrator may expect of a service, from the commands that a
//! supervisor has read and written down.
//!
//! A command counts once its effect is in the status file, which is what `sv`
//! waits for. A supervisor that is killed before may have acted or not: then
//! either wish may come true.

use std::collections::BTreeSet;

use model::command::Command;
use model::service::Role;

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Nobody said anything: as the file `down` has it.
    Default,
    Up,
    Down,
    /// Up now, and not again.
    Once,
    /// Down, and after that as the file `down` has it.
    Exit,
}

#[derive(Clone, Debug)]
pub struct Wishes {
    pub may_be: BTreeSet<Wish>,
    /// What the living supervisor knows; `None`: what the files say.
    current: Option<Wish>,
}

impl Wishes {
    pub fn none() -> Self {
        Self {
            may_be: BTreeSet::from([Wish::Default]),
            current: Some(Wish::Default),
        }
    }

    /// A supervisor acts on a command.
    pub fn read(&mut self, role: Role, command: Command) {
        let wish = match (command, role) {
            (Command::Up | Command::StartNow, _) => Wish::Up,
            (Command::Down, _) => Wish::Down,
            (Command::Once, _) => Wish::Once,
            (Command::Exit, Role::Main) => Wish::Exit,
            (Command::Exit, Role::Log)
            | (Command::Ready | Command::Signal(_) | Command::Reset, _) => return,
        };
        self.wish(wish);
    }

    pub fn wish(&mut self, wish: Wish) {
        self.may_be.insert(wish);
        self.current = Some(wish);
    }

    /// The state files were written.
    pub fn written(&mut self) {
        if let Some(current) = self.current {
            self.may_be = BTreeSet::from([current]);
        }
    }

    /// A successor begins with what the files say.
    pub fn taken_over(&mut self, has_status: bool) {
        self.current = None;
        if !has_status {
            self.may_be.insert(Wish::Default);
        }
    }

    /// Whether it is all right at rest that the service is up, or down.
    pub fn allow(&self, is_up: bool, is_down_by_default: bool) -> bool {
        let allows = |wish: &Wish| match wish {
            Wish::Default => is_up != is_down_by_default,
            Wish::Up => is_up,
            Wish::Down => !is_up,
            Wish::Once => true,
            Wish::Exit => !is_up || !is_down_by_default,
        };
        self.may_be.iter().any(allows)
    }
}
