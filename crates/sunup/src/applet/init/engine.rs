//! The loop of PID 1: signals, ended children and the deadline go into the
//! machine; what it wants done is done, and the outcome goes into it again.

use std::collections::VecDeque;

use model::boot::{Action, Event, Fate, Id, Machine, Message, STAGE3, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{child, table};
use crate::machine::{self, children, console, lifeline, now, upgrade};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{power, spawn};

/// What became of an action.
enum Outcome {
    Done,
    Answer(Event),
    Exit,
}

/// Runs the machine until it exits; `signal` is one that came before.
pub fn run(mut machine: Machine, signals: &SignalFd, signal: Option<Signal>) -> u8 {
    let mut events = VecDeque::from([Event::Tick]);
    events.extend(signal.map(Event::Signal));
    let mut upgrade = false;
    loop {
        while let Some(event) = events.pop_front() {
            lifeline::fail_for_a_test(event == Event::Signal(Signal::Hup));
            let (next, actions) = machine.step(now(), event);
            machine = next;
            for action in actions {
                match act(action) {
                    Outcome::Done => {}
                    Outcome::Answer(event) => events.push_back(event),
                    Outcome::Exit => return 0,
                }
            }
            lifeline::remember(machine.handover());
        }
        upgrade |= read_signals(signals, &mut events);
        reap(&machine, &mut events);
        if events.is_empty() && std::mem::take(&mut upgrade) {
            upgrade::go_on_in_a_new_program(machine.is_up());
        } else if events.is_empty() {
            wait_for_news(signals, &machine, &mut events);
        }
    }
}

/// Whether a new program is to be executed; other signals are events.
fn read_signals(signals: &SignalFd, events: &mut VecDeque<Event>) -> bool {
    let mut upgrade = false;
    while let Some(delivered) = signals.next() {
        let signal = match delivered.signal {
            signal::SIGINT => Signal::Int,
            signal::SIGTSTP => Signal::Tstp,
            signal::SIGCONT => Signal::Cont,
            signal::SIGQUIT => Signal::Quit,
            signal::SIGHUP => Signal::Hup,
            signal::SIGUSR1 => Signal::Usr1,
            signal::SIGPWR => Signal::Pwr,
            signal::SIGTERM => Signal::Term,
            signal::SIGUSR2 => Signal::Usr2,
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

fn reap(machine: &Machine, events: &mut VecDeque<Event>) {
    let none_is_left = children::reap(|pid, how| events.push_back(Event::Exited(pid, how)));
    if none_is_left && machine.waits_for_the_last_process() {
        events.push_back(Event::NoChildren);
    }
}

/// Sleeps until a signal comes or the machine's deadline is reached.
fn wait_for_news(signals: &SignalFd, machine: &Machine, events: &mut VecDeque<Event>) {
    let timeout = machine
        .deadline()
        .and_then(|end| Timespec::try_from(end.saturating_sub(now())).ok());
    let mut fds = [PollFd::new(signals, PollFlags::IN)];
    if poll(&mut fds, timeout.as_ref()) == Ok(0) {
        events.push_back(Event::Tick);
    }
}

fn act(action: Action) -> Outcome {
    match action {
        Action::Start { id, .. } if id == Id::STAGE3 && !stage3_is_there() => {
            return Outcome::Answer(Event::NoStage3);
        }
        Action::Start { id, entry, quiet } => {
            return Outcome::Answer(start(id, &entry, quiet));
        }
        Action::Say(message) => speak(&message),
        Action::KillGroup(pid) => {
            // The process may not lead its group yet.
            drop(signal::kill(pid, signal::SIGKILL));
            drop(signal::kill(-pid, signal::SIGKILL));
        }
        Action::TermAll => {
            drop(signal::kill(-1, signal::SIGTERM));
            // A stopped process would sleep through it.
            drop(signal::kill(-1, signal::SIGCONT));
        }
        Action::KillAll => drop(signal::kill(-1, signal::SIGKILL)),
        Action::Sync => power::sync(),
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

fn start(id: Id, entry: &model::format::inittab::Entry, quiet: bool) -> Event {
    match spawn::fork(|| child::become_command(entry, quiet)) {
        Ok(pid) => {
            if !quiet {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                let (tty, command) = (text(&entry.tty), text(&entry.command));
                console::note(&format!("starting pid {pid}, tty '{tty}': '{command}'"));
            }
            Event::Started(id, pid)
        }
        Err(e) => Event::StartFailed(id, e.to_string()),
    }
}

/// Comes back with an answer only when the end is refused.
fn end(fate: &Fate) -> Outcome {
    let refused = match fate {
        Fate::Halt => machine::end(power::End::Halt),
        Fate::Reboot => machine::end(power::End::Reboot),
        Fate::Poweroff => machine::end(power::End::Poweroff),
        Fate::Restart(entry) => {
            console::drain();
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
