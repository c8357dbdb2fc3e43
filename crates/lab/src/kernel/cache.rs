//! Where built kernels are kept: outside of the sources, for they take long and many
//! checkouts may share them. One directory each, `kernel-VERSION-NUMBER`, with the version
//! of the source package and the number of the recipe in its name:
//!
//! - `bzImage`, the kernel
//! - `config`, its whole configuration
//! - `lib/modules/RELEASE`, its modules
//!
//! A directory is renamed into its place when it is complete.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::recipe::Recipe;

/// `$XDG_CACHE_HOME/sunup` or `~/.cache/sunup`.
///
/// # Errors
/// If there is neither.
pub fn dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    below(set("XDG_CACHE_HOME"), set("HOME"))
        .ok_or_else(|| anyhow!("no place for kernels: neither HOME nor XDG_CACHE_HOME is set"))
}

fn below(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // A relative path is to be ignored, says the standard.
    let cache = cache.map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(home?).join(".cache")))?;
    Some(cache.join("sunup"))
}

/// The place of the kernel from the source of this version.
pub fn place(dir: &Path, version: &str, recipe: &Recipe) -> PathBuf {
    dir.join(format!("kernel-{version}-{:016x}", recipe.id()))
}

/// The kernel of a place.
pub fn image(place: &Path) -> PathBuf {
    place.join("bzImage")
}

/// The place of the last kernel that was built by the recipe, of whatever version, if any.
pub fn find(dir: &Path, recipe: &Recipe) -> Option<PathBuf> {
    let id = format!("-{:016x}", recipe.id());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("kernel-") && name.ends_with(&id) && image(path).is_file()
    };
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let built = entries.map(|entry| entry.path()).filter(is_one);
    built.max_by_key(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
}

/// The version in the name of a place.
pub fn version(place: &Path) -> Option<String> {
    let name = place.file_name()?.to_str()?;
    let (version, _) = name.strip_prefix("kernel-")?.rsplit_once('-')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_cache_is_where_the_standard_has_it() {
        let os = |text: &str| Some(OsString::from(text));
        let want = |path: &str| Some(PathBuf::from(path));
        assert_eq!(below(os("/c"), os("/h")), want("/c/sunup"));
        assert_eq!(below(os("c"), os("/h")), want("/h/.cache/sunup"));
        assert_eq!(below(None, os("/h")), want("/h/.cache/sunup"));
        assert_eq!(below(None, None), None);
    }

    #[test]
    fn the_last_kernel_of_a_recipe_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe::small().unwrap();
        assert_eq!(find(dir.path(), &recipe), None);
        assert_eq!(find(&dir.path().join("nowhere"), &recipe), None);
        let now = SystemTime::now();
        for (version, age) in [("6.1.9-1", 3), ("6.1.10-1~deb12u1", 1), ("6.1.8-1", 2)] {
            let place = place(dir.path(), version, &recipe);
            fs::create_dir(&place).unwrap();
            fs::write(image(&place), "").unwrap();
            let built = now - Duration::from_secs(age);
            File::open(&place).unwrap().set_modified(built).unwrap();
        }
        // Neither what is not complete, nor another recipe's.
        fs::create_dir(place(dir.path(), "7", &recipe)).unwrap();
        let other = dir.path().join("kernel-8-0000000000000000");
        fs::create_dir(&other).unwrap();
        fs::write(image(&other), "").unwrap();
        let found = find(dir.path(), &recipe).unwrap();
        assert_eq!(version(&found).as_deref(), Some("6.1.10-1~deb12u1"));
    }
}
