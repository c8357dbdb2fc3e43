//! Mounts the root file system at [`NEW_ROOT`]: checked, if there is a program for it, and
//! with what is written kept in memory, if that is wanted.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use model::format::cmdline::Root;
use model::format::fstab::Options;
use model::format::superblock::Kind;
use model::stage1;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::block::Search;
use crate::machine::{console, new_root};
use crate::program;
use crate::sys::bounded;

/// Where the root is mounted before it is one.
pub const NEW_ROOT: &str = "/sysroot";
/// Below /run, which moves along: what an overlay is made of.
const LOWER: &str = "/run/overlayroot/lower";
const MEMORY: &str = "/run/overlayroot/memory";

/// How long the kernel may take to mount the root: a journal may have to be read. Then a person
/// has a shell.
const LIMIT: Duration = Duration::from_mins(5);

/// Mounts what the kernel has for itself, and /run, where nothing is mounted yet.
pub fn mount_bases() {
    for base in stage1::bases(false).filter(|base| new_root::KERNELS.contains(&base.dir)) {
        let is_mounted = rustix::fs::stat(base.dir)
            .is_ok_and(|own| rustix::fs::stat("/").is_ok_and(|root| root.st_dev != own.st_dev));
        let options = Options::decode(base.options.as_bytes());
        if !is_mounted && let Err(e) = mount_at(base.kind.as_ref(), base.dir, base.kind, &options) {
            console::say(&format!("{}: mount {}: {e}", base.dir, base.kind));
        }
    }
}

/// Mounts the device as the command line wants it.
///
/// # Errors
/// One line that says why it cannot be.
pub fn mount(device: &Path, wanted: &Root, search: &mut Search) -> Result<(), String> {
    let shown = device.display();
    let held = search.kind(device);
    let mut kinds: Vec<&[u8]> = wanted.kinds.iter().map(Vec::as_slice).collect();
    if let (true, Some(kind)) = (kinds.is_empty(), held) {
        kinds.push(kind.name().as_bytes());
    }
    if kinds.is_empty() {
        return Err(format!(
            "{shown}: holds no file system that is known; rootfstype= names it"
        ));
    }
    if !wanted.overlay {
        check(device, held)?;
    }
    let mut options = Options::decode(&wanted.options);
    let read_only = MountFlags::RDONLY.bits();
    let is_writable = wanted.writable && !wanted.overlay;
    options.flags = options.flags & !read_only | if is_writable { 0 } else { read_only };
    let place = if wanted.overlay { LOWER } else { NEW_ROOT };
    let mut trouble = String::new();
    for kind in kinds {
        let kind = String::from_utf8_lossy(kind);
        let mut mounted = mount_at(device.as_os_str(), place, &kind, &options);
        if is_writable && matches!(mounted, Err(Errno::ROFS | Errno::ACCESS)) {
            options.flags |= read_only;
            console::say(&format!("{shown}: write-protected; mounted read-only"));
            mounted = mount_at(device.as_os_str(), place, &kind, &options);
        }
        match mounted {
            Ok(()) if wanted.overlay => return overlay(),
            Ok(()) => return Ok(()),
            Err(e) => trouble = format!("{shown}: mount as {kind}: {e}"),
        }
    }
    Err(trouble)
}

/// Takes away what [`mount`] has mounted, as far as it is there.
pub fn unmount() {
    for place in [NEW_ROOT, MEMORY, LOWER] {
        let _not_there = rustix::mount::unmount(place, UnmountFlags::DETACH);
    }
}

/// An overlay: the root below it is read-only, and what is written stays in memory.
fn overlay() -> Result<(), String> {
    let told = |e: Errno| format!("overlayroot: {e}");
    let options = Options::decode(b"mode=0755");
    mount_at("tmpfs".as_ref(), MEMORY, "tmpfs", &options).map_err(told)?;
    for name in ["upper", "work"] {
        rustix::fs::mkdir(Path::new(MEMORY).join(name), 0o755.into()).map_err(told)?;
    }
    let data = format!("lowerdir={LOWER},upperdir={MEMORY}/upper,workdir={MEMORY}/work");
    let options = Options::decode(data.as_bytes());
    mount_at("overlay".as_ref(), NEW_ROOT, "overlay", &options).map_err(told)
}

fn mount_at(source: &OsStr, place: &str, kind: &str, options: &Options) -> Result<(), Errno> {
    // Only the mount needs it: that tells why it cannot be.
    let _made = fs::create_dir_all(place);
    let flags = MountFlags::from_bits_retain(options.flags);
    let data = CString::new(options.data.clone()).map_err(|_| Errno::INVAL)?;
    let mount = || rustix::mount::mount(source, place, kind, flags, data.as_c_str());
    if !source.as_bytes().starts_with(b"/dev/") {
        return mount();
    }
    let shown = source.display();
    let mut remind = |s| console::say(&format!("{shown}: mount: no answer for {s} s; waiting"));
    bounded::call_or_here(LIMIT, &mut remind, &mut || Ok(mount()?))
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// Has the file system checked by its own program, if the initramfs has one.
fn check(device: &Path, held: Option<Kind>) -> Result<(), String> {
    /// Exit codes of fsck(8) from here on: errors are left, or it could not work.
    const LEFT: i32 = 4;
    let Some(kind) = held.filter(|kind| !matches!(kind, Kind::Squashfs | Kind::Erofs)) else {
        return Ok(());
    };
    let name = ["fsck.", kind.name()].concat();
    let Some(path) = program::find(name.as_bytes()) else {
        return Ok(());
    };
    let shown = device.display();
    console::note(&format!("{name} -a {shown}"));
    let arguments = [&b"-a"[..], device.as_os_str().as_bytes()];
    let mut remind = |s| console::say(&format!("{name}: still running after {s} s"));
    let ended =
        program::start(&path, &arguments).and_then(|pid| bounded::wait(pid, None, &mut remind));
    let code = match ended {
        Ok(status) => status.and_then(rustix::process::WaitStatus::exit_status),
        Err(e) => return Err(format!("{name}: start: {e}")),
    };
    match code {
        Some(..LEFT) => Ok(()),
        Some(code) => Err(format!(
            "{shown}: {name}: exit code {code}; repair it by hand"
        )),
        None => Err(format!("{name}: killed by a signal")),
    }
}
