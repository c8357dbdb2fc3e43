//! Makes and removes nodes and links. Paths are relative to /dev, the current directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::device::{Access, Device, Op};
use model::format::uevent::{Kind, Number};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Stat, Uid, chmodat, chownat, lstat, major, makedev, minor,
    mknodat, readlink, rename, stat, symlink, unlink,
};
use rustix::io::Errno;

use super::Voice;

/// The kernel shows this for a user or group that has no number in this user namespace.
const UNMAPPED: u32 = 65534;

/// The largest numbers that mknod(2) has room for (include/linux/kdev_t.h).
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;

/// What mdev tried to do, and why it failed.
type Failure = (&'static str, Errno);

/// Does one operation on a node or link. Reports it if it fails, or with `-v`.
pub fn apply(op: &Op, voice: Voice) -> bool {
    let (path, done) = match op {
        Op::Node {
            path,
            device,
            access,
        } => (path, node(path, *device, *access)),
        Op::Link { path, target } => (path, link(path, target)),
        Op::Unlink { path, device } => (path, remove(path, *device)),
        Op::Run { .. } | Op::Firmware { .. } => return true,
    };
    match done {
        Ok("") => {}
        Ok(what) => voice.detail(format_args!("{}: {what}", path.escape_ascii())),
        Err((attempt, e)) => voice.say(format_args!("{}: {attempt}: {e}", path.escape_ascii())),
    }
    done.is_ok()
}

/// Makes a device node with its owner and mode. If the kernel or an earlier run made it,
/// only corrects what differs. That follows links such as ptmx -> pts/ptmx.
fn node(path: &[u8], device: Device, access: Access) -> Result<&'static str, Failure> {
    match stat(path) {
        Ok(st) if is(&st, device) => correct(path, &st, access),
        _ => {
            make(path, device, access)?;
            let st = stat(path).map_err(|e| ("look at it", e))?;
            correct(path, &st, access)?;
            Ok("made")
        }
    }
}

fn correct(path: &[u8], st: &Stat, access: Access) -> Result<&'static str, Failure> {
    let mut done = "";
    if (st.st_uid, st.st_gid) != (access.user, access.group) {
        let (user, group) = (Uid::from_raw(access.user), Gid::from_raw(access.group));
        match chownat(CWD, path, Some(user), Some(group), AtFlags::empty()) {
            Ok(()) => done = "corrected",
            // The node is from the host of this container.
            Err(Errno::PERM) if (st.st_uid, st.st_gid) == (UNMAPPED, UNMAPPED) => {
                return Ok("belongs to another user namespace; left as it is");
            }
            Err(e) => return Err(("change the owner", e)),
        }
    }
    if st.st_mode & 0o7777 != access.mode {
        let mode = Mode::from_raw_mode(access.mode);
        chmodat(CWD, path, mode, AtFlags::empty()).map_err(|e| ("change the mode", e))?;
        done = "corrected";
    }
    Ok(done)
}

fn make(path: &[u8], device: Device, access: Access) -> Result<(), Failure> {
    let kind = match device.kind {
        Kind::Block => FileType::BlockDevice,
        Kind::Char => FileType::CharacterDevice,
    };
    let Number { major, minor } = device.number;
    // The kernel would cut them, and make another device's node.
    if major > MAJOR_MAX || minor > MINOR_MAX {
        return Err(("create", Errno::INVAL));
    }
    let number = makedev(major, minor);
    // Until the node has the right owner, only the present owner may open it.
    let mode = Mode::from_raw_mode(access.mode & 0o600);
    let make = || mknodat(CWD, path, kind, mode, number);
    match make() {
        Err(Errno::NOENT) => {
            make_parents(path)?;
            make()
        }
        Err(Errno::EXIST) => {
            clear(path)?;
            make()
        }
        done => done,
    }
    .map_err(|e| ("create", e))
}

/// Removes what has the name of a node: the node of another device, a link to something
/// else, or a file that somebody wrote before the device came. A directory stays.
fn clear(path: &[u8]) -> Result<(), Failure> {
    unlink(path).map_err(|e| ("remove what is in its place", e))
}

fn make_parents(path: &[u8]) -> Result<(), Failure> {
    let parent = Path::new(OsStr::from_bytes(path)).parent();
    std::fs::create_dir_all(parent.unwrap_or(Path::new(""))).map_err(|e| {
        let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
        ("create its directory", errno)
    })
}

/// Makes a symbolic link. It replaces an older link or a device node in one step.
fn link(path: &[u8], target: &[u8]) -> Result<&'static str, Failure> {
    match lstat(path).map(|st| FileType::from_raw_mode(st.st_mode)) {
        Err(Errno::NOENT) | Ok(FileType::BlockDevice | FileType::CharacterDevice) => {}
        Ok(FileType::Symlink) => {
            if readlink(path, Vec::new()).is_ok_and(|old| old.as_bytes() == target) {
                return Ok("");
            }
        }
        Ok(_) => return Err(("link, but something else is in its place", Errno::EXIST)),
        Err(e) => return Err(("look at it", e)),
    }
    let fresh = [path, b".mdev-new"].concat();
    let make = || symlink(target, fresh.as_slice());
    match make() {
        Err(Errno::NOENT) => {
            make_parents(path)?;
            make()
        }
        Err(Errno::EXIST) => {
            clear(&fresh)?;
            make()
        }
        done => done,
    }
    .and_then(|()| rename(fresh.as_slice(), path))
    .map_err(|e| ("link", e))?;
    Ok("linked")
}

/// Removes a link or the node of the device. The node of another device stays.
fn remove(path: &[u8], device: Device) -> Result<&'static str, Failure> {
    match lstat(path) {
        Ok(st) if is(&st, device) || FileType::from_raw_mode(st.st_mode) == FileType::Symlink => {
            unlink(path).map_err(|e| ("remove", e))?;
            Ok("removed")
        }
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(""),
        Err(e) => Err(("look at it", e)),
    }
}

fn is(st: &Stat, device: Device) -> bool {
    let kind = match FileType::from_raw_mode(st.st_mode) {
        FileType::BlockDevice => Kind::Block,
        FileType::CharacterDevice => Kind::Char,
        _ => return false,
    };
    let number = device.number;
    kind == device.kind && (major(st.st_rdev), minor(st.st_rdev)) == (number.major, number.minor)
}
