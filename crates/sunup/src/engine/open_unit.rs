//! One service directory, held open: the service, its logger if `log` is a
//! directory, and the pipe between them.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use model::access::Access;
use model::adoption::Inheritance;
use model::facts::Line;
use model::format::adopt::{Record, World};
use model::format::kill::Kill;
use model::graph;
use model::scan::Identity;
use model::service::{Role, Want};
use model::settings::{Look, OWNER, SETTINGS, Setting, Settings};
use model::supervisor::Log;
use rustix::fs::{AtFlags, CWD, FileType, Mode, statat};
use rustix::io::Errno;

use super::access;
use super::adopt::{Adopted, LogPipe, inherit, nothing_found};
use super::directory::identity;
use super::half::Half;
use super::late_exit::sighting;
use super::notify::Ears;
use super::setting_file::read_setting;
use super::site::Site;
use super::supervise::{self, OpenError, Supervise};
use crate::service_entries::{self, Entries};
use crate::state_rooms::{self, Rooms};
use crate::sys::clock;
use crate::sys::descriptors::aside;

/// A supervised service directory.
pub struct OpenUnit {
    /// The service.
    pub main: Half,
    /// Its logger.
    pub log: Option<Box<Half>>,
    /// The pipe between them.
    pub pipe: Option<LogPipe>,
    /// What is held open to hear the service.
    pub ears: Option<Box<Ears>>,
    /// The number of the directory's watch in [`super::scandir`].
    pub watch: Option<i32>,
    /// The last look at its directory, and in which turn of the engine it was.
    pub seen: Option<(u64, Entries)>,
    /// What a stop ends, as was seen before the last start.
    pub kill: Kill,
}

/// What all units have in common.
#[derive(Clone, Copy)]
pub struct Ground<'w> {
    /// The boot and pid namespace of our pids, if they are known.
    pub world: Option<&'w World>,
    /// Where the state of a unit may be instead.
    pub rooms: Rooms,
    /// Who is let in; to one unit its owner, too.
    pub access: Access,
}

/// What opening a unit found.
pub struct Opened {
    /// The unit.
    pub unit: OpenUnit,
    /// The state of the service.
    pub main: Inheritance,
    /// The state of its logger.
    pub log: Option<Inheritance>,
    /// What is wrong with its file `owner`.
    pub mistaken: Option<String>,
}

/// A service directory that was found: held open, and known by its identity.
pub struct Place {
    /// The directory.
    pub home: OwnedFd,
    /// What tells it from others.
    pub identity: Identity,
}

impl Place {
    /// Opens a directory.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let home = aside(service_entries::open(CWD, path)?)?;
        let identity = identity(&home)?;
        Ok(Self { home, identity })
    }
}

impl OpenUnit {
    /// Locks the supervise directories and takes over what an earlier supervisor left.
    /// What was seen of its entries counts for this `turn`.
    pub fn open(place: Place, mut ground: Ground, turn: u64) -> Result<Opened, OpenError> {
        let home = place.home;
        let entries = Entries::of(home.as_fd());
        let may_be_owned = entries.may_hold(OWNER.name);
        let owner = may_be_owned.then(|| access::owner(home.as_fd()));
        let owner = owner.unwrap_or(Ok(None));
        ground.access.owner = owner.as_ref().copied().unwrap_or(None);
        let log_home = entries.log.then(|| open_log(&home)).transpose()?.flatten();
        let mut records = vec![];
        let main = (home, &entries);
        let (main, main_found) = open_half(main, Role::Main, ground, &mut records)?;
        let log = log_home
            .map(|home| {
                let entries = Entries::of(home.as_fd());
                open_half((home, &entries), Role::Log, ground, &mut records)
            })
            .transpose()?;
        let (log, log_found) = log.map(|(log, found)| (Box::new(log), found)).unzip();
        let pipe = log
            .is_some()
            .then(|| LogPipe::take_over(&records))
            .transpose()
            .map_err(|e| OpenError::Failed("make the log pipe", e))?;
        Ok(Opened {
            unit: Self {
                main,
                log,
                pipe,
                ears: None,
                watch: None,
                seen: Some((turn, entries)),
                kill: Kill::Process,
            },
            main: main_found,
            log: log_found,
            mistaken: owner.err(),
        })
    }

    /// Looks at the entry `log`, and opens it if it is new. Its owner is that of the service.
    pub fn look_at_log(&mut self, mut ground: Ground, turn: u64) -> Result<Log, OpenError> {
        if self.main.place().held().is_none() {
            // The kernel does not tell.
            return Ok(Log::Same);
        }
        let open = || open_log(self.main.home()).transpose();
        let may_be = self.seen.is_none_or(|(at, seen)| at != turn || seen.log);
        let Some(home) = may_be.then(open).flatten().transpose()? else {
            return Ok(self.log.as_ref().map_or(Log::Same, |_| Log::Gone));
        };
        if let Some(log) = &self.log {
            let same = identity(&home).is_ok_and(|there| log.place().identity() == Some(there));
            return Ok(if same { Log::Same } else { Log::Gone });
        }
        let mut records = vec![];
        let entries = Entries::of(home.as_fd());
        ground.access = self.main.access;
        let (log, found) = open_half((home, &entries), Role::Log, ground, &mut records)?;
        let pipe =
            LogPipe::take_over(&records).map_err(|e| OpenError::Failed("make the log pipe", e))?;
        self.log = Some(Box::new(log));
        self.pipe = Some(pipe);
        Ok(Log::Opened(Box::new(found)))
    }

