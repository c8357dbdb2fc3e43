//! `fuzz [SECONDS [SEED [CHECK]]]`: gives all checks, or one, mangled inputs for so
//! many seconds in all, or a little longer. The inputs are those of the seed, which is printed; a check
//! that fails panics, and its input is printed, too. Exit code 101 then.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::CHECKS;
use fuzz::formats::Player;
use fuzz::mangle::{Dice, mangle};

/// Without an argument (s).
const SECONDS: u64 = 5;
/// The inputs of one seed lie apart from those of the next.
const SEED_STRIDE: u64 = 1 << 32;

/// Inputs from a number on, for so long each time.
struct Mangled {
    next: u64,
    count: u64,
    share: Duration,
}

impl Player for Mangled {
    fn cases(&mut self, seeds: &[&[u8]], check: &mut dyn FnMut(&[u8]) -> bool) {
        let until = Instant::now() + self.share;
        // At least some, however slow the machine is.
        for round in 0_u64.. {
            if round % 64 == 0 && round > 0 && Instant::now() >= until {
                return;
            }
            let input = mangle(&mut Dice(self.next), seeds);
            let checked = catch_unwind(AssertUnwindSafe(|| check(&input)));
            if let Err(panic) = checked {
                eprintln!("fuzz: input {}: {}", self.next, input.escape_ascii());
                resume_unwind(panic);
            }
            self.next += 1;
            self.count += 1;
        }
    }
}

fn number(argument: Option<&String>, default: u64) -> Result<u64, String> {
    argument.map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| format!("fuzz: {text}: not a number"))
    })
}

fn run(arguments: &[String]) -> Result<(), String> {
    let seconds = number(arguments.first(), SECONDS)?;
    let seed = number(arguments.get(1), 1)?;
    let wanted = |name: &str| arguments.get(2).is_none_or(|only| only == name);
    let checks: Vec<_> = CHECKS.iter().filter(|(name, _)| wanted(name)).collect();
    if checks.is_empty() {
        return Err("fuzz: no check is called so".to_owned());
    }
    println!("fuzz: seed {seed}, {seconds} s");
    let share = Duration::from_secs(seconds) / checks.len() as u32;
    for (name, check) in checks {
        let mut player = Mangled {
            next: seed.wrapping_mul(SEED_STRIDE),
            count: 0,
            share,
        };
        check(&mut player);
        println!("fuzz: {name}: {} inputs", player.count);
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            eprintln!("{mistake}; usage: fuzz [SECONDS [SEED [CHECK]]]");
            ExitCode::from(100)
        }
    }
}
