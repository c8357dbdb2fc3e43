//! A container's supervision: the engine with services or without, beside a main program
//! ([`model::container`] decides). Signals are all the container's: none is this program's own.

use std::os::fd::OwnedFd;

use model::container::{Action, Container, Input as News, Rules};
use model::format::status::Phase;
use model::process::{Exit, Pid};
use model::service::Role;
use model::supervisor::{Id, Input, Scope, Supervisor};
use rustix::io::Errno;

use super::scandir::ScanDir;
use super::{Engine, Token};
use crate::say;
use crate::state_rooms::Rooms;
use crate::sys::signal::{self, Signal};
use crate::sys::{child, clock};

/// What the container is to be.
pub struct Plan<'a> {
    /// The services; none without it.
    pub dir: Option<&'a [u8]>,
    /// Whose end is the end, and how.
    pub rules: Rules,
    /// The service that is the main one.
    pub service: Option<&'a [u8]>,
    /// The main program, which is a child.
    pub program: Option<Program>,
    /// Signals go to the main program's process group.
    pub group: bool,
    /// Reports each stray that was reaped.
    pub tells_strays: bool,
}

/// A main program that is being loaded.
pub struct Program {
    /// Its process.
    pub pid: Pid,
    /// Closed when it has been loaded; a byte comes first if that failed.
    pub loads: OwnedFd,
}

/// What the engine knows of the container.
pub struct Guard {
    life: Container,
    program: Option<Pid>,
    loads: Option<OwnedFd>,
    dir: Option<Vec<u8>>,
    group: bool,
    tells_strays: bool,
    /// The end of the main service has been handed in.
    principal_is_told: bool,
}

impl Engine {
    /// Runs a container until its end; the result is the exit code.
    pub fn contain(mut self, plan: Plan) -> u8 {
        let (life, first) = Container::begin(plan.rules);
        self.core = Supervisor::new(Scope::All { init: true });
        if let Some(name) = plan.service {
            self.core.set_principal(name);
        }
        let (program, loads) = plan.program.map(|p| (p.pid, p.loads)).unzip();
        if let Some(Err(e)) = loads.as_ref().map(|loads| self.watch(loads, Token::Loads)) {
            say::offer(self.who, format_args!("watch the main program: {e}"));
            return 111;
        }
        self.rooms = Rooms::of(true);
        self.guard = Some(Box::new(Guard {
            life,
            program,
            loads,
            dir: plan.dir.map(<[u8]>::to_vec),
            group: plan.group,
            tells_strays: plan.tells_strays,
            principal_is_told: false,
        }));
        self.do_all(first);
        self.run()
    }

    /// Hands in what follows from the state of services and children; the exit code, when the
    /// container is over.
    pub(super) fn container_code(&mut self) -> Option<u8> {
        self.tell_of_services();
        let now = clock::now();
        if self
            .guard
            .as_ref()?
            .life
            .deadline()
            .is_some_and(|at| at <= now)
        {
            self.happened(News::Tick);
        }
        if self.guard.as_ref()?.life.waits_for_the_last_child() && !self.zombies.are_left() {
            let no_child =
                child::ended().is_err_and(|e| Errno::from_io_error(&e) == Some(Errno::CHILD));
            if no_child {
                self.happened(News::NoChild);
            }
        }
        self.guard.as_ref()?.life.code()
    }

    fn tell_of_services(&mut self) {
        let waits = |guard: &Guard| guard.life.waits_for_the_main_service();
        if self.guard.as_deref().is_some_and(waits) {
            self.tell_if_the_principal_runs();
        }
        let Some(guard) = &mut self.guard else { return };
        if let Some(exit) = self
            .core
            .principal_ended()
            .filter(|_| !guard.principal_is_told)
        {
            guard.principal_is_told = true;
            self.happened(News::MainEnded(exit));
        }
        if self.core.exit_code(clock::now()).is_some() {
            self.happened(News::ServicesOver);
        } else if self.scan_dir.is_some() && self.core.is_at_rest() {
            self.happened(News::AtRest);
        }
    }

    /// When the container must be looked at again at the latest.
    pub(super) fn container_deadline(&self) -> Option<model::time::Instant> {
        self.guard.as_ref()?.life.deadline()
    }

