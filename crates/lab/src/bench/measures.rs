//! What is measured: names, units, and what sunup is to reach.

use clap::ValueEnum;
use serde::Serialize;

use super::peers::Name;

/// A part of the measurements, as it may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Start of all services, and state files
    Start,
    /// Memory, processes and descriptors of the supervisor
    Memory,
    /// Services that are killed
    Restart,
    /// A new service, by `sv enable`, too
    PickUp,
    /// `sv status` of all, and `sv list`
    Status,
    /// `sv restart` of one
    RestartOne,
    /// `sv start` of what fails at once
    FalseStart,
    /// `sv check` of one while others start
    BesideStarts,
    /// A command to one beside many that fail at once
    BesideFailing,
    /// `sv restart` of one beside an exec that hangs
    BesideHang,
    /// `sv stop` of all
    Stop,
    /// Services that say when they are ready
    Ready,
    /// Services that need others
    Needs,
    /// Services that need each the one before it
    Chain,
    /// What is done once in a boot
    Oneshots,
    /// KILL for what is deaf to TERM
    Kill,
    /// Wake-ups of an idle tree
    Idle,
    /// Lines lost when the supervisor is killed
    Lines,
    /// Throughput of the logger
    Log,
    /// Lines of `sv log -f`
    Follow,
    /// Lines of `sv watch`, and what that costs the supervisor
    Watch,
}

/// A measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "`What::title` says what each is")]
pub enum What {
    Start,
    StatusFiles,
    StartSessions,
    Memory,
    PageTables,
    KernelMemory,
    Processes,
    Descriptors,
    Restart,
    RestartAll,
    PickUp,
    Enable,
    Status,
    List,
    RestartOne,
    RestartOneUp,
    FalseStarts,
    CheckBesideStarts,
    CheckBesideStartsWorst,
    CommandBesideFailing,
    RestartBesideHang,
    StopAll,
    SvStartReady,
    AllReady,
    StartNeeds,
    EdgeMemory,
    Chain,
    ChainStep,
    StopChain,
    Oneshots,
    KillLateness,
    WakeUps,
    LinesLost,
    LogPlain,
    LogTai64n,
    LogHuman,
    LogShown,
    WatchLine,
    RestartCpu,
    RestartCpuWatched,
}

/// What sunup is to reach. All values are medians of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At most so many times the bare loop's.
    TimesBare(f64),
    /// At most so many times what another measure of sunup's is.
    TimesOwn(f64, What),
    /// At least this share of cat's.
    ShareOfBare(f64),
    /// At most so much.
    AtMost(f64),
    /// Less than that peer's.
    Below(Name),
    /// Not above that peer's, and the 99th percentile below twice the median.
    NotAboveAndEven(Name),
}

