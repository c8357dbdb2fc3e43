//! What a supervisor that was replaced in place left to the program that runs
//! now in the same process: the descriptors that stayed open through the exec,
//! and a description of what they are and of the services' states
//! (`docs/decisions/0014-upgrade.md`).
//!
//! The description is a sealed memfd, whose number is in an environment variable. Its
//! first line names version and process, the others what there is. Every version writes a
//! descriptor as `@NUMBER:DEV:INO`. A descriptor that nobody claims is closed, and its
//! unit is opened like any other.

use model::sorted::gather;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use model::access::{Access, Owner};
use model::format::exits::Sighting;
use model::format::kill::Kill;
use model::format::notify::Notify;
use model::scan::Identity;
use model::service::handover::{number, value};
use model::service::{Pid, Role};
use model::supervisor::{Id, UnitId};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

use super::adopt::LogPipe;
use super::directory::Directory;
use super::half::Half;
use super::late_exit::sighting;
use super::notify::Ears;
use super::notify_socket::NotifySocket;
use super::open_unit::OpenUnit;
use super::supervise::Supervise;
use crate::machine::lifeline;
use crate::say;
use crate::sys::clock;
use crate::sys::spawner::FilesLimit;
use crate::sys::{env, inherited};

/// Names the descriptor of the description.
pub const VARIABLE: &str = "SUNUP_UPGRADE";
/// The first word of a description that can be read here.
const VERSION: &str = "sunup-upgrade-1";
/// Longest description; that of a service has some 500 bytes.
const BYTES_MAX: usize = 64 << 20;

/// A description that is being written.
#[derive(Default)]
pub struct Will<'e> {
    text: String,
    /// The descriptors that must stay open.
    pub kept: Vec<BorrowedFd<'e>>,
}

/// What was left.
pub struct Heritage {
    text: String,
    fds: BTreeMap<RawFd, OwnedFd>,
}

impl<'e> Will<'e> {
    /// One for this process.
    pub fn new() -> Self {
        Self {
            text: format!("{VERSION} {}\n", std::process::id()),
            kept: vec![],
        }
    }

    /// Adds what the model has to tell.
    pub fn tell(&mut self, lines: &str) {
        self.text.push_str(lines);
    }

    /// Adds a unit's descriptors.
    pub fn unit(&mut self, id: UnitId, unit: &'e OpenUnit) {
        for (kind, half) in [
            ("main-fds", Some(&unit.main)),
            ("log-fds", unit.log.as_deref()),
        ] {
            let Some(half) = half else { continue };
            let _ = write!(self.text, "{kind} {id}");
            let ears = unit.ears.as_deref().filter(|_| kind == "main-fds");
            let (notify, voice) = ears.map(Ears::parts).unzip();
            if let Some(Notify { ready, status, all }) = notify {
                let bits = u8::from(ready) | u8::from(status) << 1 | u8::from(all) << 2;
                let _ = write!(self.text, " notify={bits}");
            }
            if let Directory::Away(identity) = half.place() {
                let _ = write!(self.text, " away={}:{}", identity.dev, identity.ino);
            }
            if let Some(Owner { uid, gid }) = half.access.owner {
                let gid = gid.map_or(String::new(), |gid| gid.to_string());
                let _ = write!(self.text, " owner={uid}:{gid}");
            }
            let own = [
                ("home", half.place().held()),
                ("room", half.room.as_ref().map(AsFd::as_fd)),
                ("pidfd", half.pidfd.as_ref().map(AsFd::as_fd)),
            ];
            let own = own.into_iter().chain(voice.into_iter().flatten());
            self.descriptors(own.chain(half.supervise.descriptors()));
        }
        if let Some(pipe) = &unit.pipe {
            let _ = write!(self.text, "pipe {id}");
            let write = pipe.write.as_ref().map(AsFd::as_fd);
            self.descriptors([("read", pipe.read()), ("write", write)].into_iter());
        }
    }

    /// Adds the pipe that feeds the title.
    pub fn title(&mut self, pipe: BorrowedFd<'e>) {
        self.text += "title 0";
        self.descriptors([("pipe", Some(pipe))].into_iter());
    }

    /// Adds the limit of open files that services get back.
    pub fn files(&mut self, limit: &FilesLimit) {
        let (soft, hard) = limit.numbers();
        let _ = writeln!(self.text, "files 0 soft={soft} hard={hard}");
    }

    fn descriptors(&mut self, list: impl Iterator<Item = (&'static str, Option<BorrowedFd<'e>>)>) {
        for (key, fd) in list {
            let Some((fd, found)) = fd.and_then(|fd| Some((fd, fstat(fd).ok()?))) else {
                continue;
            };
            let (dev, ino) = (found.st_dev, found.st_ino);
            let _ = write!(self.text, " {key}=@{}:{dev}:{ino}", fd.as_raw_fd());
            self.kept.push(fd);
        }
        self.text.push('\n');
    }

