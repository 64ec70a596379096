//! Transcoders: networks whose targets are other data than their inputs, with and without a linear skip
//! connection.

use std::ops::ControlFlow;

use crate::common::{pixels, uniform};
use crate::threads::Threads;
use sae::data::HeldOut;
use sae::{
    Activation, Autoencoder, Code, Corruption, Engine, Initialization, Isa, Optimizer, OutputBias,
    Samples, Scaling, Settings, Trainer, TrainerBuilder, compute::ThreadPool,
};
use sae_kernels::Loss;
use sae_kernels::reference::{Adam, Gate, Net, Penalty, adam, gemm, gemm_at};

const INPUTS: usize = 12;
const OUTPUTS: usize = 7;

fn codes() -> [Code; 4] {
    let jump = Code::JumpRelu { l0: 1e-3, bandwidth: 0.5, threshold: 0.2 };
    [Code::Dense, Code::TopK(4), Code::BatchTopK(4), jump]
}

fn settings(code: Code, skip: bool) -> Settings {
    Settings {
        layers: vec![INPUTS, 20, OUTPUTS],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::He,
        beta: 0.0,
        lambda: 0.0,
        batch: 30,
        code,
        skip,
        ..Settings::default()
    }
}

/// Inputs, and targets that are a linear map of them and some more.
fn samples(count: usize) -> Samples {
    let inputs = pixels(3, count, INPUTS);
    let map = uniform(4, INPUTS * OUTPUTS);
    let noise = uniform(5, count * OUTPUTS);
    let mut targets = vec![0.0; count * OUTPUTS];
    gemm(count, INPUTS, OUTPUTS, &inputs, &map, &mut targets);
    targets.iter_mut().zip(noise).for_each(|(y, noise)| *y += noise - 3.0);
    pair(inputs, INPUTS, targets, OUTPUTS)
}

fn pair(inputs: Vec<f32>, features: usize, targets: Vec<f32>, of_targets: usize) -> Samples {
    let targets = Samples::from_values(targets, of_targets).unwrap();
    Samples::from_values(inputs, features).unwrap().with_targets(targets).unwrap()
}

fn rows(samples: &Samples) -> Vec<f32> {
    let mut all = vec![0.0; samples.len() * samples.features()];
    let rows = all.chunks_mut(samples.features()).enumerate();
    rows.for_each(|(at, row)| samples.gather(at, row).unwrap());
    all
}

fn trained(builder: TrainerBuilder, samples: &Samples, steps: u64) -> Trainer {
    let mut trainer = builder.build(samples).unwrap();
    trainer.run(steps, |_, _| ControlFlow::Continue(())).unwrap();
    trainer
}

fn engine() -> Engine {
    Engine::new(Isa::detect(), ThreadPool::new(1))
}

#[cfg(feature = "gradient-check")]
#[test]
fn gradients_are_those_of_the_objective() {
    let samples = samples(60);
    let (inputs, targets) = (rows(&samples), rows(samples.targets().unwrap()));
    for skip in [false, true] {
        for code in codes() {
            let settings = Settings { lambda: 1e-3, ..settings(code, skip) };
            let builder = Trainer::builder(settings.clone()).threads(1);
            let mut trainer = trained(builder, &samples, 5);
            let (inputs, targets) = (&inputs[..30 * INPUTS], &targets[..30 * OUTPUTS]);
            let blocks = trainer.gradient_check((inputs, targets), 30).unwrap();
            assert_eq!(blocks.len(), 4 + usize::from(skip));
            assert_eq!(blocks[0].block == "skip", skip);
            for block in &blocks {
                assert!(block.largest < 1e-3, "{code:?}, skip {skip}: {blocks:#?}");
            }
        }
    }
}

