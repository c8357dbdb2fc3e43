//! The loop of PID 1: signals, ended children and the deadline go into the
//! machine; what it wants done is done, and the outcome goes into it again.

use std::collections::VecDeque;
use std::ffi::CString;
use std::path::Path;

use model::stages::{Action, Event, Fate, Script, Signal, Stage, Stages};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::machine::requests::{REBOOT, STOPIT, is_executable};
use crate::machine::{self, children, console, lifeline, now, upgrade};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{power, spawn};

/// Its presence keeps us from writing file systems to disk.
const NOSYNC: &str = "/etc/runit/nosync";
/// Exit code of a stage that cannot be run: the next one comes, as with runit.
const NO_STAGE: u8 = 0;

/// What became of an action.
enum Outcome {
    Done,
    Answer(Event),
    Exit,
}

/// Runs the machine until it exits.
pub fn run(mut stages: Stages, signals: &SignalFd, words: &[Vec<u8>]) -> u8 {
    let mut events = VecDeque::from([Event::Tick]);
    let mut upgrade = false;
    loop {
        while let Some(event) = events.pop_front() {
            lifeline::fail_for_a_test(event == Event::Signal(Signal::Cont));
            let (next, actions) = stages.step(now(), event);
            stages = next;
            for action in actions {
                match act(action, words) {
                    Outcome::Done => {}
                    Outcome::Answer(event) => events.push_back(event),
                    Outcome::Exit => return 0,
                }
            }
            lifeline::remember(stages.handover());
        }
        upgrade |= read_signals(signals, &mut events);
        let none_is_left = children::reap(|pid, how| events.push_back(Event::Exited(pid, how)));
        if none_is_left && stages.waits_for_the_last_process() {
            events.push_back(Event::NoChildren);
        }
        if events.is_empty() && std::mem::take(&mut upgrade) {
            upgrade::go_on_in_a_new_program(stages.is_up());
        } else if events.is_empty() {
            wait_for_news(signals, &stages, &mut events);
        }
    }
}

/// Whether a new program is to be executed; other signals are events.
fn read_signals(signals: &SignalFd, events: &mut VecDeque<Event>) -> bool {
    let mut upgrade = false;
    while let Some(delivered) = signals.next() {
        let signal = match delivered.signal {
            signal::SIGINT => Signal::Int,
            signal::SIGCONT => Signal::Cont,
            signal::SIGPWR => Signal::Pwr,
            signal::SIGUSR1 => Signal::Usr1,
            signal::SIGUSR2 => Signal::Usr2,
            signal::SIGTERM => Signal::Term,
            upgrade::UPGRADE => {
                upgrade = true;
                continue;
            }
            // CHLD: reaping follows anyway.
            _ => continue,
        };
        events.push_back(Event::Signal(signal));
    }
    upgrade
}

/// Sleeps until a signal comes or the machine's deadline is reached.
fn wait_for_news(signals: &SignalFd, stages: &Stages, events: &mut VecDeque<Event>) {
    let timeout = stages
        .deadline()
        .and_then(|end| Timespec::try_from(end.saturating_sub(now())).ok());
    let mut fds = [PollFd::new(signals, PollFlags::IN)];
    if poll(&mut fds, timeout.as_ref()) == Ok(0) {
        events.push_back(Event::Tick);
    }
}

fn act(action: Action, words: &[Vec<u8>]) -> Outcome {
    match action {
        Action::Start(script) => return Outcome::Answer(start(script, words)),
        Action::Say(message) => console::say(&message.to_string()),
        Action::Term(pid) => {
            drop(signal::kill(pid, signal::SIGTERM));
            // A stopped process would sleep through it.
            drop(signal::kill(pid, signal::SIGCONT));
        }
        Action::Kill(pid) => drop(signal::kill(pid, signal::SIGKILL)),
        Action::KillGroup(pid) => drop(signal::kill(-pid, signal::SIGKILL)),
        Action::TakeStopit => return Outcome::Answer(Event::Stopit(take_stopit())),
        Action::LookAtReboot => return Outcome::Answer(Event::Reboot(REBOOT.is_set())),
        Action::SetReboot(yes) => set_reboot(yes),
        Action::TermAll => {
            drop(signal::kill(-1, signal::SIGTERM));
            drop(signal::kill(-1, signal::SIGCONT));
        }
        Action::KillAll => drop(signal::kill(-1, signal::SIGKILL)),
        Action::Sync if Path::new(NOSYNC).exists() => {}
        Action::Sync => power::sync(),
        Action::End(fate) => return end(fate),
        Action::Exit => return Outcome::Exit,
    }
    Outcome::Done
}

/// A message that cannot be taken back does no harm: the machine goes down anyway.
fn take_stopit() -> bool {
    let is_set = STOPIT.is_set() == Some(true);
    if is_set {
        drop(STOPIT.clear());
    }
    is_set
}

/// For stage 3, which may look; what comes does not depend on it.
fn set_reboot(yes: bool) {
    let done = if yes { REBOOT.set() } else { REBOOT.clear() };
    if let Err(e) = done {
        console::note(&format!("change mode of {}: {e}", REBOOT.name()));
    }
}

fn start(script: Script, words: &[Vec<u8>]) -> Event {
    if script == Script::CtrlAltDel && is_executable(script.path()) != Some(true) {
        return Event::NoCtrlAltDel;
    }
    match spawn::fork(|| become_script(script, words)) {
        Ok(pid) => Event::Started(script, pid),
        Err(e) => Event::StartFailed(script, e.to_string()),
    }
}

/// Runs in the child; returns only when the script cannot be run. Stage 1 stays
/// in our session, so that its emergency shell may take the console.
fn become_script(script: Script, words: &[Vec<u8>]) -> u8 {
    if script != Script::Stage(Stage::One) {
        let _ = rustix::process::setsid();
    }
    let path = CString::new(script.path()).unwrap_or_default();
    let words: &[Vec<u8>] = match script {
        Script::Stage(_) => words,
        Script::CtrlAltDel => &[],
    };
    let words = words.iter().filter_map(|w| CString::new(w.clone()).ok());
    let argv: Vec<CString> = std::iter::once(path.clone()).chain(words).collect();
    let trouble = spawn::exec(&path, &argv, None);
    console::say(&format!("can't run {}: {trouble}", script.path()));
    NO_STAGE
}

/// Comes back with an answer only when the end is refused.
fn end(fate: Fate) -> Outcome {
    let end = match fate {
        Fate::Halt => power::End::Halt,
        Fate::Poweroff => power::End::Poweroff,
        Fate::Reboot => power::End::Reboot,
    };
    match machine::end(end) {
        Ok(()) => Outcome::Done,
        Err(e) => Outcome::Answer(Event::Refused(e.to_string())),
    }
}
