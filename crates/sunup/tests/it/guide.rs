//! The guide in docs/ is tried out as it stands there: its files, its commands, and what
//! these print. In what is printed, other digits may stand, and other blanks between words.

mod house;
mod pages;
mod services;

use std::fs;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// A page of docs/.
fn page(name: &str) -> String {
    let path = format!("{DOCS}/{name}.md");
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The names of all pages.
fn pages() -> Vec<String> {
    let entries = fs::read_dir(DOCS).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".md")?.to_owned()))
        .collect()
}

/// The blocks `text` that are no file of a service, in the order of a page.
fn texts(page: &str) -> Vec<&str> {
    let mut texts = Vec::new();
    let mut before = "";
    for (at, part) in page.split("```").enumerate() {
        match part.strip_prefix("text\n") {
            Some(text) if at % 2 == 1 && !before.trim_end().ends_with("`:") => texts.push(text),
            _ => {}
        }
        before = part;
    }
    texts
}

/// The content of a file on a page, which may be one of another program.
fn file_on<'t>(page: &'t str, name: &str) -> &'t str {
    let after = page.split_once(&format!("\n`{name}`:\n")).unwrap().1;
    let block = after.split("```").nth(1).unwrap();
    block.split_once('\n').unwrap().1
}

/// Something that a reader does.
#[derive(Debug)]
enum Step {
    /// Writes a file of that name with that content.
    Write(String, String),
    /// Enters a command, and sees this.
    Enter(String, String),
}

/// The steps of a text, in its order. A line `` `NAME`: `` is followed by a block with the
/// content of that file, and `` `NAME`, empty `` stands for itself. In a block `console`, a
/// line that begins with `$ ` or `# ` is a command, goes on after a backslash, and what
/// follows is what it prints. A block `text` is for other programs: `pages::inits` has them.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut name: Option<String> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match (kind, name.take()) {
                ("console", None) => steps.extend(commands(&block)),
                ("text", None) => {}
                (_, Some(name)) => steps.push(Step::Write(name, block.join("\n") + "\n")),
                (_, None) => panic!("a block that is neither a file nor commands: {block:?}"),
            }
        }
        let file = line.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        match file {
            Some((file, ":")) => name = Some(file.to_owned()),
            Some((file, ", empty")) => steps.push(Step::Write(file.to_owned(), String::new())),
            _ => {}
        }
    }
    assert!(name.is_none(), "{name:?} has no content");
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut commands: Vec<Step> = vec![];
    let mut goes_on = false;
    for line in block {
        let entered = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
        match (entered, commands.last_mut()) {
            (_, Some(Step::Enter(command, _))) if goes_on => {
                command.push_str(line.trim_start());
            }
            (Some(entered), _) => commands.push(Step::Enter(entered.to_owned(), String::new())),
            (None, Some(Step::Enter(_, output))) => output.extend([line, "\n"]),
            (None, _) => panic!("no command prints this: {line}"),
        }
        goes_on = false;
        if let Some(Step::Enter(command, output)) = commands.last_mut()
            && output.is_empty()
            && let Some(begun) = command.strip_suffix('\\')
        {
            *command = begun.to_owned();
            goes_on = true;
        }
    }
    commands
}

/// Numbers are other ones each time, and columns as wide as these.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' if masked.ends_with('N') => {}
            '0'..='9' => masked.push('N'),
            ' ' if masked.ends_with(' ') => {}
            other => masked.push(other),
        }
    }
    masked.replace(" \n", "\n")
}

/// Whether a command changes nothing, so that a reader who was too early repeats it.
fn is_look(command: &str) -> bool {
    const LOOKS: [&str; 8] = [
        "sv status",
        "sv list",
        "sv why ",
        "sv log ",
        "sv tree",
        "sv health",
        "cat ",
        "ls ",
    ];
    LOOKS.iter().any(|look| command.starts_with(look))
}

/// What a command printed last; a test that fails shows it.
struct Seen<'t> {
    line: &'t str,
    expected: &'t str,
    printed: String,
}

impl Seen<'_> {
    fn is_expected(&self) -> bool {
        masked(&self.printed) == masked(self.expected)
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (line, printed, expected) = (self.line, &self.printed, self.expected);
            eprintln!("$ {line}\n{printed}instead of\n{expected}");
        }
    }
}
