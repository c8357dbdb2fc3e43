//! Patterns of file names and of the kernel's names of devices: `*`, `?`, `[...]`, and a
//! backslash before what means itself (glob(7), but here `*` matches a slash, too).

/// Whether the whole text matches. The time grows with the product of the lengths at most.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on if what follows the last star does not fit.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix(b"*") {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        match (one(pattern, text.first().copied()), text.split_first()) {
            (Some(rest), Some((_, after))) => (pattern, text) = (rest, after),
            _ if pattern.is_empty() && text.is_empty() => return true,
            _ => {
                let Some((rest, [_, after @ ..])) = retry else {
                    return false;
                };
                retry = Some((rest, after));
                (pattern, text) = (rest, after);
            }
        }
    }
}

/// Whether there is anything in the text that would be a pattern.
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// What is left of the pattern if its first element matches the byte.
fn one(pattern: &[u8], byte: Option<u8>) -> Option<&[u8]> {
    let byte = byte?;
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', set @ ..] => match bracket(set, byte) {
            Some((does_match, rest)) => does_match.then_some(rest),
            // Without an end it is an ordinary bracket.
            None => (byte == b'[').then_some(set),
        },
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
        [] => None,
    }
}

/// Whether the set holds the byte, and what follows the set. `None`: it has no end.
fn bracket(set: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    let mut is_first = true;
    loop {
        rest = match rest {
            [b']', after @ ..] if !is_first => return Some((found != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                after
            }
            [member, after @ ..] => {
                found |= *member == byte;
                after
            }
            [] => return None,
        };
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a*b*c", "axxbyybc"),
            ("*.conf", "a.b.conf"),
            ("a?c", "abc"),
            ("[a-c]x[!0-9]", "bxz"),
            ("[]x]", "]"),
            ("a[b", "a[b"),
            ("\\*", "*"),
            (
                "pci:v00001AF4d*sv*sd*bc*sc*i*",
                "pci:v00001AF4d00001000sv0sd0bc02sc00i00",
            ),
            (".X[0-9]*-lock", ".X10-lock"),
        ] {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("a*b", "axc"),
            ("?", ""),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "x"),
            ("abc", "abcd"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        let text = [b'a'; 2000];
        assert!(!matches(
            &b"a*".repeat(200),
            &[&text[..], b"b"].concat()[..2000 - 1900]
        ));
    }
}
