//! Images: the same bytes every time, and readable by GNU cpio.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use lab::rootfs::{self, Source};
use lab::{busybox, debian, reference, workspace};
use tempfile::tempdir;

use super::common::{run_lab, succeed, write};

/// A directory with everything that an ordinary user can make.
fn odd_directory(dir: &Path) {
    write(&dir.join("bin/one"), 0o4755, b"linked content");
    fs::hard_link(dir.join("bin/one"), dir.join("bin/two")).unwrap();
    fs::hard_link(dir.join("bin/one"), dir.join("a-third")).unwrap();
    write(&dir.join("etc/secret"), 0o600, b"");
    write(
        &dir.join(OsStr::from_bytes(b"odd \xff\n'name")),
        0o644,
        b"odd",
    );
    symlink(OsStr::from_bytes(b"\xfe gone"), dir.join("link")).unwrap();
    fs::create_dir(dir.join("tmp")).unwrap();
    fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    succeed(Command::new("mkfifo").arg(dir.join("pipe")));
}

fn make_image(rootfs: &Path, out: &Path, compress: &str) -> Vec<u8> {
    let (rootfs, out) = (rootfs.to_str().unwrap(), out.to_str().unwrap());
    run_lab(&[
        "image",
        "--rootfs",
        rootfs,
        "--out",
        out,
        "--compress",
        compress,
    ]);
    fs::read(out).unwrap()
}

