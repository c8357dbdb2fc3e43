//! Waiting until commands have taken effect, for many services in one loop.
//!
//! sv sends all commands first, so that the supervisor works while the next command is
//! prepared. Then it looks at each service. Only if it has to wait, it watches the
//! service and looks again, so that no change is missed: a watch costs more than a look,
//! especially for the supervisor. Commands take effect in the order in which they were
//! sent. So for many services sv looks in that order, too, at some at a time, when the
//! last of these is done.
//!
//! The supervisor tells of progress by writing a new status, by reading
//! `supervise/control`, and by closing its end of the fifos when it ends. A status counts
//! only once the supervisor has read the command: an old status that happens to show what
//! is wanted proves nothing. If the status is already the wanted one, no other may come;
//! then sv watches for the reading of the command.
//!
//! If a service is to start and never had a supervisor, sv waits for a supervisor: the
//! service may have been enabled just now.
//!
//! A start counts only after a moment (`model::control::life`), which all services wait
//! for at the same time: a service whose status is right is not looked at until then.
//!
//! The deadline is on the boot clock. A forced action has a deadline for each service
//! (`model::control::patience`): when that has come, sv sends KILL, and gives it a fixed
//! time to do its work. A service that only waits for others, which are not waited for
//! here, is told to stop once more, and then does not wait for them.
//!
//! On a terminal, sv says every few seconds for whom it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;

use model::control::patience::{Due, Patience};
use model::control::{Action, Others};
use model::format::state::reason::Reason;
use model::time::Instant;
use rustix::fs::inotify::WatchFlags;
use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client::{Service, Trouble};
use super::directories::locate;
use super::events::{Events, LOOK_NS, News};
use super::output::Output;
use super::target::{Outcome, Restless, Target};
use crate::sys::clock::{after_ms, boot_ns};
use crate::{personality, say};

/// The shortest wait (ms): a supervisor needs a moment even for `-w 0`.
const WAIT_MS_MIN: u64 = 500;
/// How often sv says for whom it waits (ms).
const TELL_MS: u64 = 5000;
/// At most so many of them are named.
const NAMED_MAX: usize = 8;
/// So many are looked at when the last of them is done,
const TURN: usize = 64;
/// as long as that happens by then (ms); a service may take long to stop.
const TURNS_MS: u64 = 100;

/// Services that have their command and are waited for.
pub struct Waiter {
    action: Action,
    /// By number, in the order in which they were named.
    targets: BTreeMap<usize, Target>,
    /// The last of the numbers.
    number: usize,
    events: Events,
    /// Those to which something may have happened since they were last judged.
    dirty: BTreeSet<usize>,
    /// When to look at services without an event.
    restless: BTreeMap<usize, Restless>,
    wait_ms: u64,
    /// The first moment at which there may be something to do.
    end_ns: u64,
    /// When to say for whom sv waits; `None`: never.
    tells_ns: Option<u64>,
    failed: usize,
}

impl Waiter {
    /// Starts the clock.
    pub fn new(action: Action, wait_ms: u64, count: usize) -> Self {
        let spare = raise_descriptor_limit(count);
        Self {
            action,
            targets: BTreeMap::new(),
            number: 0,
            events: Events::new(spare),
            dirty: BTreeSet::new(),
            restless: BTreeMap::new(),
            wait_ms,
            end_ns: after_ms(wait_ms.max(WAIT_MS_MIN)),
            tells_ns: is_seen().then(|| after_ms(TELL_MS)),
            failed: 0,
        }
    }

    /// The next service; what is to be started gets time to get a supervisor.
    pub fn find(&mut self, name: &[u8], out: &mut Output) -> Result<Service, Trouble> {
        self.number += 1;
        self.await_supervisor(self.number, name, &locate(name), out);
        Service::named(name)
    }

