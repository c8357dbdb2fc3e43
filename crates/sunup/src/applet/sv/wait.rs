//! Waiting until commands have taken effect, for many services in one loop.
//!
//! Order matters: first subscribe, then read the status, then write the command;
//! so nothing that happens can be missed. The supervisor tells of progress by
//! reading `supervise/control` (inotify sees it), by writing a new status, and by closing its end of the fifos when it ends. A status counts only
//! once the supervisor has read the command: an old status that happens to show
//! what is wanted proves nothing.
//!
//! A service that is to start and never had a supervisor is given the time to get
//! one: it may have been enabled just now.
//!
//! The deadline is on the boot clock. A forced action that is late gets KILL and
//! a second, fixed time for the kill to do its work.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use model::control::{Action, Verdict};
use model::format::status::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::check::Check;
use super::supervise::{Control, Service, Trouble, is_dead, locate};
use crate::say;
use crate::sys::clock::boot_ns;
use crate::sys::signal::{SIGCHLD, SignalFd};

/// The least time that is waited (ms): a supervisor needs a moment even for `-w 0`.
const WAIT_MS_MIN: u64 = 500;
/// How long KILL may take to do its work (ms).
const KILL_WAIT_MS: u64 = 7000;
/// How often to look where the kernel gives no inotify watch (ns).
const LOOK_NS: u64 = 100_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Services that have their command and are waited for.
pub struct Waiter {
    action: Action,
    targets: Vec<Target>,
    inotify: Option<OwnedFd>,
    children: Option<SignalFd>,
    end_ns: u64,
    killed: bool,
    failed: usize,
}

struct Target {
    name: Vec<u8>,
    service: Service,
    /// `None` for an action that only looks.
    control: Option<Control>,
    before: Status,
    watches: Vec<Option<i32>>,
    check: Check,
    /// Something may have changed since it was last judged.
    is_dirty: bool,
}

/// How the waiting for a service ended.
enum Outcome {
    Reached(Status),
    Ended(Trouble),
}

impl Waiter {
    /// Starts the clock.
    pub fn new(action: Action, wait_ms: u64) -> Self {
        raise_descriptor_limit();
        Self {
            action,
            targets: Vec::new(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            children: SignalFd::new(&[SIGCHLD]).ok(),
            end_ns: after_ms(wait_ms.max(WAIT_MS_MIN)),
            killed: false,
            failed: 0,
        }
    }

    /// Commands a service, to be waited for.
    pub fn add(&mut self, name: &[u8]) -> Result<(), Trouble> {
        let dir = locate(name);
        self.await_supervisor(name, &dir);
        let watches = self.watch(&dir);
        let service = Service::named(name)?;
        let before = service.status()?;
        let control = if self.action.bytes.is_empty() {
            None
        } else {
            let control = service.control()?;
            control.send(self.action.bytes)?;
            Some(control)
        };
        self.targets.push(Target {
            name: name.to_vec(),
            service,
            control,
            before,
            watches,
            check: Check::new(),
            is_dirty: true,
        });
        Ok(())
    }

    /// Returns when the service has a supervisor, cannot be hoped to get one, or
    /// the time is up.
    fn await_supervisor(&mut self, name: &[u8], dir: &Path) {
        let mut is_new = false;
        while self.action.starts() && boot_ns() < self.end_ns {
            // The second watch fails until the first has seen its directory.
            let is_watched = self.add_watch(dir, WatchFlags::CREATE).is_some();
            let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::OPEN;
            let _ = self.add_watch(&dir.join("supervise"), events);
            match Service::named(name) {
                Err(Trouble::Missing(_)) => is_new = true,
                // The fifo is there, and will be opened next.
                Err(Trouble::Dead) if is_new => {}
                _ => return,
            }
            let left = self.end_ns.saturating_sub(boot_ns());
            let timeout = timespec(if is_watched { left } else { LOOK_NS.min(left) });
            let inotify = self.inotify.iter();
            let mut fds: Vec<_> = inotify.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            let _ = poll(&mut fds, Some(&timeout));
            self.mark();
        }
    }

    fn add_watch(&self, path: &Path, events: WatchFlags) -> Option<i32> {
        let inotify = self.inotify.as_ref()?;
        inotify::add_watch(inotify, path, events).ok()
    }

    /// Waits for all and reports each as it is done; returns how many failed.
    pub fn finish(mut self) -> usize {
        loop {
            self.judge();
            if self.targets.is_empty() {
                return self.failed;
            }
            if boot_ns() < self.end_ns {
                self.sleep();
            } else if self.action.kills && !self.killed {
                self.kill();
            } else {
                self.give_up();
                return self.failed;
            }
        }
    }

    /// Watches for a new status and for the reading of commands. Reading the
    /// status must not be among the events: we do it ourselves.
    fn watch(&self, dir: &Path) -> Vec<Option<i32>> {
        let add = |path: &str, events| self.add_watch(&dir.join(path), events);
        // runit's runsv renames; ours writes in place.
        let events = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        let mut watches = vec![add("supervise", events)];
        if !self.action.bytes.is_empty() {
            watches.push(add("supervise/control", WatchFlags::ACCESS));
        }
        watches
    }

    /// Reports and forgets the targets that are done.
    fn judge(&mut self) {
        let targets = std::mem::take(&mut self.targets);
        for mut target in targets {
            let is_dirty = std::mem::take(&mut target.is_dirty);
            match is_dirty.then(|| target.judge(&self.action)).flatten() {
                None => self.targets.push(target),
                Some(outcome) => self.report(&target, &outcome),
            }
        }
    }

    fn report(&mut self, target: &Target, outcome: &Outcome) {
        let done = if self.killed { "kill: " } else { "ok: " };
        let text = match outcome {
            Outcome::Reached(status) => target.line(done, status),
            Outcome::Ended(trouble) if trouble.is_success_of(&self.action) => {
                [done.as_bytes(), &target.name, b": runsv not running\n"].concat()
            }
            Outcome::Ended(trouble) => {
                self.failed += 1;
                trouble.line(&target.name)
            }
        };
        say::print_bytes(&text);
    }

    /// The time is up: sends KILL and gives it a time of its own.
    fn kill(&mut self) {
        self.killed = true;
        self.end_ns = after_ms(KILL_WAIT_MS);
        for target in &mut self.targets {
            // A supervisor that is gone shows itself when it is judged next.
            if let Some(control) = &target.control {
                let _ = control.send(b"k");
            }
            target.is_dirty = true;
        }
    }

    fn give_up(&mut self) {
        let late = if self.killed { "kill: " } else { "timeout: " };
        for target in &self.targets {
            let text = match target.service.status() {
                Ok(status) => target.line(late, &status),
                Err(trouble) => trouble.line(&target.name),
            };
            say::print_bytes(&text);
        }
        self.failed += self.targets.len();
    }

    /// Sleeps until something happens to a target, and marks it.
    fn sleep(&mut self) {
        let now = boot_ns();
        let again = self.targets.iter().filter_map(|t| t.wake_ns(now)).min();
        let wake = again.map_or(self.end_ns, |ns| ns.min(self.end_ns));
        let timeout = timespec(wake.saturating_sub(now));
        let mut fds = Vec::with_capacity(self.targets.len() + 2);
        // A lifeline asks for no event: errors come unasked.
        let lifelines = self.targets.iter().map(Target::lifeline).enumerate();
        let (owners, lifelines): (Vec<usize>, Vec<&OwnedFd>) =
            lifelines.filter_map(|(i, fd)| Some((i, fd?))).unzip();
        fds.extend(
            lifelines
                .into_iter()
                .map(|fd| PollFd::new(fd, PollFlags::empty())),
        );
        if let Some(inotify) = &self.inotify {
            fds.push(PollFd::new(inotify, PollFlags::IN));
        }
        if let Some(children) = &self.children {
            fds.push(PollFd::new(children, PollFlags::IN));
        }
        // Whatever it answers, the targets themselves are looked at next.
        let _ = poll(&mut fds, Some(&timeout));
        let ended = owners
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty());
        let ended: Vec<usize> = ended.map(|(owner, _)| *owner).collect();
        for owner in ended {
            if let Some(target) = self.targets.get_mut(owner) {
                target.is_dirty = true;
            }
        }
        self.mark();
    }

