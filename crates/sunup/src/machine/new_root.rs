//! From an initramfs to the root file system, for `switch_root` and `initramfs`: what the
//! kernel mounted for itself moves along, the new root takes the place of the old one, and
//! the files of the old one are deleted, because they take memory.
//!
//! Everything that can be known is checked first. Nothing is deleted before the new root is
//! in its place, and then only what is on the old root's own file system: it is reached by
//! descriptors, no link is followed, and another file system's mount is not entered.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat, openat2,
    stat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_move, unmount};

use crate::say;

/// What the kernel, or the initramfs, mounted for itself.
pub const KERNELS: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// Directories in directories that are emptied; what is deeper stays.
const DEPTH_MAX: usize = 64;

const RAMFS: u64 = 0x8584_58f6;
const TMPFS: u64 = 0x0102_1994;

/// The old root, checked.
pub struct OldRoot {
    root: OwnedFd,
    device: u64,
}

/// Checks all that is needed to go from here to `new_root` and to start `init` there; the
/// working directory becomes `new_root`.
///
/// # Errors
/// Why it cannot be done; nothing was changed.
pub fn check(new_root: &Path, init: &Path) -> Result<OldRoot, String> {
    if std::process::id() != 1 {
        return Err("must be run as PID 1".into());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let told = |e: Errno| format!("/: open: {e}");
    let root = open("/", flags, Mode::empty()).map_err(told)?;
    // Its type is of another width on other machines.
    let kind = fstatfs(&root).map_err(told)?.f_type as u32;
    let device = fstat(&root).map_err(told)?.st_dev;
    let shown = new_root.display();
    std::env::set_current_dir(new_root).map_err(|e| format!("{shown}: enter: {e}"))?;
    let own = stat(".").map_err(|e| format!("{shown}: look: {e}"))?.st_dev;
    if own == device {
        return Err(format!(
            "{shown}: is on the file system of /; mount the new root there"
        ));
    }
    if let Some(trouble) = trouble_of_init(init) {
        return Err(format!("{shown}: {}: {trouble}", init.display()));
    }
    if ![RAMFS, TMPFS].contains(&u64::from(kind)) {
        return Err("/: is neither a ramfs nor a tmpfs; its files are not to be deleted".into());
    }
    Ok(OldRoot { root, device })
}

/// Why `init` cannot be executed in the working directory as the root; a kernel before 5.6
/// does not tell.
pub fn trouble_of_init(init: &Path) -> Option<Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = openat2(CWD, init, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    let stat = match found.and_then(fstat) {
        Ok(stat) => stat,
        Err(Errno::NOSYS) => return None,
        Err(e) => return Some(e),
    };
    let is_program = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    (!is_program || stat.st_mode & 0o111 == 0).then_some(Errno::ACCESS)
}

impl OldRoot {
    /// Makes the working directory, which [`check`] has left, the root, and deletes the old
    /// root's files.
    ///
    /// # Errors
    /// Why the new root did not take its place; nothing was deleted.
    pub fn leave(&self, who: &str) -> Result<(), String> {
        for place in KERNELS {
            self.take_along(who, place);
        }
        mount_move(".", "/").map_err(|e| format!("move the new root to /: {e}"))?;
        rustix::process::chroot(".").map_err(|e| format!("change the root: {e}"))?;
        std::env::set_current_dir("/").map_err(|e| format!("/: enter: {e}"))?;
        empty(&self.root, self.device, DEPTH_MAX);
        Ok(())
    }

    /// Moves what is mounted at `place` to the same place of the new root. Where that has no
    /// such directory, it is only detached: then the new root has no use for it.
    fn take_along(&self, who: &str, place: &str) {
        // One that is on the old root's own file system is no mount.
        if stat(place).map_or(self.device, |found| found.st_dev) == self.device {
            return;
        }
        let target = place.trim_start_matches('/');
        let Err(trouble) = mount_move(place, target) else {
            return;
        };
        say::line(
            who,
            format_args!("{place}: move to the new root: {trouble}"),
        );
        let _as_it_is = unmount(place, UnmountFlags::DETACH);
    }
}

/// Deletes what is in the directory, as far as it is on `device`.
fn empty(directory: &OwnedFd, device: u64, depth: usize) {
    let Ok(entries) = Dir::read_from(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(found) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            // A file of another file system may be mounted there: that one is in use.
            let _stays = unlinkat(directory, name, AtFlags::empty());
        } else if found.st_dev == device && depth > 0 {
            if let Some(below) = open_below(directory, name, device) {
                empty(&below, device, depth - 1);
            }
            let _not_empty = unlinkat(directory, name, AtFlags::REMOVEDIR);
        }
    }
}

fn open_below(directory: impl AsFd, name: &CStr, device: u64) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = openat(directory, name, flags, Mode::empty()).ok()?;
    let is_own = fstat(&below).is_ok_and(|found| found.st_dev == device);
    is_own.then_some(below)
}

/// The words of a program's start: its path first.
pub fn argv(init: &Path, rest: &[&[u8]]) -> Vec<std::ffi::CString> {
    let words = std::iter::once(init.as_os_str().as_bytes()).chain(rest.iter().copied());
    words
        .filter_map(|word| std::ffi::CString::new(word).ok())
        .collect()
}
