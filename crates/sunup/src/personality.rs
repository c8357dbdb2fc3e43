//! Whose ways are followed where runit and busybox differ: runit's, unless this
//! program is called as busybox is, or was built to be its like.
//!
//! It is called as busybox if its own path, or a link on the way from there to
//! the binary, is named `busybox`: `busybox sv`, or /usr/bin/sv that is a link to
//! /bin/busybox. The build setting is the feature `busybox` of this crate. The
//! differences stand where they matter, as two values beside each other; all of
//! them are listed in docs/compatibility.md.

use std::sync::OnceLock;

use crate::called::{base_name, is_link_to};

/// The name that is looked for.
const NAME: &str = "busybox";

/// Applets that busybox does not have: their exit codes have one meaning only.
const FOREIGN: [&str; 7] = [
    "pgrphack",
    "runit",
    "runit-init",
    "runsvchdir",
    "setlock",
    "stage1",
    "utmpset",
];

static IS_BUSYBOX: OnceLock<bool> = OnceLock::new();

/// Decides, once, before any applet runs: `argv0` is the name by which the
/// program was called, `path` the one under which the kernel found it.
pub fn choose(argv0: &[u8], path: &[u8]) {
    // Said twice it is the same.
    let _ = IS_BUSYBOX.set(cfg!(feature = "busybox") || is_called_so(argv0, path));
}

fn is_called_so(argv0: &[u8], path: &[u8]) -> bool {
    let named = |path: &[u8]| base_name(path) == NAME.as_bytes();
    named(argv0) || named(path) || is_link_to(path, NAME)
}

/// Whether busybox's ways are followed.
pub fn is_busybox() -> bool {
    IS_BUSYBOX
        .get()
        .copied()
        .unwrap_or(cfg!(feature = "busybox"))
}

/// One of two values, by whose ways are followed.
pub fn pick<T>(runit: T, busybox: T) -> T {
    if is_busybox() { busybox } else { runit }
}

/// The exit code of an applet that cannot do what it was asked for: runit has
/// many, busybox has 1.
pub fn failure(applet: &str, runit: u8) -> u8 {
    if FOREIGN.contains(&applet) {
        runit
    } else {
        pick(runit, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_name_decides_and_so_does_a_link_on_the_way() {
        assert!(is_called_so(b"busybox", b"/proc/self/fd/3"));
        assert!(is_called_so(b"/bin/busybox", b"/bin/busybox"));
        assert!(is_called_so(b"-sv", b"/nowhere/busybox"));
        assert!(!is_called_so(b"sv", b"/nowhere/sv"));
        assert!(!is_called_so(b"/opt/busybox/sv", b"/opt/busybox/sv"));
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        symlink("sunup", path("busybox")).unwrap();
        symlink("busybox", path("sv")).unwrap();
        symlink("sv", path("status")).unwrap();
        symlink("sunup", path("runsv")).unwrap();
        symlink("loop", path("loop")).unwrap();
        for (name, expected) in [
            ("sv", true),
            ("status", true),
            ("runsv", false),
            ("loop", false),
        ] {
            let path = path(name);
            assert_eq!(is_called_so(b"sv", path.as_os_str().as_bytes()), expected);
        }
    }
}
