//! What the tests need of the machine: found out once, before anything is built,
//! and told with the remedy. What packages have is installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use rustix::process::{Resource, getrlimit};

use super::Suite;
use crate::arch::Arch;
use crate::debian::{self, Need};
use crate::{sys, workspace};

/// A machine of another kind: what C calls `char` and how wide a link count is differ.
pub const OTHER_TARGET: &str = "aarch64-unknown-linux-gnu";

/// Another C library; checked where rustup has installed it.
pub const MUSL_TARGET: &str = "x86_64-unknown-linux-musl";

/// What the tests run, beside cargo.
const NEEDS: &[Need] = &[
    Need("blkid", "util-linux"),
    Need("busybox", "busybox-static"),
    Need("cpio", "cpio"),
    Need("dumb-init", "dumb-init"),
    Need("dpkg-deb", "dpkg"),
    Need("dpkg-source", "dpkg-dev"),
    Need("env", "coreutils"),
    Need("find", "findutils"),
    Need("fish", "fish"),
    Need("gcc", "gcc"),
    Need("getconf", "libc-bin"),
    Need("gzip", "gzip"),
    Need("make", "make"),
    Need("mandoc", "mandoc"),
    Need("mke2fs", "e2fsprogs"),
    Need("mkfifo", "coreutils"),
    Need("mount", "mount"),
    Need("perl", "perl-base"),
    Need("rpm", "rpm"),
    Need("runsv", "runit"),
    Need("s6-svscan", "s6"),
    Need("nsenter", "util-linux"),
    Need("prlimit", "util-linux"),
    Need("script", "bsdutils"),
    Need("sha256sum", "coreutils"),
    Need("setpriv", "util-linux"),
    Need("setsid", "util-linux"),
    Need("tar", "tar"),
    Need("xz", "xz-utils"),
    Need("strace", "strace"),
    Need("tini", "tini"),
    Need("umoci", "umoci"),
    Need("unshare", "util-linux"),
    Need("zsh", "zsh"),
];

/// What [`Suite::Debian`] and [`Suite::Trixie`] make their trees with.
const MMDEBSTRAP: Need = Need("mmdebstrap", "mmdebstrap");

/// What [`Suite::Vm`], [`Suite::Scale`] and [`Suite::Debian`] run.
const QEMU: Need = Need("qemu-system-x86_64", "qemu-system-x86");

/// The browser of [`Suite::Page`].
const BROWSER: Need = Need("chromium", "chromium");

/// An ordinary user: nobody.
pub const AS_USER: [&str; 6] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--",
];

/// How many files five thousand services need.
const FILES: u64 = 16_000;

/// The programs that these suites need.
pub fn needs(suites: &[Suite]) -> Vec<Need> {
    let runs = |some: &[Suite]| some.iter().any(|suite| suites.contains(suite));
    let mut needs = Vec::new();
    if suites.iter().any(|suite| suite.has_processes()) {
        needs.extend(NEEDS);
    }
    needs.extend(runs(&[Suite::Vm, Suite::Scale, Suite::Debian]).then_some(QEMU));
    needs.extend(runs(&[Suite::Debian, Suite::Trixie]).then_some(MMDEBSTRAP));
    needs.extend(runs(&[Suite::Page]).then_some(BROWSER));
    needs.extend(runs(&[Suite::Ports]).then(|| Arch::Aarch64.emulator()));
    needs
}

/// Looks at what no package brings.
///
/// # Errors
/// What does not work here, all of it, each with the remedy.
pub fn check(suites: &[Suite]) -> Result<()> {
    for (tool, suite) in [("fmt", Suite::Format), ("clippy", Suite::Lint)] {
        if suites.contains(&suite) {
            provide_component(tool)?;
        }
    }
    if suites.contains(&Suite::Lint)
        && let Err(e) = workspace::provide_target(OTHER_TARGET)
    {
        eprintln!("lab: that sunup compiles for other machines is not checked: {e}");
    }
    let runs = |some: &[Suite]| some.iter().any(|suite| suites.contains(suite));
    let mut lacking = Vec::new();
    if suites.iter().any(|suite| suite.has_processes()) {
        lacking.extend(lacking_namespaces(&[]));
    }
    if lacking.is_empty() && runs(&[Suite::User]) {
        lacking.extend(lacking_namespaces(&AS_USER));
    }
    if runs(&[Suite::Lab]) {
        lacking.extend(lacking_files());
    }
    if !lacking.is_empty() {
        bail!("the tests cannot run here:\n  {}", lacking.join("\n  "));
    }
    if runs(&[Suite::Vm, Suite::Scale, Suite::Debian, Suite::Ports])
        && !Path::new("/dev/kvm").exists()
    {
        eprintln!("lab: no /dev/kvm: QEMU emulates the processor, which takes minutes");
    }
    Ok(())
}

/// What of the namespaces that tests of init make does not work, for whoever the
/// words make the caller.
fn lacking_namespaces(words: &[&str]) -> Vec<String> {
    let steps = [
        (
            &["--user", "--map-root-user", "true"][..],
            "user namespaces: in a chroot there are none (enter it by pivot_root); else allow them: \
             `sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 \
             kernel.apparmor_restrict_unprivileged_userns=0`, as far as these exist",
        ),
        (
            &[
                "--user",
                "--map-root-user",
                "--mount",
                "mount",
                "--bind",
                "/dev/null",
                "/dev/null",
            ],
            "mounts in a namespace: a container needs CAP_SYS_ADMIN, or a seccomp profile that lets mount(2) pass",
        ),
        (
            &[
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--fork",
                "mount",
                "-t",
                "proc",
                "proc",
                "/proc",
            ],
            "a /proc in a pid namespace: in a container nothing may be mounted over parts of its /proc \
             (`--security-opt systempaths=unconfined`)",
        ),
    ];
    for (args, remedy) in steps {
        let words = words.iter().copied().chain(["unshare"]);
        let words: Vec<OsString> = words
            .chain(args.iter().copied())
            .map(OsString::from)
            .collect();
        if let Some(said) = fails(&words) {
            let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            // Each needs those before it.
            return vec![format!("{remedy}\n    `{}` says: {said}", shown.join(" "))];
        }
    }
    Vec::new()
}

/// What a command says if it fails.
fn fails(words: &[OsString]) -> Option<String> {
    let output = sys::pristine(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(
            String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
        ),
        Err(e) => Some(e.to_string()),
    }
}

fn lacking_files() -> Option<String> {
    let limit = getrlimit(Resource::Nofile).maximum;
    let enough = debian::is_root() || limit.is_none_or(|limit| limit >= FILES);
    let limit = limit.unwrap_or(0);
    (!enough).then(|| format!("{FILES} open files, and `ulimit -Hn` says {limit}: raise it in /etc/security/limits.conf"))
}

/// Whether it is there, if need be after rustup has installed it.
fn provide(there: impl Fn() -> bool, install: &[&str]) -> bool {
    there() || (works(Command::new("rustup").args(install)) && there())
}

fn works(command: &mut Command) -> bool {
    let output = command.stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// Rust's own parts are rustup's business.
fn provide_component(tool: &str) -> Result<()> {
    let there = || works(workspace::cargo().args([tool, "--version"]));
    let install = ["component", "add", "rustfmt", "clippy"];
    if provide(there, &install) {
        return Ok(());
    }
    bail!(
        "cargo {tool} is missing: run `rustup {}`",
        install.join(" ")
    )
}
