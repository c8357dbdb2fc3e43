//! The 20-byte record `supervise/status`, as runit's runsv writes it.
//!
//! Bytes 0-11 are the TAI64N time of the last change, 12-15 the pid (little endian, 0 for
//! none), 16 whether it is paused, 17 what is wanted (`u` or `d`), 18 whether TERM was sent,
//! 19 the phase (0 down, 1 run, 2 finish). This was checked against records that Debian's
//! runit wrote.

use super::tai64n::Tai64n;

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No process.
    Down,
    /// `./run` runs.
    Run,
    /// `./finish` runs.
    Finish,
}

/// The decoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// When the state last changed.
    pub changed: Tai64n,
    /// Pid of `./run` or `./finish`; 0 for none.
    pub pid: u32,
    /// The service was stopped with `sv pause`.
    pub paused: bool,
    /// The service is wanted up (else down or gone).
    pub want_up: bool,
    /// TERM was sent and the process has not ended yet.
    pub got_term: bool,
    /// What the service is doing.
    pub phase: Phase,
}

impl Status {
    /// The bytes of the record.
    pub fn encode(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..12].copy_from_slice(&self.changed.encode());
        out[12..16].copy_from_slice(&self.pid.to_le_bytes());
        out[16] = u8::from(self.paused);
        out[17] = if self.want_up { b'u' } else { b'd' };
        out[18] = u8::from(self.got_term);
        out[19] = match self.phase {
            Phase::Down => 0,
            Phase::Run => 1,
            Phase::Finish => 2,
        };
        out
    }

    /// Reads a record. `None`: runit never writes such a phase or such a want. As in runit's
    /// `sv`, any byte but 0 counts as true.
    pub fn decode(b: &[u8; 20]) -> Option<Self> {
        let mut label = [0; 12];
        label.copy_from_slice(&b[..12]);
        Some(Self {
            changed: Tai64n::decode(label),
            pid: u32::from_le_bytes([b[12], b[13], b[14], b[15]]),
            paused: b[16] != 0,
            want_up: match b[17] {
                b'u' => true,
                b'd' | 0 => false,
                _ => return None,
            },
            got_term: b[18] != 0,
            phase: match b[19] {
                0 => Phase::Down,
                1 => Phase::Run,
                2 => Phase::Finish,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_and_round_trip() {
        let s = Status {
            changed: Tai64n::from_unix(0, 1),
            pid: 0x0102_0304,
            paused: true,
            want_up: true,
            got_term: false,
            phase: Phase::Finish,
        };
        let bytes = s.encode();
        assert_eq!(
            bytes,
            [
                0x40, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 1, 4, 3, 2, 1, 1, b'u', 0, 2
            ]
        );
        assert_eq!(Status::decode(&bytes), Some(s));
    }

    #[test]
    fn rejects_what_runit_never_writes() {
        let mut b = [0; 20];
        assert!(Status::decode(&b).is_some());
        b[19] = 3;
        assert!(Status::decode(&b).is_none());
        b[19] = 0;
        b[17] = b'x';
        assert!(Status::decode(&b).is_none());
    }
}
