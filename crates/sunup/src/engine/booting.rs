//! What the machine's supervisor adds to the record of the boot: when each service was first
//! started, and first ready, which today means that its program is executed. As soon as
//! everything that is wanted was up once, the record is over.
//!
//! It is the machine's supervisor if it is process 1, or its child when it starts, with the
//! rights of root. What others supervise, a user or a service, does not belong to the boot.

use model::format::status::Phase;
use model::service::{Pid, Role, Want};
use model::supervisor::{Id, Job};
use model::time::Instant;
use rustix::process::{Pid as Process, geteuid, getppid};

use super::Engine;
use crate::boot_record::Writer;
use crate::sys::clock;

/// So much may gather before it is written.
const GATHERED_BYTES: usize = 4 * 1024;
/// So long (ns) something may wait to be written, while more comes.
const GATHERED_NS: u64 = 50_000_000;
/// Of more services, no record is kept.
const SERVICES_MAX: usize = 1 << 16;

/// See the module.
pub struct Booting {
    writer: Writer,
    written: Instant,
    /// How far each is; two for a unit.
    known: Vec<Known>,
}

/// What the record says of a service.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    #[default]
    Nothing,
    /// A start failed.
    Failed,
    /// It has a process.
    Started,
    Ready,
}

impl Booting {
    /// Nothing is recorded.
    pub const fn not() -> Self {
        Self::with(Writer::none())
    }

    /// Records, if this is the machine's supervisor.
    pub fn of_machine() -> Self {
        let is_below_1 = getppid().is_some_and(Process::is_init);
        let is_its = is_below_1 || std::process::id() == 1;
        Self::with(if is_its && geteuid().is_root() {
            Writer::join()
        } else {
            Writer::none()
        })
    }

    const fn with(writer: Writer) -> Self {
        Self {
            writer,
            written: Instant(0),
            known: Vec::new(),
        }
    }

    fn known(&self, id: Id) -> Known {
        self.known.get(place(id)).copied().unwrap_or_default()
    }

    /// Notes it; whether it is more than was known.
    fn note(&mut self, id: Id, now: Known) -> bool {
        let place = place(id);
        if self.writer.is_over() || place >= SERVICES_MAX {
            return false;
        }
        if place >= self.known.len() {
            self.known.resize(place + 1, Known::Nothing);
        }
        match self.known.get_mut(place) {
            Some(known) if *known < now => *known = now,
            _ => return false,
        }
        true
    }

    fn write_if_due(&mut self, sleeps: bool) {
        let gathered = self.writer.pending();
        if gathered == 0 {
            return;
        }
        let waited_ns = clock::now().0.saturating_sub(self.written.0);
        if sleeps || gathered >= GATHERED_BYTES || waited_ns >= GATHERED_NS {
            self.writer.write();
            self.written = clock::now();
        }
    }
}

fn place(id: Id) -> usize {
    id.unit as usize * 2 + usize::from(id.role == Role::Log)
}

impl Engine {
    /// The outcome of a start that was begun at `since`; `None`: there is no process.
    /// `is_ready`: its program is executed.
    pub(super) fn record_start(
        &mut self,
        job: Job,
        since: Instant,
        pid: Option<Pid>,
        is_ready: bool,
    ) {
        let Job::Run(id) = job else { return };
        if self.booting.writer.is_over() || self.booting.known(id) == Known::Ready {
            return;
        }
        let name = self.core.name(id.unit).map(Vec::as_slice);
        let log: &[u8] = if id.role == Role::Log { b"/log" } else { b"" };
        let name = [name.unwrap_or_default(), log].concat();
        let started = match pid {
            None => Known::Failed,
            Some(_) => Known::Started,
        };
        if self.booting.note(id, started) {
            let pid = pid.unwrap_or_default();
            self.booting.writer.start(since, &name, pid);
        }
        if is_ready && self.booting.note(id, Known::Ready) {
            self.booting.writer.ready(clock::now(), &name);
        }
    }

    /// Writes what has gathered; ends the record if all that is wanted was up.
    pub(super) fn record_boot(&mut self) {
        if self.booting.writer.is_over() {
            return;
        }
        let sleeps = !self.goes_on() && self.starting.is_empty();
        if self.core.is_ending() {
            // Its keeper is no longer the machine's.
            self.booting = Booting::not();
        }
        if sleeps && self.all_were_up() {
            self.booting.writer.up();
        }
        self.booting.write_if_due(sleeps);
        if self.booting.writer.is_over() {
            self.booting = Booting::not();
        }
    }

    fn all_were_up(&self) -> bool {
        self.core.services().all(|(id, service)| {
            service.want() != Want::Up
                || service.phase().0 == Phase::Run
                || self.booting.known(id) == Known::Ready
        })
    }
}
