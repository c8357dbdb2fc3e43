//! The drawing: where each thing stands, as SVG.
//!
//! Every place is computed here, in pixels of a drawing of a known width, so nothing depends on
//! a font or on a program that lays out. Colours are classes of `style.css`.

use std::time::Duration;

use maud::{Markup, html};
use model::boot_summary::Load;

use super::Subject;
use super::rows::{Kind, Mark, Row};
use super::scale::Scale;
use super::words::{cut, ms};

/// How wide a drawing is, and what stands where.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The width of all.
    pub width: f64,
    /// Where bars begin; names stand to the left, unless they stand above.
    plot: f64,
    /// The height of a row.
    row: f64,
    /// Whether names stand above the bars.
    above: bool,
}

impl Layout {
    /// For a screen or a sheet of paper.
    pub const WIDE: Self = Self {
        width: 1080.0,
        plot: 330.0,
        row: 20.0,
        above: false,
    };
    /// For one of two beside each other.
    pub const HALF: Self = Self {
        width: 640.0,
        plot: 250.0,
        row: 20.0,
        above: false,
    };
    /// For a telephone.
    pub const NARROW: Self = Self {
        width: 380.0,
        plot: 0.0,
        row: 32.0,
        above: true,
    };

    const fn right(&self) -> f64 {
        self.width - RIGHT
    }

    /// How many characters a name may have.
    fn chars(&self, depth: usize) -> usize {
        let end = if self.above { self.right() } else { self.plot };
        let room = end - TOOK - indent(depth);
        (room / CHAR).max(3.0) as usize
    }
}

/// Lines at the right edge stay inside.
const RIGHT: f64 = 2.0;
/// Half the width of a label of the axis.
const LABEL: f64 = 26.0;
/// The room for a duration.
const TOOK: f64 = 88.0;
/// The width of a character, as the fonts of `style.css` have it.
const CHAR: f64 = 7.3;
const INDENT: f64 = 12.0;
const DEPTH_MAX: usize = 6;
const BAR: f64 = 10.0;
const AXIS: f64 = 24.0;
const LOAD: f64 = 24.0;
/// No bar is thinner.
const THIN: f64 = 2.0;

fn indent(depth: usize) -> f64 {
    INDENT * f64::from(depth.min(DEPTH_MAX) as u32)
}

/// How wide a text is.
fn width(text: &str) -> f64 {
    f64::from(text.chars().count() as u32) * CHAR
}

