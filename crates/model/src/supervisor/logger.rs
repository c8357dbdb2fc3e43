//! A logger that comes or goes while its service is supervised.
//!
//! The supervisor looks at the entry `log` before each start of the service, and when
//! something happened to the entry and it has been quiet for a moment:
//!
//! - It came: the logger is opened and started. A running service cannot be
//!   given another standard output; it writes to its logger from its next start on.
//! - It went (or is another directory by now): a running service goes on writing
//!   to the pipe, so its logger goes on reading. Before the service is started
//!   again, or at once if it is down, the pipe is closed, and the logger ends as
//!   it does when a supervision ends. Then the entry is looked at once more.
//!
//! A logger whose pipe is closed reads to the end and exits. It may have ended before it
//! read all: it crashed, or it had come to the end of the pipe when its former supervisor
//! was killed and this one opened the pipe anew. So the caller looks how much is left,
//! and the logger is started again to read it, as long as it reads some of it each time.
//! A logger that was told to end (TERM), by us or by `sv`, is not started again.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::roster::{log, main};
use super::unit::{Half, Rest, Unit};
use super::{Action, Alarm, Ending, Id, Supervisor, UnitId};
use crate::adoption::Inheritance;
use crate::service::{Event, Role};
use crate::settings::Look;

/// A directory that is made in place counts when it has been quiet for so long (ms).
const QUIET_MS: u64 = 100;
/// Delay before a directory that could not be opened is tried again (ms).
const AGAIN_MS: u64 = 5000;

/// What the entry `log` is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// As it was.
    Same,
    /// Not there any more, or another directory, which is not opened yet.
    Gone,
    /// There: opened, locked, and this was found.
    Opened(Box<Inheritance>),
    /// It exists, but could not be opened, for this reason.
    NotOpened(String),
}

impl Supervisor {
    /// Something happened to the entry.
    pub(super) fn log_changed(&mut self, unit: UnitId) {
        if self.ending == Ending::No && self.units.contains_key(&unit) {
            let at = self.now.at.plus_ms(QUIET_MS);
            self.alarms.set(Alarm::Log(unit), Some(at));
        }
    }

    /// Whether a look before a start includes the entry. It does not if the last look was
    /// just now.
    pub(super) fn looks_at_log(&self, unit: UnitId) -> bool {
        let unit = self.units.get(&unit);
        self.ending == Ending::No && unit.is_some_and(|unit| unit.log_seen_at != self.now.at)
    }

    pub(super) fn look_at_log(&mut self, unit: UnitId) {
        if self.starts.has_begun(unit) {
            // Only the answer of the start says whether it has the pipe.
            return self.log_changed(unit);
        }
        if self.ending == Ending::No && self.units.contains_key(&unit) {
            self.push(Action::Look {
                id: main(unit),
                look: Look::Logger,
                log: true,
            });
        }
    }

    pub(super) fn log_seen(&mut self, unit_id: UnitId, found: Log) {
        let (now, wall) = (self.now.at, self.now.wall);
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        unit.log_seen_at = now;
        match found {
            // Perhaps it was away for a moment only.
            Log::Same => unit.sheds_log = !unit.piped && unit.log.is_some(),
            Log::Gone => {
                unit.sheds_log = unit.log.is_some();
                if unit.main.service.phase().1 == 0 {
                    self.shed_log(unit_id);
                }
            }
            Log::Opened(found) => {
                let running = unit.main.service.phase().1 != 0;
                unit.log = Some(Box::new(Half::new(&found, wall)));
                unit.log_obstacle.clear();
                unit.piped = true;
                unit.rest = Rest::default();
                if running {
                    let name = unit.name.escape_ascii();
                    let text =
                        format!("{name}/log: starts; {name} writes to it from its next start on");
                    self.push(Action::Say(text));
                }
                self.begin(log(unit_id), found.missed);
            }
            Log::NotOpened(text) => {
                if unit.log_obstacle != text {
                    unit.log_obstacle.clone_from(&text);
                    self.push(Action::Say(format!("{text}; trying again")));
                }
                let at = now.plus_ms(AGAIN_MS);
                self.alarms.set(Alarm::Log(unit_id), Some(at));
            }
        }
    }

    /// The service has no process now: ends a logger whose directory has gone.
    pub(super) fn shed_log(&mut self, unit_id: UnitId) {
        let unit = self.units.get_mut(&unit_id).filter(|u| u.sheds_log);
        if unit.is_some_and(|unit| core::mem::replace(&mut unit.piped, false)) {
            self.push(Action::ClosePipe(unit_id));
            self.drive(log(unit_id), Event::Drain);
        }
    }

    /// Called before the end of a logger's process is handled: a logger that was told to
    /// end is not started again for what it left.
    pub(super) fn note_hurry(&mut self, id: Id) {
        if let Some(unit) = self.units.get_mut(&id.unit).filter(|u| !u.piped)
            && id.role == Role::Log
            && unit.log.as_ref().is_some_and(|log| log.service.got_term())
        {
            unit.rest = Rest::Over;
        }
    }

    /// The logger ended with its pipe: returns whether to look what it left there.
    pub(super) fn asks_for_rest(&mut self, unit_id: UnitId) -> bool {
        let ended = |log: &Half| log.service.is_gone() && log.service.shows_want_up();
        let Some(unit) = self.units.get_mut(&unit_id).filter(|unit| !unit.piped) else {
            return false;
        };
        if !unit.log.as_deref().is_some_and(ended) {
            return false;
        }
        let before = match unit.rest {
            Rest::Unknown => None,
            Rest::Left(bytes) => Some(bytes),
            Rest::Asked(_) => return true,
            Rest::Over => return false,
        };
        unit.rest = Rest::Asked(before);
        self.push(Action::LookAtPipe(unit_id));
        true
    }

    pub(super) fn pipe_seen(&mut self, unit_id: UnitId, bytes: u32) {
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        let Rest::Asked(before) = unit.rest else {
            return;
        };
        if let Some(logger) = unit.log.as_mut()
            && bytes > 0
            && before.is_none_or(|before| bytes < before)
        {
            unit.rest = Rest::Left(bytes);
            logger.service = logger.service.again();
            self.drive(log(unit_id), Event::Drain);
        } else {
            unit.rest = Rest::Over;
            self.log_shed(unit_id);
            self.wind_up(unit_id);
        }
    }

    /// The logger ended for good: nothing of it is left, and another may come.
    pub(super) fn log_shed(&mut self, unit_id: UnitId) {
        let is_over = |half: &Half| half.service.is_gone();
        let unit = self.units.get(&unit_id);
        let is_asked = |unit: &Unit| matches!(unit.rest, Rest::Asked(_));
        if unit.is_none_or(|unit| {
            is_asked(unit) || !unit.sheds_log || !unit.log.as_deref().is_some_and(is_over)
        }) {
            return;
        }
        self.forget_half(log(unit_id));
        self.push(Action::CloseLog(unit_id));
        if let Some(unit) = self.units.get_mut(&unit_id) {
            unit.log = None;
            unit.sheds_log = false;
        }
        self.look_at_log(unit_id);
    }
}
