//! Layers forward and backward.

use super::{Operand, check_read, check_written};
use crate::activation::Activation;
use crate::gemm::{Place, Scratch};
use crate::loss::Loss;
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::Isa;
use crate::sparsity::Penalty;

/// A layer forward: `output = f(input weights + biases)`.
///
/// Adds the activations of each unit, in the samples' order, to `sums`.
///
/// ```
/// use sae_kernels::{Activation, Forward, Matrix, MatrixMut};
///
/// # let isa = sae_kernels::Isa::detect();
/// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
/// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
/// let (x, weights) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[3.0, -3.0, 4.0, -4.0], 2, 2));
/// let (mut output, mut sums) = ([0.0; 2], [0.0; 2]);
/// let out = MatrixMut::new(&mut output, 1, 2);
/// Forward::new(x, weights, &[0.5, 0.5], out, &mut sums)
///     .activation(Activation::Relu)
///     .run(isa, &mut scratch);
/// assert_eq!((output, sums), ([11.5, 0.0], [11.5, 0.0]));
/// ```
#[derive(Debug)]
pub struct Forward<'a> {
    /// `[samples, inputs]`
    pub input: Operand<'a>,
    /// `[inputs, units]`; rows contiguous where the input is sparse.
    pub weights: Matrix<'a>,
    /// `[units]`
    pub biases: &'a [f32],
    /// f
    pub activation: Activation,
    /// `[samples, units]`, rows contiguous; what it holds before is not read.
    pub output: MatrixMut<'a>,
    /// `[units]`, added to.
    pub sums: &'a mut [f32],
}

impl<'a> Forward<'a> {
    /// A layer of the linear activation.
    ///
    /// ```
    /// use sae_kernels::{Activation, Forward, Matrix, MatrixMut};
    ///
    /// let (x, mut output, mut sums) = ([1.0, 2.0], [0.0; 4], [0.0; 2]);
    /// let (input, weights) = (Matrix::new(&x, 2, 1), Matrix::new(&x, 1, 2));
    /// let out = MatrixMut::new(&mut output, 2, 2);
    /// let forward = Forward::new(input, weights, &[0.0; 2], out, &mut sums);
    /// assert_eq!(forward.activation, Activation::Linear);
    /// ```
    pub fn new(
        input: impl Into<Operand<'a>>,
        weights: Matrix<'a>,
        biases: &'a [f32],
        output: MatrixMut<'a>,
        sums: &'a mut [f32],
    ) -> Self {
        let activation = Activation::Linear;
        Forward { input: input.into(), weights, biases, activation, output, sums }
    }

    /// The same with this activation.
    ///
    /// ```
    /// use sae_kernels::{Activation, Forward, Matrix, MatrixMut};
    ///
    /// let (x, mut output, mut sums) = (Matrix::from_row(&[1.0]), [0.0], [0.0]);
    /// let forward = Forward::new(x, x, &[0.0], MatrixMut::from_row(&mut output), &mut sums);
    /// assert_eq!(forward.activation(Activation::Tanh).activation, Activation::Tanh);
    /// ```
    pub fn activation(self, activation: Activation) -> Self {
        Forward { activation, ..self }
    }

    /// Computes the output and adds to the sums.
    ///
    /// ```
    /// use sae_kernels::{Activation, Forward, Matrix, MatrixMut};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// let (x, weights) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[3.0, -3.0, 4.0, -4.0], 2, 2));
    /// let (mut output, mut sums) = ([0.0; 2], [0.0; 2]);
    /// let out = MatrixMut::new(&mut output, 1, 2);
    /// Forward::new(x, weights, &[0.5, 0.5], out, &mut sums)
    ///     .activation(Activation::Relu)
    ///     .run(isa, &mut scratch);
    /// assert_eq!((output, sums), ([11.5, 0.0], [11.5, 0.0]));
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, the output's rows are not contiguous, or the scratch is too small.
    #[track_caller]
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let units = self.weights.cols;
        check_written("the output", &self.output, (self.input.len(), units));
        assert!([self.biases.len(), self.sums.len()] == [units; 2], "a number for each unit");
        self.input.check_inner(&self.weights);
        scratch.check(isa, (self.input.len(), self.weights.rows, units));
        let (input, weights, partial) = (self.input, self.weights, Place::of(&self.output));
        input.multiply(isa, weights, partial, &mut self, scratch);
    }
}

