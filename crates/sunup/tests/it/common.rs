//! What the tests share: the programs under test, fixtures as a map from path to
//! content, and waiting for events instead of napping.
//!
//! A test of behaviour takes its programs from [`applet`], [`Fixture::applet`] and
//! [`Fixture::bin`]: they are sunup's, or those of the directory that the variable
//! `SUNUP_UNDER_TEST` names (`cargo lab test --under-test`). Only tests of what
//! sunup alone has, such as `--install`, ask for [`sunup`]; their modules are named
//! in lab and not run against others.

use std::env;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use model::format::status::{Phase, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, inotify, mkfifoat};
use rustix::process::Signal;

/// The directory of the programs under test, if they are not sunup's.
fn others() -> Option<PathBuf> {
    env::var_os("SUNUP_UNDER_TEST").map(PathBuf::from)
}

/// Whether sunup's programs are under test.
pub fn is_sunup() -> bool {
    others().is_none()
}

/// The one binary of sunup, for tests of what nobody else has.
pub fn sunup() -> PathBuf {
    assert!(
        is_sunup(),
        "a test of behaviour gets its programs from applet()"
    );
    PathBuf::from(env!("CARGO_BIN_EXE_sunup"))
}

/// The file of the program under test called `name`. It must be called by that
/// name, too, which [`applet`] and [`Fixture::applet`] see to.
pub fn file_of(name: &str) -> PathBuf {
    let Some(dir) = others() else {
        return sunup();
    };
    let file = dir.join(name);
    // lab looks for these words: a program that is not there is not tested.
    assert!(file.exists(), "under test: no {name}");
    file
}

/// A call of the program under test called `name`.
pub fn applet(name: &str) -> Command {
    let mut command = Command::new(file_of(name));
    command.arg0(name);
    if let Some(dir) = others() {
        // runsvdir looks for its runsv there.
        let path = env::var_os("PATH").unwrap_or_default();
        let dirs = [dir].into_iter().chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(dirs).unwrap());
    }
    command
}

/// A program of Debian's, with which ours are compared.
pub fn debian(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/sbin"].map(|dir| Path::new(dir).join(name));
    let found = places.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is missing: install the package runit, tini or dumb-init")
    })
}

/// How long an event may take on a busy machine before a test gives up;
/// `SUNUP_PATIENCE` sets it, in seconds.
pub fn patience() -> Duration {
    let seconds = env::var("SUNUP_PATIENCE").map_or(60, |s| s.parse().unwrap());
    Duration::from_secs(seconds)
}

/// A directory that is removed with its value.
pub struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    /// Writes `files`: a name that ends in `/` is a directory, `NAME -> TARGET`
    /// a symbolic link, and content that starts with `#!` is made executable.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for (name, content) in files {
            fixture.add(name, content);
        }
        fixture
    }

    /// An empty one for thousands of files, which no disk has to take. Often no program may
    /// be executed there, but what a link leads to.
    pub fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { dir }
    }

    /// Adds one file, as in [`Fixture::new`].
    pub fn add(&self, name: &str, content: &str) {
        if let Some((name, target)) = name.split_once(" -> ") {
            let link = self.path(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            return symlink(target, link).unwrap();
        }
        let path = self.path(name);
        if name.ends_with('/') {
            return fs::create_dir_all(path).unwrap();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if content.starts_with("#!") {
            let written = tempfile::NamedTempFile::new().unwrap();
            fs::write(&written, content).unwrap();
            copy_program(&written, &path);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        } else {
            fs::write(&path, content).unwrap();
        }
    }

    /// The path of `name` inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The path of a link to the program under test called `name`.
    pub fn applet(&self, name: &str) -> PathBuf {
        let link = self.path("bin").join(name);
        if fs::symlink_metadata(&link).is_err() {
            fs::create_dir_all(self.path("bin")).unwrap();
            symlink(file_of(name), &link).unwrap();
        }
        link
    }

    /// A directory with links to these programs under test, to put into PATH.
    pub fn bin(&self, names: &[&str]) -> PathBuf {
        for name in names {
            self.applet(name);
        }
        self.path("bin")
    }
}

/// Copies a program. A process of its own writes it: what is open for writing here
/// is for a moment also open in whatever another thread is just starting, and
/// then cannot be executed ("Text file busy").
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let mut cp = Command::new("cp");
    let copied = cp.arg(from.as_ref()).arg(to.as_ref()).status().unwrap();
    assert!(copied.success(), "cp {}", from.as_ref().display());
}

/// Makes a fifo for its owner.
pub fn make_fifo(path: impl AsRef<Path>) {
    mkfifoat(CWD, path.as_ref(), Mode::RUSR | Mode::WUSR).unwrap();
}

