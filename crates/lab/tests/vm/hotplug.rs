//! mdev as the kernel's helper, and as the daemon that takes over from it: on the small
//! kernel, which has one. Debian's has none; there only the daemon is tested, and lab says so.

use crate::guest::Change::{Modules, Script};
use crate::guest::{Guest, Host, kernel, on_its_own};

const HOOK: &str = "/proc/sys/kernel/hotplug";

/// Notes the hook that stage 1 has left.
const MDEV: &str = concat!(
    "#!/bin/sh\n[ ! -e /proc/sys/kernel/hotplug ] || cat /proc/sys/kernel/hotplug >/run/hook\n",
    include_str!("../../../../rootfs/etc/runit/sv/mdev/run"),
);

/// How many of the nodes loop0 to loop7 are what mdev.conf asks for; the kernel itself
/// makes them 0600.
const RIGHT: &str =
    "#!/bin/sh\nstat -c '%a %U %G' /dev/loop[0-7] 2>&1 | grep -cx '660 root disk'\n";

#[test]
fn helper_and_daemon_make_nodes_in_turn_in_qemu() {
    let changes = &[
        Modules(&["loop"]),
        Script("etc/runit/sv/mdev/run", MDEV),
        Script("usr/bin/right", RIGHT),
    ];
    on_its_own(Host::Qemu, changes, |mut m| {
        m.log_in();
        m.sh("sv -w 60 check mdev");
        if kernel().place.is_none() {
            assert_eq!(m.try_sh(&format!("[ -e {HOOK} ]")).1, 1);
            nodes_of_a_module(&mut m);
            return;
        }
        assert_eq!(m.sh("cat /run/hook"), "/sbin/mdev");
        assert_eq!(m.sh(&format!("cat {HOOK}")), "");
        nodes_of_a_module(&mut m);
        the_helper_alone(&mut m);
        the_daemon_takes_over(&mut m);
    });
}

/// Whoever handles events now gives a module that is loaded its nodes.
fn nodes_of_a_module(m: &mut Guest) {
    m.sh("[ ! -e /dev/loop0 ] && modprobe loop && await '[ $(right) = 8 ]'");
    assert_eq!(m.sh("stat -c %t:%T /dev/loop7"), "7:7");
}

fn the_helper_alone(m: &mut Guest) {
    m.sh(&format!("sv -w 60 stop mdev && echo >{HOOK}"));
    // Nobody is called: when the write returns, the event is gone.
    m.sh("rm /dev/full; echo add >/sys/class/mem/full/uevent; [ ! -e /dev/full ]");
    m.sh(&format!("echo /sbin/mdev >{HOOK}"));
    m.sh("echo add >/sys/class/mem/full/uevent; await 'stat -c %a /dev/full | grep 666'");
    assert_eq!(m.sh("stat -c '%t:%T %U %G' /dev/full"), "1:7 root root");
    m.sh("rmmod loop && await '[ ! -e /dev/loop0 ]'");
    nodes_of_a_module(m);
}

/// Devices appear before the daemon listens, while it starts, and after: none is lost.
fn the_daemon_takes_over(m: &mut Guest) {
    let appear = "for n in 0 1 2 3 4 5 6 7; do \
        rm /dev/loop$n; echo add >/sys/block/loop$n/uevent; done";
    for _ in 0..3 {
        m.sh(&format!("sv -w 60 stop mdev && echo /sbin/mdev >{HOOK}"));
        m.sh(&format!(
            "sv -w 60 start mdev >/run/started 2>&1 & {appear}; wait; grep '^ok: run: mdev:' /run/started"
        ));
        m.sh("await '[ $(right) = 8 ]'");
        assert_eq!(m.sh(&format!("cat {HOOK}")), "");
    }
}
