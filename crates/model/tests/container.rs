//! Every state of a container that can be reached, against every input, with what must hold; and
//! the stories that users see.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeSet, HashSet};

use model::container::{Action, Container, Input, KILLED_MS, Main, Phase, Rules};
use model::container::{OWN_END_MS, STRAYS_MS_MAX};
use model::process::Exit;
use model::time::Instant;
use model::ward::Forgiven;

const INPUTS: [Input; 14] = [
    Input::Stop(15),
    Input::Stop(2),
    Input::Signal(1),
    Input::Signal(28),
    Input::Loaded,
    Input::NotLoaded,
    Input::ServiceRuns,
    Input::MainEnded(Exit::Code(0)),
    Input::MainEnded(Exit::Code(7)),
    Input::MainEnded(Exit::Dumped(11)),
    Input::AtRest,
    Input::ServicesOver,
    Input::NoChild,
    Input::Tick,
];

fn rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for main in [Main::Nobody, Main::Program, Main::Service] {
        for grace_ms in [None, Some(0), Some(5000)] {
            for main_first in [false, true] {
                all.push(Rules {
                    main,
                    forgiven: Forgiven::default().with(7),
                    grace_ms,
                    main_first,
                });
            }
        }
    }
    all
}

/// A moment that makes any deadline due, or none.
fn moments(state: &Container) -> Vec<Instant> {
    let due = state.deadline().into_iter();
    [Instant(0)].into_iter().chain(due).collect()
}

fn check(before: &Container, input: Input, after: &Container, actions: &[Action], rules: &Rules) {
    let at = format!("{rules:?}\n{before:?}\n{input:?}\n{after:?}\n{actions:?}");
    let has = |wanted: Action| actions.contains(&wanted);
    if let Phase::Over(_) = before.phase() {
        assert_eq!(before.phase(), after.phase(), "{at}");
        assert!(actions.is_empty(), "{at}");
    }
    // Once all got KILL, only the end follows.
    if let Phase::Killed(_) = before.phase() {
        assert!(actions.is_empty(), "{at}");
        assert!(
            matches!(after.phase(), Phase::Killed(_) | Phase::Over(_)),
            "{at}"
        );
    }
    // A second stop signal, and a deadline that came, kill everything.
    let was_told = matches!(
        before.phase(),
        Phase::MainStops(_) | Phase::Stopping(_) | Phase::Sweeping(_)
    );
    if was_told && matches!(input, Input::Stop(_)) {
        assert!(has(Action::Sweep(9)), "{at}");
        assert!(matches!(after.phase(), Phase::Killed(_)), "{at}");
    }
    // Services start once, and only out of the first two phases.
    if has(Action::StartServices) {
        assert_eq!(
            (before.phase(), input),
            (Phase::Loading, Input::Loaded),
            "{at}"
        );
        assert_eq!(after.phase(), Phase::Up, "{at}");
    }
    // No signal but KILL goes to where nobody is, nor waits for nobody.
    for action in actions {
        if let Action::Pass(_) = action {
            assert_ne!(rules.main, Main::Nobody, "{at}");
        }
    }
    if after.waits_for_the_main_service() {
        assert_eq!(rules.main, Main::Service, "{at}");
    }
    // Nothing but what was waited for, or its time, ends it.
    if let (Phase::Over(_), false) = (after.phase(), matches!(before.phase(), Phase::Over(_))) {
        assert!(before.waits_for_the_last_child(), "{at}");
        assert!(matches!(input, Input::NoChild | Input::Tick), "{at}");
    }
    // It never goes back.
    let rank = |state: &Container| match state.phase() {
        Phase::Loading => 0,
        Phase::Up => 1,
        Phase::MainStops(_) => 2,
        Phase::Stopping(_) => 3,
        Phase::Sweeping(_) => 4,
        Phase::Killed(_) => 5,
        Phase::Over(_) => 6,
    };
    assert!(rank(before) <= rank(after), "{at}");
}

#[test]
fn every_state_against_every_input() {
    for rules in rules() {
        let (first, _) = Container::begin(rules);
        let (mut seen, mut todo) = (HashSet::new(), vec![first]);
        while let Some(state) = todo.pop() {
            if !seen.insert(format!("{state:?}")) {
                continue;
            }
            assert!(seen.len() < 2000, "the states have a bound");
            for input in INPUTS {
                for now in moments(&state) {
                    let (next, actions) = state.step(now, input);
                    check(&state, input, &next, &actions, &rules);
                    todo.push(next);
                }
            }
        }
        assert!(seen.len() > 5, "{}", seen.len());
    }
}

