//! Valid settings tried out, where they are small.

use sae::{Autoencoder, Samples, Scaling, Settings, Trainer};

/// Makes the network and a trainer, whose steps may fail but not panic. Memory is bounded: larger
/// settings are left alone.
pub fn train(settings: Settings) {
    let layers = &settings.layers;
    if layers.len() > 64 || layers.iter().any(|&units| units > 64) || settings.batch > 64 {
        return;
    }
    let (features, outputs) = (layers[0], layers[layers.len() - 1]);
    let has_targets = settings.skip || features != outputs;
    let net = match has_targets {
        true => Autoencoder::transcoder(settings.clone(), Scaling::AsIs, Scaling::AsIs),
        false => Autoencoder::new(settings.clone(), Scaling::AsIs),
    };
    let net = net.expect("validated");
    assert!(net.parameters().iter().all(|number| number.is_finite()));
    let bytes = net.to_bytes().expect("finite");
    let again = Autoencoder::from_bytes("fuzz", &bytes).expect("its own bytes");
    assert_eq!(net, again);
    let rows = |features: usize| {
        let values = (0..3 * features).map(|at| (at % 5) as f32 * 0.25).collect();
        Samples::from_values(values, features).expect("three samples")
    };
    let mut samples = rows(features);
    if has_targets {
        samples = samples.with_targets(rows(outputs)).expect("as many");
    }
    let mut trainer = Trainer::builder(settings).threads(1).build(&samples).expect("validated");
    for _ in 0..2 {
        if trainer.step().is_err() {
            break;
        }
    }
    let _ = trainer.evaluate(&samples);
}
