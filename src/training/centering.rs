//! Training on data with an offset and a scale as on data without.
//!
//! A network with a linear output sees features x of any mean c and size s. Written for x - c, its first
//! layer is z = (x - c) W + (b + c W), so training the weights with b + c W held fixed is training on
//! centered data; without, each step of W would move z by c times as much. Two changes to a step do
//! that, and no parameter is added: the gradient of W is that of x - c, which is the gradient of x minus
//! the outer product of c and the bias gradient; and b is moved by -c dW when W is moved by dW.
//!
//! Biases of layers whose output grows with the data are s times as large as for data of size 1, and so
//! is Adam's step for them. Its epsilon shrinks with the gradients: those of weights grow with s^2, those of
//! such biases with s, both divided by what the loss is divided by.
//!
//! Targets of their own have their own size, which is that of the output layer's biases and of every delta.
//! Weights to the output are t / s times as large as for targets of size s, and so is Adam's step for them,
//! if t is the size of the targets (unless they are kept at length 1). A skip connection x W_skip is a second
//! layer that sees x: its gradient and the output layer's biases are changed likewise.

use std::mem;
use std::ops::Range;

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
    /// The mean of targets of their own; empty without.
    target_mean: Vec<f32>,
    /// s: the root mean square of x - c, and that of the targets from their mean; 1 where nothing is
    /// centered.
    pub scales: [f64; 2],
    skip: Option<Shift>,
    /// What the mean squared error is divided by.
    pub loss_divisor: f64,
    /// c W, as far as it is known, and memory for the next.
    products: [Vec<f32>; 2],
    known: bool,
    /// Whether the update has taken the next c W.
    projected: bool,
}

