//! The busybox that ours is compared with: one that has the applets of runit.

use std::path::PathBuf;

/// The directory with its binary `busybox`, and a link for each applet.
pub fn busybox() -> PathBuf {
    let dir = std::env::var_os("SUNUP_REFERENCE").map(PathBuf::from);
    dir.filter(|dir| dir.join("busybox").exists()).expect(
        "SUNUP_REFERENCE must name the reference busybox's directory, as it does under \
         `cargo lab test`; by hand: SUNUP_REFERENCE=$(cargo lab reference) cargo test -p sunup",
    )
}