/// Three steps of Adam against the reference in `f64`.
#[test]
fn steps_are_those_of_the_reference() {
    let samples = samples(30);
    let exact = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let (x, y) = (exact(&rows(&samples)), exact(&rows(samples.targets().unwrap())));
    for skip in [false, true] {
        let settings = Settings {
            activation: Activation::Tanh,
            output_bias: OutputBias::Zero,
            lambda: 1e-2,
            ..settings(Code::Dense, skip)
        };
        let mut trainer = Trainer::builder(settings.clone()).threads(1).build(&samples).unwrap();
        let mut parameters = exact(trainer.autoencoder().parameters());
        let mut moments = [vec![0.0; parameters.len()], vec![0.0; parameters.len()]];
        let net = Net {
            sizes: &settings.layers,
            activations: &[Activation::Tanh, Activation::Linear],
            penalties: &[Penalty::default()],
            loss: Loss::SquaredError,
            gate: Gate::Open,
            lambda: 1e-2,
        };
        let skipped = parameters.len() - net.parameters();
        assert_eq!(skipped, if skip { INPUTS * OUTPUTS } else { 0 });
        for step in 1..=3 {
            let (weights, layers) = parameters.split_at(skipped);
            let mut left = y.clone();
            if skip {
                gemm(30, INPUTS, OUTPUTS, &x, weights, &mut left);
                left.iter_mut().zip(&y).for_each(|(made, y)| *made = y - *made);
            }
            let outputs = net.forward(layers, &x, 30).pop().unwrap().a;
            let scale = 2.0 / y.len() as f64;
            let delta: Vec<f64> = outputs.iter().zip(&left).map(|(a, y)| scale * (a - y)).collect();
            let mut gradient = vec![0.0; skipped];
            if skip {
                gemm_at(INPUTS, 30, OUTPUTS, &x, &delta, &mut gradient);
                gradient.iter_mut().zip(weights).for_each(|(g, w)| *g += 1e-2 * w);
            }
            gradient.extend(net.gradient_of(layers, &x, &left, 30));
            let options = Adam {
                learning_rate: settings.learning_rate,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                step,
                weight_decay: 0.0,
            };
            let [first, second] = &mut moments;
            adam(&options, &mut parameters, first, second, &gradient);
            trainer.step().unwrap();
            let have = trainer.autoencoder().parameters();
            for (at, (have, want)) in have.iter().zip(&parameters).enumerate() {
                let error = (f64::from(*have) - want).abs();
                assert!(error < 2e-5, "skip {skip}, step {step}, {at}: {have} {want}");
            }
        }
    }
}

/// The same parameters and moments for any number of threads, on every set, from a reader's batches, through
/// the gradient's buffer, with zeros left out or not, and resumed.
#[test]
fn bits_are_the_same() {
    let samples = samples(200);
    for skip in [false, true] {
        for code in codes() {
            let settings = Settings {
                corruption: Corruption::Masking(0.1),
                batch: 300,
                ..settings(code, skip)
            };
            let builder = |settings: &Settings| Trainer::builder(settings.clone()).threads(1);
            let bits = |builder: TrainerBuilder| {
                let mut trainer = trained(builder, &samples, 6);
                let loss = trainer.evaluate(&samples).unwrap().loss;
                let (first, second) = trainer.moments();
                let all = [trainer.autoencoder().parameters(), first, second];
                (all.map(|list| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>()), loss)
            };
            let want = bits(builder(&settings));
            for threads in [2, 3] {
                let pool = ThreadPool::exactly(threads);
                assert!(want == bits(builder(&settings).pool(pool)), "{code:?} {skip} {threads}");
            }
            for isa in Isa::all().filter(|isa| isa.is_fused()) {
                assert!(want == bits(builder(&settings).isa(isa)), "{code:?} {skip} {isa:?}");
            }
            assert!(want == bits(builder(&settings).read_ahead(2)), "{code:?} {skip}");
            assert!(want == bits(builder(&settings).skip_zeros(false)), "{code:?} {skip}");
            let mut clipped = settings.clone();
            clipped.clip = 1e6;
            assert!(want == bits(builder(&clipped)), "{code:?} {skip}: by the gradient's buffer");
            #[cfg(feature = "model")]
            {
                let mut trainer = trained(builder(&settings), &samples, 3);
                let bytes = trainer.checkpoint().unwrap();
                let checkpoint = sae::files::Checkpoint::from_bytes("c", &bytes).unwrap();
                let mut trainer = builder(&settings).resume(checkpoint).build(&samples).unwrap();
                trainer.run(3, |_, _| ControlFlow::Continue(())).unwrap();
                let have = trainer.autoencoder().parameters().iter().map(|x| x.to_bits());
                assert!(have.eq(want.0[0].iter().copied()), "{code:?} {skip}: resumed");
            }
        }
    }
}

