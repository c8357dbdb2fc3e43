//! The tables of what a command sends, and when it has taken effect.

use super::*;
use crate::format::tai64n::Tai64n;
use alloc::string::ToString;
use alloc::vec::Vec;

fn act(word: &str) -> Action {
    match Verb::parse(word.as_bytes(), &[]) {
        Ok(Verb::Act(action)) => action,
        other => panic!("{word}: {other:?}"),
    }
}

/// Bytes seen in the control fifo when Debian's `sv` was given each command.
#[test]
fn bytes_of_every_command() {
    let table = "up:u down:d once:o pause:p cont:c hup:h alarm:a interrupt:i quit:q 1:1 2:2 \
        term:t kill:k exit:x start:u stop:d reload:h restart:tcu shutdown:x force-stop:d \
        force-reload:tc force-restart:tcu force-shutdown:x try-restart:tc check: u:u d:d o:o \
        p:p c:c h:h a:a i:i q:q t:t k:k x:x e:x X:x E:x D:d T:tc int:i";
    for row in table.split_whitespace() {
        let (word, bytes) = row.split_once(':').unwrap();
        assert_eq!(act(word).bytes, bytes.as_bytes(), "{word}");
    }
    for word in ["status", "s", "stat", "statu"] {
        assert_eq!(
            Verb::parse(word.as_bytes(), &[]),
            Ok(Verb::Status),
            "{word}"
        );
    }
}

#[test]
fn lsb_commands_wait_and_forced_ones_kill() {
    for (word, _) in words().filter(|(_, v)| *v != Verb::Status) {
        let is_lsb = BY_WORD.iter().any(|(w, _)| w == word);
        assert_eq!(act(word).waits, is_lsb, "{word}");
        assert_eq!(act(word).kills, word.starts_with("force-"), "{word}");
    }
    assert!(["X", "E", "D", "T"].iter().all(|l| act(l).kills));
    let ending = words().filter(|(w, v)| *v != Verb::Status && act(w).ends_supervisor());
    let ending: Vec<&str> = ending.map(|(w, _)| *w).collect();
    assert_eq!(ending, ["exit", "shutdown", "force-shutdown"]);
    let starting = words().filter(|(w, v)| *v != Verb::Status && act(w).starts());
    let starting: Vec<&str> = starting.map(|(w, _)| *w).collect();
    assert_eq!(starting, ["up", "start", "restart", "force-restart"]);
}

#[test]
fn who_waits_in_vain_is_told_what_kills() {
    for (word, forced) in [
        ("stop", Some("force-stop")),
        ("down", Some("force-stop")),
        ("restart", Some("force-restart")),
        ("try-restart", Some("force-reload")),
        ("shutdown", Some("force-shutdown")),
        ("force-stop", None),
        ("start", None),
        ("term", None),
        ("check", None),
    ] {
        assert_eq!(act(word).forced(), forced, "{word}");
    }
}

#[test]
fn mistakes_are_errors_with_a_guess() {
    let guesses = [
        ("statsu", "status"),
        ("stauts", "status"),
        ("sotp", "stop"),
        ("strat", "start"),
        ("sta", "start"),
        ("reboot", ""),
        ("enable", ""),
        ("disable", ""),
        ("delete", ""),
        ("killall", ""),
        ("Down", "down"),
        ("usr1", ""),
        ("r", ""),
        ("C", ""),
        ("", ""),
        ("st", ""),
    ];
    for (word, meant) in guesses {
        let error = Verb::parse(word.as_bytes(), &[]).unwrap_err();
        let expected = match meant {
            "" => format!("unknown command {word}"),
            _ => format!("unknown command {word}, did you mean {meant}?"),
        };
        assert_eq!(error, expected);
    }
    let error = Verb::parse(b"\xff", &[]).unwrap_err();
    assert_eq!(error, "unknown command \\xff");
}

/// Slips are counted within a bound, so that a long argument costs nothing.
#[test]
fn a_long_word_is_refused_at_once() {
    let long = "force-restarx".repeat(1000);
    assert!(Verb::parse(long.as_bytes(), &[]).is_err());
    // As long as the longest command, and nothing like it.
    let unlike = "z".repeat("force-try-restart".len());
    assert!(Verb::parse(unlike.as_bytes(), &[]).is_err());
}

const BEFORE: Status = Status {
    changed: Tai64n::from_unix(100, 5),
    pid: 10,
    paused: false,
    want_up: true,
    got_term: false,
    phase: Phase::Run,
};

/// A status from shorthand: phase `d r f`, want `u d`, then `P`aused, got
/// `T`erm, `N`ew process.
pub(super) fn state(short: &str) -> Status {
    let is_new = short.contains('N');
    Status {
        changed: Tai64n::from_unix(100, if is_new { 9 } else { 5 }),
        pid: match is_new {
            _ if short.starts_with('d') || short.contains('-') => 0,
            true => 11,
            false => 10,
        },
        paused: short.contains('P'),
        want_up: short.as_bytes()[1] == b'u',
        got_term: short.contains('T'),
        phase: match short.as_bytes()[0] {
            b'd' => Phase::Down,
            b'r' => Phase::Run,
            _ => Phase::Finish,
        },
    }
}

fn every_state() -> Vec<String> {
    let mut all = Vec::new();
    for phase in ["d", "r", "f"] {
        for want in ["u", "d"] {
            for rest in ["", "P", "T", "PT", "N", "PN", "TN", "PTN"] {
                let down = phase == "d";
                if !(down && rest.contains(['P', 'T'])) {
                    all.push([phase, want, rest].concat());
                }
            }
        }
    }
    all
}

