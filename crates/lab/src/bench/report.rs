//! The outcome of a run: a table for people, all samples for programs, a chart.
//!
//! README.md and the screen have the same table. Cells are medians; the ratios
//! are what holds on another machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::chart;
use super::measures::{Target, What};
use super::peers::Name;
use super::results::Results;

/// Prints the table and writes README.md, bench.json and chart.svg into `dir`.
pub fn write(results: &Results, dir: &Path) -> Result<()> {
    let table = table(results);
    println!("{table}{}", notes(results));
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let json = serde_json::to_string(results).context("encode the samples")?;
    let files = [
        ("README.md", readme(results, &table)),
        ("bench.json", json + "\n"),
        ("chart.svg", chart::render(results)),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    println!(
        "README.md, bench.json and chart.svg are in {}",
        dir.display()
    );
    Ok(())
}

/// Another peer's best median, if there is another.
pub fn best_peer(results: &Results, what: What, n: usize) -> Option<f64> {
    let others = Name::all().filter(|name| !matches!(name, Name::Bare | Name::Sunup));
    let medians = others.filter_map(|name| results.median(what, n, name));
    medians.reduce(if what.more_is_better() {
        f64::max
    } else {
        f64::min
    })
}

/// Whether sunup reaches the target; `None` if what it takes to judge was not measured.
fn reached(results: &Results, what: What, n: usize, target: Target) -> Option<bool> {
    let median = |name| results.median(what, n, name);
    let own = median(Name::Sunup)?;
    let bare = results.median(what.of_bare(), n, Name::Bare);
    Some(match target {
        Target::TimesBare(times) => own <= times * bare?,
        Target::TimesOwn(times, other) => own <= times * results.median(other, n, Name::Sunup)?,
        Target::ShareOfBare(share) => own >= share * bare?,
        Target::AtMost(limit) => own <= limit,
        Target::Below(name) => own < median(name)?,
        Target::NotAboveAndEven(name) => {
            let tail = results.sorted(what, n, Name::Sunup)?.p99()?;
            own <= median(name)? && tail < 2.0 * own
        }
    })
}

fn in_words(what: What, target: Target) -> String {
    match target {
        Target::TimesBare(times) => format!("<= {times} x bare"),
        Target::TimesOwn(times, other) => format!("<= {times} x {}", other.title()),
        Target::ShareOfBare(share) => format!(">= {share} x bare"),
        Target::AtMost(limit) => format!("<= {limit} {}", what.unit()).trim_end().to_owned(),
        Target::Below(name) => format!("< {}", name.word()),
        Target::NotAboveAndEven(name) => format!("<= {}, p99 < 2 x median", name.word()),
    }
}

/// A value with three digits or so.
fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v > 0.0 => format!("{v:.2}"),
        _ => "0".to_owned(),
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), digits)
}

fn ratio(own: Option<f64>, other: Option<f64>) -> String {
    match (own, other) {
        (Some(own), Some(other)) if other > 0.0 => digits(own / other),
        _ => "-".to_owned(),
    }
}

/// The table in Markdown, in columns that can be read as they are.
fn table(results: &Results) -> String {
    let peers: Vec<Name> = Name::all()
        .filter(|p| results.peers.contains_key(p.word()))
        .collect();
    let mut head: Vec<String> = ["measure", "n", "unit"].map(str::to_owned).into();
    head.extend(peers.iter().map(|peer| peer.word().to_owned()));
    head.extend(["sunup / bare", "sunup / best peer", "target", "reached"].map(str::to_owned));
    let mut rows = vec![head];
    for (what, n) in results.rows() {
        rows.push(row(results, &peers, what, n));
        if what == What::Restart {
            rows.push(tail_row(
                results,
                &peers,
                n,
                rows.last().map_or(0, Vec::len),
            ));
        }
    }
    align(&rows)
}

fn row(results: &Results, peers: &[Name], what: What, n: usize) -> Vec<String> {
    let median = |name| results.median(what, n, name);
    let own = median(Name::Sunup);
    let mut row = vec![
        what.title().to_owned(),
        if n == 0 { String::new() } else { n.to_string() },
        what.unit().to_owned(),
    ];
    row.extend(peers.iter().map(|peer| cell(median(*peer))));
    row.push(ratio(own, results.median(what.of_bare(), n, Name::Bare)));
    row.push(ratio(own, best_peer(results, what, n)));
    let target = what.target(n);
    row.push(target.map_or_else(String::new, |target| in_words(what, target)));
    let verdict = target.and_then(|target| reached(results, what, n, target));
    row.push(
        verdict
            .map_or("", |yes| if yes { "yes" } else { "no" })
            .to_owned(),
    );
    row
}

/// What one restart in a hundred exceeds.
fn tail_row(results: &Results, peers: &[Name], n: usize, width: usize) -> Vec<String> {
    let tail = |peer: &Name| results.sorted(What::Restart, n, *peer)?.p99();
    let title = format!("{}, p99", What::Restart.title());
    let mut row = vec![title, n.to_string(), What::Restart.unit().to_owned()];
    row.extend(peers.iter().map(|peer| cell(tail(peer))));
    row.resize(width, String::new());
    row
}

/// Rows, of which the first is the head, as a table whose columns can be read as they are.
pub fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|r| Some(r.get(column)?.len())).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("| {cell:<width$} "),
            _ => format!("| {cell:>width$} "),
        });
        cells.chain(["|\n".to_owned()]).collect::<String>()
    };
    let rules = widths.iter().enumerate().map(|(column, width)| {
        let (first, last) = if column == 0 { ("-", "-") } else { ("-", ":") };
        format!("|{first}{}{last}", "-".repeat(*width))
    });
    let rule: String = rules.chain(["|\n".to_owned()]).collect();
    let (head, rest) = rows.split_at(rows.len().min(1));
    let lines = |rows: &[Vec<String>]| rows.iter().map(line).collect::<String>();
    [lines(head), rule, lines(rest)].concat()
}

