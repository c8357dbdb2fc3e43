//! What to unmount before the machine ends, and in which order.
//!
//! What is mounted on another mount goes before it, and what was mounted later before what
//! was mounted earlier. The root is never unmounted, but made read-only. What exists in
//! memory alone and is where the machine needs it until the end (/dev, /proc, /run, /sys)
//! stays. File systems whose server may be gone are only detached, because unmounting them
//! may wait for it.

use crate::sorted::sort_by_key;
use alloc::vec::Vec;

use crate::format::mountinfo::Mount;

/// How a mount is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Unmount it.
    Unmount,
    /// Take it out of the tree without waiting for its server.
    Detach,
    /// Make it read-only: it is the root, or it is in use.
    MakeReadOnly,
}

/// A mount that is to go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// How it goes.
    pub way: Way,
}

/// File systems that exist in memory alone.
const IN_MEMORY: &[&[u8]] = &[
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"fusectl",
    b"hugetlbfs",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"ramfs",
    b"rootfs",
    b"securityfs",
    b"selinuxfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
];

/// File systems that ask a server: another machine, or a process that was killed.
const OF_SERVERS: &[&[u8]] = &[
    b"9p",
    b"afs",
    b"ceph",
    b"cifs",
    b"fuse",
    b"fuseblk",
    b"ncpfs",
    b"nfs",
    b"nfs4",
    b"smb3",
    b"virtiofs",
];

/// Where file systems in memory stay until the end.
const NEEDED: &[&[u8]] = &[b"/dev", b"/proc", b"/run", b"/sys"];

/// What is to be unmounted of `mounts`, in this order. The root is not among it.
pub fn order(mounts: &[Mount]) -> Vec<Step> {
    let mut deep: Vec<(usize, usize, &Mount)> = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| !is_root(mount) && !is_needed(mount))
        .map(|(index, mount)| (depth(mount, mounts), index, mount))
        .collect();
    sort_by_key(&mut deep, |(depth, index, _)| {
        core::cmp::Reverse((*depth, *index))
    });
    let steps = deep.into_iter().map(|(.., mount)| Step {
        point: mount.point.clone(),
        way: if OF_SERVERS.contains(&kind(mount)) {
            Way::Detach
        } else {
            Way::Unmount
        },
    });
    steps.collect()
}

/// What is to be made read-only of `mounts`, in this order: what could not be unmounted,
/// and the root. What is in memory is of no use afterwards.
pub fn rest(mounts: &[Mount]) -> Vec<Step> {
    let is_kept = |mount: &&Mount| {
        let kind = kind(mount);
        !mount.read_only && !IN_MEMORY.contains(&kind) && !OF_SERVERS.contains(&kind)
    };
    let mut steps: Vec<Step> = Vec::new();
    for mount in mounts.iter().rev().filter(is_kept) {
        let point = mount.point.clone();
        // Several mounts may be on top of each other: only the last one is reached.
        if !steps.iter().any(|step| step.point == point) {
            let way = Way::MakeReadOnly;
            steps.push(Step { point, way });
        }
    }
    // The root last: what was mounted first.
    sort_by_key(&mut steps, |step| step.point == b"/");
    steps
}

/// The type without a subtype, as in `fuse.sshfs`.
fn kind(mount: &Mount) -> &[u8] {
    let mut parts = mount.kind.split(|b| *b == b'.');
    parts.next().unwrap_or_default()
}

fn is_root(mount: &Mount) -> bool {
    mount.point == b"/"
}

