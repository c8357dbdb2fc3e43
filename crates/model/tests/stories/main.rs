//! What becomes of services that use none of our own files, held fast: life
//! stories, and what they made a supervisor do, as a golden file.
//!
//! A story is a list of things that happen to a few service directories, told by
//! hand (`TOLD`) or made from a seed. What follows is noted for each directory, in
//! order: programs that are started, signals, the bytes of the state files, pipes,
//! locks, and what is said. Questions are not noted: how the supervisor learns what
//! is in a directory may change, what it does must not. So the golden file changes
//! only where the behaviour of plain services does, and then on purpose:
//! `UPDATE_GOLDEN=1 cargo test -p model` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../simulation/random.rs"]
mod random;
mod tree;

use std::fmt::Write as _;

use model::command::Sig;
use random::Random;
use tree::Tree;

/// Stories from seeds, and things that happen in each.
const SEEDS: u64 = 400;
const STEPS: usize = 60;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A byte is written to a control fifo: of the service, or of its logger.
    Tell(usize, bool, u8),
    /// A run or finish ends by itself with this wait status.
    Ends(usize, bool, i32),
    /// What got TERM or KILL ends.
    Dies(usize, bool),
    /// A control script ends, well or not.
    ScriptEnds(usize, bool),
    /// Time goes by (ms), and deadlines pass.
    Wait(u64),
    /// Time goes by up to the next deadline.
    Due,
    /// The entry `log` comes or goes, and events tell of it or do not.
    Log(usize, bool),
    /// The entry in the scan directory comes or goes.
    Entry(usize),
    /// It gets another name.
    Rename(usize),
    /// The file by this letter comes or goes: `f` is finish, others are in control.
    File(usize, u8),
    /// The next program has no process, or cannot be executed.
    NoStart(bool),
    /// The next state files cannot be written.
    NoWrite,
    /// The supervisor is killed, and another comes.
    Killed,
    /// The supervisor is replaced in place.
    Upgraded,
    /// TERM, or HUP.
    Ended(bool),
}

use Step::{
    Dies, Due, Ended, Ends, Entry, File, Killed, Log, NoStart, NoWrite, Rename, ScriptEnds, Tell,
    Upgraded, Wait,
};

/// The bytes that are told.
const BYTES: &[u8] = b"uuudddoottxxpchaiq12k";

impl Step {
    fn random(chance: &mut Random) -> Self {
        let which = chance.below(3);
        let bit = chance.one_in(2);
        let byte = chance.pick(BYTES).unwrap_or(b'u');
        let ms = [1, 50, 400, 999, 1000, 1500, 6000, 40_000][chance.below(8)];
        let status = [0, 256, 111 << 8, 9, 139, 15][chance.below(6)];
        let is_log = chance.one_in(4);
        match chance.below(100) {
            0..25 => Tell(which, is_log, byte),
            25..40 => Ends(which, is_log, status),
            40..52 => Dies(which, is_log),
            52..58 => ScriptEnds(which, bit),
            58..70 => Wait(ms),
            70..80 => Due,
            80..83 => Log(which, bit),
            83..86 => Entry(which),
            86 => Rename(which),
            87..91 => File(which, b"ftudxp"[chance.below(6)]),
            91..94 => NoStart(bit),
            94..96 => NoWrite,
            96 => Killed,
            97..99 => Upgraded,
            _ if chance.one_in(2) => Ended(chance.one_in(4)),
            _ => Due,
        }
    }
}

