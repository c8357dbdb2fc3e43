//! What a supervisor that is replaced in place (the same process, another program) tells
//! its successor, and how the successor continues (`docs/decisions/0014-upgrade.md`).
//!
//! One line for each thing: `unit NUMBER WORDS`, `main NUMBER WORDS`, `log NUMBER WORDS`,
//! and `script PID WORDS` for each control script that runs. Words are those of
//! [`crate::service::handover`]. Other lines are not ours. What a look at the scan
//! directory also shows is left out.
//!
//! A pid may occur twice: an adopted process may have ended, its pidfd not yet handled,
//! and its pid may belong to a new child. So a child, whose pid is certainly its own
//! until it is reaped, goes before processes that are watched by pidfd.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::own::Own;
use super::unit::{Asks, Half, Rest, Unit};
use super::{Id, Job, Scope, Supervisor, UnitId};
use crate::command::Sig;
use crate::format::adopt::Mark;
use crate::format::state::last::Last;
use crate::format::tai64n::Tai64n;
use crate::moment::Moment;
use crate::scan::Identity;
use crate::service::handover::{has, number, value};
use crate::service::{Pid, Role, Service};
use crate::time::Instant;

impl Supervisor {
    /// The lines for a successor; call this when all actions are done.
    pub fn handover(&self) -> String {
        let mut text = String::new();
        for (number, unit) in &self.units {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "unit {number} name={} dev={} ino={}",
                to_hex(&unit.name),
                unit.identity.dev,
                unit.identity.ino
            );
            for (word, holds) in [
                ("piped", unit.piped),
                ("sheds_log", unit.sheds_log),
                ("removed", unit.removed),
                ("untold", self.untold.contains(number)),
                ("ordered", self.is_ordered(*number)),
            ] {
                if holds {
                    text.extend([" ", word]);
                }
            }
            let _ = write!(text, "\nmain {number} {}\n", unit.main.handover());
            if let Some(log) = &unit.log {
                let _ = writeln!(text, "log {number} {}", log.handover());
            }
        }
        // Nobody needs the end of a script whose unit was closed.
        let scripts = self.owners.iter();
        for (pid, job) in scripts.filter(|(_, job)| self.half(job.id()).is_some()) {
            if let Some(words) = script(*job) {
                let _ = writeln!(text, "script {pid} unit={} {words}", job.id().unit);
            }
        }
        text
    }

    /// The supervisor that the lines tell of, at `now`. `is_open` says whether the
    /// descriptors of a service or logger are still open; if not, its unit is left out,
    /// and is opened like any other. All state files are due.
    pub fn resume(scope: Scope, text: &str, now: Moment, is_open: impl Fn(Id) -> bool) -> Self {
        let mut new = Self::new(scope);
        new.now = now;
        let lines = |kind: &'static str| {
            text.lines().filter_map(move |line| {
                let (number, words) = line
                    .strip_prefix(kind)?
                    .strip_prefix(' ')?
                    .split_once(' ')?;
                Some((number.parse::<u64>().ok()?, words))
            })
        };
        let [mains, logs] = ["main", "log"].map(|kind| lines(kind).collect());
        for (unit, words) in lines("unit") {
            if let Some(found) = resume_unit(unit, words, &mains, &logs, &is_open) {
                new.adopt(unit, found);
                if has(words, "untold") {
                    new.order(unit);
                }
                if has(words, "ordered") {
                    new.order_resumed(unit);
                }
            }
        }
        let is_held = |id: &Id| new.half(*id).is_some_and(|half| half.held);
        let (held, children): (Vec<Id>, Vec<Id>) = new.ids().into_iter().partition(is_held);
        for id in held.into_iter().chain(children) {
            new.own(id);
        }
        for (pid, words) in lines("script") {
            let job = resume_script(words).filter(|job| new.half(job.id()).is_some());
            if let (Some(job), Ok(pid)) = (job, Pid::try_from(pid)) {
                new.owners.insert(pid, job);
                if let Job::Check(id) = job {
                    new.resume_check(id.unit, pid);
                }
            }
        }
        new
    }

    fn adopt(&mut self, number: UnitId, unit: Unit) {
        self.next_unit = self.next_unit.max(number.saturating_add(1));
        self.by_identity.insert(unit.identity, number);
        let halves = [
            Some((Role::Main, &unit.main)),
            unit.log.as_deref().map(|log| (Role::Log, log)),
        ];
        for (role, half) in halves.into_iter().flatten() {
            let id = Id { unit: number, role };
            if !half.is_down() {
                self.busy.insert(id);
            }
            self.unshown.add(id, self.now.at);
            let deadline = half.service.deadline();
            self.alarms.set(super::Alarm::Service(id), deadline);
        }
        self.units.insert(number, Box::new(unit));
        // The entry may have changed while nobody watched it.
        if !self.scope.is_one() {
            self.log_changed(number);
        }
    }

    /// Every process that must be a child: all but those watched by descriptor.
    pub fn children(&self) -> Vec<Pid> {
        let is_held = |job: &Job| job.is_process() && self.half(job.id()).is_some_and(|h| h.held);
        let children = self.owners.iter().filter(|(_, job)| !is_held(job));
        children.map(|(pid, _)| *pid).collect()
    }

    /// Every service and logger.
    pub fn ids(&self) -> Vec<Id> {
        let ids = self.units.iter().flat_map(|(unit, open)| {
            let id = |role| Id { unit: *unit, role };
            [
                Some(id(Role::Main)),
                open.log.as_ref().map(|_| id(Role::Log)),
            ]
        });
        ids.flatten().collect()
    }
}

