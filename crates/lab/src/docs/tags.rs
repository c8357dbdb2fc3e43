//! HTML as a row of tags and texts, as far as the pages of the site need it: mandoc's, those of
//! Markdown, and our own. None of them has a comment or a script with a `<` in it.

/// A part of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A tag, with its brackets.
    Tag(&'a str),
    /// What is between two tags.
    Text(&'a str),
}

/// The parts of a page, in order; together they are the page.
pub fn pieces(html: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let is_tag = rest.starts_with('<');
        let end = if is_tag {
            rest.find('>').map(|at| at + 1)
        } else {
            rest.find('<')
        };
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        match piece {
            "" => None,
            piece if is_tag => Some(Piece::Tag(piece)),
            piece => Some(Piece::Text(piece)),
        }
    })
}

/// The name of a tag, with a slash before it if the tag ends an element.
pub fn name(tag: &str) -> &str {
    let inner = tag.trim_start_matches('<');
    let end = inner.find(|c: char| c.is_whitespace() || c == '>');
    &inner[..end.unwrap_or(inner.len())]
}

/// The value of an attribute of a tag, as it is meant.
pub fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        let name = before.rsplit(char::is_whitespace).next();
        if name == Some(wanted) {
            return Some(text(value));
        }
        rest = next;
    }
    None
}

/// A text of HTML as it is meant: with the characters that its entities stand for.
pub fn text(html: &str) -> String {
    let mut plain = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let entity = after.split_once(';').and_then(|(entity, next)| {
            let c = character(entity)?;
            Some((c, next))
        });
        rest = if let Some((c, next)) = entity {
            plain.push(c);
            next
        } else {
            plain.push('&');
            after
        };
    }
    plain + rest
}

fn character(entity: &str) -> Option<char> {
    let number = |digits, radix| u32::from_str_radix(digits, radix).ok();
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        _ => {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            };
            char::from_u32(code?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_pieces() {
        let html = "a <b class=\"x\ny\" id='no'>c &amp; d</b>\n<hr>";
        let all: Vec<Piece> = pieces(html).collect();
        let tag = "<b class=\"x\ny\" id='no'>";
        assert_eq!(
            all,
            [
                Piece::Text("a "),
                Piece::Tag(tag),
                Piece::Text("c &amp; d"),
                Piece::Tag("</b>"),
                Piece::Text("\n"),
                Piece::Tag("<hr>"),
            ]
        );
        assert_eq!((name(tag), name("</b>"), name("<hr>")), ("b", "/b", "hr"));
        assert_eq!(attribute(tag, "class").as_deref(), Some("x\ny"));
        assert_eq!(attribute(tag, "lass"), None);
        assert_eq!(pieces("").next(), None);
    }

    #[test]
    fn entities_are_characters() {
        assert_eq!(
            text("&lt;a&gt; &amp;amp; &#x2014; &#65; &nope; &"),
            "<a> &amp; \u{2014} A &nope; &"
        );
        assert_eq!(
            attribute("<a href=\"?a&amp;b\">", "href").as_deref(),
            Some("?a&b")
        );
    }
}