/// Knuth's MMIX generator, so that a failure can be repeated; its upper bits are random
/// enough.
pub struct Random(pub u64);

impl Random {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// One of the list.
    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Waits until `check` gives a value, looking again whenever something changes
/// in one of the directories (names or contents of their files).
pub fn wait_for<T>(what: &str, dirs: &[&Path], mut check: impl FnMut() -> Option<T>) -> T {
    let watch = match inotify::init(inotify::CreateFlags::CLOEXEC) {
        Ok(watch) => watch,
        // There are 128 for each user, and others may have them.
        Err(rustix::io::Errno::MFILE) => return yield_until(check),
        Err(e) => panic!("inotify: {e}"),
    };
    let events = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::MOVED_FROM
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::ATTRIB
        | inotify::WatchFlags::CLOSE_WRITE;
    for dir in dirs {
        inotify::add_watch(&watch, *dir, events).unwrap();
    }
    let end = Instant::now() + patience();
    loop {
        // Watch first, then look: an event between the two is not lost.
        if let Some(value) = check() {
            return value;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no {what} within {:?}", patience());
        let mut fds = [PollFd::new(&watch, PollFlags::IN)];
        if poll(&mut fds, Some(&LOOK)).unwrap() > 0 {
            rustix::io::read(&watch, &mut [0_u8; 4096]).unwrap();
        } else if nobody_is_left(dirs)
            && let Some(value) = last_words(what, &mut check)
        {
            return value;
        }
    }
}

/// Between two looks whether there is anybody left to wait for.
const LOOK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// What the last of all processes did comes before its end.
fn last_words<T>(what: &str, check: &mut impl FnMut() -> Option<T>) -> Option<T> {
    let value = check();
    assert!(
        value.is_some(),
        "no {what}, and it can no longer come: every process of this test has ended"
    );
    value
}

/// Whether all children of this thread have ended, and nobody else works in the
/// fixtures of these directories. Without children nothing is known.
fn nobody_is_left(dirs: &[&Path]) -> bool {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let mut children = children.split_whitespace().flat_map(str::parse).peekable();
    let homes: Option<Vec<PathBuf>> = dirs.iter().map(|dir| home(dir)).collect();
    let (Some(_), Some(homes)) = (children.peek(), homes) else {
        return false;
    };
    !children.any(lives) && !homes.is_empty() && !somebody_works_in(&homes)
}

/// The directory for temporary files that a path is in.
fn home(dir: &Path) -> Option<PathBuf> {
    let top = fs::canonicalize(env::temp_dir()).ok()?;
    let dir = fs::canonicalize(dir).ok()?;
    let first = dir.strip_prefix(&top).ok()?.components().next()?;
    Some(top.join(first))
}

/// Whether a process has its working directory, its root or a file there.
fn somebody_works_in(homes: &[PathBuf]) -> bool {
    let own = std::process::id().to_string();
    let is_there = |link: &Path| {
        fs::read_link(link).is_ok_and(|to| homes.iter().any(|home| to.starts_with(home)))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut others = processes.filter(|entry| entry.file_name().to_str() != Some(&own));
    others.any(|entry| {
        let files = fs::read_dir(entry.path().join("fd"));
        is_there(&entry.path().join("cwd"))
            || is_there(&entry.path().join("root"))
            || files.is_ok_and(|files| files.flatten().any(|file| is_there(&file.path())))
    })
}

/// A machine without a user namespace, or without mount(8), ends in its first moment.
#[test]
fn a_wait_ends_with_the_last_process() {
    let fixture = Fixture::new(&[("dir/", "")]);
    let dir = fixture.path("dir");
    let start = Instant::now();
    let mut child = Command::new("true").spawn().unwrap();
    let waited = std::panic::catch_unwind(|| {
        wait_for("file", &[&dir], || dir.join("file").exists().then_some(()));
    });
    let why = waited.unwrap_err();
    let why = why.downcast_ref::<String>().unwrap();
    assert!(why.contains("it can no longer come"), "{why}");
    assert!(start.elapsed() < patience());
    child.wait().unwrap();
}

/// A grandchild that goes on may still do what is waited for.
#[test]
fn a_wait_goes_on_while_somebody_is_there() {
    let fixture = Fixture::new(&[("dir/", "")]);
    let dir = fixture.path("dir");
    let gate = fixture.path("gate");
    make_fifo(&gate);
    let script = "cd dir; { read x <../gate; echo >file; } >/dev/null 2>&1 &";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .current_dir(fixture.path("."))
        .spawn()
        .unwrap();
    assert!(ends(child.id()));
    let mut looks = 0;
    wait_for("file", &[&dir], || {
        looks += 1;
        if looks == 1 {
            assert!(!nobody_is_left(&[&dir]));
            drop(fs::OpenOptions::new().write(true).open(&gate).unwrap());
        }
        dir.join("file").exists().then_some(())
    });
    child.wait().unwrap();
}

/// Waits until nobody holds the lock of a file.
pub fn until_unlocked(path: &Path) {
    use rustix::fs::{FlockOperation, flock};
    let file = fs::File::open(path).unwrap();
    yield_until(|| flock(&file, FlockOperation::NonBlockingLockExclusive).ok());
}

/// Waits for a child's end, with patience.
pub fn wait_exit(child: &mut Child) -> ExitStatus {
    assert!(ends(child.id()), "process {} did not end", child.id());
    child.wait().unwrap()
}

/// Waits until a process (anyone's) has ended; false when patience is out.
pub fn ends(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
        return true;
    };
    becomes(&fd, PollFlags::IN)
}

/// Waits until this can be done with a descriptor, or its other end is gone; false when
/// patience is out.
pub fn becomes(fd: impl AsFd, flags: PollFlags) -> bool {
    let timeout = Timespec::try_from(patience()).unwrap();
    poll(&mut [PollFd::new(&fd, flags)], Some(&timeout)).unwrap() > 0
}

/// Whether a process exists and is no zombie.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
    !matches!(state, None | Some(b'Z' | b'X'))
}

/// Sends a signal to a process by number.
pub fn kill(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// For what has no event to wait for.
pub fn yield_until<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience();
    let a_moment = Timespec {
        tv_sec: 0,
        tv_nsec: 500_000,
    };
    while Instant::now() < end {
        if let Some(value) = check() {
            return value;
        }
        // Others need the processor for it to come about.
        poll(&mut [], Some(&a_moment)).unwrap();
    }
    panic!("it did not come about");
}

/// A service that runs until it is stopped.
pub const SLEEP: &str = "#!/bin/sh\nexec sleep 1000\n";

/// What the supervisor of a service directory last wrote. Before that, somebody's fifo or
/// device may be in the place of the file.
pub fn read_status(dir: &Path) -> Option<Status> {
    let mut at_once = fs::OpenOptions::new();
    at_once
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32);
    let mut file = at_once.open(dir.join("supervise/status")).ok()?;
    // One more than there may be.
    let mut bytes = [0; 21];
    let n = file.read(&mut bytes).ok()?;
    Status::decode(bytes[..n].try_into().ok()?)
}