    /// The main program was loaded, or not.
    pub(super) fn program_loaded(&mut self) {
        let Some(loads) = self.guard.as_mut().and_then(|guard| guard.loads.take()) else {
            return;
        };
        let failed = rustix::io::read(&loads, &mut [0_u8; 1]) == Ok(1);
        self.happened(if failed {
            News::NotLoaded
        } else {
            News::Loaded
        });
    }

    /// A signal came, which is the container's.
    pub(super) fn container_signalled(&mut self, came: Signal) {
        self.tell_if_the_principal_runs();
        self.happened(match came {
            signal::SIGTERM | signal::SIGINT | signal::SIGQUIT => News::Stop(came as u8),
            // A program knows neither of these as a stop.
            other if other == signal::SIGPWR || other == signal::container_stop() => {
                News::Stop(signal::SIGTERM as u8)
            }
            other => News::Signal(other as u8),
        });
    }

    /// A child ended; `known`: it was a service's, or a script.
    pub(super) fn contained_child_ended(&mut self, pid: Pid, exit: Exit, known: bool) {
        let Some(guard) = &mut self.guard else { return };
        if guard.program == Some(pid) {
            guard.program = None;
            // What it says about its loading comes first.
            self.program_loaded();
            self.happened(News::MainEnded(exit));
        } else if guard.tells_strays && !known {
            say::offer(self.who, format_args!("reaped process {pid}, which {exit}"));
        }
    }

    fn happened(&mut self, news: News) {
        let Some(guard) = &mut self.guard else { return };
        let (life, actions) = guard.life.step(clock::now(), news);
        guard.life = life;
        self.do_all(actions);
    }

    fn do_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::StartServices => self.start_services(),
                Action::StopServices => self.feed(Input::Terminate),
                Action::KillServices => {
                    if !self.core.is_ending() {
                        self.feed(Input::Terminate);
                    }
                    self.feed(Input::Terminate);
                }
                Action::Pass(number) => self.pass(number.into()),
                Action::Sweep(number) => sweep(number.into()),
            }
        }
    }

    fn start_services(&mut self) {
        let dir = self.guard.as_mut().and_then(|guard| guard.dir.take());
        let Some(dir) = dir else {
            // No services: they are over as soon as they are told to stop.
            return;
        };
        match ScanDir::new(self.who, &dir) {
            Ok(scan_dir) => {
                if let Some(fd) = scan_dir.descriptor() {
                    drop(self.watch(fd, Token::ScanDir));
                }
                self.scan_dir = Some(scan_dir);
                self.feed(Input::ScanDue);
            }
            Err(e) => say::offer(
                self.who,
                format_args!("{}: {e}; no service is started", dir.escape_ascii()),
            ),
        }
    }

    /// Sends a signal to the main program, or to the run of the main service. One that has
    /// just ended is no problem.
    fn pass(&mut self, number: Signal) {
        let guard = self.guard.as_ref();
        let (program, group) = guard.map_or((None, false), |g| (g.program, g.group));
        if let Some(pid) = program {
            // KILL is for what did not stop: for all of it.
            let all = group || number == signal::SIGKILL;
            let sent = if all {
                signal::kill_group(pid, number)
            } else {
                Ok(())
            };
            if !all || sent.is_err() {
                drop(signal::kill(pid, number));
            }
        } else if let Some((id, pid)) = self.principal_runs() {
            self.send(id, pid, number);
        }
    }

    fn tell_if_the_principal_runs(&mut self) {
        if self.principal_runs().is_some() {
            self.happened(News::ServiceRuns);
        }
    }

    /// The main service and its process, if that runs by our records.
    fn principal_runs(&self) -> Option<(Id, Pid)> {
        let id = self.core.principal().filter(|id| id.role == Role::Main)?;
        match self.core.service(id)?.phase() {
            (Phase::Run, pid) => Some((id, pid)),
            _ => None,
        }
    }
}

/// Sends a signal to everything that is left: process 1 reaches it all, another process its
/// children, to which it adds what these leave behind.
fn sweep(number: Signal) {
    if super::signal_script::is_process_1() {
        drop(signal::kill_all(number));
        if number == signal::SIGTERM {
            drop(signal::kill_all(signal::SIGCONT));
        }
        return;
    }
    let own = std::process::id();
    let list = format!("/proc/{own}/task/{own}/children");
    for pid in std::fs::read_to_string(list)
        .unwrap_or_default()
        .split_whitespace()
    {
        if let Ok(pid) = pid.parse() {
            drop(signal::kill(pid, number));
        }
    }
}
