//! The only home of `unsafe`: what neither std nor rustix offers safely.

pub mod arguments;
pub mod child;
pub mod clock;
pub mod credentials;
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
pub mod netlink;
pub mod path_search;
pub mod pidfd;
pub mod power;
pub mod raw;
pub mod shortage;
pub mod signal;
pub mod spawn;
pub mod spawner;
pub mod stdio;
pub mod tty;
pub mod utmp;
