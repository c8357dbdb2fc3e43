//! The picture of README.md is drawn from what is kept beside it.

use std::fs;

use lab::workspace;

use super::common::run_lab;

#[test]
fn the_picture_is_of_what_was_shown() {
    let images = workspace::root().join("docs/images");
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("sv.svg");
    let (shown, out) = (images.join("sv"), made.to_str().unwrap());
    run_lab(&["picture", "--from", shown.to_str().unwrap(), "--out", out]);
    assert!(
        fs::read(images.join("sv.svg")).unwrap() == fs::read(&made).unwrap(),
        "cargo lab picture --from docs/images/sv --out docs/images/sv.svg"
    );
}
