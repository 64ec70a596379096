//! Prefixes of a sparse code and the auxiliary losses of dead units: their gradients against finite
//! differences, the same bits everywhere, and what they are for.

use std::ops::ControlFlow;

use crate::common::uniform;
use sae::compute::ThreadPool;
use sae::files::Checkpoint;
use sae::network::Layer;
use sae::{Activation, Auxiliary, Code, Initialization, Isa, Prefixes, Samples, Settings, Trainer};

const FEATURES: usize = 12;
const UNITS: usize = 30;
const BATCH: usize = 9;

fn settings(code: Code) -> Settings {
    Settings {
        layers: vec![FEATURES, UNITS, FEATURES],
        batch: BATCH,
        code,
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::Transpose,
        beta: 0.0,
        lambda: 0.0,
        learning_rate: 3e-3,
        // All that was not active in the batch before.
        dead_after: 1,
        ..Settings::default()
    }
}

fn cases() -> Vec<Settings> {
    let aux_k = |units| Auxiliary::AuxK { weight: 0.4, units };
    let near = Auxiliary::PreActivation { weight: 0.3, units: 3 };
    let jump = Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.9 };
    let sizes = Prefixes::Sizes(vec![3, 7, 20]);
    let (top_k, batch_top_k) = (Code::TopK(3), Code::BatchTopK(2));
    vec![
        Settings { auxiliary: aux_k(2), ..settings(top_k) },
        Settings { auxiliary: aux_k(0), unit_norm: true, ..settings(top_k) },
        // More than are dead.
        Settings { auxiliary: aux_k(UNITS), ..settings(batch_top_k) },
        Settings { auxiliary: aux_k(4), ..settings(jump) },
        Settings { auxiliary: near, ..settings(jump) },
        Settings { prefixes: sizes.clone(), ..settings(top_k) },
        Settings { prefixes: Prefixes::PowersOfTwo, ..settings(batch_top_k) },
        Settings { prefixes: sizes.clone(), lambda: 0.01, ..settings(jump) },
        Settings { prefixes: sizes, auxiliary: aux_k(5), ..settings(batch_top_k) },
    ]
}

/// Data around an offset.
fn data(samples: usize, seed: u64) -> Vec<f32> {
    uniform(seed, samples * FEATURES).iter().map(|x| 3.0 * x - 1.0).collect()
}

fn trainer(settings: &Settings, x: &[f32], isa: Isa, threads: usize) -> Trainer {
    let samples = Samples::from_values(x.to_vec(), FEATURES).unwrap();
    let pool = ThreadPool::exactly(threads);
    Trainer::builder(settings.clone()).isa(isa).pool(pool).build(&samples).unwrap()
}

/// The objective in `f64` and simple loops. What is active or listed, and the residual, are those of the
/// parameters it was made with.
struct Naive<'a> {
    settings: &'a Settings,
    layers: Vec<Layer>,
    x: Vec<f64>,
    /// `[n, units]`
    active: Vec<bool>,
    listed: Vec<bool>,
    residual: Vec<f64>,
    share: f64,
}

