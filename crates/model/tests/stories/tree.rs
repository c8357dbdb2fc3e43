//! The service directories of a story, and the supervisor's half that acts.

use std::collections::{BTreeMap, BTreeSet};

use model::adoption::{self, Evidence, Inheritance, Seen};
use model::command::{Command, Sig};
use model::facts::{Facts, Files as Shown, Line, Stat, StateFiles};
use model::format::adopt::{Mark, Part, Record, World};
use model::format::status::Status;
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Exit, Failure, Pid, Role, Want};
use model::settings::{Look, Settings};
use model::signal::Signal;
use model::supervisor::{Action, Id, Input, Job, Log, Opened, Scope, Supervisor, UnitId};
use model::time::Instant;

use super::Step;

/// The two in a directory.
const ROLES: [Role; 2] = [Role::Main, Role::Log];

/// A service directory.
struct Home {
    name: Vec<u8>,
    is_listed: bool,
    /// Letters, as in `TOLD`.
    holds: BTreeSet<u8>,
    files: BTreeMap<Role, Files>,
    lines: Vec<String>,
}

/// What is left in a supervise directory.
#[derive(Default)]
struct Files {
    status: Option<Status>,
    record: Option<Record>,
}

/// A process, or a script.
struct Process {
    home: usize,
    job: Job,
    started: Instant,
    /// It got TERM or KILL.
    dying: bool,
    /// No child of the present supervisor.
    adopted: bool,
}

/// An open service directory.
struct Open {
    home: usize,
    log: bool,
}

/// See the module.
pub struct Tree {
    pub notes: Vec<String>,
    now: Instant,
    homes: Vec<Home>,
    core: Supervisor,
    open: BTreeMap<UnitId, Open>,
    processes: BTreeMap<Pid, Process>,
    next_pid: Pid,
    fails: Option<Failure>,
    unwritable: bool,
}

fn world() -> World {
    World {
        boot_id: "boot".into(),
        pid_namespace: 1,
    }
}

fn identity(home: usize) -> Identity {
    Identity {
        dev: 1,
        ino: home as u64,
    }
}

impl Tree {
    pub fn new(homes: &[&str]) -> Self {
        let homes = homes.iter().zip(b'a'..).map(|(holds, name)| Home {
            name: vec![name],
            is_listed: true,
            holds: holds.bytes().collect(),
            files: BTreeMap::new(),
            lines: vec![],
        });
        let mut tree = Self {
            notes: vec![],
            now: Instant(5_000_000_000),
            homes: homes.collect(),
            core: Supervisor::new(Scope::All { init: false }),
            open: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_pid: 100,
            fails: None,
            unwritable: false,
        };
        tree.feed(Input::ScanDue);
        tree.rest();
        tree
    }

    fn moment(&self) -> Moment {
        let (seconds, nanos) = (self.now.0 / 1_000_000_000, self.now.0 % 1_000_000_000);
        let wall = Tai64n::from_unix(1_700_000_000 + seconds as i64, nanos as u32);
        Moment { at: self.now, wall }
    }

