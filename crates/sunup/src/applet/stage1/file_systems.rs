//! /etc/fstab: file systems are checked, mounted and swapped to, as by `fsck -A` and
//! `mount -a`.

use model::sorted::sort_by_key;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use model::format::device_name::DeviceName;
use model::format::fstab::{self, Call, Entry, Options};
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_remount};

use super::mounts::is_mounted;
use super::teller::{Teller, note};
use super::{conf, foreign};
use crate::block::Search;
use crate::program;
use crate::sys::mount::swap_on;
use crate::sys::{bounded, file};

const FSTAB: &str = "/etc/fstab";
/// Longer than any that was ever seen.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How long a program may take to mount something.
const MOUNT_LIMIT: Duration = Duration::from_secs(90);
/// mount(2): the file system is not written to.
const READ_ONLY: u32 = 1;
/// Exit codes of fsck(8): bits.
const FSCK_CORRECTED: i32 = 1;
const FSCK_LEFT_ERRORS: i32 = 4;
/// File systems that have no device, and are mounted before: new options are for those.
const OF_KERNEL: [&[u8]; 5] = [b"proc", b"sysfs", b"tmpfs", b"devpts", b"devtmpfs"];

/// The table, and what is known about its lines.
pub struct Table {
    entries: Vec<Entry>,
    search: Search,
    /// Lines whose file systems have errors.
    broken: Vec<usize>,
}

impl Table {
    /// Reads the file. Without it there is nothing to do.
    pub fn read(teller: &mut Teller) -> Self {
        let mut table = Self::default();
        let path = Path::new(FSTAB);
        conf::one(path, true, teller, &mut |text, teller| {
            let (entries, mistakes) = fstab::decode(text);
            teller.mistakes(path, &mistakes);
            table.entries = entries;
        });
        table
    }

    /// Checks file systems, in the order of their numbers.
    pub fn check(&mut self, teller: &mut Teller) {
        let (entries, search) = (&self.entries, &mut self.search);
        let mut due: Vec<&Entry> = entries.iter().collect();
        due.retain(|entry| entry.pass > 0 && !entry.is_left_out() && !entry.is_swap());
        sort_by_key(&mut due, |entry| entry.pass);
        let broken = due.iter().filter(|entry| !check(entry, search, teller));
        self.broken = broken.map(|entry| entry.line).collect();
    }

    /// Mounts and swaps to all that is for the boot.
    pub fn mount(&mut self, container: bool, teller: &mut Teller) {
        let search = &mut self.search;
        for entry in fstab::in_order(&self.entries) {
            if entry.is_left_out() || entry.is_swap() && container {
                continue;
            }
            let done = if self.broken.contains(&entry.line) {
                Err(Trouble::Other("has errors; left as it is".into()))
            } else if entry.is_swap() {
                swap(entry, search)
            } else {
                mount_entry(entry, container, search, teller)
            };
            let Err(trouble) = done else { continue };
            let (line, name) = (entry.line, entry.name().escape_ascii());
            match trouble {
                Trouble::NoDevice if entry.has(b"nofail") => {
                    teller.detail(format_args!("{FSTAB}: line {line}: {name}: no such device"));
                }
                trouble => {
                    let reason = trouble.reason();
                    teller.fail(format_args!("{FSTAB}: line {line}: {name}: {reason}"));
                }
            }
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            search: Search::new(|line| note(line)),
            broken: Vec::new(),
        }
    }
}

/// Why something is not mounted.
enum Trouble {
    NoDevice,
    Call(Errno),
    Other(String),
}

impl Trouble {
    fn reason(&self) -> String {
        match self {
            Self::NoDevice => "no such device".into(),
            Self::Call(e) => e.to_string(),
            Self::Other(reason) => reason.clone(),
        }
    }
}

impl From<Errno> for Trouble {
    fn from(e: Errno) -> Self {
        Self::Call(e)
    }
}

impl From<std::ffi::NulError> for Trouble {
    fn from(_: std::ffi::NulError) -> Self {
        Self::Call(Errno::INVAL)
    }
}

