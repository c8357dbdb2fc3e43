//! The states that a person would name, and what becomes of each: the golden table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::command::{Command, Sig};
use model::format::restart;
use model::restart::{Cause, LOOP_LIVES};
use model::service::{Action, Announce, Event, Exit, Role, Service, Want};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::time::Instant;

use super::EARLY;
use super::events::{Files, events, there};

/// The states that a person would name, for the table.
pub fn named() -> Vec<(&'static str, Files, Service)> {
    let plain = named_services().into_iter().chain(named_loggers());
    let plain = plain.chain(named_stops());
    let plain = plain.map(|(name, service)| (name, Files::Plain, service));
    let ours = named_of_ours().into_iter();
    plain
        .chain(ours.map(|(name, service)| (name, Files::Ours, service)))
        .collect()
}

pub fn after(start: Service, events: &[Event]) -> Service {
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
    let (cause, grows) = (Cause::Itself, false);
    let finish = [
        Event::Exited(101, exit),
        Event::Looked(Look::End { exit, cause, grows }, asks),
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

fn named_of_ours() -> Vec<(&'static str, Service)> {
    let setup = Settings {
        setup: true,
        ..Settings::default()
    };
    let nothing = Settings::default();
    let up = Service::new(Role::Main, Want::Up);
    let asked = after(up, &[Event::Tick, Event::Looked(Look::Start, setup)]);
    let runs = after(asked, &[Event::Started(101)]);
    let exited = |code| Event::Exited(101, Exit::Code(code));
    let command = |byte| Event::Command(Command::from_byte(byte).unwrap());
    let stops = Event::Looked(Look::Stop(b'd', 101), nothing);
    let looks = after(runs, &[exited(0)]);
    let alone = Settings {
        run: false,
        ..nothing
    };
    let done = after(looks, &[Event::Looked(Look::SetUp, alone)]);
    let hup = Look::Signal(Sig::Hup, 0);
    let decides = Settings {
        finish: true,
        restart: restart::decode(b"always\n").ok(),
        ..nothing
    };
    let cause = Cause::Itself;
    let (exit, grows) = (Exit::Code(1), false);
    let ended = Look::End { exit, cause, grows };
    let start = [Event::Tick, Event::Looked(Look::Start, nothing)];
    let run = after(up, &[start[0], start[1], Event::Started(101)]);
    vec![
        ("setup asked for", asked),
        ("setup", runs),
        ("setup, once", after(runs, &[command(b'o')])),
        (
            "setup, want down, got TERM",
            after(runs, &[command(b'd'), stops]),
        ),
        ("setup succeeded: looks before run", looks),
        (
            "setup failed: looks before finish",
            after(runs, &[exited(1)]),
        ),
        ("oneshot: done", done),
        (
            "oneshot: done, control/h runs",
            after(done, &[command(b'h'), Event::Looked(hup, there(b"h"))]),
        ),
        (
            "oneshot: want down, looks before finish",
            after(done, &[command(b'd')]),
        ),
        (
            "oneshot: want exit, looks before finish",
            after(done, &[command(b'x')]),
        ),
        (
            "finish, which may say that it stays down",
            after(
                run,
                &[
                    exited(1),
                    Event::Looked(ended, decides),
                    Event::Started(102),
                ],
            ),
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
    let cause = Cause::Itself;
    let ends = |grows, found| Event::Looked(Look::End { exit, cause, grows }, found);
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
    let leave_out = |text: String, (what, rest): (&str, &str)| text.replace(what, rest);
    [
        ("program: Run, ", ""),
        (manner, ""),
        ("ended: None, ", ""),
        ("ended: Some(101), ", ""),
        ("ended: Some(102), ", ""),
        ("finish_ms: None, ", ""),
        ("kill_at: None, ", ""),
        ("), Stop))", "), Term))"),
        (&by_start, ""),
        (&announces_nothing, ""),
        ("leaves: No, ", ""),
        ("was_told: false, ", ""),
        ("was_told: true, ", ""),
        ("cause: Itself, ", ""),
        ("cause: Command, ", ""),
        ("(Code(1), None)", "(Code(1))"),
    ]
    .into_iter()
    .fold(text.to_owned(), leave_out)
}

fn shown(action: &Action) -> String {
    let Action::Signal(pid, signal) = action else {
        return format!("{action:?}");
    };
    let sig = Sig::ALL.into_iter().find(|sig| sig.signal() == *signal);
    let sig = sig.map_or_else(|| signal.to_string(), |sig| format!("{sig:?}"));
    format!("Signal({pid}, {sig})")
}

/// A state: its name, what may happen to it, and the service.
pub type Row = (&'static str, Vec<Event>, Service);

fn table(rows: impl Iterator<Item = Row>) -> String {
    let mut text = String::from(
        "# Every named state and every event: what becomes of it, and what is done.\n",
    );
    for (name, events, service) in rows {
        let _ = writeln!(text, "\n## {name}");
        let mut cells: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events {
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

#[test]
fn golden_table() {
    let row = |(name, files, service)| (name, events(&service, files), service);
    is_golden("service.txt", named().into_iter().map(row));
}

/// The table is reviewed when it changes: `UPDATE_GOLDEN=1 cargo test -p model` writes it anew.
pub fn is_golden(file: &str, rows: impl Iterator<Item = Row>) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let table = table(rows);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        golden == table,
        "the transitions changed; review them with UPDATE_GOLDEN=1 and git diff {path}"
    );
}