/// Targets that are the inputs again: the bits of an autoencoder.
#[test]
fn targets_that_are_the_inputs_change_nothing() {
    let inputs = Samples::from_values(uniform(1, 100 * INPUTS), INPUTS).unwrap();
    let pairs = inputs.with_targets(inputs.clone()).unwrap();
    for code in codes() {
        let layers = vec![INPUTS, 20, INPUTS];
        let settings = Settings {
            layers,
            initialization: Initialization::Transpose,
            unit_norm: true,
            lambda: 1e-3,
            ..settings(code, false)
        };
        let [plain, other] = [&inputs, &pairs].map(|samples| {
            let mut trainer = trained(Trainer::builder(settings.clone()), samples, 20);
            trainer.revive(samples).unwrap();
            trainer.run(20, |_, _| ControlFlow::Continue(())).unwrap();
            let evaluation = trainer.evaluate(samples).unwrap();
            (trainer.into_autoencoder(), evaluation)
        });
        assert_eq!(plain.1, other.1);
        assert_eq!(plain.0.parameters(), other.0.parameters(), "{code:?}");
        assert_eq!(plain.0.target_scaling(), None);
        assert_eq!(other.0.target_scaling(), Some(Scaling::AsIs));
    }
}

/// y = A x + c needs no code: the skip connection and the bias learn it, whatever the offsets and sizes.
#[test]
fn a_linear_map_is_learned_exactly() {
    let (count, map) = (400, uniform(4, INPUTS * OUTPUTS));
    for (offset, size, optimizer) in [
        (0.0, 1.0, Optimizer::Adam),
        (10.0, 0.01, Optimizer::Adam),
        (10.0, 100.0, Optimizer::Adam),
        (10.0, 1.0, Optimizer::Lbfgs { memory: 20 }),
    ] {
        let inputs: Vec<f32> = uniform(3, count * INPUTS).iter().map(|x| x + offset).collect();
        let mut targets = vec![0.0; count * OUTPUTS];
        gemm(count, INPUTS, OUTPUTS, &inputs, &map, &mut targets);
        targets.iter_mut().for_each(|y| *y = *y * size - 7.0);
        let samples = pair(inputs, INPUTS, targets, OUTPUTS);
        let quality = |skip| {
            let lbfgs = matches!(optimizer, Optimizer::Lbfgs { .. });
            let settings = Settings {
                layers: vec![INPUTS, 2, OUTPUTS],
                optimizer,
                batch: if lbfgs { count } else { 50 },
                ..settings(Code::Dense, skip)
            };
            let steps = if lbfgs { 300 } else { 4000 };
            let mut trainer = trained(Trainer::builder(settings), &samples, steps);
            trainer.evaluate(&samples).unwrap().explained_variance
        };
        let (with, without) = (quality(true), quality(false));
        println!("offset {offset}, size {size}, {optimizer:?}: {with} and {without}");
        assert!(with > 0.999 && without < 0.99, "{offset} {size} {optimizer:?} {with} {without}");
    }
}

/// Code W + b + x W_skip, number by number.
#[test]
fn a_reconstruction_is_the_sum_of_both() {
    let samples = samples(300);
    let (x, y) = (rows(&samples), rows(samples.targets().unwrap()));
    for code in codes() {
        let mut trainer = trained(Trainer::builder(settings(code, true)), &samples, 40);
        let evaluation = trainer.evaluate(&samples).unwrap();
        let net = trainer.into_autoencoder();
        let (mut engine, without) = (engine(), samples.without_targets());
        let codes = net.encode(&mut engine, &samples).unwrap();
        let have = net.reconstruct(&mut engine, &samples).unwrap();
        assert_eq!(have, net.reconstruct(&mut engine, &without).unwrap());
        let mut decoded = vec![0.0; 300 * OUTPUTS];
        gemm(300, 20, OUTPUTS, &codes, &net.weights(1), &mut decoded);
        let mut skipped = vec![0.0; 300 * OUTPUTS];
        let weights = net.skip_weights().unwrap();
        // (Every fourth input is always 0.)
        assert_eq!(weights.iter().filter(|&&w| w != 0.0).count(), 9 * OUTPUTS, "{code:?}");
        gemm(300, INPUTS, OUTPUTS, &x, weights, &mut skipped);
        let mut squares = 0.0;
        for (at, have) in have.iter().enumerate() {
            let want = decoded[at] + net.biases(1)[at % OUTPUTS] + skipped[at];
            assert!((have - want).abs() < 1e-4, "{code:?} {at}: {have} {want}");
            squares += f64::from(have - y[at]).powi(2);
        }
        assert!((evaluation.loss - squares / y.len() as f64).abs() < 1e-6, "{code:?}");
        let problem = net.decode(&mut engine, &codes).unwrap_err().to_string();
        assert!(problem.starts_with("skip: the output is the sum"), "{problem}");
        let mut sparse = sae::network::SparseCodes::default();
        net.encode_sparse(&mut engine, &samples, &mut sparse).unwrap();
        assert!(net.decode_sparse(&mut engine, &sparse).is_err());
    }
}

