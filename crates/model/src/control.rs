//! What `sv` decides: which control bytes a command sends, when it has taken
//! effect, and how a status reads (sv(8) of runit).
//!
//! A command is one of the documented words, its documented letter, or a
//! distinct beginning, three letters or more, of a word that runit knows by its
//! first letter (`int`, `stat`). Anything else is a mistake: runit itself looks
//! at the first letter alone, so that `disable` stops a service and `enable`
//! ends its supervisor.
//!
//! Success is judged by comparing the status before the command was written
//! with the present one. No clock takes part: a process is a new one when its
//! pid or the time of its start differ from those before. The caller must see
//! to it that the supervisor has read the command. Where a process has to run,
//! that is not all: [`life`] says when its start counts.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;
use crate::guess::nearest;

pub mod life;

/// What a command line of `sv` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Only say what the services do.
    Status,
    /// Change or check something.
    Act(Action),
}

/// A command to a supervisor and what it is to bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The bytes for `supervise/control`; none for `check`.
    pub bytes: &'static [u8],
    goals: &'static [Goal],
    /// Waits for the effect without being asked to.
    pub waits: bool,
    /// Sends KILL when the effect does not come in time.
    pub kills: bool,
}

/// One condition of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// `./run` runs, is wanted, and `./check` agrees.
    Up,
    /// There is no process, and none is wanted.
    Down,
    /// It runs and is not to be restarted, or it has run and ended.
    Once,
    /// The supervisor has ended.
    Gone,
    /// A new `./run` runs and `./check` agrees; or it is down and wanted down.
    Restarted,
    /// The process, if any, is stopped.
    Paused,
    /// The process, if any, is not stopped.
    Continued,
    /// What was last asked for is so.
    Wanted,
}

/// Whether an action has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    NotYet,
    /// Yes, if the process lives on, and the service's `./check` passes: see [`life`].
    IfItStands,
    /// Yes.
    Reached,
}

const fn send(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: false,
        kills: false,
    })
}

const fn wait(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: true,
        kills: false,
    })
}

const fn force(bytes: &'static [u8], goals: &'static [Goal]) -> Verb {
    Verb::Act(Action {
        bytes,
        goals,
        waits: true,
        kills: true,
    })
}

const RESTARTED: &[Goal] = &[Goal::Restarted, Goal::Continued];
const RESTARTED_UP: &[Goal] = &[Goal::Restarted, Goal::Continued, Goal::Up];

/// The commands that runit knows by their first letter.
const BY_LETTER: &[(&str, Verb)] = &[
    ("status", Verb::Status),
    ("up", send(b"u", &[Goal::Up])),
    ("down", send(b"d", &[Goal::Down])),
    ("once", send(b"o", &[Goal::Once])),
    ("pause", send(b"p", &[Goal::Paused])),
    ("cont", send(b"c", &[Goal::Continued])),
    ("hup", send(b"h", &[])),
    ("alarm", send(b"a", &[])),
    ("interrupt", send(b"i", &[])),
    ("quit", send(b"q", &[])),
    ("1", send(b"1", &[])),
    ("2", send(b"2", &[])),
    ("term", send(b"t", &[Goal::Restarted])),
    ("kill", send(b"k", &[Goal::Restarted])),
    ("exit", send(b"x", &[Goal::Gone])),
];

/// The commands that must be written out.
const BY_WORD: &[(&str, Verb)] = &[
    ("start", wait(b"u", &[Goal::Up])),
    ("stop", wait(b"d", &[Goal::Down])),
    ("reload", wait(b"h", &[])),
    ("restart", wait(b"tcu", RESTARTED_UP)),
    ("shutdown", wait(b"x", &[Goal::Gone])),
    ("force-stop", force(b"d", &[Goal::Down])),
    ("force-reload", force(b"tc", RESTARTED)),
    ("force-restart", force(b"tcu", RESTARTED_UP)),
    ("force-shutdown", force(b"x", &[Goal::Gone])),
    ("try-restart", wait(b"tc", RESTARTED)),
    ("check", wait(b"", &[Goal::Wanted])),
];

/// Letters that are not the first of their word.
const LETTERS: &[(&str, &str)] = &[
    ("x", "exit"),
    ("X", "force-shutdown"),
    ("E", "force-shutdown"),
    ("D", "force-stop"),
    ("T", "force-reload"),
];

