//! `lab package`: what people install. One release binary becomes a package for Debian, one for
//! rpm, a tarball with its own installer, and a container image, with checksums and a list of what
//! is in the binary.
//!
//! The same sources give the same bytes. The version is that of the workspace; the time is
//! $SOURCE_DATE_EPOCH, or that of the last commit, or 1970.

mod contents;
mod deb;
mod facts;
mod rpm;
mod sbom;
mod tarball;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::oci;
use crate::release::Target;
use crate::workspace;
use contents::Contents;
use facts::Facts;

/// What to make.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Make these alone, with commas between them [default: all]
    #[arg(long, value_enum, value_name = "FORMAT", value_delimiter = ',')]
    pub format: Vec<Format>,
    /// Where to put them [default: package in the target directory]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A static sunup, instead of building it; it may be for another kind of machine
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub sunup: Option<PathBuf>,
    /// Build sunup for this target, as `cargo lab release` does
    #[arg(long, value_name = "TRIPLE", value_parser = Target::named)]
    pub target: Option<Target>,
    /// A static busybox for the container image, instead of Debian's
    #[arg(long, value_name = "FILE")]
    pub busybox: Option<PathBuf>,
}

/// A form of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For Debian and what is made of it: replaces runit's programs in place
    Deb,
    /// For Fedora, openSUSE and others with rpm
    Rpm,
    /// For any Linux: an archive with install.sh, which uninstall.sh undoes
    Tar,
    /// A container image (OCI layout in a tar archive), with sunup as process 1
    Oci,
    /// What is in the binary, as CycloneDX JSON
    Sbom,
}

/// The sums of all that was made.
const SUMS: &str = "SHA256SUMS";

/// Makes the packages, and tells how large each is.
///
/// # Errors
/// What cannot be built, read or written.
pub fn run(options: &Options) -> Result<()> {
    let binary = match (&options.sunup, options.target) {
        (Some(file), _) => file.clone(),
        (None, Some(target)) => target.build()?,
        (None, None) => workspace::build_sunup()?,
    };
    let facts = Facts::of(&binary)?;
    let parts = sbom::Parts::of(&facts)?;
    let out = match &options.out {
        Some(dir) => dir.clone(),
        None => workspace::target()?.join("package"),
    };
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let formats = match &options.format[..] {
        [] => Format::value_variants(),
        some => some,
    };
    let contents = Contents::of(&binary, &facts, &parts)?;
    let mut made = BTreeMap::new();
    for format in formats {
        let name = format.file_name(&facts);
        let place = out.join(&name);
        match format {
            Format::Deb => write(&place, &deb::package(&contents, &facts)?)?,
            Format::Rpm => write(&place, &rpm::package(&contents, &facts)?)?,
            Format::Tar => write(&place, &tarball::archive(&contents, &facts)?)?,
            Format::Sbom => write(&place, parts.cyclone_dx(&facts).as_bytes())?,
            Format::Oci => image(&place, &binary, options, &facts)?,
        }
        let bytes = fs::read(&place).with_context(|| format!("read {}", place.display()))?;
        println!("{}: {} bytes", place.display(), bytes.len());
        made.insert(name, oci::sha256(&bytes));
    }
    let mut sums = String::new();
    for (name, sum) in &made {
        writeln!(sums, "{sum}  {name}")?;
    }
    write(&out.join(SUMS), sums.as_bytes())?;
    println!("check them: (cd {} && sha256sum -c {SUMS})", out.display());
    Ok(())
}

impl Format {
    /// Each is called as its own tools call such files.
    fn file_name(self, facts: &Facts) -> String {
        let version = facts.version;
        let machine = facts.machine;
        match self {
            Self::Deb => format!("sunup_{version}_{}.deb", machine.debian),
            Self::Rpm => format!("sunup-{version}-1.{}.rpm", machine.name),
            Self::Tar => format!("{}.tar.gz", tarball::top(facts)),
            Self::Oci => format!("sunup-{version}-{}.oci.tar", machine.name),
            Self::Sbom => format!("sunup-{version}-{}.cdx.json", machine.name),
        }
    }
}

fn write(place: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(place, bytes).with_context(|| format!("write {}", place.display()))
}

/// Our own root file system with busybox, so it is for machines of this kind alone.
fn image(place: &Path, binary: &Path, options: &Options, facts: &Facts) -> Result<()> {
    facts.machine.must_be_here()?;
    let options = oci::Options {
        out: place.to_path_buf(),
        rootfs: None,
        busybox: options.busybox.clone(),
        sunup: Some(binary.to_path_buf()),
        services: None,
        tag: facts.version.to_owned(),
        options: String::new(),
        cmd: Vec::new(),
    };
    oci::write(&options, facts.time)?;
    Ok(())
}
