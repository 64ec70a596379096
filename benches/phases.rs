//! The kernels of a step of the default network, on one thread, called in the order of a step so that the
//! caches are as in a step. Prints the microseconds of each phase, and the share of the FMA peak that its
//! dense arithmetic would take; then criterion's figures for each phase alone.

mod peak;

use std::time::{Duration, Instant};

use criterion::Criterion;
use sae::data::digits;
use sae_kernels::{
    Activation, AdamOptions, Forward, HiddenDelta, Isa, Loss, Matrix, MatrixMut, Operand,
    OutputDelta, Penalty, Rule, Scratch, Update, sparsity,
};

const SIZES: [usize; 5] = [784, 300, 30, 300, 784];
const BATCH: usize = 60;
const LAYERS: usize = 4;

/// The buffers of a step.
struct Net {
    isa: Isa,
    rule: Rule,
    batches: Vec<Vec<f32>>,
    turn: usize,
    /// Weights and both moments of every layer.
    parameters: [[Vec<f32>; 3]; LAYERS],
    biases: Vec<Vec<f32>>,
    activations: Vec<Vec<f32>>,
    deltas: Vec<Vec<f32>>,
    penalties: Vec<Vec<f32>>,
    units: Vec<Vec<f32>>,
    errors: Vec<f32>,
    floats: Vec<f32>,
    indices: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Phase {
    Forward(usize),
    OutputDelta,
    HiddenDelta(usize),
    Update(usize),
}

const PHASES: [Phase; 11] = [
    Phase::Forward(0),
    Phase::Forward(1),
    Phase::Forward(2),
    Phase::OutputDelta,
    Phase::HiddenDelta(3),
    Phase::Update(3),
    Phase::HiddenDelta(2),
    Phase::Update(2),
    Phase::HiddenDelta(1),
    Phase::Update(1),
    Phase::Update(0),
];

impl Phase {
    fn layer(self) -> usize {
        match self {
            Phase::OutputDelta => LAYERS - 1,
            Phase::Forward(l) | Phase::HiddenDelta(l) | Phase::Update(l) => l,
        }
    }

    fn name(self) -> String {
        let (inputs, outputs) = (SIZES[self.layer()], SIZES[self.layer() + 1]);
        match self {
            Phase::Forward(_) => format!("forward {inputs} to {outputs}"),
            Phase::OutputDelta => format!("output delta {inputs} to {outputs}"),
            Phase::HiddenDelta(_) => format!("hidden delta {outputs} to {inputs}"),
            Phase::Update(_) => format!("update {inputs} x {outputs}"),
        }
    }

    fn flops(self) -> f64 {
        (2 * BATCH * SIZES[self.layer()] * SIZES[self.layer() + 1]) as f64
    }
}

impl Net {
    fn new(isa: Isa) -> Self {
        let drawn = digits::draw(BATCH * 64, 1, 1);
        let pixels: Vec<f32> = drawn.images.iter().map(|&b| f32::from(b) / 255.0).collect();
        let per_unit = |value: f32| -> Vec<Vec<f32>> {
            SIZES[1..].iter().map(|&units| vec![value; units]).collect()
        };
        let per_sample =
            || -> Vec<Vec<f32>> { SIZES[1..].iter().map(|&u| vec![0.1; BATCH * u]).collect() };
        let weight = |i: usize| ((i * 7919) % 1009) as f32 / 5045.0 - 0.1;
        let (floats, indices) = Scratch::LENGTHS;
        Net {
            isa,
            rule: AdamOptions { weight_decay: 5e-6, ..AdamOptions::default() }.at_step(10_000),
            batches: pixels.chunks(BATCH * SIZES[0]).map(<[f32]>::to_vec).collect(),
            turn: 0,
            parameters: std::array::from_fn(|l| {
                let count = SIZES[l] * SIZES[l + 1];
                [(0..count).map(weight).collect(), vec![1e-6; count], vec![1e-10; count]]
            }),
            biases: per_unit(0.1),
            activations: per_sample(),
            deltas: per_sample(),
            penalties: per_unit(1e-6),
            units: per_unit(0.0),
            errors: vec![0.0; SIZES[0]],
            floats: vec![0.0; floats],
            indices: vec![0; indices],
        }
    }

