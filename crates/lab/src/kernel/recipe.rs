//! How a kernel is configured: one of the kernel's own configurations, and a fragment
//! whose settings take the place of that one's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

/// Our small kernel for machines in QEMU, over tinyconfig.
const SMALL: &str = include_str!("../../kernel.fragment");

/// What the kernel's own defconfig lacks: a program that is called for each event.
const HELPER: &str = "CONFIG_UEVENT_HELPER=y\nCONFIG_UEVENT_HELPER_PATH=\"\"\n";

/// What a fragment is merged over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Almost nothing.
    Tiny,
    /// What the kernel's authors suggest for a machine of this kind.
    Default,
}

impl Base {
    /// The goal of make that writes it.
    pub fn goal(self) -> &'static str {
        match self {
            Self::Tiny => "tinyconfig",
            Self::Default => "defconfig",
        }
    }

    fn usual_fragment(self) -> &'static str {
        match self {
            Self::Tiny => SMALL,
            Self::Default => HELPER,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What the settings are merged over.
    pub base: Base,
    /// By symbol, `CONFIG_SMP`: the line that sets it.
    settings: BTreeMap<String, String>,
}

impl Recipe {
    /// The small kernel that `cargo lab boot` uses.
    ///
    /// # Errors
    /// Never, unless our fragment is wrong.
    pub fn small() -> Result<Self> {
        Self::new(Base::Tiny, None)
    }

    /// That of a `fragment`, or without one, of the base's usual one.
    ///
    /// # Errors
    /// A fragment that cannot be read, or has a line that is no setting.
    pub fn new(base: Base, fragment: Option<&Path>) -> Result<Self> {
        let settings = match fragment {
            Some(path) => {
                let text =
                    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
                settings(&text).with_context(|| path.display().to_string())?
            }
            None => settings(base.usual_fragment()).context("our fragment")?,
        };
        Ok(Self { base, settings })
    }

    /// A number that is another for other settings; comments and order do not count.
    pub fn id(&self) -> u64 {
        /// FNV-1a, which is the same for every compiler.
        const START: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let lines = self.settings.values().map(String::as_str);
        let text = [self.base.goal()].into_iter().chain(lines);
        let bytes = text.flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(START, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }

    /// The configuration that the base wrote, with these settings in it.
    pub fn merge(&self, base: &str) -> String {
        let is_ours = |line: &&str| symbol(line).is_some_and(|s| self.settings.contains_key(s));
        let others = base.lines().filter(|line| !is_ours(line));
        let lines = others.chain(self.settings.values().map(String::as_str));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// The settings that are not in a finished `config`: they need others, or the kernel
    /// does not know them.
    pub fn refused(&self, config: &str) -> Vec<&str> {
        let config: BTreeMap<&str, &str> = config
            .lines()
            .filter_map(|line| Some((symbol(line)?, line)))
            .collect();
        let refused =
            self.settings
                .iter()
                .filter(|(symbol, line)| match config.get(symbol.as_str()) {
                    Some(set) => set != line,
                    // What is not even asked for is not set.
                    None => !line.starts_with('#'),
                });
        refused.map(|(_, line)| line.as_str()).collect()
    }
}

/// The settings of a fragment; of two for one symbol the later counts.
fn settings(fragment: &str) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for (line, number) in fragment.lines().map(str::trim).zip(1..) {
        if let Some(symbol) = symbol(line) {
            settings.insert(symbol.to_owned(), line.to_owned());
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(anyhow!(
                "line {number}: {line:?}: neither CONFIG_NAME=VALUE nor # CONFIG_NAME is not set"
            ));
        }
    }
    Ok(settings)
}

/// The symbol that a line of a configuration is about.
fn symbol(line: &str) -> Option<&str> {
    let symbol = match line.strip_prefix("# ") {
        Some(comment) => comment.strip_suffix(" is not set")?,
        None => line.split_once('=')?.0,
    };
    let name = symbol.strip_prefix("CONFIG_")?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(fragment: &str) -> Recipe {
        Recipe {
            base: Base::Tiny,
            settings: settings(fragment).unwrap(),
        }
    }

    #[test]
    fn a_fragment_takes_the_place_of_what_the_base_says() {
        let base = "#\n# General\n#\nCONFIG_A=y\n# CONFIG_AB is not set\nCONFIG_B=\"x\"\n";
        let merged = recipe("# B is text.\nCONFIG_B=\"y=z\"\nCONFIG_AB=m\n").merge(base);
        assert_eq!(
            merged,
            "#\n# General\n#\nCONFIG_A=y\nCONFIG_AB=m\nCONFIG_B=\"y=z\"\n"
        );
        let off = recipe("# CONFIG_A is not set").merge(base);
        assert!(
            off.contains("# CONFIG_A is not set\n") && !off.contains("CONFIG_A=y"),
            "{off}"
        );
    }

    #[test]
    fn what_the_kernel_did_not_take_is_known() {
        let wanted = recipe(
            "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n# CONFIG_D is not set\nCONFIG_E=y\n",
        );
        let config = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n";
        assert_eq!(
            wanted.refused(config),
            ["CONFIG_B=m", "# CONFIG_C is not set", "CONFIG_E=y"]
        );
    }

    #[test]
    fn the_number_tells_settings_apart_and_nothing_else() {
        let one = recipe("CONFIG_A=y\nCONFIG_B=m\n");
        assert_eq!(
            one.id(),
            recipe("\n# About b\n CONFIG_B=m\nCONFIG_A=n\nCONFIG_A=y\n").id()
        );
        assert_ne!(one.id(), recipe("CONFIG_A=y\nCONFIG_B=y\n").id());
        let other_base = Recipe {
            base: Base::Default,
            ..one.clone()
        };
        assert_ne!(one.id(), other_base.id());
        // What is kept in a cache must have its name with the next compiler, too.
        assert_eq!(recipe("CONFIG_A=y").id(), 0x3e68_789b_3993_64fd);
    }

    #[test]
    fn a_line_that_sets_nothing_is_an_error_with_its_number() {
        for (text, number) in [
            ("CONFIG_A=y\nCONFIG_B y", 2),
            ("SMP=y", 1),
            ("CONFIG_=y", 1),
        ] {
            let e = settings(text).unwrap_err().to_string();
            assert!(e.starts_with(&format!("line {number}: ")), "{e}");
        }
        assert!(settings("# CONFIG_A was not set\n\n").unwrap().is_empty());
    }

    #[test]
    fn our_fragments_are_right() {
        let small = Recipe::small().unwrap();
        assert_eq!(
            small.settings["CONFIG_UEVENT_HELPER"],
            "CONFIG_UEVENT_HELPER=y"
        );
        let default = Recipe::new(Base::Default, None).unwrap();
        assert_eq!(default.settings.len(), 2);
        let lines = SMALL.lines().filter(|line| symbol(line).is_some()).count();
        assert_eq!(small.settings.len(), lines, "a symbol is set twice");
    }
}
