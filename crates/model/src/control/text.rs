//! How a status reads in `sv`'s output: runit's words, and after them what our own files
//! in `supervise` add.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::format::state::last::{Last, Outcome};
use crate::format::state::ready::Ready;
use crate::format::state::reason::Reason;
use crate::format::state::status_text::StatusText;
use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;
use crate::process::Exit;
use crate::signal::Signal;

/// A status as `sv` prints it, without the end of line. `normally_up` says that
/// there is no file `down`; `None`, that this is not known. A time in the future
/// counts as now.
pub fn describe(name: &[u8], s: &Status, normally_up: Option<bool>, now: Tai64n) -> Vec<u8> {
    let seconds = now
        .unix_seconds()
        .saturating_sub(s.changed.unix_seconds())
        .max(0);
    // A oneshot: nothing of it runs.
    let is_done = s.phase == Phase::Run && s.pid == 0;
    let head = match s.phase {
        Phase::Down => "down: ",
        Phase::Run if is_done => "done: ",
        Phase::Run => "run: ",
        Phase::Finish => "finish: ",
    };
    let mut text = [head.as_bytes(), name, b": "].concat();
    if s.phase != Phase::Down && !is_done {
        text.extend(format!("(pid {}) ", s.pid).into_bytes());
    }
    text.extend(format!("{seconds}s").into_bytes());
    // A start that hangs has a process, and none of the service's.
    let idle = !is_done && s.pid == 0 || s.phase == Phase::Down;
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

/// Whether a run is not ready yet, by what `ready` holds.
pub fn is_starting(s: &Status, ready: Option<Ready>) -> bool {
    ready.is_some_and(|ready| ready.is_of(s) && ready.source.is_none())
}

/// Whether something may hold up what was asked for, so that `reason` may say it.
pub const fn may_be_held(s: &Status) -> bool {
    match s.phase {
        Phase::Down => s.pid == 0 && s.want_up,
        Phase::Run => s.pid != 0 && !s.want_up && !s.got_term,
        Phase::Finish => false,
    }
}

/// Whether it may be down because of how its last run ended, so that `last` may say it.
pub const fn may_have_given_up(s: &Status) -> bool {
    matches!(s.phase, Phase::Down) && s.pid == 0 && !s.want_up
}

/// What our own files add to a status. Each is believed only if it fits the status.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// `ready`.
    pub ready: Option<Ready>,
    /// `reason`.
    pub reason: Option<Reason>,
    /// `last`.
    pub last: Option<Last>,
    /// `status-text`.
    pub told: Option<StatusText>,
}

impl Own {
    /// The remarks.
    pub fn remarks(&self, s: &Status) -> String {
        let mut text = String::new();
        if is_starting(s, self.ready) {
            text.push_str(", starting");
        }
        let waits_for = match &self.reason {
            Some(Reason::Held { name, .. }) if s.want_up => Some(name),
            Some(Reason::Stop(name)) if !s.want_up => Some(name),
            _ => None,
        };
        if let Some(name) = waits_for.filter(|_| may_be_held(s)) {
            text.extend([", waits for ", name]);
        }
        if let Some(last) = self
            .last
            .filter(|last| last.given_up && may_have_given_up(s))
        {
            text.extend([", stopped by itself: ", &how(&last)]);
        }
        if let Some(told) = self.told.as_ref().filter(|told| told.is_of(s)) {
            text.extend([", says \"", &told.text, "\""]);
        }
        text
    }
}

