//! What our own files of one line are to show of a service or logger, and which of them
//! differ. A file is written at most once in a round, and only if what it shows has
//! changed; a plain service has only `last`, from the first end of a run on. That is
//! written when there is time for it (`super::unshown`), unless it says, or said, that the
//! service stays down: `sv` reads that with the status.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::discriminant;

use crate::adoption::Inheritance;
use crate::facts::Line;
use crate::format::state::last::{Last, Outcome};
use crate::format::state::ready::{Ready, Source};
use crate::format::state::reason::Reason;
use crate::format::state::status_text::StatusText;
use crate::format::tai64n::Tai64n;
use crate::process::{Exit, Pid, Program};
use crate::service::{Event, Failure, Service, State};
use crate::time::Instant;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// How many runs have ended, since the supervision began.
    ends: u32,
    /// The file `last` differs.
    is_last_due: bool,
    /// It has waited for long enough.
    is_last_late: bool,
    /// The file may say that the service stays down.
    has_told: bool,
    /// How the last of them ended; most services have none.
    last: Option<Box<Last>>,
    /// What plain services have none of.
    more: Option<Box<More>>,
}

/// What there is to show of a service that uses more than runit has.
#[derive(Clone, Debug, Default, PartialEq)]
struct More {
    /// Of a run that says itself when it is ready: by what that is known.
    ready: Option<(Pid, Option<Source>)>,
    /// What holds it up.
    reason: Option<Reason>,
    /// When its process gets KILL, which counts for more.
    kill_at: Option<Instant>,
    /// Which process said something about itself.
    told: Option<Pid>,
    /// The files that differ.
    due: Vec<Line>,
}

impl More {
    fn put(&mut self, line: Line) {
        let kind = discriminant(&line);
        self.due.retain(|other| discriminant(other) != kind);
        self.due.push(line);
    }

    fn put_reason(&mut self) {
        let kill = self.kill_at.map(Reason::Kill);
        let reason = kill.or_else(|| self.reason.clone());
        self.put(Line::Reason(reason));
    }
}

impl Own {
    /// As a predecessor in this process left it.
    pub fn again(service: &Service, ends: u32, had_reason: bool) -> Self {
        let mut own = Self::of(service);
        own.ends = ends;
        own.change(|more| {
            more.kill_at = service.kill_at();
            if had_reason {
                more.put_reason();
            }
        });
        own
    }

    /// As a predecessor left it in its files.
    pub fn found(found: &Inheritance) -> Self {
        let mut own = Self::of(&found.service);
        own.has_told = found.has_files();
        let waited_for = found.stop_waited_for.clone();
        own.change(|more| more.reason = waited_for.map(Reason::Stop));
        own
    }

    fn of(service: &Service) -> Self {
        let mut own = Self::default();
        own.change(|more| more.ready = ready(service));
        own
    }

    /// Changes what plain services have none of; nothing is kept of nothing.
    fn change(&mut self, change: impl FnOnce(&mut More)) {
        let mut more = self.more.take().unwrap_or_default();
        change(&mut more);
        self.more = (*more != More::default()).then_some(more);
    }

    /// How many runs have ended, since the supervision began.
    pub const fn ends(&self) -> u32 {
        self.ends
    }

    /// What holds the service up, as it is shown.
    pub fn reason(&self) -> Option<&Reason> {
        self.more.as_ref()?.reason.as_ref()
    }

    /// How the last run ended, and whether that is still to be written.
    pub fn last(&self) -> Option<(&Last, bool)> {
        Some((self.last.as_deref()?, self.is_last_due))
    }

    /// As a predecessor in this process told it.
    pub fn had_last(&mut self, last: Last, is_due: bool) {
        self.last = Some(Box::new(last));
        self.is_last_due = is_due;
        self.is_last_late = is_due;
        self.has_told = true;
    }

    /// Whether there is a reason to show.
    pub fn has_reason(&self) -> bool {
        let more = self.more.as_ref();
        more.is_some_and(|more| more.reason.is_some() || more.kill_at.is_some())
    }

    /// What holds the service up now.
    pub fn hold(&mut self, reason: Option<Reason>) {
        if self.reason() != reason.as_ref() {
            self.change(|more| {
                more.reason = reason;
                more.put_reason();
            });
        }
    }

    /// A process of the service said this about itself.
    pub fn tell(&mut self, pid: Pid, at: Tai64n, text: &[u8]) {
        self.change(|more| {
            more.told = Some(pid);
            more.put(Line::StatusText(Some(StatusText::new(pid, at, text))));
        });
    }

