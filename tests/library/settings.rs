//! Every bad setting gives one clear sentence that names it.

use std::error::Error as _;

use sae::{
    Activation, Error, Preset, Samples, Settings, Trainer, TrainerBuilder, compute::ThreadPool,
};

fn samples() -> Samples {
    Samples::from_values(vec![0.5; 40], 4).unwrap()
}

fn settings() -> Settings {
    Settings { layers: vec![4, 2, 4], batch: 5, ..Settings::default() }
}

/// The error of these settings, which has to name `field` and to hold every one of `words`.
#[track_caller]
fn assert_refused(settings: Settings, field: &str, words: &[&str]) {
    let error = Trainer::new(settings, &samples()).expect_err(field);
    assert!(matches!(&error, Error::Setting { field: name, .. } if *name == field), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{field}: ")), "{text}");
    assert!(!text.contains('\n') && text.len() < 250, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(error.source().is_none());
}

#[test]
fn layers() {
    let refused = |layers: &[usize], words: &[&str]| {
        assert_refused(Settings { layers: layers.to_vec(), ..settings() }, "layers", words);
    };
    refused(&[], &["0 sizes", "odd"]);
    refused(&[4], &["got 1 size"]);
    refused(&[4, 4], &["2 sizes"]);
    refused(&[4, 3, 2, 4], &["4 sizes", "odd"]);
    refused(&[4; 257], &["257 sizes", "3 to 255"]);
    refused(&[4, 0, 4], &["got 0", "number 2"]);
    refused(&[4, usize::MAX, 4], &["number 2"]);
    refused(&[4, 2, 5], &["4", "5", "equal"]);
    refused(&[4, 1 << 24, 1 << 24, 1 << 24, 4], &["GB of memory"]);
    refused(&[7, 2, 7], &["7", "4 features"]);
}

#[test]
fn numbers() {
    const NAN: f64 = f64::NAN;
    const INFINITY: f64 = f64::INFINITY;
    type Set = fn(&mut Settings, f64);
    let fields: [(&str, Set, &[f64]); 7] = [
        ("rho", |s, value| s.rho = value, &[0.0, 1.0, -0.1, 1.5, NAN, INFINITY]),
        ("beta", |s, value| s.beta = value, &[-1e-9, NAN, INFINITY]),
        ("lambda", |s, value| s.lambda = value, &[-1e-9, NAN, INFINITY]),
        ("learning_rate", |s, value| s.learning_rate = value, &[0.0, -1.0, NAN, INFINITY]),
        ("beta1", |s, value| s.beta1 = value, &[1.0, -0.1, NAN, INFINITY]),
        ("beta2", |s, value| s.beta2 = value, &[1.0, -0.1, NAN, INFINITY]),
        ("epsilon", |s, value| s.epsilon = value, &[0.0, -1.0, NAN, INFINITY]),
    ];
    for (field, set, values) in fields {
        for &value in values {
            let mut settings = settings();
            set(&mut settings, value);
            let got = match value {
                -1e-9 => "-1e-9".to_owned(),
                value => value.to_string(),
            };
            assert_refused(settings, field, &["expected a number ", &format!(", got {got}")]);
        }
    }
    for batch in [0, usize::MAX] {
        assert_refused(Settings { batch, ..settings() }, "batch", &["from 1 to 16777216, got"]);
    }
    let error = Trainer::builder(settings()).threads(0).build(&samples()).unwrap_err();
    assert_eq!(error.to_string(), "threads: expected at least 1, got 0");
}

/// Numbers that are good in `f64` and would be 0, 1 or infinite in `f32` train or are refused, but
/// do not turn into NaN.
#[test]
fn numbers_at_the_edge() {
    let of = Settings { beta: 1.0, ..settings() };
    let edge: [(&str, Settings); 11] = [
        ("rho", Settings { rho: 1e-6, ..of.clone() }),
        ("beta", Settings { beta: 1e9, ..settings() }),
        ("learning_rate", Settings { learning_rate: 1e9, ..settings() }),
        ("rho", Settings { rho: 1e-60, ..of.clone() }),
        ("rho", Settings { rho: 1.0 - 1e-12, ..of }),
        ("beta", Settings { beta: 1e300, ..settings() }),
        ("lambda", Settings { lambda: 1e300, ..settings() }),
        ("learning_rate", Settings { learning_rate: 1e300, ..settings() }),
        ("learning_rate", Settings { learning_rate: 1e-300, ..settings() }),
        ("beta1", Settings { beta1: 1.0 - 1e-12, ..settings() }),
        ("beta2", Settings { beta2: 1.0 - 1e-12, ..settings() }),
    ];
    let mut wrong = Vec::new();
    for (field, settings) in edge {
        let text = format!("{settings:?}");
        match Trainer::new(settings, &samples()) {
            Err(Error::Setting { field: name, .. }) => assert_eq!(name, field),
            Err(error) => wrong.push(format!("{field}: {error}")),
            Ok(mut trainer) => {
                let step = trainer.step();
                let finite = trainer.autoencoder().parameters().iter().all(|w| w.is_finite());
                if step.is_err() || !finite {
                    wrong.push(format!("{field}: {step:?}, finite: {finite}, {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_penalty_needs_a_sigmoid() {
    for activation in Activation::ALL {
        let settings = Settings { activation, beta: 0.1, ..settings() };
        let without = Settings { beta: 0.0, ..settings.clone() };
        if activation == Activation::Sigmoid {
            Trainer::new(settings, &samples()).unwrap();
            continue;
        }
        let words = [activation.name(), "activation", "sigmoid", "L1", "top-k"];
        assert_refused(settings, "beta", &words);
        Trainer::new(without, &samples()).unwrap();
    }
    // The output layer has no penalty.
    let linear = Activation::Linear;
    let settings = Settings { output_activation: linear, beta: 0.1, ..settings() };
    Trainer::new(settings, &samples()).unwrap();
}

#[test]
fn names_of_activations() {
    let mut settings = Settings::default();
    for activation in Activation::ALL {
        settings.set("activation", activation.name(), 1).unwrap();
        assert_eq!(settings.activation, activation);
    }
    let text = settings.set("activation", "softmax", 1).unwrap_err().to_string();
    assert!(text.contains("softmax") && text.contains("leaky-relu"), "{text}");
}

#[test]
fn presets_are_the_articles() {
    let sparse = Settings::preset(Preset::Article);
    assert_eq!(sparse, Settings::default());
    assert_eq!(sparse.layers, [784, 300, 30, 300, 784]);
    assert_eq!((sparse.rho, sparse.beta, sparse.lambda), (0.02, 7.5e-5, 5e-6));
    assert_eq!((sparse.learning_rate, sparse.beta1, sparse.beta2), (1e-2, 0.9, 0.999));
    assert_eq!((sparse.epsilon, sparse.batch), (1e-8, 60));
    assert_eq!((sparse.encoder_layers(), sparse.code_units()), (2, 30));
    let normal = Settings::preset(Preset::ArticlePlain);
    assert_eq!((normal.beta, normal.lambda), (0.0, 0.0));
}

/// Truncated normal weights, biases 0.1.
#[test]
fn first_weights() {
    let layers = [200, 100, 200];
    let data = Samples::from_values(vec![0.5; 400], 200).unwrap();
    let trainer = Trainer::new(Settings { layers: layers.to_vec(), ..settings() }, &data).unwrap();
    let net = trainer.autoencoder();
    for l in 0..2 {
        let weights = net.weights(l);
        assert_eq!(weights.len(), 20_000);
        assert!(weights.iter().all(|w| w.abs() <= 0.2));
        let count = weights.len() as f64;
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        let square = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / count;
        // 0.08796 is the standard deviation of a normal number of 0.1 that is cut at two of them.
        assert!(mean.abs() < 0.003 && (square.sqrt() - 0.08796).abs() < 0.002, "{mean} {square}");
        assert!(net.biases(l).iter().all(|&b| b == 0.1));
    }
    assert_eq!(net.parameters().len(), 200 * 100 + 100 + 100 * 200 + 200);
}

#[test]
fn shapes_of_data() {
    for (values, features) in [(vec![], 3), (vec![1.0], 0), (vec![1.0; 7], 3)] {
        let error = Samples::from_values(values, features).unwrap_err();
        assert!(matches!(error, Error::Shape(_)), "{error:?}");
    }
    let mut trainer = Trainer::new(settings(), &samples()).unwrap();
    let other = Samples::from_values(vec![0.5; 12], 6).unwrap();
    for error in [
        trainer.evaluate(&other).unwrap_err(),
        trainer.encode(&other).unwrap_err(),
        {
            let (engine, net) = trainer.parts();
            net.reconstruct(engine, &other)
        }
        .unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("6 features") && text.contains('4'), "{text}");
    }
    let text = {
        let (engine, net) = trainer.parts();
        net.decode(engine, &[0.5; 3])
    }
    .unwrap_err()
    .to_string();
    assert!(text.contains("3 numbers") && text.contains("codes of 2"), "{text}");
    let text = trainer.step_on(&[0.5; 19]).unwrap_err().to_string();
    assert!(text.contains("samples of 4 numbers, got 19 numbers"), "{text}");
    assert_eq!(trainer.steps(), 0);
}

#[test]
fn threads_change_hands() {
    fn assert_send<T: Send>() {}
    fn assert_error<T: std::error::Error + Send + Sync + 'static>() {}
    assert_send::<Trainer>();
    assert_send::<TrainerBuilder>();
    assert_send::<ThreadPool>();
    assert_send::<Samples>();
    assert_error::<Error>();

    let mut trainer = Trainer::builder(settings()).threads(2).build(&samples()).unwrap();
    trainer.step().unwrap();
    let steps = std::thread::spawn(move || {
        trainer.step().unwrap();
        trainer.steps()
    });
    assert_eq!(steps.join().unwrap(), 2);
}

#[test]
fn the_cause_of_an_error() {
    let error = Samples::open("/no/such/file").unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let source = error.source().expect("the system's answer");
    assert!(source.downcast_ref::<std::io::Error>().is_some());
}
