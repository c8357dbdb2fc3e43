//! The service's state machine, explored completely: every state that any
//! sequence of events can reach, and every event in each of them.
//!
//! Time takes a few values only (an event comes early or late), and there are two
//! pids, which is enough for every branch and keeps the state space finite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use model::command::{Command, Sig};
use model::format::status::Phase;
use model::restart::LOOP_LIVES;
use model::service::{
    ACTIONS_MAX, Action, Announce, Event, Exit, Failure, Pid, Role, Service, State, Want,
};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::time::Instant;

const EARLY: Instant = Instant(10_000_000_000);
const LATE: Instant = Instant(1_000_000_000_000);

/// The signals that differ in what they do; all others are as HUP.
const SIGS: [Sig; 4] = [Sig::Pause, Sig::Cont, Sig::Hup, Sig::Term];

fn commands() -> Vec<Command> {
    let plain = [Command::Up, Command::Down, Command::Once, Command::Exit];
    plain.into_iter().chain(SIGS.map(Command::Signal)).collect()
}

/// The pid that the next start would get: never that of the present process, but
/// that of a start that is late.
fn next_pid(service: &Service) -> Pid {
    match (service.phase().1, awaits_a_start(service)) {
        (0, _) | (102, false) | (101, true) => 101,
        _ => 102,
    }
}

/// Every event that can come in a state, late or out of place ones included.
fn events(service: &Service) -> Vec<Event> {
    let mut events: Vec<Event> = commands().into_iter().map(Event::Command).collect();
    events.extend([Event::Tick, Event::Prepared, Event::Retire, Event::Drain]);
    events.extend(looks(service).into_iter().flat_map(answers));
    events.push(Event::Started(next_pid(service)));
    events.push(Event::Late(next_pid(service)));
    // What counts as a failure of the kernel comes last, so that the shortest ways
    // that `explore` finds are without it where they can be.
    events.extend([Failure::Absent, Failure::Exec, Failure::Resources].map(Event::NotStarted));
    for pid in [101, 102] {
        events.push(Event::Exited(pid, Exit::of_status(0)));
        for sig in SIGS {
            for handled in [false, true] {
                events.push(Event::ScriptEnded { sig, pid, handled });
            }
        }
    }
    events
}

fn there(letters: &[u8]) -> Settings {
    Settings {
        scripts: letters.iter().copied().collect(),
        ..Settings::default()
    }
}

/// Every question, asked of this service or not.
fn looks(service: &Service) -> Vec<Look> {
    let pid = match service.phase() {
        (Phase::Run, pid) => pid,
        _ => 101,
    };
    let signals = SIGS.map(|sig| Look::Signal(sig, pid));
    let late = Look::Signal(Sig::Term, next_pid(service));
    let stops = [Look::Stop(b'd', pid), Look::Stopped(b'd', pid), late];
    let exit = Exit::of_status(256);
    let ends = [false, true].map(|grows| Look::End { exit, grows });
    let starts = [Look::Start, Look::Run, Look::Logger];
    let all = starts.into_iter().chain(ends).chain(signals).chain(stops);
    all.collect()
}

/// All that can be found.
fn answers(look: Look) -> Vec<Event> {
    let letters: Vec<u8> = look.letters().collect();
    let mut found = match letters.as_slice() {
        [] => vec![],
        [one] => vec![there(&[*one])],
        two => vec![there(&two[..1]), there(&two[1..]), there(two)],
    };
    found.push(Settings::default());
    if let Look::End { grows, .. } = look {
        for backoff in [None, Some(60)]
            .into_iter()
            .filter(|b| grows || b.is_none())
        {
            for finish in [false, true] {
                found.push(Settings {
                    finish,
                    backoff,
                    ..Settings::default()
                });
            }
        }
    }
    let events = found.into_iter().map(|found| Event::Looked(look, found));
    events.collect()
}

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
            if !may_come(event, &service) {
                continue;
            }
            for now in [EARLY, LATE] {
                let (next, _) = service.step(now, event);
                // Unbounded counters would never end the exploration. Four failures show
                // the one's cap, a crash loop and one life more what the other does, and
                // the two know nothing of each other.
                let failures = way
                    .iter()
                    .filter(|e| matches!(e, Event::NotStarted(Failure::Resources)))
                    .count() as u32;
                if failures > 4 || failures + next.streak().lives() > LOOP_LIVES + 1 {
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
        Look::Start | Look::Run => state == State::Preparing,
        Look::Signal(_, pid) | Look::Stop(_, pid) | Look::Stopped(_, pid) => {
            matches!(state, State::Run(r) if r.pid == pid)
        }
        Look::End { grows, .. } => {
            matches!(state, State::EndingRun { .. } | State::Down { .. })
                && (!grows || next.streak().may_grow())
        }
        Look::Logger => false,
    };
    assert!(fine, "{}", context());
}