    /// The service has become so.
    pub fn follow(&mut self, service: &Service, at: Tai64n) {
        let (ready, kill_at) = (ready(service), service.kill_at());
        if self.more.is_none() && ready.is_none() && kill_at.is_none() {
            return;
        }
        let (_, pid) = service.phase();
        self.change(|more| {
            if more.ready != ready {
                more.ready = ready;
                let line = ready.map(|(pid, source)| Ready { pid, at, source });
                more.put(Line::Ready(line));
            }
            if more.kill_at != kill_at {
                more.kill_at = kill_at;
                more.put_reason();
            }
            if more.told.is_some_and(|told| told != pid) {
                more.told = None;
                more.put(Line::StatusText(None));
            }
        });
    }

    /// Before an event of the moment `at` changes the service.
    pub fn note(&mut self, service: &Service, event: Event, at: Instant, wall: Tai64n) {
        let (program, pid, exit, lived_ms) = match (event, service.state()) {
            (Event::Exited(pid, exit), State::Run(run)) if run.pid == pid => {
                // An adopted logger counts as older than it is (`crate::adoption`).
                let is_known = run.since > Instant(0);
                let lived_ms = is_known.then(|| at.ms_since(run.since));
                (run.program, pid, exit, lived_ms)
            }
            // As if it had run and exited 111 (runsv(8)).
            (
                Event::NotStarted(Failure::Exec | Failure::Absent),
                State::Starting { program, .. },
            ) => (program, 0, Exit::Code(111), Some(0)),
            _ => return,
        };
        let outcome = match (program, exit) {
            // `run` follows, or nothing has to.
            (Program::Setup, Exit::Code(0)) => return,
            (Program::Setup, _) => Outcome::Setup,
            (Program::Run, exit) => Outcome::of(exit),
        };
        let last = Last {
            exit,
            outcome,
            at: wall,
            restarts: self.ends,
            pid,
            lived_ms,
            given_up: false,
        };
        self.last = Some(Box::new(last));
        self.is_last_due = true;
        self.ends = self.ends.saturating_add(1);
    }

    /// After its last end, or that of its `./finish`, the service said that it stays down;
    /// or a command made it forget that.
    pub fn give_up(&mut self, gives_up: bool) {
        if let Some(last) = &mut self.last {
            last.given_up = gives_up;
            self.is_last_due = true;
        }
    }

    /// Whether a file lags behind that is to be written with the status.
    pub fn is_due(&self) -> bool {
        self.is_last_urgent() || self.is_watched_due()
    }

    fn is_last_urgent(&self) -> bool {
        let gives_up = || self.last.as_ref().is_some_and(|last| last.given_up);
        self.is_last_due && (self.is_last_late || self.has_told || gives_up())
    }

    /// Whether `last` lags behind, and may.
    pub fn is_last_waiting(&self) -> bool {
        self.is_last_due && !self.is_last_urgent()
    }

    /// `last` is not to wait any longer.
    pub const fn hurry_last(&mut self) {
        self.is_last_late = self.is_last_due;
    }

    /// Whether one lags behind for which `sv` watches `status`.
    pub fn is_watched_due(&self) -> bool {
        self.more.as_ref().is_some_and(|more| !more.due.is_empty())
    }

    /// `last`, if it differs; it counts as written.
    pub fn take_last(&mut self) -> Option<Line> {
        let last = self.last.as_deref().copied();
        let last = last.filter(|_| core::mem::take(&mut self.is_last_due))?;
        self.is_last_late = false;
        self.has_told = last.given_up;
        Some(Line::Last(last))
    }

    /// The files that differ and do not wait; they count as written.
    pub fn take(&mut self) -> Vec<Line> {
        let is_urgent = self.is_last_urgent();
        let last = is_urgent.then(|| self.take_last()).flatten();
        let mut lines: Vec<Line> = last.into_iter().collect();
        if self.is_watched_due() {
            self.change(|more| lines.append(&mut more.due));
        }
        lines
    }
}

