//! Lists of packages of apt's that belong to lab alone: for sources, which a machine's
//! configuration seldom names, and for another architecture, of which dpkg then need not know.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::debian;

/// Where Debian keeps the keys of its archive (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Source packages.
    Sources,
    /// Packages of an architecture, by Debian's name of it.
    Of(&'static str),
}

/// Fresh lists in `dir`, from where this machine has the package `known` from; the options
/// with which apt's programs use them.
///
/// # Errors
/// If apt does not know the package, or cannot get the lists.
pub fn own_lists(dir: &Path, kind: Kind, known: &str) -> Result<Vec<String>> {
    let printed = debian::apt_says(dir, &["download", "--print-uris", "-qq", known])?;
    let targets = debian::apt_says(
        dir,
        &[
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ],
    )?;
    let keyring = Some(KEYRING).filter(|path| Path::new(path).exists());
    let list = source_list(&printed, &targets, kind, keyring);
    if list.is_empty() {
        bail!("apt does not say where {known} comes from");
    }
    let (list_path, lists, cache) = (dir.join("list"), dir.join("lists"), dir.join("cache"));
    fs::write(&list_path, list)?;
    fs::create_dir_all(lists.join("partial"))?;
    fs::create_dir_all(&cache)?;
    let mut own = vec!["Dir::Etc::sourceparts=-".to_owned()];
    for (name, path) in [
        ("Dir::Etc::sourcelist", &list_path),
        ("Dir::State::lists", &lists),
        ("Dir::Cache", &cache),
    ] {
        own.push(format!("{name}={}", path.display()));
    }
    if let Kind::Of(architecture) = kind {
        own.push(format!("APT::Architecture={architecture}"));
        own.push(format!("APT::Architectures={architecture}"));
        // What is installed here is of no use there.
        own.push("Dir::State::status=/dev/null".to_owned());
    }
    let own: Vec<String> = own.into_iter().flat_map(|o| ["-o".into(), o]).collect();
    debian::apt_says(dir, &debian::with(&["update", "-qq"], &own))?;
    Ok(own)
}

/// Lines for sources.list(5): from where `printed`, what `apt-get download --print-uris`
/// says, has its package from. `targets` are lines `REPOSITORY RELEASE COMPONENT`.
fn source_list(printed: &str, targets: &str, kind: Kind, keyring: Option<&str>) -> String {
    let uri = printed.split('\'').nth(1).unwrap_or_default();
    let (what, architecture) = match kind {
        Kind::Sources => ("deb-src", None),
        Kind::Of(architecture) => ("deb", Some(format!("arch={architecture}"))),
    };
    let signed = keyring.map(|path| format!("signed-by={path}"));
    let options: Vec<String> = architecture.into_iter().chain(signed).collect();
    let options = match options.join(" ") {
        none if none.is_empty() => none,
        some => format!("[{some}] "),
    };
    let of_the_package = |line: &&str| {
        let repository = line.split(' ').next().unwrap_or_default();
        !repository.is_empty() && uri.starts_with(repository)
    };
    let mut lines: Vec<&str> = targets.lines().filter(of_the_package).collect();
    // A machine of several architectures has each of them twice.
    lines.sort_unstable();
    lines.dedup();
    let line = |line: &str| format!("{what} {options}{line}\n");
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "'mirror:/debian/pool/main/b/busybox/b.deb' b.deb 928188 SHA256:3d\n";
    const TARGETS: &str = "mirror:/debian/ bookworm main\n\
        mirror:/debian-security/ bookworm-security main\n\
        elsewhere:/ stable main\n\
        mirror:/debian/ bookworm main\n\
        mirror:/debian/ bookworm-updates main\n";

    #[test]
    fn sources_are_taken_from_where_the_package_is() {
        assert_eq!(
            source_list(PRINTED, TARGETS, Kind::Sources, Some("/keys")),
            "deb-src [signed-by=/keys] mirror:/debian/ bookworm main\n\
             deb-src [signed-by=/keys] mirror:/debian/ bookworm-updates main\n"
        );
        assert_eq!(source_list("", TARGETS, Kind::Sources, None), "");
    }

    #[test]
    fn packages_of_another_architecture_are_where_ours_are() {
        let list = |keyring| source_list(PRINTED, TARGETS, Kind::Of("arm64"), keyring);
        assert!(list(None).starts_with("deb [arch=arm64] mirror:/debian/ bookworm main\n"));
        assert!(list(Some("/keys")).starts_with("deb [arch=arm64 signed-by=/keys] mirror:"));
    }
}
