//! A reader's machine, for pages that change /etc: the programs of this one, and an /etc,
//! /var and /run of its own, in namespaces. A shell waits there for commands.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Signal, geteuid};

use super::{Seen, is_look};
use crate::common::{Fixture, copy_program, debian, end_by, sunup, yield_until};

/// A line that no command prints.
const END: &str = "=== the command has ended ===";
/// Of /etc, what programs need.
const KEPT: &str = "passwd group shadow nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d \
    alternatives hosts";

/// The machine; all of it ends with it.
pub struct House {
    fixture: Fixture,
    shell: Child,
    to_shell: Option<ChildStdin>,
    from_shell: BufReader<ChildStdout>,
}

impl House {
    /// With sunup's programs in PATH, and a supervisor of /etc/service.
    pub fn new() -> Self {
        let mut house = Self::without_supervisor();
        house.prints("runsvdir -P /etc/service >/dev/null 2>&1 &");
        house
    }

    /// With sunup's programs in PATH, and Debian's runit at work on /etc/service.
    pub fn of_runit() -> Self {
        let mut house = Self::without_supervisor();
        house.fixture.add("runit/", "");
        for program in ["runsvdir", "runsv"] {
            let file = house.fixture.path("runit").join(program);
            copy_program(debian(program), file);
        }
        house.prints("PATH=/mnt/runit:$PATH runsvdir -P /etc/service >/dev/null 2>&1 &");
        house
    }

    /// With sunup's programs in PATH, and in the place of runit's in /usr/bin.
    pub fn without_supervisor() -> Self {
        let fixture = Fixture::new(&[("bin/", "")]);
        let list = Command::new(sunup()).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines() {
            symlink("sunup", fixture.path("bin").join(applet)).unwrap();
        }
        std::fs::copy(sunup(), fixture.path("bin/sunup")).unwrap();
        let mut command = Command::new("unshare");
        if !geteuid().is_root() {
            command.args(["--map-root-user", "--map-auto"]);
        }
        let mut shell = command
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                &build(&fixture),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut house = Self {
            to_shell: shell.stdin.take(),
            from_shell: BufReader::new(shell.stdout.take().unwrap()),
            shell,
            fixture,
        };
        house.prints("cd");
        house
    }

    /// Writes a file; one that begins with `#!` is made executable.
    pub fn write(&mut self, name: &str, content: &str) {
        let mode = if content.starts_with("#!") {
            "755"
        } else {
            "644"
        };
        let file = self.fixture.path("written");
        std::fs::write(&file, content).unwrap();
        let said = self.prints(&format!("install -D -m {mode} /mnt/written $(echo {name})"));
        assert_eq!(said, "");
    }

    /// What a command prints, errors included.
    pub fn prints(&mut self, command: &str) -> String {
        let to_shell = self.to_shell.as_mut().unwrap();
        writeln!(to_shell, "{{ {command}\n}} 2>&1; echo; echo '{END}'").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.from_shell.read_line(&mut line).unwrap();
            assert!(bytes > 0, "the shell has ended: {command}: {said}");
            if line.trim_end() == END {
                // The line that `echo` ended, if there was one.
                return said.strip_suffix('\n').unwrap_or(&said).to_owned();
            }
            said.push_str(&line);
        }
    }

    /// This is printed, now or soon.
    pub fn sees(&mut self, line: &str, expected: &str) {
        let mut seen = Seen {
            line,
            expected,
            printed: String::new(),
        };
        let command = without_end(line);
        let mut is_seen = || {
            seen.printed = self.prints(&command);
            seen.is_expected()
        };
        if is_look(line) {
            yield_until(|| is_seen().then_some(()));
        } else {
            assert!(is_seen(), "something else is printed");
        }
    }
}

/// A command that goes on until its reader has seen enough is ended.
fn without_end(line: &str) -> String {
    let goes_on = line.starts_with("sv log -f") || line.starts_with("sv watch ");
    if goes_on && !line.contains("--until") {
        format!("timeout 1 {line}")
    } else {
        line.to_owned()
    }
}

/// The script that makes the root directory and becomes the shell in it.
fn build(fixture: &Fixture) -> String {
    let root = fixture.path("root");
    let mut script = format!(
        "set -e; root={}; mkdir $root; mount -t tmpfs -o mode=755 none $root; cd $root\n\
         mkdir -p etc/sv etc/service usr opt/sunup mnt proc dev run var/log tmp root home\n\
         chmod 1777 tmp\n\
         mount --rbind /usr usr; mount --rbind /dev dev; mount -t proc none proc\n\
         mount --bind {} mnt; mount --bind {} opt/sunup\n",
        root.display(),
        fixture.path("").display(),
        fixture.path("bin").display(),
    );
    for dir in ["bin", "sbin", "lib", "lib64"] {
        let _ = writeln!(
            script,
            "if test -L /{dir}; then cp -d /{dir} .; \
             elif test -d /{dir}; then mkdir {dir}; mount --rbind /{dir} {dir}; fi"
        );
    }
    let _ = writeln!(
        script,
        "for program in chpst runsv runsvdir sv svlogd; do \
         test ! -e usr/bin/$program || mount --bind opt/sunup/sunup usr/bin/$program; done"
    );
    let _ = writeln!(
        script,
        "for file in {KEPT}; do test ! -e /etc/$file || cp -a /etc/$file etc; done\n\
         exec env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 PATH=/opt/sunup:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
         chroot . sh"
    );
    script
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.to_shell.take());
        end_by(&mut self.shell, Signal::KILL);
    }
}
