//! The first page, which sorts the documents by who reads them, and the list of the manual.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use maud::{Markup, html};

use super::layout;
use super::links::{self, MANUAL};
use super::manual::{self, Names};
use super::page::Page;

/// Documents for one kind of reader.
struct Group {
    reader: &'static str,
    /// Files, each with what it is good for; a page of the manual says that itself.
    entries: &'static [(&'static str, &'static str)],
}

const GROUPS: &[Group] = &[
    Group {
        reader: "You want services that stay up",
        entries: &[
            (
                "README.md",
                "what sunup is, and a first service in six lines",
            ),
            ("docs/README.md", "the guide: short pages, by reader"),
            ("docs/first-service.md", "in five minutes"),
            (
                "docs/services.md",
                "ten short examples, from one file to services in order",
            ),
            ("man/service-directory.5", ""),
            ("man/svlogd.8", ""),
            ("man/chpst.8", ""),
        ],
    },
    Group {
        reader: "You have runit, busybox or systemd",
        entries: &[
            ("docs/from-runit.md", "on Debian, Void and others; and back"),
            ("docs/from-busybox.md", "buildroot, an initramfs"),
            (
                "docs/from-systemd.md",
                "commands and unit lines side by side",
            ),
            (
                "docs/compatibility.md",
                "every difference, and how to take Debian's place",
            ),
            ("man/runsvdir.8", ""),
            ("man/runit.8", ""),
            ("man/mdev.8", ""),
        ],
    },
    Group {
        reader: "You run containers",
        entries: &[
            (
                "docs/containers.md",
                "which of four programs is process 1, with examples",
            ),
            ("man/container.8", ""),
            ("man/tini.8", ""),
            ("man/dumb-init.8", ""),
        ],
    },
    Group {
        reader: "You build a machine or a distribution",
        entries: &[
            ("docs/machine-init.md", "sunup as process 1, and recovery"),
            ("docs/boot.md", "from power-on to prompt, with a picture"),
            ("man/init.8", ""),
            ("man/inittab.5", ""),
            ("man/stage1.8", ""),
            ("man/initramfs.8", ""),
            ("man/sulogin.8", ""),
        ],
    },
    Group {
        reader: "You want to know how it is made, or change it",
        entries: &[
            (
                "ARCHITECTURE.md",
                "how the files work together, in two pages",
            ),
            ("CONTRIBUTING.md", "build, test, style with reasons"),
            ("docs/pitfalls.md", "traps that shaped the code"),
            ("docs/bench/README.md", "what it costs beside its peers"),
            ("docs/bench/boot.md", "a whole boot beside busybox's"),
            ("CHANGELOG.md", "what has changed"),
            ("SECURITY.md", "what runs as root, and whom to tell"),
        ],
    },
];

/// How the pages of sv's commands begin.
const COMMANDS: &str = "man/sv-";
/// Where decisions are.
const DECISIONS: &str = "docs/decisions/";
/// Where documents are.
const DOCUMENTS: &str = "docs/";

/// The first page.
///
/// # Errors
/// If it would name a document that is not there.
pub fn first(pages: &BTreeMap<String, Page>) -> Result<String> {
    let listed = GROUPS.iter().flat_map(|group| group.entries);
    let listed: BTreeSet<&str> = listed.map(|(file, _)| *file).collect();
    if let Some(file) = listed.iter().find(|file| !pages.contains_key(**file)) {
        bail!("{file}: the first page of the site names it, and it is not there");
    }
    let is_other = |file: &str| {
        file.starts_with(DOCUMENTS) && !file.starts_with(DECISIONS) && links::is_document(file)
    };
    let others = pages.iter().filter(|(file, _)| is_other(file));
    let others: Vec<&Page> = others
        .filter(|(file, _)| !listed.contains(file.as_str()))
        .map(|(_, page)| page)
        .collect();
    let commands = pages.iter().filter(|(file, _)| file.starts_with(COMMANDS));
    let commands = pages
        .get("man/sv.8")
        .into_iter()
        .chain(commands.map(|(_, page)| page));
    let decisions = pages.iter().filter(|(file, _)| file.starts_with(DECISIONS));
    let main = html! {
        h1 { "sunup" }
        p class="lead" {
            "An init and a supervisor of services in one static binary. It takes the place of runit, and of \
             busybox's init, runsvdir, sv, mdev and getty, with the same commands and files."
        }
        div class="groups" {
            @for group in GROUPS {
                section {
                    h2 { (group.reader) }
                    ul { @for (file, note) in group.entries { (entry(&pages[*file], note)) } }
                }
            }
            section {
                h2 { "You look for a command of sv" }
                ul { @for page in commands { (entry(page, "")) } }
            }
            @if !others.is_empty() {
                section {
                    h2 { "More guides" }
                    ul { @for page in others { (entry(page, "")) } }
                }
            }
        }
        details {
            summary { "Decisions, and the reasons for them" }
            ul { @for (_, page) in decisions { (entry(page, "")) } }
        }
    };
    let foot = html! { "sunup " (env!("CARGO_PKG_VERSION")) };
    Ok(layout::frame(layout::INDEX, "sunup", &main, &foot, false))
}

fn entry(page: &Page, note: &str) -> Markup {
    let note = page.about.as_deref().unwrap_or(note);
    html! {
        li {
            a href=(page.place()) { (page.title) }
            @if !note.is_empty() { span class="note" { (note) } }
        }
    }
}

/// The list of all pages of the manual.
pub fn of_manual(pages: &BTreeMap<String, Page>, names: &Names) -> String {
    let place = links::place(MANUAL);
    let mut rows: Vec<(String, &Page)> = names
        .pages()
        .map(|name| (name, name))
        .chain(names.others())
        .filter_map(|(name, page)| {
            let page = pages.get(&format!("{MANUAL}/{page}"))?;
            Some((manual::shown(name), page))
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let main = html! {
        h1 { "Manual" }
        p { "On a machine, " code { "man sv" } " shows a page where man(1) finds it, and " code { "sv --help" }
            " is a short form of it that is always there." }
        div class="scroll" tabindex="0" {
            table class="list" {
                @for (name, page) in rows {
                    tr {
                        td { a href=(links::relative(&place, &page.place())) { (name) } }
                        td { (page.about.as_deref().unwrap_or_default()) }
                    }
                }
            }
        }
    };
    let foot = html! { "sunup " (env!("CARGO_PKG_VERSION")) };
    layout::frame(&place, "Manual", &main, &foot, false)
}
