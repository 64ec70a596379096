//! The selection of the active units of an exactly sparse code.

use sae_kernels::sparse::{Candidates, Encode, Jump};
use sae_kernels::{Activation, Bands, Division, ListsMut, Matrix};

use crate::compute::Engine;
use crate::network::batch_selection::BatchSelection;
use crate::network::codes::{Codes, Counts};
use crate::network::forward::LayerView;
use crate::settings::{Code, Settings};

/// What a code is selected for.
pub(crate) enum Selection<'a> {
    /// A training step: batch-top-k chooses among the whole batch, and a JumpReLU lists what its
    /// thresholds learn from, too.
    Training(&'a mut dyn Counts),
    /// Samples that have nothing to do with each other: batch-top-k uses its threshold.
    Inference,
}

/// The selection of an exactly sparse code, and its memory for a number of samples at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    code: Code,
    units: usize,
    pub codes: Codes,
    /// JumpReLU in training: of each entry, the activation before the jump.
    pub pre: Vec<f32>,
    /// JumpReLU: of each unit.
    pub thresholds: Vec<f32>,
    /// What JumpReLU's parameters are multiplied by to give thresholds.
    pub scale: f32,
    /// Where thresholds decide: what an activation has to reach to be listed, of each unit.
    floors: Vec<f32>,
    /// Top-k: candidates of each sample, and what the next one has to reach.
    keys: Vec<u64>,
    key_floors: Vec<f32>,
    batch_selection: BatchSelection,
}

impl Gate {
    /// For inference, some `samples` at a time.
    pub fn new(settings: &Settings, samples: usize) -> Self {
        Self::of(settings, samples, 0)
    }

    /// For the training of a rank's `samples` of each batch.
    pub fn for_training(settings: &Settings, samples: usize, threads: usize) -> Self {
        Self::of(settings, samples, threads)
    }

    /// For training, if there are threads.
    fn of(settings: &Settings, samples: usize, threads: usize) -> Self {
        let (code, units) = (settings.code, settings.code_units());
        let trains = threads > 0;
        let (mut keys, mut floors) = (0, 0);
        let mut batch_selection = BatchSelection::default();
        let entries = match code {
            Code::Dense => 0,
            Code::TopK(k) => {
                keys = samples * Candidates::width(k, units);
                samples * k
            }
            Code::BatchTopK(k) if trains => {
                let kept = settings.batch * k;
                batch_selection = BatchSelection::new(kept, samples, units, threads);
                kept.min(samples * units)
            }
            Code::BatchTopK(_) | Code::JumpRelu { .. } => {
                floors = units;
                samples * units
            }
        };
        let learns = matches!(code, Code::JumpRelu { .. });
        Gate {
            code,
            units,
            codes: Codes::new(samples, entries),
            pre: vec![0.0; if learns && trains { entries } else { 0 }],
            thresholds: vec![0.0; if learns { units } else { 0 }],
            scale: 1.0,
            floors: vec![0.0; floors],
            keys: vec![0; keys],
            key_floors: vec![0.0; if keys > 0 { samples } else { 0 }],
            batch_selection,
        }
    }

    /// Makes it that of a training's batch of another number of samples, at most as many as it was made for.
    pub fn resize(&mut self, samples: usize) {
        if let Code::BatchTopK(k) = self.code {
            self.batch_selection.kept = samples * k;
        }
    }

    /// Lists the active units of samples, whose inputs of the code layer these are, `[samples,
    /// inputs]`; `parameters` are those behind the layers. Returns the smallest activation that
    /// batch-top-k kept in a training step, if it kept any.
    pub fn encode(
        &mut self,
        engine: &mut Engine,
        input: Matrix<'_>,
        layer: LayerView<'_>,
        parameters: &[f32],
        selection: Selection<'_>,
    ) -> Option<f32> {
        let encode = Encode {
            input,
            weights: layer.weights.transposed(),
            biases: layer.biases,
            activation: layer.activation,
        };
        match (self.code, selection) {
            (Code::Dense, _) => {}
            (Code::TopK(k), _) => self.largest(engine, encode, k),
            (Code::BatchTopK(_), Selection::Training(counts)) => {
                let Gate { codes, batch_selection, .. } = self;
                return batch_selection.encode(engine, encode, codes, counts);
            }
            (Code::BatchTopK(_), Selection::Inference) => {
                self.floors.fill(parameters[0].next_up());
                self.above(engine, encode);
            }
            (Code::JumpRelu { bandwidth, .. }, selection) => {
                self.scale = parameters[self.units];
                let thresholds = self.thresholds.iter_mut().zip(parameters);
                thresholds.for_each(|(threshold, &multiple)| *threshold = multiple * self.scale);
                let jump = Jump { bandwidth: bandwidth as f32 * self.scale, l0: 0.0 };
                let trains = matches!(selection, Selection::Training(_));
                let floor = |&threshold: &f32| match trains {
                    true => jump.floor(threshold).min(threshold.next_up()),
                    false => threshold.next_up(),
                };
                self.floors.iter_mut().zip(&self.thresholds).for_each(|(to, t)| *to = floor(t));
                // What is above a threshold is positive, and below it a ReLU would hide how far.
                let activation = match layer.activation {
                    Activation::Relu => Activation::Linear,
                    other => other,
                };
                self.above(engine, Encode { activation, ..encode });
                if trains {
                    self.jump(engine);
                }
            }
        }
        None
    }

