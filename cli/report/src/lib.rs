//! The page that shows what sparse autoencoders have learned, and lets people explore it.
//!
//! A [`Report`] has models, each with the samples it is evaluated on, and what is known of these samples;
//! [`Report::html`] gathers figures, units, samples and curves, and returns one HTML page that loads nothing from
//! a network. `sae report` writes it to a file, and the Python package shows it in notebooks.
//!
//! ```
//! use sae::{Engine, Isa, Samples, Scaling, Settings, Trainer, compute::ThreadPool};
//! use sae_report::{Model, Report};
//!
//! let values: Vec<f32> = (0..400).map(|i| (i % 7) as f32 / 6.0).collect();
//! let samples = Samples::from_values(values, 4)?;
//! let settings = Settings { layers: vec![4, 8, 4], ..Settings::default() };
//! let mut trainer = Trainer::builder(settings).build(&samples)?;
//! trainer.run(10, |_, _| std::ops::ControlFlow::Continue(()))?;
//!
//! let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
//! let names: Vec<String> = (0..100).map(|i| format!("row {i}")).collect();
//! let models = [Model::new("small", trainer.into_autoencoder(), samples, &mut engine)?];
//! let report = Report { names: Some(&names), ..Report::new(&models, "100 rows") };
//! assert!(report.html(&mut engine)?.starts_with("<!doctype html>"));
//! # Ok::<(), sae_report::Error>(())
//! ```

#![warn(missing_docs)]

mod arrays;
mod budget;
mod decoder;
mod error;
mod escape;
mod explorer;
pub mod figures;
mod headline;
mod model;
mod names;
mod page;
pub mod pictures;
mod report;
mod samples;
mod settings;
pub mod shape;
pub mod table;
mod telling;
mod units;

pub use error::{Error, Result};
pub use escape::escape;
pub use model::{History, Model};
pub use report::{MAX_CONTEXT, Report};
