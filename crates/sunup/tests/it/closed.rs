//! Closed descriptors 0 to 2, as a script leaves them (`<&-`) or a parent that tidies up.

use std::fs;
use std::process::{Command, Stdio};

use super::common::Fixture;

/// A /dev in which the console has something to read, and null is the machine's.
const ENTER: &str = "
    mount --bind /dev/null dev/null
    mount --rbind dev /dev
";

/// Runs a script as root of namespaces of its own.
fn run(fixture: &Fixture, script: &str) -> String {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args(["sh", "-ec", &format!("{ENTER}{script}")])
        .env("BIN", fixture.path("bin"))
        .current_dir(fixture.path("."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn machine(applet: &str) -> Fixture {
    let fixture = Fixture::new(&[
        ("dev/console", "typed on the console\n"),
        ("dev/null", ""),
        ("log/", ""),
    ]);
    fixture.applet(applet);
    fixture
}

#[test]
fn nobody_reads_the_console_instead() {
    let fixture = machine("svlogd");
    run(&fixture, "\"$BIN/svlogd\" log <&- >&- 2>&-");
    let logged = fs::read_to_string(fixture.path("log/current")).unwrap();
    assert_eq!(logged, "");
}

#[test]
fn no_program_gets_the_console_instead() {
    let fixture = machine("chpst");
    let script = "\"$BIN/chpst\" sh -c 'readlink /proc/$$/fd/0 || :; echo done' <&-";
    let said = run(&fixture, script);
    assert!(!said.contains("console"), "{said}");
    assert!(said.ends_with("done\n"), "{said}");
}