    /// Does one thing, and all that follows.
    pub fn play(&mut self, step: Step) {
        self.now = self.now.plus_ms(1);
        self.notes.push(format!("{step:?}"));
        self.happen(step);
        self.rest();
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Tell(home, is_log, byte) => self.tell(home, is_log, byte),
            Step::Ends(home, is_log, status) => self.end(home, is_log, status, |_| true),
            Step::Dies(home, is_log) => self.end(home, is_log, 15, |process| process.dying),
            Step::ScriptEnds(home, well) => {
                let script = self.processes.iter().find(|(_, process)| {
                    process.home == home && !process.job.is_process() && !process.adopted
                });
                if let Some(pid) = script.map(|(pid, _)| *pid) {
                    self.processes.remove(&pid);
                    let status = if well { 0 } else { 256 };
                    self.feed(Input::ChildEnded(pid, Exit::of_status(status), self.now));
                }
            }
            Step::Wait(ms) => self.pass(self.now.plus_ms(ms)),
            Step::Due => {
                let at = self.core.deadline().unwrap_or(self.now);
                self.pass(at.max(self.now));
            }
            Step::Log(home, told) => self.toggle_log(home, told),
            Step::Entry(home) => {
                if let Some(home) = self.homes.get_mut(home) {
                    home.is_listed = !home.is_listed;
                }
                self.feed(Input::ScanDue);
            }
            Step::Rename(home) => {
                if let Some(home) = self.homes.get_mut(home) {
                    home.name.push(b'+');
                }
                self.feed(Input::ScanDue);
            }
            Step::File(home, letter) => {
                if let Some(home) = self.homes.get_mut(home)
                    && !home.holds.remove(&letter)
                {
                    home.holds.insert(letter);
                }
            }
            Step::NoStart(executed) => {
                self.fails = Some(if executed {
                    Failure::Exec
                } else {
                    Failure::Resources
                });
            }
            Step::NoWrite => self.unwritable = true,
            Step::Killed => self.succeed(),
            Step::Upgraded if !self.core.is_ending() => {
                let told = self.core.handover();
                let scope = Scope::All { init: false };
                self.core = Supervisor::resume(scope, &told, self.moment(), |_| true);
                self.feed(Input::ScanDue);
            }
            Step::Upgraded => {}
            Step::Ended(hup) => self.feed(if hup { Input::HangUp } else { Input::Terminate }),
        }
    }

    /// The round is over: what was done is noted, directory by directory.
    fn rest(&mut self) {
        self.feed(Input::RoundOver);
        for (n, home) in self.homes.iter_mut().enumerate() {
            let lines = home.lines.drain(..);
            self.notes
                .extend(lines.map(|line| format!("  {n}: {line}")));
        }
    }

    fn pass(&mut self, to: Instant) {
        while let Some(at) = self.core.deadline().filter(|at| *at <= to) {
            self.now = at.max(self.now);
            self.feed(Input::Due);
        }
        self.now = to;
    }

    fn tell(&mut self, home: usize, is_log: bool, byte: u8) {
        let Some((id, command)) = self.id(home, is_log).zip(Command::from_byte(byte)) else {
            return;
        };
        self.feed(Input::Command(id, command));
        self.feed(Input::Obeyed { id, release: false });
    }

    /// A run or finish ends, if there is one for which that can be.
    fn end(&mut self, home: usize, is_log: bool, status: i32, may: impl Fn(&Process) -> bool) {
        let role = ROLES[usize::from(is_log)];
        let mut processes = self.processes.iter();
        let found = processes.find(|(_, process)| {
            let job = process.job;
            process.home == home && job.is_process() && job.id().role == role && may(process)
        });
        let Some((pid, process)) = found.map(|(pid, p)| (*pid, p.adopted)) else {
            return;
        };
        self.processes.remove(&pid);
        let exit = Exit::of_status(status);
        match (process, self.id(home, is_log)) {
            (false, _) => self.feed(Input::ChildEnded(pid, exit, self.now)),
            (true, Some(id)) => self.feed(Input::AdoptedEnded(id, exit)),
            (true, None) => {}
        }
    }

    fn toggle_log(&mut self, home: usize, told: bool) {
        let Some(at) = self.homes.get_mut(home) else {
            return;
        };
        if !at.holds.remove(&b'l') {
            at.holds.insert(b'l');
        }
        if let Some(id) = self.id(home, false).filter(|_| told) {
            self.feed(Input::LogChanged(id.unit));
        }
    }

    /// Another supervisor takes over.
    fn succeed(&mut self) {
        self.processes.retain(|_, process| process.job.is_process());
        for process in self.processes.values_mut() {
            process.adopted = true;
        }
        self.open.clear();
        self.core = Supervisor::new(Scope::All { init: false });
        self.feed(Input::ScanDue);
    }

    fn id(&self, home: usize, is_log: bool) -> Option<Id> {
        let role = ROLES[usize::from(is_log)];
        let mut open = self.open.iter();
        let (unit, _) = open.find(|(_, open)| open.home == home && (!is_log || open.log))?;
        Some(Id { unit: *unit, role })
    }

    fn home(&self, unit: UnitId) -> Option<usize> {
        self.open.get(&unit).map(|open| open.home)
    }

    fn holds(&self, unit: UnitId, letter: u8) -> bool {
        let home = self.home(unit).and_then(|home| self.homes.get(home));
        home.is_some_and(|home| home.holds.contains(&letter))
    }

    fn note(&mut self, unit: UnitId, line: String) {
        if let Some(home) = self.home(unit) {
            self.homes[home].lines.push(line);
        }
    }

    fn note_of(&mut self, id: Id, line: &str) {
        let log = if id.role == Role::Log { "log: " } else { "" };
        self.note(id.unit, format!("{log}{line}"));
    }

    /// An input, and what was put aside then.
    fn feed(&mut self, input: Input) {
        self.hand_in(input);
        while self.core.has_more() {
            self.hand_in(Input::More);
        }
    }

    fn hand_in(&mut self, input: Input) {
        self.core.handle(self.moment(), input);
        while let Some(action) = self.core.next() {
            if let Some(answer) = self.perform(action) {
                self.core.handle(self.moment(), answer);
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Start(job, _) => return Some(self.start(job)),
            Action::Signal(id, pid, signal) => {
                let sig = Sig::ALL.into_iter().find(|sig| sig.signal() == signal);
                let sig = sig.map_or_else(|| signal.to_string(), |sig| format!("{sig:?}"));
                self.note_of(id, &format!("signal {pid} {sig}"));
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.dying |= matches!(signal, Signal::TERM | Signal::KILL);
                }
            }
            Action::Show {
                id,
                facts,
                files,
                lines,
            } => return self.show(id, facts, files, &lines),
            Action::Group(id, pid, _) => return Some(Input::Group(id, pid, false)),
            Action::Look { id, look, log } => return Some(self.look(id, look, log)),
            Action::Open {
                unit,
                name,
                identity,
            } => return Some(self.open(unit, name, identity)),
            Action::Ask(name) => self.notes.push(format!("  ask {}", name.escape_ascii())),
            Action::ClosePipe(unit) => self.note(unit, "close pipe".into()),
            // Its logger has read all.
            Action::LookAtPipe(unit) => return Some(Input::PipeSeen(unit, 0)),
            Action::CloseLog(unit) => {
                self.note(unit, "close log".into());
                if let Some(open) = self.open.get_mut(&unit) {
                    open.log = false;
                }
            }
            Action::OpenPipe(unit) => self.note(unit, "open pipe".into()),
            Action::Dismiss(unit) => {
                self.note(unit, "dismiss".into());
                if let Some(home) = self.home(unit).and_then(|home| self.homes.get_mut(home)) {
                    home.files
                        .values_mut()
                        .for_each(|files| files.record = None);
                }
                self.open.remove(&unit);
            }
            Action::Release(unit) => {
                self.note(unit, "release".into());
                self.open.remove(&unit);
            }
            Action::Scan => {
                let entries = self.homes.iter().enumerate();
                let entries = entries.filter(|(_, home)| home.is_listed);
                let entries = entries.map(|(n, home)| (home.name.clone(), identity(n)));
                return Some(Input::Scanned {
                    entries: entries.collect(),
                    next_look: None,
                });
            }
            // The order does not matter here.
            Action::LookForLiving(_) => return Some(Input::Living(vec![])),
            // The keeper goes on, in this process.
            Action::Leave => {
                for process in self.processes.values_mut() {
                    process.adopted = true;
                }
                self.notes.push("  leave".into());
                return Some(Input::Kept);
            }
            // No service names another.
            Action::ReadEdges(..)
            | Action::WatchEdges(_)
            | Action::UnwatchEdges(_)
            | Action::KillCheck(..) => {}
            Action::Say(text) => self.notes.push(format!("  say {text}")),
        }
        None
    }

    fn start(&mut self, job: Job) -> Input {
        let unit = job.id().unit;
        let (program, is_there) = match job {
            Job::Setup(_) => ("setup".to_owned(), false),
            Job::Run(_) => ("run".to_owned(), true),
            Job::Finish(_, exit, _) => {
                let name = format!("finish {:?}", exit.finish_args());
                (name, self.holds(unit, b'f'))
            }
            Job::Prepare(_) => ("control/u".into(), self.holds(unit, b'u')),
            Job::Check(_) => ("check".into(), false),
            Job::Script(_, sig, pid) => {
                let letter = sig.letter();
                let name = format!("control/{} {pid}", char::from(letter));
                (name, self.holds(unit, letter))
            }
            Job::Epilogue(_, letter, pid) => {
                let name = format!("control/{} {pid}", char::from(letter));
                (name, self.holds(unit, letter))
            }
        };
        if !is_there {
            return Input::NotStarted(job, Failure::Absent);
        }
        if let Some(failure) = self.fails.take() {
            let why = match failure {
                Failure::Resources => "no process",
                _ => "not executed",
            };
            self.note_of(job.id(), &format!("start {program}: {why}"));
            return Input::NotStarted(job, failure);
        }
        let pid = self.next_pid;
        self.next_pid += 1;
        self.note_of(job.id(), &format!("start {program}: {pid}"));
        let process = Process {
            home: self.home(unit).unwrap_or(usize::MAX),
            job,
            started: self.now,
            dying: false,
            adopted: false,
        };
        self.processes.insert(pid, process);
        self.record(job, pid);
        Input::Started(job, pid)
    }

    /// The child writes its record.
    fn record(&mut self, job: Job, pid: Pid) {
        let part = match job {
            Job::Run(_) => Part::Run,
            Job::Finish(..) => Part::Finish,
            _ => return,
        };
        let at = self.now;
        if let Some(files) = self.files(job.id()) {
            files.record = Some(Record {
                part,
                world: world(),
                pipe: 0,
                pid,
                at,
                mark: Mark::None,
            });
        }
    }

    fn files(&mut self, id: Id) -> Option<&mut Files> {
        let home = self.home(id.unit)?;
        Some(self.homes.get_mut(home)?.files.entry(id.role).or_default())
    }

    fn show(&mut self, id: Id, facts: Facts, files: Shown, lines: &[Line]) -> Option<Input> {
        if files.mark {
            self.note_of(id, &format!("mark {}", facts.mark == Mark::Stop));
            if let Some(record) = self.files(id).and_then(|files| files.record.as_mut()) {
                record.mark = facts.mark;
            }
        }
        if files.crash_loop {
            self.note_of(id, &format!("shows {:?}", facts.crash_loop));
        }
        for line in lines {
            let name = line.name().to_str().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default();
            let text = line.text().unwrap_or_default();
            self.note_of(id, &format!("{name} {}", text.trim_end()));
        }
        if files.state == StateFiles::None {
            return None;
        }
        let (status, stat) = (
            facts.status(),
            (files.state == StateFiles::All).then(|| facts.stat()),
        );
        let digits = status.encode().map(|byte| format!("{byte:02x}"));
        let bytes = digits.concat();
        let stat = stat.map(Stat::text);
        if std::mem::take(&mut self.unwritable) {
            self.note_of(id, "no write");
            return Some(Input::NotWritten(id));
        }
        self.note_of(id, &format!("write {bytes} {stat:?}"));
        if let Some(files) = self.files(id) {
            files.status = Some(status);
        }
        None
    }

    fn open(&mut self, unit: UnitId, name: Vec<u8>, identity: Identity) -> Input {
        let home = identity.ino as usize;
        let is_there = |home: &Home| home.is_listed && home.name == name;
        if !self.homes.get(home).is_some_and(is_there) {
            return Input::NotOpened(identity, None);
        }
        let log = self.homes[home].holds.contains(&b'l');
        self.open.insert(unit, Open { home, log });
        let main = self.inherit(Id {
            unit,
            role: Role::Main,
        });
        let log = log.then(|| {
            self.inherit(Id {
                unit,
                role: Role::Log,
            })
        });
        Input::Opened(Opened {
            unit,
            name,
            identity,
            main,
            log,
            edges: model::graph::Edges::NONE,
        })
    }

    fn inherit(&mut self, id: Id) -> Inheritance {
        let is_down = self.holds(id.unit, if id.role == Role::Log { b'L' } else { b'D' });
        let world = world();
        let (now, processes) = (self.moment(), std::mem::take(&mut self.processes));
        let (mut adopted, mut found) = (false, None);
        if let Some(files) = self.files(id) {
            let process = files.record.as_ref().and_then(|r| processes.get(&r.pid));
            let evidence = Evidence {
                role: id.role,
                default: if is_down { Want::Down } else { Want::Up },
                since: Instant(0),
                world: Some(&world),
                record: files.record.as_ref(),
                status: files.status.as_ref(),
                seen: process.map(|process| Seen {
                    started: process.started,
                    grain_ns: 10_000_000,
                    is_above: false,
                }),
                exit: Exit::Unknown,
            };
            let judged = adoption::judge(&evidence, now);
            adopted = judged.adopted;
            found = Some(judged);
        }
        self.processes = processes;
        self.note_of(id, if adopted { "adopted" } else { "opened" });
        found.expect("it was opened just now")
    }

    fn look(&mut self, id: Id, look: Look, log: bool) -> Input {
        let scripts = look.letters().filter(|letter| self.holds(id.unit, *letter));
        let found = Settings {
            finish: self.holds(id.unit, b'f'),
            scripts: scripts.collect(),
            ..Settings::default()
        };
        let log = log && !found.scripts.has(b'u');
        let log = log.then(|| self.look_at_log(id.unit));
        Input::Looked {
            id,
            look,
            found,
            log,
        }
    }

    fn look_at_log(&mut self, unit: UnitId) -> Log {
        let is_there = self.holds(unit, b'l');
        let is_open = self.open.get(&unit).is_some_and(|open| open.log);
        match (is_there, is_open) {
            (true, false) => {
                if let Some(open) = self.open.get_mut(&unit) {
                    open.log = true;
                }
                Log::Opened(Box::new(self.inherit(Id {
                    unit,
                    role: Role::Log,
                })))
            }
            (false, true) => Log::Gone,
            _ => Log::Same,
        }
    }
}
