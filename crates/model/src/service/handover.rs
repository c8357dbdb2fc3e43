//! What a supervisor that is replaced in place tells its successor of a service:
//! words, `KEY=VALUE` or `KEY`, separated by blanks.
//!
//! A word that is not known is left out, and an absent one has the value of a
//! service that nothing is known of, so either of the two may be the newer one.
//! Moments are nanoseconds of the boot clock, scripts are letters of `control`.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

use super::gate::{Gate, Gates};
use super::group::{Clearing, Finish};
use super::ready::{Leaves, Rise};
use super::{Exit, Manner, Next, Program, Role, Running, Service, State, Want};
use crate::command::Sig;
use crate::format::adopt::Mark;
use crate::format::state::last::Outcome;
use crate::format::state::ready::Source;
use crate::restart::{GaveUp, Report, Streak};
use crate::settings::Scripts;
use crate::signal::Signal;
use crate::time::Instant;

const WANTS: [(&str, Want); 3] = [("up", Want::Up), ("down", Want::Down), ("exit", Want::Exit)];

const GAVE_UP: [(&str, GaveUp); 4] = [
    ("restart", GaveUp::Restart),
    ("lives", GaveUp::Lives),
    ("setup", GaveUp::Setup),
    ("finish", GaveUp::Finish),
];

impl Service {
    /// The words for a successor. Starts that were not answered yet are left out:
    /// the caller does what there is to do before it is replaced.
    pub fn handover(&self) -> String {
        let want = WANTS.iter().find(|(_, want)| *want == self.want);
        let mut text = format!("want={}", want.map_or("up", |(word, _)| word));
        // Writing to a string cannot fail.
        let _ = match self.state {
            State::Starting { .. } | State::Probe => write!(text, " state=down"),
            State::Down { not_before } | State::EndingRun { not_before, .. } => {
                write!(text, " state=down not_before={}", not_before.0)
            }
            State::Preparing => write!(text, " state=preparing"),
            State::Gone => write!(text, " state=gone"),
            State::Done { scripts, again } => {
                text.push_str(" state=done");
                write_scripts(&mut text, scripts, again);
                Ok(())
            }
            State::Run(run) => write!(text, " state=run {}", run.handover()),
            State::Clearing(clearing) => {
                text.push_str(&clearing.handover());
                Ok(())
            }
            State::Finish {
                pid,
                kill_at,
                not_before,
                ..
            } => {
                let kill = kill_at.map_or(String::new(), |at| format!(" kill_at={}", at.0));
                write!(
                    text,
                    " state=finish pid={pid} not_before={}{kill}",
                    not_before.0
                )
            }
        };
        let paused = matches!(self.state, State::Finish { paused: true, .. });
        let backs_off = self.streak.backs_off();
        for (word, holds) in [
            ("paused", paused),
            ("resumes", self.resumes),
            ("backs_off", backs_off),
            ("was_late", self.streak.was_late()),
            ("finish_decides", self.finish_decides),
            ("settled", self.left == Mark::Over),
            ("stays_done", self.stays_done()),
        ] {
            if holds {
                text.extend([" ", word]);
            }
        }
        for (of, gate) in [("start", self.gates.start), ("stop", self.gates.stop)] {
            let (gate, order) = gate.words();
            for (key, word) in [("_gate=", gate), ("_order=", order)] {
                if let Some(word) = word {
                    text.extend([" ", of, key, word]);
                }
            }
        }
        if let Some((word, _)) = GAVE_UP.iter().find(|(_, why)| Some(*why) == self.gave_up) {
            text.extend([" gave_up=", word]);
        }
        let _ = write!(text, " fork_failures={}", self.fork_failures);
        if self.streak.lives() > 0 {
            let _ = write!(text, " lives={}", self.streak.lives());
        }
        if let Some(raw) = self.streak.last().status() {
            let _ = write!(text, " last={raw}");
        }
        text
    }

