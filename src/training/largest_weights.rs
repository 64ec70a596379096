//! The largest weight of each layer, which bounds the next step's gradients.

use crate::compute::{Engine, Largest};
use crate::network::layers::Layer;

/// The largest magnitudes of each layer's weights, and of those of a skip connection behind the layers',
/// as far as they are known.
#[derive(Debug)]
pub(crate) struct LargestWeights {
    layers: Vec<Largest>,
    known: bool,
}

impl LargestWeights {
    pub fn new(layers: usize) -> Self {
        LargestWeights { layers: (0..layers).map(|_| Largest::default()).collect(), known: false }
    }

    /// Forgets them, the weights having been changed from outside.
    pub fn forget(&mut self) {
        self.known = false;
    }

    /// Begins an update of all weights, in which each layer's are raised.
    pub fn begin_update(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.set(0.0));
    }

    pub fn of(&self, layer: usize) -> &Largest {
        &self.layers[layer]
    }

    /// Reads the weights unless their largest are known.
    pub fn measure(
        &mut self,
        engine: &mut Engine,
        layers: impl Iterator<Item = Layer>,
        parameters: &[f32],
    ) {
        if !self.known {
            for (largest, layer) in self.layers.iter_mut().zip(layers) {
                largest.set(engine.largest_magnitude(&parameters[layer.weights()]));
            }
            self.known = true;
        }
    }
}
