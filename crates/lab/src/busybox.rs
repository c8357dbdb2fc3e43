//! A busybox for an image in which sunup has names of its own.
//!
//! Debian's busybox prefers its own applets to the `PATH`: its shell, `env`,
//! `xargs`, `find -exec` and others run the busybox they are part of when they are
//! told to run `mdev`, whatever `/sbin/mdev` is. So the applets that sunup stands in
//! for lose their names in the copy that goes into an image: busybox does not know
//! them any more, and looks for a program as everything else does.
//!
//! The names are one table in the binary, sorted, each with a NUL behind it. A name
//! that is taken out keeps its length and gets a lower last letter, so that nothing
//! moves and no search for another name ends too early. The copy is tried before it
//! is used: its shell must know what it knew, less those names. A busybox of which
//! that cannot be made is left as it is, and what this means is said; so is, without
//! a word, one that prefers nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The last letter of a name that was taken out. No applet's name has it, and it
/// sorts before all that a name can have.
const TAKEN: char = '!';

/// The bytes of `binary`, without the names `ours`.
///
/// # Errors
/// A binary that cannot be read, or run.
pub fn without(binary: &Path, ours: &[String]) -> Result<Vec<u8>> {
    let original = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let before = preferred(binary, ours);
    if before.is_empty() {
        return Ok(original);
    }
    let listed = lines(binary, "busybox", &["--list"])?;
    if let Some(changed) = take_out(&original, &listed, ours)
        && works(&changed, binary, &listed, ours)?
    {
        return Ok(changed);
    }
    warn(&binary.display().to_string(), &before);
    Ok(original)
}

/// The names in the table of a busybox that is another machine's and cannot be asked, and
/// its bytes without the names `ours`.
///
/// # Errors
/// A binary that cannot be read, or has no such table.
pub fn foreign(binary: &Path, ours: &[String]) -> Result<(Vec<String>, Vec<u8>)> {
    let original = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let names = names_in(&original)
        .with_context(|| format!("{}: no table of applets", binary.display()))?;
    let changed = take_out(&original, &names, ours)
        .with_context(|| format!("{}: more than one table of applets", binary.display()))?;
    Ok((names, changed))
}

/// The table of names in a binary: sorted, with `[` and `[[` at its beginning.
fn names_in(binary: &[u8]) -> Option<Vec<String>> {
    let starts = binary.windows(5).enumerate();
    let mut starts = starts.filter(|(_, bytes)| *bytes == b"[\0[[\0");
    let of = |(at, _)| -> Vec<String> {
        let table = binary.get(at..).unwrap_or_default().split(|b| *b == 0);
        let texts = table.map_while(|name| String::from_utf8(name.to_vec()).ok());
        let mut last = String::new();
        let sorted = texts.take_while(|name| {
            let comes_next = *name > last;
            last.clone_from(name);
            comes_next
        });
        sorted.collect()
    };
    let is_one = |names: &Vec<String>| {
        ["busybox", "sh"]
            .iter()
            .all(|n| names.iter().any(|m| m == n))
    };
    starts.find_map(|start| Some(of(start)).filter(is_one))
}

/// Says what a shell that prefers its own applets means for `names`.
pub fn warn(shell: &str, names: &[String]) {
    eprintln!(
        "lab: {shell}: this busybox prefers its own {} to what is in the PATH; in this image scripts and \
         prompts get sunup's only by their full paths (build it without FEATURE_PREFER_APPLETS and \
         FEATURE_SH_STANDALONE)",
        names.join(", ")
    );
}

