//! `DIR/notify`: the service gets a socket for messages (sd_notify(3)), and words say which
//! of them count. An empty file means `ready`.

use alloc::format;

use super::{Mistake, words};

/// What the messages are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notify {
    /// `ready`: the service says when it is ready.
    pub ready: bool,
    /// `status`: the service says what it does.
    pub status: bool,
    /// `all`: any process may send them.
    pub all: bool,
}

/// The words.
///
/// # Errors
/// The first word that is none of the three.
pub fn decode(content: &[u8]) -> Result<Notify, Mistake> {
    let mut notify = Notify::default();
    for (line, word) in words(content) {
        match word {
            b"ready" => notify.ready = true,
            b"status" => notify.status = true,
            b"all" => notify.all = true,
            word => {
                let word = word.escape_ascii();
                let reason = format!("{word}: none of the words ready, status and all");
                return Err(Mistake { line, reason });
            }
        }
    }
    // `all` alone says of whom, and not what.
    notify.ready |= !notify.status;
    Ok(notify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_or_nothing() {
        for (content, ready, status, all) in [
            (&b""[..], true, false, false),
            (b"\n", true, false, false),
            (b"ready\n", true, false, false),
            (b"status", false, true, false),
            (b"all", true, false, true),
            (b"status ready\nall\n", true, true, true),
        ] {
            let notify = Notify { ready, status, all };
            assert_eq!(decode(content), Ok(notify), "{content:?}");
        }
    }

    #[test]
    fn mistakes_name_line_and_reason() {
        let known = "none of the words ready, status and all";
        for (content, line, word) in [
            (&b"ready\nfds"[..], 2, "fds"),
            (b"Ready", 1, "Ready"),
            (b"\xff", 1, "\\xff"),
        ] {
            let reason = format!("{word}: {known}");
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
    }
}
