//! Whole steps of a network with a sparse code against simple loops, bit for bit; and what a lazy
//! optimizer leaves alone.

use crate::common::uniform;
use proptest::prelude::*;
use sae::compute::ThreadPool;
use sae::{Activation, Code, Isa, Optimizer, OutputBias, Samples, Settings, Trainer};
use sae_kernels::{AdamOptions, Matrix, MatrixMut, Rule};

const RATE: f64 = 0.01;

/// A network of one sparse layer and its optimizer, in simple loops.
struct Naive {
    features: usize,
    units: usize,
    code: Code,
    relu: bool,
    /// Encoder `[units, features]`, its biases, decoder `[units, features]`, its biases.
    parameters: [Vec<f32>; 4],
    first: [Vec<f32>; 4],
    second: [Vec<f32>; 4],
    threshold: f32,
    step: u64,
    lazy: bool,
}

impl Naive {
    fn of(trainer: &Trainer, lazy: bool) -> Self {
        let net = trainer.autoencoder();
        let settings = net.settings();
        let layers = net.layers();
        let parameters: [Vec<f32>; 4] =
            [layers[0].weights(), layers[0].biases(), layers[1].weights(), layers[1].biases()]
                .map(|range| net.parameters()[range].to_vec());
        let zeros = || [0, 1, 2, 3].map(|i: usize| vec![0.0; parameters[i].len()]);
        Naive {
            features: layers[0].inputs,
            units: layers[0].outputs,
            code: settings.code,
            relu: settings.activation == Activation::Relu,
            first: zeros(),
            second: zeros(),
            parameters,
            threshold: 0.0,
            step: 0,
            lazy,
        }
    }

    /// The activations of a batch, `[n, units]`, those that are not kept being 0.
    fn encode(&self, x: &[f32]) -> Vec<f32> {
        let (d, units) = (self.features, self.units);
        let [encoder, biases, ..] = &self.parameters;
        let mut code: Vec<f32> = Vec::new();
        for sample in x.chunks(d) {
            for unit in 0..units {
                let weights = &encoder[unit * d..][..d];
                let sum = weights.iter().zip(sample).fold(0f32, |sum, (w, x)| w.mul_add(*x, sum));
                let z = sum + biases[unit];
                code.push(if self.relu { z.max(0.0) } else { z });
            }
        }
        let keep = |code: &mut [f32], k: usize| {
            let mut places: Vec<usize> = (0..code.len()).filter(|&at| code[at] != 0.0).collect();
            // A stable sort: of equal ones the first stays first.
            places.sort_by(|&a, &b| code[b].total_cmp(&code[a]));
            places.iter().skip(k).for_each(|&at| code[at] = 0.0);
        };
        match self.code {
            Code::TopK(k) => code.chunks_mut(units).for_each(|row| keep(row, k)),
            Code::BatchTopK(k) => {
                let kept = k * code.len() / units;
                keep(&mut code, kept);
            }
            _ => unreachable!("only these codes"),
        }
        code
    }