    /// Sends the command to the service that was found last, and notes to wait for it.
    pub fn add(&mut self, name: &[u8], mut service: Service) -> Result<(), Trouble> {
        let before = service.status()?;
        let control = if self.action.bytes.is_empty() {
            None
        } else {
            let control = service.control()?;
            control.send(self.action.bytes)?;
            service.drop_lifeline();
            Some(control)
        };
        let is_patient = self.action.kills || self.tells_ns.is_some();
        let patience = is_patient.then(|| {
            let wait_ms = self.wait_ms.max(WAIT_MS_MIN);
            Patience::new(wait_ms, Instant(self.end_ns))
        });
        let files = (service, control);
        let target = Target::new(name, files, before, self.wait_ms, patience);
        self.targets.insert(self.number, target);
        Ok(())
    }

    /// Returns when the service has a supervisor, cannot get one, or the time is up.
    fn await_supervisor(&mut self, number: usize, name: &[u8], dir: &Path, out: &mut Output) {
        let waits = match Service::named(name) {
            Err(Trouble::Missing(_)) => self.action.starts(),
            Err(Trouble::Dead) => self.action.others == Others::Enable,
            _ => false,
        };
        if !waits {
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
            // Where nobody can make `supervise`, it is made in a room elsewhere.
            let is_told = is_watched && access(dir, Access::WRITE_OK).is_ok();
            let left = self.end_ns.saturating_sub(boot_ns());
            let timeout = if is_told { left } else { LOOK_NS.min(left) };
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
            let now = boot_ns();
            if self.tells_ns.is_some_and(|at| at <= now) {
                self.tell(out);
            }
            if now < self.end_ns {
                self.sleep(self.tells_ns.map_or(self.end_ns, |at| at.min(self.end_ns)));
            } else if self.action.kills {
                self.force(out);
            } else {
                let rest: Vec<usize> = self.targets.keys().copied().collect();
                for number in rest {
                    self.give_up(number, out);
                }
                return self.failed;
            }
        }
    }

