//! Random kills, signals, renames and commands against a runsvdir of eight
//! services with loggers.
//!
//! Each service writes a record of 64 bytes for each byte that the test puts
//! into its fifo `ask`, and notes the record in `wrote` afterwards. Its logger,
//! dd(1), takes and writes one record at a time. What is promised:
//!
//! - there is one process of a service at most, whoever was killed and when;
//! - a record that a service wrote into the pipe is not lost as long as one of
//!   supervisor, service and logger lives, comes out once, and in order. A
//!   logger that is killed takes the one record with it that it had read;
//! - what was wanted last holds, also for the next supervisor;
//! - told to go, the supervisor leaves nothing behind.
//!
//! A supervisor is killed, told to leave (TERM), told to stop everything (HUP), or
//! executes its program anew (USR2). A service directory is renamed out of the
//! scan directory and comes back, perhaps to another supervisor.
//!
//! The first half of the services gets commands and never loses its loggers;
//! the second half loses services and loggers, but not both ends of a pipe at
//! once. `SUNUP_TORTURE_ROUNDS` or `SUNUP_TORTURE_SECONDS` sets the length, and
//! `SUNUP_TORTURE_SEED` repeats a run (timing differs all the same).
//!
//! Seen to fail when `engine::adopt::inherit` always answers that nothing was
//! left behind ("two processes of one service"), and when `LogPipe::take_over`
//! always makes a new pipe ("25 records lost, 0 loggers killed").

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::format::status::Phase;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use super::common::{
    Fixture, Random, ends, kill, lives, make_fifo, read_status, sunup, until_supervise, wait_exit,
    wait_for,
};

const ROUNDS: u64 = 12;
const SERVICES: usize = 8;
/// Services below this number get commands; the others lose their loggers.
const COMMANDED: usize = 4;
const RECORD_BYTES: usize = 64;

const RUN: &str = r#"#!/bin/sh
read -r id </proc/sys/kernel/random/uuid
i=0
exec 3<>ask 4>>wrote
while read -r _ <&3; do
    i=$((i + 1))
    printf '%-63s\n' "$id $i"
    echo "$id $i" >&4
done
"#;
const LOG_RUN: &str = "#!/bin/sh\nexec dd bs=64 2>/dev/null >>../lines\n";

struct Torture {
    random: Random,
    supervisor: Child,
    logger_kills: [usize; SERVICES],
    /// The service whose directory is not in the scan directory now.
    away: Option<usize>,
    tally: BTreeMap<&'static str, usize>,
    /// Keeps what is in the fifos while no service has them open.
    asks: Vec<fs::File>,
    root: PathBuf,
    fixture: Fixture,
}

impl Torture {
    fn new(seed: u64) -> Self {
        let fixture = Fixture::new(&[("away/", "")]);
        let root = fs::canonicalize(fixture.path("")).unwrap();
        let mut asks = vec![];
        for n in 0..SERVICES {
            fixture.add(&format!("scan/{n}/run"), RUN);
            fixture.add(&format!("scan/{n}/log/run"), LOG_RUN);
            let ask = fixture.path(&format!("scan/{n}/ask"));
            make_fifo(&ask);
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
            asks.push(rustix::fs::open(&ask, flags, Mode::empty()).unwrap().into());
        }
        Self {
            random: Random(seed),
            supervisor: start(&fixture),
            logger_kills: [0; SERVICES],
            away: None,
            tally: BTreeMap::new(),
            asks,
            root,
            fixture,
        }
    }

