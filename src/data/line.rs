//! The scaling of a feature: a difference and a quotient.

/// The scaling of one feature, or of all: `(number - subtract) / divide`.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// 1, or 1/2 where a difference could overflow: then all three are halves.
    factor: f64,
    subtract: f64,
    divide: f64,
}

impl Line {
    #[inline(always)]
    pub fn min_max(min: f64, max: f64) -> Self {
        let range = max - min;
        match range.is_finite() {
            true => Self::mean_deviation(min, range),
            // Its half is finite.
            false => Line { factor: 0.5, subtract: 0.5 * min, divide: 0.5 * max - 0.5 * min },
        }
    }

    #[inline(always)]
    pub fn center(mean: f64) -> Self {
        Self::mean_deviation(mean, 1.0)
    }

    #[inline(always)]
    pub fn mean_deviation(mean: f64, deviation: f64) -> Self {
        /// Less than half the distance between the largest numbers: a difference does not overflow.
        const SAFE: f64 = 1e290;
        let factor = if mean.abs() <= SAFE { 1.0 } else { 0.5 };
        Line { factor, subtract: factor * mean, divide: factor * deviation }
    }

    /// The feature that a number becomes; not finite if the number is not.
    #[inline(always)]
    pub fn scale(self, number: f64) -> f32 {
        if self.divide == 0.0 {
            // 0, but NaN for what is not finite.
            return (number * 0.0 + 0.0) as f32;
        }
        ((number * self.factor - self.subtract) / self.divide) as f32
    }

    /// The number that becomes this feature; the constant where all become 0.
    pub fn unscale(self, feature: f32) -> f32 {
        ((f64::from(feature) * self.divide + self.subtract) / self.factor) as f32
    }

    /// What to subtract from numbers and then to divide by; infinity where that gives 0. None if such a
    /// difference could overflow.
    pub fn terms(self) -> Option<(f64, f64)> {
        let divide = if self.divide == 0.0 { f64::INFINITY } else { self.divide };
        (self.factor == 1.0).then_some((self.subtract, divide))
    }
}
