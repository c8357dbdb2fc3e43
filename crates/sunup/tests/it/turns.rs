//! A supervisor is never deaf: not while it starts many, and not while a program
//! hangs in its exec.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::format::status::Phase;
use rustix::process::Signal;

use super::common::{
    Fixture, SLEEP, applet, down, kill, lives, read_status, running, status, wait_exit, wait_for,
    yield_until,
};
use super::lease::Lease;
use super::runsvdir::{Runsvdir, lock_holder};

/// Services `a`, which hangs when it is started, and others.
struct Tree {
    fixture: Fixture,
    lease: Option<Lease>,
}

impl Tree {
    /// `a` has this `run`, and is down.
    fn new(others: &[&str]) -> Self {
        let fixture = Fixture::new(&[("scan/a/run", SLEEP), ("scan/a/down", "")]);
        for name in others {
            fixture.add(&format!("scan/{name}/run"), SLEEP);
        }
        let lease = Some(Lease::take(&fixture.path("scan/a/run")));
        Self { fixture, lease }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn sv(&self, words: &[&str]) -> String {
        let output = sv(words).env("SVDIR", self.fixture.path("scan")).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }

    /// Starts `a`; its process, which hangs.
    fn hang(&self) -> u32 {
        status(&self.dir("a"), "down", down);
        let fifo = self.dir("a").join("supervise/ok");
        wait_for("fifo", &[&self.dir("a/supervise")], || {
            fs::metadata(&fifo).ok()
        });
        fs::write(self.dir("a/supervise/control"), "u").unwrap();
        let hangs = status(&self.dir("a"), "a process", |s| s.pid != 0);
        assert!(hangs.phase == Phase::Down && hangs.want_up, "{hangs:?}");
        hangs.pid
    }

    /// Whether its process, which has this pid, still hangs.
    fn hangs(&self, pid: u32) -> bool {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        read_status(&self.dir("a")).is_some_and(|s| s.pid == pid) && !program.ends_with("sleep")
    }
}

fn sv(words: &[&str]) -> Command {
    let mut sv = applet("sv");
    sv.args(["-w", "50"]).args(words);
    sv
}

#[test]
fn a_program_that_hangs_holds_up_no_other_service() {
    let mut tree = Tree::new(&["b", "c"]);
    let runsvdir = Runsvdir::start(&tree.fixture);
    let before = status(&tree.dir("b"), "run", running).pid;
    let hangs = tree.hang();
    tree.sv(&["restart", "b"]);
    let after = status(&tree.dir("b"), "run", running).pid;
    assert_ne!(before, after);
    tree.fixture.add("d/run", SLEEP);
    fs::rename(tree.fixture.path("d"), tree.dir("d")).unwrap();
    status(&tree.dir("d"), "run", running);
    let pid = status(&tree.dir("c"), "run", running).pid;
    kill(pid, Signal::KILL);
    status(&tree.dir("c"), "run", |s| running(s) && s.pid != pid);
    assert!(tree.hangs(hangs));
    let shown = tree.sv(&["status", "a"]);
    let end = format!("s, want up, starting (pid {hangs})\n");
    let fits = shown.starts_with("down: a: ") && shown.ends_with(&end);
    assert!(fits, "{shown}");
    tree.lease = None;
    status(&tree.dir("a"), "run", |s| running(s) && s.pid == hangs);
    runsvdir.hang_up();
}

#[test]
fn a_stop_ends_a_program_that_hangs() {
    let tree = Tree::new(&["b"]);
    let runsvdir = Runsvdir::start(&tree.fixture);
    let hangs = tree.hang();
    tree.sv(&["down", "a"]);
    assert!(!lives(hangs));
    let hangs = tree.hang();
    runsvdir.hang_up();
    assert!(!lives(hangs));
}

/// More of them than the supervisor has places for starts that go well.
#[test]
fn many_programs_that_hang_hold_up_no_other_service() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let mut tree = Tree::new(&["b"]);
    let lease = |name: &String| {
        tree.fixture.add(&format!("scan/{name}/run"), SLEEP);
        Lease::take(&tree.dir(name).join("run"))
    };
    let leases: Vec<Lease> = names.iter().map(lease).collect();
    let runsvdir = Runsvdir::start(&tree.fixture);
    let hang: Vec<u32> = names
        .iter()
        .map(|name| status(&tree.dir(name), "a process", |s| s.pid != 0).pid)
        .collect();
    tree.sv(&["restart", "b"]);
    drop(leases);
    tree.lease = None;
    for (name, pid) in names.iter().zip(hang) {
        status(&tree.dir(name), "run", |s| running(s) && s.pid == pid);
    }
    runsvdir.hang_up();
}

