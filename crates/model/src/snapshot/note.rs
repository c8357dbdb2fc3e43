//! What there is to say of a service beside its state: the most telling remark comes first,
//! because a narrow terminal cuts the end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Snapshot, State};
use crate::control::text::{ended, how};
use crate::format::crash_loop::CrashLoop;
use crate::format::state::reason::Reason;
use crate::format::status::{Phase, Status};
use crate::moment::Moment;
use crate::process::Exit;
use crate::time::Instant;

/// A run that lived for less says something about the next one.
const SHORT_MS: u64 = 10_000;

/// The remarks, in printable ASCII.
pub fn note(seen: &Snapshot, now: Moment) -> String {
    let remarks = [
        trouble(seen),
        waits(seen),
        crash_loop(seen, now.at),
        by_itself(seen),
        log(seen),
        failures(seen),
        seen.told().map(|text| format!("says \"{text}\"")),
        normally(seen).map(String::from),
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    remarks.join("; ")
}

fn trouble(seen: &Snapshot) -> Option<String> {
    let why = seen.trouble.as_deref().unwrap_or_default();
    match seen.state() {
        State::Gone if why.contains("service directory") => Some("no such directory".into()),
        State::Gone => Some("no supervisor".into()),
        // The name is in the row already.
        State::Unknown => Some(seen.unseen().unwrap_or_default().into()),
        _ => None,
    }
}

fn waits(seen: &Snapshot) -> Option<String> {
    let name = seen.waits_for()?;
    Some(match &seen.own.reason {
        Some(Reason::Held { why, .. }) => format!("waits for {name} ({why})"),
        _ => format!("waits for {name} to stop"),
    })
}

fn crash_loop(seen: &Snapshot, now: Instant) -> Option<String> {
    let CrashLoop {
        lives,
        ended: end,
        next,
    } = seen.crash_loop?;
    let exit = match end {
        (code @ 0.., _) => Exit::Code(code as u8),
        (_, status) => Exit::of_status(status),
    };
    let left_ms = next.map_or(0, |next| next.ms_since(now));
    let when = match left_ms.div_ceil(1000) {
        0 => String::new(),
        seconds => format!(", next start in {seconds}s"),
    };
    Some(times(ended(exit), lives) + &when)
}

fn by_itself(seen: &Snapshot) -> Option<String> {
    let last = seen.last().filter(|_| seen.state() == State::Failed)?;
    Some(format!("stopped by itself: {}", how(last)))
}

/// A service whose log service does not run loses its lines, or soon waits for it.
fn log(seen: &Snapshot) -> Option<String> {
    let log = seen.log.as_ref()?;
    let state = match log.state() {
        State::Gone => "has no supervisor",
        State::Unknown => "cannot be seen",
        State::Run | State::Starting => return None,
        state => return Some(format!("log is {}", state.word())),
    };
    Some(format!("log {state}"))
}

/// It is started again and again, and shows no crash loop.
fn failures(seen: &Snapshot) -> Option<String> {
    let status = seen.status.as_ref()?;
    let last = seen.last().filter(|_| status.want_up)?;
    let is_short = last.lived_ms.is_none_or(|ms| ms < SHORT_MS);
    let is_told = seen.crash_loop.is_some() || !is_short;
    let is_recent = match seen.state() {
        State::Restarting | State::Finish => true,
        State::Run | State::Starting => began_after(status, last.at),
        _ => false,
    };
    (is_recent && !is_told).then(|| times(how(last), last.restarts.saturating_add(1)))
}

/// Whether a run began so soon after another ended that it is the next one.
fn began_after(status: &Status, end: crate::format::tai64n::Tai64n) -> bool {
    let seconds = status
        .changed
        .unix_seconds()
        .saturating_sub(end.unix_seconds());
    (0..60).contains(&seconds)
}

fn times(what: String, count: u32) -> String {
    match count {
        0 | 1 => what,
        count => format!("{what} ({count} times)"),
    }
}

fn normally(seen: &Snapshot) -> Option<&'static str> {
    let status = seen.status.as_ref()?;
    let is_up = status.phase == Phase::Run;
    match (seen.state(), seen.normally_up) {
        (State::Gone | State::Disabled, _) => None,
        (_, Some(false)) if is_up && status.want_up => Some("normally down"),
        (State::Down, Some(true)) => Some("normally up"),
        (State::Run | State::Starting | State::Paused, _) if !status.want_up => Some("runs once"),
        _ => None,
    }
}
