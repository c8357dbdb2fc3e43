//! The gates of a service, explored completely: every state that commands, gates and the
//! ends of processes can lead to, beside a plain account of what was ordered.
//!
//! What a service does with open gates is explored in `transitions`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, VecDeque};

use model::command::{Command, Sig};
use model::restart::Cause;
use model::service::{Action, Actions, Event, Exit, Failure, Pid, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::time::Instant;

const EARLY: Instant = Instant(10_000_000_000);
const LATE: Instant = Instant(1_000_000_000_000);
const END: Instant = Instant(2_000_000_000_000);
const PIDS: [Pid; 2] = [101, 102];

/// What an onlooker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    start_open: bool,
    stop_open: bool,
    /// The last order was `f`, and it has not run since.
    is_forced: bool,
    /// How often it was told to stop, up to two, since it began to start and was not told
    /// to go on.
    stops: u8,
}

impl Known {
    const NOTHING: Self = Self {
        start_open: true,
        stop_open: true,
        is_forced: false,
        stops: 0,
    };

    fn and(mut self, before: &Service, event: Event) -> Self {
        match event {
            Event::Gate(is_open) => self.start_open = is_open,
            Event::StopGate(is_open) => self.stop_open = is_open,
            Event::Command(Command::Signal(_)) => {}
            Event::Command(Command::Down | Command::Exit) | Event::Follow => {
                let has_begun = matches!(before.state(), State::Starting { .. } | State::Run(_));
                self.is_forced = false;
                // Who was wanted up was at most told by the end of another.
                let told = u8::from(before.want() != Want::Up) * self.stops;
                self.stops = (told + 1).min(2) * u8::from(has_begun);
            }
            Event::Command(command) => {
                let runs = matches!(before.state(), State::Run(_) | State::Gone);
                self.is_forced = command == Command::StartNow && !runs;
                self.stops = 0;
            }
            Event::Started(_) if matches!(before.state(), State::Starting { .. }) => {
                self.is_forced = false;
            }
            Event::NotStarted(_) | Event::Exited(..)
                if !matches!(before.state(), State::Finish { .. }) =>
            {
                self.stops = 0;
            }
            _ => {}
        }
        self
    }
}

fn pid_of(service: &Service) -> Option<Pid> {
    Some(service.phase().1).filter(|pid| *pid != 0)
}

/// What may happen to it now.
fn events(service: &Service) -> Vec<Event> {
    let mut events = vec![Event::Tick, Event::Retire, Event::Follow];
    for command in [
        Command::Up,
        Command::StartNow,
        Command::Down,
        Command::Once,
        Command::Exit,
        Command::Signal(Sig::Term),
        Command::Signal(Sig::Kill),
    ] {
        events.push(Event::Command(command));
    }
    for is_open in [false, true] {
        events.extend([Event::Gate(is_open), Event::StopGate(is_open)]);
    }
    let pid = pid_of(service);
    let next = if pid == Some(PIDS[0]) {
        PIDS[1]
    } else {
        PIDS[0]
    };
    let finish = Settings {
        finish: true,
        ..Settings::default()
    };
    let script = Settings {
        scripts: [b't'].into_iter().collect(),
        ..Settings::default()
    };
    match (service.state(), pid) {
        (State::Preparing, _) => {
            events.push(Event::Looked(Look::Start, Settings::default()));
        }
        (State::Starting { .. }, child) => {
            events.push(Event::NotStarted(Failure::Exec));
            events.push(Event::Started(child.unwrap_or(next)));
            events.extend(child.is_none().then_some(Event::Late(next)));
        }
        (State::EndingRun { .. }, _) => {
            let exit = Exit::of_status(0);
            let look = Look::End {
                exit,
                cause: Cause::Itself,
                grows: false,
            };
            events.extend([finish, Settings::default()].map(|found| Event::Looked(look, found)));
            events.push(Event::Started(next));
        }
        (State::Run(r), _) => {
            events.push(Event::Exited(r.pid, Exit::of_status(0)));
            for found in [script, Settings::default()] {
                events.push(Event::Looked(Look::Stop(b'd', r.pid), found));
                events.push(Event::Looked(Look::Signal(Sig::Term, r.pid), found));
            }
            events.push(Event::ScriptEnded {
                sig: Sig::Term,
                pid: r.pid,
                handled: false,
            });
        }
        (State::Finish { pid, .. }, _) => events.push(Event::Exited(pid, Exit::of_status(0))),
        _ => {}
    }
    events
}

