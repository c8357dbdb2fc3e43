//! /etc/passwd and /etc/group (passwd(5), group(5)). Only the lines of the users and groups
//! that somebody asks for are checked; other lines may be broken.

use super::decimal;

/// A user's line of /etc/passwd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

/// What is wrong with the line of the user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the line, from 1.
    pub line: usize,
    /// The reason.
    pub reason: &'static str,
}

/// The first entry of the user in `passwd`, if there is one.
///
/// # Errors
/// The user's line is broken.
pub fn user(passwd: &[u8], name: &[u8]) -> Result<Option<User>, Fault> {
    let Some((line, mut fields)) = entry(passwd, name) else {
        return Ok(None);
    };
    let fault = |reason| Fault { line, reason };
    let uid = fields.next().and_then(id);
    let gid = fields.next().and_then(id);
    Ok(Some(User {
        uid: uid.ok_or(fault("the third field is not a user's number"))?,
        gid: gid.ok_or(fault("the fourth field is not a group's number"))?,
    }))
}

/// The number of the group in its first entry in `group`, if there is one.
///
/// # Errors
/// The group's line is broken.
pub fn group(group: &[u8], name: &[u8]) -> Result<Option<u32>, Fault> {
    let Some((line, mut fields)) = entry(group, name) else {
        return Ok(None);
    };
    let gid = fields.next().and_then(id);
    gid.map(Some).ok_or(Fault {
        line,
        reason: "the third field is not a group's number",
    })
}

/// The own group of the first user that has this number, if there is one.
pub fn own_group(passwd: &[u8], uid: u32) -> Option<u32> {
    let lines = passwd.split(|b| *b == b'\n');
    let mut users = lines.map(|line| line.split(|b| *b == b':').skip(2).map(id));
    users.find_map(|mut fields| {
        let is_user = fields.next()? == Some(uid);
        fields.next().filter(|_| is_user)?
    })
}

/// The number of the line that begins with `name`, and its fields from the third on.
fn entry<'a>(
    file: &'a [u8],
    name: &[u8],
) -> Option<(usize, impl Iterator<Item = &'a [u8]> + use<'a>)> {
    file.split(|b| *b == b'\n')
        .zip(1..)
        .filter(|(line, _)| !name.is_empty() && line.starts_with(name))
        .map(|(line, number)| (number, line.split(|b| *b == b':')))
        .find_map(|(number, mut fields)| {
            (fields.next() == Some(name)).then(|| (number, fields.skip(1)))
        })
}

/// The number of a user or a group: decimal, and not the highest number, which means "none"
/// to the kernel.
pub fn id(text: &[u8]) -> Option<u32> {
    decimal(text).filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"# comment\nroot:x:0:0:root:/root:/bin/sh\n+::::::\n\
        web:x:33:34::/:\nweb:x:1:1\nbad:x:abc:1\nworse:x:1\nalone";

    #[test]
    fn a_users_own_group_is_found_by_number() {
        assert_eq!(own_group(PASSWD, 33), Some(34));
        assert_eq!(own_group(PASSWD, 0), Some(0));
        assert_eq!(own_group(PASSWD, 2), None);
        assert_eq!(own_group(b"", 0), None);
    }

    #[test]
    fn users_are_found() {
        assert_eq!(user(PASSWD, b"root"), Ok(Some(User { uid: 0, gid: 0 })));
        assert_eq!(user(PASSWD, b"web"), Ok(Some(User { uid: 33, gid: 34 })));
        for nobody in [&b""[..], b"we", b"webb", b"root:x", b"# comment "] {
            assert_eq!(user(PASSWD, nobody), Ok(None));
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        let lines = [(&b"bad"[..], 6), (b"worse", 7), (b"alone", 8)];
        for (name, line) in lines {
            assert_eq!(user(PASSWD, name).unwrap_err().line, line);
        }
        assert_eq!(group(b"\nx:", b"x").unwrap_err().line, 2);
    }

    #[test]
    fn groups_are_found() {
        let file = b"root:x:0:\ntty:x:5:a,b\n";
        assert_eq!(group(file, b"tty"), Ok(Some(5)));
        assert_eq!(group(file, b"wheel"), Ok(None));
    }

    #[test]
    fn numbers_have_a_range() {
        assert_eq!(id(b"4294967294"), Some(u32::MAX - 1));
        for bad in [
            &b""[..],
            b"4294967295",
            b"99999999999",
            b"+1",
            b"-1",
            b" 1",
            b"1x",
        ] {
            assert_eq!(id(bad), None);
        }
    }
}
