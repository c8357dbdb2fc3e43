//! Firmware for drivers that ask user space for it. mdev copies the file to the kernel
//! through the files `loading` and `data` in the request's directory in sysfs
//! (Documentation/driver-api/firmware/fallback-mechanisms.rst of Linux).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::format::uevent::{Uevent, inside_dev};
use rustix::fs::OFlags;

use super::Voice;
use crate::sys::file;

/// A longer file cannot be firmware.
const FIRMWARE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Gives /lib/firmware/`name` to the kernel. If there is no such file, tells the kernel so:
/// otherwise the driver would wait for a minute.
pub fn load(event: &Uevent, name: &[u8], voice: Voice) {
    let Some(request) = event.get(b"DEVPATH").and_then(inside_dev) else {
        return;
    };
    let request = Path::new("/sys").join(OsStr::from_bytes(&request));
    let file = Path::new("/lib/firmware").join(OsStr::from_bytes(name));
    match answer(&request, &file) {
        Ok(()) => voice.detail(format_args!("{}: loaded", file.display())),
        Err((path, e)) => voice.say(format_args!(
            "{}: load the firmware {}: {e}",
            path.display(),
            file.display()
        )),
    }
}

fn answer(request: &Path, file: &Path) -> Result<(), (PathBuf, io::Error)> {
    let loading = request.join("loading");
    let told = |e| (loading.clone(), e);
    let mut loading_file = write_only(&loading).map_err(told)?;
    let sent = send(request, file, &mut loading_file);
    let verdict: &[u8] = if sent.is_ok() { b"0" } else { b"-1" };
    loading_file.write_all(verdict).map_err(told)?;
    sent
}

fn send(request: &Path, path: &Path, loading: &mut File) -> Result<(), (PathBuf, io::Error)> {
    let content = file::read(path, FIRMWARE_BYTES_MAX).map_err(|e| (path.to_path_buf(), e))?;
    let data = request.join("data");
    loading
        .write_all(b"1")
        .map_err(|e| (request.join("loading"), e))?;
    write_only(&data)
        .and_then(|mut f| f.write_all(&content))
        .map_err(|e| (data, e))
}

fn write_only(path: &Path) -> io::Result<File> {
    file::open(path, OFlags::WRONLY)
}
