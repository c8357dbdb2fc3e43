//! Machines whose root file system is read-only, full, or not there, or whose /run is full: they
//! come up as far as they can, say what is wrong, and power off.

use lab::image;
use lab::machine::{End, Machine};
use lab::tree::Tree;
use model::format::cpio::Node;
use rustix::process::Signal;

use crate::entered::{LOGIN, boot, end, ours, until};

/// Our machine, where `script` runs after stage 1.
fn broken_by(script: &str) -> Machine {
    let mut tree = ours();
    let inittab = "::sysinit:/sbin/stage1\n::sysinit:/break\n\
                   ::respawn:/usr/bin/runsvdir -P /etc/runit/sv\n";
    tree.put_file(b"etc/inittab", false, inittab.into());
    tree.put_file(
        b"break",
        true,
        format!("#!/bin/sh\n{script}\n").into_bytes(),
    );
    boot(image::archive(&tree).unwrap(), "")
}

/// Logs in, has `line` run, and waits for what it says.
fn log_in_and(machine: &mut Machine, line: &str, says: &str) {
    until(machine, LOGIN, "log in");
    machine.send(b"root\n").unwrap();
    until(machine, "# ", "a shell");
    machine.send(format!("{line}\n").as_bytes()).unwrap();
    until(machine, says, line);
}

fn power_off(mut machine: Machine) {
    machine.signal(Signal::USR2).unwrap();
    assert_eq!(end(&mut machine), End::PowerOff);
}

#[test]
fn a_read_only_root() {
    let mut machine = broken_by("mount -t tmpfs -o remount,ro tmpfs /");
    log_in_and(
        &mut machine,
        "touch /new",
        "touch: /new: Read-only file system",
    );
    power_off(machine);
}

#[test]
fn a_full_root() {
    let mut machine = broken_by(
        "used=$(df -k / | tail -n 1 | awk '{ print $3 }')\n\
         mount -t tmpfs -o remount,size=${used}k tmpfs / && cat /dev/zero >/rest",
    );
    let fills = "for i in 1 2 3 4 5 6 7 8 9; do echo $i >/etc/$i; done";
    log_in_and(&mut machine, fills, "write error: No space left on device");
    power_off(machine);
}

/// What the supervisor keeps of a service is kept elsewhere.
#[test]
fn a_full_run() {
    let mut machine = broken_by("mount -t tmpfs -o size=4k,nr_inodes=1 tmpfs /run");
    log_in_and(&mut machine, "sv status tty1", "run: tty1: ");
    power_off(machine);
}

/// Nothing but init: no inittab, no shell, no accounts. `poweroff` is still to be had.
#[test]
fn no_root_but_init() {
    let mut tree = Tree::default();
    let init = ours().get(b"sbin/sunup").cloned().unwrap();
    tree.put(b"sbin/init", 0o755, init);
    for dir in ["dev", "proc", "sys"] {
        tree.put(dir.as_bytes(), 0o755, Node::Directory);
    }
    let mut machine = boot(image::archive(&tree).unwrap(), "");
    for (says, typed) in [
        (
            "/etc/inittab: No such file or directory; the defaults are used",
            "",
        ),
        ("Please press Enter to activate this console. ", "\n"),
        (
            "sulogin: /etc/passwd: No such file or directory: starting a shell",
            "",
        ),
        ("sulogin: /bin/sh: start: No such file or directory", ""),
        ("sulogin: no shell can be started", ""),
        ("or type reboot or poweroff: ", "poweroff\n"),
    ] {
        until(&mut machine, says, "without a root");
        machine.send(typed.as_bytes()).unwrap();
    }
    assert_eq!(end(&mut machine), End::PowerOff);
}
