//! Real parts from Debian's packages: downloaded once, unpacked without root
//! into lab's own directory. Nothing is installed but QEMU, and that by root only.
//! To get newer parts, remove `target/lab/debian`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// The metapackage whose dependency is the current kernel for virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";

/// A static busybox.
pub(crate) const BUSYBOX: &str = "busybox-static";

/// A static busybox.
pub fn busybox(scratch: &Path) -> Result<PathBuf> {
    let dir = unpacked(&scratch.join("debian"), BUSYBOX, |_| {
        Ok((BUSYBOX.to_owned(), Vec::new()))
    })
    .context("get busybox (--busybox FILE uses your own, which must be static)")?;
    busybox_in(&dir)
}

/// The binary in an unpacked package.
pub(crate) fn busybox_in(dir: &Path) -> Result<PathBuf> {
    // /usr/bin since Debian 13.
    ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists())
        .ok_or_else(|| anyhow!("no busybox in {}", dir.display()))
}

/// A kernel; its modules are in `lib/modules` (or `usr/lib/modules`) beside `boot`.
pub fn kernel(scratch: &Path) -> Result<PathBuf> {
    let dir = unpacked(&scratch.join("debian"), KERNEL, |_| {
        Ok((dependency(KERNEL, "linux-image-", &[])?, Vec::new()))
    })
    .context("get a kernel (--kernel FILE boots your own)")?;
    kernel_in(&dir)
}

/// The kernel in an unpacked package.
pub(crate) fn kernel_in(dir: &Path) -> Result<PathBuf> {
    let boot = dir.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| format!("read {}", boot.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.starts_with("vmlinuz-") {
            return Ok(path);
        }
    }
    bail!("no vmlinuz in {}", boot.display())
}

/// An emulator, installed by apt-get where it is missing and we are root.
pub fn qemu(Need(name, package): Need) -> Result<PathBuf> {
    if let Some(path) = in_path(name) {
        return Ok(path);
    }
    provide_packages(
        &[package],
        &format!("{name} is missing (`cargo lab boot --enter` boots without it)"),
    )?;
    in_path(name).ok_or_else(|| anyhow!("{name} is still missing after installing {package}"))
}

/// Words of a command line, and options behind them.
pub fn with<'a>(words: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    let options = options.iter().map(String::as_str);
    words.iter().copied().chain(options).collect()
}

/// A program that tests run, and Debian's package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need(pub &'static str, pub &'static str);

/// Installs the packages of all programs that are missing, as root; else it is an
/// error that names them.
pub fn provide(needs: &[Need]) -> Result<()> {
    provide_packages(&missing(needs), "the tests need more")
}

/// Installs packages, as root; else it is an error that says `why` and names them.
pub fn provide_packages(packages: &[&str], why: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() {
        let (install, packages) = (INSTALL.join(" "), packages.join(" "));
        bail!("{why}: run `sudo apt-get {install} {packages}`");
    }
    install(packages)
}

/// The packages of all programs that are missing.
pub fn missing(needs: &[Need]) -> Vec<&'static str> {
    let missing = needs
        .iter()
        .filter(|Need(program, _)| in_path(program).is_none());
    let mut packages: Vec<&str> = missing.map(|Need(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// How packages are installed.
const INSTALL: &[&str] = &["install", "-y", "--no-install-recommends"];

/// Installs packages, with fresh lists if the old ones do not do.
fn install(packages: &[&str]) -> Result<()> {
    let args = [INSTALL, packages].concat();
    eprintln!("lab: missing: apt-get {}", args.join(" "));
    let run = || -> Result<bool> {
        let mut command = apt_get(&args)?;
        command.env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command.status()?.success())
    };
    if !run()? {
        update()?;
        if !run()? {
            bail!("install {}: apt-get says why above", packages.join(" "));
        }
    }
    Ok(())
}

/// The directory `parent`/`name` of an unpacked package, from the cache if it is there.
/// `resolve` names the package to download, and apt's options for that; it may work in a
/// directory.
pub(crate) fn unpacked(
    parent: &Path,
    name: &str,
    resolve: impl Fn(&Path) -> Result<(String, Vec<String>)>,
) -> Result<PathBuf> {
    let dir = parent.join(name);
    if dir.exists() {
        return Ok(dir);
    }
    // Made under another name and renamed when complete: an interrupted
    // download never looks like a cache.
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    let work = tempfile::tempdir_in(parent)?;
    let package = with_fresh_lists(|| {
        let (package, options) = resolve(work.path())?;
        download(work.path(), &package, &options)
    })?;
    let tree = work.path().join("tree");
    unpack(&package, &tree)?;
    match fs::rename(&tree, &dir) {
        // Another lab was faster: its result is as good.
        Err(_) if dir.exists() => Ok(dir),
        result => result
            .with_context(|| format!("make {}", dir.display()))
            .map(|()| dir),
    }
}

/// What `get` gives, tried again after an update of apt's lists if it is root who asks.
pub(crate) fn with_fresh_lists<T>(get: impl Fn() -> Result<T>) -> Result<T> {
    match get() {
        Ok(value) => Ok(value),
        Err(e) if !is_root() => bail!(
            "{e:#}; where apt does not know it or its address is stale, `sudo apt-get update` helps"
        ),
        Err(e) => {
            eprintln!("lab: {e:#}; apt-get update, and once more");
            update()?;
            get()
        }
    }
}

fn unpack(package: &Path, dir: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb")
        .arg("-x")
        .args([package, dir])
        .status()
        .context("run dpkg-deb (package dpkg)")?;
    if !status.success() {
        bail!("unpack {}: dpkg-deb: {status}", package.display());
    }
    Ok(())
}

/// Downloads a package into `dir`, with a bar on a terminal.
fn download(dir: &Path, package: &str, options: &[String]) -> Result<PathBuf> {
    let words = ["download", "-qq", "-o", "APT::Status-Fd=1", package];
    let mut child = apt_get(&with(&words, options))?
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .context("run apt-get")?;
    let bar = bar(package);
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        if let Some(percent) = percent(&line?) {
            bar.set_position(percent);
        }
    }
    bar.finish_and_clear();
    let status = child.wait()?;
    if !status.success() {
        bail!("download {package}: apt-get: {status}");
    }
    let mut files = fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|path| path.extension() == Some(OsStr::new("deb")))
        .ok_or_else(|| anyhow!("download {package}: apt-get left no file"))
}

