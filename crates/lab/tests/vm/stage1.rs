//! Stage 1 by our program and by the script: both leave the same machine.

use std::sync::Mutex;

use crate::guest::Change::Plain;
use crate::guest::{Host, on_its_own, on_the_shared};

const BY_SCRIPT: &str = "::sysinit:/etc/runit/stage1\n\
    ::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n";

/// What stage 1 is responsible for: mounts, nodes with owners and modes, the name, `lo`, and
/// the kernel's hook. Terminals and what services put below /run are theirs.
const LOOK: &str = "cut -d ' ' -f 2-4 /proc/mounts | grep -v ' /etc/' | sed 's/ size=[^ ]*//' | sort; \
    ls -lRn /dev | grep -v -e ttyS -e console -e ptmx -e '^total' -e /dev/pts -e mdev | \
        sed 's/ [A-Z][a-z][a-z] .*:[0-9][0-9] / /' | sort; \
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
