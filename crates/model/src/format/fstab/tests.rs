//! What distributions write, and what nobody should.

use super::*;

/// As Debian's installer writes it.
const DEBIAN: &[u8] = b"\
# /etc/fstab: static file system information.\n\
#\n\
# <file system> <mount point>   <type>  <options>       <dump>  <pass>\n\
# / was on /dev/vda1 during installation\n\
UUID=1b2c /               ext4    errors=remount-ro 0       1\n\
UUID=AB-12  /boot/efi       vfat    umask=0077      0       1\n\
/dev/vda5 none            swap    sw,pri=5,discard=once              0       0\n\
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n\
//srv/s\\040x /mnt/s\\040x cifs _netdev,x-systemd.automount,uid=5 0 0\n";

#[test]
fn debians_file() {
    let (entries, mistakes) = decode(DEBIAN);
    assert_eq!(mistakes, []);
    let [root, efi, swap, cd, share] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!((root.line, root.pass, &root.target[..]), (5, 1, &b"/"[..]));
    assert_eq!(Options::decode(&root.options).data, b"errors=remount-ro");
    assert_eq!(
        (&efi.source[..], &efi.kind[..]),
        (&b"UUID=AB-12"[..], &b"vfat"[..])
    );
    assert!(swap.is_swap() && swap.swap_flags() == 0x3_8005);
    assert!(cd.is_left_out() && share.is_left_out() && !root.is_left_out());
    assert_eq!(share.target, b"/mnt/s x");
    let share = Options::decode(&share.options);
    assert_eq!((share.flags, &share.data[..]), (0, &b"uid=5"[..]));
}

/// As Buildroot writes it.
#[test]
fn buildroots_file() {
    let text = b"# <file system>\t<mount pt>\t<type>\t<options>\t<dump>\t<pass>\n\
        /dev/root\t/\t\text2\trw,noauto\t0\t1\n\
        proc\t\t/proc\t\tproc\tdefaults\t0\t0\n\
        devpts\t\t/dev/pts\tdevpts\tdefaults,gid=5,mode=620,ptmxmode=0666\t0\t0\n\
        tmpfs\t\t/run\t\ttmpfs\tmode=0755,nosuid,nodev\t0\t0\n\
        sysfs\t\t/sys\t\tsysfs\tdefaults\t0\t0\n";
    let (entries, mistakes) = decode(text);
    assert_eq!((entries.len(), mistakes), (5, alloc::vec![]));
    // Buildroot's inittab has a line of its own for it, `mount -o remount,rw /`.
    assert!(entries[0].is_root() && !entries[0].is_left_out());
    assert_eq!(Options::decode(&entries[0].options).remount().flags & 1, 0);
    let pts = Options::decode(&entries[2].options);
    assert_eq!(
        (pts.flags, &pts.data[..]),
        (0, &b"gid=5,mode=620,ptmxmode=0666"[..])
    );
    assert_eq!(Options::decode(&entries[3].options).flags, 2 | 4);
}

#[test]
fn noauto_is_not_for_the_root() {
    for (line, is_left_out) in [
        ("/dev/a / ext4 ro,noauto", false),
        ("s:/ // nfs _netdev", false),
        ("/dev/a / ignore noauto", true),
        ("/dev/a /a ext4 ro,noauto", true),
        ("s:/ /a nfs _netdev", true),
        ("/dev/a /a ext4 nofail", false),
    ] {
        let (entries, _) = decode(line.as_bytes());
        assert_eq!(entries[0].is_left_out(), is_left_out, "{line}");
    }
}

#[test]
fn a_line_that_is_wrong_is_told_and_the_others_count() {
    let text = b"/dev/a /a\n/dev/b b ext4\n/dev/c /c/ ext4 ro 0 x\n/dev/d /d/ ext4\n";
    let (entries, mistakes) = decode(text);
    let told: Vec<(usize, &str)> = mistakes.iter().map(|m| (m.line, &m.reason[..])).collect();
    assert_eq!(
        told,
        [
            (1, "a line has at least device, directory and type"),
            (2, "b: not an absolute path"),
            (3, "the number of the check (field 6) is no number"),
        ]
    );
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0].target[..], &entries[0].options[..]),
        (&b"/d"[..], &b"defaults"[..])
    );
}

#[test]
fn later_options_win_and_user_space_keeps_its_own() {
    for (text, flags, data) in [
        ("defaults", 0, ""),
        ("ro,rw", 0, ""),
        ("rw,ro,noatime,relatime", 1 | 1 << 21, ""),
        ("users", 2 | 4 | 8, ""),
        ("users,exec,suid", 4, ""),
        (
            "nofail,x-gvfs-show,comment=a,size=10%,nosuid,mode=1777",
            2,
            "size=10%,mode=1777",
        ),
        ("context=\"a,ro,b\",nodev", 4, "context=\"a,ro,b\""),
    ] {
        let options = Options::decode(text.as_bytes());
        assert_eq!(
            (options.flags, &options.data[..]),
            (flags, data.as_bytes()),
            "{text}"
        );
    }
    assert!(Options::decode(b"loop,X-mount.mkdir=0700").is_loop);
    assert!(Options::decode(b"X-mount.mkdir=0700").mkdir);
}

#[test]
fn a_bind_takes_a_call_for_each_thing() {
    let flags = |text: &[u8]| {
        let calls = Options::decode(text).calls();
        calls.into_iter().map(|call| call.flags).collect::<Vec<_>>()
    };
    assert_eq!(flags(b"ro,size=1"), [1]);
    assert_eq!(flags(b"bind"), [4096]);
    assert_eq!(
        flags(b"rbind,ro,rslave"),
        [4096 | 1 << 14, 4096 | 32 | 1, 1 << 19 | 1 << 14]
    );
    assert_eq!(flags(b"nosuid,shared"), [2, 1 << 20]);
    assert_eq!(Options::decode(b"bind,ro,x=y").remount().flags, 1 | 32);
}

#[test]
fn a_directory_comes_before_what_is_below_it_or_from_it() {
    let order = |text: &[u8]| -> Vec<usize> {
        let (entries, mistakes) = decode(text);
        assert_eq!(mistakes, []);
        in_order(&entries).iter().map(|entry| entry.line).collect()
    };
    assert_eq!(order(b"a /a x\nb /b x\nc /c x\n"), [1, 2, 3]);
    assert_eq!(
        order(b"a /a/b/c x\nb /ab x\nc /a x\nd /a/b x\n"),
        [3, 4, 1, 2]
    );
    assert_eq!(
        order(b"/a/b /z none bind\n/dev/x /a ext4\n/dev/y / ext4\n"),
        [3, 2, 1]
    );
    assert_eq!(
        order(b"/dev/x /a ext4\nnone /dev tmpfs\n/a /dev/shm none bind\n"),
        [1, 2, 3]
    );
    // Of two that need each other, none can be first.
    assert_eq!(order(b"/b/x /a none bind\n/a/x /b none bind\n").len(), 2);
}

#[test]
fn there_is_a_bound() {
    let (entries, mistakes) = decode(&b"a /a x\n".repeat(ENTRIES_MAX + 5));
    assert_eq!((entries.len(), mistakes.len()), (ENTRIES_MAX, 5));
    let (entries, mistakes) = decode(&b"a\n".repeat(MISTAKES_MAX + 5));
    assert_eq!((entries.len(), mistakes.len()), (0, MISTAKES_MAX));
}
