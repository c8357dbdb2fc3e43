//! Every verb in every state of a service: output, exit code and effect are those of the
//! oracle.

use model::format::status::Phase;

use super::super::common::{Fixture, debian, until_ready};
use super::{
    ENDS, IGNORES_TERM, OBEYS_TERM, Supervised, VERBS, command, masked, run, said, supervisors,
    tested, until_another_second,
};

/// A state to bring a service into, and how.
struct State {
    /// How long each verb is waited for (s): no matter where all come about.
    wait: &'static str,
    files: &'static [(&'static str, &'static str)],
    prepare: fn(&Supervised),
    /// Verbs whose outcome is ours on purpose, or a race in the reference: to it,
    /// a status of the same second is new.
    ours: &'static [(&'static str, i32, &'static str)],
}

/// Gives each verb to a service in that state, with the oracle and with ours.
fn compare(state: &State) {
    let fixture = Fixture::new(&[]);
    let sv = [debian("sv"), tested(&fixture)];
    for (round, supervisor) in supervisors(&fixture).iter().enumerate() {
        let mut services = Vec::new();
        for verb in VERBS {
            for side in 0..2 {
                let base = format!("{round}/{side}/{verb}/web");
                for (name, content) in state.files {
                    fixture.add(&format!("{base}/{name}"), content);
                }
                services.push(Supervised::new(supervisor, fixture.path(&base)));
            }
        }
        services.iter().for_each(state.prepare);
        until_another_second(&services);
        // All at once, since some wait.
        let mut running = Vec::new();
        for (service, verb) in services.chunks(2).zip(VERBS) {
            for (service, sv) in service.iter().zip(&sv) {
                let svdir = service.dir.parent().unwrap();
                let args = ["-w", state.wait, verb, "web"];
                running.push(command(sv, svdir, &args).spawn().unwrap());
            }
        }
        let mut outputs = running.into_iter().map(|c| c.wait_with_output().unwrap());
        for verb in VERBS {
            let oracle = masked(&outputs.next().unwrap());
            let got = masked(&outputs.next().unwrap());
            let expected = match state.ours.iter().find(|(v, _, _)| v == verb) {
                Some((_, code, text)) => said(*code, text),
                None => oracle,
            };
            // In runit's runsv, a pause outlives its process (D21).
            let killed = |said: (Option<i32>, String)| match *verb {
                "kill" => (said.0, said.1.replace(", paused", "")),
                _ => said,
            };
            let (got, expected) = (killed(got), killed(expected));
            assert_eq!(got, expected, "{verb}, {}", supervisor.display());
        }
    }
}

#[test]
fn verbs_when_it_runs() {
    compare(&State {
        wait: "60",
        files: &[("run", OBEYS_TERM)],
        prepare: Supervised::wait_ready,
        ours: &[],
    });
}

#[test]
fn verbs_when_it_is_normally_down() {
    compare(&State {
        wait: "60",
        files: &[("run", OBEYS_TERM), ("down", "")],
        prepare: |_| {},
        ours: &[(
            "once",
            0,
            "ok: run: web: (pid N) Ns, normally down, want down\n",
        )],
    });
}

#[test]
fn verbs_when_it_was_stopped() {
    compare(&State {
        wait: "60",
        files: &[("run", OBEYS_TERM)],
        prepare: |s| {
            s.wait_ready();
            s.send(b"d");
            s.wait("stopped service", |s| s.pid == 0 && !s.want_up);
        },
        ours: &[("once", 0, "ok: run: web: (pid N) Ns, want down\n")],
    });
}

#[test]
fn verbs_when_it_runs_once() {
    const UP: &str = "ok: run: web: (pid N) Ns, normally down\n";
    const DOWN: &str = "ok: down: web: Ns\n";
    compare(&State {
        wait: "60",
        files: &[("run", OBEYS_TERM), ("down", "")],
        prepare: |s| {
            s.send(b"o");
            s.wait_ready();
        },
        ours: &[
            ("up", 0, UP),
            ("start", 0, UP),
            ("restart", 0, UP),
            ("force-restart", 0, UP),
            ("term", 0, DOWN),
            ("kill", 0, DOWN),
            ("try-restart", 0, DOWN),
            ("force-reload", 0, DOWN),
            ("T", 0, DOWN),
        ],
    });
}

