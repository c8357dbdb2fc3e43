//! A root on a disk: an initramfs finds and mounts it, and whatever the services do, it is
//! unmounted clean at the end.

use std::path::Path;
use std::process::Command;

use lab::boot::Parts;
use lab::machine::End;
use lab::{debian, disk};
use tempfile::tempdir;

use crate::guest::Guest;

/// Two services that hold a file of the disk open and write: one ends when it is told so, one
/// does not.
const OBEDIENT: &str = "#!/bin/sh\nexec 3>>/var/obedient; echo up >&3\nexec sleep 100000\n";
const DEAF: &str = "#!/bin/sh\ntrap '' TERM HUP INT\nexec 3>>/var/deaf; echo up >&3\nwhile :; do sleep 100000; done\n";

/// Randomness for the next boot: its size, who may read it, and what it is.
const SEED: &str =
    "stat -c '%s %a' /var/lib/random-seed | tr '\\n' ' '; md5sum </var/lib/random-seed";

fn tool(name: &str, args: &[&str], disk: &Path) -> String {
    let mut tool = Command::new(debian::program(name));
    let output = tool
        .args(args)
        .arg(disk)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {args:?}: {said}");
    said
}

fn content(disk: &Path, path: &str) -> String {
    tool("debugfs", &["-R", &format!("cat {path}")], disk)
}

/// No check finds anything, and there is no journal to replay.
fn assert_clean(disk: &Path) {
    tool("e2fsck", &["-f", "-n"], disk);
    let said = tool("dumpe2fs", &["-h"], disk);
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("Filesystem state:").ends_with(" clean"), "{said}");
    assert!(
        !line("Filesystem features:").contains("needs_recovery"),
        "{said}"
    );
}

fn is_mounted(m: &mut Guest, wanted: &str) {
    let root = m.sh("grep ' / ' /proc/mounts");
    assert!(root.contains(wanted), "{root}");
    let log = m.sh("dmesg");
    assert!(!log.contains("recover"), "{log}");
    assert_eq!(
        m.sh("cat /proc/1/comm; ls -d /sysroot 2>&1 | grep -c No"),
        "init\n1"
    );
}

#[test]
fn a_disk_is_the_root_and_is_unmounted_clean_in_qemu() {
    let dir = tempdir().unwrap();
    let disk = dir.path().join("disk");
    let mut tree = Parts::default().disk().unwrap();
    tree.put_file(b"usr/bin/await", true, super::seat::AWAIT.into());
    tree.put_file(b"etc/runit/sv/obedient/run", true, OBEDIENT.into());
    tree.put_file(b"etc/runit/sv/deaf/run", true, DEAF.into());
    disk::write(&tree, &disk, None, 0).unwrap();

    // It was mounted read-only; /etc/fstab has made it writable.
    let mut m = Guest::from_disk(&disk, "");
    m.log_in();
    is_mounted(&mut m, "/ ext4 rw,");
    m.sh("echo first >/root/kept; await 'grep up /var/deaf && grep up /var/obedient'");
    let seed = m.sh(SEED);
    assert!(seed.starts_with("512 600 "), "{seed}");
    m.sh("sed -i 's|/sbin/stage1$|& -c|' /etc/inittab");
    m.type_line("reboot");
    assert_eq!(m.end(), End::Reset);
    assert_clean(&disk);
    assert_eq!(content(&disk, "/root/kept"), "first\n");

    // A process that nobody supervises outlasts TERM, too, and something is mounted on the root.
    let mut m = Guest::from_disk(&disk, "");
    m.log_in();
    is_mounted(&mut m, "/ ext4 rw,");
    assert_eq!(m.sh("cat /root/kept"), "first");
    let next = m.sh(SEED);
    assert!(next.starts_with("512 600 ") && next != seed, "{next}");
    // It was used, and counted as `-c` says.
    let step = "grep -c 'step \"seed\" [0-9]* ok' /run/sunup/boot";
    assert_eq!(
        m.sh(&format!("grep -c 'stage1 -c' /etc/inittab; {step}")),
        "1\n1"
    );
    m.sh("mkdir /mnt; mount -t tmpfs over /mnt; mkdir /mnt/bind; mount --bind /var /mnt/bind");
    m.sh(
        "setsid sh -c \"trap '' TERM HUP; exec 3>/mnt/bind/third; echo up >&3; while :; do \
        sleep 100000; done\" & await 'grep up /var/third'",
    );
    // An entry of the shutdown unmounts /proc, while the root is in use.
    m.sh("echo ::shutdown:umount -a -r >>/etc/inittab; init -q");
    // An upgrade, of which PID 1 is not told: its program's file exists only because it runs.
    m.sh("p=$(readlink /proc/1/exe); cp $p $p.new; mv $p.new $p; await 'readlink /proc/1/exe | grep deleted'");
    m.type_line("poweroff");
    assert_eq!(m.end(), End::PowerOff);
    assert_clean(&disk);
    assert_eq!(content(&disk, "/var/third"), "up\n");

    let mut m = Guest::from_disk(&disk, "root=LABEL=nowhere rootwait=1");
    a_missing_root_is_told_and_another_one_takes_its_place(&mut m);
    m.type_line("poweroff");
    assert_eq!(m.end(), End::PowerOff);
    assert_clean(&disk);
    assert!(!tool("debugfs", &["-R", "ls -p /root"], &disk).contains("gone"));
}

/// In the shell another command line is made; the root becomes one that is read-only, below
/// an overlay.
fn a_missing_root_is_told_and_another_one_takes_its_place(m: &mut Guest) {
    m.expect("initramfs: root=LABEL=nowhere: no such device after 1 s\r\n");
    m.expect(&format!(
        "/dev/vda: 65536 KiB, ext4 UUID={} LABEL={}",
        disk::UUID,
        disk::LABEL
    ));
    m.expect("# ");
    m.type_line("echo root=LABEL=sunup rw overlayroot=tmpfs SUNUP_REPORT=/dev/ttyS1 >/tmp/words");
    m.type_line("mount --bind /tmp/words /proc/cmdline; exit");
    m.log_in();
    is_mounted(m, "overlay / overlay rw,");
    m.sh("echo 1 >/root/gone; grep '/run/overlayroot/lower ext4 ro,' /proc/mounts");
}
