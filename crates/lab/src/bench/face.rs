//! What people see: a new service by `sv enable`, lines of `sv log -f` and of `sv watch`,
//! and what it costs the supervisor that somebody watches.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Pid;

use super::lives::Bench;
use super::measures::What;
use super::peers::{Name, Peer, Stamp};
use super::processes;
use super::tree::{PATIENCE, Tree};
use crate::moment::Moment;

/// Between two looks whether lab is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// Before each line, so that all who wait for it sleep. No multiple of a clock's tick.
const REST: Duration = Duration::from_micros(20_300);
/// The first line of a log: who shows it goes on to wait for more.
const FIRST: &str = "first";

impl Bench<'_> {
    /// New services by `sv enable`, until they announce themselves.
    pub fn enable(&mut self, tree: &mut Tree, n: usize) -> Result<()> {
        for i in 0..self.effort.arrivals {
            tree.settle()?;
            let made = tree.beside(&format!("enabled{i}"));
            tree.make_service(&made)?;
            let Some(mut command) = tree.peer().sv(&["enable"], &made) else {
                return Ok(());
            };
            command.env("SVDIR", tree.scan_dir());
            let start = Moment::now();
            tree.run(command)?;
            let ms = tree.hear()?.at.since(start).as_secs_f64() * 1e3;
            self.results.add(What::Enable, n, tree.peer().name, ms);
        }
        Ok(())
    }

    /// From the write of a line to a logger's pipe until it is shown, by `sv log -f` or else
    /// by `tail -F` of the same file.
    pub fn follow_log(&mut self, peer: &Peer) -> Result<()> {
        let tree = Tree::new(peer, 0, &self.place, self.interrupt)?;
        let service = tree.scan_dir().join("talks");
        let log = service.join("log/main");
        fs::create_dir_all(&log).with_context(|| format!("make {}", log.display()))?;
        let logger = match peer.logger(Stamp::Tai64n, &log)? {
            None => peer.logger(Stamp::Plain, &log)?,
            some => some,
        };
        let mut logger = logger.ok_or_else(|| anyhow!("{} has no logger", peer.name.word()))?;
        logger.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut logger = logger.spawn().with_context(|| format!("run {logger:?}"))?;
        let pipe = logger.stdin.as_mut();
        let pipe = pipe.ok_or_else(|| anyhow!("no pipe to a logger"))?;
        writeln!(pipe, "{FIRST}")?;
        let until = Moment::now().after(PATIENCE);
        while fs::metadata(log.join("current")).map_or(0, |file| file.len()) == 0 {
            if Moment::now() > until {
                bail!("nothing in {} after {PATIENCE:?}", log.display());
            }
            self.interrupt.rest(processes::LOOK)?;
        }
        let shown = match peer.name {
            Name::Sunup => peer.sv(&["log", "-f"], &service),
            _ => None,
        };
        let shown = Shown::by(shown.unwrap_or_else(|| {
            let mut tail = Command::new("/usr/bin/tail");
            tail.arg("-F").arg(log.join("current")).stdin(Stdio::null());
            tail
        }))?;
        shown.await_word(FIRST, &tree)?;
        for i in 0..self.effort.ready {
            self.interrupt.rest(REST)?;
            let line = format!("line {i}.");
            let start = Moment::now();
            writeln!(pipe, "{line}")?;
            let at = shown.await_word(&line, &tree)?;
            let ms = at.since(start).as_secs_f64() * 1e3;
            self.results.add(What::LogShown, 0, peer.name, ms);
        }
        tree.end()
    }

    /// From the exec of a service until `sv watch` of all says so, and the supervisor's time
    /// for an end of all services, without who watches and with one.
    pub fn watch(&mut self, peer: &Peer, n: usize) -> Result<()> {
        if peer.name != Name::Sunup {
            return Ok(());
        }
        let mut tree = Tree::new(peer, n, &self.place, self.interrupt)?;
        tree.start(false)?;
        tree.await_status_files()?;
        tree.settle()?;
        let supervisors = tree.supervisors()?;
        self.restart_cpu(&mut tree, &supervisors, What::RestartCpu)?;
        let mut watch = peer.for_all("sv", &["watch"], &[]);
        watch.env("SVDIR", tree.scan_dir());
        let shown = Shown::by(watch)?;
        for _ in 0..n {
            shown.next(&tree)?;
        }
        for i in 0..self.effort.ready.min(n) {
            self.interrupt.rest(REST)?;
            let back = tree.kill_one(i)?;
            let line = format!("(pid {})", back.pid.as_raw_nonzero());
            let at = shown.await_word(&line, &tree)?;
            self.add_ms(What::WatchLine, &tree, at.since(back.at));
        }
        tree.settle()?;
        self.restart_cpu(&mut tree, &supervisors, What::RestartCpuWatched)?;
        tree.end()
    }

    fn restart_cpu(&mut self, tree: &mut Tree, pids: &[Pid], what: What) -> Result<()> {
        let before = processes::run_time(pids)?;
        tree.kill_all()?;
        tree.settle()?;
        let time = processes::run_time(pids)?.saturating_sub(before);
        self.add_ms(what, tree, time);
        Ok(())
    }
}

/// The lines that a program prints, each with the moment at which it came.
struct Shown(Receiver<(Moment, String)>);

impl Shown {
    /// By this one. All lines are read, so that it never waits.
    fn by(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("run {command:?}"))?;
        let stdout = child.stdout.ok_or_else(|| anyhow!("no pipe from it"))?;
        let (send, receive) = channel();
        // It ends with the program, at the latest with the tree.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send((Moment::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self(receive))
    }

    fn next(&self, tree: &Tree) -> Result<(Moment, String)> {
        let until = Moment::now().after(PATIENCE);
        loop {
            match self.0.recv_timeout(LOOK) {
                Ok(shown) => return Ok(shown),
                Err(RecvTimeoutError::Disconnected) => bail!("it has ended"),
                Err(RecvTimeoutError::Timeout) => tree.interrupt().check()?,
            }
            if Moment::now() > until {
                bail!("no line for {PATIENCE:?}");
            }
        }
    }

    /// When the next line came that has this in it.
    fn await_word(&self, word: &str, tree: &Tree) -> Result<Moment> {
        loop {
            let (at, line) = self.next(tree)?;
            if line.contains(word) {
                return Ok(at);
            }
        }
    }
}