/// Shortest beginning that counts for the whole word.
const PREFIX_LEN_MIN: usize = 3;

impl Verb {
    /// The command of a word.
    ///
    /// # Errors
    /// One line that says what is wrong and, where that can be guessed, what was meant.
    pub fn parse(word: &[u8]) -> Result<Self, String> {
        let Ok(text) = core::str::from_utf8(word) else {
            return Err(format!("unknown command {}", word.escape_ascii()));
        };
        if let Some((_, full)) = LETTERS.iter().find(|(letter, _)| *letter == text) {
            return exact(full).ok_or_else(|| mistaken(text));
        }
        exact(text)
            .or_else(|| abbreviated(text))
            .ok_or_else(|| mistaken(text))
    }
}

fn words() -> impl Iterator<Item = &'static (&'static str, Verb)> {
    BY_LETTER.iter().chain(BY_WORD)
}

fn exact(text: &str) -> Option<Verb> {
    words().find(|(word, _)| *word == text).map(|(_, v)| *v)
}

fn abbreviated(text: &str) -> Option<Verb> {
    let (_, verb) = BY_LETTER
        .iter()
        .find(|(word, _)| !text.is_empty() && word.starts_with(text))?;
    let distinct = words().filter(|(w, _)| w.starts_with(text)).count() == 1;
    (text.len() == 1 || (text.len() >= PREFIX_LEN_MIN && distinct)).then_some(*verb)
}

fn mistaken(text: &str) -> String {
    let shown = text.as_bytes().escape_ascii();
    match nearest(text.as_bytes(), words().map(|(word, _)| *word)) {
        Some(word) => format!("unknown command {shown}, did you mean {word}?"),
        None => format!("unknown command {shown}"),
    }
}

impl Action {
    /// Whether the end of the supervisor is what is asked for.
    pub fn ends_supervisor(&self) -> bool {
        self.goals.contains(&Goal::Gone)
    }

    /// Whether the service is to run in the end, even if it does not yet.
    pub fn starts(&self) -> bool {
        self.goals.contains(&Goal::Up)
    }

    /// The command that does the same and sends KILL in the end, if there is one and
    /// this does not.
    pub fn forced(&self) -> Option<&'static str> {
        let is_forced = |verb: &Verb| match verb {
            Verb::Act(action) => action.kills && action.bytes == self.bytes,
            Verb::Status => false,
        };
        let forced = BY_WORD.iter().find(|(_, verb)| is_forced(verb));
        forced.filter(|_| !self.kills).map(|(word, _)| *word)
    }

    /// Judges the present status against the one before the command.
    pub fn verdict(&self, before: &Status, now: &Status) -> Verdict {
        let verdicts = || self.goals.iter().map(|g| g.verdict(before, now));
        if verdicts().any(|v| v == Verdict::NotYet) {
            Verdict::NotYet
        } else if verdicts().any(|v| v == Verdict::IfItStands) {
            Verdict::IfItStands
        } else {
            Verdict::Reached
        }
    }
}

impl Goal {
    fn verdict(self, before: &Status, now: &Status) -> Verdict {
        // Between ./run and ./finish runit's runsv shows a finish without a pid.
        let idle = now.pid == 0 && now.phase == Phase::Down;
        let runs = now.pid != 0 && now.phase == Phase::Run;
        let is_new = (now.pid, now.changed) != (before.pid, before.changed);
        match self {
            Self::Up => if_it_stands(runs && now.want_up),
            Self::Down => plain(idle && !now.want_up),
            Self::Once => plain(if idle { is_new } else { !now.want_up }),
            Self::Gone => Verdict::NotYet,
            Self::Restarted | Self::Wanted if idle => plain(!now.want_up),
            Self::Restarted => if_it_stands(runs && is_new && !now.got_term),
            Self::Paused => plain(idle || now.paused),
            Self::Continued => plain(idle || !now.paused),
            // A process that runs once is wanted down, yet nothing stops it.
            Self::Wanted => if_it_stands(runs && (now.want_up || !now.got_term)),
        }
    }
}

fn plain(so: bool) -> Verdict {
    if so {
        Verdict::Reached
    } else {
        Verdict::NotYet
    }
}

fn if_it_stands(so: bool) -> Verdict {
    if so {
        Verdict::IfItStands
    } else {
        Verdict::NotYet
    }
}