    /// The service that the words tell of; `None` if they are about none.
    pub fn resume(role: Role, words: &str) -> Option<Self> {
        let want = value(words, "want")?;
        let (_, want) = WANTS.iter().find(|(word, _)| *word == want)?;
        let not_before = Instant(number(words, "not_before").unwrap_or(0));
        let pid = || number(words, "pid").filter(|pid| *pid > 1);
        let state = match value(words, "state")? {
            "down" => State::Down { not_before },
            "preparing" => State::Preparing,
            "gone" => State::Gone,
            "run" => State::Run(Running::resume(words)?),
            "done" => State::Done {
                scripts: scripts(words, "scripts"),
                again: scripts(words, "again"),
            },
            "clearing" => State::Clearing(Clearing::resume(words, not_before)?),
            "finish" => State::Finish {
                pid: u32::try_from(pid()?).ok()?,
                paused: has(words, "paused"),
                kill_at: number(words, "kill_at").map(Instant),
                not_before,
            },
            _ => return None,
        };
        let fork_failures = number(words, "fork_failures").unwrap_or(0);
        let lives = number(words, "lives").unwrap_or(0);
        let last = value(words, "last").and_then(|raw| raw.parse().ok());
        let streak = Streak::again(
            u32::try_from(lives).unwrap_or(u32::MAX),
            last.map_or(Exit::Unknown, Exit::of_status),
            has(words, "backs_off"),
            has(words, "was_late"),
        );
        let gate = |gate, order| Gate::of_words(value(words, gate), value(words, order));
        Some(Self {
            state,
            resumes: has(words, "resumes"),
            fork_failures: u8::try_from(fork_failures).unwrap_or(u8::MAX),
            streak,
            gates: Gates {
                start: gate("start_gate", "start_order"),
                stop: gate("stop_gate", "stop_order"),
            },
            gave_up: value(words, "gave_up").and_then(gave_up),
            finish_decides: has(words, "finish_decides"),
            left: match (has(words, "settled"), has(words, "stays_done")) {
                (true, _) => Mark::Over,
                (false, true) => Mark::Done,
                (false, false) => Mark::None,
            },
            rise: Rise::again(&state),
            ..Self::new(role, *want)
        })
    }
}

impl Running {
    fn handover(&self) -> String {
        let mut text = format!("pid={} since={}", self.pid, self.since.0);
        for (word, holds) in [
            ("setup", self.program == Program::Setup),
            ("paused", self.paused),
            ("got_term", self.got_term),
            ("told", self.was_told),
            ("stopping", self.stopping),
            ("starting", self.ready.is_none()),
            ("leaves", self.leaves == Leaves::Said),
            ("overdue", self.leaves == Leaves::Overdue),
        ] {
            if holds {
                text.extend([" ", word]);
            }
        }
        // By its start: since then.
        if let Some((at, source)) = self.ready.filter(|(_, by)| *by != Source::Start) {
            let by = source.word();
            text.extend([" ready_at=", &at.0.to_string(), " ready_by=", by]);
        }
        write_scripts(&mut text, self.scripts, self.again);
        if let Some((at, next)) = self.ultimatum {
            let word = match next {
                Next::Stop => "term_at",
                Next::Kill => "kill_at",
                Next::Over => "killed_at",
                Next::Ready => "assumed_at",
            };
            text.extend([" ", word, "=", &at.0.to_string()]);
        }
        text.push_str(&self.manner.handover());
        text
    }

    fn resume(words: &str) -> Option<Self> {
        let pid = number(words, "pid").filter(|pid| *pid > 1)?;
        let program = if has(words, "setup") {
            Program::Setup
        } else {
            Program::Run
        };
        let at = |key, next| number(words, key).map(|at| (Instant(at), next));
        let plain = Self::new(
            program,
            u32::try_from(pid).ok()?,
            Instant(number(words, "since")?),
        );
        let source = value(words, "ready_by").and_then(Source::of_word);
        let told = number(words, "ready_at").map(Instant).zip(source);
        Some(Self {
            paused: has(words, "paused"),
            got_term: has(words, "got_term"),
            was_told: has(words, "told") || has(words, "got_term"),
            stopping: has(words, "stopping"),
            scripts: scripts(words, "scripts"),
            again: scripts(words, "again"),
            manner: Manner::resume(words),
            ultimatum: at("term_at", Next::Stop)
                .or_else(|| at("kill_at", Next::Kill))
                .or_else(|| at("killed_at", Next::Over))
                .or_else(|| at("assumed_at", Next::Ready)),
            ready: told.or(plain.ready.filter(|_| !has(words, "starting"))),
            leaves: match (has(words, "overdue"), has(words, "leaves")) {
                (true, _) => Leaves::Overdue,
                (false, true) => Leaves::Said,
                (false, false) => Leaves::No,
            },
            ..plain
        })
    }
}

