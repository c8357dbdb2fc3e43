//! What PID 1 adds to the record of the boot: its first moment, the steps that it starts and
//! waits for, and the first start of everything else.
//!
//! Only a PID 1 that boots does so; one that goes on after a failure or an upgrade does not.
//! As `lifeline` it keeps what it needs in one place that nobody waits for.

use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use model::process::{Exit, Pid};
use model::time::Instant;

use crate::boot_record::Writer;
use crate::sys::clock;

/// So many steps are waited for at the same time, and of so many commands the first start is told.
const KEPT_MAX: usize = 64;

struct Boot {
    writer: Writer,
    /// The steps that run.
    steps: Vec<(Pid, Vec<u8>, Instant)>,
    /// What was started.
    started: Vec<Vec<u8>>,
}

static BOOT: Mutex<Option<Boot>> = Mutex::new(None);

/// The machine boots.
pub fn begin() {
    if let Ok(mut boot) = BOOT.try_lock() {
        *boot = Some(Boot {
            writer: Writer::first(super::is_the_first()),
            steps: Vec::new(),
            started: Vec::new(),
        });
    }
    write();
}

/// A command was started that the boot waits for.
pub fn step_began(pid: Pid, command: &[u8]) {
    with(|boot| {
        if boot.steps.len() < KEPT_MAX {
            boot.steps.push((pid, command.to_vec(), clock::now()));
        }
    });
}

/// A child ended; perhaps it was such a command.
pub fn ended(pid: Pid, exit: Exit) {
    with(|boot| {
        if let Some(at) = boot.steps.iter().position(|(step, ..)| *step == pid) {
            let (_, command, since) = boot.steps.swap_remove(at);
            let failure = (exit != Exit::Code(0)).then(|| exit.to_string());
            let failure = failure.as_deref().map(str::as_bytes);
            boot.writer.step(since, &command, clock::now(), failure);
        }
    });
}

/// A command was started that goes on.
pub fn started(pid: Pid, command: &[u8]) {
    with(|boot| {
        let is_known = boot.started.iter().any(|known| known == command);
        if !is_known && boot.started.len() < KEPT_MAX {
            let now = clock::now();
            boot.writer.start(now, command, pid);
            boot.writer.ready(now, command);
            boot.started.push(command.to_vec());
        }
    });
}

/// Writes what has gathered, if there is a place for it that will stay: while a step runs, it
/// may still mount /run over what is there, which in an initramfs is memory, too.
pub fn write() {
    with(|boot| {
        if has_booted(boot) || is_mounted() {
            boot.writer.write();
        }
    });
}

fn has_booted(boot: &Boot) -> bool {
    boot.steps.is_empty() && !boot.started.is_empty()
}

/// Whether /run is a file system of its own.
fn is_mounted() -> bool {
    let device = |path| std::fs::metadata(path).map(|found| found.dev());
    matches!((device("/run"), device("/")), (Ok(run), Ok(root)) if run != root)
}

fn with(act: impl FnOnce(&mut Boot)) {
    if let Ok(mut kept) = BOOT.try_lock()
        && let Some(boot) = &mut *kept
    {
        act(boot);
        if boot.writer.is_over() {
            *kept = None;
        }
    }
}
