//! `sv metrics` of real services; the form of the text is model's to test.

use super::super::common::{Fixture, SLEEP, running, status, yield_until};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv};

#[test]
fn a_service_without_a_supervisor_has_one_row() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/fails/run", "#!/bin/sh\nexit 3\n"),
        ("scan/gone/run", SLEEP),
        ("scan/gone/supervise -> nowhere/else", ""),
    ]);
    let scan = fixture.path("scan");
    let _supervisor = Runsvdir::start(&fixture);
    status(&scan.join("web"), "run", running);
    let has_failed = || {
        let text = printed(&scan, &["metrics"]);
        let code = "sunup_service_last_exit_code{service=\"fails\"} 3\n";
        text.contains(code).then_some(text)
    };
    let text = yield_until(has_failed);
    let rows = |service: &str| -> Vec<&str> {
        let label = format!("service=\"{service}\"");
        text.lines().filter(|line| line.contains(&label)).collect()
    };
    assert_eq!(rows("gone"), ["sunup_supervisor_up{service=\"gone\"} 0"]);
    let web = rows("web");
    for row in [
        "sunup_supervisor_up{service=\"web\"} 1",
        "sunup_service_up{service=\"web\"} 1",
        "sunup_service_ready{service=\"web\"} 1",
        "sunup_service_state{service=\"web\",state=\"run\"} 1",
    ] {
        assert!(web.contains(&row), "{web:?}");
    }
    for name in ["start_time_seconds", "memory_bytes", "cpu_seconds_total"] {
        assert!(web.iter().any(|row| row.contains(name)), "{name}: {web:?}");
    }
    assert!(text.ends_with("\n# EOF\n"));
    assert!(!printed(&scan, &["metrics", "web"]).contains("fails"));
    let nowhere = sv(&fixture.path("nowhere"), &["metrics"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
}

/// A full disk: the file of before must not be replaced by less.
#[test]
fn what_could_not_be_written_is_a_failure() {
    let fixture = Fixture::new(&[
        ("scan/web/log/main/current", "hello\n"),
        ("boot", "sunup-boot 1\n"),
    ]);
    let boot = fixture.path("boot");
    let boot = ["boot", boot.to_str().unwrap()];
    for args in [
        &["metrics"][..],
        &["list"],
        &["tree"],
        &["log", "web"],
        &["watch"],
        &boot,
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut sv = super::sv(&fixture.path("scan"), args);
        let output = sv.stdout(full.unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("could not be written"), "{args:?} {said}");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}
