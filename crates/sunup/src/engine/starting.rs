//! Starts under way. The supervisor goes on while a child loads its program, and
//! takes the answers as they come; [`model::supervisor`] says what that means.
//!
//! The kernel can wake the supervisor for such an answer, but not for an answer and for
//! other events at the same time. So while there is nothing else to do, the supervisor
//! sleeps for an answer, but no longer than [`NAP_NS`]; then it takes signals and
//! commands again. After [`LATE_NS`] an answer is late. From then on the supervisor asks
//! for it at growing intervals: a program that hangs wakes it once in a second.

use std::ffi::CString;

use model::scan;
use model::service::{Announce, Failure, Pid};
use model::supervisor::{Id, Input, Job, UnitId};
use model::time::Instant;

use super::Engine;
use super::half::About;
use super::launch::Refusal;
use super::perform::path_of;
use crate::sys::child;
use crate::sys::clock;
use crate::sys::spawn;
use crate::sys::spawner::{SEATS, Start};

/// How long (ns) the supervisor may sleep for an answer only, without taking events.
const NAP_NS: u64 = 2_000_000;
/// An answer that takes longer (ns) is late.
const LATE_NS: u64 = 100_000_000;
/// The longest time (ns) between two looks for a late answer; below that, each look comes
/// after as long as the start has taken so far.
const ASK_NS_MAX: u64 = 1_000_000_000;

/// A start whose outcome is not known yet.
struct UnderWay {
    job: Job,
    start: Start,
    since: Instant,
    /// If it is late: when to look for it again.
    ask_at: Option<Instant>,
}

/// The starts whose outcome is not known yet, in order.
#[derive(Default)]
pub struct Starting(Vec<UnderWay>);

impl Starting {
    /// Whether one more start now would use the machine well.
    pub fn has_room(&self) -> bool {
        self.0.iter().filter(|way| way.ask_at.is_none()).count() < SEATS
    }

    /// Whether no start is under way.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the answer to the start of a service's process is to come soon.
    pub fn is_expected(&self, id: Id) -> bool {
        let is_it = |way: &UnderWay| way.job.id() == id && way.job.is_process();
        self.0.iter().any(|way| is_it(way) && way.ask_at.is_none())
    }

    /// When to look at those that are late.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|way| way.ask_at).min()
    }
}

impl Engine {
    /// Starts a child; if that is refused, the answer comes at once.
    pub(super) fn start(&mut self, job: Job, announce: Announce) -> Option<Input> {
        let id = job.id();
        let mut gift = self.give_voice(id, announce);
        gift.variables.extend(self.instance_of(id.unit));
        let Some(unit) = self.units.get(&id.unit) else {
            return Some(Input::NotStarted(job, Failure::Absent));
        };
        let dir = || path_of(self.scan_dir.as_ref(), &self.core, id);
        match self.launcher.launch(unit, job, gift, dir) {
            Ok(start) => {
                self.starting.0.push(UnderWay {
                    job,
                    start,
                    since: clock::now(),
                    ask_at: None,
                });
                None
            }
            Err(refusal) => {
                self.record_start(job, clock::now(), None, false);
                Some(self.refused(job, refusal))
            }
        }
    }

    /// What the programs of an instance are told of it, those of its logger, too.
    fn instance_of(&self, unit: UnitId) -> Option<CString> {
        let instance = scan::instance(self.core.name(unit)?)?;
        CString::new([b"INSTANCE=", instance].concat()).ok()
    }

    /// Hands in the answers that have come, and reports starts that are late.
    pub(super) fn take_answers(&mut self) {
        let mut at = 0;
        while let Some(way) = self.starting.0.get(at) {
            let now = clock::now();
            let asks = way.ask_at.is_some_and(|ask_at| ask_at <= now);
            if self.launcher.is_over(&way.start, 0, asks) {
                self.finish(at);
                continue;
            }
            let taken_ns = now.0.saturating_sub(way.since.0);
            if asks || way.ask_at.is_none() && taken_ns >= LATE_NS {
                self.is_late(at, now, taken_ns);
            }
            at += 1;
        }
    }

    fn is_late(&mut self, at: usize, now: Instant, taken_ns: u64) {
        let Some(way) = self.starting.0.get_mut(at) else {
            return;
        };
        let is_news = way.ask_at.is_none();
        // A leader of a session has made none yet.
        let process = self.launcher.process(&way.start);
        if let Some(pid) = process {
            way.ask_at = Some(Instant(now.0 + taken_ns.min(ASK_NS_MAX)));
            let (job, since) = (way.job, way.since);
            if !is_news {
                return;
            }
            self.record_start(job, since, Some(pid as Pid), false);
            if let Some(half) = self.half(job.id()).filter(|_| job.is_process()) {
                // That of an adopted process has ended.
                half.pidfd = None;
            }
            self.feed(Input::Late(job, pid as Pid));
        }
    }

