//! One service that `sv` waits for: what a look at it shows, and what is watched if sv
//! has to wait. [`super::wait`] explains the order.

use std::os::fd::OwnedFd;

use model::control::life::{self, Stand};
use model::control::patience::Patience;
use model::control::text;
use model::control::{Action, Verdict};
use model::format::status::Status;
use model::time::Instant;

use super::check::{Check, Word};
use super::client::{Control, Service, Trouble, is_dead};
use super::events::Events;
use super::output::Output;
use super::process::Sighting;
use crate::sys::clock::{after_ms, boot_ns};

/// A service that has got its command, if any, and that sv waits for.
pub struct Target {
    /// As it was named.
    pub name: Vec<u8>,
    /// Its files.
    pub service: Service,
    /// `None` for an action that only looks.
    pub control: Option<Control>,
    before: Status,
    /// Whether the kernel reports changes of its status, and its supervisor's end.
    tells_status: Tells,
    /// Whether the kernel reports that commands are read.
    tells_reading: Tells,
    /// Its `./check`.
    check: Check,
    /// The process whose status is the wanted one.
    sighting: Option<Sighting>,
    /// When that process may count (boot clock, ns), if its status stays.
    counts_ns: Option<u64>,
    /// How long a process must have lived (ms), if there is no `./check`.
    wait_ms: u64,
    /// How long it is waited for, if that depends on what its supervisor says.
    pub patience: Option<Patience>,
}

/// When to look again without an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restless {
    /// At the next opportunity, because something may happen without an event.
    pub always: bool,
    /// When a child of ours ends.
    pub child: bool,
    /// At that moment (boot clock, ns).
    pub at_ns: Option<u64>,
}

/// Whether the kernel reports something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// Nobody asked it to.
    Unasked,
    Yes,
    /// It cannot: sv has to look again and again.
    No,
}

/// What a look at a service shows.
enum Look {
    Done(Outcome),
    /// A new status has to come.
    Waits,
    /// The status is right, if it stays so for a moment.
    Young,
    /// The status is right, if only the supervisor has read the command.
    Unread,
}

/// How the waiting for a service ended.
pub enum Outcome {
    /// With the status that was waited for.
    Reached(Status),
    /// Without a supervisor, or with one that cannot be asked.
    Ended(Trouble),
}

impl Target {
    /// Nothing is watched yet. `before` is the status from before the command, `wait_ms`
    /// how long the user is willing to wait.
    pub fn new(
        name: &[u8],
        (service, control): (Service, Option<Control>),
        before: Status,
        wait_ms: u64,
        patience: Option<Patience>,
    ) -> Self {
        Self {
            name: name.to_vec(),
            service,
            control,
            before,
            tells_status: Tells::Unasked,
            tells_reading: Tells::Unasked,
            check: Check::new(),
            sighting: None,
            counts_ns: None,
            wait_ms,
            patience,
        }
    }

    /// The outcome; `None` while sv has to wait, and then the service is watched.
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

    /// Watches the service; returns whether the watch is new. A service whose status only
    /// has to stay the same for a moment is not watched: that would cost its supervisor
    /// more than a look.
    fn watch_more(&mut self, number: usize, look: &Look, events: &mut Events) -> bool {
        let told = |tells| if tells { Tells::Yes } else { Tells::No };
        if self.tells_status == Tells::Unasked && !matches!(look, Look::Young) {
            let lifeline = self.lifeline();
            let is_guarded = lifeline.is_none_or(|lifeline| events.guard(number, lifeline));
            let (home, dir) = self.service.state();
            self.tells_status = told(events.watch_status(number, home, dir) && is_guarded);
            return true;
        }
        if matches!(look, Look::Unread) && self.tells_reading == Tells::Unasked {
            self.tells_reading = told(events.watch_reading(number, self.service.state().1));
            return true;
        }
        false
    }

