//! The only unsafe code of lab: calls that change what a process is.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Puts this process into namespaces of its own; its next child is PID 1 there.
/// The process must have one thread.
pub fn unshare_all() -> io::Result<()> {
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWCGROUP;
    // SAFETY: unsafe is only CLONE_FILES, which would part threads that share
    // descriptors; it is not among the flags.
    unsafe { unshare_unsafe(flags) }?;
    Ok(())
}

/// Has the kernel kill the child when the thread that spawns it ends, so that a
/// killed lab leaves no machine behind.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) }
}
