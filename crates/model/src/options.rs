//! Command lines: one const table per applet feeds the parser, `--help` and the
//! check of the man page.
//!
//! The grammar is POSIX getopt's: single letters, clusters (`-vw5`), a value
//! glued or in the next argument, `--` ends the options. `--help` and
//! `--version` are everybody's long options, and few applets have more; they count
//! only before the first operand unless the applet permutes. The value of a long option
//! follows `=`, or is the next argument.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One option of an applet.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The letter after `-`.
    pub letter: u8,
    /// The name after `--`; empty if it has none.
    pub long: &'static str,
    /// Placeholder of its value, if it takes one.
    pub value: Option<&'static str>,
    /// One line for `--help`, without a final stop.
    pub doc: &'static str,
}

impl Opt {
    /// An option without a value.
    pub const fn flag(letter: u8, doc: &'static str) -> Self {
        Self {
            letter,
            long: "",
            value: None,
            doc,
        }
    }

    /// An option with a value, shown as `placeholder`.
    pub const fn valued(letter: u8, placeholder: &'static str, doc: &'static str) -> Self {
        Self {
            letter,
            long: "",
            value: Some(placeholder),
            doc,
        }
    }

    /// The same, called by a long name, too.
    #[must_use]
    pub const fn long(self, long: &'static str) -> Self {
        Self { long, ..self }
    }
}

/// Where options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Options end at the first operand.
    Posix,
    /// Options and operands may mix, as GNU and busybox allow.
    Permute,
}

/// The command line of an applet, as data.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The applet's name.
    pub name: &'static str,
    /// What follows the name in the usage line.
    pub synopsis: &'static str,
    /// What it does, in one line without a final stop.
    pub about: &'static str,
    /// Its options, in the order of `--help`.
    pub options: &'static [Opt],
    /// Where options may stand.
    pub order: Order,
    /// Further lines of `--help`; may be empty.
    pub notes: &'static str,
    /// Exit code of a usage error.
    pub usage_code: u8,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The applet itself.
    Run(Parsed<'a>),
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// Options in the order given, and operands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Letter and value of each option given.
    pub options: Vec<(u8, Option<&'a [u8]>)>,
    /// What is not an option.
    pub operands: Vec<&'a [u8]>,
    /// `--` ended the options.
    pub is_ended: bool,
}

impl<'a> Parsed<'a> {
    /// Whether the option was given.
    pub fn has(&self, letter: u8) -> bool {
        self.count(letter) > 0
    }

    /// How often the option was given.
    pub fn count(&self, letter: u8) -> usize {
        self.options.iter().filter(|(l, _)| *l == letter).count()
    }

    /// The value of the last occurrence.
    pub fn value(&self, letter: u8) -> Option<&'a [u8]> {
        self.options
            .iter()
            .rev()
            .find(|(l, _)| *l == letter)
            .and_then(|(_, v)| *v)
    }
}

/// Parses the arguments after the applet's name.
///
/// # Errors
/// One line that says what is wrong, for the user.
pub fn parse<'a>(spec: &Spec, args: &[&'a [u8]]) -> Result<Asked<'a>, String> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter().copied();
    while let Some(arg) = rest.next() {
        match arg {
            b"--" => {
                parsed.is_ended = true;
                parsed.operands.extend(rest);
                break;
            }
            b"--help" => return Ok(Asked::Help),
            b"--version" => return Ok(Asked::Version),
            [b'-', b'-', long @ ..] => parse_long(spec, long, &mut rest, &mut parsed)?,
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                parse_cluster(spec, cluster, &mut rest, &mut parsed)?;
            }
            _ => {
                parsed.operands.push(arg);
                if spec.order == Order::Posix {
                    parsed.operands.extend(rest);
                    break;
                }
            }
        }
    }
    Ok(Asked::Run(parsed))
}

