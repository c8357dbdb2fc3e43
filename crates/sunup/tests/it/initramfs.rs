//! initramfs as PID 1 of a root in memory. Devices and mounts of them are tested on a kernel
//! (`crates/lab/tests/vm/disk.rs`); here is what it says, and when it is not called at all.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use super::common::{Fixture, sunup, wait_for};

const SET_UP: &str = "
    set -e
    mount -t tmpfs old $F/root; cd $F/root
    mkdir -p bin dev proc sys run etc
    cp \"$SUNUP\" bin/sunup; ln -s bin/sunup init
    : >dev/null; mount --bind /dev/null dev/null
    mount -t proc proc proc; mount -t tmpfs sys sys; mkdir -p sys/class/block
    cp $F/cmdline cmdline; mount --bind cmdline proc/cmdline
    [ ! -e $F/inittab ] || cp $F/inittab etc/inittab
    exec chroot . /init word";

/// A machine, which is killed with this.
struct Initramfs {
    unshare: Child,
    fixture: Fixture,
}

impl Initramfs {
    fn boot(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(files);
        fixture.add("root/", "");
        fixture.add("said", "");
        let said = File::options()
            .append(true)
            .open(fixture.path("said"))
            .unwrap();
        let unshare = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-c", SET_UP])
            .env("F", fixture.path("."))
            .env("SUNUP", sunup())
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { unshare, fixture }
    }

    fn until_said(&self, text: &str) {
        let said = self.fixture.path("said");
        let dir = self.fixture.path(".");
        let look = || std::fs::read_to_string(&said).unwrap();
        let is_said = || look().contains(text).then_some(());
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(text, &[&dir], is_said);
        }));
        assert!(waited.is_ok(), "no {text:?}: {:?}", look());
    }
}

impl Drop for Initramfs {
    fn drop(&mut self) {
        drop(self.unshare.kill());
        drop(self.unshare.wait());
    }
}

#[test]
fn what_is_missing_is_told_and_it_does_not_end() {
    for (cmdline, told) in [
        ("quiet\n", "root= is missing on the kernel's command line"),
        (
            "rootdelay=x root=UUID=12-34 rootwait=0",
            "rootdelay=x: a number of seconds is expected",
        ),
        (
            "root=/dev/mapper/root rootwait=0",
            "root=/dev/mapper/root: no such device after 0 s; LVM and LUKS are for an /init of your own",
        ),
        (
            "root=LABEL=\"two words\" rootwait=0",
            "root=LABEL=two words: no such device after 0 s",
        ),
    ] {
        let machine = Initramfs::boot(&[("cmdline", cmdline)]);
        machine.until_said(&format!("\rinitramfs: {told}\n"));
        // Nothing is there that it could offer.
        machine.until_said("\rinitramfs: there is no block device\n");
        machine.until_said(
            "\rinitramfs: that ended at once; next try in 1 s, or when a device appears\n",
        );
    }
}

#[test]
fn an_image_that_is_the_whole_system_has_an_ordinary_init() {
    let inittab = "::sysinit:/bin/sunup --version\n::wait:/init\n";
    let files = [("cmdline", "root=/dev/vda"), ("inittab", inittab)];
    let machine = Initramfs::boot(&files);
    machine.until_said("sunup (sunup) ");
    // Whoever is not PID 1 is no initramfs, either.
    machine.until_said("init: must be run as PID 1\n");
}
