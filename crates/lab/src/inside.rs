//! The inside of namespaces: the porter, and PID 1 until it becomes init.
//! [`crate::enter`] tells how they play together.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use model::format::cpio::{self, Inode, Node};
use rustix::fs::{FileType, Gid, Mode, Uid, major, minor};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};

use crate::sys;

/// Devices that are harmless to share with the workstation.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

/// A directory that every workstation has, to build the new root on: nobody
/// else sees what is mounted here.
const NEW_ROOT: &str = "/tmp";

/// Enters the namespaces, starts PID 1 and waits for its end. Says `inside`
/// when it is there and `ended STATUS` at the end, on standard output.
pub fn porter(console: &str, results: &str, words: &[String]) -> Result<()> {
    sys::unshare_all().context(
        "make namespaces (the kernel may forbid it to ordinary users: \
         sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, \
         kernel.apparmor_restrict_unprivileged_userns)",
    )?;
    if let Err(e) = start_clocks() {
        eprintln!("lab: the machine has the workstation's uptime: {e:#}");
    }
    say("inside")?;
    // The image comes when the identities are mapped, and not before.
    let mut first = [0];
    io::stdin()
        .lock()
        .read_exact(&mut first)
        .context("wait for the image")?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    // Lab has asked for it at the start, but a new identity takes it away.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["inside-init", console, results]).args(words);
    let mut child = sys::die_with_parent(&mut command)
        .stdin(Stdio::piped())
        .spawn()
        .context("start PID 1")?;
    if let Some(mut input) = child.stdin.take() {
        let image = input
            .write_all(&first)
            .and_then(|()| io::copy(&mut io::stdin(), &mut input));
        image.context("hand over the image")?;
    }
    let status = child.wait()?;
    say(&format!("ended {}", status.into_raw()))
}

/// The machine's uptime starts now.
fn start_clocks() -> Result<()> {
    sys::unshare_time().context("make a time namespace")?;
    let offset = |name: &str, clock| {
        let now = clock_gettime(clock);
        // Minus now, with the nanoseconds between 0 and a second.
        let (seconds, nanos) = (-now.tv_sec - 1, 1_000_000_000 - now.tv_nsec);
        let (seconds, nanos) = (seconds + nanos / 1_000_000_000, nanos % 1_000_000_000);
        format!("{name} {seconds} {nanos}\n")
    };
    let offsets = offset("monotonic", ClockId::Monotonic) + &offset("boottime", ClockId::Boottime);
    fs::write("/proc/self/timens_offsets", offsets).context("write /proc/self/timens_offsets")
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// As PID 1: makes the image's tree the root and becomes its init.
pub fn init(console: &str, results: &str, words: &[String]) -> Result<()> {
    let mut image = Vec::new();
    io::stdin()
        .read_to_end(&mut image)
        .context("read the image")?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private).context("keep mounts to ourselves")?;
    mount(
        "tmpfs",
        NEW_ROOT,
        "tmpfs",
        MountFlags::empty(),
        c"mode=0755",
    )
    .context("mount the root")?;
    std::env::set_current_dir(NEW_ROOT)?;
    rustix::process::umask(Mode::empty());
    unpack(&image)?;
    devices(console, results)?;
    kernel_files();
    // What a kernel starts process 1 with.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    // The old root ends up below the new one, and then nowhere.
    rustix::process::pivot_root(".", ".").context("change the root")?;
    unmount(".", UnmountFlags::DETACH).context("leave the old root")?;
    std::env::set_current_dir("/")?;
    become_init(words)
}

fn unpack(image: &[u8]) -> Result<()> {
    let inodes = cpio::decode(image).map_err(|e| anyhow!("{e}"))?;
    // A directory comes before what it holds; its permissions come last, since
    // they may forbid to fill it.
    for inode in &inodes {
        unpack_inode(inode).with_context(|| match inode.names.first() {
            Some(name) => format!("unpack {}", name.escape_ascii()),
            None => "unpack".into(),
        })?;
    }
    for inode in inodes.iter().filter(|i| i.node == Node::Directory) {
        for name in &inode.names {
            fs::set_permissions(path(name), Permissions::from_mode(inode.perm))?;
        }
    }
    Ok(())
}