/// From every state there is a way to the end without any help but time, once a stop signal has
/// come twice.
#[test]
fn two_stop_signals_end_it_whatever_hangs() {
    for rules in rules() {
        let (first, _) = Container::begin(rules);
        let (mut seen, mut todo) = (HashSet::new(), vec![first]);
        while let Some(state) = todo.pop() {
            if !seen.insert(format!("{state:?}")) {
                continue;
            }
            let mut state_now = state;
            for input in [Input::Stop(15), Input::Stop(15)] {
                state_now = state_now.step(Instant(0), input).0;
            }
            let end = Instant(0).plus_ms(10 * KILLED_MS);
            state_now = state_now.step(end, Input::Tick).0;
            assert!(state_now.code().is_some(), "{state:?}");
            for input in INPUTS {
                todo.push(state.step(Instant(0), input).0);
            }
        }
    }
}

/// The signals among the actions, and the others.
fn split(actions: &[Action]) -> (Vec<u8>, Vec<Action>) {
    let mut signals = Vec::new();
    let mut others = actions.to_vec();
    others.retain(|action| match action {
        Action::Pass(signal) => {
            signals.push(*signal);
            false
        }
        _ => true,
    });
    (signals, others)
}

/// Two containers in every state get every input: one knows from the beginning that its main
/// service runs, the other does not yet. They do the same, but the signals that the first has
/// passed wait in the second until its service runs, too, or has ended, or is killed.
#[test]
fn what_comes_before_the_main_service_runs_waits_for_it() {
    let mut waited_for = HashSet::new();
    for rules in rules() {
        if rules.main != Main::Service {
            continue;
        }
        let (late, _) = Container::begin(rules);
        let (early, actions) = late.step(Instant(0), Input::ServiceRuns);
        assert_eq!(actions, [], "nothing waits yet");
        let (mut seen, mut todo) = (HashSet::new(), vec![(late, early, BTreeSet::new())]);
        while let Some((late, early, waiting)) = todo.pop() {
            if !seen.insert(format!("{late:?}{early:?}{waiting:?}")) {
                continue;
            }
            let at = format!("{rules:?}\n{late:?}\n{early:?}\n{waiting:?}");
            assert_eq!(late.phase(), early.phase(), "{at}");
            let waits = late.waits_for_the_main_service();
            assert_eq!(waits, !waiting.is_empty(), "{at}");
            assert!(!early.waits_for_the_main_service(), "{at}");
            // In the order of the numbers, each once.
            let (runs, actions) = late.step(Instant(0), Input::ServiceRuns);
            let expected: Vec<Action> = waiting.iter().copied().map(Action::Pass).collect();
            assert_eq!(actions, expected, "{at}");
            assert_eq!(runs, early, "{at}");
            for input in INPUTS.into_iter().filter(|i| *i != Input::ServiceRuns) {
                for now in moments(&late) {
                    let (next_late, actions) = late.step(now, input);
                    let (next_early, its_actions) = early.step(now, input);
                    let (signals, others) = split(&actions);
                    let (its_signals, its_others) = split(&its_actions);
                    assert_eq!(signals, [], "{at}\n{input:?}");
                    assert_eq!(others, its_others, "{at}\n{input:?}");
                    let is_over = matches!(input, Input::MainEnded(_))
                        || matches!(next_early.phase(), Phase::Killed(_) | Phase::Over(_));
                    let mut next_waiting = waiting.clone();
                    next_waiting.extend(its_signals);
                    if is_over {
                        next_waiting.clear();
                    }
                    waited_for.extend(next_waiting.iter().copied());
                    todo.push((next_late, next_early, next_waiting));
                }
            }
        }
    }
    assert_eq!(waited_for, HashSet::from([1, 2, 15, 18, 28]));
}

/// There are signals from 1 to 64; each waits as itself.
#[test]
fn any_signal_can_wait() {
    for signal in 0..=u8::MAX {
        let inputs = [Input::Signal(signal), Input::ServiceRuns];
        let (_, actions) = play(rules_of(Main::Service), &inputs);
        let expected = match signal {
            15 => vec![Action::Pass(15), Action::Pass(18)],
            1..=64 => vec![Action::Pass(signal)],
            _ => vec![],
        };
        assert_eq!(actions[1..], [vec![], expected], "{signal}");
    }
}

fn rules_of(main: Main) -> Rules {
    Rules {
        main,
        forgiven: Forgiven::default(),
        grace_ms: None,
        main_first: false,
    }
}

/// Plays inputs at the moment 0; the actions of each.
fn play(rules: Rules, inputs: &[Input]) -> (Container, Vec<Vec<Action>>) {
    let (mut state, first) = Container::begin(rules);
    let mut all = vec![first];
    for input in inputs {
        let (next, actions) = state.step(Instant(0), *input);
        state = next;
        all.push(actions);
    }
    (state, all)
}

const TERM: Input = Input::Stop(15);

