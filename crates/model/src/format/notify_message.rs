//! A datagram that a service sends to NOTIFY_SOCKET (sd_notify(3)): lines `NAME=VALUE`, in
//! any order, which end in a newline, a return, or the end of the message. Of a name that
//! comes twice the first counts, as it does for systemd.
//!
//! What says something to a supervisor of ours is a [`Message`]; all else, such as
//! WATCHDOG=1, RELOADING=1 or MAINPID=77, is passed over in silence, because nobody can do
//! anything about it.

use alloc::vec::Vec;

use super::state::status_text::TEXT_BYTES_MAX;

/// The longest datagram (bytes), as for systemd. A longer one is passed over.
pub const BYTES_MAX: usize = 4096;

/// What a datagram says. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a line that was there, and they are independent"
)]
pub struct Message {
    /// READY=1: it has started.
    pub ready: bool,
    /// STOPPING=1: it has begun to stop.
    pub stopping: bool,
    /// EXTEND_TIMEOUT_USEC=: it asks for so much time from now on (ms, rounded up).
    pub extend_ms: Option<u64>,
    /// RESTART_RESET=1: its short lives of before do not count any more.
    pub restart_reset: bool,
    /// STATUS=: a line for people, as it was sent, of [`TEXT_BYTES_MAX`] at most; an empty one
    /// takes the last one back.
    pub status: Option<Vec<u8>>,
    /// BARRIER=1, which stands alone: whoever sent it waits until the descriptor that came
    /// with it is closed.
    pub barrier: bool,
}

impl Message {
    /// Whether there is something to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what was said later, so that many messages are one. What was said first is first
    /// for [`Message::ready`] and [`Message::stopping`]: who stops is not ready any more.
    pub fn then(&mut self, later: Self) {
        self.ready |= later.ready && !self.stopping;
        self.stopping |= later.stopping;
        self.extend_ms = later.extend_ms.or(self.extend_ms);
        self.restart_reset |= later.restart_reset;
        self.barrier |= later.barrier;
        if later.status.is_some() {
            self.status = later.status;
        }
    }
}

/// Reads a datagram. The default is the answer to one that says nothing, is too long, or has
/// a zero byte before its end.
pub fn decode(datagram: &[u8]) -> Message {
    let mut message = Message::default();
    let text = datagram.strip_suffix(b"\0").unwrap_or(datagram);
    if datagram.len() > BYTES_MAX || text.contains(&0) {
        return message;
    }
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let mut count = 0;
    for line in text.split(is_end).filter(|line| !line.is_empty()) {
        count += 1;
        match line {
            b"READY=1" => message.ready = true,
            b"STOPPING=1" => message.stopping = true,
            b"RESTART_RESET=1" => message.restart_reset = true,
            b"BARRIER=1" => message.barrier = true,
            _ => message.value(line),
        }
    }
    if message.barrier && count > 1 {
        return Message::default();
    }
    message
}

impl Message {
    /// Takes a line whose value matters.
    fn value(&mut self, line: &[u8]) {
        if let Some(text) = line.strip_prefix(b"STATUS=") {
            let kept = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
            self.status.get_or_insert_with(|| kept.into());
        } else if let Some(digits) = line.strip_prefix(b"EXTEND_TIMEOUT_USEC=")
            && self.extend_ms.is_none()
        {
            self.extend_ms = number(digits).map(|us| us.div_ceil(1000));
        }
    }
}