/// How a process ended: `exit 1`, `signal KILL`.
pub fn ended(exit: Exit) -> String {
    match (exit, exit.signal().and_then(Signal::new)) {
        (Exit::Code(code), _) => format!("exit {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        (_, None) => "unknown end".into(),
    }
}

/// How a run ended.
pub fn how(last: &Last) -> String {
    match last.outcome {
        Outcome::Setup => format!("setup: {}", ended(last.exit)),
        Outcome::Timeout => "not ready in time".into(),
        Outcome::Exit | Outcome::Signal | Outcome::Unknown => ended(last.exit),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::state;
    use super::*;
    use crate::graph::Kind;

    const NOW: Tai64n = Tai64n::from_unix(103, 0);
    /// When the state of [`state`] began.
    const AT: Tai64n = Tai64n::from_unix(100, 5);

    fn line(short: &str, normally_up: Option<bool>, own: &Own) -> String {
        let status = state(short);
        let line = describe(b"web", &status, normally_up, NOW);
        String::from_utf8(line).unwrap() + &own.remarks(&status)
    }

    /// Lines as Debian's `sv status` printed them for the same records.
    #[test]
    fn text_of_a_status() {
        let text = |short: &str, normally_up| line(short, normally_up, &Own::default());
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
        assert_eq!(text("fuT", up), "finish: web: (pid 10) 3s, got TERM");
        assert_eq!(
            text("fu-", up),
            "finish: web: (pid 0) 3s, normally up, want up"
        );
        let hangs = Status {
            pid: 10,
            ..state("du")
        };
        assert_eq!(
            describe(b"web", &hangs, up, NOW),
            b"down: web: 3s, normally up, want up, starting (pid 10)"
        );
        let early = describe(b"web", &state("ru"), up, Tai64n::from_unix(0, 0));
        assert_eq!(early, b"run: web: (pid 10) 0s");
    }

    #[test]
    fn a_oneshot_is_done() {
        let text = |short: &str, normally_up| line(short, normally_up, &Own::default());
        assert_eq!(text("ru-", Some(true)), "done: web: 3s");
        assert_eq!(text("ru-", Some(false)), "done: web: 3s, normally down");
    }

    fn ready(pid: u32, at: Tai64n, source: Option<crate::format::state::ready::Source>) -> Own {
        Own {
            ready: Some(Ready { pid, at, source }),
            ..Own::default()
        }
    }

    #[test]
    fn a_run_is_starting_only_by_its_own_line() {
        use crate::format::state::ready::Source;
        let starting = "run: web: (pid 10) 3s, starting";
        let running = "run: web: (pid 10) 3s";
        let text = |own: &Own| line("ru", Some(true), own);
        assert_eq!(text(&ready(10, AT, None)), starting);
        assert_eq!(text(&ready(10, AT, Some(Source::Message))), running);
        assert_eq!(text(&ready(11, AT, None)), running);
        assert_eq!(text(&ready(10, Tai64n::from_unix(99, 0), None)), running);
        let down = line("du", Some(true), &ready(0, AT, None));
        assert_eq!(down, "down: web: 3s, normally up, want up");
    }

    #[test]
    fn what_holds_it_up_is_named() {
        let held = Own {
            reason: Some(Reason::Held {
                by: Kind::Needs,
                name: "db".into(),
                why: "starting".into(),
            }),
            ..Own::default()
        };
        let stop = Own {
            reason: Some(Reason::Stop("api".into())),
            ..Own::default()
        };
        let up = Some(true);
        assert_eq!(
            line("du", up, &held),
            "down: web: 3s, normally up, want up, waits for db"
        );
        assert_eq!(
            line("rd", up, &stop),
            "run: web: (pid 10) 3s, want down, waits for api"
        );
        for (short, own) in [
            ("dd", &held),
            ("ru", &held),
            ("rd", &held),
            ("ru-", &held),
            ("du", &stop),
            ("ru", &stop),
            ("rdT", &stop),
            ("fd", &stop),
        ] {
            assert_eq!(
                line(short, up, own),
                line(short, up, &Own::default()),
                "{short}"
            );
        }
    }

    #[test]
    fn what_gave_up_says_why() {
        let last = |exit, outcome, given_up| Own {
            last: Some(Last {
                exit,
                outcome,
                at: AT,
                restarts: 0,
                pid: 10,
                lived_ms: None,
                given_up,
            }),
            ..Own::default()
        };
        let code = Exit::Code(78);
        for (exit, outcome, how) in [
            (code, Outcome::Exit, "exit 78"),
            (Exit::Signal(11), Outcome::Signal, "signal SEGV"),
            (Exit::Signal(0), Outcome::Signal, "unknown end"),
            (Exit::Unknown, Outcome::Unknown, "unknown end"),
            (Exit::Code(111), Outcome::Setup, "setup: exit 111"),
            (Exit::Signal(9), Outcome::Timeout, "not ready in time"),
        ] {
            assert_eq!(
                line("dd", Some(true), &last(exit, outcome, true)),
                format!("down: web: 3s, normally up, stopped by itself: {how}")
            );
        }
        for (short, given_up) in [("dd", false), ("du", true), ("rd", true), ("fd", true)] {
            let own = last(code, Outcome::Exit, given_up);
            assert_eq!(line(short, None, &own), line(short, None, &Own::default()));
        }
    }

    #[test]
    fn what_it_says_of_itself_is_quoted() {
        let told = |pid| Own {
            told: Some(StatusText::new(pid, AT, b"at \"40\" %; run: x\x1b")),
            ..Own::default()
        };
        assert_eq!(
            line("ru", Some(true), &told(10)),
            r#"run: web: (pid 10) 3s, says "at \"40\" %; run: x\x1b""#
        );
        assert_eq!(line("ru", Some(true), &told(11)), "run: web: (pid 10) 3s");
    }
}
