//! The page with a boot in it, by what is written in it. (`tests/page` looks at what a browser
//! makes of that.)

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::chart::{Subject, drawing, page};
use model::boot_summary::Boot;
use model::format::boot_record::{Line, Record, What};
use model::time::Instant;

use super::common::{lab, run_lab};

const ONE: &[u8] = include_bytes!("../records/one");
const OTHER: &[u8] = include_bytes!("../records/other");

fn subject(name: &str, record: &[u8]) -> Subject {
    Subject {
        name: name.to_owned(),
        boot: Boot::of(&Record::decode(record).unwrap()),
    }
}

/// An element: its name, and its attributes as they stand.
struct Element {
    name: String,
    attributes: String,
    /// The elements around it.
    within: Vec<String>,
}

impl Element {
    fn get(&self, attribute: &str) -> Option<&str> {
        let (_, rest) = self.attributes.split_once(&format!(" {attribute}=\""))?;
        rest.split('"').next()
    }

    fn number(&self, attribute: &str) -> f64 {
        let value = self.get(attribute);
        value
            .and_then(|v| v.parse().ok())
            .unwrap_or_else(|| panic!("{attribute}: {value:?}"))
    }

    fn is(&self, class: &str) -> bool {
        self.get("class")
            .is_some_and(|all| all.split(' ').any(|one| one == class))
    }
}

/// The elements of a drawing, which must be nested as XML demands.
fn elements(text: &str) -> Vec<Element> {
    let (mut open, mut found) = (Vec::<String>::new(), Vec::new());
    for tag in text.split('<').skip(1) {
        let (tag, content) = tag.split_once('>').expect("a tag ends");
        assert!(!content.contains('>'), "{content}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (name, attributes) = tag.split_at(tag.find(' ').unwrap_or(tag.len()));
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        found.push(Element {
            name: name.to_owned(),
            attributes: attributes.to_owned(),
            within: open.clone(),
        });
        open.push(name.to_owned());
    }
    assert_eq!(open, Vec::<String>::new());
    found
}

#[test]
fn everything_of_the_record_is_drawn() {
    let text = drawing(&[subject("one", ONE)]);
    let all = elements(&text);
    let rows: Vec<&Element> = all
        .iter()
        .filter(|e| e.name == "g" && e.is("row"))
        .collect();
    let told: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.get("aria-label"))
        .collect();
    assert_eq!(told.len(), 12, "{told:?}");
    for part in [
        "/sbin/stage1: 86.0 ms, from 413.0 ms to 499.0 ms",
        "fstab: 11.0 ms, from 419.0 ms to 430.0 ms; failed: mount /data: no such device",
        "web: 48.0 ms from its start at 512.0 ms; ready at 560.0 ms; process 98",
        "broken: first start at 513.0 ms; could not be started",
        "waited from 510.0 ms to 543.0 ms: needs db",
    ] {
        assert!(
            told.iter().any(|told| told.contains(part)),
            "{part}: {told:?}"
        );
        assert!(text.contains(part));
    }
    let count = |class: &str| all.iter().filter(|e| e.is(class)).count();
    // On the bar of the whole boot each kind is there once more.
    assert_eq!(
        (count("kernel"), count("step"), count("service")),
        (1, 7, 6)
    );
    assert_eq!((count("never"), count("hold"), count("bad")), (1, 1, 2));
    assert!(
        text.contains(">kernel 412.6 ms<") && text.contains(">Stage 1<"),
        "{text}"
    );
    assert!(!text.contains("<script"), "no script is needed");
}

#[test]
fn bars_are_as_long_as_what_they_tell() {
    let text = drawing(&[subject("one", ONE)]);
    let all = elements(&text);
    let bars: Vec<&Element> = all.iter().filter(|e| e.is("bar")).collect();
    for bar in &bars {
        let (x, width) = (bar.number("x"), bar.number("width"));
        assert!(
            x >= 0.0 && width >= 2.0 && x + width <= 1080.0,
            "{}",
            bar.attributes
        );
    }
    let of = |class: &str, nth: usize| *bars.iter().filter(|b| b.is(class)).nth(nth).unwrap();
    let (kernel, stage1, services) = (of("kernel", 0), of("step", 0), of("service", 0));
    let end = |bar: &Element| bar.number("x") + bar.number("width");
    assert!((end(kernel) - stage1.number("x")).abs() < 0.2);
    assert!((end(stage1) - services.number("x")).abs() < 0.2);
    let per_ms = |bar: &Element, ms: f64| bar.number("width") / ms;
    let whole = per_ms(kernel, 412.611);
    assert!(
        (per_ms(services, 111.0) / whole - 1.0).abs() < 0.02,
        "{whole}"
    );
    // The rows: stage 1, its nodes, and web have one scale.
    let detail = per_ms(of("step", 1), 86.0);
    assert!((per_ms(of("step", 4), 54.95) / detail - 1.0).abs() < 0.01);
    assert!((per_ms(of("service", 2), 48.0) / detail - 1.0).abs() < 0.01);
    assert!(detail > 2.0 * whole);
}