fn parse_long<'a>(
    spec: &Spec,
    long: &'a [u8],
    rest: &mut impl Iterator<Item = &'a [u8]>,
    parsed: &mut Parsed<'a>,
) -> Result<(), String> {
    let (name, glued) = match long.iter().position(|b| *b == b'=') {
        Some(at) => (long.get(..at).unwrap_or_default(), long.get(at + 1..)),
        None => (long, None),
    };
    let shown = name.escape_ascii();
    let known = |o: &&Opt| !o.long.is_empty() && o.long.as_bytes() == name;
    let Some(opt) = spec.options.iter().find(known) else {
        return Err(format!("unknown option --{shown}"));
    };
    let value = match (opt.value, glued) {
        (None, None) => None,
        (None, Some(_)) => return Err(format!("option --{shown} takes no value")),
        (Some(placeholder), glued) => {
            let value = glued.or_else(|| rest.next());
            Some(value.ok_or_else(|| format!("option --{shown} needs a value: {placeholder}"))?)
        }
    };
    parsed.options.push((opt.letter, value));
    Ok(())
}

fn parse_cluster<'a>(
    spec: &Spec,
    cluster: &'a [u8],
    rest: &mut impl Iterator<Item = &'a [u8]>,
    parsed: &mut Parsed<'a>,
) -> Result<(), String> {
    for (i, letter) in cluster.iter().enumerate() {
        let Some(opt) = spec.options.iter().find(|o| o.letter == *letter) else {
            return Err(format!("unknown option -{}", letter.escape_ascii()));
        };
        let Some(placeholder) = opt.value else {
            parsed.options.push((*letter, None));
            continue;
        };
        let glued = cluster.get(i + 1..).filter(|v| !v.is_empty());
        let Some(value) = glued.or_else(|| rest.next()) else {
            return Err(format!(
                "option -{} needs a value: {placeholder}",
                letter.escape_ascii()
            ));
        };
        parsed.options.push((*letter, Some(value)));
        break;
    }
    Ok(())
}

/// The options of a command line, short and long.
pub fn letters_and_names(spec: &Spec) -> Vec<Vec<u8>> {
    let mut options = Vec::from([b"--help".to_vec()]);
    for option in spec.options {
        options.push([b'-', option.letter].to_vec());
        if !option.long.is_empty() {
            options.push([b"--", option.long.as_bytes()].concat());
        }
    }
    options
}

/// Whether what follows these words is the value of an option.
pub fn awaits_value(spec: &Spec, before: &[&[u8]]) -> bool {
    let Some(last) = before.last() else {
        return false;
    };
    let mut options = spec.options.iter().filter(|option| option.value.is_some());
    options.any(|option| match last {
        [b'-', b'-', long @ ..] => !long.is_empty() && option.long.as_bytes() == long,
        [b'-', .., letter] => option.letter == *letter,
        _ => false,
    })
}

/// The usage line.
pub fn usage(spec: &Spec) -> String {
    format!("usage: {} {}", spec.name, spec.synopsis)
        .trim_end()
        .to_owned()
}

