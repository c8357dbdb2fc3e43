//! A machine in QEMU: a real kernel, the console on ttyS0 and the port for
//! results on ttyS1, each a socket of ours; QEMU's own reports (QMP) on its
//! standard output, which tell a power off from a reset.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};

use crate::arch::Arch;
use crate::machine::{End, Machine, Parts};
use crate::moment::{Moment, timespec};
use crate::sys;

/// What every kernel is told, beside what one of its kind is: where init is, only to talk
/// about errors (`--append loglevel=7` shows all), to reset at once when it panics, and to
/// trust the processor's random numbers, as Debian's kernel does without being told.
const APPEND: &str = "rdinit=/sbin/init quiet panic=-1 random.trust_cpu=on";

/// How long QEMU itself may take to start.
const START: Duration = Duration::from_mins(1);

/// The virtual machine.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The kind of machine.
    pub arch: Arch,
    /// The emulator.
    pub program: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// Use the processor's virtualisation.
    pub kvm: bool,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// More words for the kernel's command line.
    pub append: String,
    /// A disk, by virtio, if it has one.
    pub disk: Option<PathBuf>,
    /// Start again after a reset, instead of ending.
    pub reboot: bool,
    /// Let the machine's clock count instructions (4 ns each), and skip what it
    /// sleeps: figures that do not depend on the workstation. Not with KVM.
    pub count_instructions: bool,
}

impl Qemu {
    /// Switches the machine on, with `image` as its first root file system.
    pub fn start(&self, image: &[u8]) -> Result<Machine> {
        let dir = tempfile::tempdir().context("make a directory for sockets")?;
        let initrd = dir.path().join("image");
        fs::write(&initrd, image).with_context(|| format!("write {}", initrd.display()))?;
        let console = Port::listen(dir.path().join("console"))?;
        let results = Port::listen(dir.path().join("results"))?;
        let mut command = self.command(&[&console.path, &results.path]);
        command.arg("-initrd").arg(initrd);
        command
            .arg("-append")
            .arg(format!("{APPEND} {} {}", self.arch.words(), self.append));
        let started = Moment::now();
        let mut child = sys::die_with_parent(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let reports = talk_qmp(&mut child)?;
        let open = |port: &Port| port.accept(reports.as_fd());
        let (console, results) = match open(&console).and_then(|c| Ok((c, open(&results)?))) {
            Ok(files) => files,
            Err(e) => return Err(stillborn(child, e)),
        };
        let parts = Parts {
            child,
            console,
            results,
            reports,
            how,
            keep: Box::new(dir),
        };
        Ok(Machine::new(parts, started))
    }

    /// The command line, but for what is booted; `ports` become its serial lines.
    pub fn command(&self, ports: &[&Path]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.arch.board(self.kvm))
            .args(["-nodefaults", "-no-user-config"])
            .args([
                "-display",
                "none",
                "-accel",
                if self.kvm { "kvm" } else { "tcg" },
            ])
            .args(["-m", &self.memory_mib.to_string()])
            .args([
                "-chardev",
                "stdio,id=qmp,signal=off",
                "-mon",
                "chardev=qmp,mode=control",
            ]);
        if self.count_instructions && !self.kvm {
            command.args(["-icount", "shift=2,sleep=off"]);
        }
        if !self.reboot {
            command.arg("-no-reboot");
        }
        // A comma in a value is written twice.
        let value = |path: &Path| path.display().to_string().replace(',', ",,");
        if let Some(disk) = &self.disk {
            let disk = format!("file={},format=raw,if=virtio", value(disk));
            command.args(["-drive", &disk]);
        }
        for (n, path) in ports.iter().enumerate() {
            let path = value(path);
            command
                .args(["-chardev", &format!("socket,id=port{n},path={path}")])
                .args(self.arch.serial(n));
        }
        command.arg("-kernel").arg(&self.kernel);
        command
    }
}

/// A socket that QEMU connects to.
pub struct Port {
    /// Where.
    pub path: PathBuf,
    listener: UnixListener,
}

impl Port {
    /// Makes the socket at `path`.
    pub fn listen(path: PathBuf) -> Result<Self> {
        let listener =
            UnixListener::bind(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, listener })
    }

    /// The connection, as soon as it is there. `lifeline` is a pipe from QEMU.
    pub fn accept(&self, lifeline: BorrowedFd<'_>) -> Result<File> {
        let mut fds = [
            PollFd::new(&self.listener, PollFlags::IN),
            // Only its hang-up counts here.
            PollFd::from_borrowed_fd(lifeline, PollFlags::empty()),
        ];
        if poll(&mut fds, Some(&timespec(START)))? == 0 {
            bail!("QEMU does not open its ports");
        }
        if !fds[0].revents().contains(PollFlags::IN) {
            bail!("QEMU ended at once");
        }
        let (stream, _): (UnixStream, _) = self.listener.accept()?;
        Ok(File::from(OwnedFd::from(stream)))
    }
}

/// Opens the conversation on QEMU's standard input and output; its output.
fn talk_qmp(child: &mut Child) -> Result<File> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("QEMU has no standard input and output");
    };
    // If QEMU is gone already, its ports tell.
    drop(input.write_all(b"{\"execute\":\"qmp_capabilities\"}\n"));
    child.stdin = Some(input);
    Ok(File::from(OwnedFd::from(output)))
}

/// Ends a QEMU that never became a machine; what it had to say is on standard error.
fn stillborn(mut child: Child, e: anyhow::Error) -> anyhow::Error {
    drop(child.kill());
    drop(child.wait());
    e.context("start the machine")
}

/// The last SHUTDOWN event tells the reason.
fn how(reports: &[String], status: ExitStatus) -> End {
    let reason = reports
        .iter()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|report| report["event"] == "SHUTDOWN")
        .and_then(|report| Some(report["data"]["reason"].as_str()?.to_owned()));
    match reason.as_deref() {
        Some("guest-shutdown") => End::PowerOff,
        Some("guest-reset") => End::Reset,
        Some(other) => End::Failed(format!("QEMU: {other}")),
        None => End::Failed(format!("QEMU: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn qmp_tells_how_it_ended() {
        let how = |reason: &str| {
            let line = format!(
                "{{\"event\": \"SHUTDOWN\", \"data\": {{\"guest\": true, \"reason\": \"{reason}\"}}}}"
            );
            super::how(&["{\"QMP\": {}}".into(), line], ExitStatus::from_raw(0))
        };
        assert_eq!(how("guest-shutdown"), End::PowerOff);
        assert_eq!(how("guest-reset"), End::Reset);
        assert_eq!(how("host-signal"), End::Failed("QEMU: host-signal".into()));
    }
}
