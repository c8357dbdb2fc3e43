//! Whether a service is as it should be, for `sv health`.
//!
//! What nobody wants up is well when it is down, unless somebody asks for this very service.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Snapshot, State};
use crate::format::tai64n::Tai64n;
use crate::restart::GAP_MS;

/// Why a service is not well, in a word or some; `None`: it is well.
pub fn complaint(seen: &Snapshot, is_asked_for: bool, now: Tai64n) -> Option<String> {
    let state = seen.state();
    let is_well = match state {
        State::Run => !is_crashing(seen, now),
        State::Done => true,
        State::Down | State::Disabled | State::Stopping => !is_asked_for,
        State::Finish => !is_asked_for && seen.status.is_some_and(|status| !status.want_up),
        _ => false,
    };
    if is_well {
        return None;
    }
    Some(match (state, seen.waits_for()) {
        (State::Run, _) => "crashing".to_string(),
        (State::Unknown, _) => seen.unseen().unwrap_or("?").to_string(),
        (state, Some(other)) => format!("{}, waits for {other}", state.word()),
        (state, None) => state.word().to_string(),
    })
}

/// It runs only since a moment, and so did the run before.
fn is_crashing(seen: &Snapshot, now: Tai64n) -> bool {
    let ms = |at: Tai64n| {
        let whole = at.unix_seconds().saturating_mul(1000);
        whole.saturating_add(i64::from(at.nanos() / 1_000_000))
    };
    let lived_ms = seen.last().and_then(|last| last.lived_ms);
    let since_ms = seen.since().map(|at| ms(now).saturating_sub(ms(at)));
    let is_short = |ms| (0..GAP_MS).contains(&ms);
    seen.ready_since().is_none()
        && lived_ms.is_some_and(is_short)
        && since_ms.is_some_and(|ms| u64::try_from(ms).is_ok_and(is_short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::state::last::{Last, Outcome};
    use crate::format::status::{Phase, Status};
    use crate::process::Exit;

    const NOW: Tai64n = Tai64n::from_unix(1000, 500_000_000);

    /// The phase, a pid or 0, whether it is wanted, and since when.
    fn seen(phase: Phase, pid: u32, want_up: bool, changed: Tai64n) -> Snapshot {
        Snapshot {
            enabled: true,
            supervised: Some(true),
            status: Some(Status {
                changed,
                pid,
                paused: false,
                want_up,
                got_term: false,
                phase,
            }),
            ..Snapshot::default()
        }
    }

    fn told(seen: &Snapshot, is_asked_for: bool) -> String {
        complaint(seen, is_asked_for, NOW).unwrap_or_default()
    }

    #[test]
    fn what_is_wanted_has_to_run() {
        let long_ago = Tai64n::from_unix(0, 0);
        for (phase, pid, want_up, of_all, of_one) in [
            (Phase::Run, 7, true, "", ""),
            // Once.
            (Phase::Run, 7, false, "", ""),
            (Phase::Run, 0, true, "", ""),
            (Phase::Down, 0, false, "", "down"),
            (Phase::Down, 0, true, "restarting", "restarting"),
            (Phase::Down, 7, true, "starting", "starting"),
            (Phase::Finish, 7, true, "finish", "finish"),
            (Phase::Finish, 7, false, "", "finish"),
        ] {
            let seen = seen(phase, pid, want_up, long_ago);
            let both = (told(&seen, false), told(&seen, true));
            assert_eq!(both, (of_all.into(), of_one.into()), "{:?}", seen.status);
        }
        let mut gone = seen(Phase::Run, 7, true, long_ago);
        gone.supervised = Some(false);
        assert_eq!(told(&gone, false), "gone");
        gone.enabled = false;
        assert_eq!(
            (told(&gone, false), told(&gone, true)),
            (String::new(), "disabled".into())
        );
        let unseen = Snapshot {
            name: b"web".to_vec(),
            trouble: Some("fail: web: unable to open it: access denied".into()),
            ..Snapshot::default()
        };
        assert_eq!(told(&unseen, false), "unable to open it: access denied");
        assert_eq!(told(&Snapshot::default(), false), "?");
        let mut stopped = seen(Phase::Run, 7, true, long_ago);
        if let Some(status) = &mut stopped.status {
            status.paused = true;
        }
        assert_eq!(told(&stopped, false), "paused");
    }

    #[test]
    fn what_ends_at_once_again_and_again_is_not_well_while_it_runs() {
        let last = |lived_ms| Last {
            exit: Exit::Code(1),
            outcome: Outcome::Exit,
            at: NOW,
            restarts: 3,
            pid: 6,
            lived_ms,
            given_up: false,
        };
        for (since, lived_ms, expected) in [
            (Tai64n::from_unix(1000, 0), Some(20), "crashing"),
            (Tai64n::from_unix(999, 0), Some(20), ""),
            (Tai64n::from_unix(1000, 0), Some(1000), ""),
            (Tai64n::from_unix(1000, 0), None, ""),
            // The clock was set.
            (Tai64n::from_unix(2000, 0), Some(20), ""),
        ] {
            let mut seen = seen(Phase::Run, 7, true, since);
            seen.own.last = Some(last(lived_ms));
            assert_eq!(told(&seen, false), expected, "{since:?} {lived_ms:?}");
        }
        let mut failed = seen(Phase::Down, 0, false, NOW);
        failed.own.last = Some(Last {
            given_up: true,
            ..last(Some(2))
        });
        assert_eq!(told(&failed, false), "failed");
    }
}
