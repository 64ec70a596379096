//! A training that goes on from a checkpoint ends in the bits of one that was never stopped, and
//! refuses what it does not fit.

use std::fs;
use std::path::PathBuf;

use crate::common::pixels;
use crate::folder::Folder;
use sae::{
    Autoencoder, Code, Corruption, Isa, Measure, Optimizer, Samples, Scaling, Schedule, Settings,
    Target, Trainer, TrainerBuilder,
    compute::ThreadPool,
    data::Array,
    files::{Checkpoint, Checkpoints},
};

const SAMPLES: usize = 50;
const FEATURES: usize = 36;

fn samples() -> Samples {
    Samples::from_values(pixels(3, SAMPLES, FEATURES), FEATURES).unwrap()
}

fn settings() -> Settings {
    // 50 samples in batches of 7: epochs end within batches.
    Settings {
        layers: vec![FEATURES, 20, 6, 20, FEATURES],
        batch: 7,
        beta: 1e-3,
        lambda: 1e-4,
        ..Settings::default()
    }
}

fn trainer(samples: &Samples) -> Trainer {
    Trainer::new(settings(), samples).unwrap()
}

fn resumed(checkpoint: Checkpoint) -> TrainerBuilder {
    Trainer::builder(checkpoint.settings().clone()).resume(checkpoint)
}

fn steps(trainer: &mut Trainer, count: usize) {
    for _ in 0..count {
        trainer.step().unwrap();
    }
}