fn notes(results: &Results) -> String {
    let lines: Vec<String> = results
        .notes
        .iter()
        .map(|note| format!("- {note}\n"))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{}", lines.concat())
}

/// How it was done, for those who read the figures.
const METHOD: &str = "\
- The service is a static program of 200 bytes that writes its pid and the time to a pipe as its first act and
  then pauses; it is `run` itself, there is no shell. \"Up\" is the service's own word.
- `bare` is the limit: a loop of vfork and exec that supervises nothing, and that waits for a service which it
  has killed and starts another; for logs, `cat` into a file.
- The peers take turns within each round, each with fresh directories on a tmpfs. Cells are medians of all
  samples. The machine and what else it does changes the times; ratios of one run hold.
- Memory is that of all processes of the supervisor without their programs' files (Pss_Anon), kernel memory the
  growth of slab, kernel stacks and page tables of the whole machine, with the services' own.
- Restarts kill one service after another, each more than a second old, for supervisors hold younger ones back.
  A new service comes by a rename or as a link; s6 does not look by itself and is told to.
- `sv status` of s6 is a process for each service, and so is its stop; daemontools' commands do not wait, so
  what counts is when the service is up, or all are gone.
- `sv restart` of sunup ends when the new process has lived for 100 ms, for a start of what fails at once is
  none; runit and busybox look every 420 ms. What the supervisor needs is the row with the time at which the
  service is up.
- What fails at once is started a hundred times at the same time, while twice as many processes as there are
  processors keep the machine busy.
- What starts beside a service that is checked has a logger and `run` scripts for sh; the checks that count are
  those from the first word of the others to their last, and the worst is that of each round. What fails beside a
  service that is told to pause and to continue is false(1). An exec hangs that waits for a lease (fcntl(2)), as
  one of a file on a server that is gone; what counts is when the other service is up.
- What says when it is ready writes a newline to descriptor 3 right behind its first act; `sv start` is that of a
  service which takes 20 ms for it, `s6-svc -wU -u` of s6. Needs are spread over all services before. In a chain,
  bare starts each when the one before has written its newline; of the steps, the sample is the median of a start.
  Oneshots are `setup` without `run`, and what counts is the start of a service that needs all of them; bare waits
  for the end of each. The time that KILL is late begins when the service has heard TERM.
- Logs are lines of 100 bytes through a pipe, files of 10 MB, 10 kept.
- `sv enable` is from its exec to the first act of a service that it has linked; beside it are the links of the row
  of new services. A line is shown when who reads the pipe of `sv log -f` has it, or of `tail -F` of the same kind of
  file (TAI64N; bare's is that of cat); the time begins before its write to the logger's pipe. `sv watch` is of all
  services; what counts is from the first act of a service that was killed to the line with its pid. The
  supervisor's CPU is that of its threads from a kill -9 of all to their being settled (schedstat).
- dinit is not in Debian 12 and is not measured.
";

fn readme(results: &Results, table: &str) -> String {
    let machine = &results.machine;
    let versions = results.peers.iter().filter(|(_, version)| *version != "-");
    let versions: Vec<String> = versions.map(|(name, v)| format!("{name} {v}")).collect();
    format!(
        "# sunup beside its peers\n\n\
         Written by `cargo lab bench`; [bench.json](bench.json) has every sample.\n\n\
         ![Ratios to sunup](chart.svg)\n\n{table}\n\
         ## How\n\n{METHOD}{}\n\
         ## Where\n\n\
         {}, {} processors, {} MiB, {};\n\
         {} UTC; load before: {}; services in {}.\n\n\
         {}.\n\n```sh\n{}\n```\n",
        notes(results).trim_start_matches('\n'),
        machine.processor,
        machine.processors,
        machine.memory_mib,
        machine.kernel,
        machine.date,
        machine.load,
        machine.place,
        versions.join(", "),
        machine.command_line,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        let samples = [
            (What::Start, 1000, Name::Bare, 100.0),
            (What::Start, 1000, Name::Sunup, 140.0),
            (What::Start, 1000, Name::Runit, 800.0),
            (What::Restart, 1000, Name::Sunup, 0.5),
            (What::Restart, 1000, Name::Busybox, 0.6),
            (What::LogPlain, 0, Name::Bare, 700.0),
            (What::LogPlain, 0, Name::Sunup, 300.0),
        ];
        for (what, n, peer, sample) in samples {
            results.add(what, n, peer, sample);
            results.peers.insert(peer.word(), "1".into());
        }
        results
    }

    #[test]
    fn judges_by_ratios() {
        let results = results();
        let reached = |what: What, n| reached(&results, what, n, what.target(n).unwrap());
        assert_eq!(reached(What::Start, 1000), Some(true));
        assert_eq!(reached(What::Restart, 1000), Some(true));
        assert_eq!(reached(What::LogPlain, 0), Some(false));
        assert_eq!(reached(What::RestartAll, 1000), None);
    }

    #[test]
    fn a_table_to_read() {
        let table = table(&results());
        let start = table.lines().nth(2).unwrap();
        let words: Vec<&str> = start.split('|').map(str::trim).collect();
        let want = [
            "",
            "start of all",
            "1000",
            "ms",
            "100",
            "140",
            "800",
            "-",
            "1.40",
            "0.17",
            "<= 1.5 x bare",
            "yes",
            "",
        ];
        assert_eq!(words, want);
        let widths: Vec<usize> = table.lines().map(str::len).collect();
        assert!(widths.windows(2).all(|w| w[0] == w[1]), "{table}");
    }
}
