//! What is told of services with loggers, without supervisors, and of those whose files may
//! not be read; by svok, too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use model::format::status::Phase;
use rustix::process::geteuid;

use super::super::common::{Fixture, debian, read_status, wait_for};
use super::{LOGS, OBEYS_TERM, Supervised, VERBS, add_dead, run, said, supervisors, tested};

#[test]
fn status_with_a_log_service() {
    let fixture = Fixture::new(&[]);
    let sv = [debian("sv"), tested(&fixture)];
    for (round, supervisor) in supervisors(&fixture).iter().enumerate() {
        for (name, content) in [
            ("up/web/run", OBEYS_TERM),
            ("up/web/log/run", LOGS),
            ("down/web/run", OBEYS_TERM),
            ("down/web/log/run", LOGS),
            ("down/web/log/down", ""),
        ] {
            fixture.add(&format!("{round}/{name}"), content);
        }
        for (case, expected) in [
            ("up", "run: web: (pid N) Ns; run: log: (pid N) Ns\n"),
            ("down", "run: web: (pid N) Ns; down: log: Ns\n"),
        ] {
            let svdir = fixture.path(&format!("{round}/{case}"));
            let service = Supervised::new(supervisor, svdir.join("web"));
            service.wait_ready();
            let log_supervise = service.dir.join("log/supervise");
            wait_for("log service", &[&log_supervise], || {
                let status = read_status(&service.dir.join("log"))?;
                ((status.phase == Phase::Run) == (case == "up")).then_some(())
            });
            for args in [
                &["status", "web"][..],
                &["s", "web/log"],
                &["-v", "cont", "web"],
            ] {
                let [oracle, got] = sv.each_ref().map(|sv| run(sv, &svdir, args));
                assert_eq!(got, oracle, "{case} {args:?}");
            }
            assert_eq!(run(&sv[1], &svdir, &["status", "web"]), said(0, expected));
        }
    }
}

#[test]
fn a_log_service_without_a_supervisor() {
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM)]);
    let sv = [debian("sv"), tested(&fixture)];
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let status = || run(&sv[1], &fixture.path(""), &["status", "web"]);
    fixture.add("web/log/", "");
    let expected = "run: web: (pid N) Ns; warning: web/log: \
        unable to open supervise/ok: file does not exist\n";
    assert_eq!(status(), said(1, expected));
    add_dead(&fixture, "web/log");
    let oracle = run(&sv[0], &fixture.path(""), &["status", "web"]);
    assert_eq!(status(), oracle);
}

#[test]
fn services_without_a_supervisor() {
    let fixture = Fixture::new(&[("empty/", ""), ("file", "")]);
    add_dead(&fixture, "dead");
    let sv = [debian("sv"), tested(&fixture)];
    for name in [
        "dead",
        "empty",
        "file",
        "missing",
        "missing/",
        "./missing",
        "",
    ] {
        for verb in VERBS {
            for args in [&[verb, name][..], &["-w1", verb, name]] {
                // Where there never was a supervisor, ours waits for one to come.
                if name == "empty" && args.len() == 2 {
                    continue;
                }
                let [oracle, got] = sv.each_ref().map(|sv| run(sv, &fixture.path(""), args));
                assert_eq!(got, oracle, "{args:?}");
            }
        }
    }
    assert_eq!(
        run(&sv[1], &fixture.path(""), &["exit", "dead"]),
        said(0, "ok: dead: runsv not running\n")
    );
}

/// Runs a program so that root's files are closed to it.
fn unprivileged(program: &Path, svdir: &Path, args: &[&str]) -> (Option<i32>, String) {
    if !geteuid().is_root() {
        return run(program, svdir, args);
    }
    let drop = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let program = [program.to_str().unwrap()];
    let args = [&drop[..], &program, args].concat();
    run(Path::new("/usr/bin/setpriv"), svdir, &args)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn without_permission() {
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM)]);
    let svdir = fixture.path("");
    set_mode(&svdir, 0o755);
    let sv = [debian("sv"), tested(&fixture)];
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let supervise = fixture.path("web/supervise");
    set_mode(&supervise, 0);
    for verb in VERBS {
        let args = ["-w1", verb, "web"];
        let [oracle, got] = sv.each_ref().map(|sv| unprivileged(sv, &svdir, &args));
        assert_eq!(got, oracle, "{verb}");
    }
    // Where the directory can be read, the status needs no right to command (D27).
    set_mode(&supervise, 0o755);
    for fifo in ["ok", "control"] {
        set_mode(&service.supervise(fifo), 0);
    }
    assert_eq!(
        unprivileged(&sv[1], &svdir, &["status", "web"]),
        said(0, "run: web: (pid N) Ns\n")
    );
    assert_eq!(
        unprivileged(&sv[1], &svdir, &["up", "web"]),
        said(
            1,
            "warning: web: unable to open supervise/control: access denied\n"
        )
    );
    set_mode(&service.supervise("control"), 0o600);
}

#[test]
fn svok_tells_and_never_hangs() {
    let fixture = Fixture::new(&[("empty/", ""), ("file", "")]);
    add_dead(&fixture, "dead");
    let svok = fixture.applet("svok");
    let code = |args: &[&str]| {
        let mut command = Command::new(&svok);
        let output = command.args(args).current_dir(fixture.path("")).output();
        let output = output.unwrap();
        assert_eq!(output.stdout, b"");
        output.status.code()
    };
    for (round, supervisor) in supervisors(&fixture).iter().enumerate() {
        let name = format!("live{round}");
        fixture.add(&format!("{name}/run"), OBEYS_TERM);
        let _service = Supervised::new(supervisor, fixture.path(&name));
        assert_eq!(code(&[&name]), Some(0));
    }
    assert_eq!(code(&["live0"]), Some(100));
    assert_eq!(code(&["dead"]), Some(100));
    assert_eq!(code(&["empty"]), Some(100));
    assert_eq!(code(&["file"]), Some(111));
    assert_eq!(code(&["missing"]), Some(111));
    assert_eq!(code(&[]), Some(100));
}
