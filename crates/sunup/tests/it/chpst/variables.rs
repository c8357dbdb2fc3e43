//! A directory of variables as the environment.

use std::fs;

use super::super::common::Fixture;
use super::{is_root, same, same_in, tested, text};

fn variables() -> Fixture {
    Fixture::new(&[
        ("env/PLAIN", "plain"),
        ("env/WORDS", "  two words \t \nsecond line\n"),
        ("env/NUL", "x\0y\n"),
        ("env/END", "z \0 \n"),
        ("env/HOME", ""),
        ("env/EMPTY", "\n"),
        ("env/.hidden", "hidden"),
        ("env/LONG", &"l".repeat(1000)),
        ("env/GONE -> /dev/null", ""),
    ])
}

#[test]
fn a_directory_of_variables() {
    let fixture = variables();
    let sorted = ["sh", "-c", "env -0 | sort -z"];
    let args = [&["-e", "env"], &sorted[..]].concat();
    let (seen, code) = same_in(&fixture, "chpst", &args);
    assert_eq!(code, 0);
    let has = |variable: &str| seen.split('\0').any(|v| v == variable);
    assert!(has("PLAIN=plain") && has("WORDS=  two words") && has("NUL=x\ny"));
    assert!(has("EMPTY=") && has("END=z \n"));
    assert!(!seen.contains("HOME=") && !seen.contains("hidden") && !seen.contains("GONE"));
    let alias = [&["env"], &sorted[..]].concat();
    assert_eq!(same_in(&fixture, "envdir", &alias).0, seen);
}

#[test]
fn the_program_is_looked_up_in_the_former_path() {
    let fixture = Fixture::new(&[("env/PATH", "/no/such/place")]);
    let (seen, code) = same_in(&fixture, "chpst", &["-e", "env", "env"]);
    assert!(code == 0 && seen.contains("PATH=/no/such/place\n"));
}

#[test]
fn what_is_no_variable_is_told_and_left_out() {
    let fixture = Fixture::new(&[("env/sub/", ""), ("env/A", "a")]);
    let args = ["-e", "env", "sh", "-c", "echo $A"];
    assert_eq!(same_in(&fixture, "chpst", &args), ("a\n".to_owned(), 0));
    let output = tested(&fixture, &args);
    let line = "chpst: env/sub: set a variable: not a file\n";
    assert_eq!(text(&output.stderr), line);
    let fixture = Fixture::new(&[("env/B=C", "b"), ("env/A", "a")]);
    let output = tested(&fixture, &["-e", "env", "env"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stdout).contains("B=C"));
    let line = "chpst: env/B=C: set a variable: its name holds a =\n";
    assert_eq!(text(&output.stderr), line);
}

#[test]
fn a_variable_that_cannot_be_read_stops_it() {
    let fixture = Fixture::new(&[("env/A -> nowhere", "")]);
    let output = tested(&fixture, &["-e", "env", "true"]);
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).starts_with("chpst: env/A: read: No such file"));
    let fixture = Fixture::new(&[("env/A", &"x".repeat(128 * 1024 + 1))]);
    let output = tested(&fixture, &["-e", "env", "true"]);
    assert!(text(&output.stderr).contains("its first line is longer than 131072 bytes"));
    assert_eq!(same(&["-e", "/no/such/dir", "true"]).1, 111);
    if !is_root() {
        let fixture = Fixture::new(&[("env/A", "a")]);
        let none = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        fs::set_permissions(fixture.path("env/A"), none).unwrap();
        assert_eq!(same_in(&fixture, "chpst", &["-e", "env", "true"]).1, 111);
    }
}
