//! `sv watch`: what each service does, and then a line at each change.
//!
//! The kernel tells of changes ([`sources`]); the supervisor knows nothing of it. Each line
//! has the whole state, so it does no harm that what comes and goes between two looks is not
//! seen: the last state always is, because each look comes after the event.

mod named;
mod sources;

use model::format::json::Object;
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::options::{Opt, Order, Spec};
use model::snapshot::line::{Goal, line, time};
use model::snapshot::{Snapshot, State, json};
use model::sorted::sort;
use model::time::Instant;

use super::super::usage_error;
use super::directories::enabled;
use super::snapshot::{Depth, look_and_hold};
use super::verb::{Call, Operands, Verb};
use crate::say;
use crate::sys::{clock, local_time};
use named::Named;
use sources::{News, Sources};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "watch",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv watch",
    synopsis: "[-j] [-u STATE] [-w SEC] [SERVICE...]",
    about: "print what services do, and each change",
    options: &[
        Opt::flag(b'j', "a JSON object for each").long("json"),
        Opt::valued(
            b'u',
            "STATE",
            "end when all are ready, up, down or in that state",
        )
        .long("until"),
        Opt::valued(b'w', "SEC", "end with exit code 1 after SEC seconds"),
    ],
    order: Order::Permute,
    notes: "\
Without a SERVICE, all of the scan directory are watched, and those that appear there.
",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let mut watch = match Watch::asked(call) {
        Ok(watch) => watch,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    if watch.is_of_all
        && let Err(mistake) = enabled()
    {
        say::line("sv", mistake);
        return 1;
    }
    watch.run()
}

/// A service that is watched.
#[derive(Default)]
struct Target {
    state: Option<State>,
    /// What was printed of it, without what time alone changes.
    printed: String,
}

struct Watch {
    is_json: bool,
    until: Option<Goal>,
    end: Option<Instant>,
    /// All of the scan directory.
    is_of_all: bool,
    sources: Sources,
    targets: Named<Target>,
    /// The line that comes now is about everything again: the kernel has dropped events.
    is_resync: bool,
}

impl Watch {
    fn asked(call: &Call) -> Result<Self, String> {
        let text = |letter| {
            call.args
                .value(letter)
                .map(|value| String::from_utf8_lossy(value))
        };
        let until = match text(b'u') {
            None => None,
            Some(word) => {
                let mistake = || format!("--until: {word}: not a state; see sv-watch(8)");
                Some(Goal::of_word(&word).ok_or_else(mistake)?)
            }
        };
        let end = match text(b'w') {
            None => None,
            Some(seconds) => {
                let mistake = |_| format!("-w: {seconds}: not a whole number of seconds");
                let seconds: u64 = seconds.parse().map_err(mistake)?;
                Some(clock::now().plus_ms(seconds.saturating_mul(1000)))
            }
        };
        let names = &call.args.operands;
        let mut targets = Named::<Target>::new();
        for name in names {
            targets.of(name);
        }
        Ok(Self {
            is_json: call.args.has(b'j'),
            until,
            end,
            is_of_all: names.is_empty(),
            sources: Sources::new(names.is_empty()),
            targets,
            is_resync: false,
        })
    }

    fn run(&mut self) -> u8 {
        let mut news = News {
            is_vague: true,
            ..News::default()
        };
        loop {
            let lines = self.look(news);
            if !say::print_bytes(&lines) || self.is_reached() {
                return 0;
            }
            let now = clock::now();
            if self.end.is_some_and(|end| end <= now) {
                return 1;
            }
            news = match self.sources.wait(self.end) {
                Some(news) => news,
                None => return 0,
            };
            if news.is_overflow {
                self.resync();
            }
        }
    }

    /// Looks at those of which there is news; the lines to print.
    fn look(&mut self, news: News) -> Vec<u8> {
        let mut names = news.names;
        if self.is_of_all && (news.is_vague || news.has_entries) {
            self.sources.watch_scan_directory();
            let mut entries = enabled().unwrap_or_else(|_| {
                self.sources.look_again();
                Vec::new()
            });
            entries.retain(|name| !self.targets.has(name));
            names.extend(entries);
        }
        if news.is_vague {
            names.extend(self.targets.names().cloned());
        }
        sort(&mut names);
        names.dedup();
        let mut lines = Vec::new();
        for name in names {
            self.look_at(&name, &mut lines);
        }
        self.is_resync = false;
        lines
    }

    fn look_at(&mut self, name: &[u8], lines: &mut Vec<u8>) {
        let seen = loop {
            let is_sure = self.sources.watch(name);
            let (seen, service) = look_and_hold(name, Depth::Facts);
            let is_alive = seen.supervised != Some(false);
            if self.sources.hold(name, is_alive, service) && is_sure {
                break seen;
            }
        };
        let printed = self.text(&seen, None, ANY);
        let state = seen.state();
        let is_gone = self.is_of_all && !seen.enabled;
        let target = self.targets.of(name);
        if target.printed == printed {
            return;
        }
        let before = target.state.replace(state);
        target.printed = printed;
        // What has come and gone between two looks was never there.
        if !is_gone || before.is_some() {
            lines.extend(self.text(&seen, before, clock::moment()).bytes());
        }
        if is_gone {
            self.sources.forget(name);
            self.targets.remove(name);
        }
    }

    fn text(&self, seen: &Snapshot, before: Option<State>, now: Moment) -> String {
        if !self.is_json {
            let time = time(local_time::of(now.wall.unix_seconds()));
            return format!("{time} {}\n", line(before, seen, now));
        }
        let mut object = Object::new();
        object.time("time", now.wall);
        if let Some(before) = before {
            object.text("was", before.word());
        }
        if self.is_resync && now != ANY {
            object.boolean("resync", true);
        }
        json::add(&mut object, seen, now.at);
        object.end() + "\n"
    }

    /// Everything is printed anew.
    fn resync(&mut self) {
        self.is_resync = true;
        for (_, target) in self.targets.iter_mut() {
            *target = Target::default();
        }
        if !self.is_json {
            let time = time(local_time::of(clock::wall().unix_seconds()));
            say::print(&format!("{time} resync\n"));
        }
    }

    fn is_reached(&self) -> bool {
        let Some(goal) = self.until else { return false };
        let mut states = self.targets.values().map(|target| target.state);
        let is_met = |state: Option<State>| state.is_some_and(|state| goal.is_met_by(state));
        states.len() > 0 && states.all(is_met)
    }
}

/// Any moment: what it changes is no change of the service.
const ANY: Moment = Moment {
    at: Instant(0),
    wall: Tai64n::from_unix(0, 0),
};
