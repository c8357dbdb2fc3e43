//! Starting services. The child shares memory and descriptors with the supervisor
//! (`CLONE_VM | CLONE_FILES`) until it execs, or takes the few descriptors that it
//! needs, so its cost does not grow with the supervisor, and a failed exec is
//! known, with the step that failed.
//!
//! The supervisor continues meanwhile: while one processor loads a program, the other
//! prepares the next. So each child has its own [`Seat`] with everything that it needs,
//! and touches nothing else. The kernel reports when the child no longer needs the seat
//! (`CLONE_CHILD_CLEARTID`). [`Spawner::start`] takes a seat, and [`Spawner::finish`]
//! gives it back with the outcome. A child that hangs in its exec keeps its seat, and
//! others are made, up to a bound; nobody has to wait for it.
//!
//! A child must not hold its parent's signal mask or SIGPIPE disposition: they are
//! reset. (std's `Command` hands a blocked mask on.)

mod plan;
mod record;
mod seat;
#[cfg(test)]
mod tests;
mod way;

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::signal;
use super::spawn::Pid;
pub use plan::{FilesLimit, Gift, Plan, Session};
pub use record::Record;
use seat::{Seat, reap};
use way::{FORK, STDIO};

/// Why there is no child.
#[derive(Debug)]
pub enum SpawnError {
    /// The kernel gave no process; try again later.
    Fork(io::Error),
    /// The named step failed in the child; there is nothing to wait for.
    Step(&'static str, io::Error),
}

/// How many simultaneous starts use a machine's processors well.
pub const SEATS: usize = 8;
/// How many starts may be under way at once, including those that hang. Further ones are
/// tried again later.
pub const SEATS_MAX: usize = 128;

/// The time (ns) between two checks whether a child has its own descriptors.
const LOOK_NS: u64 = 1_000_000;

/// A start under way, to be finished: the number of its seat.
#[must_use]
#[derive(Debug)]
pub struct Start(usize);

/// Starts programs; keeps what children need between two starts.
pub struct Spawner {
    #[expect(
        clippy::vec_box,
        reason = "children know where they are: they do not move"
    )]
    seats: Vec<Box<Seat>>,
    /// What the slots hold in between.
    idle: OwnedFd,
}

impl Spawner {
    /// Makes the seats.
    ///
    /// # Errors
    /// No descriptors or no memory are to be had.
    pub fn new() -> io::Result<Self> {
        let idle = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let seats = vec![];
        let mut spawner = Self { seats, idle };
        for _ in 0..SEATS {
            spawner.add_seat()?;
        }
        Ok(spawner)
    }

    fn add_seat(&mut self) -> io::Result<usize> {
        if self.seats.len() >= SEATS_MAX {
            return Err(Errno::AGAIN.into());
        }
        let slot = rustix::io::fcntl_dupfd_cloexec(&self.idle, 3)?;
        let seat = Seat::new(slot)?;
        self.seats.push(Box::new(seat));
        Ok(self.seats.len() - 1)
    }

    /// Starts a program. The supervisor must be single-threaded and must have no
    /// signal handlers (it uses [`signal::SignalFd`]); what the plan names must
    /// stay open until [`Spawner::wait`] or [`Spawner::finish`].
    ///
    /// # Errors
    /// There is no child, or no seat for it.
    pub fn start(&mut self, plan: Plan) -> Result<Start, SpawnError> {
        let free = self.seats.iter().position(|seat| seat.is_free());
        let number = free.map_or_else(|| self.add_seat(), Ok);
        let number = number.map_err(SpawnError::Fork)?;
        let slots = self.seats.iter().map(|seat| seat.slot.as_raw_fd());
        let given = plan.gift.fds.iter().map(|(fd, _)| fd.as_raw_fd());
        let last = slots.chain(given).max().unwrap_or(0);
        let Some(seat) = self.seats.get(number) else {
            return Err(SpawnError::Fork(Errno::AGAIN.into()));
        };
        if let Some((from, _)) = plan.stdio {
            copy(from, seat.slot.as_raw_fd()).map_err(|e| SpawnError::Step(STDIO, e))?;
        }
        let is_led = plan.session != Session::Inherit;
        match seat.clone_child(plan, last) {
            Ok(child) => {
                seat.child.set(Some(child));
                seat.is_led.set(is_led);
                Ok(Start(number))
            }
            Err(errno) => {
                self.leave(seat);
                Err(SpawnError::Fork(io::Error::from_raw_os_error(errno)))
            }
        }
    }

