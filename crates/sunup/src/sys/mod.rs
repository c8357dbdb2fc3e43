//! The only home of `unsafe`: what neither std nor rustix offers safely.

pub mod arguments;
pub mod bounded;
pub mod child;
pub mod clock;
pub mod credentials;
pub mod datagram;
pub mod descriptors;
pub mod dnotify;
pub mod env;
pub mod file;
pub mod guarded;
pub mod heap;
pub mod inherited;
pub mod line;
pub mod local_time;
pub mod memory;
pub mod module;
pub mod mount;
pub mod net;
pub mod netlink;
#[cfg(no_unwinding)]
mod no_unwinding;
pub mod path_search;
pub mod pidfd;
pub mod power;
pub mod random;
pub mod raw;
pub mod rtc;
pub mod run_file;
pub mod shortage;
pub mod signal;
pub mod spawn;
pub mod spawner;
#[cfg(any(stand_ins, test))]
mod stand_ins;
pub mod start;
pub mod tty;
pub mod utmp;
pub mod watchdog;
