//! Looks at many services in several processes.
//!
//! Asking takes about ten system calls for each service, and little else. So if there are
//! many services, several processes ask, each for a part of them; their lines wait in
//! pipes until the lines before them are printed. (Threads would do the same, and the
//! library for them would make the binary larger by a thirtieth.)

use std::io::{self, PipeReader, Read, Write};

use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, waitpid};

use super::output::Output;
use crate::sys::spawn;

/// For fewer services a process is not worth its start.
const PART_MIN: usize = 128;
/// More processes would slow each other down in the kernel.
const PARTS_MAX: usize = 4;
/// The end of a part: how many bytes come before, how many services failed (each little
/// endian), and the LSB code.
const SUM_BYTES: usize = 9;

/// The result of a report on services.
#[derive(Clone, Copy)]
pub struct Reported {
    /// For how many services, or their loggers, the status could not be read.
    pub failed: u32,
    /// Of the last service: 0 runs, 3 is down, 4 is not known.
    pub lsb_code: u8,
}

/// Reports on some services, in the order of their names.
pub type Ask<'a> = dyn Fn(&[&[u8]], &mut Output) -> Reported + 'a;

/// Services that another process asks.
struct Part<'n> {
    names: &'n [&'n [u8]],
    /// `None`: the kernel gave no process, or no pipe.
    asked: Option<(PipeReader, spawn::Pid)>,
}

/// Reports on all.
pub fn report(names: &[&[u8]], out: &mut Output, ask: &Ask) -> Reported {
    let (first, rest) = names.split_at(names.len().div_ceil(parts(names.len())));
    let rest = rest.chunks(first.len().max(1));
    let rest: Vec<_> = rest.map(|names| Part::ask(names, ask)).collect();
    let mut reported = ask(first, out);
    for part in rest {
        let last = part.report(out, ask);
        reported = Reported {
            failed: reported.failed + last.failed,
            ..last
        };
    }
    reported
}

/// How many processes share so many services.
fn parts(services: usize) -> usize {
    let most = (services / PART_MIN).clamp(1, PARTS_MAX);
    if most == 1 {
        return 1;
    }
    let processors = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    most.min(processors as usize).max(1)
}

impl<'n> Part<'n> {
    fn ask(names: &'n [&'n [u8]], ask: &Ask) -> Self {
        let asked = || {
            let (answers, mut to_answer) = io::pipe()?;
            let pid = spawn::fork(|| {
                // With sv itself gone, nobody would read the rest.
                let dies_too = set_parent_process_death_signal(Some(Signal::KILL));
                let mut out = Output::kept();
                let sum = ask(names, &mut out);
                // If there was a warning, sv asks again itself, so that warnings appear
                // in their place.
                let Some(lines) = out.into_lines().filter(|_| dies_too.is_ok()) else {
                    return 1;
                };
                u8::from(to_answer.write_all(&with_sum(lines, sum)).is_err())
            })?;
            io::Result::Ok((answers, pid))
        };
        Self {
            names,
            asked: asked().ok(),
        }
    }

    /// Prints what the process found out; if its answer is incomplete, asks again.
    fn report(self, out: &mut Output, ask: &Ask) -> Reported {
        let heard = self.asked.and_then(|(answers, pid)| hear(answers, pid));
        let Some((lines, sum)) = heard else {
            return ask(self.names, out);
        };
        out.say(&lines);
        sum
    }
}
/// The whole answer of a process; `None` if it is incomplete.
fn hear(mut answers: PipeReader, pid: spawn::Pid) -> Option<(Vec<u8>, Reported)> {
    let mut said = Vec::new();
    let whole = answers.read_to_end(&mut said);
    // The sum at the end shows whether the answer is complete, however the process ended.
    let _ended = waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::empty());
    whole.ok().and_then(|_| without_sum(said))
}

fn with_sum(mut lines: Vec<u8>, sum: Reported) -> Vec<u8> {
    let bytes = lines.len() as u32;
    lines.extend(bytes.to_le_bytes());
    lines.extend(sum.failed.to_le_bytes());
    lines.push(sum.lsb_code);
    lines
}

fn without_sum(mut said: Vec<u8>) -> Option<(Vec<u8>, Reported)> {
    let (lines, sum) = said.split_last_chunk::<SUM_BYTES>()?;
    let (bytes, sum) = sum.split_first_chunk()?;
    let (failed, lsb_code) = sum.split_first_chunk()?;
    let is_whole = u32::from_le_bytes(*bytes) == lines.len() as u32;
    let sum = Reported {
        failed: u32::from_le_bytes(*failed),
        lsb_code: *lsb_code.first()?,
    };
    said.truncate(lines.len());
    is_whole.then_some((said, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_says_is_whole_only_with_its_sum() {
        let sum = Reported {
            failed: 300,
            lsb_code: 3,
        };
        let said = with_sum(b"run: a\nfail: b\n".into(), sum);
        let (lines, sum) = without_sum(said.clone()).unwrap();
        assert_eq!(lines, b"run: a\nfail: b\n");
        assert_eq!((sum.failed, sum.lsb_code), (300, 3));
        for cut in 0..said.len() {
            assert!(without_sum(said[..cut].into()).is_none(), "{cut}");
        }
    }
}
