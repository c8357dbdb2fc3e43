//! stage1: makes the machine whole, once, before its services start, in one process.
//!
//! It does what `rootfs/etc/runit/stage1` does as a script, and more; both leave the same
//! machine. [`model::stage1`] has the plan. A step that fails says so on standard error, with
//! file, line and reason, and the boot goes on with the next. At last it tells how long the
//! boot took so far, there and in the kernel's log.
//!
//! It never waits for a console that takes nothing, opens no file that may block, and reads
//! of no file more than a bound. Programs of others run only where they have to, and are
//! named while they run.
//!
//! With `-s` it only writes a random seed, for the end of a machine.
//!
//! Typed on a machine that another init has booted it does nothing: it would change the modes of
//! all devices, the host's name and what is mounted.
//!
//! Files: /etc/mdev.conf, /etc/fstab, /etc/hostname, /etc/sysctl.conf, /etc/modules,
//! /var/lib/random-seed, and directories sysctl.d, modules-load.d, modprobe.d, tmpfiles.d. Environment: `container` is set in a container.
//! Exit code: 0, or 1 if a step failed or nothing was done. runit goes on to stage 2 after both.

mod clock;
mod conf;
mod device_names;
mod file_systems;
mod files;
mod foreign;
mod modules;
mod mounts;
mod seed;
mod settings;
mod teller;

use std::io;
use std::path::Path;

use model::options::{Opt, Order, Spec};
use model::stage1::{self, Step};
use rustix::fs::OFlags;
use rustix::process::{Pid, getpid, getppid};

use super::{Applet, Call};
use crate::boot_record::Writer;
use crate::devices::{Mdev, Voice};
use crate::machine::ask::{self, First};
use crate::sys::clock::{boot_ns, now};
use crate::sys::{file, net, signal};
use file_systems::Table;
use modules::Tables;
use teller::Teller;

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "stage1",
    synopsis: "[-cv] | -s",
    about: "prepare the machine at boot, before services start",
    options: &[
        Opt::flag(
            b'c',
            "count the random seed as randomness: nobody else has it",
        ),
        Opt::flag(b's', "only write a random seed for the next boot"),
        Opt::flag(b'v', "report each step, and how long it took"),
    ],
    order: Order::Permute,
    notes: "In /etc/inittab: ::sysinit:/sbin/stage1\n",
    usage_code: 1,
};

const HOOK: &str = "/proc/sys/kernel/hotplug";
const HOSTNAME: &str = "/etc/hostname";
/// No name is longer, whatever comments are around it.
const HOSTNAME_FILE_BYTES_MAX: usize = 64 * 1024;

fn run(call: &Call) -> u8 {
    signal::ignore_of_writes();
    let container = std::env::var_os("container").is_some_and(|value| !value.is_empty());
    let mut teller = Teller::new(call.args.has(b'v'));
    if call.args.has(b's') {
        seed::save(&[], false, &mut teller);
        return u8::from(teller.has_failed());
    }
    if let Some((mark, init)) = other_boot() {
        let why = "stage1 is for the first seconds of a machine, and its init calls it";
        teller.fail(format_args!(
            "{mark}: {init} has booted this machine: {why}"
        ));
        return 1;
    }
    let mut record = Writer::join();
    let mut stage = Stage {
        container,
        credit: call.args.has(b'c'),
        modules: None,
        table: Table::default(),
    };
    for step in stage1::plan(container) {
        let begin = now();
        teller.begin();
        stage.take(step, &mut teller);
        let (end, name) = (now(), step.name());
        let failure = teller.failure().map(str::as_bytes);
        record.step(begin, name.as_bytes(), end, failure);
        let us = end.0.saturating_sub(begin.0) / 1000;
        teller.detail(format_args!("{name}: {}.{:03} ms", us / 1000, us % 1000));
    }
    record.write();
    complete();
    u8::from(teller.has_failed())
}

/// Who else has booted this machine, and by what that is known; nobody, if process 1 is this one
/// or its parent. What of systemd's an initramfs has left in /run does not count.
fn other_boot() -> Option<(&'static str, &'static str)> {
    const SYSTEMD: &str = "/run/systemd/system";
    const OPENRC: &str = "/run/openrc/softlevel";
    if getpid().is_init() || getppid().is_none_or(Pid::is_init) {
        return None;
    }
    if Path::new(SYSTEMD).exists() && ask::first() == First::Other("systemd".to_owned()) {
        return Some((SYSTEMD, "systemd"));
    }
    Path::new(OPENRC).exists().then_some((OPENRC, "OpenRC"))
}

/// What steps know.
struct Stage {
    container: bool,
    /// Whether the old seed counts as randomness.
    credit: bool,
    modules: Option<Tables>,
    table: Table,
}

impl Stage {
    fn take(&mut self, step: Step, teller: &mut Teller) {
        let container = self.container;
        match step {
            Step::Mounts => mounts::bases(container, teller),
            Step::Hook => hook(teller),
            Step::Drivers => self.modules = modules::for_devices(teller),
            Step::Modules => modules::named(self.modules.as_ref(), teller),
            Step::Nodes => nodes(teller),
            Step::Clock => clock::set(teller),
            Step::Table => self.table = Table::read(teller),
            Step::Check => self.table.check(teller),
            Step::FileSystems => self.table.mount(container, teller),
            Step::Hostname => hostname(teller),
            Step::Loopback => {
                if let Err(e) = net::bring_up(c"lo") {
                    teller.fail(format_args!("lo: bring it up: {e}"));
                }
            }
            Step::Settings => settings::set(container, teller),
            Step::Seed => seed::renew(self.credit, teller),
            Step::Files => files::make(teller),
        }
    }
}

/// Most kernels call no program for an event; then there is no such file.
fn hook(teller: &mut Teller) {
    match write(HOOK, b"/sbin/mdev\n") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            teller.fail(format_args!("{HOOK}: write: {e}"));
        }
        _ => {}
    }
}

fn nodes(teller: &mut Teller) {
    // Commands of rules run in /dev, and paths are relative to it.
    if let Err(e) = std::env::set_current_dir("/dev") {
        return teller.fail(format_args!("/dev: change to the directory: {e}"));
    }
    let voice = Voice {
        who: SPEC.name,
        write: teller::write,
        details: false,
        syslog: false,
    };
    if !Mdev::new(voice).scan() {
        teller.failed("/sys/dev cannot be read");
    }
    let _root_is_there = std::env::set_current_dir("/");
}

fn hostname(teller: &mut Teller) {
    let text = match file::read(Path::new(HOSTNAME), HOSTNAME_FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(e) => return teller.fail(format_args!("{HOSTNAME}: read: {e}")),
    };
    let set = stage1::hostname(&text)
        .map_err(io::Error::other)
        .and_then(|name| Ok(rustix::system::sethostname(name)?));
    if let Err(e) = set {
        teller.fail(format_args!("{HOSTNAME}: set the name: {e}"));
    }
}

/// For the console, and with the kernel's time stamp for dmesg (level 7: not printed a
/// second time).
fn complete() {
    let hundredths = boot_ns() / 10_000_000;
    let (seconds, rest) = (hundredths / 100, hundredths % 100);
    teller::line(&format!("Boot stage completed in {seconds}.{rest:02}s\n"));
    // A machine without this device has no such log.
    let _no_log = write("/dev/kmsg", b"<7>stage1: completed\n");
}

/// Writes to a file that is there.
fn write(path: &str, text: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut file::open(Path::new(path), OFlags::WRONLY)?, text)
}
