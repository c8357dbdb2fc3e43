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
//! - *The stop.* The first `d` or `x` of a process that runs, or of a oneshot that is done, gets no further than the
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
pub(super) struct Gate {
    is_open: bool,
    order: Order,
}

/// What was ordered at a gate, besides what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Order {
    /// Nothing.
    None,
    /// An `o`, or a stop: it goes on when the gate opens.
    Waits,
    /// It leads past the gate.
    Passes,
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
        start: Gate::OPEN,
        stop: Gate::OPEN,
    };
}

impl Gate {
    const OPEN: Self = Self {
        is_open: true,
        order: Order::None,
    };

    /// Its words for a successor.
    pub const fn words(self) -> (Option<&'static str>, Option<&'static str>) {
        let order = match self.order {
            Order::None => None,
            Order::Waits => Some("waits"),
            Order::Passes => Some("passes"),
        };
        (if self.is_open { None } else { Some("closed") }, order)
    }

    /// As [`Gate::words`], the other way.
    pub fn of_words(gate: Option<&str>, order: Option<&str>) -> Self {
        Self {
            is_open: gate != Some("closed"),
            order: match order {
                Some("waits") => Order::Waits,
                Some("passes") => Order::Passes,
                _ => Order::None,
            },
        }
    }

    /// An order waits for it.
    pub const fn wait(&mut self) {
        self.order = Order::Waits;
    }

    /// An order leads past it.
    pub const fn pass(&mut self) {
        self.order = Order::Passes;
    }

    /// No order waits any more, and none leads past it.
    pub const fn forget(&mut self) {
        self.order = Order::None;
    }

    /// Whether what comes is held.
    pub const fn holds(self) -> bool {
        !self.is_open && !matches!(self.order, Order::Passes)
    }

    const fn waits(self) -> bool {
        matches!(self.order, Order::Waits)
    }
}

impl Service {
    /// Whether it would start now or after its gap, if its gate were open.
    pub const fn is_held(&self) -> bool {
        let gate = self.gates.start;
        let is_asked = matches!(self.want, Want::Up) || gate.waits();
        let is_down = matches!(self.state, State::Down { .. });
        is_down && is_asked && !self.retired && gate.holds()
    }

    /// Whether it would get the signal of a stop now, if its gate were open.
    pub const fn is_stop_held(&self) -> bool {
        let is_up = matches!(self.state, State::Run(_) | State::Done { .. });
        is_up && self.gates.stop.waits()
    }

    /// The gate of the start opens or closes. What is wanted up is settled as ever.
    pub(super) fn gate(&mut self, is_open: bool, actions: &mut Actions) {
        if self.role == Role::Log {
            return;
        }
        let waits = self.is_held() && self.want != Want::Up;
        self.gates.start.is_open = is_open;
        if waits && is_open {
            self.start_if_down(actions);
        }
    }

    /// The gate of the stop opens or closes.
    pub(super) fn stop_gate(&mut self, is_open: bool, now: Instant, actions: &mut Actions) {
        if self.role == Role::Log {
            return;
        }
        self.gates.stop.is_open = is_open;
        if self.is_stop_held() && is_open {
            self.begin_stop(now, actions);
        }
    }

    /// Whether a service that is down starts by itself.
    pub(super) fn is_due(&self, not_before: Instant, now: Instant) -> bool {
        let is_due = self.want == Want::Up && not_before <= now;
        is_due && !self.retired && !self.gates.start.holds()
    }

    /// `f`: unless it runs, its next start does not wait.
    pub(super) const fn start_past_gate(&mut self) {
        if !matches!(self.state, State::Run(_) | State::Done { .. } | State::Gone) {
            self.gates.start.pass();
        }
    }

    /// Whether the signal of a stop must wait. What asks for it a second time leads past
    /// the gate.
    pub(super) const fn holds_stop(&mut self) -> bool {
        let was_asked = match self.state {
            State::Run(r) => r.stopping || r.got_term,
            State::Done { .. } => false,
            _ => return false,
        };
        let gate = &mut self.gates.stop;
        if gate.waits() || was_asked {
            gate.pass();
        } else if gate.holds() {
            gate.wait();
        }
        gate.holds()
    }
}
