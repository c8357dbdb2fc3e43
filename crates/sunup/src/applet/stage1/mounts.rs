//! The file systems of the kernel, and those in memory.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use model::format::fstab;
use model::stage1::{self, Base};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statat, statx};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::teller::Teller;

/// Mounts each of them where nothing is mounted yet.
pub fn bases(container: bool, teller: &mut Teller) {
    for base in stage1::bases(container) {
        if is_mounted(Path::new(base.dir)) {
            continue;
        }
        if let Err(e) = mount_base(base) {
            teller.fail(format_args!("{}: mount {}: {e}", base.dir, base.kind));
        }
    }
}

fn mount_base(base: &Base) -> io::Result<()> {
    match rustix::fs::mkdir(base.dir, 0o755.into()) {
        // Only the mount needs it: let that tell why it cannot be.
        Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
        Err(e) => return Err(e.into()),
    }
    let options = fstab::Options::decode(base.options.as_bytes());
    let flags = MountFlags::from_bits_retain(options.flags);
    let data = CString::new(options.data)?;
    Ok(mount(
        base.kind,
        base.dir,
        base.kind,
        flags,
        data.as_c_str(),
    )?)
}

/// Whether something is mounted on the directory.
pub fn is_mounted(dir: &Path) -> bool {
    is_mounted_at(CWD, dir)
}

/// As [`is_mounted`], for a path below the directory `at`.
pub fn is_mounted_at(at: impl AsFd, dir: &Path) -> bool {
    let mounted = StatxAttributes::MOUNT_ROOT;
    match statx(&at, dir, AtFlags::empty(), StatxFlags::empty()) {
        Ok(st) if st.stx_attributes_mask.contains(mounted) => st.stx_attributes.contains(mounted),
        // Kernels before 5.8: a directory on another device than the one above it.
        _ => {
            let device = |path: &Path| {
                let found = statat(&at, path, AtFlags::empty());
                found.ok().map(|st| st.st_dev)
            };
            device(dir).is_some_and(|own| device(&dir.join("..")) != Some(own))
        }
    }
}