fn is_needed(mount: &Mount) -> bool {
    let is_at = |place: &&[u8]| {
        let below = mount.point.strip_prefix(*place);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    IN_MEMORY.contains(&kind(mount)) && NEEDED.iter().any(is_at)
}

/// On how many other mounts it is; a circle ends at their number.
fn depth(mount: &Mount, mounts: &[Mount]) -> usize {
    let mut depth = 0;
    let mut at = mount;
    while depth < mounts.len()
        && let Some(below) = mounts.iter().find(|m| m.id == at.parent && m.id != at.id)
    {
        depth += 1;
        at = below;
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::mountinfo::decode;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    fn said(steps: Vec<Step>) -> Vec<String> {
        let say = |step: Step| format!("{:?} {}", step.way, step.point.escape_ascii());
        steps.into_iter().map(say).collect()
    }

    /// The root came from an initramfs: /dev is older than what it is mounted on. On /mnt are
    /// two, on the later one is a chroot's own /proc. A disk is below /run, and a bind mount
    /// of the root is below the disk.
    const MACHINE: &[u8] = b"20 24 0:6 / /dev rw - devtmpfs devtmpfs rw\n\
        21 24 0:5 / /proc rw - proc proc rw\n\
        24 1 254:0 / / rw - ext4 /dev/vda rw\n\
        25 20 0:7 / /dev/pts rw - devpts devpts rw\n\
        26 24 0:8 / /run rw - tmpfs tmpfs rw\n\
        27 26 8:1 / /run/media/usb rw - vfat /dev/sda1 rw\n\
        28 24 254:1 / /mnt rw - ext4 /dev/vdb rw\n\
        29 28 254:2 / /mnt rw - xfs /dev/vdc rw\n\
        30 29 0:5 / /mnt/proc rw - proc proc rw\n\
        31 24 0:9 / /export rw - nfs4 server:/x rw\n\
        32 24 0:10 / /tmp rw - tmpfs tmpfs rw\n\
        33 31 0:11 / /export/far rw - fuse.sshfs bob@far: rw\n\
        34 27 254:0 /srv /run/media/usb/srv rw - ext4 /dev/vda rw\n\
        35 24 254:3 / /usr ro - squashfs /dev/vdd ro\n";

    #[test]
    fn children_go_before_parents_and_later_ones_first() {
        assert_eq!(
            said(order(&decode(MACHINE))),
            [
                "Unmount /run/media/usb/srv",
                "Unmount /mnt/proc",
                "Detach /export/far",
                "Unmount /mnt",
                "Unmount /run/media/usb",
                "Unmount /usr",
                "Unmount /tmp",
                "Detach /export",
                "Unmount /mnt",
            ]
        );
    }

    #[test]
    fn what_is_left_becomes_read_only_and_the_root_last() {
        assert_eq!(
            said(rest(&decode(MACHINE))),
            [
                "MakeReadOnly /run/media/usb/srv",
                "MakeReadOnly /mnt",
                "MakeReadOnly /run/media/usb",
                "MakeReadOnly /",
            ]
        );
    }

    #[test]
    fn a_machine_in_memory_has_nothing_to_do() {
        let machine = b"1 1 0:2 / / rw - rootfs rootfs rw\n2 1 0:6 / /dev rw - devtmpfs d rw\n\
            3 2 0:7 / /dev/shm rw - tmpfs tmpfs rw\n4 1 0:5 / /sys rw - sysfs sysfs rw\n\
            5 4 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let mounts = decode(machine);
        assert_eq!(said(order(&mounts)), Vec::<String>::new());
        assert_eq!(said(rest(&mounts)), Vec::<String>::new());
        // A name that only begins so is another place.
        let mounts = decode(b"6 1 0:9 / /devices rw - tmpfs tmpfs rw\n");
        assert_eq!(said(order(&mounts)), ["Unmount /devices"]);
    }

    #[test]
    fn circles_and_lost_parents_end() {
        let mounts = decode(
            b"1 2 0:1 / /a rw - ext4 a rw\n2 1 0:1 / /b rw - ext4 b rw\n\
            3 3 0:1 / /c rw - ext4 c rw\n4 99 0:1 / /d rw - ext4 d rw\n",
        );
        let mut points = said(order(&mounts));
        points.sort();
        let all = ["/a", "/b", "/c", "/d"].map(|point| format!("Unmount {point}"));
        assert_eq!(
            points,
            vec![
                all[0].clone(),
                all[1].clone(),
                all[2].clone(),
                all[3].clone()
            ]
        );
    }
}