fn cpio(args: &[&str], image: &Path, dir: &Path) -> String {
    let output = succeed(
        Command::new("cpio")
            .args(args)
            .current_dir(dir)
            .env("LC_ALL", "C")
            .stdin(Stdio::from(fs::File::open(image).unwrap())),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn gnu_cpio_lists_and_unpacks_an_image() {
    let (dir, work) = (tempdir().unwrap(), tempdir().unwrap());
    odd_directory(dir.path());
    let image = work.path().join("image");
    make_image(dir.path(), &image, "none");

    let list = cpio(
        &["-tv", "--quiet", "--numeric-uid-gid"],
        &image,
        work.path(),
    );
    let console = list.lines().find(|l| l.ends_with("dev/console")).unwrap();
    let words: Vec<_> = console.split_whitespace().collect();
    assert_eq!(
        words[..6],
        ["crw-------", "1", "0", "0", "5,", "1"],
        "{list}"
    );
    // A line break in a name is one in the list.
    let mut entries = list.lines().filter(|l| !l.starts_with("'name"));
    assert!(entries.all(|l| l.contains(" 0        0 ")), "{list}");

    // Nodes are root's to make; everything else arrives.
    let out = work.path().join("out");
    fs::create_dir(&out).unwrap();
    cpio(&["-i", "--quiet", "-m", "-d", "-f", "dev/*"], &image, &out);
    let one = fs::metadata(out.join("bin/one")).unwrap();
    for other in ["bin/two", "a-third"] {
        assert_eq!(fs::metadata(out.join(other)).unwrap().ino(), one.ino());
    }
    assert_eq!((one.nlink(), one.mtime()), (3, 0));
    assert_eq!(fs::read(out.join("bin/two")).unwrap(), b"linked content");
    let odd = out.join(OsStr::from_bytes(b"odd \xff\n'name"));
    assert_eq!(fs::read(odd).unwrap(), b"odd");
    let target = fs::read_link(out.join("link")).unwrap();
    assert_eq!(target.as_os_str().as_bytes(), b"\xfe gone");
    let mode = |name: &str| fs::symlink_metadata(out.join(name)).unwrap().mode();
    assert_eq!(mode("etc/secret"), 0o100_600);
    assert_eq!(mode("tmp"), 0o041_777);
    assert_eq!(mode("pipe") & 0o170_000, 0o010_000);
}

#[test]
fn the_same_directory_gives_the_same_bytes() {
    let (one, two, out) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    odd_directory(one.path());
    odd_directory(two.path());
    for compress in ["none", "gzip", "zstd"] {
        let first = make_image(one.path(), &out.path().join("1"), compress);
        let second = make_image(two.path(), &out.path().join("2"), compress);
        assert!(first == second, "{compress}");
        assert!(!first.is_empty());
    }
}

#[test]
fn packed_images_unpack_to_the_plain_one() {
    let (dir, out) = (tempdir().unwrap(), tempdir().unwrap());
    odd_directory(dir.path());
    let plain = make_image(dir.path(), &out.path().join("plain"), "none");
    let packed = out.path().join("packed");
    make_image(dir.path(), &packed, "gzip");
    assert!(
        succeed(
            Command::new("gzip")
                .arg("-dc")
                .stdin(fs::File::open(&packed).unwrap())
        )
        .stdout
            == plain
    );
    let zstd = make_image(dir.path(), &packed, "zstd");
    assert!(zstd::bulk::decompress(&zstd, plain.len()).unwrap() == plain);
}

#[test]
fn our_root_file_system_puts_sunup_in_front_of_busybox() {
    let work = tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    write(
        &path("busybox"),
        0o755,
        b"#!/bin/sh\nprintf 'bin/sh\\nsbin/init\\nusr/bin/init\\nusr/bin/sv\\nsbin/mdev\\n'\n",
    );
    write(
        &path("sunup"),
        0o755,
        b"#!/bin/sh\nprintf 'init\\nsv\\nrunsvdir\\n'\n",
    );
    let [busybox, sunup, image] =
        ["busybox", "sunup", "image"].map(|n| path(n).to_str().unwrap().to_owned());
    run_lab(&[
        "image",
        "--busybox",
        &busybox,
        "--sunup",
        &sunup,
        "--out",
        &image,
    ]);
    let list = cpio(&["-tv", "--quiet"], &path("image"), work.path());
    for (link, target) in [
        ("bin/sh", "/bin/busybox"),
        ("sbin/mdev", "/bin/busybox"),
        ("sbin/init", "/sbin/sunup"),
        ("usr/bin/sv", "/sbin/sunup"),
        ("usr/bin/runsvdir", "/sbin/sunup"),
    ] {
        let end = format!(" {link} -> {target}");
        assert!(list.lines().any(|l| l.ends_with(&end)), "{end}:\n{list}");
    }
    assert!(!list.contains("usr/bin/init"), "{list}");
    for (name, mode) in [
        ("etc/runit/stage1", "-rwxr-xr-x"),
        ("etc/runit/sv/tty1/run", "-rwxr-xr-x"),
        ("etc/inittab", "-rw-r--r--"),
        ("tmp", "drwxrwxrwt"),
        ("dev/null", "crw-rw-rw-"),
        ("dev/kmsg", "crw-------"),
    ] {
        let line = list
            .lines()
            .find(|l| l.ends_with(&format!(" {name}")))
            .unwrap();
        assert!(line.starts_with(mode), "{line}");
    }
}

/// Other supervisors would try to start what has no `run` each second.
#[test]
fn the_machine_of_busybox_has_only_services_with_a_run() {
    let busybox = debian::busybox(&workspace::scratch().unwrap()).unwrap();
    let front = None;
    let tree = rootfs::tree(&Source::Busybox { busybox, front }).unwrap();
    for name in ["httpd", "mdev", "tty1"] {
        assert!(tree.has(format!("etc/runit/sv/{name}/run").as_bytes()));
    }
    for name in ["multi-user/wants/dbus", "network/setup", "seed/setup"] {
        let (dir, _) = name.split_once('/').unwrap();
        for name in [name, dir, &format!("{dir}/supervise")] {
            assert!(
                !tree.has(format!("etc/runit/sv/{name}").as_bytes()),
                "{name}"
            );
        }
    }
}

#[test]
fn what_a_busybox_can_do_is_read_from_it_as_it_says_it() {
    let debian = debian::busybox(&workspace::scratch().unwrap()).unwrap();
    let ours = ["mdev".to_owned()];
    let (names, changed) = busybox::foreign(&debian, &ours).unwrap();
    let said = busybox::lines(&debian, "busybox", &["--list"]).unwrap();
    assert_eq!(names, said);
    assert!(changed == busybox::without(&debian, &ours).unwrap());
}

#[test]
fn a_busybox_forgets_the_names_of_ours_and_no_other() {
    let ours = [
        "getty", "halt", "init", "mdev", "poweroff", "reboot", "sv", "svok",
    ];
    let ours = ours.map(str::to_owned);
    let debian = debian::busybox(&workspace::scratch().unwrap()).unwrap();
    let dir = tempdir().unwrap();
    let copy = dir.path().join("busybox");
    write(&copy, 0o755, &busybox::without(&debian, &ours).unwrap());
    for name in busybox::lines(&debian, "busybox", &["--list"]).unwrap() {
        // An option that each applet answers, but for those that say nothing.
        let mut command = Command::new(&copy);
        let output = command.args([&name, "--help"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let gone = said.contains("applet not found");
        assert_eq!(gone, ours.contains(&name), "{name}: {said}");
    }
    assert_eq!(busybox::preferred(&copy, &ours), Vec::<String>::new());
}

/// The reference has more of our names, and does not prefer them.
#[test]
fn a_busybox_that_prefers_nothing_is_taken_as_it_is() {
    let binary = reference::busybox().unwrap().join("busybox");
    let ours = ["mdev", "sv"].map(str::to_owned);
    assert!(busybox::without(&binary, &ours).unwrap() == fs::read(binary).unwrap());
}

#[test]
fn a_root_directory_whose_shell_prefers_its_own_is_told() {
    let (dir, out) = (tempdir().unwrap(), tempdir().unwrap());
    let debian = debian::busybox(&workspace::scratch().unwrap()).unwrap();
    write(
        &dir.path().join("bin/busybox"),
        0o755,
        &fs::read(debian).unwrap(),
    );
    write(&dir.path().join("sbin/sunup"), 0o755, b"");
    symlink("/bin/busybox", dir.path().join("bin/sh")).unwrap();
    for name in ["mdev", "sv"] {
        symlink("sunup", dir.path().join("sbin").join(name)).unwrap();
    }
    let image = |says: &str| {
        let output = run_lab(&[
            "image",
            "--rootfs",
            dir.path().to_str().unwrap(),
            "--out",
            out.path().join("image").to_str().unwrap(),
        ]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains(says) && said.is_empty() == says.is_empty(),
            "{said}"
        );
    };
    image("bin/busybox: this busybox prefers its own mdev to what is in the PATH");
    fs::remove_file(dir.path().join("sbin/mdev")).unwrap();
    image("");
}

#[test]
fn a_missing_directory_is_named() {
    let output = std::process::Command::new(super::common::lab())
        .args(["image", "--rootfs", "/nonexistent/root"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "lab: read /nonexistent/root: No such file or directory (os error 2)\n"
    );
}
