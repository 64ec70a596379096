//! Codes and reconstructions of slices: the bits of samples, however many rows a call has.

use crate::common::pixels;
use sae::data::{HeldOut, SamplesOf};
use sae::{
    Activation, Autoencoder, Code, Engine, Error, Initialization, Isa, Samples, Scaling, Settings,
    Trainer, compute::ThreadPool,
};

/// More than a chunk of any code.
const ROWS: usize = 1100;
const FEATURES: usize = 17;

fn numbers() -> Vec<f32> {
    (0..ROWS * FEATURES).map(|at| (at * 79 % 211) as f32 / 211.0).collect()
}

fn engine(threads: usize) -> Engine {
    Engine::new(Isa::detect(), ThreadPool::exactly(threads))
}

/// Networks of every code, deep ones, tied ones, and one with a skip connection.
fn networks() -> Vec<Autoencoder> {
    let layers = vec![FEATURES, 40, FEATURES];
    let base = Settings { layers, beta: 0.0, batch: 50, ..Settings::default() };
    let jump = "jump-relu:0.05".parse().unwrap();
    let mut all = vec![
        base.clone(),
        Settings { layers: vec![FEATURES, 20, 6, 9, FEATURES], ..base.clone() },
        Settings { tied: true, ..base.clone() },
        Settings { code: Code::TopK(3), ..base.clone() },
        Settings { code: Code::BatchTopK(3), ..base.clone() },
        Settings { code: jump, ..base.clone() },
        Settings {
            code: Code::TopK(3),
            layers: vec![FEATURES, 20, 30, 20, FEATURES],
            ..base.clone()
        },
    ];
    let (initialization, output_activation) = (Initialization::He, Activation::Linear);
    all.push(Settings {
        skip: true,
        code: Code::TopK(5),
        initialization,
        output_activation,
        ..base
    });
    let samples = Samples::from_values(numbers(), FEATURES).unwrap();
    let trained = |settings: Settings| {
        // Steps, so that batch-top-k has a threshold.
        let samples = match settings.skip {
            true => samples.with_targets(samples.clone()).unwrap(),
            false => samples.clone(),
        };
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        for _ in 0..3 {
            trainer.step().unwrap();
        }
        trainer.into_autoencoder()
    };
    all.into_iter().map(trained).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn slices_have_the_bits_of_samples() {
    let rows = numbers();
    let samples = Samples::from_values(rows.clone(), FEATURES).unwrap();
    // One engine for all of them, whose memory is another's at first.
    for mut engine in [engine(1), engine(3)] {
        for net in networks() {
            let what = format!("{:?} {:?}", net.settings().layers, net.settings().code);
            let units = net.settings().code_units();
            let codes = net.encode(&mut engine, &samples).unwrap();
            let outputs = net.reconstruct(&mut engine, &samples).unwrap();
            for at_once in [1, 7, ROWS] {
                let mut own_codes = vec![f32::NAN; ROWS * units];
                let mut own_outputs = vec![f32::NAN; ROWS * FEATURES];
                let mut decoded = own_outputs.clone();
                for start in (0..ROWS).step_by(at_once) {
                    let range = |width: usize| start * width..ROWS.min(start + at_once) * width;
                    let (features, code) = (range(FEATURES), range(units));
                    let rows = &rows[features.clone()];
                    net.encode_into(&mut engine, rows, &mut own_codes[code.clone()]).unwrap();
                    let out = &mut own_outputs[features.clone()];
                    net.reconstruct_into(&mut engine, rows, out).unwrap();
                    if !net.settings().skip {
                        let (code, out) = (&codes[code], &mut decoded[features]);
                        net.decode_into(&mut engine, code, out).unwrap();
                    }
                }
                assert_eq!(bits(&own_codes), bits(&codes), "{what}, {at_once} at once");
                assert_eq!(bits(&own_outputs), bits(&outputs), "{what}, {at_once} at once");
                if !net.settings().skip {
                    let expected = net.decode(&mut engine, &codes).unwrap();
                    assert_eq!(bits(&decoded), bits(&expected), "{what}, {at_once} at once");
                }
            }
        }
    }
}

#[test]
fn an_engine_may_serve_several_networks_in_turn() {
    let (rows, nets) = (numbers(), networks());
    let rows = &rows[..FEATURES];
    let code = |engine: &mut Engine, net: &Autoencoder| {
        let mut code = vec![0.0; net.settings().code_units()];
        net.encode_into(engine, rows, &mut code).unwrap();
        bits(&code)
    };
    let expected: Vec<_> = nets.iter().map(|net| code(&mut engine(1), net)).collect();
    let mut shared = engine(2);
    for _ in 0..2 {
        for (net, expected) in nets.iter().zip(&expected) {
            assert_eq!(code(&mut shared, net), *expected);
        }
    }
    // Of equal settings and other parameters.
    let mut other = nets[3].clone();
    other.parameters_mut().iter_mut().for_each(|weight| *weight *= 0.5);
    let expected = code(&mut engine(1), &other);
    code(&mut shared, &nets[3]);
    assert_eq!(code(&mut shared, &other), expected);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let nets = networks();
    let (net, engine) = (&nets[3], &mut engine(1));
    let mut codes = vec![7.0; 40];
    let message = |error: Error| {
        assert!(matches!(error, Error::Shape(_)));
        error.to_string()
    };
    let short = net.encode_into(engine, &[0.0; FEATURES - 1], &mut codes).unwrap_err();
    assert!(message(short).contains("rows: expected a multiple of 17 numbers, got 16"));
    let two = net.encode_into(engine, &[0.0; 2 * FEATURES], &mut codes).unwrap_err();
    assert!(message(two).contains("codes: expected 2 x 40 numbers, got 40"));
    let mut rows = [0.0; 2 * FEATURES];
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        rows[FEATURES + 3] = wrong;
        let refused = net.encode_into(engine, &rows, &mut vec![7.0; 80]).unwrap_err();
        let expected = format!("rows: row 1, number 3 is {wrong}");
        let text = message(refused);
        assert!(text.contains(&expected), "{text}");
        codes[5] = wrong;
        let refused = net.decode_into(engine, &codes, &mut [0.0; FEATURES]).unwrap_err();
        assert!(message(refused).contains("codes: row 0, number 5"));
        codes[5] = 7.0;
    }
    assert!(codes.iter().all(|&code| code == 7.0));
    net.encode_into(engine, &[], &mut []).unwrap();
    net.reconstruct_into(engine, &[], &mut []).unwrap();
    let skip = nets.last().unwrap();
    let refused = skip.decode_into(engine, &[0.0; 40], &mut [0.0; FEATURES]).unwrap_err();
    assert!(matches!(refused, Error::Setting { field: "skip", .. }), "{refused}");
    // A network whose scaling is not that of the rows takes them as they are.
    let net = Autoencoder::new(net.settings().clone(), Scaling::Byte).unwrap();
    net.encode_into(engine, &[0.5; FEATURES], &mut codes).unwrap();
}

