//! Whether every link of the site leads somewhere: to a file that is there and, if it names a
//! place in a page, to that place. Links out of the site are not followed.

use std::collections::{BTreeMap, BTreeSet};

use super::links;
use super::tags::{self, Piece};

/// The links and anchors of a page.
struct Marks {
    links: Vec<String>,
    anchors: BTreeSet<String>,
    /// Anchors that are there twice.
    twice: Vec<String>,
}

impl Marks {
    fn of(html: &str) -> Self {
        let mut marks = Self {
            links: Vec::new(),
            anchors: BTreeSet::new(),
            twice: Vec::new(),
        };
        for piece in tags::pieces(html) {
            let Piece::Tag(tag) = piece else {
                continue;
            };
            let links = ["href", "src"].map(|name| tags::attribute(tag, name));
            marks.links.extend(links.into_iter().flatten());
            if let Some(id) = tags::attribute(tag, "id")
                && !marks.anchors.insert(id.clone())
            {
                marks.twice.push(id);
            }
        }
        marks
    }
}

/// What is wrong with the links of a site, a line each.
pub fn complaints(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let pages = files.iter().filter(|(path, _)| links::is_page(path));
    let pages: BTreeMap<&str, Marks> = pages
        .map(|(path, content)| (path.as_str(), Marks::of(&String::from_utf8_lossy(content))))
        .collect();
    let mut wrong = Vec::new();
    for (path, marks) in &pages {
        let twice = marks.twice.iter();
        wrong.extend(twice.map(|id| format!("{path}: two places are called {id}")));
        for link in &marks.links {
            if let Err(why) = follow(path, link, files, &pages) {
                wrong.push(format!("{path}: {link}: {why}"));
            }
        }
    }
    wrong
}

fn follow(
    from: &str,
    link: &str,
    files: &BTreeMap<String, Vec<u8>>,
    pages: &BTreeMap<&str, Marks>,
) -> Result<(), &'static str> {
    if links::is_foreign(link) {
        return Ok(());
    }
    let (path, anchor) = links::split(link);
    if path.starts_with('/') || path.contains(':') {
        return Err("not a relative link");
    }
    let there = links::resolve(from, path).ok_or("leads out of the site")?;
    if !files.contains_key(&there) {
        return Err("no such file");
    }
    match (anchor, pages.get(there.as_str())) {
        (None, _) => Ok(()),
        (Some(anchor), Some(page)) if page.anchors.contains(anchor) => Ok(()),
        (Some(_), _) => Err("no such place"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_named() {
        let page = "<a href=\"b.html#x\"><a href=\"#y\"><b id=\"y\"><img src=\"p.svg\">\
                    <a href=\"https://example.org/#z\">";
        let bad = "<a href=\"c.html\"><a href=\"a.html#no\"><a href=\"/a.html\"><a href=\"../a.html\">\
                   <p id=\"x\"><p id=\"x\"><a href=\"p.svg#x\"><img src=\"q.svg\"><a href=\"file:a\">";
        let files = [("a.html", page), ("b.html", bad), ("p.svg", "")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        assert_eq!(
            complaints(&BTreeMap::from(files)),
            [
                "b.html: two places are called x",
                "b.html: c.html: no such file",
                "b.html: a.html#no: no such place",
                "b.html: /a.html: not a relative link",
                "b.html: ../a.html: leads out of the site",
                "b.html: p.svg#x: no such place",
                "b.html: q.svg: no such file",
                "b.html: file:a: not a relative link",
            ]
        );
    }
}
