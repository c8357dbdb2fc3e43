//! A page of the site before it has its frame: what a document, a page of the manual or a file
//! of the sources is made into.

use std::path::Path;

use anyhow::{Context, Result};
use maud::html;

use super::links;

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file of the sources that it is made of.
    pub source: String,
    /// What it is called.
    pub title: String,
    /// What it is about, in a line, if its source says so.
    pub about: Option<String>,
    /// Its sections, in order.
    pub sections: Vec<Section>,
    /// What it says, as HTML.
    pub body: String,
}

/// A heading below the title.
#[derive(Clone, Debug)]
pub struct Section {
    /// A part of the section before it.
    pub is_part: bool,
    /// Its anchor.
    pub id: String,
    /// Its words.
    pub title: String,
}

impl Page {
    /// Its place in the site.
    pub fn place(&self) -> String {
        links::place(&self.source)
    }

    /// A file of the sources as it stands.
    pub fn of_source(file: &str, text: &str) -> Self {
        let body = html! {
            h1 { code { (file) } }
            pre tabindex="0" { (text) }
        };
        Self {
            source: file.to_owned(),
            title: file.to_owned(),
            about: None,
            sections: Vec::new(),
            body: body.into_string(),
        }
    }
}

/// The text of a file of the sources.
pub fn read(root: &Path, file: &str) -> Result<String> {
    std::fs::read_to_string(root.join(file)).with_context(|| format!("read {file}"))
}
