//! Where a service's lines are: the `current` that its logger has open, as /proc shows it,
//! or else the directory that the script of its log service names, or a usual one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::log::script::{BYTES_MAX, Logger};
use rustix::fs::OFlags;

use super::super::directories::{database, locate, lost};
use super::super::snapshot::{Depth, look};
use crate::sys::file;

/// So many descriptors of a logger are looked at.
const DESCRIPTORS: u32 = 64;

/// Where a service's lines are.
pub enum Place {
    /// In this directory.
    Log(PathBuf),
    /// Not in a log: [`lines_of`] says where they go.
    Other,
}

/// Finds the log of the service of an operand.
///
/// # Errors
/// There is no such service.
pub fn find(name: &[u8]) -> Result<Place, String> {
    let dir = service(name)?;
    let log = dir.join("log");
    let pid = look(log.as_os_str().as_bytes(), Depth::All).pid();
    let open = pid.map(open_logs).unwrap_or_default();
    let usual = usual(name, &dir);
    // What `svlogd ./main ./errors` holds open is two logs.
    let main = open
        .iter()
        .find(|dir| usual.iter().any(|usual| are_same(dir, usual)));
    let main = main.or_else(|| {
        open.iter()
            .find(|dir| dir.as_os_str().as_bytes().ends_with(b"/main"))
    });
    let kept = || {
        usual
            .iter()
            .find(|dir| fs::metadata(dir.join("current")).is_ok())
    };
    let unreadable = || usual.iter().find(|dir| is_unreadable(dir));
    let found = main.or(open.first());
    let found = found
        .cloned()
        .or_else(|| kept().or_else(unreadable).cloned());
    Ok(found.map_or(Place::Other, Place::Log))
}

/// Its directory: of the scan directory, or else of the database.
fn service(name: &[u8]) -> Result<PathBuf, String> {
    let dir = locate(name);
    let places = database()
        .into_iter()
        .map(|db| db.join(OsStr::from_bytes(name)));
    let mut places = std::iter::once(dir.clone())
        .chain(places.filter(|_| !name.is_empty() && !name.contains(&b'/')));
    let found = places.find(|dir| !dir.as_os_str().is_empty() && dir.join(".").is_dir());
    found.ok_or_else(|| {
        let missing = || format!("there is no service {}", dir.display());
        lost(&dir).unwrap_or_else(missing)
    })
}

/// The directories of the logs that a process has open, in the order of its descriptors.
fn open_logs(pid: u32) -> Vec<PathBuf> {
    let mut logs = Vec::new();
    for fd in 0..DESCRIPTORS {
        let fd = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        let path = fs::read_link(&fd).unwrap_or_default();
        let is_log = path.as_os_str().as_bytes().ends_with(b"/current");
        // In another mount namespace, the path may be another file, or none.
        if is_log && are_same(&fd, &path) {
            logs.extend(path.parent().map(Path::to_path_buf));
        }
    }
    logs
}

fn are_same(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((inode(one), inode(other)), (Ok(one), Ok(other)) if one == other)
}

fn is_unreadable(dir: &Path) -> bool {
    let found = fs::metadata(dir.join("current"));
    found.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The directories in which the log may be.
fn usual(name: &[u8], dir: &Path) -> Vec<PathBuf> {
    let log = dir.join("log");
    let mut usual = Vec::new();
    match logger(dir) {
        Some(Logger::Files(named)) => {
            let named = named.strip_prefix(b"./").unwrap_or(&named);
            usual.push(log.join(OsStr::from_bytes(named)));
        }
        Some(Logger::Others(..)) => return usual,
        None => {}
    }
    usual.push(log.join("main"));
    usual.push(log);
    usual.push(dir.join("main"));
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    usual.push(Path::new("/var/log").join(OsStr::from_bytes(last)));
    usual
}

/// What the log service of a directory calls.
fn logger(dir: &Path) -> Option<Logger> {
    let run = dir.join("log/run");
    // Void links vlogger there.
    let program = fs::read_link(&run).unwrap_or_default();
    let script = || {
        let script = file::open(&run, OFlags::RDONLY).ok()?;
        Logger::of_script(&file::head(script, BYTES_MAX).ok()?)
    };
    Logger::of_program(program.as_os_str().as_bytes()).or_else(script)
}

/// Says where the lines of a service go that keeps no log.
pub fn lines_of(name: &[u8]) -> String {
    let dir = service(name).unwrap_or_default();
    if let Some(Logger::Others(to, program)) = logger(&dir) {
        return format!("its lines go to {to}, by {program}");
    }
    if dir.join("log/run").exists() {
        return "its log service keeps no log that is known here; see log/run".into();
    }
    let pid = look(name, Depth::All).pid();
    let output = pid.and_then(|pid| fs::read_link(format!("/proc/{pid}/fd/1")).ok());
    let Some(output) = output.map(PathBuf::into_os_string) else {
        return "it has no log service; its lines go to the output of its supervisor".into();
    };
    describe(&output)
}

/// Where standard output of a service leads, by the link in /proc.
fn describe(output: &OsStr) -> String {
    let bytes = output.as_bytes();
    if bytes.starts_with(b"/") && !bytes.starts_with(b"/dev/") {
        return format!(
            "it has no log service; its lines go to the file {}",
            output.display()
        );
    }
    // `pipe:[NUMBER]`, and the number tells nobody anything.
    let shown = bytes.split(|byte| *byte == b':').next().unwrap_or_default();
    let shown = shown.escape_ascii();
    format!("it has no log service; its lines go to the output of runsvdir: {shown}")
}
