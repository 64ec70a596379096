//! Training on data with an offset and a scale as on data without.
//!
//! A network with a linear output sees features x of any mean c and size s. Written for x - c, its first
//! layer is z = (x - c) W + (b + c W), so training the weights with b + c W held fixed is training on
//! centered data; without, each step of W would move z by c times as much. Two changes to a step do
//! that, and no parameter is added: the gradient of W is that of x - c, which is the gradient of x minus
//! the outer product of c and the bias gradient; and b is moved by -c dW when W is moved by dW.
//!
//! Biases of layers whose output grows with the data are s times as large as for data of size 1, and so
//! is Adam's step for them. Its epsilon shrinks with the gradients.

use std::mem;

use sae_kernels::sparse::row_products;
use sae_kernels::{Activation, Gemm, Matrix, MatrixMut, Operand, Outer, Parts, Rule};

use crate::compute::{Engine, row_parts};
use crate::network::layers::Layer;
use crate::settings::{Optimizer, Settings};

/// The offset and the scale of the data, where a training takes account of them.
#[derive(Debug)]
pub(crate) struct Centering {
    /// c: of each feature; empty where nothing is centered.
    pub mean: Vec<f32>,
    /// s: the root mean square of x - c; 1 where nothing is centered.
    pub scale: f64,
    /// c W, as far as it is known, and memory for the next.
    products: [Vec<f32>; 2],
    known: bool,
    /// Whether the update has taken the next c W.
    projected: bool,
}

/// Where an update notes what each unit's new weights make of the mean, `[units]`.
#[derive(Debug)]
pub(crate) struct Projection<'a> {
    pub mean: &'a [f32],
    /// The products before the update.
    pub before: &'a [f32],
    pub products: &'a mut [f32],
}

impl Centering {
    /// None.
    pub fn none() -> Self {
        Centering {
            mean: Vec::new(),
            scale: 1.0,
            products: Default::default(),
            known: false,
            projected: false,
        }
    }

    /// For a first layer of this many units.
    pub fn new(mean: Vec<f32>, scale: f64, units: usize) -> Self {
        let products = [vec![0.0; units], vec![0.0; units]];
        Centering { mean, scale, products, known: false, projected: false }
    }

    pub fn is_active(&self) -> bool {
        !self.mean.is_empty()
    }

    /// Forgets what is known of the weights, which were changed from outside.
    pub fn forget(&mut self) {
        self.known = false;
    }

    /// What is subtracted from the gradient of the stored weights of the first layer.
    fn correction<'a>(&'a self, first: Layer, bias_gradient: &'a [f32]) -> Option<Outer<'a>> {
        let (rows, cols) = match first.by_unit {
            true => (bias_gradient, &self.mean[..]),
            false => (&self.mean[..], bias_gradient),
        };
        self.is_active().then_some(Outer { rows, cols })
    }

