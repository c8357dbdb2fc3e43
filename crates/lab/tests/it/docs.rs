//! The site of `lab docs`: what is in it, and that no link is broken. (`tests/page` looks at what
//! a browser makes of it.)

use std::collections::BTreeSet;
use std::fs;

use lab::docs::{Site, complaints, site};
use lab::workspace;

use super::common::{lab, run_lab};

fn made() -> Site {
    site(&workspace::root()).unwrap()
}

fn text<'a>(site: &'a Site, path: &str) -> &'a str {
    let content = site.get(path).unwrap_or_else(|| panic!("{path}"));
    std::str::from_utf8(content).unwrap()
}

#[test]
fn every_link_leads_somewhere_and_a_broken_one_is_found() {
    let mut site = made();
    assert_eq!(complaints(&site), [""; 0]);
    let links = site
        .values()
        .map(|content| String::from_utf8_lossy(content).matches("href=\"").count());
    assert!(links.sum::<usize>() > 2000);
    let page = text(&site, "man/sv.8.html").replace("id=\"EXAMPLES\"", "");
    site.insert("man/sv.8.html".into(), page.into());
    site.remove("docs/boot.html");
    let complaints = complaints(&site);
    for part in [
        "index.html: docs/boot.html: no such file",
        "man/sv.8.html: #EXAMPLES: no such place",
    ] {
        assert!(
            complaints.iter().any(|line| line == part),
            "{complaints:#?}"
        );
    }
}

#[test]
fn every_document_and_every_page_of_the_manual_is_there_and_is_reached() {
    let site = made();
    let root = workspace::root();
    for dir in ["docs", "docs/decisions", "man"] {
        for entry in fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_page =
                path.is_file() && (dir == "man" || path.extension().is_some_and(|e| e == "md"));
            if !is_page || text.starts_with(".so ") {
                continue;
            }
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let place = format!("{}.html", path.trim_end_matches(".md"));
            assert!(site.contains_key(&place), "{place}");
            let from = if dir == "man" {
                "man/index.html"
            } else {
                "index.html"
            };
            let link = format!("href=\"{}\"", place.trim_start_matches("man/"));
            assert!(self::text(&site, from).contains(&link), "{from}: {link}");
        }
    }
    // Under its second name.
    let manual = text(&site, "man/index.html");
    assert!(
        manual.contains("<a href=\"poweroff.8.html\">halt(8)</a>"),
        "{manual}"
    );
    let guide = text(&site, "docs/services.html");
    assert!(guide.contains("<a href=\"../man/sv.8.html\">sv(8)</a>"));
    let page = text(&site, "man/sv.8.html");
    assert!(page.contains("<a class=\"Xr\" href=\"runsv.8.html\">runsv(8)</a>"));
    assert!(
        !text(&site, "man/getty.8.html").contains("href=\"login.1"),
        "not ours"
    );
}

/// A second quote that was meant to follow the first, and is in it: a mistake that mandoc is silent
/// about.
#[test]
fn no_literal_of_the_manual_is_within_another() {
    let site = made();
    for path in site.keys().filter(|path| path.starts_with("man/")) {
        for literal in text(&site, path).split("<code class=\"Li\">").skip(1) {
            let (literal, _) = literal.split_once("</code>").unwrap();
            assert!(!literal.contains("<code"), "{path}: {literal}");
        }
    }
}

#[test]
fn the_site_needs_no_script_and_is_the_same_every_time() {
    let site = made();
    for path in site
        .keys()
        .filter(|path| path.strip_suffix(".html").is_some())
    {
        let page = text(&site, path);
        assert!(!page.contains("<script"), "{path}");
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
    }
    assert!(site == made());
}

#[test]
fn a_site_replaces_a_site_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("site");
    let args = ["docs", "--out", out.to_str().unwrap()];
    for _ in 0..2 {
        let output = run_lab(&args);
        let index = format!("{}\n", out.join("index.html").display());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), index);
        let mut written = BTreeSet::new();
        find(&out, &mut written);
        let ours: BTreeSet<_> = made().keys().map(|path| out.join(path)).collect();
        assert!(written.is_superset(&ours));
        assert!(!written.contains(&out.join("docs/old.html")));
        fs::write(out.join("docs/old.html"), "").unwrap();
    }
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine"), "").unwrap();
    let output = std::process::Command::new(lab())
        .args(["docs", "--out", other.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it holds something else"), "{said}");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

fn find(dir: &std::path::Path, found: &mut BTreeSet<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else {
            found.insert(path);
        }
    }
}
