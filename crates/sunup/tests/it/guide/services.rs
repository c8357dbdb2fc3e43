//! The examples of docs/services.md. An example is a section whose title begins with its
//! number: its files are made, `runsvdir` starts, and the commands are entered.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::Signal;

use super::{Seen, Step, is_look, page, steps};
use crate::common::{Fixture, end_by, sunup, until_supervise, yield_until};

/// The programs that the examples are allowed beside the shell's own.
const PROGRAMS: &str = "/usr/local/bin:/usr/bin:/bin";

fn examples() -> Vec<Vec<Step>> {
    let text = page("services");
    let sections = text.split("\n## ").skip(1);
    let is_example = |section: &&str| section.starts_with(|first: char| first.is_ascii_digit());
    sections.filter(is_example).map(steps).collect()
}

/// A reader's machine.
struct Reader {
    fixture: Fixture,
    supervisor: Child,
}

impl Reader {
    fn new(example: &[Step]) -> Self {
        let fixture = Fixture::new(&[("service/", "")]);
        let files: Vec<_> = example
            .iter()
            .filter_map(|step| match step {
                Step::Write(name, content) => Some((name, content)),
                Step::Enter(..) => None,
            })
            .collect();
        assert!(!files.is_empty() && files.len() < example.len());
        for (name, content) in &files {
            fixture.add(&format!("service/{name}"), content);
        }
        for applet in ["runsvdir", "sv", "svlogd", "chpst"] {
            let name = format!("bin/{applet} -> {}", sunup().display());
            fixture.add(&name, "");
        }
        let supervisor = Self::command(&fixture, "exec runsvdir .").spawn().unwrap();
        // A reader does not type so fast.
        for (name, _) in &files {
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
        let mut is_seen = || {
            seen.printed = self.prints(line);
            seen.is_expected()
        };
        if is_look(line) {
            yield_until(|| is_seen().then_some(()));
        } else {
            assert!(is_seen(), "something else is printed");
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
    for step in example {
        if let Step::Enter(line, expected) = step {
            reader.sees(line, expected);
        }
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
            let text = page("services");
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