/// What moves the output layer's biases against the weights of a skip connection.
#[derive(Debug)]
struct Shift {
    weights: Layer,
    /// Places of the biases.
    biases: Range<usize>,
    /// c W_skip, and memory for the next.
    products: [Vec<f32>; 2],
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
            target_mean: Vec::new(),
            scales: [1.0; 2],
            skip: None,
            loss_divisor: 1.0,
            products: Default::default(),
            known: false,
            projected: false,
        }
    }

    /// For these layers, inputs of this mean and size, and targets of their own of that one.
    pub fn new(
        layers: &[Layer],
        skip: Option<Layer>,
        inputs: (Vec<f32>, f64),
        targets: Option<(Vec<f32>, f64)>,
    ) -> Self {
        let zeros = |units| [vec![0.0; units], vec![0.0; units]];
        let (products, last) = (zeros(layers[0].outputs), layers[layers.len() - 1]);
        let shift = |weights: Layer| {
            let products = zeros(weights.outputs);
            Shift { weights, biases: last.biases(), products }
        };
        let (mean, scale) = inputs;
        let (target_mean, of_targets) = targets.unwrap_or((Vec::new(), scale));
        Centering {
            mean,
            target_mean,
            scales: [scale, of_targets],
            skip: skip.map(shift),
            loss_divisor: 1.0,
            products,
            known: false,
            projected: false,
        }
    }

    /// The mean of the targets' features, which are the inputs where there are no others; empty where
    /// nothing is centered.
    pub fn target_mean(&self) -> &[f32] {
        if self.target_mean.is_empty() { &self.mean } else { &self.target_mean }
    }

    /// The means of the inputs, and of targets of their own.
    pub fn means_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.mean, &mut self.target_mean]
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

    /// What is subtracted from the gradient of a skip connection's weights.
    pub fn of_skip<'a>(&'a self, bias_gradient: &'a [f32]) -> Option<Outer<'a>> {
        self.is_active().then_some(Outer { rows: &self.mean, cols: bias_gradient })
    }

    /// The rule for weights, to the output if `predicts`.
    fn of_weights(&self, rule: Rule, predicts: bool) -> Rule {
        let [inputs, targets] = self.scales;
        let size = match self.loss_divisor {
            1.0 => inputs.min(1.0) * targets.min(1.0),
            divisor => (inputs * targets / divisor).min(1.0),
        };
        let rate = if predicts { self.ratio() } else { 1.0 };
        if self.is_active() { rule.scaled(rate, size) } else { rule }
    }

    /// The rule for the weights of a skip connection.
    pub fn rule_of_skip(&self, rule: Rule) -> Rule {
        self.of_weights(rule, true)
    }

    /// The size of the targets, by that of the inputs.
    pub fn ratio(&self) -> f64 {
        let [inputs, targets] = self.scales;
        targets / inputs
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
        let has_unit_rows = settings.has_unit_rows(index);
        let predicts = index + 2 == settings.layers.len() && !has_unit_rows;
        let mut weights = self.of_weights(rule, predicts);
        let biases = self.of_biases(settings, rule, index);
        if has_unit_rows {
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
        let rule = self.of_weights(rule.without_weight_decay(), false).scaled(RATE, 1.0);
        if settings.optimizer == Optimizer::AdamLazy { rule.lazy() } else { rule }
    }

    /// The rule for a layer's biases.
    fn of_biases(&self, settings: &Settings, rule: Rule, layer: usize) -> Rule {
        let plain = rule.without_weight_decay();
        match self.is_active() && grows(settings, layer) {
            true => {
                let size = (self.scales[1] / self.loss_divisor).min(1.0);
                plain.scaled(self.scale_of(settings, layer), size)
            }
            false => plain,
        }
    }

    /// The size of what a layer that grows with the data gives.
    fn scale_of(&self, settings: &Settings, layer: usize) -> f64 {
        self.scales[usize::from(layer + 2 == settings.layers.len())]
    }

    /// Before an update: what the first layer's weights make of the mean.
    pub fn begin(&mut self, engine: &mut Engine, first: Layer, parameters: &[f32]) {
        if self.is_active() && !self.known {
            self.product(engine, first, parameters);
            self.skip_product(engine, parameters);
            self.known = true;
        }
    }

    /// After an update: moves the first layer's biases against what its weights make of the mean now, and
    /// the output layer's against what the skip connection's do.
    pub fn finish(&mut self, engine: &mut Engine, first: Layer, parameters: &mut [f32]) {
        if self.is_active() {
            match mem::take(&mut self.projected) {
                true => self.products.swap(0, 1),
                false => self.product(engine, first, parameters),
            }
            move_biases(&mut parameters[first.biases()], &self.products);
            self.skip_product(engine, parameters);
            if let Some(Shift { biases, products, .. }) = &self.skip {
                move_biases(&mut parameters[biases.clone()], products);
            }
        }
    }

    /// Makes a gradient that of centered data.
    pub fn correct(&self, engine: &mut Engine, first: Layer, gradient: &mut [f32]) {
        let (weights, biases) = first.split_mut(gradient);
        let Some(correction) = self.correction(first, biases) else { return };
        subtract(engine, first, correction, weights);
        let Some(Shift { weights: skip, biases, .. }) = &self.skip else { return };
        let (weights, layers) = gradient.split_at_mut(skip.weights().end);
        let biases = &layers[biases.start - weights.len()..biases.end - weights.len()];
        if let Some(correction) = self.of_skip(biases) {
            subtract(engine, *skip, correction, weights);
        }
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
            self.skip_product(engine, change);
            if let Some(Shift { biases, products, .. }) = &self.skip {
                let biases = change[biases.clone()].iter_mut();
                biases.zip(&products[0]).for_each(|(b, product)| *b -= product);
            }
        }
    }

    fn scale_biases(&self, settings: &Settings, layers: &[Layer], numbers: &mut [f32]) {
        for (l, layer) in layers.iter().enumerate().filter(|&(l, _)| grows(settings, l)) {
            let scale = self.scale_of(settings, l) as f32;
            numbers[layer.biases()].iter_mut().for_each(|b| *b *= scale);
        }
    }

    /// c W_skip.
    fn skip_product(&mut self, engine: &mut Engine, parameters: &[f32]) {
        if let Some(Shift { weights, products, .. }) = &mut self.skip {
            products_of(engine, &self.mean, *weights, parameters, &mut products[1]);
            products.swap(0, 1);
        }
    }

    /// c W.
    fn product(&mut self, engine: &mut Engine, layer: Layer, parameters: &[f32]) {
        products_of(engine, &self.mean, layer, parameters, &mut self.products[1]);
        self.products.swap(0, 1);
    }
}

/// The products of the mean and the weights of a layer's units.
fn products_of(
    engine: &mut Engine,
    mean: &[f32],
    layer: Layer,
    parameters: &[f32],
    to: &mut [f32],
) {
    let weights = layer.matrix(parameters);
    let division = engine.divide(layer.outputs, layer.inputs);
    let products = row_parts(to, division);
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let b = weights.columns(division.range(part));
        let c = products.take(part);
        if layer.by_unit {
            // As an update does it.
            return row_products(*isa, b.transposed(), mean, c.into_row());
        }
        let gemm = Gemm::new(Operand::Dense(Matrix::from_row(mean)), b, c);
        scratch.with(thread, |scratch| gemm.run(*isa, scratch));
    });
}

/// Moves biases by what products were less than what they are now.
fn move_biases(biases: &mut [f32], [now, before]: &[Vec<f32>; 2]) {
    let biases = biases.iter_mut().zip(now).zip(before);
    biases.for_each(|((b, now), before)| *b += before - now);
}

/// Subtracts a correction from the gradient of a layer's weights.
fn subtract(engine: &mut Engine, layer: Layer, correction: Outer<'_>, weights: &mut [f32]) {
    let (height, width) = layer.stored();
    let division = engine.divide(height, 4 * width);
    let weights = MatrixMut::new(weights, height, width);
    let (rows, isa) = (Parts::rows(weights, division), engine.isa);
    engine.pool.run(division.parts(), |part, _| {
        let correction = correction.block(division.range(part), 0..width);
        correction.subtract_from(isa, rows.take(part));
    });
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
