//! `sv list`, and `sv status` of all.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::super::common::{Fixture, SLEEP, running, status, wait_exit};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv, text};

#[test]
fn all_services_are_listed_and_no_template_file_or_hidden_one() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/ftp/run", SLEEP),
        ("scan/ftp/down", ""),
        ("scan/.hidden/run", ""),
        ("scan/file", ""),
        ("db/web/run", ""),
        ("db/irc/run", ""),
        ("other/irc/run", ""),
        ("other/apt/run", ""),
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
    let databases = ["db", "other"].map(|name| fixture.path(name));
    let databases = std::env::join_paths(databases).unwrap();
    let all = all.env("SUNUP_DB", databases).output().unwrap();
    assert_eq!(text(&all), "ftp\nweb\napt\nirc\n");
}

#[test]
fn the_table_shows_what_a_pattern_asks_for() {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/ftp/run", SLEEP),
        ("scan/ftp/down", ""),
        ("scan/fake/run", SLEEP),
    ]);
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    let pid = status(&scan.join("web"), "run", running).pid;
    status(&scan.join("fake"), "run", running);
    let shown = |args: &[&str]| -> Vec<Vec<String>> {
        let table = printed(&scan, args);
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        table.lines().map(cells).collect()
    };
    let table = shown(&["list"]);
    assert_eq!(
        table[0],
        ["SERVICE", "STATE", "PID", "AGE", "MEMORY", "NOTE"]
    );
    let names: Vec<&str> = table[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["fake", "ftp", "web"]);
    assert_eq!(table[2][1], "down");
    assert_eq!(table[3][1..3], ["run".to_owned(), pid.to_string()]);
    assert!(table[3][3].ends_with('s'), "{table:?}");
    assert!(table[3][4].ends_with(['K', 'M']), "{table:?}");
    assert_eq!(shown(&["list", "f*", "x"]).len(), 3);
    assert_eq!(printed(&scan, &["list", "[v-x]*", "-n"]), "web\n");

    let none = sv(&scan, &["list", "nothing"]).output().unwrap();
    assert_eq!((none.status.code(), text(&none)), (Some(1), String::new()));
    assert!(none.stderr.starts_with(b"sv: no service has such a name"));
}

#[test]
fn an_empty_directory_says_what_to_do_next() {
    let fixture = Fixture::new(&[("scan/", "")]);
    let scan = fixture.path("scan");
    for args in [&["list"][..], &["list", "-a"], &["list", "-j"]] {
        let output = sv(&scan, args).output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output)),
            (Some(0), String::new())
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(" has no service"), "{said}");
        assert_eq!(
            said.contains("`sv list -a`"),
            !args.contains(&"-a"),
            "{said}"
        );
    }
}

/// What a terminal of so many columns gets.
fn on_terminal(command: &mut Command, columns: u16) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = openpt(flags).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let terminal = File::options()
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut child = command.stdout(terminal).spawn().unwrap();
    // It holds the other end of the terminal, too.
    command.stdout(Stdio::null());
    let mut said = Vec::new();
    // The end of a terminal whose last user is gone is an error.
    drop(File::from(ours).read_to_end(&mut said));
    assert!(wait_exit(&mut child).success());
    String::from_utf8(said).unwrap()
}

#[test]
fn a_terminal_gets_colours_and_its_width() {
    let long = format!("scan/{}/run", "long".repeat(30));
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), (&long, SLEEP)]);
    let scan = fixture.path("scan");
    let shown = |columns, name: &str, value: &str| {
        let mut list = sv(&scan, &["list"]);
        list.env("TERM", "linux")
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS");
        on_terminal(list.env(name, value), columns)
    };
    let coloured = shown(60, "NO_COLOR", "");
    assert!(coloured.contains("\x1b[31mgone\x1b[0m"), "{coloured:?}");
    for (columns, name, value, width) in [
        (60, "NO_COLOR", "1", 60),
        (60, "TERM", "dumb", 60),
        // A serial line does not know its width.
        (0, "COLUMNS", "70", 70),
    ] {
        let plain = shown(columns, name, value);
        let plain = ["\x1b[1m", "\x1b[31m", "\x1b[0m"]
            .iter()
            .fold(plain, |plain, code| plain.replace(code, ""));
        let widest = plain.lines().map(str::len).max();
        assert!(
            widest <= Some(width) && widest > Some(width - 10),
            "{plain}"
        );
    }
    assert!(!shown(60, "NO_COLOR", "1").contains('\x1b'));
    assert!(!shown(60, "TERM", "dumb").contains('\x1b'));
    let mut piped = sv(&scan, &["list"]);
    let piped = text(&piped.env_remove("COLUMNS").output().unwrap());
    assert!(
        piped.contains(&"long".repeat(30)) && !piped.contains('\x1b'),
        "{piped}"
    );
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
