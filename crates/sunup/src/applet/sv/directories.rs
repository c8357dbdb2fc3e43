//! Where services are: the scan directory, whose services are supervised, and the database,
//! from which they are enabled by a link.

use model::scan::is_supervised;
use model::sorted::sort;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use model::control;
use rustix::fs::stat;

use crate::personality;
use crate::say::without_numbers;

/// Where services are looked up without SVDIR: upstream runit's place, Void's, Debian's,
/// Artix's, and the place of this project's own tree.
const SERVICE_DIRS: [&str; 5] = [
    "/service",
    "/var/service",
    "/etc/service",
    "/run/runit/service",
    DIR_LAST,
];
const DIR_LAST: &str = "/etc/runit/sv";
/// The directory that is built into busybox.
const DIR_BUSYBOX: &str = "/var/service";

/// The database without SUNUP_DB: of Void and Debian, and of Artix.
const DATABASE: [&str; 2] = ["/etc/sv", "/etc/runit/sv"];

/// The scan directory. `None`: an empty SVDIR names none; its services must not be looked
/// up in the root directory.
pub fn scan_directory() -> Option<PathBuf> {
    match std::env::var_os("SVDIR") {
        Some(dir) => (!dir.is_empty()).then(|| dir.into()),
        None => Some(default_scan_directory().into()),
    }
}

/// The scan directory without SVDIR.
pub fn default_scan_directory() -> &'static str {
    if personality::is_busybox() {
        return DIR_BUSYBOX;
    }
    let mut dirs = SERVICE_DIRS.into_iter();
    dirs.find(|dir| stat(*dir).is_ok()).unwrap_or(DIR_LAST)
}

/// The directories of the database, in the order in which a name is looked up. The scan
/// directory is none of them: what it has is enabled.
pub fn database() -> Vec<PathBuf> {
    let dirs: Vec<PathBuf> = match std::env::var_os("SUNUP_DB") {
        Some(dirs) => std::env::split_paths(&dirs).collect(),
        None => DATABASE.map(PathBuf::from).to_vec(),
    };
    let scanned = scan_directory().and_then(|dir| same(&dir));
    let is_other = |dir: &PathBuf| scanned.is_none() || same(dir) != scanned;
    let mut dirs: Vec<_> = dirs.into_iter().filter(is_other).collect();
    dirs.retain(|dir| !dir.as_os_str().is_empty());
    dirs
}

/// What tells that two paths lead to the same directory.
pub fn same(dir: &Path) -> Option<(u64, u64)> {
    let found = stat(dir).ok()?;
    Some((found.st_dev, found.st_ino))
}

/// The service directory that an operand means; empty if there can be none.
pub fn locate(name: &[u8]) -> PathBuf {
    let path = PathBuf::from(OsString::from_vec(name.to_vec()));
    if control::is_path(name) {
        return path;
    }
    // Not `join`, which would take a name that begins with a slash.
    let Some(base) = scan_directory().filter(|_| !name.is_empty()) else {
        return PathBuf::new();
    };
    let bytes = [base.as_os_str().as_bytes(), b"/", name].concat();
    OsString::from_vec(bytes).into()
}

/// What is said of a link that leads nowhere.
pub fn lost(link: &Path) -> Option<String> {
    let target = std::fs::read_link(link).ok()?;
    let [link, target] = [link, &target].map(|path| path.as_os_str().as_bytes().escape_ascii());
    Some(format!("{link} leads to {target}, which does not exist"))
}

/// The names of the services of the scan directory, sorted.
///
/// # Errors
/// One line that says why they cannot be known.
pub fn enabled() -> Result<Vec<Vec<u8>>, String> {
    let dir = scan_directory().ok_or("SVDIR is empty: it names no directory")?;
    services(&dir).map_err(|e| {
        let shown = dir.display();
        let hint = match e.kind() {
            ErrorKind::NotFound => {
                "; make it and start `runsvdir` on it, or let SVDIR name another"
            }
            _ => "",
        };
        format!("{shown}: {}{hint}", without_numbers(&e.to_string()))
    })
}

/// The names of the services in a directory, sorted: no file, none that begins with a dot,
/// as runsvdir sees it, and no template. An entry whose kind is not known counts.
///
/// # Errors
/// It cannot be read.
pub fn services(dir: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name().into_vec();
        let is_service = !is_file && is_supervised(&name);
        names.extend(is_service.then_some(name));
    }
    sort(&mut names);
    Ok(names)
}