#[test]
fn verbs_when_it_is_paused() {
    compare(&State {
        wait: "5",
        files: &[("run", OBEYS_TERM)],
        prepare: |s| {
            s.wait_ready();
            s.send(b"p");
            s.wait("paused service", |s| s.paused);
        },
        ours: &[(
            "term",
            1,
            "timeout: run: web: (pid N) Ns, paused, got TERM\n",
        )],
    });
}

/// D25: a service that had to be killed is stopped all the same.
const KILLED: &[(&str, i32, &str)] = &[
    ("force-stop", 0, "kill: down: web: Ns, normally up\n"),
    ("D", 0, "kill: down: web: Ns, normally up\n"),
    ("force-reload", 0, "kill: run: web: (pid N) Ns\n"),
    ("T", 0, "kill: run: web: (pid N) Ns\n"),
    ("force-restart", 0, "kill: run: web: (pid N) Ns\n"),
    ("force-shutdown", 0, "kill: web: runsv not running\n"),
    ("X", 0, "kill: web: runsv not running\n"),
    ("E", 0, "kill: web: runsv not running\n"),
];

#[test]
fn verbs_when_it_got_term() {
    compare(&State {
        wait: "5",
        files: &[("run", IGNORES_TERM)],
        prepare: |s| {
            s.wait_ready();
            s.send(b"t");
            s.wait("service with TERM", |s| s.got_term);
        },
        ours: KILLED,
    });
}

#[test]
fn verbs_when_it_does_not_stop() {
    // The reference reads the status before its command can have been obeyed.
    const UP: &str = "ok: run: web: (pid N) Ns, got TERM\n";
    const DOWN: &str = "kill: down: web: Ns, normally up\n";
    compare(&State {
        wait: "5",
        files: &[("run", IGNORES_TERM)],
        prepare: |s| {
            s.wait_ready();
            s.send(b"d");
            s.wait("service that stops", |s| s.got_term && !s.want_up);
        },
        ours: &[
            ("up", 0, UP),
            ("start", 0, UP),
            // What was asked for is that it be down.
            (
                "check",
                1,
                "timeout: run: web: (pid N) Ns, want down, got TERM\n",
            ),
            ("force-stop", 0, DOWN),
            ("D", 0, DOWN),
            ("force-reload", 0, DOWN),
            ("T", 0, DOWN),
            ("force-restart", 0, "kill: run: web: (pid N) Ns\n"),
            ("force-shutdown", 0, "kill: web: runsv not running\n"),
            ("X", 0, "kill: web: runsv not running\n"),
            ("E", 0, "kill: web: runsv not running\n"),
        ],
    });
}

#[test]
fn verbs_when_finish_hangs() {
    let fixture = Fixture::new(&[]);
    let sv = [debian("sv"), tested(&fixture)];
    for (round, supervisor) in supervisors(&fixture).iter().enumerate() {
        let svdir = fixture.path(&round.to_string());
        for (name, content) in [("run", ENDS), ("finish", IGNORES_TERM), ("down", "")] {
            fixture.add(&format!("{round}/web/{name}"), content);
        }
        let service = Supervised::new(supervisor, svdir.join("web"));
        service.send(b"o");
        service.wait("finish", |s| s.phase == Phase::Finish && s.pid != 0);
        until_ready(&service.dir);
        for args in [
            &["status", "web"][..],
            &["-v", "hup", "web"],
            &["-v", "once", "web"],
            &["-v", "cont", "web"],
            &["-w1", "down", "web"],
            &["-w1", "start", "web"],
        ] {
            let [oracle, got] = sv.each_ref().map(|sv| run(sv, &svdir, args));
            assert_eq!(got, oracle, "{args:?}");
        }
        let late = "timeout: finish: web: (pid N) Ns, normally down, want down\n";
        service.send(b"d");
        service.wait("finish that is wanted down", |s| !s.want_up);
        // A finish is no restarted service.
        for verb in ["term", "try-restart", "check"] {
            let got = run(&sv[1], &svdir, &["-w1", verb, "web"]);
            assert_eq!(got, said(1, late), "{verb}");
        }
    }
}