impl<'a> Naive<'a> {
    fn new(trainer: &Trainer, settings: &'a Settings, x: &[f32]) -> Self {
        let net = trainer.autoencoder();
        let parameters: Vec<f64> = net.parameters().iter().map(|&p| p.into()).collect();
        let mut naive = Naive {
            settings,
            layers: net.layers(),
            x: x.iter().map(|&x| x.into()).collect(),
            active: Vec::new(),
            listed: Vec::new(),
            residual: Vec::new(),
            share: 0.0,
        };
        let z = naive.pre_activations(&parameters);
        let order = |places: &mut Vec<usize>| {
            places.sort_by(|&a, &b| z[b].total_cmp(&z[a]).then(a.cmp(&b)));
        };
        let keep = |active: &mut [bool], mut places: Vec<usize>, k: usize| {
            places.retain(|&at| z[at] > 0.0);
            order(&mut places);
            places.iter().take(k).for_each(|&at| active[at] = true);
        };
        naive.active = vec![false; z.len()];
        match settings.code {
            Code::TopK(k) => (0..BATCH).for_each(|sample| {
                keep(&mut naive.active, (sample * UNITS..(sample + 1) * UNITS).collect(), k);
            }),
            Code::BatchTopK(k) => keep(&mut naive.active, (0..z.len()).collect(), k * BATCH),
            _ => {
                let above = |at: usize| z[at] > naive.threshold(&parameters, at % UNITS);
                naive.active = (0..z.len()).map(above).collect();
            }
        }
        let dead: Vec<usize> = (0..UNITS)
            .filter(|&unit| trainer.inactive_samples()[unit] as u64 >= trainer.dead_after())
            .collect();
        naive.listed = vec![false; z.len()];
        let (most, positive) = match settings.auxiliary {
            Auxiliary::None => (0, true),
            Auxiliary::AuxK { units: 0, .. } => (FEATURES / 2, true),
            Auxiliary::AuxK { units, .. } => (units, true),
            Auxiliary::PreActivation { units, .. } => (units, false),
            _ => unreachable!("no others"),
        };
        naive.share = (dead.len() as f64 / most.max(1) as f64).min(1.0);
        for sample in 0..BATCH {
            let mut places: Vec<usize> = dead.iter().map(|unit| sample * UNITS + unit).collect();
            places.retain(|&at| z[at] > 0.0 || !positive);
            order(&mut places);
            places.iter().take(most).for_each(|&at| naive.listed[at] = true);
        }
        let y = naive.reconstruction(&parameters, &naive.active, UNITS, true);
        naive.residual = naive.x.iter().zip(y).map(|(x, y)| x - y).collect();
        naive
    }

    fn threshold(&self, parameters: &[f64], unit: usize) -> f64 {
        let start = self.layers[1].biases().end;
        parameters[start + unit] * parameters[start + UNITS]
    }

    fn pre_activations(&self, parameters: &[f64]) -> Vec<f64> {
        let layer = &self.layers[0];
        let z = (0..BATCH * UNITS).map(|at| {
            let (sample, unit) = (at / UNITS, at % UNITS);
            let weight = |feature: usize| parameters[layer.place(feature, unit)];
            let sum: f64 = (0..FEATURES).map(|f| self.x[sample * FEATURES + f] * weight(f)).sum();
            sum + parameters[layer.biases().start + unit]
        });
        z.collect()
    }

    /// From the first `size` units, of what is marked.
    fn reconstruction(
        &self,
        parameters: &[f64],
        marked: &[bool],
        size: usize,
        biases: bool,
    ) -> Vec<f64> {
        let layer = &self.layers[1];
        let z = self.pre_activations(parameters);
        let y = (0..BATCH * FEATURES).map(|at| {
            let (sample, feature) = (at / FEATURES, at % FEATURES);
            let places = (0..size).map(|unit| sample * UNITS + unit).filter(|&at| marked[at]);
            let sum: f64 =
                places.map(|at| z[at] * parameters[layer.place(at % UNITS, feature)]).sum();
            sum + if biases { parameters[layer.biases().start + feature] } else { 0.0 }
        });
        y.collect()
    }