fn unpack_inode(inode: &Inode<'_>) -> Result<()> {
    let Some((first, others)) = inode.names.split_first() else {
        return Ok(());
    };
    let first = path(first);
    match &inode.node {
        Node::Directory => fs::create_dir(first)?,
        Node::Symlink(target) => symlink(path(target), first)?,
        Node::File(data) => {
            File::create_new(first)?.write_all(data)?;
            fs::set_permissions(first, Permissions::from_mode(inode.perm))?;
        }
        Node::Fifo | Node::Socket => {
            let kind = if inode.node == Node::Fifo {
                FileType::Fifo
            } else {
                FileType::Socket
            };
            let perm = Mode::from_raw_mode(inode.perm);
            rustix::fs::mknodat(rustix::fs::CWD, first, kind, perm, 0)?;
        }
        // Nobody but the workstation's root may make these; see `devices`.
        Node::Char(_) | Node::Block(_) => return Ok(()),
    }
    for other in others {
        fs::hard_link(first, path(other))?;
    }
    Ok(())
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// Puts the workstation's harmless devices, the console and the port for
/// results at their places. What the machine writes to /dev/kmsg goes to that
/// port too: it has no kernel of its own to keep it.
fn devices(console: &str, results: &str) -> Result<()> {
    fs::create_dir_all("dev")?;
    for name in DEVICES {
        bind(&format!("/dev/{name}"), name)?;
    }
    for (from, name) in [
        (console, "console"),
        (console, "ttyS0"),
        (results, "ttyS1"),
        (results, "kmsg"),
    ] {
        bind(from, name)?;
    }
    if fs::symlink_metadata("dev/ptmx").is_err() {
        symlink("pts/ptmx", "dev/ptmx")?;
    }
    Ok(())
}

fn bind(from: &str, name: &str) -> Result<()> {
    let to = format!("dev/{name}");
    let make = || -> Result<()> {
        File::create(&to)?;
        Ok(mount_bind(from, &to)?)
    };
    make().with_context(|| format!("bind {from} on /{to}"))
}

/// Mounts /proc and /sys. It is too late for that when the old root is gone: the
/// kernel allows it only to who sees them already.
fn kernel_files() {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, dir) in [("proc", "proc"), ("sysfs", "sys")] {
        let result =
            fs::create_dir_all(dir).and_then(|()| Ok(mount(kind, dir, kind, flags, None)?));
        if let Err(e) = result {
            eprintln!("lab: mount {kind} on /{dir}: {e}; the machine goes on without it");
        }
    }
    if let Err(e) = hide_devices() {
        eprintln!("lab: hide the workstation's devices: {e:#}; the machine will try to make them");
    }
}

/// Leaves in /sys/dev only the devices that the machine has. The others are the
/// workstation's, and a device manager would try to make a node for each.
fn hide_devices() -> Result<()> {
    let list = Path::new("sys/dev");
    let mut shared = Vec::new();
    for name in DEVICES {
        let number = fs::metadata(format!("dev/{name}"))?.rdev();
        let number = format!("char/{}:{}", major(number), minor(number));
        // Relative, so that it leads to the same place from the new list.
        shared.push((fs::read_link(list.join(&number))?, number));
    }
    mount("tmpfs", list, "tmpfs", MountFlags::NOSUID, c"mode=0755")?;
    fs::create_dir(list.join("block"))?;
    fs::create_dir(list.join("char"))?;
    for (target, number) in shared {
        symlink(target, list.join(number))?;
    }
    Ok(())
}

/// As the kernel does it: the console on 0 to 2, its two variables, and the
/// words of the command line. A third variable is what containers have: it
/// tells stage 1 that /dev is filled.
fn become_init(words: &[String]) -> Result<()> {
    let console = File::options()
        .read(true)
        .write(true)
        .open("/dev/console")
        .context("open /dev/console")?;
    rustix::stdio::dup2_stdin(&console)?;
    let mut command = Command::new("/sbin/init");
    command
        .env_clear()
        .envs([("HOME", "/"), ("TERM", "linux"), ("container", "lab")]);
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if !name.contains('.') => command.env(name, value),
            Some(_) => &mut command,
            None => command.arg(word),
        };
    }
    command.stdout(console.try_clone()?).stderr(console);
    if groups_are_fixed() {
        sys::pretend_setgroups().context("let su work without groups")?;
    }
    announce()?;
    bail!("run /sbin/init: {}", command.exec())
}

/// An ordinary user's machine may not change supplementary groups: its root has
/// none to lose. Programs that insist, as su does, are told that they did.
fn groups_are_fixed() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "deny")
}

/// What a kernel would say here.
fn announce() -> Result<()> {
    let mut log = File::options()
        .write(true)
        .open("/dev/kmsg")
        .context("open /dev/kmsg")?;
    Ok(writeln!(log, "<6>Run /sbin/init as init process")?)
}
