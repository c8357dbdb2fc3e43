//! What a supervisor process is told, and its end.

use super::super::checks::check_supervisor;
use super::super::kernel::identity;
use super::super::wishes::Wish;
use super::super::world::World;
use super::{RELEASE, Shell, Stop};
use model::command::{Command, Sig};
use model::service::{Exit, Pid, Role, Service, State};
use model::supervisor::{Id, Input, Scope, Supervisor};
use std::collections::BTreeSet;

impl Shell {
    pub(super) fn scan(&mut self, world: &mut World) -> Input {
        self.scan_event = false;
        if world.is_foul(4) {
            return Input::NotScanned;
        }
        let entries = world.kernel.scan.iter();
        let entries: Vec<_> = entries
            .map(|(name, dir)| (name.clone(), identity(*dir)))
            .collect();
        for unit in self.units.values_mut() {
            if !entries
                .iter()
                .any(|(_, found)| *found == identity(unit.dir))
            {
                unit.removed = true;
                world.touch(unit.dir);
                world.wishes((unit.dir, Role::Main)).wish(Wish::Exit);
            }
        }
        Input::Scanned {
            entries,
            next_look: None,
        }
    }

    /// Looks at each name that there may be, as if events had told of them.
    pub fn notice(&self, world: &World) -> Input {
        let present = world.kernel.scan.keys().cloned();
        let known = self.units.keys().filter_map(|unit| self.core.name(*unit));
        let names: BTreeSet<Vec<u8>> = present.chain(known.cloned()).collect();
        let identify = |name: Vec<u8>| {
            let dir = world.kernel.scan.get(&name);
            let identity = dir.map(|dir| identity(*dir));
            (name, identity)
        };
        Input::Noticed {
            found: names.into_iter().map(identify).collect(),
            next_look: None,
        }
    }

    /// Forks a keeper.
    pub(super) fn leave(&mut self, world: &mut World) -> Input {
        if world.is_foul(4) {
            return Input::NotLeft;
        }
        let processes: Vec<Id> = self.core.processes().map(|(id, _)| id).collect();
        for id in processes {
            if let Some(half) = self.half_mut(id) {
                half.pidfd = half.truth;
            }
        }
        let boss = world.new_boss();
        for id in self.ids() {
            if let Some(place) = self.place(id) {
                let furnished = self.half_mut(id).is_some_and(|half| half.furnished);
                let files = world.kernel.files(place);
                files.lock.insert(boss);
                if furnished {
                    files.readers.insert(boss);
                }
            }
        }
        world.born.push(Self {
            boss,
            core: self.core.clone(),
            units: std::mem::take(&mut self.units),
            first: Some(Input::Kept),
            keeper: true,
            leaves: true,
            ..Self::new(boss)
        });
        Input::Left
    }

    /// Another program goes on in this process. What inotify had to tell is lost.
    pub fn upgrade(&mut self, world: &mut World) -> Result<(), String> {
        if self.core.is_ending() {
            return Ok(());
        }
        let (told, now) = (self.core.handover(), world.kernel.moment());
        let new = Supervisor::resume(Scope::All { init: false }, &told, now, |_| true);
        let old = std::mem::replace(&mut self.core, new);
        for id in self.ids() {
            // What a start must come to is looked for at the next one.
            let lasting = |core: &Supervisor| {
                let text = format!("{:?}", core.service(id));
                text.split(", rise:").next().map(str::to_owned)
            };
            if lasting(&old) != lasting(&self.core) {
                return Err(format!("{id:?} became another: {told}"));
            }
        }
        let is_child = |pid: &Pid| {
            let parent = world.kernel.processes.get(pid).map(|p| p.parent);
            parent == Some(Some(self.boss))
        };
        // One that is watched by descriptor, and whose pid a child had meanwhile, is
        // known by that again. It has ended: its descriptor is about to say so.
        let knows = |core: &Supervisor| core.processes().collect::<BTreeSet<_>>();
        let all_known = knows(&old).is_subset(&knows(&self.core));
        if !all_known || !self.core.children().iter().all(is_child) {
            return Err(format!("children were forgotten: {told}"));
        }
        // Whom a service names is read anew, and with it why it is held.
        let without_order = |text: &str| text.replace(" ordered", "").replace(" has_reason", "");
        let again = self.core.handover();
        if without_order(&again) != without_order(&told) {
            return Err(format!("{told} became {again}"));
        }
        self.log_events.clear();
        self.first = Some(Input::ScanDue);
        check_supervisor(self, world)
    }

    /// Everything is told to exit, and sometimes at once not to be waited for.
    pub fn stop_all(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        self.tell_to_stop(world, input.clone())?;
        if world.chance.one_in(3) {
            self.tell_to_stop(world, input)?;
        }
        Ok(())
    }

