//! Disks: the same bytes every time, and what Debian's e2fsprogs read from them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use lab::debian;
use tempfile::tempdir;

use super::common::{run_lab, succeed, write};

fn debugfs(disk: &Path, request: &str) -> String {
    let mut debugfs = Command::new(debian::program("debugfs"));
    let output = succeed(debugfs.args(["-R", request]).arg(disk).env("LC_ALL", "C"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_directory_becomes_a_disk() {
    let (dir, work) = (tempdir().unwrap(), tempdir().unwrap());
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    write(&dir.path().join("bin/one"), 0o4755, b"linked content");
    fs::hard_link(dir.path().join("bin/one"), dir.path().join("a-third")).unwrap();
    write(&dir.path().join("two words/and more"), 0o600, &big);
    write(&dir.path().join("etc/empty"), 0o644, b"");
    symlink("/target with/blanks", dir.path().join("link")).unwrap();
    fs::create_dir(dir.path().join("tmp")).unwrap();
    fs::set_permissions(dir.path().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for n in 0..500 {
        symlink("one", dir.path().join(format!("bin/{n:03}"))).unwrap();
    }

    let disks = ["first", "second"].map(|name| {
        let disk = work.path().join(name);
        let rootfs = dir.path().to_str().unwrap();
        let out = disk.to_str().unwrap();
        run_lab(&["image", "--rootfs", rootfs, "--disk", out, "--size", "24"]);
        // Whatever the directory's times and order are.
        fs::File::open(dir.path().join("bin/one"))
            .unwrap()
            .set_modified(std::time::SystemTime::now())
            .unwrap();
        disk
    });
    let [disk, second] = &disks;
    assert_eq!(fs::metadata(disk).unwrap().len(), 24 << 20);
    assert!(fs::read(disk).unwrap() == fs::read(second).unwrap());

    let mut check = Command::new(debian::program("e2fsck"));
    succeed(check.arg("-fn").arg(disk));
    let copy = work.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let copy_name = copy.to_str().unwrap();
    debugfs(
        disk,
        &format!("rdump \"/two words\" /bin /link {copy_name}"),
    );
    assert!(fs::read(copy.join("two words/and more")).unwrap() == big);
    assert_eq!(fs::read_dir(copy.join("bin")).unwrap().count(), 501);
    for (path, wanted) in [
        ("/bin/one", "Mode:  04755"),
        ("/bin/one", "Links: 2"),
        ("/bin/one", "User:     0   Group:     0"),
        ("/a-third", "Size: 14"),
        ("/tmp", "Mode:  01777"),
        ("/link", "Fast link dest: \"/target with/blanks\""),
        ("/dev/console", "Device major/minor number: 05:01"),
        ("/etc/empty", "mtime: 0x00000001:00000000"),
    ] {
        let said = debugfs(disk, &format!("stat \"{path}\""));
        assert!(said.contains(wanted), "{path}: {wanted}: {said}");
    }
}

#[test]
fn what_does_not_fit_leaves_no_disk() {
    let (dir, work) = (tempdir().unwrap(), tempdir().unwrap());
    for (name, content, size, why) in [
        ("big", vec![1; 8 << 20], "4", "debugfs"),
        ("na\"me", vec![], "16", "must not hold quotes"),
        ("ok", vec![], "0", "mke2fs"),
    ] {
        write(&dir.path().join(name), 0o644, &content);
        let disk = work.path().join("disk");
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["image", "--size", size, "--rootfs"])
            .arg(dir.path())
            .arg("--disk")
            .arg(&disk)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "{name}");
        fs::remove_file(dir.path().join(name)).unwrap();
    }
}
