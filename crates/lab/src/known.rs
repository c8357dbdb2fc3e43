//! Lists of the tests that fail on another program than sunup, each with the
//! reason: `crates/sunup/tests/known/NAME.txt`. They are checked in both
//! directions, so a list says what differs, all of it, and nothing else.
//!
//! A line is one of
//!
//! - `MODULE::TEST D11 D12`: it fails for these rows of the table of defects in
//!   docs/compatibility.md, which name the test;
//! - `MODULE::TEST compat: WORDS`: it fails for a difference in docs/compatibility.md
//!   whose line holds WORDS;
//! - `- PROGRAM: WHY`: tests that need PROGRAM are not applicable;
//! - empty, or a comment that begins with `#`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// Why a test fails on another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A row of the table of defects.
    Defect(u32),
    /// Words of a line in the text above it.
    Difference(String),
}

/// What is known to differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Tests that fail, by name.
    pub fails: BTreeMap<String, Vec<Reason>>,
    /// Programs that are not there.
    pub absent: BTreeMap<String, String>,
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// A file that cannot be read, and the first line that is none of the above.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        text.parse().with_context(|| path.display().to_string())
    }

    /// Takes a line; whether it is the first of its kind.
    fn take(&mut self, line: &str) -> Result<bool> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(true);
        }
        if let Some(rest) = line.strip_prefix("- ") {
            let Some((program, why)) = rest.split_once(": ") else {
                bail!("{line}: not `- PROGRAM: WHY`");
            };
            let old = self.absent.insert(program.to_owned(), why.to_owned());
            return Ok(old.is_none());
        }
        let Some((test, why)) = line.split_once(' ') else {
            bail!("{line}: no reason is given");
        };
        let old = self.fails.insert(test.to_owned(), reasons(why.trim())?);
        Ok(old.is_none())
    }

    /// What is wrong with the list of the references marked `letter` in the table,
    /// given docs/compatibility.md and the names of the tests that there are.
    pub fn mistakes(&self, letter: char, document: &str, tests: &[String]) -> Vec<String> {
        let (rows, items) = (rows(document), items(document));
        let mut mistakes = Vec::new();
        for (test, reasons) in &self.fails {
            if !tests.contains(test) {
                mistakes.push(format!("{test}: there is no such test"));
            }
            for reason in reasons {
                let stands = match reason {
                    Reason::Defect(number) => rows
                        .get(number)
                        .is_some_and(|row| row.is_of(letter) && row.tests.contains(test)),
                    Reason::Difference(words) => items.iter().any(|item| item.contains(words)),
                };
                if !stands {
                    mistakes.push(format!("{test}: docs/compatibility.md lacks {reason:?}"));
                }
            }
        }
        for (number, row) in rows.iter().filter(|(_, row)| row.is_of(letter)) {
            mistakes.extend(self.missing(letter, *number, row, tests));
        }
        mistakes
    }

    /// Tests of a row that are not in the list for it, and a row that has none.
    fn missing(&self, letter: char, number: u32, row: &Row, tests: &[String]) -> Vec<String> {
        if row.says(&["no test", "planned", &format!("{letter} passes")]) {
            return Vec::new();
        }
        let real = row.tests.iter().filter(|test| tests.contains(test));
        let (listed, lacking): (Vec<&String>, Vec<&String>) = real.partition(|test| {
            let reasons = self.fails.get(*test);
            reasons.is_some_and(|reasons| reasons.contains(&Reason::Defect(number)))
        });
        let mut missing: Vec<String> = lacking
            .into_iter()
            .map(|test| format!("{test}: row D{number} names it, the list does not"))
            .collect();
        if listed.is_empty() && missing.is_empty() {
            missing.push(format!("row D{number} names no test that fails there"));
        }
        missing
    }
}

impl FromStr for List {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut list = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let fresh = list.take(line).with_context(|| format!("line {number}"))?;
            if !fresh {
                bail!("line {number}: {line}: it is there already");
            }
        }
        Ok(list)
    }
}

fn reasons(text: &str) -> Result<Vec<Reason>> {
    if let Some(words) = text.strip_prefix("compat: ") {
        return Ok(vec![Reason::Difference(words.to_owned())]);
    }
    let number = |word: &str| word.strip_prefix('D')?.parse().ok().map(Reason::Defect);
    let reasons: Option<Vec<Reason>> = text.split(' ').map(number).collect();
    reasons.with_context(|| format!("{text}: neither numbers of defects nor `compat: WORDS`"))
}