/// The text of `--help`.
pub fn help(spec: &Spec) -> String {
    let mut text = format!("{}\n\n{}: {}.\n", usage(spec), spec.name, spec.about);
    if !spec.options.is_empty() {
        text.push('\n');
    }
    for o in spec.options {
        let left = match o.value {
            Some(v) => format!("-{} {v}", char::from(o.letter)),
            None => format!("-{}", char::from(o.letter)),
        };
        let left = format!("  {left:<14} ");
        text.push_str(&left);
        if !o.long.is_empty() {
            text.extend(["(--", o.long, ") "]);
        }
        text.extend([o.doc, "\n"]);
    }
    if !spec.notes.is_empty() {
        text.push('\n');
        text.push_str(spec.notes.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const SPEC: Spec = Spec {
        name: "demo",
        synopsis: "[-v] [-w SEC] NAME",
        about: "shows the grammar",
        options: &[
            Opt::flag(b'v', "say more"),
            Opt::valued(b'w', "SEC", "wait"),
        ],
        order: Order::Posix,
        notes: "",
        usage_code: 100,
    };

    fn run<'a>(spec: &Spec, args: &[&'a str]) -> Result<Parsed<'a>, String> {
        let args: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
        match parse(spec, &args)? {
            Asked::Run(p) => Ok(p),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_completion_asks() {
        const LONG: &[Opt] = &[
            Opt::valued(b'n', "N", "so many").long("lines"),
            Opt::flag(b'v', ""),
        ];
        let long = Spec {
            options: LONG,
            ..SPEC
        };
        let shown = letters_and_names(&long).join(&b' ');
        assert_eq!(shown, b"--help -n --lines -v");
        for (words, awaits) in [
            (&[][..], false),
            (&["-n"], true),
            (&["-vn"], true),
            (&["--lines"], true),
            (&["-n", "5"], false),
            (&["-v"], false),
            (&["--"], false),
            (&["n"], false),
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(awaits_value(&long, &words), awaits, "{words:?}");
        }
    }

    #[test]
    fn clusters_values_and_operands() {
        let p = run(&SPEC, &["-vvw5", "-w", "7", "up", "-v"]).unwrap();
        assert_eq!(p.count(b'v'), 2);
        assert_eq!(p.value(b'w'), Some(&b"7"[..]));
        assert_eq!(p.operands, vec![&b"up"[..], b"-v"]);
        let p = run(&SPEC, &["-w=5", "--", "-v", "-"]).unwrap();
        assert_eq!(p.value(b'w'), Some(&b"=5"[..]));
        assert_eq!(p.operands, vec![&b"-v"[..], b"-"]);
    }

    #[test]
    fn permuting_applets_take_options_anywhere() {
        let spec = Spec {
            order: Order::Permute,
            ..SPEC
        };
        let p = run(&spec, &["a", "-v", "b", "--", "-v"]).unwrap();
        assert_eq!(p.count(b'v'), 1);
        assert_eq!(p.operands, vec![&b"a"[..], b"b", b"-v"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(run(&SPEC, &["-x"]).unwrap_err(), "unknown option -x");
        assert_eq!(
            run(&SPEC, &["--frob"]).unwrap_err(),
            "unknown option --frob"
        );
        assert_eq!(
            run(&SPEC, &["-w"]).unwrap_err(),
            "option -w needs a value: SEC"
        );
    }

    #[test]
    fn long_options() {
        const OPTIONS: [Opt; 2] = [
            Opt::flag(b'v', "say more").long("verbose"),
            Opt::valued(b'w', "SEC", "wait").long("wait"),
        ];
        let spec = Spec {
            options: &OPTIONS,
            ..SPEC
        };
        let p = run(
            &spec,
            &["--wait=5", "--verbose", "--wait", "7", "x", "--verbose"],
        )
        .unwrap();
        assert_eq!(p.value(b'w'), Some(&b"7"[..]));
        assert_eq!((p.count(b'w'), p.count(b'v')), (2, 1));
        assert_eq!(p.operands, vec![&b"x"[..], b"--verbose"]);
        assert!(!p.is_ended);
        assert!(run(&spec, &["--", "--verbose"]).unwrap().is_ended);
        for (wrong, told) in [
            ("--verbose=1", "option --verbose takes no value"),
            ("--wait", "option --wait needs a value: SEC"),
            ("--w", "unknown option --w"),
            ("--=5", "unknown option --"),
        ] {
            assert_eq!(run(&spec, &[wrong]).unwrap_err(), told);
        }
        assert!(help(&spec).contains("\n  -w SEC         (--wait) wait\n"));
    }

    #[test]
    fn help_lists_every_option() {
        let text = help(&SPEC);
        assert!(text.starts_with("usage: demo [-v] [-w SEC] NAME\n\ndemo: shows the grammar.\n"));
        assert!(text.contains("\n  -w SEC         wait\n"));
    }
}
