//! Sparse codes out and in: the bits of dense ones, memory that is used again, refusals.

use crate::common::pixels;
use crate::counting::LARGEST;
use sae::network::SparseCodes;
use sae::{
    Activation, Autoencoder, Code, Engine, Error, Initialization, Isa, Samples, Settings, Trainer,
    compute::ThreadPool,
};

const FEATURES: usize = 12;

fn samples(count: usize) -> Samples {
    Samples::from_values(pixels(5, count, FEATURES), FEATURES).unwrap()
}

fn engine(isa: Isa, threads: usize) -> Engine {
    Engine::new(isa, ThreadPool::exactly(threads))
}

/// A network after some steps.
fn trained(layers: &[usize], activation: Activation, code: &str) -> Autoencoder {
    let settings = Settings {
        layers: layers.into(),
        activation,
        initialization: Initialization::He,
        code: code.parse().unwrap(),
        batch: 20,
        beta: 0.0,
        ..Settings::default()
    };
    let mut trainer = Trainer::new(settings, &samples(60)).unwrap();
    for _ in 0..20 {
        trainer.step().unwrap();
    }
    trainer.into_autoencoder()
}

/// Some networks, each with what its code is.
fn networks() -> Vec<(String, Autoencoder)> {
    let (relu, sigmoid) = (Activation::Relu, Activation::Sigmoid);
    let mut all = Vec::new();
    for layers in [&[FEATURES, 33, FEATURES][..], &[FEATURES, 17, 40, 9, FEATURES]] {
        for (activation, code) in [
            (sigmoid, "top-k:3"),
            (Activation::Tanh, "top-k:5"),
            (relu, "top-k:30"),
            (relu, "batch-top-k:3"),
            (relu, "jump-relu:0.01"),
            (relu, "dense"),
            (sigmoid, "dense"),
        ] {
            let name = format!("{layers:?} {activation:?} {code}");
            all.push((name, trained(layers, activation, code)));
        }
    }
    all
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The matrix `[samples, units]`.
fn dense(codes: &SparseCodes) -> Vec<f32> {
    let mut all = vec![0.0; codes.samples() * codes.units];
    for (sample, code) in all.chunks_mut(codes.units).enumerate() {
        let (units, activations) = codes.row(sample);
        units.iter().zip(activations).for_each(|(&unit, &a)| code[unit as usize] = a);
    }
    all
}

#[test]
fn the_bits_are_those_of_dense_codes() {
    // More than pass through the network at a time.
    let samples = samples(531);
    for (name, net) in networks() {
        let mut first: Option<SparseCodes> = None;
        for isa in Isa::all().filter(|isa| isa.is_fused()) {
            for threads in [1, 3] {
                let engine = &mut engine(isa, threads);
                let mut codes = SparseCodes::default();
                net.encode_sparse(engine, &samples, &mut codes).unwrap();
                assert_eq!((codes.samples(), codes.units), (531, net.settings().code_units()));
                let encoded = net.encode(engine, &samples).unwrap();
                assert_eq!(dense(&codes), encoded, "{name}");
                let entries = encoded.iter().filter(|&&a| a != 0.0).count();
                assert_eq!([codes.indices.len(), codes.values.len()], [entries; 2], "{name}");
                let decoded = bits(&net.decode_sparse(engine, &codes).unwrap());
                let reconstructed = bits(&net.reconstruct(engine, &samples).unwrap());
                assert!(decoded == reconstructed, "{name}, {}", isa.name());
                let from_dense = bits(&net.decode(engine, &encoded).unwrap());
                assert!(decoded == from_dense, "{name}, {}", isa.name());
                let first = first.get_or_insert_with(|| codes.clone());
                assert!(*first == codes, "{name}, {} with {threads} threads", isa.name());
            }
        }
        let codes = first.unwrap();
        assert!(!codes.indices.is_empty(), "{name}");
        if let Code::TopK(k) = net.settings().code {
            assert!((0..531).all(|sample| codes.row(sample).0.len() <= k), "{name}");
        }
    }
}

/// Sets on which multiply-adds round twice agree with themselves.
#[test]
fn sets_without_fusion_have_their_own_bits() {
    let samples = samples(60);
    // (Those of a dense code's decoder are a library's product.)
    let is_sparse = |net: &Autoencoder| net.settings().code != Code::Dense;
    for (name, net) in networks().into_iter().filter(|(_, net)| is_sparse(net)) {
        for isa in Isa::all().filter(|isa| !isa.is_fused()) {
            let (engine, mut codes) = (&mut engine(isa, 2), SparseCodes::default());
            net.encode_sparse(engine, &samples, &mut codes).unwrap();
            let decoded = bits(&net.decode_sparse(engine, &codes).unwrap());
            assert!(decoded == bits(&net.reconstruct(engine, &samples).unwrap()), "{name}");
        }
    }
}

#[test]
fn memory_is_used_again() {
    let engine = &mut engine(Isa::detect(), 1);
    for (name, net) in networks() {
        let mut codes = SparseCodes::default();
        net.encode_sparse(engine, &samples(531), &mut codes).unwrap();
        let memory = |codes: &SparseCodes| {
            let starts = (codes.indptr.as_ptr(), codes.indices.as_ptr(), codes.values.as_ptr());
            let SparseCodes { indptr, indices, values, .. } = codes;
            (starts, [indptr.capacity(), indices.capacity(), values.capacity()])
        };
        let (before, first) = (memory(&codes), codes.clone());
        for count in [531, 7, 531] {
            net.encode_sparse(engine, &samples(count), &mut codes).unwrap();
            assert_eq!(codes.samples(), count);
            assert!(before == memory(&codes), "{name}");
        }
        assert!(first == codes, "{name}");
    }
}

/// 4 000 samples of 20 000 units would take 320 MB.
#[test]
fn no_dense_matrix_is_written() {
    let settings = Settings {
        layers: vec![FEATURES, 20_000, FEATURES],
        code: Code::TopK(2),
        beta: 0.0,
        ..Settings::default()
    };
    let samples = samples(4000);
    let net = Trainer::new(settings, &samples).unwrap().into_autoencoder();
    let (engine, mut codes) = (&mut engine(Isa::detect(), 1), SparseCodes::default());
    LARGEST.set(0);
    net.encode_sparse(engine, &samples, &mut codes).unwrap();
    let decoded = net.decode_sparse(engine, &codes).unwrap();
    assert_eq!(decoded.len(), 4000 * FEATURES);
    assert!(LARGEST.get() < 2_000_000, "{}", LARGEST.get());
    assert_eq!(codes.indices.capacity(), 8000);
}

#[test]
fn no_samples_and_no_active_units() {
    let engine = &mut engine(Isa::detect(), 2);
    let net = trained(&[FEATURES, 33, FEATURES], Activation::Relu, "jump-relu:0.01");
    let none = SparseCodes { indptr: vec![0], units: 33, ..SparseCodes::default() };
    assert_eq!(none.samples(), 0);
    assert!(net.decode_sparse(engine, &none).unwrap().is_empty());
    let zeros = SparseCodes { indptr: vec![0; 4], units: 33, ..SparseCodes::default() };
    let want = net.decode(engine, &[0.0; 3 * 33]).unwrap();
    assert_eq!(net.decode_sparse(engine, &zeros).unwrap(), want);
    // Thresholds that nothing is above.
    let mut silent = net.clone();
    let end = silent.parameters().len();
    silent.parameters_mut()[end - 34..end - 1].fill(1e9);
    let mut codes = SparseCodes::default();
    silent.encode_sparse(engine, &samples(3), &mut codes).unwrap();
    assert_eq!(codes, zeros);
}

#[test]
fn what_are_no_codes_of_the_network_is_refused() {
    let engine = &mut engine(Isa::detect(), 1);
    let net = trained(&[FEATURES, 33, FEATURES], Activation::Relu, "top-k:2");
    let good = SparseCodes {
        indptr: vec![0, 2, 2, 3],
        indices: vec![0, 32, 7],
        values: vec![1.0, -2.0, 0.5],
        units: 33,
    };
    net.decode_sparse(engine, &good).unwrap();
    let mut refused = |change: &dyn Fn(&mut SparseCodes), sentence: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let problem = net.decode_sparse(engine, &bad).unwrap_err();
        assert!(matches!(problem, Error::Shape(_)));
        assert_eq!(problem.to_string(), sentence);
    };
    refused(
        &|c| c.units = 34,
        "the sparse codes have 34 units; expected 33, those of the network's code",
    );
    refused(
        &|c| c.values.truncate(2),
        "the sparse codes have 3 indices and 2 values; expected one value per index",
    );
    refused(&|c| c.indptr.clear(), "indptr is empty; expected one number more than samples");
    refused(&|c| c.indptr[0] = 1, "indptr begins with 1; expected 0");
    refused(&|c| c.indptr[1] = 3, "indptr falls from 3 to 2 at sample 1; expected rising numbers");
    for end in [2, 4, u64::MAX] {
        let sentence = format!("indptr ends with {end}; expected 3, the number of indices");
        refused(&|c| c.indptr[3] = end, &sentence);
    }
    refused(&|c| c.indices[1] = 33, "sample 0: index 33 of a code of 33 units");
    refused(&|c| c.indices[2] = u32::MAX, "sample 2: index 4294967295 of a code of 33 units");
    for (first, second) in [(5, 4), (4, 4)] {
        let sentence =
            format!("sample 0: index {first} is before {second}; expected rising indices");
        refused(&|c| (c.indices[0], c.indices[1]) = (first, second), &sentence);
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let sentence = format!("sample 2: unit 7 is {value}; finite numbers were expected");
        refused(&|c| c.values[2] = value, &sentence);
    }
}

#[test]
fn samples_that_are_refused_leave_no_codes() {
    let engine = &mut engine(Isa::detect(), 1);
    let net = trained(&[FEATURES, 33, FEATURES], Activation::Relu, "top-k:2");
    let mut codes = SparseCodes::default();
    net.encode_sparse(engine, &samples(60), &mut codes).unwrap();
    let narrow = Samples::from_values(vec![0.5; 10], 5).unwrap();
    let problem = net.encode_sparse(engine, &narrow, &mut codes).unwrap_err();
    assert!(problem.to_string().contains("5 features"), "{problem}");
    assert!(codes.samples() == 0 && codes.indices.is_empty() && codes.values.is_empty());
    let mut values = pixels(5, 600, FEATURES);
    values[FEATURES * 555] = f32::NAN;
    let broken = Samples::from_values(values, FEATURES).unwrap();
    let problem = net.encode_sparse(engine, &broken, &mut codes).unwrap_err();
    assert!(problem.to_string().contains("sample 555"), "{problem}");
    assert!(codes.samples() == 0 && codes.indices.is_empty() && codes.values.is_empty());
}
