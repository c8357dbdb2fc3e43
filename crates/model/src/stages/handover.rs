//! What a PID 1 that had to exec itself tells its successor: `STAGE PID WISH`.
//!
//! STAGE is 1, 2, 3 or `end`, or `shell` while root's shell runs.
//! PID is `-` for a stage that has no process. WISH is how the machine is to end, `file` when that
//! stands in a file, `single` for single-user mode, or `-`.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use super::{End, Job, Phase, STAGE3_LIMIT, Stage, Stages, Wish};
use crate::descent::Descent;
use crate::process::Pid;
use crate::time::Instant;

const STAGES: [(&str, Stage); 3] = [("1", Stage::One), ("2", Stage::Two), ("3", Stage::Three)];
/// Root's shell.
const SHELL: &str = "shell";
const WISHES: [(&str, Wish); 6] = [
    ("single", Wish::Single),
    ("file", Wish::AsRebootSays),
    ("halt", Wish::For(End::Halt)),
    ("poweroff", Wish::For(End::Poweroff)),
    ("reboot", Wish::For(End::Reboot)),
    ("kexec", Wish::For(End::Kexec)),
];

impl Stages {
    pub(super) fn line_for_a_successor(&self) -> String {
        let (stage, pid) = match self.phase {
            Phase::In { stage, job, .. } => match job {
                Job::Running(pid) => (Some(stage), Some(pid)),
                Job::Resting(_) | Job::Starting => (Some(stage), None),
            },
            Phase::Ending { stage, pid, .. } => (Some(stage), Some(pid)),
            Phase::Shell(Job::Running(pid)) => (None, Some(pid)),
            Phase::Last(_) | Phase::Shell(_) => (None, None),
        };
        // Once stage 3 is over, nobody looks at the file again.
        let wish = match self.phase {
            Phase::Last(_) if !self.is_single() => Some(Wish::For(self.fate())),
            _ => self.wish,
        };
        let wish = WISHES.iter().find(|(_, w)| Some(*w) == wish);
        let stage = STAGES.iter().find(|(_, s)| Some(*s) == stage);
        let pid = pid.map_or_else(|| String::from("-"), |pid| format!("{pid}"));
        let other = match self.phase {
            Phase::Shell(Job::Running(_)) => SHELL,
            _ => "end",
        };
        let (stage, wish) = (stage.map_or(other, |s| s.0), wish.map_or("-", |w| w.0));
        format!("{stage} {pid} {wish}")
    }

    /// A machine of which nothing is left but this end.
    pub fn ending(end: End) -> Self {
        let mut stages = Self::boot(Duration::ZERO);
        stages.wish = Some(Wish::For(end));
        stages.phase = Phase::Last(Descent::last());
        stages
    }

    /// The machine of a successor. `is_child` tells whether a pid is still our
    /// child: a stage whose process is not has ended unseen, as if in peace, but
    /// stage 2 is started again. A line that cannot be read means stage 2.
    pub fn resume(
        line: &str,
        is_child: impl Fn(Pid) -> bool,
        grace: Duration,
        now: Instant,
    ) -> Self {
        let mut words = line.split(' ');
        let stage = words.next().unwrap_or_default();
        let pid = words.next().unwrap_or_default();
        let wish = words.next().unwrap_or_default();
        let mut stages = Self::boot(grace);
        stages.wish = WISHES.iter().find(|(w, _)| *w == wish).map(|(_, w)| *w);
        let known = STAGES.iter().find(|(s, _)| *s == stage).map(|(_, s)| *s);
        let resting = Job::Resting(now);
        let pid = pid.parse().ok().filter(|pid| *pid > 1);
        let is_shell = stage == SHELL && stages.is_single();
        if let Some(pid) = pid.filter(|pid| is_shell && is_child(*pid)) {
            stages.phase = Phase::Shell(Job::Running(pid));
            return stages;
        }
        let place = match (known, pid) {
            (Some(stage), Some(pid)) if is_child(pid) => Some((stage, Job::Running(pid))),
            (Some(Stage::Three), Some(_)) => None,
            (Some(stage), None) => Some((stage, resting)),
            (None, _) if stage == "end" || is_shell => None,
            _ => Some((Stage::Two, resting)),
        };
        stages.phase = match place {
            Some((stage, job)) => {
                let limit = match stage {
                    Stage::Three => now.plus(STAGE3_LIMIT),
                    Stage::One | Stage::Two => super::NO_LIMIT,
                };
                Phase::In { stage, job, limit }
            }
            None => Phase::Last(Descent::begin(now, Duration::ZERO)),
        };
        stages
    }
}
