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
    for d in null urandom; do touch $R/dev/$d; mount --bind /dev/$d $R/dev/$d; done
    mount -t proc proc $R/proc 2>/dev/null || mount --rbind /proc $R/proc
    mount -t sysfs sys $R/sys 2>/dev/null || mount --rbind /sys $R/sys
    mount --bind $FIXTURE/list $R/sys/dev
    SETUP
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
    boot_as("test", fixture, options, look)
}

/// As [`boot`]; without a container's name, of what a machine does, what a user namespace lets
/// it do.
fn boot_as(container: &str, fixture: &Fixture, options: &str, look: &str) -> Boot {
    with_setup("", container, fixture, options, look)
}

/// As [`boot_as`], after another script.
fn with_setup(setup: &str, container: &str, fixture: &Fixture, options: &str, look: &str) -> Boot {
    for dir in ["root/", "files/etc/", "list/block/", "list/char/"] {
        fixture.add(dir, "");
    }
    let enter = ENTER.replace("SETUP", setup);
    let script = format!("{enter}{look}\necho; echo \"@$code\"; cat said");
    let output = Command::new("unshare")
        .args(["-Urmnui", "--pid", "--fork", "sh", "-ec", &script])
        .env("FIXTURE", fixture.path("root").parent().unwrap())
        .env("SUNUP", sunup())
        .env("OPTIONS", options)
        .env("container", container)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (found, rest) = text.split_once("\n@").unwrap();
    let (code, said) = rest.split_once('\n').unwrap();
    assert!(
        options == "-s" || said.contains("Boot stage completed in "),
        "{said}"
    );
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

/// Who types it on a machine that another init has booted is told, and nothing is changed; whom
/// process 1 starts is not asked, and what an initramfs has left stops nobody.
#[test]
fn what_another_init_has_booted_is_left_alone() {
    const TYPED: &str = "(chroot $R /sbin/stage1 || echo code $?; ls $R/dev; uname -n) 2>&1";
    let fixture = Fixture::new(&[("files/etc/hostname", "box\n")]);
    for (mark, init) in [
        ("systemd/system", "systemd"),
        ("openrc/softlevel", "OpenRC"),
    ] {
        let setup = format!(
            "hostname before; echo systemd >/proc/self/comm; mkdir -p $R/run/{mark}\n\
             {TYPED} >$R/typed"
        );
        let boot = with_setup(&setup, "test", &fixture, "", "cat typed; uname -n");
        let expected = format!(
            "stage1: /run/{mark}: {init} has booted this machine: stage1 is for the first seconds \
             of a machine, and its init calls it\ncode 1\nnull\nurandom\nbefore\nbox"
        );
        assert_eq!((boot.found, boot.code), (expected, 0), "{}", boot.said);
    }
    let marked = "mkdir -p $R/run/systemd/system $R/run/openrc; touch $R/run/openrc/softlevel";
    assert_eq!(with_setup(marked, "test", &fixture, "", "").code, 0);
    let left = "mkdir -p $R/run/systemd/system; (chroot $R /sbin/stage1; echo well) >$R/typed 2>&1";
    let boot = with_setup(left, "test", &fixture, "", "cat typed");
    assert!(boot.found.ends_with("\nwell"), "{}", boot.found);
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

#[test]
fn settings_of_the_kernel_are_those_of_the_last_file() {
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        (
            "files/etc/sysctl.d/10-a.conf",
            "# a\nnet.ipv4.ip_default_ttl = 70\nnet.ipv4.conf.*.arp_announce = 2\n\
             net/ipv4/conf/lo/arp_announce=1\nkernel.nothing = 1\n-net.nothing = 1\n\
             net.ipv4.nothing = 1\nnonsense\n",
        ),
        ("files/etc/sysctl.d/20-b.conf -> /nowhere", ""),
        (
            "files/usr/lib/sysctl.d/10-a.conf",
            "net.ipv4.ip_default_ttl = 1\nmasked\n",
        ),
        (
            "files/usr/lib/sysctl.d/05-c.conf",
            "net.ipv4.ip_default_ttl = 2\n",
        ),
        ("files/etc/sysctl.conf", "net.ipv4.ip_default_ttl = 71\n"),
    ]);
    let look = "cd proc/sys/net/ipv4; cat ip_default_ttl conf/lo/arp_announce conf/default/arp_announce; cd ../../../..";
    let boot = boot(&fixture, "", look);
    assert_eq!(boot.found, "71\n1\n2", "{}", boot.said);
    let said: Vec<&str> = boot.said.lines().collect();
    assert_eq!(
        said[..said.len() - 1],
        [
            "stage1: /etc/sysctl.d/10-a.conf: line 8: not KEY = VALUE",
            "stage1: /etc/sysctl.d/20-b.conf: read: No such file or directory",
            "stage1: /etc/sysctl.d/10-a.conf: line 7: /proc/sys/net/ipv4/nothing: write: No such file or directory",
        ]
    );
}

