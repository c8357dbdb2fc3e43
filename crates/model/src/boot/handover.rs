//! What a PID 1 that had to exec itself tells its successor: one line,
//! `WORD KEY=PID KEY=PID ... ACTION:TTY:COMMAND ACTION:TTY:COMMAND ...`.
//!
//! WORD is how the machine was to end, `single` on the way to single-user mode, `shell` in
//! it, or `run`. KEY names an entry that is to be kept running by its terminal and command,
//! so the line survives a change of the inittab. A boot that was under way is not taken up
//! again: sysinit does not run twice.
//!
//! The entries follow for a successor that cannot read the inittab: then they count as
//! they were. What is no plain letter in them is `%` and two digits. The kernel takes no
//! longer line than 128 KiB, so of a very long inittab the last entries are left out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use super::down::{Down, stage3};
use super::{Id, Job, Machine, Phase};
use crate::descent::Descent;
use crate::format::inittab::{Action, Entry};
use crate::pid1::{End, Signal};
use crate::process::Pid;
use crate::time::Instant;

/// A handover, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// The signal that took the machine down, if it was on its way.
    pub signal: Option<Signal>,
    /// Root's shell had the machine.
    pub is_single: bool,
    /// Which entry runs under which pid. The caller drops those that are not
    /// its children: they ended unseen.
    pub processes: Vec<(u64, Pid)>,
    /// The entries of the inittab, as the predecessor knew them.
    pub entries: Vec<Entry>,
}

/// At most so much of the line is entries (bytes).
pub const ENTRIES_BYTES_MAX: usize = 96 * 1024;

/// The word for the way to single-user mode.
const SINGLE: &str = "single";
/// The word for root's shell.
const SHELL: &str = "shell";

/// The word for each way down.
const WORDS: [(&str, Signal); 6] = [
    ("halt", Signal::Usr1),
    ("reboot", Signal::Term),
    ("poweroff", Signal::Usr2),
    ("kexec", Signal::Kexec),
    ("restart", Signal::Quit),
    (SINGLE, Signal::Single),
];

/// Reads a line; what cannot be read counts as nothing.
pub fn decode(text: &str) -> Handover {
    let mut words = text.split(' ');
    let entries = text.split(' ').filter_map(entry_of).collect();
    let word = words.next().unwrap_or_default();
    let signal = WORDS.iter().find(|(name, _)| *name == word);
    let process = |word: &str| {
        let (key, pid) = word.split_once('=')?;
        let pid: Pid = pid.parse().ok()?;
        Some((u64::from_str_radix(key, 16).ok()?, pid)).filter(|_| pid > 1)
    };
    Handover {
        signal: signal.map(|(_, signal)| *signal),
        is_single: word == SHELL,
        processes: words.filter_map(process).collect(),
        entries,
    }
}

/// An entry as a word, and back.
fn word_of(entry: &Entry) -> String {
    let name = entry.action.name();
    [name, &escaped(&entry.tty), &escaped(&entry.command)].join(":")
}

fn entry_of(word: &str) -> Option<Entry> {
    let (action, rest) = word.split_once(':')?;
    let (tty, command) = rest.split_once(':')?;
    Some(Entry {
        tty: plain(tty)?,
        action: Action::of_name(action)?,
        command: plain(command)?,
    })
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_graphic() && !b"%:=".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}

/// A NUL is in no command.
fn plain(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = Vec::from(parts.next()?);
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    Some(bytes).filter(|bytes| !bytes.contains(&0))
}

impl Machine {
    pub(super) fn line_for_a_successor(&self) -> String {
        let mut text = String::from(match &self.phase {
            Phase::Down(Some(fate), _) => fate.name(),
            Phase::Down(None, _) => SINGLE,
            Phase::Single => SHELL,
            Phase::Sysinit | Phase::Wait | Phase::Run => "run",
        });
        for slot in &self.slots {
            if let Job::Running { pid, .. } = slot.job {
                // Writing to a string cannot fail.
                let _ = write!(text, " {:x}={pid}", key(&slot.entry));
            }
        }
        let mut room = ENTRIES_BYTES_MAX;
        for slot in self.slots.iter().filter(|s| s.listed && !s.id.is_own()) {
            let word = word_of(&slot.entry);
            let Some(left) = room.checked_sub(word.len() + 1) else {
                break;
            };
            room = left;
            text.push(' ');
            text.push_str(&word);
        }
        text
    }

    /// A machine of which nothing is left but this end.
    pub fn ending(end: End) -> Self {
        let mut machine = Self::boot(Vec::new(), Duration::ZERO);
        machine.phase = Phase::Down(Some(end.into()), Down::Last(Descent::last()));
        machine
    }

    /// A machine that is up, or in single-user mode, and has these processes already.
    pub fn resume(entries: Vec<Entry>, grace: Duration, handover: &Handover, now: Instant) -> Self {
        let mut machine = Self::boot(Vec::new(), grace);
        machine.phase = Phase::Run;
        machine.list(entries);
        if handover.is_single {
            machine.be_single();
        }
        let is_single = handover.signal == Some(Signal::Single);
        let mut processes = handover.processes.clone();
        if let Some(slot) = machine.slot(Id::STAGE3) {
            slot.entry.command = stage3(is_single).to_vec();
        }
        for slot in &mut machine.slots {
            let key = key(&slot.entry);
            if let Some(at) = processes.iter().position(|(k, _)| *k == key) {
                let (_, pid) = processes.remove(at);
                slot.job = Job::Running { pid, since: now };
            }
        }
        machine
    }
}

/// FNV-1a of terminal and command.
fn key(entry: &Entry) -> u64 {
    let bytes = entry.tty.iter().chain(&[0]).chain(&entry.command);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
