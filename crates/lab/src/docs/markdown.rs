//! A document of Markdown as a page. Headings get the anchors that a forge gives them, links to
//! files of the sources lead to their places in the site, and `sv(8)` leads to that page.

use std::collections::BTreeMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::links;
use super::manual::Names;
use super::page::{Page, Section};

/// What a document is made into.
#[derive(Clone, Debug)]
pub struct Document {
    pub page: Page,
    /// The files of the sources that it links to or shows.
    pub linked: Vec<String>,
}

/// Makes a page of the document in a file of the sources.
pub fn document(file: &str, text: &str, names: &Names) -> Document {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let events: Vec<Event> = Parser::new_ext(text, options).collect();
    let mut writer = Writer {
        file,
        names,
        linked: Vec::new(),
        sections: Vec::new(),
        title: None,
        slugs: BTreeMap::new(),
        within: 0,
        out: Vec::with_capacity(events.len()),
    };
    for at in 0..events.len() {
        writer.write(&events[at..]);
    }
    let mut body = String::new();
    html::push_html(&mut body, writer.out.into_iter());
    // What is wider than the page is scrolled by the keyboard, too.
    let body = body.replace("<pre>", "<pre tabindex=\"0\">");
    Document {
        page: Page {
            source: file.to_owned(),
            title: writer.title.unwrap_or_else(|| file.to_owned()),
            about: None,
            sections: writer.sections,
            body,
        },
        linked: writer.linked,
    }
}

struct Writer<'a> {
    file: &'a str,
    names: &'a Names,
    linked: Vec<String>,
    sections: Vec<Section>,
    title: Option<String>,
    /// How often an anchor was wanted.
    slugs: BTreeMap<String, usize>,
    /// How many links, headings and blocks of code the text is in, where pages are not linked.
    within: usize,
    out: Vec<Event<'a>>,
}

impl<'a> Writer<'a> {
    /// Writes the first of the events; those that follow say what a heading is called.
    fn write(&mut self, events: &[Event<'a>]) {
        match &events[0] {
            Event::Start(Tag::Heading { level, .. }) => {
                self.within += 1;
                self.heading(*level, &words(&events[1..]));
            }
            Event::Start(Tag::Link {
                dest_url, title, ..
            }) => {
                self.within += 1;
                let link = self.link(dest_url);
                self.out.push(anchor(&link, title));
            }
            Event::Start(Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let link = self.link(dest_url);
                // A large one is looked at alone, on a phone for example.
                self.out.push(anchor(&link, ""));
                let dest_url = link.into();
                self.out.push(Event::Start(Tag::Image {
                    link_type: *link_type,
                    dest_url,
                    title: title.clone(),
                    id: id.clone(),
                }));
            }
            Event::Start(Tag::CodeBlock(_)) => {
                self.within += 1;
                self.out.push(events[0].clone());
            }
            Event::End(TagEnd::Image) => {
                self.out.push(events[0].clone());
                self.out.push(Event::InlineHtml("</a>".into()));
            }
            Event::End(TagEnd::Link) => {
                self.within -= 1;
                self.out.push(Event::InlineHtml("</a>".into()));
            }
            Event::End(TagEnd::Heading(_) | TagEnd::CodeBlock) => {
                self.within -= 1;
                self.out.push(events[0].clone());
            }
            Event::Start(Tag::Table(_)) => {
                let frame = "<div class=\"scroll\" tabindex=\"0\">";
                self.out.push(Event::Html(frame.into()));
                self.out.push(events[0].clone());
            }
            Event::End(TagEnd::Table) => {
                self.out.push(events[0].clone());
                self.out.push(Event::Html("</div>".into()));
            }
            Event::Text(text) if self.within == 0 => self.prose(text),
            other => self.out.push(other.clone()),
        }
    }

    fn heading(&mut self, level: HeadingLevel, words: &str) {
        let id = self.slug(words);
        match level {
            HeadingLevel::H1 => {
                self.title.get_or_insert_with(|| words.to_owned());
            }
            HeadingLevel::H2 | HeadingLevel::H3 => self.sections.push(Section {
                is_part: level == HeadingLevel::H3,
                id: id.clone(),
                title: words.to_owned(),
            }),
            _ => {}
        }
        self.out.push(Event::Start(Tag::Heading {
            level,
            id: Some(id.into()),
            classes: Vec::new(),
            attrs: Vec::new(),
        }));
    }

    fn slug(&mut self, words: &str) -> String {
        let slug: String = words.chars().filter_map(in_slug).collect();
        let count = self.slugs.entry(slug.clone()).or_default();
        *count += 1;
        match *count {
            1 => slug,
            n => format!("{slug}-{}", n - 1),
        }
    }

    /// A link as it is in the site. What leads above the sources stays, and is found to be broken.
    fn link(&mut self, link: &str) -> String {
        let (path, anchor) = links::split(link);
        if links::is_foreign(link) || path.is_empty() {
            return link.to_owned();
        }
        let Some(file) = links::resolve(self.file, path) else {
            return link.to_owned();
        };
        let file = self.names.page_of(&file);
        let there = links::relative(&links::place(self.file), &links::place(&file));
        self.linked.push(file);
        match anchor {
            Some(anchor) => format!("{there}#{anchor}"),
            None => there,
        }
    }

    /// Text in which pages of the manual are named.
    fn prose(&mut self, text: &CowStr<'a>) {
        let here = links::place(self.file);
        for part in self.names.mentions(text) {
            let event = match part {
                (words, Some(file)) => {
                    let there = links::relative(&here, &links::place(&file));
                    Event::InlineHtml(format!("<a href=\"{there}\">{words}</a>").into())
                }
                (words, None) => Event::Text(words.to_owned().into()),
            };
            self.out.push(event);
        }
    }
}

/// A character of a heading in its anchor.
fn in_slug(c: char) -> Option<char> {
    match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    }
}

