//! The manual: mandoc(1) makes HTML of each page in `man/`, which gets the headings of a page of
//! the site. A reference to another page is a link if that page is ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::links::MANUAL;
use super::page::{Page, Section};
use super::tags::{self, Piece};

/// The pages that there are: `sv.8`, and under which name a page is that has a second one.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// A name, and the page that it leads to.
    pages: BTreeMap<String, String>,
}

impl Names {
    /// Of the sources.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut names = Self::default();
        for entry in fs::read_dir(root.join(MANUAL)).context("read the manual")? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
            let other = text.trim().strip_prefix(".so man8/");
            names
                .pages
                .insert(name.to_string(), other.unwrap_or(&name).to_owned());
        }
        Ok(names)
    }

    /// Names, some of them second ones of others.
    #[cfg(test)]
    pub fn of(names: &[(&str, Option<&str>)]) -> Self {
        let page = |(name, other): &(&str, Option<&str>)| {
            (name.to_string(), other.unwrap_or(name).to_string())
        };
        Self {
            pages: names.iter().map(page).collect(),
        }
    }

    /// Each page once.
    pub fn pages(&self) -> impl Iterator<Item = &str> {
        let own = self.pages.iter().filter(|(name, page)| name == page);
        own.map(|(name, _)| name.as_str())
    }

    /// The second names, and the pages that they lead to.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.pages.iter().filter(|(name, page)| name != page);
        others.map(|(name, page)| (name.as_str(), page.as_str()))
    }

    /// A file of the sources, or the one that it stands for.
    pub fn page_of(&self, file: &str) -> String {
        let name = file.strip_prefix(MANUAL).and_then(|f| f.strip_prefix('/'));
        match name.and_then(|name| self.pages.get(name)) {
            Some(page) => format!("{MANUAL}/{page}"),
            None => file.to_owned(),
        }
    }

    /// A text in parts; those that name one of our pages come with its file.
    pub fn mentions<'t>(&self, text: &'t str) -> Vec<(&'t str, Option<String>)> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut from = 0;
        while let Some(at) = rest[from..].find('(').map(|at| from + at) {
            from = at + 1;
            let Some(section) = rest[from..].chars().next().filter(char::is_ascii_digit) else {
                continue;
            };
            if !rest[from + 1..].starts_with(')') {
                continue;
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let start = rest[..at].trim_end_matches(is_name).len();
            let Some(page) = self.pages.get(&format!("{}.{section}", &rest[start..at])) else {
                continue;
            };
            let end = at + "(8)".len();
            parts.push((&rest[..start], None));
            parts.push((&rest[start..end], Some(format!("{MANUAL}/{page}"))));
            (rest, from) = (&rest[end..], 0);
        }
        parts.push((rest, None));
        parts.retain(|(words, _)| !words.is_empty());
        parts
    }
}

/// How a page is called in text: `sv(8)`.
pub fn shown(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((name, section)) => format!("{name}({section})"),
        None => name.to_owned(),
    }
}

/// Makes the page of the site from a page of the manual.
///
/// # Errors
/// If mandoc fails.
pub fn page(root: &Path, name: &str, names: &Names) -> Result<Page> {
    let file = format!("{MANUAL}/{name}");
    let output = Command::new("mandoc")
        .args(["-T", "html", "-O", "fragment,man=%N.%S"])
        .arg(root.join(&file))
        .output()
        .context("run mandoc")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        bail!("mandoc: {file}: {said}");
    }
    let html = String::from_utf8(output.stdout).with_context(|| format!("{file}: not UTF-8"))?;
    let body = body(&html, names);
    Ok(Page {
        title: shown(name),
        about: about(&body),
        sections: sections(&body),
        body: format!(
            "<h1>{}</h1>\n<div class=\"manual\">{body}</div>\n",
            shown(name)
        ),
        source: file,
    })
}

/// mandoc's text without its head and foot, with headings below that of the page.
fn body(html: &str, names: &Names) -> String {
    let html = html
        .split_once("<div class=\"manual-text\">")
        .map_or(html, |(_, text)| text);
    let html = html
        .rsplit_once("<table class=\"foot\">")
        .map_or(html, |(text, _)| text);
    let html = html.trim_end();
    let html = html.strip_suffix("</div>").unwrap_or(html);
    let mut body = String::with_capacity(html.len());
    let mut in_foreign = false;
    for piece in tags::pieces(html) {
        let (Piece::Tag(part) | Piece::Text(part)) = piece;
        match (tags::name(part), piece) {
            (_, Piece::Text(_)) => body.push_str(part),
            ("a", _) => match reference(part, names) {
                Some(tag) => {
                    in_foreign = tag.starts_with("<span");
                    body.push_str(&tag);
                }
                None => body.push_str(part),
            },
            ("/a", _) if in_foreign => {
                in_foreign = false;
                body.push_str("</span>");
            }
            ("h1", _) => body.push_str(&part.replacen("<h1", "<h2", 1)),
            ("/h1", _) => body.push_str("</h2>"),
            ("h2", _) => body.push_str(&part.replacen("<h2", "<h3", 1)),
            ("/h2", _) => body.push_str("</h3>"),
            ("pre", _) => body.push_str(&part.replacen("<pre", "<pre tabindex=\"0\"", 1)),
            _ => body.push_str(part),
        }
    }
    body
}

