//! Stage 1 by our program and by the script: both leave the same machine.

use std::sync::Mutex;

use crate::guest::Change::{Modules, Plain, Script};
use crate::guest::{Host, on_its_own, on_the_shared};

const BY_SCRIPT: &str = "::sysinit:/etc/runit/stage1\n\
    ::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n";

/// What stage 1 is responsible for: mounts, nodes with owners and modes, the name, `lo`, and
/// the kernel's hook (in a namespace the kernel's log is a terminal with any number). Terminals and what services put below /run are theirs.
const LOOK: &str = "cut -d ' ' -f 2-4 /proc/mounts | grep -v ' /etc/' | sed 's/ size=[^ ]*//' | sort; \
    ls -lRn /dev | grep -v -e ttyS -e console -e ptmx -e '^total' -e /dev/pts -e mdev | \
        sed -e 's/ [A-Z][a-z][a-z] .*:[0-9][0-9] / /' -e 's/ 136, *[0-9]* kmsg/ kmsg/' | sort; \
    stat -c '%n %a %u %g' /dev /proc /sys /run /dev/pts /dev/shm; \
    hostname; ip addr show lo; cat /proc/sys/kernel/hotplug 2>/dev/null; \
    ls -d /run/*; true";

/// Written on the shared machine, read on the other.
static NATIVE: Mutex<String> = Mutex::new(String::new());

fn same_machine(host: Host) {
    on_the_shared(host, |m| {
        let said = m.sh(LOOK);
        assert!(said.contains("/dev/shm tmpfs"), "{said}");
        *NATIVE.lock().unwrap() = said;
    });
    on_its_own(host, &[Plain("etc/inittab", BY_SCRIPT)], |mut m| {
        m.log_in();
        let script = m.sh(LOOK);
        assert_eq!(
            *NATIVE.lock().unwrap(),
            script,
            "the program's against the script's"
        );
    });
}

mod program_and_script_leave_the_same_machine {
    use super::{Host, same_machine};

    #[test]
    fn in_namespaces() {
        same_machine(Host::Namespaces);
    }

    #[test]
    fn in_qemu() {
        same_machine(Host::Qemu);
    }
}

/// Modules by name and by device, checks and mounts by programs: what no namespace can have.
#[test]
fn modules_are_loaded_and_programs_check_and_mount_in_qemu() {
    let changes = &[
        Modules(&["loop", "dummy"]),
        Plain("etc/modules", "# mine\nloop max_loop=3\nno-such\n"),
        // Every machine of QEMU has one of these two devices.
        Plain(
            "etc/modprobe.d/test.conf",
            "alias pci:v* dummy\nalias platform:serial8250 dummy\noptions dummy numdummies=2\n",
        ),
        Plain(
            "etc/fstab",
            "/dev/loop0 /mnt/a ext2 X-mount.mkdir 0 2\n\
             /dev/loop1 /mnt/b ext2 defaults 0 1\n\
             none /mnt/c weird noatime,x-y,z=1,X-mount.mkdir\n\
             tmpfs /mnt/d tmpfs size=64k,nosuid,X-mount.mkdir\n",
        ),
        Script(
            "sbin/fsck.ext2",
            "#!/bin/sh\necho \"$@\" >>/run/checked\n[ $2 = /dev/loop1 ] && exit 1\nexit 4\n",
        ),
        Script(
            "sbin/mount.weird",
            "#!/bin/sh\nexec mount -t tmpfs -o size=32k \"$1\" \"$2\"\n",
        ),
        Plain("etc/sysctl.d/test.conf", "kernel.panic = 17\n"),
    ];
    on_its_own(Host::Qemu, changes, |mut m| {
        m.log_in();
        assert_eq!(m.sh("cd /sys/class/net; echo dummy*; cd"), "dummy0 dummy1");
        assert_eq!(m.sh("cd /sys/block; echo loop*; cd"), "loop0 loop1 loop2");
        assert_eq!(m.sh("cat /run/checked"), "-a /dev/loop1\n-a /dev/loop0");
        let mounts = "grep ' /mnt/' /proc/mounts | cut -d ' ' -f 2-4 | sed s/,inode64//";
        assert_eq!(
            m.sh(mounts),
            "/mnt/c tmpfs rw,relatime,size=32k\n/mnt/d tmpfs rw,nosuid,relatime,size=64k"
        );
        assert_eq!(m.sh("cat /proc/sys/kernel/panic"), "17");
        let console = m.console();
        for line in [
            "/etc/modules: line 3: no-such: no such module in /lib/modules/",
            "/sbin/fsck.ext2 -a /dev/loop0\r\n",
            "/dev/loop1: errors were corrected\r\n",
            "/dev/loop0: check: exit code 4, see fsck(8)\r\n",
            "/etc/fstab: line 1: /mnt/a: has errors; left as it is\r\n",
            "/etc/fstab: line 2: /mnt/b: the directory is not there\r\n",
            "/sbin/mount.weird none /mnt/c -o noatime,z=1\r\n",
        ] {
            assert!(
                console.contains(&format!("stage1: {line}")),
                "{line}: {console}"
            );
        }
    });
}
