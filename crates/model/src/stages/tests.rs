//! The stages against a fake kernel: the stories of runit(8), and every event in
//! every state that can be reached.

extern crate std;

mod last;
mod single;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use std::collections::HashSet;

use super::*;
use crate::descent::KILL_GRACE;

const GRACE: Duration = Duration::from_secs(1);
const START: Instant = Instant(10_000_000_000);
const SIGNALS: [Signal; 7] = [
    Signal::Int,
    Signal::Cont,
    Signal::Pwr,
    Signal::Usr1,
    Signal::Usr2,
    Signal::Term,
    Signal::Kexec,
];
/// Beside single-user mode, one signal of each kind.
const SINGLE: [Signal; 4] = [Signal::Single, Signal::Int, Signal::Cont, Signal::Usr2];
const OK: Exit = Exit::Code(0);
const THE_END: [&str; 5] = ["LookAtReboot", "TermAll", "Sync", "KillAll", "Sync"];

/// The machine with a kernel and files as the fields say.
struct World {
    stages: Option<Stages>,
    now: Instant,
    stopit: bool,
    reboot: Option<bool>,
    has_ctrl_alt_del: bool,
    fork_fails: bool,
    next_pid: Pid,
    log: Vec<String>,
    accounts: Vec<Account>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            stages: Some(Stages::boot(GRACE)),
            now: START,
            stopit: false,
            reboot: Some(false),
            has_ctrl_alt_del: true,
            fork_fails: false,
            next_pid: 100,
            log: vec![],
            accounts: vec![],
        };
        world.step(Event::News(News::Tick));
        world
    }

    /// In stage 2, whose pid is 102.
    fn up() -> Self {
        let mut world = Self::new();
        world.step(Event::News(News::Exited(101, OK)));
        assert_eq!(world.log(), ["start /etc/runit/1", "start /etc/runit/2"]);
        world
    }

    fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (stages, actions) = self.stages.take().unwrap().step(self.now, event);
            self.stages = Some(stages);
            for action in actions {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Say(_) => return None,
            Action::Account(account) => self.accounts.push(account),
            Action::Start(script) => return Some(self.start(script)),
            Action::LookAtReboot => {
                self.log.push("LookAtReboot".to_string());
                return Some(Event::Reboot(self.reboot));
            }
            Action::TakeStopit => return Some(Event::Stopit(core::mem::take(&mut self.stopit))),
            other => self.log.push(format!("{other:?}")),
        }
        None
    }

    fn start(&mut self, script: Script) -> Event {
        if script == Script::CtrlAltDel && !self.has_ctrl_alt_del {
            return Event::NoCtrlAltDel;
        }
        if self.fork_fails {
            return Event::StartFailed(script, "no memory".to_string());
        }
        self.log.push(format!("start {}", script.path()));
        self.next_pid += 1;
        Event::Started(script, self.next_pid)
    }

    fn signal(&mut self, signal: Signal) {
        self.step(Event::News(News::Signal(signal)));
    }

    /// Lets time pass up to the deadline; returns how much.
    fn tick(&mut self) -> Duration {
        let before = self.now;
        self.now = self.stages.as_ref().unwrap().deadline().unwrap();
        self.step(Event::News(News::Tick));
        self.now.since(before)
    }

    fn log(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }

    /// From stage 3, whose pid is given, to the end.
    fn ends(&mut self, pid: Pid, fate: End) {
        assert_eq!(self.log(), ["LookAtReboot", "start /etc/runit/3"]);
        self.step(Event::News(News::Exited(pid, OK)));
        assert_eq!(self.tick(), GRACE);
        assert_eq!(self.tick(), KILL_GRACE);
        let mut expected = THE_END.map(str::to_string).to_vec();
        expected.push(format!("End({fate:?})"));
        assert_eq!(self.log(), expected);
        assert_eq!(self.stages.as_ref().unwrap().deadline(), None);
    }
}

