//! A crash loop is told once, and its end, too, unless a command ended it.

use alloc::format;

use super::{Action, Id, Supervisor};
use crate::restart::LOOP_LIVES;
use crate::service::{Exit, Role, Want};

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
        let (log, advice) = match id.role {
            Role::Main if unit.log.is_some() => ("", "; see its log"),
            Role::Main => ("", ""),
            Role::Log => ("/log", ""),
        };
        let text = if half.service.is_crash_looping() {
            let last = match half.service.streak().last() {
                Exit::Unknown => "in a way that nobody saw".into(),
                Exit::Code(code) => format!("by exit code {code}"),
                Exit::Signal(signal) | Exit::Dumped(signal) => format!("by signal {signal}"),
            };
            format!(
                "{title}{log}: crash loop: ended {LOOP_LIVES} times within a second of its start, last {last}{advice}"
            )
        } else if half.service.want() == Want::Up && !half.service.is_retired() {
            format!("{title}{log}: crash loop over: it has run for a second")
        } else {
            return;
        };
        self.push(Action::Say(text));
    }
}