    /// Takes part in the selections of a step in which this rank has failed and has no activations.
    pub fn select_nothing(&mut self, counts: &mut dyn Counts) {
        if let Code::BatchTopK(_) = self.code {
            self.batch_selection.select_nothing(counts);
        }
    }

    /// The `k` largest of each sample; samples divided among the threads.
    fn largest(&mut self, engine: &mut Engine, encode: Encode<'_>, k: usize) {
        let (n, inputs) = encode.input.shape();
        let Gate { units, codes, keys, key_floors, .. } = self;
        codes.begin(n, k);
        let width = Candidates::width(k, *units);
        let division = engine.divide(n, *units * inputs);
        let keys = Bands::new(&mut keys[..n * width], width, division);
        let floors = Bands::new(&mut key_floors[..n], 1, division);
        let lists = ListsParts::new(codes, n, k, division);
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let input = encode.input.rows(division.range(part));
            let candidates = Candidates { keys: keys.take(part), floors: floors.take(part) };
            scratch.with(thread, |scratch| {
                let encode = Encode { input, ..encode };
                encode.largest(*isa, k, candidates, lists.take(part), scratch);
            });
        });
        codes.end_after_counts();
    }

    /// What reaches the floors; samples divided among the threads.
    fn above(&mut self, engine: &mut Engine, encode: Encode<'_>) {
        let (n, inputs) = encode.input.shape();
        let Gate { units, codes, floors, .. } = self;
        codes.begin(n, *units);
        let division = engine.divide(n, *units * inputs);
        let lists = ListsParts::new(codes, n, *units, division);
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let input = encode.input.rows(division.range(part));
            scratch.with(thread, |scratch| {
                Encode { input, ..encode }.above(*isa, floors, lists.take(part), scratch);
            });
        });
        codes.end_after_counts();
    }

    /// Keeps what the activations were before the jump, and sets those that are not above their
    /// unit's threshold to 0; samples divided among the threads.
    fn jump(&mut self, engine: &mut Engine) {
        let Gate { codes, pre, thresholds, .. } = self;
        let n = codes.starts.len();
        let division = engine.divide(n, 64);
        let end = codes.place(n);
        let Codes { starts, ends, units, activations } = codes;
        let place = |sample: usize| starts.get(sample).map_or(end, |&start| start as usize);
        let activations = Bands::ragged(activations, division, place);
        let pre = Bands::ragged(pre, division, place);
        let (starts, ends, units) = (&*starts, &*ends, &*units);
        engine.pool.run(division.parts(), |part, _| {
            let (activations, pre) = (activations.take(part), pre.take(part));
            let samples = division.range(part);
            let first = starts.get(samples.start).map_or(0, |&start| start as usize);
            for sample in samples {
                let entries = starts[sample] as usize..ends[sample] as usize;
                for at in entries {
                    let (z, unit) = (activations[at - first], units[at] as usize);
                    pre[at - first] = z;
                    // A NaN stays.
                    if z <= thresholds[unit] {
                        activations[at - first] = 0.0;
                    }
                }
            }
        });
    }
}

/// Lists of one width, divided among the threads that fill them.
pub(crate) struct ListsParts<'a> {
    counts: Bands<'a, u32>,
    units: Bands<'a, u32>,
    activations: Bands<'a, f32>,
}

impl<'a> ListsParts<'a> {
    pub fn new(codes: &'a mut Codes, n: usize, width: usize, division: Division) -> Self {
        let Codes { ends, units, activations, .. } = codes;
        ListsParts {
            counts: Bands::new(ends, 1, division),
            units: Bands::new(&mut units[..n * width], width, division),
            activations: Bands::new(&mut activations[..n * width], width, division),
        }
    }

    pub fn take(&self, part: usize) -> ListsMut<'_> {
        ListsMut {
            counts: self.counts.take(part),
            indices: self.units.take(part),
            values: self.activations.take(part),
        }
    }
}
