//! Looks at a service from outside, for what is more than a status line: see
//! [`model::snapshot`]. Nothing is started, and nothing blocks.

use std::os::unix::ffi::OsStrExt;

use model::format::proc_stat;
use model::format::status::{Phase, Status};
use model::snapshot::{Snapshot, Usage};
use rustix::fs::{CWD, Mode, OFlags, lstat, openat};
use rustix::io::Errno;

use super::client::{Service, Trouble};
use super::directories::locate;
use crate::sys::{clock, memory};

/// How much to look at: each costs some system calls for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a line of a table says.
    Row,
    /// Also how its last run ended, whatever it does now; not what its process uses.
    Facts,
    /// All of it.
    All,
}

/// In its first minute a service may fail again, as it did before.
const YOUNG_S: i64 = 60;

/// Looks at the service of an operand. What cannot be seen is said in `trouble`.
pub fn look(name: &[u8], depth: Depth) -> Snapshot {
    look_and_hold(name, depth).0
}

/// As [`look`]; also the service, if it has a supervisor that can be asked.
pub fn look_and_hold(name: &[u8], depth: Depth) -> (Snapshot, Option<Service>) {
    let mut seen = Snapshot {
        name: name.to_vec(),
        dir: locate(name).as_os_str().as_bytes().to_vec(),
        enabled: true,
        ..Snapshot::default()
    };
    match Service::named(name) {
        Ok(service) => {
            look_at(&service, &mut seen, depth);
            (seen, Some(service))
        }
        Err(trouble) => {
            fail(&mut seen, &trouble);
            // A link that leads nowhere is an entry.
            seen.enabled = trouble.absence().is_none() || lstat(seen.dir.as_slice()).is_ok();
            (seen, None)
        }
    }
}

/// Its supervisor cannot be asked, or there is none.
fn fail(seen: &mut Snapshot, trouble: &Trouble) {
    seen.supervised = supervised_by(trouble);
    seen.trouble = Some(told(seen, trouble));
}

fn told(seen: &Snapshot, trouble: &Trouble) -> String {
    let line = trouble.line(&seen.name);
    line.trim_ascii_end().escape_ascii().to_string()
}

/// Whether a supervisor runs, by why it could not be asked.
const fn supervised_by(trouble: &Trouble) -> Option<bool> {
    match trouble {
        Trouble::Dead | Trouble::Missing(_) | Trouble::Failed(_, _, Some(Errno::NOENT)) => {
            Some(false)
        }
        Trouble::Failed(..) => None,
    }
}

fn look_at(service: &Service, seen: &mut Snapshot, depth: Depth) {
    seen.supervised = service.is_supervised();
    let status = match service.status() {
        Ok(status) => status,
        Err(trouble) => {
            seen.trouble = Some(told(seen, &trouble));
            return;
        }
    };
    let entries = service.entries();
    seen.status = Some(status);
    seen.normally_up = service.is_normally_up(entries).ok();
    seen.crash_loop = service.crash_loop(&status, entries);
    seen.own = service.own(&status, entries);
    seen.usage = match depth {
        _ if status.pid == 0 => None,
        Depth::Row => memory(status.pid),
        Depth::Facts => None,
        Depth::All => usage(status.pid),
    };
    if depth != Depth::Row || may_fail_again(&status) {
        seen.own.last = seen.own.last.or_else(|| service.last());
        if status.got_term && !status.want_up {
            // When it gets KILL.
            seen.own.reason = service.reason();
        }
    }
    seen.log = service.log(entries).transpose().map(|log| {
        let mut of_log = Snapshot {
            name: b"log".to_vec(),
            dir: [&seen.dir[..], b"/log"].concat(),
            enabled: true,
            ..Snapshot::default()
        };
        match log {
            Ok(log) => look_at(&log, &mut of_log, depth),
            Err(trouble) => fail(&mut of_log, &trouble),
        }
        Box::new(of_log)
    });
}

fn may_fail_again(status: &Status) -> bool {
    let age_s = clock::wall()
        .unix_seconds()
        .saturating_sub(status.changed.unix_seconds());
    status.want_up && (status.phase != Phase::Run || age_s < YOUNG_S)
}

/// What a process uses; `None`: it has ended, or /proc does not show it.
fn usage(pid: u32) -> Option<Usage> {
    let stat = proc_stat::decode(&line(pid, "stat")?)?;
    Some(Usage {
        memory_bytes: bytes(stat.resident),
        cpu_ms: Some(stat.used.saturating_mul(clock::tick_ns()) / 1_000_000),
    })
}

/// As [`usage`], of its memory alone: that costs a quarter of the time.
fn memory(pid: u32) -> Option<Usage> {
    Some(Usage {
        memory_bytes: bytes(proc_stat::decode_statm(&line(pid, "statm")?)?),
        cpu_ms: None,
    })
}

fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(memory::page_bytes() as u64)
}

/// The first line of a file in /proc, in one read.
fn line(pid: u32, name: &str) -> Option<Vec<u8>> {
    let path = format!("/proc/{pid}/{name}");
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = vec![0; 1024];
    let n = rustix::io::read(file, &mut text).ok()?;
    text.truncate(n);
    Some(text)
}
