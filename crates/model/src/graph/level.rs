//! How far a service is, as far as others wait for it, and what each kind of wait wants.

use alloc::format;
use alloc::string::String;

use super::Kind;
use crate::process::Exit;

/// How far a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// The scan directory has no such entry.
    #[default]
    Absent,
    /// There is an entry, which was not opened yet.
    Opening,
    /// There is an entry, which cannot be opened.
    Broken,
    /// It is wanted down, and has no process.
    Down,
    /// It waits for others itself.
    Held,
    /// It is to become ready.
    Starting,
    /// As `Starting`, but it has failed several times in a row.
    Failing,
    /// As `Starting`, but it was not ready in time, and has not been ready since.
    Late,
    /// As `Failing`, in a crash loop. It last ended so.
    Looping(Exit),
    /// It is ready.
    Ready,
    /// It is being stopped, and is to stay down.
    Stopping,
}

impl Level {
    /// Whether the start of a service waits that has such a one in its directory of this
    /// kind. A service in [`Kind::Before`] waits for nobody.
    pub const fn holds(self, kind: Kind) -> bool {
        match kind {
            Kind::Needs | Kind::Follows => !matches!(self, Self::Ready),
            Kind::Wants => matches!(self, Self::Opening | Self::Held | Self::Starting),
            Kind::After => matches!(
                self,
                Self::Opening | Self::Held | Self::Starting | Self::Failing | Self::Late
            ),
            Kind::Before => false,
        }
    }

    /// In words.
    pub fn text(self) -> String {
        let words = match self {
            Self::Absent => "not enabled",
            Self::Opening => "not opened yet",
            Self::Broken => "cannot be opened",
            Self::Down => "down",
            Self::Held => "held itself",
            Self::Starting => "starting",
            Self::Failing => "fails again and again",
            Self::Late => "not ready in time",
            Self::Looping(Exit::Code(code)) => return format!("crash loop, exit {code}"),
            Self::Looping(Exit::Unknown) => "crash loop",
            Self::Looping(Exit::Signal(signal) | Exit::Dumped(signal)) => {
                return format!("crash loop, signal {signal}");
            }
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        };
        words.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of service-directory(5): `#` holds.
    #[test]
    fn what_holds_a_start() {
        let levels = [
            Level::Absent,
            Level::Opening,
            Level::Broken,
            Level::Down,
            Level::Held,
            Level::Starting,
            Level::Failing,
            Level::Late,
            Level::Looping(Exit::Code(1)),
            Level::Ready,
            Level::Stopping,
        ];
        for (kind, row) in [
            (Kind::Needs, "#########.#"),
            (Kind::Follows, "#########.#"),
            (Kind::Wants, ".#..##....."),
            (Kind::After, ".#..####..."),
            (Kind::Before, "..........."),
        ] {
            let found: String = levels
                .iter()
                .map(|level| if level.holds(kind) { '#' } else { '.' })
                .collect();
            assert_eq!(found, row, "{kind:?}");
        }
    }

    #[test]
    fn a_crash_loop_says_how_it_ended() {
        let text = |exit| Level::Looping(exit).text();
        assert_eq!(text(Exit::Code(1)), "crash loop, exit 1");
        assert_eq!(text(Exit::Dumped(11)), "crash loop, signal 11");
        assert_eq!(text(Exit::Unknown), "crash loop");
    }
}