/// A number as SVG has it.
fn n(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The drawing of the whole boot: kernel, stage 1 and services on one bar, and below it the
/// part that the rows show. None without a kernel. `total`: the time that all the width is.
pub fn overview(
    layout: &Layout,
    subject: &Subject,
    total: Duration,
    detail: &Scale,
) -> Option<(Markup, f64)> {
    const TOP: f64 = AXIS + 20.0;
    const BAR_HEIGHT: f64 = 28.0;
    const HEIGHT: f64 = TOP + BAR_HEIGHT + 26.0;
    let boot = &subject.boot;
    let kernel = boot.kernel()?;
    let scale = Scale {
        from: Duration::ZERO,
        span: total,
        left: 0.0,
        right: layout.right(),
    };
    let stage1 = kernel + boot.stage1().unwrap_or_default();
    let parts = [
        ("kernel", "kernel", Duration::ZERO, kernel),
        ("step", "stage 1", kernel, stage1),
        ("service", "services", stage1, boot.total().max(stage1)),
    ];
    let low = TOP + BAR_HEIGHT;
    let (from, to) = (scale.at(kernel), scale.at(boot.total()));
    let to_detail = detail.at(boot.total());
    let lens = [
        (from, low),
        (to, low),
        (to_detail, HEIGHT),
        (detail.left, HEIGHT),
    ];
    let lens = lens.map(|(x, y)| format!("{},{}", n(x), n(y))).join(" ");
    let label = format!("The whole boot: {} in {}", subject.name, ms(boot.total()));
    let drawing = frame(
        layout,
        HEIGHT,
        &label,
        &html! {
            (axis(layout, &scale, TOP + BAR_HEIGHT))
            (loads(&boot.load(), boot.origin, &scale, TOP - 3.0, 16.0))
            polygon class="lens" points=(lens) {}
            @for (class, name, since, until) in parts {
                g class="part" role="img" aria-label=(format!("{name}: {}", ms(until.saturating_sub(since)))) {
                    title { (name) ": " (ms(until.saturating_sub(since))) ", from " (ms(since)) " to " (ms(until)) }
                    (bar(class, &scale, since, until, TOP, BAR_HEIGHT))
                    @let (left, right) = (scale.at(since), scale.at(until));
                    @let texts = [format!("{name} {}", ms(until.saturating_sub(since))), name.to_owned()];
                    @if let Some(text) = texts.iter().find(|text| width(text) + 12.0 < right - left) {
                        text class="in" x=(n(f64::midpoint(left, right))) y=(n(TOP + 18.0)) { (text) }
                    }
                }
            }
        },
    );
    Some((drawing, HEIGHT))
}

/// A line of the drawing below.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// What follows.
    Heading(&'a str),
    /// How busy the processors were.
    Load,
    /// A row.
    Row(&'a Row),
}

impl Line<'_> {
    fn height(&self, layout: &Layout) -> f64 {
        match self {
            Self::Heading(_) => 28.0,
            Self::Load => LOAD + if layout.above { 16.0 } else { 8.0 },
            Self::Row(_) => layout.row,
        }
    }
}

/// A piece of the drawing: some lines below an axis; `number` is that of the boot.
pub fn piece(
    layout: &Layout,
    subject: &Subject,
    number: usize,
    lines: &[Line],
    scale: &Scale,
) -> (Markup, f64) {
    let heights = lines.iter().map(|line| line.height(layout));
    let height = AXIS + heights.sum::<f64>() + 4.0;
    let mut top = AXIS;
    let mut places = Vec::new();
    for line in lines {
        places.push((line, top));
        top += line.height(layout);
    }
    let label = format!("{}: steps and services over time", subject.name);
    let drawing = frame(
        layout,
        height,
        &label,
        &html! {
            (axis(layout, scale, height))
            @for (line, top) in places {
                @match line {
                    Line::Heading(text) => text class="heading" x="0" y=(n(top + 20.0)) { (text) },
                    Line::Load => (load_row(layout, subject, scale, top)),
                    Line::Row(row) => (self::row(layout, row, number, scale, top)),
                }
            }
        },
    );
    (drawing, height)
}

fn frame(layout: &Layout, height: f64, label: &str, content: &Markup) -> Markup {
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", n(layout.width), n(height)))
            width=(n(layout.width)) height=(n(height)) role="group" aria-label=(label) {
            (content)
        }
    }
}

fn axis(layout: &Layout, scale: &Scale, height: f64) -> Markup {
    html! {
        g class="axis" aria-hidden="true" {
            @for (x, label) in scale.ticks() {
                line x1=(n(x)) x2=(n(x)) y1=(n(AXIS - 6.0)) y2=(n(height)) {}
                text x=(n(x)) y="12" text-anchor=(anchor(layout, x)) { (label) }
            }
        }
    }
}

/// Labels at an edge stay inside.
fn anchor(layout: &Layout, x: f64) -> &'static str {
    if x < LABEL {
        "start"
    } else if x > layout.width - LABEL {
        "end"
    } else {
        "middle"
    }
}

fn bar(
    class: &str,
    scale: &Scale,
    since: Duration,
    until: Duration,
    top: f64,
    height: f64,
) -> Markup {
    let (left, right) = (scale.at(since), scale.at(until));
    let width = (right - left).max(THIN);
    // A thin bar at the right edge stays inside.
    let left = left.min(scale.right - width).max(scale.left);
    html! {
        rect class=(format!("bar {class}")) x=(n(left)) y=(n(top)) width=(n(width)) height=(n(height)) {}
    }
}

fn loads(
    load: &[Load],
    origin: model::time::Instant,
    scale: &Scale,
    low: f64,
    height: f64,
) -> Markup {
    html! {
        @for span in load {
            @let (since, until) = (span.since.since(origin), span.until.since(origin));
            @let (left, right) = (scale.at(since), scale.at(until));
            @let tall = height * f64::from(span.permille) / 1000.0;
            @if right > left {
                g class="load" role="img" {
                    title { "Processors " (span.permille / 10) " % busy from " (ms(since)) " to " (ms(until)) }
                    rect class="all" x=(n(left)) y=(n(low - height)) width=(n(right - left)) height=(n(height)) {}
                    rect class="busy" x=(n(left)) y=(n(low - tall)) width=(n(right - left)) height=(n(tall)) {}
                }
            }
        }
    }
}

