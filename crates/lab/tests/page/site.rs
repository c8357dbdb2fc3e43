//! The site of `lab docs` on a phone and on a large screen, light and dark: each page in a frame of
//! its own.

use std::fmt::Write as _;
use std::fs;

use super::{DARK, browse, told};

const LOOK: &str = include_str!("site.js");
/// What text needs that is neither large nor bold (WCAG 2.1, level AA).
const CONTRAST_MIN: f64 = 4.5;

/// Checks all pages, in frames of that width; how bright the paper is.
fn check(width: u32, more: &[&str]) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let site = lab::docs::site(&lab::workspace::root()).unwrap();
    let mut frames = String::from("<!DOCTYPE html><html><body>");
    for (path, content) in &site {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        if path.strip_suffix(".html").is_some() {
            write!(
                frames,
                "<iframe src=\"{path}\" width=\"{width}\" height=\"900\"></iframe>"
            )
            .unwrap();
        }
    }
    write!(frames, "<script>{LOOK}</script></body></html>").unwrap();
    let file = dir.path().join("frames.html");
    fs::write(&file, frames).unwrap();
    let args = ["--dump-dom", "--allow-file-access-from-files"];
    let pages = told(browse(&file, &[&args, more].concat()));
    let pages = pages.as_array().unwrap();
    let count = site
        .keys()
        .filter(|path| path.strip_suffix(".html").is_some())
        .count();
    assert_eq!(pages.len(), count);
    for page in pages {
        let name = &page["page"];
        assert_eq!(page["width"], width, "{name}");
        assert!(page["texts"].as_u64().unwrap() > 5, "{name}");
        assert_eq!(
            page["beyond"],
            serde_json::json!([]),
            "{name}: wider than {width} px"
        );
        let contrast = page["faintest"][0].as_f64().unwrap();
        assert!(contrast >= CONTRAST_MIN, "{name}: {}", page["faintest"]);
    }
    pages[0]["paper"].as_f64().unwrap()
}

#[test]
fn nothing_of_the_site_is_too_wide_or_too_faint() {
    for width in [320, 360, 1280] {
        assert!(check(width, &[]) > 0.9, "light paper");
        assert!(check(width, &[DARK]) < 0.1, "dark paper");
    }
}
