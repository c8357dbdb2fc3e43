//! Why a service is not what one expects it to be: the first reason that applies, in a
//! sentence or two, and the command that ends it. All that is said is decided here, from
//! what `sv why` has seen.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::table::short_age;
use super::{Snapshot, State};
use crate::format::state::last::{Last, Outcome};
use crate::format::state::reason;
use crate::format::tai64n::Tai64n;
use crate::moment::Moment;
use crate::process::Exit;
use crate::signal::Signal;

/// A run that ended sooner did not do its work.
const SHORT_MS: u64 = 2000;
/// What is up for so long has come through its start.
const SETTLED_S: u64 = 5;

/// Where the entry of a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the scan directory.
    Scanned,
    /// The scan directory has a link that leads nowhere, to this path.
    Dangling(Vec<u8>),
    /// Only in this directory of the database.
    Database(Vec<u8>),
    /// In neither.
    Nowhere,
    /// What has its name is no directory.
    NoDirectory,
    /// There is no scan directory: why, in a line.
    NoScanDirectory(String),
}

/// What keeps `run` from being executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It has no permission to be executed.
    NotExecutable,
    /// Its first line names this program, which does not exist.
    Interpreter(Vec<u8>),
}

/// What is known about a service.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// What can be seen of it.
    pub seen: &'a Snapshot,
    /// Now.
    pub now: Moment,
    /// Where its entry is.
    pub place: Place,
    /// The scan directory.
    pub scan: Vec<u8>,
    /// Every runsvdir that runs: its pid and its directory.
    pub scanners: Vec<(u32, Vec<u8>)>,
    /// What is wrong with `run`.
    pub fault: Option<Fault>,
    /// Since when there is a file `down`.
    pub down_since: Option<Tai64n>,
    /// When it must be ready, in milliseconds after its start.
    pub timeout_up_ms: Option<u64>,
    /// What it waits for, what that waits for, and so on; escaped.
    pub chain: Vec<String>,
    /// Why the last of these is not there; `None`: they wait for each other.
    pub root: Option<Answer>,
}

/// The reason, in a word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not in the scan directory.
    NotEnabled,
    /// Its link leads nowhere.
    Dangling,
    /// No supervisor has it.
    NoSupervisor,
    /// It cannot be seen.
    Unknown,
    /// It is paused.
    Paused,
    /// It is being stopped.
    Stopping,
    /// `finish` runs.
    Finishing,
    /// It stays down because of how it ended.
    GivenUp,
    /// There is a file `down`.
    DownFile,
    /// A command stopped it.
    Stopped,
    /// It waits for another service.
    Held,
    /// It ends again and again.
    CrashLoop,
    /// It is not ready yet.
    Starting,
    /// Its log service is down.
    LoggerDown,
    /// It is a oneshot, and done.
    Done,
    /// It runs.
    Runs,
}

impl Why {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotEnabled => "not-enabled",
            Self::Dangling => "dangling",
            Self::NoSupervisor => "no-supervisor",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Finishing => "finishing",
            Self::GivenUp => "given-up",
            Self::DownFile => "down-file",
            Self::Stopped => "stopped",
            Self::Held => "held",
            Self::CrashLoop => "crash-loop",
            Self::Starting => "starting",
            Self::LoggerDown => "logger-down",
            Self::Done => "done",
            Self::Runs => "runs",
        }
    }
}

/// The commands of `sv` that end something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Links it.
    Enable,
    /// Starts it.
    Start,
    /// Starts it, whatever it waits for.
    StartNow,
    /// Lets it go on.
    Cont,
    /// Sends KILL.
    ForceStop,
    /// Shows more of its log.
    Log,
    /// Shows all that could be enabled.
    List,
}

impl Fix {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Enable,
        Self::Start,
        Self::StartNow,
        Self::Cont,
        Self::ForceStop,
        Self::Log,
        Self::List,
    ];

    /// The words after `sv`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Start => "start",
            Self::StartNow => "start --now",
            Self::Cont => "cont",
            Self::ForceStop => "force-stop",
            Self::Log => "log",
            Self::List => "list -a",
        }
    }

    fn on(self, name: &[u8]) -> String {
        format!("sv {} {}", self.words(), quoted(name))
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In a word.
    pub why: Why,
    /// In a sentence or two, without the name and a final stop.
    pub text: String,
    /// The command that ends it.
    pub command: Option<String>,
}

