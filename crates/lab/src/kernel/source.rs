//! Debian's package with the kernel's source, and those with the tools that build it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian;

/// What the source package depends on.
const METAPACKAGE: &str = "linux-source";

/// What builds a kernel.
const TOOLS: [&str; 8] = [
    "bc",
    "bison",
    "flex",
    "gcc",
    "libelf-dev",
    "libssl-dev",
    "make",
    "xz-utils",
];

/// The kernel's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The version of its package.
    pub version: String,
    /// Where the package has it.
    pub tarball: PathBuf,
}

/// The newest source that is installed, if any.
///
/// # Errors
/// A dpkg that cannot be run.
pub fn installed() -> Result<Option<Source>> {
    let packages = packages(&["linux-source-*"])?;
    let newest = packages.into_iter().max_by_key(|(name, _)| number(name));
    Ok(newest.map(|(name, version)| Source {
        version,
        tarball: Path::new("/usr/src").join(format!("{name}.tar.xz")),
    }))
}

/// The source, installed with all that builds it if need be, and if it is root who asks.
///
/// # Errors
/// Packages that are missing, and that only root may install.
pub fn provide() -> Result<Source> {
    let mut wanted: Vec<String> = TOOLS.map(str::to_owned).into();
    if installed()?.is_none() {
        wanted.push(debian::dependency(METAPACKAGE, "linux-source-", &[])?);
    }
    let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let there = packages(&names)?;
    let is_missing = |name: &&str| !there.iter().any(|(installed, _)| installed == name);
    let missing: Vec<&str> = names.into_iter().filter(is_missing).collect();
    debian::provide_packages(&missing, "the kernel needs more")?;
    let source = installed()?.context("no linux-source-* is installed")?;
    if !source.tarball.exists() {
        bail!(
            "{}: not there, though its package is installed",
            source.tarball.display()
        );
    }
    Ok(source)
}

/// The installed packages among those that the patterns match, with their versions.
fn packages(patterns: &[&str]) -> Result<Vec<(String, String)>> {
    // It fails if one of them is not known, and lists the others all the same.
    let output = Command::new("dpkg-query")
        .args([
            "--show",
            "--showformat=${db:Status-Status} ${Package} ${Version}\\n",
        ])
        .args(patterns)
        .env("LC_ALL", "C")
        .output()
        .context("run dpkg-query (the kernel's source is Debian's package linux-source)")?;
    Ok(listed(&String::from_utf8_lossy(&output.stdout)))
}

fn listed(list: &str) -> Vec<(String, String)> {
    let installed = list
        .lines()
        .filter_map(|line| line.strip_prefix("installed "));
    let fields = installed.filter_map(|line| line.split_once(' '));
    fields
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

/// The numbers in `linux-source-6.12`.
fn number(package: &str) -> Vec<u32> {
    let version = package.rsplit('-').next().unwrap_or_default();
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_is_listed() {
        let list = "installed linux-source-6.1 6.1.192-3\nnot-installed linux-source \n\
                    config-files flex 2.6\ninstalled bc 1.07\n";
        let want = [("linux-source-6.1", "6.1.192-3"), ("bc", "1.07")];
        assert_eq!(
            listed(list),
            want.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(number("linux-source-6.12") > number("linux-source-6.9"));
        assert!(number("linux-source-6.1") > number("linux-source-5.10"));
        assert_eq!(number("linux-source"), [0; 0]);
    }
}
