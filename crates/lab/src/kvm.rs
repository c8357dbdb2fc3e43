//! Whether KVM works here. That /dev/kvm can be opened proves little: under some
//! hypervisors a guest starts and never gets as far as its kernel. So a kernel is
//! booted until its first line, once, and the verdict is kept.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};

use crate::moment::{Moment, timespec};
use crate::qemu::{Port, Qemu};
use crate::sys;

/// Where it works, the first line comes within half a second.
const PATIENCE: Duration = Duration::from_secs(6);

/// Whether `qemu` may use KVM; in doubt it may not.
pub fn works(qemu: &Qemu, scratch: &Path) -> bool {
    if OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return false;
    }
    let verdict = scratch.join("kvm-verdict");
    let key = key(qemu);
    if let Ok(kept) = fs::read_to_string(&verdict)
        && let Some(("yes" | "no", kept_key)) = kept.split_once(' ')
        && kept_key == key
    {
        return kept.starts_with("yes");
    }
    eprintln!("lab: trying KVM once, for up to {} s", PATIENCE.as_secs());
    let works = probe(qemu).unwrap_or(false);
    eprintln!(
        "lab: KVM {}",
        if works {
            "works"
        } else {
            "does not work here: software emulation"
        }
    );
    let answer = if works { "yes" } else { "no" };
    // Without the note the next boot tries again.
    drop(fs::write(verdict, format!("{answer} {key}")));
    works
}

/// A verdict holds for an emulator, a kernel and the workstation's kernel.
fn key(qemu: &Qemu) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} {} {}",
        qemu.program.display(),
        qemu.kernel.display(),
        host.trim()
    )
}

/// Boots the kernel alone; it has nothing to run and panics after its first lines.
fn probe(qemu: &Qemu) -> Result<bool> {
    let qemu = Qemu {
        kvm: true,
        disk: None,
        reboot: false,
        ..qemu.clone()
    };
    let dir = tempfile::tempdir()?;
    let port = Port::listen(dir.path().join("console"))?;
    let mut command = qemu.command(&[&port.path]);
    command.args(["-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"]);
    let mut child = sys::die_with_parent(&mut command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Moment::now().after(PATIENCE);
    let works = child.stdout.as_ref().is_some_and(|out| {
        port.accept(out.as_fd())
            .is_ok_and(|console| speaks(console, deadline))
    });
    drop(child.kill());
    child.wait()?;
    Ok(works)
}

/// Whether a kernel says its name before `deadline`.
fn speaks(mut console: File, deadline: Moment) -> bool {
    let mut said = Vec::new();
    loop {
        let left = deadline.since(Moment::now());
        let mut fds = [PollFd::new(&console, PollFlags::IN)];
        if left.is_zero() || !poll(&mut fds, Some(&timespec(left))).is_ok_and(|n| n > 0) {
            return false;
        }
        let mut bytes = [0; 4096];
        match console.read(&mut bytes) {
            Ok(0) | Err(_) => return false,
            Ok(n) => said.extend_from_slice(bytes.get(..n).unwrap_or_default()),
        }
        if said.windows(13).any(|w| w == b"Linux version") {
            return true;
        }
    }
}
