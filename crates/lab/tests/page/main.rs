//! The page of `lab chart`, and the site of `lab docs`, in a browser: by what is drawn, and where.
//!
//! A script that is added for the test says which boxes there are; Chromium runs it without a
//! window. The page itself has no script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::chart::{Subject, page};
use model::boot_summary::Boot;
use model::format::boot_record::{Line, Record, What};
use model::time::Instant;
use serde_json::Value;

const ONE: &[u8] = include_bytes!("../records/one");
const OTHER: &[u8] = include_bytes!("../records/other");
const PROBE: &str = include_str!("probe.js");
const DARK: &str = "--blink-settings=preferredColorScheme=0";
/// A pixel, and what antialiasing adds.
const NEAR: f64 = 1.5;

fn subject(name: &str, record: &Record) -> Subject {
    Subject {
        name: name.to_owned(),
        boot: Boot::of(record),
    }
}

fn one() -> Subject {
    subject("one", &Record::decode(ONE).unwrap())
}

fn other() -> Subject {
    subject("other", &Record::decode(OTHER).unwrap())
}

/// A page on disk, for as long as the value lives.
struct Page {
    _dir: tempfile::TempDir,
    file: PathBuf,
}

impl Page {
    fn of(subjects: &[Subject], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("boot.html");
        let probe = format!("<script>{script}</script></body></html>");
        let text = page(subjects).replace("</body></html>", &probe);
        assert!(text.ends_with(&probe));
        fs::write(&file, text).unwrap();
        Self { _dir: dir, file }
    }

    fn browse(&self, args: &[&str]) -> Vec<u8> {
        browse(&self.file, args)
    }
}

/// What Chromium prints about a file.
fn browse(file: &Path, args: &[&str]) -> Vec<u8> {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("Debian's package chromium");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What a script has told in a page that was dumped.
fn told(dump: Vec<u8>) -> Value {
    let dump = String::from_utf8(dump).unwrap();
    let (_, told) = dump.split_once("<pre id=\"told\">").expect(&dump);
    let told = told.split("</pre>").next().unwrap();
    let told = told
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&told).unwrap()
}

/// What a browser draws in a window of that width.
fn drawn(subjects: &[Subject], width: u32, more: &[&str]) -> Value {
    let page = Page::of(subjects, PROBE);
    let window = format!("--window-size={width},1000");
    told(page.browse(&[&[window.as_str(), "--dump-dom"], more].concat()))
}

