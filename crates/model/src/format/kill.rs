//! `DIR/kill`: one word, which says what is stopped with a service.

use alloc::format;

use super::{Mistake, words};

/// What is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kill {
    /// The process that the supervisor started.
    #[default]
    Process,
    /// Its process group, too.
    Group,
}

/// The word.
///
/// # Errors
/// There is none, another one, or more than one.
pub fn decode(content: &[u8]) -> Result<Kill, Mistake> {
    let mut words = words(content);
    let word = words.next();
    let (line, reason) = match (word, words.next()) {
        (None, _) => (1, "empty, where process or group belongs".into()),
        (Some((_, b"process")), None) => return Ok(Kill::Process),
        (Some((_, b"group")), None) => return Ok(Kill::Group),
        (Some((_, b"process" | b"group")), Some((line, word))) | (Some((line, word)), _) => {
            let word = word.escape_ascii();
            (line, format!("{word}: not the one word process or group"))
        }
    };
    Err(Mistake { line, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        assert_eq!(decode(b"process\n"), Ok(Kill::Process));
        assert_eq!(decode(b"\n group "), Ok(Kill::Group));
    }

    /// A script by that name, which is somebody's own, is none of ours.
    #[test]
    fn mistakes_name_line_and_reason() {
        for (content, line, reason) in [
            (&b"\n"[..], 1, "empty, where process or group belongs"),
            (
                b"#!/bin/sh\nkill\n",
                1,
                "#!/bin/sh: not the one word process or group",
            ),
            (
                b"group\nprocess\n",
                2,
                "process: not the one word process or group",
            ),
            (b"Group", 1, "Group: not the one word process or group"),
            (b"\xff", 1, "\\xff: not the one word process or group"),
        ] {
            let reason = reason.into();
            assert_eq!(decode(content), Err(Mistake { line, reason }));
        }
    }
}
