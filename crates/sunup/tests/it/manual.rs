//! The manual agrees with the programs: every applet has its page in man/, and
//! options, values and operands are those of `--help`.

mod examples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use model::command::Command;
use model::settings::Scripts;

use super::common::sunup;

/// Letter of each option, and whether it takes a value.
type Options = BTreeMap<char, bool>;

fn man() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man")
}

fn stdout(args: &[&str]) -> String {
    let output = process::Command::new(sunup()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn applets() -> Vec<String> {
    stdout(&["--list"]).lines().map(str::to_owned).collect()
}

/// The applets, and the verbs of sv that have a page of their own, as `sv list`.
fn commands() -> Vec<String> {
    let help = stdout(&["sv", "--help"]);
    let rows = help.lines().skip_while(|line| !line.contains("sv-list(8)"));
    let rows = rows.skip(1).take_while(|line| line.starts_with("  "));
    let verbs: Vec<String> = rows
        .map(|row| format!("sv {}", row.split_whitespace().next().unwrap()))
        .collect();
    assert!(!verbs.is_empty());
    applets().into_iter().chain(verbs).collect()
}

/// What `--help` says of the command line.
struct Help {
    /// What it is for.
    about: String,
    options: Options,
    operands: Vec<String>,
}

fn help(applet: &str) -> Help {
    let mut args: Vec<&str> = applet.split(' ').collect();
    args.push("--help");
    let text = stdout(&args);
    let mut options = Options::new();
    let mut values = Vec::new();
    let rows = text.lines().filter_map(|line| line.strip_prefix("  -"));
    for row in rows.filter(|row| row.chars().nth(1) == Some(' ')) {
        let mut chars = row.chars();
        let letter = chars.next().unwrap();
        let value = chars.as_str().strip_prefix(' ').unwrap();
        let has_value = !value.starts_with(' ');
        options.insert(letter, has_value);
        values.extend(has_value.then(|| words(value)[0].clone()));
    }
    let usage = text.lines().next().unwrap();
    let usage = usage.strip_prefix(&format!("usage: {applet}")).unwrap();
    for letter in usage_letters(usage) {
        assert!(options.contains_key(&letter), "{applet}: usage: -{letter}");
    }
    let mut operands: Vec<String> = words(usage)
        .into_iter()
        .filter(|word| word.starts_with(char::is_uppercase) && word != "OPTION")
        .filter(|word| !values.contains(word))
        .collect();
    operands.sort();
    operands.dedup();
    let about = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{applet}: ")));
    Help {
        about: about.unwrap().trim_end_matches('.').to_owned(),
        options,
        operands,
    }
}

/// The names in a usage line, without those in parentheses and without options.
fn words(usage: &str) -> Vec<String> {
    let (before, after) = usage.split_once('(').unwrap_or((usage, ""));
    let after = after.split_once(')').map_or("", |(_, after)| after);
    format!("{before} {after}")
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

fn usage_letters(usage: &str) -> Vec<char> {
    let clusters = usage.split(['[', ']', ' ', '|']);
    clusters
        .filter(|word| *word != "--")
        .filter_map(|word| word.strip_prefix('-'))
        .flat_map(str::chars)
        .collect()
}

/// A page's source, through `.so`.
fn page(name: &str) -> String {
    let path = man().join(format!("{}.8", name.replace(' ', "-")));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{name} has no man page: {}: {e}", path.display()));
    match text.trim().strip_prefix(".so man8/") {
        Some(other) => fs::read_to_string(man().join(other)).unwrap(),
        None => text,
    }
}

/// Each page that is not another's under a second name, and its source.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(man()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        match text.trim().strip_prefix(".so man8/") {
            Some(other) => assert!(man().join(other).exists(), "{}", path.display()),
            None => pages.push((path.file_name().unwrap().to_str().unwrap().into(), text)),
        }
    }
    pages
}

/// The lines of a section.
fn section<'a>(page: &'a str, title: &str) -> Vec<&'a str> {
    page.lines()
        .skip_while(|line| *line != format!(".Sh {title}"))
        .skip(1)
        .take_while(|line| !line.starts_with(".Sh "))
        .collect()
}

