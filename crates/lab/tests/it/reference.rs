//! The busybox that sunup is compared with, and sunup built to be its like.

use std::process::Command;

use lab::{reference, workspace};

#[test]
fn the_reference_has_the_applets_that_sunup_stands_in_for() {
    let dir = reference::busybox().unwrap();
    let applets = [
        "chpst",
        "envdir",
        "envuidgid",
        "getty",
        "halt",
        "init",
        "mdev",
        "poweroff",
        "reboot",
        "runsv",
        "runsvdir",
        "setuidgid",
        "softlimit",
        "sv",
        "svc",
        "svlogd",
        "svok",
    ];
    for applet in applets {
        let output = Command::new(dir.join(applet))
            .arg("--help")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("BusyBox v"), "{applet}: {text}");
        assert!(text.contains(&format!("\nUsage: {applet}")), "{text}");
    }
    assert_eq!(reference::busybox().unwrap(), dir, "it is made once");
}

#[test]
fn built_with_the_feature_sunup_is_busybox_by_any_name() {
    // A place of its own: the feature must not get into what other tests run.
    let target = workspace::scratch().unwrap().join("feature");
    let status = workspace::cargo()
        .args([
            "run",
            "--package=sunup",
            "--features=busybox",
            // It runs once, for a moment: what is compiled for speed and for debuggers takes
            // longer.
            "--config=profile.dev.debug=false",
            "--config=profile.dev.incremental=false",
            "--config=profile.dev.package.model.opt-level=0",
            "--target-dir",
        ])
        .arg(&target)
        .args(["--", "sv", "status", "./no-such-service"])
        .output()
        .unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    assert_eq!(
        said,
        "fail: ./no-such-service: can't change to service directory: No such file or directory\n",
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
}