    /// Descriptors are short, and the unit is not in use: a service with its logger keeps
    /// five descriptors.
    pub fn rest(&mut self) {
        self.halves_mut().for_each(|(_, half)| half.rest());
        if let Some(pipe) = &mut self.pipe {
            pipe.rest();
        }
    }

    /// The service, and the logger if there is one.
    pub fn halves_mut(&mut self) -> impl Iterator<Item = (Role, &mut Half)> {
        let log = self.log.as_deref_mut().map(|log| (Role::Log, log));
        [(Role::Main, &mut self.main)].into_iter().chain(log)
    }

    /// The service or the logger.
    pub fn half(&self, role: Role) -> Option<&Half> {
        match role {
            Role::Main => Some(&self.main),
            Role::Log => self.log.as_deref(),
        }
    }

    /// As [`OpenUnit::half`].
    pub fn half_mut(&mut self, role: Role) -> Option<&mut Half> {
        match role {
            Role::Main => Some(&mut self.main),
            Role::Log => self.log.as_deref_mut(),
        }
    }

    /// Looks which programs there are, as far as they matter.
    pub fn programs(&mut self, look: Look, turn: u64) -> Settings {
        let mut found = Settings::default();
        let ends = matches!(look, Look::End { .. });
        if look.is_start() || ends {
            let entries = self.entries(turn);
            found.setup = entries.setup && self.program(c"setup") == Some(Kind::Executable);
        }
        if look.is_start() {
            let entries = self.entries(turn);
            found.check = entries.check && self.program(c"check") == Some(Kind::Executable);
            found.run = entries.surely_runs() || self.has(c"run");
            let names =
                |kind: graph::Kind, name| entries.may_hold(kind.directory()) && self.has(name);
            found.milestone = !found.run
                && !found.setup
                && (names(graph::Kind::Needs, c"needs") || names(graph::Kind::Wants, c"wants"));
        }
        let mut letters = look.letters().peekable();
        if ends || letters.peek().is_some() {
            let entries = self.entries(turn);
            // One that cannot be executed counts, so that this is reported.
            found.finish = ends && entries.finish && self.has(c"finish");
            let is_there = |letter: &u8| entries.control && self.has_script(*letter);
            found.scripts = letters.filter(is_there).collect();
        }
        found
    }

    /// The directory of the service or logger, if a file of our own may be in it.
    pub fn home_that_may_hold(
        &mut self,
        role: Role,
        setting: &Setting,
        turn: u64,
    ) -> Option<BorrowedFd<'_>> {
        // A logger's directory is seldom looked at; a look for this one file is cheapest.
        let may = role == Role::Log || self.entries(turn).may_hold(setting.name);
        self.half(role).filter(|_| may).map(Half::home)
    }

    /// Looks at the entries, once in a turn.
    pub fn entries(&mut self, turn: u64) -> Entries {
        match self.seen {
            Some((at, seen)) if at == turn => seen,
            _ => {
                let seen = Entries::of(self.main.home());
                self.seen = Some((turn, seen));
                seen
            }
        }
    }

    /// Whether there is a file `setup` that is not executable.
    pub fn has_idle_setup(&mut self, turn: u64) -> bool {
        self.entries(turn).setup && self.program(c"setup") == Some(Kind::Idle)
    }

    /// Whether there is something by this name.
    fn has(&self, name: &CStr) -> bool {
        let found = statat(self.main.home(), name, AtFlags::empty());
        found.err() != Some(Errno::NOENT)
    }

    /// Which kind of file stands at this name, if it is one.
    fn program(&self, name: &CStr) -> Option<Kind> {
        let mode = statat(self.main.home(), name, AtFlags::empty())
            .ok()?
            .st_mode;
        let is_executable = Mode::from_raw_mode(mode).contains(Mode::XUSR);
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile if is_executable => Some(Kind::Executable),
            FileType::RegularFile => Some(Kind::Idle),
            _ => None,
        }
    }

    /// Whether a script `control/LETTER` exists and is executable
    /// (service-directory(5)).
    fn has_script(&self, letter: u8) -> bool {
        let name = ["control/", &char::from(letter).to_string()].concat();
        statat(self.main.home(), name, AtFlags::empty())
            .is_ok_and(|found| Mode::from_raw_mode(found.st_mode).contains(Mode::XUSR))
    }
}

/// A regular file.
#[derive(PartialEq, Eq)]
enum Kind {
    /// Executable for its owner.
    Executable,
    /// Not so.
    Idle,
}