    fn step(&mut self, x: &[f32]) {
        let (d, units) = (self.features, self.units);
        let n = x.len() / d;
        let code = self.encode(x);
        let [_, _, decoder, output_biases] = &self.parameters;
        let scale = (2.0 / (n as f64 * d as f64)) as f32;
        let row = |unit: usize| &decoder[unit * d..][..d];
        let at = |sample: usize, unit: usize| code[sample * units + unit];
        let mut delta = vec![0f32; n * d];
        let mut gradients = [0, 1, 2, 3].map(|i: usize| vec![0f32; self.parameters[i].len()]);
        for sample in 0..n {
            for feature in 0..d {
                let mut sum = 0f32;
                for unit in 0..units {
                    let a = at(sample, unit);
                    if a != 0.0 {
                        sum = a.mul_add(row(unit)[feature], sum);
                    }
                }
                let error = sum + output_biases[feature] - x[sample * d + feature];
                delta[sample * d + feature] = error * scale;
                gradients[3][feature] += error * scale;
            }
        }
        for unit in 0..units {
            for sample in 0..n {
                let a = at(sample, unit);
                if a == 0.0 {
                    continue;
                }
                let delta = &delta[sample * d..][..d];
                let own = dot(delta, row(unit));
                gradients[1][unit] += own;
                for feature in 0..d {
                    let place = unit * d + feature;
                    let [encoder, _, decoder, _] = &mut gradients;
                    encoder[place] = own.mul_add(x[sample * d + feature], encoder[place]);
                    decoder[place] = a.mul_add(delta[feature], decoder[place]);
                }
            }
        }
        self.step += 1;
        let rule = AdamOptions { learning_rate: RATE, ..AdamOptions::default() }.at_step(self.step);
        for (i, gradient) in gradients.iter().enumerate() {
            let width = [d, 1, d, d][i];
            for (row, g) in gradient.chunks(width).enumerate() {
                if self.lazy && i < 3 && g.iter().all(|&g| g == 0.0) {
                    continue;
                }
                let place = row * width..(row + 1) * width;
                let numbers = [&mut self.parameters[i], &mut self.first[i], &mut self.second[i]]
                    .map(|all| MatrixMut::from_row(&mut all[place.clone()]));
                update(rule, numbers, g);
            }
        }
        let smallest = code.iter().copied().filter(|&a| a != 0.0).fold(f32::INFINITY, f32::min);
        if matches!(self.code, Code::BatchTopK(_)) && smallest.is_finite() {
            let before = if self.step == 1 { smallest } else { self.threshold };
            self.threshold = 0.99 * before + 0.01 * smallest;
        }
    }
}

fn update(rule: Rule, [weights, first, second]: [MatrixMut<'_>; 3], gradient: &[f32]) {
    let isa = Isa::forced("scalar").unwrap();
    rule.update_rows(isa, weights, first, second, Matrix::from_row(gradient));
}

/// The sum of products in 16 interleaved accumulators, which are added in pairs.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        lanes[at % 16] = a.mul_add(*b, lanes[at % 16]);
    }
    for step in [8, 4, 2, 1] {
        for lane in 0..step {
            lanes[lane] += lanes[lane + step];
        }
    }
    lanes[0]
}

#[derive(Clone, Debug)]
struct Case {
    settings: Settings,
    /// All weights are the same, or all samples 0.
    ties: bool,
    zeros: bool,
    isa: Isa,
    threads: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let fused: Vec<Isa> = Isa::all().filter(|isa| isa.is_fused()).collect();
    let sizes = (1usize..70, 1usize..90, 1usize..60);
    let k = prop_oneof![Just(1usize), Just(usize::MAX), 1usize..20];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let machine = (prop::sample::select(fused), 1usize..4, 0u64..1000);
    (sizes, k, flags, prop::bool::weighted(0.1), prop::bool::weighted(0.1), machine).prop_map(
        |((n, d, units), k, (batch, relu, lazy, clipped), ties, zeros, (isa, threads, seed))| {
            let k = k.min(units);
            let settings = Settings {
                layers: vec![d, units, d],
                batch: n,
                code: if batch { Code::BatchTopK(k) } else { Code::TopK(k) },
                activation: if relu { Activation::Relu } else { Activation::Linear },
                output_activation: Activation::Linear,
                // Without the update of centered data.
                output_bias: OutputBias::Zero,
                beta: 0.0,
                lambda: 0.0,
                learning_rate: RATE,
                // Through memory, or not.
                clip: if clipped { 1e9 } else { 0.0 },
                optimizer: if lazy { Optimizer::AdamLazy } else { Optimizer::Adam },
                seed,
                ..Settings::default()
            };
            Case { settings, ties, zeros, isa, threads, seed }
        },
    )
}