    /// What an update of all weights of a layer takes account of: what is subtracted from their gradient;
    /// and, where a unit's weights stand together, what the new ones make of the mean, to be taken at once.
    pub fn of_update<'a>(
        &'a mut self,
        index: usize,
        layer: Layer,
        bias_gradient: &'a [f32],
    ) -> (Option<Outer<'a>>, Option<Projection<'a>>) {
        if index > 0 || !self.is_active() {
            return (None, None);
        }
        let Centering { mean, products, projected, .. } = self;
        let mean = &mean[..];
        if !layer.by_unit {
            return (Some(Outer { rows: mean, cols: bias_gradient }), None);
        }
        *projected = true;
        let [before, products] = products;
        let projection = Projection { mean, before, products };
        (Some(Outer { rows: bias_gradient, cols: mean }), Some(projection))
    }

    /// The rule for weights.
    fn of_weights(&self, rule: Rule) -> Rule {
        let small = self.scale.min(1.0);
        if self.is_active() { rule.scaled(1.0, small * small) } else { rule }
    }

    /// The rules for the weights and the biases of a layer, lazy where they belong to single units of a
    /// sparse code and the settings say so, and orthogonal for rows that are kept at length 1.
    pub fn of_layer(
        &self,
        settings: &Settings,
        rule: Rule,
        index: usize,
        layer: Layer,
    ) -> (Rule, Rule) {
        let (mut weights, biases) = (self.of_weights(rule), self.of_biases(settings, rule, index));
        if settings.has_unit_rows(index) {
            weights = weights.orthogonal();
        }
        match settings.is_lazy(index) {
            true if layer.by_unit => (weights.lazy(), biases.lazy()),
            true => (weights.lazy(), biases),
            false => (weights, biases),
        }
    }

    /// The rule for a JumpReLU's thresholds.
    pub fn of_thresholds(&self, settings: &Settings, rule: Rule) -> Rule {
        /// A code's activations grow to several times their initial size, and thresholds with them.
        /// (784-300-784 on MNIST, steered to L0 20 in 10 000 steps: at 1, 4, 6 and 10 times the
        /// rate it ends at 14, 26, 19 and 21; at 10 more units die than at 6.)
        const RATE: f64 = 6.0;
        let rule = self.of_weights(rule.without_weight_decay()).scaled(RATE, 1.0);
        if settings.optimizer == Optimizer::AdamLazy { rule.lazy() } else { rule }
    }

    /// The rule for a layer's biases.
    fn of_biases(&self, settings: &Settings, rule: Rule, layer: usize) -> Rule {
        let plain = rule.without_weight_decay();
        match self.is_active() && grows(settings, layer) {
            true => plain.scaled(self.scale, self.scale.min(1.0)),
            false => plain,
        }
    }

    /// Before an update: what the first layer's weights make of the mean.
    pub fn begin(&mut self, engine: &mut Engine, first: Layer, parameters: &[f32]) {
        if self.is_active() && !self.known {
            self.product(engine, first, parameters);
            self.known = true;
        }
    }

    /// After an update: moves the first layer's biases against what its weights make of the mean now.
    pub fn finish(&mut self, engine: &mut Engine, first: Layer, parameters: &mut [f32]) {
        if self.is_active() {
            match mem::take(&mut self.projected) {
                true => self.products.swap(0, 1),
                false => self.product(engine, first, parameters),
            }
            let [now, before] = &self.products;
            let biases = parameters[first.biases()].iter_mut();
            biases.zip(now).zip(before).for_each(|((b, now), before)| *b += before - now);
        }
    }

    /// Makes a gradient that of centered data.
    pub fn correct(&self, engine: &mut Engine, first: Layer, gradient: &mut [f32]) {
        let (weights, biases) = first.split_mut(gradient);
        let Some(correction) = self.correction(first, biases) else { return };
        let (height, width) = first.stored();
        let division = engine.divide(height, 4 * width);
        let weights = MatrixMut::new(weights, height, width);
        let (rows, isa) = (Parts::rows(weights, division), engine.isa);
        engine.pool.run(division.parts(), |part, _| {
            let correction = correction.block(division.range(part), 0..width);
            correction.subtract_from(isa, rows.take(part));
        });
    }

    /// Makes a gradient one by W and (b + c W) / s, for an optimizer that sees no more than a gradient.
    pub fn gradient_by_coordinates(
        &self,
        engine: &mut Engine,
        settings: &Settings,
        layers: &[Layer],
        gradient: &mut [f32],
    ) {
        if self.is_active() {
            self.correct(engine, layers[0], gradient);
            self.scale_biases(settings, layers, gradient);
        }
    }

    /// Makes a change of W and (b + c W) / s one of the parameters.
    pub fn change_of_parameters(
        &mut self,
        engine: &mut Engine,
        settings: &Settings,
        layers: &[Layer],
        change: &mut [f32],
    ) {
        if self.is_active() {
            self.scale_biases(settings, layers, change);
            self.product(engine, layers[0], change);
            let biases = change[layers[0].biases()].iter_mut();
            biases.zip(&self.products[0]).for_each(|(b, product)| *b -= product);
        }
    }

    fn scale_biases(&self, settings: &Settings, layers: &[Layer], numbers: &mut [f32]) {
        let scale = self.scale as f32;
        for (_, layer) in layers.iter().enumerate().filter(|&(l, _)| grows(settings, l)) {
            numbers[layer.biases()].iter_mut().for_each(|b| *b *= scale);
        }
    }

    /// c W.
    fn product(&mut self, engine: &mut Engine, layer: Layer, parameters: &[f32]) {
        let weights = layer.matrix(parameters);
        let division = engine.divide(layer.outputs, layer.inputs);
        let products = row_parts(&mut self.products[1], division);
        let mean = Matrix::from_row(&self.mean);
        let Engine { isa, pool, scratch } = engine;
        pool.run(division.parts(), |part, thread| {
            let b = weights.columns(division.range(part));
            let c = products.take(part);
            if layer.by_unit {
                // As an update does it.
                return row_products(*isa, b.transposed(), &self.mean, c.into_row());
            }
            let gemm = Gemm { a: Operand::Dense(mean), b, c };
            scratch.with(thread, |scratch| gemm.run(*isa, scratch));
        });
        self.products.swap(0, 1);
    }
}

/// Whether a layer's output grows in proportion to the data: the output layer's, and those of hidden
/// layers up to the first that saturates.
fn grows(settings: &Settings, layer: usize) -> bool {
    let is_linear = |layer| {
        let f = settings.activation_of(layer);
        matches!(f, Activation::Relu | Activation::LeakyRelu | Activation::Linear)
    };
    layer + 2 == settings.layers.len() || (0..=layer).all(is_linear)
}
