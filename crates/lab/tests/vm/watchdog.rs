//! The hardware watchdog, for which the kernel's softdog stands in: the small kernel has it. Debian's
//! has not; there nothing is tested, and lab says so.

use lab::machine::End;

use crate::guest::Change::Append;
use crate::guest::{Host, kernel, on_its_own};

/// No signal stops process 1, but the freezer of control groups does, as a debugger would.
#[test]
fn a_process_1_that_hangs_is_a_reset_in_qemu() {
    if kernel().place.is_none() {
        return;
    }
    on_its_own(Host::Qemu, &[Append("SUNUP_WATCHDOG=20")], |mut m| {
        m.log_in();
        m.sh("await 'dmesg | grep -q \"/dev/watchdog is armed with 20 s\"'");
        m.sh("mkdir /run/groups && mount -t cgroup2 groups /run/groups");
        m.sh("mkdir /run/groups/ice && echo 1 >/run/groups/ice/cgroup.procs");
        m.type_line("echo 1 >/run/groups/ice/cgroup.freeze");
        assert_eq!(m.end(), End::Reset);
    });
}
