//! How a service names another: by which of five directories.

/// What one service is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It starts when the other is ready.
    Needs,
    /// It starts when the other is ready, or will not come.
    Wants,
    /// It starts when the other is ready, if that is to come.
    After,
    /// The other starts after it.
    Before,
    /// It starts when the other is ready, and stops when the other ends.
    Follows,
}

impl Kind {
    /// Each kind.
    pub const ALL: [Self; 5] = [
        Self::Needs,
        Self::Wants,
        Self::After,
        Self::Before,
        Self::Follows,
    ];

    /// The directory that holds the names.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Needs => "needs",
            Self::Wants => "wants",
            Self::After => "after",
            Self::Before => "before",
            Self::Follows => "follows",
        }
    }
}