fn check(case: &Case) {
    let Case { settings, ties, zeros, isa, threads, seed } = case;
    let (n, d) = (settings.batch, settings.layers[0]);
    let lazy = settings.optimizer == Optimizer::AdamLazy;
    let x: Vec<f32> = match zeros {
        true => vec![0.0; n * d],
        false => uniform(*seed, n * d).iter().map(|x| 2.0 * x - 1.0).collect(),
    };
    let samples = Samples::from_values(x.clone(), d).unwrap();
    let pool = ThreadPool::exactly(*threads);
    let mut trainer =
        Trainer::builder(settings.clone()).isa(*isa).pool(pool).build(&samples).unwrap();
    if *ties {
        let end = trainer.autoencoder().layers()[1].biases().end;
        trainer.autoencoder_mut().parameters_mut()[..end].fill(0.125);
    }
    let mut naive = Naive::of(&trainer, lazy);
    for step in 1..=3 {
        trainer.step_on(&x).unwrap();
        naive.step(&x);
        let net = trainer.autoencoder();
        let (layers, parameters) = (net.layers(), net.parameters());
        let places =
            [layers[0].weights(), layers[0].biases(), layers[1].weights(), layers[1].biases()];
        for (i, place) in places.into_iter().enumerate() {
            for (at, (have, want)) in
                parameters[place.clone()].iter().zip(&naive.parameters[i]).enumerate()
            {
                let same = have.to_bits() == want.to_bits() || *have == 0.0 && *want == 0.0;
                assert!(same, "step {step}, block {i}, number {at}: {have} {want}\n{case:?}");
            }
        }
        if let Code::BatchTopK(_) = settings.code {
            assert_eq!(*parameters.last().unwrap(), naive.threshold, "step {step}\n{case:?}");
        }
    }
}

proptest! {
    #[test]
    fn sparse_steps_are_those_of_simple_loops(case in cases()) {
        check(&case);
    }
}

/// Of a batch that activates few units, the others stay bit for bit, and so do their moments.
#[test]
fn lazy_moments_of_inactive_units_stay() {
    let (d, units) = (24, 200);
    let x: Vec<f32> = uniform(5, 64 * d).iter().map(|x| 2.0 * x - 1.0).collect();
    let samples = Samples::from_values(x.clone(), d).unwrap();
    let settings = |optimizer| Settings {
        layers: vec![d, units, d],
        batch: 4,
        code: Code::TopK(3),
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        optimizer,
        beta: 0.0,
        lambda: 0.0,
        unit_norm: true,
        ..Settings::default()
    };
    let mut trainer = Trainer::new(settings(Optimizer::AdamLazy), &samples).unwrap();
    let mut exact = Trainer::new(settings(Optimizer::Adam), &samples).unwrap();
    // All have moments that would move them.
    for step in 0..40 {
        let batch = &x[step % 16 * 4 * d..][..4 * d];
        trainer.step_on(batch).unwrap();
        exact.step_on(batch).unwrap();
    }
    let rows = |trainer: &Trainer| {
        let net = trainer.autoencoder();
        let layer = net.layers()[1];
        let moments = trainer.moments().0[layer.weights()].to_vec();
        (net.parameters()[layer.weights()].to_vec(), moments)
    };
    let (before, moments) = rows(&trainer);
    let (exact_before, _) = rows(&exact);
    trainer.step_on(&x[..4 * d]).unwrap();
    exact.step_on(&x[..4 * d]).unwrap();
    let (after, moments_after) = rows(&trainer);
    let active = |unit: usize| trainer.rho_hat()[0][unit] != 0.0;
    assert!((0..units).any(active) && !(0..units).all(active));
    for unit in 0..units {
        let row = unit * d..(unit + 1) * d;
        let same = before[row.clone()] == after[row.clone()]
            && moments[row.clone()] == moments_after[row.clone()];
        assert_eq!(same, !active(unit), "unit {unit}");
    }
    // Exact Adam moves them all.
    let moved = |unit: &usize| {
        let row = unit * d..(unit + 1) * d;
        exact_before[row.clone()] != rows(&exact).0[row]
    };
    assert!((0..units).filter(moved).count() > (0..units).filter(|&unit| active(unit)).count());
    let refused = Settings { lambda: 1e-3, ..settings(Optimizer::AdamLazy) };
    let problem = refused.validate().unwrap_err().to_string();
    assert!(problem.contains("fields lambda and tied"), "{problem}");
    let refused = Settings { code: Code::Dense, ..settings(Optimizer::AdamLazy) };
    let problem = refused.validate().unwrap_err().to_string();
    assert!(problem.contains("the field code dense"), "{problem}");
}

fn lazy(layers: Vec<usize>, batch: usize, code: Code) -> Settings {
    Settings {
        layers,
        batch,
        code,
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        output_bias: OutputBias::Zero,
        optimizer: Optimizer::AdamLazy,
        beta: 0.0,
        lambda: 0.0,
        learning_rate: 0.05,
        ..Settings::default()
    }
}

