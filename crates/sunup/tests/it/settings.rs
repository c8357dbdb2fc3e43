//! The files of our own in a service directory: what is somebody else's by the same name,
//! or cannot be understood, is said once and changes nothing. What each of them does is
//! shown where it belongs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::common::{
    Fixture, SLEEP, applet, end_by, make_fifo, running, status, sunup, until_supervise,
};

/// What is at each name, and what is said of it.
const ODD: [(&str, &str, &str); 16] = [
    (
        "owner",
        "#!/bin/sh\nchown dev .\n",
        "chown: not the one word USER or USER:GROUP; taken for nobody",
    ),
    (
        "notification-fd",
        "1024\n",
        "1024: not the number of a descriptor from 0 to 1023; taken for no descriptor",
    ),
    (
        "notify",
        "#!/bin/sh\nmail root\n",
        "#!/bin/sh: none of the words ready, status and all; taken for no socket",
    ),
    (
        "timeout-up",
        "5s\n",
        "5s: not a number of milliseconds from 0 to 4294967295; taken for no limit",
    ),
    (
        "down-signal",
        "SIGNALS\n",
        "SIGNALS: no such signal; taken for TERM",
    ),
    (
        "reload-signal",
        "STOP\n",
        "STOP: it stops nothing for good; taken for HUP",
    ),
    (
        "timeout-kill",
        "\n",
        "empty, where a number of milliseconds belongs; taken for no limit",
    ),
    (
        "timeout-finish",
        "-1\n",
        "-1: not a number of milliseconds from 0 to 4294967295; taken for no limit",
    ),
    (
        "kill",
        "#!/bin/sh\nkill 1\n",
        "#!/bin/sh: not the one word process or group; taken for process",
    ),
    (
        "restart",
        "never again\n",
        "again: neither an exit code from 0 to 255 nor a signal; taken for always",
    ),
    (
        "give-up",
        "soon",
        "soon: not a number of short runs from 0 to 4294967295; taken for never",
    ),
    ("setup", "what is needed:\n", "not executable; not run"),
    ("needs", "nothing\n", "not a directory; ignored"),
    ("wants", "", "not a directory; ignored"),
    ("after", "", "not a directory; ignored"),
    ("follows", "", "not a directory; ignored"),
];

/// A supervisor with one service.
struct World {
    fixture: Fixture,
    supervisor: Child,
}

impl World {
    fn new(fixture: Fixture) -> Self {
        let said = fs::File::create(fixture.path("said")).unwrap();
        let supervisor = Command::new(sunup())
            .arg("runsvdir")
            .arg(fixture.path("scan"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        until_supervise(&fixture.path("scan/web"));
        Self {
            fixture,
            supervisor,
        }
    }

    fn pid(&self) -> u32 {
        status(&self.fixture.path("scan/web"), "run", running).pid
    }

    fn until_another(&self, pid: u32) -> u32 {
        let web = self.fixture.path("scan/web");
        status(&web, "another run", |s| running(s) && s.pid != pid).pid
    }

    /// Each look there is, more than once: restarts, a reload, an end.
    fn live(&self) {
        for bytes in ["h", "t", "h", "t"] {
            let pid = self.pid();
            fs::write(self.fixture.path("scan/web/supervise/control"), bytes).unwrap();
            self.until_another(pid);
        }
        let mut sv = applet("sv");
        let done = sv
            .arg("restart")
            .arg(self.fixture.path("scan/web"))
            .output();
        assert!(done.unwrap().status.success());
    }

    /// What was said of one file.
    fn said(&self, name: &str) -> Vec<String> {
        let said = fs::read_to_string(self.fixture.path("said")).unwrap();
        let about = format!("web/{name}: ");
        let lines = said.lines().filter(|line| line.contains(&about));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        end_by(&mut self.supervisor, Signal::HUP);
    }
}

#[test]
fn what_is_somebody_elses_is_said_once_and_changes_nothing() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    for (name, content, _) in ODD {
        fixture.add(&format!("scan/web/{name}"), content);
    }
    let world = World::new(fixture);
    world.live();
    for (name, _, reason) in ODD {
        let said = world.said(name);
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        assert!(said[0].ends_with(reason), "{name}: {said:?}");
    }
}

/// No kind of file makes the supervisor wait.
#[test]
fn what_is_no_file_is_said_once_and_changes_nothing() {
    type Make = fn(&Path);
    let makes: [(Make, &str); 3] = [
        (|path| fs::create_dir(path).unwrap(), "Is a directory"),
        (|path| make_fifo(path), "not a file"),
        (
            |path| fs::write(path, "1".repeat(257)).unwrap(),
            "longer than 256 bytes",
        ),
    ];
    for (make, reason) in makes {
        let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
        let files = || {
            model::settings::SETTINGS
                .iter()
                .filter(|file| file.name != "backoff")
        };
        for file in files() {
            make(&fixture.path("scan/web").join(file.name));
        }
        let world = World::new(fixture);
        world.live();
        for file in files() {
            let said = world.said(file.name);
            assert_eq!(said.len(), 1, "{}: {said:?}", file.name);
            let taken = format!("; taken for {}", file.instead_is);
            assert!(said[0].contains(reason) && said[0].ends_with(&taken));
        }
    }
}

/// A directory of that name is no program; nor is what hides behind a link to nowhere.
#[test]
fn a_setup_that_is_no_file_is_passed_over() {
    for setup in ["scan/web/setup/", "scan/web/setup -> /nowhere"] {
        let world = World::new(Fixture::new(&[("scan/web/run", SLEEP), (setup, "")]));
        world.live();
        assert_eq!(world.said("setup"), [""; 0]);
    }
}

/// What is mended is not said any more; what is wrong again is.
#[test]
fn a_mended_file_is_read_at_the_next_look() {
    let fixture = [("scan/web/run", SLEEP), ("scan/web/down-signal", "USR3")];
    let world = World::new(Fixture::new(&fixture));
    for (content, count) in [("USR3", 1), ("USR1", 1), ("USR4", 2), ("USR5", 3)] {
        world.fixture.add("scan/web/down-signal", content);
        world.live();
        assert_eq!(world.said("down-signal").len(), count, "{content}");
    }
}