    fn look(&mut self, action: &Action, out: &mut Output) -> Look {
        self.counts_ns = None;
        // Both before the status, which is to be of after that.
        let has_ended = self.lifeline().is_some_and(is_dead);
        let is_read = self.control.as_ref().is_none_or(Control::is_read);
        if has_ended {
            return Look::Done(self.last_word(action, is_read));
        }
        let status = match self.service.status() {
            Ok(status) => status,
            Err(trouble) => return Look::Done(Outcome::Ended(trouble)),
        };
        if let Some(patience) = &mut self.patience {
            let reason = self.service.reason();
            patience.see(&status, reason.as_ref(), Instant(boot_ns()));
        }
        let verdict = action.verdict(&self.before, &status);
        if verdict == Verdict::NotYet || !is_read {
            self.check.stop();
            self.sighting = None;
        }
        match verdict {
            Verdict::NotYet => Look::Waits,
            _ if !is_read => Look::Unread,
            Verdict::Reached => Look::Done(Outcome::Reached(status)),
            Verdict::IfItStands => self.look_whether_it_stands(status, out),
        }
    }

    /// What a supervisor that has ended left: a keeper ends with the last service that it
    /// was told to stop.
    fn last_word(&self, action: &Action, is_read: bool) -> Outcome {
        let is_obeyed = |status: &Status| {
            let was_told = self.control.is_some() && is_read;
            was_told && action.verdict(&self.before, status) == Verdict::Reached
        };
        let status = self.service.status().ok().filter(is_obeyed);
        status.map_or(Outcome::Ended(Trouble::Dead), Outcome::Reached)
    }

    /// The status is right; whether the process is, too.
    fn look_whether_it_stands(&mut self, status: Status, out: &mut Output) -> Look {
        let same = self.sighting.take().filter(|seen| seen.is_of(&status));
        if same.is_none() {
            // It has asked about another process.
            self.check.stop();
        }
        let readiness = self.service.ready().filter(|ready| ready.is_of(&status));
        if text::is_starting(&status, readiness) {
            self.check.stop();
            return Look::Waits;
        }
        let sighting = *self
            .sighting
            .insert(same.unwrap_or_else(|| Sighting::of(&status)));
        // It may warn.
        out.flush();
        let word = self.check.ask(self.service.dir());
        if word == Word::NotYet {
            return Look::Waits;
        }
        if status.pid == 0 {
            // A oneshot that is done: nothing has to live.
            return Look::Done(Outcome::Reached(status));
        }
        let is_available = word == Word::Available || readiness.is_some();
        let needed_ms = life::needed_ms(is_available, self.wait_ms);
        let life = sighting.life();
        match life.stand(needed_ms) {
            Stand::Counts => Look::Done(Outcome::Reached(status)),
            Stand::Ended => Look::Waits,
            Stand::After(left_ms) => {
                self.counts_ns = Some(after_ms(left_ms));
                if life.is_gone {
                    Look::Waits
                } else {
                    Look::Young
                }
            }
        }
    }

    fn lifeline(&self) -> Option<&OwnedFd> {
        match &self.control {
            Some(control) => Some(control.lifeline()),
            None => self.service.lifeline(),
        }
    }

    /// When to look at it without an event; `None`: never.
    pub fn restless(&self) -> Option<Restless> {
        let again = [self.check.again_at_ns(), self.counts_ns];
        let restless = Restless {
            always: self.tells_status == Tells::No || self.tells_reading == Tells::No,
            child: self.check.is_running(),
            at_ns: again.into_iter().flatten().min(),
        };
        (restless != Restless::default()).then_some(restless)
    }

    /// Whether its status is right already, and only has to stay so.
    pub const fn is_young(&self) -> bool {
        self.counts_ns.is_some()
    }

    pub fn line(&self, prefix: &str, status: &Status, out: &mut Output) -> Vec<u8> {
        let text = self
            .service
            .describe(&self.name, status, self.service.entries(), out);
        [prefix.as_bytes(), &text, b"\n"].concat()
    }
}