impl Clearing {
    fn handover(&self) -> String {
        let mut text = format!(
            " state=clearing pid={} not_before={} kill_at={} look_at={} looks={}",
            self.group, self.not_before.0, self.kill_at.0, self.look_at.0, self.looks
        );
        if self.is_killed {
            text.push_str(" killed");
        }
        if let Some(finish) = self.finish {
            text.push_str(" finish");
            let exit = finish.exit.status().map(i64::from);
            let tries = finish.report.map(|report| i64::from(report.tries));
            if let Some(report) = finish.report {
                text.extend([" outcome=", report.outcome.word()]);
            }
            for (key, number) in [
                ("exit", exit),
                ("tries", tries),
                ("finish_ms", finish.time_ms.map(i64::from)),
            ] {
                if let Some(number) = number {
                    text.extend([" ", key, "=", &number.to_string()]);
                }
            }
        }
        text
    }

    fn resume(words: &str, not_before: Instant) -> Option<Self> {
        let group = number(words, "pid").filter(|pid| *pid > 1)?;
        let exit = value(words, "exit").and_then(|raw| raw.parse().ok());
        let outcome = value(words, "outcome").and_then(Outcome::of_word);
        let small = |key| number(words, key).and_then(|number| u32::try_from(number).ok());
        let report = outcome.zip(small("tries"));
        let finish = has(words, "finish").then(|| Finish {
            exit: exit.map_or(Exit::Unknown, Exit::of_status),
            report: report.map(|(outcome, tries)| Report { outcome, tries }),
            time_ms: small("finish_ms"),
        });
        Some(Self {
            group: u32::try_from(group).ok()?,
            not_before,
            kill_at: Instant(number(words, "kill_at")?),
            is_killed: has(words, "killed"),
            look_at: Instant(number(words, "look_at").unwrap_or(0)),
            looks: number(words, "looks")
                .map_or(1, |looks| u8::try_from(looks.min(9)).unwrap_or(1)),
            finish,
        })
    }
}

impl Manner {
    fn handover(self) -> String {
        let mut text = String::new();
        let signal = |signal: Signal| u32::from(signal.number());
        for (word, number, plain) in [
            ("stop", Some(signal(self.stop)), signal(Self::PLAIN.stop)),
            (
                "reload",
                Some(signal(self.reload)),
                signal(Self::PLAIN.reload),
            ),
            ("kill_ms", self.kill_ms, 0),
        ] {
            if let Some(number) = number.filter(|number| *number != plain) {
                text.extend([" ", word, "=", &number.to_string()]);
            }
        }
        text
    }

    fn resume(words: &str) -> Self {
        let signal = |key| Signal::new(u8::try_from(number(words, key)?).ok()?);
        let kill_ms = number(words, "kill_ms").and_then(|ms| u32::try_from(ms).ok());
        Self {
            stop: signal("stop").unwrap_or(Self::PLAIN.stop),
            reload: signal("reload").unwrap_or(Self::PLAIN.reload),
            kill_ms,
        }
    }
}

fn gave_up(word: &str) -> Option<GaveUp> {
    let mut all = GAVE_UP.iter();
    all.find(|(known, _)| *known == word).map(|(_, why)| *why)
}

fn write_scripts(text: &mut String, scripts: Scripts, again: Scripts) {
    for (word, set) in [("scripts", scripts), ("again", again)] {
        let letters = Sig::ALL.into_iter().map(Sig::letter);
        let letters = letters.filter(|letter| set.has(*letter));
        let letters: String = letters.map(char::from).collect();
        if !letters.is_empty() {
            text.extend([" ", word, "=", &letters]);
        }
    }
}

