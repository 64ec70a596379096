//! Charts as SVG, pictures as PNG.

pub mod chart;
pub mod labels;
pub mod picture;
pub mod png_files;
pub mod png_folder;

pub use sae_report::shape;