    fn mark(&mut self) {
        let changed = self.changed();
        let now = boot_ns();
        let mut child_ended = false;
        while self.children.as_ref().is_some_and(|c| c.next().is_some()) {
            child_ended = true;
        }
        for t in &mut self.targets {
            t.is_dirty |= t.watches.iter().flatten().any(|w| changed.contains(w))
                || changed.contains(&OVERFLOWN)
                || !t.is_watched()
                || t.check.again_at_ns().is_some_and(|ns| ns <= now)
                || (child_ended && t.check.is_running());
        }
    }

    /// The watches that have seen something.
    fn changed(&self) -> HashSet<i32> {
        let mut changed = HashSet::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        if let Some(inotify) = &self.inotify {
            let mut events = inotify::Reader::new(inotify, &mut buffer);
            while let Ok(event) = events.next() {
                changed.insert(match event.events() {
                    e if e.contains(ReadFlags::QUEUE_OVERFLOW) => OVERFLOWN,
                    _ => event.wd(),
                });
            }
        }
        changed
    }
}

/// Stands for every watch: the kernel has dropped events.
const OVERFLOWN: i32 = -1;

impl Target {
    /// `None` while there is something to wait for.
    fn judge(&mut self, action: &Action) -> Option<Outcome> {
        if self.lifeline().is_some_and(is_dead) {
            return Some(Outcome::Ended(Trouble::Dead));
        }
        if self.control.as_ref().is_some_and(|c| !c.is_read()) {
            return None;
        }
        let status = match self.service.status() {
            Ok(status) => status,
            Err(trouble) => return Some(Outcome::Ended(trouble)),
        };
        let reached = match action.verdict(&self.before, &status) {
            Verdict::Reached => true,
            Verdict::IfCheckPasses => self.check.passes(self.service.dir()),
            Verdict::NotYet => {
                self.check.stop();
                false
            }
        };
        reached.then_some(Outcome::Reached(status))
    }

    fn lifeline(&self) -> Option<&OwnedFd> {
        match &self.control {
            Some(control) => Some(control.lifeline()),
            None => self.service.lifeline(),
        }
    }

    /// When to look again though nothing tells to (boot clock, ns).
    fn wake_ns(&self, now: u64) -> Option<u64> {
        let look = (!self.is_watched()).then_some(now.saturating_add(LOOK_NS));
        self.check.again_at_ns().into_iter().chain(look).min()
    }

    fn is_watched(&self) -> bool {
        self.watches.iter().all(Option::is_some)
    }

    fn line(&self, prefix: &str, status: &Status) -> Vec<u8> {
        let text = self.service.describe(&self.name, status);
        [prefix.as_bytes(), &text, b"\n"].concat()
    }
}

fn after_ms(ms: u64) -> u64 {
    boot_ns().saturating_add(ms.saturating_mul(NS_PER_MS))
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}

/// Two descriptors a service are held open; the usual 1024 would not do for a
/// thousand services. Where it may not be raised, the surplus services fail one by one.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
}
