//! How the time of a training step grows with width, batch, active units and threads: measured, fitted, and
//! what the fit says of larger machines.
//!
//! A step is taken to be the sum of six kinds of work, each with a rate of its own: multiply-adds of whole
//! products; rows that a sparse code picks out (decoder, the code's gradient, gradients of both layers); bytes
//! of samples, activations and deltas; bytes of parameters and moments, from the caches where all of them fit
//! there, and from memory; and what every step has. The rates are those that bring the sum nearest to the measured times, in the sense of least
//! squares of the relative error, none of them negative.
//!
//! `cargo bench --bench growth`; some five minutes on two cores, which should do nothing else.

mod peak;

use sae::{Activation, Code, Isa, Preset, Samples, Settings, Trainer, compute::available_threads};

/// A network of one hidden layer and its batch.
#[derive(Clone, Copy)]
struct Case {
    features: usize,
    units: usize,
    /// Active units of a sample, for a top-k code.
    k: Option<usize>,
    batch: usize,
}

/// The kinds of work, and the unit of their rates.
const KINDS: [(&str, &str); 6] = [
    ("products", "GFLOP/s"),
    ("rows of active units", "GB/s"),
    ("activations and deltas", "GB/s"),
    ("parameters in the caches", "GB/s"),
    ("parameters in memory", "GB/s"),
    ("every step", "us"),
];

/// Bytes of parameters and moments that the last cache is taken to hold, with what else a step needs.
const CACHED: f64 = 16e6;

fn cases() -> Vec<Case> {
    let dense = [100, 300, 1000, 4000]
        .into_iter()
        .flat_map(|units| [60, 250, 1000].map(|batch| (784, units, None, batch)));
    let sparse = [4096, 16384].into_iter().flat_map(|units| {
        [16, 32, 64].into_iter().flat_map(move |k| [256, 1024].map(|n| (768, units, Some(k), n)))
    });
    let others = [(384, 4096, Some(32), 1024), (768, 65536, Some(32), 1024)];
    dense
        .chain(sparse)
        .chain(others)
        .map(|(features, units, k, batch)| Case { features, units, k, batch })
        .collect()
}

impl Case {
    fn name(&self) -> String {
        let Case { features, units, k, batch } = self;
        let code = k.map_or(String::new(), |k| format!(", top-k:{k}"));
        format!("{features}-{units}-{features}{code}, batch {batch}")
    }

    fn parameters(&self) -> f64 {
        (2 * self.features * self.units) as f64
    }

    /// Floating-point operations, four times bytes, and steps, in the order of [`KINDS`].
    fn work(&self) -> [f64; KINDS.len()] {
        let Case { features, units, k, batch } = *self;
        let weights = (features * units) as f64;
        let n = batch as f64;
        // Forward, gradient and, but for the first layer, the delta; of a top-k code the encoder's forward alone.
        let products = if k.is_some() { 1.0 } else { 5.0 };
        // Decoder and delta read a row each; two gradients read one and add to another.
        let rows = k.map_or(0.0, |k| n * (k * features) as f64 * 4.0 * 6.0);
        // Samples gathered, read by the first product, as a target and by the gradient; the output's delta written and read
        // twice; a dense layer's activations and delta likewise.
        let dense = if k.is_some() { 0 } else { 6 * units };
        let activations = n * (7 * features + dense) as f64 * 4.0;
        // Weights and two moments, read and written; and read once more by each product with them.
        let reads = if k.is_some() { 1.0 } else { 3.0 };
        let bytes = self.parameters() * 24.0 + weights * 4.0 * reads;
        let is_cached = self.parameters() * 12.0 < CACHED;
        let [cached, memory] = if is_cached { [bytes, 0.0] } else { [0.0, bytes] };
        [2.0 * n * weights * products, rows, activations, cached, memory, 1.0]
    }

    fn trainer(&self, threads: usize) -> Trainer {
        let Case { features, units, k, batch } = *self;
        let settings = Settings {
            layers: vec![features, units, features],
            activation: if k.is_some() { Activation::Relu } else { Activation::Sigmoid },
            output_activation: Activation::Linear,
            code: k.map_or(Code::Dense, Code::TopK),
            batch,
            beta: 0.0,
            learning_rate: 1e-4,
            ..Settings::preset(Preset::Plain)
        };
        let samples = samples(features, 2 * batch);
        Trainer::builder(settings).threads(threads).build(&samples).expect("good settings")
    }
}

/// Samples without zeros.
fn samples(features: usize, count: usize) -> Samples {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let values = (0..count * features).map(|_| uniform()).collect();
    Samples::from_values(values, features).expect("whole samples")
}

