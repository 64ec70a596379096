//! Choice of the instruction set.

use std::any::type_name;
use std::process::Command;

use sae_kernels::simd::{ISA_NAMES, Kernel, Simd};
use sae_kernels::{Isa, IsaError};

/// A kernel that tells what it was compiled for, and counts its lanes in memory.
struct Tell;

impl Kernel for Tell {
    type Output = (String, usize, usize);
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut lanes = [0.0f32; 64];
        assert!(S::LANES <= lanes.len());
        // SAFETY: `lanes` has room for a vector.
        unsafe { s.store(lanes.as_mut_ptr(), s.splat(1.0)) };
        let name = type_name::<S>().rsplit("::").next().expect("a name").to_lowercase();
        (name, S::LANES, lanes.iter().filter(|&&x| x == 1.0).count())
    }
}

#[test]
fn a_forced_set_is_the_one_that_runs() {
    let mut found = 0;
    for name in ISA_NAMES {
        let lanes = match name {
            "scalar" => 1,
            "neon" => 4,
            "avx512" => 16,
            _ => 8,
        };
        match Isa::forced(name) {
            Ok(isa) => {
                assert_eq!(isa.name(), name);
                assert_eq!(isa.lanes(), lanes);
                assert_eq!(isa.run(Tell), (name.to_string(), lanes, lanes));
                assert_eq!(isa.is_fused(), name != "portable");
                found += 1;
            }
            Err(error) => assert_eq!(error, IsaError::Missing, "{name}"),
        }
    }
    assert_eq!(Isa::all().count(), found);
    for name in ["scalar", "portable"] {
        assert!(Isa::forced(name).is_ok(), "{name} is on every machine");
    }
}

#[test]
fn the_fastest_set_is_detected() {
    let names: Vec<&str> = Isa::all().map(Isa::name).collect();
    assert_eq!(Isa::detect().name(), names[0]);
    let order = |name: &&str| ISA_NAMES.iter().position(|known| known == name);
    assert!(names.is_sorted_by_key(order), "{names:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sets_of_this_machine() {
    let avx2_and_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx2 = avx2_and_fma && is_x86_feature_detected!("f16c");
    assert_eq!(Isa::forced("avx2").is_ok(), avx2);
    let avx512 = avx2_and_fma && is_x86_feature_detected!("avx512f");
    assert_eq!(Isa::forced("avx512").is_ok(), avx512);
    assert_eq!(Isa::forced("neon"), Err(IsaError::Missing));
}

#[test]
#[cfg(target_arch = "aarch64")]
fn sets_of_this_machine() {
    assert!(Isa::forced("neon").is_ok());
    assert_eq!(Isa::forced("avx2"), Err(IsaError::Missing));
    assert_eq!(Isa::forced("avx512"), Err(IsaError::Missing));
}

#[test]
fn an_unknown_name() {
    for name in ["", "sse2", "AVX2", "avx2 ", "avx-512"] {
        assert_eq!(Isa::forced(name), Err(IsaError::Unknown), "{name:?}");
    }
    let text = IsaError::Unknown.to_string();
    assert_eq!(text, "expected one of avx512, avx2, neon, portable, scalar");
    let text = IsaError::Missing.to_string();
    assert_eq!(text, "this machine does not have this instruction set");
}

/// Not a test: [`the_environment_chooses`] runs it in a process of its own.
#[test]
#[ignore = "run by the_environment_chooses"]
fn print_the_choice_of_the_environment() {
    println!("choice: {:?}", Isa::from_environment().map(Isa::name));
}

#[test]
fn the_environment_chooses() {
    let choice = |value: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().expect("the test's own path"));
        child.args([
            "--exact",
            "isa::print_the_choice_of_the_environment",
            "--ignored",
            "--nocapture",
        ]);
        match value {
            Some(value) => child.env("SAE_ISA", value),
            None => child.env_remove("SAE_ISA"),
        };
        let output = child.output().expect("the test starts itself");
        let output = String::from_utf8(output.stdout).expect("text");
        let line = output.lines().find_map(|line| line.split_once("choice: "));
        line.expect("the choice").1.to_string()
    };
    assert_eq!(choice(None), format!("Ok({:?})", Isa::detect().name()));
    // Empty is unset.
    assert_eq!(choice(Some("")), choice(None));
    for name in ISA_NAMES.into_iter().chain(["sse2"]) {
        assert_eq!(choice(Some(name)), format!("{:?}", Isa::forced(name).map(Isa::name)));
    }
}
