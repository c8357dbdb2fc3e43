//! A seeded simulation of the supervisor against a fake kernel.
//!
//! A *game* is a world of a few service directories, made from a seed, in which
//! 200 things happen at random: processes end and signals arrive, late and in
//! any order; users send commands; the scan directory changes; pids come back
//! after a few processes; starts, writes and opens fail; a program hangs when it is
//! loaded, and answers late or never; each turn does a bounded part of what there is
//! to do; clocks jump; the supervisor is told to leave, or is killed between any two of its actions, in
//! the midst of starts too; the machine is rebooted. In some games services say when they
//! are ready (`readiness.rs`), and wait for others (`needs.rs`). `kernel.rs` is that world,
//! `shell.rs` the supervisor process around [`model::supervisor`], `world.rs`
//! what happens.
//!
//! After each input and each move it is checked (`checks.rs`) that no service
//! has two processes, that each process is known to be whose it is and nobody
//! else is signalled or shown, and that nothing is signalled unasked. In the
//! end everything works again, and within a bounded number of turns each
//! service must be what was wanted of it last (`wishes.rs`).
//!
//! `SUNUP_SIM_SEEDS=N` plays N games instead of some thousand, `SUNUP_SIM_SEED=N`
//! one of them. A game that fails is shortened and printed; what is left of it is
//! then kept in `games.rs`. The other tests here break the supervisor on purpose and
//! ask that it is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod games;
mod kernel;
mod needs;
mod random;
mod readiness;
mod shell;
mod wishes;
mod world;

use model::adoption::{self, Evidence, Inheritance, Seen};
use model::moment::Moment;
use model::service::{Program, Role, Service};
use model::supervisor::{Action, Supervisor, UnitId};
use model::time::Instant;

use random::Random;
use world::{Game, Move, Rules};

const SEEDS: u64 = 5000;
const MOVES: usize = 200;
/// A supervisor that is broken on purpose is found out within so many games.
const SEEDS_BROKEN: u64 = 2000;

const SOUND: Rules = Rules {
    judge: adoption::judge,
    writes_records: true,
    takes_shortage_for_absence: false,
    late: true,
    needs_all_answers: Action::needs_all_answers,
    holds_back: Supervisor::holds_back,
    answers_first: true,
    oneshots: false,
    readiness: false,
    deaf: false,
    was_ready: true,
    reads_edges: true,
    hears_out: true,
    takes_first: false,
    clears_first: false,
};

fn moves(seed: u64) -> Vec<Move> {
    let mut chance = Random::new(seed);
    (0..MOVES).map(|_| Move::random(&mut chance)).collect()
}

/// Plays a game; an error says what went wrong.
fn play(seed: u64, rules: Rules, moves: &[Move]) -> Result<(), String> {
    play_on(&mut Game::new(seed, rules), moves)
}

fn play_on(game: &mut Game, moves: &[Move]) -> Result<(), String> {
    for step in moves {
        game.play(*step)?;
    }
    game.rest()
}

/// Plays a game and tells all that happens.
fn tell(seed: u64, rules: Rules, moves: &[Move]) -> String {
    let mut game = Game::new(seed, rules);
    game.world.trace = Some(vec![]);
    let end = play_on(&mut game, moves);
    let trace = game.world.trace.unwrap_or_default();
    format!("{}\n{end:?}", trace.join("\n"))
}

/// What went wrong, whoever it happened to.
fn kind(end: Result<(), String>) -> Option<String> {
    let what = end.err()?;
    Some(what.chars().filter(|c| !c.is_ascii_digit()).collect())
}

