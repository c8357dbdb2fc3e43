//! The page around the drawing, and the drawing as a file of its own.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use model::boot_summary::Boot;

use super::Subject;
use super::draw::{self, Layout, Line};
use super::rows::{Kind, Row, rows};
use super::words::{ms, seconds};

const STYLE: &str = include_str!("style.css");
const PAGE: &str = include_str!("page.css");

/// So many lines of rows have an axis of their own; they fit a sheet of paper.
const LINES_MAX: usize = 28;
/// A difference that is too small to be shown.
const SMALL: Duration = Duration::from_micros(50);
/// So many differences are listed.
const CHANGES_MAX: usize = 10;

/// The page.
pub fn html(subjects: &[Subject]) -> Markup {
    let rows = rows(subjects);
    let is_two = subjects.len() > 1;
    let title = title(subjects);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(PAGE)) }
            }
            body class=[is_two.then_some("two")] {
                h1 { (title) }
                @if let [one] = subjects {
                    p { (one.name) }
                    (figures(&one.boot))
                }
                main class="boots" {
                    @for (number, subject) in subjects.iter().enumerate() {
                        section {
                            @if is_two {
                                h2 { (subject.name) }
                                (figures(&subject.boot))
                            }
                            (warnings(&subject.boot))
                            div class="wide" {
                                (drawings(if is_two { &Layout::HALF } else { &Layout::WIDE }, subjects, number, &rows))
                            }
                            div class="narrow" { (drawings(&Layout::NARROW, subjects, number, &rows)) }
                        }
                    }
                }
                (explained(subjects))
                @if let [first, second] = subjects {
                    (differences(first, second, &rows))
                }
                details {
                    summary { "All figures as a table" }
                    div class="scroll" { (table(subjects, &rows)) }
                }
            }
        }
    }
}

/// The drawing as one file.
pub fn svg_file(subjects: &[Subject]) -> Markup {
    let rows = rows(subjects);
    let layout = if subjects.len() > 1 {
        &Layout::HALF
    } else {
        &Layout::WIDE
    };
    let mut places = Vec::new();
    let (mut width, mut height) = (0.0_f64, 0.0_f64);
    for number in 0..subjects.len() {
        let mut top = 0.0;
        for (drawing, tall) in pieces(layout, subjects, number, &rows, usize::MAX) {
            places.push((drawing, width, top));
            top += tall;
        }
        width += layout.width;
        height = height.max(top);
    }
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width:.0} {height:.0}"))
            width=(format!("{width:.0}")) height=(format!("{height:.0}")) role="group" aria-label=(title(subjects)) {
            title { (title(subjects)) }
            style { (PreEscaped(STYLE)) }
            rect width="100%" height="100%" fill="var(--paper)" {}
            @for (drawing, x, y) in &places {
                g transform=(format!("translate({x:.0} {y:.0})")) { (drawing) }
            }
        }
    }
}

fn title(subjects: &[Subject]) -> String {
    match subjects {
        [one] if one.boot.up.is_some() => {
            format!("Boot: {} until all was up", seconds(one.boot.total()))
        }
        [one] => format!("Boot: {}, and not all was up", seconds(one.boot.total())),
        many => {
            let totals: Vec<String> = many.iter().map(|one| seconds(one.boot.total())).collect();
            format!("Two boots: {}", totals.join(" and "))
        }
    }
}

fn figures(boot: &Boot) -> Markup {
    let parts = [
        ("kernel", "kernel", boot.kernel()),
        ("step", "stage 1", boot.stage1()),
        ("service", "services", Some(boot.services())),
    ];
    html! {
        ul class="parts" {
            @for (class, name, took) in parts {
                @if let Some(took) = took {
                    li { b { (ms(took)) } i class=(class) {} span { (name) } }
                }
            }
            @if let Some(percent) = busy(boot) {
                li { b { (percent) " %" } i class="busy" {} span { "processors busy" } }
            }
        }
    }
}

/// How busy the processors were, in percent of their time.
fn busy(boot: &Boot) -> Option<u128> {
    let load = boot.load();
    let spans = load.iter().map(|span| {
        (
            span.until.since(span.since).as_nanos(),
            u128::from(span.permille),
        )
    });
    let (all, busy) = spans.fold((0, 0), |(all, busy), (ns, permille)| {
        (all + ns, busy + ns * permille)
    });
    busy.checked_div(all * 10)
}

fn warnings(boot: &Boot) -> Markup {
    html! {
        @if boot.is_full {
            p class="warning" { "The record was full: what came later is not in it." }
        }
        @if boot.passed_over > 0 {
            p class="warning" { "Lines of the record that were not understood: " (boot.passed_over) "." }
        }
    }
}

/// All drawings of a boot, one below the other.
fn drawings(layout: &Layout, subjects: &[Subject], number: usize, rows: &[Row]) -> Markup {
    html! {
        @for (drawing, _) in pieces(layout, subjects, number, rows, LINES_MAX) { (drawing) }
    }
}

