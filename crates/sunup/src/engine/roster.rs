//! Which services there are: admitting them, letting them go, and the scan of
//! their directory.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use model::command::Command;
use model::scan::{Change, Identity, Name, diff};
use model::service::{Event, Role, Service};

use super::supervise::OpenError;
use super::unit::{Opened, Place, Unit};
use super::{Alarm, Ending, Engine, Id, Owner, Token, UnitId, adopt};
use crate::say;

/// First and longest delay before a directory that could not be opened is tried again (ms).
const ADMIT_MS: u64 = 10;
const ADMIT_MS_MAX: u64 = 5000;
/// After this delay (ms) the reason is said: a lock may be a dying supervisor's.
const ADMIT_SAY_MS: u64 = 100;
/// Delay before a service that was told to exit is supervised again, because
/// its entry is still there (ms); as runsvdir restarts runsv.
const REVIVE_MS: u64 = 1000;

/// A service directory that could not be opened yet.
pub struct Waiting {
    pub(super) name: Name,
    pub(super) delay_ms: u64,
    pub(super) complaint: String,
}

impl Engine {
    /// runsv's one directory.
    pub(super) fn admit_one(&mut self, dir: &[u8]) -> Result<(), String> {
        let path = Path::new(std::ffi::OsStr::from_bytes(dir));
        let place = Place::open(path)
            .map_err(|e| format!("{}: {e}; name a service directory", path.display()))?;
        self.open_unit(&dir.to_vec(), place)
    }

    /// Starts the supervision of a directory, or says what is in the way.
    fn open_unit(&mut self, name: &Name, place: Place) -> Result<(), String> {
        let identity = place.identity;
        let opened = Unit::open(name.clone(), place, self.launcher.world.as_ref());
        let Opened { unit, missed } = opened.map_err(|e| complaint(name, &e))?;
        let unit_id = self.next_unit;
        self.next_unit += 1;
        self.by_identity.insert(identity, unit_id);
        self.units.insert(unit_id, unit);
        for role in [Role::Log, Role::Main] {
            self.begin(
                Id {
                    unit: unit_id,
                    role,
                },
                &missed,
            );
        }
        Ok(())
    }

    /// The first events of a service: what it missed, then a look at itself.
    fn begin(&mut self, id: Id, missed: &[(Role, Event)]) {
        if let Some(half) = self.units.get(&id.unit).and_then(|u| u.half(id.role)) {
            let (_, pid) = half.service.phase();
            if let Some(fd) = &half.pidfd {
                let watched = self.watch(fd.as_fd(), Token::Pidfd(id));
                if let Err(e) = watched {
                    say::offer(self.who, format_args!("watch process {pid}: {e}"));
                }
                self.owners.insert(pid, Owner::Process(id));
            }
            for (_, event) in missed.iter().filter(|(role, _)| *role == id.role) {
                self.drive(id, *event);
            }
            self.drive(id, Event::Tick);
        }
    }

    /// A service that has no process and gets none any more ends its logger,
    /// and a unit of which nothing is left is let go.
    pub(super) fn wind_up(&mut self, unit_id: UnitId) {
        let retiring = match self.ending {
            Ending::Retire => true,
            // A restart may be under way: its second half wants the logger.
            Ending::Keep(until) => until <= adopt::now(),
            Ending::No | Ending::Exit(_) => false,
        };
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        let gone = unit.main.service.is_gone();
        if !gone && (!retiring || !unit.main.service.is_idle()) {
            return;
        }
        let writer = unit.pipe.as_mut().and_then(|pipe| pipe.write.take());
        if writer.is_some() {
            drop(writer);
            self.drive(
                Id {
                    unit: unit_id,
                    role: Role::Log,
                },
                Event::Drain,
            );
        } else if gone && unit.log.as_ref().is_none_or(|log| log.service.is_gone()) {
            self.dismiss(unit_id);
        }
    }

    fn dismiss(&mut self, unit_id: UnitId) {
        for role in [Role::Main, Role::Log] {
            let id = Id {
                unit: unit_id,
                role,
            };
            // The last state is for readers of the files.
            self.write_one(id);
            if let Some(half) = self.half(id) {
                super::supervise::release(half.home.as_fd());
            }
        }
        let Some(unit) = self.units.remove(&unit_id) else {
            return;
        };
        self.by_identity.remove(&unit.identity);
        if self.scan_dir.is_some() && self.ending == Ending::No {
            let delay = if unit.removed { 0 } else { REVIVE_MS };
            self.scan_by(adopt::now().plus_ms(delay));
        }
    }