    fn objective(&self, parameters: &[f64]) -> f64 {
        let numbers = (BATCH * FEATURES) as f64;
        let error = |have: &[f64], want: &[f64]| {
            have.iter().zip(want).map(|(y, x)| (y - x) * (y - x)).sum::<f64>() / numbers
        };
        let sizes = match &self.settings.prefixes {
            Prefixes::None => vec![UNITS],
            other => other.of(UNITS),
        };
        let losses = sizes.iter().map(|&size| {
            error(&self.reconstruction(parameters, &self.active, size, true), &self.x)
        });
        let mut objective = losses.sum::<f64>() / sizes.len() as f64;
        let squares =
            self.layers.iter().flat_map(|layer| layer.weights()).map(|at| parameters[at].powi(2));
        objective += self.settings.lambda / 2.0 * squares.sum::<f64>();
        objective += match self.settings.auxiliary {
            Auxiliary::AuxK { weight, .. } => {
                let y = self.reconstruction(parameters, &self.listed, UNITS, false);
                weight * self.share * error(&y, &self.residual)
            }
            Auxiliary::PreActivation { weight, .. } => {
                let z = self.pre_activations(parameters);
                let listed = (0..z.len()).filter(|&at| self.listed[at]);
                let below = |at: usize| (self.threshold(parameters, at % UNITS) - z[at]).max(0.0);
                weight * listed.map(below).sum::<f64>() / BATCH as f64
            }
            _ => 0.0,
        };
        if let Code::JumpRelu { l0, .. } = self.settings.code {
            let active = self.active.iter().filter(|&&active| active).count();
            objective += l0 * active as f64 / BATCH as f64;
        }
        objective
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for settings in &cases() {
        let (first, x) = (data(BATCH, 1), data(BATCH, 2));
        let mut trainer = trainer(settings, &data(40, 3), Isa::detect(), 2);
        trainer.step_on(&first).unwrap();
        let naive = Naive::new(&trainer, settings, &x);
        let dead = naive.listed.iter().filter(|&&listed| listed).count();
        assert_eq!(dead > 0, settings.auxiliary != Auxiliary::None, "{settings:?}");
        let mut parameters: Vec<f64> =
            trainer.autoencoder().parameters().iter().map(|&p| p.into()).collect();
        let (report, gradient) = trainer.gradient_on(&x).unwrap();
        let gradient = gradient.to_vec();
        let (have, want) = (trainer.objective(report), naive.objective(&parameters));
        assert!((have - want).abs() < 1e-6 * want, "{have} {want} {settings:?}");
        let end = naive.layers[1].biases().end;
        // (What thresholds learn in their bands is no derivative.)
        for at in 0..end {
            const STEP: f64 = 1e-5;
            let before = parameters[at];
            parameters[at] = before + STEP;
            let above = naive.objective(&parameters);
            parameters[at] = before - STEP;
            let below = naive.objective(&parameters);
            parameters[at] = before;
            let want = (above - below) / (2.0 * STEP);
            let have = f64::from(gradient[at]);
            assert!((have - want).abs() < 2e-5, "{at}: {have} {want} {settings:?}");
        }
    }
}

/// Without units in the band of a threshold only the pre-activation loss moves it.
#[test]
fn thresholds_come_down_to_units_that_are_dead() {
    let code = Code::JumpRelu { l0: 0.0, bandwidth: 1e-6, threshold: 0.9 };
    let near = Auxiliary::PreActivation { weight: 0.3, units: 3 };
    let settings = Settings { auxiliary: near, ..settings(code) };
    let x = data(BATCH, 2);
    let mut trainer = trainer(&settings, &data(40, 3), Isa::detect(), 1);
    trainer.step_on(&data(BATCH, 1)).unwrap();
    let naive = Naive::new(&trainer, &settings, &x);
    let mut parameters: Vec<f64> =
        trainer.autoencoder().parameters().iter().map(|&p| p.into()).collect();
    let gradient = trainer.gradient_on(&x).unwrap().1.to_vec();
    let start = naive.layers[1].biases().end;
    let mut moved = 0;
    for at in start..start + UNITS {
        let before = parameters[at];
        let mut value = |by: f64| {
            parameters[at] = before + by;
            let value = naive.objective(&parameters);
            parameters[at] = before;
            value
        };
        let want = (value(1e-5) - value(-1e-5)) / 2e-5;
        let have = f64::from(gradient[at]);
        assert!((have - want).abs() < 2e-5, "{at}: {have} {want}");
        moved += usize::from(have != 0.0);
    }
    assert!(moved > 0);
}

/// The parameters and counts after some steps of a training.
fn trained(settings: &Settings, isa: Isa, threads: usize) -> (Vec<u32>, Vec<u32>) {
    let mut trainer = trainer(settings, &data(60, 3), isa, threads);
    let biases = trainer.autoencoder().layers()[0].biases();
    trainer.autoencoder_mut().parameters_mut()[biases][..10].fill(-1.5);
    trainer.run(12, |_, _| ControlFlow::Continue(())).unwrap();
    let bits = trainer.autoencoder().parameters().iter().map(|p| p.to_bits()).collect();
    (bits, trainer.inactive_samples().to_vec())
}

#[test]
fn bits_are_the_same_for_threads_and_sets() {
    for settings in &cases() {
        // Two blocks of samples.
        let settings = Settings { batch: 300, dead_after: 600, ..settings.clone() };
        let scalar = Isa::forced("scalar").unwrap();
        let want = trained(&settings, scalar, 1);
        assert!(want.1.iter().any(|&samples| samples > 0), "{settings:?}");
        for isa in Isa::all().filter(|isa| isa.is_fused()) {
            for threads in 1..=3 {
                assert!(trained(&settings, isa, threads) == want, "{isa:?} {threads} {settings:?}");
            }
        }
    }
}

#[test]
fn resumed_trainings_know_what_is_dead() {
    for settings in &cases() {
        let settings = &Settings { dead_after: 30, ..settings.clone() };
        let x = data(60, 3);
        let mut whole = trainer(settings, &x, Isa::detect(), 2);
        whole.run(20, |_, _| ControlFlow::Continue(())).unwrap();
        let mut first = trainer(settings, &x, Isa::detect(), 1);
        first.run(9, |_, _| ControlFlow::Continue(())).unwrap();
        let bytes = first.checkpoint().unwrap();
        let checkpoint = Checkpoint::from_bytes("first", &bytes).unwrap();
        let samples = Samples::from_values(x, FEATURES).unwrap();
        let mut resumed =
            Trainer::builder(settings.clone()).resume(checkpoint).build(&samples).unwrap();
        assert_eq!(resumed.inactive_samples(), first.inactive_samples());
        resumed.run(11, |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(resumed.autoencoder().parameters(), whole.autoencoder().parameters());
        assert_eq!(resumed.inactive_samples(), whole.inactive_samples());
    }
}

/// Units whose biases keep them from being active come back.
#[test]
fn dead_units_come_back() {
    let dead_after = |auxiliary| {
        let settings = Settings {
            auxiliary,
            unit_norm: true,
            dead_after: 50,
            learning_rate: 1e-2,
            ..settings(Code::TopK(3))
        };
        let mut trainer = trainer(&settings, &data(200, 3), Isa::detect(), 2);
        let biases = trainer.autoencoder().layers()[0].biases();
        trainer.autoencoder_mut().parameters_mut()[biases][..20].fill(-0.8);
        trainer.run(1500, |_, _| ControlFlow::Continue(())).unwrap();
        let dead = trainer.inactive_samples().iter().filter(|&&samples| samples >= 2000);
        dead.count()
    };
    let (without, with) =
        (dead_after(Auxiliary::None), dead_after(Auxiliary::AuxK { weight: 1.0 / 32.0, units: 0 }));
    assert!(without >= 4 && with == 0, "{without} {with}");
}

/// A training whose units are all active is that without an auxiliary loss, bit for bit.
#[test]
fn nothing_is_added_where_no_unit_is_dead() {
    let dense = Code::TopK(UNITS);
    let aux_k = Auxiliary::AuxK { weight: 1.0 / 32.0, units: 0 };
    let run = |auxiliary| {
        let settings = Settings { auxiliary, dead_after: 1_000_000, ..settings(dense) };
        trained(&settings, Isa::detect(), 2)
    };
    assert_eq!(run(aux_k), run(Auxiliary::None));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let aux_k = Auxiliary::AuxK { weight: 0.1, units: 0 };
    let near = Auxiliary::PreActivation { weight: 0.1, units: 0 };
    let plain = settings(Code::TopK(3));
    let deep = vec![FEATURES, 20, UNITS, 20, FEATURES];
    let dense = Settings { code: Code::Dense, dead_after: 0, ..plain.clone() };
    let base = || plain.clone();
    for (settings, sentence) in [
        (Settings { auxiliary: aux_k, ..dense.clone() }, "need a sparse code, such as top-k:32"),
        (Settings { dead_after: 9, ..dense.clone() }, "the field code is dense; leave it at 0"),
        (Settings { prefixes: Prefixes::PowersOfTwo, ..dense }, "prefixes need a sparse code"),
        (Settings { auxiliary: aux_k, layers: deep, ..base() }, "need one hidden layer, such as"),
        (Settings { auxiliary: near, ..base() }, "the field code has none; use aux-k"),
        (
            Settings { auxiliary: aux_k, output_activation: Activation::Relu, ..base() },
            "need a linear output, and the field output_activation is relu",
        ),
        (
            Settings { auxiliary: Auxiliary::AuxK { weight: -1.0, units: 0 }, ..base() },
            "expected a weight from 0 to 1e9, got -1",
        ),
        (
            Settings { auxiliary: Auxiliary::AuxK { weight: 1.0, units: 31 }, ..base() },
            "expected 0 to 30 units, as many as the code has (field layers), got 31",
        ),
        (
            Settings { prefixes: Prefixes::Sizes(vec![4, 4]), ..base() },
            "expected sizes that rise from 1 or more to 30 at most",
        ),
        (
            Settings { prefixes: Prefixes::Sizes(vec![4, 31]), ..base() },
            "the units of the code (field layers), got 4,31",
        ),
        (Settings { prefixes: Prefixes::Sizes(vec![0]), ..base() }, "got 0"),
    ] {
        let problem = settings.validate().expect_err(sentence).to_string();
        assert!(problem.contains(sentence), "{problem}");
    }
}

/// A skip connection beside prefixes and an auxiliary loss has the gradient of all prefixes.
#[test]
fn skip_connections_learn_beside_them() {
    let x = data(60, 3);
    let y: Vec<f32> = data(60, 4).iter().zip(&x).map(|(noise, x)| 2.0 * x + 0.1 * noise).collect();
    let run = |prefixes: Prefixes, threads| {
        let auxiliary = Auxiliary::AuxK { weight: 0.4, units: 2 };
        let settings = Settings { prefixes, auxiliary, skip: true, ..settings(Code::TopK(3)) };
        let settings =
            Settings { initialization: Initialization::He, learning_rate: 0.02, ..settings };
        let inputs = Samples::from_values(x.clone(), FEATURES).unwrap();
        let targets = Samples::from_values(y.clone(), FEATURES).unwrap();
        let pairs = inputs.with_targets(targets).unwrap();
        let pool = ThreadPool::exactly(threads);
        let mut trainer = Trainer::builder(settings).pool(pool).build(&pairs).unwrap();
        trainer.run(300, |_, _| ControlFlow::Continue(())).unwrap();
        let variance = trainer.evaluate(&pairs).unwrap().explained_variance;
        (trainer.autoencoder().parameters().to_vec(), variance)
    };
    for prefixes in [Prefixes::None, Prefixes::Sizes(vec![3, 9])] {
        let (parameters, explained_variance) = run(prefixes.clone(), 1);
        assert!(explained_variance > 0.95, "{prefixes}: {explained_variance}");
        assert_eq!(parameters, run(prefixes, 3).0);
    }
}