/// Numbers that the caller owns give what a vector of them gives, also with targets, selected, and scaled.
#[test]
fn borrowed_memory() {
    let (values, targets) = (pixels(1, 50, 12), pixels(2, 50, 5));
    let owned = Samples::from_values(values.clone(), 12).unwrap();
    let settings = Settings { layers: vec![12, 6, 12], batch: 10, ..Settings::default() };
    let mut trainer = Trainer::new(settings, &owned).unwrap();
    let borrowed = SamplesOf::from_slice(&values, 12).unwrap();
    assert_eq!((borrowed.len(), borrowed.features()), (50, 12));
    // (Some of its figures are NaN here.)
    let [here, there] = [&borrowed, &owned].map(|samples| trainer.evaluate(samples).unwrap());
    assert_eq!(format!("{here:?}"), format!("{there:?}"));
    assert_eq!(trainer.encode(&borrowed).unwrap(), trainer.encode(&owned).unwrap());
    let (engine, net) = trainer.parts();
    assert!(
        net.reconstruct(engine, &borrowed).unwrap() == net.reconstruct(engine, &owned).unwrap()
    );
    let sides = |samples: &SamplesOf<'_>| {
        let held = HeldOut::Random { count: 9, seed: 3 };
        let with = samples.with_targets(SamplesOf::from_slice(&targets, 5).unwrap()).unwrap();
        let (_, held) = with.hold_out(held).unwrap();
        let scaled = held.scaled(Scaling::Byte);
        let mut row = vec![0.0; 12];
        held.thinned(4).gather(2, &mut row).unwrap();
        (row, scaled.scaling(), held.targets().unwrap().len())
    };
    assert_eq!(sides(&borrowed), sides(&owned));
    for (numbers, features) in [(&values[..0], 12), (&values[..13], 12), (&values[..12], 0)] {
        let borrowed = SamplesOf::from_slice(numbers, features).unwrap_err().to_string();
        let owned = Samples::from_values(numbers.to_vec(), features).unwrap_err().to_string();
        assert_eq!(borrowed, owned);
        assert!(owned.contains("are not one or more samples of"), "{owned}");
    }
}
