//! The few operations a kernel may use, and how a kernel is instantiated for each instruction set.
//!
//! A kernel is a type that implements [`Kernel`]: one body, generic over [`Simd`]. [`Isa::run`]
//! enters it inside a function that enables the instruction set, so everything that is
//! `#[inline(always)]` below it compiles to that set. A value that implements [`Simd`] is the
//! proof that the machine has the set: only [`Isa`] makes them.

mod several;
mod vector;

pub(crate) use several::Several;
pub(crate) use vector::ROUND;
pub use vector::{Kernel, RegisterTile, Simd, Tile, TileKernel};

/// Declares the instruction sets, one a line, the fastest first: the module, its type, its name.
///
/// A set's type has `new() -> Option<Self>`, which is `Some` where the machine has the set.
macro_rules! sets {
    ($($(#[$cfg:meta])? $module:ident::$set:ident = $name:literal;)*) => {
        $($(#[$cfg])? mod $module;)*

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Set {
            $($(#[$cfg])? $set($module::$set),)*
        }

        /// Every name that [`Isa::forced`] knows, the fastest first.
        ///
        /// ```
        /// assert!(sae_kernels::simd::ISA_NAMES.contains(&"scalar"));
        /// ```
        pub const ISA_NAMES: [&str; [$($name),*].len()] = [$($name),*];

        impl Isa {
            /// The set of this name, one of [`ISA_NAMES`].
            ///
            /// ```
            /// use sae_kernels::{Isa, IsaError};
            ///
            /// assert_eq!(Isa::forced("scalar")?.name(), "scalar");
            /// assert_eq!(Isa::forced("mmx"), Err(IsaError::Unknown));
            /// # Ok::<(), IsaError>(())
            /// ```
            ///
            /// # Errors
            /// The name is unknown or the machine lacks the set.
            pub fn forced(name: &str) -> Result<Isa, IsaError> {
                let set = match name {
                    $($(#[$cfg])? $name => $module::$set::new().map(Set::$set),)*
                    name if ISA_NAMES.contains(&name) => None,
                    _ => return Err(IsaError::Unknown),
                };
                set.map(Isa).ok_or(IsaError::Missing)
            }

            /// The name that [`Isa::forced`] knows it by.
            ///
            /// ```
            /// assert_eq!(sae_kernels::Isa::all().last().map(|isa| isa.name()), Some("scalar"));
            /// ```
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($(#[$cfg])? Set::$set(_) => $name,)*
                }
            }

            /// Runs a kernel's body compiled for this set.
            ///
            /// ```
            /// use sae_kernels::Isa;
            /// use sae_kernels::simd::{Kernel, Simd};
            ///
            /// /// Doubles each number.
            /// struct Double<'a>(&'a mut [f32]);
            /// impl Kernel for Double<'_> {
            ///     type Output = ();
            ///     #[inline(always)]
            ///     fn run<S: Simd>(self, s: S) {
            ///         for chunk in self.0.chunks_mut(S::LANES) {
            ///             // SAFETY: the chunk has `chunk.len()` floats.
            ///             unsafe {
            ///                 let x = s.load_upto(chunk.as_ptr(), chunk.len());
            ///                 s.store_upto(chunk.as_mut_ptr(), chunk.len(), s.add(x, x));
            ///             }
            ///         }
            ///     }
            /// }
            /// let mut numbers = [1.0, 2.0, 3.0];
            /// Isa::detect().run(Double(&mut numbers));
            /// assert_eq!(numbers, [2.0, 4.0, 6.0]);
            /// ```
            #[inline]
            pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
                match self.0 {
                    // SAFETY: the value proves that the machine has the set.
                    $($(#[$cfg])? Set::$set(s) => unsafe { s.run(kernel) },)*
                }
            }
        }
    };
}

sets! {
    #[cfg(target_arch = "x86_64")] avx512::Avx512 = "avx512";
    #[cfg(target_arch = "x86_64")] avx2::Avx2 = "avx2";
    #[cfg(target_arch = "aarch64")] neon::Neon = "neon";
    portable::Portable = "portable";
    scalar::Scalar = "scalar";
}

/// An instruction set that this machine has.
///
/// ```
/// use sae_kernels::Isa;
///
/// let isa = Isa::detect();
/// assert!(Isa::all().any(|other| other == isa));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

/// Why an instruction set cannot be used here.
///
/// ```
/// use sae_kernels::Isa;
///
/// let problem = Isa::forced("mmx").expect_err("there is no such set");
/// assert!(problem.to_string().starts_with("expected one of avx512, avx2"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
    /// The name is none of [`ISA_NAMES`].
    Unknown,
    /// This machine, or this build, lacks it.
    Missing,
}

impl core::fmt::Display for IsaError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let IsaError::Missing = self {
            return f.write_str("this machine does not have this instruction set");
        }
        f.write_str("expected one of ")?;
        for (i, name) in ISA_NAMES.into_iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for IsaError {}

impl Isa {
    /// The fastest set of this machine. (The environment's `SAE_ISA` is [`Isa::from_environment`].)
    ///
    /// ```
    /// use sae_kernels::Isa;
    ///
    /// assert_eq!(Some(Isa::detect()), Isa::all().next());
    /// ```
    pub fn detect() -> Isa {
        Isa::all().next().expect("the scalar set is on every machine")
    }

    /// Every set that this machine has, the fastest first.
    ///
    /// ```
    /// use sae_kernels::Isa;
    ///
    /// let names: Vec<&str> = Isa::all().map(Isa::name).collect();
    /// assert!(names.ends_with(&["portable", "scalar"]));
    /// ```
    pub fn all() -> impl Iterator<Item = Isa> {
        ISA_NAMES.into_iter().filter_map(|name| Isa::forced(name).ok())
    }

    /// The set that the environment variable `SAE_ISA` names, or else the fastest. An empty value
    /// is none.
    ///
    /// ```
    /// use sae_kernels::{Isa, IsaError};
    ///
    /// match std::env::var("SAE_ISA") {
    ///     Err(_) => assert_eq!(Isa::from_environment()?, Isa::detect()),
    ///     Ok(name) => println!("the set {name}: {:?}", Isa::from_environment()),
    /// }
    /// # Ok::<(), IsaError>(())
    /// ```
    ///
    /// # Errors
    /// The name is unknown or the machine lacks the set.
    #[cfg(feature = "std")]
    pub fn from_environment() -> Result<Isa, IsaError> {
        match std::env::var_os("SAE_ISA").filter(|name| !name.is_empty()) {
            Some(name) => Isa::forced(name.to_str().ok_or(IsaError::Unknown)?),
            None => Ok(Isa::detect()),
        }
    }

    /// Whether `mul_add` is fused, so that results are the same bits as on every other such set.
    ///
    /// ```
    /// use sae_kernels::{Isa, IsaError};
    ///
    /// assert!(Isa::forced("scalar")?.is_fused() && !Isa::forced("portable")?.is_fused());
    /// # Ok::<(), IsaError>(())
    /// ```
    pub fn is_fused(self) -> bool {
        self.run(Facts).is_fused
    }

    /// Lanes of a vector.
    ///
    /// ```
    /// assert!(sae_kernels::Isa::detect().lanes().is_power_of_two());
    /// ```
    pub fn lanes(self) -> usize {
        self.run(Facts).lanes
    }

    /// Longest block of k of its products.
    pub(crate) fn block_k(self) -> usize {
        self.run(Facts).block_k
    }
}

/// Tells a set's constants.
struct Facts;

/// A set's constants.
struct Constants {
    lanes: usize,
    is_fused: bool,
    block_k: usize,
}

impl Kernel for Facts {
    type Output = Constants;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Constants {
        Constants { lanes: S::LANES, is_fused: S::IS_FUSED, block_k: S::BLOCK_K }
    }
}