#[test]
fn ranks_train_together() {
    let samples = samples(90);
    for code in [Code::Dense, Code::TopK(4)] {
        for clip in [0.0, 1e6] {
            let settings = Settings { clip, ..settings(code, true) };
            let alone = trained(Trainer::builder(settings.clone()).threads(1), &samples, 8);
            let mut nets = Threads::run(3, |ranks| {
                let builder = Trainer::builder(settings.clone()).threads(1).ranks(ranks);
                trained(builder, &samples, 8).into_autoencoder()
            });
            let last = nets.pop().unwrap();
            assert!(nets.iter().all(|net| *net == last));
            let pairs = alone.autoencoder().parameters().iter().zip(last.parameters());
            for (at, (a, b)) in pairs.enumerate() {
                assert!((a - b).abs() < 1e-3, "{code:?} {clip} {at}: {a} {b}");
            }
        }
    }
}

/// What is selected of the samples is selected of their targets.
#[test]
fn targets_follow_their_samples() {
    let inputs: Vec<f32> = (0..40).map(|at| at as f32).collect();
    let targets: Vec<f32> = inputs.iter().flat_map(|x| [2.0 * x, -x]).collect();
    let all = pair(inputs, 1, targets, 2);
    let check = |samples: &Samples| {
        let (inputs, targets) = (rows(samples), rows(samples.targets().unwrap()));
        let want: Vec<f32> = inputs.iter().flat_map(|x| [2.0 * x, -x]).collect();
        assert_eq!(targets, want);
    };
    for held_out in [HeldOut::Last(13), HeldOut::Random { count: 13, seed: 7 }] {
        let (left, held) = all.hold_out(held_out).unwrap();
        assert_eq!((left.len(), held.len()), (27, 13));
        for side in [&left, &held, &left.scaled(Scaling::MinMax { min: 0.0, max: 1.0 })] {
            assert_eq!(side.targets().unwrap().len(), side.len());
        }
        check(&left);
        check(&held);
        // And again.
        check(&left.hold_out(held_out).unwrap().1);
    }
    check(&all.split(10).unwrap().1);
    assert!(all.without_targets().targets().is_none());
    let settings = Settings { layers: vec![1, 3, 2], batch: 8, ..settings(Code::Dense, false) };
    let mut trainer = Trainer::new(settings, &all).unwrap();
    trainer.step().unwrap();
    let held_out = HeldOut::Random { count: 5, seed: 1 };
    let (left, _) = all.hold_out(held_out).unwrap();
    let net = trainer.into_autoencoder();
    #[cfg(feature = "model")]
    {
        assert!(net.training_data().unwrap().is_of(&all).unwrap());
        assert!(net.training_data().unwrap().is_of(&all.without_targets()).unwrap());
        assert!(!net.training_data().unwrap().is_of(&left).unwrap());
        let others = all.with_targets(Samples::from_values(vec![1.0; 80], 2).unwrap()).unwrap();
        assert!(!net.training_data().unwrap().is_of(&others).unwrap());
        let trainer = Trainer::new(net.settings().clone(), &left).unwrap();
        let data = trainer.autoencoder().training_data().unwrap().clone();
        assert!(data.held_out() == Some(held_out) && data.is_of(&all).unwrap());
    }
    assert_eq!(net.target_scaling(), left.targets().map(Samples::scaling));
}

