//! The service whose end is the end of a container: it runs once, and it is known how it ended.

use alloc::vec::Vec;

use super::roster::main;
use super::{Ending, Id, Supervisor, UnitId};
use crate::command::Command;
use crate::process::Exit;
use crate::scan::Name;
use crate::service::{Event, Failure, Program, Role, State, Want};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    name: Name,
    ended: Option<Exit>,
}

impl Supervisor {
    /// From now on the service of this name is the main one.
    pub fn set_principal(&mut self, name: &[u8]) {
        self.principal = Some(Principal {
            name: Vec::from(name),
            ended: None,
        });
    }

    /// How the first run of the main service ended, once it has. A run that could not be
    /// started ended with the code of a shell: 127 if it is not there, 126 if it cannot be
    /// executed; 111 if the machine is short of something.
    pub fn principal_ended(&self) -> Option<Exit> {
        self.principal.as_ref()?.ended
    }

    /// Whether the main service has this name.
    pub(super) fn is_main(&self, name: &Name) -> bool {
        self.principal.as_ref().is_some_and(|p| p.name == *name)
    }

    /// The main service, if its directory has been opened.
    pub fn principal(&self) -> Option<Id> {
        let name = &self.principal.as_ref()?.name;
        let mut units = self.units.iter();
        let found = units.find(|(_, unit)| unit.name == *name);
        found.map(|(unit, _)| main(*unit))
    }

    /// Whether nothing runs or is to be started, now or later. A look that has found nothing
    /// is needed for that.
    pub fn is_at_rest(&self) -> bool {
        let rests = |unit: &super::Unit| {
            let service = &unit.main.service;
            let is_wanted = service.want() == Want::Up && !service.is_done();
            service.is_gone() || unit.main.is_down() && !is_wanted
        };
        self.ending == Ending::No
            && !self.is_first_look
            && !self.has_more()
            && self.waiting.is_empty()
            && self.units.values().all(|unit| rests(unit))
    }

    /// It was opened: it is not started again when it ends.
    pub(super) fn principal_opened(&mut self, unit: UnitId) {
        let is_up = |id: &Id| self.half(*id).is_some_and(|h| h.service.want() == Want::Up);
        let id = self.principal().filter(|id| id.unit == unit).filter(is_up);
        if let Some(id) = id {
            self.drive(id, Event::Command(Command::Once));
        }
    }

    /// A directory could not be opened, for longer than a moment. Whether it is the main service's:
    /// then that is its end, because another might never come.
    pub(super) fn principal_not_opened(&mut self, name: &Name) -> bool {
        let is_main = self.is_main(name);
        if is_main {
            self.principal_is_over(Exit::Code(111));
        }
        is_main
    }

    /// A process of a service is about to be told to have ended.
    pub(super) fn note_end(&mut self, id: Id, exit: Exit) {
        // Where `./setup` fails, there is no run.
        let is_run = |id: Id| match self.half(id).map(|half| half.service.state()) {
            Some(State::Run(run)) => run.program == Program::Run || exit != Exit::Code(0),
            _ => false,
        };
        if id.role == Role::Main && self.principal() == Some(id) && is_run(id) {
            self.principal_is_over(exit);
        }
    }

    /// A run of a service could not be started.
    pub(super) fn note_failure(&mut self, id: Id, failure: Failure) {
        if self.principal() == Some(id) {
            self.principal_is_over(Exit::Code(match failure {
                Failure::Absent => 127,
                Failure::Exec => 126,
                Failure::Resources => 111,
            }));
        }
    }

    /// A oneshot is done. As the main service, that is its end.
    pub(super) fn note_done(&mut self, id: Id) {
        if self.principal() == Some(id) {
            self.principal_is_over(Exit::Code(0));
        }
    }

    fn principal_is_over(&mut self, exit: Exit) {
        if let Some(principal) = &mut self.principal {
            principal.ended.get_or_insert(exit);
        }
    }
}
