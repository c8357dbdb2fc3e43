//! Stage 1: what makes a machine whole, once, before its services start.
//!
//! This is the plan: which steps there are, in what order, and which of them a container
//! leaves to its host. The order is that of need: nodes need /dev and /sys, and come after the
//! modules that make devices, which file systems may need, too; these are checked by a clock
//! that is right; and what is on them (settings, seed, /var) comes after them.

use crate::sorted::sort_by_key;
use alloc::vec::Vec;

/// One step. Steps do not depend on each other's success: a step that fails is told, and the
/// boot goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The file systems of the kernel, and those in memory.
    Mounts,
    /// The kernel calls mdev for each event, until a daemon listens.
    Hook,
    /// Modules of the kernel that devices want.
    Drivers,
    /// Modules of the kernel that somebody has named.
    Modules,
    /// A node for each device that is there.
    Nodes,
    /// The time, where the kernel has not got it.
    Clock,
    /// /etc/fstab is read.
    Table,
    /// File systems are checked.
    Check,
    /// File systems are mounted, and room for swapping is used.
    FileSystems,
    /// Settings of the kernel.
    Settings,
    /// The name of the machine.
    Hostname,
    /// The network device `lo` is up.
    Loopback,
    /// What was kept of the last boot's randomness, and what is kept for the next.
    Seed,
    /// Directories, files and links that services expect.
    Files,
}

/// Every step, in order.
pub const STEPS: [Step; 14] = [
    Step::Mounts,
    Step::Hook,
    Step::Drivers,
    Step::Modules,
    Step::Nodes,
    Step::Clock,
    Step::Table,
    Step::Check,
    Step::FileSystems,
    Step::Hostname,
    Step::Loopback,
    Step::Settings,
    Step::Seed,
    Step::Files,
];

impl Step {
    /// Its name in messages and in the record of the boot.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Hook => "hotplug",
            Self::Drivers => "drivers",
            Self::Modules => "modules",
            Self::Nodes => "coldplug",
            Self::Clock => "clock",
            Self::Table => "fstab",
            Self::Check => "fsck",
            Self::FileSystems => "mount",
            Self::Hostname => "hostname",
            Self::Loopback => "loopback",
            Self::Settings => "sysctl",
            Self::Seed => "seed",
            Self::Files => "tmpfiles",
        }
    }

    /// Whether it concerns the kernel, which a container shares with its host.
    pub const fn is_of_kernel(self) -> bool {
        matches!(
            self,
            Self::Hook | Self::Drivers | Self::Modules | Self::Clock | Self::Check | Self::Seed
        )
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

/// Which of the files in several directories count, and in what order: by name, and of one
/// name that of the first directory. `lists` has the names in each, of which those count that
/// end in `.conf`; the result is the number of the directory, and the name.
pub fn by_precedence(lists: &[Vec<Vec<u8>>]) -> Vec<(usize, &[u8])> {
    let mut chosen: Vec<(usize, &[u8])> = Vec::new();
    for (directory, names) in lists.iter().enumerate() {
        let names = names.iter().filter(|name| name.ends_with(b".conf"));
        chosen.extend(names.map(|name| (directory, name.as_slice())));
    }
    sort_by_key(&mut chosen, |(directory, name)| (*name, *directory));
    chosen.dedup_by_key(|(_, name)| *name);
    chosen
}

/// A clock that shows less was never set: the beginning of 2025, in seconds since 1970.
pub const PLAUSIBLE_S: i64 = 1_735_689_600;

/// Seconds since 1970 of a moment in UTC. `None`: there is no such moment.
pub fn unix_seconds(date: [i64; 3], time: [i64; 3]) -> Option<i64> {
    let ([year, month, day], [hour, minute, second]) = (date, time);
    let is_moment = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_moment {
        return None;
    }
    // Years begin in March here, so that the day that not every year has is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_of_years = 365 * year + year / 4 - year / 100 + year / 400;
    let days = days_of_years + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
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
    fn of_files_of_one_name_the_first_directory_s_counts() {
        let names = |names: &[&str]| names.iter().map(|n| n.as_bytes().to_vec()).collect();
        let lists = [
            names(&["90-b.conf", "README", "z.conf"]),
            names(&[]),
            names(&["10-a.conf", "90-b.conf"]),
        ];
        assert_eq!(
            by_precedence(&lists),
            [(2, &b"10-a.conf"[..]), (0, b"90-b.conf"), (0, b"z.conf")]
        );
    }

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        for (date, time, seconds) in [
            ([1970, 1, 1], [0, 0, 0], 0),
            ([2000, 2, 29], [12, 0, 0], 951_825_600),
            ([2025, 1, 1], [0, 0, 0], PLAUSIBLE_S),
            ([2026, 11, 29], [2, 3, 4], 1_795_917_784),
            ([2100, 3, 1], [0, 0, 0], 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(date, time), Some(seconds), "{date:?}");
        }
        assert_eq!(unix_seconds([2026, 13, 1], [0, 0, 0]), None);
        assert_eq!(unix_seconds([1900, 1, 1], [0, 0, 0]), None);
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