/// A row of the table of defects.
struct Row {
    /// Whose defect it is: R for runit, B for busybox.
    letters: Vec<char>,
    /// The tests that show it, and what is said beside.
    shown_by: String,
    tests: Vec<String>,
}

impl Row {
    fn is_of(&self, letter: char) -> bool {
        self.letters.contains(&letter)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.shown_by.contains(word))
    }
}

/// The items of the document's lists, each as one line.
fn items(document: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with("- ") {
            items.push(line.to_owned());
        } else if inside && line.starts_with("  ") {
            let item = items.last_mut().into_iter();
            item.for_each(|item| item.extend([" ", line.trim()]));
        }
        inside = line.starts_with("- ") || inside && line.starts_with("  ");
    }
    items
}

/// Rows look like `| D1 | R, B: what is wrong | shown by |`.
fn rows(document: &str) -> BTreeMap<u32, Row> {
    let mut rows = BTreeMap::new();
    for line in document.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, defect, shown_by, _] = cells[..] else {
            continue;
        };
        let Some(number) = number.strip_prefix('D').and_then(|n| n.parse().ok()) else {
            continue;
        };
        let whose = defect.split_once(": ").map_or("", |(whose, _)| whose);
        let quoted = shown_by.split('`').skip(1).step_by(2);
        let tests = quoted.filter(|word| word.contains("::"));
        let row = Row {
            letters: whose.split(", ").flat_map(str::parse).collect(),
            shown_by: shown_by.to_owned(),
            tests: tests.map(str::to_owned).collect(),
        };
        rows.insert(number, row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "- sv, order: one thing.\nother thing\n\n\
        | D1 | R, B: a | `sv::a`, `model::x` |\n\
        | D2 | R: b | `sv::b` |\n\
        | D3 | R: c | no test: why |\n\
        | D4 | R: d | `sv::d`; R passes: mended |\n\
        | D5 | B: e | `model::x` |\n";

    fn mistakes(list: &str, letter: char) -> Vec<String> {
        let tests = ["sv::a", "sv::b", "sv::c", "sv::d"].map(str::to_owned);
        let list: List = list.parse().unwrap();
        list.mistakes(letter, DOCUMENT, &tests)
    }

    #[test]
    fn a_list_that_agrees_with_the_document() {
        let list = "# all\n\n- mdev: none\nsv::a  D1\nsv::b D2\nsv::c compat: one thing\n";
        assert_eq!(mistakes(list, 'R'), [""; 0]);
        let list: List = list.parse().unwrap();
        assert_eq!(list.absent["mdev"], "none");
        assert_eq!(list.fails["sv::a"], [Reason::Defect(1)]);
    }

    #[test]
    fn what_disagrees_is_named() {
        let list = "sv::a D1\nsv::b D2 D3\nsv::c compat: other thing\nsv::e D1\n";
        assert_eq!(
            mistakes(list, 'R'),
            [
                "sv::b: docs/compatibility.md lacks Defect(3)",
                "sv::c: docs/compatibility.md lacks Difference(\"other thing\")",
                "sv::e: there is no such test",
                "sv::e: docs/compatibility.md lacks Defect(1)",
            ]
        );
        assert_eq!(
            mistakes("sv::a D2\n", 'B'),
            [
                "sv::a: docs/compatibility.md lacks Defect(2)",
                "sv::a: row D1 names it, the list does not",
                "row D5 names no test that fails there",
            ]
        );
    }

    #[test]
    fn lines_that_are_none_are_named() {
        for (list, mistake) in [
            ("sv::a\n", "line 1"),
            ("\nsv::a because\n", "line 2"),
            ("- mdev\n", "line 1"),
            (
                "sv::a D1\nsv::a D2\n",
                "line 2: sv::a D2: it is there already",
            ),
        ] {
            let error = list.parse::<List>().unwrap_err();
            assert_eq!(error.to_string(), mistake);
        }
    }

    /// Who words docs/compatibility.md anew finds out here which lists quote it.
    #[test]
    fn every_reason_stands_in_the_document() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let document = fs::read_to_string(root.join("docs/compatibility.md")).unwrap();
        for (name, letter) in [("busybox", 'B'), ("runit", 'R')] {
            let path = root.join(format!("crates/sunup/tests/known/{name}.txt"));
            let list = List::read(&path).unwrap();
            let tests: Vec<String> = list.fails.keys().cloned().collect();
            let mistakes = list.mistakes(letter, &document, &tests);
            assert!(mistakes.is_empty(), "{name}: {mistakes:#?}");
        }
    }
}
