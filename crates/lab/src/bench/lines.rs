//! Lines lost: a service that says a line and ends at once, and a supervisor that is
//! killed twice within a second, again and again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::lives::Bench;
use super::measures::What;
use super::peers::Peer;
use super::processes;
use super::tree::Tree;

/// It notes first that it is about to say a line.
const RUN: &str = "#!/bin/sh
[ -e ../../stop ] && exec sleep 1000
echo >>../../said && exec echo a line
";
const LOG_RUN: &str = "#!/bin/sh\nexec cat >>../../../logged\n";
/// Between the two kills.
const BETWEEN: Duration = Duration::from_millis(300);
/// Then lives go on, and at the end all is read.
const AFTER: Duration = Duration::from_millis(1500);

impl Bench<'_> {
    /// How many lines are lost in as many rounds as commands are repeated.
    pub fn lines_lost(&mut self, peer: &Peer) -> Result<()> {
        let tree = Tree::new(peer, 0, &self.place, self.interrupt)?;
        let scan = tree.scan_dir();
        if peer.supervisor(&scan, false).is_none() {
            return tree.end();
        }
        write_program(&scan.join("talks/run"), RUN)?;
        write_program(&scan.join("talks/log/run"), LOG_RUN)?;
        for _ in 0..self.effort.commands {
            for time in [BETWEEN, AFTER] {
                start(peer, &scan)?;
                self.interrupt.rest(time)?;
                kill_supervisors()?;
            }
        }
        fs::write(tree.beside("stop"), "")?;
        start(peer, &scan)?;
        self.interrupt.rest(AFTER)?;
        let count = |name| {
            let text = fs::read_to_string(tree.beside(name)).unwrap_or_default();
            text.lines().count() as u32
        };
        let lost = count("said").saturating_sub(count("logged"));
        self.results
            .add(What::LinesLost, 0, peer.name, f64::from(lost));
        tree.end()
    }
}

/// A script, and the directory that it is in.
pub fn write_program(path: &Path, text: &str) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("make {}", path.display()))
}

fn start(peer: &Peer, scan: &Path) -> Result<()> {
    let Some(mut command) = peer.supervisor(scan, false) else {
        return Ok(());
    };
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.spawn();
    started.with_context(|| format!("run {command:?}"))?;
    Ok(())
}

/// All of them at once, as far as that can be: those of services, too.
fn kill_supervisors() -> Result<()> {
    const NAMES: [&str; 6] = [
        "runsvdir",
        "runsv",
        "s6-svscan",
        "s6-supervise",
        "svscan",
        "supervise",
    ];
    let is_supervisor = |pid: &Pid| {
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        NAMES.contains(&name.unwrap_or_default().trim_end())
    };
    let supervisors = processes::descendants()?.into_iter().filter(is_supervisor);
    for pid in supervisors {
        // Gone already is as good.
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}
