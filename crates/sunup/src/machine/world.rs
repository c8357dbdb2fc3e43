//! Where this process is: the boot and the pid namespace of the pids that it sees, and
//! its ancestors; and since when the machine is up.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use model::format::adopt::World;
use model::format::proc_stat;
use model::time::Instant;

use crate::sys::shortage::look;
use crate::sys::{clock, env};

/// Ancestors looked at.
const ANCESTORS_MAX: usize = 64;

/// Tells supervisors since when nothing counts that was wanted before; a moment of the boot
/// clock (ns).
const SINGLE_USER: &str = "SUNUP_SINGLE_USER";

/// PID 1 has stopped everything, and what is started from now on knows.
pub fn single_user_begins() {
    env::set(SINGLE_USER, clock::boot_ns().to_string());
}

/// When the last single-user mode began, if there was one in this boot.
pub fn single_user_began() -> Instant {
    let told = std::env::var(SINGLE_USER).ok();
    Instant(told.and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// Boot and pid namespace; `None` without /proc. Fails as [`look`] does.
pub fn world() -> io::Result<Option<World>> {
    let boot_id = look(fs::read_to_string("/proc/sys/kernel/random/boot_id"))?;
    let namespace = look(fs::metadata("/proc/self/ns/pid"))?;
    Ok(boot_id.zip(namespace).map(|(boot_id, namespace)| World {
        boot_id: boot_id.trim().into(),
        pid_namespace: namespace.ino(),
    }))
}

/// This process and its ancestors, as far as they are in this pid namespace.
/// More are not looked for than there may be. Fails as [`look`] does.
pub fn above() -> io::Result<&'static [u32]> {
    static ABOVE: OnceLock<Vec<u32>> = OnceLock::new();
    if let Some(above) = ABOVE.get() {
        return Ok(above);
    }
    let mut above = vec![std::process::id(), std::os::unix::process::parent_id()];
    while let Some(last) = above.last().copied()
        && last > 1
        && above.len() < ANCESTORS_MAX
    {
        let stat = look(fs::read(format!("/proc/{last}/stat")))?;
        let stat = stat.as_deref().and_then(proc_stat::decode);
        above.push(stat.map_or(0, |stat| stat.parent));
    }
    Ok(ABOVE.get_or_init(|| above))
}
