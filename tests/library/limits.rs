//! The smallest and the largest: one feature, one unit, one sample, many features, batches longer
//! than the data. Each trains to finite numbers, the same bits on every fused set and for any
//! number of threads.

use crate::common::pixels;
use sae::{Isa, Samples, Settings, Trainer, compute::ThreadPool};

/// Bits of the weights after some steps, and of the codes.
fn trained(
    layers: &[usize],
    samples: &Samples,
    batch: usize,
    isa: Isa,
    threads: usize,
) -> Vec<u32> {
    let settings =
        Settings { layers: layers.into(), batch, beta: 1e-3, lambda: 1e-4, ..Settings::default() };
    let mut trainer = Trainer::builder(settings)
        .isa(isa)
        .pool(ThreadPool::exactly(threads))
        .build(samples)
        .unwrap();
    for _ in 0..4 {
        let report = trainer.step().unwrap();
        assert!(trainer.objective(report).is_finite());
    }
    let codes = trainer.encode(samples).unwrap();
    let reconstructed = {
        let (engine, net) = trainer.parts();
        net.reconstruct(engine, samples)
    }
    .unwrap();
    assert_eq!(reconstructed.len(), samples.len() * samples.features());
    let numbers = trainer.autoencoder().parameters().iter().chain(&codes).chain(&reconstructed);
    numbers
        .map(|number| {
            assert!(number.is_finite());
            number.to_bits()
        })
        .collect()
}

fn same_everywhere(layers: &[usize], samples: usize, batch: usize) {
    let data = Samples::from_values(pixels(5, samples, layers[0]), layers[0]).unwrap();
    let mut want = None;
    for isa in Isa::all().filter(|isa| isa.is_fused()) {
        for threads in [1, 3] {
            let have = trained(layers, &data, batch, isa, threads);
            let want = want.get_or_insert_with(|| have.clone());
            assert!(*want == have, "{layers:?}, {} with {threads} threads", isa.name());
        }
    }
}

#[test]
fn one_feature() {
    same_everywhere(&[1, 7, 1], 20, 6);
    same_everywhere(&[1, 1, 1], 20, 6);
}

#[test]
fn one_unit() {
    same_everywhere(&[30, 1, 30], 20, 6);
    same_everywhere(&[9, 1, 1, 1, 9], 20, 6);
}

#[test]
fn one_sample() {
    same_everywhere(&[30, 5, 30], 1, 1);
    same_everywhere(&[30, 5, 30], 1, 6);
}

#[test]
fn many_features() {
    same_everywhere(&[65_536, 2, 65_536], 3, 2);
}

/// The batch goes through the data as often as it takes.
#[test]
fn a_batch_longer_than_the_data() {
    same_everywhere(&[30, 5, 30], 7, 50);
}

#[test]
fn a_batch_of_one() {
    same_everywhere(&[30, 5, 30], 7, 1);
}

/// More samples in a batch than a block of the products has rows and k.
#[test]
fn a_large_batch() {
    same_everywhere(&[20, 6, 20], 30, 2100);
}
