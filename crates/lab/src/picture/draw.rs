//! Text with the colours of a terminal, as SVG: a line is a text, and what has one colour is
//! a span of it. The colours are those of a light page, or of a dark one.

use maud::{Markup, PreEscaped, html};

use super::COLUMNS;

/// The size of a character, the height of a line, and the border (pixels).
const CHAR: f64 = 8.4;
const LINE: f64 = 19.0;
const BORDER: f64 = 16.0;

const STYLE: &str = "\
text{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1f2328;white-space:pre}\
.page{fill:#f6f8fa;stroke:#d1d9e0}.b{font-weight:bold}.d{opacity:.6}\
.c1{fill:#b3261e}.c2{fill:#1a7f37}.c3{fill:#8a5a00}.c4{fill:#0550ae}.c5{fill:#7d3fb0}.c6{fill:#0b6e75}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117;stroke:#3d444d}\
.c1{fill:#ff8079}.c2{fill:#5fd068}.c3{fill:#e3b341}.c4{fill:#79b8ff}.c5{fill:#d2a8ff}.c6{fill:#56d4dd}}";

/// How a span looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    colour: u8,
}

/// A piece of a line that looks the same, and the column where it begins.
struct Span {
    column: usize,
    text: String,
    look: Look,
}

/// The picture of a text.
pub fn svg(shown: &str) -> String {
    let mut look = Look::default();
    let shown = wrapped(shown);
    let lines: Vec<Vec<Span>> = shown.lines().map(|line| spans(line, &mut look)).collect();
    let end = |line: &Vec<Span>| line.last().map_or(0, |s| s.column + s.text.chars().count());
    let columns = lines.iter().map(end).max().unwrap_or(0);
    let width = times(columns, CHAR) + 2.0 * BORDER;
    let height = times(lines.len(), LINE) + 2.0 * BORDER;
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={"0 0 " (round(width)) " " (round(height))}
            width=(round(width)) height=(round(height)) role="img" {
            style { (PreEscaped(STYLE)) }
            rect class="page" x="0.5" y="0.5" width=(round(width - 1.0)) height=(round(height - 1.0)) rx="8" {}
            @for (row, line) in lines.iter().enumerate() {
                text xml:space="preserve" y=(round(times(row, LINE) + BORDER + 14.0)) {
                    @for span in line { (span.markup()) }
                }
            }
        }
    };
    drawing.into_string() + "\n"
}

/// As a terminal of [`COLUMNS`] columns breaks its lines.
fn wrapped(shown: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    let mut rest = shown;
    while let Some(first) = rest.chars().next() {
        let length = escape(rest).map_or(first.len_utf8(), |(_, after)| rest.len() - after.len());
        let (piece, after) = rest.split_at(length);
        match first {
            '\u{1b}' => {}
            '\n' => column = 0,
            _ if column == COLUMNS => {
                text.push('\n');
                column = 1;
            }
            _ => column += 1,
        }
        text.push_str(piece);
        rest = after;
    }
    text
}

fn times(count: usize, pixels: f64) -> f64 {
    f64::from(u16::try_from(count).unwrap_or(u16::MAX)) * pixels
}

fn round(pixels: f64) -> String {
    format!("{pixels:.1}")
}

impl Span {
    fn markup(&self) -> Markup {
        let look = self.look;
        let mut class = Vec::new();
        class.extend(look.bold.then(|| "b".to_owned()));
        class.extend(look.dim.then(|| "d".to_owned()));
        class.extend((look.colour > 0).then(|| format!("c{}", look.colour)));
        let x = round(times(self.column, CHAR) + BORDER);
        let length = round(times(self.text.chars().count(), CHAR));
        html! {
            tspan x=(x) textLength=(length) class=[(!class.is_empty()).then(|| class.join(" "))] { (self.text) }
        }
    }
}

/// The spans of a line; a look goes on in the next one.
fn spans(line: &str, look: &mut Look) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut column = 0;
    let mut rest = line;
    while !rest.is_empty() {
        if let Some((codes, after)) = escape(rest) {
            codes.split(';').for_each(|code| look.obey(code));
            rest = after;
            continue;
        }
        let end = rest
            .find('\u{1b}')
            .filter(|at| *at > 0)
            .unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        // Blanks between words need no ink, and none of the length that text is fitted to.
        let lead = text.chars().take_while(|c| *c == ' ').count();
        if lead < text.chars().count() {
            spans.push(Span {
                column: column + lead,
                text: text.trim().to_owned(),
                look: *look,
            });
        }
        column += text.chars().count();
        rest = after;
    }
    spans
}

/// The codes of a colour at the beginning, and what follows it.
fn escape(text: &str) -> Option<(&str, &str)> {
    let (codes, after) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    let is_colour = codes.chars().all(|c| c.is_ascii_digit() || c == ';');
    is_colour.then_some((codes, after))
}

impl Look {
    fn obey(&mut self, code: &str) {
        match code.parse() {
            Err(_) | Ok(0) => *self = Self::default(),
            Ok(1) => self.bold = true,
            Ok(2) => self.dim = true,
            Ok(n @ (31..=36 | 91..=96)) => self.colour = n % 10,
            Ok(39 | 30 | 37 | 90 | 97) => self.colour = 0,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_colour_is_a_span_in_its_column() {
        let mut look = Look::default();
        let spans = spans("a \u{1b}[1;32m run\u{1b}[0m b", &mut look);
        let seen: Vec<_> = spans
            .iter()
            .map(|s| (s.column, s.text.as_str(), s.look))
            .collect();
        let green = Look {
            bold: true,
            dim: false,
            colour: 2,
        };
        let plain = Look::default();
        assert_eq!(seen, [(0, "a", plain), (3, "run", green), (7, "b", plain)]);
        let long = format!("\u{1b}[1m{}\u{1b}[0m\n", "x".repeat(COLUMNS + 1));
        assert!(wrapped(&long).ends_with("x\nx\u{1b}[0m\n"));
        let drawn = svg("<&>\n\u{1b}[31mred\n");
        assert!(
            drawn.contains("&lt;&amp;&gt;") && drawn.contains("class=\"c1\""),
            "{drawn}"
        );
    }
}
