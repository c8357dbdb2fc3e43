//! One service that `sv` waits for: what a look at it shows, and what is watched
//! if there is something to wait for. [`super::wait`] says in which order.

use std::os::fd::OwnedFd;

use model::control::{Action, Verdict};
use model::format::status::Status;

use super::check::Check;
use super::events::{Events, LOOK_NS};
use super::output::Output;
use super::supervise::{Control, Service, Trouble, is_dead};

/// A service that has its command, if any, and is waited for.
pub struct Target {
    /// As it was named.
    pub name: Vec<u8>,
    /// Its files.
    pub service: Service,
    /// `None` for an action that only looks.
    pub control: Option<Control>,
    before: Status,
    /// Whether the kernel tells of its status, and of its supervisor's end.
    tells_status: Tells,
    /// Whether it tells of the reading of commands.
    tells_reading: Tells,
    /// Its own word.
    pub check: Check,
}

/// Whether the kernel tells of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// Nobody asked it to.
    Unasked,
    Yes,
    /// It cannot: there is nothing but to look again and again.
    No,
}

/// What a look at a service shows.
enum Look {
    Done(Outcome),
    /// A new status has to come.
    Waits,
    /// The status is right, if only the supervisor has read the command.
    Unread,
}

/// How the waiting for a service ended.
pub enum Outcome {
    /// With the status that was waited for.
    Reached(Status),
    /// With no supervisor, or none that can be asked.
    Ended(Trouble),
}

impl Target {
    /// Nothing is watched yet. `before` is the status from before the command.
    pub fn new(name: &[u8], service: Service, control: Option<Control>, before: Status) -> Self {
        Self {
            name: name.to_vec(),
            service,
            control,
            before,
            tells_status: Tells::Unasked,
            tells_reading: Tells::Unasked,
            check: Check::new(),
        }
    }

    /// `None` while there is something to wait for, which is watched then.
    pub fn judge(
        &mut self,
        number: usize,
        action: &Action,
        events: &mut Events,
        out: &mut Output,
    ) -> Option<Outcome> {
        loop {
            let look = self.look(action, out);
            if let Look::Done(outcome) = look {
                return Some(outcome);
            }
            if !self.watch_more(number, &look, events) {
                return None;
            }
        }
    }

    /// Watches what is waited for; whether it has only now begun to.
    fn watch_more(&mut self, number: usize, look: &Look, events: &mut Events) -> bool {
        let told = |tells| if tells { Tells::Yes } else { Tells::No };
        if self.tells_status == Tells::Unasked {
            let lifeline = self.lifeline();
            let is_guarded = lifeline.is_none_or(|lifeline| events.guard(number, lifeline));
            let (home, dir) = (self.service.home(), self.service.dir());
            self.tells_status = told(events.watch_status(number, home, dir) && is_guarded);
            return true;
        }
        if matches!(look, Look::Unread) && self.tells_reading == Tells::Unasked {
            self.tells_reading = told(events.watch_reading(number, self.service.dir()));
            return true;
        }
        false
    }

    fn look(&mut self, action: &Action, out: &mut Output) -> Look {
        if self.lifeline().is_some_and(is_dead) {
            return Look::Done(Outcome::Ended(Trouble::Dead));
        }
        // Before the status, which is to be of after that.
        let is_read = self.control.as_ref().is_none_or(Control::is_read);
        let status = match self.service.status() {
            Ok(status) => status,
            Err(trouble) => return Look::Done(Outcome::Ended(trouble)),
        };
        let reached = match action.verdict(&self.before, &status) {
            Verdict::NotYet => {
                self.check.stop();
                return Look::Waits;
            }
            _ if !is_read => {
                self.check.stop();
                return Look::Unread;
            }
            Verdict::Reached => true,
            Verdict::IfCheckPasses => {
                // It may warn.
                out.flush();
                self.check.passes(self.service.dir())
            }
        };
        if reached {
            Look::Done(Outcome::Reached(status))
        } else {
            Look::Waits
        }
    }

    fn lifeline(&self) -> Option<&OwnedFd> {
        match &self.control {
            Some(control) => Some(control.lifeline()),
            None => self.service.lifeline(),
        }
    }

    /// Whether it is to be looked at though nothing tells to, or when a child ends.
    pub fn is_restless(&self) -> bool {
        self.must_be_polled() || self.check.is_running() || self.check.again_at_ns().is_some()
    }

    /// Whether something may happen to it that nothing tells of.
    pub fn must_be_polled(&self) -> bool {
        self.tells_status == Tells::No || self.tells_reading == Tells::No
    }

    /// When to look again though nothing tells to (boot clock, ns).
    pub fn wake_ns(&self, now: u64) -> Option<u64> {
        let look = self.must_be_polled().then_some(now.saturating_add(LOOK_NS));
        self.check.again_at_ns().into_iter().chain(look).min()
    }

    pub fn line(&self, prefix: &str, status: &Status, out: &mut Output) -> Vec<u8> {
        let text = self
            .service
            .describe(&self.name, status, self.service.entries(), out);
        [prefix.as_bytes(), &text, b"\n"].concat()
    }
}