/// Left, top, right and bottom: the last four of a list.
fn corners(list: &Value) -> [f64; 4] {
    let list = list.as_array().unwrap();
    let numbers: Vec<f64> = list[list.len() - 4..]
        .iter()
        .map(|n| n.as_f64().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap()
}

/// Everything is inside of its drawing, and nothing in a row covers anything else.
fn check_places(drawn: &Value, names_above: bool) {
    assert_eq!(
        drawn["width"][0], drawn["width"][1],
        "the page scrolls sideways"
    );
    for drawing in list(drawn, "drawings") {
        let frame = corners(&drawing["box"]);
        assert!(frame[2] - frame[0] > 300.0, "{frame:?}");
        for part in list(drawing, "texts").iter().chain(list(drawing, "bars")) {
            let [left, top, right, bottom] = corners(part);
            let is_inside = left >= frame[0] - NEAR
                && right <= frame[2] + NEAR
                && top >= frame[1] - NEAR
                && bottom <= frame[3] + NEAR;
            assert!(is_inside && right > left, "{part} in {frame:?}");
        }
        for row in list(drawing, "rows") {
            assert_eq!(row["told"], row["label"]);
            let parts: Vec<(&str, [f64; 4])> = list(row, "parts")
                .iter()
                .map(|part| (part[0].as_str().unwrap(), corners(part)))
                .collect();
            for (at, (a, first)) in parts.iter().enumerate() {
                for (b, second) in &parts[at + 1..] {
                    let apart = first[2] <= second[0] + NEAR
                        || second[2] <= first[0] + NEAR
                        || names_above
                            && (first[3] <= second[1] + NEAR || second[3] <= first[1] + NEAR);
                    assert!(apart, "{}: {a} and {b}: {first:?} {second:?}", row["told"]);
                }
            }
        }
    }
}

fn rows(drawn: &Value) -> Vec<&Value> {
    list(drawn, "drawings")
        .iter()
        .flat_map(|drawing| list(drawing, "rows"))
        .collect()
}

#[test]
fn a_boot_on_a_wide_screen_and_on_a_narrow_one() {
    for (width, above) in [(1120, false), (1600, false), (500, true)] {
        let drawn = drawn(&[one()], width, &[]);
        check_places(&drawn, above);
        assert_eq!(rows(&drawn).len(), 12, "one of the two drawings is seen");
        let bar = |told: &str| {
            let row = rows(&drawn)
                .into_iter()
                .find(|row| row["told"].as_str().unwrap().starts_with(told));
            let parts = list(row.expect(told), "parts");
            let bar = parts
                .iter()
                .find(|part| part[0].as_str().unwrap().starts_with("bar"));
            corners(bar.expect(told))
        };
        // 86 and 54.95 ms, one in the other; and web after both.
        let (stage1, nodes, web) = (bar("/sbin/stage1: "), bar("nodes: "), bar("web: "));
        let ratio = (nodes[2] - nodes[0]) / (stage1[2] - stage1[0]);
        assert!((ratio - 54.95 / 86.0).abs() < 0.02, "{ratio}");
        assert!(stage1[0] < nodes[0] && nodes[2] < stage1[2] && stage1[2] < web[0]);
    }
}

#[test]
fn two_boots_beside_each_other() {
    let drawn = drawn(&[one(), other()], 1400, &[]);
    check_places(&drawn, false);
    let of = |told: &str| -> Vec<[f64; 4]> {
        let rows = rows(&drawn)
            .into_iter()
            .filter(|row| row["told"].as_str().unwrap().starts_with(told));
        rows.map(|row| corners(&list(row, "parts")[2])).collect()
    };
    let (nodes, stage1) = (of("nodes: "), of("/sbin/stage1: "));
    let width = |bar: [f64; 4]| bar[2] - bar[0];
    assert!(
        (stage1[0][1] - stage1[1][1]).abs() < NEAR,
        "the same height: {stage1:?}"
    );
    assert!(
        (width(stage1[0]) - width(stage1[1])).abs() < NEAR,
        "the same scale: {stage1:?}"
    );
    assert!(stage1[0][2] < stage1[1][0], "beside: {stage1:?}");
    assert!(
        (width(nodes[1]) / width(nodes[0]) - 39.95 / 54.95).abs() < 0.03,
        "{nodes:?}"
    );
    let narrow = drawn_below(500);
    assert!(narrow[0][1] < narrow[1][1], "below each other: {narrow:?}");
}

/// Where the bars of stage 1 are in a narrow window.
fn drawn_below(width: u32) -> Vec<[f64; 4]> {
    let drawn = drawn(&[one(), other()], width, &[]);
    check_places(&drawn, true);
    let rows = rows(&drawn).into_iter();
    let stage1 = rows.filter(|row| row["told"].as_str().unwrap().starts_with("/sbin/stage1"));
    stage1.map(|row| corners(&list(row, "parts")[2])).collect()
}

/// The contrast of two colours, as WCAG 2 defines it.
fn contrast(one: &str, other: &str) -> f64 {
    let light = |colour: &str| {
        let digits = colour.split(|c: char| !c.is_ascii_digit() && c != '.');
        let parts: Vec<f64> = digits.filter_map(|n| n.parse().ok()).collect();
        let linear = |part: f64| {
            let part = part / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(parts[0]) + 0.7152 * linear(parts[1]) + 0.0722 * linear(parts[2])
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn light_and_dark_can_be_read() {
    let mut papers = Vec::new();
    for scheme in ["--blink-settings=preferredColorScheme=1", DARK] {
        let drawn = drawn(&[one()], 1120, &[scheme]);
        let paper = drawn["paper"].as_str().unwrap().to_owned();
        let inks = list(&drawn, "ink");
        assert!(inks.len() > 40);
        for pair in inks {
            let [ink, behind] = [0, 1].map(|n| pair[n].as_str().unwrap());
            let behind = if behind.is_empty() { &paper } else { behind };
            assert!(contrast(ink, behind) >= 4.5, "{ink} on {behind}");
        }
        papers.push(paper);
    }
    assert_eq!(papers, ["rgb(255, 255, 255)", "rgb(17, 21, 27)"]);
}

#[test]
fn names_do_nothing_but_stand_there() {
    let mut record = Record::decode(ONE).unwrap();
    let bad = [
        "<script>var pwned=1</script>",
        "\"><img src=x onerror=\"var pwned=1\">",
        "</title></svg></style><script>var pwned=1</script>",
        "W\u{202e}W\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}",
    ];
    for (name, at) in bad.iter().zip(500_000_000..) {
        let name = name.as_bytes().to_vec();
        for what in [What::Start(name.clone(), 1), What::Ready(name)] {
            record.lines.push(Line {
                at: Instant(at),
                what,
            });
        }
    }
    let hostile = subject("</p><script>var pwned=1</script>", &record);
    let drawn = drawn(&[hostile], 1120, &[]);
    check_places(&drawn, false);
    assert_eq!(
        (&drawn["pwned"], &drawn["scripts"]),
        (&Value::from(false), &Value::from(1))
    );
    assert_eq!(rows(&drawn).len(), 16);
}

/// A sheet of paper holds a boot; two hundred services take a few.
#[test]
fn it_can_be_printed() {
    let mut many = Record::decode(ONE).unwrap();
    for n in 0..200_u64 {
        let what = What::Start(format!("s{n:04}").into_bytes(), 7);
        many.lines.push(Line {
            at: Instant(500_000_000 + n * 100_000),
            what,
        });
    }
    let sheets = |subjects: &[Subject]| {
        let page = Page::of(subjects, "");
        let pdf = page.file.with_extension("pdf");
        let to = format!("--print-to-pdf={}", pdf.display());
        page.browse(&[&to, "--no-pdf-header-footer"]);
        let pdf = fs::read(pdf).unwrap();
        assert!(pdf.starts_with(b"%PDF"));
        let text = String::from_utf8_lossy(&pdf).into_owned();
        text.matches("/Type /Page\n").count()
    };
    assert_eq!(sheets(&[one()]), 1);
    assert_eq!(sheets(&[one(), other()]), 2);
    let count = sheets(&[subject("many", &many)]);
    assert!((7..=12).contains(&count), "{count}");
}
