//! The examples of the manual can be typed: what they call knows the options, and sv the
//! commands. (Whether they do what the text beside them says is for the tests of the programs.)

use std::collections::BTreeMap;

use super::{Help, applets, help, pages, section, stdout};

/// The literal lines of a page's examples.
fn lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_literal = false;
    for line in section(page, "EXAMPLES") {
        match line {
            ".Ed" => is_literal = false,
            _ if line.starts_with(".Bd -literal") => is_literal = true,
            _ if is_literal => lines.push(line.replace("\\e", "\\")),
            _ => lines.extend(line.strip_prefix(".Dl ").map(|line| line.replace('"', ""))),
        }
    }
    lines
}

/// The commands of a line, without the prompt, or the fields that inittab(5) has before one.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let line = line.trim_start_matches(['#', '$', ' ']);
    let fields: Vec<&str> = line.splitn(4, ':').collect();
    let line = match fields[..] {
        [_, _, action, command] if action.chars().all(char::is_alphabetic) => command,
        _ => line,
    };
    let ends_command = |word: &&str| ["&&", "||", "|", "&"].contains(word);
    let is_prefix = |word: &&&str| **word == "exec" || **word == "sunup" || word.contains('=');
    let words: Vec<&str> = line.split_whitespace().collect();
    words
        .split(|word| ends_command(word))
        .map(|words| words.iter().skip_while(is_prefix).copied().collect())
        .collect()
}

struct Programs {
    helps: BTreeMap<String, (Help, String)>,
}

impl Programs {
    fn new() -> Self {
        let of = |name: String| {
            let text = stdout(&[&name, "--help"]);
            (name.clone(), (help(&name), text))
        };
        Self {
            helps: applets().into_iter().map(of).collect(),
        }
    }

    /// Checks a command, and the command that it runs; how many of them are ours.
    fn check(&self, words: &[&str]) -> usize {
        let Some((name, args)) = words.split_first() else {
            return 0;
        };
        let name = name.rsplit('/').next().unwrap();
        let Some((help, text)) = self.helps.get(name) else {
            return 0;
        };
        let mut args = args.iter().copied();
        let operand = loop {
            match args.next() {
                Some("--") => break args.next(),
                Some(long) if long.starts_with("--") => {
                    assert!(text.contains(&format!("({long})")), "{words:?}: {long}");
                    args.next();
                }
                Some(cluster) if cluster.len() > 1 && cluster.starts_with('-') => {
                    if help.takes_the_next(cluster, words) {
                        args.next();
                    }
                }
                other => break other,
            }
        };
        let rest: Vec<&str> = operand.into_iter().chain(args).collect();
        if let ("sv", Some(command)) = (name, operand) {
            let known = text
                .split([' ', ',', '\n', '|'])
                .any(|word| word == command);
            assert!(known, "{words:?}: {command}");
        }
        1 + self.check(&rest)
    }
}

impl Help {
    /// Whether the word after a cluster of options is the value of its last one.
    fn takes_the_next(&self, cluster: &str, words: &[&str]) -> bool {
        let mut letters = cluster.chars().skip(1);
        while let Some(letter) = letters.next() {
            let has_value = self.options.get(&letter);
            if *has_value.unwrap_or_else(|| panic!("{words:?}: -{letter}")) {
                return letters.next().is_none();
            }
        }
        false
    }
}

#[test]
fn what_examples_call_has_these_options_and_commands() {
    let programs = Programs::new();
    let mut count = 0;
    for (_, page) in pages() {
        for line in lines(&page) {
            for command in commands(&line) {
                count += programs.check(&command);
            }
        }
    }
    assert!(count > 60, "{count} calls of our programs");
}

/// The blocks of a page's examples, as text.
fn blocks(name: &str) -> Vec<String> {
    let (_, page) = pages().into_iter().find(|(page, _)| page == name).unwrap();
    let examples = section(&page, "EXAMPLES").join("\n");
    let blocks = examples.split("\n.Bd -literal").skip(1).map(|block| {
        let (_, text) = block.split_once('\n').unwrap();
        text.split_once("\n.Ed").unwrap().0.to_owned() + "\n"
    });
    blocks.collect()
}

#[test]
fn files_in_examples_are_understood() {
    for inittab in blocks("inittab.5") {
        let (entries, mistakes) = model::format::inittab::decode(inittab.as_bytes());
        assert!(
            mistakes.is_empty() && entries.len() > 3,
            "{inittab}: {mistakes:?}"
        );
    }
    let configs = blocks("svlogd.8");
    let configs = configs.iter().filter(|text| !text.starts_with("#!"));
    assert_eq!(configs.clone().count(), 2);
    for config in configs {
        let (_, mistakes) = model::format::svlogd_config::Config::decode(config.as_bytes());
        assert!(mistakes.is_empty(), "{config}: {mistakes:?}");
    }
    for rules in blocks("mdev.conf.5") {
        let (rules, mistakes) = model::format::mdev_conf::decode(rules.as_bytes());
        assert!(mistakes.is_empty() && rules.len() > 8, "{mistakes:?}");
    }
}
