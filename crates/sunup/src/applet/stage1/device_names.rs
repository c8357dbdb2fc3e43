//! The names that the kernel has for devices, by which modules are found: the files `modalias`
//! below /sys/devices.

use model::sorted::sort;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};

use super::teller::Teller;
use crate::sys::file;

/// The kernel's directories are not deeper, and not more.
const DEPTH_MAX: usize = 40;
const DIRECTORIES_MAX: usize = 200_000;
/// A file of sysfs has at most one page.
const NAME_BYTES_MAX: usize = 4096;

/// All of them, each once.
pub fn all(teller: &mut Teller) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut left = DIRECTORIES_MAX;
    match open(CWD, Path::new("/sys/devices")) {
        Ok(top) => walk(&top, 0, &mut left, &mut names),
        Err(e) => teller.fail(format_args!("/sys/devices: read: {e}")),
    }
    sort(&mut names);
    names.dedup();
    names
}

fn open(at: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Devices come and go; what cannot be read is not there any more.
fn walk(dir: &OwnedFd, depth: usize, left: &mut usize, names: &mut Vec<Vec<u8>>) {
    let Ok(entries) = Dir::read_from(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        match entry.file_type() {
            FileType::RegularFile if name == c"modalias" => {
                let text = file::open_at(dir, Path::new("modalias"), OFlags::RDONLY, Mode::empty())
                    .and_then(|file| file::head(File::from(file), NAME_BYTES_MAX));
                let text = text.unwrap_or_default().trim_ascii().to_vec();
                if !text.is_empty() {
                    names.push(text);
                }
            }
            FileType::Directory
                if !name.to_bytes().starts_with(b".") && depth < DEPTH_MAX && *left > 0 =>
            {
                *left -= 1;
                if let Ok(below) = open(dir, name) {
                    walk(&below, depth + 1, left, names);
                }
            }
            _ => {}
        }
    }
}
