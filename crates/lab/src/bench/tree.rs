//! A supervisor with services on a file system in memory: made, started,
//! listened to, and ended whatever happens.

use std::ffi::CString;
use std::fs::{self, FileTimes};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, test_kill_process, waitpid};
use tempfile::TempDir;

use super::ear::{Announcement, Ear, Interrupt};
use super::peers::{Name, Peer};
use super::probe::Step;
use super::{probe, processes};
use crate::moment::Moment;
use crate::sys;

/// How long anything may take before it counts as failed.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Supervisors hold a service back that ran for less than a second.
const SETTLED: Duration = Duration::from_millis(1200);

/// A scan directory and, once it is started, its supervisor.
pub struct Tree<'a> {
    peer: &'a Peer,
    home: TempDir,
    names: Vec<String>,
    ear: Ear<'a>,
    /// What runs, in no order.
    running: Vec<Announcement>,
}

impl<'a> Tree<'a> {
    /// A scan directory below `place` with `n` services that have never run.
    pub fn new(peer: &'a Peer, n: usize, place: &Path, interrupt: &'a Interrupt) -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("lab-bench-")
            .tempdir_in(place);
        let home = home.with_context(|| format!("make a directory in {}", place.display()))?;
        probe::write(&home.path().join("probe"), probe::PLAIN)?;
        let mut tree = Self {
            peer,
            home,
            names: Vec::new(),
            ear: Ear::new(interrupt)?,
            running: Vec::new(),
        };
        fs::create_dir(tree.scan_dir())?;
        for i in 0..n {
            let name = format!("s{i:05}");
            tree.make_service(&tree.scan_dir().join(&name))?;
            tree.names.push(name);
        }
        tree.seem_old()?;
        Ok(tree)
    }

    /// runsvdir waits for a directory's second to pass before it believes what is in it.
    pub fn seem_old(&self) -> Result<()> {
        let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        fs::File::open(self.scan_dir())?.set_times(old)?;
        Ok(())
    }

    /// Has all services be another program.
    pub fn replace_programs(&self, name: &str, steps: &[Step]) -> Result<()> {
        let program = self.beside(name);
        probe::write(&program, steps)?;
        for service in self.services() {
            let run = service.join("run");
            let replace = || {
                fs::remove_file(&run)?;
                fs::hard_link(&program, &run)
            };
            replace().with_context(|| format!("replace {}", run.display()))?;
        }
        Ok(())
    }

    /// A service directory: its `run` is the program itself, so there is no shell to measure.
    pub fn make_service(&self, dir: &Path) -> Result<()> {
        let make = || {
            fs::create_dir(dir)?;
            fs::hard_link(self.home.path().join("probe"), dir.join("run"))
        };
        make().with_context(|| format!("make service {}", dir.display()))
    }

    /// A service that fails at once, for a tree that is not started yet.
    pub fn make_failing_service(&self, name: &str) -> Result<PathBuf> {
        let dir = self.scan_dir().join(name);
        let make = || {
            fs::create_dir(&dir)?;
            std::os::unix::fs::symlink("/bin/false", dir.join("run"))
        };
        make().with_context(|| format!("make service {}", dir.display()))?;
        Ok(dir)
    }

    /// Whose.
    pub fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// How many services it was made with.
    pub fn n(&self) -> usize {
        self.names.len()
    }

    /// Where the services are.
    pub fn scan_dir(&self) -> PathBuf {
        self.home.path().join("service")
    }

    /// A name beside the scan directory, on the same file system.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// All service directories.
    pub fn services(&self) -> Vec<PathBuf> {
        let scan_dir = self.scan_dir();
        self.names.iter().map(|name| scan_dir.join(name)).collect()
    }

    /// The pids of all services.
    pub fn pids(&self) -> Vec<Pid> {
        self.running.iter().map(|service| service.pid).collect()
    }

    /// The processes that are no services.
    pub fn supervisors(&self) -> Result<Vec<Pid>> {
        let services = self.pids();
        let mut all = processes::descendants()?;
        let services: std::collections::HashSet<_> = services.into_iter().collect();
        all.retain(|pid| !services.contains(pid));
        Ok(all)
    }

    /// Starts all; the time from before the supervisor's exec to the last
    /// announcement, or `None` if this peer cannot be started in that way.
    pub fn start(&mut self, sessions: bool) -> Result<Option<Moment>> {
        let mouth = self.ear.mouth().try_clone()?;
        let start = Moment::now();
        match self.peer.supervisor(&self.scan_dir(), sessions) {
            Some(mut command) => {
                command.stdout(mouth).stderr(Stdio::null());
                command
                    .spawn()
                    .with_context(|| format!("run {command:?}"))?;
            }
            None if sessions => return Ok(None),
            None => self.start_bare()?,
        }
        for _ in 0..self.names.len() {
            let heard = self.hear()?;
            self.running.push(heard);
        }
        Ok(Some(start))
    }

    /// The limit: no supervisor, just a loop.
    fn start_bare(&self) -> Result<()> {
        for service in self.services() {
            self.start_one_bare(&service)?;
        }
        Ok(())
    }

    fn start_one_bare(&self, service: &Path) -> Result<()> {
        self.spawn_bare(service, None).map(drop)
    }

    /// The pid; it may get a descriptor to say that it is ready.
    fn spawn_bare(&self, service: &Path, ready: Option<BorrowedFd>) -> Result<Option<Pid>> {
        let program = CString::new(service.join("run").as_os_str().as_bytes())?;
        let mouth = self.ear.mouth().as_fd();
        let pid = sys::vfork_exec(&program, mouth, ready).context("start a service")?;
        Ok(Pid::from_raw(pid))
    }

    /// The limit: each is started when the one before has said that it is ready. When the
    /// first was.
    pub fn start_in_turn(&mut self) -> Result<Moment> {
        let start = Moment::now();
        for service in self.services() {
            let (mut ready, write) = io::pipe().context("make a pipe")?;
            self.spawn_bare(&service, Some(write.as_fd()))?;
            ready.read_exact(&mut [0]).context("wait for a service")?;
        }
        for _ in 0..self.names.len() {
            let heard = self.hear()?;
            self.running.push(heard);
        }
        Ok(start)
    }

    /// The limit: each is started when the one before has ended. When the first was
    /// started, and when the last ended.
    pub fn run_in_turn(&self) -> Result<(Moment, Moment)> {
        let start = Moment::now();
        for service in self.services() {
            let pid = self.spawn_bare(&service, None)?;
            waitpid(pid, WaitOptions::empty()).context("wait for a service")?;
        }
        Ok((start, Moment::now()))
    }

    /// The limit: who killed services of the bare loop waits for each, and starts as many.
    fn restart_bare(&self, killed: &[Pid]) -> Result<()> {
        let Some(name) = self.names.first().filter(|_| self.peer.name == Name::Bare) else {
            return Ok(());
        };
        // They are all the same program.
        let service = self.scan_dir().join(name);
        for pid in killed {
            waitpid(Some(*pid), WaitOptions::empty()).context("wait for a service")?;
            self.start_one_bare(&service)?;
        }
        Ok(())
    }

    /// When the last service announced itself.
    pub fn last_start(&self) -> Result<Moment> {
        let last = self.running.iter().map(|service| service.at).max();
        last.ok_or_else(|| anyhow!("no service runs"))
    }

    /// When each service announced itself, in order.
    pub fn starts(&self) -> Vec<Moment> {
        let mut moments: Vec<Moment> = self.running.iter().map(|service| service.at).collect();
        moments.sort_unstable();
        moments
    }

    /// The next announcement of the only service.
    pub fn hear_again(&mut self) -> Result<Announcement> {
        let heard = self.hear()?;
        self.running = vec![heard];
        Ok(heard)
    }

    /// The next announcement.
    pub fn hear(&mut self) -> Result<Announcement> {
        let heard = self.ear.hear(Moment::now().after(PATIENCE))?;
        let up = self.running.len();
        heard.ok_or_else(|| anyhow!("no word of a service for {PATIENCE:?}; {up} run"))
    }

    /// An announcement that has been made already, if there is one.
    pub fn heard(&mut self) -> Result<Option<Announcement>> {
        self.ear.hear(Moment::now())
    }

    /// Waits until every service has a status file, and returns when that was.
    pub fn await_status_files(&self) -> Result<Moment> {
        self.await_status_files_of(&self.services())
    }

    /// The same of these.
    pub fn await_status_files_of(&self, services: &[PathBuf]) -> Result<Moment> {
        let until = Moment::now().after(PATIENCE);
        for service in services {
            let status = service.join("supervise/status");
            while !status.exists() {
                if Moment::now() > until {
                    bail!("no {} after {PATIENCE:?}", status.display());
                }
                self.interrupt().rest(processes::LOOK)?;
            }
        }
        Ok(Moment::now())
    }

    /// Waits until all services have run for so long that an end of theirs is
    /// answered at once.
    pub fn settle(&self) -> Result<()> {
        let last = self.last_start()?;
        let age = Moment::now().since(last);
        self.interrupt().rest(SETTLED.saturating_sub(age))
    }

    /// Kills the first `n` services one after another, as long as there is
    /// `time`; how long each took to be back.
    pub fn kill_each(&mut self, n: usize, time: Duration) -> Result<Vec<Duration>> {
        let until = Moment::now().after(time);
        let mut times = Vec::new();
        for i in 0..n.min(self.running.len()) {
            if Moment::now() > until {
                break;
            }
            let killed = Moment::now();
            let back = self.kill_one(i)?;
            times.push(back.at.since(killed));
        }
        Ok(times)
    }

    /// Kills a service that runs, and waits until it is back.
    pub fn kill_one(&mut self, i: usize) -> Result<Announcement> {
        let slot = self.running.get(i).copied();
        let service = slot.ok_or_else(|| anyhow!("there is no service {i}"))?;
        kill_process(service.pid, Signal::KILL).context("kill a service")?;
        self.restart_bare(&[service.pid])?;
        let back = self.hear()?;
        if let Some(slot) = self.running.get_mut(i) {
            *slot = back;
        }
        Ok(back)
    }

    /// Kills all services; how long it took until all were back.
    pub fn kill_all(&mut self) -> Result<Duration> {
        let killed = Moment::now();
        let pids = self.pids();
        self.running.clear();
        for pid in &pids {
            kill_process(*pid, Signal::KILL).context("kill a service")?;
        }
        self.restart_bare(&pids)?;
        for _ in 0..self.names.len() {
            let back = self.hear()?;
            self.running.push(back);
        }
        Ok(self.last_start()?.since(killed))
    }

    /// Restarts the service by command; how long until the service is up again, and
    /// until the command has ended, too.
    pub fn restart(&mut self, service: &Path) -> Result<(Duration, Duration)> {
        let start = Moment::now();
        self.run(self.peer.restart(service))?;
        let ended = Moment::now();
        let back = self.hear()?;
        self.running
            .retain(|service| test_kill_process(service.pid).is_ok());
        self.running.push(back);
        let up = back.at.since(start);
        Ok((up, up.max(ended.since(start))))
    }

    /// Runs a command to its end; what it prints goes to a file.
    pub fn run(&self, mut command: Command) -> Result<()> {
        let out = fs::File::create(self.beside("output"))?;
        command.stdout(out.try_clone()?).stderr(out);
        let status = command
            .status()
            .with_context(|| format!("run {command:?}"))?;
        // Ctrl-C ends commands, too, and is the better reason.
        self.interrupt().check()?;
        if !status.success() {
            let said = fs::read_to_string(self.beside("output")).unwrap_or_default();
            let first = said.lines().next().unwrap_or_default();
            let program = command.get_program().display();
            bail!("{program}: {status}: {first}");
        }
        Ok(())
    }

    /// Waits until all services are gone.
    pub fn await_end(&self) -> Result<Moment> {
        processes::await_gone(
            &self.pids(),
            self.interrupt(),
            Moment::now().after(PATIENCE),
        )?;
        Ok(Moment::now())
    }

    /// The user's wish to stop.
    pub fn interrupt(&self) -> &'a Interrupt {
        self.ear.interrupt()
    }

    /// Ends all processes of the tree. Dropping it does the same, but has nobody
    /// to tell of a failure.
    pub fn end(self) -> Result<()> {
        let ended = processes::end_all();
        drop(self);
        ended
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        // The directory goes after the processes that use it.
        drop(processes::end_all());
    }
}
