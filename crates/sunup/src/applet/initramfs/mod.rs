//! initramfs: the /init of an initramfs. It finds the root file system that the kernel's
//! command line names, mounts it, and becomes its init.
//!
//! Files: /proc/cmdline (`model::format::cmdline`); /etc/modules, a module of the kernel a
//! line; /sbin/fsck.TYPE, if the initramfs has one. Environment and arguments go on to init.
//! A kernel calls it as /init, through a link to sunup, where there is neither /sbin/init nor
//! /etc/inittab: with one of these the initramfs is the machine's own system.
//!
//! It never ends, for that would be the kernel's panic: what does not work is said, with what
//! was looked for and what block devices there are, a shell is offered, and when that ends it
//! tries again.
//!
//! The files below: `modules` loads, `root` mounts.

mod modules;
mod root;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::format::cmdline::{self, Root};
use model::format::device_name::DeviceName;
use model::format::uevent::{DATAGRAM_BYTES_MAX, Kind, Uevent};
use model::options::{Order, Spec};
use model::rests::Rests;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, wait};

use super::{Applet, Call};
use crate::block::{self, Search};
use crate::boot_record::Writer;
use crate::machine::console::{self, Voice};
use crate::machine::{lifeline, new_root, rescue};
use crate::say;
use crate::sys::clock::{self, boot_ns, timespec};
use crate::sys::netlink::{Received, Uevents};
use crate::sys::{env, file, spawn};

/// The row of the table.
pub const APPLET: Applet = Applet { spec: &SPEC, run };

const SPEC: Spec = Spec {
    name: "initramfs",
    synopsis: "",
    about: "mount the root file system and start its init",
    options: &[],
    order: Order::Posix,
    notes: "The kernel calls it: as /init of an initramfs, a link to sunup.",
    usage_code: 1,
};

const VOICE: Voice = Voice {
    name: "initramfs",
    opening: "initramfs: ",
};

/// What is started if the command line names nothing.
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
const CMDLINE: &str = "/proc/cmdline";
const CMDLINE_BYTES_MAX: usize = 64 * 1024;
const SECOND_NS: u64 = 1_000_000_000;
/// How many block devices are told.
const TOLD_MAX: usize = 32;

fn run(_: &Call) -> u8 {
    say::line(SPEC.name, "must be run as PID 1");
    1
}

/// Whether this root is that of an initramfs that leads to another root, and no system itself.
pub fn is_all_there_is() -> bool {
    let is_there = |path: &str| std::fs::symlink_metadata(path).is_ok();
    !is_there("/sbin/init") && !is_there("/etc/inittab")
}

/// Runs as PID 1; `words` are init's arguments.
pub fn boot(words: &[Vec<u8>]) -> u8 {
    lifeline::install();
    console::open(VOICE);
    // Nothing was told to a successor; but it must not reach init.
    let _nothing = lifeline::predecessor();
    env::set("PATH", "/sbin:/usr/sbin:/bin:/usr/bin");
    let mut rests = Rests::default();
    loop {
        // What did not answer may do so the next time.
        let mut search = Search::new(console::say);
        let why = go_on(words, &mut search);
        console::say(&why);
        tell_devices(&mut search);
        let begin = boot_ns();
        offer_a_shell();
        let lasted = Duration::from_nanos(boot_ns().saturating_sub(begin));
        let pause_s;
        (rests, pause_s) = rests.after(lasted);
        if let Some(pause_s) = pause_s {
            console::say(&format!(
                "that ended at once; next try in {pause_s} s, or when a device appears"
            ));
            rest(pause_s);
        }
    }
}

/// Becomes init, or returns why that cannot be.
fn go_on(words: &[Vec<u8>], search: &mut Search) -> String {
    let begin = clock::now();
    root::mount_bases();
    let wanted = match file::read(Path::new(CMDLINE), CMDLINE_BYTES_MAX) {
        Ok(text) => cmdline::root(&text),
        Err(e) => return format!("{CMDLINE}: read: {e}"),
    };
    for mistake in &wanted.mistakes {
        console::say(mistake);
    }
    modules::load();
    let mounted = find(&wanted, search).and_then(|device| root::mount(&device, &wanted, search));
    let mut record = Writer::join();
    let failure = mounted.as_ref().err().map(String::as_bytes);
    record.step(begin, SPEC.name.as_bytes(), clock::now(), failure);
    record.write();
    match mounted {
        Ok(()) => become_init(&wanted, words),
        Err(why) => why,
    }
}