/// Those of `names` that the shell in `binary` would run itself, whatever is in the
/// `PATH`. Nothing if it cannot be run: it may be another machine's.
pub fn preferred(binary: &Path, names: &[String]) -> Vec<String> {
    // `command -v` says a path, or for what is part of the shell just its name.
    let script = "PATH=; for name; do command -v \"$name\"; done; :";
    let words: Vec<&str> = ["-c", script, "sh"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut said = lines(binary, "sh", &words).unwrap_or_default();
    said.retain(|line| names.contains(line));
    said
}

/// The binary with other names in the place of `ours`; nothing if there is no
/// table of the `listed` names, or more than one.
fn take_out(binary: &[u8], listed: &[String], ours: &[String]) -> Option<Vec<u8>> {
    let table = table(listed);
    let mut places = binary
        .windows(table.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == table)
        .map(|(at, _)| at);
    let (at, None) = (places.next()?, places.next()) else {
        return None;
    };
    let mut changed = binary.to_vec();
    changed
        .get_mut(at..at + table.len())?
        .copy_from_slice(&self::table(&renamed(listed, ours)));
    Some(changed)
}

fn table(names: &[String]) -> Vec<u8> {
    names.iter().flat_map(|n| n.bytes().chain([0])).collect()
}

fn renamed(listed: &[String], ours: &[String]) -> Vec<String> {
    let rename = |name: &String| {
        let mut letters: Vec<char> = name.chars().collect();
        if ours.contains(name)
            && let Some(last) = letters.last_mut()
        {
            *last = TAKEN;
        }
        letters.into_iter().collect()
    };
    listed.iter().map(rename).collect()
}

/// Whether the `changed` binary knows what it knew before, less `ours`.
fn works(changed: &[u8], original: &Path, listed: &[String], ours: &[String]) -> Result<bool> {
    // Nothing may be executed from many a /tmp.
    let dir = tempfile::tempdir_in(workspace::scratch()?).context("try busybox")?;
    let (written, copy) = (dir.path().join("written"), dir.path().join("busybox"));
    std::fs::write(&written, changed)?;
    std::fs::set_permissions(&written, Permissions::from_mode(0o700))?;
    // A file that is open for writing cannot be run, and what is open here is so, for a
    // moment, in what another thread is just starting.
    if !Command::new("cp")
        .arg(&written)
        .arg(&copy)
        .status()?
        .success()
    {
        bail!("copy {}", written.display());
    }
    let knows = lines(&copy, "busybox", &["--list"]).unwrap_or_default();
    let mut preferred = preferred(original, listed);
    preferred.retain(|name| !ours.contains(name));
    Ok(knows == renamed(listed, ours) && self::preferred(&copy, listed) == preferred)
}

/// What a multi-call binary says, called by a name.
///
/// # Errors
/// A binary that cannot be run, fails, or says no text.
pub fn lines(binary: &Path, name: &str, words: &[&str]) -> Result<Vec<String>> {
    let said = || format!("{} {}", binary.display(), words.join(" "));
    let output = Command::new(binary)
        // Whatever the file is called.
        .arg0(name)
        .args(words)
        .output()
        .with_context(|| format!("run {}", said()))?;
    if !output.status.success() {
        bail!("{}: {}", said(), output.status);
    }
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("{} says no text", said()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn names_of_ours_get_another_last_letter() {
        let (listed, ours) = (names("ash init mdev sh"), names("init mdev sv"));
        let binary = b"\x7fELF mdev\0ash\0init\0mdev\0sh\0mdev: what";
        let changed = take_out(binary, &listed, &ours).unwrap();
        assert_eq!(changed, b"\x7fELF mdev\0ash\0ini!\0mde!\0sh\0mdev: what");
    }

    #[test]
    fn the_table_of_a_binary_is_found() {
        let binary = b"x[\0[[\0not\0a\0\xff[\0[[\0ash\0busybox\0mdev\0sh\0again\0";
        assert_eq!(
            names_in(binary).unwrap(),
            ["[", "[[", "ash", "busybox", "mdev", "sh"]
        );
        assert_eq!(names_in(b"\x7fELF sh busybox"), None);
    }

    #[test]
    fn without_one_table_nothing_is_changed() {
        let (listed, ours) = (names("ash mdev"), names("mdev"));
        assert_eq!(take_out(b"ash\0sh\0mdev\0", &listed, &ours), None);
        assert_eq!(take_out(b"ash\0mdev\0 ash\0mdev\0", &listed, &ours), None);
    }
}