    fn seat(&self, start: &Start) -> Option<(&Seat, Pid)> {
        let seat = self.seats.get(start.0)?;
        Some((seat, seat.child.get()?))
    }

    /// Whether [`Spawner::finish`] has nothing to wait for; waits so long (ns) for that.
    /// `asks`: it may be that nobody tells of the end.
    pub fn is_over(&self, start: &Start, wait_ns: u64, asks: bool) -> bool {
        self.seat(start)
            .is_none_or(|(seat, _)| seat.is_done(wait_ns) || asks && seat.has_ended())
    }

    /// The process of a start, once there is one.
    pub fn process(&self, start: &Start) -> Option<Pid> {
        let (seat, _) = self.seat(start)?;
        Some(seat.pid.load(Ordering::Acquire)).filter(|pid| *pid > 0)
    }

    /// Reaps a child that has ended, if it led the session of a start.
    pub fn take_leader(&self, pid: Pid) -> bool {
        let mut seats = self.seats.iter();
        let seat = seats.find(|seat| seat.is_led.get() && seat.child.get() == Some(pid));
        seat.inspect(|seat| seat.take_leader()).is_some()
    }

    /// Waits until it is known whether the program was started; returns its pid.
    ///
    /// # Errors
    /// It was not started; there is no child to wait for.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is over, and cannot be finished again"
    )]
    pub fn finish(&self, start: Start) -> Result<Pid, SpawnError> {
        let Some((seat, _)) = self.seat(&start) else {
            // Not one of ours.
            return Err(SpawnError::Fork(Errno::INVAL.into()));
        };
        seat.wait();
        seat.take_leader();
        let pid = seat.pid.load(Ordering::Acquire);
        match self.leave(seat) {
            Some((FORK, errno)) => Err(SpawnError::Fork(io::Error::from_raw_os_error(errno))),
            Some((step, errno)) => {
                reap(pid);
                Err(SpawnError::Step(step, io::Error::from_raw_os_error(errno)))
            }
            // Somebody killed the leader before it came to that.
            None if pid == 0 => Err(SpawnError::Fork(Errno::AGAIN.into())),
            None => Ok(pid),
        }
    }

    /// Stops waiting for a start: its process counts as the program's. If the start still
    /// fails, the process ends.
    ///
    /// # Errors
    /// There is no process.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is over, and cannot be finished again"
    )]
    pub fn abandon(&self, start: Start) -> Result<Pid, SpawnError> {
        let Some((seat, _)) = self.seat(&start) else {
            return Err(SpawnError::Fork(Errno::INVAL.into()));
        };
        // A leader has no program that could hang.
        seat.take_leader();
        seat.child.set(None);
        if seat.owns.load(Ordering::Acquire) != 0 {
            // As when it is left.
            drop(copy(self.idle.as_raw_fd(), seat.slot.as_raw_fd()));
        }
        match seat.pid.load(Ordering::Acquire) {
            0 => Err(SpawnError::Fork(Errno::AGAIN.into())),
            pid => Ok(pid),
        }
    }

    /// In a fork of this process: the children on their way run on other memory.
    pub fn forget(&self) {
        for seat in &self.seats {
            seat.busy.store(0, Ordering::Release);
            self.leave(seat);
        }
    }

    /// Waits until no child uses descriptors of the supervisor by their number.
    pub fn wait(&self) {
        let mine = |seat: &Seat| seat.owns.load(Ordering::Acquire) == 0;
        for seat in &self.seats {
            while mine(seat) && !seat.is_done(LOOK_NS) && !seat.has_ended() {}
        }
    }

    /// Frees a seat once its child no longer needs it; returns what failed in the child.
    fn leave(&self, seat: &Seat) -> Option<(&'static str, c_int)> {
        seat.wait();
        seat.child.set(None);
        seat.is_led.set(false);
        // SAFETY: the seat is free, so this is the only reference.
        let way = unsafe { &mut *seat.way.get() };
        if way.plan.take().is_some_and(|plan| plan.stdio.is_some()) {
            // It would keep a pipe open. Both descriptors are there, so this cannot fail.
            drop(copy(self.idle.as_raw_fd(), seat.slot.as_raw_fd()));
        }
        way.failed.take()
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        for seat in self.seats.drain(..) {
            if seat.is_free() {
                continue;
            }
            seat.take_leader();
            // A child that hangs needs it as long as it does.
            Box::leak(seat);
        }
    }
}

/// Makes `to` a copy of `from` that is closed by an exec.
fn copy(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup3 has no memory effects; both numbers belong to the caller.
    signal::check(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }).map(drop)
}
