//! What a record of a boot says: how long the kernel, each step of stage 1 and each service
//! took, and what never came up. `sv boot` prints it ([`text`]), and lab draws it.
//!
//! Times count from the kernel's start, as the boot clock does. In a container, or below
//! another init, they count from the first line.

use crate::sorted::sort_by_key;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::format::boot_record::{FULL, INIT, Line, Record, UP, What};
use crate::process::Pid;
use crate::time::Instant;

mod text;

pub use text::text;

/// A boot, as its record tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// From where times count: the kernel's start, or the first line.
    pub origin: Instant,
    /// The first moment of process 1, if it is the machine's.
    pub init: Option<Instant>,
    /// The steps of stage 1, in order; a step comes before those within it.
    pub steps: Vec<Step>,
    /// The services, in the order of their starts; those that never started come last.
    pub services: Vec<Service>,
    /// Everything that was wanted was up.
    pub up: Option<Instant>,
    /// The last moment of the record.
    pub end: Instant,
    /// How the processors idled, in order.
    pub idle: Vec<Idle>,
    /// The record has no room for the rest.
    pub is_full: bool,
    /// So many lines were not understood.
    pub passed_over: usize,
}

/// A step of stage 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: Vec<u8>,
    /// Its first moment.
    pub since: Instant,
    /// Its last one.
    pub until: Instant,
    /// Why it failed, if it did.
    pub failure: Option<Vec<u8>>,
    /// Within so many other steps.
    pub depth: usize,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Vec<u8>,
    /// Its first start.
    pub start: Option<Instant>,
    /// Its first process, if it had one.
    pub pid: Option<Pid>,
    /// It was ready.
    pub ready: Option<Instant>,
    /// When its start waited, and for what.
    pub holds: Vec<Hold>,
}

/// A start that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// From when on.
    pub since: Instant,
    /// Until when; never, as far as the record goes.
    pub until: Option<Instant>,
    /// For what.
    pub reason: Vec<u8>,
}

/// How the processors had idled at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The moment.
    pub at: Instant,
    /// How many there are.
    pub cpus: u32,
    /// How long they had idled since the kernel's start, together, in ns.
    pub idle_ns: u64,
}

/// A span in which the processors were more or less busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// From when on.
    pub since: Instant,
    /// Until when.
    pub until: Instant,
    /// How much of their time they did not idle, in thousandths.
    pub permille: u32,
}

impl Boot {
    /// What the record says.
    pub fn of(record: &Record) -> Self {
        let mut lines: Vec<&Line> = record.lines.iter().collect();
        sort_by_key(&mut lines, |line| line.at);
        let mut boot = Self {
            passed_over: record.passed_over,
            ..Self::default()
        };
        let mut by_name = BTreeMap::new();
        for line in &lines {
            boot.take(line, &mut by_name);
        }
        if boot.init.is_none() {
            boot.origin = lines.first().map_or(Instant(0), |line| line.at);
        }
        let last = lines.iter().map(|line| line.end()).max();
        boot.end = boot.up.or(last).unwrap_or(boot.origin);
        boot.services = by_name.into_values().collect();
        sort_by_key(&mut boot.services, |service: &Service| {
            service.start.unwrap_or(Instant::MAX)
        });
        boot.sort_steps();
        boot
    }

    fn take(&mut self, line: &Line, services: &mut BTreeMap<Vec<u8>, Service>) {
        let at = line.at;
        match &line.what {
            What::Step { name, failure, .. } => self.steps.push(Step {
                name: name.clone(),
                since: at,
                until: line.end(),
                failure: failure.clone(),
                depth: 0,
            }),
            What::Start(name, pid) => {
                let service = named(services, name);
                service.start.get_or_insert(at);
                service.pid = service.pid.or(Some(*pid).filter(|pid| *pid != 0));
            }
            What::Ready(name) => {
                named(services, name).ready.get_or_insert(at);
            }
            What::Hold(name, reason) => named(services, name).holds.push(Hold {
                since: at,
                until: None,
                reason: reason.clone(),
            }),
            What::Free(name) => {
                let holds = &mut named(services, name).holds;
                if let Some(hold) = holds.last_mut() {
                    hold.until.get_or_insert(at);
                }
            }
            What::Note(name) => match name.as_slice() {
                INIT => drop(self.init.get_or_insert(at)),
                UP => drop(self.up.get_or_insert(at)),
                FULL => self.is_full = true,
                _ => {}
            },
            What::Idle(cpus, idle_ns) => self.idle.push(Idle {
                at,
                cpus: *cpus,
                idle_ns: *idle_ns,
            }),
        }
    }

