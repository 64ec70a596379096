//! Numbers of your own to sparse codes: a table is read, standardised and trained on, and its codes
//! are written for NumPy and as CSV.
//!
//! `cargo run --release --example encode_your_data -- [STEPS [TABLE.csv [FOLDER]]]`
//!
//! The table has one sample a line, numbers with commas between them, no header; without one, there
//! is a made one. `codes.npy` and `codes.csv` go to FOLDER, the current one by default.

use std::error::Error;
use std::path::PathBuf;
use std::{fs, ops::ControlFlow};

use sae::{Activation, Code, Initialization, Preset, Samples, Settings, Trainer, data::write_npy};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let steps: u64 = words.next().map_or(Ok(3000), |steps| steps.parse())?;
    let table = match words.next().filter(|path| !path.is_empty()) {
        Some(path) => read(&fs::read_to_string(path)?)?,
        None => made(),
    };
    let folder = words.next().map_or(PathBuf::from("."), PathBuf::from);

    // One flat list, row-major, [samples, features]; a file of f32, IDX or NumPy's, would be
    // `Samples::new(Array::open(path)?, Scaling::AsIs)`.
    let features = table[0].len();
    let samples = Samples::from_values(standardised(&table), features)?;
    let (training, test) = samples.split(samples.len() * 4 / 5)?;

    // 32 units, of which 4 may be active in a sample. The data has numbers below 0, so the output
    // is linear; without the KL penalty, hidden units need not be sigmoids.
    let settings = Settings {
        layers: vec![features, 32, features],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::ByActivation,
        code: Code::TopK(4),
        learning_rate: 3e-3,
        ..Settings::preset(Preset::Plain)
    };
    let mut trainer = Trainer::new(settings, &training)?;
    let before = trainer.evaluate(&test)?;
    trainer.run(steps, |_, _| ControlFlow::Continue(()))?;
    let after = trainer.evaluate(&test)?;
    let share = |share: f64| format!("{:.1} %", 100.0 * share);
    println!(
        "variance explained on held-out samples: {} before, {} after {steps} steps",
        share(before.explained_variance),
        share(after.explained_variance)
    );
    println!("{} active units a sample of {}", after.layers[0].l0, after.units[0].len());

    // Codes of all samples, [samples, 32].
    let codes = trainer.encode(&samples)?;
    let units = trainer.autoencoder().settings().code_units();
    write_npy(folder.join("codes.npy"), &[samples.len(), units], &codes)?;
    let line = |code: &[f32]| code.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    fs::write(folder.join("codes.csv"), codes.chunks(units).map(line).collect::<String>())?;
    println!("{} codes in codes.npy and codes.csv in {}", samples.len(), folder.display());
    Ok(())
}

fn read(text: &str) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let row = |line: &str| line.split(',').map(|number| number.trim().parse::<f32>()).collect();
    let table: Vec<Vec<f32>> = text.lines().map(row).collect::<Result<_, _>>()?;
    match table.first() {
        Some(first) if table.iter().all(|row| row.len() == first.len()) => Ok(table),
        _ => Err("a table with as many numbers in each line was expected".into()),
    }
}

/// 2 000 samples of 16 readings, each of two of eight causes, and some noise.
fn made() -> Vec<Vec<f32>> {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let wave = |cause: usize, at: usize| ((cause + 1) as f32 * at as f32 * 0.3).sin();
    let mut sample = || {
        let causes = [0; 2].map(|_| ((8.0 * random()) as usize, 0.5 + random()));
        let reading = |at| causes.iter().map(|&(cause, size)| size * wave(cause, at)).sum::<f32>();
        (0..16).map(|at| reading(at) + 0.4 * random()).collect()
    };
    (0..2000).map(|_| sample()).collect()
}

/// Each column with mean 0 and deviation 1: columns have units of their own.
fn standardised(table: &[Vec<f32>]) -> Vec<f32> {
    let (rows, columns) = (table.len() as f32, table[0].len());
    let mean =
        |values: &dyn Fn(&[f32]) -> f32| table.iter().map(|row| values(row)).sum::<f32>() / rows;
    let of_column = |column: usize| {
        let middle = mean(&|row| row[column]);
        let deviation = mean(&|row| (row[column] - middle).powi(2)).sqrt();
        (middle, if deviation > 0.0 { deviation } else { 1.0 })
    };
    let columns: Vec<_> = (0..columns).map(of_column).collect();
    let scale = |(x, (mean, deviation)): (&f32, &(f32, f32))| (x - mean) / deviation;
    table.iter().flat_map(|row| row.iter().zip(&columns).map(scale)).collect()
}
