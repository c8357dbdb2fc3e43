//! Looks at a service directory: which programs are there, and what our own files say
//! ([`model::settings`]). Nothing is held open and nothing is remembered, so a change
//! counts from the next look on. Most services have no such files, and one look at the
//! whole directory is enough to know that.

use model::service::{Announce, Role};
use model::settings::{Look, SETTINGS, Setting, Settings};
use model::supervisor::{Id, Input, Log, UnitId};

use super::Engine;
use super::half::About;
use super::open_unit::Ground;
use super::perform::complaint;
use super::setting_file::read_setting;
use super::supervise::OpenError;

impl Engine {
    /// Answers what is asked; `log`: also what the entry `log` is, unless
    /// `control/u` is to run first.
    pub(super) fn look(&mut self, id: Id, look: Look, log: bool) -> Input {
        let turn = self.turn;
        let unit = self.units.get_mut(&id.unit);
        let mut found = unit.map_or_else(Settings::default, |unit| match id.role {
            Role::Main => unit.programs(look, turn),
            Role::Log => Settings::default(),
        });
        let is_read = |setting: &&Setting| {
            (setting.of_logger || id.role == Role::Main) && (setting.is_read)(look)
        };
        for setting in SETTINGS.iter().filter(is_read) {
            self.read_setting(id, setting, &mut found);
        }
        if look.is_start() && id.role == Role::Main {
            if let Some(unit) = self.units.get_mut(&id.unit) {
                unit.kill = found.kill;
            }
            self.tell_of_setup(id, found.setup);
        }
        let log = log && !found.scripts.has(b'u');
        let log = log.then(|| self.look_at_log(id.unit));
        Input::Looked {
            id,
            look,
            found,
            log,
        }
    }

    /// How an adopted run says that it is ready, by what its directory asks for now.
    pub(super) fn look_at_announce(&mut self, id: Id) -> Announce {
        let mut found = Settings::default();
        let is_read = |setting: &&Setting| ["notification-fd", "notify"].contains(&setting.name);
        for setting in SETTINGS.iter().filter(is_read) {
            self.read_setting(id, setting, &mut found);
        }
        Announce {
            notification_fd: found.notification_fd,
            notify: found.notify,
        }
    }

    /// If a file cannot be understood, this is reported once, and a default replaces it,
    /// because somebody wants the setting.
    fn read_setting(&mut self, id: Id, setting: &Setting, found: &mut Settings) {
        let turn = self.turn;
        let unit = self.units.get_mut(&id.unit);
        let Some(home) = unit.and_then(|unit| unit.home_that_may_hold(id.role, setting, turn))
        else {
            return;
        };
        let about = About::Setting(setting.name);
        match read_setting(home, setting, found) {
            Ok(()) => {
                if let Some(half) = self.half(id) {
                    half.is_well(about);
                }
            }
            Err(reason) => {
                (setting.instead)(found);
                let (who, title, name) = (self.who, self.title_of(id), setting.name);
                let text = format!("{title}/{name}: {reason}; taken for {}", setting.instead_is);
                if let Some(half) = self.half(id) {
                    half.complain(who, about, text);
                }
            }
        }
    }

    /// A file `setup` that is not executable is somebody's own, or forgotten: it is
    /// reported once, and the service starts without it.
    fn tell_of_setup(&mut self, id: Id, is_found: bool) {
        let (who, turn) = (self.who, self.turn);
        let unit = self.units.get_mut(&id.unit);
        let is_idle = !is_found && unit.is_some_and(|unit| unit.has_idle_setup(turn));
        let text = is_idle.then(|| format!("{}/setup: not executable; not run", self.title_of(id)));
        let about = About::Setting("setup");
        if let Some(half) = self.half(id) {
            match text {
                Some(text) => half.complain(who, about, text),
                None => half.is_well(about),
            }
        }
    }

    fn look_at_log(&mut self, unit_id: UnitId) -> Log {
        let turn = self.turn;
        let ground = Ground {
            world: self.launcher.world.as_ref(),
            rooms: self.rooms,
            access: self.access,
        };
        let id = Id {
            unit: unit_id,
            role: Role::Log,
        };
        let title = self.title_of(id);
        let unit = self.units.get_mut(&unit_id);
        let log = match unit.map(|unit| unit.look_at_log(ground, turn)) {
            None => Log::Same,
            Some(Ok(log)) => log,
            Some(Err(e)) => {
                if let OpenError::Failed(_, e) = &e {
                    self.makes_room(e);
                }
                Log::NotOpened(complaint(title, &e))
            }
        };
        if let Log::Opened(_) = &log {
            self.tell_of_state(id, &self.title_of(id));
            self.watch_process(id);
        }
        log
    }
}