/// Stories told by hand. The letters are what the directory holds: `D` down, `l` log,
/// `L` log/down, `f` finish, others in control.
const TOLD: &[(&str, &[&str], &[Step])] = &[
    (
        "a service ends, is stopped and started",
        &[""],
        &[
            Wait(2000),
            Ends(0, false, 256),
            Wait(10),
            Ends(0, false, 9),
            Due,
            Tell(0, false, b'd'),
            Dies(0, false),
            Tell(0, false, b'u'),
            Wait(1500),
            Tell(0, false, b'x'),
            Dies(0, false),
        ],
    ),
    (
        "one with finish, scripts and a logger",
        &["lfutdx"],
        &[
            ScriptEnds(0, true),
            Tell(0, false, b't'),
            ScriptEnds(0, false),
            Dies(0, false),
            Ends(0, false, 0),
            Due,
            ScriptEnds(0, false),
            Tell(0, false, b'p'),
            Tell(0, false, b'c'),
            Tell(0, false, b'd'),
            Tell(0, false, b't'),
            ScriptEnds(0, true),
            ScriptEnds(0, true),
            ScriptEnds(0, true),
            Dies(0, false),
            Ends(0, false, 0),
            Tell(0, false, b'o'),
            ScriptEnds(0, true),
            Tell(0, false, b'x'),
            ScriptEnds(0, false),
            Dies(0, false),
            Ends(0, false, 0),
            Wait(6000),
            Dies(0, true),
        ],
    ),
    (
        "a crash loop of a service, and of its logger",
        &["l"],
        &[
            Ends(0, false, 256),
            Due,
            Ends(0, false, 256),
            Due,
            Ends(0, false, 256),
            Due,
            Ends(0, false, 256),
            Due,
            Ends(0, false, 139),
            Due,
            Wait(1000),
            Due,
            Ends(0, true, 0),
            Due,
            NoStart(true),
            Ends(0, true, 0),
            Due,
            NoStart(false),
            Ends(0, false, 0),
            Due,
            Due,
        ],
    ),
    (
        "a logger comes and goes",
        &["", "l"],
        &[
            Log(0, true),
            Due,
            Ends(0, false, 0),
            Due,
            Log(1, true),
            Due,
            Ends(1, false, 0),
            Due,
            Wait(6000),
            Dies(1, true),
            Log(0, false),
            Ends(0, false, 0),
            Due,
        ],
    ),
    (
        "a supervisor is killed while control/t runs, and leaves, and stops all",
        &["ft", "lL", "D"],
        &[
            Tell(0, false, b'd'),
            Killed,
            ScriptEnds(0, true),
            Upgraded,
            Dies(0, false),
            Ended(false),
            Wait(300),
            Tell(2, false, b'u'),
            Ends(1, false, 0),
            Ended(true),
            Dies(0, false),
            Dies(1, false),
            Dies(2, false),
            Wait(40_000),
        ],
    ),
];

fn play(homes: &[&str], steps: &[Step]) -> Vec<String> {
    let mut tree = Tree::new(homes);
    for step in steps {
        tree.play(*step);
    }
    tree.notes
}

/// A story from a seed: what the directories hold, and what happens.
fn made(seed: u64) -> (Vec<String>, Vec<Step>) {
    let mut chance = Random::new(seed);
    let homes = (0..3).map(|_| {
        let letters = "DlLfutdxp".chars();
        letters.filter(|_| chance.one_in(3)).collect()
    });
    let homes = homes.collect();
    let steps = (0..STEPS).map(|_| Step::random(&mut chance)).collect();
    (homes, steps)
}

/// FNV-1a (Fowler, Noll, Vo).
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn told_by_seed(seed: u64) -> String {
    let (homes, steps) = made(seed);
    let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
    play(&homes, &steps).join("\n")
}

/// `last` is the one file of our own that plain services have, too. All else is as before
/// there was such a file.
fn is_about_last(line: &str) -> bool {
    line.contains(": last ")
}

fn golden() -> String {
    let mut text = String::from("# What plain services make a supervisor do (tests/stories).\n");
    for (title, homes, steps) in TOLD {
        let _ = writeln!(text, "\n## {title}");
        for line in play(homes, steps) {
            let _ = writeln!(text, "{line}");
        }
    }
    let stories: Vec<String> = (0..SEEDS).map(told_by_seed).collect();
    for (title, is_ours) in [
        ("Stories from seeds: lines, and their hash", false),
        ("The lines about `last` in the same stories", true),
    ] {
        let _ = writeln!(text, "\n## {title}");
        for (seed, story) in stories.iter().enumerate() {
            let lines = story.lines().filter(|line| is_about_last(line) == is_ours);
            let lines: Vec<&str> = lines.collect();
            let _ = writeln!(
                text,
                "{seed} {} {:016x}",
                lines.len(),
                hash(&lines.join("\n"))
            );
        }
    }
    text
}

/// `SUNUP_STORY=SEED` prints that story.
#[test]
fn plain_services_are_treated_as_ever() {
    if let Ok(seed) = std::env::var("SUNUP_STORY") {
        println!("{}", told_by_seed(seed.parse().unwrap()));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stories.txt");
    let now = golden();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let before = std::fs::read_to_string(path).unwrap();
    let differs = before.lines().zip(now.lines()).find(|(a, b)| a != b);
    assert!(
        before == now,
        "{differs:?}: plain services are treated otherwise; see with git diff after UPDATE_GOLDEN=1"
    );
}

/// Every kind of thing that can follow is among the stories.
#[test]
fn stories_have_everything_in_them() {
    let told = TOLD.iter().flat_map(|(_, homes, steps)| play(homes, steps));
    let all: Vec<String> = told.chain((0..SEEDS).map(told_by_seed)).collect();
    let all = all.join("\n");
    for what in [
        "start run",
        "start finish",
        "start control/u",
        "start control/t",
        "start control/d",
        "start control/x",
        "start run: no process",
        "start run: not executed",
        "signal",
        "write",
        "mark true",
        "mark false",
        "close pipe",
        "open pipe",
        "close log",
        "dismiss",
        "crash loop",
        "adopted",
    ] {
        assert!(all.contains(what), "{what}");
    }
    for sig in Sig::ALL {
        assert!(all.contains(&format!("{sig:?}")), "{sig:?}");
    }
}