impl What {
    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Start => "start of all",
            Self::StatusFiles => "start, all status files",
            Self::StartSessions => "start of all, runsvdir -P",
            Self::Memory => "memory per service",
            Self::PageTables => "page tables per service",
            Self::KernelMemory => "kernel memory per service",
            Self::Processes => "supervisor's processes",
            Self::Descriptors => "descriptors per service",
            Self::Restart => "restart after kill -9",
            Self::RestartAll => "kill -9 of all, all back",
            Self::PickUp => "a new service",
            Self::Enable => "sv enable, or a link, to the exec",
            Self::Status => "sv status of all",
            Self::List => "sv list",
            Self::RestartOne => "sv restart of one",
            Self::RestartOneUp => "sv restart of one, it is up",
            Self::FalseStarts => "sv start says ok, it fails at once",
            Self::CheckBesideStarts => "sv check while others start",
            Self::CheckBesideStartsWorst => "sv check while others start, worst",
            Self::CommandBesideFailing => "sv pause, cont beside failing ones",
            Self::RestartBesideHang => "sv restart beside a hanging exec",
            Self::StopAll => "sv stop of all",
            Self::SvStartReady => "newline on the descriptor to end of sv start",
            Self::AllReady => "start of all with notification-fd, all ready",
            Self::StartNeeds => "start of all, up to 3 needs each",
            Self::EdgeMemory => "memory per need",
            Self::Chain => "start of a chain, each when that before is ready",
            Self::ChainStep => "ready to the exec of the next in the chain",
            Self::StopChain => "sv stop of the chain",
            Self::Oneshots => "oneshots at boot, all done",
            Self::KillLateness => "KILL later than timeout-kill",
            Self::WakeUps => "wake-ups, idle",
            Self::LinesLost => "lines lost when the supervisor is killed twice within a second",
            Self::LogPlain => "log, plain",
            Self::LogTai64n => "log, TAI64N",
            Self::LogHuman => "log, date and time",
            Self::LogShown => "line to sv log -f, or tail -F",
            Self::WatchLine => "exec to the line of sv watch",
            Self::RestartCpu => "supervisor's CPU, kill -9 of all",
            Self::RestartCpuWatched => "the same beside sv watch",
        }
    }

    /// Of its samples.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Memory | Self::PageTables | Self::KernelMemory => "KiB",
            Self::Processes | Self::Descriptors | Self::WakeUps | Self::LinesLost => "",
            Self::FalseStarts => "%",
            Self::EdgeMemory => "B",
            Self::LogPlain | Self::LogTai64n | Self::LogHuman => "MB/s",
            _ => "ms",
        }
    }

    /// Whether a greater value is a better one.
    pub fn more_is_better(self) -> bool {
        self.unit() == "MB/s"
    }

    /// What the measure of the bare loop is for this one.
    pub fn of_bare(self) -> Self {
        if self.more_is_better() {
            return Self::LogPlain;
        }
        self
    }

    /// For that many services; 0 where it is not about services.
    pub fn target(self, n: usize) -> Option<Target> {
        Some(match (self, n) {
            (Self::Start, 1000) => Target::TimesBare(1.5),
            (Self::Start, 5000) => Target::TimesBare(1.6),
            (Self::Memory, 1000) | (Self::KillLateness | Self::LogShown, _) => Target::AtMost(2.0),
            (Self::Restart, _) => Target::NotAboveAndEven(Name::Busybox),
            (Self::RestartAll, _) => Target::Below(Name::Busybox),
            (Self::PickUp | Self::Enable | Self::RestartOneUp, _) => Target::AtMost(5.0),
            // A start counts when the process has lived for 100 ms (sv(8)).
            (Self::RestartOne, _) => Target::AtMost(110.0),
            (Self::CheckBesideStarts, _) => Target::AtMost(50.0),
            (Self::CheckBesideStartsWorst | Self::CommandBesideFailing, _) => Target::AtMost(250.0),
            (Self::RestartBesideHang, _) | (Self::Status, 1000) => Target::AtMost(10.0),
            (Self::List, 1000) => Target::AtMost(15.0),
            (Self::StopAll, 1000) => Target::AtMost(60.0),
            (Self::SvStartReady | Self::WatchLine, _) => Target::AtMost(1.0),
            (Self::AllReady, _) => Target::TimesOwn(1.15, Self::Start),
            (Self::StartNeeds, _) => Target::TimesOwn(1.1, Self::Start),
            (Self::EdgeMemory, _) => Target::AtMost(200.0),
            (Self::Chain, _) => Target::TimesBare(2.0),
            (Self::ChainStep, _) => Target::AtMost(0.5),
            (Self::StopChain, _) => Target::TimesOwn(2.0, Self::StopAll),
            (Self::Oneshots, _) => Target::TimesBare(1.2),
            (Self::WakeUps | Self::FalseStarts | Self::LinesLost, _) => Target::AtMost(0.0),
            (Self::LogPlain, _) => Target::ShareOfBare(0.7),
            (Self::LogTai64n | Self::LogHuman, _) => Target::ShareOfBare(0.5),
            _ => return None,
        })
    }
}
