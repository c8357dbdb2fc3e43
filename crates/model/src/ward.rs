//! One program that is looked after, as tini and dumb-init do: signals go on to it, ended
//! children are reaped, and its end is the end.
//!
//! The two differ in a few rules only, which are data ([`Rules`]): where a signal goes,
//! what becomes of it, and what happens around the end.

use crate::process::{Exit, Pid};

/// The highest signal that may be rewritten; those above are real-time signals.
pub const REWRITES_MAX: u8 = 31;

const HUP: u8 = 1;
const TERM: u8 = 15;
const CHLD: u8 = 17;
const CONT: u8 = 18;
const STOP: u8 = 19;
/// TSTP, TTIN and TTOU: what a terminal stops a job by.
const JOB_CONTROL: core::ops::RangeInclusive<u8> = 20..=22;

/// Exit codes that count as success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgiven([u128; 2]);

impl Forgiven {
    /// Adds a code.
    #[must_use]
    pub fn with(mut self, code: u8) -> Self {
        let [low, high] = &mut self.0;
        let half = if code < 128 { low } else { high };
        *half |= 1 << (code % 128);
        self
    }

    /// The exit code of whoever looked after a program that ended so: its own, or 128 and
    /// the signal. A core dump makes no difference; an end that nobody saw counts as KILL.
    pub fn code(self, exit: Exit) -> u8 {
        let code = match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) | Exit::Dumped(signal) => 128 | signal,
            Exit::Unknown => 128 + 9,
        };
        let [low, high] = self.0;
        let half = if code < 128 { low } else { high };
        if half >> (code % 128) & 1 == 1 {
            0
        } else {
            code
        }
    }
}

/// How a program is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of each signal up to [`REWRITES_MAX`]; 0: it is dropped.
    rewrites: [u8; REWRITES_MAX as usize + 1],
    /// Whoever looks after the program stops itself, too, by a signal of job control.
    pub suspends: bool,
    /// What is left of the program's group gets TERM when the program has ended.
    pub farewell: bool,
    /// Exit codes that count as 0.
    pub forgiven: Forgiven,
}

impl Default for Rules {
    /// Tini's: each signal goes on as it is.
    fn default() -> Self {
        Self {
            rewrites: core::array::from_fn(|signal| signal as u8),
            suspends: false,
            farewell: false,
            forgiven: Forgiven::default(),
        }
    }
}

impl Rules {
    /// Dumb-init's. With a session of its own (`setsid`), the program is in an orphaned
    /// process group, which the kernel does not stop by the signals of a terminal: STOP
    /// takes their place.
    pub fn of_dumb_init(setsid: bool) -> Self {
        let mut rules = Self {
            suspends: true,
            farewell: true,
            ..Self::default()
        };
        for signal in JOB_CONTROL.filter(|_| setsid) {
            rules.rewrite(signal, STOP);
        }
        rules
    }

    /// The signal that goes on in the place of this one.
    pub fn goes_on_as(&self, signal: u8) -> u8 {
        let rewritten = self.rewrites.get(usize::from(signal));
        rewritten.copied().unwrap_or(signal)
    }

    /// From now on `to` goes on in the place of `from`; 0: nothing. A real-time signal
    /// cannot be rewritten.
    pub fn rewrite(&mut self, from: u8, to: u8) {
        if let Some(place) = self.rewrites.get_mut(usize::from(from)) {
            *place = to;
        }
    }
}

/// Reads `OLD:NEW`, numbers or names of signals: what becomes of a signal. NEW may be 0.
pub fn rewrite(text: &[u8]) -> Option<(u8, u8)> {
    let at = text.iter().position(|b| *b == b':')?;
    let (from, to) = (text.get(..at)?, text.get(at + 1..)?);
    let from = signal(from).filter(|from| *from > 0)?;
    Some((from, signal(to)?))
}

fn signal(text: &[u8]) -> Option<u8> {
    crate::signal_names::number(text).or_else(|| {
        let number: u8 = core::str::from_utf8(text).ok()?.parse().ok()?;
        (number <= REWRITES_MAX).then_some(number)
    })
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal came.
    Signal(u8),
    /// A child ended and was reaped, the program or a process that it left.
    Ended(Pid, Exit),
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Send this signal on, to the program or its group.
    pub pass: Option<u8>,
    /// Stop itself until CONT comes.
    pub suspend: bool,
    /// End with this code.
    pub leave: Option<u8>,
}

/// A program that is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ward {
    rules: Rules,
    program: Pid,
    /// HUP and CONT, which the kernel sends because the terminal was given up, are still
    /// to come, each once.
    hup_is_due: bool,
    cont_is_due: bool,
}

impl Ward {
    /// The program runs. `gave_terminal_up`: as the leader of its session.
    pub const fn new(rules: Rules, program: Pid, gave_terminal_up: bool) -> Self {
        Self {
            rules,
            program,
            hup_is_due: gave_terminal_up,
            cont_is_due: gave_terminal_up,
        }
    }

