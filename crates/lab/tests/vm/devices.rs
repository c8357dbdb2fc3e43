//! Device nodes: made, owned and guarded as mdev.conf says.

use crate::guest::{Change::Plain, Guest, Host, kernel, on_both, on_its_own, on_the_shared};

on_both!(nodes_have_the_modes_of_mdev_conf);

fn nodes_have_the_modes_of_mdev_conf(m: &mut Guest) {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        assert_eq!(m.sh(&format!("stat -c %a /dev/{name}")), "666", "{name}");
    }
    let listens = m.sh("sv -w 60 check mdev");
    assert!(listens.starts_with("ok: run: mdev: (pid "), "{listens}");
}

/// The kernel makes all of these root's own, most of them 0600.
#[test]
fn nodes_of_the_kernel_get_owners_and_modes_in_qemu() {
    on_the_shared(Host::Qemu, |m| {
        let mut nodes = vec![
            ("kmsg", "600 root root"),
            ("mem", "640 root kmem"),
            ("ttyS1", "660 root dialout"),
            ("rtc0", "640 root root"),
        ];
        if kernel().place.is_none() {
            // The small kernel is without.
            nodes.extend([("tty0", "620 root tty"), ("hpet", "660 root root")]);
        }
        for (name, want) in nodes {
            let said = m.sh(&format!("stat -c '%a %U %G' /dev/{name}"));
            assert_eq!(said, want, "{name}");
        }
        // Its getty gives it to root's group, before or after mdev looks at all devices.
        let of_the_login = m.sh("stat -c '%a %U %G' /dev/ttyS0");
        assert!(of_the_login.starts_with("620 root "), "{of_the_login}");
        assert_eq!(m.sh("stat -c %t:%T /dev/zero"), "1:5");
    });
}

#[test]
fn the_daemon_follows_the_kernels_events_in_qemu() {
    let rules = "zero root:kmem 0640 *echo $ACTION $MDEV $SUBSYSTEM >>/run/events\n";
    on_its_own(Host::Qemu, &[Plain("etc/mdev.conf", rules)], |mut m| {
        m.log_in();
        // Stage 1 looks at all devices, and so does the daemon.
        m.sh("await '[ $(grep -c add /run/events) = 2 ]'; rm -f /run/events /dev/zero");
        m.sh("echo add >/sys/class/mem/zero/uevent; await 'grep add /run/events'");
        assert_eq!(m.sh("stat -c '%a %U %G' /dev/zero"), "640 root kmem");
        m.sh("echo change >/sys/class/mem/zero/uevent; await 'grep change /run/events'");
        assert_eq!(m.sh("cat /run/events"), "add zero mem\nchange zero mem");
    });
}
