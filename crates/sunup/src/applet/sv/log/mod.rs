//! `sv log`: prints the last lines that services have logged, and follows their logs.
//!
//! `place` finds the log of a service, `source` reads it, `show` prints its lines, and
//! `follow` waits for more. What is decided is in `model::log`. However large a log is,
//! only its end is read, and no more of a line is kept than `LINE_BYTES_MAX`.

mod follow;
mod place;
mod show;
mod source;

use model::format::tai64n::Tai64n;
use model::log::backwards::Backwards;
use model::log::since::Since;
use model::options::{Opt, Order, Parsed, Spec};

use super::super::usage_error;
use super::directories::enabled;
use super::verb::{Call, Operands, Verb};
use super::wait::raise_descriptor_limit;
use super::{FAILURES_MAX, say};
use crate::sys::local_time;
use place::Place;
use show::Show;
use source::Source;

/// The row of the table.
pub const VERB: Verb = Verb {
    word: "log",
    spec: &SPEC,
    operands: Operands::Services,
    run,
};

const SPEC: Spec = Spec {
    name: "sv log",
    synopsis: "[-fjru] [-n LINES] [-s TIME] [SERVICE...]",
    about: "print what services have logged, and follow it",
    options: &[
        Opt::flag(b'f', "print what is added, until Ctrl-C").long("follow"),
        Opt::flag(b'j', "a JSON object for each line").long("json"),
        Opt::valued(b'n', "LINES", "so many of the last lines (10)").long("lines"),
        Opt::flag(b'r', "print lines as they are in the log").long("raw"),
        Opt::valued(
            b's',
            "TIME",
            "lines since 10s, 5m, 1h, 2d ago, 18:00, a date",
        )
        .long("since"),
        Opt::flag(b'u', "times in UTC").long("utc"),
    ],
    order: Order::Permute,
    notes: "Without a SERVICE: all that have a log.",
    usage_code: 100,
};

/// Lines without -n and --since.
const LINES: u64 = 10;

/// Which lines are wanted.
struct Wanted {
    lines_max: Option<u64>,
    since: Option<Tai64n>,
}

fn run(call: &Call) -> u8 {
    let wanted = match wanted(call) {
        Ok(wanted) => wanted,
        Err(mistake) => return usage_error(&SPEC, &mistake),
    };
    let operands = &call.args.operands;
    let are_named = !operands.is_empty();
    let names = if are_named {
        Ok(operands.iter().map(|name| name.to_vec()).collect())
    } else {
        enabled()
    };
    let names = match names {
        Ok(names) => names,
        Err(mistake) => {
            say::line("sv", mistake);
            return 1;
        }
    };
    raise_descriptor_limit(names.len());
    let (mut sources, failed) = open(&names, are_named, &wanted);
    if sources.is_empty() {
        if !are_named {
            say::line(
                "sv",
                "no service here has a log; svlogd(8) says how to keep one",
            );
        }
        return failed.clamp(1, FAILURES_MAX) as u8;
    }
    let mut show = Show::new(call.args, names.len() > 1);
    let excess = wanted.lines_max.map(|max| {
        let found: u64 = sources.iter().map(|source| source.found).sum();
        found.saturating_sub(max)
    });
    show.skip(excess.unwrap_or(0));
    let follows = call.args.has(b'f');
    let all: Vec<usize> = (0..sources.len()).collect();
    if show.drain(&mut sources, &all, !follows) && follows {
        follow::run(&mut sources, &mut show);
    }
    failed.min(FAILURES_MAX) as u8
}

fn wanted(call: &Call) -> Result<Wanted, String> {
    let lines_max = call.args.value(b'n').map(|text| {
        let number = std::str::from_utf8(text).ok().and_then(|n| n.parse().ok());
        number.ok_or_else(|| format!("-n: {}: not a number of lines", text.escape_ascii()))
    });
    let since = call.args.value(b's').map(|text| {
        let since = Since::parse(text).ok_or_else(|| {
            let text = text.escape_ascii();
            format!("--since: {text}: say 10s, 5m, 1h, 2d, 18:00, or 2026-11-29 18:00")
        })?;
        let utc = call.args.has(b'u');
        let offset_s = |at| if utc { 0 } else { local_time::offset_s(at) };
        let moment = since.moment(local_time::unix_now(), offset_s);
        Ok::<_, String>(Tai64n::from_unix(moment, 0))
    });
    let since = since.transpose()?;
    let by_default = since.is_none().then_some(LINES);
    Ok(Wanted {
        lines_max: lines_max.transpose()?.or(by_default),
        since,
    })
}

/// Opens the logs of services, each once; says of those that were named why there is none.
/// Returns how many of these have none.
fn open(names: &[Vec<u8>], are_named: bool, wanted: &Wanted) -> (Vec<Source>, usize) {
    let (mut sources, mut failed) = (Vec::new(), 0);
    for (at, name) in names.iter().enumerate() {
        if are_named && names.iter().take(at).any(|other| other == name) {
            continue;
        }
        let shown = name.escape_ascii();
        match opened(name, wanted) {
            Ok(source) => {
                if let Some(remark) = source.remark() {
                    say::line("sv", format_args!("{shown}: {remark}"));
                }
                sources.push(source);
            }
            Err(Lack::Log | Lack::Service(_)) if !are_named => {}
            Err(lack) => {
                failed += 1;
                let why = match lack {
                    Lack::Log => place::lines_of(name),
                    Lack::Service(why) | Lack::Access(why) => why,
                };
                say::line("sv", format_args!("{shown}: {why}"));
            }
        }
    }
    (sources, failed)
}

/// Why there are no lines of a service.
enum Lack {
    /// There is no such service, such as where a link leads nowhere.
    Service(String),
    /// It keeps no log.
    Log,
    /// Its log cannot be read.
    Access(String),
}

fn opened(name: &[u8], wanted: &Wanted) -> Result<Source, Lack> {
    let dir = match place::find(name).map_err(Lack::Service)? {
        Place::Log(dir) => dir,
        Place::Other => return Err(Lack::Log),
    };
    let search = Backwards::new(wanted.lines_max.unwrap_or(u64::MAX), wanted.since);
    let source = Source::open(name, dir.clone(), search, wanted.since);
    source.map_err(|e| Lack::Access(format!("{}: {e}", dir.join("current").display())))
}

/// Prints the last lines of a service's log under a heading, if it can be read.
pub fn print_last(name: &[u8], lines: u64, args: &Parsed) {
    let wanted = Wanted {
        lines_max: Some(lines),
        since: None,
    };
    if let Ok(source) = opened(name, &wanted)
        && source.found > 0
    {
        say::print("  last lines of its log:\n");
        Show::new(args, false).drain(&mut [source], &[0], true);
    }
}
