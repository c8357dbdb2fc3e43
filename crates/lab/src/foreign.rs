//! Parts of machines that are of another kind than the workstation: from Debian's packages,
//! without dpkg having to know of that architecture.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt;
use crate::arch::Arch;
use crate::debian::{self, BUSYBOX};

/// A static busybox.
///
/// # Errors
/// If it cannot be got.
pub fn busybox(arch: Arch, scratch: &Path) -> Result<PathBuf> {
    let dir = unpacked(arch, scratch, BUSYBOX, |_| Ok(BUSYBOX.to_owned()))
        .context("get busybox (--busybox FILE uses your own, which must be static)")?;
    debian::busybox_in(&dir)
}

/// A kernel.
///
/// # Errors
/// If it cannot be got.
pub fn kernel(arch: Arch, scratch: &Path) -> Result<PathBuf> {
    let name = format!("linux-image-cloud-{}", arch.debian());
    let resolve = |lists: &[String]| debian::dependency(&name, "linux-image-", lists);
    let dir = unpacked(arch, scratch, &name, resolve)
        .context("get a kernel (--kernel FILE boots your own)")?;
    debian::kernel_in(&dir)
}

fn unpacked(
    arch: Arch,
    scratch: &Path,
    name: &str,
    resolve: impl Fn(&[String]) -> Result<String>,
) -> Result<PathBuf> {
    let parent = scratch.join("debian").join(arch.debian());
    debian::unpacked(&parent, name, |work| {
        let lists = apt::own_lists(work, apt::Kind::Of(arch.debian()), BUSYBOX)?;
        Ok((resolve(&lists)?, lists))
    })
}
