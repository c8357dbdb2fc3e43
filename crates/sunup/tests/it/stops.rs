//! How a service says that it wants to be stopped: by which signal, and for how long that
//! may take. Only lower bounds of times are asked for, because a machine may be slow.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::{Duration, Instant};

use model::format::state::reason::Reason;
use rustix::fs::inotify;
use rustix::process::Signal;

use crate::common::{
    SLEEP, down, ends, group_and_session, kill, lives, make_fifo, read_status, running, status,
    until_ready, until_supervise, wait_for, yield_until,
};
use crate::machine::{Boot, INT, Machine};
use crate::web::World;

/// Takes no notice of TERM and HUP, and says when that is so.
const DEAF: &str = "#!/bin/sh\ntrap '' TERM HUP\n: >ready\nwhile :; do sleep 0.1; done\n";
/// As long as a test may take, and longer.
const LONG_MS: &str = "600000\n";

impl World {
    /// One whose service has set its traps.
    fn up(files: &[(&str, &str)]) -> Self {
        let world = Self::new(files);
        until_ready(&world.web());
        status(&world.web(), "run", running);
        world
    }

    /// `sv ARGS`, which must succeed; for how long it took.
    fn done(&self, args: &[&str]) -> (Output, Duration) {
        let start = Instant::now();
        let output = self.sv(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        (output, start.elapsed())
    }

    fn exists(&self, name: &str) -> bool {
        self.web().join(name).exists()
    }

    fn until(&self, name: &str) {
        let there = || self.exists(name).then_some(());
        wait_for(name, &[&self.web()], there);
    }

    /// When KILL is to come, by the boot clock.
    fn kill_at(&self) -> Option<u64> {
        let line = fs::read(self.web().join("supervise/reason")).ok()?;
        match Reason::decode(&line) {
            Some(Reason::Kill(at)) => Some(at.0),
            _ => None,
        }
    }
}

/// A run script that notes the signal `name` and ends by it.
fn notes(name: &str) -> String {
    format!(
        "#!/bin/bash\ntrap 'echo >told; exit 0' {name}\ntrap '' TERM\n: >ready\n\
         while :; do sleep 0.05; done\n"
    )
}

#[test]
fn a_stop_sends_the_signal_that_the_service_asks_for() {
    for name in ["RTMIN+3", "37", "SIGINT", "usr1"] {
        let trap = if name == "37" { "RTMIN+3" } else { name };
        let world = World::up(&[("run", &notes(trap)), ("down-signal", name)]);
        world.done(&["-w", "60", "stop"]);
        assert!(world.exists("told"), "{name}");
        let again = World::up(&[("run", &notes(trap)), ("down-signal", name)]);
        let pid = read_status(&again.web()).unwrap().pid;
        again.done(&["-w", "60", "restart"]);
        assert!(again.exists("told"), "{name}");
        let other = status(&again.web(), "another run", |s| running(s) && s.pid != pid);
        assert!(!other.got_term);
    }
}

#[test]
fn a_reload_sends_the_signal_that_the_service_asks_for() {
    let run = "#!/bin/bash\ntrap 'echo >told' USR2\ntrap '' HUP\n: >ready\n\
               while :; do sleep 0.05; done\n";
    let world = World::up(&[("run", run), ("reload-signal", "USR2\n")]);
    world.done(&["reload"]);
    world.until("told");
}

#[test]
fn who_takes_no_notice_gets_kill_in_its_time() {
    let world = World::up(&[("run", DEAF), ("timeout-kill", "700\n")]);
    let (_, took) = world.done(&["-w", "60", "stop"]);
    assert!(took >= Duration::from_millis(700), "{took:?}");
    world.until_last("-1 9 signal ");
    assert_eq!(world.kill_at(), None);
    // A restart does not hang, either.
    fs::remove_file(world.web().join("ready")).unwrap();
    world.done(&["-w", "60", "start"]);
    until_ready(&world.web());
    let (_, took) = world.done(&["-w", "60", "restart"]);
    assert!(took >= Duration::from_millis(700), "{took:?}");
}

#[test]
fn who_ends_in_time_gets_no_kill() {
    let run = "#!/bin/sh\ntrap 'sleep 0.3; exit 7' TERM\n: >ready\nwhile :; do sleep 0.05; done\n";
    let world = World::up(&[("run", run), ("timeout-kill", LONG_MS)]);
    world.done(&["-w", "60", "stop"]);
    world.until_last("7 0 exit ");
}

/// It was told to end, and ends; what is wanted decides what comes then.
#[test]
fn an_up_does_not_call_a_stop_off() {
    let world = World::up(&[("run", DEAF), ("timeout-kill", "700\n")]);
    let pid = read_status(&world.web()).unwrap().pid;
    world.done(&["down"]);
    status(&world.web(), "got TERM", |s| s.got_term);
    let at = world.kill_at().unwrap();
    world.done(&["down"]);
    world.done(&["up"]);
    status(&world.web(), "want up", |s| s.want_up);
    assert_eq!(world.kill_at(), Some(at));
    let next = status(&world.web(), "another run", |s| running(s) && s.pid != pid);
    assert!(next.want_up);
    world.until_last("-1 9 signal ");
}

#[test]
fn a_paused_service_is_stopped_in_its_time() {
    let world = World::up(&[("run", SLEEP), ("ready", ""), ("timeout-kill", LONG_MS)]);
    world.done(&["-w", "60", "-v", "pause"]);
    world.done(&["-w", "60", "stop"]);
    world.until_last("-1 15 signal ");
}

#[test]
fn finish_may_take_its_time_and_no_more() {
    let finish = "#!/bin/sh\n: >finishes\ntrap '' TERM\nwhile :; do sleep 0.1; done\n";
    let files = [
        ("run", SLEEP),
        ("ready", ""),
        ("finish", finish),
        ("timeout-finish", "700\n"),
    ];
    let world = World::up(&files);
    world.done(&["down"]);
    world.until("finishes");
    let start = Instant::now();
    // A stop that comes meanwhile waits for it.
    world.done(&["-w", "60", "stop"]);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(down(&read_status(&world.web()).unwrap()));
}

#[test]
fn a_script_in_place_of_the_signal_starts_the_clock_when_it_has_done_its_work() {
    let files = [
        ("run", DEAF),
        ("timeout-kill", "500\n"),
        ("control/t", "#!/bin/sh\nsleep 0.6\n: >asked\n"),
    ];
    let world = World::up(&files);
    let (_, took) = world.done(&["-w", "60", "stop"]);
    assert!(world.exists("asked"));
    assert!(took >= Duration::from_millis(1100), "{took:?}");
    world.until_last("-1 9 signal ");
}

/// A successor does not know how much of the time is over: it is had again.
#[test]
fn an_adopted_service_that_was_told_to_end_has_its_time_again() {
    let mut world = World::up(&[("run", DEAF), ("timeout-kill", "4000\n")]);
    world.done(&["down"]);
    status(&world.web(), "got TERM", |s| s.got_term);
    let before = world.kill_at().unwrap();
    world.kill();
    world.replace();
    let at = wait_for("another time", &[&world.web().join("supervise")], || {
        world.kill_at().filter(|at| *at > before)
    });
    assert!(at > before);
    status(&world.web(), "down", down);
}

/// `sv force-stop` leaves a service with a time of its own to the supervisor, and waits.
#[test]
fn a_forced_stop_waits_for_the_time_of_the_service() {
    let run = "#!/bin/sh\ntrap 'sleep 3; : >saved; exit 0' TERM\n: >ready\n\
               while :; do sleep 0.05; done\n";
    let world = World::up(&[("run", run), ("timeout-kill", LONG_MS)]);
    let (output, took) = world.done(&["-w", "1", "force-stop"]);
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert!(world.exists("saved") && output.stdout.starts_with(b"ok: down: "));
}

#[test]
fn a_forced_stop_of_who_is_killed_in_its_time_says_so() {
    let world = World::up(&[("run", DEAF), ("timeout-kill", "1500\n")]);
    let (output, took) = world.done(&["-w", "1", "force-stop"]);
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    assert!(output.stdout.starts_with(b"kill: down: "), "{output:?}");
}

#[test]
fn who_waits_in_vain_is_told_when_kill_comes() {
    let world = World::up(&[("run", DEAF), ("timeout-kill", "3000\n")]);
    let output = world.sv(&["-w", "1", "stop"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.starts_with(b"timeout: run: "), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(" gets KILL in "), "{said}");
}

/// A run with two more processes in its group, one of them deaf, and one in another.
const FAMILY: &str = "#!/bin/sh\nrm -f is-*\nsleep 1000 &\necho $! >polite\n\
    (trap '' TERM; : >is-deaf; exec sleep 1000) &\necho $! >deaf\n\
    setsid sh -c ': >is-away; exec sleep 1000' &\necho $! >stranger\n\
    until [ -e is-deaf ] && [ -e is-away ]; do sleep 0.05; done\n\
    : >ready\nexec sleep 1000\n";

impl World {
    /// The script may be about to write it anew.
    fn pid_in(&self, name: &str) -> u32 {
        yield_until(|| {
            let text = fs::read_to_string(self.web().join(name)).ok()?;
            text.strip_suffix('\n')?.parse().ok()
        })
    }
}

#[test]
fn the_rest_of_a_group_ends_with_its_run() {
    let world = World::up(&[
        ("run", FAMILY),
        ("kill", "group\n"),
        ("timeout-kill", "500\n"),
        (
            "finish",
            "#!/bin/sh\ncase $(cut -d ' ' -f 3 /proc/$(cat deaf)/stat) in\n\
             '' | Z) : >late ;;\n*) : >early ;;\nesac\n",
        ),
    ]);
    let [polite, deaf, stranger] = ["polite", "deaf", "stranger"].map(|name| world.pid_in(name));
    let pid = read_status(&world.web()).unwrap().pid;
    let (group, session) = group_and_session(pid);
    assert!(group == pid && session != pid && session != std::process::id());
    let (_, took) = world.done(&["-w", "60", "stop"]);
    assert!(took >= Duration::from_millis(500), "{took:?}");
    assert!(!lives(polite) && !lives(deaf) && lives(stranger));
    kill(stranger, Signal::KILL);
    assert!(world.exists("late") && !world.exists("early"));
}

#[test]
fn without_the_word_only_the_run_ends() {
    let world = World::up(&[("run", FAMILY), ("timeout-kill", "500\n")]);
    let rest = ["polite", "deaf", "stranger"].map(|name| world.pid_in(name));
    world.done(&["-w", "60", "stop"]);
    for pid in rest {
        assert!(lives(pid));
        kill(pid, Signal::KILL);
    }
}

/// Nobody saw the end of the run; what is left of it is not doubled by a new one.
#[test]
fn a_successor_ends_the_rest_of_a_group_too() {
    let mut world = World::up(&[
        ("run", FAMILY),
        ("kill", "group\n"),
        ("timeout-kill", "500\n"),
    ]);
    let [polite, deaf, stranger] = ["polite", "deaf", "stranger"].map(|name| world.pid_in(name));
    let pid = read_status(&world.web()).unwrap().pid;
    world.kill();
    kill(pid, Signal::KILL);
    assert!(ends(pid));
    fs::remove_file(world.web().join("ready")).unwrap();
    world.replace();
    status(&world.web(), "another run", |s| running(s) && s.pid != pid);
    assert!(!lives(polite) && !lives(deaf) && lives(stranger));
    kill(stranger, Signal::KILL);
    until_ready(&world.web());
    kill(world.pid_in("stranger"), Signal::KILL);
}

/// A supervisor may be killed between any two writes. That a stop is under way is in the
/// record or in the status at every moment: the status comes before the word goes.
#[test]
fn a_stop_is_in_a_file_at_every_moment() {
    let script = "#!/bin/sh\n: >asked\nread line <go\nexit 1\n";
    let world = World::up(&[("run", DEAF), ("control/t", script)]);
    let state = world.web().join("supervise");
    make_fifo(world.web().join("go"));
    fs::write(state.join("control"), "d").unwrap();
    world.until("asked");
    let has_word = || {
        fs::read_to_string(state.join("lock"))
            .unwrap()
            .contains("stop")
    };
    wait_for("the word", &[&state], || has_word().then_some(()));
    status(&world.web(), "wanted down", |s| !s.want_up);
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    let watches = ["status", "lock"].map(|name| {
        inotify::add_watch(&watch, state.join(name), inotify::WatchFlags::MODIFY).unwrap()
    });
    fs::write(world.web().join("go"), "\n").unwrap();
    status(&world.web(), "TERM", |s| s.got_term);
    wait_for("no word", &[&state], || (!has_word()).then_some(()));
    kill(read_status(&world.web()).unwrap().pid, Signal::KILL);
    status(&world.web(), "down", down);
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut writes = inotify::Reader::new(&watch, &mut buffer);
    let changed = [(); 2].map(|()| writes.next().unwrap().wd());
    assert_eq!(changed, watches);
}

/// As at the end of a machine: one command for all, and each service has its own time.
#[test]
fn one_forced_stop_gives_each_service_its_own_time() {
    let saves = "#!/bin/sh\ntrap 'sleep 3; : >saved; exit 0' TERM\n: >ready\n\
                 while :; do sleep 0.05; done\n";
    let world = World::up(&[("run", saves), ("timeout-kill", LONG_MS)]);
    world.fixture.add("scan/deaf/run", DEAF);
    let deaf = world.fixture.path("scan/deaf");
    until_supervise(&deaf);
    until_ready(&deaf);
    let output = world.sv(&["-w", "1", "force-stop"]).arg(&deaf).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    // In the order in which they ended: one was killed while the other saved.
    assert!(
        lines[0].starts_with("kill: down: ") && lines[0].contains("/deaf: "),
        "{said}"
    );
    assert!(
        lines[1].starts_with("ok: down: ") && lines[1].contains("/web: "),
        "{said}"
    );
    assert!(world.exists("saved"));
}

/// The clock counts for a successor, too, if a script did the work of the signal.
#[test]
fn a_successor_ends_who_was_told_to_end_by_a_script() {
    let files = [
        ("run", DEAF),
        ("timeout-kill", "4000\n"),
        ("control/t", "#!/bin/sh\n: >asked\n"),
    ];
    let mut world = World::up(&files);
    world.done(&["down"]);
    status(&world.web(), "got TERM", |s| s.got_term);
    fs::remove_file(world.web().join("asked")).unwrap();
    world.kill();
    world.replace();
    status(&world.web(), "down", down);
    assert!(!world.exists("asked"));
}

/// The commands of Void Linux's `3`, with the time that `sv` has by itself. One service
/// saves until the other was killed, for which `sv` has waited all its time.
#[test]
fn the_stage_3_of_void_lets_a_service_save_and_kills_the_other() {
    let saves = "#!/bin/sh\ntrap 'read x <gate; echo saved >>/events; exit 0' TERM\n\
                 echo up >>/events\nwhile :; do sleep 0.05; done\n";
    let deaf = "#!/bin/sh\ntrap '' TERM\necho up >>/events\nwhile :; do sleep 0.05; done\n";
    let mut machine = Machine::boot(&Boot {
        name: "runit",
        files: &[
            ("sbin/runsvdir -> init", ""),
            ("sbin/sv -> init", ""),
            ("var/service -> ../run/runsvdir/current", ""),
            ("run/runsvdir/current -> default", ""),
            ("run/runsvdir/default/deaf/run", deaf),
            (
                "run/runsvdir/default/deaf/finish",
                "#!/bin/sh\necho killed by $2 >>/events\necho >../saves/gate\n",
            ),
            ("run/runsvdir/default/saves/run", saves),
            ("run/runsvdir/default/saves/timeout-kill", "60000\n"),
            ("etc/runit/stopit", ""),
            ("etc/runit/1", "#!/bin/sh\n"),
            (
                "etc/runit/2",
                "#!/bin/sh\nPATH=/sbin:/bin exec runsvdir -P /run/runsvdir/current\n",
            ),
            (
                "etc/runit/3",
                "#!/bin/sh\nPATH=/sbin:/bin\nsv force-stop /var/service/*\n\
                 sv exit /var/service/*\necho 3 >>/events\n",
            ),
        ],
        set_up: "mkfifo run/runsvdir/default/saves/gate",
        ..Boot::default()
    });
    machine.until("services", |events, _| events == ["up", "up"]);
    let stopit = machine.root.path("etc/runit/stopit");
    fs::set_permissions(stopit, fs::Permissions::from_mode(0o100)).unwrap();
    machine.signal(Signal::CONT);
    assert_eq!(machine.end().signal(), Some(INT));
    assert_eq!(machine.events()[2..], ["killed by 9", "saved", "3"]);
    let killed = machine.said(|line| line.starts_with("kill: "));
    assert_eq!(killed.len(), 1, "{killed:?}");
    assert!(killed[0].contains("/var/service/deaf: "), "{killed:?}");
}