    /// A step that contains another comes first, and the other is one deeper.
    fn sort_steps(&mut self) {
        sort_by_key(&mut self.steps, |step| {
            (step.since, core::cmp::Reverse(step.until))
        });
        let mut around: Vec<Instant> = Vec::new();
        for step in &mut self.steps {
            while around.last().is_some_and(|until| *until < step.until) {
                around.pop();
            }
            while around.last().is_some_and(|until| *until <= step.since) {
                around.pop();
            }
            step.depth = around.len();
            around.push(step.until);
        }
    }

    /// How long the kernel took, until process 1 began; unknown in a container.
    pub fn kernel(&self) -> Option<Duration> {
        self.init.map(|init| init.since(self.origin))
    }

    /// The end of stage 1: of its last step.
    pub fn stage1_end(&self) -> Option<Instant> {
        self.steps.iter().map(|step| step.until).max()
    }

    /// How long stage 1 took, process 1 included.
    pub fn stage1(&self) -> Option<Duration> {
        let end = self.stage1_end()?;
        Some(end.since(self.init.unwrap_or(self.origin)))
    }

    /// From the end of stage 1 until everything was up, or to the end of the record.
    pub fn services(&self) -> Duration {
        let before = self.stage1_end().or(self.init);
        self.end.since(before.unwrap_or(self.origin))
    }

    /// Until everything was up, or to the end of the record.
    pub fn total(&self) -> Duration {
        self.end.since(self.origin)
    }

    /// The services, slowest first; those that never came up before all others.
    pub fn slowest_first(&self) -> Vec<&Service> {
        let mut services: Vec<&Service> = self.services.iter().collect();
        sort_by_key(&mut services, |service| {
            core::cmp::Reverse(service.took().unwrap_or(Duration::MAX))
        });
        services
    }

    /// How busy the processors were, between the moments at which somebody looked.
    pub fn load(&self) -> Vec<Load> {
        let mut looks: Vec<Idle> = Vec::new();
        let mut last = 0;
        for idle in &self.idle {
            // Both numbers are rounded to hundredths of a second, so a short span says little.
            if idle.at.0.saturating_sub(last) >= SPAN_NS_MIN {
                last = idle.at.0;
                looks.push(*idle);
            }
        }
        // The last span ends where somebody looked last.
        if let (Some(end), Some(idle)) = (looks.last_mut(), self.idle.last()) {
            *end = *idle;
        }
        let start = Idle {
            at: Instant(0),
            cpus: 0,
            idle_ns: 0,
        };
        let before = core::iter::once(&start).chain(&looks);
        let spans = before.zip(&looks).map(|(before, idle)| {
            let wall = u128::from(idle.at.0.saturating_sub(before.at.0));
            let all = wall * u128::from(idle.cpus);
            let idled = u128::from(idle.idle_ns.saturating_sub(before.idle_ns));
            let busy = all.saturating_sub(idled) * 1000;
            Load {
                since: before.at,
                until: idle.at,
                permille: busy.checked_div(all).unwrap_or(0) as u32,
            }
        });
        let mut load: Vec<Load> = spans.collect();
        // In a container the time before is not its own.
        load.retain(|span| span.until > self.origin);
        for span in &mut load {
            span.since = span.since.max(self.origin);
        }
        load
    }
}

/// The service of that name, which may be new.
fn named<'a>(services: &'a mut BTreeMap<Vec<u8>, Service>, name: &[u8]) -> &'a mut Service {
    let new = || Service {
        name: name.to_vec(),
        ..Service::default()
    };
    services.entry(name.to_vec()).or_insert_with(new)
}

/// A text for people: quotes stay, and what is not printable ASCII is escaped.
fn plain(text: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b' '..=b'~' => String::from(char::from(*byte)),
        _ => byte.escape_ascii().to_string(),
    };
    text.iter().map(escape).collect()
}

/// A span of which a load is told has at least this length (ns).
const SPAN_NS_MIN: u64 = 40_000_000;

impl Step {
    /// How long it took.
    pub fn took(&self) -> Duration {
        self.until.since(self.since)
    }
}

impl Service {
    /// From its first start until it was ready; none if it never was.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ready?.since(self.start.or(self.ready)?))
    }

    /// Why it never came up, if it did not.
    pub fn trouble(&self) -> Option<Trouble<'_>> {
        if self.ready.is_some() {
            return None;
        }
        let hold = self.holds.last().filter(|hold| hold.until.is_none());
        Some(match (self.start, self.pid, hold) {
            (None, _, Some(hold)) => Trouble::Held(&hold.reason),
            (None, ..) => Trouble::NeverStarted,
            (Some(_), None, _) => Trouble::NoProcess,
            (Some(_), Some(_), _) => Trouble::NotReady,
        })
    }
}

/// Why a service did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// Its start still waits.
    Held(&'a [u8]),
    /// It was not started.
    NeverStarted,
    /// It could not be started.
    NoProcess,
    /// It was started, and is not ready.
    NotReady,
}