#[test]
fn two_boots_have_one_scale_and_the_same_rows() {
    let text = drawing(&[subject("one", ONE), subject("other", OTHER)]);
    let all = elements(&text);
    let rows: Vec<&Element> = all
        .iter()
        .filter(|e| e.name == "g" && e.is("row"))
        .collect();
    assert_eq!(rows.len(), 24);
    let of = |n: usize| rows[n * 12..(n + 1) * 12].iter();
    assert!(
        of(1).any(|row| row.is("absent") && row.get("aria-label").unwrap().starts_with("broken: "))
    );
    assert!(!of(0).any(|row| row.is("absent")));
    let stage1: Vec<f64> = all
        .iter()
        .filter(|e| e.is("step"))
        .map(|e| e.number("width"))
        .collect();
    let difference = stage1[0] - stage1[stage1.len() / 2];
    assert!(difference.abs() < 0.1, "as long in both: {stage1:?}");
    let page = page(&[subject("one", ONE), subject("other", OTHER)]);
    for part in [
        "<th scope=\"row\">nodes</th><td>54.9 ms</td><td>40.0 ms</td><td>−15.0 ms</td>",
        "together",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn names_cannot_break_the_page() {
    const BAD: [&[u8]; 7] = [
        b"<script>alert(1)</script>",
        b"\"><svg onload=alert(1)>",
        b"</title></style><blink>",
        b"a\nb\0c\x1b[31m",
        b"]]>&amp;&#0;",
        b"\xff\xfe \xe2\x80\xae",
        b"",
    ];
    let mut record = Record::decode(ONE).unwrap();
    for (bad, at) in BAD.iter().zip(500_000_000..) {
        let name = bad.to_vec();
        let failure = Some(bad.to_vec());
        let until = Instant(at + 9);
        let at = Instant(at);
        for what in [
            What::Step {
                name: name.clone(),
                until,
                failure,
            },
            What::Hold(name.clone(), name.clone()),
            What::Start(name.clone(), 0),
            What::Note(name),
        ] {
            record.lines.push(Line { at, what });
        }
    }
    let shown = |name: &str| Subject {
        name: name.to_owned(),
        boot: Boot::of(&record),
    };
    let subjects = [shown("<i>\"'&"), shown("</html>")];
    let text = drawing(&subjects);
    let known = [
        "svg", "title", "style", "rect", "g", "line", "text", "polygon",
    ];
    for element in elements(&text) {
        assert!(known.contains(&element.name.as_str()), "{}", element.name);
        for name in element.attributes.split('"').step_by(2) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || " -=".contains(c);
            assert!(
                name.chars().all(is_name) && !name.starts_with(" on"),
                "{name}"
            );
        }
        assert!(
            element.name != "title"
                || element
                    .within
                    .last()
                    .is_some_and(|e| e == "g" || e == "svg")
        );
    }
    assert!(
        text.chars().all(|c| !c.is_control() || c == '\n'),
        "control characters"
    );
    let page = page(&subjects);
    for part in [
        "<script",
        "<blink>",
        "<i>\"",
        "onload=alert(1)>\"",
        "</html><",
    ] {
        assert!(!page.replace("</html><!", "").contains(part), "{part}");
    }
    assert!(page.ends_with("</html>") && page.matches("</html>").count() == 1);
}

#[test]
fn any_record_makes_a_page() {
    for record in [
        "",
        "1 note \"init\"\n",
        "5 start \"a\" 1\n",
        "garbage\n",
        "1 ready \"a\"\n0 idle 0 0\n",
    ] {
        let boot = Boot::of(&Record::decode_lines(record.as_bytes()));
        let subject = Subject {
            name: "any".to_owned(),
            boot,
        };
        drop(elements(&drawing(std::slice::from_ref(&subject))));
        assert!(page(&[subject]).contains("</svg>"));
    }
    let mut many = Record::decode(ONE).unwrap();
    for n in 0..500_u64 {
        let what = What::Start(format!("s{n:04}").into_bytes(), 7);
        many.lines.push(Line {
            at: Instant(500_000_000 + n),
            what,
        });
    }
    let boot = Boot::of(&many);
    let text = page(&[Subject {
        name: "many".to_owned(),
        boot,
    }]);
    // Each piece has an axis, and fits a sheet of paper.
    assert!(text.matches("class=\"axis\"").count() > 2 * 500 / 28);
    let all = elements(
        text.split_once("</style>")
            .unwrap()
            .1
            .split_once("<main")
            .unwrap()
            .1
            .split_once('>')
            .unwrap()
            .1
            .split("</main>")
            .next()
            .unwrap(),
    );
    for svg in all.iter().filter(|e| e.name == "svg") {
        assert!(svg.number("height") < 1000.0);
    }
}

/// The picture in the documents is what the program makes of the record beside it.
#[test]
fn the_picture_in_the_documents_is_of_today() {
    let images = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    let (record, picture) = (images.join("boot"), images.join("boot.svg"));
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("boot.svg");
    run_lab(&[
        "chart",
        "--from",
        record.to_str().unwrap(),
        "--out",
        made.to_str().unwrap(),
    ]);
    assert!(
        fs::read(&picture).unwrap() == fs::read(&made).unwrap(),
        "cargo lab chart --from docs/images/boot --out docs/images/boot.svg"
    );
    let page = dir.path().join("boot.html");
    let record = record.to_str().unwrap();
    run_lab(&[
        "chart",
        "--from",
        record,
        "--beside",
        record,
        "--out",
        page.to_str().unwrap(),
    ]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("http://www.w3.org/1999"));
    let outside = ["src=", "href=", "url(", "@import"];
    assert!(
        outside.iter().all(|part| !page.contains(part)),
        "it needs another file"
    );
}

#[test]
fn what_is_no_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "sunup-boot 2\n").unwrap();
    let none = dir.path().join("none");
    for (path, reason) in [(&file, "not the record of a boot"), (&none, "No such file")] {
        let output = Command::new(lab())
            .args(["chart", "--from"])
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(reason), "{said}");
    }
}
