//! `sv disable`: stops services in their time, and then removes their links from the scan
//! directory.
//!
//! A service that does not stop stays enabled. Whoever is killed in the middle has stopped the
//! service, or not, and a second call goes on. What `--purge` removes is the directory of an
//! instance in which only links are: `sv enable` makes it again.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::control::Action;
use model::format::status::Phase;
use model::options::{Opt, Order, Spec};
use model::scan::instance;
use model::settings::{SETTINGS, Settings};
use model::time::Instant;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::CWD;

use super::super::usage_error;
use super::client::{Service, Trouble};
use super::directories::{database, same};
use super::entry::{Entry, parse, said, scan, shown, shown_name, unknown, within};
use super::output::Output;
use super::tree::{Place, remove};
use super::verb::{Call, Operands, Verb};
use super::{act, count};
use crate::engine::read_setting;
use crate::say;
use crate::service_entries::open;
use crate::sys::clock::{after_ms, until};

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "disable",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv disable",
    synopsis: "[-kp] SERVICE...",
    about: "stop services, and let them be supervised no more",
    options: &[
        Opt::flag(b'k', "leave the link, and make a file down").long("keep"),
        Opt::flag(b'p', "also remove the directory of an instance").long("purge"),
    ],
    order: Order::Permute,
    notes: "",
    usage_code: 100,
};

/// A service with `timeout-kill` gets this much longer than that (ms).
const AFTER_KILL_MS: u64 = 1000;

fn run(call: &Call) -> u8 {
    let operands = &call.args.operands;
    let (keeps, purges) = (call.args.has(b'k'), call.args.has(b'p'));
    if operands.is_empty() {
        return usage_error(&SPEC, "say which service");
    }
    if keeps && purges {
        return usage_error(&SPEC, "-k and -p exclude each other");
    }
    let Some(scan) = scan() else {
        return 1;
    };
    let mut failed = 0;
    let mut tell = |result: Result<(), String>| {
        if let Err(why) = result {
            failed += 1;
            say::line("sv", why);
        }
    };
    let mut jobs = Vec::new();
    for operand in operands {
        match Job::of(operand, &scan, keeps, purges) {
            Ok(job) if jobs.iter().any(|other: &Job| other.name == job.name) => {}
            Ok(job) => jobs.push(job),
            Err(why) => tell(Err(why)),
        }
    }
    let wait_ms = jobs.iter().map(Job::stop_ms).max().unwrap_or_default();
    let wait_ms = wait_ms.max(call.wait_ms);
    let supervised = jobs.iter().filter(|job| job.is_supervised());
    let names: Vec<&[u8]> = supervised.map(|job| &job.name[..]).collect();
    if !names.is_empty() {
        // Which of them failed is seen below.
        let _failed = act(&Action::STOP, &names, Some(wait_ms));
    }
    let mut out = Output::new();
    for job in &jobs {
        if !names.contains(&&job.name[..]) {
            out.say(job.idle_line().as_bytes());
        }
        tell(job.finish(keeps, after_ms(wait_ms), &mut out));
        out.flush();
    }
    count(failed)
}

/// A service that is to be disabled.
struct Job {
    name: Vec<u8>,
    /// Its entry in the scan directory.
    path: PathBuf,
    entry: Entry,
    /// The directory of an instance, if that is to be removed.
    instance: Option<PathBuf>,
}

impl Job {
    /// What is to be done; a file `down` is made.
    fn of(operand: &[u8], scan: &Path, keeps: bool, purges: bool) -> Result<Self, String> {
        let (name, dir) = parse(operand)?;
        let path = within(scan, &name);
        let entry = Entry::at(&path);
        let is_there = matches!(entry, Entry::Link | Entry::Own);
        let is_other = is_there && dir.as_ref().is_some_and(|dir| same(dir) != same(&path));
        let (shown_name, at) = (shown_name(&name), shown(&path));
        let about = [&shown_name, ": ", &at].concat();
        if is_other {
            return Err(about + " leads to another directory");
        }
        match &entry {
            Entry::Other => return Err(about + " is no directory and no link to one"),
            Entry::Own if !keeps => {
                let hint = " is a directory of its own: it stays, and is down, by ";
                return Err([&about, hint, "`sv disable --keep ", &shown_name, "`"].concat());
            }
            Entry::Absent | Entry::Lost(_) if keeps => return Err(about + " is not there to keep"),
            _ => {}
        }
        let instance = if purges {
            Some(instance_of(&name, &path)?)
        } else {
            None
        };
        if entry == Entry::Absent && instance.is_none() && find(&name).is_none() {
            return Err(unknown(&name, &[scan.to_owned()]));
        }
        if keeps {
            make_down(&path).map_err(|e| said(&name, "make a file down", &e))?;
        }
        Ok(Self {
            name,
            path,
            entry,
            instance,
        })
    }