    /// Sleeps until an expected answer comes, for [`NAP_NS`] at most. Returns whether
    /// there was one to wait for.
    pub(super) fn nap(&self) -> bool {
        let mut starts = self.starting.0.iter();
        let next = starts.find(|way| way.ask_at.is_none());
        next.inspect(|way| {
            self.launcher.is_over(&way.start, NAP_NS, false);
        })
        .is_some()
    }

    /// Waits for all answers, or those of one unit, and hands them in. A start that is
    /// late, or becomes late, counts as started.
    pub(super) fn take_all_answers(&mut self, of: Option<UnitId>) {
        let now = clock::now();
        let is_of = |way: &mut UnderWay| of.is_none_or(|unit| way.job.id().unit == unit);
        let ways: Vec<_> = self.starting.0.extract_if(.., is_of).collect();
        for UnderWay {
            job, start, since, ..
        } in ways
        {
            let taken_ns = now.0.saturating_sub(since.0);
            let wait_ns = LATE_NS.saturating_sub(taken_ns);
            let is_over = self.launcher.is_over(&start, wait_ns, true);
            let dir = || path_of(self.scan_dir.as_ref(), &self.core, job.id());
            let pid = if is_over {
                self.launcher.finish(start, job, dir)
            } else {
                self.launcher.abandon(start, job, dir)
            };
            self.answer(job, since, pid);
        }
    }

    /// Takes all answers, or those of one unit, and does what follows, until no start is
    /// under way: a run that failed has a finish.
    pub(super) fn settle_starts(&mut self, of: Option<UnitId>) {
        let is_of = |way: &UnderWay| of.is_none_or(|unit| way.job.id().unit == unit);
        while self.starting.0.iter().any(is_of) {
            self.take_all_answers(of);
            self.act();
        }
    }

    /// To be called before descriptors of a service or logger are replaced: waits until
    /// no child needs them.
    pub(super) fn let_go(&self, id: Id) {
        if self.starting.0.iter().any(|way| way.job.id() == id) {
            self.launcher.wait();
        }
    }

    /// Hands in the answer of a dead child's own start, which must come before the child
    /// is reaped. Returns whether the zombie still exists. Starts that follow from the
    /// answer cannot get its pid.
    pub(super) fn may_be_reaped(&mut self, pid: rustix::process::Pid) -> bool {
        let raw = pid.as_raw_pid();
        if self.launcher.take_leader(raw) {
            self.finish_without_process();
            return false;
        }
        let mut starts = self.starting.0.iter();
        let own = starts.position(|way| self.launcher.process(&way.start) == Some(raw));
        let Some(at) = own else {
            return true;
        };
        if child::has_ended(pid) != Ok(true) {
            return false;
        }
        self.finish(at);
        child::has_ended(pid) == Ok(true)
    }

    /// Hands in the answer of a start whose leader was killed before it made the program's
    /// process. Nobody else tells of that.
    fn finish_without_process(&mut self) {
        let is_lost = |way: &UnderWay| {
            let process = self.launcher.process(&way.start);
            process.is_none() && self.launcher.is_over(&way.start, 0, true)
        };
        if let Some(at) = self.starting.0.iter().position(is_lost) {
            self.finish(at);
        }
    }

    /// Hands in the answer of a finished start, and performs the actions that follow.
    fn finish(&mut self, at: usize) {
        let UnderWay {
            job, start, since, ..
        } = self.starting.0.remove(at);
        let dir = || path_of(self.scan_dir.as_ref(), &self.core, job.id());
        let finished = self.launcher.finish(start, job, dir);
        self.answer(job, since, finished);
        self.act();
    }

    fn answer(&mut self, job: Job, since: Instant, pid: Result<spawn::Pid, Refusal>) {
        let process = pid.as_ref().ok().map(|pid| *pid as Pid);
        self.record_start(job, since, process, process.is_some());
        let answer = match pid {
            Ok(pid) => {
                if let Some(half) = self.half(job.id()) {
                    half.started(job);
                }
                Input::Started(job, pid as Pid)
            }
            Err(refusal) => self.refused(job, refusal),
        };
        self.core.handle(clock::moment(), answer);
        let run = process.filter(|_| matches!(job, Job::Run(_)));
        if let Some(ready) = run.and_then(|pid| self.hear_nothing(job.id(), pid)) {
            self.core.handle(clock::moment(), ready);
        }
    }

    fn refused(&mut self, job: Job, refusal: Refusal) -> Input {
        if let Some(text) = refusal.complaint {
            let id = job.id();
            let (who, text) = (self.who, format!("{}: {text}", self.title_of(id)));
            if let Some(half) = self.half(id) {
                half.complain(who, About::job(job), text);
            }
        }
        Input::NotStarted(job, refusal.failure)
    }
}
