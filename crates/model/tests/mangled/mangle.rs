//! Inputs made from good ones by cutting, doubling, swapping and overwriting bytes.
//! The same number makes the same input, always.

use std::ops::Range;

/// No input grows beyond this.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Numbers that look random and are the same on every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A part of something of this length, often a short one.
    fn part(&mut self, len: usize) -> Range<usize> {
        let start = self.below(len + 1);
        let longest = if self.below(2) == 0 { 8 } else { len };
        let end = start + self.below(longest + 1).min(len - start);
        start..end
    }
}

/// Bytes that mean something in one format or another.
const TELLING: &[u8] = b"\0\n\r\t :=;,.-+*#!@$%<>\\/[]{}()'\"0189afxXuUdD\x1b\x7f\x80\xc3\xff";
/// Words that break what takes them for a number, a name or a path.
const WORDS: [&[u8]; 12] = [
    b"-1",
    b"4294967296",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"00000000",
    b"ffffffff",
    b"../../..",
    b"/dev//",
    b"\xf0\x9f\x92\xa9",
    b"TRAILER!!!",
    b"=",
    b"\n\n",
];

/// One of the seeds, mangled.
pub fn mangle(dice: &mut Dice, seeds: &[&[u8]]) -> Vec<u8> {
    let mut bytes = dice.one_of(seeds).to_vec();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let part = dice.part(bytes.len());
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(part)),
            2 => bytes.insert(at, dice.one_of(TELLING)),
            3 => drop(bytes.splice(part, dice.one_of(&WORDS).iter().copied())),
            4 => {
                let doubled = bytes[part].to_vec();
                bytes.splice(at..at, doubled.repeat(1 + dice.below(40)));
            }
            5 => {
                let other = dice.one_of(seeds);
                let taken = dice.part(other.len());
                bytes.splice(part, other[taken].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = match dice.below(3) {
                        0 => dice.one_of(TELLING),
                        1 => *byte ^ (1 << dice.below(8)),
                        _ => dice.next() as u8,
                    };
                }
            }
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}
