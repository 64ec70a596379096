//! What the weight of a JumpReLU code's L0 is of.

use std::fmt;
use std::str::FromStr;

use super::choices::{choices, from_str, next, one_of, part};
use super::value::{Kind, Value, refused};
use crate::error::{Error, Result};

choices! {
    /// What the weight `l0` of [`Code::JumpRelu`](crate::Code) is of.
    #[derive(Default)]
    L0Penalty("l0_penalty", steps) {
        /// L0, the active units in a sample, a mean over samples: `step` (Rajamanoharan et al. 2024).
        #[default]
        Step = "step",
        /// The sum of tanh(SCALE a / s) over units, a mean over samples, s being the code's scale:
        /// `tanh:4` (Conerly et al. 2025). Small activations also shrink. Needs `unit_norm`: a unit's
        /// decoder weights, whose length the source multiplies a by, have length 1.
        Tanh {
            /// The scale; 4 if a text leaves it out.
            scale: f64 = Some(4.0),
        } = "tanh",
        /// (L0 / TARGET - 1)^2, L0 being that of the whole batch: `quadratic:32` (Rajamanoharan et al.
        /// 2024). The code ends near this many active units, whatever the data.
        Quadratic(target: f64) = "quadratic",
    }
}

impl L0Penalty {
    /// The penalty of a batch, given the means over its samples of L0 and of the sum of tanh.
    pub(crate) fn value(self, l0: f64, tanh: f64) -> f64 {
        match self {
            L0Penalty::Step => l0,
            L0Penalty::Tanh { .. } => tanh,
            L0Penalty::Quadratic(target) => (l0 / target - 1.0).powi(2),
        }
    }

    /// Its derivative by L0; of tanh that of a unit whose threshold is large.
    pub(crate) fn slope(self, l0: f64) -> f64 {
        match self {
            L0Penalty::Step | L0Penalty::Tanh { .. } => 1.0,
            L0Penalty::Quadratic(target) => 2.0 * (l0 / target - 1.0) / target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_values() {
        for (text, penalty) in [
            ("step", L0Penalty::Step),
            ("tanh:4", L0Penalty::Tanh { scale: 4.0 }),
            ("quadratic:32", L0Penalty::Quadratic(32.0)),
        ] {
            assert_eq!(text.parse::<L0Penalty>().unwrap(), penalty);
            assert_eq!(penalty.to_string(), text);
            let (l0, step) = (40.0, 1e-6);
            let tanh = matches!(penalty, L0Penalty::Tanh { .. });
            let at = |l0| penalty.value(l0, if tanh { l0 } else { f64::NAN });
            let difference = (at(l0 + step) - at(l0 - step)) / (2.0 * step);
            assert!((difference - penalty.slope(l0)).abs() < 1e-6, "{text}");
        }
        assert_eq!("tanh".parse::<L0Penalty>().unwrap(), L0Penalty::Tanh { scale: 4.0 });
        let problem = "quadratic".parse::<L0Penalty>().unwrap_err().to_string();
        assert!(problem.contains("l0_penalty: expected step, tanh[:SCALE] or quadratic:TARGET"));
    }
}
