//! A supervisor, and a kernel in which every effect succeeds at once.

use model::adoption::Inheritance;
use model::format::tai64n::Tai64n;
use model::moment::Moment;
use model::scan::Identity;
use model::service::{Exit, Pid, Role, Want};
use model::settings::Settings;
use model::supervisor::{Action, Id, Input, Opened, Scope, Supervisor};
use model::time::Instant;

/// The first service.
pub const MAIN: Id = Id {
    unit: 1,
    role: Role::Main,
};
/// Its logger.
pub const LOG: Id = Id {
    unit: 1,
    role: Role::Log,
};
/// What the first process gets; the next ones count on from there.
pub const FIRST_PID: Pid = 10;

/// What the service directories are.
pub struct Services {
    pub names: &'static [&'static str],
    pub have_loggers: bool,
    pub settings: Settings,
}

/// See the module.
pub struct World {
    pub core: Supervisor,
    pub now: Instant,
    /// How many bytes wait in each log pipe.
    pub bytes: u32,
    /// All that the supervisor told to be done.
    pub done: Vec<Action>,
    services: Services,
    next_pid: Pid,
}

impl World {
    /// Every service is opened, and started if it is wanted.
    pub fn new(scope: Scope, services: Services) -> Self {
        let mut world = Self {
            core: Supervisor::new(scope),
            now: Instant(1_000_000_000),
            bytes: 0,
            done: vec![],
            services,
            next_pid: FIRST_PID,
        };
        world.feed(Input::ScanDue);
        world
    }

    /// Hands in an input, and what was put aside then.
    pub fn feed(&mut self, input: Input) {
        self.hand_in(input);
        while self.core.has_more() {
            self.hand_in(Input::More);
        }
    }

    /// The present.
    pub fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            wall: Tai64n::from_unix(1_700_000_000, 0),
        }
    }

    /// Hands in an input; what is put aside waits.
    pub fn hand_in(&mut self, input: Input) {
        let moment = self.moment();
        self.core.handle(moment, input);
        while let Some(action) = self.core.next() {
            self.done.push(action.clone());
            if let Some(answer) = self.answer(action) {
                self.core.handle(moment, answer);
            }
        }
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        let answer = match action {
            Action::Scan => {
                let entries = self.services.names.iter().zip(1..);
                let entry = |(name, ino): (&&str, u64)| {
                    (name.as_bytes().to_vec(), Identity { dev: 1, ino })
                };
                Input::Scanned {
                    entries: entries.map(entry).collect(),
                    next_look: None,
                }
            }
            Action::Open {
                unit,
                name,
                identity,
            } => {
                let log = self.services.have_loggers;
                Input::Opened(Opened {
                    unit,
                    name,
                    identity,
                    main: Inheritance::nothing(Role::Main, Want::Up),
                    log: log.then(|| Inheritance::nothing(Role::Log, Want::Up)),
                    edges: model::graph::Edges::NONE,
                })
            }
            Action::Start(job, _) => {
                let pid = self.next_pid;
                self.next_pid += 1;
                Input::Started(job, pid)
            }
            Action::Look { id, look, .. } => Input::Looked {
                id,
                look,
                found: self.services.settings,
                log: None,
            },
            Action::LookAtPipe(unit) => Input::PipeSeen(unit, self.bytes),
            Action::LookForLiving(_) => Input::Living(vec![]),
            Action::Leave => Input::Left,
            _ => return None,
        };
        Some(answer)
    }

    /// The process of a service ends.
    pub fn ends(&mut self, id: Id, exit: Exit) {
        let pid = self.core.service(id).unwrap().phase().1;
        self.feed(Input::ChildEnded(pid, exit, self.now));
    }

    /// What the administrator was told.
    pub fn said(&self) -> Vec<&str> {
        let actions = self.done.iter();
        let said = actions.filter_map(|action| match action {
            Action::Say(text) => Some(text.as_str()),
            _ => None,
        });
        said.collect()
    }
}
