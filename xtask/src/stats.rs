//! Medians, minima, and ratios with a confidence interval.
//!
//! A ratio is that of two medians. Its interval is a percentile bootstrap: the runs of each side are drawn again with
//! replacement, [`RESAMPLES`] times, and the middle 95 % of the ratios is what is told. Over several programs the
//! ratios of the programs are put together by their geometric mean; the programs are a fixed list and are not drawn
//! again, so that the interval speaks of noise in the runs and not of other programs. The draws are the same in
//! every run of the bench.

use crate::inputs::Random;

/// How often the runs are drawn again.
const RESAMPLES: usize = 2000;

/// A ratio with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The middle of `values`, or the mean of the two in the middle.
///
/// # Panics
///
/// When there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The least of `values`; infinity when there are none.
pub(crate) fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The geometric mean of the ratios of medians over programs, each a pair of the runs on top and below.
///
/// Nothing when there is no program, or a side has no runs or a median that is not above zero.
pub(crate) fn ratio(programs: &[(&[f64], &[f64])]) -> Option<Ratio> {
    let usable = |runs: &[f64]| !runs.is_empty() && median(runs) > 0.0;
    if programs.is_empty()
        || !programs
            .iter()
            .all(|(top, below)| usable(top) && usable(below))
    {
        return None;
    }
    let mean_of = |one: &mut dyn FnMut(&[f64]) -> f64| {
        let logarithms: f64 = programs
            .iter()
            .map(|(top, below)| (one(top) / one(below)).ln())
            .sum();
        (logarithms / programs.len() as f64).exp()
    };
    let value = mean_of(&mut |runs| median(runs));
    let mut random = Random(0x7e9u64);
    let mut drawn = Vec::new();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            mean_of(&mut |runs| {
                drawn.clear();
                drawn.extend((0..runs.len()).map(|_| runs[random.below(runs.len())]));
                median(&drawn)
            })
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Ratio {
        value,
        low: means[RESAMPLES / 40],
        high: means[RESAMPLES - 1 - RESAMPLES / 40],
    })
}

#[cfg(test)]
mod tests {
    use super::{median, minimum, ratio};

    #[test]
    fn medians_and_minima() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert_eq!(minimum(&[3.0, 1.0, 2.0]), 1.0);
    }

    #[test]
    fn a_ratio_without_noise_has_no_width() {
        let found = ratio(&[(&[2.0; 7], &[4.0; 7])]).expect("runs on both sides");
        assert_eq!((found.value, found.low, found.high), (0.5, 0.5, 0.5));
    }

    #[test]
    fn programs_are_put_together_by_their_geometric_mean() {
        let found =
            ratio(&[(&[8.0; 3], &[1.0; 3]), (&[1.0; 3], &[2.0; 3])]).expect("runs on both sides");
        assert!(
            (found.value - 2.0).abs() < 1e-12,
            "the root of 8 times a half is 2, not {}",
            found.value
        );
    }

    #[test]
    fn the_interval_holds_the_value_and_narrows_with_more_runs() {
        let noisy = |runs: usize| -> Vec<f64> {
            (0..runs)
                .map(|i| 1.0 + (i * 7 % 11) as f64 / 100.0)
                .collect()
        };
        let width = |runs: usize| {
            let (top, below) = (noisy(runs), vec![1.0; runs]);
            let found = ratio(&[(&top, &below)]).expect("runs on both sides");
            assert!(
                found.low <= found.value && found.value <= found.high,
                "{found:?}"
            );
            assert!(
                found.low >= 1.0 && found.high <= 1.1,
                "no draw leaves the range of the runs: {found:?}"
            );
            found.high - found.low
        };
        assert!(width(7) > 0.0);
        assert!(width(220) < width(7));
    }

    #[test]
    fn what_cannot_be_compared_has_no_ratio() {
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&[(&[], &[1.0])]), None);
        assert_eq!(ratio(&[(&[1.0], &[0.0])]), None);
    }
}
