//! Formats and words that somebody mangled: thousands of inputs, each made from
//! good ones by cutting, doubling, swapping and overwriting bytes. `fuzz/` gives the
//! same checks (`formats.rs`) other inputs.
//!
//! The inputs are the same on every run. A failure names the seed and the input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formats;
mod mangle;

use formats::Player;
use mangle::{Dice, mangle};

/// Inputs for each check.
const SEEDS: std::ops::Range<u64> = 0..4000;

/// Runs a check on the seeds as they are and on thousands of mangled ones. Of those
/// it must have understood some.
struct Thousands;

impl Player for Thousands {
    fn cases(&mut self, seeds: &[&[u8]], check: &mut dyn FnMut(&[u8]) -> bool) {
        for seed in seeds {
            assert!(check(seed), "{}", seed.escape_ascii());
        }
        let mut understood = 0;
        for number in SEEDS {
            let input = mangle(&mut Dice(number), seeds);
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&input)));
            let shown = input.escape_ascii();
            understood += usize::from(checked.unwrap_or_else(|_| panic!("seed {number}: {shown}")));
        }
        assert!(understood > 0, "nothing of what is mangled is understood");
    }
}

/// One test for each check.
macro_rules! tests {
    ($($check:ident),* $(,)?) => {
        $(#[test]
        fn $check() {
            formats::$check(&mut Thousands);
        })*
    };
}

tests! {
    archives,
    block_devices,
    boot_records,
    command_lines,
    crash_loops,
    events_of_the_kernel,
    files_of_stage_1,
    inittab,
    issue_files,
    lines_and_old_logs,
    logs_as_shown,
    mdev_conf,
    messages_of_services,
    names_at_a_terminal,
    patterns,
    records_of_processes,
    roots_and_mounts,
    services,
    settings,
    state_lines,
    status,
    svlogd_config,
    time_zones,
    utmp_files,
    what_pid_1_left_for_its_successor,
    words,
}

/// Every check is a test here, and has its place in `fuzz/`.
#[test]
fn every_check_is_everywhere() {
    let fuzz = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
    let read = |name: &str| std::fs::read_to_string(format!("{fuzz}/{name}")).unwrap();
    let (library, manifest) = (read("src/lib.rs"), read("Cargo.toml"));
    let files = [
        include_str!("formats.rs"),
        include_str!("disks.rs"),
        include_str!("lives.rs"),
        include_str!("logs.rs"),
        include_str!("settings.rs"),
        include_str!("state.rs"),
    ];
    let lines = files.iter().flat_map(|file| file.lines());
    let checks = lines.filter_map(|line| line.strip_prefix("pub fn ")?.split_once("(player: "));
    let mut count = 0;
    for (check, _) in checks {
        count += 1;
        assert!(
            include_str!("main.rs").contains(&format!("    {check},\n")),
            "{check}"
        );
        assert!(library.contains(&format!("\"{check}\",")), "{check}");
        assert!(
            manifest.contains(&format!("path = \"targets/{check}.rs\"")),
            "{check}"
        );
        assert!(read(&format!("targets/{check}.rs")).contains(&format!("one(\"{check}\", ")));
    }
    assert!(count > 10);
}
