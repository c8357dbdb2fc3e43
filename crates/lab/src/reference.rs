//! The reference busybox: Debian's source package, built with what Debian's own
//! binary leaves out: the applets of runit, beside others that sunup stands in for.
//!
//! The source comes through apt, which verifies it, at the version of the
//! `busybox-static` that this machine would install. The result is static, is
//! kept in lab's own directory, and takes some ten seconds to make.

use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::apt;
use crate::debian::{self, Need};
use crate::workspace;

/// What makes the binary, and Debian's packages that have it.
const NEEDS: &[Need] = &[
    Need("dpkg-source", "dpkg-dev"),
    Need("gcc", "gcc"),
    Need("make", "make"),
];

/// The binary package whose source is built, and the name of that source.
const PACKAGE: &str = "busybox-static";
const SOURCE: &str = "busybox";

/// What differs from a configuration without anything: our applets with the
/// features that busybox has by default, and the texts.
const CONFIG: &str = r#"BUSYBOX=y
CHPST=y
ENVDIR=y
ENVUIDGID=y
FEATURE_DEVPTS=y
FEATURE_INIT_MODIFY_CMDLINE=y
FEATURE_INIT_QUIET=y
FEATURE_INIT_SCTTY=y
FEATURE_INIT_SYSLOG=y
FEATURE_INSTALLER=y
FEATURE_MDEV_CONF=y
FEATURE_MDEV_DAEMON=y
FEATURE_MDEV_EXEC=y
FEATURE_MDEV_LOAD_FIRMWARE=y
FEATURE_MDEV_RENAME=y
FEATURE_MDEV_RENAME_REGEXP=y
FEATURE_RUNSVDIR_LOG=y
FEATURE_USE_INITTAB=y
FEATURE_UTMP=y
FEATURE_VERBOSE_USAGE=y
FEATURE_WAIT_FOR_INIT=y
FEATURE_WTMP=y
GETTY=y
HALT=y
INIT=y
INIT_TERMINAL_TYPE="linux"
LINUXRC=y
LONG_OPTS=y
MDEV=y
POWEROFF=y
REBOOT=y
RUNSV=y
RUNSVDIR=y
SETUIDGID=y
SHOW_USAGE=y
SH_IS_ASH=n
SH_IS_NONE=y
SOFTLIMIT=y
STATIC=y
SV=y
SVC=y
SVLOGD=y
SVOK=y
SV_DEFAULT_SERVICE_DIR="/var/service"
USE_BB_PWD_GRP=y
USE_BB_SHADOW=y
"#;

/// Builds the reference busybox, unless it is there: the directory with the
/// binary `busybox` and a link for each of its applets. Everybody may read it
/// who may enter lab's own directory.
///
/// # Errors
/// A tool that is missing (as root, it is installed), a source that apt cannot
/// get, or what the compiler says.
pub fn busybox() -> Result<PathBuf> {
    let parent = workspace::scratch()?.join("reference");
    fs::create_dir_all(&parent).with_context(|| format!("make {}", parent.display()))?;
    let get = || -> Result<(PathBuf, Option<TempDir>)> {
        let version = version()?;
        let place = parent.join(directory(&version));
        if place.exists() {
            return Ok((place, None));
        }
        debian::provide(NEEDS)?;
        // Renamed when complete, as in `debian`.
        let work = tempfile::tempdir_in(&parent)?;
        fetch(work.path(), &version)?;
        Ok((place, Some(work)))
    };
    let (place, work) =
        debian::with_fresh_lists(get).context("get the source of the reference busybox")?;
    let Some(work) = work else {
        return Ok(place);
    };
    let built = build(work.path()).context("build the reference busybox")?;
    match fs::rename(&built, &place) {
        Err(_) if place.exists() => Ok(place),
        result => result
            .with_context(|| format!("make {}", place.display()))
            .map(|()| place),
    }
}

/// The name of the directory, which is another for another configuration.
fn directory(version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    CONFIG.hash(&mut hasher);
    // A colon, as behind an epoch, has a meaning in PATH.
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    format!("{SOURCE}-{upstream}-{:08x}", hasher.finish() as u32)
}

/// The version of the source behind the package that apt would install.
fn version() -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["show", "--no-all-versions", PACKAGE])
        .env("LC_ALL", "C")
        .output()
        .context("run apt-cache (package apt)")?;
    source_version(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| anyhow!("apt knows no package {PACKAGE}"))
}

/// The version in a record of apt-cache: that of `Source: NAME (VERSION)`, which
/// is there if it is not the package's own.
fn source_version(record: &str) -> Option<String> {
    let field = |name| record.lines().find_map(|line| line.strip_prefix(name));
    let of_source = field("Source: ")
        .and_then(|source| source.split_once('('))
        .map(|(_, version)| version.trim_end_matches(')'));
    of_source.or_else(|| field("Version: ")).map(str::to_owned)
}