    /// Looks at some at a time, if there are many.
    fn take_turns(&mut self, out: &mut Output) {
        let numbers: Vec<usize> = self.targets.keys().copied().collect();
        let until = after_ms(TURNS_MS).min(self.end_ns);
        for turn in numbers.chunks(TURN).filter(|_| numbers.len() > TURN) {
            let Some(last) = turn.last() else { return };
            self.dirty.insert(*last);
            self.judge(out);
            while self.targets.get(last).is_some_and(|t| !t.is_young()) {
                if boot_ns() >= until {
                    return;
                }
                out.flush();
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
            match target.restless() {
                Some(restless) => self.restless.insert(number, restless),
                None => self.restless.remove(&number),
            };
            if let Some(outcome) = outcome
                && let Some(target) = self.targets.remove(&number)
            {
                self.restless.remove(&number);
                self.events.forget(number);
                self.report(&target, &outcome, out);
            }
        }
    }

    fn report(&mut self, target: &Target, outcome: &Outcome, out: &mut Output) {
        let done = if self.is_killed(target) {
            "kill: "
        } else {
            "ok: "
        };
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

    /// Whether the service has got KILL because that was asked for.
    fn is_killed(&self, target: &Target) -> bool {
        let now = Instant(boot_ns());
        let patience = target.patience.filter(|_| self.action.kills);
        patience.is_some_and(|patience| patience.is_killed(now))
    }

    /// The time of some may be over: those get KILL, or are given up.
    fn force(&mut self, out: &mut Output) {
        let now = Instant(boot_ns());
        let mut next: Option<Instant> = None;
        let mut given_up = vec![];
        for (number, target) in &mut self.targets {
            let Some(patience) = &mut target.patience else {
                continue;
            };
            match patience.due(now) {
                Due::Nothing(at) => next = next.into_iter().chain(at).min(),
                Due::GiveUp => given_up.push(*number),
                Due::Kill => {
                    patience.kill(now);
                    next = Some(now);
                    self.dirty.insert(*number);
                    // If the supervisor has gone, the next look shows that.
                    if let Some(control) = &target.control {
                        let _ = control.send(b"k");
                    }
                }
            }
        }
        for number in given_up {
            self.give_up(number, out);
        }
        if next.is_none() {
            self.insist(now);
        }
        self.end_ns = next.unwrap_or(now).0;
    }

    /// All that are left wait for others. They are told once more, and then do not wait.
    fn insist(&mut self, now: Instant) {
        for (number, target) in &mut self.targets {
            if let Some(patience) = &mut target.patience {
                patience.insist(now);
            }
            self.dirty.insert(*number);
            if let Some(control) = &target.control {
                let _ = control.send(self.action.bytes);
            }
        }
    }

    /// Waits no longer for a service.
    fn give_up(&mut self, number: usize, out: &mut Output) {
        let Some(target) = self.targets.remove(&number) else {
            return;
        };
        self.restless.remove(&number);
        self.events.forget(number);
        self.failed += 1;
        let late = if self.is_killed(&target) {
            "kill: "
        } else {
            "timeout: "
        };
        let status = target.service.status();
        let text = match &status {
            Ok(status) => target.line(late, status, out),
            Err(trouble) => trouble.line(&target.name),
        };
        out.say(&text);
        let Some(word) = self.action.forced() else {
            return;
        };
        let name = target.name.escape_ascii();
        match target.service.reason() {
            Some(Reason::Kill(at)) => {
                let left_s = seconds_until(at, Instant(boot_ns()));
                out.hint(&format!("{name} gets KILL in {left_s} s"));
            }
            _ if status.is_ok_and(|status| status.got_term) => out.hint(&format!(
                "{name} takes no notice of TERM: `sv {word} {name}` sends KILL"
            )),
            _ => {}
        }
    }

    /// Says for whom sv waits.
    fn tell(&mut self, out: &mut Output) {
        let now = Instant(boot_ns());
        let named = self.targets.values().take(NAMED_MAX).map(|target| {
            let name = target.name.escape_ascii();
            match target.patience.and_then(|patience| patience.kill_at(now)) {
                Some(at) => format!("{name} ({}s left)", seconds_until(at, now)),
                None => name.to_string(),
            }
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match self.targets.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        out.flush();
        say::line("sv", format_args!("waiting for {named}{more}"));
        self.tells_ns = Some(after_ms(TELL_MS));
    }

    /// Sleeps until something happens to a target, and marks it; `until` then at most.
    fn sleep(&mut self, until: u64) {
        let now = boot_ns();
        let again = self.restless.values().filter_map(|restless| {
            let look = restless.always.then_some(now.saturating_add(LOOK_NS));
            restless.at_ns.into_iter().chain(look).min()
        });
        let wake = again.min().map_or(until, |ns| ns.min(until));
        let news = self.events.wait(wake.saturating_sub(now));
        self.mark(&news);
    }

    fn mark(&mut self, news: &News) {
        if news.is_vague {
            self.dirty.extend(self.targets.keys());
        }
        self.dirty.extend(&news.touched);
        let now = boot_ns();
        let due = self.restless.iter().filter(|(_, restless)| {
            restless.always
                || restless.at_ns.is_some_and(|ns| ns <= now)
                || (news.child_ended && restless.child)
        });
        self.dirty.extend(due.map(|(number, _)| *number));
    }
}

/// Whether somebody reads what sv says while it waits.
fn is_seen() -> bool {
    std::io::stderr().is_terminal() && !personality::is_busybox()
}

/// Whole seconds, not less than there are.
const fn seconds_until(at: Instant, now: Instant) -> u64 {
    at.ms_since(now).div_ceil(1000)
}

/// sv holds two descriptors open for each service, and a third for each that dnotify
/// watches; if there are too few, inotify watches instead. The usual limit of 1024 is too
/// low for a thousand services, and the kernel's hard limit of 4096, which root may
/// raise, for ten thousand. If it cannot be raised, the surplus services fail one by one.
/// Returns how many services may take a third descriptor.
pub fn raise_descriptor_limit(count: usize) -> usize {
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