#[test]
fn a_program_and_services_end_with_its_code() {
    let inputs = [
        Input::Loaded,
        Input::Signal(1),
        Input::MainEnded(Exit::Code(3)),
        Input::ServicesOver,
        Input::NoChild,
    ];
    let (state, actions) = play(rules_of(Main::Program), &inputs);
    assert_eq!(state.code(), Some(3));
    let expected = [
        vec![],
        vec![Action::StartServices],
        vec![Action::Pass(1)],
        vec![Action::StopServices],
        vec![Action::Sweep(15)],
        vec![],
    ];
    assert_eq!(actions, expected);
}

#[test]
fn a_stop_goes_to_all_at_once_and_waits_for_both() {
    let head = [Input::Loaded, TERM];
    let (_, actions) = play(rules_of(Main::Program), &head);
    let told = vec![Action::StopServices, Action::Pass(15), Action::Pass(18)];
    assert_eq!(actions[2], told);
    for tail in [
        [Input::ServicesOver, Input::MainEnded(Exit::Signal(15))],
        [Input::MainEnded(Exit::Signal(15)), Input::ServicesOver],
    ] {
        let inputs = [&head[..], &tail, &[Input::NoChild]].concat();
        let (state, actions) = play(rules_of(Main::Program), &inputs);
        assert_eq!(state.code(), Some(143));
        assert_eq!(
            (actions[3].clone(), actions[4].clone()),
            (vec![], vec![Action::Sweep(15)])
        );
    }
}

#[test]
fn main_first_stops_the_services_when_main_has_ended() {
    let rules = Rules {
        main_first: true,
        ..rules_of(Main::Program)
    };
    let inputs = [
        Input::Loaded,
        Input::Stop(3),
        Input::MainEnded(Exit::Code(0)),
    ];
    let (_, actions) = play(rules, &inputs);
    assert_eq!(actions[2], [Action::Pass(3)]);
    assert_eq!(actions[3], [Action::StopServices]);
}

#[test]
fn services_never_start_beside_a_program_that_cannot() {
    let inputs = [
        Input::NotLoaded,
        Input::MainEnded(Exit::Code(127)),
        Input::NoChild,
    ];
    let (state, actions) = play(rules_of(Main::Program), &inputs);
    assert_eq!(state.code(), Some(127));
    assert!(!actions.concat().contains(&Action::StartServices));
    // A stop that comes while it is loaded.
    let inputs = [
        TERM,
        Input::Loaded,
        Input::MainEnded(Exit::Signal(15)),
        Input::NoChild,
    ];
    let (state, actions) = play(rules_of(Main::Program), &inputs);
    assert_eq!(state.code(), Some(143));
    assert!(!actions.concat().contains(&Action::StartServices));
}

#[test]
fn without_a_main_program_a_stop_is_a_success() {
    let inputs = [Input::Signal(1), TERM, Input::ServicesOver, Input::NoChild];
    let (state, actions) = play(rules_of(Main::Nobody), &inputs);
    assert_eq!(state.code(), Some(0));
    let expected = [
        vec![Action::StartServices],
        vec![],
        vec![Action::StopServices],
        vec![Action::Sweep(15)],
        vec![],
    ];
    assert_eq!(actions, expected);
    let (state, _) = play(
        rules_of(Main::Nobody),
        &[Input::AtRest, Input::ServicesOver, Input::NoChild],
    );
    assert_eq!(state.code(), Some(0));
}

#[test]
fn a_second_signal_kills_all_and_the_code_tells() {
    for (main, code) in [
        (Main::Program, 137),
        (Main::Service, 137),
        (Main::Nobody, 0),
    ] {
        let (state, actions) = play(rules_of(main), &[Input::Loaded, TERM, TERM, Input::NoChild]);
        assert_eq!(state.code(), Some(code), "{main:?}");
        assert!(actions[3].contains(&Action::KillServices));
        assert!(actions[3].contains(&Action::Sweep(9)));
    }
}

#[test]
fn times_are_upper_bounds() {
    let grace = Rules {
        grace_ms: Some(500),
        ..rules_of(Main::Program)
    };
    let (state, _) = play(grace, &[Input::Loaded, TERM]);
    assert_eq!(state.deadline(), Some(Instant(0).plus_ms(500)));
    let (state, _) = play(rules_of(Main::Program), &[Input::Loaded, TERM]);
    assert_eq!(state.deadline(), None, "docker counts");
    let ended = [Input::Loaded, Input::MainEnded(Exit::Code(0))];
    let (state, _) = play(rules_of(Main::Program), &ended);
    assert_eq!(state.deadline(), Some(Instant(0).plus_ms(OWN_END_MS)));
    let (state, _) = state.step(Instant(0), Input::ServicesOver);
    assert_eq!(state.deadline(), Some(Instant(0).plus_ms(STRAYS_MS_MAX)));
    let (state, _) = state.step(Instant(0).plus_ms(STRAYS_MS_MAX), Input::Tick);
    assert!(matches!(state.phase(), Phase::Killed(_)));
}