/// The numbers, none negative, whose products with each row come nearest to 1 in the sense of least squares.
fn fit(rows: &[[f64; KINDS.len()]]) -> [f64; KINDS.len()] {
    let mut found = [0.0; KINDS.len()];
    // Coordinate by coordinate: the sum of squares is convex.
    for _ in 0..100_000 {
        for kind in 0..KINDS.len() {
            let (mut along, mut square) = (0.0, 0.0);
            for row in rows {
                let sum: f64 = row.iter().zip(&found).map(|(a, x)| a * x).sum();
                along += row[kind] * (1.0 - sum);
                square += row[kind] * row[kind];
            }
            if square > 0.0 {
                found[kind] = f64::max(0.0, found[kind] + along / square);
            }
        }
    }
    found
}

/// Milliseconds a step, the lower of two medians some time apart.
fn measured(threads: usize) -> Vec<f64> {
    let mut times = vec![f64::INFINITY; cases().len()];
    for _ in 0..2 {
        for (case, time) in cases().iter().zip(&mut times) {
            let mut trainer = case.trainer(threads);
            let now = peak::median_time(0.8, || {
                trainer.step().expect("a step");
            });
            *time = time.min(now * 1e3);
        }
    }
    times
}

/// Prints the rates and the errors of the fit; returns the milliseconds that a unit of each work takes.
fn fitted(threads: usize, times: &[f64]) -> [f64; KINDS.len()] {
    let relative: Vec<[f64; KINDS.len()]> =
        cases().iter().zip(times).map(|(case, time)| case.work().map(|work| work / time)).collect();
    let costs = fit(&relative);
    let mut errors = Vec::new();
    let threads = if threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
    println!("\n| network | {threads}, ms | fit | ratio |\n| --- | --- | --- | --- |");
    for (case, time) in cases().iter().zip(times) {
        let sum = predicted(case, &costs);
        println!("| {} | {time:.2} | {sum:.2} | {:.2} |", case.name(), sum / time);
        errors.push((sum / time - 1.0).abs());
    }
    println!("\n{threads}:");
    for ((name, unit), cost) in KINDS.iter().zip(costs) {
        match *unit {
            _ if cost == 0.0 => println!("{name}: no time of its own"),
            "us" => println!("{name}: {:.0} us", cost * 1e3),
            unit => println!("{name}: {:.1} {unit}", 1.0 / cost / 1e6),
        }
    }
    let largest = errors.iter().fold(0.0f64, |a, &b| a.max(b));
    println!(
        "error: {:.1} % (median), {:.1} % (largest)",
        peak::median(&mut errors) * 100.0,
        largest * 100.0
    );
    costs
}

fn predicted(case: &Case, costs: &[f64]) -> f64 {
    case.work().iter().zip(costs).map(|(work, cost)| work * cost).sum()
}

/// What is assumed of a machine of 64 cores, whose cores are those of this one: products, rows and activations go 64
/// times as fast as on one, parameters come from memory at this rate, and a meeting of the threads takes longer.
const CORES: f64 = 64.0;
const MEMORY: f64 = 300e6; // bytes a millisecond
const MEETING: f64 = 3.0;

/// Eight such machines, each with its part of the batch: a ring's all-reduce of the gradient takes 2 * 7 / 8 of its
/// bytes at this rate, none of it hidden.
const RANKS: f64 = 8.0;
const LINK: f64 = 12.5e6; // bytes a millisecond: 100 Gbit/s

fn larger_machines(one: &[f64], many: &[f64]) {
    println!(
        "\n| network | 1 thread, ms | 64 cores | 8 ranks of 64 cores, each with a whole batch, ms |"
    );
    println!("| --- | --- | --- | --- |");
    for case in cases().iter().filter(|case| case.batch >= 1000) {
        let [products, rows, activations, cached, memory, _] = case.work();
        let arithmetic = (products * one[0] + rows * one[1] + activations * one[2]) / CORES;
        // A core's part of parameters that one last cache holds stays in its own caches.
        let parameters = cached * one[3] / CORES + memory / MEMORY;
        let time = arithmetic + parameters + MEETING * many[5];
        let sent = 2.0 * (RANKS - 1.0) / RANKS * case.parameters() * 4.0 / LINK;
        println!(
            "| {} | {:.1} | {time:.2} ({:.0} times as fast) | {:.2} ({:.1} of 8) |",
            case.name(),
            predicted(case, one),
            predicted(case, one) / time,
            time + sent,
            RANKS * time / (time + sent),
        );
    }
}

fn main() {
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let mut threads = vec![1, available_threads()];
    threads.dedup();
    let mut costs = Vec::new();
    for &threads in &threads {
        let peak = peak::gflops(isa, threads);
        costs.push(fitted(threads, &measured(threads)));
        println!("({}: FMA peak {peak:.1} GFLOP/s on {threads} threads)", isa.name());
    }
    larger_machines(&costs[0], costs.last().expect("one at least"));
}