/// Digits alone; a number that is too large is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0_u64, |number, digit| {
            let more = u64::from(*digit - b'0');
            number.saturating_mul(10).saturating_add(more)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What systemd-notify(1) sends for its options, and what daemons are told to send by
    /// sd_notify(3).
    #[test]
    fn grammar_of_systemd_notify() {
        let ready = || Message {
            ready: true,
            ..Message::default()
        };
        let status = |text: &str| Message {
            status: Some(text.into()),
            ..Message::default()
        };
        let extend = |ms| Message {
            extend_ms: Some(ms),
            ..Message::default()
        };
        let stopping = Message {
            stopping: true,
            ..Message::default()
        };
        let reset = Message {
            restart_reset: true,
            ..Message::default()
        };
        let barrier = Message {
            barrier: true,
            ..Message::default()
        };
        let table: [(&str, Message); 29] = [
            ("READY=1", ready()),
            ("READY=1\n", ready()),
            ("READY=1\0", ready()),
            ("\n\nREADY=1\r\n", ready()),
            ("READY=1\nMAINPID=4711", ready()),
            ("MAINPID=4711\nREADY=1\nX_OURS=1", ready()),
            ("READY=0\nREADY=1", ready()),
            ("READY=0", Message::default()),
            ("READY=", Message::default()),
            ("READY=11", Message::default()),
            ("ready=1", Message::default()),
            (" READY=1", Message::default()),
            ("READY=1 ", Message::default()),
            ("STATUS=Processing requests", status("Processing requests")),
            ("STATUS=one\nSTATUS=two", status("one")),
            ("STATUS=\n", status("")),
            ("STATUS=a=b", status("a=b")),
            ("STATUS=Läuft…", status("Läuft…")),
            ("STOPPING=1", stopping),
            ("RELOADING=1\nMONOTONIC_USEC=123", Message::default()),
            ("WATCHDOG=1", Message::default()),
            ("WATCHDOG=trigger\nWATCHDOG_USEC=1", Message::default()),
            ("EXTEND_TIMEOUT_USEC=1500000", extend(1500)),
            ("EXTEND_TIMEOUT_USEC=1", extend(1)),
            (
                "EXTEND_TIMEOUT_USEC=99999999999999999999",
                extend(u64::MAX.div_ceil(1000)),
            ),
            (
                "EXTEND_TIMEOUT_USEC=+1\nEXTEND_TIMEOUT_USEC=1s",
                Message::default(),
            ),
            ("RESTART_RESET=1", reset),
            ("BARRIER=1\n", barrier),
            ("BARRIER=1\nREADY=1", Message::default()),
        ];
        for (text, message) in table {
            assert_eq!(decode(text.as_bytes()), message, "{text:?}");
        }
    }

    #[test]
    fn several_words_in_one_message() {
        let message = decode(b"READY=1\nSTATUS=up\nEXTEND_TIMEOUT_USEC=0\nFDSTORE=1");
        assert!(message.ready && !message.is_empty());
        assert_eq!(message.status.as_deref(), Some(&b"up"[..]));
        assert_eq!(message.extend_ms, Some(0));
        assert!(decode(b"FDSTORE=1\nFDNAME=x").is_empty());
    }

    #[test]
    fn what_is_too_long_or_holds_a_zero_says_nothing() {
        let mut long = b"READY=1\n".to_vec();
        long.resize(BYTES_MAX, b'X');
        assert!(decode(&long).ready);
        long.push(b'X');
        assert!(decode(&long).is_empty());
        assert!(decode(b"READY=1\0\0").is_empty());
        assert!(decode(b"\0READY=1").is_empty());
        assert!(decode(b"").is_empty());
    }

    #[test]
    fn a_status_has_a_bound() {
        let status = |text: &[u8]| decode(&[b"STATUS=", text].concat()).status.unwrap();
        assert_eq!(status(&[0xff; 300]), [0xff; TEXT_BYTES_MAX]);
        assert_eq!(status(b"\x1b[1m"), b"\x1b[1m");
    }

    #[test]
    fn many_messages_are_one() {
        let joined = |messages: &[&str]| {
            let mut all = Message::default();
            let each = messages.iter().map(|text| decode(text.as_bytes()));
            each.for_each(|message| all.then(message));
            all
        };
        let both = joined(&["READY=1", "STOPPING=1"]);
        assert!(both.ready && both.stopping);
        let stops = joined(&["STOPPING=1", "READY=1"]);
        assert!(!stops.ready && stops.stopping);
        let last = joined(&[
            "STATUS=one\nEXTEND_TIMEOUT_USEC=1000",
            "STATUS=two",
            "WATCHDOG=1",
        ]);
        assert_eq!(last.status.as_deref(), Some(&b"two"[..]));
        assert_eq!(last.extend_ms, Some(1));
        let rest = joined(&["BARRIER=1", "RESTART_RESET=1"]);
        assert!(rest.barrier && rest.restart_reset);
    }
}
