//! Stage 1: what makes a machine whole, once, before its services start.
//!
//! This is the plan: which steps there are, in what order, and which of them a container
//! leaves to its host. The order is that of need: nodes need /dev and /sys, modules for file
//! systems come before the file systems, which are checked by a clock that is right, and what
//! is on them (seed, settings, /var) comes after them.

/// One step. Steps do not depend on each other's success: a step that fails is told, and the
/// boot goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The file systems of the kernel, and those in memory.
    Mounts,
    /// The kernel calls mdev for each event, until a daemon listens.
    Hook,
    /// A node for each device that is there.
    Nodes,
    /// /etc/fstab is read.
    Table,
    /// File systems are checked.
    Check,
    /// File systems are mounted, and room for swapping is used.
    FileSystems,
    /// The name of the machine.
    Hostname,
    /// The network device `lo` is up.
    Loopback,
}

/// Every step, in order.
pub const STEPS: [Step; 8] = [
    Step::Mounts,
    Step::Hook,
    Step::Nodes,
    Step::Table,
    Step::Check,
    Step::FileSystems,
    Step::Hostname,
    Step::Loopback,
];

impl Step {
    /// Its name in messages and in the record of the boot.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Hook => "hotplug",
            Self::Nodes => "coldplug",
            Self::Table => "fstab",
            Self::Check => "fsck",
            Self::FileSystems => "mount",
            Self::Hostname => "hostname",
            Self::Loopback => "loopback",
        }
    }

    /// Whether it concerns the kernel, which a container shares with its host.
    pub const fn is_of_kernel(self) -> bool {
        matches!(self, Self::Hook | Self::Check)
    }
}

/// The steps of a machine, or of a container: there `$container` is set.
pub fn plan(container: bool) -> impl Iterator<Item = Step> {
    STEPS
        .into_iter()
        .filter(move |step| !(container && step.is_of_kernel()))
}

/// A file system that every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The kernel's name of it.
    pub kind: &'static str,
    /// Where it is mounted. The directory is made if it is not there.
    pub dir: &'static str,
    /// Options as in /etc/fstab.
    pub options: &'static str,
}

const fn base(kind: &'static str, dir: &'static str, options: &'static str) -> Base {
    Base { kind, dir, options }
}

/// All of them, in order. A directory on which something is mounted already is left alone.
const BASES: [Base; 6] = [
    base("devtmpfs", "/dev", "nosuid,mode=0755"),
    base("proc", "/proc", "nosuid,nodev,noexec"),
    base("sysfs", "/sys", "nosuid,nodev,noexec"),
    base("tmpfs", "/run", "nosuid,nodev,mode=0755"),
    base(
        "devpts",
        "/dev/pts",
        "nosuid,noexec,mode=0620,ptmxmode=0666",
    ),
    base("tmpfs", "/dev/shm", "nosuid,nodev,mode=1777"),
];

/// The file systems of a machine, or of a container, whose /dev its host has filled.
pub fn bases(container: bool) -> impl Iterator<Item = &'static Base> {
    BASES
        .iter()
        .filter(move |base| !(container && base.kind == "devtmpfs"))
}

/// The longest name of a machine that the kernel takes (`__NEW_UTS_LEN`).
pub const HOSTNAME_BYTES_MAX: usize = 64;

/// The name in the text of /etc/hostname: its first line that is no comment.
///
/// # Errors
/// There is none, or it is no name of a host (hostname(7)); one line that says why.
pub fn hostname(text: &[u8]) -> Result<&[u8], &'static str> {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let name = lines
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| line.split(u8::is_ascii_whitespace).next().unwrap_or(line))
        .next()
        .ok_or("no name in it")?;
    let is_label =
        |label: &[u8]| !label.is_empty() && !label.starts_with(b"-") && !label.ends_with(b"-");
    if name.len() > HOSTNAME_BYTES_MAX {
        return Err("the name is longer than 64 bytes");
    }
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    if !name.iter().all(is_letter) || !name.split(|b| *b == b'.').all(is_label) {
        return Err("a name consists of letters, digits, - and .");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_leaves_the_kernel_alone() {
        assert_eq!(plan(false).count(), STEPS.len());
        assert!(plan(true).all(|step| !step.is_of_kernel()));
        assert!(bases(true).all(|base| base.kind != "devtmpfs"));
        assert_eq!(bases(false).count(), BASES.len());
    }

    #[test]
    fn no_two_steps_have_one_name() {
        for (i, step) in STEPS.iter().enumerate() {
            let others = STEPS.iter().skip(i + 1);
            assert!(others.clone().all(|other| other.name() != step.name()));
            assert!(!step.name().contains(' '));
        }
    }

    #[test]
    fn the_name_of_the_host_is_the_first_line() {
        for (text, name) in [
            (&b"box\n"[..], &b"box"[..]),
            (
                b"# the name\n\n  box.example.org  # it\nother\n",
                b"box.example.org",
            ),
            (b"a_b-1", b"a_b-1"),
        ] {
            assert_eq!(hostname(text), Ok(name));
        }
        let long = [b'a'; HOSTNAME_BYTES_MAX + 1];
        for bad in [
            &b""[..],
            b"\n# x\n",
            b"-a",
            b"a..b",
            b"b\xf6x",
            b"a;b",
            b"\0",
            &long,
        ] {
            assert!(hostname(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