/// The words up to the end of the heading.
fn words(events: &[Event]) -> String {
    let mut words = String::new();
    for event in events {
        match event {
            Event::End(TagEnd::Heading(_)) => break,
            Event::Text(text) | Event::Code(text) => words.push_str(text),
            Event::SoftBreak => words.push(' '),
            _ => {}
        }
    }
    words
}

fn anchor<'a>(link: &str, title: &str) -> Event<'a> {
    let link = maud::html! { a href=(link) title=[(!title.is_empty()).then_some(title)] {} };
    let link = link.into_string();
    Event::InlineHtml(link.trim_end_matches("</a>").to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Document {
        let names = Names::of(&[
            ("sv.8", None),
            ("halt.8", Some("poweroff.8")),
            ("poweroff.8", None),
        ]);
        document("docs/a.md", text, &names)
    }

    #[test]
    fn headings_have_a_forges_anchors() {
        let page = made("# Title, `code`\n\n## A b\n\n### A b\n\n#### c\n").page;
        assert_eq!(page.title, "Title, code");
        let sections: Vec<_> = page
            .sections
            .iter()
            .map(|s| (s.is_part, s.id.as_str(), s.title.as_str()))
            .collect();
        assert_eq!(sections, [(false, "a-b", "A b"), (true, "a-b-1", "A b")]);
        assert!(
            page.body
                .starts_with("<h1 id=\"title-code\">Title, <code>code</code></h1>")
        );
        assert!(page.body.contains("<h3 id=\"a-b-1\">"));
    }

    #[test]
    fn links_lead_to_places_in_the_site() {
        let text = "[a](b.md#c) [d](../man/halt.8) [e](#f) [g](https://h.org/?a&b) ![i](j.svg)\n";
        let made = made(text);
        assert_eq!(
            made.page.body,
            "<p><a href=\"b.html#c\">a</a> <a href=\"../man/poweroff.8.html\">d</a> \
             <a href=\"#f\">e</a> <a href=\"https://h.org/?a&amp;b\">g</a> \
             <a href=\"j.svg\"><img src=\"j.svg\" alt=\"i\" /></a></p>\n"
        );
        assert_eq!(made.linked, ["docs/b.md", "man/poweroff.8", "docs/j.svg"]);
    }

    #[test]
    fn pages_of_the_manual_are_linked_where_they_are_named_in_a_sentence() {
        let text = "# sv(8)\n\nSee sv(8), halt(8) and ls(1). `sv(8)` [sv(8)](#a)\n\n    sv(8)\n";
        let body = made(text).page.body;
        assert!(
            body.contains("See <a href=\"../man/sv.8.html\">sv(8)</a>, "),
            "{body}"
        );
        assert!(body.contains("<a href=\"../man/poweroff.8.html\">halt(8)</a> and ls(1)."));
        assert_eq!(body.matches("sv.8.html").count(), 1, "{body}");
    }

    #[test]
    fn what_is_wide_scrolls_within_itself() {
        let body = made("|a|b|\n|-|-|\n|1|2|\n\n```sh\nx\n```\n").page.body;
        assert!(
            body.contains("<div class=\"scroll\" tabindex=\"0\"><table>"),
            "{body}"
        );
        assert!(body.contains("</table>\n</div>"), "{body}");
        assert!(
            body.contains("<pre tabindex=\"0\"><code class=\"language-sh\">"),
            "{body}"
        );
    }
}
