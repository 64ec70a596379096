//! Histograms of activations.

use sae_kernels::Activation;

/// Bins: an even number on each side of 0, even where there are two sides, so that pairs can be
/// merged.
const BINS: usize = 64;

/// Counts of numbers in bins of one width, from `-high` or 0 to `high`, a power of two that grows
/// with the numbers.
///
/// A bin on the positive side has its upper end in it, one on the negative side its lower end, so
/// `high` itself is in the last bin.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Lower end of the first bin: `-high`, or 0.
    pub low: f32,
    /// Upper end of the last bin.
    pub high: f32,
    /// Numbers in each bin; those that are exactly 0 are not among them.
    pub counts: Vec<u64>,
    /// Numbers that are exactly 0.
    pub zeros: u64,
}

impl Histogram {
    pub(crate) fn new(activation: Activation) -> Self {
        let low = if activation.is_signed() { -1.0 } else { 0.0 };
        Histogram { low, high: 1.0, counts: vec![0; BINS], zeros: 0 }
    }

    /// A histogram of log10 of shares: from -8 to 0, the shares that are 0 apart.
    pub(crate) fn of_logarithms(shares: &[f64]) -> Self {
        const LOW: f32 = -8.0;
        let mut counts = vec![0; BINS];
        let mut zeros = 0;
        for &share in shares {
            if share <= 0.0 {
                zeros += 1;
                continue;
            }
            let place = (share.log10() - f64::from(LOW)) * BINS as f64 / f64::from(-LOW);
            // (A negative number becomes 0.)
            let bin = (place.ceil() as usize).saturating_sub(1);
            counts[bin.min(BINS - 1)] += 1;
        }
        Histogram { low: LOW, high: 0.0, counts, zeros }
    }

    /// Counts a number. What the counts end in does not depend on the order of the numbers: widths are
    /// powers of two, so that the bin of a number is exact.
    pub(crate) fn add(&mut self, value: f32) {
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        let size = value.abs();
        while size > self.high && self.high < f32::MAX / 4.0 {
            self.grow();
        }
        let scale = BINS as f32 / (self.high - self.low);
        // The next smaller number: so the upper end of a bin is in it. (`ceil` would be a call.)
        let below = f32::from_bits(size.to_bits() - 1);
        let (middle, last) = if self.low < 0.0 { (BINS / 2, BINS / 2 - 1) } else { (0, BINS - 1) };
        // Bin 0 of a side is the one at 0.
        let bin = ((below * scale) as i32 as usize).min(last);
        let at = if value < 0.0 && middle > 0 { middle - 1 - bin } else { middle + bin };
        self.counts[at] += 1;
    }

    /// Counts zeros.
    pub(crate) fn add_zeros(&mut self, count: u64) {
        self.zeros += count;
    }

    /// Adds the counts of another histogram of the same activation.
    pub(crate) fn merge(&mut self, mut other: Histogram) {
        while self.high < other.high {
            self.grow();
        }
        while other.high < self.high {
            other.grow();
        }
        self.zeros += other.zeros;
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// Doubles the width of the bins: pairs of them become one.
    fn grow(&mut self) {
        let pairs: Vec<u64> = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        // Where there is a negative side, the old bins are in the middle of the new ones.
        let first = if self.low < 0.0 { BINS / 4 } else { 0 };
        self.counts.fill(0);
        self.counts[first..first + pairs.len()].copy_from_slice(&pairs);
        (self.low, self.high) = (2.0 * self.low, 2.0 * self.high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_loses_nothing() {
        for activation in [Activation::Relu, Activation::Linear] {
            let mut histogram = Histogram::new(activation);
            let values = [0.3f32, 0.9, 3.7, 0.0, 17.0, 0.3, 16.5];
            let sign = if activation.is_signed() { -1.0 } else { 1.0 };
            values.iter().for_each(|&value| histogram.add(sign * value));
            assert_eq!((histogram.high, histogram.zeros), (32.0, 1));
            assert_eq!(histogram.counts.iter().sum::<u64>(), 6);
            let width = (histogram.high - histogram.low) / 64.0;
            for (value, count) in [
                (0.3, if sign < 0.0 { 3 } else { 2 }),
                (3.7, 1),
                (16.6, if sign < 0.0 { 2 } else { 1 }),
            ] {
                let bin = ((sign * value - histogram.low) / width) as usize;
                assert_eq!(histogram.counts[bin], count, "{value}: {histogram:?}");
            }
        }
    }

    #[test]
    fn shares_are_in_the_bins_of_their_logarithms() {
        let shares = [0.0, 1.0, 1.0, 0.99, 0.1, 0.1001, 1e-8, 1e-12, 2e-8, 0.0];
        let histogram = Histogram::of_logarithms(&shares);
        assert_eq!((histogram.low, histogram.high, histogram.zeros), (-8.0, 0.0, 2));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 8);
        // 0.1 is the upper end of a bin, 2e-8 is 0.3 above the lower end of the first.
        for (bin, count) in [(63, 3), (55, 1), (56, 1), (0, 2), (2, 1)] {
            assert_eq!(histogram.counts[bin], count, "{bin}: {histogram:?}");
        }
    }

    #[test]
    fn the_order_of_numbers_does_not_matter() {
        for activation in [Activation::Relu, Activation::Linear] {
            let sign =
                |at: usize| if activation.is_signed() && at.is_multiple_of(3) { -1.0 } else { 1.0 };
            let values: Vec<f32> = (0..3000)
                .map(|at| sign(at) * (at * at % 1009) as f32 * 2f32.powi(at as i32 % 9 - 12))
                .chain([1.0, -1.0, 0.5, -0.5, 64.0, 0.0, f32::INFINITY, f32::MIN_POSITIVE])
                .filter(|&value| activation.is_signed() || value >= 0.0)
                .collect();
            let of = |values: &mut dyn Iterator<Item = &f32>| {
                let mut histogram = Histogram::new(activation);
                values.for_each(|&value| histogram.add(value));
                histogram
            };
            let all = of(&mut values.iter());
            assert_eq!(all, of(&mut values.iter().rev()));
            for cut in [1, 500, 2999] {
                let mut merged = of(&mut values[..cut].iter());
                merged.merge(of(&mut values[cut..].iter()));
                assert_eq!(all, merged);
            }
        }
    }
}
