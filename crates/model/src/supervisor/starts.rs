//! What has to wait for the answer of a start that is under way.

use super::{Action, Id, Input, Supervisor};

impl Action {
    /// Whether it is done only after the answer of a start for `starting`.
    pub fn waits_for(&self, starting: Id) -> bool {
        match self {
            Self::Open { .. } | Self::Ask(_) | Self::Say(_) => false,
            Self::Start(job) => job.id() == starting,
            Self::Signal(id, ..) | Self::Show { id, .. } => *id == starting,
            Self::Look { id, log, .. } => {
                let same = *id == starting;
                same || *log && id.unit == starting.unit
            }
            Self::ClosePipe(unit)
            | Self::CloseLog(unit)
            | Self::OpenPipe(unit)
            | Self::Dismiss(unit)
            | Self::Release(unit) => *unit == starting.unit,
            Self::Scan | Self::Leave => true,
        }
    }
}

impl Supervisor {
    /// Whether an input is handed in only after the answer of a start for `starting`;
    /// and a child reaped, for its pid may be given then to what follows.
    pub fn waits_for(&self, input: &Input, starting: Id) -> bool {
        match input {
            Input::Due => false,
            Input::Command(id, _) | Input::Obeyed { id, .. } => id.unit == starting.unit,
            Input::ChildEnded(pid, _) => {
                // If it is not known, or by its descriptor alone, it may be that child.
                let id = self.owners.get(pid).map(|job| job.id());
                id.is_none_or(|id| {
                    id.unit == starting.unit || self.half(id).is_none_or(|half| half.held)
                })
            }
            _ => true,
        }
    }
}
