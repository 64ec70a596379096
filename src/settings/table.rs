//! The table of settings: what each is called, what it is by default, and what it may be.
//!
//! An entry here is all that a numeric setting needs beside its use. Its field, default, range
//! check, JSON, text, the option of the command and the check of Python's parameters follow.

use sae_kernels::{Activation, Loss};

use super::choices::{
    Auxiliary, Code, Corruption, Initialization, Optimizer, OutputBias, SampleOrder, Schedule,
};
use super::field::{FieldOf, settings};
use super::l0_penalty::L0Penalty;
use super::penalties::{LayerPenalty, Target};
use super::prefixes::Prefixes;
use super::value::{Range, Value, above, from};

/// Beyond this, far from any use, `f32` turns a setting into 0, 1 or infinity.
const MAX: f64 = 1e9;
pub(super) const WEIGHT: Range = from(0.0).to(MAX);
pub(super) const RHO: Range = from(1e-6).to(1.0 - 1e-6);
pub(super) const POSITIVE: Range = above(0.0).to(MAX);
pub(super) const BELOW_ONE: Range = from(0.0).below(1.0);

settings! {
    /// What a training computes: together with the data, these numbers fix every bit of its result.
    ///
    /// Begin with a preset and set what differs: `Settings { batch: 20, ..Settings::default() }`.
    /// Always end with `..`: minor versions add fields.
    struct Settings;

    /// Sizes of the layers, input to output; the ends are the features of the data.
    ///
    /// An odd number of 3 to 255 sizes, the first equal to the last unless the samples have
    /// [targets](crate::Samples::with_targets) of their own. The first half, including the code in the
    /// middle, is the encoder.
    layers: Vec<usize> = vec![784, 300, 30, 300, 784];
    /// Activation of the hidden layers.
    activation: Activation = Activation::Sigmoid;
    /// Activation of each hidden layer, instead of one for all.
    activations: Vec<Activation> = Vec::new();
    /// Activation of the output layer; the default is linear for features not scaled into [0, 1].
    ///
    /// [`Settings::fitted_to`] chooses sigmoid for features in [0, 1] and linear for others.
    output_activation: Activation = Activation::Sigmoid;
    /// Whether features may be outside of what the output activation gives.
    ///
    /// Otherwise training refuses such features, which a sigmoid for one cannot reconstruct.
    allow_unreachable: bool = false;
    /// The objective's data term.
    loss: Loss = Loss::SquaredError;
    /// Which of the code's activations are kept.
    code: Code = Code::Dense;
    /// Parts of a sparse code, from its first unit on, that each reconstruct by themselves.
    ///
    /// The first units of such a code are the most general ones (Matryoshka, Bussmann et al. 2025).
    prefixes ["matryoshka"]: Prefixes = Prefixes::None;
    /// What dead units of a sparse code learn from.
    auxiliary ["aux"]: Auxiliary = Auxiliary::None;
    /// Samples without being active after which a unit of a sparse code counts as dead.
    ///
    /// 0 is as many as 10 epochs have, at most 10 million. It matters in training alone: an evaluation
    /// counts the units that are active in none of its samples.
    dead_after: u64 = 0, from(0.0).to(MAX);
    /// What the weight of L0 of a JumpReLU code is of.
    l0_penalty: L0Penalty = L0Penalty::Step;
    /// Whether the decoder has the encoder's weights, transposed.
    tied: bool = false;
    /// Whether a linear map of the input is added to the output: the skip connection of a transcoder.
    ///
    /// The output is code W + b + x W_skip, with W_skip learned from 0. It needs targets
    /// ([`Samples::with_targets`](crate::Samples::with_targets)) and a linear output.
    skip ["skip_connection"]: bool = false;
    /// Whether the weights from each unit of the code have length 1.
    ///
    /// They are scaled to it after each step, and the optimizer sees their gradient without its component
    /// along them (Bricken et al. 2023).
    unit_norm: bool = false;
    /// How weights are initialized.
    initialization ["init", "initialisation"]: Initialization = Initialization::TruncatedNormal;
    /// What the output layer's biases begin with.
    output_bias: OutputBias = OutputBias::Auto;
    /// Corruption of the inputs, which the network learns to undo.
    corruption ["corrupt"]: Corruption = Corruption::None;
    /// Target activation of the KL penalty.
    rho: f64 = 0.02, RHO;
    /// Weight of the KL penalty; 0 for none.
    ///
    /// The penalty is the sum of KL(rho || rho_hat) over the units of the encoder's hidden layers
    /// (Ng 2011), and needs sigmoids.
    beta: f64 = 7.5e-5, WEIGHT;
    /// Weight of the L1 penalty; 0 for none.
    ///
    /// The penalty is the sum of |a| over the encoder's hidden layers, a mean over samples.
    l1: f64 = 0.0, WEIGHT;
    /// Penalties of single hidden layers (the first is 1), instead of `rho`, `beta` and `l1`.
    penalties ["penalty"]: Vec<LayerPenalty> = Vec::new();
    /// Steps in which the weights of all sparsity penalties rise from 0 to their full values.
    ///
    /// A step's weights are `beta`, `l1` and the weight of L0 times step / steps, the first step being 1.
    /// Evaluations use the full weights, and a `target` is steered to after these steps.
    sparsity_warm_up: u64 = 0;
    /// Share of the previous steps in the mean activations that the KL penalty sees.
    ///
    /// Above 0 the penalty follows a running mean, for batches so short that their own mean says
    /// little: of 60 samples at rho 0.02 a unit is expected to be active in 1.2. The gradient is
    /// the KL's at that mean, as if all of it were this batch's (Hinton 2010, section 11).
    rho_momentum: f64 = 0.0, BELOW_ONE;
    /// Sparsity of a hidden layer (the first is 1) that the penalties' weights are steered to.
    target: Option<Target> = None;
    /// Activation above which a sigmoid unit counts as active, for L0 and dead units.
    ///
    /// Units with exact zeros are active where they are not 0. Tanh, leaky ReLU and linear units count as
    /// active likewise, and as dead if their activation never varies.
    active_above: f64 = 0.1, BELOW_ONE;
    /// Weight of the weight decay, half the sum of the squared weights; 0 for none.
    lambda: f64 = 5e-6, WEIGHT;
    /// The optimizer.
    optimizer: Optimizer = Optimizer::Adam;
    /// Learning rate, before its schedule.
    learning_rate ["lr"]: f64 = 1e-2, POSITIVE;
    /// How the learning rate changes after the warm-up.
    schedule: Schedule = Schedule::Constant;
    /// Steps in which the learning rate rises from 0 to its full value.
    warm_up: u64 = 0;
    /// Maximum length of the gradient over all parameters; 0 for no bound.
    clip: f64 = 0.0, WEIGHT;
    /// Adam's decay of the first moment.
    beta1: f64 = 0.9, BELOW_ONE;
    /// Adam's decay of the second moment.
    beta2: f64 = 0.999, BELOW_ONE;
    /// Adam's epsilon, which is added to the root of the second moment.
    epsilon: f64 = 1e-8, above(1e-30).below(1.0);
    /// Samples in a batch; the default is all samples with L-BFGS.
    ///
    /// A batch longer than the data goes through them as often as it takes; an epoch ends within it.
    /// [`Settings::fitted_to`] makes it all samples where the optimizer is L-BFGS.
    batch: usize = 60, from(1.0).to(16_777_216.0);
    /// The order in which an epoch has the samples.
    order: SampleOrder = SampleOrder::Shuffle;
    /// Seed of the weights, of the order of the samples and of their corruption.
    seed: u64 = 1;
}
