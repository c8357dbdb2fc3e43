//! The only home of `unsafe`: what neither std nor rustix offers safely.

pub mod clock;
pub mod env;
pub mod netlink;
pub mod pidfd;
pub mod power;
pub mod signal;
pub mod spawn;
pub mod stdio;
pub mod tty;
