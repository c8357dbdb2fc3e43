//! Looks at a service from outside, for what is more than a status line: see
//! [`model::snapshot`]. Nothing is started, and nothing blocks.

use std::os::unix::ffi::OsStrExt;

use model::format::proc_stat;
use model::snapshot::{Snapshot, Usage};
use rustix::io::Errno;

use super::client::{Service, Trouble};
use super::directories::locate;
use crate::sys::{clock, memory};

/// How much to look at: each costs some system calls for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What a status line says, and what its process uses.
    #[expect(dead_code, reason = "the table follows")]
    Usage,
    /// Also how its last run ended, whatever it does now, and its log service.
    All,
}

/// Looks at the service of an operand. What cannot be seen is said in `trouble`.
pub fn look(name: &[u8], depth: Depth) -> Snapshot {
    let mut seen = Snapshot {
        name: name.to_vec(),
        dir: locate(name).as_os_str().as_bytes().to_vec(),
        enabled: true,
        ..Snapshot::default()
    };
    match Service::named(name) {
        Ok(service) => look_at(&service, &mut seen, depth),
        Err(trouble) => {
            seen.supervised = supervised_by(&trouble);
            let line = trouble.line(name);
            seen.trouble = Some(line.trim_ascii_end().escape_ascii().to_string());
        }
    }
    seen
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
            let line = trouble.line(&seen.name);
            seen.trouble = Some(line.trim_ascii_end().escape_ascii().to_string());
            return;
        }
    };
    let entries = service.entries();
    seen.status = Some(status);
    seen.normally_up = service.is_normally_up(entries).ok();
    seen.crash_loop = service.crash_loop(&status, entries);
    seen.own = service.own(&status, entries);
    if status.pid != 0 {
        seen.usage = usage(status.pid);
    }
    if depth == Depth::All {
        seen.own.last = seen.own.last.or_else(|| service.last());
        seen.log = service.log(entries).ok().flatten().map(|log| {
            let mut of_log = Snapshot {
                name: b"log".to_vec(),
                dir: log.dir().as_os_str().as_bytes().to_vec(),
                enabled: true,
                ..Snapshot::default()
            };
            look_at(&log, &mut of_log, depth);
            Box::new(of_log)
        });
    }
}

/// What a process uses; `None`: it has ended, or /proc does not show it.
pub fn usage(pid: u32) -> Option<Usage> {
    let line = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = proc_stat::decode(&line)?;
    Some(Usage {
        memory_bytes: stat.resident.saturating_mul(memory::page_bytes() as u64),
        cpu_ms: stat.used.saturating_mul(clock::tick_ns()) / 1_000_000,
    })
}
