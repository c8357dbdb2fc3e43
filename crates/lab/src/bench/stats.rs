//! What samples come to.

/// Samples in order.
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Sorts them.
    pub fn new(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// The value in the middle, or half way between the two there.
    pub fn median(&self) -> Option<f64> {
        let half = self.0.len() / 2;
        let upper = self.0.get(half)?;
        if self.0.len() % 2 == 1 {
            return Some(*upper);
        }
        let lower = self.0.get(half.checked_sub(1)?)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// The smallest value that at least 99 of 100 samples do not exceed: with
    /// fewer than 100 samples, the greatest.
    pub fn p99(&self) -> Option<f64> {
        let rank = (self.0.len() * 99).div_ceil(100);
        self.0.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_tail() {
        let none = Sorted::new(&[]);
        assert_eq!((none.median(), none.p99()), (None, None));
        let one = Sorted::new(&[3.0]);
        assert_eq!((one.median(), one.p99()), (Some(3.0), Some(3.0)));
        let four = Sorted::new(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((four.median(), four.p99()), (Some(2.5), Some(4.0)));
        let many: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(Sorted::new(&many).p99(), Some(198.0));
    }
}