    /// There is a service in the scan directory.
    const fn is_there(&self) -> bool {
        matches!(self.entry, Entry::Link | Entry::Own)
    }

    /// A supervisor has it, as far as can be seen.
    fn is_supervised(&self) -> bool {
        let found = Service::named(&self.name);
        self.is_there() && !matches!(found, Err(Trouble::Dead | Trouble::Missing(_)))
    }

    /// How long its stop may take by what it says itself.
    fn stop_ms(&self) -> u64 {
        let mut found = Settings::default();
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == "timeout-kill");
        if let Ok(home) = open(CWD, &self.path)
            && let Some(setting) = setting
        {
            let _told_by_the_supervisor = read_setting(home.as_fd(), setting, &mut found);
        }
        let kill_ms = found.timeout_kill.map(u64::from);
        kill_ms.map_or(0, |ms| ms.saturating_add(AFTER_KILL_MS))
    }

    /// What is said if there was nothing to stop.
    fn idle_line(&self) -> String {
        let why = match self.entry {
            Entry::Absent => ": not enabled\n",
            _ => ": runsv not running\n",
        };
        ["ok: ", &shown_name(&self.name), why].concat()
    }

    /// It was told to stop.
    fn finish(&self, keeps: bool, end_ns: u64, out: &mut Output) -> Result<(), String> {
        let name = shown_name(&self.name);
        if self.is_there() && !self.is_down() {
            let why = if keeps {
                " has a file down, and still runs"
            } else {
                " is still enabled"
            };
            return Err(name + why);
        }
        if keeps {
            return Ok(());
        }
        // Who was killed here before has removed the link.
        let dir = self.instance.as_ref().filter(|_| !self.is_there());
        let name_now = dir.map_or(&self.name[..], |dir| dir.as_os_str().as_bytes());
        let supervisor = Service::named(name_now).ok();
        let log = supervisor
            .as_ref()
            .and_then(|service| service.log(service.entries()).ok()?);
        if self.entry != Entry::Absent {
            fs::remove_file(&self.path)
                .map_err(|e| said(&self.name, &("remove ".to_owned() + &shown(&self.path)), &e))?;
        }
        // Who enables it again at once gets a supervisor that stays.
        let mut supervisors = [supervisor, log].into_iter().flatten();
        let has_ended = supervisors.all(|service| has_ended(&service, end_ns));
        let Some(dir) = &self.instance else {
            return Ok(());
        };
        if !has_ended {
            return Err([
                &name,
                ": its supervisor still runs; ",
                &shown(dir),
                " stays",
            ]
            .concat());
        }
        remove(dir, Place::Service).map_err(|why| [&name, ": ", &why].concat())?;
        out.say(
            ["disable: ", &name, " (", &shown(dir), " is removed)\n"]
                .concat()
                .as_bytes(),
        );
        Ok(())
    }

    /// Nothing of it runs or is wanted.
    fn is_down(&self) -> bool {
        match Service::named(&self.name).and_then(|service| service.status()) {
            Ok(status) => status.phase == Phase::Down && status.pid == 0 && !status.want_up,
            Err(trouble) => matches!(trouble, Trouble::Dead | Trouble::Missing(_)),
        }
    }
}

/// Where the database has it.
fn find(name: &[u8]) -> Option<PathBuf> {
    let dirs = database().into_iter().map(|dir| within(&dir, name));
    dirs.into_iter().find(|dir| dir.is_dir())
}

/// The directory that is to be removed with an instance.
fn instance_of(name: &[u8], path: &Path) -> Result<PathBuf, String> {
    if instance(name).is_none() {
        return Err(shown_name(name) + " is no instance: only the directory of one is removed");
    }
    let found = fs::canonicalize(path).ok().or_else(|| find(name));
    found.ok_or_else(|| unknown(name, &database()))
}

fn make_down(dir: &Path) -> io::Result<()> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(dir.join("down"));
    match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Whether the supervisor of a service, or of its logger, has ended by then.
fn has_ended(service: &Service, end_ns: u64) -> bool {
    let Some(lifeline) = service.lifeline() else {
        return false;
    };
    let timeout = until(Instant(end_ns));
    let mut fds = [PollFd::new(lifeline, PollFlags::empty())];
    poll(&mut fds, Some(&timeout)).is_ok_and(|n| n > 0)
}
