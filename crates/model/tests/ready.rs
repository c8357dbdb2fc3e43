//! Readiness, explored completely: every state that the words of a process, commands,
//! time and ends can lead to, in a service that says when it is ready.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, VecDeque};

use model::command::{Command, Sig};
use model::format::state::ready::{Ready, Source};
use model::format::tai64n::Tai64n;
use model::restart::Cause;
use model::service::{Action, Event, Exit, Failure, Pid, Program, Role, Service, State, Want};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::time::Instant;

const START: Instant = Instant(10_000_000_000);
/// Moments in order: at once, after the time for a start, and after all that may be asked for.
const MOMENTS: [u64; 3] = [0, 600, 8_000_000];
const UP_MS: u32 = 500;
const PIDS: [Pid; 2] = [101, 102];

fn at(ms: u64) -> Instant {
    START.plus_ms(ms)
}

fn asks(timeout_up: Option<u32>) -> Settings {
    Settings {
        notification_fd: Some(3),
        timeout_up,
        ..Settings::default()
    }
}

/// The words that a process says, about itself or of another time.
fn words() -> Vec<Event> {
    let ready = PIDS.map(|pid| Event::Ready(pid, Source::Message));
    let others = [
        Event::Stopping(0),
        Event::Extend(u64::MAX),
        Event::Command(Command::Ready),
    ];
    ready.into_iter().chain(others).collect()
}

fn events(service: &Service, found: Settings) -> Vec<Event> {
    let mut events = words();
    events.push(Event::Tick);
    for command in [
        Command::Up,
        Command::Down,
        Command::Signal(Sig::Term),
        Command::Signal(Sig::Kill),
    ] {
        events.push(Event::Command(command));
    }
    let pid = Some(service.phase().1).filter(|pid| *pid != 0);
    let next = if pid == Some(PIDS[0]) {
        PIDS[1]
    } else {
        PIDS[0]
    };
    match service.state() {
        State::Preparing => events.push(Event::Looked(Look::Start, found)),
        State::Starting { .. } => {
            events.extend([Event::Started(next), Event::NotStarted(Failure::Exec)]);
        }
        State::EndingRun { .. } => {
            let exit = Exit::of_status(0);
            let look = Look::End {
                exit,
                cause: Cause::Itself,
                grows: false,
            };
            events.push(Event::Looked(look, Settings::default()));
        }
        State::Run(r) => {
            events.push(Event::Exited(r.pid, Exit::of_status(0)));
            for timeout_kill in [None, Some(2000)] {
                let kills = Settings {
                    timeout_kill,
                    ..Settings::default()
                };
                events.push(Event::Looked(Look::Ends(r.pid, 0), kills));
                events.push(Event::Looked(Look::Stop(b'd', r.pid), kills));
                events.push(Event::Looked(Look::Signal(Sig::Term, r.pid), kills));
            }
        }
        _ => {}
    }
    events
}

fn told_of(source: Source) -> Ready {
    Ready {
        pid: PIDS[0],
        at: Tai64n::from_unix(0, 0),
        source: Some(source),
    }
}

/// Where it begins: new, or taken over, ready or not.
fn beginnings(found: Settings) -> Vec<Service> {
    let adopted = |source: Option<Source>| {
        let run = Program::Run;
        Service::adopt_run(Role::Main, Want::Up, run, PIDS[0], START, false, false)
            .was_ready(source.map(told_of).as_ref())
            .has_time_again(&found, START)
    };
    vec![
        Service::new(Role::Main, Want::Up),
        adopted(None),
        adopted(Some(Source::Message)),
    ]
}

/// All reachable services, each with the first moment at which it may be so.
fn explore(found: Settings) -> HashMap<(Service, usize), Vec<Event>> {
    let mut seen = HashMap::new();
    let mut queue = VecDeque::new();
    for service in beginnings(found) {
        seen.insert((service, 0), vec![]);
        queue.push_back((service, 0));
    }
    while let Some((service, moment)) = queue.pop_front() {
        let way = seen[&(service, moment)].clone();
        for event in events(&service, found) {
            for (later, ms) in MOMENTS.iter().enumerate().skip(moment) {
                let (next, _) = service.step(at(*ms), event);
                if next.streak().lives() > 1 {
                    continue;
                }
                seen.entry((next, later)).or_insert_with(|| {
                    queue.push_back((next, later));
                    way.iter().copied().chain([event]).collect()
                });
            }
        }
    }
    seen
}