/// Checks a file system; false if it has errors that remain.
fn check(entry: &Entry, search: &mut Search, teller: &mut Teller) -> bool {
    let target = Path::new(OsStr::from_bytes(&entry.target));
    let is_root = entry.is_root();
    let is_writable =
        || statvfs("/").is_ok_and(|st| !st.f_flag.contains(StatVfsMountFlags::RDONLY));
    // What is mounted to be written to must not be changed below its feet.
    if Options::decode(&entry.options).is_bind()
        || (is_root && is_writable())
        || (!is_root && is_mounted(target))
    {
        return true;
    }
    // A device that is not there is told by the mount.
    let Ok(Some(device)) = device(entry, search) else {
        return true;
    };
    let Some(kind) = kinds(entry, &device, search).into_iter().next() else {
        return true;
    };
    let name = [b"fsck.", &kind[..]].concat();
    let device = device.as_slice();
    let (found, arguments) = match program::find(&name) {
        Some(own) => (Some(own), vec![&b"-a"[..], device]),
        None => (
            program::find(b"fsck"),
            vec![&b"-a"[..], b"-t", &kind, device],
        ),
    };
    let shown = device.escape_ascii();
    let Some(path) = found else {
        let name = name.escape_ascii();
        note(format_args!("{shown}: {name} is not there; not checked"));
        return true;
    };
    match foreign::run(&path, &arguments, None) {
        Ok(0) => true,
        Ok(FSCK_CORRECTED) => {
            note(format_args!("{shown}: errors were corrected"));
            true
        }
        Ok(code) => {
            teller.fail(format_args!(
                "{shown}: check: exit code {code}, see fsck(8)"
            ));
            code & FSCK_LEFT_ERRORS == 0
        }
        Err(reason) => {
            teller.fail(format_args!("{shown}: check: {reason}"));
            true
        }
    }
}

/// The device of a line, or its source as it is, if it is none. `None`: it is not there.
fn device(entry: &Entry, search: &mut Search) -> Result<Option<Vec<u8>>, Trouble> {
    let source = entry.source.as_slice();
    let name = DeviceName::decode(source);
    if matches!(name, DeviceName::Path(_)) && !source.starts_with(b"/dev/") {
        return Ok(Some(source.to_vec()));
    }
    let found = search
        .find(&name)
        .map_err(|e| Trouble::Other(format!("/sys: {e}")))?;
    Ok(found.map(|path| path.into_os_string().into_encoded_bytes()))
}

/// The types to try, one after the other.
fn kinds(entry: &Entry, device: &[u8], search: &mut Search) -> Vec<Vec<u8>> {
    if entry.kind != b"auto" {
        return entry
            .kind
            .split(|b| *b == b',')
            .map(<[u8]>::to_vec)
            .collect();
    }
    if let Some(kind) = search.kind(Path::new(OsStr::from_bytes(device))) {
        return vec![kind.name().into()];
    }
    let known = file::read(Path::new("/proc/filesystems"), FILE_BYTES_MAX).unwrap_or_default();
    let lines = known.split(|b| *b == b'\n');
    let kinds = lines.filter_map(|line| line.strip_prefix(b"\t"));
    kinds.map(<[u8]>::to_vec).collect()
}

fn swap(entry: &Entry, search: &mut Search) -> Result<(), Trouble> {
    let device = device(entry, search)?.ok_or(Trouble::NoDevice)?;
    let path = CString::new(device.as_slice())?;
    match patiently(&device, &mut || swap_on(&path, entry.swap_flags())) {
        // It is in use already.
        Err(Trouble::Call(Errno::BUSY)) => Ok(()),
        Err(Trouble::Call(Errno::NOENT)) => Err(Trouble::NoDevice),
        done => done,
    }
}

/// Has the kernel do what it may need an answer for from `device`.
fn patiently(device: &[u8], work: &mut dyn FnMut() -> io::Result<()>) -> Result<(), Trouble> {
    let shown = device.escape_ascii();
    let mut remind = |s| {
        note(format_args!(
            "{shown}: mount: no answer for {s} s; waiting for it"
        ));
    };
    let done = bounded::call_or_here(MOUNT_LIMIT, &mut remind, work);
    done.map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::TIMEDOUT) => {
            let s = MOUNT_LIMIT.as_secs();
            Trouble::Other(format!("mount: no answer in {s} s; the boot goes on"))
        }
        e => Trouble::Call(e.unwrap_or(Errno::IO)),
    })
}