/// Every service that can be reached, with the shortest way there.
fn explore(role: Role) -> HashMap<(Service, Known), Vec<Event>> {
    let start = (Service::new(role, Want::Up), Known::NOTHING);
    let mut seen = HashMap::from([(start, vec![])]);
    let mut queue = VecDeque::from([start]);
    while let Some((service, known)) = queue.pop_front() {
        let way = seen[&(service, known)].clone();
        for event in events(&service) {
            for now in [EARLY, LATE] {
                let (next, _) = service.step(now, event);
                // How often it failed is told by `transitions`.
                if next.streak().lives() > 1 {
                    continue;
                }
                let next = (next, known.and(&service, event));
                seen.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    way.iter().copied().chain([event]).collect()
                });
            }
        }
    }
    seen
}

fn kind(service: &Service) -> std::mem::Discriminant<State> {
    std::mem::discriminant(&service.state())
}

fn stops(actions: &Actions) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Look(Look::Stop(..))))
}

fn check(service: &Service, known: Known, event: Event, now: Instant, way: &[Event]) {
    let (next, actions) = service.step(now, event);
    let told = known.and(service, event);
    let context = || {
        format!("{service:?} {known:?}\n  after {way:?}\n  on {event:?}\n  to {next:?} {actions:?}")
    };
    // No start past a closed gate, unless it was ordered.
    if actions.contains(&Action::Look(Look::Start)) {
        assert!(told.start_open || told.is_forced, "{}", context());
    }
    // Nor the signal of a stop, unless that was ordered twice, or TERM was sent anyhow.
    let had_term = service.got_term()
        || matches!(service.mark(), model::format::adopt::Mark::Stop) && !service.is_stop_held();
    let asks = matches!(
        event,
        Event::Command(Command::Down | Command::Exit) | Event::Started(_) | Event::StopGate(_)
    );
    if asks && stops(&actions) {
        assert!(
            told.stop_open || told.stops == 2 || had_term,
            "{}",
            context()
        );
    }
    // A second order gets through, and so does every signal.
    let is_running = matches!(service.state(), State::Run(_));
    let is_stop = matches!(event, Event::Command(Command::Down | Command::Exit));
    if is_running && is_stop && told.stops == 2 {
        assert!(!next.is_stop_held(), "{}", context());
    }
    if is_running && event == Event::Command(Command::Signal(Sig::Kill)) {
        let pid = pid_of(service).unwrap();
        let kill = Action::Look(Look::Signal(Sig::Kill, pid));
        let waits_already = actions.is_empty();
        assert!(actions == [kill] || waits_already, "{}", context());
    }
    check_gate(service, event, &next, &actions, &context);
    // Who is held costs nothing.
    if next.is_held() {
        assert!(next.is_idle() && next.deadline().is_none(), "{}", context());
    }
}

/// A gate never changes what is wanted; it acts only when it opens, and only on what
/// waited for that.
fn check_gate(
    service: &Service,
    event: Event,
    next: &Service,
    actions: &Actions,
    context: &dyn Fn() -> String,
) {
    let opened = match event {
        Event::Gate(is_open) => is_open && service.is_held(),
        Event::StopGate(is_open) => is_open && service.is_stop_held(),
        _ => return,
    };
    assert_eq!(service.want(), next.want(), "{}", context());
    if !opened {
        let is_due = matches!(service.state(), State::Down { .. }) && actions.len() == 1;
        // Any event settles what is due.
        assert!(actions.is_empty() || is_due, "{}", context());
        assert!(kind(service) == kind(next) || is_due, "{}", context());
    }
    if matches!(event, Event::StopGate(true)) {
        // Perhaps not at once, since `control/t` runs.
        assert!(!stops(actions) || service.is_stop_held(), "{}", context());
        assert!(!next.is_stop_held(), "{}", context());
    }
}