/// The node of the root's device, as soon as it is there.
fn find(wanted: &Root, search: &mut Search) -> Result<PathBuf, String> {
    let Some(name) = &wanted.device else {
        return Err("root= is missing on the kernel's command line".into());
    };
    // Before the first look, so that no device is missed.
    let events = Uevents::open().map_err(|e| format!("events of devices: {e}"))?;
    let until = wanted
        .wait_s
        .map(|s| boot_ns().saturating_add(u64::from(s) * SECOND_NS));
    let mut is_told = false;
    loop {
        if let Some(node) = search
            .find(name)
            .map_err(|e| format!("/sys/class/block: {e}"))?
        {
            return Ok(node);
        }
        if !std::mem::replace(&mut is_told, true) {
            console::note(&format!("waiting for root={name}"));
        }
        if !next_device(&events, until) {
            let seconds = wanted.wait_s.unwrap_or_default();
            return Err(format!(
                "root={name}: no such device after {seconds} s{}",
                advice(name)
            ));
        }
    }
}

/// What is not done here at all.
fn advice(name: &DeviceName) -> &'static str {
    match name {
        DeviceName::Path(path) if path.starts_with(b"/dev/mapper/") => {
            "; LVM and LUKS are for an /init of your own"
        }
        DeviceName::Path(path) if path == b"/dev/nfs" => "; a root of NFS is for the kernel itself",
        DeviceName::Path(path) if !path.starts_with(b"/dev/") => "; a path in /dev is expected",
        _ => "",
    }
}

/// Waits for an event of a block device; whether one came before the moment on the boot clock.
fn next_device(events: &Uevents, until: Option<u64>) -> bool {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        match events.next(&mut buffer) {
            Ok(Received::Event(bytes)) => {
                let datagram = buffer.get(..bytes).unwrap_or_default();
                let event = Uevent::decode_datagram(datagram);
                if event.is_ok_and(|event| event.kind() == Kind::Block) {
                    return true;
                }
                continue;
            }
            Ok(Received::Unusable) => continue,
            Ok(Received::Lost) => return true,
            Ok(Received::Nothing) | Err(_) => {}
        }
        let left = until.map(|until| until.saturating_sub(boot_ns()));
        let timeout = left.map(timespec);
        let mut fds = [PollFd::new(events, PollFlags::IN)];
        if left == Some(0) || poll(&mut fds, timeout.as_ref()) == Ok(0) {
            return false;
        }
    }
}

/// Waits so long, or until a device appears.
fn rest(seconds: u64) {
    let until = boot_ns().saturating_add(seconds * SECOND_NS);
    match Uevents::open() {
        Ok(events) => drop(next_device(&events, Some(until))),
        Err(_) => drop(poll(&mut [], Some(&timespec(seconds * SECOND_NS)))),
    }
}

/// Leaves the initramfs; returns why that cannot be.
fn become_init(wanted: &Root, words: &[Vec<u8>]) -> String {
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    let inits = match &wanted.init {
        Some(init) => vec![path(init)],
        None => INITS.map(Path::new).to_vec(),
    };
    let new_root = Path::new(root::NEW_ROOT);
    let entered = std::env::set_current_dir(new_root);
    let usable = |init: &&&Path| entered.is_ok() && new_root::trouble_of_init(init).is_none();
    // Where none is there, the first one's trouble is told.
    let init = inits.iter().find(usable).or(inits.first());
    let Some(init) = init.copied() else {
        return String::new();
    };
    let left = new_root::check(new_root, init).and_then(|old| old.leave(SPEC.name));
    if let Err(why) = left {
        let _back = std::env::set_current_dir("/");
        root::unmount();
        return why;
    }
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let argv = new_root::argv(init, &words);
    let trouble = argv.first().map(|path| spawn::exec(path, &argv, None));
    let trouble = trouble.map_or_else(String::new, |e| e.to_string());
    // The files of the initramfs are gone.
    lifeline::rescue(&format!("{}: execute: {trouble}", init.display()))
}

/// Says which block devices there are and what they hold.
fn tell_devices(search: &mut Search) {
    let devices = block::all().unwrap_or_default();
    if devices.is_empty() {
        console::say("there is no block device");
    }
    for device in devices.iter().filter(|d| d.size_bytes() > 0).take(TOLD_MAX) {
        let (node, kib) = (device.node(), device.size_bytes() / 1024);
        let shown = node.display();
        let answered = search.ask(&node, &mut || {
            let content = device.content();
            let content = content.map_or_else(|| "unknown".into(), |content| content.to_string());
            console::say(&format!("{shown}: {kib} KiB, {content}"));
            1
        });
        if answered == 0 {
            console::say(&format!("{shown}: {kib} KiB, does not answer"));
        }
    }
}

/// Offers a shell, and waits for its end.
fn offer_a_shell() {
    console::say("a shell; when it ends, the root is looked for again");
    let Ok(shell) = spawn::fork(rescue::on_the_console) else {
        return;
    };
    // Orphans, too: this is PID 1.
    while let Ok(Some((pid, _))) = wait(WaitOptions::empty()) {
        if pid.as_raw_pid() == shell {
            return;
        }
    }
}
