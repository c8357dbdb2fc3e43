//! `sunup --completion`, by a real bash, zsh and fish.

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
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(sunup())
            .args(["--completion", shell])
            .output()
            .unwrap();
        fs::write(fixture.path(shell), output.stdout).unwrap();
    }
    fixture
}

/// Command lines, and the whole words that may stand at their end.
const WHOLE: [(&str, &[&str]); 19] = [
    ("sv re", &["ready", "reload", "reset", "restart"]),
    ("sv restart w", &["web", "www"]),
    ("sv -w 5 restart web ww", &["www"]),
    ("/usr/bin/sv  restart  we", &["web"]),
    ("echo sv; sv restart we", &["web"]),
    ("sunup sv st", &["start", "status", "stop"]),
    ("sv restart getty@tty", &["getty@tty1", "getty@tty2"]),
    (r"sv restart \$", &["$(touch bad)"]),
    ("sv restart a", &["a b'c"]),
    (r"sv restart a\ b", &["a b'c"]),
    ("sv restart \"a b", &["a b'c"]),
    ("sv restart li", &[]),
    ("sv start --", &["--now"]),
    ("sv log --li", &["--lines"]),
    ("sv enable ir", &["irc"]),
    ("sv why ir", &[]),
    ("sunup --compl", &["--completion"]),
    ("sunup --completion ", &["bash", "fish", "zsh"]),
    ("svlogd -", &["--help", "-R", "-b", "-l", "-r", "-t", "-v"]),
];

/// At its prompt, zsh enters each line of the file `lines`, completes it, and writes what came
/// of it: the line then, and what was offered.
const AT_THE_PROMPT: &str = r#"
PROMPT=
autoload -Uz compinit
compinit -u -D
. $ZDOTDIR/zsh
compadd() {
    builtin compadd -O these "$@"
    offered+=("${these[@]}")
    builtin compadd "$@"
}
zle-line-init() {
    local line
    IFS= read -r line <&3 || exit 0
    offered=() BUFFER=$line CURSOR=$#line
    zle complete-word
    print -r -- "$BUFFER${offered:+	}${(pj:\t:)offered}" >>$ZDOTDIR/out
    BUFFER=
    zle accept-line
}
zle -N zle-line-init
exec 3<$ZDOTDIR/lines
"#;

/// A shell with nothing of the workstation's around it.
fn alone(fixture: &Fixture, program: &str) -> Command {
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{}:{path}", fixture.path("bin").display()))
        .env("HOME", fixture.path("home"))
        .env("SHELL", "/bin/sh")
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .env("SVDIR", fixture.path("scan"))
        .env("SUNUP_DB", fixture.path("db"))
        .current_dir(fixture.path("empty"));
    command
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

/// On a terminal: nowhere else does it complete.
#[test]
fn by_zsh() {
    let fixture = fixture();
    let lines: Vec<&str> = WHOLE.iter().map(|(line, _)| *line).collect();
    fixture.add("lines", &(lines.join("\n") + "\n"));
    fixture.add(".zshrc", AT_THE_PROMPT);
    let mut terminal = alone(&fixture, "script")
        .args(["-qec", "exec zsh -d -i", "/dev/null"])
        .env("ZDOTDIR", fixture.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its end would be that of what is typed.
    let keyboard = terminal.stdin.take();
    let output = terminal.wait_with_output().unwrap();
    drop(keyboard);
    let told =
        fs::read_to_string(fixture.path("out")).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(told.lines().count(), WHOLE.len(), "{told}");
    for ((line, words), told) in WHOLE.iter().zip(told.lines()) {
        let mut offered: Vec<&str> = told.split('\t').collect();
        let entered = offered.remove(0);
        offered.sort_unstable();
        assert_eq!(offered, *words, "{line}");
        match *line {
            "sv restart a" => assert_eq!(entered, r"sv restart a\ b\'c "),
            r"sv restart \$" => assert_eq!(entered, r"sv restart \$\(touch\ bad\) "),
            _ => {}
        }
    }
    assert_eq!(fs::read_dir(fixture.path("empty")).unwrap().count(), 0);
}

/// Words are put in quotes by fish itself.
#[test]
fn by_fish() {
    let fixture = fixture();
    for (line, words) in WHOLE {
        let output = alone(&fixture, "fish")
            .args(["-c", "source ../fish; complete -C $argv[1]", line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let told = text(&output);
        let mut offered: Vec<&str> = told.lines().collect();
        offered.sort_unstable();
        assert_eq!(offered, words, "{line}");
    }
    assert_eq!(fs::read_dir(fixture.path("empty")).unwrap().count(), 0);
}

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