fn ready_of(service: &Service) -> Option<(Pid, Option<Source>)> {
    match service.state() {
        State::Run(r) => Some((r.pid, r.ready.map(|(_, source)| source))),
        _ => None,
    }
}

fn check(service: &Service, event: Event, now: Instant, way: &[Event]) {
    let (next, actions) = service.step(now, event);
    let context = || {
        format!(
            "{service:?}\n  after {way:?}\n  on {event:?} at {now:?}\n  to {next:?} {actions:?}"
        )
    };
    let (before, after) = (ready_of(service), ready_of(&next));
    if let (Some((pid, was)), Some((same, is))) = (before, after)
        && pid == same
    {
        // Once ready it stays so, and by the word that came first.
        assert!(was.is_none() || was == is, "{}", context());
        if was != is {
            let told = match event {
                Event::Ready(of, source) => of == pid && is == Some(source),
                Event::Command(Command::Ready) => is == Some(Source::Command),
                Event::Tick => is == Some(Source::Assumed),
                _ => false,
            };
            assert!(told && service.awaits_ready(), "{}", context());
        }
        // A word of this run counts, unless it leaves.
        if let Event::Ready(of, _) = event
            && of == pid
            && service.awaits_ready()
        {
            assert!(is.is_some(), "{}", context());
        }
    }
    // Words act on nothing but deadlines: the one look is for the end that was said.
    if words().contains(&event) {
        assert_eq!(service.want(), next.want(), "{}", context());
        let looks = |action: &Action| matches!(action, Action::Look(Look::Ends(..)));
        // Whatever is due is settled by any event.
        let runs = matches!(service.state(), State::Run(_));
        assert!(!runs || actions.iter().all(looks), "{}", context());
    }
    check_deadline(service, event, now, &next, &context);
    // KILL comes from a command, or at a deadline that has come.
    let kills =
        |action: &Action| matches!(action, Action::Signal(_, signal) if *signal == Signal::KILL);
    if actions.iter().any(kills) {
        let is_due = service.deadline().is_some_and(|at| at <= now);
        assert!(event == Event::Tick && is_due, "{}", context());
    }
    // Its end is its end.
    if matches!(event, Event::Exited(..)) && before.is_some() {
        assert!(!next.awaits_ready() && after.is_none(), "{}", context());
    }
}

fn check_deadline(
    service: &Service,
    event: Event,
    now: Instant,
    next: &Service,
    context: &dyn Fn() -> String,
) {
    if let (Event::Extend(_), State::Run(_)) = (event, service.state()) {
        let (before, after) = (service.deadline(), next.deadline());
        assert!(
            after >= before && before.is_some() == after.is_some(),
            "{}",
            context()
        );
        let most = now.plus_ms(3_600_000).max(before.unwrap_or(now));
        assert!(after.is_none_or(|at| at <= most), "{}", context());
    }
    // A tick that was due leaves another deadline, or none: never the same, for ever.
    if event == Event::Tick
        && let State::Run(_) = service.state()
        && let Some(at) = next.deadline()
    {
        assert!(at > now, "{}", context());
    }
}

#[test]
fn every_state_and_every_event() {
    for timeout_up in [None, Some(UP_MS)] {
        let found = asks(timeout_up);
        let seen = explore(found);
        let awaits = seen.keys().filter(|(service, _)| service.awaits_ready());
        assert!(awaits.count() > 10, "of {}", seen.len());
        for ((service, moment), way) in &seen {
            for event in events(service, found) {
                for ms in &MOMENTS[*moment..] {
                    check(service, event, at(*ms), way);
                }
            }
        }
    }
}

