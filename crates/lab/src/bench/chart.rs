//! The chart: for each measure a line of dots, one for each peer, at how many
//! times sunup's value it has. The scale is logarithmic; further right is worse.

use std::fmt::Write;

use super::measures::What;
use super::peers::Name;
use super::results::Results;

const WIDTH: f64 = 960.0;
/// Where the scale begins and ends.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 70.0;
const ROW: f64 = 26.0;
/// Ratios at the ends of the scale, as powers of ten. What is beyond is drawn at its end.
const DECADES: (f64, f64) = (-1.0, 3.5);

/// An SVG 1.1 document.
pub fn render(results: &Results) -> String {
    let rows: Vec<_> = results
        .rows()
        .into_iter()
        .filter(|r| has_ratios(results, *r))
        .collect();
    let height = (0..rows.len()).fold(TOP + ROW, |y, _| y + ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"16\">Times sunup's value (logarithmic; right is worse)</text>\n"
    );
    legend(&mut svg, results);
    scale(&mut svg, height - ROW);
    let mut y = TOP + ROW / 2.0;
    for (what, n) in rows {
        row(&mut svg, results, (what, n), y);
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(peer: Name) -> &'static str {
    match peer {
        Name::Bare => "#999999",
        Name::Sunup => "#d55e00",
        Name::Runit => "#0072b2",
        Name::Busybox => "#009e73",
        Name::S6 => "#cc79a7",
        Name::Daemontools => "#e69f00",
    }
}

/// How many times sunup's value a peer has, so that more is worse.
fn times(results: &Results, (what, n): (What, usize), peer: Name) -> Option<f64> {
    let own = results.median(what, n, Name::Sunup)?;
    let other = results.median(what, n, peer)?;
    let (own, other) = if what.more_is_better() {
        (other, own)
    } else {
        (own, other)
    };
    (own > 0.0 && other > 0.0).then(|| other / own)
}

fn has_ratios(results: &Results, row: (What, usize)) -> bool {
    let mut others = Name::all().filter(|peer| *peer != Name::Sunup);
    others.any(|peer| times(results, row, peer).is_some())
}

fn x(times: f64) -> f64 {
    let (first, last) = DECADES;
    let at = times.log10().clamp(first, last);
    LEFT + (at - first) / (last - first) * (RIGHT - LEFT)
}

fn legend(svg: &mut String, results: &Results) {
    let mut at = 16.0;
    for peer in Name::all().filter(|peer| results.peers.contains_key(peer.word())) {
        let (word, colour) = (peer.word(), colour(peer));
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"44\" r=\"6\" fill=\"{colour}\"/><text x=\"{}\" y=\"48\">{word}</text>",
            at + 6.0,
            at + 18.0
        );
        at += 110.0;
    }
}

fn scale(svg: &mut String, bottom: f64) {
    for (times, label) in [
        (0.1, "0.1"),
        (1.0, "1"),
        (10.0, "10"),
        (100.0, "100"),
        (1000.0, "1000"),
    ] {
        let x = x(times);
        let colour = if label == "1" { "#d55e00" } else { "#dddddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{label}</text>",
            bottom + 16.0
        );
    }
}

fn row(svg: &mut String, results: &Results, row: (What, usize), y: f64) {
    let (what, n) = row;
    let size = if n == 0 {
        String::new()
    } else {
        format!(", {n}")
    };
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\">{}{size}</text>",
        y + 4.0,
        what.title()
    );
    for peer in Name::all() {
        let Some(times) = times(results, row, peer) else {
            continue;
        };
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"6\" fill=\"{}\"><title>{}: {times:.2}</title></circle>",
            x(times),
            colour(peer),
            peer.word()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_ratios_that_there_are() {
        let mut results = Results::default();
        for (peer, sample) in [(Name::Sunup, 2.0), (Name::Runit, 20.0), (Name::S6, 0.0)] {
            results.peers.insert(peer.word(), "1".into());
            results.add(What::Start, 10, peer, sample);
        }
        results.add(What::WakeUps, 10, Name::Sunup, 0.0);
        let svg = render(&results);
        assert!(svg.contains("<title>runit: 10.00</title>"), "{svg}");
        assert!(!svg.contains("s6: "), "{svg}");
        assert!(!svg.contains(What::WakeUps.title()), "{svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
