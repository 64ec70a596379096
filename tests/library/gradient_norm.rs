//! The length of a step's gradient: that of the gradient itself, for any way in which a step takes it, and
//! without a change of the weights.

use sae::{Isa, Samples, Settings, Trainer};

use crate::threads::Threads;

pub(crate) const FEATURES: usize = 23;
pub(crate) const BATCH: usize = 40;

pub(crate) fn samples() -> Samples {
    let number = |at: usize| ((at * 7919 + at / 31) % 256) as f32 / 256.0;
    let values = (0..200 * FEATURES).map(number).collect();
    Samples::from_values(values, FEATURES).unwrap()
}

fn batch() -> Vec<f32> {
    let mut batch = vec![0.0; BATCH * FEATURES];
    for (sample, row) in batch.chunks_mut(FEATURES).enumerate() {
        samples().gather(sample, row).unwrap();
    }
    batch
}

/// Trainings that take their gradients in different ways.
pub(crate) fn all() -> Vec<(&'static str, Settings)> {
    let with = |options: &str| {
        let mut settings = Settings {
            layers: vec![FEATURES, 70, FEATURES],
            batch: BATCH,
            learning_rate: 0.01,
            beta: 0.0,
            lambda: 0.0,
            ..Settings::default()
        };
        for option in options.split_whitespace() {
            let (name, text) = option.split_once('=').unwrap();
            settings.set(name, text, None).unwrap();
        }
        settings
    };
    let sparse = |options: &str| with(&format!("activation=relu initialization=he {options}"));
    vec![
        ("dense", with("layers=23,30,9,30,23")),
        ("weight decay", with("lambda=0.3")),
        ("penalties", with("beta=0.1 rho=0.1 l1=0.01")),
        ("cross-entropy", with("loss=cross-entropy")),
        ("clipped", with("clip=0.001")),
        ("tied", with("tied=true lambda=0.1")),
        ("momentum", with("optimizer=momentum:0.9")),
        ("top-k", sparse("code=top-k:5 lambda=0.2")),
        ("batch-top-k", sparse("code=batch-top-k:5")),
        ("JumpReLU", sparse("code=jump-relu:0.01:0.1:0.05")),
        (
            "dead units",
            sparse("code=top-k:5 dead_after=40 auxiliary=aux-k:0.5:8 output_activation=linear"),
        ),
        ("prefixes", sparse("code=top-k:5 prefixes=20,70 output_activation=linear")),
        ("lazy", sparse("code=top-k:5 optimizer=adam-lazy")),
        ("centered", sparse("code=top-k:5 output_activation=linear unit_norm=true lambda=0.1")),
    ]
}

fn length(gradient: &[f32], settings: &Settings) -> f64 {
    let square =
        |numbers: &[f32]| -> f64 { numbers.iter().map(|&g| f64::from(g) * f64::from(g)).sum() };
    let mut sum = square(gradient);
    if settings.tied {
        // Of the two halves, both of which have the sum of both.
        sum -= square(&gradient[..settings.layers[0] * settings.layers[1]]);
    }
    sum.sqrt()
}

#[test]
fn the_norm_is_that_of_the_gradient_and_changes_nothing() {
    let sets = Isa::all().filter(|isa| isa.is_fused());
    let ways: Vec<_> = sets.flat_map(|isa| [(isa, 1), (isa, 3)]).collect();
    for (what, settings) in all() {
        let mut norms = Vec::new();
        for &(isa, threads) in &ways {
            let build = || {
                let builder = Trainer::builder(settings.clone()).isa(isa).threads(threads);
                builder.build(&samples()).unwrap()
            };
            let (mut plain, mut measured) = (build(), build());
            assert_eq!(measured.gradient_norm(), None);
            for step in 0..6 {
                if step % 2 == 1 {
                    let (_, gradient) = measured.gradient_on(&batch()).unwrap();
                    let expected = length(gradient, &settings);
                    measured.measure_gradient_norm();
                    measured.step_on(&batch()).unwrap();
                    let norm = measured.gradient_norm().unwrap();
                    let close = (norm - expected).abs() <= 1e-6 * expected;
                    assert!(close && norm > 0.0, "{what}: {norm}, not {expected}");
                    norms.push(norm.to_bits());
                } else {
                    measured.step_on(&batch()).unwrap();
                }
                plain.step_on(&batch()).unwrap();
            }
            let bits = |trainer: &Trainer| {
                let (first, second) = trainer.moments();
                let all = [trainer.autoencoder().parameters(), first, second].concat();
                all.iter().map(|number| number.to_bits()).collect::<Vec<_>>()
            };
            assert!(bits(&plain) == bits(&measured), "{what}: other weights");
        }
        assert!(norms.chunks(3).all(|way| way == &norms[..3]), "{what}: other bits");
    }
}

