//! From moments to places, and the lines of the time axis.

use std::time::Duration;

/// A stretch of time on a stretch of paper.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The first moment, since the origin.
    pub from: Duration,
    /// How much time there is.
    pub span: Duration,
    /// The place of the first moment.
    pub left: f64,
    /// The place of the last one.
    pub right: f64,
}

/// About so much room is wanted between two lines of the axis.
const TICK_ROOM: f64 = 84.0;

impl Scale {
    /// Where a moment is. What lies outside is at the edge.
    pub fn at(&self, moment: Duration) -> f64 {
        let span = self.span.as_secs_f64().max(1e-9);
        let part = (moment.as_secs_f64() - self.from.as_secs_f64()) / span;
        self.left + part.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// The moments that get a line, with what stands there.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let ms = self.span.as_secs_f64() * 1e3;
        let count = ((self.right - self.left) / TICK_ROOM).max(1.0);
        let step = round_step(ms / count);
        let first = (self.from.as_secs_f64() * 1e3 / step).ceil();
        let last = (self.from + self.span).as_secs_f64() * 1e3;
        let ticks = (0_u32..100).map(|n| (first + f64::from(n)) * step);
        ticks
            .take_while(|tick| *tick <= last + step * 1e-6)
            .map(|tick| {
                (
                    self.at(Duration::from_secs_f64(tick / 1e3)),
                    label(tick, step),
                )
            })
            .collect()
    }
}

/// The next of 1, 2, 5, 10, 20, ... thousandths of a millisecond and up.
fn round_step(ms: f64) -> f64 {
    let mut power = 1e-3;
    loop {
        for digit in [1.0, 2.0, 5.0] {
            if digit * power >= ms {
                return digit * power;
            }
        }
        power *= 10.0;
    }
}

fn label(ms: f64, step: f64) -> String {
    let decimals = |unit: f64| (unit / step).log10().ceil().max(0.0) as usize;
    if step >= 100.0 {
        return format!("{:.*} s", decimals(1e3), ms / 1e3);
    }
    format!("{:.*} ms", decimals(1.0), ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(from_ms: u64, span_us: u64) -> Vec<String> {
        let scale = Scale {
            from: Duration::from_millis(from_ms),
            span: Duration::from_micros(span_us),
            left: 100.0,
            right: 600.0,
        };
        let ticks = scale.ticks();
        assert!(
            ticks.iter().all(|(at, _)| (100.0..=600.0).contains(at)),
            "{ticks:?}"
        );
        assert!(
            ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 > 60.0),
            "{ticks:?}"
        );
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn lines_stand_at_round_moments() {
        assert_eq!(
            ticks(0, 2_500_000),
            ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s", "2.5 s"]
        );
        assert_eq!(
            ticks(2057, 110_000),
            [
                "2060 ms", "2080 ms", "2100 ms", "2120 ms", "2140 ms", "2160 ms"
            ]
        );
        assert_eq!(ticks(1, 300), ["1.0 ms", "1.1 ms", "1.2 ms", "1.3 ms"]);
        assert_eq!(ticks(0, 300_000_000), ["0 s", "100 s", "200 s", "300 s"]);
    }

    #[test]
    fn any_span_has_a_bound() {
        for (from, span) in [
            (0, 0),
            (0, 1),
            (u64::MAX / 2000, u64::MAX / 2),
            (5, 9_999_999),
        ] {
            assert!(ticks(from, span).len() < 10);
        }
    }

    #[test]
    fn what_lies_outside_is_at_the_edge() {
        let scale = Scale {
            from: Duration::from_millis(10),
            span: Duration::from_millis(10),
            left: 0.0,
            right: 100.0,
        };
        let at = |ms| scale.at(Duration::from_millis(ms)).round() as i32;
        assert_eq!(
            [at(0), at(10), at(15), at(20), at(99)],
            [0, 0, 50, 100, 100]
        );
    }
}