/// Has apt get, verify, unpack and patch the source in `dir`.
fn fetch(dir: &Path, version: &str) -> Result<()> {
    eprintln!("lab: getting the source of {SOURCE} {version}");
    let lists = apt::own_lists(dir, apt::Kind::Sources, PACKAGE)?;
    let wanted = format!("{SOURCE}={version}");
    let words = ["source", "-qq", "--only-source", &wanted];
    debian::apt_says(dir, &debian::with(&words, &lists))?;
    Ok(())
}

/// Configures and compiles the source unpacked in `work`, and lays out the
/// directory that is the result.
fn build(work: &Path) -> Result<PathBuf> {
    eprintln!("lab: compiling the reference {SOURCE}");
    let source = unpacked_source(work)?;
    make(&source, &["allnoconfig"])?;
    let config = source.join(".config");
    fs::write(&config, configure(&fs::read_to_string(&config)?))?;
    make(&source, &["oldconfig"])?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    make(&source, &[&format!("-j{jobs}"), SOURCE])?;
    let dir = work.join("bin");
    lay_out(&source.join(SOURCE), &dir)?;
    Ok(dir)
}

fn lay_out(built: &Path, dir: &Path) -> Result<()> {
    fs::create_dir(dir).with_context(|| format!("make {}", dir.display()))?;
    let binary = dir.join(SOURCE);
    fs::copy(built, &binary).with_context(|| format!("make {}", binary.display()))?;
    let everybody = Permissions::from_mode(0o755);
    fs::set_permissions(dir, everybody.clone())?;
    fs::set_permissions(&binary, everybody)?;
    let listed = Command::new(&binary).arg("--list").output()?;
    for applet in String::from_utf8_lossy(&listed.stdout).lines() {
        if applet != SOURCE {
            symlink(SOURCE, dir.join(applet))?;
        }
    }
    Ok(())
}

/// The directory that dpkg-source made of the source package.
fn unpacked_source(work: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        if path.join("Makefile").exists() {
            return Ok(path);
        }
    }
    bail!("no source in {}", work.display())
}

/// The configuration `without` anything, with [`CONFIG`] in its place. (busybox
/// takes the first of two lines about the same symbol.)
fn configure(without: &str) -> String {
    let name = |line: &str| {
        let line = line.trim_start_matches("# ").strip_prefix("CONFIG_")?;
        line.split(['=', ' ']).next().map(str::to_owned)
    };
    let symbol = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let ours: Vec<String> = CONFIG.lines().map(symbol).collect();
    let others = without
        .lines()
        .filter(|line| name(line).is_none_or(|name| !ours.contains(&name)))
        .map(|line| format!("{line}\n"));
    let mine = CONFIG.lines().map(|line| format!("CONFIG_{line}\n"));
    others.chain(mine).collect()
}

/// Runs make, which is silent unless it fails.
fn make(dir: &Path, words: &[&str]) -> Result<()> {
    // Questions about what our lines make visible are answered with the
    // default: an empty line.
    let mut answers = tempfile::tempfile()?;
    answers.write_all(&[b'\n'; 1000])?;
    answers.rewind()?;
    let output = Command::new("make")
        .args(words)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .env_remove("MAKEFLAGS")
        .stdin(answers)
        .output()
        .context("run make")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    bail!("make {}: {}\n{said}", words.join(" "), output.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_source() {
        let rebuilt = "Package: busybox-static\nSource: busybox (1:1.35.0-4+deb12u1)\nVersion: 1:1.35.0-4+deb12u1+b1\n";
        assert_eq!(
            source_version(rebuilt).as_deref(),
            Some("1:1.35.0-4+deb12u1")
        );
        let plain = "Package: busybox-static\nSource: busybox\nVersion: 1:1.37.0-6\n";
        assert_eq!(source_version(plain).as_deref(), Some("1:1.37.0-6"));
        assert_eq!(source_version(""), None);
    }

    #[test]
    fn the_directory_can_be_in_a_path() {
        let name = directory("1:1.35.0-4+deb12u1");
        assert!(name.starts_with("busybox-1.35.0-4+deb12u1-"), "{name}");
        assert!(!name.contains(':'));
    }

    #[test]
    fn our_configuration_comes_in_place_of_none() {
        let without = "#\n# Applets\n#\n# CONFIG_SV is not set\nCONFIG_SV_DEFAULT_SERVICE_DIR=\"\"\n\
                       # CONFIG_SVX is not set\n";
        let config = configure(without);
        assert!(config.starts_with("#\n# Applets\n#\n# CONFIG_SVX is not set\nCONFIG_BUSYBOX=y\n"));
        assert!(config.contains("\nCONFIG_SV=y\n"));
        assert!(!config.contains("CONFIG_SV is not set"));
        assert_eq!(config.matches("CONFIG_SV_DEFAULT_SERVICE_DIR").count(), 1);
    }
}