/// Whether a service named so is a path of its own, rather than a name in the
/// services directory: it starts with a dot or slash or ends with a slash.
pub fn is_path(service: &[u8]) -> bool {
    matches!(service, [b'.' | b'/', ..]) || service.ends_with(b"/")
}

/// A status as `sv` prints it, without the end of line. `normally_up` says that
/// there is no file `down`; `None`, that this is not known. A time in the future
/// counts as now.
pub fn describe(name: &[u8], s: &Status, normally_up: Option<bool>, now: Tai64n) -> Vec<u8> {
    let seconds = now
        .unix_seconds()
        .saturating_sub(s.changed.unix_seconds())
        .max(0);
    let head = match s.phase {
        Phase::Down => "down: ",
        Phase::Run => "run: ",
        Phase::Finish => "finish: ",
    };
    let mut text = [head.as_bytes(), name, b": "].concat();
    if s.phase != Phase::Down {
        text.extend(format!("(pid {}) ", s.pid).into_bytes());
    }
    text.extend(format!("{seconds}s").into_bytes());
    // A start that hangs has a process, and none of the service's.
    let idle = s.pid == 0 || s.phase == Phase::Down;
    let remarks = [
        (!idle && normally_up == Some(false), ", normally down"),
        (idle && normally_up == Some(true), ", normally up"),
        (!idle && s.paused, ", paused"),
        (idle && s.want_up, ", want up"),
        (!idle && !s.want_up, ", want down"),
        (!idle && s.got_term, ", got TERM"),
    ];
    for (_, remark) in remarks.iter().filter(|(applies, _)| *applies) {
        text.extend(remark.bytes());
    }
    if idle && s.pid != 0 {
        text.extend(format!(", starting (pid {})", s.pid).into_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn act(word: &str) -> Action {
        match Verb::parse(word.as_bytes()) {
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
            assert_eq!(Verb::parse(word.as_bytes()), Ok(Verb::Status), "{word}");
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
            let error = Verb::parse(word.as_bytes()).unwrap_err();
            let expected = match meant {
                "" => format!("unknown command {word}"),
                _ => format!("unknown command {word}, did you mean {meant}?"),
            };
            assert_eq!(error, expected);
        }
        let error = Verb::parse(b"\xff").unwrap_err();
        assert_eq!(error, "unknown command \\xff");
    }

    /// Slips are counted within a bound, so that a long argument costs nothing.
    #[test]
    fn a_long_word_is_refused_at_once() {
        let long = "force-restarx".repeat(1000);
        assert!(Verb::parse(long.as_bytes()).is_err());
        // As long as the longest command, and nothing like it.
        let unlike = "z".repeat("force-try-restart".len());
        assert!(Verb::parse(unlike.as_bytes()).is_err());
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
    fn state(short: &str) -> Status {
        let is_new = short.contains('N');
        let down = short.starts_with('d');
        Status {
            changed: Tai64n::from_unix(100, if is_new { 9 } else { 5 }),
            pid: match (down, is_new) {
                (true, _) => 0,
                (_, true) => 11,
                _ => 10,
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

    /// Lines as Debian's `sv status` printed them for the same records.
    #[test]
    fn text_of_a_status() {
        let now = Tai64n::from_unix(103, 0);
        let text = |short: &str, normally_up| {
            let line = describe(b"web", &state(short), normally_up, now);
            String::from_utf8(line).unwrap()
        };
        let (up, down) = (Some(true), Some(false));
        assert_eq!(text("ru", up), "run: web: (pid 10) 3s");
        assert_eq!(text("ru", down), "run: web: (pid 10) 3s, normally down");
        assert_eq!(
            text("rdPT", down),
            "run: web: (pid 10) 3s, normally down, paused, want down, got TERM"
        );
        assert_eq!(text("du", up), "down: web: 3s, normally up, want up");
        assert_eq!(text("dd", down), "down: web: 3s");
        assert_eq!(text("dd", None), "down: web: 3s");
        let hangs = Status {
            pid: 10,
            ..state("du")
        };
        assert_eq!(
            describe(b"web", &hangs, up, now),
            b"down: web: 3s, normally up, want up, starting (pid 10)"
        );
        assert_eq!(text("fuT", up), "finish: web: (pid 10) 3s, got TERM");
        let early = describe(b"web", &BEFORE, up, Tai64n::from_unix(0, 0));
        assert_eq!(early, b"run: web: (pid 10) 0s");
    }
}