fn mount_entry(
    entry: &Entry,
    container: bool,
    search: &mut Search,
    teller: &Teller,
) -> Result<(), Trouble> {
    let options = Options::decode(&entry.options);
    let target = Path::new(OsStr::from_bytes(&entry.target));
    if entry.is_root() {
        // A container's root is as its host has mounted it.
        return if container {
            Ok(())
        } else {
            remount(target, &options)
        };
    }
    if is_mounted(target) {
        let is_news = options.flags != 0 || !options.data.is_empty();
        if is_news && !container && OF_KERNEL.contains(&entry.kind.as_slice()) {
            return remount(target, &options);
        }
        teller.detail(format_args!("{}: mounted already", target.display()));
        return Ok(());
    }
    if options.mkdir {
        // If that fails, the mount tells why.
        let _made = std::fs::create_dir_all(target);
    }
    let source = device(entry, search)?.ok_or(Trouble::NoDevice)?;
    if let Some(done) = by_program(entry, &source, &options) {
        return done;
    }
    let mut done = Err(Trouble::Other("what type it has is not known".into()));
    for kind in kinds(entry, &source, search) {
        done = mount_as(&source, target, &kind, &options);
        if done.is_ok() {
            break;
        }
    }
    if done.is_err() && !target.exists() {
        return Err(Trouble::Other("the directory is not there".into()));
    }
    done
}

fn remount(target: &Path, options: &Options) -> Result<(), Trouble> {
    let Call { flags, data } = options.remount();
    let (flags, data) = (MountFlags::from_bits_retain(flags), CString::new(data)?);
    patiently(target.as_os_str().as_bytes(), &mut || {
        Ok(mount_remount(target, flags, data.as_c_str())?)
    })
}

fn mount_as(source: &[u8], target: &Path, kind: &[u8], options: &Options) -> Result<(), Trouble> {
    for call in options.calls() {
        let data = CString::new(call.data)?;
        let attempt = |flags| {
            let flags = MountFlags::from_bits_retain(flags);
            let mount = || mount(source, target, kind, flags, data.as_c_str());
            if source.starts_with(b"/dev/") {
                patiently(source, &mut || Ok(mount()?))
            } else {
                Ok(mount()?)
            }
        };
        match attempt(call.flags) {
            Err(Trouble::Call(Errno::ROFS | Errno::ACCESS)) if call.flags & READ_ONLY == 0 => {
                attempt(call.flags | READ_ONLY)?;
                let source = source.escape_ascii();
                note(format_args!("{source}: write-protected; mounted read-only"));
            }
            done => done?,
        }
    }
    Ok(())
}

/// Mounts what has a program of its own (`mount.TYPE`), and files, for which mount(8) makes
/// a loop device. `None`: the kernel alone can do it.
fn by_program(entry: &Entry, source: &[u8], options: &Options) -> Option<Result<(), Trouble>> {
    let words = Options::words(&entry.options);
    let is_file = || Path::new(OsStr::from_bytes(source)).is_file();
    let is_loop = !options.is_bind() && (options.is_loop || is_file());
    let helper = program::find(&[b"mount.", &entry.kind[..]].concat());
    let (path, arguments) = match helper {
        _ if is_loop => {
            let Some(path) = program::find(b"mount") else {
                let reason = "a file is mounted by mount(8), which is not there";
                return Some(Err(Trouble::Other(reason.into())));
            };
            let own = [&b"-t"[..], &entry.kind, b"-o", &entry.options];
            (path, [&own[..], &[source, &entry.target]].concat())
        }
        Some(path) => (path, vec![source, &entry.target, b"-o", &words]),
        None => return None,
    };
    Some(match foreign::run(&path, &arguments, Some(MOUNT_LIMIT)) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Trouble::Other(format!(
            "{}: exit code {code}",
            path.to_string_lossy()
        ))),
        Err(reason) => Err(Trouble::Other(reason)),
    })
}
