//! The service's state machine, explored completely: every state that any
//! sequence of events can reach, and every event in each of them.
//!
//! Time takes a few values only (an event comes early or late), and there are two
//! pids, which is enough for every branch and keeps the state space finite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod events;
mod named;
mod risen;

use std::collections::{HashMap, VecDeque};

use model::command::Command;
use model::restart::LOOP_LIVES;
use model::service::{ACTIONS_MAX, Action, Event, Exit, Failure, Pid, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::time::Instant;

use events::{Files, events, next_pid};

const EARLY: Instant = Instant(10_000_000_000);
const LATE: Instant = Instant(1_000_000_000_000);

/// What is explored.
const KINDS: [(Role, Files); 3] = [
    (Role::Main, Files::Plain),
    (Role::Main, Files::Ours),
    (Role::Log, Files::Plain),
];

fn answers_a_start(event: Event) -> bool {
    matches!(event, Event::Started(_) | Event::NotStarted(_))
}

/// Whether the engine hands that in now: it answers a start when asked, before that
/// tells at most once that it is late, and looks at an end before `./finish` is started.
fn may_come(event: Event, service: &Service) -> bool {
    let ends = matches!(service.state(), State::EndingRun { .. });
    let is_late = service.phase().1 != 0;
    match event {
        Event::Late(_) => awaits_a_start(service) && !is_late,
        Event::Exited(..) => !awaits_a_start(service),
        Event::Looked(Look::End { .. }, _) if ends => !is_late,
        _ => !answers_a_start(event) || awaits_a_start(service),
    }
}

fn awaits_a_start(service: &Service) -> bool {
    matches!(
        service.state(),
        State::Starting { .. } | State::EndingRun { .. }
    )
}

/// The last step to a service: from where and by what. Nothing leads to a start.
type Step = Option<(Service, Event)>;

/// What was reached, each with the last step of the shortest way there.
type Seen = HashMap<Service, Step>;

/// Finds all reachable services, and checks each of them and every event in it. Returns
/// them, and how many actions followed from an event at most.
fn explore(role: Role, files: Files) -> (Seen, usize) {
    let mut seen = HashMap::new();
    let mut queue = VecDeque::new();
    for want in [Want::Up, Want::Down] {
        let start = Service::new(role, want);
        seen.insert(start, None);
        queue.push_back((start, 0));
    }
    // Unbounded counters would never end the exploration. Four failures show the one's
    // cap, a crash loop and one life more what the other does, and the two know nothing
    // of each other.
    let (failures_max, lives_max) = match files {
        Files::Plain => (4, LOOP_LIVES + 1),
        // What is counted does not depend on what counts it.
        Files::Ours => (0, 1),
    };
    let mut most = 0;
    while let Some((service, failures)) = queue.pop_front() {
        check_rest(&service, &|| way(&seen, &service));
        for event in events(&service, files) {
            let leads_on = failures <= failures_max && may_come(event, &service);
            for now in [EARLY, LATE] {
                let (next, actions) = service.step(now, event);
                check_step(role, (&service, event, now), (&next, &actions), &|| {
                    way(&seen, &service)
                });
                most = most.max(actions.len());
                // Most events change nothing: that is seen without a look at all the others.
                if !leads_on || next == service || failures + next.streak().lives() > lives_max {
                    continue;
                }
                let failed = matches!(event, Event::NotStarted(Failure::Resources));
                let failures = failures + u32::from(failed);
                seen.entry(next).or_insert_with(|| {
                    queue.push_back((next, failures));
                    Some((service, event))
                });
            }
        }
    }
    (seen, most)
}

/// The events on the shortest way to a service.
fn way(seen: &Seen, service: &Service) -> Vec<Event> {
    let mut way = Vec::new();
    let mut at = *service;
    while let Some((before, event)) = seen[&at] {
        way.push(event);
        at = before;
    }
    way.reverse();
    way
}

/// The end of the restart gap.
fn gap(service: &Service) -> Option<Instant> {
    match service.state() {
        State::Down { not_before }
        | State::EndingRun { not_before, .. }
        | State::Finish { not_before, .. } => Some(not_before),
        _ => None,
    }
}

/// The answer finds what it is about.
fn check_look(look: Look, next: &Service, context: &dyn Fn() -> String) {
    let state = next.state();
    let fine = match look {
        Look::Start | Look::Run | Look::SetUp => state == State::Preparing,
        Look::Signal(_, 0) => next.is_done(),
        Look::Signal(_, pid) | Look::Stop(_, pid) | Look::Stopped(_, pid) => {
            matches!(state, State::Run(r) if r.pid == pid)
        }
        Look::End { grows, .. } => {
            matches!(state, State::EndingRun { .. } | State::Down { .. })
                && (!grows || next.streak().may_grow())
        }
        Look::Ends(pid, _) => matches!(state, State::Run(r) if r.pid == pid),
        Look::Adopted(_) | Look::Begun | Look::Logger => false,
    };
    assert!(fine, "{}", context());
}

/// Whether the process has ended: a start that failed late had one.
fn ends(event: Event, before: Pid) -> bool {
    matches!(event, Event::Exited(pid, _) if pid == before) || matches!(event, Event::NotStarted(_))
}

fn check_step(
    role: Role,
    (service, event, now): (&Service, Event, Instant),
    (next, actions): (&Service, &[Action]),
    way: &dyn Fn() -> Vec<Event>,
) {
    let context = || {
        format!(
            "{service:?}\n  after {:?}\n  on {event:?}\n  to {next:?} {actions:?}",
            way()
        )
    };
    let (before, after) = (service.phase().1, next.phase().1);
    for action in actions {
        match *action {
            // Signals and scripts are about a process that is there, and the present one.
            Action::Signal(pid, _) | Action::Script(_, pid) | Action::Epilogue(_, pid) => {
                assert!(pid == before || pid == after, "{}", context());
            }
            // Never two copies: nothing is started while a process is known.
            Action::StartSetup | Action::StartRun(_) => {
                let ended = ends(event, before);
                assert!(before == 0 || ended, "{}", context());
                assert!(
                    matches!(next.state(), State::Starting { .. }),
                    "{}",
                    context()
                );
            }
            Action::StartFinish(..) => assert!(
                matches!(next.state(), State::EndingRun { .. }),
                "{}",
                context()
            ),
            Action::Prepare => assert_eq!(next.state(), State::Preparing, "{}", context()),
            // None of these directories asks for it.
            Action::Group(..) => panic!("{}", context()),
            Action::Look(look) => check_look(look, next, &context),
        }
    }
    let starts = actions
        .iter()
        .filter(|a| {
            matches!(
                a,
                Action::StartSetup | Action::StartRun(_) | Action::StartFinish(..)
            )
        })
        .count();
    assert!(starts <= 1, "{}", context());
    assert!(actions.len() <= ACTIONS_MAX, "{}", context());
    // A process is forgotten only when it ended.
    if before != 0 && after != before {
        assert!(ends(event, before), "{}", context());
    }
    // The end is the end.
    if service.is_gone() {
        assert!(next.is_gone() && actions.is_empty(), "{}", context());
    }
    // A pause belongs to a process.
    assert!(
        after != 0 || !(next.paused() || next.got_term()),
        "{}",
        context()
    );
    // A loop is of what is started again and again, and of short lives.
    if next.crash_loop().is_some() {
        assert!(next.want() == Want::Up && !next.is_gone(), "{}", context());
    }
    let grows = next.streak().lives() > service.streak().lives();
    let ended = matches!(event, Event::Exited(..) | Event::NotStarted(_));
    assert!(!grows || ended, "{}", context());
    // A short life has its gap, and nothing but time, a command or a stop shortens that.
    if let (Some(before), Some(after)) = (gap(service), gap(next)) {
        let stopped = next.want() != Want::Up || service.want() != Want::Up;
        assert!(after >= before || stopped, "{}", context());
    }
    if grows {
        assert!(gap(next) >= Some(now.plus_ms(1000)), "{}", context());
    }
    // The last command is what is wanted, but for a logger that is to end.
    if let Event::Command(command) = event
        && !service.is_gone()
        && !(role == Role::Log && service.want() == Want::Exit)
    {
        let want = match command {
            Command::Up | Command::StartNow => Want::Up,
            // A oneshot that is done goes on to be.
            Command::Once if service.is_done() => Want::Up,
            Command::Once | Command::Down => Want::Down,
            Command::Exit | Command::Ready | Command::Signal(_) | Command::Reset => next.want(),
        };
        assert_eq!(next.want(), want, "{}", context());
    }
}

#[test]
fn every_state_and_every_event() {
    let mut most = 0;
    for (role, files) in KINDS {
        let (seen, actions) = explore(role, files);
        most = most.max(actions);
        assert!(seen.len() > 100, "{role:?}: {} states", seen.len());
        let loops = seen.keys().filter(|s| s.is_crash_looping()).count();
        let has_loops = files == Files::Plain;
        assert_eq!(
            loops > 100,
            has_loops,
            "{role:?}: {loops} states of crash loops"
        );
    }
    assert_eq!(most, ACTIONS_MAX);
}

/// Plays a world in which everything works and every process ends when it is
/// told to, and returns where it comes to rest.
fn play_nicely(mut service: Service) -> Service {
    let mut now = LATE;
    for _ in 0..20 {
        let event = match service.state() {
            State::Preparing => Event::Looked(Look::Start, Settings::default()),
            State::Starting { .. } | State::EndingRun { .. } => Event::Started(next_pid(&service)),
            State::Finish { pid, .. } => Event::Exited(pid, Exit::of_status(0)),
            State::Run(r) if service.want() != Want::Up => Event::Exited(r.pid, Exit::of_status(0)),
            _ => Event::Tick,
        };
        now = service.deadline().map_or(now, |at| at.max(now));
        service = service.step(now, event).0;
    }
    service
}

/// What is wanted comes about.
fn check_rest(service: &Service, way: &dyn Fn() -> Vec<Event>) {
    let end = play_nicely(*service);
    let fine = match service.want() {
        _ if service.is_gone() => end.is_gone(),
        Want::Up => {
            let is_up = matches!(end.state(), State::Run(_) | State::Done { .. });
            is_up || (service.is_retired() && end.is_idle())
        }
        Want::Down => end.is_idle(),
        Want::Exit => end.is_gone(),
    };
    assert!(fine, "{service:?}\n  after {:?}\n  rests in {end:?}", way());
}