    /// The finished description.
    ///
    /// # Errors
    /// There is no descriptor or no memory, or the description is too long.
    pub fn seal(&self) -> io::Result<OwnedFd> {
        if self.text.len() > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know the flag that some later ones ask for.
        let made = memfd_create(VARIABLE, flags | MemfdFlags::NOEXEC_SEAL);
        let mut file = File::from(made.or_else(|_| memfd_create(VARIABLE, flags))?);
        file.write_all(self.text.as_bytes())?;
        fcntl_add_seals(
            &file,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK,
        )?;
        Ok(file.into())
    }
}

impl Heritage {
    /// What a predecessor in this process left, if there was one. Call this before
    /// anything is opened.
    pub fn receive(who: &str) -> Option<Self> {
        let number = std::env::var(VARIABLE).ok()?;
        // Services must not inherit it.
        env::remove(VARIABLE);
        let received = Self::read(&number);
        if received.is_none() {
            say::offer(
                who,
                format_args!("upgrade: nothing usable was handed over; taking over what runs"),
            );
        }
        received
    }

    fn read(number: &str) -> Option<Self> {
        let file = File::from(inherited::claim(number.parse().ok()?)?);
        // Nobody else leaves such a thing here.
        if !fcntl_get_seals(&file).ok()?.contains(SealFlags::WRITE) {
            return None;
        }
        let mut text = String::new();
        let mut from_start = &file;
        from_start.rewind().ok()?;
        from_start
            .take(BYTES_MAX as u64)
            .read_to_string(&mut text)
            .ok()?;
        let (version, pid) = text.lines().next()?.split_once(' ')?;
        if pid != std::process::id().to_string() {
            return None;
        }
        let tokens = text
            .split(['=', ' ', '\n'])
            .filter(|word| word.starts_with('@'));
        let fds: BTreeMap<_, _> = gather(tokens.filter_map(claim));
        (version == VERSION).then_some(Self { text, fds })
    }

    /// The whole description, for the model.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The units of which everything that was described is there.
    pub fn units(&mut self) -> BTreeMap<UnitId, OpenUnit> {
        let lines = std::mem::take(&mut self.text);
        let mut logs: BTreeMap<_, _> = gather(numbered(&lines, "log-fds "));
        let mut pipes: BTreeMap<_, _> = gather(numbered(&lines, "pipe "));
        let units = numbered(&lines, "main-fds ").filter_map(|(id, words)| {
            let main = self.half(words)?;
            let ears = self.ears(words, &main);
            let log = logs.remove(&id).map(|words| self.half(words));
            let pipe = pipes.remove(&id).map(|words| self.pipe(words));
            // One end without the other is useless.
            let (log, pipe) = match (log, pipe) {
                (None, None) => (None, None),
                (log, pipe) => (Some(log??), Some(pipe??)),
            };
            let watch = None;
            let unit = OpenUnit {
                main,
                log: log.map(Box::new),
                pipe,
                ears,
                watch,
                seen: None,
                kill: Kill::Process,
            };
            Some((id, unit))
        });
        let units = gather(units);
        self.text = lines;
        units
    }

    fn half(&mut self, words: &str) -> Option<Half> {
        if !self.is_whole(words) {
            return None;
        }
        let away = || value(words, "away").and_then(identity).map(Directory::Away);
        let home = self
            .take(words, "home")
            .map(Directory::Held)
            .or_else(away)?;
        let lock = self.take(words, "lock")?;
        let (control, ok) = (self.take(words, "control"), self.take(words, "ok"));
        let pidfd = self.take(words, "pidfd");
        let mut half = Half::again(home, Supervise::again(lock, control, ok), pidfd);
        half.room = self.take(words, "room");
        half.access.owner = value(words, "owner").and_then(owner);
        Some(half)
    }

    fn ears(&mut self, words: &str, main: &Half) -> Option<Box<Ears>> {
        let bits = number(words, "notify").unwrap_or(0);
        let [ready, status, all] = [1, 2, 4].map(|bit| bits & bit != 0);
        let pipe = self.take(words, "notify-pipe");
        let socket = self.take(words, "notify-socket");
        let socket = socket.and_then(|fd| NotifySocket::again(fd, main.place().identity()?));
        let is_there = pipe.is_some() || socket.is_some();
        let notify = Notify { ready, status, all };
        is_there.then(|| Box::new(Ears::again(pipe, socket, notify)))
    }

    fn pipe(&mut self, words: &str) -> Option<LogPipe> {
        if !self.is_whole(words) {
            return None;
        }
        let read = self.take(words, "read");
        let write = self.take(words, "write");
        let is_there = read.is_some() || write.is_some();
        is_there.then(|| LogPipe::again(read, write))
    }

