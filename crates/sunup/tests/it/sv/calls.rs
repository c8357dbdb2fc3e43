//! How sv is called: names of services, verbs, options, and as an init script.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::common::{Fixture, debian};
use super::{
    IGNORES_TERM, OBEYS_TERM, Supervised, add_dead, command, masked, run, said, supervisors, tested,
};

#[test]
fn services_by_name_and_by_path() {
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM)]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let sv = [debian("sv"), tested(&fixture)];
    let absolute = service.dir.to_str().unwrap();
    let output = |sv: &Path, svdir: &Path, cwd: &str, name: &str| {
        let mut command = command(sv, svdir, &["status", name]);
        masked(&command.current_dir(fixture.path(cwd)).output().unwrap())
    };
    let nowhere = PathBuf::from("/nonexistent");
    for (svdir, cwd, name) in [
        (fixture.path(""), "", "web"),
        (fixture.path("."), "web", "web"),
        (nowhere.clone(), "", "web"),
        (nowhere.clone(), "", "./web"),
        (nowhere.clone(), "", "web/"),
        (nowhere.clone(), "", "web//"),
        (nowhere.clone(), "web", "."),
        (nowhere.clone(), "web", "../web"),
        (nowhere, "", absolute),
        (fixture.path("web/.."), "web/supervise", "web"),
    ] {
        let [oracle, got] = sv.each_ref().map(|sv| output(sv, &svdir, cwd, name));
        assert_eq!(got, oracle, "{name} in {}", svdir.display());
    }
}

#[test]
fn the_exit_code_counts_failures() {
    let fixture = Fixture::new(&[]);
    let sv = [debian("sv"), tested(&fixture)];
    for n in [1, 2, 98, 99, 100, 300] {
        // Many are asked by several processes, and told in order.
        let names: Vec<String> = (0..n).map(|n| format!("missing{n:03}")).collect();
        let args = ["status"]
            .into_iter()
            .chain(names.iter().map(String::as_str));
        let args: Vec<&str> = args.collect();
        let [oracle, got] = sv.each_ref().map(|sv| run(sv, &fixture.path(""), &args));
        assert_eq!(got, oracle, "{n}");
    }
    for args in [&[][..], &["up"], &["-w"], &["-z", "up", "web"], &["-w1"]] {
        let [oracle, got] = sv.each_ref().map(|sv| run(sv, &fixture.path(""), args));
        assert_eq!(got, oracle, "{args:?}");
    }
}

/// D23: the first letter does not decide.
#[test]
fn a_mistyped_verb_does_nothing() {
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM)]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let before = fs::metadata(service.supervise("status")).unwrap();
    for (verb, meant) in [
        ("enabel", ", did you mean enable?"),
        ("disbale", ", did you mean disable?"),
        ("killall", ""),
        ("statsu", ", did you mean status?"),
        ("restrat", ", did you mean restart?"),
    ] {
        let sv = tested(&fixture);
        let output = command(&sv, &fixture.path(""), &[verb, "web"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(100), "{verb}");
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!("sv: unknown command {verb}{meant}\n");
        assert!(text.starts_with(&expected), "{text}");
    }
    for wait in ["", "-1", "1x", "soon"] {
        let got = run(
            &tested(&fixture),
            &fixture.path(""),
            &["-w", wait, "down", "web"],
        );
        assert_eq!(got, said(100, ""), "-w {wait}");
    }
    // runsv replaces the status on every command.
    let after = fs::metadata(service.supervise("status")).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
}

#[test]
fn svwait_replaces_the_default() {
    let fixture = Fixture::new(&[("web/run", IGNORES_TERM)]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    service.send(b"d");
    service.wait("service with TERM", |s| s.got_term && !s.want_up);
    let mut stop = command(&tested(&fixture), &fixture.path(""), &["stop", "web"]);
    let got = masked(&stop.env("SVWAIT", "0").output().unwrap());
    let late = "timeout: run: web: (pid N) Ns, want down, got TERM\n";
    assert_eq!(got, said(1, late));
    let mut stop = command(&tested(&fixture), &fixture.path(""), &["stop", "web"]);
    let got = masked(&stop.env("SVWAIT", "never").output().unwrap());
    assert_eq!(got, said(100, ""));
}

#[test]
fn as_an_init_script() {
    let fixture = Fixture::new(&[]);
    let both = [debian("sv"), tested(&fixture)];
    // The usual 7 seconds may be over before a busy disk has written.
    let run = |program: &Path, svdir: &Path, args: &[&str]| {
        masked(
            &command(program, svdir, args)
                .env("SVWAIT", "60")
                .output()
                .unwrap(),
        )
    };
    for (side, sv) in both.iter().enumerate() {
        for name in ["web", "dead", "missing"] {
            fixture.add(&format!("init.d/{side}/{name} -> {}", sv.display()), "");
        }
    }
    fixture.add("twice/web -> ../init.d/1/web", "");
    for (round, supervisor) in supervisors(&fixture).iter().enumerate() {
        let svdir = fixture.path(&format!("{round}"));
        fixture.add(&format!("{round}/web/run"), OBEYS_TERM);
        add_dead(&fixture, &format!("{round}/dead"));
        let service = Supervised::new(supervisor, svdir.join("web"));
        service.wait_ready();
        let script = |side, name: &str| fixture.path(&format!("init.d/{side}/{name}"));
        for (name, verb) in [
            ("web", "status"),
            ("web", "reload"),
            ("web", "restart"),
            ("web", "stop"),
            ("web", "status"),
            ("web", "try-restart"),
            ("web", "start"),
            ("web", "check"),
            ("dead", "start"),
            ("missing", "start"),
        ] {
            let [oracle, got] = [0, 1].map(|side| run(&script(side, name), &svdir, &[verb]));
            assert_eq!(got, oracle, "{name} {verb}");
        }
        let code = |name: &str, args: &[&str]| run(&script(1, name), &svdir, args).0;
        assert_eq!(code("dead", &["status"]), Some(4));
        assert_eq!(code("missing", &["status"]), Some(4));
        assert_eq!(code("web", &[]), Some(2));
        assert_eq!(code("web", &["-z", "start"]), Some(2));
        assert_eq!(code("web", &["frobnicate"]), Some(2));
        let twice = run(&fixture.path("twice/web"), &svdir, &["status"]);
        assert_eq!(twice, said(0, "run: web: (pid N) Ns\n"));
    }
}