fn starting(timeout_up: Option<u32>) -> Service {
    let found = Event::Looked(Look::Start, asks(timeout_up));
    [Event::Tick, found, Event::Started(101)]
        .into_iter()
        .fold(Service::new(Role::Main, Want::Up), |service, event| {
            service.step(START, event).0
        })
}

fn run(service: &Service) -> model::service::Running {
    match service.state() {
        State::Run(run) => run,
        state => panic!("{state:?}"),
    }
}

#[test]
fn who_is_late_gets_the_signal_of_a_stop_and_then_kill_once() {
    let service = starting(Some(UP_MS));
    assert_eq!(service.deadline(), Some(at(500)));
    let (service, actions) = service.step(at(500), Event::Tick);
    let look = Look::Signal(Sig::Term, 101);
    assert_eq!(actions, [Action::Look(look)]);
    assert_eq!(service.deadline(), Some(at(5500)));
    let (service, actions) = service.step(at(500), Event::Looked(look, Settings::default()));
    assert_eq!(actions, [Action::Signal(101, Signal::TERM)]);
    // Too late.
    let (service, _) = service.step(at(501), Event::Ready(101, Source::Descriptor));
    assert_eq!(run(&service).ready, None);
    assert_eq!(service.deadline(), Some(at(5500)));
    let (service, _) = service.step(at(5500), Event::Tick);
    let (killed, _) = service.step(at(20_000), Event::Tick);
    assert_eq!(killed.deadline(), None);
    // It counts as a short life, however long it was, and stays wanted up.
    let (service, actions) = service.step(at(5600), Event::Exited(101, Exit::Signal(9)));
    assert_eq!(service.streak().lives(), 1);
    assert!(
        actions
            .iter()
            .any(|a| matches!(a, Action::Look(Look::End { .. })))
    );
    let (service, _) = service.step(
        at(5600),
        Event::Looked(
            Look::End {
                exit: Exit::Signal(9),
                cause: Cause::Timeout,
                grows: false,
            },
            Settings::default(),
        ),
    );
    assert_eq!(service.want(), Want::Up);
    assert_eq!(service.deadline(), Some(at(6600)));
}

#[test]
fn who_is_ready_in_time_has_no_deadline() {
    let ready = Event::Ready(101, Source::Descriptor);
    let (service, actions) = starting(Some(UP_MS)).step(at(499), ready);
    assert_eq!(actions, []);
    assert_eq!(service.deadline(), None);
    assert_eq!(run(&service).ready, Some((at(499), Source::Descriptor)));
}

#[test]
fn time_that_is_asked_for_is_given_an_hour_at_most_and_never_taken() {
    let service = starting(Some(UP_MS));
    for (ms, by) in [(3000, 3100), (100, 500), (u64::MAX, 3_600_100)] {
        let (service, _) = service.step(at(100), Event::Extend(ms));
        assert_eq!(service.deadline(), Some(at(by)));
    }
    let (service, _) = starting(None).step(at(100), Event::Extend(3000));
    assert_eq!(service.deadline(), None);
}

#[test]
fn who_says_that_it_ends_has_the_time_of_a_stop_for_that() {
    let (service, actions) = starting(None).step(at(100), Event::Stopping(0));
    assert_eq!(actions, [Action::Look(Look::Ends(101, 0))]);
    let (twice, actions) = service.step(at(100), Event::Stopping(0));
    assert_eq!((twice, actions), (service, vec![]));
    let kills = Settings {
        timeout_kill: Some(2000),
        ..Settings::default()
    };
    for (asked, by) in [(0, Some(at(2100))), (7000, Some(at(7100)))] {
        let looked = Event::Looked(Look::Ends(101, asked), kills);
        assert_eq!(service.step(at(100), looked).0.deadline(), by);
    }
    let looked = Event::Looked(Look::Ends(101, 0), Settings::default());
    assert_eq!(service.step(at(100), looked).0.deadline(), None);
    let (service, _) = service.step(at(101), Event::Ready(101, Source::Message));
    assert_eq!(run(&service).ready, None);
}

