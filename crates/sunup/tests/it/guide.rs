//! The examples of docs/services.md, as they stand there. An example is a section whose
//! title begins with its number. A line `` `NAME`: `` is followed by a block with the
//! content of that file, and `` `NAME`, empty `` stands for itself. Then `runsvdir` starts,
//! and the commands of the `console` blocks print what stands below them; other digits
//! may stand there. Looking on is repeated, as a reader does it who was too early.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::common::{Fixture, end_by, sunup, until_supervise, yield_until};

/// The programs that the examples are allowed beside the shell's own.
const PROGRAMS: &str = "/usr/local/bin:/usr/bin:/bin";
/// Commands that change nothing.
const LOOKS: [&str; 3] = ["sv status ", "cat ", "ls "];

/// One section of the document.
#[derive(Default)]
struct Example {
    files: Vec<(String, String)>,
    commands: Vec<(String, String)>,
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/services.md");
    fs::read_to_string(path).unwrap()
}

fn examples() -> Vec<Example> {
    let text = document();
    let sections = text.split("\n## ").skip(1);
    let is_example = |section: &&str| section.starts_with(|first: char| first.is_ascii_digit());
    sections.filter(is_example).map(example).collect()
}

fn example(section: &str) -> Example {
    let mut example = Example::default();
    let mut name = None;
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if kind == "console" {
                example.commands.extend(commands(&block));
            } else if let Some(name) = name.take() {
                example
                    .files
                    .push((name, format!("{}\n", block.join("\n"))));
            } else {
                panic!("a block that is neither a file nor commands: {block:?}");
            }
        }
        let file = line.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        match file {
            Some((file, ":")) => name = Some(file.to_owned()),
            Some((file, ", empty")) => example.files.push((file.to_owned(), String::new())),
            _ => {}
        }
    }
    assert!(name.is_none() && !example.files.is_empty() && !example.commands.is_empty());
    example
}

/// Each command with what it prints.
fn commands(block: &[&str]) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = vec![];
    for line in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.extend([line, "\n"]),
            (None, None) => panic!("no command prints this: {line}"),
        }
    }
    commands
}

/// Numbers are other ones each time.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' if masked.ends_with('N') => {}
            '0'..='9' => masked.push('N'),
            other => masked.push(other),
        }
    }
    masked
}

/// A reader's machine.
struct Reader {
    fixture: Fixture,
    supervisor: Child,
}

impl Reader {
    fn new(example: &Example) -> Self {
        let fixture = Fixture::new(&[("service/", "")]);
        for (name, content) in &example.files {
            fixture.add(&format!("service/{name}"), content);
        }
        for applet in ["runsvdir", "sv", "svlogd", "chpst"] {
            let name = format!("bin/{applet} -> {}", sunup().display());
            fixture.add(&name, "");
        }
        let supervisor = Self::command(&fixture, "exec runsvdir .").spawn().unwrap();
        // A reader does not type so fast.
        for (name, _) in &example.files {
            let service = name.split('/').next().unwrap();
            let dir = fixture.path("service").join(service);
            until_supervise(&dir);
            // A fifo that nobody reads cannot be opened so.
            let control = dir.join("supervise/control");
            let mut writes = fs::OpenOptions::new();
            writes
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits() as i32);
            yield_until(|| writes.open(&control).ok());
        }
        Self {
            fixture,
            supervisor,
        }
    }

    fn command(fixture: &Fixture, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(fixture.path("service"));
        command.env("SVDIR", fixture.path("service"));
        command.env_remove("SVWAIT");
        let bin = fixture.path("bin");
        command.env("PATH", format!("{}:{PROGRAMS}", bin.display()));
        command
    }

    fn prints(&self, line: &str) -> String {
        let mut command = Self::command(&self.fixture, &format!("{line} 2>&1"));
        let output = command.stdout(Stdio::piped()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// This is printed, now or soon.
    fn sees(&self, line: &str, expected: &str) {
        let mut seen = Seen {
            line,
            expected,
            printed: String::new(),
        };
        let looks_on = LOOKS.iter().any(|look| line.starts_with(look));
        let mut is_seen = || {
            seen.printed = self.prints(line);
            masked(&seen.printed) == masked(expected)
        };
        if looks_on {
            yield_until(|| is_seen().then_some(()));
        } else {
            assert!(is_seen(), "something else is printed");
        }
    }
}

/// What a command printed last; a test that fails shows it.
struct Seen<'t> {
    line: &'t str,
    expected: &'t str,
    printed: String,
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (line, printed, expected) = (self.line, &self.printed, self.expected);
            eprintln!("$ {line}\n{printed}instead of\n{expected}");
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        end_by(&mut self.supervisor, Signal::HUP);
    }
}

fn try_out(number: usize) {
    let examples = examples();
    let example = &examples[number - 1];
    let reader = Reader::new(example);
    for (line, expected) in &example.commands {
        reader.sees(line, expected);
    }
}

macro_rules! examples {
    ($($name:ident: $number:literal,)*) => {
        $(#[test]
        fn $name() {
            try_out($number);
        })*

        /// Each has its test, and its number.
        #[test]
        fn every_example_is_tried() {
            let numbers = [$($number),*];
            let count = numbers.len();
            assert_eq!(examples().len(), count);
            let text = document();
            for number in 1..=count {
                assert!(numbers.contains(&number));
                assert!(text.contains(&format!("\n## {number}. ")), "{number}");
            }
        }
    };
}

examples! {
    a_program_that_runs: 1,
    a_log: 2,
    what_follows_an_end: 3,
    time_for_a_stop: 4,
    what_precedes_a_run: 5,
    what_is_done_once: 6,
    an_end_that_is_meant: 7,
    ready: 8,
    one_after_the_other: 9,
    a_milestone: 10,
}
