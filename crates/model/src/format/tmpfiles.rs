//! tmpfiles.d(5): directories, files and links that a boot makes in places that are empty then.
//!
//! A line is `TYPE PATH [MODE [USER [GROUP [AGE [ARGUMENT]]]]]`; `-` stands for what is left
//! open. This is the part that services need: the types `d D e f F w L r R z`, and `v q Q` as
//! `d`, with `+` and `!`. `x` and `X` are about cleaning, which is no part of a boot. A line of
//! another type, with a specifier, or about another place, is passed over.

use alloc::string::String;
use alloc::vec::Vec;

use super::lines::each;
use super::{Mistake, octal_mode};

/// No more lines of a file are taken.
pub const LINES_MAX: usize = 4096;

/// Only what is at or below these is touched.
const PLACES: [&[u8]; 5] = [b"/run", b"/tmp", b"/var", b"/dev/shm", b"/dev/net"];
/// Here only files are written that are there.
const KERNELS: [&[u8]; 2] = [b"/sys", b"/proc"];

/// Below this a link leads to its own path, if it does not say where.
const FACTORY: &[u8] = b"/usr/share/factory";

/// What is done with the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory is made.
    Directory,
    /// It is made, and what is in it removed.
    EmptyDirectory,
    /// Directories that are there get mode and owner. The path may be a pattern.
    OldDirectory,
    /// A file is made where there is none, with the argument in it.
    File,
    /// A file is made, or emptied, with the argument in it.
    NewFile,
    /// The argument is written to files that are there. The path may be a pattern.
    Write,
    /// The argument is added to the end of files that are there.
    Append,
    /// A symbolic link to the argument is made where there is nothing.
    Link,
    /// It takes the place of whatever is there.
    NewLink,
    /// A file or an empty directory is removed. The path may be a pattern.
    Remove,
    /// All is removed, with what is in it. The path may be a pattern.
    RemoveAll,
    /// What is there gets mode and owner. The path may be a pattern.
    Adjust,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub line: usize,
    /// What is done.
    pub what: What,
    /// With what; absolute, without `..`.
    pub path: Vec<u8>,
    /// The mode, if it is set.
    pub mode: Option<u32>,
    /// The name or number of the owner, if it is set.
    pub user: Option<Vec<u8>>,
    /// That of the group.
    pub group: Option<Vec<u8>>,
    /// The argument.
    pub argument: Vec<u8>,
}

/// The lines of a file, what is wrong in it, and the numbers of lines that are passed over.
pub fn decode(text: &[u8]) -> (Vec<Line>, Vec<Mistake>, Vec<usize>) {
    let mut passed_over = Vec::new();
    let (lines, mistakes) = each(text, LINES_MAX, |text, number| {
        let read = line(text, number)?;
        if read == Read::PassedOver {
            passed_over.push(number);
        }
        Ok(read)
    });
    let lines = lines.into_iter().filter_map(|read| match read {
        Read::Line(line) => Some(line),
        _ => None,
    });
    (lines.collect(), mistakes, passed_over)
}

#[derive(PartialEq, Eq)]
enum Read {
    Line(Line),
    /// Nothing for a boot.
    Idle,
    PassedOver,
}

fn line(text: &[u8], number: usize) -> Result<Read, String> {
    let mut rest = text;
    let mut next = || field(&mut rest);
    let (Some(kind), Some(path)) = (next()?, next()?) else {
        return Err("a line has at least type and path".into());
    };
    let (mode, user, group, _age) = (next()?, next()?, next()?, next()?);
    let argument = match rest.trim_ascii() {
        b"-" => b"",
        argument => argument,
    };
    let Some((letter, signs)) = kind.split_first() else {
        return Ok(Read::PassedOver);
    };
    if b"xX".contains(letter) {
        return Ok(Read::Idle);
    }
    let what = what(*letter, signs.contains(&b'+'));
    let known = signs.iter().all(|sign| b"+!-=".contains(sign));
    let Some(what) = what.filter(|_| known) else {
        return Ok(Read::PassedOver);
    };
    if !path.starts_with(b"/") || path.split(|b| *b == b'/').any(|part| part == b"..") {
        return Err("not an absolute path".into());
    }
    if path.contains(&0) || argument.contains(&0) {
        return Err("a NUL".into());
    }
    let (Some(path), Some(argument)) = (specified(&path), specified(argument)) else {
        return Ok(Read::PassedOver);
    };
    if !is_ours(&path, what) {
        return Ok(Read::PassedOver);
    }
    let argument = match what {
        What::Link | What::NewLink if argument.is_empty() => [FACTORY, &path].concat(),
        _ => unescape(&argument),
    };
    let set = |field: Option<Vec<u8>>| field.filter(|field| field != b"-");
    let mode = match set(mode) {
        None => None,
        Some(text) => {
            // `~` and `:` say how it is combined with the old one, and are passed over.
            let signs = text.iter().take_while(|b| b"~:".contains(b)).count();
            let digits = text.get(signs..).unwrap_or_default();
            Some(octal_mode(digits).ok_or("the mode is no octal number")?)
        }
    };
    Ok(Read::Line(Line {
        line: number,
        what,
        path,
        mode,
        user: set(user),
        group: set(group),
        argument,
    }))
}

