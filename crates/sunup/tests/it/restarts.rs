//! `restart`, `give-up` and exit code 125 of `finish`: after which ends a service stays down,
//! and what `finish` is told of the end.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::common::{Fixture, down, kill, running, status, wait_for};
use super::runsvdir::Runsvdir;

/// Ends as a file says: by that program.
const RUN: &str = "#!/bin/sh\necho run >>../../notes/all\nexec ../../notes/end\n";
const FINISH: &str = "#!/bin/sh\n\
    echo \"finish $1 $2 ${SUNUP_RESULT-none} ${SUNUP_TRIES-none}\" >>../../notes/all\n\
    . ../../notes/said\n";

struct World {
    /// Goes first.
    supervisor: Runsvdir,
    fixture: Fixture,
}

impl World {
    fn new(end: &str, said: &str, files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new(&[
            ("notes/end", end),
            ("notes/said", said),
            ("scan/job/run", RUN),
            ("scan/job/finish", FINISH),
        ]);
        for (name, content) in files {
            fixture.add(&format!("scan/job/{name}"), content);
        }
        let supervisor = Runsvdir::start(&fixture);
        Self {
            supervisor,
            fixture,
        }
    }

    fn job(&self) -> PathBuf {
        self.fixture.path("scan/job")
    }

    fn command(&self, letter: &str) {
        fs::write(self.job().join("supervise/control"), letter).unwrap();
    }

    /// Waits until exactly so many lines were noted that begin so.
    fn until_noted(&self, expected: &[&str]) {
        let path = self.fixture.path("notes/all");
        let dir = self.fixture.path("notes");
        wait_for(&format!("{expected:?}"), &[&dir], || {
            let all = fs::read_to_string(&path).unwrap_or_default();
            let noted: Vec<&str> = all.lines().collect();
            assert!(noted.len() <= expected.len(), "{noted:?}, not {expected:?}");
            let mut both = noted.iter().zip(expected);
            let is_as_expected = both.all(|(noted, expected)| noted.starts_with(expected));
            (noted.len() == expected.len() && is_as_expected).then_some(())
        });
    }

    /// It is down, wanted down, and `last` says why.
    fn until_given_up(&self, last: &str) {
        status(&self.job(), "given up", |s| down(s) && !s.want_up);
        let is = fs::read_to_string(self.job().join("supervise/last")).unwrap();
        assert!(
            is.starts_with(last) && is.trim_end().ends_with(" given-up"),
            "{is}"
        );
    }
}

#[test]
fn a_named_exit_code_means_stay_down_and_u_begins_anew() {
    let world = World::new("#!/bin/sh\nexit 64\n", "", &[("restart", "failure 64\n")]);
    let once = ["run", "finish 64 0 exit "];
    world.until_noted(&once);
    world.until_given_up("64 0 exit ");
    let told = "runsvdir: job: stays down: it exited 64, see its file restart\n";
    assert_eq!(world.supervisor.said(), told);
    world
        .fixture
        .add("notes/end", "#!/bin/sh\nexec sleep 1000\n");
    world.command("u");
    let run = status(&world.job(), "run", running);
    world.until_noted(&[&once[..], &["run"]].concat());
    // A signal that no command sent is an end as any other; TERM is one that is wished.
    kill(run.pid, Signal::TERM);
    world.until_noted(&[&once[..], &["run", "finish -1 15 signal "]].concat());
    world.until_given_up("-1 15 signal ");
    world.supervisor.hang_up();
}

#[test]
fn a_failure_is_started_again_and_what_a_command_ended_too() {
    let world = World::new(
        "#!/bin/sh\nexec sleep 1000\n",
        "",
        &[("restart", "failure\n")],
    );
    let first = status(&world.job(), "run", running);
    world.until_noted(&["run"]);
    kill(first.pid, Signal::KILL);
    let killed = ["run", "finish -1 9 signal ", "run"];
    world.until_noted(&killed);
    status(&world.job(), "another", |s| {
        running(s) && s.pid != first.pid
    });
    world.command("t");
    let told = [&killed[..], &["finish -1 15 signal ", "run"]].concat();
    world.until_noted(&told);
    world.supervisor.hang_up();
}

#[test]
fn after_so_many_short_lives_a_service_gives_up() {
    let world = World::new("#!/bin/sh\nexit 1\n", "", &[("give-up", "2\n")]);
    world.until_given_up("1 0 exit ");
    let all = fs::read_to_string(world.fixture.path("notes/all")).unwrap();
    let twice = "run\nfinish 1 0 exit 1\nrun\nfinish 1 0 exit 2\n";
    assert!(all.ends_with(twice), "{all}");
    let told = "runsvdir: job: stays down: 2 short lives in a row, see its file give-up\n";
    assert_eq!(world.supervisor.said(), told);
    world.supervisor.hang_up();
}

#[test]
fn finish_says_by_125_that_its_service_stays_down_if_there_is_restart() {
    let world = World::new(
        "#!/bin/sh\nexit 1\n",
        "exit 125\n",
        &[("restart", "always\n")],
    );
    world.until_noted(&["run", "finish 1 0 exit "]);
    world.until_given_up("1 0 exit ");
    assert_eq!(
        world.supervisor.said(),
        "runsvdir: job: stays down: its finish exited 125\n"
    );
    world.supervisor.hang_up();
}

/// Many a finish ends as its last command does, and that may be 125.
#[test]
fn a_plain_service_has_a_plain_finish() {
    let world = World::new("#!/bin/sh\nexit 64\n", "exit 125\n", &[]);
    let twice = [
        "run",
        "finish 64 0 none none",
        "run",
        "finish 64 0 none none",
    ];
    wait_for("a restart", &[&world.fixture.path("notes")], || {
        let all = fs::read_to_string(world.fixture.path("notes/all")).unwrap_or_default();
        let noted: Vec<&str> = all.lines().collect();
        noted.starts_with(&twice).then_some(())
    });
    world.supervisor.hang_up();
}
