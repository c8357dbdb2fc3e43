//! Waiting until commands have taken effect, for many services in one loop.
//!
//! Each is sent its command at once, for the supervisor works while the next is
//! prepared. Then each is looked at, and only if there is something to wait for it
//! is watched and looked at again, so nothing that happens can be missed: watching
//! costs more than looking, the supervisor most of all. As commands take effect in
//! the order in which they were sent, the looks at many go in that order, too, some
//! at a time, when the last of these is done.
//!
//! The supervisor tells of progress by writing a new status, by reading
//! `supervise/control`, and by closing its end of the fifos when it ends. A status
//! counts only once the supervisor has read the command: an old status that
//! happens to show what is wanted proves nothing. The reading is watched for where
//! the status says already what is wanted, so that no other may come.
//!
//! A service that is to start and never had a supervisor is given the time to get
//! one: it may have been enabled just now.
//!
//! The deadline is on the boot clock. A forced action that is late gets KILL and
//! a second, fixed time for the kill to do its work.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use model::control::{Action, Verdict};
use model::format::status::Status;
use rustix::fs::inotify::WatchFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::check::Check;
use super::events::{Events, LOOK_NS, News};
use super::output::Output;
use super::supervise::{Control, Service, Trouble, is_dead, locate};
use crate::sys::clock::boot_ns;

/// The least time that is waited (ms): a supervisor needs a moment even for `-w 0`.
const WAIT_MS_MIN: u64 = 500;
/// How long KILL may take to do its work (ms).
const KILL_WAIT_MS: u64 = 7000;
const NS_PER_MS: u64 = 1_000_000;
/// So many are looked at when the last of them is done,
const TURN: usize = 64;
/// as long as that happens by then (ms); a service may take long to stop.
const TURNS_MS: u64 = 100;

/// Services that have their command and are waited for.
pub struct Waiter {
    action: Action,
    /// By number, in the order in which they were named.
    targets: BTreeMap<usize, Target>,
    next_number: usize,
    events: Events,
    /// Those to which something may have happened since they were last judged.
    dirty: BTreeSet<usize>,
    /// Those to be looked at though nothing tells to.
    restless: BTreeSet<usize>,
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
    /// Whether the kernel tells of its status, and of its supervisor's end.
    tells_status: Tells,
    /// Whether it tells of the reading of commands.
    tells_reading: Tells,
    check: Check,
}

/// Whether the kernel tells of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// Nobody asked it to.
    Unasked,
    Yes,
    /// It cannot: there is nothing but to look again and again.
    No,
}

/// What a look at a service shows.
enum Look {
    Done(Outcome),
    /// A new status has to come.
    Waits,
    /// The status is right, if only the supervisor has read the command.
    Unread,
}

/// How the waiting for a service ended.
enum Outcome {
    Reached(Status),
    Ended(Trouble),
}

impl Waiter {
    /// Starts the clock.
    pub fn new(action: Action, wait_ms: u64, count: usize) -> Self {
        let spare = raise_descriptor_limit(count);
        Self {
            action,
            targets: BTreeMap::new(),
            next_number: 0,
            events: Events::new(spare),
            dirty: BTreeSet::new(),
            restless: BTreeSet::new(),
            end_ns: after_ms(wait_ms.max(WAIT_MS_MIN)),
            killed: false,
            failed: 0,
        }
    }

    /// Commands a service, to be waited for.
    pub fn add(&mut self, name: &[u8], out: &mut Output) -> Result<(), Trouble> {
        let dir = locate(name);
        let number = self.next_number;
        self.next_number += 1;
        self.await_supervisor(number, name, &dir, out);
        let mut service = Service::named(name)?;
        let before = service.status()?;
        let control = if self.action.bytes.is_empty() {
            None
        } else {
            let control = service.control()?;
            control.send(self.action.bytes)?;
            service.drop_lifeline();
            Some(control)
        };
        let target = Target {
            name: name.to_vec(),
            service,
            control,
            before,
            tells_status: Tells::Unasked,
            tells_reading: Tells::Unasked,
            check: Check::new(),
        };
        self.targets.insert(number, target);
        Ok(())
    }