    pub(super) fn tell_to_stop(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        self.leaves = false;
        self.stops = true;
        for id in self.ids() {
            if let Some(place) = self.place(id) {
                world.touch(place.0);
                // Loggers follow.
                world.wishes((place.0, Role::Main)).wish(Wish::Exit);
            }
        }
        self.feed(world, input)
    }

    /// Takes some dead children.
    pub fn reap(&mut self, world: &mut World) -> Result<(), Stop> {
        for _ in 0..=world.chance.below(4) {
            let mut dead = Vec::new();
            for (pid, process) in &world.kernel.processes {
                if process.parent == Some(self.boss)
                    && let Some(exit) = process.zombie
                {
                    dead.push((*pid, exit));
                }
            }
            let Some((pid, exit)) = world.chance.pick(&dead) else {
                return Ok(());
            };
            let serial = world.kernel.processes.get(&pid).map(|p| p.serial);
            let own = self.starting.iter().position(|start| start.pid == pid);
            if let Some(at) = own.filter(|_| world.rules.answers_first) {
                self.answer(world, at);
                self.act(world)?;
            }
            // If its start failed, that has taken it.
            if world.kernel.processes.get(&pid).map(|p| p.serial) == serial {
                world.kernel.processes.remove(&pid);
                let now = world.kernel.now;
                self.feed(world, Input::ChildEnded(pid, exit, now))?;
            }
        }
        Ok(())
    }

    /// Reads a control fifo.
    pub fn obey(&mut self, world: &mut World, id: Id) -> Result<(), Stop> {
        let Some(place) = self.place(id) else {
            return Ok(());
        };
        if (world.rules.holds_back)(&self.core, id.unit) {
            return Ok(());
        }
        let mut release = false;
        // What follows a start is for what is started.
        while !(world.rules.holds_back)(&self.core, id.unit) {
            let fifo = &mut world.kernel.files(place).fifo;
            if fifo.is_empty() {
                break;
            }
            let byte = fifo.remove(0);
            release |= byte == RELEASE;
            if let Some(command) = Command::from_byte(byte) {
                self.command(world, id, command)?;
            }
        }
        if release && self.keeper {
            let is_of = |start: &super::Start| start.job.id().unit == id.unit;
            while self.starting.iter().any(is_of) {
                self.take_all_answers(world, Some(id.unit));
                self.act(world)?;
            }
        }
        self.feed(world, Input::Obeyed { id, release })?;
        if self.half_mut(id).is_some_and(|half| !half.unwritten) {
            world.wishes(place).written();
        }
        Ok(())
    }

    pub(super) fn command(
        &mut self,
        world: &mut World,
        id: Id,
        command: Command,
    ) -> Result<(), Stop> {
        let Some(place) = self.place(id) else {
            return Ok(());
        };
        let ends = self.stops || self.units.get(&id.unit).is_none_or(|u| u.removed);
        let is_gone = |core: &Supervisor| core.service(id).is_none_or(Service::is_gone);
        // One that was still to be told to exit is told first.
        let mut told = self.core.clone();
        told.handle(world.kernel.moment(), Input::Command(id, Command::Up));
        let is_gone = is_gone(&self.core) || is_gone(&told);
        if id.role == Role::Log || !(ends || is_gone) {
            world.touch(place.0);
            world.wishes(place).read(id.role, command);
            let asks = matches!(command, Command::Up | Command::StartNow | Command::Once);
            if let Some(unit) = self.units.get_mut(&id.unit).filter(|_| asks) {
                unit.called = true;
            }
        }
        if matches!(command, Command::Down | Command::Signal(Sig::Term)) {
            world.done.remove(&place);
        }
        let is_starting = |service: &Service| matches!(service.state(), State::Starting { .. });
        if matches!(command, Command::Signal(_))
            && self.core.service(id).is_some_and(is_starting)
            && self.core.service(id).is_some_and(|s| s.phase().1 == 0)
        {
            return Err(Stop::Wrong(format!("{command:?} for {place:?} is lost")));
        }
        self.feed(world, Input::Command(id, command))
    }

    /// The descriptor of an adopted process tells of its end.
    pub fn adopted_ended(&mut self, world: &mut World, id: Id) -> Result<(), Stop> {
        let Some(serial) = self.half_mut(id).and_then(|half| half.pidfd.take()) else {
            return Ok(());
        };
        // It is reaped if it is a child all the same.
        if let Some(pid) = world.kernel.pid_of(serial)
            && world
                .kernel
                .processes
                .get(&pid)
                .is_some_and(|p| p.parent == Some(self.boss))
        {
            world.kernel.processes.remove(&pid);
        }
        self.feed(world, Input::AdoptedEnded(id, Exit::Unknown))
    }
}