/// Leaves out every move without which the game goes wrong in the same way.
fn shorten(seed: u64, rules: Rules, mut moves: Vec<Move>) -> Vec<Move> {
    let wrong = kind(play(seed, rules, &moves));
    let mut size = moves.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < moves.len() {
            let mut fewer = moves.clone();
            fewer.drain(at..(at + size).min(moves.len()));
            if kind(play(seed, rules, &fewer)) == wrong {
                moves = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    moves
}

/// Programs load at once.
const QUICK: Rules = Rules {
    late: false,
    ..SOUND
};

/// Services have `setup`.
const ONESHOTS: Rules = Rules {
    oneshots: true,
    ..SOUND
};

/// Services say when they are ready, and some wait for others.
const READINESS: Rules = Rules {
    readiness: true,
    ..SOUND
};

/// Services are slow to stop.
const DEAF: Rules = Rules {
    deaf: true,
    ..SOUND
};

/// Strangers have other things to do: they tell services to stop, and end what runs. More of
/// the turns come to an early end.
fn with_stops(mut moves: Vec<Move>) -> Vec<Move> {
    for step in &mut moves {
        match *step {
            Move::Stranger(n) if n >> 8 & 1 == 0 => *step = Move::Command(n - n % 13 + 2),
            Move::Stranger(n) => *step = Move::End(n),
            Move::Round(n, None) if (n >> 8).is_multiple_of(4) => {
                *step = Move::Round(n, Some(n >> 10 & 7));
            }
            _ => {}
        }
    }
    moves
}

/// Of every two moves of a stranger one becomes the word of a service.
fn with_words(mut moves: Vec<Move>) -> Vec<Move> {
    for step in &mut moves {
        if let Move::Stranger(n) = *step
            && n >> 8 & 1 == 0
        {
            *step = Move::Say(n);
        }
    }
    moves
}

fn must_end_well(seed: u64, moves: &[Move]) {
    must_end_well_by(SOUND, seed, moves);
}

fn must_end_well_by(rules: Rules, seed: u64, moves: &[Move]) {
    if let Err(what) = play(seed, rules, moves) {
        let short = shorten(seed, rules, moves.to_vec());
        let story = tell(seed, rules, &short);
        panic!("seed {seed}: {what}; shortened:\n{story}\nto be kept: ({seed}, &{short:?})");
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

#[test]
fn every_game_ends_well() {
    if let Some(seed) = from_environment("SUNUP_SIM_SEED") {
        return must_end_well(seed, &moves(seed));
    }
    let seeds = from_environment("SUNUP_SIM_SEEDS").unwrap_or(SEEDS);
    std::thread::scope(|scope| {
        for part in 0..2 {
            let part = (part..seeds).step_by(2);
            scope.spawn(move || {
                part.for_each(|seed| {
                    let moves = moves(seed);
                    must_end_well(seed, &moves);
                    if seed % 8 < 2 {
                        must_end_well_by(QUICK, seed, &moves);
                    }
                });
            });
        }
    });
}

#[test]
fn every_game_of_oneshots_ends_well() {
    let rules = ONESHOTS;
    if let Some(seed) = from_environment("SUNUP_SIM_SEED") {
        return must_end_well_by(rules, seed, &moves(seed));
    }
    let seeds = from_environment("SUNUP_SIM_SEEDS").unwrap_or(SEEDS / 2);
    (0..seeds).for_each(|seed| must_end_well_by(rules, seed, &moves(seed)));
}

#[test]
fn every_game_of_readiness_ends_well() {
    let play = |seed| must_end_well_by(READINESS, seed, &with_words(moves(seed)));
    if let Some(seed) = from_environment("SUNUP_SIM_SEED") {
        return play(seed);
    }
    let seeds = from_environment("SUNUP_SIM_SEEDS").unwrap_or(SEEDS / 2);
    (0..seeds).for_each(play);
}

#[test]
fn every_game_of_slow_stops_ends_well() {
    let play = |seed| must_end_well_by(DEAF, seed, &with_stops(moves(seed)));
    if let Some(seed) = from_environment("SUNUP_SIM_SEED") {
        return play(seed);
    }
    let seeds = from_environment("SUNUP_SIM_SEEDS").unwrap_or(SEEDS / 4);
    (0..seeds).for_each(play);
}

#[test]
fn games_that_found_a_defect_end_well() {
    for (_, seed, moves) in games::FOUND {
        must_end_well(*seed, moves);
        // Most are of a time when no answer came late.
        must_end_well_by(QUICK, *seed, moves);
    }
    for (_, seed, moves) in games::FOUND_OF_ONESHOTS {
        must_end_well_by(ONESHOTS, *seed, moves);
    }
    for (_, seed, moves) in games::FOUND_OF_READINESS {
        must_end_well_by(READINESS, *seed, moves);
    }
}

/// Which game that ends well by the rules does not when they are broken.
fn found_out(rules: Rules) -> Option<u64> {
    let ends_well = |seed, rules: Rules| {
        let moves = moves(seed);
        let moves = match rules {
            Rules {
                readiness: true, ..
            } => with_words(moves),
            Rules { deaf: true, .. } => with_stops(moves),
            _ => moves,
        };
        play(seed, rules, &moves).is_ok()
    };
    let sound = Rules {
        oneshots: rules.oneshots,
        readiness: rules.readiness,
        deaf: rules.deaf,
        ..SOUND
    };
    (0..SEEDS_BROKEN).find(|seed| !ends_well(*seed, rules) && ends_well(*seed, sound))
}

#[test]
fn who_ignores_the_start_time_is_found_out() {
    fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
        let seen = evidence.seen.map(|seen| Seen {
            started: Instant(0),
            ..seen
        });
        adoption::judge(&Evidence { seen, ..*evidence }, now)
    }
    assert!(found_out(Rules { judge, ..SOUND }).is_some());
}

#[test]
fn who_adopts_nobody_is_found_out() {
    fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
        let seen = None;
        adoption::judge(&Evidence { seen, ..*evidence }, now)
    }
    assert!(found_out(Rules { judge, ..SOUND }).is_some());
}

/// A logger that was taken over is not started late because its life was short.
#[test]
fn who_has_a_logger_rest_after_an_adoption_is_found_out() {
    fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
        let mut found = adoption::judge(evidence, now);
        if let (Some(record), Role::Log, true) = (evidence.record, evidence.role, found.adopted) {
            let want = found.service.want();
            found.service = Service::adopt_run(
                Role::Log,
                want,
                Program::Run,
                record.pid,
                now.at,
                false,
                false,
            );
        }
        found
    }
    assert!(found_out(Rules { judge, ..SOUND }).is_some());
}

#[test]
fn who_ignores_the_boot_is_found_out() {
    fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
        let world = evidence.record.map(|record| &record.world);
        adoption::judge(&Evidence { world, ..*evidence }, now)
    }
    assert!(found_out(Rules { judge, ..SOUND }).is_some());
}

