//! Sparse codes for the caller: of each sample the units that are not 0.

use std::collections::TryReserveError;
use std::ops::Range;

use sae_kernels::Lists;

use crate::compute::Engine;
use crate::data::samples::SamplesOf;
use crate::error::{Error, Result, counted};
use crate::network::autoencoder::{Autoencoder, Chunk, Depth};
use crate::network::pass::{CHUNK, Inputs};
use crate::settings::Code;

/// Codes `[samples, units]` as a sparse matrix in CSR format, as SciPy's `csr_matrix` has it.
///
/// Sample `i` has the entries from `indptr[i]` to `indptr[i + 1]`. The default value is memory for
/// [`Autoencoder::encode_sparse`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseCodes {
    /// Where each sample's entries begin, and the last one's end, `[samples + 1]`.
    pub indptr: Vec<u64>,
    /// The unit of each entry, rising within a sample.
    pub indices: Vec<u32>,
    /// The activation of each entry.
    pub values: Vec<f32>,
    /// Units of the code.
    pub units: usize,
}

impl SparseCodes {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// The units of a sample that are not 0, rising, and their activations.
    ///
    /// # Panics
    /// There is no such sample, or its entries are not among the indices and values.
    pub fn row(&self, sample: usize) -> (&[u32], &[f32]) {
        let entries = self.entries(sample..sample + 1);
        (&self.indices[entries.clone()], &self.values[entries])
    }

    /// Places of the entries of some samples.
    fn entries(&self, samples: Range<usize>) -> Range<usize> {
        self.indptr[samples.start] as usize..self.indptr[samples.end] as usize
    }

    /// Makes it empty, with room for samples and, if their number is known, their entries.
    fn begin(
        &mut self,
        units: usize,
        samples: usize,
        entries: usize,
    ) -> std::result::Result<(), TryReserveError> {
        self.units = units;
        self.indptr.clear();
        self.indices.clear();
        self.values.clear();
        self.indptr.try_reserve_exact(samples.saturating_add(1))?;
        self.indices.try_reserve_exact(entries)?;
        self.values.try_reserve_exact(entries)?;
        self.indptr.push(0);
        Ok(())
    }

    /// Appends the lists of some samples.
    fn extend_by_lists(&mut self, lists: Lists<'_>) -> std::result::Result<(), TryReserveError> {
        let count = (0..lists.rows()).map(|sample| lists.entries(sample).len()).sum();
        self.indices.try_reserve(count)?;
        self.values.try_reserve(count)?;
        for (units, activations) in (0..lists.rows()).map(|sample| lists.row(sample)) {
            self.indices.extend_from_slice(units);
            self.values.extend_from_slice(activations);
            self.indptr.push(self.indices.len() as u64);
        }
        Ok(())
    }

    /// Appends what is not 0 in some samples' codes, `[n, units]`.
    fn extend_by_rows(&mut self, codes: &[f32]) -> std::result::Result<(), TryReserveError> {
        let count = codes.iter().filter(|&&activation| activation != 0.0).count();
        self.indices.try_reserve(count)?;
        self.values.try_reserve(count)?;
        for code in codes.chunks_exact(self.units) {
            let entries = (0..).zip(code).filter(|&(_, &activation)| activation != 0.0);
            for (unit, &activation) in entries {
                self.indices.push(unit);
                self.values.push(activation);
            }
            self.indptr.push(self.indices.len() as u64);
        }
        Ok(())
    }

    /// Fails unless these are codes of this number of units.
    fn check(&self, units: usize) -> Result<()> {
        let wrong = |problem: String| Err(Error::Shape(problem));
        if self.units != units {
            return wrong(format!(
                "the sparse codes have {}; expected {units}, those of the network's code",
                counted(self.units, "unit")
            ));
        }
        let (indices, values) = (self.indices.len(), self.values.len());
        if indices != values {
            return wrong(format!(
                "the sparse codes have {indices} indices and {values} values; expected one value per index"
            ));
        }
        let (Some(&first), Some(&last)) = (self.indptr.first(), self.indptr.last()) else {
            return wrong("indptr is empty; expected one number more than samples".to_owned());
        };
        if first != 0 {
            return wrong(format!("indptr begins with {first}; expected 0"));
        }
        if let Some(sample) = self.indptr.windows(2).position(|pair| pair[0] > pair[1]) {
            let (start, end) = (self.indptr[sample], self.indptr[sample + 1]);
            return wrong(format!(
                "indptr falls from {start} to {end} at sample {sample}; expected rising numbers"
            ));
        }
        if last != indices as u64 {
            return wrong(format!(
                "indptr ends with {last}; expected {indices}, the number of indices"
            ));
        }
        (0..self.samples()).try_for_each(|sample| self.check_sample(sample))
    }