    /// The rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes an event; see the module.
    #[must_use]
    pub fn step(mut self, event: Event) -> (Self, Reply) {
        let reply = match event {
            Event::Signal(HUP) if core::mem::take(&mut self.hup_is_due) => Reply::default(),
            Event::Signal(CONT) if core::mem::take(&mut self.cont_is_due) => Reply::default(),
            // Reaping follows, and brings `Ended`.
            Event::Signal(CHLD) => Reply::default(),
            Event::Signal(signal) => Reply {
                pass: self.passes(signal),
                suspend: self.rules.suspends && JOB_CONTROL.contains(&signal),
                leave: None,
            },
            Event::Ended(pid, exit) if pid == self.program => Reply {
                pass: self
                    .rules
                    .farewell
                    .then_some(TERM)
                    .and_then(|s| self.passes(s)),
                suspend: false,
                leave: Some(self.rules.forgiven.code(exit)),
            },
            Event::Ended(..) => Reply::default(),
        };
        (self, reply)
    }

    fn passes(&self, signal: u8) -> Option<u8> {
        Some(self.rules.goes_on_as(signal)).filter(|signal| *signal > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Pid = 7;

    fn reply(rules: Rules, event: Event) -> Reply {
        Ward::new(rules, PROGRAM, false).step(event).1
    }

    /// Every signal under every set of rules that the two programs can have.
    #[test]
    fn signals_go_on_once_and_chld_does_not() {
        let apart = Rules::of_dumb_init(true);
        for rules in [Rules::default(), apart, Rules::of_dumb_init(false)] {
            for signal in 1..=64 {
                let is_job_control = JOB_CONTROL.contains(&signal);
                let expected = match signal {
                    CHLD => None,
                    _ if is_job_control && rules == apart => Some(STOP),
                    _ => Some(signal),
                };
                let got = reply(rules, Event::Signal(signal));
                assert_eq!(got.pass, expected, "{signal}");
                assert_eq!(got.suspend, is_job_control && rules.suspends);
                assert_eq!(got.leave, None);
            }
        }
    }

    #[test]
    fn a_rewritten_signal_goes_on_as_another_or_not_at_all() {
        for from in (1..=REWRITES_MAX).filter(|from| *from != CHLD) {
            for to in 0..=REWRITES_MAX {
                let mut rules = Rules::of_dumb_init(true);
                rules.rewrite(from, to);
                let got = reply(rules, Event::Signal(from));
                assert_eq!(got.pass, (to > 0).then_some(to));
                // Even one that is rewritten stops dumb-init itself.
                assert_eq!(got.suspend, JOB_CONTROL.contains(&from));
            }
        }
        let mut rules = Rules::default();
        rules.rewrite(40, 1);
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn the_end_of_the_program_is_the_end_with_its_code() {
        for raw in 0..=0xffff {
            let exit = Exit::of_status(raw);
            let expected = match exit.signal() {
                Some(signal) => 128 + signal,
                None => (raw >> 8) as u8,
            };
            let end = Event::Ended(PROGRAM, exit);
            assert_eq!(reply(Rules::default(), end).leave, Some(expected));
            assert_eq!(reply(Rules::default(), end).pass, None);
            assert_eq!(reply(Rules::of_dumb_init(false), end).pass, Some(TERM));
            let other = Event::Ended(PROGRAM + 1, exit);
            assert_eq!(reply(Rules::of_dumb_init(true), other), Reply::default());
        }
        // The farewell is rewritten as any TERM.
        let mut rules = Rules::of_dumb_init(true);
        rules.rewrite(TERM, 0);
        let end = Event::Ended(PROGRAM, Exit::Code(3));
        assert_eq!(
            (reply(rules, end).pass, reply(rules, end).leave),
            (None, Some(3))
        );
    }

    #[test]
    fn forgiven_codes_count_as_success_and_no_others() {
        for forgiven in 0..=255 {
            let codes = Forgiven::default().with(forgiven);
            for code in 0..=255 {
                let expected = if code == forgiven { 0 } else { code };
                assert_eq!(codes.code(Exit::Code(code)), expected);
            }
        }
        let codes = Forgiven::default().with(143).with(1);
        assert_eq!(codes.code(Exit::Signal(TERM)), 0);
        assert_eq!(codes.code(Exit::Dumped(11)), 139);
        assert_eq!(codes.code(Exit::Code(1)), 0);
        assert_eq!(codes.code(Exit::Unknown), 137);
    }

    #[test]
    fn the_signals_of_a_terminal_that_was_given_up_are_swallowed_once() {
        let mut ward = Ward::new(Rules::of_dumb_init(true), PROGRAM, true);
        for signal in [HUP, CONT] {
            let (next, first) = ward.step(Event::Signal(signal));
            assert_eq!(first, Reply::default());
            let (next, second) = next.step(Event::Signal(signal));
            assert_eq!(second.pass, Some(signal));
            ward = next;
        }
    }

    #[test]
    fn rewrites_are_read() {
        assert_eq!(rewrite(b"15:3"), Some((15, 3)));
        assert_eq!(rewrite(b"TERM:SIGQUIT"), Some((15, 3)));
        assert_eq!(rewrite(b"1:0"), Some((1, 0)));
        for wrong in [
            "",
            ":",
            "15",
            "15:",
            ":3",
            "0:1",
            "32:1",
            "1:32",
            "15::12",
            "herp:derp",
            "15:-1",
        ] {
            assert_eq!(rewrite(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
