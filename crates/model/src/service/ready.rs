//! When a run is ready: what it announces, and what became of that.

use crate::format::notify::Notify;
use crate::format::state::ready::Source;
use crate::time::Instant;

/// How a service says that it is ready: what its directory asks for when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Announce {
    /// It writes a newline to this descriptor; 0: somebody says it by `sv ready`.
    pub notification_fd: Option<u16>,
    /// It gets `NOTIFY_SOCKET`.
    pub notify: Option<Notify>,
}

/// What a supervisor that takes over finds of the means by which a run says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// They are there; what was said meanwhile is heard next.
    Open,
    /// The run has closed its notification descriptor, as it does after the newline.
    Closed,
    /// They are gone, and what was said meanwhile is lost.
    Lost,
}

impl Announce {
    /// It says nothing: it is ready when it runs.
    pub const NONE: Self = Self {
        notification_fd: None,
        notify: None,
    };

    /// Whether a run is not ready before somebody says so.
    pub const fn is_awaited(self) -> bool {
        let by_message = matches!(self.notify, Some(Notify { ready: true, .. }));
        self.notification_fd.is_some() || by_message
    }
}

/// Since when a run is ready, and by what that is known.
pub type Ready = (Instant, Source);
