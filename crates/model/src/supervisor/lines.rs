//! After an adoption the logger starts first, so that no line is lost if this supervisor
//! is killed, too.
//!
//! What is in the log pipe lasts as long as somebody holds it: a supervisor, the service,
//! or the logger. A service that had no process when its supervisor was killed left its
//! logger at the end of the input. That logger may look alive, but it is about to end.
//! What the service writes then is held by this supervisor alone, until the next logger
//! runs. So:
//!
//! - An adopted logger that ends is started again without a gap, however short its
//!   life was ([`crate::adoption`]): it did what it should.
//! - While a logger is adopted and its service is not, the service is not started:
//!   not before the next logger is there, or [`WAIT_MS`] have passed, for a logger may
//!   have reasons to stay (a stray process may hold the pipe).

use super::roster::{log, main};
use super::unit::Unit;
use super::{Id, Supervisor};
use crate::service::{Event, State};
use crate::time::Instant;

/// How long an adopted logger may take to end (ms): no longer than the restart gap of a
/// service that ended soon after its start.
const WAIT_MS: u64 = 1000;

impl Unit {
    /// Until when the service waits for its logger, as both were found.
    pub(super) fn lines_wait(&self, now: Instant) -> Option<Instant> {
        let is_orphan = self.log.as_ref().is_some_and(|log| log.held) && !self.main.held;
        is_orphan.then(|| now.plus_ms(WAIT_MS))
    }

    /// Whether the former logger still runs, or the next one does not run yet.
    fn logger_changes(&self) -> bool {
        let is_starting = |state| matches!(state, State::Starting { .. });
        let log = self.log.as_ref();
        log.is_some_and(|log| log.held || is_starting(log.service.state()))
    }
}

impl Supervisor {
    /// Delays the start of a service that was found, if its lines might be lost.
    pub(super) fn wait_for_logger(&mut self, id: Id) {
        let wall = self.now.wall;
        let unit = self.units.get_mut(&id.unit).filter(|_| id == main(id.unit));
        if let Some(unit) = unit
            && let Some(until) = unit.lines_until
        {
            let rests = unit.main.service.rests_until(until);
            unit.main.become_state(rests, wall);
        }
    }

    /// The logger's state has changed: if the next one runs, the service starts.
    pub(super) fn logger_came(&mut self, id: Id) {
        let (now, wall) = (self.now.at, self.now.wall);
        let unit = self.units.get_mut(&id.unit).filter(|_| id == log(id.unit));
        let Some(unit) = unit.filter(|unit| !unit.logger_changes()) else {
            return;
        };
        if let Some(until) = unit.lines_until.take() {
            let due = unit.main.service.rests_no_longer(until, now);
            unit.main.become_state(due, wall);
            self.drive(main(id.unit), Event::Tick);
        }
    }
}
