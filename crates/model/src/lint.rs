//! What is wrong with a program of a service, by its first bytes, for `sv lint`.
//!
//! A finding is certain, or a hint that may be mistaken: then it is no error. Trees of others
//! hold all kinds of programs; what is not a script is not looked into.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::guess;

/// Something that `sv lint` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The service cannot work so; else it may be meant.
    pub is_error: bool,
    /// What it is, and what to do.
    pub text: String,
}

impl Finding {
    /// Something that cannot work.
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            is_error: true,
            text: text.into(),
        }
    }

    /// Something that is probably a mistake.
    pub fn hint(text: impl Into<String>) -> Self {
        Self {
            is_error: false,
            text: text.into(),
        }
    }
}

/// The interpreter of a script.
pub fn interpreter(head: &[u8]) -> Option<&[u8]> {
    let line = first_line(head.strip_prefix(b"#!")?).trim_ascii();
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .next()
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// What its first bytes show; the interpreter is not looked for. `is_whole`: there are no
/// more.
pub fn program(head: &[u8], is_whole: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if head.contains(&0) {
        return found;
    }
    if !head.starts_with(b"#!") {
        let what = if head.is_empty() {
            "empty"
        } else {
            "no program"
        };
        found.push(Finding::error(format!(
            "{what}: a script begins with a line such as #!/bin/sh"
        )));
        return found;
    }
    if first_line(head).ends_with(b"\r") {
        found.push(Finding::error(
            "the lines end as in DOS, and the kernel finds no such interpreter: remove each CR",
        ));
        return found;
    }
    match interpreter(head) {
        Some([b'/', ..]) => {}
        _ => found.push(Finding::error(
            "the first line names no interpreter by a whole path",
        )),
    }
    if is_whole {
        found.extend(leaves(head));
    }
    found
}

/// A script that ends while its service goes on.
fn leaves(script: &[u8]) -> Option<Finding> {
    let lines = script.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut commands = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let last = commands.next_back()?;
    if last.ends_with(b"&") && !last.ends_with(b"&&") {
        return Some(Finding::hint(
            "its last command goes to the background, and the run ends: leave out the &",
        ));
    }
    let mut words = last
        .split(u8::is_ascii_whitespace)
        .filter(|word| *word != b"exec");
    let program = words.next()?.rsplit(|byte| *byte == b'/').next()?;
    let leaves = match program {
        b"daemonize" => true,
        b"start-stop-daemon" => words.any(|word| matches!(word, b"-b" | b"--background")),
        _ => false,
    };
    leaves.then(|| {
        let program = program.escape_ascii().to_string();
        Finding::hint(program + " sends it to the background, and the run ends: leave it out")
    })
}

/// A name in a directory of names that no service has; `must`: its service waits for it.
pub fn unknown<'a>(
    name: &str,
    must: bool,
    known: impl Iterator<Item = &'a str>,
) -> Option<Finding> {
    let guess = if must {
        guess::nearest(name.as_bytes(), known)
    } else {
        // It may be one that is not on each machine. Names are alike soon.
        Some(guess::next(name.as_bytes(), known)?)
    };
    let meant = guess
        .map(|word| format!(", did you mean {}?", word.as_bytes().escape_ascii()))
        .unwrap_or_default();
    Some(Finding {
        is_error: must,
        text: format!("there is no service of this name{meant}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(head: &[u8]) -> String {
        let found = program(head, true);
        let words = found.into_iter().map(|found| {
            let mark = if found.is_error { "!" } else { "?" };
            let text: Vec<&str> = found.text.split(' ').take(4).collect();
            format!("{mark}{}", text.join(" "))
        });
        words.collect::<Vec<_>>().join(";")
    }

    #[test]
    fn a_program_is_a_script_or_binary() {
        for (head, expected) in [
            (&b"#!/bin/sh\nexec web\n"[..], ""),
            (b"#! /bin/sh -e\n", ""),
            (b"#!/usr/bin/env python3\n", ""),
            (b"\x7fELF\x02\x01\x01\0\0", ""),
            (b"\0asm", ""),
            (b"", "!empty: a script begins"),
            (b"exec web\n", "!no program: a script"),
            (b"\xef\xbb\xbf#!/bin/sh\n", "!no program: a script"),
            (b"\n#!/bin/sh\n", "!no program: a script"),
            (b"#!/bin/sh\r\nexec web\r\n", "!the lines end as"),
            (b"#!\n", "!the first line names"),
            (b"#!sh\n", "!the first line names"),
            (b"#!/bin/sh", ""),
        ] {
            assert_eq!(told(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn only_the_last_command_of_a_script_tells_where_it_goes() {
        for (script, expected) in [
            ("web &", "?its last command goes"),
            ("exec web -d&\n\n# the end &\n", "?its last command goes"),
            ("helper &\nexec web", ""),
            ("a &&\nexec web", ""),
            ("a \\\n&& b &&", ""),
            ("exec daemonize /bin/web", "?daemonize sends it to"),
            ("exec redis --daemonize no", ""),
            (
                "/sbin/start-stop-daemon -S -b -x web",
                "?start-stop-daemon sends it to",
            ),
            ("exec start-stop-daemon -S -x web", ""),
            ("exec", ""),
        ] {
            let script = format!("#!/bin/sh\n{script}");
            assert_eq!(told(script.as_bytes()), expected, "{script}");
        }
        // What is cut has no last command.
        assert_eq!(program(b"#!/bin/sh\nweb &", false), []);
    }

    #[test]
    fn a_name_that_nobody_has_matters_if_it_is_waited_for() {
        let known = || ["ntpd", "sshd"].into_iter();
        let text = "there is no service of this name";
        assert_eq!(unknown("net", true, known()), Some(Finding::error(text)));
        let meant = format!("{text}, did you mean ntpd?");
        assert_eq!(
            unknown("ntdp", true, known()),
            Some(Finding::error(&meant[..]))
        );
        assert_eq!(unknown("ntdp", false, known()), Some(Finding::hint(meant)));
        assert_eq!(unknown("net", false, known()), None);
        assert_eq!(unknown("sshdxy", false, known()), None);
    }
}
