//! `sv enable`: makes links in the scan directory that lead to services of the database,
//! first for what they need, and waits as `sv start` does.
//!
//! A link appears whole, and is not made where there is something by its name: two that
//! enable the same service at once do not disturb each other, and one that is killed has
//! enabled it or not. A file `down` is removed first, so that the supervisor starts what it
//! finds.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use model::control::Action;
use model::graph::{Edges, Kind};
use model::options::{Order, Spec};
use model::scan::template;
use rustix::fs::{Access, CWD, access};
use rustix::io::Errno;

use super::super::usage_error;
use super::client::Service;
use super::directories::{database, enabled, same};
use super::entry::{
    Entry, absolute, check_name, parse, said, scan, shown, shown_name, unknown, within,
};
use super::instance::{self, Made};
use super::order::{NEED, SERVICES_MAX, pull};
use super::output::Output;
use super::verb::{Call, Operands, Verb};
use super::{act, count};
use crate::engine::edges::read;
use crate::say;
use crate::service_entries::{Entries, open};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "enable",
    spec: &SPEC,
    operands: Operands::Database,
    run,
};

const SPEC: Spec = Spec {
    name: "sv enable",
    synopsis: "SERVICE...",
    about: "let services be supervised, now and after each boot, and start them",
    options: &[],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

type Name = Vec<u8>;

fn run(call: &Call) -> u8 {
    let operands = &call.args.operands;
    if operands.is_empty() {
        return usage_error(&SPEC, "say which service");
    }
    let Some(scan) = scan() else {
        return 1;
    };
    let mut enabler = Enabler {
        scan,
        out: Output::new(),
        linked: Vec::new(),
    };
    let mut asked = Vec::new();
    let mut failed = 0;
    for operand in operands {
        match enabler.enable(operand) {
            Ok(name) => asked.push(name),
            Err(why) => {
                failed += 1;
                enabler.out.flush();
                say::line("sv", why);
            }
        }
    }
    count(failed + enabler.start(&asked, call.wait_ms))
}

/// A service that is to be enabled.
struct Found {
    name: Name,
    /// The directory that it is in.
    place: PathBuf,
    /// There is a template for it.
    template: Option<Name>,
}

impl Found {
    /// The service of this name in this directory, if there is one, or one can be made.
    fn at(place: &Path, name: &[u8]) -> Option<Self> {
        let is_there = |name: &&[u8]| within(place, name).is_dir();
        let template = template(name).filter(is_there);
        (template.is_some() || is_there(&name)).then(|| Self {
            name: name.to_vec(),
            place: absolute(place.to_owned()),
            template: template.map(<[u8]>::to_vec),
        })
    }

    fn dir(&self) -> PathBuf {
        within(&self.place, &self.name)
    }

    /// The directory that it is, or will be like.
    fn model(&self) -> PathBuf {
        let like = self.template.as_ref().filter(|_| !self.dir().is_dir());
        within(&self.place, like.unwrap_or(&self.name))
    }

    /// Whether it is a service: any directory may have been named.
    fn check(&self) -> Result<(), String> {
        let dir = self.model();
        let Ok(home) = open(CWD, &dir) else {
            return Ok(());
        };
        let entries = Entries::of(home.as_fd());
        let runs = entries.run || entries.setup || entries.check;
        if runs
            || Kind::ALL
                .iter()
                .any(|kind| entries.may_hold(kind.directory()))
        {
            return Ok(());
        }
        Err(shown(&dir) + " is no service: it has no run, nor setup, check or needs")
    }

    /// What it needs.
    fn needs(&self) -> Vec<Name> {
        let Ok(home) = open(CWD, &self.model()) else {
            return Vec::new();
        };
        let mut edges = Edges::NONE;
        for kind in NEED {
            // The supervisor reports what does not count.
            let _told = read(&home, kind.directory(), kind, &mut edges);
        }
        edges.iter().map(|(_, other)| other.clone()).collect()
    }
}

struct Enabler {
    scan: PathBuf,
    out: Output,
    /// What was not enabled before.
    linked: Vec<Name>,
}

impl Enabler {
    fn enable(&mut self, operand: &[u8]) -> Result<Name, String> {
        let found = self.find(operand)?;
        found.check()?;
        for (other, by) in self.needed(&found) {
            if let Err(why) = self.bring(&other, Some(&by)) {
                self.out.warn(&why);
            }
        }
        self.bring(&found, None)?;
        Ok(found.name)
    }

    fn find(&mut self, operand: &[u8]) -> Result<Found, String> {
        let (name, path) = parse(operand)?;
        if let Some(path) = path {
            let place = path.parent().unwrap_or(Path::new("/"));
            let found = Found::at(place, &name);
            return found.ok_or_else(|| shown(&path) + " is no directory");
        }
        let places = database();
        let mut first: Option<Found> = None;
        for found in places.iter().filter_map(|place| Found::at(place, &name)) {
            if let Some(first) = &first {
                let (name, second) = (shown_name(&name), shown(&found.place));
                let first = shown(&first.place);
                let what = [
                    &name,
                    " is in ",
                    &first,
                    " and in ",
                    &second,
                    "; the first is taken",
                ];
                self.out.warn(&what.concat());
                break;
            }
            first = Some(found);
        }
        match first {
            Some(first) => Ok(first),
            None => self.find_enabled(&name, &places),
        }
    }

    /// What is in the scan directory alone is enabled, and may have a file `down`. There may
    /// also be a template.
    fn find_enabled(&self, name: &[u8], places: &[PathBuf]) -> Result<Found, String> {
        if let Some(own) = Found::at(&self.scan, name) {
            return Ok(own);
        }
        Self::check(name, Path::new(""), &within(&self.scan, name))?;
        Err(unknown(name, places))
    }

    /// What a service needs and is not enabled, with who needs it; what is needed by that comes
    /// before.
    fn needed(&self, service: &Found) -> Vec<(Found, Name)> {
        let mut seen = vec![service.name.clone()];
        let mut needed = Vec::new();
        let mut stack = self.missing(service);
        while let Some((other, by, is_left)) = stack.pop() {
            if is_left {
                needed.push((other, by));
            } else if seen.len() < SERVICES_MAX && !seen.contains(&other.name) {
                seen.push(other.name.clone());
                let more = self.missing(&other);
                stack.push((other, by, true));
                stack.extend(more);
            }
        }
        needed
    }

    /// What this one needs and is not enabled, to be entered; the first comes last.
    fn missing(&self, by: &Found) -> Vec<(Found, Name, bool)> {
        let mut missing = Vec::new();
        for name in by.needs().into_iter().rev() {
            // Of what is nowhere, `pull` tells.
            if Entry::at(&within(&self.scan, &name)) == Entry::Absent
                && check_name(&name).is_ok()
                && let Some(found) = Found::at(&by.place, &name)
            {
                missing.push((found, by.name.clone(), false));
            }
        }
        missing
    }

    /// Enables one service.
    fn bring(&mut self, found: &Found, by: Option<&[u8]>) -> Result<(), String> {
        let name = &found.name[..];
        let (dir, link) = (found.dir(), within(&self.scan, name));
        Self::check(name, &dir, &link)?;
        if let Some(template) = &found.template {
            let made = instance::make(&found.place, name, template)
                .map_err(|e| said(name, &("make it in ".to_owned() + &shown(&found.place)), &e))?;
            let template = shown_name(template);
            match made {
                Made::New => self.tell(name, &("an instance of ".to_owned() + &template)),
                Made::More(0) => {}
                Made::More(_) => self.tell(name, &("has got more from ".to_owned() + &template)),
            }
        }
        let down = dir.join("down");
        match fs::remove_file(&down) {
            Ok(()) => self.tell(name, "its file down is removed"),
            // A read-only file system says so first.
            Err(_) if fs::symlink_metadata(&down).is_err() => {}
            Err(e) => return Err(said(name, "remove its file down", &e)),
        }
        if Entry::at(&link) == Entry::Absent {
            match symlink(&dir, &link) {
                Ok(()) => self.linked.push(name.to_vec()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    Self::check(name, &dir, &link)?;
                }
                Err(e) => return Err(said(name, &("link ".to_owned() + &shown(&link)), &e)),
            }
        }
        if let Some(by) = by {
            self.tell(name, &("needed by ".to_owned() + &shown_name(by)));
        }
        Ok(())
    }

    fn tell(&mut self, name: &[u8], what: &str) {
        let line = ["enable: ", &shown_name(name), " (", what, ")\n"];
        self.out.say(line.concat().as_bytes());
    }

    /// Whether what is in the scan directory lets this service be enabled.
    fn check(name: &[u8], dir: &Path, link: &Path) -> Result<(), String> {
        let what = match Entry::at(link) {
            Entry::Absent => return Ok(()),
            Entry::Link | Entry::Own if same(link) == same(dir) => return Ok(()),
            Entry::Link => " leads to another directory: remove that link first".to_owned(),
            Entry::Lost(to) => [
                " leads to ",
                &shown(to),
                ", which is not there: remove that link first",
            ]
            .concat(),
            Entry::Own => " is a directory of its own, and no link to ".to_owned() + &shown(dir),
            Entry::Other => " is no directory: remove it first".to_owned(),
        };
        Err([&shown_name(name), ": ", &shown(link), &what].concat())
    }

    /// Starts what was asked for, and what that needs; returns how many failed.
    fn start(mut self, asked: &[Name], wait_ms: u64) -> usize {
        if asked.is_empty() {
            return 0;
        }
        let asked: Vec<&[u8]> = asked.iter().map(Vec::as_slice).collect();
        let mut all = asked.clone();
        all.extend(self.linked.iter().map(Vec::as_slice));
        // What was linked now starts by itself.
        pull(&all, &mut self.out);
        self.out.flush();
        let failed = act(&Action::ENABLE, &asked, Some(wait_ms));
        if failed > 0 {
            self.explain(&asked);
        }
        failed
    }

    /// Says why a service has no supervisor, or how to learn why it does not run.
    fn explain(&mut self, asked: &[&[u8]]) {
        let has_none =
            |name: &[u8]| Service::named(name).is_err_and(|trouble| trouble.absence().is_some());
        let Some(name) = asked.iter().find(|name| has_none(name)) else {
            let names: Vec<String> = asked.iter().map(|name| shown_name(name)).collect();
            let line = ["`sv why ", &names.join(" "), "` says more"];
            return self.out.hint(&line.concat());
        };
        let others = enabled().unwrap_or_default();
        if others.iter().all(|other| has_none(other)) {
            let scan = shown(&self.scan);
            let line = [
                "no supervisor looks at ",
                &scan,
                ": `runsvdir ",
                &scan,
                "` does",
            ];
            self.out.hint(&line.concat());
        } else if access(within(&self.scan, name), Access::WRITE_OK) == Err(Errno::ROFS) {
            self.out.hint(
                &(shown_name(name)
                    + " is on a read-only file system: let `supervise` in it be a link to a place \
                       in /run"),
            );
        }
    }
}
