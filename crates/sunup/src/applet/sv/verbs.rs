//! Our own verbs that have a command line of their own: `sv list`, `sv enable` and the like.
//!
//! A verb is a whole word and a row of [`VERBS`]; its options follow it and mix with what it
//! is about, and `sv VERB --help` explains it. Init scripts and busybox's sv have none.

use super::verb::Verb;
use super::{disable, edit, enable, health, lint, list, log, metrics, needs, new, top, watch, why};
use crate::personality;

/// Every verb, in the order of the manual.
pub static VERBS: &[Verb] = &[
    list::VERB,
    enable::VERB,
    disable::VERB,
    new::VERB,
    edit::VERB,
    lint::VERB,
    log::VERB,
    watch::VERB,
    metrics::VERB,
    health::VERB,
    needs::VERB,
    why::VERB,
    top::VERB,
];

/// The verb of a word.
pub fn find(word: &[u8]) -> Option<&'static Verb> {
    let mut verbs = VERBS.iter().filter(|_| !personality::is_busybox());
    verbs.find(|verb| verb.word.as_bytes() == word)
}

/// The words of all, for a guess at what was meant.
pub fn words() -> Vec<&'static str> {
    let verbs = VERBS.iter().filter(|_| !personality::is_busybox());
    verbs.map(|verb| verb.word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_is_in_the_help_of_sv() {
        for verb in VERBS {
            assert_eq!(verb.spec.name, format!("sv {}", verb.word));
            let row = format!("\n  {:<22} {}\n", verb.word, verb.spec.about);
            assert!(super::super::COMMANDS.contains(&row), "{row}");
        }
    }
}
