//! Your own numbers to sparse codes: reads a table, standardizes it, trains on it, and writes its codes
//! for NumPy and as CSV.
//!
//! `cargo run --release --example encode_your_data -- [STEPS [TABLE.csv [FOLDER]]]`
//!
//! The table has one sample per line, comma-separated numbers, no header; without it, one is made up.
//! `codes.npy` and `codes.csv` are written to FOLDER, by default the current one.

use std::error::Error;
use std::path::PathBuf;
use std::{fs, ops::ControlFlow};

use sae::{Activation, Code, Initialization, Preset, Samples, Settings, Trainer, data::write_npy};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let steps: u64 = arguments.next().map_or(Ok(3000), |steps| steps.parse())?;
    let table = match arguments.next().filter(|path| !path.is_empty()) {
        Some(path) => read(&fs::read_to_string(path)?)?,
        None => made_up(),
    };
    let folder = arguments.next().map_or(PathBuf::from("."), PathBuf::from);

    // One flat list, row-major, [samples, features]. For an IDX or NumPy file of f32 it would be
    // `Samples::new(Array::open(path)?, Scaling::AsIs)`.
    let features = table[0].len();
    let samples = Samples::from_values(standardized(&table), features)?;
    let (training, test) = samples.split(samples.len() * 4 / 5)?;

    // 32 units, of which at most 4 are active per sample. The data has numbers below 0, so the output
    // is linear. Without the KL penalty, hidden units need not be sigmoids.
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
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    println!(
        "variance explained on held-out samples: {} before, {} after {steps} steps",
        percent(before.explained_variance),
        percent(after.explained_variance)
    );
    println!("{} of {} units active per sample", after.layers[0].l0, after.units[0].len());

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
        _ => Err("expected a table with the same number of columns in every line".into()),
    }
}

/// 2 000 samples of 16 readings, each the sum of two of eight causes and some noise.
fn made_up() -> Vec<Vec<f32>> {
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

/// Scales each column to mean 0 and standard deviation 1, since columns can have different units.
fn standardized(table: &[Vec<f32>]) -> Vec<f32> {
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
