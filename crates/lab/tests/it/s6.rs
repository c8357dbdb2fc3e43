//! The same service directories under s6 and under sunup, for the names that both have:
//! what is told by the services, and what their supervisors say of them, is compared, as
//! root and as an ordinary user. Where they differ, docs/compatibility.md says so.

use std::fs::{self, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::{debian, workspace};
use model::format::status::{Phase, Status};
use rustix::fs::OFlags;
use tempfile::TempDir;

use super::common::{succeed, write};

/// nobody.
const USER: u32 = 65534;
/// How long what must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// What both have for a while before it counts as that nothing else comes.
const QUIET: Duration = Duration::from_millis(300);

/// Whose supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    S6,
    Sunup,
}

/// What a supervisor says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    up: bool,
    ready: bool,
    wanted_up: bool,
}

const UP: State = State {
    up: true,
    ready: false,
    wanted_up: true,
};
const READY: State = State { ready: true, ..UP };
const DOWN: State = State {
    up: false,
    ready: false,
    wanted_up: false,
};

/// A service directory and its supervisor, which ends with it.
struct Stage {
    by: By,
    /// Whether the programs are run by an ordinary user, though this is root.
    as_user: bool,
    home: TempDir,
    supervisor: Option<Child>,
}

impl Stage {
    /// A service whose `run` is the service of tests with these words, and other files;
    /// what begins with `#!` is a program. `SERVICE` is the service of tests, which tells
    /// what happens.
    fn new(by: By, as_user: bool, run: &str, files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let all = Permissions::from_mode(0o755);
        fs::set_permissions(home.path(), all).unwrap();
        let stage = Self {
            by,
            as_user,
            home,
            supervisor: None,
        };
        let service = stage.path("test-service");
        succeed(
            Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_test-service"))
                .arg(&service),
        );
        if by == By::Sunup {
            succeed(
                Command::new("cp")
                    .arg(workspace::build_sunup().unwrap())
                    .arg(stage.path("sunup")),
            );
            for applet in ["runsv", "sv"] {
                symlink("sunup", stage.path(applet)).unwrap();
            }
        }
        let words = format!(
            "{} log {}",
            service.display(),
            stage.path("web/told").display()
        );
        let run = format!("#!/bin/sh\nexec SERVICE {run}\n");
        for (name, text) in [("run", run.as_str())].iter().chain(files) {
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            let text = text.replace("SERVICE", &words);
            write(&stage.dir().join(name), mode, text.as_bytes());
        }
        if as_user {
            chown(stage.dir(), Some(USER), Some(USER)).unwrap();
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn dir(&self) -> PathBuf {
        self.path("web")
    }

    /// A program of the supervisor's, run by whom it is to be run by.
    fn program(&self, name: &str, args: &[&str]) -> Command {
        let program = match self.by {
            By::S6 => PathBuf::from(name),
            By::Sunup => self.path(name),
        };
        let mut command = if self.as_user {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args).stdin(Stdio::null()).current_dir("/");
        command
    }

    /// Starts the supervisor.
    fn supervise(&mut self) {
        let name = match self.by {
            By::S6 => "s6-supervise",
            By::Sunup => "runsv",
        };
        let said = fs::File::create(self.path("said")).unwrap();
        let mut command = self.program(name, &[]);
        command.arg(self.dir());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        self.supervisor = Some(command.spawn().unwrap());
        if self.by == By::Sunup {
            // A service may be up, and its status written, before there are fifos.
            self.await_that("supervisor", || self.is_supervised());
        }
    }

    /// Whether a runsv reads what sv writes.
    fn is_supervised(&self) -> bool {
        let mut options = fs::OpenOptions::new();
        let options = options.write(true);
        let options = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        ["ok", "control"].iter().all(|fifo| {
            let path = self.dir().join("supervise").join(fifo);
            options.open(path).is_ok()
        })
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    /// Gives the service a command, by the word of sv, and waits for nothing.
    fn command(&self, word: &str) {
        let mut command = match self.by {
            By::S6 => {
                let option = match word {
                    "up" => "-u",
                    "down" => "-d",
                    // The signal of `down-signal`, and the service stays wanted up.
                    "term" => "-r",
                    "hup" => "-h",
                    "kill" => "-k",
                    other => panic!("{other}"),
                };
                self.program("s6-svc", &[option])
            }
            By::Sunup => self.program("sv", &[word]),
        };
        succeed(command.arg(self.dir()));
    }

    /// Waits until the service is ready, as who needs it does.
    fn wait_ready(&self) {
        self.await_that("state", || self.state().is_some());
        let mut command = match self.by {
            By::S6 => self.program("s6-svwait", &["-t", "60000", "-U"]),
            By::Sunup => self.program("sv", &["-w", "60", "check"]),
        };
        let output = command.arg(self.dir()).output().unwrap();
        assert!(output.status.success(), "{output:?}: {}", self.said());
    }

    /// What the supervisor says of the service, once it says anything.
    fn state(&self) -> Option<State> {
        match self.by {
            By::S6 => {
                let mut command = self.program("s6-svstat", &["-o", "up,ready,wantedup"]);
                let said = command.arg(self.dir()).output().unwrap().stdout;
                let said = String::from_utf8(said).unwrap();
                let words: Vec<bool> = said.split_whitespace().flat_map(str::parse).collect();
                let [up, ready, wanted_up] = words[..] else {
                    return None;
                };
                Some(State {
                    up,
                    ready,
                    wanted_up,
                })
            }
            By::Sunup => {
                let read = |name| fs::read(self.dir().join("supervise").join(name)).ok();
                let status = Status::decode(read("status")?.as_slice().try_into().ok()?)?;
                Some(State {
                    up: status.phase == Phase::Run && status.pid != 0,
                    ready: read("ready")
                        .is_some_and(|line| !line.is_empty() && !line.ends_with(b" starting\n")),
                    wanted_up: status.want_up,
                })
            }
        }
    }

    fn await_state(&self, state: State) {
        let what = format!("{state:?}");
        self.await_that(&what, || self.state() == Some(state));
    }

    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir().join("told")).unwrap_or_default();
        // It comes with every signal that is to end a service, before it or after it.
        let lines = text.lines().filter(|line| *line != "CONT");
        lines.map(str::to_owned).collect()
    }

    /// Waits until a line has been told so often.
    fn await_told(&self, line: &str, times: usize) {
        let what = format!("{line}, {times} times");
        let count = || self.told().iter().filter(|told| *told == line).count();
        self.await_that(&what, || count() >= times);
    }

    fn await_that(&self, what: &str, check: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !check() {
            assert!(
                Instant::now() < until,
                "{:?}: no {what}: {:?} {:?}\n{}",
                self.by,
                self.state(),
                self.told(),
                self.said()
            );
            thread::yield_now();
        }
    }

    /// Lets some time pass, in which a state must last.
    fn lasts(&self, state: State) {
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            let now = self.state();
            assert_eq!(now, Some(state), "{:?}: {}", self.by, self.said());
            thread::yield_now();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(mut supervisor) = self.supervisor.take() else {
            return;
        };
        // Both stop the service and end, and the service may be deaf.
        let (name, words) = match self.by {
            By::S6 => ("s6-svc", &["-dxk"][..]),
            By::Sunup => ("sv", &["-w", "1", "force-shutdown"][..]),
        };
        drop(self.program(name, words).arg(self.dir()).output());
        drop(supervisor.wait());
    }
}

/// Plays a story under both, and compares what the service told; as root and as a user.
fn both(run: &str, files: &[(&str, &str)], story: impl Fn(&Stage)) {
    let users: &[bool] = if debian::is_root() {
        &[false, true]
    } else {
        &[false]
    };
    for as_user in users {
        let told = [By::S6, By::Sunup].map(|by| {
            let mut stage = Stage::new(by, *as_user, run, files);
            stage.supervise();
            story(&stage);
            stage.told()
        });
        assert_eq!(told[0], told[1], "s6 and sunup, as_user {as_user}");
        assert!(!told[0].is_empty());
    }
}

#[test]
fn a_newline_on_the_descriptor_is_readiness() {
    let run = "note up until HUP newline 3 note said stay";
    both(run, &[("notification-fd", "3\n")], |stage| {
        stage.await_told("up", 1);
        stage.await_state(UP);
        stage.lasts(UP);
        stage.command("hup");
        stage.wait_ready();
        stage.await_state(READY);
        // Ready once is ready no more when it has ended.
        stage.command("down");
        stage.await_state(DOWN);
        stage.command("up");
        stage.await_told("up", 2);
        stage.await_state(UP);
        stage.command("hup");
        stage.await_state(READY);
        // It is ready before it says so.
        stage.await_told("said", 2);
    });
}

/// Says something on the descriptor, but no newline, until what stands behind it does.
const WORDS: &str = "#!/bin/sh\nprintf 'address=unix:' >&3\nexec SERVICE note up ";

#[test]
fn words_without_a_newline_are_no_readiness() {
    let run = format!("{WORDS} after 1000 newline 3 stay\n");
    let files = [("run", run.as_str()), ("notification-fd", "3\n")];
    both("", &files, |stage| {
        stage.await_told("up", 1);
        stage.await_state(UP);
        stage.wait_ready();
    });
}

#[test]
fn a_descriptor_that_is_closed_without_a_newline_is_no_readiness() {
    let run = "#!/bin/sh\nexec 3>&-\nexec SERVICE note up stay\n";
    let files = [("run", run), ("notification-fd", "3\n")];
    both("", &files, |stage| {
        stage.await_told("up", 1);
        stage.await_state(UP);
        stage.lasts(UP);
    });
}

#[test]
fn standard_output_may_be_the_descriptor() {
    both(
        "note up newline 1 stay",
        &[("notification-fd", "1")],
        |stage| {
            stage.wait_ready();
            stage.await_state(READY);
        },
    );
}

#[test]
fn what_is_no_descriptor_is_told_and_the_service_starts() {
    both("note up stay", &[("notification-fd", "three\n")], |stage| {
        stage.await_told("up", 1);
        stage.await_state(UP);
        assert!(stage.said().contains("notification-fd"), "{}", stage.said());
        stage.command("down");
        stage.await_state(DOWN);
    });
}

#[test]
fn the_signal_that_stops_is_the_services_choice() {
    for text in ["USR1\n", "SIGUSR1", "10\n", "QUIT\n", "NOSUCH\n"] {
        both("note up stay", &[("down-signal", text)], |stage| {
            stage.await_told("up", 1);
            // By command it is started anew at once, if it has lived for a second.
            stage.command("term");
            stage.await_told("up", 2);
            stage.await_state(UP);
            stage.command("down");
            stage.await_state(DOWN);
        });
    }
}

const FINISH: (&str, &str) = ("finish", "#!/bin/sh\nexec SERVICE note finish\n");

#[test]
fn what_is_deaf_to_term_is_killed_in_its_time() {
    let files = [("timeout-kill", "200\n"), FINISH];
    both("ignore TERM note up stay", &files, |stage| {
        stage.await_told("up", 1);
        stage.command("down");
        stage.await_told("finish", 1);
        stage.await_state(DOWN);
    });
}

#[test]
fn what_ends_within_its_time_is_not_killed() {
    let files = [("timeout-kill", "30000\n"), FINISH];
    let run = "note up until TERM after 300 note saved exit 0";
    both(run, &files, |stage| {
        stage.await_told("up", 1);
        stage.command("down");
        stage.await_told("finish", 1);
        stage.await_state(DOWN);
        assert!(stage.told().contains(&"saved".to_owned()));
    });
}

#[test]
fn a_time_of_zero_is_for_ever() {
    let files = [("timeout-kill", "0\n"), FINISH];
    both("ignore TERM note up stay", &files, |stage| {
        stage.await_told("up", 1);
        stage.command("down");
        stage.await_told("TERM", 1);
        let stays = State {
            wanted_up: false,
            ..UP
        };
        stage.await_state(stays);
        stage.lasts(stays);
        stage.command("kill");
        stage.await_told("finish", 1);
        stage.await_state(DOWN);
    });
}

#[test]
fn a_finish_that_hangs_is_killed_in_its_time() {
    let files = [
        ("timeout-finish", "200\n"),
        (
            "finish",
            "#!/bin/sh\nexec SERVICE ignore TERM note finish stay\n",
        ),
    ];
    both("note up until HUP exit 0", &files, |stage| {
        stage.await_told("up", 1);
        stage.command("hup");
        stage.await_told("up", 2);
        stage.await_state(UP);
    });
}

const GIVES_UP: (&str, &str) = ("finish", "#!/bin/sh\nexec SERVICE note finish exit 125\n");

#[test]
fn finish_may_give_the_service_up() {
    both(
        "note up until HUP exit 0",
        &[("restart", "always\n"), GIVES_UP],
        |stage| {
            stage.await_told("up", 1);
            stage.command("hup");
            stage.await_told("finish", 1);
            stage.await_state(DOWN);
            stage.lasts(DOWN);
            stage.command("up");
            stage.await_told("up", 2);
            stage.await_state(UP);
        },
    );
}

/// Plays a story under one of them, as whoever this is.
fn alone(by: By, run: &str, files: &[(&str, &str)], story: impl Fn(&Stage)) {
    let mut stage = Stage::new(by, false, run, files);
    stage.supervise();
    story(&stage);
}

/// docs/compatibility.md: without `restart`, `finish` is runit's.
#[test]
fn differs_finish_gives_up_only_if_asked() {
    let run = "note up until HUP exit 0";
    alone(By::S6, run, &[GIVES_UP], |stage| {
        stage.await_told("up", 1);
        stage.command("hup");
        stage.await_state(DOWN);
    });
    alone(By::Sunup, run, &[GIVES_UP], |stage| {
        stage.await_told("up", 1);
        stage.command("hup");
        stage.await_told("up", 2);
        stage.await_state(UP);
    });
}

/// docs/compatibility.md: s6 2.11 waits for more once there was a word, and hears nobody.
#[test]
fn differs_a_word_makes_nobody_deaf() {
    let run = format!("{WORDS} until HUP newline 3 stay\n");
    let files = [("run", run.as_str()), ("notification-fd", "3\n")];
    alone(By::Sunup, "", &files, |stage| {
        stage.await_told("up", 1);
        stage.await_state(UP);
        stage.lasts(UP);
        stage.command("hup");
        stage.wait_ready();
    });
}

/// docs/compatibility.md: a restart must not hang for ever.
#[test]
fn differs_a_restart_is_killed_in_its_time_too() {
    let run = "ignore TERM note up stay";
    let files = [("timeout-kill", "200\n")];
    alone(By::S6, run, &files, |stage| {
        stage.await_told("up", 1);
        stage.command("term");
        stage.await_told("TERM", 1);
        stage.lasts(UP);
        stage.lasts(UP);
    });
    alone(By::Sunup, run, &files, |stage| {
        stage.await_told("up", 1);
        stage.command("term");
        stage.await_told("up", 2);
    });
}