#[test]
fn a_program_that_hangs_is_taken_over_whoever_comes() {
    for way in [Signal::KILL, Signal::TERM, Signal::USR2] {
        let mut tree = Tree::new(&["b"]);
        let mut runsvdir = Runsvdir::start(&tree.fixture);
        let hangs = tree.hang();
        kill(runsvdir.child.id(), way);
        if way != Signal::USR2 {
            wait_exit(&mut runsvdir.child);
            std::mem::forget(runsvdir);
            runsvdir = Runsvdir::start(&tree.fixture);
            let successor = Some(runsvdir.child.id());
            wait_for("successor", &[&tree.dir("a/supervise")], || {
                (lock_holder(&tree.dir("a")) == successor).then_some(())
            });
        }
        // It counts as started: there is a process.
        status(&tree.dir("a"), "run", |s| running(s) && s.pid == hangs);
        assert!(tree.hangs(hangs), "{way:?}");
        tree.sv(&["check", "b"]);
        tree.lease = None;
        has_program(hangs);
        runsvdir.hang_up();
    }
}

/// A child on its way to its program runs on the supervisor's memory, on a stack of its
/// own. If it needed more, it would meet a page that nobody may touch.
#[test]
fn below_the_stack_of_a_child_is_a_page_that_nobody_may_touch() {
    let tree = Tree::new(&[]);
    let runsvdir = Runsvdir::start(&tree.fixture);
    let hangs = tree.hang();
    let top = stack_pointer(hangs);
    let maps = fs::read_to_string(format!("/proc/{}/maps", runsvdir.child.id())).unwrap();
    let maps: Vec<Mapping> = maps
        .lines()
        .map(|line| Mapping::read(line).unwrap())
        .collect();
    let at = maps.iter().position(|m| m.start < top && top <= m.end);
    let at = at.unwrap_or_else(|| panic!("{top:x}: {maps:x?}"));
    let [guard, stack] = [&maps[at - 1], &maps[at]];
    assert_eq!(stack.may, "rw-p", "{top:x}: {maps:x?}");
    assert_eq!(guard.may, "---p", "{top:x}: {maps:x?}");
    assert_eq!(guard.end, stack.start, "{top:x}: {maps:x?}");
    runsvdir.hang_up();
}

/// A line of /proc/PID/maps.
#[derive(Debug)]
struct Mapping {
    start: u64,
    end: u64,
    may: String,
}

impl Mapping {
    fn read(line: &str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: number(start)?,
            end: number(end)?,
            may: rest.split(' ').next()?.to_owned(),
        })
    }
}

/// Of a process that waits in a system call: /proc/PID/syscall ends with it and with
/// the address of the call.
fn stack_pointer(pid: u32) -> u64 {
    super::common::yield_until(|| {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
        let pointer = call.split_whitespace().rev().nth(1)?;
        u64::from_str_radix(pointer.strip_prefix("0x")?, 16).ok()
    })
}

/// Waits until a process has its program.
fn has_program(pid: u32) {
    let exe = format!("/proc/{pid}/exe");
    super::common::yield_until(|| fs::read_link(&exe).ok().filter(|exe| is_program(exe)));
}

fn is_program(exe: &Path) -> bool {
    exe.ends_with("sleep") || exe.ends_with("busybox")
}

/// A pipe with room for a part of a line seems ready to be written to. A supervisor that
/// wrote the line as a whole would sleep until somebody reads.
#[test]
fn a_line_longer_than_the_room_in_a_pipe_stops_nobody() {
    // Each byte is shown as `\u{1}`.
    let path = vec!["\u{1}".repeat(250); 10].join("/");
    let fixture = Fixture::new(&[(&format!("{path}/finish"), "#!/bin/sh\n: >told\n")]);
    let (unread, pipe) = rustix::pipe::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&pipe, 4096).unwrap();
    let mut runsv = Command::new(fixture.applet("runsv"))
        .arg(&path)
        .current_dir(fixture.path("."))
        .stdin(Stdio::null())
        .stderr(pipe)
        .spawn()
        .unwrap();
    let home = fixture.path(&path);
    // What comes after the complaint that there is no ./run.
    wait_for("finish", &[&home], || {
        home.join("told").exists().then_some(())
    });
    let mut said = [0; 8192];
    let length = rustix::io::read(&unread, &mut said).unwrap();
    assert!(length >= 4000 && said.starts_with(b"runsv: "), "{length}");
    kill(runsv.id(), Signal::TERM);
    assert_eq!(wait_exit(&mut runsv).code(), Some(0));
}