const TMPFILES: &str = "\
d /run/a/b 0711 bob grp -\n\
d /run/unmapped 0711 3\n\
d /run/a 0750\n\
f /run/a/file 0640 bob - - one\\ntwo\n\
F /tmp/old 0600 - - - new\n\
w /tmp/written - - - - more\n\
L /run/link - - - - a/file\n\
L+ /tmp/here - - - - there\n\
D /tmp/full 1777\n\
r! /tmp/.X[0-9]*-lock\n\
R /tmp/tree\n\
z /tmp/written 0604\n\
d /tmp/trap 0777\n\
d /tmp/way/inner 0777\n\
d /run/u 0755 nobody9\n\
d /opt/x\n\
Z /run/a\n\
d\n";

#[test]
fn files_that_services_expect_are_made_and_no_link_of_others_is_followed() {
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/etc/passwd", "root:x:0:0::/:\nbob:x:0:8::/:\n"),
        ("files/etc/group", "grp:x:0:\n"),
        ("files/usr/lib/tmpfiles.d/x.conf", TMPFILES),
        ("files/tmp/old", "something that is longer\n"),
        ("files/tmp/written", "x"),
        ("files/tmp/here/is/a", "tree"),
        ("files/tmp/full/of/a", "tree"),
        ("files/tmp/tree/is/a", "tree"),
        ("files/tmp/tree/out -> /keep", ""),
        ("files/keep/kept", ""),
        ("files/tmp/.X7-lock", ""),
        ("files/tmp/.Xy-lock", ""),
        ("files/tmp/trap -> /keep", ""),
    ]);
    let look = "stat -c '%n %a %u %g %F' run/a run/a/b run/a/file tmp/old tmp/written tmp/full keep; \
        cat run/a/file tmp/old tmp/written; echo; readlink run/link tmp/here; \
        ls -A tmp/full tmp | tr '\\n' ' '; ls keep; ls -d run/u opt 2>&1 | cut -d : -f 2-";
    let boot = boot(&fixture, "", look);
    assert_eq!(
        boot.found.lines().collect::<Vec<_>>(),
        [
            "run/a 750 0 0 directory",
            "run/a/b 711 0 0 directory",
            "run/a/file 640 0 0 regular file",
            "tmp/old 600 0 0 regular file",
            "tmp/written 604 0 0 regular file",
            "tmp/full 1777 0 0 directory",
            "keep 755 0 0 directory",
            "one",
            "twonewmore",
            "a/file",
            "there",
            "tmp: .Xy-lock full here old trap way written  tmp/full: kept",
            " cannot access 'run/u': No such file or directory",
            " cannot access 'opt': No such file or directory",
        ],
        "{}",
        boot.said
    );
    let file = "stage1: /usr/lib/tmpfiles.d/x.conf: line";
    let said: Vec<&str> = boot.said.lines().collect();
    assert_eq!(
        said[..said.len() - 1],
        [
            format!("{file} 18: a line has at least type and path"),
            format!("{file} 16: left out, as perhaps others; see stage1(8)"),
            format!("{file} 15: /run/u: no user nobody9"),
            // A user namespace of one user has no other.
            format!("{file} 2: /run/unmapped: Invalid argument"),
            format!("{file} 13: /tmp/trap: Not a directory"),
        ]
    );
}

#[test]
fn a_seed_is_used_once_and_a_new_one_is_kept() {
    // Where it is kept must not be in memory, as /tmp may be.
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let seed = disk.path().join("random-seed");
    let fixture = Fixture::new(&[("files/etc/hostname", "box\n"), ("files/var/lib/", "")]);
    let mount = format!("mount --bind {} $R/var/lib", disk.path().display());
    let kept = |options: &str| {
        let boot = with_setup(&mount, "", &fixture, options, "stat -c '%a %s' var/lib/*");
        assert_eq!(
            (boot.code, &boot.found[..]),
            (0, "600 512"),
            "{}",
            boot.said
        );
        std::fs::read(&seed).unwrap()
    };
    // A machine, first without a seed, then with one, and at its end.
    let seeds = [kept(""), kept(""), kept("-s")];
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2]);
    std::fs::remove_file(&seed).unwrap();
    // A container leaves that to its host; in memory nothing is kept.
    let look = "ls -A var/lib | wc -l";
    assert_eq!(with_setup(&mount, "test", &fixture, "", look).found, "0");
    assert_eq!(boot_as("", &fixture, "-s", look).found, "0");
}