/// The output layer forward, its loss and its delta in one pass.
///
/// With z = input weights + biases, a = f(z) and e = a - target: for squared errors, e^2 is added
/// to `losses` and `delta = scale e f'(z)`; for the cross-entropy, that of z is added to `losses`
/// and `delta = scale e`, the activation being the sigmoid. Delta is added to `bias_gradient`. Both
/// sums run in the samples' order. For the mean over n samples of d features the scale is
/// [`Loss::gradient_factor`] / (n d).
///
/// ```
/// use sae_kernels::{Activation, Loss, Matrix, MatrixMut, OutputDelta};
///
/// # let isa = sae_kernels::Isa::detect();
/// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
/// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
/// // One sample of two features, predicted as [3, 4]; the mean of two squared errors.
/// let (x, weights) = (Matrix::from_row(&[1.0]), Matrix::from_row(&[3.0, 4.0]));
/// let target = Matrix::from_row(&[2.0, 4.0]);
/// let (mut delta, mut losses, mut bias_gradient) = ([0.0; 2], [0.0; 2], [0.0; 2]);
/// let sums = [losses.as_mut_slice(), bias_gradient.as_mut_slice()];
/// OutputDelta::new(x, (weights, &[0.0; 2]), target, MatrixMut::from_row(&mut delta), sums)
///     .kind(Activation::Linear, Loss::SquaredError)
///     .scale(2.0 / 2.0)
///     .run(isa, &mut scratch);
/// assert_eq!((losses, delta), ([1.0, 0.0], [1.0, 0.0]));
/// assert_eq!(bias_gradient, delta);
/// ```
#[derive(Debug)]
pub struct OutputDelta<'a> {
    /// `[samples, inputs]`
    pub input: Operand<'a>,
    /// `[inputs, features]`; rows contiguous where the input is sparse.
    pub weights: Matrix<'a>,
    /// `[features]`
    pub biases: &'a [f32],
    /// f
    pub activation: Activation,
    /// The data term.
    pub loss: Loss,
    /// `[samples, features]`, rows contiguous.
    pub target: Matrix<'a>,
    /// Factor of the gradient.
    pub scale: f32,
    /// `[samples, features]`, rows contiguous; what it holds before is not read.
    pub delta: MatrixMut<'a>,
    /// `[features]`, added to.
    pub losses: &'a mut [f32],
    /// `[features]`, added to.
    pub bias_gradient: &'a mut [f32],
}

