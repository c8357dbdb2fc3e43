//! Taking over what an earlier supervisor left: what its record, its status and
//! the kernel say about a process, and what follows
//! (`docs/decisions/0003-adoption.md`).

use alloc::string::String;

use crate::command::Command;
use crate::format::adopt::{Mark, Part, Record, World};
use crate::format::status::{Phase, Status};
use crate::format::tai64n::Tai64n;
use crate::moment::Moment;
use crate::service::{Event, Exit, Program, Role, Service, Want};
use crate::time::Instant;

/// What the kernel says about the recorded pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When the process with that pid started, on the boot clock, rounded down.
    pub started: Instant,
    /// How exact that is (ns): the clock tick.
    pub grain_ns: u64,
    /// It is this supervisor or one of its ancestors: no service of its own.
    pub is_above: bool,
}

/// What was found in a locked supervise directory, and about it.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Service or logger.
    pub role: Role,
    /// What is wanted of a service that no earlier supervisor held.
    pub default: Want,
    /// When the machine last stopped everything without an end: what was wanted before counts
    /// no more, as before a boot.
    pub since: Instant,
    /// The boot and pid namespace of this supervisor; `None`: not known.
    pub world: Option<&'a World>,
    /// The child's record.
    pub record: Option<&'a Record>,
    /// The last status that was written.
    pub status: Option<&'a Status>,
    /// The process that has the recorded pid now. A zombie counts, too: its pidfd reports
    /// its end like that of any other.
    pub seen: Option<Seen>,
    /// How the recorded process ended, as far as anybody can say, if it is gone.
    pub exit: Exit,
}

/// The conclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// The service in the state it is in.
    pub service: Service,
    /// It has a process, which must be watched by pidfd.
    pub adopted: bool,
    /// When it came into that state, if that is known.
    pub changed: Option<Tai64n>,
    /// What is added to the record.
    pub mark: Mark,
    /// What happened while no supervisor lived.
    pub missed: Option<Event>,
    /// For whom a stop that begins again waited, as the earlier supervisor showed it.
    pub stop_waited_for: Option<String>,
}

impl Inheritance {
    /// Whether a stop begins again.
    pub fn stops_again(&self) -> bool {
        self.missed == Some(Event::Command(Command::Down))
    }

    /// Of a service that no earlier supervisor held: only what is wanted is known.
    pub const fn nothing(role: Role, want: Want) -> Self {
        Self {
            service: Service::new(role, want),
            adopted: false,
            changed: None,
            mark: Mark::None,
            missed: None,
            stop_waited_for: None,
        }
    }

    /// Whether an earlier supervisor's files were kept.
    pub const fn has_files(&self) -> bool {
        self.adopted || self.changed.is_some() || self.missed.is_some()
    }
}

/// Whether a record is about a process that this supervisor could see. A child cannot
/// have written one from the future: any process would have started before it.
pub fn counts(record: &Record, world: Option<&World>, now: Instant) -> bool {
    world == Some(&record.world) && record.at <= now
}

/// Judges the evidence.
pub fn judge(evidence: &Evidence, now: Moment) -> Inheritance {
    let Evidence { role, default, .. } = *evidence;
    let fresh = Inheritance::nothing(role, default);
    let Some(record) = evidence
        .record
        .filter(|r| counts(r, evidence.world, now.at))
    else {
        return fresh;
    };
    let status = evidence.status;
    let want = match status {
        Some(_) if record.at < evidence.since => default,
        Some(s) if s.want_up => Want::Up,
        Some(_) => Want::Down,
        None => default,
    };
    let ours = status.filter(|s| s.pid == record.pid);
    // A logger ends with its pipe, and the pipe ended with the supervisor if the service
    // was down. So a short life of this logger is no reason for a gap.
    let since = match role {
        Role::Main => record.at,
        Role::Log => Instant(0),
    };
    if evidence.seen.is_some_and(|seen| is_it(record, seen)) {
        let service = running(role, want, record, since, ours, now.at);
        // The supervisor was killed while control/t ran: the stop starts again.
        let stops = record.mark == Mark::Stop && want == Want::Down && !service.got_term();
        return Inheritance {
            service,
            adopted: true,
            changed: Some(ours.map_or_else(|| label(record.at, now), |s| s.changed)),
            mark: record.mark,
            missed: stops.then_some(Event::Command(Command::Down)),
            ..fresh
        };
    }
    if let Some(found) = set_up(evidence, want, record) {
        return found;
    }
    // Nobody saw the end of the run: the finish script is still due. Of a setup nobody saw
    // the end either, or its record would say so.
    if let Some(program) = program(role, record)
        && (program == Program::Setup || status.is_none_or(|s| s.pid != 0 || is_cleared(s)))
    {
        // With `once` a setup is not wanted up either, but was not told to end.
        let told = record.mark == Mark::Stop || ours.is_some_and(|s| s.got_term);
        let told = told && program == Program::Setup;
        return Inheritance {
            service: Service::adopt_run(role, want, program, record.pid, since, false, told),
            missed: Some(Event::Exited(record.pid, evidence.exit)),
            ..fresh
        };
    }
    Inheritance {
        service: Service::new(role, want),
        changed: status.map(|s| s.changed),
        ..fresh
    }
}