    /// Compares the scan directory with the roster and acts on the difference.
    pub(super) fn scan(&mut self) {
        if self.ending != Ending::No {
            return;
        }
        let Some(scan_dir) = &mut self.scan_dir else {
            return;
        };
        let entries = match scan_dir.entries() {
            Ok(entries) => entries,
            Err(text) => {
                say::offer(self.who, text);
                self.scan_by(adopt::now().plus_ms(ADMIT_MS_MAX));
                return;
            }
        };
        if let Some(at) = scan_dir.next_look() {
            self.scan_by(at);
        }
        let named = self.units.values().map(|u| (u.identity, u.name.clone()));
        let known = named
            .chain(self.waiting.iter().map(|(i, w)| (*i, w.name.clone())))
            .collect();
        let mut leaving: HashSet<Name> = self
            .units
            .values()
            .filter(|u| u.removed)
            .map(|u| u.name.clone())
            .collect();
        for change in diff(&known, &entries) {
            self.apply(change, &mut leaving);
        }
    }

    fn apply(&mut self, change: Change, leaving: &mut HashSet<Name>) {
        match change {
            Change::Remove(identity) => {
                self.waiting.remove(&identity);
                if let Some(unit_id) = self.by_identity.get(&identity).copied() {
                    leaving.extend(self.remove(unit_id));
                }
            }
            Change::Rename(identity, name) => self.rename(identity, name),
            Change::Add(identity, name) => {
                // A replaced directory waits until its predecessor has stopped.
                if !leaving.contains(&name) {
                    let waiting = Waiting {
                        name,
                        delay_ms: ADMIT_MS,
                        complaint: String::new(),
                    };
                    self.admit(identity, waiting);
                }
            }
        }
    }

    fn rename(&mut self, identity: Identity, name: Name) {
        let unit = self
            .by_identity
            .get(&identity)
            .and_then(|id| self.units.get_mut(id));
        if let Some(unit) = unit {
            unit.name = name;
        } else if let Some(waiting) = self.waiting.get_mut(&identity) {
            waiting.name = name;
        }
    }

    /// Tells a unit to exit; returns its name if it has not done so at once.
    fn remove(&mut self, unit_id: UnitId) -> Option<Name> {
        let unit = self.units.get_mut(&unit_id)?;
        if !std::mem::replace(&mut unit.removed, true) {
            self.drive(
                Id {
                    unit: unit_id,
                    role: Role::Main,
                },
                Event::Command(Command::Exit),
            );
        }
        self.units.get(&unit_id).map(|u| u.name.clone())
    }

    fn admit(&mut self, identity: Identity, mut waiting: Waiting) {
        let Some(scan_dir) = &self.scan_dir else {
            return;
        };
        let path = scan_dir.path_of(&waiting.name);
        let text = match Place::open(&path) {
            Ok(place) if place.identity == identity => match self.open_unit(&waiting.name, place) {
                Ok(()) => return,
                Err(text) => text,
            },
            // It changed meanwhile; its change is an event of its own.
            Ok(_) => return,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
            Err(e) => format!("{}: open: {e}", waiting.name.escape_ascii()),
        };
        super::keeper::ask_for(&path);
        if waiting.delay_ms >= ADMIT_SAY_MS && text != waiting.complaint {
            say::offer(self.who, format_args!("{text}; trying again"));
            waiting.complaint = text;
        }
        let at = adopt::now().plus_ms(waiting.delay_ms);
        waiting.delay_ms = (waiting.delay_ms * 2).min(ADMIT_MS_MAX);
        self.waiting.insert(identity, waiting);
        self.set_alarm(at, Alarm::Admit(identity));
    }

    pub(super) fn admit_again(&mut self, identity: Identity) {
        if let Some(waiting) = self.waiting.remove(&identity)
            && self.ending == Ending::No
        {
            self.admit(identity, waiting);
        }
    }

    /// The scan directory's descriptor is ready.
    pub(super) fn scan_dir_changed(&mut self) {
        if self
            .scan_dir
            .as_mut()
            .is_some_and(super::scandir::ScanDir::take_events)
        {
            self.scan();
        }
    }

    /// Everything is told to exit.
    pub(super) fn exit_all(&mut self, code: u8) {
        self.ending = Ending::Exit(code);
        self.waiting.clear();
        self.drive_all(Event::Command(Command::Exit));
    }

    /// An event for all services; loggers follow from their services.
    pub(super) fn drive_all(&mut self, event: Event) {
        let units: Vec<UnitId> = self.units.keys().copied().collect();
        for unit in units {
            self.drive(
                Id {
                    unit,
                    role: Role::Main,
                },
                event,
            );
        }
    }
}

impl Unit {
    /// Whether neither service nor logger has a process.
    pub(super) fn is_down(&self) -> bool {
        let idle = |service: &Service| service.is_idle() || service.is_gone();
        idle(&self.main.service) && self.log.as_ref().is_none_or(|log| idle(&log.service))
    }
}

fn complaint(name: &Name, error: &OpenError) -> String {
    let name = name.escape_ascii();
    match error {
        OpenError::Locked => format!("{name}: another supervisor holds supervise/lock"),
        OpenError::Failed(attempt, e) => format!("{name}: {attempt}: {e}"),
    }
}
