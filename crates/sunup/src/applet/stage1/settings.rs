//! Settings of the kernel: sysctl.d(5), and /etc/sysctl.conf, which counts most.

use std::io::{self, Write};
use std::path::Path;

use model::format::sysctl::{self, Setting};
use model::glob;
use rustix::fs::OFlags;

use super::conf;
use super::teller::Teller;
use crate::sys::file;

const DIRS: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];
const LAST: &str = "/etc/sysctl.conf";
const BASE: &str = "/proc/sys";

/// Reads all files, and then writes what they say, in their order.
pub fn set(container: bool, teller: &mut Teller) {
    let all = conf::all(&DIRS, LAST, teller, sysctl::decode);
    for (file, setting) in &all {
        // A container has a network of its own; the rest is its host's.
        if container && !setting.path.starts_with(b"net/") {
            continue;
        }
        // A key that is named is set as it is named, whatever a pattern says.
        let is_named = |key: &[u8]| all.iter().any(|(_, other)| other.path == key);
        write(file, setting, &is_named, teller);
    }
}

fn write(from: &Path, setting: &Setting, is_named: &dyn Fn(&[u8]) -> bool, teller: &mut Teller) {
    let Some(value) = &setting.value else { return };
    let is_pattern = glob::is_pattern(&setting.path);
    for path in conf::expand(Path::new(BASE), &setting.path) {
        let key = path.strip_prefix(BASE).unwrap_or(&path);
        if is_pattern && is_named(key.as_os_str().as_encoded_bytes()) {
            continue;
        }
        let done = file::open(&path, OFlags::WRONLY).and_then(|mut file| {
            // One write: the kernel takes the first alone.
            let text = [value, &b"\n"[..]].concat();
            file.write_all(&text)
        });
        if let Err(e) = done {
            tell(from, setting, &path, &e, teller);
        }
    }
}

fn tell(from: &Path, setting: &Setting, path: &Path, e: &io::Error, teller: &mut Teller) {
    let (from, line, path) = (from.display(), setting.line, path.display());
    let what = format_args!("{from}: line {line}: {path}: write: {e}");
    if setting.may_fail {
        teller.detail(what);
    } else {
        teller.fail(what);
    }
}
