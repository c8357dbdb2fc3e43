//! Tests of stage1 in namespaces of their own, a user namespace among them: it can mount, name
//! and configure there, and reaches nothing of the workstation.

use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::common::{Fixture, sunup};

/// Makes a root directory of a fixture's files, runs stage1 in it, and then the rest of the
/// script beside it. What a container's host provides is there: /proc, /sys and a null device.
const ENTER: &str = "
    R=$FIXTURE/root
    mount -t tmpfs -o mode=0755 root $R
    mkdir -p $R/dev $R/proc $R/sys $R/sbin $R/tmp $R/var $R/usr $R/lib
    cp -a $FIXTURE/files/. $R/
    cp $SUNUP $R/sbin/stage1
    mount -t tmpfs dev $R/dev
    touch $R/dev/null; mount --bind /dev/null $R/dev/null
    mount -t proc proc $R/proc 2>/dev/null || mount --rbind /proc $R/proc
    mount -t sysfs sys $R/sys 2>/dev/null || mount --rbind /sys $R/sys
    mount --bind $FIXTURE/list $R/sys/dev
    code=0; chroot $R /sbin/stage1 $OPTIONS >$R/said 2>&1 || code=$?
    cd $R
";

/// What came of a boot.
struct Boot {
    /// What stage1 said.
    said: String,
    /// What the script beside it said.
    found: String,
    /// stage1's exit code.
    code: u8,
}

/// Boots a container with these files, and runs `look` in its root directory.
fn boot(fixture: &Fixture, options: &str, look: &str) -> Boot {
    for dir in ["root/", "files/etc/", "list/block/", "list/char/"] {
        fixture.add(dir, "");
    }
    let script = format!("{ENTER}{look}\necho; echo \"@$code\"; cat said");
    let output = Command::new("unshare")
        .args(["-Urmnui", "--pid", "--fork", "sh", "-ec", &script])
        .env("FIXTURE", fixture.path("root").parent().unwrap())
        .env("SUNUP", sunup())
        .env("OPTIONS", options)
        .env("container", "test")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (found, rest) = text.split_once("\n@").unwrap();
    let (code, said) = rest.split_once('\n').unwrap();
    assert!(said.contains("Boot stage completed in "), "{said}");
    Boot {
        said: said.to_owned(),
        found: found.trim_end().to_owned(),
        code: code.parse().unwrap(),
    }
}

#[test]
fn a_container_gets_what_it_lacks() {
    let fixture = Fixture::new(&[("files/etc/hostname", "# mine\nbox\n")]);
    let look = "uname -n; cat /sys/class/net/lo/flags; ls -d run dev/pts dev/shm
        cut -d ' ' -f 2-4 proc/mounts | grep -e /run -e /pts -e /shm | grep $R |
            sed \"s|$R||; s/,[inode_64us]*=[^ ]*//; s/,inode64//\"";
    let boot = boot(&fixture, "", look);
    assert_eq!(
        (boot.code, boot.said.lines().count()),
        (0, 1),
        "{}",
        boot.said
    );
    let lines: Vec<&str> = boot.found.lines().collect();
    assert_eq!(
        &lines[..5],
        ["box", "0x9", "dev/pts", "dev/shm", "run"],
        "{}",
        boot.found
    );
    for (line, kind) in lines[5..].iter().zip(["tmpfs", "devpts", "tmpfs"]) {
        assert!(
            line.contains(kind) && line.contains("nosuid"),
            "{}",
            boot.found
        );
    }
    assert_eq!(lines.len(), 8, "{}", boot.found);
}

#[test]
fn each_step_is_named_and_timed() {
    let fixture = Fixture::new(&[("files/etc/hostname", "box\n")]);
    let said = boot(&fixture, "-v", "").said;
    let names = said.lines().filter_map(|line| line.strip_suffix(" ms"));
    let names: Vec<&str> = names
        .filter_map(|line| Some(line.rsplit_once(": ")?.0))
        .collect();
    let all = model::stage1::plan(true).map(|step| format!("stage1: {}", step.name()));
    assert_eq!(names, all.collect::<Vec<_>>(), "{said}");
}

/// Under a name of runit's, by way of a link, as PID 1 of runit calls it.
#[test]
fn it_answers_to_the_name_of_runits_first_stage() {
    let fixture = Fixture::new(&[
        ("sbin/stage1 -> sunup", ""),
        ("runit/1 -> ../sbin/stage1", ""),
    ]);
    std::fs::copy(sunup(), fixture.path("sbin/sunup")).unwrap();
    let output = Command::new(fixture.path("runit/1"))
        .arg("--version")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("stage1 (sunup) "), "{said}");
}

