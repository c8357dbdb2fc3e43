//! What `sv` does for services that depend on each other, with real supervisors: Debian's
//! runsv, which knows nothing of that, and our runsvdir, which marks who is named by others.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::format::status::Phase;

use super::common::{Fixture, SLEEP, debian, end_by, status, wait_exit};

/// A tree: web and api need db, db needs net; all but web and api are normally down.
const TREE: &[(&str, &str)] = &[
    ("web/run", SLEEP),
    ("web/needs/db", ""),
    ("api/run", SLEEP),
    ("api/follows/db", ""),
    ("db/run", SLEEP),
    ("db/down", ""),
    ("db/needs/net", ""),
    ("net/run", SLEEP),
    ("net/down", ""),
    // Circles do no harm.
    ("net/needs/db", ""),
];

const NAMES: [&str; 4] = ["web", "api", "db", "net"];

struct Tree {
    fixture: Fixture,
    supervisors: Vec<(PathBuf, Child)>,
}

impl Tree {
    fn new(runsv: impl Fn(&Fixture) -> PathBuf) -> Self {
        let fixture = Fixture::new(&[]);
        for (name, content) in TREE {
            fixture.add(&format!("sv/{name}"), content);
        }
        let runsv = runsv(&fixture);
        let supervisors = NAMES.map(|name| {
            let dir = fixture.path("sv").join(name);
            let child = Command::new(&runsv)
                .arg(&dir)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            (dir, child)
        });
        let tree = Self {
            fixture,
            supervisors: supervisors.into(),
        };
        for name in ["web", "api"] {
            status(&tree.dir(name), "run", |s| s.phase == Phase::Run);
        }
        for name in ["db", "net"] {
            status(&tree.dir(name), "down", |s| s.phase == Phase::Down);
            let control = tree.dir(name).join("supervise/control");
            super::common::yield_until(|| open(&control).ok());
        }
        tree
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("sv").join(name)
    }

    /// What sv prints and warns of, without pids and seconds; it succeeds.
    fn sv(&self, args: &[&str]) -> (String, String) {
        let output = Command::new(self.fixture.applet("sv"))
            .args(args)
            .env("SVDIR", self.fixture.path("sv"))
            .env("SVWAIT", "60")
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let words = text(output.stdout);
        let words = words.split_inclusive([' ', '\n']).map(|word| {
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            match word.trim_end_matches(['\n', ',', ' ']) {
                bare if is_number => word.replace(bare.trim_end_matches([')', 's']), "N"),
                _ => word.to_owned(),
            }
        });
        (words.collect(), text(output.stderr))
    }
}

fn open(fifo: &Path) -> std::io::Result<fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut options = fs::OpenOptions::new();
    options.write(true).custom_flags(flags).open(fifo)
}

impl Drop for Tree {
    fn drop(&mut self) {
        for (dir, child) in &mut self.supervisors {
            if let Ok(control) = open(&dir.join("supervise/control")) {
                let _told = rustix::io::write(&control, b"dxk");
                wait_exit(child);
            } else {
                end_by(child, rustix::process::Signal::KILL);
            }
        }
    }
}

fn plays(runsv: impl Fn(&Fixture) -> PathBuf) {
    let tree = Tree::new(runsv);
    let none = String::new;
    // What it needs comes first; who is wanted up needs no command.
    let started =
        "start: net (needed by db)\nstart: db (needed by web)\nok: run: web: (pid N) Ns\n";
    assert_eq!(tree.sv(&["start", "web"]), (started.into(), none()));
    for name in NAMES {
        status(&tree.dir(name), "run", |s| {
            s.phase == Phase::Run && s.want_up
        });
    }
    let again = "ok: run: web: (pid N) Ns\nok: run: api: (pid N) Ns\n";
    assert_eq!(tree.sv(&["start", "web", "api"]), (again.into(), none()));
    // Who needs it is named, unless it is told to stop, too.
    let stopped =
        "stop: db (needed by api, net)\nok: down: web: Ns, normally up\nok: down: db: Ns\n";
    let (said, _) = tree.sv(&["stop", "db", "web"]);
    assert_eq!(sorted(&said), sorted(stopped));
    // `up` and the byte never start others.
    assert_eq!(tree.sv(&["up", "web"]), (none(), none()));
    status(&tree.dir("db"), "still down", |s| {
        s.phase == Phase::Down && !s.want_up
    });
    // All that need it stop, too, and first.
    tree.sv(&["start", "api", "web"]);
    let all = "ok: down: api: Ns, normally up\nok: down: web: Ns, normally up\n\
        ok: down: db: Ns\nok: down: net: Ns\n";
    let (said, _) = tree.sv(&["stop", "-r", "net"]);
    assert_eq!(sorted(&said), sorted(all));
    // A need that nobody supervises is told, and the start goes on.
    tree.fixture.add("sv/web/needs/ghost", "");
    let (_, told) = tree.sv(&["start", "--now", "web"]);
    assert_eq!(told, "");
    let (_, told) = tree.sv(&["start", "web"]);
    let warning = "warning: web needs ghost, which is not enabled\n";
    assert_eq!(told, warning);
    tree.fixture.add("sv/ghost/run", SLEEP);
    let (_, told) = tree.sv(&["start", "web"]);
    let warning = "warning: web needs ghost, which has no supervisor yet\n";
    assert_eq!(told, warning);
    // By path and from within.
    tree.sv(&["stop", "-r", "net"]);
    let path = tree.dir("db");
    let (said, _) = tree.sv(&["start", path.to_str().unwrap()]);
    assert!(said.starts_with("start: "), "{said}");
    assert!(said.contains("/sv/net (needed by "), "{said}");
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn services_that_depend_on_each_other_under_runits_supervisor() {
    plays(|_| debian("runsv"));
}

/// The mark comes with the first name and goes with the last, and by it `sv` knows whether to
/// look for others.
#[test]
fn our_supervisor_marks_whom_others_name() {
    let fixture = Fixture::new(&[
        ("sv/db/run", SLEEP),
        ("sv/web/run", SLEEP),
        ("sv/web/needs/db", ""),
        ("sv/cron/run", SLEEP),
    ]);
    let dir = |name: &str| fixture.path(&format!("sv/{name}"));
    let mut runsvdir = Command::new(fixture.applet("runsvdir"))
        .arg(fixture.path("sv"))
        .spawn()
        .unwrap();
    for name in ["db", "web", "cron"] {
        status(&dir(name), "run", |s| s.phase == Phase::Run);
    }
    let is_marked = |name: &str| {
        let found = fs::metadata(dir(name).join("supervise/control")).unwrap();
        assert_eq!(found.nlink(), 2);
        assert_eq!(found.mode() & 0o777, 0o600);
        found.mode() & 0o1000 != 0
    };
    super::common::yield_until(|| is_marked("db").then_some(()));
    assert!(!is_marked("web") && !is_marked("cron"));
    let sv = |args: &[&str]| {
        let mut command = Command::new(fixture.applet("sv"));
        command.args(args).env("SVDIR", fixture.path("sv"));
        let output = command.env("SVWAIT", "60").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(sv(&["stop", "db"]).starts_with("stop: db (needed by web)\n"));
    sv(&["start", "db", "web"]);
    assert!(!sv(&["stop", "db", "web"]).contains("needed by"));
    // Nobody names it any more, once that is read.
    fs::remove_file(dir("web").join("needs/db")).unwrap();
    sv(&["start", "web", "db"]);
    super::common::yield_until(|| (!is_marked("db")).then_some(()));
    end_by(&mut runsvdir, rustix::process::Signal::HUP);
}