/// The tag of a reference to another page, if that is what a tag is.
fn reference(tag: &str, names: &Names) -> Option<String> {
    if tags::attribute(tag, "class")? != "Xr" {
        return None;
    }
    let page = names.pages.get(&tags::attribute(tag, "href")?);
    Some(match page {
        Some(page) => format!("<a class=\"Xr\" href=\"{page}.html\">"),
        None => "<span class=\"Xr\">".to_owned(),
    })
}

/// What the page is about.
fn about(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<span class=\"Nd\">")?;
    Some(words(rest.split_once("</span>")?.0))
}

fn sections(body: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut rest = body;
    while let Some((_, tail)) = rest.split_once("<h") {
        rest = tail;
        let Some((level, tail)) = tail.split_at_checked(1) else {
            break;
        };
        let (Some((tag, content)), true) = (tail.split_once('>'), "23".contains(level)) else {
            continue;
        };
        let end = format!("</h{level}>");
        if let (Some(id), Some((title, _))) = (tags::attribute(tag, "id"), content.split_once(&end))
        {
            sections.push(Section {
                is_part: level == "3",
                id,
                title: words(title),
            });
        }
    }
    sections
}

/// The words of a part of a page, with one blank between them.
fn words(html: &str) -> String {
    let texts = tags::pieces(html).filter_map(|piece| match piece {
        Piece::Text(text) => Some(tags::text(text)),
        Piece::Tag(_) => None,
    });
    let all: String = texts.collect();
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_links_where_the_page_is_ours() {
        let names = Names::of(&[("sv.8", None), ("halt.8", Some("poweroff.8"))]);
        let html = "<table class=\"head\"></table>\n<div class=\"manual-text\">\n\
            <h1 class=\"Sh\" id=\"A\"><a class=\"permalink\" href=\"#A\">A\n  &lt;b&gt;</a></h1>\n\
            <a class=\"Xr\" href=\"sv.8\">sv(8)</a>, <a class=\"Xr\" href=\"halt.8\">halt(8)</a>,\n\
            <a class=\"Xr\" href=\"ls.1\">ls(1)</a><h2 class=\"Ss\" id=\"B\">B</h2>\n</div>\n\
            <table class=\"foot\"></table>\n";
        let body = body(html, &names);
        assert!(
            body.contains("<a class=\"Xr\" href=\"sv.8.html\">sv(8)</a>"),
            "{body}"
        );
        assert!(body.contains("<a class=\"Xr\" href=\"poweroff.8.html\">halt(8)</a>"));
        assert!(body.contains("<span class=\"Xr\">ls(1)</span>"), "{body}");
        assert!(body.contains("<h2 class=\"Sh\" id=\"A\">"), "{body}");
        assert!(
            body.ends_with("<h3 class=\"Ss\" id=\"B\">B</h3>\n"),
            "{body}"
        );
        assert!(!body.contains("head") && !body.contains("foot"), "{body}");
        let sections = sections(&body);
        let titles: Vec<_> = sections
            .iter()
            .map(|s| (s.is_part, s.title.as_str()))
            .collect();
        assert_eq!(titles, [(false, "A <b>"), (true, "B")]);
    }

    #[test]
    fn what_names_a_page_is_found_in_text() {
        let names = Names::of(&[
            ("sv.8", None),
            ("mdev.conf.5", None),
            ("halt.8", Some("poweroff.8")),
        ]);
        assert_eq!(
            names.mentions("(see sv(8), halt(8)) mdev.conf(5) ls(1) (8) f(9"),
            [
                ("(see ", None),
                ("sv(8)", Some("man/sv.8".into())),
                (", ", None),
                ("halt(8)", Some("man/poweroff.8".into())),
                (") ", None),
                ("mdev.conf(5)", Some("man/mdev.conf.5".into())),
                (" ls(1) (8) f(9", None),
            ]
        );
        assert_eq!(names.mentions("\u{e9}(\u{e9}"), [("\u{e9}(\u{e9}", None)]);
        assert_eq!(names.page_of("man/halt.8"), "man/poweroff.8");
        assert_eq!(names.page_of("docs/a.md"), "docs/a.md");
    }
}
