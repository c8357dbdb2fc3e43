//! Limits of resources, and nice levels.

use super::super::common::Fixture;
use super::{is_root, same, same_in, tested};

#[test]
fn nice_levels() {
    let (start, _) = same(&["nice"]);
    let start: i32 = start.trim().parse().unwrap();
    for inc in ["5", "+5"] {
        let (level, _) = same(&["-n", inc, "nice"]);
        assert_eq!(level.trim().parse::<i32>().unwrap(), (start + 5).min(19));
    }
    assert_eq!(
        same(&["-n", "-1", "true"]).1,
        if is_root() { 0 } else { 111 }
    );
    assert_eq!(same(&["-n", "x", "true"]).1, 100);
    assert_eq!(same(&["-n", "5x", "true"]).1, 100);
}

const LIMITS: [&str; 4] = ["prlimit", "--output", "RESOURCE,SOFT,HARD", "--noheadings"];

#[test]
fn limits() {
    for options in [
        &["-m", "3000000000"][..],
        &["-d", "2000000000", "-o", "50", "-p", "3000", "-f", "50000"],
        &["-c", "7", "-r", "1234567", "-t", "9"],
        &["-d", "4000000000", "-m", "3000000000"],
        &["-m", "3000000000", "-d", "4000000000"],
        // Beyond the hard limit: as far as it goes.
        &["-o", "99999999999"],
        &["-o", "18446744073709551615"],
    ] {
        let args = [options, &LIMITS].concat();
        let (seen, code) = same(&args);
        assert_eq!(code, 0);
        assert_ne!(seen, "");
    }
    let (seen, _) = same(&[&["-o", "50"], &LIMITS[..]].concat());
    assert!(
        seen.lines()
            .any(|l| l.starts_with("NOFILE") && l.contains(" 50 ")),
        "{seen}"
    );
    for bad in ["x", "-1", "10t", "=1"] {
        assert_eq!(same(&["-o", bad, "true"]).1, 100, "{bad}");
    }
    // Debian's refuses it.
    let args = [&["-o", "1k"], &LIMITS[..]].concat();
    let seen = tested(&Fixture::new(&[]), &args).stdout;
    let seen = String::from_utf8(seen).unwrap();
    let line = seen.lines().find(|line| line.starts_with("NOFILE"));
    assert!(line.is_some_and(|line| line.contains(" 1024 ")), "{seen}");
    // Debian's makes 0 of it.
    let output = tested(&Fixture::new(&[]), &["-o", "18446744073709551616", "true"]);
    assert_eq!(output.status.code(), Some(100));
}

#[test]
fn softlimit_has_more_letters() {
    let fixture = Fixture::new(&[]);
    let options = "-a 2000000000 -c 1 -d 1900000000 -f 4000000 -l 5000 -p 3000 -r 7000000000 \
                   -s 8000000 -o 55 -t 9";
    let args: Vec<&str> = options.split_whitespace().chain(LIMITS).collect();
    let (seen, code) = same_in(&fixture, "softlimit", &args);
    assert_eq!(code, 0);
    assert!(
        seen.lines()
            .any(|l| l.starts_with("STACK") && l.contains(" 8000000 ")),
        "{seen}"
    );
    same_in(&fixture, "softlimit", &[&["-m", "="], &LIMITS[..]].concat());
    assert_eq!(
        same_in(&fixture, "softlimit", &["-u", "root", "true"]).1,
        100
    );
}
