//! The process that runsvdir leaves behind when it is told to exit while services run.
//!
//! runit's runsvdir exits on TERM at once, and each service's runsv stays: stage 3 then
//! stops the services with `sv`. Here the supervisor is one process, so it forks when it
//! leaves: the *keeper* goes on supervising what runs, in the same way as a supervisor
//! adopts processes of a killed one, starts nothing by itself, and ends when everything
//! is down. A successor asks it for a service with a control byte of its own, and the
//! keeper lets go of the lock.

use std::os::fd::AsFd;
use std::path::Path;

use model::format::exits::Sighting;
use model::service::Pid;
use model::supervisor::{Id, Input};
use rustix::fs::{CWD, OFlags};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Engine, Token};
use crate::say;
use crate::sys::clock;
use crate::sys::descriptors::aside;
use crate::sys::guarded;
use crate::sys::signal::SignalFd;
use crate::sys::spawn;

/// The control byte that asks a keeper to let go; every other supervisor, runit's too,
/// ignores it.
pub const RELEASE: u8 = b'!';

/// Asks the keeper of a service directory, if there is one, to let go of it.
pub fn ask_for(home: &Path) {
    for dir in [home.to_owned(), home.join("log")] {
        // Without a supervisor there is no reader (ENXIO), or no fifo at all.
        if let Ok(fifo) = guarded::fifo(CWD, dir.join("supervise/control"), OFlags::WRONLY) {
            let _unread = rustix::io::write(fifo, &[RELEASE]);
        }
    }
}

impl Engine {
    /// Leaves what runs to a keeper. The keeper is not the parent of these processes. So
    /// each process gets a pidfd now, while its pid is certainly its own.
    pub(super) fn leave(&mut self) -> Input {
        let processes: Vec<(Id, Pid)> = self.core.processes().collect();
        let held: Vec<Id> = processes
            .into_iter()
            .filter_map(|(id, pid)| self.hold(id, pid))
            .collect();
        match spawn::fork_alike(|| self.keep()) {
            Ok(_) => Input::Left,
            Err(e) => {
                say::offer(
                    self.who,
                    format_args!("fork a keeper for the running services: {e}; trying again"),
                );
                // They are still our children, and their ends arrive as such.
                for id in held {
                    if let Some(half) = self.half(id) {
                        half.pidfd = None;
                        half.sighting = None;
                    }
                }
                Input::NotLeft
            }
        }
    }

    /// Watches a process by pidfd, unless that is done already; returns the process that
    /// is watched now.
    fn hold(&mut self, id: Id, pid: Pid) -> Option<Id> {
        if self.half(id)?.pidfd.is_some() {
            return None;
        }
        let raw = rustix::process::Pid::from_raw(pid as i32)?;
        let open = || pidfd_open(raw, PidfdFlags::empty());
        let opened = open().and_then(aside).or_else(|e| {
            self.makes_room(&e.into());
            // Descriptors are short: the directory is closed soon, and then its number is
            // free for this one.
            if self.is_short { open() } else { Err(e) }
        });
        match opened {
            Ok(fd) => {
                let half = self.half(id)?;
                half.pidfd = Some(fd);
                half.sighting = Some(Sighting {
                    pid,
                    at: clock::now(),
                });
                self.watch_process(id);
                Some(id)
            }
            Err(e) => {
                say::offer(self.who, format_args!("watch process {pid}: {e}"));
                None
            }
        }
    }

    /// The keeper's life, in the forked process. Signals are blocked as in its
    /// parent; the descriptor that tells of them must be of this process.
    fn keep(&mut self) -> u8 {
        let signals = match SignalFd::new(super::signals()) {
            Ok(signals) => std::mem::replace(&mut self.signals, signals),
            Err(e) => {
                say::offer(self.who, format_args!("keep the running services: {e}"));
                return 111;
            }
        };
        let _gone = rustix::event::epoll::delete(&self.epoll, signals);
        drop(self.watch(self.signals.as_fd(), Token::Signals));
        self.launcher.forget();
        // The title belongs to the process that left.
        self.title = None;
        self.feed(Input::Kept);
        self.run()
    }
}