/// The numbered lines of one kind.
type Lines<'t> = Vec<(UnitId, &'t str)>;

fn resume_unit(
    number_of: UnitId,
    words: &str,
    mains: &Lines,
    logs: &Lines,
    is_open: impl Fn(Id) -> bool,
) -> Option<Unit> {
    // Units come in order.
    let find = |lines: &Lines, role| {
        let at = lines.binary_search_by_key(&number_of, |(n, _)| *n).ok()?;
        let (_, words) = lines.get(at)?;
        Some(
            is_open(Id {
                unit: number_of,
                role,
            })
            .then(|| Half::resume(role, words))
            .flatten(),
        )
    };
    let main = find(mains, Role::Main)??;
    let log = match find(logs, Role::Log) {
        Some(log) => Some(log?),
        None => None,
    };
    Some(Unit {
        name: from_hex(value(words, "name")?)?,
        identity: Identity {
            dev: number(words, "dev")?,
            ino: number(words, "ino")?,
        },
        main,
        piped: has(words, "piped") && log.is_some(),
        rest: Rest::default(),
        sheds_log: has(words, "sheds_log"),
        log: log.map(Box::new),
        log_seen_at: Instant(0),
        log_obstacle: String::new(),
        removed: has(words, "removed"),
        check: Asks::No,
        lines_until: None,
    })
}

impl Half {
    fn handover(&self) -> String {
        let changed = to_hex(&self.changed_at().encode());
        let mut text = format!("{} changed={changed}", self.service.handover());
        for (word, holds) in [
            ("held", self.held),
            ("epilogue", self.epilogue),
            ("marked", self.mark == Mark::Stop),
            ("marked_done", self.mark == Mark::Done),
            ("marked_over", self.mark == Mark::Over),
        ] {
            if holds {
                text.extend([" ", word]);
            }
        }
        if self.own.has_reason() {
            text.push_str(" has_reason");
        }
        if self.own.ends() > 0 {
            let _ = write!(text, " ends={}", self.own.ends());
        }
        if let Some((last, is_due)) = self.own.last()
            && (is_due || last.given_up)
        {
            text.extend([" last_line=", &to_hex(last.encode().as_bytes())]);
            text.push_str(if is_due { " last_is_due" } else { "" });
        }
        text
    }

    fn resume(role: Role, words: &str) -> Option<Self> {
        let changed = from_hex(value(words, "changed")?)?;
        let service = Service::resume(role, words)?;
        let changed = Tai64n::decode(changed.try_into().ok()?);
        let ends = number(words, "ends").and_then(|ends| ends.try_into().ok());
        let mut own = Own::again(&service, ends.unwrap_or(0), has(words, "has_reason"));
        let last = value(words, "last_line").and_then(from_hex);
        if let Some(last) = last.and_then(|line| Last::decode(&line)) {
            own.had_last(last, has(words, "last_is_due"));
        }
        let mut half = Self::again(service, changed, own);
        half.held = has(words, "held");
        half.epilogue = has(words, "epilogue");
        let marks = [
            ("marked", Mark::Stop),
            ("marked_done", Mark::Done),
            ("marked_over", Mark::Over),
        ];
        let found = marks.into_iter().find(|(word, _)| has(words, word));
        half.mark = found.map_or(Mark::None, |(_, mark)| mark);
        Some(half)
    }
}

fn script(job: Job) -> Option<String> {
    Some(match job {
        Job::Setup(_) | Job::Run(_) | Job::Finish(..) => return None,
        Job::Prepare(_) => "kind=prepare".into(),
        Job::Check(_) => "kind=check".into(),
        Job::Script(_, sig, pid) => {
            format!("kind=script letter={} of={pid}", char::from(sig.letter()))
        }
        Job::Epilogue(_, letter, pid) => {
            format!("kind=epilogue letter={} of={pid}", char::from(letter))
        }
    })
}

fn resume_script(words: &str) -> Option<Job> {
    // Loggers have no scripts.
    let id = Id {
        unit: number(words, "unit")?,
        role: Role::Main,
    };
    let letter = || value(words, "letter")?.bytes().next();
    let of = || Pid::try_from(number(words, "of")?).ok();
    match value(words, "kind")? {
        "prepare" => Some(Job::Prepare(id)),
        "check" => Some(Job::Check(id)),
        "script" => {
            let letter = letter()?;
            let sig = Sig::ALL.into_iter().find(|sig| sig.letter() == letter)?;
            Some(Job::Script(id, sig, of()?))
        }
        "epilogue" => Some(Job::Epilogue(id, letter()?, of()?)),
        _ => None,
    }
}

/// Two digits for each byte.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As [`to_hex`], the other way.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(digits).collect()
}