    /// The pipe that feeds the title, if there was one.
    pub fn title(&mut self) -> Option<OwnedFd> {
        let lines = std::mem::take(&mut self.text);
        let words = numbered(&lines, "title ").next().map(|(_, words)| words);
        let pipe = words.and_then(|words| self.take(words, "pipe"));
        self.text = lines;
        pipe
    }

    /// The limit of open files that services get back, if it was lifted.
    pub fn files(&self) -> Option<FilesLimit> {
        let (_, words) = numbered(&self.text, "files ").next()?;
        Some(FilesLimit::of(
            number(words, "soft")?,
            number(words, "hard")?,
        ))
    }

    /// Whether every descriptor that is described there is what it was.
    fn is_whole(&self, words: &str) -> bool {
        let mut tokens = words.split(['=', ' ']).filter_map(number_in);
        tokens.all(|number| self.fds.contains_key(&number))
    }

    fn take(&mut self, words: &str, key: &str) -> Option<OwnedFd> {
        self.fds.remove(&number_in(value(words, key)?)?)
    }
}

impl super::Engine {
    /// Takes over what the predecessor in this process left, and continues its work;
    /// false if there was none.
    pub(super) fn take_over(&mut self, scope: model::supervisor::Scope) -> bool {
        let Some(mut heritage) = self.heritage.take() else {
            return false;
        };
        let mut units = heritage.units();
        let is_open = |id: Id| {
            units
                .get(&id.unit)
                .is_some_and(|unit| unit.half(id.role).is_some())
        };
        let now = clock::moment();
        self.core = model::supervisor::Supervisor::resume(scope, heritage.text(), now, is_open);
        let ids = self.core.ids();
        units.retain(|unit, _| ids.iter().any(|id| id.unit == *unit));
        for (_, half) in units.values_mut().flat_map(OpenUnit::halves_mut) {
            half.access = Access {
                owner: half.access.owner,
                ..self.access
            };
        }
        self.units = gather(units.into_iter().map(|(id, u)| (id, Box::new(u))));
        let processes: BTreeMap<Id, Pid> = gather(self.core.processes());
        for id in ids {
            self.watch_again(id, processes.get(&id).copied());
        }
        for pid in self.core.children() {
            if !lifeline::is_child(pid) {
                self.feed(model::supervisor::Input::ChildEnded(
                    pid,
                    model::service::Exit::Unknown,
                    now.at,
                ));
            }
        }
        // The predecessor may have taken their CHLD signal.
        self.zombies.may_be_left();
        true
    }

    fn watch_again(&mut self, id: Id, process: Option<Pid>) {
        if let Err((attempt, e)) = self.watch_control(id) {
            say::offer(self.who, format_args!("{attempt}: {e}; trying again"));
        }
        if id.role == Role::Main {
            self.watch_voice(id.unit);
        }
        if self.half(id).is_none_or(|half| half.pidfd.is_none()) {
            return;
        }
        self.watch_process(id);
        if let Some(half) = self.half(id) {
            // It may have ended since, and its pid may belong to another process. Only
            // the moment in its own record is certain; a process that runit started has
            // no record.
            let record = half.supervise.record().ok().flatten();
            let written = record.filter(|record| Some(record.pid) == process);
            let at = clock::now();
            half.sighting = match written {
                Some(record) => Some(sighting(&record)),
                None => process.map(|pid| Sighting { pid, at }),
            };
        }
    }
}

/// The words `UID:GID` or `UID:`.
fn owner(text: &str) -> Option<Owner> {
    let (uid, gid) = text.split_once(':')?;
    Some(Owner {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok(),
    })
}

/// The words `DEV:INO`.
fn identity(text: &str) -> Option<Identity> {
    let (dev, ino) = text.split_once(':')?;
    Some(Identity {
        dev: dev.parse().ok()?,
        ino: ino.parse().ok()?,
    })
}

/// The descriptor's number in a word `@NUMBER:DEV:INO`.
fn number_in(token: &str) -> Option<RawFd> {
    token.strip_prefix('@')?.split(':').next()?.parse().ok()
}

/// Takes the descriptor of a word, if it is what the word says.
fn claim(token: &str) -> Option<(RawFd, OwnedFd)> {
    let number = number_in(token)?;
    let mut parts = token.split(':').skip(1);
    let fd = inherited::claim(number)?;
    let found = fstat(&fd).ok()?;
    let same = |part: Option<&str>, is: u64| part.is_some_and(|p| p.parse() == Ok(is));
    (same(parts.next(), found.st_dev) && same(parts.next(), found.st_ino)).then_some((number, fd))
}

/// Number and words of the lines that start so.
fn numbered<'t>(text: &'t str, kind: &'static str) -> impl Iterator<Item = (UnitId, &'t str)> {
    text.lines().filter_map(move |line| {
        let (number, words) = line.strip_prefix(kind)?.split_once(' ')?;
        Some((number.parse().ok()?, words))
    })
}