#[test]
fn ranks_measure_it_together() {
    for (what, settings) in all() {
        let norms = |measures: bool| {
            Threads::run(2, |ranks| {
                let builder = Trainer::builder(settings.clone()).threads(1).ranks(ranks);
                let mut trainer = builder.build(&samples()).unwrap();
                let mut norms = Vec::new();
                for _ in 0..4 {
                    if measures {
                        trainer.measure_gradient_norm();
                    }
                    trainer.step().unwrap();
                    norms.push(trainer.gradient_norm());
                }
                (norms, trainer.autoencoder().parameters().to_vec())
            })
        };
        let (measured, plain) = (norms(true), norms(false));
        assert!(measured[0] == measured[1], "{what}: {:?}, {:?}", measured[0].0, measured[1].0);
        assert!(measured[0].1 == plain[0].1, "{what}: other weights");
        let mut alone = Trainer::new(settings, &samples()).unwrap();
        for norm in &measured[0].0 {
            alone.measure_gradient_norm();
            alone.step().unwrap();
            let expected = alone.gradient_norm().unwrap();
            assert!((norm.unwrap() / expected - 1.0).abs() < 1e-3, "{what}: {norm:?}, {expected}");
        }
    }
}

#[test]
fn a_failed_step_measures_nothing_and_the_next_does() {
    let (_, settings) = all().remove(0);
    let mut trainer = Trainer::new(settings, &samples()).unwrap();
    trainer.measure_gradient_norm();
    assert!(trainer.step_on(&vec![f32::NAN; BATCH * FEATURES]).is_err());
    assert_eq!(trainer.gradient_norm(), None);
    trainer.step_on(&batch()).unwrap();
    assert!(trainer.gradient_norm().unwrap() > 0.0);
}

#[test]
fn a_skip_connection_counts() {
    let targets = (0..200 * 7).map(|at| (at % 13) as f32 / 4.0 - 3.0).collect();
    let samples = samples().with_targets(Samples::from_values(targets, 7).unwrap()).unwrap();
    let mut settings =
        Settings { layers: vec![FEATURES, 70, 7], batch: BATCH, beta: 0.0, ..Settings::default() };
    let options = ["activation=relu", "output_activation=linear", "initialization=he", "skip=true"];
    for option in options.into_iter().chain(["code=top-k:5", "lambda=0.1"]) {
        let (name, text) = option.split_once('=').unwrap();
        settings.set(name, text, None).unwrap();
    }
    let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
    let of_batch: Vec<f32> = (0..BATCH * 7).map(|at| (at % 11) as f32).collect();
    for _ in 0..4 {
        let (_, gradient) = trainer.gradient_on((&batch(), &of_batch)).unwrap();
        let expected = length(gradient, &settings);
        trainer.measure_gradient_norm();
        trainer.step_on((&batch(), &of_batch)).unwrap();
        let norm = trainer.gradient_norm().unwrap();
        assert!((norm / expected - 1.0).abs() < 1e-6, "{norm}, not {expected}");
    }
}

#[test]
fn lbfgs_has_a_norm_too() {
    let mut settings =
        Settings { layers: vec![FEATURES, 30, FEATURES], batch: 200, ..Settings::default() };
    settings.set("optimizer", "l-bfgs:3", None).unwrap();
    let build = || Trainer::new(settings.clone(), &samples()).unwrap();
    let (mut plain, mut measured) = (build(), build());
    let mut norms = Vec::new();
    for _ in 0..5 {
        measured.measure_gradient_norm();
        measured.step().unwrap();
        plain.step().unwrap();
        norms.push(measured.gradient_norm().unwrap());
    }
    assert!(norms[4] < norms[0], "{norms:?}");
    assert_eq!(plain.autoencoder().parameters(), measured.autoencoder().parameters());
}