impl core::fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Held(reason) => write!(f, "waits: {}", plain(reason)),
            Self::NeverStarted => f.write_str("was not started"),
            Self::NoProcess => f.write_str("could not be started"),
            Self::NotReady => f.write_str("was started and is not ready"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn boot(lines: &[u8]) -> Boot {
        Boot::of(&Record::decode_lines(lines))
    }

    #[test]
    fn the_parts_make_the_whole() {
        let boot = boot(
            b"2500000 note \"up\"\n1000000 note \"init\"\n1100000 step \"b\" 1500000 ok\n\
              1050000 step \"a\" 1900000 failed \"exited 1\"\n2000000 start \"x\" 7\n2000100 ready \"x\"\n\
              9000000 start \"late\" 9\n",
        );
        let us = Duration::from_nanos;
        assert_eq!(boot.kernel(), Some(us(1_000_000)));
        assert_eq!(boot.stage1(), Some(us(900_000)));
        assert_eq!(boot.services(), us(600_000));
        assert_eq!(boot.total(), us(2_500_000));
        let depths: Vec<_> = boot.steps.iter().map(|s| (s.name[0], s.depth)).collect();
        assert_eq!(depths, [(b'a', 0), (b'b', 1)]);
        assert_eq!(boot.services[0].took(), Some(us(100)));
        assert_eq!(boot.services[0].trouble(), None);
        assert_eq!(boot.services[1].trouble(), Some(Trouble::NotReady));
    }

    #[test]
    fn without_the_machines_process_1_the_first_line_is_the_origin() {
        let boot = boot(b"700 note \"begin\"\n800 start \"x\" 7\n900 ready \"x\"\n");
        assert_eq!(boot.kernel(), None);
        assert_eq!((boot.origin, boot.end), (Instant(700), Instant(900)));
        assert_eq!(boot.total(), Duration::from_nanos(200));
        let none = Boot::of(&Record::default());
        assert_eq!(
            (none.total(), none.services()),
            (Duration::ZERO, Duration::ZERO)
        );
    }

    #[test]
    fn steps_side_by_side_are_not_within_each_other() {
        let steps = b"1 step \"a\" 9 ok\n1 step \"b\" 4 ok\n2 step \"c\" 3 ok\n4 step \"d\" 9 ok\n\
                      8 step \"over\" 12 ok\n12 step \"e\" 12 ok\n13 step \"f\" 5 ok\n";
        let depths: Vec<_> = boot(steps).steps.iter().map(|s| s.depth).collect();
        assert_eq!(depths, [0, 1, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn what_happened_twice_counts_once() {
        let boot = boot(
            b"1 hold \"x\" \"needs db\"\n5 start \"x\" 0\n3 free \"x\"\n4 free \"x\"\n6 start \"x\" 8\n\
              9 start \"x\" 10\n7 ready \"x\"\n11 ready \"x\"\n6 hold \"y\" \"needs z\"\n6 free \"w\"\n",
        );
        let [x, w, y] = &boot.services[..] else {
            panic!("{boot:?}")
        };
        assert_eq!(
            (x.start, x.pid, x.ready),
            (Some(Instant(5)), Some(8), Some(Instant(7)))
        );
        let hold = Hold {
            since: Instant(1),
            until: Some(Instant(3)),
            reason: b"needs db".to_vec(),
        };
        assert_eq!(x.holds, vec![hold]);
        assert_eq!(y.trouble(), Some(Trouble::Held(b"needs z")));
        assert_eq!(w.trouble(), Some(Trouble::NeverStarted));
        let order: Vec<_> = boot.slowest_first().iter().map(|s| s.name[0]).collect();
        assert_eq!(order, [b'w', b'y', b'x']);
    }

    #[test]
    fn load_is_what_was_not_idle() {
        let boot = boot(
            b"100 note \"init\"\n1000000000 idle 2 500000000\n1010000000 idle 2 500000000\n\
              1100000000 idle 2 700000000\n1200000000 idle 2 0\n1210000000 idle 2 0\n",
        );
        let load = boot.load();
        let told: Vec<_> = load
            .iter()
            .map(|l| (l.since.0 / 1_000_000, l.permille))
            .collect();
        assert_eq!(told, [(0, 750), (1000, 0), (1100, 1000)]);
        assert_eq!(load[2].until, Instant(1_210_000_000));
    }

    #[test]
    fn any_numbers_are_borne() {
        for at in [0, 1, u64::MAX] {
            let lines = alloc::format!(
                "{at} note \"init\"\n{at} step \"s\" {} ok\n5 idle 0 {at}\n{at} idle 4294967295 1\n\
                 {at} start \"x\" 1\n1 ready \"x\"\n3 note \"up\"\n",
                u64::MAX - at
            );
            let boot = boot(lines.as_bytes());
            let _ = (boot.kernel(), boot.stage1(), boot.services(), boot.total());
            assert!(boot.load().iter().all(|load| load.permille <= 1000));
            assert!(text(&boot).len() > 10);
        }
    }
}
