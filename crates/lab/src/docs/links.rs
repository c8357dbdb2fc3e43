//! Where things are: a file of the sources has one place in the site, and a link between two
//! files becomes one between their places.
//!
//! Places mirror the sources: `docs/boot.md` is `docs/boot.html`, `man/sv.8` is
//! `man/sv.8.html`. So a link between two documents keeps its shape.

/// Endings of files that a page shows or offers as they are.
const ASSETS: [&str; 3] = [".svg", ".png", ".json"];

/// The directory of the manual; as a link it is the list of its pages.
pub const MANUAL: &str = "man";

/// The place in the site of a file of the sources.
pub fn place(file: &str) -> String {
    if file == MANUAL {
        return format!("{MANUAL}/index.html");
    }
    if is_asset(file) {
        return file.to_owned();
    }
    format!("{}.html", file.strip_suffix(".md").unwrap_or(file))
}

/// Whether a file of the sources is a document of Markdown.
pub fn is_document(file: &str) -> bool {
    file.strip_suffix(".md").is_some()
}

/// Whether a file of the site is a page.
pub fn is_page(path: &str) -> bool {
    path.strip_suffix(".html").is_some()
}

/// Whether a file goes into the site as it is.
pub fn is_asset(file: &str) -> bool {
    ASSETS.iter().any(|ending| file.ends_with(ending))
}

/// Whether a link leads out of the site.
pub fn is_foreign(link: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
}

/// A link apart: the path, and what follows `#`.
pub fn split(link: &str) -> (&str, Option<&str>) {
    match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    }
}

/// What a link in a file leads to, from the top; `None` if that is above it. An empty path is
/// the file itself.
pub fn resolve(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The link in one place of the site that leads to another.
pub fn relative(from: &str, to: &str) -> String {
    let mut here: Vec<&str> = from.split('/').collect();
    let mut there: Vec<&str> = to.split('/').collect();
    here.pop();
    while there.len() > 1 && here.first() == there.first() && !here.is_empty() {
        here.remove(0);
        there.remove(0);
    }
    "../".repeat(here.len()) + &there.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_places() {
        for (file, expected) in [
            ("README.md", "README.html"),
            ("docs/boot.md", "docs/boot.html"),
            ("man/sv.8", "man/sv.8.html"),
            ("man", "man/index.html"),
            ("docs/images/boot.svg", "docs/images/boot.svg"),
            ("rootfs/etc/runit/stage1", "rootfs/etc/runit/stage1.html"),
        ] {
            assert_eq!(place(file), expected);
        }
    }

    #[test]
    fn a_link_goes_there_and_back() {
        for (from, link, to) in [
            ("docs/boot.html", "../man/sv.8.html", "man/sv.8.html"),
            ("docs/boot.html", "containers.html", "docs/containers.html"),
            ("README.html", "docs/boot.html", "docs/boot.html"),
            ("a/b/c.html", "../d.html", "a/d.html"),
            ("a/b/c.html", "../../d.html", "d.html"),
        ] {
            assert_eq!(resolve(from, link).as_deref(), Some(to));
            assert_eq!(relative(from, to), link);
        }
        assert_eq!(resolve("a/b.html", "../../c"), None);
        assert_eq!(resolve("a/b.html", "").as_deref(), Some("a/b.html"));
        assert_eq!(relative("a/a", "a/b"), "b");
    }
}
