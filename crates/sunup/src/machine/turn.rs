//! The loop of every PID 1: it hands news to the [`Life`], which decides, performs the
//! actions that come back, and hands in their outcome.
//!
//! A turn takes a bounded amount of everything that comes from outside: one signal,
//! and [`children::BATCH`] ended children. The other signals wait in the kernel,
//! where they outlast a PID 1 that has to start over.

use std::collections::VecDeque;

use super::devices::{self, Waited};
use super::{ask, children, console, lifeline, record, upgrade, watchdog};
use crate::sys::clock;
use crate::sys::signal::{self, SignalFd};
use model::pid1::{Life, News, Signal};

/// The outcome of an action.
pub enum Outcome<E> {
    /// It is done, and that is all.
    Done,
    /// The event that says whether it worked.
    Answer(E),
    /// PID 1 is to exit.
    Exit,
}

/// Lives until the end; `signal` is one that came before, `act` does an action.
pub fn run<L: Life>(
    mut life: L,
    signals: &SignalFd,
    signal: Option<Signal>,
    mut act: impl FnMut(L::Action) -> Outcome<L::Event>,
) -> u8 {
    let mut events = VecDeque::from([News::Tick.into()]);
    events.extend(signal.map(|signal| News::Signal(signal).into()));
    let mut upgrade = false;
    loop {
        while let Some(event) = events.pop_front() {
            let (next, actions) = life.step(clock::now(), event);
            life = next;
            for action in actions {
                match act(action) {
                    Outcome::Done => {}
                    Outcome::Answer(event) => events.push_back(event),
                    Outcome::Exit => {
                        watchdog::last(None);
                        return 0;
                    }
                }
            }
            lifeline::remember(life.handover());
        }
        if life.is_up() && lifeline::is_due() {
            lifeline::start_over("PID 1 is short of memory");
        }
        match signals.next().map(|delivered| delivered.signal) {
            Some(upgrade::UPGRADE) => upgrade = true,
            Some(number) => events.extend(meaning(number)),
            None => {}
        }
        let none_is_left = children::reap(|pid, ended| {
            record::ended(pid, ended);
            events.push_back(News::Exited(pid, ended).into());
        });
        if none_is_left && life.waits_for_the_last_process() {
            events.push_back(News::NoChildren.into());
        }
        if events.is_empty() && std::mem::take(&mut upgrade) {
            upgrade::go_on_in_a_new_program(life.is_up());
        } else if events.is_empty() {
            record::write();
            events.extend(wait_for_news(&life, signals));
        }
    }
}

/// Sleeps until a signal comes, or returns what else has happened: a device, or a tick that is due.
fn wait_for_news<L: Life>(life: &L, signals: &SignalFd) -> Option<L::Event> {
    let dog = watchdog::turn(life.is_up(), life.goes_down());
    if !life.waits_for_a_device() && !watchdog::waits() {
        devices::forget();
    }
    let due = [life.deadline(), dog].into_iter().flatten().min();
    match devices::wait(signals, due.map(clock::until).as_ref()) {
        Waited::Signal => None,
        Waited::Device => {
            watchdog::device();
            Some(News::Device.into())
        }
        Waited::Timeout => Some(News::Tick.into()),
    }
}

/// What a signal means; none for CHLD, as reaping follows anyway.
fn meaning<E: From<News>>(number: signal::Signal) -> Option<E> {
    let signal = match number {
        signal::SIGINT => Signal::Int,
        signal::SIGTSTP => Signal::Tstp,
        signal::SIGCONT => Signal::Cont,
        signal::SIGQUIT => Signal::Quit,
        signal::SIGHUP => Signal::Hup,
        signal::SIGUSR1 => Signal::Usr1,
        signal::SIGPWR => Signal::Pwr,
        signal::SIGTERM => Signal::Term,
        signal::SIGUSR2 => Signal::Usr2,
        signal::KEXEC => Signal::Kexec,
        signal::SINGLE if super::may_end(None) => Signal::Single,
        signal::SINGLE => {
            console::say(ask::NO_SINGLE);
            return None;
        }
        _ => return None,
    };
    lifeline::fail_for_a_test(signal);
    Some(News::Signal(signal).into())
}