/// Its word may be lost, so nobody is stopped for it.
#[test]
fn who_was_taken_over_is_ready_in_the_end() {
    for (timeout_up, by) in [(None, 30_000), (Some(UP_MS), 500)] {
        let service = beginnings(asks(timeout_up))[1];
        assert_eq!(service.deadline(), Some(at(by)));
        let (service, actions) = service.step(at(by), Event::Tick);
        assert_eq!(actions, []);
        assert_eq!(run(&service).ready, Some((at(by), Source::Assumed)));
        assert_eq!(service.deadline(), None);
    }
    // Its directory asks for nothing any more.
    let service = beginnings(Settings::default())[1];
    assert_eq!(run(&service).ready, Some((START, Source::Start)));
}

/// Those that only want it need not wait for the next time (`order_settled`).
#[test]
fn that_it_was_late_is_known_until_it_is_ready_for_a_second() {
    let mut service = starting(Some(UP_MS));
    assert!(!service.streak().was_late());
    service = service.step(at(500), Event::Tick).0;
    assert!(service.streak().was_late());
    service = service.step(at(600), Event::Exited(101, Exit::Code(0))).0;
    let (exit, cause) = (Exit::Code(0), Cause::Timeout);
    let end = Look::End {
        exit,
        cause,
        grows: false,
    };
    for (ms, event) in [
        (600, Event::Looked(end, Settings::default())),
        (1600, Event::Tick),
        (1600, Event::Looked(Look::Start, asks(Some(UP_MS)))),
        (1600, Event::Started(102)),
    ] {
        service = service.step(at(ms), event).0;
        let again = Service::resume(Role::Main, &service.handover());
        let is_told = again.is_none_or(|again| again.streak().was_late());
        assert!(service.streak().was_late() && is_told);
    }
    let ready = Event::Ready(102, Source::Descriptor);
    service = service.step(at(2600), ready).0;
    assert!(!service.streak().was_late());
    // What is not wanted up has no failures.
    let late = starting(Some(UP_MS)).step(at(500), Event::Tick).0;
    let told = late.step(at(500), Event::Command(Command::Down)).0;
    assert!(!told.streak().was_late());
}

/// `./setup` and its run have one time, whoever sees the end of the one.
#[test]
fn the_time_of_a_setup_goes_over_to_a_successor() {
    let found = Settings {
        setup: true,
        run: true,
        ..asks(Some(UP_MS))
    };
    let begun = [
        Event::Tick,
        Event::Looked(Look::Start, found),
        Event::Started(101),
    ];
    let new = Service::new(Role::Main, Want::Up);
    let setup = begun
        .into_iter()
        .fold(new, |s, event| s.step(START, event).0);
    let upgraded = Service::resume(Role::Main, &setup.handover()).unwrap();
    let setup_runs = Program::Setup;
    let adopted = Service::adopt_run(Role::Main, Want::Up, setup_runs, 101, START, false, false)
        .has_time_again(&found, at(100));
    for (service, by) in [(setup, 500), (upgraded, 500), (adopted, 600)] {
        assert_eq!(service.deadline(), Some(at(by)));
        let then = [
            Event::Exited(101, Exit::Code(0)),
            Event::Looked(Look::SetUp, found),
            Event::Started(102),
        ];
        let run = then
            .into_iter()
            .fold(service, |s, event| s.step(at(300), event).0);
        assert_eq!(run.deadline(), Some(at(by)));
        assert!(run.awaits_ready());
    }
}

/// An upgrade forgets nothing: whatever happens then, happens.
#[test]
fn what_is_awaited_goes_over_to_a_successor() {
    for ((service, _), way) in explore(asks(Some(UP_MS))) {
        if let State::Run(before) = service.state() {
            let words = service.handover();
            let again = Service::resume(Role::Main, &words).unwrap();
            assert_eq!(again.handover(), words);
            let after = run(&again);
            assert_eq!(
                (after.ready, again.deadline(), again.awaits_ready()),
                (before.ready, service.deadline(), service.awaits_ready()),
                "after {way:?}"
            );
        }
    }
}
