//! What a process says of itself, and what the gates do, in every named state: a golden
//! table of its own. `gates.rs` and `ready.rs` beside this test explore both.

use model::command::Command;
use model::format::state::ready::Source;
use model::service::{Event, Exit, Program, Role, Service, Want};
use model::settings::{Look, Settings};

use super::EARLY;
use super::named::{after, is_golden, named};

/// A service that says when it is ready.
fn announces(timeout_up: Option<u32>) -> Settings {
    Settings {
        notification_fd: Some(3),
        timeout_up,
        ..Settings::default()
    }
}

fn told() -> Vec<Event> {
    let kills = Settings {
        timeout_kill: Some(2000),
        ..Settings::default()
    };
    let commands = [
        Command::Up,
        Command::StartNow,
        Command::Down,
        Command::Once,
        Command::Exit,
        Command::Ready,
    ];
    let mut events: Vec<Event> = commands.into_iter().map(Event::Command).collect();
    events.push(Event::Tick);
    for pid in [101, 102] {
        events.push(Event::Ready(pid, Source::Message));
        events.push(Event::Looked(Look::Ends(pid, 0), kills));
        events.push(Event::Exited(pid, Exit::of_status(0)));
    }
    events.extend([Event::Extend(3000), Event::Stopping(0)]);
    for is_open in [false, true] {
        events.extend([Event::Gate(is_open), Event::StopGate(is_open)]);
    }
    events
}

fn named_here() -> Vec<(&'static str, Service)> {
    let up = Service::new(Role::Main, Want::Up);
    let command = |byte| Event::Command(Command::from_byte(byte).unwrap());
    let begins = |found| {
        let found = Event::Looked(Look::Start, found);
        after(up, &[Event::Tick, found, Event::Started(101)])
    };
    let run = begins(Settings::default());
    let starting = |timeout_up, more: &[Event]| after(begins(announces(timeout_up)), more);
    let setup = Settings {
        setup: true,
        ..announces(Some(0))
    };
    let adopted = Service::adopt_run(Role::Main, Want::Up, Program::Run, 101, EARLY, false, false);
    vec![
        (
            "down, want up, held",
            after(up, &[Event::Gate(false), Event::Tick]),
        ),
        (
            "down, want down, told to run once, held",
            after(up, &[Event::Gate(false), command(b'o')]),
        ),
        (
            "run, want down, stop held",
            after(run, &[Event::StopGate(false), command(b'd')]),
        ),
        ("setup, its time is over", begins(setup)),
        ("run, starting", starting(None, &[])),
        ("run, starting, in time", starting(Some(500), &[])),
        ("run, starting, its time is over", starting(Some(0), &[])),
        (
            "run, starting, its time was over: looks before TERM",
            starting(Some(0), &[Event::Tick]),
        ),
        (
            "run, ready by a message",
            starting(Some(500), &[Event::Ready(101, Source::Message)]),
        ),
        (
            "run, starting, taken over",
            adopted
                .was_ready(None)
                .has_time_again(&announces(None), EARLY),
        ),
        (
            "run, says that it ends",
            starting(None, &[Event::Stopping(0)]),
        ),
    ]
}

#[test]
fn golden_table() {
    let everywhere = named()
        .into_iter()
        .map(|(name, _, service)| (name, service));
    let rows = everywhere.chain(named_here());
    is_golden(
        "readiness.txt",
        rows.map(|(name, service)| (name, told(), service)),
    );
}
