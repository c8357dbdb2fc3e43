//! `DIR/owner`: whose a service is, `USER` or `USER:GROUP`: one word, by names or numbers.

use alloc::format;
use core::fmt::{self, Debug, Formatter};

use super::{Mistake, words};

/// The longest name (bytes) that useradd(8) makes.
pub const NAME_BYTES_MAX: usize = 32;

/// The name of a user or a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountName {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
}

impl AccountName {
    /// `None`: it is empty, too long, or has a byte that separates names or is not printed.
    pub fn new(name: &[u8]) -> Option<Self> {
        let is_sound = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'/');
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        let len = u8::try_from(name.len()).ok().filter(|len| *len > 0)?;
        name.iter().all(is_sound).then_some(Self { bytes, len })
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Debug for AccountName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// The decoded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The user.
    pub user: AccountName,
    /// The group.
    pub group: Option<AccountName>,
}

/// The names.
///
/// # Errors
/// It is not one word of one or two names.
pub fn decode(content: &[u8]) -> Result<Named, Mistake> {
    let mut words = words(content);
    let (line, word) = words.next().unwrap_or((1, b""));
    let odd = |line, word: &[u8]| {
        let reason = match word {
            b"" => "empty, where a user belongs".into(),
            word => format!(
                "{}: not the one word USER or USER:GROUP",
                word.escape_ascii()
            ),
        };
        Mistake { line, reason }
    };
    if let Some((line, second)) = words.next() {
        return Err(odd(line, second));
    }
    let mut parts = word.splitn(2, |byte| *byte == b':');
    let user = parts.next().and_then(AccountName::new);
    let group = parts.next().map(AccountName::new);
    match (user, group) {
        (Some(user), None) => Ok(Named { user, group: None }),
        (Some(user), Some(Some(group))) => Ok(Named {
            user,
            group: Some(group),
        }),
        _ => Err(odd(line, word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_user_and_perhaps_a_group() {
        for (content, user, group) in [
            (&b"dev"[..], "dev", None),
            (b"\n dev \n", "dev", None),
            (b"dev:staff\n", "dev", Some("staff")),
            (b"1000:1000", "1000", Some("1000")),
            (b"www-data:web_1.x$", "www-data", Some("web_1.x$")),
        ] {
            let named = decode(content).unwrap();
            let text = |name: &AccountName| String::from_utf8_lossy(name.as_bytes()).into_owned();
            assert_eq!(text(&named.user), user);
            assert_eq!(named.group.as_ref().map(text).as_deref(), group);
        }
        let longest = [b'x'; NAME_BYTES_MAX];
        assert!(decode(&longest).is_ok());
    }

    #[test]
    fn what_is_somebody_elses_is_refused() {
        let form = "not the one word USER or USER:GROUP";
        for (content, line, reason) in [
            (&b""[..], 1, String::from("empty, where a user belongs")),
            (b" \n\n", 1, "empty, where a user belongs".into()),
            (b"\ndev:", 2, format!("dev:: {form}")),
            (b":staff", 1, format!(":staff: {form}")),
            (b"a:b:c", 1, format!("a:b:c: {form}")),
            (b"#!/bin/sh\n", 1, format!("#!/bin/sh: {form}")),
            (b"John Doe", 1, format!("Doe: {form}")),
            (b"dev\nother\n", 2, format!("other: {form}")),
            (b"d\xc3\xa9v", 1, format!("d\\xc3\\xa9v: {form}")),
            (b"d\0v", 1, format!("d\\x00v: {form}")),
        ] {
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
        assert!(decode(&[b'x'; NAME_BYTES_MAX + 1]).is_err());
    }
}