/// A setup whose end an earlier supervisor saw.
fn set_up(evidence: &Evidence, want: Want, record: &Record) -> Option<Inheritance> {
    let (Role::Main, Part::Setup, Mark::Done | Mark::Over) =
        (evidence.role, record.part, record.mark)
    else {
        return None;
    };
    let is_done = record.mark == Mark::Done && record.at >= evidence.since;
    let service = if is_done {
        Service::adopt_done()
    } else {
        Service::adopt_over(want)
    };
    Some(Inheritance {
        service,
        changed: evidence.status.map(|s| s.changed),
        mark: record.mark,
        // It was told to be down, and `./finish` has not begun.
        missed: (is_done && want != Want::Up).then_some(Event::Command(Command::Down)),
        ..Inheritance::nothing(evidence.role, want)
    })
}

/// Whether the rest of a run's group was to end (`service::group`) when this was written.
fn is_cleared(status: &Status) -> bool {
    status.phase == Phase::Finish && status.pid == 0
}

/// Whether the process with this pid is the one that wrote the record: it must not have
/// started after that. This supervisor and its ancestors are never a service of its own,
/// whatever the record says. A process that started within the clock tick of the record
/// cannot be told apart; but the kernel assigns pids in turn, and none comes back so
/// soon.
pub fn is_it(record: &Record, seen: Seen) -> bool {
    let grain = seen.grain_ns.max(1);
    !seen.is_above && seen.started.0 / grain <= record.at.0 / grain
}

fn running(
    role: Role,
    want: Want,
    record: &Record,
    since: Instant,
    status: Option<&Status>,
    now: Instant,
) -> Service {
    let Some(program) = program(role, record) else {
        return Service::adopt_finish(want, record.pid, now);
    };
    let (paused, got_term) = status.map_or((false, false), |s| (s.paused, s.got_term));
    Service::adopt_run(role, want, program, record.pid, since, paused, got_term)
}

/// What the process runs, if not `./finish`.
fn program(role: Role, record: &Record) -> Option<Program> {
    match record.part {
        Part::Setup if role == Role::Main => Some(Program::Setup),
        Part::Setup | Part::Run => Some(Program::Run),
        Part::Finish => None,
    }
}

/// The wall-clock label of a past moment. This is the one place that relates
/// the clocks: the label was never written, because its writer was killed.
fn label(at: Instant, now: Moment) -> Tai64n {
    let ago_s = now.at.ms_since(at) / 1000;
    Tai64n::from_unix(
        now.wall.unix_seconds().saturating_sub_unsigned(ago_s),
        now.wall.nanos(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment {
        at: Instant(9),
        wall: Tai64n::from_unix(1, 0),
    };

    fn record() -> Record {
        Record {
            part: Part::Run,
            world: World {
                boot_id: "b".into(),
                pid_namespace: 1,
            },
            pipe: 0,
            pid: 5,
            at: Instant(7),
            mark: Mark::None,
        }
    }

    fn evidence(record: &Record) -> Evidence<'_> {
        Evidence {
            role: Role::Main,
            default: Want::Up,
            since: Instant(0),
            world: Some(&record.world),
            record: Some(record),
            status: None,
            seen: None,
            exit: Exit::Unknown,
        }
    }

    /// Stage 3 had it down; what outlived even KILL is not started twice.
    #[test]
    fn after_single_user_mode_nobody_remembers_what_was_wanted() {
        let record = record();
        let status = Status {
            changed: Tai64n::from_unix(1, 0),
            pid: 0,
            paused: false,
            want_up: false,
            got_term: false,
            phase: Phase::Down,
        };
        for (since, lives) in [(7, false), (8, false), (8, true)] {
            for default in [Want::Up, Want::Down] {
                let seen = lives.then_some(Seen {
                    started: Instant(7),
                    grain_ns: 1,
                    is_above: false,
                });
                let evidence = Evidence {
                    default,
                    since: Instant(since),
                    status: Some(&status),
                    seen,
                    ..evidence(&record)
                };
                let found = judge(&evidence, NOW);
                let want = if since == 7 { Want::Down } else { default };
                assert_eq!(found.service.want(), want);
                assert_eq!(found.adopted, lives);
            }
        }
    }

    #[test]
    fn an_end_that_nobody_saw_is_passed_on_as_it_was_told() {
        let record = record();
        for exit in [Exit::Unknown, Exit::of_status(7 << 8)] {
            let evidence = Evidence {
                exit,
                ..evidence(&record)
            };
            let found = judge(&evidence, NOW);
            assert_eq!(found.missed, Some(Event::Exited(5, exit)));
            assert!(!found.adopted);
        }
    }
}