/// Letters after `Fl` in a line of mdoc(7): clusters, and alternatives as in `Fl m | d Ar n`.
fn letters(line: &str) -> String {
    let mut letters = String::new();
    let mut in_flag = false;
    for word in line.split_whitespace() {
        match word.trim_start_matches('.') {
            "Fl" => in_flag = true,
            "|" | "Ns" | "," => {}
            "Ar" | "Cm" | "Op" => in_flag = false,
            cluster if in_flag => letters.push_str(cluster),
            _ => {}
        }
    }
    letters
}

fn described(page: &str) -> Options {
    let items = page.lines().filter(|line| line.starts_with(".It Fl "));
    let with_values = items.map(|line| (letters(line), line.contains(" Ar ")));
    with_values
        .flat_map(|(letters, value)| letters.chars().map(|l| (l, value)).collect::<Vec<_>>())
        .collect()
}

/// The lines of the synopsis that are about `applet`.
fn synopsis<'a>(page: &'a str, applet: &str) -> Vec<&'a str> {
    let mut ours = true;
    let mut lines = Vec::new();
    for line in section(page, "SYNOPSIS") {
        if let Some(name) = line.strip_prefix(".Nm") {
            let name = name.trim();
            ours = name.is_empty() || name == applet || name.contains('/');
        }
        if ours {
            lines.push(line);
        }
    }
    lines
}

fn operands(synopsis: &[&str]) -> Vec<String> {
    let mut operands: Vec<String> = synopsis
        .iter()
        .filter(|line| !line.contains("Fl ") && !line.starts_with(".Nm"))
        .flat_map(|line| line.split("Ar ").skip(1))
        .filter_map(|rest| Some(rest.split_whitespace().next()?.to_uppercase()))
        .collect();
    operands.sort();
    operands.dedup();
    operands
}

#[test]
fn every_applet_has_a_page_that_bears_its_name() {
    for applet in commands() {
        let page = page(&applet);
        let names: Vec<&str> = section(&page, "NAME")
            .iter()
            .filter_map(|line| line.strip_prefix(".Nm "))
            .map(|name| name.trim_end_matches(" ,"))
            .collect();
        assert!(
            names.contains(&applet.replace(' ', "-").as_str()),
            "{applet}: {names:?}"
        );
    }
}

/// A page of several applets says what all of them are for.
#[test]
fn a_page_says_what_an_applet_is_for_in_the_words_of_help() {
    for applet in applets() {
        let page = page(&applet);
        let name = section(&page, "NAME");
        if let [_, about] = name.as_slice() {
            let about = about.strip_prefix(".Nd ").unwrap();
            assert_eq!(about, help(&applet).about, "{applet}: NAME against --help");
        }
    }
}

#[test]
fn the_page_of_the_binary_names_each_applet() {
    let page = page("sunup");
    let (_, list) = page.split_once("\n.Ss Applets\n").unwrap();
    for applet in applets() {
        assert!(list.contains(&format!(" {applet} 8")), "{applet}");
    }
}

#[test]
fn every_page_is_about_something_that_exists() {
    let mut known: Vec<String> = commands().iter().map(|c| c.replace(' ', "-")).collect();
    known.push("sunup".to_owned());
    for entry in fs::read_dir(man()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_known = name
            .strip_suffix(".8")
            .is_none_or(|applet| known.contains(&applet.into()));
        assert!(is_known, "man/{name} is about no applet");
        assert!(name.ends_with(".8") || name.ends_with(".5"), "{name}");
    }
}