    /// Returns when the service has a supervisor, cannot be hoped to get one, or
    /// the time is up.
    fn await_supervisor(&mut self, number: usize, name: &[u8], dir: &Path, out: &mut Output) {
        if !self.action.starts() || !matches!(Service::named(name), Err(Trouble::Missing(_))) {
            return;
        }
        while boot_ns() < self.end_ns {
            // The second watch fails until the first has seen its directory.
            let is_watched = self.events.watch(number, dir, WatchFlags::CREATE);
            let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::OPEN;
            self.events.watch(number, &dir.join("supervise"), events);
            match Service::named(name) {
                // Dead: the fifo is there, and will be opened next.
                Err(Trouble::Missing(_) | Trouble::Dead) => {}
                _ => return,
            }
            out.flush();
            let left = self.end_ns.saturating_sub(boot_ns());
            let timeout = if is_watched { left } else { LOOK_NS.min(left) };
            let news = self.events.wait_for_watches(timeout);
            self.mark(&news);
        }
    }

    /// Waits for all and reports each as it is done; returns how many failed.
    pub fn finish(mut self, out: &mut Output) -> usize {
        self.take_turns(out);
        self.dirty.extend(self.targets.keys());
        loop {
            self.judge(out);
            // Also before the end: closing an inotify makes the kernel wait.
            out.flush();
            if self.targets.is_empty() {
                return self.failed;
            }
            if boot_ns() < self.end_ns {
                self.sleep(self.end_ns);
            } else if self.action.kills && !self.killed {
                self.kill();
            } else {
                self.give_up(out);
                return self.failed;
            }
        }
    }

    /// Looks at many, some at a time.
    fn take_turns(&mut self, out: &mut Output) {
        let numbers: Vec<usize> = self.targets.keys().copied().collect();
        let until = after_ms(TURNS_MS).min(self.end_ns);
        for turn in numbers.chunks(TURN) {
            let Some(last) = turn.last() else { return };
            self.dirty.insert(*last);
            self.judge(out);
            while self.targets.contains_key(last) {
                if boot_ns() >= until {
                    return;
                }
                self.sleep(until);
                self.judge(out);
            }
            self.dirty.extend(turn);
            self.judge(out);
        }
    }

    /// Reports and forgets the targets that are done.
    fn judge(&mut self, out: &mut Output) {
        for number in std::mem::take(&mut self.dirty) {
            let Some(target) = self.targets.get_mut(&number) else {
                continue;
            };
            let outcome = target.judge(number, &self.action, &mut self.events, out);
            if target.is_restless() {
                self.restless.insert(number);
            } else {
                self.restless.remove(&number);
            }
            if let Some(outcome) = outcome
                && let Some(target) = self.targets.remove(&number)
            {
                self.restless.remove(&number);
                self.report(&target, &outcome, out);
            }
        }
    }

    fn report(&mut self, target: &Target, outcome: &Outcome, out: &mut Output) {
        let done = if self.killed { "kill: " } else { "ok: " };
        let text = match outcome {
            Outcome::Reached(status) => target.line(done, status, out),
            Outcome::Ended(trouble) if trouble.is_success_of(&self.action) => {
                [done.as_bytes(), &target.name, b": runsv not running\n"].concat()
            }
            Outcome::Ended(trouble) => {
                self.failed += 1;
                trouble.line(&target.name)
            }
        };
        out.say(&text);
    }

    /// The time is up: sends KILL and gives it a time of its own.
    fn kill(&mut self) {
        self.killed = true;
        self.end_ns = after_ms(KILL_WAIT_MS);
        for (number, target) in &self.targets {
            // A supervisor that is gone shows itself when it is judged next.
            if let Some(control) = &target.control {
                let _ = control.send(b"k");
            }
            self.dirty.insert(*number);
        }
    }

    fn give_up(&mut self, out: &mut Output) {
        let late = if self.killed { "kill: " } else { "timeout: " };
        for target in self.targets.values() {
            let text = match target.service.status() {
                Ok(status) => target.line(late, &status, out),
                Err(trouble) => trouble.line(&target.name),
            };
            out.say(&text);
        }
        self.failed += self.targets.len();
    }

    /// Sleeps until something happens to a target, and marks it; `until` then at most.
    fn sleep(&mut self, until: u64) {
        let now = boot_ns();
        let restless = self.restless.iter().filter_map(|n| self.targets.get(n));
        let again = restless.filter_map(|target| target.wake_ns(now)).min();
        let wake = again.map_or(until, |ns| ns.min(until));
        let news = self.events.wait(wake.saturating_sub(now));
        self.mark(&news);
    }

    fn mark(&mut self, news: &News) {
        if news.is_vague {
            self.dirty.extend(self.targets.keys());
        }
        self.dirty.extend(&news.touched);
        let now = boot_ns();
        for number in &self.restless {
            let is_due = self.targets.get(number).is_some_and(|t| {
                t.must_be_polled()
                    || t.check.again_at_ns().is_some_and(|ns| ns <= now)
                    || (news.child_ended && t.check.is_running())
            });
            if is_due {
                self.dirty.insert(*number);
            }
        }
    }
}

