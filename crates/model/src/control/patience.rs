//! How long `sv` waits for a service that it may kill (the words that begin with
//! `force-`).
//!
//! A service with `timeout-kill` has a supervisor that sends KILL, and says when
//! (`supervise/reason`): `sv` leaves that to it. Any other gets KILL from `sv` when it has
//! had its stop signal for as long as the user waits. It may get that signal later than
//! its order, because services that need it end first; until then it is held, and has no
//! deadline. A service that never shows that it got the signal (a script does its work) is
//! waited for from the order on.

use crate::format::state::reason::Reason;
use crate::format::status::Status;
use crate::process::Pid;
use crate::time::Instant;

/// How long KILL may take to do its work (ms).
pub const KILL_WAIT_MS: u64 = 7000;
/// For so long after the supervisor's KILL `sv` sends none (ms).
const OTHERS_KILL_MS: u64 = 1000;

/// What is known of one service that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    wait_ms: u64,
    /// When the time is over that began with the order.
    end: Instant,
    /// Which process showed that it got its stop signal, and since when that is known.
    told: Option<(Pid, Instant)>,
    /// When the supervisor sends KILL, or has sent it.
    kill_at: Option<Instant>,
    is_held: bool,
    /// A process that has ended had got KILL from the supervisor.
    others_kill: bool,
    /// When `sv` sent KILL.
    killed: Option<Instant>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing, before this moment or at all.
    Nothing(Option<Instant>),
    /// Send KILL.
    Kill,
    /// It is of no use to wait any longer.
    GiveUp,
}

impl Patience {
    /// Of a service that has just got its order; the user waits for so long (ms).
    pub const fn new(wait_ms: u64, end: Instant) -> Self {
        Self {
            wait_ms,
            end,
            told: None,
            kill_at: None,
            is_held: false,
            others_kill: false,
            killed: None,
        }
    }

    /// What a look showed.
    pub fn see(&mut self, status: &Status, reason: Option<&Reason>, now: Instant) {
        if self.told.is_some_and(|(pid, _)| pid != status.pid) {
            // What was told has ended; what comes after it has a time of its own.
            self.told = None;
            self.others_kill |= self.kill_at.take().is_some_and(|at| at <= now);
            self.end = self.end.max(now.plus_ms(self.wait_ms));
        }
        self.is_held = matches!(reason, Some(Reason::Stop(_))) && !status.got_term;
        if let Some(Reason::Kill(at)) = reason {
            self.kill_at = Some(*at);
        }
        if status.got_term && self.told.is_none() {
            self.told = Some((status.pid, now));
        }
    }

    /// Whether its stop waits for another service.
    pub const fn is_held(&self) -> bool {
        self.is_held
    }

    /// It was told to stop once more, and does not wait for others now.
    pub fn insist(&mut self, now: Instant) {
        self.is_held = false;
        self.end = now.plus_ms(self.wait_ms);
    }

    /// When the supervisor sends KILL, if that is to come.
    pub fn kill_at(&self, now: Instant) -> Option<Instant> {
        self.kill_at.filter(|at| *at > now)
    }

    /// Whether it has got KILL, from `sv` or its supervisor.
    pub fn is_killed(&self, now: Instant) -> bool {
        let by_others = self.others_kill || self.kill_at.is_some_and(|at| at <= now);
        by_others || self.killed.is_some()
    }

    /// `sv` sends KILL now.
    pub const fn kill(&mut self, now: Instant) {
        self.killed = Some(now);
    }

