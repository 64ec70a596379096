//! The instruction set that the environment chooses.

use std::env;

use sae::Isa;

use crate::failure::{Failure, Result};

/// That of `SAE_ISA`, or else the fastest. Fails if this machine has none of that name.
pub fn from_environment() -> Result<Isa> {
    Isa::from_environment().map_err(|_| {
        let given = env::var_os("SAE_ISA").unwrap_or_default();
        let names: Vec<&str> = Isa::all().map(Isa::name).collect();
        let problem = format!("SAE_ISA: expected one of {}", names.join(", "));
        Failure::input(format!("{problem}, which this machine has, got '{}'", given.display()))
            .hint("without SAE_ISA the fastest is taken")
    })
}
