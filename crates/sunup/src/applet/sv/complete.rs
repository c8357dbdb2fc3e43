//! The words that may stand at a place of sv's command line, for completion by a shell.

use model::control;
use model::options::{self, Asked, awaits_value, letters_and_names};

use super::directories::{database, enabled, services};
use super::verb::Operands;
use super::{SPEC, verbs};

/// What may follow these words of the command line. Options are among it only if `current`,
/// the beginning of the word that is completed, is that of an option.
pub fn words(before: &[&[u8]], current: &[u8]) -> Vec<Vec<u8>> {
    if awaits_value(&SPEC, before) {
        return Vec::new();
    }
    let Ok(Asked::Run(parsed)) = options::parse(&SPEC, before) else {
        return Vec::new();
    };
    let Some((word, after)) = parsed.operands.split_first() else {
        let commands = control::commands().chain(verbs::words()).chain(["boot"]);
        let commands = commands.map(|word| word.as_bytes().to_vec());
        return if current.starts_with(b"-") {
            letters_and_names(&SPEC)
        } else {
            commands.collect()
        };
    };
    let verb = verbs::find(word);
    if let Some(verb) = verb {
        if awaits_value(verb.spec, after) {
            return Vec::new();
        }
        if current.starts_with(b"-") {
            return letters_and_names(verb.spec);
        }
    } else if current.starts_with(b"-") {
        return match *word {
            b"start" => vec![b"--now".to_vec()],
            b"stop" | b"force-stop" => vec![b"-r".to_vec()],
            _ => Vec::new(),
        };
    }
    let mut names = enabled().unwrap_or_default();
    if verb.is_some_and(|verb| verb.operands == Operands::Database) {
        for dir in database() {
            names.extend(services(&dir).unwrap_or_default());
        }
    }
    names
}
