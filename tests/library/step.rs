//! The training step and the evaluation against PyTorch and against the reference's plain loops.

use crate::common::{pixels, uniform};
use proptest::prelude::*;
use sae::network::Layer;
use sae::{Activation, Code, Evaluation, Isa, L0Penalty, Loss, Samples, Settings, Trainer};
use sae_kernels::reference::{Gate, JumpPenalty, Net, Penalty};
use serde_json::Value;

/// Fails unless `have` is within `relative * |want| + absolute` of `want`.
#[track_caller]
fn assert_close(what: &str, have: f64, want: f64, relative: f64, absolute: f64) {
    let off = (have - want).abs();
    let most = relative * want.abs() + absolute;
    assert!(off <= most, "{what}: {have:e}, expected {want:e}; off by {off:e}, {most:e} allowed");
}

#[track_caller]
fn assert_all_close(what: &str, have: &[f32], want: &[f64], relative: f64, absolute: f64) {
    assert_eq!(have.len(), want.len(), "{what}");
    for (at, (&have, &want)) in have.iter().zip(want).enumerate() {
        assert_close(&format!("{what}, number {at}"), have.into(), want, relative, absolute);
    }
}

/// Compares gradients block by block (a layer's weights, a layer's biases): each number to
/// `tolerance` of the largest in its block, or of a hundredth of the largest of all, and to
/// `absolute`.
#[track_caller]
fn assert_gradient(
    what: &str,
    sizes: &[usize],
    have: &[f32],
    want: &[f64],
    (tolerance, absolute): (f64, f64),
) {
    let largest = |numbers: &[f64]| numbers.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
    let floor = largest(want) / 100.0;
    let mut start = 0;
    for (l, pair) in sizes.windows(2).enumerate() {
        for (name, count) in [("weights", pair[0] * pair[1]), ("biases", pair[1])] {
            let block = start..start + count;
            start += count;
            let scale = largest(&want[block.clone()]).max(floor);
            let what = format!("{what}, layer {l}, {name}");
            let (have, want) = (&have[block.clone()], &want[block]);
            assert_all_close(&what, have, want, 0.0, tolerance * scale + absolute);
        }
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// `weights` and `biases`, a list for each layer, in the order of `Autoencoder::parameters`.
fn flat(parameters: &Value) -> Vec<f64> {
    let lists = |name: &str| parameters[name].as_array().unwrap().iter().map(numbers);
    lists("weights").zip(lists("biases")).flat_map(|(w, b)| [w, b].concat()).collect()
}

fn single(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&number| number as f32).collect()
}

/// The two recorded trainings of PyTorch 2.15 in float64; see `tests/torch/record.py`.
#[test]
fn pytorch_takes_the_same_steps() {
    let recorded: Value = serde_json::from_str(include_str!("../torch/step.json")).unwrap();
    for case in recorded["cases"].as_array().unwrap() {
        for isa in Isa::all() {
            pytorch_case(case, isa);
        }
    }
}

fn pytorch_case(case: &Value, isa: Isa) {
    let settings = &case["settings"];
    let number = |name: &str| settings[name].as_f64().unwrap();
    let sizes: Vec<_> = numbers(&settings["sizes"]).iter().map(|&size| size as usize).collect();
    let beta = number("beta");
    let batch = single(&numbers(&case["batch"]));
    let samples = Samples::from_values(batch.clone(), sizes[0]).unwrap();
    let mut trainer = Trainer::builder(Settings {
        layers: sizes.clone(),
        batch: number("samples") as usize,
        rho: number("rho"),
        beta,
        lambda: number("lambda"),
        learning_rate: number("learning_rate"),
        beta1: number("beta1"),
        beta2: number("beta2"),
        epsilon: number("epsilon"),
        ..Settings::default()
    })
    .isa(isa)
    .threads(1)
    .build(&samples)
    .unwrap();
    let start = single(&flat(case));
    trainer.autoencoder_mut().parameters_mut().copy_from_slice(&start);
    let truth = &case["float64"];
    let name = format!("{} on {}", case["name"], isa.name());

    let compare = |what: &str, evaluation: &Evaluation, terms: &Value| {
        let term = |name: &str| terms[name].as_f64().unwrap();
        let sparsity = if beta > 0.0 { term("sparsity") } else { 0.0 };
        for (term, have, want) in [
            ("loss", evaluation.loss, term("mse")),
            ("sparsity", evaluation.sparsity, sparsity),
            ("weight decay", evaluation.weight_decay, term("decay")),
            ("objective", evaluation.objective, term("total")),
        ] {
            assert_close(&format!("{name}: {term} {what}"), have, want, 2e-6, 0.0);
        }
    };
    let evaluation = trainer.evaluate(&samples).unwrap();
    compare("at the start", &evaluation, &truth["objective"]);
    let rho_hat: Vec<_> = truth["mean_activations"].as_array().unwrap().iter().collect();
    let reconstruction = {
        let (engine, net) = trainer.parts();
        net.reconstruct(engine, &samples)
    }
    .unwrap();
    let want = numbers(&truth["reconstruction"]);
    assert_all_close(&format!("{name}: reconstruction"), &reconstruction, &want, 1e-6, 0.0);

    let report = trainer.step_on(&batch).unwrap();
    assert_close(&format!("{name}: reported loss"), report.loss, evaluation.loss, 2e-6, 0.0);
    assert_close(&format!("{name}: S"), report.sparsity, evaluation.sparsity, 1e-6, 0.0);
    for (l, want) in rho_hat.iter().enumerate() {
        let what = format!("{name}: mean activations of layer {l}");
        assert_all_close(&what, &trainer.rho_hat()[l], &numbers(want), 1e-6, 0.0);
        assert_all_close(&what, &evaluation.units[l], &numbers(want), 1e-6, 0.0);
    }

    // After one step the first moment is (1 - beta1) g and the second (1 - beta2) g^2.
    let gradient = flat(&truth["gradients"]);
    let (first, second) = trainer.moments();
    let unscaled = |moments: &[f32], beta: f64| -> Vec<f32> {
        moments.iter().map(|&moment| (f64::from(moment) / (1.0 - beta)) as f32).collect()
    };
    let first = unscaled(first, number("beta1"));
    assert_gradient(&format!("{name}: gradient"), &sizes, &first, &gradient, (1e-6, 0.0));
    assert_all_close(&format!("{name}: gradient"), &first, &gradient, 1e-5, 1e-8);
    let second = unscaled(second, number("beta2"));
    let squares: Vec<_> = gradient.iter().map(|g| g * g).collect();
    assert_all_close(&format!("{name}: squared gradient"), &second, &squares, 2e-5, 1e-14);

    for step in 1..=5 {
        if step > 1 {
            trainer.step_on(&batch).unwrap();
        }
        let Some(after) = truth.get(format!("after_{step}")) else { continue };
        let what = format!("{name}: parameters after step {step}");
        let parameters = trainer.autoencoder().parameters();
        assert_all_close(&what, parameters, &flat(after), 1e-5, 1e-6);
        let evaluation = trainer.evaluate(&samples).unwrap();
        compare(&format!("after step {step}"), &evaluation, &after["objective"]);
    }
    assert_eq!(trainer.steps(), 5);
}

/// A network and a batch to compare with the reference.
#[derive(Clone, Debug)]
struct Case {
    settings: Settings,
    isa: Isa,
    threads: usize,
    skip_zeros: bool,
    seed: u64,
}

impl Case {
    fn new(layers: &[usize], batch: usize) -> Self {
        let settings = Settings { layers: layers.to_vec(), batch, ..Settings::default() };
        Case { settings, isa: Isa::detect(), threads: 1, skip_zeros: true, seed: 1 }
    }
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

/// Numbers laid out as the parameters, with the weights of every layer `[inputs, outputs]`, as the
/// reference has them.
fn by_inputs(layers: &[Layer], numbers: &[f32]) -> Vec<f32> {
    let mut ordered = numbers.to_vec();
    for layer in layers {
        for input in 0..layer.inputs {
            for unit in 0..layer.outputs {
                let at = layer.start + input * layer.outputs + unit;
                ordered[at] = numbers[layer.place(input, unit)];
            }
        }
    }
    ordered
}

/// How far from a kink of its activation the nearest sum of the network is, relative to the
/// largest: too near, and rounding decides which of two slopes counts.
fn distance_to_kink(net: &Net<'_>, parameters: &[f64], x: &[f64], n: usize) -> f64 {
    let outputs = net.forward(parameters, x, n);
    let code = Net::encoder_layers(net.sizes) - 1;
    let (mut nearest, mut largest) = (f64::INFINITY, 1.0f64);
    for (l, output) in outputs.iter().enumerate() {
        for &z in &output.z {
            largest = largest.max(z.abs());
            nearest = nearest.min(match net.activations[l] {
                Activation::Relu | Activation::LeakyRelu => z.abs(),
                Activation::SaturatingLinear => z.abs().min((z - 1.0).abs()),
                _ => f64::INFINITY,
            });
        }
    }
    // What the gate keeps and what it does not must not be too near either.
    let (pre, units) = (&outputs[code].pre, net.sizes[code + 1]);
    let gap = |numbers: &[f64], k: usize| {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        // Equal numbers of a flat activation are chosen by their place.
        let gap = sorted.get(k).map_or(f64::INFINITY, |next| sorted[k - 1] - next);
        if gap == 0.0 { f64::INFINITY } else { gap }
    };
    let edge = match net.gate {
        Gate::Open => f64::INFINITY,
        Gate::TopK(k) => pre.chunks(units).map(|row| gap(row, k)).fold(f64::INFINITY, f64::min),
        Gate::BatchTopK(k) => gap(pre, k),
        Gate::Jump { bandwidth, .. } => {
            let (scale, thresholds) = parameters[net.parameters()..].split_last().unwrap();
            let distances = pre.iter().enumerate().map(|(at, &z)| {
                let off = (z - scale * thresholds[at % units]).abs();
                off.min((off - scale * bandwidth / 2.0).abs())
            });
            distances.fold(f64::INFINITY, f64::min)
        }
    };
    nearest.min(edge) / largest
}

/// Compares one step and an evaluation; `None` if the case is too near a kink.
fn check(case: &Case) -> Option<()> {
    let Case { settings, isa, threads, skip_zeros, seed } = case;
    let (n, sizes) = (settings.batch, &settings.layers);
    let batch = pixels(*seed, n, sizes[0]);
    let samples = Samples::from_values(batch.clone(), sizes[0]).unwrap();
    let mut trainer = Trainer::builder(settings.clone())
        .isa(*isa)
        .pool(sae::compute::ThreadPool::exactly(*threads))
        .skip_zeros(*skip_zeros)
        .build(&samples)
        .unwrap();
    let layers = trainer.autoencoder().layers();
    let parameters = trainer.autoencoder_mut().parameters_mut();
    let random = uniform(seed + 1, parameters.len());
    for (parameter, random) in parameters.iter_mut().zip(random) {
        *parameter = 2.0 * random - 1.0;
    }
    if let Code::JumpRelu { .. } = settings.code {
        let start = layers.last().unwrap().biases().end;
        parameters[start..].iter_mut().for_each(|threshold| *threshold = threshold.abs());
        *parameters.last_mut().unwrap() = 0.7;
    }
    // Units that many inputs shut or open for good would leave no digits to compare.
    for layer in &layers {
        let scale = (2.0 / (layer.inputs as f32).sqrt()).min(1.0);
        parameters[layer.weights()].iter_mut().for_each(|weight| *weight *= scale);
    }
    let parameters = wide(&by_inputs(&layers, parameters));
    let x = wide(&batch);

    let activations: Vec<_> = (0..sizes.len() - 1).map(|l| settings.activation_of(l)).collect();
    let &Settings { rho, beta, l1, lambda, loss, .. } = settings;
    let penalties = vec![Penalty { rho, beta, l1 }; settings.encoder_layers()];
    let gate = match settings.code {
        Code::TopK(k) => Gate::TopK(k),
        Code::BatchTopK(k) => Gate::BatchTopK(k * n),
        Code::JumpRelu { l0, bandwidth, .. } => {
            let penalty = match settings.l0_penalty {
                L0Penalty::Tanh { scale } => JumpPenalty::Tanh(scale),
                L0Penalty::Quadratic(target) => JumpPenalty::Quadratic(target),
                _ => JumpPenalty::Step,
            };
            Gate::Jump { bandwidth, l0, penalty }
        }
        _ => Gate::Open,
    };
    let net = Net { sizes, activations: &activations, penalties: &penalties, loss, gate, lambda };
    if distance_to_kink(&net, &parameters, &x, n) < 3e-6 {
        return None;
    }

    let truth = net.objective(&parameters, &x, n);
    // What rounding takes from a reconstruction, times the size of its error.
    let rounding = 1e-6 * truth.loss.sqrt() + 1e-12;
    // Outside of training, batch-top-k takes a threshold.
    if !matches!(settings.code, Code::BatchTopK(_)) {
        let evaluation = trainer.evaluate(&samples).unwrap();
        assert_close("loss", evaluation.loss, truth.loss, 1e-5, rounding);
        assert_close("penalty", evaluation.penalty, truth.penalty, 1e-5, 1e-6);
        assert_close("weight decay", evaluation.weight_decay, truth.weight_decay, 1e-12, 0.0);
        assert_close("objective", evaluation.objective, truth.total, 1e-5, 1e-6);
        let outputs = net.forward(&parameters, &x, n);
        assert_eq!(evaluation.units.len(), sizes.len() - 2);
        for (l, units) in evaluation.units.iter().enumerate() {
            let means = Net::mean_activations(n, sizes[l + 1], &outputs[l].a);
            assert_all_close(&format!("units of layer {l}"), units, &means, 1e-5, 1e-5);
        }
    }

    let report = trainer.step_on(&batch).unwrap();
    assert_close("reported loss", report.loss, truth.loss, 1e-5, rounding);
    assert_close("reported penalty", report.penalty, truth.penalty, 1e-5, 1e-6);
    let unscaled = |&moment: &f32| (f64::from(moment) / (1.0 - settings.beta1)) as f32;
    let gradient: Vec<_> = trainer.moments().0.iter().map(unscaled).collect();
    let gradient = by_inputs(&layers, &gradient);
    // In the gradient the samples' shares may cancel out, and their rounding stays.
    let want = net.gradient(&parameters, &x, n);
    assert_gradient("gradient", sizes, &gradient, &want, (2e-5, rounding));
    let thresholds = net.parameters()..want.len();
    let largest = want.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
    assert_all_close(
        "gradient of thresholds",
        &gradient[thresholds.clone()],
        &want[thresholds],
        2e-5,
        2e-5 * largest + rounding,
    );
    Some(())
}

fn cases() -> impl Strategy<Value = Case> {
    let size = prop::sample::select(vec![1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 32, 33]);
    let hidden = prop::sample::select(vec![1usize, 3, 5]);
    let sizes = hidden.prop_flat_map(move |hidden| prop::collection::vec(size.clone(), hidden + 1));
    let activation = prop::sample::select(Activation::ALL.to_vec());
    let machine = (prop::sample::select(Isa::all().collect::<Vec<_>>()), 1usize..4, any::<bool>());
    let penalty = prop_oneof![Just(0.0), Just(0.3)];
    let decay = prop_oneof![Just(0.0), Just(0.01)];
    let numbers = (0.02f64..0.98, penalty, decay, prop_oneof![Just(0.0), Just(0.9)], 0u64..1000);
    let toolbox = (prop_oneof![Just(0.0), Just(0.02)], any::<bool>(), 0u8..7);
    (sizes, 1usize..71, activation.clone(), activation, machine, numbers, toolbox).prop_map(
        |(mut layers, batch, activation, output_activation, machine, numbers, toolbox)| {
            let (isa, threads, skip_zeros) = machine;
            let (rho, beta, lambda, beta1, seed) = numbers;
            layers.push(layers[0]);
            // The gradient itself, which the update of centered data is not made of.
            let mut settings =
                Settings { output_bias: sae::OutputBias::Zero, ..Settings::default() };
            let activation = if beta > 0.0 { Activation::Sigmoid } else { activation };
            settings.layers = layers;
            settings.batch = batch;
            settings.activation = activation;
            settings.output_activation = output_activation;
            settings.rho = rho;
            settings.beta = beta;
            settings.lambda = lambda;
            settings.beta1 = beta1;
            let (l1, entropy, code) = toolbox;
            settings.l1 = l1;
            if entropy {
                settings.loss = Loss::CrossEntropy;
                settings.output_activation = Activation::Sigmoid;
            }
            let units = settings.code_units();
            settings.code = match code {
                1 => Code::TopK(units.div_ceil(3)),
                2 => Code::BatchTopK(units.div_ceil(4)),
                3 | 6 => Code::JumpRelu { l0: 0.01, bandwidth: 0.5, threshold: 0.5 },
                _ => Code::Dense,
            };
            if code == 6 {
                settings.l0_penalty = L0Penalty::Quadratic((units as f64 / 3.0).min(5.0));
            }
            Case { settings, isa, threads, skip_zeros, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_reference_takes_the_same_step(case in cases()) {
        prop_assume!(check(&case).is_some());
    }
}

/// More samples than a weight gradient can stay in registers for, and just not so many.
#[test]
fn long_batches_agree_with_the_reference() {
    for (seed, batch) in (0..).zip([399, 400, 401, 797, 1000]) {
        for beta in [0.0, 0.3] {
            for isa in Isa::all() {
                let mut case = Case::new(&[12, 9, 4, 9, 12], batch);
                case.settings.beta = beta;
                case.settings.lambda = 0.01;
                case.settings.rho = 0.1;
                case.isa = isa;
                case.seed = seed;
                check(&case).unwrap();
            }
        }
    }
}

/// Layers wider than a block of the inner side, and threads with parts of their own.
#[test]
fn wide_layers_agree_with_the_reference() {
    for (layers, batch) in [(vec![900, 21, 900], 17), (vec![130, 450, 40, 450, 130], 64)] {
        for isa in Isa::all() {
            for skip_zeros in [false, true] {
                let mut case = Case::new(&layers, batch);
                case.settings.beta = 0.1;
                case.settings.lambda = 0.01;
                (case.isa, case.threads, case.skip_zeros) = (isa, 3, skip_zeros);
                check(&case).unwrap();
            }
        }
    }
}

/// With all units of a layer shut or wide open, the penalty and its gradient stay finite.
#[test]
fn units_at_the_edge_stay_finite() {
    for bias in [-200.0, 200.0] {
        let batch = pixels(3, 5, 6);
        let samples = Samples::from_values(batch.clone(), 6).unwrap();
        let settings =
            Settings { layers: vec![6, 4, 6], batch: 5, beta: 1.0, ..Settings::default() };
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        let places = trainer.autoencoder().layers()[0].biases();
        trainer.autoencoder_mut().parameters_mut()[places].fill(bias);
        for _ in 0..3 {
            let report = trainer.step_on(&batch).unwrap();
            assert!(report.sparsity > 0.1 && report.sparsity.is_finite(), "{report:?}");
        }
        assert!(trainer.autoencoder().parameters().iter().all(|w| w.is_finite()));
        assert!(trainer.evaluate(&samples).unwrap().objective.is_finite());
    }
}
