//! The sparsity penalties of single layers, and the sparsity that they are steered to.

use std::fmt;
use std::str::FromStr;

use super::choices::{Measure, display, from_str, next, one_of};
use super::value::{Kind, Value, refused};
use crate::error::{Error, Result};

/// The sparsity penalties of one hidden layer: `1:rho=0.02:beta=0.1:l1=0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerPenalty {
    /// The hidden layer, counted from 0; in text from 1.
    pub layer: usize,
    /// Target activation, in (0, 1); 0.02 if a text leaves it out.
    pub rho: f64,
    /// Weight of KL(rho || rho_hat), summed over units; 0 if a text leaves it out.
    pub beta: f64,
    /// Weight of |a|, summed over units, a mean over samples; 0 if a text leaves it out.
    pub l1: f64,
}

/// The sparsity that the penalties are steered to: `mean-activation:0.05:1:18000`.
///
/// The weights of all sparsity penalties are multiplied by one factor, which a controller changes
/// until the layer has the target sparsity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The hidden layer, counted from 0; in text from 1, and the first if it is left out.
    pub layer: usize,
    /// What is measured.
    pub of: Measure,
    /// The target value.
    pub value: f64,
    /// Steps after which the factor is frozen; nine tenths of the training's if a text leaves it
    /// out.
    pub steps: u64,
}

impl Value for LayerPenalty {
    const KIND: Kind = Kind::Choice;

    fn expected() -> String {
        "LAYER[:rho=RHO][:beta=WEIGHT][:l1=WEIGHT]".to_owned()
    }

    fn read(text: &str, _: Option<u64>) -> Option<Self> {
        let mut parts = text.split(':');
        let layer = next::<usize>(&mut parts, None)?.checked_sub(1)?;
        let mut penalty = LayerPenalty { layer, rho: 0.02, beta: 0.0, l1: 0.0 };
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let place = match name {
                "rho" => &mut penalty.rho,
                "beta" => &mut penalty.beta,
                "l1" => &mut penalty.l1,
                _ => return None,
            };
            *place = value.parse().ok()?;
        }
        Some(penalty)
    }

    fn text(&self) -> String {
        let [rho, beta, l1] = [self.rho, self.beta, self.l1].map(|number| number.text());
        format!("{}:rho={rho}:beta={beta}:l1={l1}", self.layer as u128 + 1)
    }
}

impl Value for Target {
    const KIND: Kind = Kind::Choice;

    fn expected() -> String {
        let of = |measure: Measure| format!("{measure}:VALUE[:LAYER[:STEPS]]");
        one_of(&[Measure::MeanActivation, Measure::L0].map(of))
    }

    fn read(text: &str, of_training: Option<u64>) -> Option<Self> {
        let mut parts = text.split(':');
        let (of, value) = (next(&mut parts, None)?, next(&mut parts, None)?);
        let layer = next::<usize>(&mut parts, Some(1))?.checked_sub(1)?;
        let steps = next(&mut parts, of_training.map(|steps| steps - steps / 10))?;
        parts.next().is_none().then_some(Target { layer, of, value, steps })
    }

    fn text(&self) -> String {
        let &Target { layer, of, value, steps } = self;
        format!("{of}:{}:{}:{steps}", value.text(), layer as u128 + 1)
    }
}

display!(LayerPenalty, "penalties");
display!(Target, "target");
