//! The frame of each page: where the reader is, the way to the rest, and the sections of the
//! page. There is no script; everything works in any browser.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::links;
use super::page::{Page, Section};

/// The place of the style sheet.
pub const STYLE: &str = "style.css";
/// The place of the first page.
pub const INDEX: &str = "index.html";

/// Fewer sections are seen without a list of them.
const LISTED_MIN: usize = 3;

/// Where the top of each page leads, beside the first page; those that are there.
const WAYS: [(&str, &str); 4] = [
    ("README.md", "Start"),
    ("docs/services.md", "Services"),
    (links::MANUAL, "Manual"),
    ("ARCHITECTURE.md", "Inside"),
];

/// A page of a document, of the manual or of a file.
pub fn framed(page: &Page) -> String {
    let place = page.place();
    let lists = page.sections.len() >= LISTED_MIN;
    let main = html! {
        @if lists {
            details class="contents narrow" {
                summary { "On this page" }
                (contents(&page.sections))
            }
            nav class="contents wide" aria-label="On this page" { (contents(&page.sections)) }
        }
        article { (PreEscaped(&page.body)) }
    };
    let foot = html! { "Made of " code { (page.source) } " of sunup " (env!("CARGO_PKG_VERSION")) };
    frame(&place, &page.title, &main, &foot, lists)
}

/// A page of its own at a place of the site.
pub fn frame(place: &str, title: &str, main: &Markup, foot: &Markup, is_split: bool) -> String {
    let to = |there: &str| links::relative(place, there);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) @if title != "sunup" { " - sunup" } }
                link rel="stylesheet" href=(to(STYLE));
            }
            body {
                a class="skip" href="#main" { "To the text" }
                header {
                    a class="name" href=(to(INDEX)) { "sunup" }
                    nav aria-label="Documents" {
                        @for (file, name) in WAYS {
                            @let there = links::place(file);
                            a href=(to(&there)) aria-current=[(there == place).then_some("page")] { (name) }
                        }
                    }
                }
                main id="main" class=[is_split.then_some("split")] { (main) }
                footer { (foot) }
            }
        }
    };
    page.into_string()
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        ul {
            @for section in sections {
                li class=[section.is_part.then_some("part")] {
                    a href=(format!("#{}", section.id)) { (section.title) }
                }
            }
        }
    }
}