fn what(letter: u8, plus: bool) -> Option<What> {
    Some(match (letter, plus) {
        (b'd' | b'v' | b'q' | b'Q', _) => What::Directory,
        (b'D', _) => What::EmptyDirectory,
        (b'e', _) => What::OldDirectory,
        (b'f', false) => What::File,
        (b'f', true) | (b'F', _) => What::NewFile,
        (b'w', false) => What::Write,
        (b'w', true) => What::Append,
        (b'L', false) => What::Link,
        (b'L', true) => What::NewLink,
        (b'r', _) => What::Remove,
        (b'R', _) => What::RemoveAll,
        (b'z', _) => What::Adjust,
        _ => return None,
    })
}

fn is_ours(path: &[u8], what: What) -> bool {
    let is_below = |place: &[u8]| {
        path.strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    PLACES.iter().any(|place| is_below(place))
        || matches!(what, What::Write | What::Append) && KERNELS.iter().any(|place| is_below(place))
}

/// Takes the next field; it may stand in quotation marks.
fn field(rest: &mut &[u8]) -> Result<Option<Vec<u8>>, String> {
    let text = rest.trim_ascii_start();
    let (field, after) = match text.split_first() {
        None => return Ok(None),
        Some((quote @ (b'"' | b'\''), inner)) => {
            let end = inner.iter().position(|b| b == quote);
            let end = end.ok_or("a quotation mark without its fellow")?;
            let (field, after) = inner.split_at_checked(end).unwrap_or_default();
            (field, after.get(1..).unwrap_or_default())
        }
        Some(_) => {
            let end = text.iter().position(u8::is_ascii_whitespace);
            text.split_at_checked(end.unwrap_or(text.len()))
                .unwrap_or_default()
        }
    };
    *rest = after;
    Ok(Some(field.to_vec()))
}

/// `%%` is `%`. `None`: another specifier, which would need to be known.
fn specified(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' && bytes.next() != Some(&b'%') {
            return None;
        }
        out.push(*byte);
    }
    Some(out)
}

/// `\n`, `\t`, `\\` and the like.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, bytes.as_slice().first()) {
            (b'\\', Some(next)) => {
                bytes.next();
                match next {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    next => *next,
                }
            }
            (byte, _) => *byte,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(lines: &[Line]) -> Vec<(usize, What, &str)> {
        let path = |line| core::str::from_utf8(line).unwrap();
        lines
            .iter()
            .map(|l| (l.line, l.what, path(&l.path)))
            .collect()
    }

    /// As systemd and packages of Debian write it.
    #[test]
    fn files_of_distributions() {
        let text = b"#  This file is part of systemd.\n\
            D! /tmp/.X11-unix 1777 root root 10d\n\
            r! /tmp/.X[0-9]*-lock\n\
            d /run/lock 0755 root root -\n\
            L /var/lock - - - - ../run/lock\n\
            f /run/utmp 0664 root utmp -\n\
            d /run/sudo 0711 root root\n\
            R! /run/sudo/ts\n\
            v /var 0755\n\
            L+ \"/run/my link\" - - - - /etc/my\\x\n\
            x /var/tmp/systemd-private-%b-*\n\
            a+ /run/log/journal - - - - d:group:adm:r-x\n\
            d /run/user/%u 0700\n\
            C /etc/nsswitch.conf - - - -\n\
            d /home 0755\n\
            w /sys/power/state - - - - a%%b\n\
            F+ /run/motd 0644 7 - - one\\ntwo\n";
        let (lines, mistakes, passed_over) = decode(text);
        assert_eq!(mistakes, []);
        assert_eq!(
            paths(&lines),
            [
                (2, What::EmptyDirectory, "/tmp/.X11-unix"),
                (3, What::Remove, "/tmp/.X[0-9]*-lock"),
                (4, What::Directory, "/run/lock"),
                (5, What::Link, "/var/lock"),
                (6, What::File, "/run/utmp"),
                (7, What::Directory, "/run/sudo"),
                (8, What::RemoveAll, "/run/sudo/ts"),
                (9, What::Directory, "/var"),
                (10, What::NewLink, "/run/my link"),
                (16, What::Write, "/sys/power/state"),
                (17, What::NewFile, "/run/motd"),
            ]
        );
        assert_eq!(passed_over, [12, 13, 14, 15]);
        assert_eq!((lines[0].mode, lines[1].mode), (Some(0o1777), None));
        assert_eq!(lines[4].group.as_deref(), Some(&b"utmp"[..]));
        assert_eq!(lines[3].argument, b"../run/lock");
        assert_eq!(lines[9].argument, b"a%b");
        assert_eq!(
            (lines[10].user.as_deref(), &lines[10].argument[..]),
            (Some(&b"7"[..]), &b"one\ntwo"[..])
        );
    }

    #[test]
    fn an_argument_may_be_left_open() {
        let (lines, ..) = decode(b"f /run/a 0644 root root - -\nL /run/l\nL+ /run/m - - - - -\n");
        let arguments = lines.iter().map(|line| &line.argument[..]);
        let factory = |name: &str| alloc::format!("/usr/share/factory/run/{name}").into_bytes();
        assert!(arguments.eq([&b""[..], &factory("l"), &factory("m")]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (lines, mistakes, passed_over) =
            decode(b"d\nd run\nd /run/../etc\nd /run/a 08\nd \"/run/b\nd /run/c 99999\n");
        let told: Vec<usize> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!(
            (told, lines.len(), passed_over.len()),
            (alloc::vec![1, 2, 3, 4, 5, 6], 0, 0)
        );
    }
}