fn scripts(words: &str, key: &str) -> Scripts {
    let letters = value(words, key).unwrap_or_default().bytes();
    let of_signal = |letter: &u8| Sig::ALL.iter().any(|sig| sig.letter() == *letter);
    letters.filter(of_signal).collect()
}

/// The value of a word `KEY=VALUE`.
pub fn value<'t>(words: &'t str, key: &str) -> Option<&'t str> {
    let mut words = words.split(' ');
    words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// As [`value`], for a number.
pub fn number(words: &str, key: &str) -> Option<u64> {
    value(words, key)?.parse().ok()
}

/// Whether a word is there.
pub fn has(words: &str, key: &str) -> bool {
    words.split(' ').any(|word| word == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str) -> Option<String> {
        Service::resume(Role::Main, words).map(|service| service.handover())
    }

    #[test]
    fn every_word_goes_there_and_back() {
        for words in [
            "want=up state=down not_before=7 fork_failures=3",
            "want=exit state=run pid=2 since=5 paused got_term told stopping scripts=pt again=k \
             term_at=9 resumes fork_failures=0",
            "want=down state=run pid=2 since=5 kill_at=9 fork_failures=0",
            "want=up state=run pid=2 since=5 setup fork_failures=0",
            "want=up state=run pid=2 since=5 starting term_at=9 fork_failures=0",
            "want=up state=run pid=2 since=5 starting assumed_at=9 fork_failures=0",
            "want=up state=run pid=2 since=5 leaves ready_at=7 ready_by=notify fork_failures=0",
            "want=up state=run pid=2 since=5 starting overdue kill_at=9 fork_failures=0",
            "want=down state=down not_before=0 start_gate=closed start_order=waits fork_failures=0",
            "want=up state=preparing start_gate=closed start_order=passes stop_order=passes fork_failures=0",
            "want=down state=run pid=2 since=5 start_gate=closed stop_gate=closed stop_order=waits fork_failures=0",
            "want=down state=run pid=2 since=5 killed_at=9 stop=37 reload=10 kill_ms=50 \
             fork_failures=0",
            "want=up state=done scripts=h again=h settled fork_failures=0",
            "want=down state=down not_before=7 gave_up=lives fork_failures=0",
            "want=up state=finish pid=3 not_before=8 finish_decides fork_failures=0",
            "want=down state=clearing pid=3 not_before=8 kill_at=9 look_at=5 looks=2 fork_failures=0",
            "want=up state=clearing pid=3 not_before=8 kill_at=9 look_at=5 looks=1 killed finish \
             outcome=exit exit=256 tries=3 finish_ms=5 fork_failures=0",
            "want=up state=finish pid=3 not_before=8 paused fork_failures=0",
            "want=up state=finish pid=3 not_before=8 kill_at=9 fork_failures=0",
            "want=up state=preparing fork_failures=0",
            "want=down state=gone fork_failures=0",
            "want=exit state=gone stays_done fork_failures=0",
            "want=up state=down not_before=7 backs_off fork_failures=0 lives=6 last=256",
            "want=up state=down not_before=7 was_late fork_failures=0 lives=1 last=15",
        ] {
            assert_eq!(told(words).as_deref(), Some(words));
        }
    }

    #[test]
    fn what_is_new_is_left_out_and_what_is_absent_is_nothing() {
        let words = "want=up later=1 state=run sooner pid=2 since=5";
        let same = "want=up state=run pid=2 since=5 fork_failures=0";
        assert_eq!(told(words).as_deref(), Some(same));
    }

    #[test]
    fn what_is_no_service_is_none() {
        for words in [
            "",
            "want=up",
            "want=sideways state=down",
            "want=up state=run pid=1 since=5",
            "want=up state=run pid=2",
            "want=up state=run pid=4294967298 since=5",
            "want=up state=finish pid=-1",
            "want=up state=upside-down",
        ] {
            assert_eq!(told(words), None, "{words}");
        }
    }
}