/// The drawings of a boot, with their heights. Boots that are compared have the same scales.
fn pieces(
    layout: &Layout,
    subjects: &[Subject],
    number: usize,
    rows: &[Row],
    lines_max: usize,
) -> Vec<(Markup, f64)> {
    let Some(subject) = subjects.get(number) else {
        return Vec::new();
    };
    let longest = |of: fn(&Boot) -> Duration| subjects.iter().map(|one| of(&one.boot)).max();
    let total = longest(Boot::total).unwrap_or_default();
    let span = longest(after_kernel).unwrap_or_default();
    let detail = draw::detail(layout, subject, span);
    let lines = lines(rows);
    let overview = draw::overview(layout, subject, total, &detail);
    let pieces = lines
        .chunks(lines_max)
        .map(|lines| draw::piece(layout, subject, number, lines, &detail));
    overview.into_iter().chain(pieces).collect()
}

fn after_kernel(boot: &Boot) -> Duration {
    boot.total()
        .saturating_sub(boot.kernel().unwrap_or_default())
}

fn lines(rows: &[Row]) -> Vec<Line<'_>> {
    let mut lines = vec![Line::Load];
    for (kind, heading) in [(Kind::Step, "Stage 1"), (Kind::Service, "Services")] {
        let of_kind: Vec<Line> = rows
            .iter()
            .filter(|row| row.kind == kind)
            .map(Line::Row)
            .collect();
        if !of_kind.is_empty() {
            lines.push(Line::Heading(heading));
            lines.extend(of_kind);
        }
    }
    lines
}

fn explained(subjects: &[Subject]) -> Markup {
    let boots = || subjects.iter().map(|one| &one.boot);
    html! {
        p {
            "Times count from the kernel's start"
            @if boots().any(|boot| boot.init.is_none()) { ", or from the first line where the record has none" }
            ". A service is ready when its program is executed. A bar goes on as a thin line \
             while the service runs; a dotted line is a start that waits; a dashed frame is a service that did not \
             come up."
            @if boots().any(|boot| boot.load().is_empty()) {
                " How busy the processors were is not in every record."
            } @else {
                " Processors are busy when they do not idle; waiting for a disk counts as busy. The figure is the \
                 average between two moments at which the machine looked."
            }
        }
    }
}

fn differences(first: &Subject, second: &Subject, rows: &[Row]) -> Markup {
    let of = |boot: &Boot| {
        [
            ("kernel", boot.kernel()),
            ("stage 1", boot.stage1()),
            ("services", Some(boot.services())),
            ("together", Some(boot.total())),
        ]
    };
    let parts = of(&first.boot).into_iter().zip(of(&second.boot));
    let parts = parts.map(|((name, one), (_, other))| (name.to_owned(), one, other));
    let mut changes: Vec<_> = rows
        .iter()
        .map(|row| {
            let took = |n: usize| row.of.get(n)?.as_ref()?.took;
            (row.name.clone(), took(0), took(1))
        })
        .filter(|(_, one, other)| change(*one, *other) >= SMALL)
        .collect();
    changes.sort_by_key(|(_, one, other)| std::cmp::Reverse(change(*one, *other)));
    changes.truncate(CHANGES_MAX);
    html! {
        h2 { "What is different" }
        div class="scroll" {
            table {
                tr { th scope="col" { "" } th scope="col" { (first.name) } th scope="col" { (second.name) } th scope="col" { "difference" } }
                @for (name, one, other) in parts.chain(changes) {
                    tr {
                        th scope="row" { (name) }
                        td { (one.map_or_else(|| "–".to_owned(), ms)) }
                        td { (other.map_or_else(|| "–".to_owned(), ms)) }
                        td { (difference(one, other)) }
                    }
                }
            }
        }
    }
}

/// How much a row differs; one that only one boot has counts with all of its time.
fn change(one: Option<Duration>, other: Option<Duration>) -> Duration {
    one.unwrap_or_default().abs_diff(other.unwrap_or_default())
}

fn difference(one: Option<Duration>, other: Option<Duration>) -> String {
    match (one, other) {
        (Some(one), Some(other)) if other >= one => format!("+{}", ms(other.saturating_sub(one))),
        (Some(one), Some(other)) => format!("−{}", ms(one.saturating_sub(other))),
        _ => "–".to_owned(),
    }
}

fn table(subjects: &[Subject], rows: &[Row]) -> Markup {
    html! {
        table {
            tr {
                th scope="col" { "name" }
                @for subject in subjects {
                    th scope="col" { (subject.name) ": took" } th scope="col" { "from" } th scope="col" { "remark" }
                }
            }
            @for row in rows {
                tr {
                    th scope="row" { (row.name) }
                    @for mark in &row.of {
                        td { (mark.as_ref().and_then(|mark| mark.took).map_or_else(|| "–".to_owned(), ms)) }
                        td { (mark.as_ref().and_then(|mark| mark.since).map_or_else(|| "–".to_owned(), ms)) }
                        td class="text" { (mark.as_ref().and_then(|mark| mark.trouble.as_deref()).unwrap_or("")) }
                    }
                }
            }
        }
    }
}