    /// Fails unless a sample's units rise and exist, and its activations are finite.
    fn check_sample(&self, sample: usize) -> Result<()> {
        let wrong = |problem: String| Err(Error::Shape(format!("sample {sample}: {problem}")));
        let (indices, values) = self.row(sample);
        if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
            let [before, after] = [pair[0], pair[1]];
            return wrong(format!("index {before} is before {after}; expected rising indices"));
        }
        if let Some(&last) = indices.last().filter(|&&last| last as usize >= self.units) {
            return wrong(format!("index {last} of a code of {} units", self.units));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (unit, value) = (indices[at], values[at]);
            return wrong(format!("unit {unit} is {value}; finite numbers were expected"));
        }
        Ok(())
    }
}

impl Autoencoder {
    /// Codes of samples, without their zeros; the memory of `codes` is used again.
    ///
    /// What was in `codes` is replaced. No matrix `[samples, units]` is written. The code of a
    /// [`Code::Dense`] has those of its activations that are not 0, which for most activation functions
    /// are all.
    ///
    /// ```
    /// use sae::{Autoencoder, Code, Engine, Isa, Samples, Scaling, Settings};
    /// use sae::{compute::ThreadPool, network::SparseCodes};
    ///
    /// # fn main() -> Result<(), sae::Error> {
    /// let values: Vec<f32> = (0..200 * 16).map(|i| (i * i % 11) as f32 / 10.0).collect();
    /// let samples = Samples::from_values(values, 16)?;
    /// let layers = vec![16, 64, 16];
    /// let settings = Settings { layers, code: Code::TopK(4), beta: 0.0, ..Settings::default() };
    /// let net = Autoencoder::new(settings, Scaling::AsIs)?;
    /// let mut engine = Engine::new(Isa::detect(), ThreadPool::new(2));
    /// let mut codes = SparseCodes::default();
    /// net.encode_sparse(&mut engine, &samples, &mut codes)?;
    /// assert_eq!((codes.samples(), codes.units), (200, 64));
    /// let (units, activations) = codes.row(7);
    /// assert_eq!((units.len(), activations.len()), (4, 4));
    /// let decoded = net.decode_sparse(&mut engine, &codes)?; // [200, 16]
    /// assert_eq!(decoded, net.reconstruct(&mut engine, &samples)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Autoencoder::encode`]; `codes` then has no samples.
    pub fn encode_sparse(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        codes: &mut SparseCodes,
    ) -> Result<()> {
        let done = self.fill(engine, samples, codes);
        if done.is_err() {
            codes.indptr.clear();
            codes.indices.clear();
            codes.values.clear();
        }
        done
    }

    /// [`Self::encode_sparse`], which may end with some of the codes.
    fn fill(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        codes: &mut SparseCodes,
    ) -> Result<()> {
        let (count, layers) = (samples.len(), self.settings.encoder_layers());
        let too_many = |_| {
            let problem = "do not fit in memory; split them (Samples::split)";
            Error::Shape(format!("the sparse codes of {count} samples {problem}"))
        };
        let is_sparse = self.settings.is_gated(layers - 1);
        let entries = match self.settings.code {
            Code::TopK(k) => count.saturating_mul(k),
            _ => 0,
        };
        codes.begin(self.settings.code_units(), count, entries).map_err(too_many)?;
        self.try_for_chunks(
            engine,
            &samples.without_targets(),
            Depth { layers, logits: false },
            |_, chunk| {
                let Chunk { outputs, codes: lists, .. } = chunk;
                let added = match is_sparse {
                    true => codes.extend_by_lists(lists),
                    false => codes.extend_by_rows(&outputs[layers - 1]),
                };
                added.map_err(too_many)
            },
        )?;
        Ok(())
    }

    /// Reconstructions `[samples, features]` from sparse codes, with the bits of
    /// [`Autoencoder::decode`] of the same codes. No matrix `[samples, units]` is written.
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not codes of this network: another number of units, an `indptr`
    /// that does not begin with 0, falls, or does not end with the number of indices, indices that are
    /// not below the units or do not rise within a sample, or values that are not finite; and if the
    /// reconstructions do not fit in memory.
    pub fn decode_sparse(&self, engine: &mut Engine, codes: &SparseCodes) -> Result<Vec<f32>> {
        let units = self.settings.code_units();
        codes.check(units)?;
        let samples = codes.samples();
        // Places within a chunk are u32.
        let rows = CHUNK.min(u32::MAX as usize / units).max(1);
        let chunks: Vec<Range<usize>> =
            (0..samples).step_by(rows).map(|start| start..samples.min(start + rows)).collect();
        let (mut starts, mut ends) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
        for chunk in &chunks {
            let places = &codes.indptr[chunk.start..=chunk.end];
            let place = |&place: &u64| (place - places[0]) as u32;
            starts.extend(places[..chunk.len()].iter().map(place));
            ends.extend(places[1..].iter().map(place));
        }
        let lists = chunks.into_iter().map(|chunk| {
            let entries = codes.entries(chunk.clone());
            let (indices, values) = (&codes.indices[entries.clone()], &codes.values[entries]);
            let (starts, ends) = (&starts[chunk.clone()], &ends[chunk]);
            Inputs::Sparse(Lists::new(starts, ends, indices, values))
        });
        self.decode_chunks(engine, samples, lists)
    }
}
