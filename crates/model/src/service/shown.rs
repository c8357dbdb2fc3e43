//! What there is to show of a service, in the words of its files.

use super::{Clearing, Pid, Program, Running, Service, State};
use crate::format::adopt::Mark;
use crate::format::crash_loop::CrashLoop;
use crate::format::status::Phase;
use crate::restart::GaveUp;

impl Service {
    /// What is shown of a crash loop: nothing if the service does not ask for growing
    /// delays, because then its files are as runit's.
    pub fn crash_loop(&self) -> Option<CrashLoop> {
        let shows = self.is_crash_looping() && self.streak.backs_off();
        let next = match self.state {
            State::Down { not_before }
            | State::EndingRun { not_before, .. }
            | State::Clearing(Clearing { not_before, .. })
            | State::Finish { not_before, .. } => Some(not_before),
            _ => None,
        };
        shows.then(|| CrashLoop {
            lives: self.streak.lives(),
            ended: self.streak.last().finish_args(),
            next,
        })
    }

    /// The phase and pid (0: none) that the status record shows. It is down, with a
    /// pid, while `./setup` runs or the start of a program hangs; and it runs, without a
    /// pid, when a oneshot is done.
    pub const fn phase(&self) -> (Phase, Pid) {
        match self.state {
            State::Run(r) if matches!(r.program, Program::Run) => (Phase::Run, r.pid),
            State::Done { .. } => (Phase::Run, 0),
            State::Finish { pid, .. } => (Phase::Finish, pid),
            State::Clearing(_) => (Phase::Finish, 0),
            State::Run(Running { pid, .. })
            | State::Starting {
                child: Some(pid), ..
            }
            | State::EndingRun {
                child: Some(pid), ..
            } => (Phase::Down, pid),
            _ => (Phase::Down, 0),
        }
    }

    /// Whether the status record shows it paused.
    pub const fn paused(&self) -> bool {
        match self.state {
            State::Run(r) => r.paused,
            State::Finish { paused, .. } => paused,
            _ => false,
        }
    }

    /// Whether the stop signal was sent to the present process.
    pub const fn got_term(&self) -> bool {
        matches!(self.state, State::Run(r) if r.got_term)
    }

    /// What a successor must find in the record of the last process.
    pub const fn mark(&self) -> Mark {
        match self.state {
            State::Run(r) if r.stopping || self.is_stop_held() => Mark::Stop,
            State::Done { .. } => Mark::Done,
            _ => self.left,
        }
    }

    /// Whether it is a oneshot that is done.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// Why it is to stay down, if it said so itself.
    pub const fn gave_up(&self) -> Option<GaveUp> {
        self.gave_up
    }

    /// Whether it is gone, and a oneshot that is still done.
    pub const fn stays_done(&self) -> bool {
        matches!(self.left, Mark::Done)
    }
}
