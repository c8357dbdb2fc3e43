//! The size of the device's binary has a limit, which the README states.

use std::fs;

use lab::workspace;

#[test]
fn the_binary_is_as_small_as_the_readme_says() {
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let words: Vec<&str> = readme.split_whitespace().collect();
    let after = |pair: &[&str]| pair == ["binary", "under"];
    let at = words.windows(2).position(after).unwrap() + 2;
    assert!(words[at + 1].starts_with("MB"), "{}", words[at + 1]);
    let limit = (words[at].parse::<f64>().unwrap() * 1e6) as u64;
    let bytes = fs::metadata(workspace::build_sunup().unwrap())
        .unwrap()
        .len();
    assert!(bytes < limit, "{bytes} bytes");
}