/// A name or path as a shell reads it; a control character stays escaped.
pub fn quoted(name: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let shown = reason::escaped(name);
    if name.iter().all(is_plain) && !name.is_empty() {
        shown
    } else {
        format!("$'{shown}'")
    }
}

/// How a run ended, and what that hints at.
pub fn end(last: &Last) -> String {
    let is_short = last.lived_ms.is_some_and(|ms| ms < SHORT_MS);
    let (how, hint) = match (last.exit, last.outcome) {
        (_, Outcome::Timeout) => ("was not ready in its time (timeout-up)".into(), ""),
        (Exit::Code(code), Outcome::Setup) => (format!("its setup ended with exit {code}"), ""),
        (Exit::Code(code), _) => (format!("ended with exit {code}"), of_code(code, is_short)),
        (exit, _) => match exit.signal().and_then(Signal::new) {
            Some(signal) => (format!("was killed by {signal}"), of_signal(signal)),
            None => ("ended in a way that nobody saw".into(), ""),
        },
    };
    let after = last.lived_ms.filter(|_| last.outcome != Outcome::Timeout);
    let after = after.map_or(String::new(), |ms| match ms {
        0..500 => " at once".into(),
        ms => format!(" after {}.{}s", ms / 1000, ms / 100 % 10),
    });
    format!("{how}{after}{hint}")
}

/// What an exit code means by custom.
const fn of_code(code: u8, is_short: bool) -> &'static str {
    match code {
        0 if is_short => ": does it go to the background? run must stay in the foreground",
        100 => ": a program was called in a wrong way",
        111 => ": it could not be set up (chpst and its like exit so); its output says why",
        126 => ": a command in run is not executable",
        127 => ": a command in run was not found",
        129..=159 => ": a command in run was killed by a signal (the code less 128)",
        _ => "",
    }
}

fn of_signal(signal: Signal) -> &'static str {
    match signal.to_string().as_str() {
        "KILL" => ": by somebody, or by the kernel because memory was short",
        "SEGV" | "BUS" | "ILL" | "ABRT" | "FPE" | "SYS" | "TRAP" => ": a mistake in the program",
        _ => "",
    }
}