fn bits(trainer: &Trainer) -> Vec<u32> {
    let (first, second) = trainer.moments();
    let all = [trainer.autoencoder().parameters(), first, second].concat();
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn resumed_anywhere_it_ends_in_the_same_bits() {
    let (folder, samples) = (Folder::new("resumed"), samples());
    let path = folder.0.join("run.ckpt");
    let mut unbroken = trainer(&samples);
    steps(&mut unbroken, 40);
    let isas: Vec<Isa> = Isa::all().filter(|isa| isa.is_fused()).collect();
    for stop in [0, 1, 6, 7, 8, 15, 39, 40] {
        let mut trainer = trainer(&samples);
        steps(&mut trainer, stop);
        let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
        checkpoints.save(&mut trainer).unwrap();
        checkpoints.finish().unwrap();
        drop((trainer, checkpoints));
        for (isa, threads) in isas.iter().zip([1, 3, 2].into_iter().cycle()) {
            let checkpoint = Checkpoint::load(&path).unwrap();
            assert_eq!(checkpoint.steps(), stop as u64);
            let pool = ThreadPool::exactly(threads);
            let mut trainer = resumed(checkpoint).isa(*isa).pool(pool).build(&samples).unwrap();
            steps(&mut trainer, 40 - stop);
            assert_eq!(trainer.steps(), 40);
            assert!(bits(&trainer) == bits(&unbroken), "stopped at {stop}, {}", isa.name());
        }
    }
}

/// In memory, and with other samples: an epoch for each call, as Python's `partial_fit` has it.
#[test]
fn it_goes_on_with_other_samples_from_their_next_epoch() {
    let (folder, samples) = (Folder::new("others"), samples());
    let path = folder.0.join("run.ckpt");
    let short = Settings { batch: 5, ..settings() };
    let mut unbroken = Trainer::new(short.clone(), &samples).unwrap();
    steps(&mut unbroken, 20);
    let mut trainer = Trainer::new(short, &samples).unwrap();
    steps(&mut trainer, 10);
    let bytes = trainer.checkpoint().unwrap();
    let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    assert!(fs::read(&path).unwrap() == bytes);

    let read = || Checkpoint::from_bytes("m", &bytes).unwrap();
    let goes_on = |checkpoint: Checkpoint, samples: &Samples| {
        let mut trainer = resumed(checkpoint).build(samples)?;
        steps(&mut trainer, 10);
        Ok::<_, sae::Error>(bits(&trainer))
    };
    let same = goes_on(read().with_samples(&samples).unwrap(), &samples).unwrap();
    assert!(same == bits(&unbroken));
    let others = Samples::from_values(pixels(4, 9, FEATURES), FEATURES).unwrap();
    assert!(goes_on(read(), &others).unwrap_err().to_string().contains("50 samples"));
    assert!(goes_on(read().with_samples(&others).unwrap(), &others).unwrap() != same);
}

/// The parts of the toolbox that remember something.
#[test]
fn what_the_toolbox_remembers_is_kept() {
    let (folder, samples) = (Folder::new("toolbox"), samples());
    let path = folder.0.join("run.ckpt");
    let schedule = Schedule::Cosine { steps: 60 };
    let linear = Schedule::Linear { share: 0.25, steps: 40 };
    let base = || Settings { warm_up: 10, schedule, beta: 1e-2, ..settings() };
    let of = Measure::MeanActivation;
    let target = Some(Target { layer: 0, of, value: 0.2, steps: 30 });
    let (code, corruption) = (Code::BatchTopK(2), Corruption::Gaussian(0.2));
    let jump = Code::JumpRelu { l0: 1e-2, bandwidth: 0.3, threshold: 0.3 };
    let momentum = Settings {
        optimizer: Optimizer::Momentum { momentum: 0.9 },
        tied: true,
        clip: 0.05,
        corruption: Corruption::Masking(0.3),
        ..base()
    };
    for (what, settings) in [
        ("steered, running means", Settings { rho_momentum: 0.9, target, ..base() }),
        ("batch-top-k, noise", Settings { code, corruption, ..base() }),
        ("JumpReLU", Settings { code: jump, ..base() }),
        ("FVU", Settings { loss: sae::Loss::Fvu, ..base() }),
        ("sparsity warm-up", Settings { sparsity_warm_up: 30, beta: 1e-2, ..base() }),
        ("linear decay", Settings { schedule: linear, ..base() }),
        ("centered", Settings { output_activation: sae::Activation::Linear, ..base() }),
        ("momentum, tied, clipped, masked", momentum),
    ] {
        let mut unbroken = Trainer::new(settings.clone(), &samples).unwrap();
        steps(&mut unbroken, 40);
        for stop in [1, 13, 29, 30, 31] {
            let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
            steps(&mut trainer, stop);
            let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
            checkpoints.save(&mut trainer).unwrap();
            checkpoints.finish().unwrap();
            drop((trainer, checkpoints));
            let checkpoint = Checkpoint::load(&path).unwrap();
            let mut trainer = resumed(checkpoint).build(&samples).unwrap();
            steps(&mut trainer, 40 - stop);
            assert!(bits(&trainer) == bits(&unbroken), "{what}, stopped at {stop}");
            let [have, want] = [&trainer, &unbroken].map(|t| t.autoencoder().penalty_factor());
            assert_eq!(have, want, "{what}, stopped at {stop}");
        }
    }
}

#[test]
fn lbfgs_has_no_checkpoints() {
    let folder = Folder::new("lbfgs");
    let optimizer = Optimizer::Lbfgs { memory: 5 };
    let settings = Settings { batch: SAMPLES, optimizer, ..settings() };
    let trainer = Trainer::new(settings, &samples()).unwrap();
    let problem = Checkpoints::new(folder.0.join("c"), 1, &trainer).unwrap_err().to_string();
    assert!(problem.contains("L-BFGS"), "{problem}");
}

/// Handed over faster than they are written: the last one is written, and the training is as
/// without them.
#[test]
fn many_checkpoints_in_a_hurry() {
    let (folder, samples) = (Folder::new("hurry"), samples());
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer(&samples);
    let mut checkpoints = Checkpoints::new(&path, 3, &trainer).unwrap();
    for step in 0..200 {
        trainer.step().unwrap();
        checkpoints.save(&mut trainer).unwrap();
        if step == 0 {
            // On a busy machine the writer may else get its first turn after the last step.
            checkpoints.finish().unwrap();
        }
    }
    checkpoints.finish().unwrap();
    let newest = Checkpoint::load(&path).unwrap();
    assert_eq!(newest.steps(), 200);
    let earlier = Checkpoint::load(folder.0.join("run.ckpt.1")).unwrap();
    assert!(earlier.steps() < 200);
    let resumed = resumed(newest).build(&samples).unwrap();
    assert!(bits(&resumed) == bits(&trainer));
}

/// What is handed over is written even if nobody waits for it.
#[test]
fn dropped_it_still_writes() {
    let (folder, samples) = (Folder::new("dropped"), samples());
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer(&samples);
    let mut checkpoints = Checkpoints::new(&path, 2, &trainer).unwrap();
    steps(&mut trainer, 3);
    checkpoints.save(&mut trainer).unwrap();
    drop(checkpoints);
    assert_eq!(Checkpoint::load(&path).unwrap().steps(), 3);
}

#[test]
fn other_settings_and_data_are_refused() {
    let (folder, samples) = (Folder::new("refused"), samples());
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer(&samples);
    steps(&mut trainer, 3);
    let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    let resume = |settings: Settings, samples: &Samples| {
        Trainer::builder(settings).resume(Checkpoint::load(&path).unwrap()).build(samples)
    };
    let problem = |settings: Settings, samples: &Samples| {
        let problem = resume(settings, samples).unwrap_err().to_string();
        problem.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    resume(settings(), &samples).unwrap();
    for (settings, sentence) in [
        (Settings { rho: 0.05, ..settings() }, "with rho 0.02, not 0.05"),
        (Settings { beta: 2e-3, ..settings() }, "with beta 0.001, not 0.002"),
        (Settings { batch: 8, ..settings() }, "with batch 7, not 8"),
        (Settings { seed: 2, ..settings() }, "with seed 1, not 2"),
        (Settings { learning_rate: 0.1, ..settings() }, "with learning_rate 0.01, not 0.1"),
        (
            Settings { layers: vec![36, 5, 36], ..settings() },
            "with layers 36,20,6,20,36, not 36,5,36",
        ),
    ] {
        let have = problem(settings, &samples);
        assert_eq!(have, format!("checkpoint of a training {sentence}"));
    }
    let fewer = Samples::from_values(pixels(3, 49, FEATURES), FEATURES).unwrap();
    assert_eq!(
        problem(settings(), &fewer),
        "checkpoint of a training on 50 samples of 36 features; this data has 49 of 36"
    );
    let mut values = pixels(3, SAMPLES, FEATURES);
    values[FEATURES * 31 + 4] += 0.25;
    let other = Samples::from_values(values, FEATURES).unwrap();
    assert_eq!(problem(settings(), &other), "checkpoint of a training on 50 other samples");
}

#[test]
fn places_that_cannot_be_are_refused_before_the_work() {
    let (folder, samples) = (Folder::new("places"), samples());
    let trainer = trainer(&samples);
    let problem =
        |path: PathBuf, keep| Checkpoints::new(path, keep, &trainer).unwrap_err().to_string();
    let missing = folder.0.join("no").join("run.ckpt");
    assert!(problem(missing, 1).contains("No such file"));
    assert!(problem(folder.0.clone(), 1).contains("this is a folder"));
    assert!(problem(folder.0.join("run.ckpt"), 0).starts_with("keep: 0 checkpoints"));
    assert!(problem(PathBuf::from("/dev/null"), 1).contains("not a regular file"));
}

/// What a killed writer left goes; what belongs to others stays.
#[test]
fn leftovers_go_at_the_next_start() {
    let (folder, samples) = (Folder::new("leftovers"), samples());
    let path = folder.0.join("run.ckpt");
    let left = folder.0.join(".run.ckpt.0123456789abcdef.tmp");
    let others = [".run.ckpt.mine.tmp", ".other.ckpt.0123456789abcdef.tmp", "run.ckpt.1"];
    for name in others {
        fs::write(folder.0.join(name), "x").unwrap();
    }
    fs::write(&left, "x").unwrap();
    let trainer = trainer(&samples);
    Checkpoints::new(&path, 2, &trainer).unwrap();
    assert!(!left.exists());
    assert!(others.iter().all(|name| folder.0.join(name).exists()));
}

/// Checkpoints of version 0.1 after 12 steps on 40 images, and the model after 30: what the
/// controller and running means remember, and thresholds, noise and decay.
#[test]
fn checkpoints_of_version_2_continue() {
    let mut state = 7u64;
    let mut byte = || {
        state = (state * 1_103_515_245 + 12345) % (1 << 31);
        (state >> 16) as u8
    };
    let bytes: Vec<u8> = (0..40 * 6).map(|_| byte()).collect();
    let samples = Samples::new(Array::from_values::<u8>(bytes, 6).unwrap(), Scaling::Byte);
    let recorded = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
    };
    for name in ["steered", "batch-top-k"] {
        let checkpoint = Checkpoint::load(recorded(&format!("checkpoint-v2-{name}.ckpt"))).unwrap();
        assert_eq!((checkpoint.steps(), checkpoint.patience()), (12, None));
        let mut trainer = resumed(checkpoint).build(&samples).unwrap();
        steps(&mut trainer, 18);
        let model = Autoencoder::load(recorded(&format!("model-v2-{name}.safetensors"))).unwrap();
        if name == "steered" {
            let net = trainer.autoencoder();
            assert_eq!(net.parameters(), model.parameters(), "{name}");
            assert_eq!(net.penalty_factor(), model.penalty_factor(), "{name}");
            continue;
        }
        // Version 0.2 leaves out what of the gradient is along the rows of `unit_norm`: it ends near to
        // where version 0.1 did, and where it did itself when this was recorded.
        let own = include_str!("../recorded/parameters-batch-top-k.json");
        let own: Vec<f32> = serde_json::from_str(own).unwrap();
        let have = trainer.autoencoder().parameters();
        for (want, most) in [(model.parameters(), 0.06), (&own[..], 1e-5)] {
            assert_eq!(have.len(), want.len());
            for (have, want) in have.iter().zip(want) {
                assert!((have - want).abs() < most, "{name}: {have} {want}");
            }
        }
    }
}

/// The counter, the best objective and the best network are in a checkpoint.
#[test]
fn early_stopping_resumed_anywhere_ends_in_the_same_bits() {
    let samples = samples();
    let objectives = [5.0, 3.0, 4.0, 2.0, 2.5, f64::NAN, 2.0, 1.0];
    // A step and an evaluation each, until it is over; then the best, and its checkpoint.
    let finish = |mut trainer: Trainer| {
        while !trainer.is_over() && trainer.steps() < 8 {
            trainer.step().unwrap();
            trainer.observe(objectives[trainer.steps() as usize - 1]);
        }
        let last = trainer.checkpoint().unwrap();
        let best = trainer.restore_best();
        (last, best, trainer.into_autoencoder())
    };
    let unbroken = finish(Trainer::builder(settings()).patience(3).build(&samples).unwrap());
    assert_eq!(unbroken.1, Some((2.0, 4)));
    for stop in 0..=7 {
        let mut trainer = Trainer::builder(settings()).patience(3).build(&samples).unwrap();
        for objective in &objectives[..stop] {
            trainer.step().unwrap();
            trainer.observe(*objective);
        }
        let bytes = trainer.checkpoint().unwrap();
        let resume = || {
            let checkpoint = Checkpoint::from_bytes("c", &bytes).unwrap();
            assert_eq!(checkpoint.patience(), Some(3));
            resumed(checkpoint)
        };
        let trainer = resume().build(&samples).unwrap();
        assert_eq!(trainer.is_over(), stop == 7);
        assert!(finish(trainer) == unbroken, "stopped at {stop}");
        // Other patience goes on counting, and none forgets.
        let trainer = resume().patience(4).build(&samples).unwrap();
        assert!(!trainer.is_over());
        assert_eq!(finish(trainer).1, Some((1.0, 8)));
        assert_eq!(resume().patience(0).build(&samples).unwrap().restore_best(), None);
    }
}

/// The room for the best network stays when it is not needed any more.
#[test]
fn a_checkpoint_after_early_stopping_has_ended() {
    let (folder, samples) = (Folder::new("ended"), samples());
    let path = folder.0.join("run.ckpt");
    let mut trainer = Trainer::builder(settings()).patience(1).build(&samples).unwrap();
    let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
    trainer.observe(1.0);
    trainer.restore_best().unwrap();
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().patience(), None);
}

/// What could not be loaded is not written; the checkpoint before stays.
#[test]
fn numbers_that_are_not_finite_are_refused() {
    let (folder, samples) = (Folder::new("finite"), samples());
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer(&samples);
    let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    trainer.autoencoder_mut().parameters_mut()[40] = f32::NAN;
    let problem = "not written: a parameter or moment is NaN; a checkpoint has finite numbers only";
    let error = checkpoints.save(&mut trainer).unwrap_err().to_string();
    assert_eq!(error, format!("{}: {problem}", path.display()));
    assert_eq!(trainer.checkpoint().unwrap_err().to_string(), problem);
    checkpoints.finish().unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().steps(), 0);
    trainer.autoencoder_mut().parameters_mut()[40] = 0.5;
    steps(&mut trainer, 2);
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().steps(), 2);
}