impl Target {
    /// `None` while there is something to wait for, which is watched then.
    fn judge(
        &mut self,
        number: usize,
        action: &Action,
        events: &mut Events,
        out: &mut Output,
    ) -> Option<Outcome> {
        loop {
            let look = self.look(action, out);
            if let Look::Done(outcome) = look {
                return Some(outcome);
            }
            if !self.watch_more(number, &look, events) {
                return None;
            }
        }
    }

    /// Watches what is waited for; whether it has only now begun to.
    fn watch_more(&mut self, number: usize, look: &Look, events: &mut Events) -> bool {
        let told = |tells| if tells { Tells::Yes } else { Tells::No };
        if self.tells_status == Tells::Unasked {
            let lifeline = self.lifeline();
            let is_guarded = lifeline.is_none_or(|lifeline| events.guard(number, lifeline));
            let dir = self.service.dir();
            self.tells_status = told(events.watch_status(number, dir) && is_guarded);
            return true;
        }
        if matches!(look, Look::Unread) && self.tells_reading == Tells::Unasked {
            self.tells_reading = told(events.watch_reading(number, self.service.dir()));
            return true;
        }
        false
    }

    fn look(&mut self, action: &Action, out: &mut Output) -> Look {
        if self.lifeline().is_some_and(is_dead) {
            return Look::Done(Outcome::Ended(Trouble::Dead));
        }
        // Before the status, which is to be of after that.
        let is_read = self.control.as_ref().is_none_or(Control::is_read);
        let status = match self.service.status() {
            Ok(status) => status,
            Err(trouble) => return Look::Done(Outcome::Ended(trouble)),
        };
        let reached = match action.verdict(&self.before, &status) {
            Verdict::NotYet => {
                self.check.stop();
                return Look::Waits;
            }
            _ if !is_read => return Look::Unread,
            Verdict::Reached => true,
            Verdict::IfCheckPasses => {
                // It may warn.
                out.flush();
                self.check.passes(self.service.dir())
            }
        };
        if reached {
            Look::Done(Outcome::Reached(status))
        } else {
            Look::Waits
        }
    }

    fn lifeline(&self) -> Option<&OwnedFd> {
        match &self.control {
            Some(control) => Some(control.lifeline()),
            None => self.service.lifeline(),
        }
    }

    /// Whether it is to be looked at though nothing tells to, or when a child ends.
    fn is_restless(&self) -> bool {
        self.must_be_polled() || self.check.is_running() || self.check.again_at_ns().is_some()
    }

    /// Whether something may happen to it that nothing tells of.
    fn must_be_polled(&self) -> bool {
        self.tells_status == Tells::No || self.tells_reading == Tells::No
    }

    /// When to look again though nothing tells to (boot clock, ns).
    fn wake_ns(&self, now: u64) -> Option<u64> {
        let look = self.must_be_polled().then_some(now.saturating_add(LOOK_NS));
        self.check.again_at_ns().into_iter().chain(look).min()
    }

    fn line(&self, prefix: &str, status: &Status, out: &mut Output) -> Vec<u8> {
        let text = self
            .service
            .describe(&self.name, status, self.service.entries(), out);
        [prefix.as_bytes(), &text, b"\n"].concat()
    }
}

fn after_ms(ms: u64) -> u64 {
    boot_ns().saturating_add(ms.saturating_mul(NS_PER_MS))
}

/// Two descriptors for each of many services are held open, and a third of those that
/// are watched, which inotify spares where there is none; the usual 1024 would not
/// do for a thousand services, nor the kernel's own hard 4096 for ten thousand, which
/// root may raise. Where it may not be raised, the surplus services fail one by one.
/// Returns how many may be watched at that price.
fn raise_descriptor_limit(count: usize) -> usize {
    let (least, whole) = (2 * count as u64 + 64, 3 * count as u64 + 64);
    let limit = getrlimit(Resource::Nofile);
    let needed = limit.maximum.map(|most| most.max(whole));
    let _raised = [needed, limit.maximum].into_iter().any(|most| {
        let raised = Rlimit {
            current: most,
            maximum: most,
        };
        setrlimit(Resource::Nofile, raised).is_ok()
    });
    let spare = |most: u64| most.saturating_sub(least) as usize;
    getrlimit(Resource::Nofile).current.map_or(count, spare)
}
