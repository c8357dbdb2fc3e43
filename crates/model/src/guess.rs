//! What somebody may have meant who wrote a word that is not known.

/// Most slips (letters missing, wrong, extra or swapped) for a guess at what was meant.
const SLIPS_MAX: usize = 2;

/// The known word that is nearest to what was written, if one is near: fewer slips
/// than it has letters, and than were written.
pub fn nearest<'a>(text: &[u8], known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    within(text, known, SLIPS_MAX)
}

/// As [`nearest`], if it is but one slip away.
pub fn next<'a>(text: &[u8], known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    within(text, known, 1)
}

fn within<'a>(text: &[u8], known: impl Iterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    known
        .filter_map(|word| Some((slips(text, word.as_bytes(), most)?, word)))
        .filter(|(n, word)| *n < word.len().min(text.len()))
        .min_by_key(|(n, _)| *n)
        .map(|(_, word)| word)
}

/// How many letters are missing, wrong, extra or swapped between `a` and `b`;
/// `None` if that is more than `most`, beyond which it is not looked for: the
/// ways to look grow with its power.
fn slips(a: &[u8], b: &[u8], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let more = |a, b| Some(slips(a, b, most.checked_sub(1)?)? + 1);
    match (a, b) {
        ([], rest) | (rest, []) => Some(rest.len()),
        ([x, a1 @ ..], [y, b1 @ ..]) if x == y => slips(a1, b1, most),
        ([x1, x2, a2 @ ..], [y1, y2, b2 @ ..]) if x1 == y2 && x2 == y1 => more(a2, b2),
        ([_, a1 @ ..], [_, b1 @ ..]) => [more(a1, b1), more(a, b1), more(a1, b)]
            .into_iter()
            .flatten()
            .min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_up_to_a_bound() {
        assert_eq!(slips(b"abcdefgh", b"badcfehg", 4), Some(4));
        assert_eq!(slips(b"abcdefgh", b"badcfehg", 3), None);
        let known = || ["wait", "once"].into_iter();
        assert_eq!(nearest(b"wiat", known()), Some("wait"));
        assert_eq!(nearest(b"on", known()), None, "as many slips as letters");
        assert_eq!(nearest(b"frob", known()), None);
    }
}
