//! Prints the instruction set that the kernels use; `SAE_ISA` chooses another.

fn main() -> Result<(), sae::Error> {
    let isa =
        sae::Isa::from_environment().map_err(|e| sae::Error::Shape(format!("SAE_ISA: {e}")))?;
    println!("{}", isa.name());
    Ok(())
}