fn bar(package: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!("lab: downloading {package}");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent}%");
    let bar = ProgressBar::new(100).with_message(package.to_owned());
    if let Ok(style) = style {
        bar.with_style(style)
    } else {
        bar
    }
}

/// The progress in a line of apt's status pipe, `dlstatus:1:33.3333:Retrieving ...`.
fn percent(line: &str) -> Option<u64> {
    let mut fields = line.strip_prefix("dlstatus:")?.split(':');
    fields.nth(1)?.split('.').next()?.parse().ok()
}

/// The versioned package behind a metapackage, whose name has this beginning.
pub(crate) fn dependency(metapackage: &str, beginning: &str, options: &[String]) -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", "--no-recommends", "--no-suggests", metapackage])
        .args(options)
        .env("LC_ALL", "C")
        .output()
        .context("run apt-cache (package apt)")?;
    depends_on(&String::from_utf8_lossy(&output.stdout), beginning)
        .ok_or_else(|| anyhow!("apt knows no package {metapackage}"))
}

fn depends_on(depends: &str, beginning: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with(beginning))
        .map(str::to_owned)
}

fn update() -> Result<()> {
    let status = apt_get(&["update", "-q"])?
        .status()
        .context("run apt-get update")?;
    if !status.success() {
        bail!("apt-get update: {status}");
    }
    Ok(())
}

/// What apt-get prints when it is run in `dir`.
pub(crate) fn apt_says(dir: &Path, args: &[&str]) -> Result<String> {
    let output = apt_get(args)?
        .current_dir(dir)
        .stdout(Stdio::piped())
        .output()
        .context("run apt-get")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("apt-get {}: {}", args.join(" "), said.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// apt-get, which keeps our standard output clean.
fn apt_get(args: &[&str]) -> Result<Command> {
    let path = in_path("apt-get").ok_or_else(|| {
        anyhow!("apt-get is missing: parts come from Debian's packages; give your own files with --kernel, --busybox and --qemu")
    })?;
    let mut command = Command::new(path);
    command
        .args(args)
        // Its helper user cannot enter a home directory.
        .args(["-o", "APT::Sandbox::User=root"])
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    Ok(command)
}

/// Whether this is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program by its path, where there is one of this name.
pub fn program(name: &str) -> PathBuf {
    in_path(name).unwrap_or_else(|| name.into())
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH may lack them, and root's after su(1).
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_apts_progress() {
        assert_eq!(
            percent("dlstatus:1:33.3333:Retrieving file 1 of 1"),
            Some(33)
        );
        assert_eq!(
            percent("dlstatus:1:100.0000:Retrieving file 1 of 1"),
            Some(100)
        );
        assert_eq!(percent("pmstatus:dpkg:50:Installing"), None);
        assert_eq!(percent("dlstatus:"), None);
    }

    #[test]
    fn finds_the_kernel_behind_the_metapackage() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-base\n  \
                       Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(
            depends_on(depends, "linux-image-").as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(
            depends_on("linux-image-cloud-amd64\n", "linux-image-"),
            None
        );
    }
}
