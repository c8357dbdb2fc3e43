//! What /proc tells about the processes that came from here, and their end.
//!
//! lab is a subreaper during a measurement (prctl(2)): whatever a supervisor
//! leaves behind stays lab's descendant, and so it is found and ended by its
//! pid, by whoever it was started.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, test_kill_process, wait,
};

use super::ear::Interrupt;
use crate::moment::Moment;

/// How long ended processes may take to go.
const END: Duration = Duration::from_mins(1);
/// Between two looks at what tells nobody of its changes.
pub const LOOK: Duration = Duration::from_micros(200);

/// Orphans of our descendants become our children from here on.
pub fn adopt_orphans() -> Result<()> {
    set_child_subreaper(Some(getpid())).context("become the reaper of orphans")
}

/// All processes that came from this one, parents before children.
pub fn descendants() -> Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![getpid().as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    Ok(found
        .into_iter()
        .skip(1)
        .filter_map(Pid::from_raw)
        .collect())
}

/// The parent in a line of /proc/PID/stat; the name in it may hold anything.
fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// Ends everything that came from this process, and waits until it is gone. Not
/// interrupted by a wish to stop, for it is the answer to it.
pub fn end_all() -> Result<()> {
    let until = Moment::now().after(END);
    loop {
        for pid in descendants()? {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        if Moment::now() > until {
            bail!("processes do not end: {:?}", descendants()?);
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits until none of the processes exists.
pub fn await_gone(pids: &[Pid], interrupt: &Interrupt, until: Moment) -> Result<()> {
    for pid in pids {
        while test_kill_process(*pid).is_ok() {
            if Moment::now() > until {
                bail!("process {pid:?} does not end");
            }
            interrupt.rest(LOOK)?;
        }
    }
    Ok(())
}

/// What supervisors cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// How many processes.
    pub processes: u32,
    /// Open descriptors of all of them.
    pub descriptors: u32,
    /// Memory of their own in KiB (`Pss_Anon` of proc(5)): what a program's file holds
    /// as well is not counted, for the kernel may drop it, and all share it.
    pub anonymous_kib: u32,
    /// Their page tables in KiB (`VmPTE`).
    pub page_tables_kib: u32,
}

/// The cost of processes, summed up.
pub fn cost(pids: &[Pid]) -> Result<Cost> {
    let mut cost = Cost::default();
    for pid in pids {
        let dir = format!("/proc/{}", pid.as_raw_nonzero());
        let read = |name: &str| {
            let path = format!("{dir}/{name}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        cost.processes += 1;
        cost.descriptors += fs::read_dir(format!("{dir}/fd"))?.count() as u32;
        cost.anonymous_kib += field(&read("smaps_rollup")?, "Pss_Anon:");
        cost.page_tables_kib += field(&read("status")?, "VmPTE:");
    }
    Ok(cost)
}

/// Memory of the kernel in KiB that processes and files can cause, of the whole machine.
pub fn kernel_memory_kib() -> Result<u32> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let fields = ["Slab:", "KernelStack:", "PageTables:"];
    Ok(fields.iter().map(|name| field(&text, name)).sum())
}

/// How often each process was put on a processor: `*_ctxt_switches` of all its threads.
pub fn switches(pids: &[Pid]) -> HashMap<Pid, u32> {
    let of = |pid: &Pid| {
        let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
        let statuses = tasks.into_iter().flatten().filter_map(|task| {
            let path = task.ok()?.path().join("status");
            fs::read_to_string(path).ok()
        });
        let count = |text: String| {
            field(&text, "voluntary_ctxt_switches:") + field(&text, "nonvoluntary_ctxt_switches:")
        };
        statuses.map(count).sum()
    };
    pids.iter().map(|pid| (*pid, of(pid))).collect()
}

/// How long processes have run on a processor, all their threads (schedstats of the kernel's
/// documentation).
pub fn run_time(pids: &[Pid]) -> Result<Duration> {
    let mut nanos = 0;
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("read {}", path.display()))?;
            let first = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            nanos += first.with_context(|| format!("no time in {}", path.display()))?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// The number behind a name at the start of a line; 0 if there is none.
pub fn field(text: &str, name: &str) -> u32 {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
    let first = values.next().and_then(|v| v.split_whitespace().next());
    first.and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent(""), None);
        assert_eq!(field("Rss:  9 kB\nPss:   77 kB\n", "Pss:"), 77);
        assert_eq!(field("Pss_Dirty: 1 kB\n", "Pss:"), 0);
        assert_eq!(field("Pss: x", "Pss:"), 0);
    }
}