    fn dir(&self, n: usize) -> PathBuf {
        let place = if self.away == Some(n) { "away" } else { "scan" };
        self.root.join(format!("{place}/{n}"))
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn service(&self, n: usize) -> Option<u32> {
        processes(&self.dir(n)).first().copied()
    }

    fn logger(&self, n: usize) -> Option<u32> {
        processes(&self.dir(n).join("log")).first().copied()
    }

    fn round(&mut self) {
        for _ in 0..=self.random.below(12) {
            for n in 0..SERVICES {
                for _ in 0..self.random.below(4) {
                    self.ask(n);
                }
            }
            match self.random.below(8) {
                0 => self.rename(),
                1..3 => self.kill_one_end(),
                _ => self.command(),
            }
            self.check_copies();
        }
        match self.random.below(8) {
            0 => self.dismiss(Signal::HUP),
            1 => self.dismiss(Signal::TERM),
            2 => self.upgrade(),
            _ => self.kill_supervisor(),
        }
        self.check_copies();
    }

    /// Moves a service directory out of the scan directory, or the one that is out
    /// back.
    fn rename(&mut self) {
        let n = self.away.unwrap_or_else(|| self.random.below(SERVICES));
        let from = self.dir(n);
        self.away = match self.away {
            Some(_) => None,
            None => Some(n),
        };
        fs::rename(from, self.dir(n)).unwrap();
        self.count("renames");
    }

    /// The supervisor is told to go: by TERM it leaves what runs to a keeper, by HUP
    /// it stops all first.
    fn dismiss(&mut self, signal: Signal) {
        // Its handlers are in place once it has served somebody.
        self.wait_until_it_supervises();
        self.wait_for_ends();
        kill(self.supervisor.id(), signal);
        let code = wait_exit(&mut self.supervisor).code();
        let (want, what) = match signal {
            Signal::HUP => (111, "HUP"),
            _ => (0, "TERM"),
        };
        assert_eq!(code, Some(want), "exit code after {what}");
        self.count(what);
        self.supervisor = start(&self.fixture);
    }

    /// The supervisor executes its program anew; it may die on the way.
    fn upgrade(&mut self) {
        self.wait_until_it_supervises();
        kill(self.supervisor.id(), Signal::USR2);
        self.count("USR2");
        for _ in 0..self.random.below(3) {
            self.command();
        }
        if self.random.below(2) == 0 {
            self.kill_supervisor();
        }
    }

    /// Waits until the present supervisor listens to a service.
    fn wait_until_it_supervises(&self) {
        let pid = self.supervisor.id();
        let n = (0..SERVICES).find(|n| self.away != Some(*n)).unwrap();
        let supervise = self.dir(n).join("supervise");
        until_supervise(&self.dir(n));
        let control = supervise.join("control");
        wait_for("a supervisor that listens", &[&supervise], || {
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let mut targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
            targets.any(|target| target == control).then_some(())
        });
    }

    fn ask(&mut self, n: usize) {
        // A full fifo has enough to ask for.
        let _full = rustix::io::write(&self.asks[n], b"\n");
    }

    /// A service is killed, or a logger whose service is known to live.
    fn kill_one_end(&mut self) {
        let n = self.random.below(SERVICES);
        let (service, logger) = (self.service(n), self.logger(n));
        let (Some(service), Some(logger)) = (service, logger) else {
            return;
        };
        let which = if n >= COMMANDED && self.random.below(2) == 0 {
            self.logger_kills[n] += 1;
            logger
        } else {
            service
        };
        self.count("services and loggers killed");
        slay(which);
    }

    /// A few control bytes, if there is somebody to read them.
    fn command(&mut self) {
        let n = self.random.below(COMMANDED);
        let count = 1 + self.random.below(3);
        let bytes: Vec<u8> = (0..count).map(|_| self.random.one_of(b"udotkpc")).collect();
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let control = self.dir(n).join("supervise/control");
        if let Ok(fifo) = rustix::fs::open(control, flags, Mode::empty())
            // Its reader may go in this moment.
            && rustix::io::write(fifo, &bytes).is_ok()
        {
            self.count("commands");
        }
    }

    fn kill_supervisor(&mut self) {
        self.wait_for_ends();
        self.count("supervisors killed");
        kill(self.supervisor.id(), Signal::KILL);
        wait_exit(&mut self.supervisor);
        for _ in 0..self.random.below(3) {
            self.kill_one_end();
        }
        self.supervisor = start(&self.fixture);
    }

    /// A pipe is in the supervisor's hands alone while both its ends wait to be restarted.
    fn wait_for_ends(&self) {
        for n in (0..SERVICES).filter(|n| self.away != Some(*n)) {
            self.wait_for_an_end(n);
        }
    }

    fn wait_for_an_end(&self, n: usize) {
        let (dir, log) = (self.dir(n), self.dir(n).join("log"));
        for dir in [&dir, &log] {
            until_supervise(dir);
        }
        let states = [dir.join("supervise"), log.join("supervise")];
        wait_for("process", &states.each_ref().map(PathBuf::as_path), || {
            self.service(n).or_else(|| self.logger(n))
        });
    }

    fn check_copies(&self) {
        for n in 0..SERVICES {
            for dir in [self.dir(n), self.dir(n).join("log")] {
                let mut found = processes(&dir);
                if found.len() > 1 {
                    // One may have ended before its successor was looked at.
                    let still = processes(&dir);
                    found.retain(|pid| still.contains(pid));
                }
                assert!(found.len() < 2, "two processes of one service: {found:?}");
            }
        }
    }

    /// The last command's want holds, and the next supervisor knows it.
    fn check_wants(&mut self) {
        let wants: Vec<u8> = (0..COMMANDED).map(|_| self.random.one_of(b"ud")).collect();
        for (n, want) in wants.iter().enumerate() {
            let control = self.dir(n).join("supervise/control");
            fs::write(control, [b'c', *want]).unwrap();
        }
        for second in [false, true] {
            for (n, want) in wants.iter().enumerate() {
                let dir = self.dir(n);
                if second {
                    // Waits for the new supervisor.
                    fs::write(dir.join("supervise/control"), "c").unwrap();
                }
                let (up, phase) = if *want == b'u' {
                    (true, Phase::Run)
                } else {
                    (false, Phase::Down)
                };
                wait_for("the last want", &[&dir.join("supervise")], || {
                    let status = read_status(&dir)?;
                    // A process that was told to end before may still be shown.
                    let is_there = self.service(n).is_some();
                    (status.want_up == up && status.phase == phase && is_there == up).then_some(())
                });
            }
            self.check_copies();
            if !second {
                self.kill_supervisor();
            }
        }
    }

    /// Everything ends, and every record is where it belongs.
    fn finish(mut self) {
        println!("{:?}", self.tally);
        kill(self.supervisor.id(), Signal::HUP);
        assert_eq!(wait_exit(&mut self.supervisor).code(), Some(111));
        let left = all_processes(|cwd| cwd.starts_with(&self.root));
        assert_eq!(left, [0; 0], "processes left behind");
        for n in 0..SERVICES {
            let lost = check_log(&self.dir(n));
            let kills = self.logger_kills[n];
            assert!(
                lost <= kills,
                "{n}: {lost} records lost, {kills} loggers killed"
            );
        }
    }
}

impl Drop for Torture {
    /// Nothing stays behind, whatever failed.
    fn drop(&mut self) {
        if self.supervisor.try_wait().unwrap().is_none() {
            kill(self.supervisor.id(), Signal::KILL);
            drop(self.supervisor.wait());
        }
        for pid in all_processes(|cwd| cwd.starts_with(&self.root)) {
            slay(pid);
        }
        if std::thread::panicking() {
            let said = fs::read_to_string(self.root.join("stderr")).unwrap_or_default();
            println!("runsvdir said:\n{said}");
        }
    }
}

fn start(fixture: &Fixture) -> Child {
    let stderr = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(fixture.path("stderr"))
        .unwrap();
    Command::new(sunup())
        .args(["runsvdir", "-P"])
        .arg(fixture.path("scan"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// Kills a process and sees it end.
fn slay(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _gone = rustix::process::kill_process(pid, Signal::KILL);
    }
    assert!(ends(pid));
}

/// The processes that work in a directory.
fn processes(of: &Path) -> Vec<u32> {
    all_processes(|cwd| cwd == of)
}

/// The processes whose working directory is as wanted.
fn all_processes(wanted: impl Fn(&Path) -> bool) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| wanted(&cwd)) && lives(*pid)
        })
        .collect()
}

