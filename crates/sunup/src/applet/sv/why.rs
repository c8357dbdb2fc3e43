//! `sv why`: why a service is not what one expects, and the command that ends it. What is
//! seen of it is gathered here; what that means is decided in [`model::snapshot::why`].

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::control::is_path;
use model::format::json::Object;
use model::format::tai64n::Tai64n;
use model::options::{Opt, Order, Spec};
use model::snapshot::Snapshot;
use model::snapshot::why::{Answer, Case, Fault, Place, Why};
use rustix::fs::{Access, access};

use super::super::usage_error;
use super::directories::{database, enabled, locate, scan_directory};
use super::order::sibling;
use super::snapshot::{Depth, look};
use super::verb::{Call, Operands, Verb};
use super::{FAILURES_MAX, log};
use crate::engine::launch::interpreter;
use crate::say;
use crate::sys::{clock, file};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "why",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv why",
    synopsis: "[-j] SERVICE...",
    about: "say why a service is down, or up, and what ends that",
    options: &[Opt::flag(b'j', "a JSON object for each").long("json")],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

/// So many services that wait for each other are followed.
const CHAIN_MAX: usize = 64;
/// Lines of the log that are shown.
const LINES: u64 = 5;
/// A number in a file of our own is no longer.
const NUMBER_BYTES: usize = 256;

fn run(call: &Call) -> u8 {
    if call.args.operands.is_empty() {
        return usage_error(&SPEC, "say which service");
    }
    let mut failed = 0;
    for name in &call.args.operands {
        let (seen, place, answer) = answer(name);
        failed += usize::from(matches!(answer.why, Why::Unknown) || is_nowhere(&place));
        if call.args.has(b'j') {
            say::print(&(json(&seen, &answer) + "\n"));
            continue;
        }
        let mut text = format!("{}: {}\n", name.escape_ascii(), answer.text);
        if let Some(command) = &answer.command {
            text.extend(["  try: ", command, "\n"]);
        }
        say::print(&text);
        log::print_last(name, LINES, call.args);
    }
    failed.min(FAILURES_MAX) as u8
}

fn json(seen: &Snapshot, answer: &Answer) -> String {
    let mut json = Object::new();
    json.bytes("name", &seen.name);
    json.text("state", seen.state().word());
    json.text("why", answer.why.word());
    json.text("text", &answer.text);
    if let Some(command) = &answer.command {
        json.text("command", command);
    }
    json.end()
}

const fn is_nowhere(place: &Place) -> bool {
    matches!(
        place,
        Place::Nowhere | Place::NoDirectory | Place::NoScanDirectory(_)
    )
}

fn answer(name: &[u8]) -> (Snapshot, Place, Answer) {
    let seen = look(name, Depth::All);
    let mut case = case(name, &seen);
    let mut met = vec![name.to_vec()];
    let mut last = seen.clone();
    while let Some(next) = last.waits_for().map(str::to_owned) {
        // A name that is escaped is not looked up.
        let operand = sibling(met.last().map_or(name, Vec::as_slice), next.as_bytes());
        case.chain.push(next);
        if met.contains(&operand) || met.len() == CHAIN_MAX {
            break;
        }
        last = look(&operand, Depth::All);
        met.push(operand.clone());
        if last.waits_for().is_none() {
            case.root = Some(self::case(&operand, &last).answer());
        }
    }
    let answer = case.answer();
    let place = case.place;
    (seen, place, answer)
}