    fn run(&mut self, phase: Phase) {
        let Net { isa, rule, parameters, biases, activations, deltas, units, errors, .. } = self;
        let isa = *isa;
        let l = phase.layer();
        let (inputs, outputs) = (SIZES[l], SIZES[l + 1]);
        let batch = Matrix::new(&self.batches[self.turn % self.batches.len()], BATCH, SIZES[0]);
        let (before, after) = activations.split_at_mut(l);
        let input = before.last().map_or(batch, |a| Matrix::new(a, BATCH, inputs));
        let mut scratch = Scratch::new(&mut self.floats, &mut self.indices);
        let scratch = &mut scratch;
        let [weights, first, second] = &mut parameters[l];
        match phase {
            Phase::Forward(_) => {
                units[l].fill(0.0);
                let forward = Forward {
                    input: Operand::new(input, l == 0),
                    weights: Matrix::new(weights, inputs, outputs),
                    biases: &biases[l],
                    activation: Activation::Sigmoid,
                    output: MatrixMut::new(&mut after[0], BATCH, outputs),
                    sums: &mut units[l],
                };
                forward.run(isa, scratch);
                sparsity::mean(isa, BATCH, &mut units[l]);
            }
            Phase::OutputDelta => {
                errors.fill(0.0);
                units[l].fill(0.0);
                let output_delta = OutputDelta {
                    input: Operand::Dense(input),
                    weights: Matrix::new(weights, inputs, outputs),
                    biases: &biases[l],
                    activation: Activation::Sigmoid,
                    loss: Loss::SquaredError,
                    target: batch,
                    scale: 2.0 / (BATCH * outputs) as f32,
                    delta: MatrixMut::new(&mut deltas[l], BATCH, outputs),
                    losses: errors,
                    bias_gradient: &mut units[l],
                };
                output_delta.run(isa, scratch);
            }
            Phase::HiddenDelta(_) => {
                let (below, delta) = deltas.split_at_mut(l);
                units[l - 1].fill(0.0);
                let of_units = (l <= 2).then_some(&self.penalties[l - 1][..]);
                let hidden_delta = HiddenDelta {
                    next: Operand::Dense(Matrix::new(&delta[0], BATCH, outputs)),
                    weights: Matrix::new(weights, inputs, outputs),
                    activations: input,
                    activation: Activation::Sigmoid,
                    penalty: Penalty { units: of_units, l1: 0.0 },
                    delta: MatrixMut::new(&mut below[l - 1], BATCH, inputs),
                    bias_gradient: &mut units[l - 1],
                };
                hidden_delta.run(isa, scratch);
            }
            Phase::Update(_) => {
                let update = Update {
                    rule: *rule,
                    a: Operand::new(input.transposed(), l == 0),
                    delta: Matrix::new(&deltas[l], BATCH, outputs),
                    weights: MatrixMut::new(weights, inputs, outputs),
                    first_moment: MatrixMut::new(first, inputs, outputs),
                    second_moment: MatrixMut::new(second, inputs, outputs),
                    correction: None,
                };
                update.run(isa, scratch);
            }
        }
    }

    /// Adam alone over the widest layer, from and to memory.
    fn sweep(&mut self) {
        let gradient = &self.floats[..SIZES[0] * 64];
        let [weights, first, second] = &mut self.parameters[0];
        for at in (0..weights.len()).step_by(gradient.len()) {
            let end = (at + gradient.len()).min(weights.len());
            let [w, m, v] = [&mut *weights, &mut *first, &mut *second]
                .map(|flat| MatrixMut::from_row(&mut flat[at..end]));
            let gradient = Matrix::from_row(&gradient[..end - at]);
            self.rule.update_rows(self.isa, w, m, v, gradient);
        }
    }
}

fn main() {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let mut net = Net::new(isa);
    if !std::env::args().any(|word| word == "--test" || word == "--profile-time") {
        let peak = peak::gflops(isa, 1);
        let mut times = vec![Vec::new(); PHASES.len()];
        for turn in 0..2000 {
            net.turn = turn;
            for (phase, times) in PHASES.iter().zip(&mut times) {
                let start = Instant::now();
                net.run(*phase);
                times.push(start.elapsed().as_secs_f64());
            }
        }
        println!("{}: FMA peak {peak:.1} GFLOP/s on one thread", isa.name());
        println!("| phase | us | dense arithmetic, share of FMA peak |");
        println!("| --- | --- | --- |");
        let (mut total, mut flops) = (0.0, 0.0);
        for (phase, times) in PHASES.iter().zip(&mut times) {
            let time = peak::median(times);
            let share = phase.flops() / time / 1e9 / peak * 100.0;
            println!("| {} | {:.1} | {share:.0} % |", phase.name(), time * 1e6);
            total += time;
            flops += phase.flops();
        }
        println!("| all | {:.1} | {:.0} % |", total * 1e6, flops / total / 1e9 / peak * 100.0);
        let sweep = peak::median_time(0.2, || net.sweep());
        println!("(Adam alone over {} x {}: {:.1} us)", SIZES[0], SIZES[1], sweep * 1e6);
    }
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("phases");
    for phase in PHASES {
        group.bench_function(phase.name(), |b| b.iter(|| net.run(phase)));
    }
    group.finish();
    criterion.final_summary();
}
