//! `sunup --install [--force] DIR`: a symbolic link for each applet.
//!
//! A link that leads to this program, to another sunup or to a busybox is replaced.
//! Any other link is left alone and named, for it may be systemd's `init`; `--force`
//! replaces it, too. Files that are no links stay in any case. Exit codes: 0 when all
//! links are there, 111 when not, 100 without a directory.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::applet::APPLETS;
use crate::{personality, say, sys};

/// Makes the links; the result is the exit code.
pub fn run(args: &[Vec<u8>]) -> u8 {
    let is_flag = |arg: &[u8]| matches!(arg, b"-s" | b"--force");
    // busybox's -s asks for symbolic links; these are no others.
    let force = args.iter().any(|arg| arg == b"--force");
    let mut dirs = args.iter().filter(|arg| !is_flag(arg));
    let Some(dir) = dirs.next() else {
        say::line(
            "sunup",
            "--install needs a directory of its own, for example /opt/sunup/bin",
        );
        return 100;
    };
    let dir = Path::new(OsStr::from_bytes(dir));
    if !dir.exists() {
        let shown = dir.display();
        say::line(
            "sunup",
            format_args!("{shown}: no such directory: mkdir -p {shown}"),
        );
        return 111;
    }
    let binary = match link_target() {
        Ok(path) => path,
        Err(e) => {
            let what = format_args!("find my own path in /proc/self/exe: {e}");
            say::line("sunup", what);
            return 111;
        }
    };
    let mut code = 0;
    for a in APPLETS {
        let link = dir.join(a.spec.name);
        if let Err(e) = make_link(&binary, &link, force) {
            say::line("sunup", format_args!("link {}: {e}", link.display()));
            code = 111;
        }
    }
    code
}

/// What links lead to: this binary, or the name by which it is busybox.
fn link_target() -> io::Result<PathBuf> {
    let path = OsStr::from_bytes(sys::env::exec_path());
    if personality::is_busybox() {
        std::path::absolute(path)
    } else {
        std::env::current_exe()
    }
}

fn make_link(target: &Path, link: &Path, force: bool) -> io::Result<()> {
    if let Ok(old) = link.read_link() {
        if !force && !is_ours(&old, link, target) {
            let old = old.display();
            return Err(io::Error::other(format!(
                "it leads to {old} and was left alone; --force replaces it"
            )));
        }
        std::fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(target, link)
}

/// Whether a link to `old` is one of sunup's or of a busybox's.
fn is_ours(old: &Path, link: &Path, target: &Path) -> bool {
    let ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        path == target || name == b"sunup" || name.starts_with(b"busybox")
    };
    ours(old) || link.canonicalize().is_ok_and(|end| ours(&end))
}