/// What there is to know, but for what it waits for.
fn case<'s>(name: &[u8], seen: &'s Snapshot) -> Case<'s> {
    let dir = PathBuf::from(OsStr::from_bytes(&seen.dir));
    let scan = match (dir.parent(), dir.file_name()) {
        (Some(parent), _) if !parent.as_os_str().is_empty() => parent.to_owned(),
        // `web/`, and `.` or `..`.
        (Some(_), Some(_)) => ".".into(),
        (Some(_), None) => dir.join(".."),
        (None, _) => scan_directory().unwrap_or_default(),
    };
    let scanners = match seen.supervised {
        Some(false) => scanners(&scan),
        _ => Vec::new(),
    };
    let timeout_up = file::read(&dir.join("timeout-up"), NUMBER_BYTES).ok();
    let number = |text: Vec<u8>| std::str::from_utf8(&text).ok()?.trim().parse().ok();
    Case {
        seen,
        now: clock::moment(),
        place: place(name),
        scanners,
        scan: scan.into_os_string().into_vec(),
        fault: fault(&dir.join("run")),
        down_since: fs::metadata(dir.join("down"))
            .map(|down| Tai64n::from_unix(down.mtime(), 0))
            .ok(),
        timeout_up_ms: timeout_up.and_then(number),
        chain: Vec::new(),
        root: None,
    }
}

fn place(name: &[u8]) -> Place {
    let dir = locate(name);
    if name.is_empty() {
        return Place::Nowhere;
    }
    if dir.as_os_str().is_empty() {
        return Place::NoScanDirectory(enabled().err().unwrap_or_default());
    }
    if dir.join(".").is_dir() {
        return Place::Scanned;
    }
    if let Ok(target) = fs::read_link(&dir) {
        return Place::Dangling(target.into_os_string().into_vec());
    }
    if dir.exists() {
        return Place::NoDirectory;
    }
    if is_path(name) {
        return Place::Nowhere;
    }
    if let Err(why) = enabled() {
        return Place::NoScanDirectory(why);
    }
    // The template of an instance will do.
    let template = name.iter().position(|byte| *byte == b'@');
    let template = template.and_then(|at| name.get(..=at));
    for database in database() {
        for name in [Some(name), template].into_iter().flatten() {
            let dir = database.join(OsStr::from_bytes(name));
            if dir.is_dir() {
                return Place::Database(dir.into_os_string().into_vec());
            }
        }
    }
    Place::Nowhere
}

fn fault(run: &Path) -> Option<Fault> {
    if !run.exists() {
        return Some(Fault::Missing);
    }
    if access(run, Access::EXEC_OK).is_err() {
        return Some(Fault::NotExecutable);
    }
    let interpreter = interpreter(run)?;
    let is_there = Path::new(OsStr::from_bytes(&interpreter)).exists();
    (!is_there).then_some(Fault::Interpreter(interpreter))
}

/// Each runsvdir that runs, and its directory; that of `scan` by the name that it has here.
fn scanners(scan: &Path) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(dir) = pid.and_then(|_| scanned(&entry.path())) {
            let is_ours = fs::canonicalize(&dir).ok() == fs::canonicalize(scan).ok();
            let dir = if is_ours { scan } else { &dir };
            found.extend(pid.map(|pid| (pid, dir.as_os_str().as_bytes().to_vec())));
        }
    }
    found
}

/// The directory of a process, if it is a runsvdir.
fn scanned(process: &Path) -> Option<PathBuf> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    // It may be called as `sunup runsvdir`.
    let is_name = |word: &&[u8]| word.rsplit(|byte| *byte == b'/').next() == Some(b"runsvdir");
    words.by_ref().take(2).find(is_name)?;
    let dir = words.find(|word| !word.starts_with(b"-"))?;
    let home = fs::read_link(process.join("cwd")).unwrap_or_default();
    Some(home.join(OsString::from_vec(dir.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::super::verbs;
    use model::control::Verb;
    use model::snapshot::why::Fix;

    #[test]
    fn each_command_that_is_named_exists() {
        for fix in Fix::ALL {
            let word = fix.words().split(' ').next().unwrap().as_bytes();
            let is_old = Verb::parse(word, &[]).is_ok();
            assert!(is_old || verbs::find(word).is_some(), "{fix:?}");
        }
    }
}
