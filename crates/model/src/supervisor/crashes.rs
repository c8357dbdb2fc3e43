//! Reports a crash loop once, and its end, too, unless a command ended it; and a service that
//! is to stay down because it said so.

use alloc::format;
use alloc::string::String;

use super::{Action, Id, Supervisor};
use crate::restart::{GaveUp, LOOP_LIVES};
use crate::service::{Event, Exit, Role, Want};
use crate::settings::Look;

/// From so many short lives in a row on, whoever looks for what a service said is told that its
/// logger fails: it has written nothing of the last ones.
const FAILS: u32 = 2;

impl Supervisor {
    /// After a service went into a crash loop, or came out of it.
    pub(super) fn tell_of_crash_loop(&mut self, id: Id) {
        let Some(unit) = self.units.get(&id.unit) else {
            return;
        };
        let Some(half) = unit.half(id.role) else {
            return;
        };
        let title = unit.name.escape_ascii();
        let (log, see) = match (id.role, &unit.log) {
            (Role::Main, Some(log)) if log.service.streak().lives() >= FAILS => {
                ("", format!("; its logger fails, too: see {title}/log"))
            }
            (Role::Main, Some(_)) => ("", "; see its log".into()),
            (Role::Main, None) => ("", String::new()),
            (Role::Log, _) => ("/log", String::new()),
        };
        let text = if half.service.is_crash_looping() {
            let last = half.service.streak().last();
            // A program that goes to the background ends with 0, again and again.
            let advice = match last {
                Exit::Code(0) => "; does it go to the background? run must stay in the foreground",
                _ => "",
            };
            let last = match last {
                Exit::Unknown => "in a way that nobody saw".into(),
                Exit::Code(code) => format!("by exit code {code}"),
                Exit::Signal(signal) | Exit::Dumped(signal) => format!("by signal {signal}"),
            };
            format!(
                "{title}{log}: crash loop: ended {LOOP_LIVES} times within a second of its start, last {last}{advice}{see}"
            )
        } else if half.service.want() == Want::Up && !half.service.is_retired() {
            format!("{title}{log}: crash loop over: it has run for a second")
        } else {
            return;
        };
        self.push(Action::Say(text));
    }

    /// After a service has said that it is to stay down; `lives` short lives came before.
    pub(super) fn tell_of_giving_up(&mut self, id: Id, event: Event, lives: u32) {
        let unit = self.units.get(&id.unit);
        let why = unit.and_then(|unit| Some((unit, unit.half(id.role)?.service.gave_up()?)));
        let Some((unit, why)) = why else {
            return;
        };
        let name = unit.name.escape_ascii();
        let why = match (why, event) {
            (GaveUp::Restart, Event::Looked(Look::End { exit, .. }, _)) => {
                format!("it {exit}, see its file restart")
            }
            (GaveUp::Restart, _) => "see its file restart".into(),
            (GaveUp::Lives, _) => format!("{lives} short lives in a row, see its file give-up"),
            (GaveUp::Setup, _) => "its setup exited 111".into(),
            (GaveUp::Finish, _) => "its finish exited 125".into(),
        };
        self.push(Action::Say(format!("{name}: stays down: {why}")));
    }
}