#[test]
fn a_module_that_cannot_be_loaded_is_told_with_its_file() {
    let release = rustix::system::uname();
    let dir = format!("files/lib/modules/{}", release.release().to_str().unwrap());
    let dep = format!("{dir}/modules.dep");
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        (
            "files/etc/modules",
            "# mine\nno-such\nsunup-test a=1\nbuilt-in\n",
        ),
        ("files/etc/modules-load.d/z.conf -> ../modules", ""),
        (
            "files/etc/modules-load.d/a.conf",
            "my-alias\nblack\nbad/name\n",
        ),
        (
            "files/etc/modprobe.d/a.conf",
            "blacklist black\nalias my-alias by_command\ninstall by_command true\n",
        ),
        (
            &dep,
            "kernel/sunup-test.ko: kernel/sunup_base.ko\nkernel/sunup_base.ko:\nblack.ko:\n",
        ),
        (&format!("{dir}/modules.builtin"), "kernel/x/built-in.ko\n"),
        (&format!("{dir}/kernel/sunup_base.ko"), "not a module"),
    ]);
    let boot = boot_as("", &fixture, "", "");
    let dir = dir.strip_prefix("files").unwrap();
    let said: Vec<&str> = boot.said.lines().collect();
    // Told once, though the list is read by two names.
    let listed = "stage1: /etc/modules-load.d/z.conf: line";
    // The namespace may not, or the kernel cannot; a machine says that it is no module.
    let reason = said
        .iter()
        .find_map(|line| Some(line.split_once(": load: ")?.1))
        .unwrap();
    assert_eq!(
        said[..said.len() - 1],
        [
            String::from("stage1: /etc/modules-load.d/a.conf: line 3: not the name of a module"),
            String::from(
                "stage1: /etc/modules-load.d/a.conf: line 1: my-alias: only modprobe(8) can load it, which is not there"
            ),
            format!("{listed} 2: no-such: no such module in {dir}"),
            format!("{listed} 3: sunup-test: {dir}/kernel/sunup_base.ko: load: {reason}"),
        ]
    );
}

/// What systemd-tmpfiles does with the same lines, seen beside it.
#[test]
fn tmpfiles_spares_what_is_not_its_own() {
    let conf = "D /tmp/d\nR /tmp/r\nz /var/spool/z 0666\nF /var/spool/f 0666\n\
        w /var/spool/w - - - - hello\n";
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/usr/lib/tmpfiles.d/x.conf", conf),
        ("files/keep/precious", ""),
        ("files/tmp/d/m/", ""),
        ("files/tmp/d/a/b", ""),
        ("files/tmp/d/z/b", ""),
        ("files/tmp/r/m/", ""),
        ("files/var/shadow", "secret\n"),
        ("files/var/spool/", ""),
    ]);
    let setup = "for m in d r; do mount --bind $R/keep $R/tmp/$m/m; done
        chmod 600 $R/var/shadow; for n in z f w; do ln $R/var/shadow $R/var/spool/$n; done";
    let look = "find tmp/* | sort; stat -c %a var/shadow; cat var/shadow";
    let boot = with_setup(setup, "test", &fixture, "", look);
    assert_eq!(
        boot.found,
        "tmp/d\ntmp/d/m\ntmp/d/m/precious\ntmp/r\ntmp/r/m\ntmp/r/m/precious\n600\nsecret",
        "{}",
        boot.said
    );
    let told: Vec<&str> = boot.said.lines().collect();
    let said =
        |line: u8, what: &str| format!("stage1: /usr/lib/tmpfiles.d/x.conf: line {line}: {what}");
    assert_eq!(
        told[..told.len() - 1],
        [
            said(2, "/tmp/r: Directory not empty"),
            said(4, "/var/spool/f: a hard link; left as it is"),
            said(5, "/var/spool/w: a hard link; left as it is"),
            said(3, "/var/spool/z: a hard link; left as it is"),
        ]
    );
}

