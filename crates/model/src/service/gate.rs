//! Gates: a start, or the signal of a stop, that waits for other services.
//!
//! A service does not know for whom it waits; it has a gate for each of the two, and
//! events open and close them. Both are open until an event closes them, and a service
//! whose gates are open lives as if there were none.
//!
//! - *The start.* A service that is down, wanted up and due starts only if the gate is
//!   open. While it is held it has no deadline, and starts the moment the gate opens. A
//!   `u` or `o` that comes meanwhile is kept, and ends the restart gap, as ever. `f`
//!   goes past the gate: that holds until the service runs, or is told otherwise.
//! - *The stop.* The first `d` or `x` of a process that runs gets no further than the
//!   want while the gate is closed; its signal follows when the gate opens. A second one
//!   does not wait, nor does one whose process got TERM already. `u` and `o` call the
//!   waiting stop off. Signals, KILL among them, do not wait. What hangs in its exec
//!   serves nobody, and does not wait either.
//!
//! A gate that closes acts on nothing: what runs goes on, and a start or stop that has
//! begun is carried out. Neither gate changes what is wanted. Loggers have no gates, and
//! a supervisor that ends starts nothing, open or not.

use super::{Actions, Role, Service, State, Want};
use crate::time::Instant;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gate {
    /// Nothing is held.
    Open,
    /// What comes is held.
    Closed,
    /// It is closed, and an order waits that the want does not tell of: an `o`, or a stop.
    Waits,
    /// It is closed, and an order leads past it.
    Passed,
}

/// The gates of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gates {
    /// Of its start.
    pub start: Gate,
    /// Of the signal that stops it.
    pub stop: Gate,
}

impl Gates {
    /// Nothing is held.
    pub const OPEN: Self = Self {
        start: Gate::Open,
        stop: Gate::Open,
    };
}

impl Gate {
    /// Its word for a successor.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Closed => Some("closed"),
            Self::Waits => Some("waits"),
            Self::Passed => Some("passed"),
        }
    }

    /// As [`Gate::word`], the other way.
    pub fn of_word(word: Option<&str>) -> Self {
        let all = [Self::Closed, Self::Waits, Self::Passed];
        let found = all.into_iter().find(|gate| gate.word() == word);
        found.unwrap_or(Self::Open)
    }

    /// It is open now, or not.
    const fn set(&mut self, is_open: bool) {
        match self {
            _ if is_open => *self = Self::Open,
            Self::Open => *self = Self::Closed,
            Self::Closed | Self::Waits | Self::Passed => {}
        }
    }

    /// An order waits, if the gate is closed.
    pub const fn wait(&mut self) {
        self.become_if_closed(Self::Waits);
    }

    /// An order leads past it, if it is closed.
    pub const fn pass(&mut self) {
        self.become_if_closed(Self::Passed);
    }

    /// No order waits any more, and none leads past it.
    pub const fn forget(&mut self) {
        self.become_if_closed(Self::Closed);
    }

    const fn become_if_closed(&mut self, closed: Self) {
        if !matches!(self, Self::Open) {
            *self = closed;
        }
    }

    /// Whether what comes is held.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Closed | Self::Waits)
    }
}

impl Service {
    /// Whether it would start now or after its gap, if its gate were open.
    pub const fn is_held(&self) -> bool {
        let gate = self.gates.start;
        let is_asked = matches!(self.want, Want::Up) || matches!(gate, Gate::Waits);
        let is_down = matches!(self.state, State::Down { .. });
        is_down && is_asked && !self.retired && gate.holds()
    }

    /// Whether it would get the signal of a stop now, if its gate were open.
    pub const fn is_stop_held(&self) -> bool {
        matches!((self.state, self.gates.stop), (State::Run(_), Gate::Waits))
    }

    /// The gate of the start opens or closes. What is wanted up is settled as ever.
    pub(super) fn gate(&mut self, is_open: bool, actions: &mut Actions) {
        if self.role == Role::Log {
            return;
        }
        let waits = self.is_held() && self.want != Want::Up;
        self.gates.start.set(is_open);
        if waits && is_open {
            self.start_if_down(actions);
        }
    }

    /// The gate of the stop opens or closes.
    pub(super) fn stop_gate(&mut self, is_open: bool, actions: &mut Actions) {
        if self.role == Role::Log {
            return;
        }
        let waits = self.is_stop_held();
        self.gates.stop.set(is_open);
        if waits && is_open {
            self.begin_stop(actions);
        }
    }

    /// Whether a service that is down starts by itself.
    pub(super) fn is_due(&self, not_before: Instant, now: Instant) -> bool {
        let is_due = self.want == Want::Up && not_before <= now;
        is_due && !self.retired && !self.gates.start.holds()
    }

    /// Whether the signal of a stop must wait. What asks for it a second time leads past
    /// the gate.
    pub(super) const fn holds_stop(&mut self) -> bool {
        let State::Run(r) = self.state else {
            return false;
        };
        let gate = &mut self.gates.stop;
        if matches!(gate, Gate::Waits) || r.stopping || r.got_term {
            gate.pass();
        } else if gate.holds() {
            gate.wait();
        }
        gate.holds()
    }
}
