//! Exhaustive: every event in every state that a small machine can reach.

use std::collections::HashSet;

use super::*;
use crate::descent::Descent;

/// Single-user mode has a machine of its own, with one signal of each kind.
const SIGNALS: [Signal; 10] = [
    Signal::Int,
    Signal::Tstp,
    Signal::Cont,
    Signal::Quit,
    Signal::Hup,
    Signal::Usr1,
    Signal::Pwr,
    Signal::Term,
    Signal::Usr2,
    Signal::Kexec,
];
const SINGLE: [Signal; 3] = [Signal::Single, Signal::Int, Signal::Usr2];

const SMALL: &str = "::sysinit:s\n::respawn:r\n::ctrlaltdel:c\n::shutdown:d\n::restart:x";
const PLUGGED: &str = "tty9::respawn:r";
const BEFORE: &str = "::sysinit:s\n::respawn:r\n::once:o";
const AFTER: &str = "::wait:s\n::once:r\n::askfirst:o";

impl Machine {
    /// The same machine with the present as the origin of time, and with the
    /// past and the counts no finer than the rules look at them: `failures` are what some
    /// and what many in a row count as.
    fn normal(mut self, now: Instant, failures: (u8, u8)) -> Self {
        let rebase = |t: Instant| Instant(0).plus(t.since(now));
        for slot in &mut self.slots {
            slot.failures = match slot.failures {
                0 => 0,
                1..RESCUE_AFTER => failures.0,
                RESCUE_AFTER.. => failures.1,
            };
            match &mut slot.job {
                Job::Resting { until } | Job::Absent { until } => {
                    *until = rebase(*until).min(at(1));
                }
                Job::Running { since, .. } => *since = at(0),
                _ => {}
            }
        }
        if let Phase::Down(_, down) = &mut self.phase {
            match down {
                Down::Commands { current: Some(c) } => {
                    let at_work = self.slots.iter().position(|slot| slot.id == c.id);
                    if !c.id.is_own() {
                        c.id = Id(2 + at_work.unwrap() as u32);
                    }
                    c.until = rebase(c.until).min(at(2));
                }
                Down::Last(Descent::Term { until } | Descent::Kill { until }) => {
                    *until = rebase(*until);
                }
                _ => {}
            }
        }
        self.next_id = 100;
        for (n, slot) in (2..).zip(&mut self.slots) {
            if !slot.id.is_own() {
                slot.id = Id(n);
            }
            if let Job::Running { pid, .. } = &mut slot.job {
                *pid = 100 + n as Pid;
            }
        }
        self
    }

    fn pids(&self) -> Vec<Pid> {
        self.slots
            .iter()
            .filter_map(|s| match s.job {
                Job::Running { pid, .. } => Some(pid),
                _ => None,
            })
            .collect()
    }
}

/// How the fake kernel answers a start.
#[derive(Clone, Copy)]
enum Kernel {
    Gives,
    Refuses,
    HasNoStage3,
    HasNoTerminal,
}

/// Steps and answers; returns the machine and all actions.
fn run(mut machine: Machine, now: Instant, event: Event, kernel: Kernel) -> (Machine, Vec<Action>) {
    let mut all = vec![];
    let mut events = VecDeque::from([event]);
    let mut steps = 0;
    let mut next_pid = 1000;
    while let Some(event) = events.pop_front() {
        steps += 1;
        assert!(steps < 100, "no end of events: {machine:?}");
        let (next, actions) = machine.step(now, event);
        machine = next;
        for action in &actions {
            if let Action::Start { id, entry, .. } = action {
                next_pid += 1;
                events.push_back(match kernel {
                    Kernel::Refuses => Event::StartFailed(*id, String::new()),
                    Kernel::HasNoStage3 if *id == Id::STAGE3 => Event::NoStage3,
                    Kernel::HasNoTerminal if entry.action.respawns() && !entry.tty.is_empty() => {
                        Event::NoTerminal(*id)
                    }
                    Kernel::Gives | Kernel::HasNoStage3 | Kernel::HasNoTerminal => {
                        Event::Started(*id, next_pid)
                    }
                });
            }
        }
        all.extend(actions);
    }
    (machine, all)
}

