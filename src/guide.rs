//! The guide: one page a concept, each short, with an example that runs.
//!
//! | page | what it is about |
//! | --- | --- |
//! | [`objective`] | what is made small: its terms, their formulas and sources |
//! | [`data`] | IDX and NumPy files, numbers in memory, scalings, the order of samples |
//! | [`sparsity`] | KL, L1, top-k, batch-top-k and JumpReLU, and when which |
//! | [`training`] | the step, optimizers, first weights, schedules; loops of others |
//! | [`targets`] | naming the activity that is wanted instead of a penalty's weight |
//! | [`dead_units`] | units that are never active, and what to do about them |
//! | [`evaluation`] | what an evaluation reports, codes, probes |
//! | [`determinism`] | the same bits, and what threads have to do with it |
//! | [`files`] | models and checkpoints |
//! | [`speed`] | zeros, threads, instruction sets |
//! | [`limits`] | what happens at the ends of the number line |

macro_rules! pages {
    ($($name:ident)*) => {$(
        #[doc = include_str!(concat!("guide/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    objective data sparsity training targets dead_units evaluation determinism files speed limits
}