/// Compares what a service noted with its log; returns how many records are missing.
fn check_log(dir: &Path) -> usize {
    let log = fs::read_to_string(dir.join("lines")).unwrap();
    assert!(log.len().is_multiple_of(RECORD_BYTES));
    let wrote = fs::read_to_string(dir.join("wrote")).unwrap();
    let parse = |line: &str| {
        let (id, i) = line.trim_end().split_once(' ').unwrap();
        (id.to_owned(), i.parse::<usize>().unwrap())
    };
    let noted: Vec<(String, usize)> = wrote.lines().map(parse).collect();
    let logged: Vec<(String, usize)> = log.lines().map(parse).collect();
    assert!(!noted.is_empty(), "{}: it wrote nothing", dir.display());
    // In order: each process' records are together and count upwards.
    let mut seen = HashSet::new();
    for (n, (id, i)) in logged.iter().enumerate() {
        match n.checked_sub(1).map(|before| &logged[before]) {
            Some((same, before)) if same == id => {
                assert!(i > before, "{}: {before} before {i}", dir.display());
            }
            _ => assert!(seen.insert(id), "{}: {id} came back", dir.display()),
        }
    }
    // A service may be killed between writing a record and noting it.
    let noted_max: HashMap<&String, usize> = noted.iter().map(|(id, i)| (id, *i)).collect();
    for (id, i) in &logged {
        let max = noted_max.get(id).copied().unwrap_or(0) + 1;
        assert!(*i <= max, "{}: {id} {i} out of nowhere", dir.display());
    }
    let logged: HashSet<&(String, usize)> = logged.iter().collect();
    noted.iter().filter(|r| !logged.contains(r)).count()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn kills_and_commands_at_random() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("SUNUP_TORTURE_SEED").unwrap_or(now.unwrap().as_nanos() as u64);
    println!("SUNUP_TORTURE_SEED={seed}");
    let mut torture = Torture::new(seed);
    let rounds = number("SUNUP_TORTURE_ROUNDS").unwrap_or(ROUNDS);
    let end = number("SUNUP_TORTURE_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut done = 0;
    while end.map_or(done < rounds, |end| Instant::now() < end) {
        torture.round();
        done += 1;
    }
    if torture.away.is_some() {
        torture.rename();
    }
    torture.check_wants();
    torture.finish();
}

/// The supervisor is killed again and again, twice within a second each time. What a
/// service of instant lives said is in the log, all of it and once, in its order.
#[test]
fn no_line_is_lost_when_the_supervisor_dies_twice() {
    // Once it is to stop, no life is cut short by a signal.
    const RUN: &str = "#!/bin/sh
        [ -e ../../stop ] && echo >../../stopped && exec sleep 1000
        read -r n <../../n
        echo $((n + 1)) >../../n.new && mv ../../n.new ../../n && echo line $n\n";
    let fixture = Fixture::new(&[
        ("scan/web/run", RUN),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >>../lines\n"),
        ("n", "0\n"),
    ]);
    let number = || -> usize {
        let n = fs::read_to_string(fixture.path("n")).unwrap();
        n.trim().parse().unwrap()
    };
    let mut supervisor = start(&fixture);
    for round in 0..12 {
        // After a life at least; in every second round, as soon as the next one began.
        let before = number();
        wait_for("a life", &[&fixture.path(".")], || {
            (number() > before).then_some(())
        });
        slay(supervisor.id());
        wait_exit(&mut supervisor);
        if round % 2 == 0 {
            supervisor = start(&fixture);
            let home = fixture.path("scan/web");
            wait_for("its own status", &[&home.join("supervise")], || {
                rustix::fs::open(
                    home.join("supervise/ok"),
                    rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK,
                    rustix::fs::Mode::empty(),
                )
                .ok()
            });
            slay(supervisor.id());
            wait_exit(&mut supervisor);
        }
        supervisor = start(&fixture);
    }
    fs::write(fixture.path("stop"), "").unwrap();
    wait_for("the last life", &[&fixture.path(".")], || {
        fixture.path("stopped").exists().then_some(())
    });
    kill(supervisor.id(), Signal::HUP);
    wait_exit(&mut supervisor);
    let said: Vec<String> = (0..number()).map(|n| format!("line {n}")).collect();
    let logged = fs::read_to_string(fixture.path("scan/web/lines")).unwrap();
    assert_eq!(logged.lines().collect::<Vec<_>>(), said);
}