/// Of a run that says itself when it is ready, or of which somebody says so: by what that
/// is known. Others are ready by their start, as in runit, and no file tells that.
fn ready(service: &Service) -> Option<(Pid, Option<Source>)> {
    let State::Run(run) = service.state() else {
        return None;
    };
    let source = run.ready.map(|(_, source)| source);
    let is_told = run.program == Program::Run && source != Some(Source::Start);
    is_told.then_some((run.pid, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Kind;
    use crate::service::{Role, Want};
    use crate::settings::Settings;
    use alloc::format;
    use alloc::string::String;

    const AT: Tai64n = Tai64n::from_unix(1_700_000_000, 5);

    fn run(own: &mut Own, event: Event) -> Service {
        let service = Service::adopt_run(
            Role::Main,
            Want::Up,
            Program::Run,
            812,
            Instant(5),
            false,
            false,
        );
        own.note(&service, event, Instant(1_000_005), AT);
        service
    }

    /// The texts that are due; `-` for a file that is emptied.
    fn texts(own: &mut Own) -> Vec<String> {
        let text = |line: &Line| line.text().unwrap_or_else(|| "-".into());
        own.take().iter().map(text).collect()
    }

    #[test]
    fn an_end_is_shown_once_and_counted() {
        let mut own = Own::default();
        for restarts in 0..3 {
            run(&mut own, Event::Exited(812, Exit::Code(1)));
            // There is time for it.
            assert!(own.is_last_waiting() && !own.is_due() && texts(&mut own).is_empty());
            own.hurry_last();
            assert!(own.is_due() && !own.is_watched_due() && !own.is_last_waiting());
            let line = format!("1 0 exit {AT} {restarts} 812 1");
            assert_eq!(texts(&mut own), [format!("{line:<95}\n")]);
            assert!(!own.is_due());
        }
        assert_eq!(own.ends(), 3);
        // Of another process, or no end.
        run(&mut own, Event::Exited(813, Exit::Code(1)));
        run(&mut own, Event::Tick);
        assert!(!own.is_due() && !own.is_last_waiting());
    }

    #[test]
    fn an_end_is_shown_at_once_where_the_file_may_say_that_it_gave_up() {
        let found = Own {
            has_told: true,
            ..Own::default()
        };
        let mut gave_up = Own::default();
        run(&mut gave_up, Event::Exited(812, Exit::Code(78)));
        gave_up.give_up(true);
        assert_eq!(texts(&mut gave_up).len(), 1);
        for mut own in [found, gave_up] {
            run(&mut own, Event::Exited(812, Exit::Code(1)));
            assert!(own.is_due() && texts(&mut own).len() == 1);
            run(&mut own, Event::Exited(812, Exit::Code(1)));
            assert!(own.is_last_waiting() && !own.is_due());
        }
    }

    #[test]
    fn that_it_gave_up_is_shown_and_forgotten() {
        let mut own = Own::default();
        // There is nothing to say of a run that another supervisor saw.
        own.give_up(false);
        assert!(!own.is_due());
        run(&mut own, Event::Exited(812, Exit::Code(78)));
        own.give_up(true);
        let is_shown = |own: &mut Own| texts(own).concat().contains(" given-up ");
        assert!(is_shown(&mut own));
        own.give_up(false);
        assert!(own.is_due() && !is_shown(&mut own));
    }

    #[test]
    fn a_reason_is_shown_when_it_changes_and_goes_when_it_is_over() {
        let held = |name: &str| Reason::Held {
            by: Kind::Needs,
            name: name.into(),
            why: "starting".into(),
        };
        let mut own = Own::default();
        own.hold(None);
        assert!(!own.is_due());
        own.hold(Some(held("db")));
        own.hold(Some(held("net")));
        assert!(own.is_watched_due() && own.has_reason());
        assert_eq!(texts(&mut own), ["needs net: starting\n"]);
        own.hold(Some(held("net")));
        assert!(!own.is_due());
        own.hold(None);
        assert_eq!(texts(&mut own), ["-"]);
        // A successor in this process removes what its predecessor showed.
        let service = Service::new(Role::Main, Want::Up);
        assert_eq!(texts(&mut Own::again(&service, 0, true)), ["-"]);
        assert!(!Own::again(&service, 0, false).is_due());
    }

    #[test]
    fn what_a_process_said_goes_with_it() {
        let mut own = Own::default();
        let service = run(&mut own, Event::Tick);
        own.tell(812, AT, b"loading");
        assert_eq!(texts(&mut own), [format!("812 {AT} loading\n")]);
        own.follow(&service, AT);
        assert!(!own.is_due());
        own.follow(&Service::new(Role::Main, Want::Up), AT);
        assert_eq!(texts(&mut own), ["-"]);
    }

    #[test]
    fn a_plain_run_has_no_file_about_readiness() {
        let mut own = Own::default();
        let service = run(&mut own, Event::Tick);
        own.follow(&service, AT);
        assert!(!own.is_due());
    }

    #[test]
    fn who_gets_kill_is_shown_in_place_of_what_held_it() {
        let mut own = Own::default();
        let found = Settings {
            timeout_kill: Some(5000),
            ..Settings::default()
        };
        let told = Service::adopt_run(
            Role::Main,
            Want::Down,
            Program::Run,
            812,
            Instant(5),
            false,
            true,
        );
        let told = told.has_time_again(&found, Instant(7));
        own.hold(Some(Reason::Stop("web".into())));
        own.follow(&told, AT);
        assert_eq!(texts(&mut own), ["KILL at 5000000007\n"]);
        own.hold(None);
        assert!(own.has_reason());
        assert_eq!(texts(&mut own), ["KILL at 5000000007\n"]);
        own.follow(&Service::new(Role::Main, Want::Down), AT);
        assert_eq!(texts(&mut own), ["-"]);
        assert!(!own.has_reason());
    }
}
