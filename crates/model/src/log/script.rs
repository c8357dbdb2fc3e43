//! Where a log service writes, by its `run` script: a modest reading of a shell script. It
//! looks for the last line that calls a logger it knows, and does no expansion.

use alloc::vec::Vec;

/// So much of a script is read, in bytes.
pub const BYTES_MAX: usize = 8192;

/// Loggers that keep a directory of files, and those of their options that have a value.
const FILES: [(&str, &str); 4] = [
    ("svlogd", "rRlb"),
    ("multilog", ""),
    ("s6-log", "dlv"),
    ("tinylog", "ks"),
];

/// Loggers that hand lines on, and to whom.
const OTHERS: [(&str, &str); 3] = [
    ("vlogger", "the syslog"),
    ("logger", "the syslog"),
    ("socklog", "socklog"),
];

/// What a log service does with the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logger {
    /// It keeps files in a directory, which is seen from the directory of the log service.
    Files(Vec<u8>),
    /// It hands them on: to whom, and the program that does.
    Others(&'static str, &'static str),
}

impl Logger {
    /// The logger of a program's name, if it is one that hands lines on.
    pub fn of_program(path: &[u8]) -> Option<Self> {
        let name = base_name(path);
        let known = OTHERS.iter().find(|(known, _)| known.as_bytes() == name);
        known.map(|(program, to)| Self::Others(to, program))
    }

    /// Reads a script.
    pub fn of_script(script: &[u8]) -> Option<Self> {
        let mut lines = script.to_vec();
        // A backslash joins lines.
        while let Some(at) = lines.windows(2).position(|pair| pair == b"\\\n") {
            lines.splice(at..at + 2, [b' ']);
        }
        let lines = lines.rsplit(|byte| *byte == b'\n');
        lines.map(words).find_map(|words| Self::of_words(&words))
    }

    fn of_words(words: &[Vec<u8>]) -> Option<Self> {
        for (at, word) in words.iter().enumerate() {
            let name = base_name(word);
            let keeps = FILES.iter().find(|(known, _)| known.as_bytes() == name);
            if let Some((program, valued)) = keeps {
                let arguments = words.get(at + 1..)?;
                return directory(program, valued, arguments).map(Self::Files);
            }
            let other = Self::of_program(word);
            if other.is_some() {
                return other;
            }
        }
        None
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    path.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// The words of a command, without quotes and comments.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let words = words.take_while(|word| !word.starts_with(b"#"));
    let plain = |word: &[u8]| {
        let bytes = word.iter().copied();
        bytes.filter(|byte| !b"\"';".contains(byte)).collect()
    };
    words.map(plain).collect()
}

/// The first directory among the arguments of a logger. multilog and s6-log have other
/// words before it, and their directories begin with a dot or a slash.
fn directory(program: &str, valued: &str, words: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_slice() {
            [b'-', letter] if valued.as_bytes().contains(letter) => drop(words.next()),
            [b'-', ..] => {}
            [b'.' | b'/', ..] => return literal(word),
            _ if program == "svlogd" => return literal(word),
            _ => {}
        }
    }
    None
}

/// `None`: only the shell knows it. Of all directories in one, the main one will do.
fn literal(word: &[u8]) -> Option<Vec<u8>> {
    let mut path = word.to_vec();
    if path.ends_with(b"/*") {
        path.pop();
        path.extend(b"main");
    }
    let is_plain = !path.is_empty() && !path.iter().any(|byte| b"$`*?|><&(".contains(byte));
    is_plain.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_logger() {
        let files = |dir: &str| Some(Logger::Files(dir.into()));
        let syslog = |program| Some(Logger::Others("the syslog", program));
        for (line, expected) in [
            ("exec svlogd -tt ./main", files("./main")),
            (
                "exec chpst -u log:adm svlogd -tt '/var/log/web'",
                files("/var/log/web"),
            ),
            ("exec svlogd -r _ -R xyz -l 100 -b1024 main", files("main")),
            (
                "exec /usr/bin/svlogd -t \"./main\" ./errors # both",
                files("./main"),
            ),
            (
                "exec svlogd \\\n  -tt \\\n  /var/log/x\n",
                files("/var/log/x"),
            ),
            (
                "exec svlogd -tt /var/log/socklog/*",
                files("/var/log/socklog/main"),
            ),
            ("exec svlogd -tt .", files(".")),
            (
                "exec setuidgid log multilog t s100000 n5 '-*' ./main",
                files("./main"),
            ),
            (
                "exec s6-log -d 3 n20 s1000 T /var/log/y",
                files("/var/log/y"),
            ),
            (
                "exec tinylog -k 9 -s 1000 -t /var/log/z",
                files("/var/log/z"),
            ),
            ("exec vlogger -t web -p daemon", syslog("vlogger")),
            ("exec logger -t web", syslog("logger")),
            ("mkdir -p x; exec svlogd -tt \"$DIR\"", None),
            ("exec svlogd -tt", None),
            ("# exec svlogd -tt ./main", None),
            ("exec cat", None),
            ("", None),
        ] {
            let script = alloc::format!("#!/bin/sh\n{line}");
            assert_eq!(Logger::of_script(script.as_bytes()), expected, "{line}");
        }
        let later = b"#!/bin/sh\n[ -d main ] || exec logger\nexec svlogd main\n";
        assert_eq!(Logger::of_script(later), files("main"));
        let socklog = Logger::of_program(b"/usr/bin/socklog");
        assert_eq!(socklog, Some(Logger::Others("socklog", "socklog")));
        assert_eq!(Logger::of_program(b"svlogd"), None);
    }
}
