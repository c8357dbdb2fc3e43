//! What a supervisor tells of itself.

use super::ending::{Ending, HUNG_UP};
use super::{Id, Supervisor, UnitId};
use crate::scan::Name;
use crate::service::{Pid, Role, Service};
use crate::time::Instant;

impl Supervisor {
    /// The exit code, once the supervision is over.
    pub fn exit_code(&self, now: Instant) -> Option<u8> {
        let over = match self.ending {
            Ending::No => self.scope.is_one() && self.units.is_empty(),
            Ending::Exit(_) | Ending::Abandon => self.units.is_empty(),
            Ending::Retire => self.busy.is_empty(),
            Ending::Keep(until) => until <= now && self.busy.is_empty(),
        };
        // Clients that read the files see the last states.
        let over = over && self.untold.is_empty() && !self.has_unwritten();
        over.then_some(match self.ending {
            Ending::Exit(code) => code,
            Ending::Abandon => HUNG_UP,
            _ => 0,
        })
    }

    /// Whether it was told to end.
    pub fn is_ending(&self) -> bool {
        self.ending != Ending::No
    }

    /// The name of a unit, for messages.
    pub fn name(&self, unit: UnitId) -> Option<&Name> {
        self.units.get(&unit).map(|unit| &unit.name)
    }

    /// The state of a service or logger, if there is one.
    pub fn service(&self, id: Id) -> Option<&Service> {
        self.half(id).map(|half| &half.service)
    }

    /// Every service and logger.
    pub fn services(&self) -> impl Iterator<Item = (Id, &Service)> {
        self.units.iter().flat_map(|(unit, at)| {
            let half = |role| Some((Id { unit: *unit, role }, &at.half(role)?.service));
            [Role::Main, Role::Log].into_iter().filter_map(half)
        })
    }

    /// Every process of a service or logger that is known, scripts left out.
    pub fn processes(&self) -> impl Iterator<Item = (Id, Pid)> {
        let processes = self.owners.iter().filter(|(_, job)| job.is_process());
        processes.map(|(pid, job)| (job.id(), *pid))
    }

    /// Whose run or finish a child is.
    pub fn whose(&self, pid: Pid) -> Option<Id> {
        let job = self.owners.get(&pid).filter(|job| job.is_process());
        job.map(|job| job.id())
    }

    /// Whether a child is a service's, or a script.
    pub fn is_known(&self, pid: Pid) -> bool {
        self.owners.contains_key(&pid)
    }
}