/// So many that the last is still to come while something is done about the first. A test
/// may be too slow for that once, but not each time.
const MANY: usize = 400;
const TRIES: usize = 5;

/// Starts many; whether the last is not supervised yet after `work` with the first.
fn is_done_in_time(work: impl Fn(&Path)) -> bool {
    let fixture = Fixture::new(&[("sleep", SLEEP)]);
    let program = fixture.path("sleep");
    for n in 0..MANY {
        let run = format!("scan/{n:03}/run -> {}", program.display());
        fixture.add(&run, "");
    }
    let runsvdir = Runsvdir::start(&fixture);
    work(&fixture.path("scan/000"));
    let last = fixture.path(&format!("scan/{:03}", MANY - 1));
    let in_time = !last.join("supervise").exists();
    status(&last, "run", running);
    runsvdir.hang_up();
    in_time
}

/// The first of many shows that it runs before the last is supervised.
#[test]
fn state_files_do_not_wait_for_the_last_of_many() {
    let shown = |first: &Path| {
        status(first, "run", running);
    };
    assert!((0..TRIES).any(|_| is_done_in_time(shown)));
}

/// The first of many is told to go down, and is down, before the last is supervised.
#[test]
fn commands_do_not_wait_for_the_last_of_many() {
    let told = |first: &Path| {
        let control = first.join("supervise/control");
        wait_for("fifo", &[first], || fs::metadata(&control).ok());
        fs::write(&control, "d").unwrap();
        status(first, "down", |s| down(s) && !s.want_up);
    };
    assert!((0..TRIES).any(|_| is_done_in_time(told)));
}

/// Whoever ends at once, and how many they are, others are heard.
#[test]
fn two_thousand_that_end_at_once_make_nobody_deaf() {
    let fixture = Fixture::new(&[("scan/good/run", SLEEP)]);
    // As little as can be, for two thousand of them are started in a second.
    for n in 0..2000 {
        fixture.add(&format!("scan/{n}/run -> /bin/false"), "");
    }
    let runsvdir = Runsvdir::start(&fixture);
    let good = fixture.path("scan/good");
    wait_for("crash loop", &[&fixture.path("")], || {
        runsvdir.said().contains("crash loop").then_some(())
    });
    let before = status(&good, "run", running).pid;
    let restarted = sv(&["restart"]).arg(&good).status().unwrap();
    assert!(restarted.success());
    assert_ne!(status(&good, "run", running).pid, before);
    runsvdir.hang_up();
}

/// Restarts that take all that the machine has, before all have been started once, keep
/// nobody from a first start: they have one turn in two, and not most of them.
#[test]
fn restarts_without_end_keep_nobody_from_a_first_start() {
    // More than two processors can look at within the second of the first restart.
    const MANY: usize = 3000;
    let program = Fixture::new(&[("starts", "")]);
    let starts = program.path("starts");
    let run = format!("#!/bin/sh\necho >>{}\nexit 1\n", starts.display());
    program.add("run", &run);
    // The files of so many take a busy disk a minute.
    let fixture = Fixture::in_memory();
    let names: Vec<String> = (0..MANY).map(|n| format!("scan/{n}")).collect();
    for name in &names {
        fixture.add(
            &format!("{name}/run -> {}", program.path("run").display()),
            "",
        );
    }
    let runsvdir = Runsvdir::start(&fixture);
    let known = || {
        let is_known = |name: &&String| fixture.path(name).join("supervise/status").exists();
        names.iter().filter(is_known).count()
    };
    let at_least = |wanted: usize| {
        yield_until(|| {
            let all = fs::metadata(&starts).unwrap().len() as usize;
            (all >= wanted).then_some(all)
        })
    };
    // Where restarts have begun, or all are known already.
    at_least(MANY / 2);
    let first = known();
    let before = at_least(0);
    let all = at_least(before + MANY) - before;
    let last = known();
    runsvdir.hang_up();
    let firsts = last - first;
    assert!(last == MANY || 4 * firsts > all, "{firsts} of {all} starts");
}
