//! `sv lint`: what is wrong with services before they are started, a line each. What the bytes
//! of a program show is decided in [`model::lint`]; names, modes and settings are looked at here.

use std::fs::{self, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::format::json::Object;
use model::graph::{Edges, Graph, Kind};
use model::lint::{Finding, interpreter, program, unknown};
use model::options::{Opt, Order, Spec};
use model::settings::{SETTINGS, Settings};
use model::snapshot::State;
use rustix::fs::{CWD, OFlags};

use super::super::usage_error;
use super::count;
use super::directories::{database, enabled, locate, services};
use super::entry::{parse_any, scan, shown, shown_name, unknown as unknown_name, within};
use super::output::Output;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use crate::engine::edges::read;
use crate::engine::read_setting;
use crate::say::{self, without_numbers};
use crate::service_entries::open;
use crate::sys::file;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "lint",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv lint",
    synopsis: "[-ajW] [SERVICE...]",
    about: "look for mistakes in service directories",
    options: &[
        Opt::flag(b'a', "also those that could be enabled").long("all"),
        Opt::flag(b'j', "a JSON object for each mistake").long("json"),
        Opt::flag(b'W', "hints count as errors"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

/// No more of a script is read.
const SCRIPT_BYTES: usize = 64 * 1024;
/// Everybody may write.
const WORLD_WRITABLE: u32 = 0o002;
const EXECUTABLE: u32 = 0o111;

type Name = Vec<u8>;

fn run(call: &Call) -> u8 {
    let mut linter = Linter::new();
    linter.hints_count = call.args.has(b'W');
    linter.is_json = call.args.has(b'j');
    let mut failed = 0;
    let mut found: Vec<(Name, PathBuf)> = Vec::new();
    for operand in &call.args.operands {
        match find(operand) {
            Ok(service) => found.push(service),
            Err(why) => {
                failed += 1;
                say::line("sv", why);
            }
        }
    }
    if call.args.operands.is_empty() {
        match all(call.args.has(b'a')) {
            Ok(services) => found = services,
            Err(why) => {
                say::line("sv", why);
                return 1;
            }
        }
        failed += linter.tell_circles(&found);
    } else if call.args.has(b'a') {
        return usage_error(&SPEC, "-a: name no service");
    }
    for (name, dir) in &found {
        failed += usize::from(linter.lint(name, dir));
    }
    count(failed)
}

/// All services: of the scan directory, and of the database.
fn all(with_database: bool) -> Result<Vec<(Name, PathBuf)>, String> {
    let mut found = Vec::new();
    for name in enabled()? {
        let dir = locate(&name);
        found.push((name, dir));
    }
    for place in database().iter().filter(|_| with_database) {
        for name in services(place).unwrap_or_default() {
            if !found.iter().any(|(other, _)| *other == name) {
                found.push((name.clone(), within(place, &name)));
            }
        }
    }
    Ok(found)
}

/// The directory of a service, enabled or not.
pub fn find(operand: &[u8]) -> Result<(Name, PathBuf), String> {
    let (name, path) = parse_any(operand)?;
    let mut places = database();
    places.splice(0..0, scan());
    let mut dirs = places.iter().map(|place| within(place, &name));
    let dir = path.or_else(|| dirs.find(|dir| dir.is_dir() && !name.is_empty()));
    match dir.filter(|dir| dir.is_dir()) {
        Some(dir) => Ok((name, dir)),
        None => Err(unknown_name(&name, &places)),
    }
}

/// Looks at services, and tells what it finds.
pub struct Linter {
    out: Output,
    /// As errors.
    hints_count: bool,
    is_json: bool,
    /// The names that services have.
    known: Vec<Name>,
    /// The one that it looks at, for its lines.
    name: Name,
    is_bad: bool,
}

impl Linter {
    /// One that prints lines.
    pub fn new() -> Self {
        let mut known = enabled().unwrap_or_default();
        known.extend(
            database()
                .iter()
                .flat_map(|dir| services(dir).unwrap_or_default()),
        );
        Self {
            out: Output::new(),
            hints_count: false,
            is_json: false,
            known,
            name: Vec::new(),
            is_bad: false,
        }
    }

    fn tell(&mut self, file: &str, finding: &Finding) {
        self.is_bad |= finding.is_error || self.hints_count;
        if self.is_json {
            let mut json = Object::new();
            json.bytes("name", &self.name);
            json.text("file", file);
            json.boolean("is_error", finding.is_error);
            json.text("text", &finding.text);
            return self.out.say((json.end() + "\n").as_bytes());
        }
        let kind = if finding.is_error { "" } else { "hint: " };
        let name = shown_name(&self.name);
        let line = [&name, ": ", file, ": ", kind, &finding.text, "\n"].concat();
        self.out.say(line.as_bytes());
    }

    fn error(&mut self, file: &str, text: &str) {
        self.tell(file, &Finding::error(text));
    }

    fn hint(&mut self, file: &str, text: &str) {
        self.tell(file, &Finding::hint(text));
    }

    /// Whether there is an error.
    pub fn lint(&mut self, name: &[u8], dir: &Path) -> bool {
        self.name = name.to_vec();
        self.is_bad = false;
        if fs::metadata(dir).is_ok_and(|found| !found.is_dir()) {
            self.error(".", "is no directory: remove it");
            return true;
        }
        if let (Err(_), Ok(to)) = (fs::metadata(dir), fs::read_link(dir)) {
            let what = ["its link leads to ", &shown(to), ", which cannot be had"];
            self.error(".", &what.concat());
            return true;
        }
        let has_setup = self.program(dir, "setup", false);
        let has_check = self.program(dir, "check", false);
        let names_others = ["needs", "wants"]
            .iter()
            .any(|kind| dir.join(kind).is_dir());
        if !self.program(dir, "run", true) && !has_setup && !has_check && !names_others {
            self.error("run", "is missing: write it, or see `sv new --help`");
        }
        self.program(dir, "finish", true);
        for entry in fs::read_dir(dir.join("control"))
            .into_iter()
            .flatten()
            .flatten()
        {
            self.program(
                dir,
                &("control/".to_owned() + &shown(entry.file_name())),
                false,
            );
        }
        let log = dir.join("log");
        if log.is_dir() && !self.program(dir, "log/run", true) {
            // Packages bring it empty, and fill it later.
            let is_empty = fs::read_dir(&log).is_ok_and(|mut entries| entries.next().is_none());
            let text = "is missing, and nobody reads what the service says: write it";
            let finding = if is_empty {
                Finding::hint(text)
            } else {
                Finding::error(text)
            };
            self.tell("log/run", &finding);
        }
        self.program(dir, "log/finish", true);
        self.settings(dir, "");
        self.settings(&log, "log/");
        self.names(name, dir);
        self.look(name, dir);
        self.is_bad
    }

    /// Looks at a program; whether there is one. `must`: it is started, executable or not.
    fn program(&mut self, dir: &Path, name: &str, must: bool) -> bool {
        let path = dir.join(name);
        let Ok(found) = fs::metadata(&path) else {
            let Ok(to) = fs::read_link(&path) else {
                return false;
            };
            let what = ["its link leads to ", &shown(to), ", which cannot be had"];
            self.error(name, &what.concat());
            return true;
        };
        if !found.is_file() {
            self.error(name, "is no file");
            return true;
        }
        if found.mode() & EXECUTABLE == 0 {
            if must {
                self.error(name, "is not executable: chmod +x");
            } else {
                self.hint(name, "is not executable, and does not count: chmod +x");
            }
            return must;
        }
        self.owner(dir, name, &found);
        let whole = file::open(&path, OFlags::RDONLY).and_then(|f| file::head(f, SCRIPT_BYTES + 1));
        // Who may not read it cannot say more.
        let Ok(head) = whole else {
            return true;
        };
        for finding in program(&head, head.len() <= SCRIPT_BYTES) {
            // Only a service has to stay.
            if finding.is_error || name.ends_with("run") {
                self.tell(name, &finding);
            }
        }
        if let Some(path) = interpreter(&head).filter(|path| path.starts_with(b"/"))
            && fs::metadata(within(Path::new("/"), path)).is_err()
        {
            let what = ["its interpreter ", &shown_name(path), " is not there"];
            self.error(name, &what.concat());
        }
        true
    }

    /// Who may change what root starts.
    fn owner(&mut self, dir: &Path, name: &str, found: &Metadata) {
        if found.mode() & WORLD_WRITABLE != 0 {
            self.error(name, "everybody may write to it: chmod o-w");
        }
        let owner = |path: PathBuf| fs::symlink_metadata(path).map(|found| found.uid());
        if found.uid() != 0 && owner(dir.join("supervise")).is_ok_and(|uid| uid == 0) {
            self.hint(
                name,
                "it does not belong to root, who starts it: chown root",
            );
        }
    }

    /// What our own files hold.
    fn settings(&mut self, dir: &Path, prefix: &str) {
        let Ok(home) = open(CWD, dir) else {
            return;
        };
        let is_log = !prefix.is_empty();
        let mut found = Settings::default();
        for setting in SETTINGS
            .iter()
            .filter(|setting| setting.of_logger || !is_log)
        {
            if let Err(reason) = read_setting(home.as_fd(), setting, &mut found) {
                let reason = without_numbers(&reason);
                let what = [&reason, "; taken for ", setting.instead_is].concat();
                self.error(&(prefix.to_owned() + setting.name), &what);
            }
        }
        if let Some(fd @ 1..) = found.notification_fd {
            let number = fd.to_string();
            let script = file::read(&dir.join("run"), SCRIPT_BYTES).unwrap_or_default();
            let is_named = script
                .windows(number.len())
                .any(|part| part == number.as_bytes());
            if script.starts_with(b"#!") && !is_named {
                let what = [
                    "holds ",
                    &number,
                    ", which run does not name: it is never ready",
                ];
                self.hint("notification-fd", &what.concat());
            }
        }
    }

    /// The services that it names.
    fn names(&mut self, name: &[u8], dir: &Path) {
        let Ok(home) = open(CWD, dir) else {
            return;
        };
        for kind in Kind::ALL {
            let mut edges = Edges::NONE;
            let directory = kind.directory();
            if let Err(reason) = read(&home, directory, kind, &mut edges) {
                self.error(directory, &without_numbers(&reason));
            }
            for (_, other) in edges.iter() {
                let file = [directory, "/", &shown_name(other)].concat();
                let is_template = model::scan::template(other).is_some_and(|template| {
                    database()
                        .iter()
                        .any(|place| within(place, template).is_dir())
                });
                if other == name {
                    self.error(&file, "a service cannot wait for itself: remove it");
                } else if !is_template && !self.known.contains(other) {
                    let must = matches!(kind, Kind::Needs | Kind::Follows);
                    let known = std::mem::take(&mut self.known);
                    let words = known.iter().filter_map(|name| str::from_utf8(name).ok());
                    let finding = unknown(&String::from_utf8_lossy(other), must, words);
                    self.known = known;
                    if let Some(finding) = finding {
                        self.tell(&file, &finding);
                    }
                }
            }
        }
    }

    /// What runs now and will not after a boot.
    fn look(&mut self, name: &[u8], dir: &Path) {
        if fs::metadata(dir).is_ok_and(|found| found.mode() & WORLD_WRITABLE != 0) {
            self.error(".", "everybody may write to its directory: chmod o-w");
        }
        let is_forgotten =
            dir.join("down").exists() && look(name, Depth::Row).state() == State::Run;
        if is_forgotten {
            let what = [
                "it runs, and will not after a boot: `sv enable ",
                &shown_name(name),
                "`",
            ];
            let what = what.concat();
            self.hint("down", &what);
        }
    }

    /// Services that wait for each other; how many circles there are.
    fn tell_circles(&mut self, services: &[(Name, PathBuf)]) -> usize {
        let mut graph = Graph::default();
        for (member, (name, dir)) in (0..).zip(services) {
            graph.open(member, name);
            let mut edges = Edges::NONE;
            if let Ok(home) = open(CWD, dir) {
                for kind in Kind::ALL {
                    // What does not count is told with the service.
                    let _told = read(&home, kind.directory(), kind, &mut edges);
                }
            }
            graph.set_edges(member, &edges);
        }
        let circles = graph.find_circles();
        for circle in &circles {
            let line = if self.is_json {
                let mut json = Object::new();
                json.boolean("is_error", true).text("text", circle);
                json.end()
            } else {
                circle.clone()
            };
            self.out.say((line + "\n").as_bytes());
        }
        circles.len()
    }
}