/// Every event that can happen to the machine, with the moment it happens.
fn events_for(machine: &Machine, signals: &[Signal], inittabs: &[&str]) -> Vec<(Instant, Event)> {
    let mut events: Vec<_> = signals
        .iter()
        .map(|s| (at(0), Event::News(News::Signal(*s))))
        .collect();
    for pid in machine.pids().into_iter().chain([7]) {
        events.push((at(0), Event::News(News::Exited(pid, Exit::Signal(9)))));
        events.push((
            at(0).plus(SHORT_LIFE),
            Event::News(News::Exited(pid, Exit::Code(0))),
        ));
    }
    let list = |text: &&str| (at(0), Event::Inittab(Some(entries(text))));
    events.extend(inittabs.iter().map(list));
    let end = machine.deadline().unwrap_or_default();
    events.push((end, Event::News(News::Tick)));
    events.push((at(0), Event::News(News::Tick)));
    events.push((at(0), Event::News(News::NoChildren)));
    events.push((at(0), Event::News(News::Device)));
    events.push((at(0), Event::Refused(String::new())));
    events
}

/// What must hold in each state after its events were answered.
fn check(machine: &Machine, now: Instant) {
    let mut pids = machine.pids();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), machine.pids().len(), "a pid twice: {machine:?}");
    assert!(
        machine.deadline().is_none_or(|d| d > now),
        "spins: {machine:?}"
    );
    for slot in &machine.slots {
        assert_ne!(slot.job, Job::Starting, "unanswered: {machine:?}");
        let must_run = slot.listed && slot.entry.action.respawns();
        if machine.phase == Phase::Run && must_run && !machine.frozen {
            let runs = matches!(
                slot.job,
                Job::Running { .. } | Job::Resting { .. } | Job::Absent { .. }
            );
            assert!(runs, "lost: {machine:?}");
        }
        if let Job::Resting { until } | Job::Absent { until } = slot.job
            && machine.has_turn(slot)
        {
            assert!(machine.deadline().is_some_and(|d| d <= until));
        }
    }
    let has_asked = Down::Last(Descent::Asked);
    let is_over = Down::Last(Descent::Over);
    if let Phase::Down(_, down) = &machine.phase
        && ![has_asked, is_over].contains(down)
    {
        assert!(machine.deadline().is_some(), "never ends: {machine:?}");
    }
}

/// What must hold from one state to the next; `actions` led there.
fn check_way(before: &Machine, after: &Machine, actions: &[Action]) {
    let has_shell = after.slots.iter().any(|slot| slot.id == Id::SHELL);
    match &after.phase {
        Phase::Single => assert!(has_shell, "{after:?}"),
        Phase::Down(Some(_), _) => {}
        _ => assert!(!has_shell, "{after:?}"),
    }
    if let Phase::Down(None, _) = before.phase {
        let goes_on = matches!(after.phase, Phase::Down(..) | Phase::Single);
        assert!(goes_on, "{before:?} -> {after:?}");
    }
    for action in actions {
        match action {
            Action::End(_) => assert!(after.goes_down(), "{before:?} -> {after:?}"),
            Action::Start { id, entry, .. } => {
                use inittab::Action as A;
                let is_right = match (&after.phase, entry.action) {
                    (Phase::Single | Phase::Down(None, _), action) => {
                        id.is_own() || action == A::Ctrlaltdel
                    }
                    (_, A::Sysinit) => before.phase == Phase::Sysinit,
                    _ => true,
                };
                assert!(is_right, "{before:?} -> {after:?}: {entry:?}");
            }
            _ => {}
        }
    }
}