fn load_row(layout: &Layout, subject: &Subject, scale: &Scale, top: f64) -> Markup {
    let load = subject.boot.load();
    let low = top + LOAD + if layout.above { 12.0 } else { 2.0 };
    let note = if load.is_empty() {
        "not in the record"
    } else {
        ""
    };
    let name_y = if layout.above {
        top + 10.0
    } else {
        top + LOAD / 2.0 + 6.0
    };
    html! {
        text class="name" x="0" y=(n(name_y)) { "processors" }
        text class="took" x=(n(took_x(layout))) y=(n(name_y)) { (note) }
        (loads(&load, subject.boot.origin, scale, low, LOAD - if layout.above { 8.0 } else { 0.0 }))
    }
}

fn took_x(layout: &Layout) -> f64 {
    if layout.above {
        layout.right()
    } else {
        layout.plot - 14.0
    }
}

fn row(layout: &Layout, row: &Row, number: usize, scale: &Scale, top: f64) -> Markup {
    let name_y = top + 14.0;
    let bar_top = if layout.above {
        top + 19.0
    } else {
        top + (layout.row - BAR) / 2.0
    };
    let name = cut(&row.name, layout.chars(row.depth));
    let mark = row.of.get(number).and_then(Option::as_ref);
    let told = mark.map_or_else(
        || format!("{}: not in this boot", row.name),
        |mark| mark.told.clone(),
    );
    let is_bad = mark.is_some_and(|mark| mark.trouble.is_some());
    let class = match (mark, is_bad) {
        (None, _) => "row absent",
        (_, true) => "row bad",
        (_, false) => "row",
    };
    html! {
        g class=(class) role="img" aria-label=(told) {
            title { (told) }
            rect class="hover" x="0" y=(n(top)) width=(n(layout.width)) height=(n(layout.row)) {}
            text class="name" x=(n(indent(row.depth))) y=(n(name_y)) { (name) }
            @if let Some(mark) = mark {
                @let took = mark.took.map_or_else(|| "–".to_owned(), ms);
                text class="took" x=(n(took_x(layout))) y=(n(name_y)) { (took) }
                (shape(row.kind, mark, scale, bar_top))
                @if let (Some(trouble), false) = (&mark.trouble, layout.above) {
                    (trouble_text(trouble, mark, scale, name_y))
                }
            }
        }
    }
}

fn shape(kind: Kind, mark: &Mark, scale: &Scale, top: f64) -> Markup {
    let end = mark.end;
    let middle = n(top + BAR / 2.0);
    html! {
        @for (since, until) in &mark.holds {
            line class="hold" x1=(n(scale.at(*since))) x2=(n(scale.at(until.unwrap_or(end)))) y1=(middle) y2=(middle) {}
        }
        @match (mark.since, mark.until) {
            (Some(since), Some(until)) => {
                @if kind == Kind::Service {
                    line class="runs" x1=(n(scale.at(until))) x2=(n(scale.at(end))) y1=(middle) y2=(middle) {}
                }
                (bar(if kind == Kind::Service { "service" } else { "step" }, scale, since, until, top, BAR))
            },
            (Some(since), None) => (bar("never", scale, since, end, top, BAR)),
            (None, _) => {},
        }
    }
}

/// Beside the bar, on the side that has more room.
fn trouble_text(trouble: &str, mark: &Mark, scale: &Scale, y: f64) -> Markup {
    let left = mark.since.map_or(scale.left, |since| scale.at(since));
    let right = mark.until.map_or(left, |until| scale.at(until));
    let (before, after) = (left - scale.left, scale.right - right);
    let (x, anchor, room) = if after >= before {
        (right + 8.0, "start", after)
    } else {
        (left - 8.0, "end", before)
    };
    let text = cut(trouble, ((room - 10.0) / CHAR).max(0.0) as usize);
    html! {
        text class="trouble" x=(n(x)) y=(n(y)) text-anchor=(anchor) { (text) }
    }
}

/// The scale of the rows: from the end of the kernel on, for so long.
pub fn detail(layout: &Layout, subject: &Subject, span: Duration) -> Scale {
    Scale {
        from: subject.boot.kernel().unwrap_or_default(),
        span,
        left: layout.plot,
        right: layout.right(),
    }
}