/// The golden table: in which states each command has taken effect. Where a
/// process must be a new one, the status before was BEFORE.
#[test]
fn success_in_every_state() {
    let table = [
        ("up", "ru ruP ruT ruPT ruN ruPN ruTN ruPTN"),
        ("down", "dd ddN"),
        (
            "once",
            "du duN dd ddN rd rdP rdT rdPT rdN rdPN rdTN rdPTN \
             fd fdP fdT fdPT fdN fdPN fdTN fdPTN",
        ),
        ("term", "dd ddN ruN ruPN rdN rdPN"),
        ("try-restart", "dd ddN ruN rdN"),
        ("restart", "ruN"),
        (
            "pause",
            "du duN dd ddN ruP ruPT ruPN ruPTN rdP rdPT rdPN rdPTN \
             fuP fuPT fuPN fuPTN fdP fdPT fdPN fdPTN",
        ),
        (
            "cont",
            "du duN dd ddN ru ruT ruN ruTN rd rdT rdN rdTN \
             fu fuT fuN fuTN fd fdT fdN fdTN",
        ),
        ("exit", ""),
        (
            "check",
            "dd ddN ru ruP ruT ruPT ruN ruPN ruTN ruPTN rd rdP rdN rdPN",
        ),
    ];
    for (word, expected) in table {
        let reached = every_state()
            .into_iter()
            .filter(|s| act(word).verdict(&BEFORE, &state(s)) != Verdict::NotYet);
        let expected: Vec<String> = expected
            .split_whitespace()
            .map(ToString::to_string)
            .collect();
        assert_eq!(reached.collect::<Vec<_>>(), expected, "{word}");
    }
}

#[test]
fn a_oneshot_that_is_done_counts_as_up() {
    let done = Status {
        pid: 0,
        changed: Tai64n::from_unix(100, 9),
        ..BEFORE
    };
    for (word, verdict) in [
        ("up", Verdict::IfItStands),
        ("restart", Verdict::IfItStands),
        ("check", Verdict::IfItStands),
        ("once", Verdict::Reached),
        ("pause", Verdict::Reached),
        ("cont", Verdict::Reached),
        ("down", Verdict::NotYet),
    ] {
        assert_eq!(act(word).verdict(&BEFORE, &done), verdict, "{word}");
    }
}

#[test]
fn options_behind_the_command() {
    let now = act("start").with(b"--now").unwrap();
    assert_eq!((now.bytes, now.others), (&b"uf"[..], Others::Nothing));
    assert!(now.starts() && now.waits);
    for word in ["stop", "force-stop"] {
        let all = act(word).with(b"-r").unwrap();
        assert_eq!((all.bytes, all.others), (&b"d"[..], Others::Stop));
    }
    // Everywhere else they are names of services.
    for (word, _) in words().filter(|(_, v)| *v != Verb::Status) {
        assert_eq!(act(word).with(b"--now").is_some(), *word == "start");
        assert_eq!(act(word).with(b"-r").is_some(), word.ends_with("stop"));
        assert_eq!(act(word).with(b"web"), None);
    }
    let stopping = words().filter(|(w, v)| *v != Verb::Status && act(w).stops());
    let stopping: Vec<&str> = stopping.map(|(w, _)| *w).collect();
    let expected = [
        "down",
        "exit",
        "stop",
        "shutdown",
        "force-stop",
        "force-shutdown",
    ];
    assert_eq!(stopping, expected);
}

#[test]
fn our_own_words_are_whole_and_not_of_init_scripts() {
    for (word, bytes) in [("ready", b"R"), ("reset", b"z")] {
        assert_eq!((act(word).bytes, act(word).waits), (&bytes[..], false));
        assert!(Verb::of_init_script(word.as_bytes()).is_err());
        assert!(Verb::parse(&word.as_bytes()[..4], &[]).is_err());
    }
    assert_eq!(Verb::of_init_script(b"start"), Verb::parse(b"start", &[]));
}

#[test]
fn once_that_never_ran_has_not_run() {
    let before = Status {
        pid: 0,
        phase: Phase::Down,
        ..BEFORE
    };
    let same = Status {
        want_up: false,
        ..before
    };
    assert_eq!(act("once").verdict(&before, &same), Verdict::NotYet);
}

#[test]
fn a_finish_about_to_start_is_not_down() {
    let between = Status {
        pid: 0,
        ..state("fd")
    };
    for word in ["down", "once", "term", "pause", "check"] {
        let verdict = act(word).verdict(&BEFORE, &between);
        let ok = word == "once";
        assert_eq!(verdict == Verdict::Reached, ok, "{word}");
    }
}

#[test]
fn the_check_script_counts_for_up_restarted_and_check() {
    let new = state("ruN");
    for word in ["up", "start", "term", "restart", "try-restart", "check"] {
        assert_eq!(
            act(word).verdict(&BEFORE, &new),
            Verdict::IfItStands,
            "{word}"
        );
    }
    for word in ["hup", "cont", "reload"] {
        assert_eq!(act(word).verdict(&BEFORE, &new), Verdict::Reached, "{word}");
    }
}

#[test]
fn what_is_a_path() {
    for path in [&b"."[..], b"./web", b"../x", b"/etc/sv/web", b"web/", b"/"] {
        assert!(is_path(path));
    }
    for name in [&b"web"[..], b"web/log", b""] {
        assert!(!is_path(name));
    }
}