/// Locks one of the two and looks for its process, whose record is added.
fn open_half(
    (home, entries): (OwnedFd, &Entries),
    role: Role,
    ground: Ground,
    records: &mut Vec<Record>,
) -> Result<(Half, Inheritance), OpenError> {
    // As runsv looks for it: anything by that name counts, a dangling link does not.
    let is_down = entries.down && statat(&home, c"down", AtFlags::empty()).is_ok();
    let default = if is_down { Want::Down } else { Want::Up };
    let open = |home: BorrowedFd, must_hold| {
        let access = ground.access;
        State::open(
            Site { home, access },
            (ground.world, role, default),
            must_hold,
        )
    };
    let (state, room) = open_state(home.as_fd(), ground, open)?;
    let (pidfd, record) = state.process.unzip();
    let mut found = state.found;
    let may_announce = ["notification-fd", "notify"].map(|name| entries.may_hold(name));
    if (role, found.adopted) == (Role::Main, true) && may_announce.contains(&true) {
        let place = room.as_ref().map_or(home.as_fd(), OwnedFd::as_fd);
        found.service = found.service.was_ready(supervise::ready(place).as_ref());
    }
    if let (Role::Main, true, Some(look)) = (role, found.adopted, found.service.look_when_adopted())
    {
        let asked = settings(home.as_fd(), entries, look);
        found.service = found.service.has_time_again(&asked, clock::now());
    }
    let mut half = Half::new(home, state.supervise, pidfd);
    half.room = room;
    half.access = ground.access;
    half.sighting = record.as_ref().map(sighting);
    records.extend(record);
    Ok((half, found))
}

/// What our own files say. What nobody can understand is said at the next look.
fn settings(home: BorrowedFd, entries: &Entries, look: Look) -> Settings {
    let mut found = Settings::default();
    for setting in SETTINGS.iter().filter(|setting| (setting.is_read)(look)) {
        if entries.may_hold(setting.name) && read_setting(home, setting, &mut found).is_err() {
            (setting.instead)(&mut found);
        }
    }
    found
}

/// Opens `supervise` in the directory, or in a room of its own if it cannot be there.
fn open_state(
    home: BorrowedFd,
    ground: Ground,
    open: impl Fn(BorrowedFd, bool) -> Result<State, OpenError>,
) -> Result<(State, Option<OwnedFd>), OpenError> {
    let in_room = |room: OwnedFd| {
        let failed = |e: Errno| OpenError::Failed("open the directory of its state", e.into());
        let room = aside(room).map_err(failed)?;
        Ok((open(room.as_fd(), true)?, Some(room)))
    };
    let helps = |e: &OpenError| matches!(e, OpenError::Failed(_, e) if ground.rooms.help(e));
    if let Some(room) = ground.rooms.kept(home) {
        return in_room(room);
    }
    match open(home, true) {
        Err(e) if helps(&e) => {}
        opened => return Ok((opened?, None)),
    }
    let mut in_rooms = state_rooms::make(home, !ground.access.is_plain()).map(in_room);
    let opened = in_rooms.find(|opened| !opened.as_ref().is_err_and(helps));
    // If there is no other place either, this one is to be mended. Until then a service with
    // an empty status is better than none.
    opened.unwrap_or_else(|| Ok((open(home, false)?, None)))
}

/// `supervise`, and what was in it.
struct State {
    supervise: Supervise,
    found: Inheritance,
    process: Option<Adopted>,
}

impl State {
    /// `must_hold`: fails if there is no room for the files.
    fn open(
        site: Site,
        (world, role, default): (Option<&World>, Role, Want),
        must_hold: bool,
    ) -> Result<Self, OpenError> {
        let place = site.home;
        let supervise = Supervise::open(site)?;
        let mut left = None;
        if !supervise.is_new {
            // The count of short lives starts again, and what holds a service up is found anew.
            supervise::remove_crash_loop(place);
            left = inherit(place, &supervise, world, role, default)
                .map_err(|e| OpenError::Failed("look for an earlier supervisor's process", e))?;
            if let (Role::Main, Some((found, _))) = (role, &mut left)
                && found.stops_again()
            {
                found.stop_waited_for = supervise::stop_waited_for(place);
            }
            let waits = |(found, _): &(Inheritance, _)| found.stop_waited_for.is_some();
            if !left.as_ref().is_some_and(waits) {
                supervise::show_line(site, &Line::Reason(None));
            }
        }
        let (found, process) = if let Some(left) = left {
            left
        } else {
            if let (Err(e), true) = (supervise.begin_anew(site), must_hold) {
                supervise.clear(place);
                return Err(OpenError::Failed("fill supervise", e));
            }
            (nothing_found(world, role, default), None)
        };
        Ok(Self {
            supervise,
            found,
            process,
        })
    }
}

/// The directory `log`, if there is one.
fn open_log(home: impl AsFd) -> Result<Option<OwnedFd>, OpenError> {
    match service_entries::open(home, Path::new("log")).and_then(aside) {
        Ok(log) => Ok(Some(log)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(OpenError::Failed("open log", e.into())),
    }
}