#[test]
fn options_are_those_of_help() {
    for applet in commands() {
        let (page, help) = (page(&applet), help(&applet));
        assert_eq!(
            described(&page),
            help.options,
            "{applet}: .It Fl against --help"
        );
        let synopsis = synopsis(&page, &applet);
        let mut shown: Vec<char> = synopsis
            .iter()
            .flat_map(|l| letters(l).chars().collect::<Vec<_>>())
            .collect();
        shown.sort_unstable();
        shown.dedup();
        // The version is shown by every applet, and is no part of a synopsis.
        let known: Vec<char> = help.options.keys().copied().filter(|l| *l != 'V').collect();
        shown.retain(|l| *l != 'V');
        assert_eq!(shown, known, "{applet}: SYNOPSIS against --help");
    }
}

#[test]
fn operands_are_those_of_the_usage_line() {
    for applet in commands() {
        let page = page(&applet);
        let shown = operands(&synopsis(&page, &applet));
        assert_eq!(
            shown,
            help(&applet).operands,
            "{applet}: SYNOPSIS against usage"
        );
    }
}

#[test]
fn every_page_has_the_sections_that_readers_look_for() {
    for applet in commands().iter().map(String::as_str).chain(["sunup"]) {
        let page = page(applet);
        for title in ["SYNOPSIS", "EXIT STATUS"] {
            assert!(!section(&page, title).is_empty(), "{applet}: no {title}");
        }
    }
    for (name, text) in pages() {
        for title in ["NAME", "DESCRIPTION", "EXAMPLES"] {
            assert!(!section(&text, title).is_empty(), "{name}: no {title}");
        }
        let shows = section(&text, "EXAMPLES");
        let shows = shows.iter().any(|line| is_literal(line));
        assert!(shows, "{name}: EXAMPLES shows nothing to write");
    }
}

/// Whether a line of mdoc(7) begins what is to be written as it stands.
fn is_literal(line: &str) -> bool {
    [".Dl ", ".Bd -literal"]
        .iter()
        .any(|macro_| line.starts_with(macro_))
}

#[test]
fn every_page_renders_without_a_warning() {
    for (name, _) in pages() {
        let path = man().join(name);
        let lint = process::Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&path)
            .output()
            .expect("mandoc is missing; apt-get install mandoc");
        let said = String::from_utf8_lossy(&lint.stdout).into_owned()
            + &String::from_utf8_lossy(&lint.stderr);
        assert!(lint.status.success() && said.is_empty(), "{said}");
    }
}

/// A list item of a page: what follows `.It Pa NAME`, up to the next one, as one line.
fn item(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("\n.It Pa {name}\n"))?;
    let lines = rest
        .lines()
        .take_while(|line| !line.starts_with(".It ") && *line != ".El");
    Some(lines.collect::<Vec<_>>().join(" "))
}

/// The page that lists what a service directory holds.
fn service_directory() -> String {
    fs::read_to_string(man().join("service-directory.5")).unwrap()
}

#[test]
fn each_file_of_our_own_is_in_the_manual() {
    let page = service_directory();
    for setting in model::settings::SETTINGS {
        assert!(
            item(&page, setting.name).is_some_and(|item| item.contains(setting.manual)),
            "{}: service-directory(5) has no item of that name that says: {}",
            setting.name,
            setting.manual
        );
        let row = format!("\n.It Pa {} Ta text Ta ", setting.name);
        assert!(page.contains(&row), "{}: not in the table", setting.name);
    }
    for kind in model::graph::Kind::ALL {
        let name = format!("{}/", kind.directory());
        assert!(item(&page, &name).is_some(), "{name}: no item");
        let row = format!("\n.It Pa {name} Ta directory Ta ");
        assert!(page.contains(&row), "{name}: not in the table");
    }
}

#[test]
fn each_command_and_script_is_in_the_manual() {
    let page = service_directory();
    for byte in 33..=126 {
        let letter = char::from(byte);
        let is_told = page.contains(&format!("\n.It Cm {letter}\n"));
        let is_command = Command::from_byte(byte).is_some();
        assert_eq!(
            is_told, is_command,
            "{letter}: a command in supervise/control"
        );
        let scripts: Scripts = [byte].into_iter().collect();
        let is_told = page
            .split_whitespace()
            .any(|word| word == format!("control/{letter}"));
        assert_eq!(is_told, scripts.has(byte), "control/{letter}: a script");
    }
}