impl<'a> OutputDelta<'a> {
    /// A linear output layer with squared errors, and a scale of 1, for the mean of n d errors 2 / (n d);
    /// `sums` are `losses` and `bias_gradient`.
    ///
    /// ```
    /// use sae_kernels::{Activation, Loss, Matrix, MatrixMut, OutputDelta};
    ///
    /// let (x, mut delta, [mut losses, mut gradient]) = (Matrix::from_row(&[1.0]), [0.0], [[0.0]; 2]);
    /// let sums = [losses.as_mut_slice(), gradient.as_mut_slice()];
    /// let output = OutputDelta::new(x, (x, &[0.0]), x, MatrixMut::from_row(&mut delta), sums);
    /// assert_eq!((output.activation, output.loss), (Activation::Linear, Loss::SquaredError));
    /// ```
    pub fn new(
        input: impl Into<Operand<'a>>,
        (weights, biases): (Matrix<'a>, &'a [f32]),
        target: Matrix<'a>,
        delta: MatrixMut<'a>,
        sums: [&'a mut [f32]; 2],
    ) -> Self {
        let [losses, bias_gradient] = sums;
        OutputDelta {
            input: input.into(),
            weights,
            biases,
            activation: Activation::Linear,
            loss: Loss::SquaredError,
            target,
            scale: 1.0,
            delta,
            losses,
            bias_gradient,
        }
    }

    /// The same with this activation and loss.
    ///
    /// ```
    /// use sae_kernels::{Activation, Loss, Matrix, MatrixMut, OutputDelta};
    ///
    /// let (x, mut delta, [mut losses, mut gradient]) = (Matrix::from_row(&[1.0]), [0.0], [[0.0]; 2]);
    /// let sums = [losses.as_mut_slice(), gradient.as_mut_slice()];
    /// let output = OutputDelta::new(x, (x, &[0.0]), x, MatrixMut::from_row(&mut delta), sums);
    /// let output = output.kind(Activation::Sigmoid, Loss::CrossEntropy);
    /// assert!(output.loss.fits(output.activation));
    /// ```
    pub fn kind(self, activation: Activation, loss: Loss) -> Self {
        OutputDelta { activation, loss, ..self }
    }

    /// The same with this factor of the gradient.
    ///
    /// ```
    /// use sae_kernels::{Matrix, MatrixMut, OutputDelta};
    ///
    /// let (x, mut delta, [mut losses, mut gradient]) = (Matrix::from_row(&[1.0]), [0.0], [[0.0]; 2]);
    /// let sums = [losses.as_mut_slice(), gradient.as_mut_slice()];
    /// let output = OutputDelta::new(x, (x, &[0.0]), x, MatrixMut::from_row(&mut delta), sums);
    /// assert_eq!(output.scale(0.5).scale, 0.5);
    /// ```
    pub fn scale(self, scale: f32) -> Self {
        OutputDelta { scale, ..self }
    }

    /// Computes the delta and adds to both sums.
    ///
    /// ```
    /// use sae_kernels::{Activation, Loss, Matrix, MatrixMut, OutputDelta};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// // One sample of two features, predicted as [3, 4]; the mean of two squared errors.
    /// let (x, weights) = (Matrix::from_row(&[1.0]), Matrix::from_row(&[3.0, 4.0]));
    /// let target = Matrix::from_row(&[2.0, 4.0]);
    /// let (mut delta, mut losses, mut bias_gradient) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    /// let sums = [losses.as_mut_slice(), bias_gradient.as_mut_slice()];
    /// OutputDelta::new(x, (weights, &[0.0; 2]), target, MatrixMut::from_row(&mut delta), sums)
    ///     .kind(Activation::Linear, Loss::SquaredError)
    ///     .scale(2.0 / 2.0)
    ///     .run(isa, &mut scratch);
    /// assert_eq!((losses, delta), ([1.0, 0.0], [1.0, 0.0]));
    /// assert_eq!(bias_gradient, delta);
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, rows of the target or the delta are not contiguous, the cross-entropy has
    /// another activation than the sigmoid, or the scratch is too small.
    #[track_caller]
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let features = self.weights.cols;
        check_written("the delta", &self.delta, (self.input.len(), features));
        check_read("the target", &self.target, (self.input.len(), features));
        assert!(self.loss.fits(self.activation), "the cross-entropy is that of a sigmoid");
        let lengths = [self.biases.len(), self.losses.len(), self.bias_gradient.len()];
        assert!(lengths == [features; 3], "a number for each unit");
        self.input.check_inner(&self.weights);
        scratch.check(isa, (self.input.len(), self.weights.rows, features));
        let (input, weights, partial) = (self.input, self.weights, Place::of(&self.delta));
        input.multiply(isa, weights, partial, &mut self, scratch);
    }
}

/// A hidden layer's delta from the next one's: `delta = (next weights^T + penalty) f'(z)`.
///
/// f' is taken from the activation a = f(z). Delta is added, in the samples' order, to
/// `bias_gradient`.
///
/// ```
/// use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut, Penalty};
///
/// # let isa = sae_kernels::Isa::detect();
/// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
/// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
/// // One sample; the layer above has one unit, this one two, of which one is inactive.
/// let (next, weights) = (Matrix::from_row(&[2.0]), Matrix::new(&[3.0, 4.0], 2, 1));
/// let activations = Matrix::from_row(&[0.0, 1.5]);
/// let (mut delta, mut bias_gradient) = ([9.0; 2], [1.0; 2]);
/// let out = MatrixMut::from_row(&mut delta);
/// HiddenDelta::new(next, weights, activations, out, &mut bias_gradient)
///     .activation(Activation::Relu)
///     .penalty(Penalty { l1: 0.25, ..Penalty::default() })
///     .run(isa, &mut scratch);
/// assert_eq!((delta, bias_gradient), ([0.0, 8.25], [1.0, 9.25]));
/// ```
#[derive(Debug)]
pub struct HiddenDelta<'a> {
    /// The next layer's delta, `[samples, outputs]`.
    pub next: Operand<'a>,
    /// The next layer's weights, `[units, outputs]`; columns contiguous where its delta is sparse.
    pub weights: Matrix<'a>,
    /// This layer's activations, `[samples, units]`, rows contiguous.
    pub activations: Matrix<'a>,
    /// f
    pub activation: Activation,
    /// This layer's penalty.
    pub penalty: Penalty<'a>,
    /// `[samples, units]`, rows contiguous; what it holds before is not read.
    pub delta: MatrixMut<'a>,
    /// `[units]`, added to.
    pub bias_gradient: &'a mut [f32],
}

