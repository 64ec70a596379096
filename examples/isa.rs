//! Prints the instruction set that the kernels use, which `SAE_ISA` can choose.

fn main() -> Result<(), sae::Error> {
    let isa =
        sae::Isa::from_environment().map_err(|e| sae::Error::Shape(format!("SAE_ISA: {e}")))?;
    println!("{}", isa.name());
    Ok(())
}
