//! The service's state machine, explored completely: every state that any
//! sequence of events can reach, and every event in each of them.
//!
//! Time takes a few values only (an event comes early or late), and there are two
//! pids, which is enough for every branch and keeps the state space finite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use model::command::{Command, Sig};
use model::service::{Action, Event, Exit, Failure, Pid, Role, Service, State, Want};
use model::time::Instant;

const EARLY: Instant = Instant(10_000_000_000);
const LATE: Instant = Instant(1_000_000_000_000);

/// The signals that differ in what they do; all others are as HUP.
const SIGS: [Sig; 4] = [Sig::Pause, Sig::Cont, Sig::Hup, Sig::Term];

fn commands() -> Vec<Command> {
    let plain = [Command::Up, Command::Down, Command::Once, Command::Exit];
    plain.into_iter().chain(SIGS.map(Command::Signal)).collect()
}

/// The pid that the next spawn would get: never that of the present process.
fn next_pid(service: &Service) -> Pid {
    if service.phase().1 == 101 { 102 } else { 101 }
}

/// Every event that can come in a state, late or out of place ones included.
fn events(service: &Service) -> Vec<Event> {
    let mut events: Vec<Event> = commands().into_iter().map(Event::Command).collect();
    events.extend([Event::Tick, Event::Prepared, Event::Retire, Event::Drain]);
    events.push(Event::Spawned(next_pid(service)));
    events.extend([Failure::Resources, Failure::Exec, Failure::Absent].map(Event::SpawnFailed));
    for pid in [101, 102] {
        events.push(Event::Exited(pid, Exit::Status(0)));
        for sig in SIGS {
            for handled in [false, true] {
                events.push(Event::ScriptEnded { sig, pid, handled });
            }
        }
    }
    events
}

fn answers_a_spawn(event: Event) -> bool {
    matches!(event, Event::Spawned(_) | Event::SpawnFailed(_))
}

fn awaits_a_spawn(service: &Service) -> bool {
    matches!(
        service.state(),
        State::Starting { .. } | State::EndingRun { .. }
    )
}

/// All reachable services with the shortest way there.
fn explore(role: Role) -> HashMap<Service, Vec<Event>> {
    let mut seen = HashMap::new();
    let mut queue = VecDeque::new();
    for want in [Want::Up, Want::Down] {
        let start = Service::new(role, want);
        seen.insert(start, vec![]);
        queue.push_back(start);
    }
    while let Some(service) = queue.pop_front() {
        let way = seen[&service].clone();
        for event in events(&service) {
            // The engine answers a spawn before anything else, and only when asked.
            if answers_a_spawn(event) != awaits_a_spawn(&service) {
                continue;
            }
            for now in [EARLY, LATE] {
                let (next, _) = service.step(now, event);
                // An unbounded counter would never end the exploration; four failures show its cap.
                if way
                    .iter()
                    .filter(|e| matches!(e, Event::SpawnFailed(Failure::Resources)))
                    .count()
                    > 4
                {
                    continue;
                }
                seen.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    let mut way = way.clone();
                    way.push(event);
                    way
                });
            }
        }
    }
    seen
}

