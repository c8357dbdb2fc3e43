//! The script `check` of a service: sv asks it until it passes or the time is over.

use super::super::common::{Fixture, debian, wait_for};
use super::{OBEYS_TERM, Supervised, command, masked, run, said, tested};

/// D24: a check that hangs costs no more than the time of -w.
#[test]
fn a_check_that_hangs_is_bounded() {
    const CHECK: &str = "#!/bin/sh\nsleep 100000\n";
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM), ("web/check", CHECK)]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    // Its standard error is ours: the output ends only with all that it started.
    for verb in ["check", "start"] {
        let got = run(&tested(&fixture), &fixture.path(""), &["-w1", verb, "web"]);
        assert_eq!(got, said(1, "timeout: run: web: (pid N) Ns\n"), "{verb}");
    }
}

#[test]
fn a_check_is_asked_again_until_it_passes() {
    const CHECK: &str = "#!/bin/sh\necho noise\n: > asked\ntest -e available\n";
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM), ("web/check", CHECK)]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let waiting = command(
        &tested(&fixture),
        &fixture.path(""),
        &["-w60", "start", "web"],
    )
    .spawn()
    .unwrap();
    wait_for("question", &[&service.dir], || {
        service.dir.join("asked").exists().then_some(())
    });
    fixture.add("web/available", "");
    let got = masked(&waiting.wait_with_output().unwrap());
    assert_eq!(got, said(0, "ok: run: web: (pid N) Ns\n"));
}

#[test]
fn a_check_that_cannot_run_counts_for_nothing() {
    let fixture = Fixture::new(&[("web/run", OBEYS_TERM), ("web/check", "plain text")]);
    let service = Supervised::new(&debian("runsv"), fixture.path("web"));
    service.wait_ready();
    let sv = [debian("sv"), tested(&fixture)];
    let [oracle, got] = sv
        .each_ref()
        .map(|sv| run(sv, &fixture.path(""), &["check", "web"]));
    assert_eq!(got, oracle);
    fixture.add("web/check", "#!/nonexistent\n");
    let [oracle, got] = sv
        .each_ref()
        .map(|sv| run(sv, &fixture.path(""), &["check", "web"]));
    assert_eq!(got, oracle);
}