const FSTAB: &str = "\
# below before what is above it\n\
tmpfs /mnt/a/b tmpfs nodev,mode=0700,X-mount.mkdir 0 0\n\
tmpfs /mnt/a tmpfs nosuid,size=64k,x-systemd.foo,X-mount.mkdir\n\
/mnt/a /mnt/a\\040copy none bind,ro,X-mount.mkdir\n\
tmpfs /run tmpfs nosuid,nodev,size=1M\n\
/dev/gone /mnt nofail ext4\n\
/dev/gone /mnt ext4 nofail 0 2\n\
/dev/gone /mnt ext4\n\
UUID=12 /mnt ext4 defaults 0 x\n\
UUID=12 /mnt auto\n\
tmpfs /nowhere tmpfs\n\
none /mnt nosuchtype\n\
none /mnt/x weird noatime,x-a,y=1\n\
/etc/hostname /mnt ext4 loop\n\
srv:/x /mnt nfs _netdev\n\
/dev/sr0 /mnt udf noauto\n";

/// Found in /proc/mounts of the boot's namespace: those below the root directory.
const MOUNTS: &str =
    "grep \"$R/mnt\" proc/mounts | cut -d ' ' -f 2-4 | sed \"s|$R||g; s/,uid=.*//; s/,inode64//\"";

#[test]
fn what_fstab_says_is_mounted_in_order_and_what_is_wrong_is_told() {
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/mnt/", ""),
        ("files/etc/fstab", FSTAB),
    ]);
    fixture.add("files/sbin/", "");
    std::fs::copy(sunup(), fixture.path("files/sbin/mount.weird")).unwrap();
    let boot = boot(&fixture, "", MOUNTS);
    let mounts: Vec<&str> = boot.found.lines().collect();
    assert_eq!(
        mounts,
        [
            "/mnt/a tmpfs rw,nosuid,relatime,size=64k",
            "/mnt/a/b tmpfs rw,nodev,relatime,mode=700",
            "/mnt/a\\040copy tmpfs ro,relatime,size=64k",
        ],
        "{}",
        boot.said
    );
    let said: Vec<&str> = boot.said.lines().collect();
    let wrong = |line: usize, what: &str| format!("stage1: /etc/fstab: line {line}: {what}");
    let wanted = [
        wrong(9, "the number of the check (field 6) is no number"),
        wrong(6, "/mnt: no such device"),
        wrong(8, "/mnt: no such device"),
        wrong(10, "/mnt: no such device"),
        wrong(12, "/mnt: No such device"),
        wrong(
            14,
            "/mnt: a file is mounted by mount(8), which is not there",
        ),
        wrong(11, "/nowhere: the directory is not there"),
        String::from("stage1: /sbin/mount.weird none /mnt/x -o noatime,y=1"),
        // The program that stands there is ours, and has no applet of that name.
        String::from("sunup: unknown applet none; `sunup --list` shows them all"),
        wrong(13, "/mnt/x: /sbin/mount.weird: exit code 127"),
    ];
    assert_eq!(said[..said.len() - 1], wanted, "{}", boot.said);
    assert_eq!(boot.code, 1);
}

/// Something that is not what a file of /etc should be.
fn spoil(fixture: &Fixture, name: &str, how: &str) {
    let path = fixture.path(&format!("files/{name}"));
    match how {
        "missing" => {}
        "directory" => fixture.add(&format!("files/{name}/"), ""),
        "dangling" => fixture.add(&format!("files/{name} -> /nowhere"), ""),
        "fifo" => {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        }
        "huge" => fixture.add(&format!("files/{name}"), &"x\n".repeat(3 << 20)),
        "garbage" => {
            fixture.add(&format!("files/{name}"), "");
            let bytes: Vec<u8> = (0..20_000_u32).map(|i| (i * i / 8) as u8).collect();
            std::fs::write(path, bytes).unwrap();
        }
        how => panic!("{how}"),
    }
}

#[test]
fn a_name_that_cannot_be_had_is_told() {
    for (how, reason) in [
        ("missing", "read: No such file or directory"),
        ("directory", "read: Is a directory"),
        ("dangling", "read: No such file or directory"),
        ("fifo", "read: not a file"),
        ("huge", "read: longer than 65536 bytes"),
        ("garbage", "set the name: "),
    ] {
        let fixture = Fixture::new(&[]);
        spoil(&fixture, "etc/hostname", how);
        let boot = boot(&fixture, "", "uname -n");
        let first = boot.said.lines().next().unwrap();
        let wanted = format!("stage1: /etc/hostname: {reason}");
        assert!(first.starts_with(&wanted), "{how}: {}", boot.said);
        assert_eq!(boot.code, 1, "{how}");
    }
}
