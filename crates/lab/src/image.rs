//! An image: the archive of a tree, compressed or not, the same bytes every time.

use std::env;
use std::io::Write;

use anyhow::{Context, Result};
use clap::ValueEnum;
use flate2::{Compression, GzBuilder};

use crate::tree::Tree;

/// How an image is packed; the kernel tells by the first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// Not at all: fastest to boot where the image need not be transferred.
    #[default]
    None,
    /// What every kernel can unpack.
    Gzip,
    /// Smaller; the kernel needs `CONFIG_RD_ZSTD`.
    Zstd,
}

/// zstd's highest level that needs no more memory than kernels allow for it.
const ZSTD_LEVEL: i32 = 19;

/// The archive of `tree`, of the time of [`mtime`].
pub fn archive(tree: &Tree) -> Result<Vec<u8>> {
    tree.archive(mtime()?)
}

/// The time of all files in seconds: $SOURCE_DATE_EPOCH, or 1970.
///
/// # Errors
/// It is no number.
pub fn mtime() -> Result<u32> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={text}: seconds since 1970 expected")),
        Err(_) => Ok(0),
    }
}

/// Packs an archive, without names or times of its own.
pub fn pack(archive: &[u8], compress: Compress) -> Result<Vec<u8>> {
    match compress {
        Compress::None => Ok(archive.to_vec()),
        Compress::Gzip => {
            let mut packer = GzBuilder::new()
                .mtime(0)
                .operating_system(3)
                .write(Vec::new(), Compression::best());
            packer.write_all(archive)?;
            Ok(packer.finish()?)
        }
        Compress::Zstd => Ok(zstd::bulk::compress(archive, ZSTD_LEVEL)?),
    }
}