impl<'a> HiddenDelta<'a> {
    /// A hidden layer of the linear activation, without penalty.
    ///
    /// ```
    /// use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut};
    ///
    /// let (x, mut delta, mut gradient) = (Matrix::from_row(&[1.0]), [0.0], [0.0]);
    /// let hidden = HiddenDelta::new(x, x, x, MatrixMut::from_row(&mut delta), &mut gradient);
    /// assert_eq!(hidden.activation, Activation::Linear);
    /// ```
    pub fn new(
        next: impl Into<Operand<'a>>,
        weights: Matrix<'a>,
        activations: Matrix<'a>,
        delta: MatrixMut<'a>,
        bias_gradient: &'a mut [f32],
    ) -> Self {
        HiddenDelta {
            next: next.into(),
            weights,
            activations,
            activation: Activation::Linear,
            penalty: Penalty::default(),
            delta,
            bias_gradient,
        }
    }

    /// The same with this activation.
    ///
    /// ```
    /// use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut};
    ///
    /// let (x, mut delta, mut gradient) = (Matrix::from_row(&[1.0]), [0.0], [0.0]);
    /// let hidden = HiddenDelta::new(x, x, x, MatrixMut::from_row(&mut delta), &mut gradient);
    /// assert_eq!(hidden.activation(Activation::Relu).activation, Activation::Relu);
    /// ```
    pub fn activation(self, activation: Activation) -> Self {
        HiddenDelta { activation, ..self }
    }

    /// The same with this penalty.
    ///
    /// ```
    /// use sae_kernels::{HiddenDelta, Matrix, MatrixMut, Penalty};
    ///
    /// let (x, mut delta, mut gradient) = (Matrix::from_row(&[1.0]), [0.0], [0.0]);
    /// let hidden = HiddenDelta::new(x, x, x, MatrixMut::from_row(&mut delta), &mut gradient);
    /// let penalty = Penalty { l1: 0.5, ..Penalty::default() };
    /// assert_eq!(hidden.penalty(penalty).penalty.l1, 0.5);
    /// ```
    pub fn penalty(self, penalty: Penalty<'a>) -> Self {
        HiddenDelta { penalty, ..self }
    }

    /// Computes the delta and adds to the bias gradient.
    ///
    /// ```
    /// use sae_kernels::{Activation, HiddenDelta, Matrix, MatrixMut, Penalty};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// // One sample; the layer above has one unit, this one two, of which one is inactive.
    /// let (next, weights) = (Matrix::from_row(&[2.0]), Matrix::new(&[3.0, 4.0], 2, 1));
    /// let activations = Matrix::from_row(&[0.0, 1.5]);
    /// let (mut delta, mut bias_gradient) = ([9.0; 2], [1.0; 2]);
    /// let out = MatrixMut::from_row(&mut delta);
    /// HiddenDelta::new(next, weights, activations, out, &mut bias_gradient)
    ///     .activation(Activation::Relu)
    ///     .penalty(Penalty { l1: 0.25, ..Penalty::default() })
    ///     .run(isa, &mut scratch);
    /// assert_eq!((delta, bias_gradient), ([0.0, 8.25], [1.0, 9.25]));
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, rows of the activations or the delta are not contiguous, or the scratch is too
    /// small.
    #[track_caller]
    pub fn run(mut self, isa: Isa, scratch: &mut Scratch<'_>) {
        let units = self.weights.rows;
        check_written("the delta", &self.delta, (self.next.len(), units));
        check_read("the activations", &self.activations, (self.next.len(), units));
        assert!(self.bias_gradient.len() == units, "a number for each unit");
        assert!(self.penalty.units.is_none_or(|p| p.len() == units), "a penalty for each unit");
        let (next, weights) = (self.next, self.weights.transposed());
        next.check_inner(&weights);
        scratch.check(isa, (next.len(), weights.rows, units));
        next.multiply(isa, weights, Place::of(&self.delta), &mut self, scratch);
    }
}