#[test]
fn stage_1_may_skip_stage_2() {
    for ended in [Exit::Code(100), Exit::Signal(11)] {
        let mut w = World::new();
        assert_eq!(w.log(), ["start /etc/runit/1"]);
        w.step(Event::News(News::Exited(101, ended)));
        w.ends(102, End::Poweroff);
    }
    for ended in [Exit::Code(1), Exit::Code(111), Exit::Code(255)] {
        let mut w = World::new();
        w.step(Event::News(News::Exited(101, ended)));
        assert_eq!(w.log(), ["start /etc/runit/1", "start /etc/runit/2"]);
    }
}

#[test]
fn stage_2_that_crashes_starts_again_after_a_pause() {
    for ended in [Exit::Code(111), Exit::Signal(9)] {
        let mut w = World::up();
        w.step(Event::News(News::Exited(102, ended)));
        assert_eq!(w.log(), ["KillGroup(102)"]);
        assert_eq!(w.tick(), PAUSE);
        assert_eq!(w.log(), ["start /etc/runit/2"]);
    }
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, Exit::Code(100))));
    w.ends(103, End::Poweroff);
}

#[test]
fn the_pause_does_not_hold_up_the_shutdown() {
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, Exit::Code(111))));
    w.log();
    w.stopit = true;
    w.signal(Signal::Cont);
    w.ends(103, End::Poweroff);
}

#[test]
fn records_of_logins_are_told() {
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, Exit::Code(111))));
    w.tick();
    w.signal(Signal::Usr2);
    w.step(Event::News(News::Exited(103, OK)));
    assert_eq!(w.accounts, [Account::Booted, Account::GoesDown]);
}

#[test]
fn cont_asks_the_file() {
    let mut w = World::up();
    w.signal(Signal::Cont);
    assert_eq!(w.log(), Vec::<String>::new());
    w.stopit = true;
    w.reboot = Some(true);
    w.signal(Signal::Cont);
    assert_eq!(w.log(), ["Term(102)"]);
    assert!(!w.stopit);
    w.step(Event::News(News::Exited(102, Exit::Signal(15))));
    w.ends(103, End::Reboot);
}

#[test]
fn who_does_not_end_is_killed() {
    let mut w = World::up();
    // Nobody wants a machine back whose power fails.
    w.reboot = Some(true);
    w.signal(Signal::Pwr);
    assert_eq!(w.tick(), STOP_GRACE);
    assert_eq!(w.log(), ["Term(102)", "Kill(102)"]);
    // Not even KILL ends a process that hangs in the kernel.
    assert_eq!(w.tick(), KILL_GRACE);
    w.ends(103, End::Poweroff);
}

#[test]
fn the_signals_of_busybox_say_how() {
    for (signal, fate) in [
        (Signal::Usr1, End::Halt),
        (Signal::Usr2, End::Poweroff),
        (Signal::Term, End::Reboot),
        (Signal::Kexec, End::Kexec),
    ] {
        let mut w = World::up();
        w.signal(signal);
        // Another wish comes too late.
        w.signal(Signal::Pwr);
        let starts_again = matches!(fate, End::Reboot | End::Kexec);
        let told = format!("SetReboot({starts_again})");
        assert_eq!(w.log(), [told, "Term(102)".to_string()]);
        w.step(Event::News(News::Exited(102, OK)));
        // What the file says does not count.
        w.reboot = Some(!starts_again);
        w.ends(103, fate);
    }
}

#[test]
fn a_hung_boot_can_be_rebooted() {
    let mut w = World::new();
    w.stopit = true;
    for signal in [Signal::Int, Signal::Cont, Signal::Pwr] {
        w.signal(signal);
    }
    assert_eq!(w.log(), ["start /etc/runit/1"]);
    w.signal(Signal::Term);
    assert_eq!(w.tick(), STOP_GRACE);
    assert_eq!(w.log(), ["SetReboot(true)", "Term(101)", "Kill(101)"]);
    w.step(Event::News(News::Exited(101, Exit::Signal(9))));
    w.ends(102, End::Reboot);
}

