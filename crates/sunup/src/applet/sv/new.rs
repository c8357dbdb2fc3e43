//! `sv new`: writes a service directory for a command, into the database or where a path says.
//! It is made under a hidden name, so that nobody enables half of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::control::is_path;
use model::options::{Opt, Order, Spec};
use model::service_script::{log_run, run as run_script};
use model::settings::{SETTINGS, Settings};
use rustix::fs::{Access, Mode, OFlags, access, fchmod, mkdirat};
use rustix::process::geteuid;

use super::super::usage_error;
use super::directories::database;
use super::entry::{absolute, check_name, parse_any, said, shown, shown_name, within};
use super::hidden::Hidden;
use super::tree::open_dir;
use super::verb::{Call, Operands, Verb};
use crate::say;
use crate::sys::file::open_at;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "new",
    spec: &SPEC,
    operands: Operands::Database,
    run,
};

const SPEC: Spec = Spec {
    name: "sv new",
    synopsis: "[-lo] [-n FD] [-u USER] SERVICE -- COMMAND...",
    about: "write a service directory for a command",
    options: &[
        Opt::flag(b'l', "with a log service").long("log"),
        Opt::valued(b'n', "FD", "it says on this descriptor when it is ready").long("notify"),
        Opt::flag(b'o', "it is done once, and nothing has to run").long("oneshot"),
        Opt::valued(b'u', "USER", "run it as this user, or user:group").long("user"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

fn run(call: &Call) -> u8 {
    let [operand, command @ ..] = call.args.operands.as_slice() else {
        return usage_error(
            &SPEC,
            "say the name of the service, and the command behind --",
        );
    };
    if command.is_empty()
        || command
            .iter()
            .any(|word| word.is_empty() && command.len() == 1)
    {
        return usage_error(&SPEC, "say the command behind --");
    }
    match write(call, operand, command) {
        Ok(()) => 0,
        Err(why) => {
            say::line("sv", why);
            1
        }
    }
}

fn write(call: &Call, operand: &[u8], command: &[&[u8]]) -> Result<(), String> {
    let (name, path) = parse_any(operand)?;
    check_name(name.strip_suffix(b"@").unwrap_or(&name))?;
    let dir = match path {
        Some(path) => path,
        None => within(&place()?, &name),
    };
    if fs::symlink_metadata(&dir).is_ok() {
        return Err(shown(&dir) + " is there already");
    }
    let notification_fd = call.args.value(b'n');
    if let Some(number) = notification_fd {
        check_number(number)?;
    }
    let script = run_script(command, call.args.value(b'u'));
    let main = if call.args.has(b'o') { "setup" } else { "run" };
    let log = (call.args.has(b'l')).then(|| log_run(geteuid().is_root().then_some(&name)));
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let files = [
        (main, Some(&script[..]), 0o755),
        ("log/run", log.as_deref(), 0o755),
        ("notification-fd", notification_fd, 0o644),
    ];
    make(parent, &dir, &files)
        .map_err(|e| said(&name, &("make ".to_owned() + &shown(&dir)), &e))?;
    if let Some(warning) = command.first().and_then(|program| is_missing(program)) {
        say::line("warning", warning);
    }
    let next = if is_path(operand) {
        shown(&dir)
    } else {
        shown_name(&name)
    };
    let more = if name.ends_with(b"@") { "NAME" } else { "" };
    say::print(
        &[
            "new: ",
            &shown(&dir),
            "; `sv enable ",
            &next,
            more,
            "` starts it\n",
        ]
        .concat(),
    );
    Ok(())
}

fn make(parent: &Path, dir: &Path, files: &[(&str, Option<&[u8]>, u32)]) -> io::Result<()> {
    let hidden = Hidden::new(parent)?;
    fchmod(hidden.dir(), Mode::from_raw_mode(0o755))?;
    for (name, content, mode) in files {
        let Some(content) = content else {
            continue;
        };
        let log = match name.strip_prefix("log/") {
            Some(name) => Some((make_log(hidden.dir())?, name)),
            None => None,
        };
        let (at, name) = match &log {
            Some((log, name)) => (log.as_fd(), name),
            None => (hidden.dir(), name),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = open_at(at, Path::new(name), flags, Mode::from_raw_mode(0o600))?;
        fchmod(&file, Mode::from_raw_mode(*mode))?;
        File::from(file).write_all(content)?;
    }
    hidden.publish(dir)
}

fn make_log(at: BorrowedFd) -> io::Result<OwnedFd> {
    mkdirat(at, "log", Mode::from_raw_mode(0o755))?;
    let log = open_dir(at, "log")?;
    fchmod(&log, Mode::from_raw_mode(0o755))?;
    Ok(log)
}

/// The first directory of the database that is there; without one, the first is made.
fn place() -> Result<PathBuf, String> {
    let places = database();
    if let Some(place) = places.iter().find(|place| place.is_dir()) {
        return Ok(absolute(place.clone()));
    }
    let first = places.into_iter().next();
    let first = first.ok_or("SUNUP_DB names no database: say a path, such as ./web")?;
    fs::create_dir_all(&first).map_err(|e| said(first.as_os_str().as_bytes(), "make it", &e))?;
    Ok(absolute(first))
}

fn check_number(number: &[u8]) -> Result<(), String> {
    let setting = SETTINGS
        .iter()
        .find(|setting| setting.name == "notification-fd");
    let decoded = setting.map_or(Ok(()), |s| (s.decode)(number, &mut Settings::default()));
    decoded.map_err(|mistake| ["-n ", &shown_name(number), ": ", &mistake.reason].concat())
}

/// What is wrong with a program that a service is to be.
fn is_missing(program: &[u8]) -> Option<String> {
    let shown = shown_name(program);
    if program.starts_with(b"/") {
        let is_there = access(program, Access::EXEC_OK).is_ok();
        return (!is_there).then(|| shown + " is not there, or not executable");
    }
    if program.contains(&b'/') {
        return Some(shown + " is looked up in the service directory: a whole path is safer");
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut dirs = std::env::split_paths(&path);
    let is_there = dirs.any(|dir| access(within(&dir, program), Access::EXEC_OK).is_ok());
    (!is_there).then(|| shown + " is not in PATH, or not executable")
}