impl Case<'_> {
    /// The first reason that applies.
    pub fn answer(&self) -> Answer {
        let state = self.seen.state();
        let since = self.since();
        let name = &self.seen.name;
        let says = |why, text: String, command| Answer { why, text, command };
        if let Some(answer) = self.misplaced() {
            return answer;
        }
        match state {
            State::Gone | State::Disabled => self.unsupervised(),
            State::Unknown => says(Why::Unknown, self.unseen(), None),
            State::Paused => says(
                Why::Paused,
                format!("it is paused{since}"),
                Some(Fix::Cont.on(name)),
            ),
            State::Stopping => self.stopping(),
            State::Finish => {
                let ended = self.seen.last().map_or(String::new(), |last| {
                    format!("; the run before {}", end(last))
                });
                says(
                    Why::Finishing,
                    format!("its finish runs{since}{ended}"),
                    None,
                )
            }
            State::Failed => {
                let ended = self.seen.last().map_or(String::new(), end);
                let text = format!("it gave up and stays down{since}, because it {ended}");
                says(Why::GivenUp, text, Some(Fix::Start.on(name)))
            }
            State::Down => self.down(),
            State::Held => self.held(),
            State::Crashing | State::Restarting => self.ends_again(),
            State::Starting => self.starting(),
            State::Done => says(Why::Done, format!("it is a oneshot, and done{since}"), None),
            State::Run => self.runs(),
        }
    }

    /// ` since 5s`, or nothing.
    fn since(&self) -> String {
        let since = self.seen.since();
        since.map_or(String::new(), |at| {
            format!(" since {}", short_age(self.seconds(at)))
        })
    }

    fn seconds(&self, at: Tai64n) -> u64 {
        let now = self.now.wall.unix_seconds();
        now.saturating_sub(at.unix_seconds()).max(0).unsigned_abs()
    }

    fn misplaced(&self) -> Option<Answer> {
        let scan = self.scan.escape_ascii();
        let name = &self.seen.name;
        let (why, text, command) = match &self.place {
            Place::Scanned => return None,
            Place::Dangling(target) => {
                let target = target.escape_ascii();
                let text = format!("its link in {scan} leads to {target}, which does not exist");
                (Why::Dangling, text, None)
            }
            Place::Database(dir) => {
                let dir = dir.escape_ascii();
                let text = format!("it is not enabled: it is in {dir}, and not in {scan}");
                (Why::NotEnabled, text, Some(Fix::Enable.on(name)))
            }
            Place::Nowhere => {
                let text = format!("there is no such service in {scan}, nor in the database");
                let list = format!("sv {}", Fix::List.words());
                (Why::NotEnabled, text, Some(list))
            }
            Place::NoDirectory => {
                let dir = self.seen.dir.escape_ascii();
                let text = format!("{dir} is no directory, and so no service");
                (Why::NotEnabled, text, None)
            }
            Place::NoScanDirectory(why) => (Why::NotEnabled, why.clone(), None),
        };
        Some(Answer { why, text, command })
    }

    fn unsupervised(&self) -> Answer {
        let scan = self.scan.escape_ascii();
        let watched = self.scanners.iter().find(|(_, dir)| *dir == self.scan);
        let (text, command) = match (watched, self.scanners.first()) {
            (Some((pid, _)), _) => (
                format!(
                    "it has no supervisor, though runsvdir (pid {pid}) watches {scan}; \
                     a new service gets one within 5 seconds, and runsvdir reports what fails"
                ),
                None,
            ),
            (None, Some((pid, dir))) => {
                let told = format!("SVDIR={} sv list", quoted(dir));
                let dir = dir.escape_ascii();
                let text = format!(
                    "nobody supervises it: runsvdir (pid {pid}) watches {dir}, and not {scan}"
                );
                (text, Some(told))
            }
            (None, None) => (
                format!("nobody supervises it: no runsvdir runs that watches {scan}"),
                Some(format!("runsvdir -P {}", quoted(&self.scan))),
            ),
        };
        Answer {
            why: Why::NoSupervisor,
            text,
            command,
        }
    }

    fn unseen(&self) -> String {
        let trouble = self.seen.unseen().unwrap_or("its status is not known");
        format!(
            "it cannot be seen by this user ({trouble}); root can, and SUNUP_READERS lets others"
        )
    }

    fn stopping(&self) -> Answer {
        let since = self.since();
        let mut command = Some(Fix::ForceStop.on(&self.seen.name));
        let text = match &self.seen.own.reason {
            Some(reason::Reason::Stop(other)) => {
                command = None;
                format!("it is to stop, and waits until {other} has ended, which needs it")
            }
            Some(reason::Reason::Kill(at)) => {
                let left = at.ms_since(self.now.at).div_ceil(1000);
                format!("it was told to stop and has not ended; it gets KILL in {left}s")
            }
            _ => format!("it was told to stop and has not ended; it is up{since}"),
        };
        Answer {
            why: Why::Stopping,
            text,
            command,
        }
    }

    fn down(&self) -> Answer {
        let since = self.since();
        let name = &self.seen.name;
        let (why, text) = match (self.seen.normally_up, self.down_since) {
            (Some(false), at) => {
                let at = at.map(|at| format!(" that is {} old", short_age(self.seconds(at))));
                let at = at.unwrap_or_default();
                let text = format!(
                    "it is down{since}, and a file `down`{at} says not to start it at boot; \
                     `sv {} {}` removes that, too",
                    Fix::Enable.words(),
                    quoted(name)
                );
                (Why::DownFile, text)
            }
            _ => (
                Why::Stopped,
                format!("it is down{since}, because a command stopped it"),
            ),
        };
        Answer {
            why,
            text,
            command: Some(Fix::Start.on(name)),
        }
    }

    fn held(&self) -> Answer {
        let name = &self.seen.name;
        let chain = self.chain.join(", which waits for ");
        let (text, command) = match (&self.root, self.chain.last()) {
            (Some(root), Some(last)) => {
                let text = format!("it waits for {chain}; about {last}: {}", root.text);
                (text, root.command.clone())
            }
            _ => (
                format!("it waits for {chain}: these wait for each other"),
                Some(Fix::StartNow.on(name)),
            ),
        };
        Answer {
            why: Why::Held,
            text,
            command,
        }
    }

    /// What is wrong with `run`, and what ends that.
    fn faulty(&self) -> Option<(String, Option<String>)> {
        let run = [&self.seen.dir, &b"/run"[..]].concat();
        let shown = run.escape_ascii();
        Some(match self.fault.as_ref()? {
            Fault::Missing => (format!("{shown} does not exist"), None),
            Fault::NotExecutable => (
                format!("{shown} is not executable"),
                Some(format!("chmod +x {}", quoted(&run))),
            ),
            Fault::Interpreter(name) if name.ends_with(b"\r") => (
                format!("the first line of {shown} ends in CR, as on Windows"),
                Some(format!("sed -i 's/\\r$//' {}", quoted(&run))),
            ),
            Fault::Interpreter(name) => {
                let name = name.escape_ascii();
                (format!("{shown} is for {name}, which does not exist"), None)
            }
        })
    }

    fn ends_again(&self) -> Answer {
        let name = &self.seen.name;
        let (mut text, mut command) = match (self.faulty(), self.seen.last()) {
            (Some((fault, command)), _) => (format!("it cannot start: {fault}"), command),
            (None, Some(last)) => (format!("it ends again and again; it {}", end(last)), None),
            (None, None) => (
                "it has ended, and starts again in a moment".to_owned(),
                None,
            ),
        };
        let next = self.seen.crash_loop.and_then(|crash_loop| crash_loop.next);
        if let Some(next) = next {
            let left = next.ms_since(self.now.at).div_ceil(1000);
            text.extend(["; next start in ", &left.to_string(), "s"]);
        }
        if command.is_none() {
            command = Some(Fix::Log.on(name));
        }
        Answer {
            why: Why::CrashLoop,
            text,
            command,
        }
    }

    fn starting(&self) -> Answer {
        let since = self.since();
        let limit = self.timeout_up_ms.zip(self.seen.since());
        let limit = limit.map(|(ms, at)| (ms / 1000).saturating_sub(self.seconds(at)));
        let limit = limit.map(|left| format!("; it is stopped if it is not ready in {left}s"));
        let text = match self.seen.pid() {
            Some(_) if self.seen.own.ready.is_some() => {
                format!("it starts{since}, and is not ready yet")
            }
            _ => format!("it starts{since}"),
        };
        Answer {
            why: Why::Starting,
            text: text + &limit.unwrap_or_default(),
            command: Some(Fix::Log.on(&self.seen.name)),
        }
    }

    fn runs(&self) -> Answer {
        let since = self.since();
        let up_s = self.seen.since().map_or(0, |at| self.seconds(at));
        let failed = self.seen.last().filter(|last| {
            let is_short = last.lived_ms.is_some_and(|ms| ms < SHORT_MS);
            up_s < SETTLED_S && last.restarts > 0 && is_short
        });
        if failed.is_some() {
            return self.ends_again();
        }
        let log = self.seen.log.as_deref();
        let log =
            log.filter(|log| !matches!(log.state(), State::Run | State::Unknown | State::Finish));
        if let Some(log) = log {
            let state = log.state().word();
            return Answer {
                why: Why::LoggerDown,
                text: format!("it runs{since}, but its log service does not ({state})"),
                command: Some(Fix::Start.on(&log.dir)),
            };
        }
        let want = self.seen.status.is_some_and(|status| !status.want_up);
        let text = match (want, self.seen.ready_since()) {
            (true, _) => format!("it runs{since}; when it ends, it is not started again"),
            (false, Some(_)) => format!("it runs{since} and is ready; nothing holds it"),
            (false, None) => format!("it runs{since}; nothing holds it"),
        };
        Answer {
            why: Why::Runs,
            text,
            command: None,
        }
    }
}

#[cfg(test)]
mod tests;