#[test]
fn every_state_and_every_event() {
    let seen = explore(Role::Main);
    let held = seen.keys().filter(|(service, _)| service.is_held()).count();
    let stop_held = seen.keys().filter(|(service, _)| service.is_stop_held());
    assert!(
        held > 10 && stop_held.count() > 10,
        "{held} of {}",
        seen.len()
    );
    for ((service, known), way) in &seen {
        for event in events(service) {
            for now in [EARLY, LATE] {
                check(service, *known, event, now, way);
            }
        }
    }
}

#[test]
fn loggers_have_no_gates() {
    for (service, _) in explore(Role::Log).into_keys() {
        assert!(!service.is_held() && !service.is_stop_held());
        for event in [false, true].map(Event::Gate) {
            let same = service.step(EARLY, event);
            assert_eq!(same, service.step(EARLY, Event::StopGate(true)));
        }
    }
}

#[test]
fn an_open_gate_that_opens_changes_nothing() {
    for ((service, known), way) in explore(Role::Main) {
        let idles = service.step(EARLY, Event::Tick);
        for (event, was_open) in [
            (Event::Gate(true), known.start_open),
            (Event::StopGate(true), known.stop_open),
        ] {
            if was_open && !matches!(service.state(), State::Run(_)) {
                assert_eq!(service.step(EARLY, event), idles, "after {way:?}");
            }
        }
    }
}

/// Everything works, and every process ends when it is told to.
fn play_nicely(mut service: Service, mut now: Instant) -> Service {
    for _ in 0..20 {
        let event = match service.state() {
            State::Preparing => Event::Looked(Look::Start, Settings::default()),
            State::Starting { .. } | State::EndingRun { .. } => {
                Event::Started(pid_of(&service).unwrap_or(PIDS[0]))
            }
            State::Finish { pid, .. } => Event::Exited(pid, Exit::of_status(0)),
            State::Run(r) if service.want() != Want::Up && !service.is_stop_held() => {
                Event::Exited(r.pid, Exit::of_status(0))
            }
            _ => Event::Tick,
        };
        now = service.deadline().map_or(now, |at| at.max(now));
        service = service.step(now, event).0;
    }
    service
}

#[test]
fn what_is_wanted_comes_about_when_the_gates_open_and_not_before() {
    for ((service, known), way) in explore(Role::Main) {
        let retired = service.is_retired();
        let waits = play_nicely(service, LATE);
        let open = |service: Service, event| service.step(END, event).0;
        let opened = open(open(waits, Event::Gate(true)), Event::StopGate(true));
        let end = play_nicely(opened, END);
        let context =
            format!("{service:?} {known:?}\n  after {way:?}\n  rests in {waits:?} and {end:?}");
        if waits.is_held() {
            assert!(!known.start_open, "{context}");
            assert!(!matches!(opened.state(), State::Down { .. }), "{context}");
        }
        if waits.is_stop_held() {
            assert!(!known.stop_open, "{context}");
            assert!(!opened.is_stop_held(), "{context}");
        }
        let fine = match service.want() {
            Want::Up => matches!(end.state(), State::Run(_)) || (retired && end.is_idle()),
            Want::Down => end.is_idle(),
            Want::Exit => end.is_gone(),
        };
        assert!(fine || service.is_gone(), "{context}");
    }
}

/// What is told of a held service survives an upgrade.
#[test]
fn what_waits_goes_over_to_a_successor() {
    for ((service, _), way) in explore(Role::Main) {
        if service.is_held() || service.is_stop_held() {
            let words = service.handover();
            let again = Service::resume(Role::Main, &words).unwrap();
            assert_eq!(again.handover(), words);
            assert_eq!(
                (again.is_held(), again.is_stop_held()),
                (service.is_held(), service.is_stop_held()),
                "after {way:?}"
            );
        }
    }
}