/// Whether the process has ended: a start that failed late had one.
fn ends(event: Event, before: Pid) -> bool {
    matches!(event, Event::Exited(pid, _) if pid == before) || matches!(event, Event::NotStarted(_))
}

fn check_step(role: Role, service: &Service, event: Event, now: Instant, way: &[Event]) {
    let (next, actions) = service.step(now, event);
    let context =
        || format!("{service:?}\n  after {way:?}\n  on {event:?}\n  to {next:?} {actions:?}");
    let (before, after) = (service.phase().1, next.phase().1);
    for action in &actions {
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
            Action::StartFinish(_) => assert!(
                matches!(next.state(), State::EndingRun { .. }),
                "{}",
                context()
            ),
            Action::Prepare => assert_eq!(next.state(), State::Preparing, "{}", context()),
            Action::Look(look) => check_look(look, &next, &context),
        }
    }
    let starts = actions
        .iter()
        .filter(|a| {
            matches!(
                a,
                Action::StartSetup | Action::StartRun(_) | Action::StartFinish(_)
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
    if let (Some(before), Some(after)) = (gap(service), gap(&next)) {
        let stopped = next.want() != Want::Up || service.want() != Want::Up;
        assert!(after >= before || stopped, "{}", context());
    }
    if grows {
        assert!(gap(&next) >= Some(now.plus_ms(1000)), "{}", context());
    }
    // The last command is what is wanted, but for a logger that is to end.
    if let Event::Command(command) = event
        && !service.is_gone()
        && !(role == Role::Log && service.want() == Want::Exit)
    {
        let want = match command {
            Command::Up | Command::StartNow => Want::Up,
            Command::Once | Command::Down => Want::Down,
            Command::Exit | Command::Signal(_) => next.want(),
        };
        assert_eq!(next.want(), want, "{}", context());
    }
}

#[test]
fn every_state_and_every_event() {
    let mut most = 0;
    for role in [Role::Main, Role::Log] {
        let seen = explore(role);
        assert!(seen.len() > 100, "{role:?}: {} states", seen.len());
        let loops = seen.keys().filter(|s| s.is_crash_looping()).count();
        assert!(loops > 100, "{role:?}: {loops} states of crash loops");
        for (service, way) in &seen {
            for event in events(service) {
                for now in [EARLY, LATE] {
                    check_step(role, service, event, now, way);
                    most = most.max(service.step(now, event).1.len());
                }
            }
        }
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
    let mut all = named_services();
    all.extend(named_loggers());
    all.extend(named_stops());
    all
}

fn after(start: Service, events: &[Event]) -> Service {
    let step = |service: Service, event: &Event| service.step(EARLY, *event).0;
    events.iter().fold(start, step)
}

/// Services that say how they are stopped; their time is over when the table begins.
fn named_stops() -> Vec<(&'static str, Service)> {
    let before = Instant(EARLY.0 - 1_000_000_000);
    let asks = Settings {
        finish: true,
        down_signal: Signal::new(37),
        reload_signal: Some(Signal::USR1),
        timeout_kill: Some(1000),
        timeout_finish: Some(1000),
        ..Settings::default()
    };
    let after = |events: &[Event]| {
        let step = |service: Service, event: &Event| service.step(before, *event).0;
        events.iter().fold(Service::new(Role::Main, Want::Up), step)
    };
    let plain = Event::Looked(Look::Start, Settings::default());
    let run = [Event::Tick, plain, Event::Started(101)];
    let stop = [
        Event::Command(Command::Down),
        Event::Looked(Look::Stop(b'd', 101), asks),
    ];
    let exit = Exit::of_status(256);
    let grows = false;
    let finish = [
        Event::Exited(101, exit),
        Event::Looked(Look::End { exit, grows }, asks),
        Event::Started(102),
    ];
    let reload = [
        Event::Command(Command::Signal(Sig::Hup)),
        Event::Looked(Look::Signal(Sig::Hup, 101), asks),
    ];
    let over = |events: &[Event]| after(events).step(EARLY, Event::Tick).0;
    vec![
        ("stop: its time is over", after(&[&run[..], &stop].concat())),
        ("stop: it has got KILL", over(&[&run[..], &stop].concat())),
        (
            "stop: finish, its time is over",
            after(&[&run[..], &finish].concat()),
        ),
        (
            "stop: it was reloaded",
            after(&[&run[..], &reload].concat()),
        ),
    ]
}

fn named_loggers() -> Vec<(&'static str, Service)> {
    let log = |events: &[Event]| after(Service::new(Role::Log, Want::Up), events);
    let exited = Event::Exited(101, Exit::of_status(256));
    vec![
        ("log: run", log(&[Event::Tick, Event::Started(101)])),
        (
            "log: run, pipe closed",
            log(&[Event::Tick, Event::Started(101), Event::Drain]),
        ),
        (
            "log: restart gap",
            log(&[Event::Tick, Event::Started(101), exited]),
        ),
    ]
}

fn named_services() -> Vec<(&'static str, Service)> {
    let up = || Service::new(Role::Main, Want::Up);
    let nothing = Settings::default();
    let starts = Event::Looked(Look::Start, nothing);
    let run = [Event::Tick, starts, Event::Started(101)];
    let with = |more: &[Event]| after(after(up(), &run), more);
    let exit = Exit::of_status(256);
    let exited = Event::Exited(101, exit);
    let command = |byte| Event::Command(Command::from_byte(byte).unwrap());
    let stops = |letter| Event::Looked(Look::Stop(letter, 101), nothing);
    let ends = |grows, found| Event::Looked(Look::End { exit, grows }, found);
    let finish = Settings {
        finish: true,
        ..nothing
    };
    let backs_off = Settings {
        backoff: Some(60),
        ..nothing
    };
    // Each time somebody ends the gap.
    let again = [
        ends(false, nothing),
        command(b'u'),
        starts,
        Event::Started(101),
        exited,
    ];
    let looping = |more: &[Event]| {
        let lives = (1..LOOP_LIVES).fold(with(&[exited]), |service, _| after(service, &again));
        after(lives, more)
    };
    vec![
        ("down, normally down", Service::new(Role::Main, Want::Down)),
        ("looks before a start", after(up(), &run[..1])),
        (
            "control/u runs",
            after(
                up(),
                &[Event::Tick, Event::Looked(Look::Start, there(b"u"))],
            ),
        ),
        ("run asked for", after(up(), &run[..2])),
        (
            "run asked for, and hangs",
            after(up(), &[Event::Tick, Event::Prepared, Event::Late(101)]),
        ),
        ("run", with(&[])),
        (
            "run, paused",
            with(&[
                command(b'p'),
                Event::Looked(Look::Signal(Sig::Pause, 101), nothing),
            ]),
        ),
        ("run, want down, looks before TERM", with(&[command(b'd')])),
        (
            "run, want down, control/t runs",
            with(&[
                command(b'd'),
                Event::Looked(Look::Stop(b'd', 101), there(b"t")),
            ]),
        ),
        (
            "run, want down, got TERM",
            with(&[command(b'd'), stops(b'd')]),
        ),
        (
            "run, want exit, got TERM",
            with(&[command(b'x'), stops(b'x')]),
        ),
        ("looks before finish", with(&[exited])),
        ("finish asked for", with(&[exited, ends(false, finish)])),
        (
            "finish",
            with(&[exited, ends(false, finish), Event::Started(102)]),
        ),
        ("restart gap", with(&[exited, ends(false, nothing)])),
        ("crash loop: looks before finish", looping(&[])),
        ("crash loop: gap", looping(&[ends(true, backs_off)])),
        (
            "crash loop: run",
            looping(&[
                ends(true, backs_off),
                command(b'u'),
                starts,
                Event::Started(101),
            ]),
        ),
        (
            "gone",
            after(Service::new(Role::Main, Want::Down), &[command(b'x')]),
        ),
    ]
}

/// What is as in a service that uses none of our own files is left out, so that its rows
/// stay as they are when another file comes.
fn plain(text: &str) -> String {
    let by_start = format!("ready: Some(({EARLY:?}, Start)), ");
    let announces_nothing = format!("({:?})", Announce::NONE);
    let manner = "manner: Manner { stop: Signal(15), reload: Signal(1), kill_ms: None }, ";
    text.replace("program: Run, ", "")
        .replace(manner, "")
        .replace("finish_ms: None, ", "")
        .replace("kill_at: None, ", "")
        .replace("), Stop))", "), Term))")
        .replace(&by_start, "")
        .replace(&announces_nothing, "")
}

fn shown(action: &Action) -> String {
    let Action::Signal(pid, signal) = action else {
        return format!("{action:?}");
    };
    let sig = Sig::ALL.into_iter().find(|sig| sig.signal() == *signal);
    let sig = sig.map_or_else(|| signal.to_string(), |sig| format!("{sig:?}"));
    format!("Signal({pid}, {sig})")
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
            let cell = if next == service && actions.is_empty() {
                "nothing".to_owned()
            } else {
                let actions: Vec<String> = actions.iter().map(shown).collect();
                let actions = actions.join(", ");
                format!("{:?} want {:?}; [{actions}]", next.state(), next.want())
            };
            let event = plain(&format!("{event:?}"));
            cells.entry(plain(&cell)).or_default().push(event);
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