/// Nothing but time takes a machine that goes down to its end, or to root's shell.
fn ends(before: &Machine, kernel: Kernel) {
    let mut machine = before.clone();
    let mut now = at(0);
    for _ in 0..200 {
        let Some(end) = machine.deadline().filter(|_| machine.is_going_down()) else {
            break;
        };
        assert!(end > now);
        now = end;
        machine = run(machine, now, Event::News(News::Tick), kernel).0;
    }
    let is_there = match (&before.phase, &machine.phase) {
        (Phase::Down(None, _), Phase::Single) => machine.slots[0].id == Id::SHELL,
        (Phase::Down(Some(_), _), Phase::Down(_, Down::Last(Descent::Asked | Descent::Over))) => {
            true
        }
        _ => false,
    };
    assert!(is_there, "hangs: {machine:?}");
    assert!(
        now <= at(0).plus(STAGE3_LIMIT + 2 * SHUTDOWN_LIMIT + 10 * KILL_GRACE),
        "{now:?}"
    );
}

/// Goes through every state that can be reached, and returns how many there are.
fn explore(inittab: &str, signals: &[Signal], reloads: &[&str], failures: (u8, u8)) -> usize {
    let boot = Machine::boot(entries(inittab), GRACE);
    let mut todo = vec![boot];
    let mut seen = HashSet::new();
    while let Some(machine) = todo.pop() {
        for (now, event) in events_for(&machine, signals, reloads) {
            for kernel in [
                Kernel::Gives,
                Kernel::Refuses,
                Kernel::HasNoStage3,
                Kernel::HasNoTerminal,
            ] {
                let (next, actions) = run(machine.clone(), now, event.clone(), kernel);
                check(&next, now);
                check_way(&machine, &next, &actions);
                if let Event::News(News::Exited(pid, _)) = event {
                    assert!(!next.pids().contains(&pid), "reaped twice: {next:?}");
                }
                let next = next.normal(now, failures);
                if seen.insert(next.clone()) {
                    if next.is_going_down() {
                        ends(&next, kernel);
                    }
                    todo.push(next);
                }
                if !actions.iter().any(|a| matches!(a, Action::Start { .. })) {
                    break; // The kernel was not asked.
                }
            }
        }
    }
    seen.len()
}

#[test]
fn every_event_in_every_state() {
    let states = explore(SMALL, &SIGNALS, &[], (1, 1));
    assert!(states > 500, "only {states} states");
}

#[test]
fn every_event_in_every_state_without_a_terminal() {
    let states = explore(PLUGGED, &SIGNALS, &[PLUGGED, ""], (1, 1));
    assert!(states > 50, "only {states} states");
}

#[test]
fn every_event_in_every_state_with_reloads() {
    let states = explore(BEFORE, &SIGNALS, &[BEFORE, AFTER, ""], (1, 1));
    assert!(states > 500, "only {states} states");
}

/// Where one failure more brings the rescue.
#[test]
fn every_event_in_every_state_of_a_machine_where_nothing_stays_up() {
    let failures = (RESCUE_AFTER - 1, RESCUE_AFTER);
    let states = explore(
        "::respawn:r\n::ctrlaltdel:c",
        &SIGNALS,
        &["::once:o"],
        failures,
    );
    assert!(states > 100, "only {states} states");
}

#[test]
fn every_event_in_every_state_around_single_user_mode() {
    let inittab = "::respawn:r\n::ctrlaltdel:c\n::shutdown:d";
    let states = explore(inittab, &SINGLE, &[], (1, 1));
    assert!(states > 500, "only {states} states");
}

#[test]
fn every_event_in_every_state_around_single_user_mode_with_reloads() {
    let inittab = "::wait:w\n::once:o";
    let states = explore(
        inittab,
        &[Signal::Single],
        &[inittab, "::respawn:w"],
        (1, 1),
    );
    assert!(states > 500, "only {states} states");
}