fn check_step(role: Role, service: &Service, event: Event, now: Instant, way: &[Event]) {
    let (next, actions) = service.step(now, event);
    let context =
        || format!("{service:?}\n  after {way:?}\n  on {event:?}\n  to {next:?} {actions:?}");
    let actions: Vec<Action> = actions.iter().collect();
    let (before, after) = (service.phase().1, next.phase().1);
    for action in &actions {
        match *action {
            // Signals and scripts are about a process that is there, and the present one.
            Action::Kill(pid, _) | Action::Script(_, pid) | Action::Epilogue(_, pid) => {
                assert!(pid == before || pid == after, "{}", context());
            }
            // Never two copies: nothing is started while a process is known.
            Action::StartRun => {
                let ended = matches!(event, Event::Exited(pid, _) if pid == before);
                assert!(before == 0 || ended, "{}", context());
                assert!(
                    matches!(next.state(), State::Starting { .. }),
                    "{}",
                    context()
                );
            }
            Action::StartFinish(_) => assert!(
                matches!(next.state(), State::EndingRun { .. }),
                "{}",
                context()
            ),
            Action::Prepare => assert_eq!(next.state(), State::Preparing, "{}", context()),
        }
    }
    let starts = actions
        .iter()
        .filter(|a| matches!(a, Action::StartRun | Action::StartFinish(_)))
        .count();
    assert!(starts <= 1, "{}", context());
    // A process is forgotten only when it ended.
    if before != 0 && after != before {
        assert!(
            matches!(event, Event::Exited(pid, _) if pid == before),
            "{}",
            context()
        );
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
    // The last command is what is wanted, but for a logger that is to end.
    if let Event::Command(command) = event
        && !service.is_gone()
        && !(role == Role::Log && service.want() == Want::Exit)
    {
        let want = match command {
            Command::Up => Want::Up,
            Command::Once | Command::Down => Want::Down,
            Command::Exit | Command::Signal(_) => next.want(),
        };
        assert_eq!(next.want(), want, "{}", context());
    }
}

#[test]
fn every_state_and_every_event() {
    for role in [Role::Main, Role::Log] {
        let seen = explore(role);
        assert!(seen.len() > 100, "{role:?}: {} states", seen.len());
        for (service, way) in &seen {
            for event in events(service) {
                for now in [EARLY, LATE] {
                    check_step(role, service, event, now, way);
                }
            }
        }
    }
}

/// Plays a world in which everything works and every process ends when it is
/// told to, and returns where it comes to rest.
fn play_nicely(mut service: Service) -> Service {
    let mut now = LATE;
    for _ in 0..20 {
        let event = match service.state() {
            State::Preparing => Event::Prepared,
            State::Starting { .. } | State::EndingRun { .. } => Event::Spawned(next_pid(&service)),
            State::Finish { pid, .. } => Event::Exited(pid, Exit::Status(0)),
            State::Run(r) if service.want() != Want::Up => Event::Exited(r.pid, Exit::Status(0)),
            _ => Event::Tick,
        };
        now = service.deadline().map_or(now, |at| at.max(now));
        service = service.step(now, event).0;
    }
    service
}

#[test]
fn what_is_wanted_comes_about() {
    for role in [Role::Main, Role::Log] {
        for (service, way) in explore(role) {
            let retired = way.contains(&Event::Retire);
            let end = play_nicely(service);
            let fine = match service.want() {
                _ if service.is_gone() => end.is_gone(),
                Want::Up => matches!(end.state(), State::Run(_)) || (retired && end.is_idle()),
                Want::Down => end.is_idle(),
                Want::Exit => end.is_gone(),
            };
            assert!(fine, "{service:?}\n  after {way:?}\n  rests in {end:?}");
        }
    }
}

/// The states that a person would name, for the table.
fn named() -> Vec<(&'static str, Service)> {
    let after = |start: Service, events: &[Event]| {
        events
            .iter()
            .fold(start, |service, event| service.step(EARLY, *event).0)
    };
    let up = || Service::new(Role::Main, Want::Up);
    let run = [Event::Tick, Event::Prepared, Event::Spawned(101)];
    let with = |more: &[Event]| after(after(up(), &run), more);
    let exited = Event::Exited(101, Exit::Status(256));
    let command = |byte| Event::Command(Command::from_byte(byte).unwrap());
    let unhandled = Event::ScriptEnded {
        sig: Sig::Term,
        pid: 101,
        handled: false,
    };
    let log = |events: &[Event]| after(Service::new(Role::Log, Want::Up), events);
    vec![
        ("down, normally down", Service::new(Role::Main, Want::Down)),
        ("control/u runs", after(up(), &run[..1])),
        ("run asked for", after(up(), &run[..2])),
        ("run", with(&[])),
        (
            "run, paused",
            with(&[
                command(b'p'),
                Event::ScriptEnded {
                    sig: Sig::Pause,
                    pid: 101,
                    handled: false,
                },
            ]),
        ),
        ("run, want down, control/t runs", with(&[command(b'd')])),
        (
            "run, want down, got TERM",
            with(&[command(b'd'), unhandled]),
        ),
        (
            "run, want exit, got TERM",
            with(&[command(b'x'), unhandled]),
        ),
        ("finish asked for", with(&[exited])),
        ("finish", with(&[exited, Event::Spawned(102)])),
        (
            "restart gap",
            with(&[exited, Event::SpawnFailed(Failure::Absent)]),
        ),
        (
            "gone",
            after(Service::new(Role::Main, Want::Down), &[command(b'x')]),
        ),
        ("log: run", log(&[Event::Tick, Event::Spawned(101)])),
        (
            "log: run, pipe closed",
            log(&[Event::Tick, Event::Spawned(101), Event::Drain]),
        ),
        (
            "log: restart gap",
            log(&[Event::Tick, Event::Spawned(101), exited]),
        ),
    ]
}

fn table() -> String {
    let mut text = String::from(
        "# Every named state and every event: what becomes of it, and what is done.\n",
    );
    for (name, service) in named() {
        let _ = writeln!(text, "\n## {name}");
        let mut cells: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events(&service) {
            let (next, actions) = service.step(EARLY, event);
            let actions: Vec<Action> = actions.iter().collect();
            let cell = if next == service && actions.is_empty() {
                "nothing".to_owned()
            } else {
                format!("{:?} want {:?}; {actions:?}", next.state(), next.want())
            };
            cells.entry(cell).or_default().push(format!("{event:?}"));
        }
        for (cell, events) in cells {
            let _ = writeln!(text, "- {cell}\n    on {}", events.join(" | "));
        }
    }
    text
}

/// The table is reviewed when it changes: `UPDATE_GOLDEN=1 cargo test -p model` writes it anew.
#[test]
fn golden_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/service.txt");
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        golden == table,
        "the transitions changed; review them with UPDATE_GOLDEN=1 and git diff {path}"
    );
}
