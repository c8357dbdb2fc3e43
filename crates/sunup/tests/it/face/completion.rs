//! `sunup --completion`, by a real bash.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::super::common::{Fixture, SLEEP, sunup};
use super::text;

fn fixture() -> Fixture {
    let fixture = Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/www/run", SLEEP),
        ("scan/getty@tty1/run", SLEEP),
        ("scan/getty@tty2/run", SLEEP),
        ("scan/$(touch bad)/run", SLEEP),
        ("scan/a b'c/run", SLEEP),
        ("scan/line\nfeed/run", SLEEP),
        ("db/irc/run", SLEEP),
        ("empty/", ""),
        ("bin/", ""),
    ]);
    symlink(sunup(), fixture.path("bin/sunup")).unwrap();
    let output = Command::new(sunup())
        .args(["--completion", "bash"])
        .output()
        .unwrap();
    fs::write(fixture.path("bash"), output.stdout).unwrap();
    fixture
}

/// What bash offers at the end of a command line: in place of what follows the last of its
/// word breaks.
fn offered(fixture: &Fixture, line: &str) -> Vec<String> {
    let script = ". ../bash; COMP_LINE=$1 COMP_POINT=${#1}; _sunup; \
                  for word in \"${COMPREPLY[@]}\"; do printf '%s\\n' \"$word\"; done";
    let path = std::env::var("PATH").unwrap();
    let bin = fixture.path("bin");
    let output = Command::new("bash")
        .args(["-c", script, "bash", line])
        .current_dir(fixture.path("empty"))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("SVDIR", fixture.path("scan"))
        .env("SUNUP_DB", fixture.path("db"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert_eq!(
        fs::read_dir(fixture.path("empty")).unwrap().count(),
        0,
        "{line}"
    );
    let mut words: Vec<String> = text(&output).lines().map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn what_may_stand_at_a_place() {
    let fixture = fixture();
    for (line, words) in [
        ("sv re", "ready reload reset restart"),
        ("sv restart w", "web www"),
        ("sv -w 5 restart web ww", "www"),
        ("/usr/bin/sv  restart  we", "web"),
        ("sunup sv st", "start status stop"),
        ("sv restart getty@tty", "tty1 tty2"),
        ("sv restart $", r"\$\(touch\ bad\)"),
        ("sv restart a", r"a\ b\'c"),
        (r"sv restart a\ b", r"a\ b\'c"),
        ("sv restart li", ""),
        ("sv start --", "--now"),
        ("sv stop -", "-r"),
        ("sv restart -", ""),
        ("sv list --", "--all --help --json --names"),
        ("sv log -n ", ""),
        ("sv log --lines ", ""),
        ("sv log --li", "--lines"),
        ("sv -", "--help -v -w"),
        ("sv enable i", "irc"),
        ("sv why i", ""),
        ("sunup sv", "sv svc svlogd svok"),
        ("sunup --compl", "--completion"),
        ("sunup --completion ", "bash fish zsh"),
        ("svlogd -", "--help -R -b -l -r -t -v"),
        ("svlogd -l -", ""),
        ("svlogd ", ""),
        ("nothing -", ""),
    ] {
        let expected: Vec<&str> = match words {
            r"a\ b\'c" | r"\$\(touch\ bad\)" => vec![words],
            words => words.split_whitespace().collect(),
        };
        assert_eq!(offered(&fixture, line), expected, "{line}");
    }
}

/// Those of zsh and fish are not run here; bash's is loaded by each test.
#[test]
fn each_shell_gets_a_script_for_all_names() {
    let names = Command::new(sunup()).arg("--list").output().unwrap();
    let names = text(&names).replace('\n', " ");
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(sunup())
            .args(["--completion", shell])
            .output()
            .unwrap();
        assert!(output.status.success());
        let script = text(&output);
        assert!(
            script.contains(&format!(" sunup {}", names.trim_end())),
            "{script}"
        );
        let is_used = script.contains("sunup --complete ");
        assert!(is_used && script.len() < 2000, "{script}");
    }
    let output = Command::new(sunup())
        .args(["--completion", "csh"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(100));
}