/// Waits until a supervisor has made the directory `supervise` of a service.
pub fn until_supervise(dir: &Path) {
    let supervise = dir.join("supervise");
    // A look is cheaper than one of the few watches that a user has.
    if !supervise.is_dir() {
        wait_for("supervise", &[dir], || supervise.is_dir().then_some(()));
    }
}

/// Waits until a supervisor takes commands for a service, and every `sv` sees that it is there:
/// `ok` comes last. Its files may be older than it is.
pub fn until_supervised(dir: &Path) {
    for fifo in ["supervise/control", "supervise/ok"] {
        let fifo = dir.join(fifo);
        // Who opens a fifo waits until there is somebody to read.
        yield_until(|| fs::OpenOptions::new().write(true).open(&fifo).ok());
    }
}

/// Waits for a status of a service, whose directory `supervise` may not be there yet.
pub fn status(dir: &Path, what: &str, check: impl Fn(&Status) -> bool) -> Status {
    until_supervise(dir);
    wait_for(what, &[&dir.join("supervise")], || {
        read_status(dir).filter(&check)
    })
}

/// Ends a child that still runs, as after a failed test, and waits for it.
pub fn end_by(child: &mut Child, signal: Signal) {
    if child.try_wait().unwrap().is_none() {
        kill(child.id(), signal);
        drop(child.wait());
    }
}

/// Waits until a script has made the file `ready` in its directory.
pub fn until_ready(dir: &Path) {
    wait_for("readiness", &[dir], || {
        dir.join("ready").exists().then_some(())
    });
}

/// Whether `./run` runs.
pub fn running(s: &Status) -> bool {
    s.phase == Phase::Run && s.pid != 0
}

/// Whether there is no process.
pub fn down(s: &Status) -> bool {
    s.phase == Phase::Down && s.pid == 0
}

/// Whether a service without `./run` has done what it has to do.
pub fn done(s: &Status) -> bool {
    s.phase == Phase::Run && s.pid == 0 && s.want_up
}

/// The process group and the session of a process; 0 for one whose leader
/// lives outside this pid namespace.
pub fn group_and_session(pid: u32) -> (u32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let mut fields = fields.split(' ').skip(2).map(|f| f.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
