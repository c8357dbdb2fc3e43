//! What can happen to a service in a state, late or out of place events included.

use model::command::{Command, Sig};
use model::format::restart;
use model::restart::Cause;
use model::service::{Event, Exit, Failure, Pid, Service, State};
use model::settings::{Look, Settings};

use super::awaits_a_start;

/// The signals that differ in what they do; all others are as HUP.
pub const SIGS: [Sig; 4] = [Sig::Pause, Sig::Cont, Sig::Hup, Sig::Term];

fn commands(files: Files) -> Vec<Command> {
    let plain = [Command::Up, Command::Down, Command::Once, Command::Exit];
    let signals = signals(files).iter().copied().map(Command::Signal);
    plain.into_iter().chain(signals).collect()
}

/// A pause has nothing to do with our own files.
fn signals(files: Files) -> &'static [Sig] {
    match files {
        Files::Plain => &SIGS,
        Files::Ours => &SIGS[2..],
    }
}

/// The pid that the next start would get: never that of the present process, but
/// that of a start that is late.
pub fn next_pid(service: &Service) -> Pid {
    match (service.phase().1, awaits_a_start(service)) {
        (0, _) | (102, false) | (101, true) => 101,
        _ => 102,
    }
}

/// What a service directory may hold besides runit's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Nothing.
    Plain,
    /// `setup`, and what says when the service stays down.
    Ours,
}

/// Every event that can come in a state, late or out of place ones included.
pub fn events(service: &Service, files: Files) -> Vec<Event> {
    let mut events: Vec<Event> = commands(files).into_iter().map(Event::Command).collect();
    events.extend([Event::Tick, Event::Prepared, Event::Retire, Event::Drain]);
    let looks = looks(service, files).into_iter();
    events.extend(looks.flat_map(|look| answers(look, files)));
    events.push(Event::Started(next_pid(service)));
    events.push(Event::Late(next_pid(service)));
    // What counts as a failure of the kernel comes last, so that the shortest ways
    // that `explore` finds are without it where they can be.
    events.extend([Failure::Absent, Failure::Exec, Failure::Resources].map(Event::NotStarted));
    for pid in [101, 102] {
        events.push(Event::Exited(pid, Exit::of_status(0)));
        for sig in signals(files).iter().copied() {
            for handled in [false, true] {
                events.push(Event::ScriptEnded { sig, pid, handled });
            }
        }
    }
    if files == Files::Ours {
        let codes = [1, 111, 125].map(Exit::Code);
        events.extend(codes.map(|exit| Event::Exited(service.phase().1.max(101), exit)));
        let (sig, pid, handled) = (Sig::Hup, 0, true);
        events.push(Event::ScriptEnded { sig, pid, handled });
    }
    events
}

pub fn there(letters: &[u8]) -> Settings {
    Settings {
        scripts: letters.iter().copied().collect(),
        ..Settings::default()
    }
}

/// Every question, asked of this service or not.
fn looks(service: &Service, files: Files) -> Vec<Look> {
    let pid = match service.state() {
        State::Run(run) => run.pid,
        State::Done { .. } => 0,
        _ => 101,
    };
    let signals = signals(files).iter().map(|sig| Look::Signal(*sig, pid));
    let late = Look::Signal(Sig::Term, next_pid(service));
    let stops = [Look::Stop(b'd', pid), Look::Stopped(b'd', pid), late];
    let cause = Cause::Itself;
    let exit = Exit::of_status(256);
    let ends = [false, true].map(|grows| Look::End { exit, cause, grows });
    let starts = [Look::Start, Look::Run, Look::Logger];
    let all = starts.into_iter().chain(ends).chain(signals).chain(stops);
    let mut all: Vec<Look> = all.collect();
    if files == Files::Ours {
        let end = |cause, exit| Look::End {
            exit,
            cause,
            grows: false,
        };
        all.extend([
            Look::SetUp,
            end(Cause::Command, Exit::Signal(15)),
            end(Cause::Setup, Exit::Code(1)),
            end(Cause::Setup, Exit::Code(111)),
            end(Cause::Undone, Exit::Code(0)),
        ]);
    }
    all
}

/// All that can be found.
fn answers(look: Look, files: Files) -> Vec<Event> {
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
    if files == Files::Ours {
        found.extend(answers_of_ours(look));
    }
    let events = found.into_iter().map(|found| Event::Looked(look, found));
    events.collect()
}

fn answers_of_ours(look: Look) -> Vec<Settings> {
    let finish = Settings {
        finish: true,
        ..Settings::default()
    };
    match look {
        Look::Start | Look::Run => vec![Settings {
            setup: true,
            ..Settings::default()
        }],
        Look::SetUp => vec![Settings {
            run: false,
            ..Settings::default()
        }],
        Look::End { .. } => vec![
            Settings {
                restart: restart::decode(b"never\n").ok(),
                ..finish
            },
            Settings {
                restart: restart::decode(b"always\n").ok(),
                ..finish
            },
            Settings {
                give_up: Some(3),
                ..finish
            },
        ],
        _ => vec![],
    }
}
