//! Valid settings tried out, where they are small.

use sae::{Autoencoder, Samples, Scaling, Settings, Trainer};

/// Makes the network and a trainer, whose steps may fail but not panic. Memory is bounded: larger
/// settings are left alone.
pub fn train(settings: Settings) {
    let layers = &settings.layers;
    if layers.len() > 64 || layers.iter().any(|&units| units > 64) || settings.batch > 64 {
        return;
    }
    let net = Autoencoder::new(settings.clone(), Scaling::AsIs).expect("validated");
    assert!(net.parameters().iter().all(|number| number.is_finite()));
    let bytes = net.to_bytes().expect("finite");
    let again = Autoencoder::from_bytes("fuzz", &bytes).expect("its own bytes");
    assert_eq!(net, again);
    let features = layers[0];
    let values = (0..3 * features).map(|at| (at % 5) as f32 * 0.25).collect();
    let samples = Samples::from_values(values, features).expect("three samples");
    let mut trainer = Trainer::builder(settings).threads(1).build(&samples).expect("validated");
    for _ in 0..2 {
        if trainer.step().is_err() {
            break;
        }
    }
    let _ = trainer.evaluate(&samples);
}