#[test]
fn ctrl_alt_del_runs_and_then_counts_as_cont() {
    let mut w = World::up();
    w.signal(Signal::Int);
    w.signal(Signal::Int);
    assert_eq!(w.log(), ["start /etc/runit/ctrlaltdel"]);
    w.step(Event::News(News::Exited(103, OK)));
    assert_eq!(w.log(), Vec::<String>::new());
    w.signal(Signal::Int);
    w.stopit = true;
    w.step(Event::News(News::Exited(104, Exit::Code(1))));
    assert_eq!(w.log(), ["start /etc/runit/ctrlaltdel", "Term(102)"]);
    let mut w = World::up();
    w.has_ctrl_alt_del = false;
    w.stopit = true;
    w.signal(Signal::Int);
    assert_eq!(w.log(), Vec::<String>::new());
}

#[test]
fn a_hung_ctrl_alt_del_does_not_stop_the_shutdown() {
    let mut w = World::up();
    w.signal(Signal::Int);
    w.signal(Signal::Usr2);
    assert_eq!(
        w.log()[1..],
        ["SetReboot(false)".to_string(), "Term(102)".to_string()]
    );
}

#[test]
fn stage_3_has_a_limit() {
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, OK)));
    w.log();
    assert_eq!(w.tick(), STAGE3_LIMIT);
    assert_eq!(w.log(), ["KillGroup(103)"]);
    w.tick();
    w.tick();
    w.tick();
    let log = w.log();
    assert_eq!(log[..5], THE_END);
    assert_eq!(log[5], "End(Poweroff)");
}

#[test]
fn stage_3_changes_the_fate_or_takes_the_file_away() {
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, OK)));
    w.reboot = Some(true);
    w.ends(103, End::Reboot);
    let mut w = World::up();
    w.reboot = Some(true);
    w.step(Event::News(News::Exited(102, OK)));
    w.reboot = None;
    w.ends(103, End::Reboot);
}

#[test]
fn a_failed_fork_is_tried_again_but_not_for_ever() {
    let mut w = World::up();
    w.step(Event::News(News::Exited(102, Exit::Code(111))));
    w.fork_fails = true;
    for _ in 0..5 {
        assert_eq!(w.tick(), PAUSE);
    }
    w.signal(Signal::Usr1);
    let from = w.now;
    while !w.log.contains(&"End(Halt)".to_string()) {
        w.tick();
    }
    let took = w.now.since(from);
    assert_eq!(took, STAGE3_LIMIT + GRACE + KILL_GRACE);
    w.signal(Signal::Int);
}

#[test]
fn it_goes_on_as_soon_as_no_process_is_left() {
    let mut w = World::up();
    w.signal(Signal::Usr1);
    w.step(Event::News(News::Exited(102, OK)));
    w.step(Event::News(News::Exited(103, OK)));
    w.log();
    w.step(Event::News(News::NoChildren));
    assert_eq!(w.log(), ["KillAll"]);
    w.step(Event::News(News::NoChildren));
    assert_eq!(w.log(), ["Sync", "End(Halt)"]);
}

#[test]
fn a_refused_poweroff_is_a_halt_and_a_refused_halt_an_exit() {
    let mut w = World::up();
    w.signal(Signal::Usr2);
    for _ in 0..2 {
        w.step(Event::News(News::Exited(w.next_pid, OK)));
    }
    w.tick();
    w.tick();
    w.log();
    w.step(Event::Refused("no".to_string()));
    assert_eq!(w.log(), ["End(Halt)"]);
    w.step(Event::Refused("no".to_string()));
    assert_eq!(w.log(), ["Exit"]);
    w.step(Event::Refused("no".to_string()));
    assert_eq!(w.log(), Vec::<String>::new());
}

#[test]
fn a_kexec_without_a_kernel_is_a_reboot() {
    let mut w = World::up();
    w.signal(Signal::Kexec);
    for pid in [102, 103] {
        w.step(Event::News(News::Exited(pid, OK)));
    }
    w.tick();
    w.tick();
    assert_eq!(w.log().last().unwrap(), "End(Kexec)");
    w.step(Event::Refused("no kernel".to_string()));
    assert_eq!(w.log(), ["End(Reboot)"]);
    w.step(Event::Refused("no right".to_string()));
    assert_eq!(w.log(), ["Exit"]);
}

