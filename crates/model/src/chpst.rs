//! What the arguments of chpst and the tools of daemontools mean, and the files of an
//! environment directory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::format::account::id;

/// The account to become: `USER[:GROUP...]` or `:UID:GID...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account<'a> {
    /// Names to look up. Without groups, the user's own groups are meant.
    Named {
        /// The user.
        user: &'a [u8],
        /// The groups. The first one becomes the main group.
        groups: Vec<&'a [u8]>,
    },
    /// Numbers, which need not be looked up.
    Numbers(Identity),
}

/// Numbers of a user and its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The main group.
    pub gid: u32,
    /// All groups, the main one first.
    pub groups: Vec<u32>,
}

/// Parses an account.
///
/// # Errors
/// What is wrong, in one line.
pub fn account(text: &[u8]) -> Result<Account<'_>, String> {
    let mut parts = text.split(|b| *b == b':');
    let user = parts.next().unwrap_or_default();
    if text.is_empty() || parts.clone().any(<[u8]>::is_empty) {
        return Err(format!("{}: empty name", text.escape_ascii()));
    }
    if !user.is_empty() {
        let groups = parts.collect();
        return Ok(Account::Named { user, groups });
    }
    let numbers: Option<Vec<u32>> = parts.map(id).collect();
    match numbers.as_deref() {
        Some([uid, gid, others @ ..]) => Ok(Account::Numbers(Identity {
            uid: *uid,
            gid: *gid,
            groups: [&[*gid], others].concat(),
        })),
        Some(_) => Err(format!(
            "{}: a user's number needs a group's, as in :1000:1000",
            text.escape_ascii()
        )),
        None => Err(format!(
            "{}: after a leading colon, numbers from 0 to 4294967294 are expected",
            text.escape_ascii()
        )),
    }
}

/// A soft limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// This number, or the hard limit if that is lower.
    Value(u64),
    /// The hard limit, `=`.
    Hard,
}

impl Limit {
    /// A decimal number, perhaps with k, m or g for that power of 1024 behind it, or `=`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (digits, unit) = match text {
            b"=" => return Some(Self::Hard),
            [digits @ .., b'k'] => (digits, 1 << 10),
            [digits @ .., b'm'] => (digits, 1 << 20),
            [digits @ .., b'g'] => (digits, 1 << 30),
            digits => (digits, 1_u64),
        };
        // No sign.
        if !digits.first()?.is_ascii_digit() {
            return None;
        }
        let number: u64 = core::str::from_utf8(digits).ok()?.parse().ok()?;
        number.checked_mul(unit).map(Self::Value)
    }

    /// The soft limit below this hard limit. `None`: no limit at all.
    pub fn under(self, hard: Option<u64>) -> Option<u64> {
        match (self, hard) {
            (Self::Value(u64::MAX) | Self::Hard, hard) => hard,
            (Self::Value(value), Some(hard)) => Some(value.min(hard)),
            (Self::Value(value), None) => Some(value),
        }
    }
}

/// Reads an increment of the nice level: a decimal number, perhaps with a sign.
pub fn nice(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// How many bytes the value of a variable may have: the kernel limits name and value.
pub const VALUE_BYTES_MAX: usize = 128 * 1024;

/// The value that a file in an environment directory gives to its variable: the first line,
/// without blanks at its end, and with newlines for NUL. `None`: an empty file removes the
/// variable.
pub fn env_value(content: &[u8]) -> Option<Vec<u8>> {
    if content.is_empty() {
        return None;
    }
    let line = content.split(|b| *b == b'\n').next().unwrap_or_default();
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    let text = line.iter().take(end);
    Some(text.map(|b| if *b == 0 { b'\n' } else { *b }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn accounts_are_names_or_numbers() {
        let named = |user, groups| Ok(Account::Named { user, groups });
        assert_eq!(account(b"web"), named(b"web", vec![]));
        assert_eq!(account(b"web:a:b"), named(b"web", vec![b"a", b"b"]));
        // A number without a colon is a name.
        assert_eq!(account(b"33"), named(b"33", vec![]));
        let expected = Identity {
            uid: 1,
            gid: 2,
            groups: vec![2, 3],
        };
        assert_eq!(account(b":1:2:3"), Ok(Account::Numbers(expected)));
        for bad in [
            &b""[..],
            b":",
            b"::",
            b"web:",
            b"web::a",
            b":1",
            b":1:",
            b":1:x",
            b":4294967295:1",
        ] {
            assert!(account(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn limits_stay_below_the_hard_limit() {
        assert_eq!(Limit::parse(b"="), Some(Limit::Hard));
        for (text, value) in [
            ("10", 10),
            ("3k", 3 << 10),
            ("500m", 500 << 20),
            ("2g", 2 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(Limit::parse(text.as_bytes()), Some(Limit::Value(value)));
        }
        for bad in [
            &b""[..],
            b"+1",
            b"-1",
            b"k",
            b"10t",
            b"10kk",
            b"1 k",
            b"18014398509481984g",
            b"=1",
            b"18446744073709551616",
        ] {
            assert_eq!(Limit::parse(bad), None);
        }
        assert_eq!(Limit::Value(5).under(Some(7)), Some(5));
        assert_eq!(Limit::Value(9).under(Some(7)), Some(7));
        assert_eq!(Limit::Value(9).under(None), Some(9));
        assert_eq!(Limit::Value(u64::MAX).under(None), None);
        assert_eq!(Limit::Hard.under(Some(7)), Some(7));
    }

    #[test]
    fn nice_levels_have_signs() {
        assert_eq!(
            [&b"5"[..], b"+5", b"-5", b"5x", b""].map(nice),
            [Some(5), Some(5), Some(-5), None, None]
        );
    }

    #[test]
    fn the_first_line_is_the_value() {
        let value = |content: &[u8]| env_value(content).map(|v| v.escape_ascii().to_string());
        assert_eq!(value(b""), None);
        for (content, expected) in [
            (&b"\n"[..], ""),
            (b"plain", "plain"),
            (b"  two words \t \nmore", "  two words"),
            (b"x\0y\n", "x\\ny"),
            (b"z \0 \n", "z \\n"),
            (b" \t", ""),
        ] {
            assert_eq!(value(content).as_deref(), Some(expected));
        }
    }

    use alloc::string::ToString;
}
