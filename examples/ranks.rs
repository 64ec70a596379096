//! One training by several processes, with MPI: `mpirun -n 2 target/release/examples/ranks`, after
//! `cargo build --release --features mpi,digits --example ranks`.
//!
//! Every rank has all the samples and computes its part of each batch. As root, as in a container, Open MPI asks for
//! `--allow-run-as-root`, and for more ranks than cores for `--oversubscribe`.

use sae::ranks::{Mpi, Ranks};
use sae::{Preset, Samples, Settings, Trainer, data::digits};

fn main() -> sae::Result<()> {
    let ranks = Mpi::start()?;
    let (rank, count) = (ranks.rank(), ranks.count());
    let drawn = digits::draw(5000, 1, 1);
    let values = drawn.images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let samples = Samples::from_values(values, digits::SIDE * digits::SIDE)?;
    let settings = Settings { batch: 100, ..Settings::preset(Preset::Article) }.fitted_to(&samples);
    // An error of any rank ends all of them.
    let mut trainer = Trainer::builder(settings).ranks(ranks).threads(1).build(&samples)?;
    for step in 1..=500 {
        let report = trainer.step()?;
        if rank == 0 && step % 100 == 0 {
            println!("step {step}, {count} ranks: loss {:.5}", report.loss);
        }
    }
    if rank == 0 {
        let error = trainer.evaluate(&samples)?.squared_error;
        println!("squared error {error:.5}");
    }
    Ok(())
}