/// Rows wider than a block of the gradient, half of which is 0: fused, through memory and from outside.
#[test]
fn lazy_rows_are_looked_at_as_a_whole() {
    for (d, unit_norm) in [(4100, false), (4100, true), (50_000, false), (50_000, true)] {
        let sample = |s: usize| {
            (0..d).map(move |i| if (i < d / 2) == s.is_multiple_of(2) { 0.5 } else { 0.0 })
        };
        let x: Vec<f32> = (0..4).flat_map(sample).collect();
        let samples = Samples::from_values(x.clone(), d).unwrap();
        let settings = Settings { unit_norm, ..lazy(vec![d, 6, d], 1, Code::TopK(2)) };
        let clipped = Settings { clip: 1e9, ..settings.clone() };
        let [mut fused, mut memory, mut outside] = [&settings, &clipped, &settings]
            .map(|settings| Trainer::new(settings.clone(), &samples).unwrap());
        for batch in x.chunks(d) {
            fused.step_on(batch).unwrap();
            memory.step_on(batch).unwrap();
            let gradient = outside.gradient_on(batch).unwrap().1.to_vec();
            outside.apply_gradient(&gradient).unwrap();
        }
        assert!(fused.autoencoder().parameters() == memory.autoencoder().parameters(), "{d}");
        assert!(fused.autoencoder().parameters() == outside.autoencoder().parameters(), "{d}");
    }
}

#[test]
fn lazy_decoders_have_length_1_wherever_gradients_come_from() {
    let x: Vec<f32> = uniform(3, 2 * 6).iter().map(|x| 2.0 * x - 1.0).collect();
    // Whose linear activations add up to 0.
    let mirrored: Vec<f32> = x.iter().copied().chain(x.iter().map(|x| -x)).collect();
    let samples = Samples::from_values(mirrored.clone(), 6).unwrap();
    let linear = Settings {
        unit_norm: true,
        activation: Activation::Linear,
        ..lazy(vec![6, 4, 6], 4, Code::TopK(4))
    };
    let mut own = Trainer::new(linear.clone(), &samples).unwrap();
    let mut given = Trainer::new(linear, &samples).unwrap();
    for _ in 0..8 {
        own.step_on(&mirrored).unwrap();
        let gradient = own.gradient_on(&mirrored).unwrap().1.to_vec();
        given.apply_gradient(&gradient).unwrap();
    }
    for trainer in [own, given] {
        for row in trainer.autoencoder().weights(1).chunks(6) {
            let length = row.iter().map(|w| w * w).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
    }
}

#[test]
fn lazy_thresholds_of_inactive_units_stay() {
    let x = uniform(4, 50 * 12);
    let samples = Samples::from_values(x.clone(), 12).unwrap();
    let code = Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.1 };
    let mut trainer = Trainer::new(lazy(vec![12, 60, 12], 50, code), &samples).unwrap();
    for _ in 0..20 {
        trainer.step_on(&x).unwrap();
    }
    let layers = trainer.autoencoder().layers();
    trainer.autoencoder_mut().parameters_mut()[layers[0].biases()].fill(-100.0);
    let thresholds = layers[1].biases().end..;
    let before = trainer.autoencoder().parameters()[thresholds.clone()].to_vec();
    let moments = trainer.moments().0[thresholds.clone()].to_vec();
    trainer.step_on(&x).unwrap();
    assert_eq!(trainer.autoencoder().parameters()[thresholds.clone()], before);
    assert_eq!(trainer.moments().0[thresholds], moments);
}

/// A layer that has no sparse code is pretrained with exact Adam.
#[test]
fn lazy_networks_are_pretrained() {
    let samples = Samples::from_values(uniform(6, 40 * 12), 12).unwrap();
    let settings = lazy(vec![12, 10, 8, 10, 12], 10, Code::TopK(2));
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    let go = |_: &mut Trainer, _| std::ops::ControlFlow::Continue(());
    trainer.pretrain(&samples, 3, go, |_, _, _| Ok(())).unwrap();
    trainer.step().unwrap();
}
