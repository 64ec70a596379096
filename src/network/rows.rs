//! Codes and reconstructions of rows in memory: slices in, slices out, for a service or a loop of one's own.

use std::ops::Range;

use crate::compute::Engine;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::pass::{CHUNK, Inputs, Pass, chunk};

impl Autoencoder {
    /// Codes `[n, code]` of rows `[n, features]`, any number of them, with the bits of [`Autoencoder::encode`].
    ///
    /// Features are as the network sees them: bytes divided by 255, or whatever [`Autoencoder::scaling`] says.
    /// From the second call with this network on, nothing is allocated: the engine keeps the memory of the last
    /// network that it computed.
    ///
    /// ```
    /// use sae::{Autoencoder, Code, Engine, Isa, Scaling, Settings, compute::ThreadPool};
    ///
    /// # fn main() -> Result<(), sae::Error> {
    /// let settings = Settings { layers: vec![16, 64, 16], code: Code::TopK(4), beta: 0.0, ..Settings::default() };
    /// let net = Autoencoder::new(settings, Scaling::AsIs)?;
    /// // One engine for each thread that calls; the network is shared.
    /// let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
    /// let (row, mut code, mut output) = ([0.5; 16], [0.0; 64], [0.0; 16]);
    /// net.encode_into(&mut engine, &row, &mut code)?;
    /// assert!(code.iter().filter(|&&activation| activation != 0.0).count() <= 4);
    /// net.decode_into(&mut engine, &code, &mut output)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if the last row is not whole, a feature is not finite, or `codes` has another length than the
    /// codes of these rows; `codes` is then as it was.
    pub fn encode_into(&self, engine: &mut Engine, rows: &[f32], codes: &mut [f32]) -> Result<()> {
        self.pass(engine, 0..self.settings.encoder_layers(), ("rows", rows), ("codes", codes))
    }

    /// Reconstructions `[n, features]` of codes `[n, code]`, as [`Autoencoder::encode_into`] is, with the bits of
    /// [`Autoencoder::decode`].
    ///
    /// # Errors
    /// [`Error::Shape`] as there; [`Error::Setting`] for a network with a skip connection, whose output codes alone do
    /// not give.
    pub fn decode_into(
        &self,
        engine: &mut Engine,
        codes: &[f32],
        outputs: &mut [f32],
    ) -> Result<()> {
        self.check_decodes()?;
        let layers = self.settings.encoder_layers()..self.settings.layers.len() - 1;
        self.pass(engine, layers, ("codes", codes), ("outputs", outputs))
    }

    /// Reconstructions `[n, features]` of rows `[n, features]`, as [`Autoencoder::encode_into`] is, with the bits of
    /// [`Autoencoder::reconstruct`]; what a transcoder predicts, in the scaling of its targets.
    ///
    /// # Errors
    /// [`Error::Shape`] as there.
    pub fn reconstruct_into(
        &self,
        engine: &mut Engine,
        rows: &[f32],
        outputs: &mut [f32],
    ) -> Result<()> {
        self.pass(engine, 0..self.settings.layers.len() - 1, ("rows", rows), ("outputs", outputs))
    }

    /// Passes rows through some of the layers.
    fn pass(
        &self,
        engine: &mut Engine,
        layers: Range<usize>,
        (name, rows): (&str, &[f32]),
        (name_out, out): (&str, &mut [f32]),
    ) -> Result<()> {
        let [width, units] = [layers.start, layers.end].map(|at| self.settings.layers[at]);
        let (n, rest) = (rows.len() / width, rows.len() % width);
        if rest != 0 {
            let problem =
                format!("{name}: expected a multiple of {width} numbers, got {}", rows.len());
            return Err(Error::Shape(problem));
        }
        if Some(out.len()) != n.checked_mul(units) {
            let problem = format!("{name_out}: expected {n} x {units} numbers, got {}", out.len());
            return Err(Error::Shape(problem));
        }
        if !engine.largest_magnitude(rows).is_finite()
            && let Some(at) = rows.iter().position(|number| !number.is_finite())
        {
            let (row, column, number) = (at / width, at % width, rows[at]);
            let problem = format!(
                "{name}: row {row}, number {column} is {number}; finite numbers were expected"
            );
            return Err(Error::Shape(problem));
        }
        let mut pass = Pass::of(engine, &self.settings);
        // Those of codes and of samples, for the same sums.
        let chunk = if layers.start > 0 { CHUNK } else { chunk(&self.settings) };
        for (rows, out) in rows.chunks(chunk * width).zip(out.chunks_mut(chunk * units)) {
            pass.forward(engine, &self.parameters, layers.clone(), Inputs::Dense(rows), false);
            pass.write(layers.end - 1, out);
        }
        engine.keep(pass);
        Ok(())
    }
}
