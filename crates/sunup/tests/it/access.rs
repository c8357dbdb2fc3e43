//! Who else may read the state of services, and who may command them: SUNUP_READERS,
//! SUNUP_OPERATORS and the file `owner`.
//!
//! Other users are taken on with setpriv(1). As an ordinary user the tests do without: the
//! groups are the user's own, and who is refused is so by the mode of a fifo.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, getegid, geteuid};

use super::bad_input::{Ran, enclosed, ordinary, ours, run, until_ready, until_ready_but};
use super::common::{
    Fixture, SLEEP, copy_program, debian, end_by, kill, lives, read_status, running, status, sunup,
    wait_exit, wait_for, yield_until,
};

const NOBODY: u32 = 65534;

/// Groups that a supervisor may give files to.
struct Groups {
    readers: u32,
    operators: u32,
}

fn groups() -> Groups {
    let own = getegid().as_raw();
    let (readers, operators) = if geteuid().is_root() {
        (4242, 4343)
    } else {
        (own, own)
    };
    Groups { readers, operators }
}

/// A supervisor of `scan` in a fixture that everybody may enter.
struct Tree {
    fixture: Fixture,
    supervisor: Child,
    variables: Vec<(&'static str, String)>,
}

impl Tree {
    fn start(files: &[(&str, &str)], variables: &[(&'static str, &str)]) -> Self {
        let fixture = Fixture::new(files);
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(fixture.path("."), open.clone()).unwrap();
        copy_program(sunup(), fixture.path("sunup"));
        fs::set_permissions(fixture.path("sunup"), open).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let variables = variables.collect();
        let supervisor = spawn(&fixture, &variables);
        Self {
            fixture,
            supervisor,
            variables,
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.fixture.path("scan").join(name)
    }

    fn in_supervise(&self, name: &str) -> PathBuf {
        self.dir("web/supervise").join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.fixture.path("said")).unwrap()
    }

    /// Killed, and followed by another.
    fn succeed(&mut self) {
        self.kill();
        self.supervisor = spawn(&self.fixture, &self.variables);
    }

    fn kill(&mut self) {
        end_by(&mut self.supervisor, Signal::KILL);
    }

    /// Ended, and begun anew.
    fn begin_anew(&mut self) {
        end_by(&mut self.supervisor, Signal::HUP);
        self.supervisor = spawn(&self.fixture, &self.variables);
    }

    /// `sv` by another user.
    fn sv_as(&self, user: u32, groups: &[u32], words: &[&str]) -> Ran {
        let (verb, names) = words.split_first().unwrap();
        let names = names.iter().map(|name| self.dir(name));
        let mut sv = as_user(user, groups, &self.fixture.path("sunup"));
        sv.args(["sv", "-w60", verb]).args(names);
        run(&format!("{user} {groups:?} {words:?}"), &mut sv)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        end_by(&mut self.supervisor, Signal::HUP);
    }
}

fn spawn(fixture: &Fixture, variables: &Vec<(&'static str, String)>) -> Child {
    let said = File::options()
        .create(true)
        .append(true)
        .open(fixture.path("said"))
        .unwrap();
    let mut runsvdir = ours("runsvdir");
    for (name, value) in variables {
        runsvdir.env(name, value);
    }
    let runsvdir = runsvdir
        .arg(fixture.path("scan"))
        .stdout(Stdio::null())
        .stderr(said);
    runsvdir.spawn().unwrap()
}

fn as_user(user: u32, groups: &[u32], program: &Path) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([format!("--reuid={user}"), format!("--regid={user}")]);
    let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
    match groups.as_slice() {
        [] => setpriv.arg("--clear-groups"),
        some => setpriv.arg(format!("--groups={}", some.join(","))),
    };
    setpriv.arg(program).stdin(Stdio::null());
    setpriv
}

/// Mode and group of a file.
fn mode(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (found.mode() & 0o7777, found.gid())
}

/// Waits until a file has something in it: then its mode is what it is to be.
fn until_written(path: &Path) {
    yield_until(|| {
        fs::metadata(path)
            .is_ok_and(|found| found.len() > 0)
            .then_some(())
    });
}

/// A service that has most of the files of its state, one after the other.
const TELLS: [(&str, &str); 3] = [
    ("scan/web/notify", "ready status\n"),
    ("scan/web/timeout-kill", "60000"),
    ("scan/web/control/t", "#!/bin/sh\nexit 0\n"),
];

#[test]
fn what_is_made_has_the_modes_that_were_asked_for() {
    let Groups { readers, operators } = groups();
    let own = getegid().as_raw();
    let (readers_are, operators_are) = (readers.to_string(), operators.to_string());
    // Readers, operators; directory, state, words, fifos.
    let plain = (0o644, own);
    for (r, o, directory, state, words, fifos) in [
        ("", "", (0o700, own), plain, plain, (0o600, own)),
        ("*", "", (0o755, own), plain, plain, (0o600, own)),
        (
            &readers_are[..],
            "",
            (0o750, readers),
            (0o640, readers),
            (0o640, readers),
            (0o600, own),
        ),
        (
            "",
            &operators_are[..],
            (0o750, operators),
            (0o640, operators),
            (0o640, operators),
            (0o620, operators),
        ),
        (
            &readers_are[..],
            &operators_are[..],
            (0o750, readers),
            (0o640, readers),
            (0o640, readers),
            (0o620, operators),
        ),
    ] {
        let mut files = TELLS.to_vec();
        files.extend([
            ("scan/web/run", SLEEP),
            ("scan/web/log/run", "#!/bin/sh\nexec cat\n"),
            ("scan/web/log/supervise -> ../../../run/log", ""),
            ("run/", ""),
        ]);
        let variables = [("SUNUP_READERS", r), ("SUNUP_OPERATORS", o)];
        let tree = Tree::start(&files, &variables);
        let made = tree.dir("web/supervise");
        let pid = until_ready(&tree.dir("web"));
        kill(pid, Signal::KILL);
        let pid = until_ready_but(&tree.dir("web"), Some(pid));
        until_ready(&tree.dir("web/log"));
        let case = format!("{r} {o}");
        let log = tree.fixture.path("run/log");
        for dir in [&made, &log] {
            assert_eq!(mode(dir), directory, "{case}");
            assert_eq!(mode(&dir.join("lock")), (0o600, own), "{case}");
            for name in ["control", "ok"] {
                assert_eq!(mode(&dir.join(name)), fifos, "{case} {name}");
            }
            for name in ["status", "stat", "pid"] {
                assert_eq!(mode(&dir.join(name)), state, "{case} {name}");
            }
        }
        for name in ["last", "ready"] {
            until_written(&made.join(name));
            assert_eq!(mode(&made.join(name)), state, "{case} {name}");
        }
        // A stop that takes its time has a reason.
        fs::write(made.join("control"), "d").unwrap();
        until_written(&made.join("reason"));
        assert_eq!(mode(&made.join("reason")), words, "{case}");
        // What somebody removed is made anew.
        fs::rename(&made, tree.fixture.path("gone")).unwrap();
        kill(pid, Signal::KILL);
        until_written(&made.join("status"));
        // It is linked when it is what it is to be.
        yield_until(|| made.join("ok").exists().then_some(()));
        assert_eq!(mode(&made), directory, "{case}, made anew");
        assert_eq!(mode(&made.join("control")), fifos, "{case}, made anew");
        assert_eq!(mode(&made.join("status")), state, "{case}, made anew");
        assert_eq!(tree.said(), "", "{case}");
    }
}

/// Who may read, and who may command; the rest is refused, in runit's words.
#[test]
fn each_may_do_what_was_granted_and_no_more() {
    if !geteuid().is_root() {
        // Its own user may do all of it, whatever is granted to others.
        let tree = Tree::start(&[("scan/web/run", SLEEP)], &[("SUNUP_READERS", "*")]);
        until_ready(&tree.dir("web"));
        let mut sv = ours("sv");
        sv.args(["-w60", "restart"]).arg(tree.dir("web"));
        assert_eq!(run("own", &mut sv).code, 0);
        return;
    }
    let files = [
        ("scan/web/run", SLEEP),
        ("scan/dev/run", SLEEP),
        ("scan/dev/log/run", "#!/bin/sh\nexec cat\n"),
        ("scan/dev/owner", "nobody:4444\n"),
    ];
    let variables = [("SUNUP_READERS", "4242"), ("SUNUP_OPERATORS", "4343")];
    let tree = Tree::start(&files, &variables);
    for name in ["web", "dev", "dev/log"] {
        until_ready(&tree.dir(name));
    }
    // Whether web, and dev, can be read and commanded.
    for (user, groups, may) in [
        (65533, &[][..], [false, false, true, false]),
        (65533, &[4242], [true, false, true, false]),
        (65533, &[4242, 4343], [true, true, true, false]),
        (65533, &[4343], [false, false, true, false]),
        (65533, &[4444], [false, false, true, true]),
        (NOBODY, &[], [false, false, true, true]),
        (NOBODY, &[4242], [true, false, true, true]),
    ] {
        for (name, may) in ["web", "dev"].into_iter().zip(may.chunks(2)) {
            let case = format!("{user} {groups:?} {name}");
            let dir = tree.dir(name);
            let pid = read_status(&dir).unwrap().pid;
            let ran = tree.sv_as(user, groups, &["status", name]);
            let line = format!("run: {}: (pid {pid}) ", dir.display());
            assert_eq!(ran.out.starts_with(&line), may[0], "{case}: {}", ran.out);
            let refused = format!(
                "warning: {}: unable to open supervise/ok: access denied\n",
                dir.display()
            );
            assert!(may[0] || ran.out == refused, "{case}: {}", ran.out);
            let ran = tree.sv_as(user, groups, &["check", name]);
            assert_eq!(ran.code == 0, may[0], "{case}: {}", ran.out);
            for verb in ["restart", "down", "up"] {
                let ran = tree.sv_as(user, groups, &[verb, name]);
                assert_eq!(ran.code == 0, may[1], "{case} {verb}: {}", ran.out);
                let is_refused = ran.out.ends_with(": access denied\n");
                assert_eq!(is_refused, !may[1], "{case}: {}", ran.out);
            }
            let is_same = read_status(&dir).unwrap().pid == pid;
            assert_eq!(is_same, !may[1], "{case}");
        }
    }
    let ran = tree.sv_as(NOBODY, &[], &["restart", "dev/log"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(tree.said(), "");
}

/// A member of the operators' group has commands, and nothing else.
#[test]
fn an_operator_gets_no_further_than_a_command() {
    let Groups { operators, .. } = groups();
    let files = [("scan/web/run", SLEEP), ("scan/other/run", SLEEP)];
    let variables = [("SUNUP_OPERATORS", &operators.to_string()[..])];
    let tree = Tree::start(&files, &variables);
    let web = tree.dir("web");
    let pid = until_ready(&web);
    until_ready(&tree.dir("other"));
    let tries = "for try in 'cat lock' 'cat control' 'echo d >status' 'echo d >>status' \
        'rm status' 'mv pid status' 'touch new' 'mkdir new' 'ln -s /etc/passwd new' 'chmod 777 .' \
        'chmod 666 control' 'chmod 666 ok' 'ln lock ../../lock' 'rm control' 'mv ../supervise ../s'
        do (eval \"$try\") </dev/null 2>/dev/null && echo \"$try\"; done; echo done";
    let as_operator = |script: &str| {
        let mut sh = if geteuid().is_root() {
            as_user(NOBODY, &[operators], Path::new("sh"))
        } else {
            Command::new("sh")
        };
        sh.args(["-c", script]).current_dir(web.join("supervise"));
        sh
    };
    if geteuid().is_root() {
        let ran = run("tries", &mut as_operator(tries));
        assert_eq!(ran.out, "done\n");
    }
    // Commands without end: the others have their turn.
    let flood = "while :; do printf uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu!; done >control";
    let mut flood = as_operator(flood).stdin(Stdio::null()).spawn().unwrap();
    for _ in 0..3 {
        let mut sv = ours("sv");
        sv.args(["-w60", "restart"]).arg(tree.dir("other"));
        let ran = run("beside a flood", &mut sv);
        assert_eq!(ran.code, 0, "{}", ran.out);
    }
    assert!(flood.try_wait().unwrap().is_none());
    end_by(&mut flood, Signal::KILL);
    assert!(lives(pid));
    assert_eq!(read_status(&web).unwrap().pid, pid);
    // One that fills the fifo and waits does not hold up anybody either.
    let mut sv = ours("sv");
    sv.args(["-w60", "restart"]).arg(&web);
    assert_eq!(run("after a flood", &mut sv).code, 0);
    assert_eq!(tree.said(), "");
}

/// What was there before, by runit's runsv, and what an administrator has chosen stay,
/// whoever supervises.
#[test]
fn what_is_there_keeps_its_mode() {
    let Groups { readers, operators } = groups();
    let own = getegid().as_raw();
    let fixture = Fixture::new(&[("scan/web/run", SLEEP)]);
    let web = fixture.path("scan/web");
    let mut runit = Command::new(debian("runsv"))
        .arg(&web)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    status(&web, "run", running);
    end_by(&mut runit, Signal::TERM);
    assert_eq!(mode(&web.join("supervise")), (0o700, own));
    let (r, o) = (readers.to_string(), operators.to_string());
    let variables = vec![("SUNUP_READERS", r), ("SUNUP_OPERATORS", o)];
    let supervisor = spawn(&fixture, &variables);
    let mut tree = Tree {
        fixture,
        supervisor,
        variables,
    };
    let mut pid = until_ready(&web);
    assert_eq!(mode(&web.join("supervise")), (0o700, own));
    assert_eq!(mode(&tree.in_supervise("control")), (0o600, own));
    // status is written in place of runit's.
    let status_was = mode(&tree.in_supervise("status"));
    for (bits, other) in [(0o711, 0o602), (0o755, 0o660)] {
        let chosen = [
            ("", bits),
            ("control", other),
            ("status", 0o604),
            ("pid", 0o600),
        ];
        for (name, bits) in chosen {
            let path = tree.in_supervise(name);
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
        }
        let is_kept = |tree: &Tree, when: &str| {
            for (name, bits) in chosen {
                assert_eq!(
                    mode(&tree.in_supervise(name)).0,
                    bits,
                    "{name} after {when}"
                );
            }
        };
        fs::write(tree.in_supervise("control"), "t").unwrap();
        pid = until_ready_but(&web, Some(pid));
        is_kept(&tree, "a restart");
        tree.succeed();
        wait_for("the successor", &[&web.join("supervise")], || {
            fs::write(tree.in_supervise("control"), "t").unwrap();
            (read_status(&web)?.pid != pid).then_some(())
        });
        pid = until_ready(&web);
        is_kept(&tree, "an adoption");
        kill(tree.supervisor.id(), Signal::USR2);
        fs::write(tree.in_supervise("control"), "t").unwrap();
        pid = until_ready_but(&web, Some(pid));
        is_kept(&tree, "an upgrade");
        tree.begin_anew();
        pid = until_ready_but(&web, Some(pid));
        is_kept(&tree, "a new beginning");
    }
    assert_ne!(status_was, (0, 0));
    assert_eq!(tree.said(), "");
}

/// An owner stays the owner, also of what a later supervisor has to make.
#[test]
fn an_owner_is_known_to_every_supervisor() {
    let own = geteuid().as_raw();
    let uid = if own == 0 { NOBODY } else { own };
    let files = [
        ("scan/web/run", SLEEP),
        ("scan/web/owner", &format!("{uid}\n")[..]),
    ];
    let mut tree = Tree::start(&files, &[]);
    let web = tree.dir("web");
    let check = |tree: &Tree, when: &str| {
        until_ready(&web);
        let made = web.join("supervise");
        assert_eq!(mode(&made).0, 0o755, "{when}");
        assert_eq!(mode(&made.join("control")).0, 0o600, "{when}");
        assert_eq!(mode(&made.join("status")).0, 0o644, "{when}");
        assert_eq!(mode(&made.join("lock")).0, 0o600, "{when}");
        let owner = |name: &str| fs::metadata(made.join(name)).unwrap().uid();
        assert_eq!([owner("control"), owner("ok")], [uid; 2], "{when}");
        assert_eq!(
            [owner(""), owner("status"), owner("lock")],
            [own; 3],
            "{when}"
        );
        assert_eq!(tree.said(), "", "{when}");
    };
    check(&tree, "the beginning");
    let remade = |tree: &Tree| {
        let pid = status(&web, "run", running).pid;
        let gone = tempfile::tempdir().unwrap();
        fs::rename(web.join("supervise"), gone.path().join("gone")).unwrap();
        kill(pid, Signal::KILL);
        until_ready_but(&web, Some(pid));
        check(tree, "all was made anew");
    };
    remade(&tree);
    kill(tree.supervisor.id(), Signal::USR2);
    let pid = status(&web, "run", running).pid;
    fs::write(web.join("supervise/control"), "t").unwrap();
    until_ready_but(&web, Some(pid));
    check(&tree, "an upgrade");
    remade(&tree);
    tree.succeed();
    let pid = status(&web, "run", running).pid;
    wait_for("the successor", &[&web.join("supervise")], || {
        fs::write(web.join("supervise/control"), "t").unwrap();
        (read_status(&web)?.pid != pid).then_some(())
    });
    remade(&tree);
}

/// Nobody is let in by a name that means nobody, and that is said once.
#[test]
fn a_name_that_means_nobody_is_said_and_lets_nobody_in() {
    let variables = [("SUNUP_READERS", "no.such"), ("SUNUP_OPERATORS", "*")];
    let files = [
        ("scan/web/run", SLEEP),
        ("scan/web/owner", "no.body"),
        ("scan/api/run", SLEEP),
        ("scan/api/owner", "root:no.such"),
        ("scan/empty/run", SLEEP),
        ("scan/empty/owner/", ""),
    ];
    let tree = Tree::start(&files, &variables);
    let own = getegid().as_raw();
    for name in ["web", "api", "empty"] {
        let mut pid = until_ready(&tree.dir(name));
        let made = tree.dir(name).join("supervise");
        for _ in 0..2 {
            fs::write(made.join("control"), "t").unwrap();
            pid = until_ready_but(&tree.dir(name), Some(pid));
        }
        assert_eq!(mode(&made), (0o700, own), "{name}");
        assert_eq!(mode(&made.join("control")), (0o600, own), "{name}");
    }
    let said = tree.said();
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    let api = if geteuid().is_root() {
        "runsvdir: api/owner: no.such: no such group in /etc/group; taken for nobody"
    } else {
        "runsvdir: api/owner: root: only a supervisor of root's lets others in; taken for nobody"
    };
    assert_eq!(
        said,
        [
            "runsvdir: SUNUP_OPERATORS: *: no such group in /etc/group; taken for nobody",
            "runsvdir: SUNUP_READERS: no.such: no such group in /etc/group; taken for nobody",
            api,
            "runsvdir: empty/owner: Is a directory; taken for nobody",
            "runsvdir: web/owner: no.body: no such user in /etc/passwd; taken for nobody",
        ]
    );
}

/// A link where `supervise` is to be leads to what somebody else has: it is not given away.
#[test]
fn what_was_there_is_not_given_away() {
    let files = [
        ("scan/web/run", SLEEP),
        ("scan/web/owner", "nobody"),
        ("scan/web/supervise -> ../../other", ""),
        ("other/", ""),
    ];
    let fixture = Fixture::new(&files);
    let other = fixture.path("other");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    super::common::make_fifo(fixture.path("secret"));
    // One of another service's by this name.
    symlink("../secret", fixture.path("other/control")).unwrap();
    let variables = vec![("SUNUP_READERS", "*".to_owned())];
    let supervisor = spawn(&fixture, &variables);
    let tree = Tree {
        fixture,
        supervisor,
        variables,
    };
    until_ready(&tree.dir("web"));
    assert_eq!(mode(&other).0, 0o700);
    let secret = fs::metadata(tree.fixture.path("secret")).unwrap();
    let own = geteuid().as_raw();
    assert_eq!((secret.uid(), secret.mode() & 0o777), (own, 0o600));
    let control = fs::symlink_metadata(other.join("control")).unwrap();
    let given = if own == 0 { NOBODY } else { own };
    assert_eq!(control.uid(), given);
}

/// Where the state is in another place, others may go there, too.
#[test]
fn the_way_to_a_state_elsewhere_is_open_to_readers() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("runs/", "")]);
    let mode_of = |name: &str, bits| {
        fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(bits)).unwrap();
    };
    for (name, bits) in [(".", 0o755), ("runs", 0o777), ("scan/web", 0o555)] {
        mode_of(name, bits);
    }
    copy_program(sunup(), fixture.path("sunup"));
    mode_of("sunup", 0o755);
    let mut container = Command::new(fixture.path("sunup"));
    container.arg("container").arg(fixture.path("scan"));
    let mut container = ordinary(&container)
        .env("SUNUP_RUN", fixture.path("runs/own"))
        .env("SUNUP_READERS", "*")
        .spawn()
        .unwrap();
    let state = fixture.path("runs/own/state");
    let room = yield_until(|| fs::read_dir(&state).ok()?.next()?.ok()).path();
    until_written(&room.join("supervise/status"));
    yield_until(|| room.join("supervise/ok").exists().then_some(()));
    for dir in [&fixture.path("runs/own"), &state, &room] {
        assert_eq!(mode(dir).0, 0o711, "{}", dir.display());
    }
    assert_eq!(mode(&room.join("supervise")).0, 0o755);
    assert_eq!(mode(&room.join("supervise/status")).0, 0o644);
    assert_eq!(mode(&room.join("supervise/control")).0, 0o600);
    kill(container.id(), Signal::TERM);
    wait_exit(&mut container);
    mode_of("scan/web", 0o755);
}

/// Whether the list of locks is whole: it is not in a pid namespace of one's own.
fn is_first_namespace() -> bool {
    fs::metadata("/proc/self/ns/pid").unwrap().ino() == 0xEFFF_FFFC
}

/// Who may not open the fifo learns from the lock whether a supervisor lives, ours or
/// runit's, and is not told what was true once.
#[test]
fn a_reader_is_not_told_what_a_dead_supervisor_left() {
    for (supervisor, case) in [
        (ours("runsv"), "ours"),
        (Command::new(debian("runsv")), "runit's"),
    ] {
        let fixture = Fixture::new(&[("web/run", SLEEP)]);
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(fixture.path("."), open.clone()).unwrap();
        copy_program(sunup(), fixture.path("sunup"));
        let web = fixture.path("web");
        let mut supervisor = supervisor;
        let supervisor = supervisor
            .arg(&web)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut supervisor = supervisor.spawn().unwrap();
        let pid = until_ready(&web);
        fs::set_permissions(web.join("supervise"), open).unwrap();
        for name in ["ok", "control"] {
            let closed = fs::Permissions::from_mode(0o0);
            fs::set_permissions(web.join("supervise").join(name), closed).unwrap();
        }
        let program = fixture.path("sunup");
        let call = |words: &[&str]| {
            let mut command = Command::new(&program);
            command.args(words).arg(&web);
            run(case, &mut ordinary(&command))
        };
        let name = web.display();
        let ran = call(&["sv", "status"]);
        let line = format!("run: {name}: (pid {pid}) ");
        assert!(ran.out.starts_with(&line), "{case}: {}", ran.out);
        assert_eq!((ran.code, call(&["sv", "check"]).code), (0, 0), "{case}");
        assert_eq!(call(&["svok"]).code, 0, "{case}");
        let ran = call(&["sv", "up"]);
        let refused = format!("warning: {name}: unable to open supervise/control: access denied\n");
        assert_eq!((ran.code, &ran.out[..]), (1, &refused[..]), "{case}");
        kill(supervisor.id(), Signal::KILL);
        wait_exit(&mut supervisor);
        kill(pid, Signal::KILL);
        yield_until(|| (!lives(pid)).then_some(()));
        let told = if is_first_namespace() {
            (1, format!("fail: {name}: runsv not running\n"), 100)
        } else {
            let line = format!("warning: {name}: unable to open supervise/ok: access denied\n");
            (1, line, 111)
        };
        for verb in ["status", "check", "up"] {
            let ran = call(&["sv", verb]);
            assert_eq!((ran.code, &ran.out), (told.0, &told.1), "{case} {verb}");
        }
        assert_eq!(call(&["svok"]).code, told.2, "{case}");
    }
}

/// Without /proc a reader sees what can be seen, and nothing that is certainly over.
#[test]
fn without_proc_a_reader_is_told_nothing_false() {
    let fixture = Fixture::new(&[("web/run", SLEEP)]);
    let web = fixture.path("web");
    let mut supervisor = ours("runsv").arg(&web).spawn().unwrap();
    let pid = until_ready(&web);
    for name in ["ok", "control"] {
        let closed = fs::Permissions::from_mode(0o0);
        fs::set_permissions(web.join("supervise").join(name), closed).unwrap();
    }
    // Root of the namespace may do nothing to what it may not.
    let script = "mount -t tmpfs none /proc; exec setpriv --bounding-set=-all \"$@\"";
    let status = || {
        let mut sv = enclosed(&fixture, script, "sv");
        run("without /proc", sv.args(["status"]).arg(&web))
    };
    let ran = status();
    let line = format!("run: {}: (pid {pid}) ", web.display());
    assert!(ran.out.starts_with(&line), "{}{}", ran.out, ran.errors);
    kill(supervisor.id(), Signal::KILL);
    wait_exit(&mut supervisor);
    kill(pid, Signal::KILL);
    yield_until(|| (!lives(pid)).then_some(()));
    let ran = status();
    let line = format!(
        "warning: {}: unable to open supervise/ok: access denied\n",
        web.display()
    );
    assert_eq!((ran.code, ran.out), (1, line));
}
