//! The busybox that sunup is compared with.

use std::process::Command;

use lab::reference;

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
