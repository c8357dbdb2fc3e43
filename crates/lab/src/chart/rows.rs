//! The rows of the drawing: the steps and the services of one boot, or of both, each in the
//! same place for both.

use std::collections::BTreeMap;
use std::time::Duration;

use model::boot_summary::{Boot, Service, Step};
use model::time::Instant;

use super::Subject;
use super::words;

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// A step or a service.
    pub kind: Kind,
    /// Its name, as it is shown.
    pub name: String,
    /// Within so many others.
    pub depth: usize,
    /// What it is in each boot; nothing, where it is not.
    pub of: Vec<Option<Mark>>,
}

/// Of what kind a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A step of stage 1.
    Step,
    /// A service.
    Service,
}

/// What is drawn in a row. Times count from the origin of the boot.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where the bar begins.
    pub since: Option<Duration>,
    /// Where it ends; never, if the service did not come up.
    pub until: Option<Duration>,
    /// Where the boot ends.
    pub end: Duration,
    /// When the start waited.
    pub holds: Vec<(Duration, Option<Duration>)>,
    /// How long it took.
    pub took: Option<Duration>,
    /// What went wrong, in a few words.
    pub trouble: Option<String>,
    /// All of it, in a sentence.
    pub told: String,
}

/// The rows of all: those of the first boot in their order, then what only others have.
pub fn rows(subjects: &[Subject]) -> Vec<Row> {
    let mut places: BTreeMap<(Kind, String, usize), usize> = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        let mut count: BTreeMap<(Kind, String), usize> = BTreeMap::new();
        for (kind, name, depth, mark) in marks(&subject.boot) {
            let nth = count.entry((kind, name.clone())).or_default();
            *nth += 1;
            let place = *places.entry((kind, name.clone(), *nth)).or_insert_with(|| {
                rows.push(Row {
                    kind,
                    name,
                    depth,
                    of: vec![None; subjects.len()],
                });
                rows.len() - 1
            });
            if let Some(of) = rows.get_mut(place).and_then(|row| row.of.get_mut(number)) {
                *of = Some(mark);
            }
        }
    }
    rows.sort_by_key(|row| row.kind);
    rows
}

fn marks(boot: &Boot) -> impl Iterator<Item = (Kind, String, usize, Mark)> {
    let steps = boot.steps.iter().map(|step| {
        let name = words::name(&step.name);
        let mark = step_mark(boot, step, &name);
        (Kind::Step, name, step.depth, mark)
    });
    let services = boot.services.iter().map(|service| {
        let name = words::name(&service.name);
        let mark = service_mark(boot, service, &name);
        (Kind::Service, name, 0, mark)
    });
    steps.chain(services)
}

fn step_mark(boot: &Boot, step: &Step, name: &str) -> Mark {
    let since = step.since.since(boot.origin);
    let until = step.until.since(boot.origin);
    let trouble = step.failure.as_ref().map(|reason| match reason.as_slice() {
        b"" => "failed".to_owned(),
        reason => format!("failed: {}", words::name(reason)),
    });
    let end = trouble
        .as_ref()
        .map_or_else(String::new, |trouble| format!("; {trouble}"));
    let told = format!(
        "{name}: {}, from {} to {}{end}",
        words::ms(step.took()),
        words::ms(since),
        words::ms(until)
    );
    Mark {
        since: Some(since),
        until: Some(until),
        end: boot.total(),
        holds: Vec::new(),
        took: Some(step.took()),
        trouble,
        told,
    }
}

fn service_mark(boot: &Boot, service: &Service, name: &str) -> Mark {
    let after = |at: Instant| at.since(boot.origin);
    let mut told = vec![match (service.start, service.took()) {
        (Some(start), Some(took)) => {
            format!(
                "{name}: {} from its start at {}",
                words::ms(took),
                words::ms(after(start))
            )
        }
        (Some(start), None) => format!("{name}: first start at {}", words::ms(after(start))),
        (None, _) => name.to_owned(),
    }];
    if let Some(ready) = service.ready {
        told.push(format!("ready at {}", words::ms(after(ready))));
    }
    if let Some(pid) = service.pid {
        told.push(format!("process {pid}"));
    }
    for hold in &service.holds {
        let until = hold
            .until
            .map_or_else(|| "the end".into(), |until| words::ms(after(until)));
        let (since, reason) = (words::ms(after(hold.since)), words::name(&hold.reason));
        told.push(format!("waited from {since} to {until}: {reason}"));
    }
    let trouble = service
        .trouble()
        .map(|trouble| words::name(trouble.to_string().as_bytes()));
    told.extend(trouble.clone());
    Mark {
        since: service.start.or(service.ready).map(after),
        until: service.ready.map(after),
        end: boot.total(),
        holds: service
            .holds
            .iter()
            .map(|hold| (after(hold.since), hold.until.map(after)))
            .collect(),
        took: service.took(),
        trouble,
        told: told.join("; "),
    }
}