    /// What is to be done.
    pub fn due(&self, now: Instant) -> Due {
        if let Some(killed) = self.killed {
            let end = killed.plus_ms(KILL_WAIT_MS);
            return if end <= now {
                Due::GiveUp
            } else {
                Due::Nothing(Some(end))
            };
        }
        if self.is_held {
            return Due::Nothing(None);
        }
        let own = self
            .told
            .map_or(self.end, |(_, at)| at.plus_ms(self.wait_ms));
        let others = self.kill_at.map(|at| at.plus_ms(OTHERS_KILL_MS));
        let at = others.map_or(own, |others| others.max(own));
        if at <= now {
            Due::Kill
        } else {
            Due::Nothing(Some(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::status::Phase;
    use crate::format::tai64n::Tai64n;

    const fn at(s: u64) -> Instant {
        Instant(s * 1_000_000_000)
    }

    const RUNS: Status = Status {
        changed: Tai64n::from_unix(100, 5),
        pid: 10,
        paused: false,
        want_up: false,
        got_term: false,
        phase: Phase::Run,
    };
    const TOLD: Status = Status {
        got_term: true,
        ..RUNS
    };

    /// At 100 s, by somebody who waits for 7 s.
    fn ordered() -> Patience {
        Patience::new(7000, at(107))
    }

    #[test]
    fn the_time_counts_from_the_order_until_the_signal_is_seen() {
        let mut service = ordered();
        service.see(&RUNS, None, at(100));
        assert_eq!(service.due(at(106)), Due::Nothing(Some(at(107))));
        assert_eq!(service.due(at(107)), Due::Kill);
        service.see(&TOLD, None, at(104));
        service.see(&TOLD, None, at(106));
        assert_eq!(service.due(at(107)), Due::Nothing(Some(at(111))));
        assert_eq!(service.due(at(111)), Due::Kill);
        service.kill(at(111));
        assert_eq!(service.due(at(117)), Due::Nothing(Some(at(118))));
        assert_eq!(service.due(at(118)), Due::GiveUp);
        assert!(service.is_killed(at(111)));
    }

    #[test]
    fn a_new_process_has_a_time_of_its_own() {
        let mut service = ordered();
        service.see(&TOLD, None, at(100));
        service.see(&TOLD, Some(&Reason::Kill(at(150))), at(101));
        let next = Status { pid: 11, ..RUNS };
        service.see(&next, None, at(150));
        assert_eq!(service.due(at(151)), Due::Nothing(Some(at(157))));
        assert_eq!(service.kill_at(at(150)), None);
        assert!(service.is_killed(at(150)));
        service.see(&Status { pid: 11, ..TOLD }, None, at(156));
        assert_eq!(service.due(at(157)), Due::Nothing(Some(at(163))));
    }

    #[test]
    fn who_has_a_timeout_is_left_to_the_supervisor() {
        let mut service = ordered();
        service.see(&TOLD, Some(&Reason::Kill(at(160))), at(100));
        assert_eq!(service.kill_at(at(119)), Some(at(160)));
        assert_eq!(service.due(at(160)), Due::Nothing(Some(at(161))));
        assert!(!service.is_killed(at(159)) && service.is_killed(at(160)));
        // The supervisor has sent KILL, and nothing came of it.
        service.see(&TOLD, None, at(160));
        assert_eq!(service.due(at(160)), Due::Nothing(Some(at(161))));
        assert_eq!(service.due(at(161)), Due::Kill);
        assert_eq!(service.kill_at(at(161)), None);
        // A time that is shorter than the user's does not shorten that.
        let mut service = ordered();
        service.see(&TOLD, Some(&Reason::Kill(at(102))), at(100));
        assert_eq!(service.due(at(103)), Due::Nothing(Some(at(107))));
        // It was told to take more time.
        service.see(&TOLD, Some(&Reason::Kill(at(200))), at(101));
        assert_eq!(service.due(at(107)), Due::Nothing(Some(at(201))));
    }

    #[test]
    fn who_waits_for_others_has_no_end_before_its_turn() {
        let mut service = ordered();
        service.see(&RUNS, Some(&Reason::Stop("web".into())), at(100));
        assert!(service.is_held());
        assert_eq!(service.due(at(500)), Due::Nothing(None));
        let mut insists = service;
        insists.insist(at(500));
        assert_eq!(insists.due(at(500)), Due::Nothing(Some(at(507))));
        service.see(&TOLD, None, at(300));
        assert!(!service.is_held());
        assert_eq!(service.due(at(306)), Due::Nothing(Some(at(307))));
    }
}