#[test]
fn messages_read_as_those_of_runit() {
    let texts = [
        Message::Enter(Stage::One),
        Message::Leave(Stage::Two),
        Message::Request(End::Poweroff),
        Message::SkipStage2(Exit::Signal(9)),
    ]
    .map(|m| m.to_string());
    let expected = [
        "enter stage: /etc/runit/1",
        "leave stage: /etc/runit/2",
        "power off...",
        "stage 1 was killed by signal 9: skipping stage 2...",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_successor_takes_over() {
    let cases = [
        ("1 - -", false, "Resting(One)"),
        ("1 7 -", true, "Running(One)"),
        ("1 7 -", false, "Resting(Two)"),
        ("2 7 reboot", true, "Running(Two)"),
        ("2 7 -", false, "Resting(Two)"),
        ("3 7 file", true, "Running(Three)"),
        ("3 7 file", false, "Term"),
        ("end - halt", false, "Term"),
        ("", false, "Resting(Two)"),
        ("x -3 y", true, "Resting(Two)"),
    ];
    for (line, child, expected) in cases {
        let stages = Stages::resume(line, |_| child, GRACE, START);
        let place = match stages.phase {
            Phase::In {
                stage,
                job: Job::Running(7),
                ..
            } => format!("Running({stage:?})"),
            Phase::In {
                stage,
                job: Job::Resting(START),
                ..
            } => format!("Resting({stage:?})"),
            Phase::Last(Descent::Term { .. }) => "Term".to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(place, expected, "{line}");
        if child && line.len() > 5 && !line.starts_with('x') {
            assert_eq!(stages.handover(), line);
        }
    }
    let mut w = World::up();
    w.reboot = Some(true);
    w.step(Event::News(News::Exited(102, OK)));
    w.step(Event::News(News::Exited(103, OK)));
    assert_eq!(w.stages.unwrap().handover(), "end - reboot");
}

// Every event in every state.

/// The same state, with its times counted from `START`: states that differ only in when are one.
fn normal(mut stages: Stages, now: Instant) -> Stages {
    let rebase = |time: &mut Instant| {
        if *time != NO_LIMIT {
            *time = START.plus(time.since(now));
        }
    };
    match &mut stages.phase {
        Phase::In { job, limit, .. } => {
            rebase(limit);
            if let Job::Resting(until) = job {
                rebase(until);
            }
        }
        Phase::Ending { until, .. }
        | Phase::Shell(Job::Resting(until))
        | Phase::Last(Descent::Term { until } | Descent::Kill { until }) => rebase(until),
        Phase::Last(_) | Phase::Shell(_) => {}
    }
    stages
}

/// What the kernel and the files may answer.
fn answers(action: &Action) -> Vec<Event> {
    match action {
        Action::Start(script) => {
            // Pids are told apart by their place, which keeps the states few.
            let pid = match script {
                Script::CtrlAltDel => 200,
                Script::Stage(_) => 100,
                Script::Shell => 300,
            };
            let failed = Event::StartFailed(*script, String::new());
            let mut all = vec![Event::Started(*script, pid), failed];
            if *script == Script::CtrlAltDel {
                all.push(Event::NoCtrlAltDel);
            }
            all
        }
        Action::TakeStopit => vec![Event::Stopit(false), Event::Stopit(true)],
        Action::LookAtReboot => [None, Some(false), Some(true)].map(Event::Reboot).to_vec(),
        Action::End(_) => vec![Event::Refused(String::new())],
        _ => vec![],
    }
}

fn events(signals: &[Signal]) -> Vec<Event> {
    let signal = |s: &Signal| Event::News(News::Signal(*s));
    let mut all: Vec<Event> = signals.iter().map(signal).collect();
    for pid in [100, 200, 300] {
        for ended in [OK, Exit::Code(100), Exit::Code(111), Exit::Signal(9)] {
            all.push(Event::News(News::Exited(pid, ended)));
        }
    }
    all.extend([Event::News(News::NoChildren), Event::News(News::Tick)]);
    all
}

/// From here on, with nothing but time passing, the machine asks for its end, or root has a shell.
fn comes_to_an_end(mut stages: Stages) {
    let mut now = START;
    for _ in 0..STAGE3_LIMIT.as_secs() {
        if matches!(stages.phase, Phase::Last(Descent::Asked | Descent::Over)) {
            return;
        }
        if stages.is_single() && matches!(stages.phase, Phase::Shell(_)) {
            return; // Root has it.
        }
        now = now.max(stages.deadline().unwrap_or_else(|| panic!("{stages:?}")));
        let (next, actions) = stages.step(now, Event::News(News::Tick));
        stages = next;
        for script in actions.iter().filter_map(|a| match a {
            Action::Start(script) => Some(*script),
            _ => None,
        }) {
            stages = stages
                .step(now, Event::StartFailed(script, String::new()))
                .0;
        }
    }
    panic!("it never ends: {stages:?}");
}

fn check(stages: &Stages, now: Instant, actions: &[Action]) {
    let deadline = stages.deadline();
    let due = deadline.is_some_and(|end| end <= now);
    let starting = matches!(
        stages.phase,
        Phase::In {
            job: Job::Starting,
            ..
        }
    );
    // No end without a wish for one; a shell, and no stage 3, if that is what is wished.
    assert!(!stages.is_single() || !stages.goes_down(), "{stages:?}");
    if let Phase::Shell(_) = stages.phase {
        assert!(stages.is_single(), "{stages:?}");
    }
    assert!(!due || starting, "busy loop: {stages:?}");
    let starts = |a: &&Action| matches!(a, Action::Start(Script::Stage(_)));
    assert!(actions.iter().filter(starts).count() <= 1, "{actions:?}");
    if let Some(at) = actions.iter().position(|a| *a == Action::KillAll) {
        let no_start = |a: &Action| !matches!(a, Action::Start(_));
        assert!(actions[at..].iter().all(no_start), "{actions:?}");
    }
}

/// Goes through every state that can be reached, and returns how many there are.
fn explore(signals: &[Signal]) -> usize {
    let mut todo = vec![(Stages::boot(GRACE), Vec::<Event>::new())];
    let mut seen = HashSet::new();
    while let Some((stages, open)) = todo.pop() {
        let late = stages.deadline().unwrap_or(START).max(START);
        // Answers that are due may come before or after any other event.
        for event in events(signals).into_iter().chain(open.clone()) {
            for now in [START, late] {
                let (next, actions) = stages.clone().step(now, event.clone());
                check(&next, now, &actions);
                let next = normal(next, now);
                let mut still_open = open.clone();
                still_open.retain(|o| !same_question(o, &event));
                still_open.extend(actions.iter().flat_map(answers));
                still_open.sort_by_key(|e| format!("{e:?}"));
                still_open.dedup();
                if seen.insert((next.clone(), format!("{still_open:?}"))) {
                    if next.wish.is_some() && still_open.is_empty() {
                        comes_to_an_end(next.clone());
                    }
                    todo.push((next, still_open));
                }
            }
        }
    }
    seen.len()
}

#[test]
fn every_event_in_every_state() {
    let states = explore(&SIGNALS);
    assert!(states > 300, "only {states} states");
}

#[test]
fn every_event_in_every_state_around_single_user_mode() {
    let states = explore(&SINGLE);
    assert!(states > 300, "only {states} states");
}

/// Whether one event answers what the other answers, too.
fn same_question(a: &Event, b: &Event) -> bool {
    let question = |e: &Event| match e {
        Event::Started(script, _) | Event::StartFailed(script, _) => Some(format!("{script:?}")),
        Event::NoCtrlAltDel => Some(format!("{:?}", Script::CtrlAltDel)),
        Event::Stopit(_) => Some("stopit".to_string()),
        Event::Reboot(_) => Some("reboot".to_string()),
        Event::Refused(_) => Some("refused".to_string()),
        Event::News(_) => None,
    };
    question(a).is_some_and(|asked| question(b) == Some(asked))
}
