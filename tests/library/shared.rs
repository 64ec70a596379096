//! Samples in memory that another owns: the same training as from a file or from numbers of one's
//! own, and nothing is copied.

use std::sync::Arc;

use crate::common::{pixels, uniform};
use crate::folder::Folder;
use sae::{
    Samples, Scaling, Settings, Trainer,
    data::{Array, Element, write_idx},
};

/// Whose memory it is, counted.
#[derive(Clone)]
struct Owner<T>(Arc<Vec<T>>);

impl<T> AsRef<[T]> for Owner<T> {
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

const FEATURES: usize = 12;

fn shared<T: Element>(values: Vec<T>, scaling: Scaling) -> sae::Result<Samples> {
    Ok(Samples::new(Array::from_values(values, FEATURES)?, scaling))
}

fn trained(samples: &Samples) -> Vec<f32> {
    let layers = vec![FEATURES, 5, FEATURES];
    let settings = Settings { layers, batch: 7, allow_unreachable: true, ..Settings::default() };
    let mut trainer = Trainer::new(settings, samples).unwrap();
    for _ in 0..30 {
        trainer.step().unwrap();
    }
    assert!(trainer.evaluate(samples).unwrap().objective.is_finite());
    trainer.autoencoder().parameters().to_vec()
}

fn bytes() -> Vec<u8> {
    uniform(1, 50 * FEATURES).into_iter().map(|value| (256.0 * value) as u8).collect()
}

#[test]
fn bytes_train_as_those_of_a_file() {
    let folder = Folder::new("shared");
    let path = folder.0.join("bytes-idx2-ubyte");
    write_idx(&path, &[50, FEATURES], &bytes()).unwrap();
    let least = Scaling::fit_min_max(&Array::open(&path).unwrap()).unwrap();
    for scaling in [Scaling::Byte, Scaling::AsIs, least] {
        let file = Samples::new(Array::open(&path).unwrap(), scaling.clone());
        let memory = shared(bytes(), scaling.clone()).unwrap();
        assert_eq!((memory.len(), memory.features()), (50, FEATURES));
        assert!(trained(&file) == trained(&memory), "{scaling:?}");
    }
}

#[test]
fn values_train_as_ones_own_and_are_scaled() {
    let values = pixels(2, 50, FEATURES);
    let own = Samples::from_values(values.clone(), FEATURES).unwrap();
    let wide: Vec<f32> = values.iter().map(|value| value * 4.0 + 8.0).collect();
    let scaling = Scaling::MinMax { min: 8.0, max: 12.0 };
    let scaled = shared(wide, scaling).unwrap();
    let as_is = shared(values, Scaling::AsIs).unwrap();
    assert!(trained(&own) == trained(&as_is));
    let (mut one, mut other) = ([0.0; FEATURES], [0.0; FEATURES]);
    for sample in 0..50 {
        own.gather(sample, &mut one).unwrap();
        scaled.gather(sample, &mut other).unwrap();
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6), "{sample}");
    }
}

#[test]
fn the_owner_is_held_and_let_go() {
    let owner = Owner(Arc::new(pixels(3, 50, FEATURES)));
    let array = Array::from_values::<f32>(owner.clone(), FEATURES).unwrap();
    let samples = Samples::new(array, Scaling::AsIs);
    let settings =
        Settings { layers: vec![FEATURES, 5, FEATURES], batch: 7, ..Settings::default() };
    let trainer = Trainer::new(settings, &samples).unwrap();
    let (first, rest) = samples.split(20).unwrap();
    drop(samples);
    assert_eq!(Arc::strong_count(&owner.0), 2);
    drop((trainer, first, rest));
    assert_eq!(Arc::strong_count(&owner.0), 1);
}

#[test]
fn what_is_not_whole_or_not_finite_is_refused() {
    let said = |samples: sae::Result<Samples>| samples.unwrap_err().to_string();
    let expected = "13 numbers are not one or more samples of 12 features";
    let (floats, bytes) = (vec![0f32; 13], vec![0u8; 13]);
    assert_eq!(said(shared(floats, Scaling::AsIs)), expected);
    assert_eq!(said(shared(bytes, Scaling::Byte)), expected);
    said(shared(Vec::<u8>::new(), Scaling::Byte));
    said(Samples::from_values(vec![0.0], 0));
    let mut values = pixels(4, 50, FEATURES);
    values[17 * FEATURES + 3] = f32::NAN;
    let samples = shared(values, Scaling::AsIs).unwrap();
    let problem = samples.gather(17, &mut [0.0; FEATURES]).unwrap_err().to_string();
    assert_eq!(problem, "sample 17, feature 3 is NaN; finite numbers were expected");
}