#[test]
fn who_forgets_the_record_is_found_out() {
    let rules = Rules {
        writes_records: false,
        ..SOUND
    };
    assert!(found_out(rules).is_some());
}

#[test]
fn who_leaves_before_all_answers_is_found_out() {
    fn needs_all_answers(_: &Action) -> bool {
        false
    }
    let rules = Rules {
        needs_all_answers,
        ..SOUND
    };
    assert!(found_out(rules).is_some());
}

#[test]
fn who_takes_commands_before_the_answer_is_found_out() {
    fn holds_back(_: &Supervisor, _: UnitId) -> bool {
        false
    }
    let rules = Rules {
        holds_back,
        ..SOUND
    };
    assert!(found_out(rules).is_some());
}

#[test]
fn who_hands_in_an_end_before_the_answer_of_its_start_is_found_out() {
    let rules = Rules {
        answers_first: false,
        ..SOUND
    };
    assert!(found_out(rules).is_some());
}

/// A stop that a script was asked to begin would be forgotten.
#[test]
fn who_takes_a_word_away_before_the_status_says_more_is_found_out() {
    let rules = Rules {
        clears_first: true,
        ..DEAF
    };
    assert!(found_out(rules).is_some());
}

/// A oneshot that is done would be done again.
#[test]
fn who_forgets_what_is_done_is_found_out() {
    fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
        let mut found = adoption::judge(evidence, now);
        if found.service.is_done() {
            found.service = Service::new(evidence.role, found.service.want());
        }
        found
    }
    let rules = Rules { judge, ..ONESHOTS };
    assert!(found_out(rules).is_some());
}

#[test]
fn who_takes_a_shortage_for_absence_is_found_out() {
    let rules = Rules {
        takes_shortage_for_absence: true,
        ..SOUND
    };
    assert!(found_out(rules).is_some());
}

/// A run would be ready because it was taken over.
#[test]
fn who_ignores_whether_a_run_was_ready_is_found_out() {
    let rules = Rules {
        was_ready: false,
        ..READINESS
    };
    assert!(found_out(rules).is_some());
}

/// What it says would be lost if the supervisor is killed between the two.
#[test]
fn who_takes_a_message_before_it_is_written_down_is_found_out() {
    let rules = Rules {
        takes_first: true,
        ..READINESS
    };
    assert!(found_out(rules).is_some());
}

/// A run that said its word in time would be stopped because the supervisor is late.
#[test]
fn who_looks_at_the_clock_before_it_listens_is_found_out() {
    let rules = Rules {
        hears_out: false,
        ..READINESS
    };
    assert!(found_out(rules).is_some());
}

#[test]
fn who_waits_for_nobody_is_found_out() {
    let rules = Rules {
        reads_edges: false,
        ..READINESS
    };
    assert!(found_out(rules).is_some());
}
