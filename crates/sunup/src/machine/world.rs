//! Where this process is: the boot and the pid namespace of the pids that it sees, and
//! its ancestors.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use model::format::adopt::World;
use model::format::proc_stat;

use crate::sys::shortage::look;

/// Ancestors looked at.
const ANCESTORS_MAX: usize = 64;

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