/// Each has one sentence.
#[test]
fn what_does_not_fit_is_refused() {
    let samples = samples(60);
    let plain = samples.without_targets();
    let equal = Samples::from_values(uniform(1, 60 * INPUTS), INPUTS).unwrap();
    let equal = plain.with_targets(equal).unwrap();
    let settings = settings(Code::Dense, false);
    let ends = |first, last| Settings { layers: vec![first, 5, last], ..settings.clone() };
    let skip = Settings { skip: true, ..ends(INPUTS, INPUTS) };
    let sigmoid = Settings { output_activation: Activation::Sigmoid, ..skip.clone() };
    let tied = Settings { tied: true, initialization: Initialization::He, ..ends(INPUTS, INPUTS) };
    let both = Settings { skip: true, output_activation: Activation::Linear, ..tied.clone() };
    let transposed = Settings { initialization: Initialization::Transpose, ..settings.clone() };
    for (settings, samples, sentence) in [
        (&settings, &plain, "layers: expected a last size equal to the first, got 12 and 7"),
        (&ends(INPUTS, 8), &samples, "the last size is 8 and the targets have 7 features"),
        (&ends(9, OUTPUTS), &samples, "the first size is 9 and the data has 12 features"),
        (&skip, &plain, "skip: the skip connection would copy the input to the output"),
        (&sigmoid, &equal, "skip: the skip connection adds to a linear output, and the field"),
        (&tied, &equal, "tied: the decoder of tied weights reconstructs the input"),
        (&both, &equal, "skip: a skip connection needs targets other than the input, which"),
        (&transposed, &samples, "transpose needs layers that mirror each other"),
    ] {
        let problem = Trainer::new(settings.clone(), samples).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{problem}");
    }
    let few = Samples::from_values(vec![0.0; 59 * OUTPUTS], OUTPUTS).unwrap();
    let problem = plain.with_targets(few).unwrap_err().to_string();
    assert!(problem.starts_with("59 targets for 60 samples; expected one"), "{problem}");

    let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
    let problem = trainer.evaluate(&plain).unwrap_err().to_string();
    assert!(problem.contains("predicts targets other than its inputs"), "{problem}");
    let wide = plain.with_targets(plain.clone()).unwrap();
    let problem = trainer.evaluate(&wide).unwrap_err().to_string();
    assert!(problem.contains("the targets have 12 features"), "{problem}");
    let batch = vec![0.0; 30 * INPUTS];
    let problem = trainer.step_on(&batch).unwrap_err().to_string();
    assert!(problem.contains("expected 210 numbers of targets"), "{problem}");
    let never = |_: &mut Trainer, _| ControlFlow::Continue(());
    let problem = trainer.pretrain(&samples, 1, never, |_, _, _| Ok(())).unwrap_err().to_string();
    assert!(problem.starts_with("pretrain: layers are pretrained"), "{problem}");

    let mut trainer = Trainer::new(ends(INPUTS, INPUTS), &plain).unwrap();
    let problem = trainer.evaluate(&equal).unwrap_err().to_string();
    assert!(problem.contains("was trained to reconstruct its inputs"), "{problem}");
    let problem = trainer.step_on((&batch, &batch)).unwrap_err().to_string();
    assert!(problem.contains("takes no targets"), "{problem}");

    // A target that is not finite, and one that the output does not reach.
    let mut targets = rows(samples.targets().unwrap());
    targets[9] = f32::NAN;
    let broken = pair(rows(&plain), INPUTS, targets, OUTPUTS);
    let bias = Settings { output_bias: OutputBias::Zero, batch: 60, ..settings.clone() };
    for read_ahead in [0, 2] {
        let builder = Trainer::builder(bias.clone()).read_ahead(read_ahead);
        // (Since the data are known by a checksum, building may refuse them.)
        let problem = match builder.build(&broken) {
            Ok(mut trainer) => trainer.step().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(problem.contains("targets: sample 1, feature 2 is NaN"), "{problem}");
    }
    let sigmoid = Settings { output_activation: Activation::Sigmoid, ..settings };
    let problem = Trainer::new(sigmoid, &samples).unwrap().step().unwrap_err().to_string();
    assert!(problem.starts_with("target ") && problem.contains("the output activation sigmoid"));
}

#[cfg(feature = "model")]
#[test]
fn files_keep_both_scalings_and_the_skip_connection() {
    use sae::data::ScalingKind;
    use sae::files::Checkpoint;

    let samples = samples(60);
    let scaled = |samples: &Samples| {
        let kind = ScalingKind::MeanDeviationByFeature;
        samples.scaled(kind.fit(samples.source()).unwrap())
    };
    let targets = scaled(samples.targets().unwrap());
    let samples = scaled(&samples).with_targets(targets.clone()).unwrap();
    for code in codes() {
        let builder = || Trainer::builder(settings(code, true)).threads(1);
        let mut trainer = trained(builder(), &samples, 4);
        let net = trainer.autoencoder().clone();
        let bytes = net.to_bytes().unwrap();
        let again = Autoencoder::from_bytes("m", &bytes).unwrap();
        assert_eq!(again, net);
        assert_eq!(again.to_bytes().unwrap(), bytes);
        assert_eq!(again.target_scaling(), Some(targets.scaling()));
        for length in 0..bytes.len() {
            assert!(Autoencoder::from_bytes("m", &bytes[..length]).is_err());
        }
        let bytes = trainer.checkpoint().unwrap();
        let checkpoint = || Checkpoint::from_bytes("c", &bytes).unwrap();
        let resumed = builder().resume(checkpoint()).build(&samples).unwrap();
        assert_eq!(*resumed.autoencoder(), net);
        let unscaled = targets.scaled(Scaling::AsIs);
        let others = Samples::from_values(vec![1.0; 60 * OUTPUTS], OUTPUTS).unwrap();
        let others = others.scaled(targets.scaling());
        for (targets, sentence) in [
            (unscaled, "and this data has targets of the scaling as-is"),
            (others, "checkpoint of a training on 60 other samples or targets"),
        ] {
            let samples = samples.with_targets(targets).unwrap();
            let problem = builder().resume(checkpoint()).build(&samples).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}

/// Folded, it predicts unscaled targets of unscaled inputs.
#[test]
fn both_scalings_are_folded() {
    let samples = samples(60);
    let (x, y) = (rows(&samples), rows(samples.targets().unwrap()));
    let own = Scaling::MeanDeviation { mean: 0.3, deviation: 0.2 };
    let of_targets = Scaling::MinMax { min: -4.0, max: 9.0 };
    for own in [own, Scaling::AsIs] {
        let targets = samples.targets().unwrap().scaled(of_targets.clone());
        let scaled = samples.scaled(own.clone()).with_targets(targets).unwrap();
        let settings = settings(Code::TopK(4), true);
        let net = trained(Trainer::builder(settings), &scaled, 20).into_autoencoder();
        let folded = net.fold_scaling().unwrap();
        assert_eq!(folded.target_scaling(), Some(Scaling::AsIs));
        let (mut engine, plain) = (engine(), Samples::from_values(x.clone(), INPUTS).unwrap());
        let have = folded.reconstruct(&mut engine, &plain).unwrap();
        let want = net.reconstruct(&mut engine, &scaled).unwrap();
        let mut far = 0.0f32;
        for (have, want) in have.iter().zip(&want) {
            far = far.max((have - (want * 13.0 - 4.0)).abs());
        }
        assert!(far < 1e-4, "{own}: {far}");
        let pairs = pair(x.clone(), INPUTS, y.clone(), OUTPUTS);
        let loss = folded.evaluate(&mut engine, &pairs).unwrap().loss;
        let scaled_loss = net.evaluate(&mut engine, &scaled).unwrap().loss;
        assert!((loss / (169.0 * scaled_loss) - 1.0).abs() < 1e-3, "{loss} {scaled_loss}");
    }
    let settings = settings(Code::Dense, false);
    let sigmoid = Settings { output_activation: Activation::Sigmoid, ..settings };
    let net = Autoencoder::transcoder(sigmoid, Scaling::Byte, Scaling::AsIs).unwrap();
    assert_eq!(net.fold_scaling().unwrap().scaling(), Scaling::AsIs);
}

/// Dead units are revived towards targets.
#[test]
fn dead_units_are_revived() {
    let samples = samples(200);
    for skip in [false, true] {
        let mut trainer = trained(Trainer::builder(settings(Code::TopK(4), skip)), &samples, 5);
        let biases = trainer.autoencoder().layers()[0].biases();
        let first = biases.start;
        trainer.autoencoder_mut().parameters_mut()[first..first + 3].fill(-1e3);
        let dead = |trainer: &mut Trainer| {
            trainer.evaluate(&samples).unwrap().layers[0].dead_units().count()
        };
        assert!(dead(&mut trainer) >= 3);
        assert!(trainer.revive(&samples).unwrap() >= 3);
        assert!(dead(&mut trainer) < 3);
        let before = trainer.evaluate(&samples).unwrap().loss;
        trainer.run(50, |_, _| ControlFlow::Continue(())).unwrap();
        assert!(trainer.evaluate(&samples).unwrap().loss < before);
    }
}
