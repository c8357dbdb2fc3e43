//! What runit does: an action of `model::stages`, and the answer to it.

use std::ffi::CString;
use std::path::Path;

use model::pid1::End;
use model::process::Pid;
use model::stages::{Action, Event, Script, Stage};

use crate::machine::requests::{REBOOT, STOPIT, is_executable};
use crate::machine::turn::Outcome;
use crate::machine::{self, accounts, console, record, rescue, world};
use crate::sys::{power, signal, spawn};

/// Its presence keeps us from writing file systems to disk.
const NOSYNC: &str = "/etc/runit/nosync";
/// Exit code of a stage that cannot be run: the next one comes, as with runit.
const NO_STAGE: u8 = 0;

/// Does it; `words` are the arguments of the stages.
pub fn act(action: Action, words: &[Vec<u8>]) -> Outcome<Event> {
    match action {
        Action::Start(script) => return Outcome::Answer(start(script, words)),
        Action::Say(message) => console::say(&message.to_string()),
        Action::Term(pid) => {
            drop(signal::kill(pid, signal::SIGTERM));
            // A stopped process would sleep through it.
            drop(signal::kill(pid, signal::SIGCONT));
        }
        Action::Kill(pid) => drop(signal::kill(pid, signal::SIGKILL)),
        Action::KillGroup(pid) => drop(signal::kill_group(pid, signal::SIGKILL)),
        Action::TakeStopit => return Outcome::Answer(Event::Stopit(take_stopit())),
        Action::LookAtReboot => return Outcome::Answer(Event::Reboot(REBOOT.is_set())),
        Action::SetReboot(yes) => set_reboot(yes),
        Action::TermAll => machine::term_all(),
        Action::KillAll => drop(signal::kill_all(signal::SIGKILL)),
        Action::Sync if Path::new(NOSYNC).exists() => {}
        Action::Sync => power::sync(),
        Action::Account(account) => accounts::tell(account),
        Action::End(how) => return end(how),
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
    if script == Script::Shell {
        world::single_user_begins();
    }
    match spawn::fork(|| become_script(script, words)) {
        Ok(pid) => {
            let (pid, path) = (pid as Pid, script.path().as_bytes());
            match script {
                Script::Stage(Stage::One) => record::step_began(pid, path),
                Script::Stage(Stage::Two) => record::started(pid, path),
                Script::Stage(Stage::Three) | Script::CtrlAltDel | Script::Shell => {}
            }
            Event::Started(script, pid)
        }
        Err(e) => Event::StartFailed(script, e.to_string()),
    }
}

/// Runs in the child; returns only when the script cannot be run. Stage 1 stays
/// in our session, so that its emergency shell may take the console.
fn become_script(script: Script, words: &[Vec<u8>]) -> u8 {
    if script == Script::Shell {
        console::take_up_again();
        return rescue::on_the_console();
    }
    if script != Script::Stage(Stage::One) {
        let _ = rustix::process::setsid();
    }
    let path = CString::new(script.path()).unwrap_or_default();
    let words: &[Vec<u8>] = match script {
        Script::Stage(_) => words,
        Script::CtrlAltDel | Script::Shell => &[],
    };
    let words = words.iter().filter_map(|w| CString::new(w.clone()).ok());
    let argv: Vec<CString> = std::iter::once(path.clone()).chain(words).collect();
    let trouble = spawn::exec(&path, &argv, None);
    console::say(&format!("can't run {}: {trouble}", script.path()));
    if script == Script::Stage(Stage::Two) {
        // What follows is the end of the machine.
        return rescue::on_the_console();
    }
    NO_STAGE
}

/// Comes back with an answer only when the end is refused.
fn end(end: End) -> Outcome<Event> {
    match machine::end(end) {
        Ok(()) => Outcome::Done,
        Err(e) => Outcome::Answer(Event::Refused(e.to_string())),
    }
}
