//! What init does: an action of `model::boot`, and the answer to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::boot::{Action, Event, Fate, Id, Message, STAGE3};
use model::format::inittab::Entry;
use model::process::Pid;

use super::{child, table};
use crate::machine::turn::Outcome;
use crate::machine::{self, accounts, console, devices, record, watchdog, world};
use crate::sys::{power, signal, spawn};

/// Performs an action.
pub fn act(action: Action) -> Outcome<Event> {
    match action {
        Action::Start { id, .. } if id == Id::STAGE3 && !stage3_is_there() => {
            return Outcome::Answer(Event::NoStage3);
        }
        Action::Start { id, entry, .. } if waits_for_its_terminal(&entry) => {
            return Outcome::Answer(Event::NoTerminal(id));
        }
        Action::Start { id, entry, quiet } => {
            return Outcome::Answer(start(id, &entry, quiet));
        }
        Action::Say(message) => speak(&message),
        Action::KillGroup(pid) => {
            // The process may not lead its group yet.
            drop(signal::kill(pid, signal::SIGKILL));
            drop(signal::kill_group(pid, signal::SIGKILL));
        }
        Action::TermAll => machine::term_all(),
        Action::KillAll => drop(signal::kill_all(signal::SIGKILL)),
        Action::Sync => power::sync(),
        Action::Account(account) => accounts::tell(account),
        Action::ReadInittab => return Outcome::Answer(Event::Inittab(table::read_again())),
        Action::End(fate) => return end(&fate),
        Action::Exit => return Outcome::Exit,
    }
    Outcome::Done
}

fn speak(message: &Message) {
    let text = message.to_string();
    if message.is_for_the_console() {
        console::say(&text);
    } else {
        console::note(&text);
    }
}

fn stage3_is_there() -> bool {
    use rustix::fs::{Access, access};
    access(STAGE3, Access::EXEC_OK).is_ok()
}

/// A boot does not wait for a terminal: its command runs, and fails.
fn waits_for_its_terminal(entry: &Entry) -> bool {
    let path = Path::new("/dev").join(OsStr::from_bytes(&entry.tty));
    !entry.tty.is_empty() && entry.action.respawns() && devices::awaits(&path)
}

fn start(id: Id, entry: &Entry, quiet: bool) -> Event {
    if id == Id::SHELL {
        world::single_user_begins();
    }
    match spawn::fork(|| child::become_command(entry, quiet)) {
        Ok(pid) => {
            record_start(entry, pid as Pid);
            if !quiet {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                let (tty, command) = (text(&entry.tty), text(&entry.command));
                console::note(&format!("starting pid {pid}, tty '{tty}': '{command}'"));
            }
            Event::Started(id, pid as Pid)
        }
        Err(e) => Event::StartFailed(id, e.to_string()),
    }
}

/// For the record of the boot.
fn record_start(entry: &Entry, pid: Pid) {
    use model::format::inittab::Action as A;
    match entry.action {
        A::Sysinit | A::Wait => record::step_began(pid, &entry.command),
        A::Once | A::Respawn | A::Askfirst => record::started(pid, &entry.command),
        A::Ctrlaltdel | A::Shutdown | A::Restart => {}
    }
}

/// Returns, with an answer, only if the kernel refuses the end.
fn end(fate: &Fate) -> Outcome<Event> {
    let refused = match fate {
        Fate::Halt => machine::end(power::End::Halt),
        Fate::Reboot => machine::end(power::End::Reboot),
        Fate::Poweroff => machine::end(power::End::Poweroff),
        Fate::Kexec => machine::end(power::End::Kexec),
        Fate::Restart(entry) => {
            console::drain();
            watchdog::last(None);
            power::ctrl_alt_del_resets(true);
            signal::reset_all();
            Err(child::replace_pid_1(entry))
        }
    };
    match refused {
        Ok(()) => Outcome::Done,
        Err(e) => Outcome::Answer(Event::Refused(e.to_string())),
    }
}
