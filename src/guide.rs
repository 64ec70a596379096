//! The guide: one short page per concept, each with an example that runs.
//!
//! | page | what it is about |
//! | --- | --- |
//! | [`objective`] | what is minimized: its terms, their formulas and sources |
//! | [`data`] | IDX and NumPy files, numbers in memory, scalings, the order of samples |
//! | [`sparsity`] | KL, L1, top-k, batch-top-k and JumpReLU, and when to use which |
//! | [`training`] | the step, optimizers, weight initialization, schedules; your own training loop |
//! | [`targets`] | choosing how active a layer is, instead of a penalty's weight |
//! | [`transcoders`] | predicting other data than the input; a linear skip connection |
//! | [`dead_units`] | units that are never active, and what to do about them |
//! | [`evaluation`] | what an evaluation reports, codes, probes |
//! | [`determinism`] | the same bits, with any number of threads |
//! | [`files`] | models and checkpoints |
//! | [`speed`] | zeros, fusion, threads |
//! | [`limits`] | NaN, infinity, overflow, divergence |

macro_rules! pages {
    ($($name:ident)*) => {$(
        #[doc = include_str!(concat!("guide/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    objective data sparsity training targets transcoders dead_units evaluation determinism files
    speed limits
}
