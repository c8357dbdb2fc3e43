//! Orders to many services at once: each is told to exit when the caller has time for it.
//!
//! To stop thousands of services takes a second, and the supervisor must not be deaf
//! meanwhile. So they are told one by one ([`super::Input::More`]), in the order of their
//! numbers. Nobody sees a difference but in time: whatever else happens to a service that
//! is still to be told, it is told in the same moment.

use alloc::vec::Vec;

use super::roster::main;
use super::{Supervisor, UnitId};
use crate::command::Command;
use crate::service::Event;

impl Supervisor {
    /// All services are to exit; loggers follow from their services.
    pub(super) fn order_all(&mut self) {
        self.untold.extend(self.units.keys());
        for unit in self.untold.iter().copied().collect::<Vec<_>>() {
            self.order_ends(unit);
        }
    }

    /// This service is to exit.
    pub(super) fn order(&mut self, unit: UnitId) {
        self.untold.insert(unit);
        self.order_ends(unit);
    }

    /// Tells the next service; returns whether there was one.
    pub(super) fn give_order(&mut self) -> bool {
        let next = self.untold.first().copied();
        next.is_some_and(|unit| self.give_order_to(unit))
    }

    /// Tells this service, if that is still to be done.
    pub(super) fn give_order_to(&mut self, unit: UnitId) -> bool {
        let is_due = self.untold.remove(&unit);
        if is_due {
            self.wait_for_others(unit);
            self.drive(main(unit), Event::Command(Command::Exit));
        }
        is_due
    }
}