/// Nothing of it is opened to be read: a fifo would wait, and a socket cannot be opened.
#[test]
fn tmpfiles_gives_mode_and_owner_to_what_is_no_file() {
    let conf = "z /var/fifo 0604 0 0\nz /var/socket 0640 0 0\nz /var/link 0600\n";
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/usr/lib/tmpfiles.d/x.conf", conf),
        ("files/var/there", ""),
        ("files/var/link -> there", ""),
    ]);
    let var = fixture.path("files/var");
    mkfifoat(CWD, var.join("fifo"), Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(var.join("socket")).unwrap();
    let look = "stat -c '%F %a' var/fifo var/socket; stat -c %a var/there";
    let boot = with_setup("chmod 644 $R/var/there", "test", &fixture, "", look);
    assert_eq!(boot.found, "fifo 604\nsocket 640\n644", "{}", boot.said);
    let told = "line 3: /var/link: Too many levels of symbolic links";
    assert!(boot.said.contains(told), "{}", boot.said);
    assert_eq!(boot.said.lines().count(), 2, "{}", boot.said);
}

/// Deeper than there are descriptors, and longer than a path may be.
#[test]
fn tmpfiles_removes_a_tree_that_a_user_has_made_deep() {
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/usr/lib/tmpfiles.d/x.conf", "D /tmp\nR /var/deep\n"),
        ("files/tmp/", ""),
        ("files/var/", ""),
    ]);
    let setup = "chain=$(printf 'a/%.0s' $(seq 300))
        for place in tmp/deep var/deep; do
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                mkdir -p $R/new/$chain
                >$R/new/${chain}file
                [ ! -e $R/old ] || mv $R/old $R/new/$chain
                mv $R/new $R/old
            done
            mv $R/old $R/$place
        done
        ulimit -n 200";
    let look = "ls -a tmp; ls var";
    let boot = with_setup(setup, "test", &fixture, "", look);
    assert_eq!(boot.found, ".\n..", "{}", boot.said);
    assert_eq!(boot.said.lines().count(), 1, "{}", boot.said);
}

#[test]
fn tmpfiles_makes_the_way_and_the_first_line_of_a_path_counts() {
    let first = "d /run/a/b 0700\nd /run/a/b-c\nL+ /run/l/m - - - - /q\nf /run/f - - - - -\nz /run/no/such 0600\n";
    let fixture = Fixture::new(&[
        ("files/etc/hostname", "box\n"),
        ("files/etc/tmpfiles.d/a.conf", first),
        (
            "files/usr/lib/tmpfiles.d/b.conf",
            "d /run/a/b/ 0755\nf /run/f 0600 - - - x\n",
        ),
    ]);
    let look = "stat -c %a run/a run/a/b run/f; wc -c <run/f; readlink run/l/m";
    let boot = boot(&fixture, "", look);
    assert_eq!(boot.found, "755\n700\n644\n0\n/q", "{}", boot.said);
    assert_eq!(
        (boot.code, boot.said.lines().count()),
        (0, 1),
        "{}",
        boot.said
    );
}

/// Every file that stage1 reads, replaced by something else: all of it is told, and the boot
/// comes to its end.
#[test]
fn no_file_stops_a_boot_whatever_it_is() {
    let files = [
        "etc/hostname",
        "etc/fstab",
        "etc/sysctl.conf",
        "etc/modules",
        "etc/mdev.conf",
        "etc/passwd",
        "etc/group",
        "etc/sysctl.d/a.conf",
        "etc/modules-load.d/a.conf",
        "etc/tmpfiles.d/a.conf",
        "var/lib/random-seed",
    ];
    for how in [
        "missing",
        "directory",
        "dangling",
        "fifo",
        "huge",
        "garbage",
    ] {
        let fixture = Fixture::new(&[]);
        for name in files {
            spoil(&fixture, name, how);
        }
        let boot = boot_as("", &fixture, "", "ls -d run dev/pts dev/shm");
        assert_eq!(boot.found, "dev/pts\ndev/shm\nrun", "{how}: {}", boot.said);
        let told = |name: &&str| boot.said.contains(&format!("stage1: /{name}: "));
        let quiet: &[&str] = match how {
            "missing" => &files[1..],
            // A link to nothing in place of a file that need not be there is none.
            "dangling" => &[
                "etc/fstab",
                "etc/sysctl.conf",
                "etc/modules",
                "etc/mdev.conf",
                "etc/passwd",
                "etc/group",
                "var/lib/random-seed",
            ],
            // Names of users matter only to lines that have some; a seed may be anything.
            "garbage" | "huge" => &["etc/passwd", "etc/group", "var/lib/random-seed"],
            _ => &["etc/passwd", "etc/group"],
        };
        let untold: Vec<&&str> = files
            .iter()
            .filter(|name| !told(name) && !quiet.contains(name))
            .collect();
        assert!(untold.is_empty(), "{how}: {untold:?}: {}", boot.said);
    }
}
