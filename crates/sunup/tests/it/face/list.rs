//! `sv list`, and `sv status` of all.

use super::super::common::{Fixture, running, status};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv, text};

#[test]
fn all_services_are_listed_and_no_template_file_or_hidden_one() {
    let fixture = Fixture::new(&[
        ("scan/web/run", "#!/bin/sh\nexec sleep 1000\n"),
        ("scan/ftp/run", "#!/bin/sh\nexec sleep 1000\n"),
        ("scan/ftp/down", ""),
        ("scan/.hidden/run", ""),
        ("scan/file", ""),
        ("db/web/run", ""),
        ("db/irc/run", ""),
    ]);
    let scan = fixture.path("scan");
    assert_eq!(printed(&scan, &["list", "-n"]), "ftp\nweb\n");
    let _scanner = Runsvdir::start(&fixture);
    status(&scan.join("web"), "run", running);
    let of_all = printed(&scan, &["status"]);
    assert_eq!(of_all, printed(&scan, &["status", "ftp", "web"]));
    let lines: Vec<&str> = of_all.lines().map(|line| &line[..9]).collect();
    assert_eq!(lines, ["down: ftp", "run: web:"]);

    let mut all = sv(&scan, &["list", "-an"]);
    let all = all.env("SUNUP_DB", fixture.path("db")).output().unwrap();
    assert_eq!(text(&all), "ftp\nweb\nirc\n");
}

#[test]
fn each_mistake_is_told() {
    let fixture = Fixture::new(&[("scan/", "")]);
    for (scan, args, code, told) in [
        ("none", "list", 1, "none: No such file or directory"),
        ("none", "status", 1, "none: No such file or directory"),
        (
            "scan",
            "lits",
            100,
            "unknown command lits, did you mean list?",
        ),
        ("scan", "list -x", 100, "sv list: unknown option -x"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let output = sv(&fixture.path(scan), &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
}
