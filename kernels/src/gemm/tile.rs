//! The register tile: `R` rows by `V` vectors of sums, kept in registers along a block of k.

use core::mem::MaybeUninit;

use super::epilogue::{Finish, Place, Region};
use crate::simd::{Isa, Kernel, Several, Simd};

/// A's side of a tile.
#[derive(Clone, Copy)]
pub(super) enum Left {
    /// The first row, contiguous along k, and the distance of the rows.
    Rows(*const f32, usize),
    /// `R` contiguous numbers for the first k, and the distance of the k.
    Columns(*const f32, usize),
}

/// Where a tile finds A's numbers. (Methods and not closures: what is not `#[inline(always)]` is
/// compiled without the instruction set.)
trait Numbers: Copy {
    /// The number of a row at a k.
    fn at(self, row: usize, k: usize) -> *const f32;
}

/// See [`Left::Rows`].
#[derive(Clone, Copy)]
struct Rows<const R: usize>([*const f32; R]);

impl<const R: usize> Numbers for Rows<R> {
    #[inline(always)]
    fn at(self, row: usize, k: usize) -> *const f32 {
        self.0[row].wrapping_add(k)
    }
}

/// See [`Left::Columns`].
#[derive(Clone, Copy)]
struct Columns(*const f32, usize);

impl Numbers for Columns {
    #[inline(always)]
    fn at(self, row: usize, k: usize) -> *const f32 {
        self.0.wrapping_add(k * self.1 + row)
    }
}

/// Where a tile finds B's vectors.
pub(super) trait Vectors: Copy {
    /// Vector `v` of a k.
    /// # Safety
    /// The strip covers them.
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V;
}

/// The first vector of the first k, and the distance of the k.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub first: *const f32,
    pub stride: usize,
}

impl Vectors for Right {
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load(self.first.add(k * self.stride + v * S::LANES)) }
    }
}

/// A strip in place that is copied, without gaps, to `panel` as it is read: the first tile's
/// multiply-adds leave the store unit idle, so the copy that the other tiles read costs nothing.
#[derive(Clone, Copy)]
pub(super) struct Copying {
    pub from: Right,
    pub panel: *mut f32,
    /// Floats of a k in the panel.
    pub width: usize,
}

impl Vectors for Copying {
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V {
        // SAFETY: the caller's promise, for the panel too.
        unsafe {
            let vector = self.from.vector(s, k, v);
            s.store(self.panel.add(k * self.width + v * S::LANES), vector);
            if v == 0 {
                // The next strip's, which no prefetcher follows from row to row.
                let next = k * self.from.stride + 2 * self.width;
                s.prefetch_far(self.from.first.wrapping_add(next));
            }
            vector
        }
    }
}

/// Which k a tile sums over.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    /// All of `0..count`.
    All(usize),
    /// These, rising.
    Only(&'a [u32]),
}

/// Where a product's sums go.
pub(super) struct Output<'a> {
    pub isa: Isa,
    /// Where unfinished sums wait between blocks of k.
    pub partial: Place,
    /// Where finished sums go as they are, if that is all that the epilogue does.
    pub place: Option<Place>,
    pub epilogue: &'a mut dyn Finish,
}

/// Floats of the widest tile.
const MAX_SUMS: usize = 12 * 2 * 16;

/// A tile's sums, row after row.
#[repr(align(64))]
struct Sums(MaybeUninit<[f32; MAX_SUMS]>);

/// One tile of a product, along a block of k.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub left: Left,
    pub region: Region,
    /// Whether the block of k is the first, and the last.
    pub first: bool,
    pub last: bool,
}

impl Tile {
    /// Sums the tile over its steps and stores the sums for the next block of k, or gives them to
    /// the epilogue.
    ///
    /// # Safety
    /// `left` and `right` are readable for `R` rows (`region.rows` rows where they are contiguous
    /// along k) and `V` vectors at every step; the output is valid for the region.
    #[inline(always)]
    pub unsafe fn sum<S: Simd, B: Vectors, const R: usize, const V: usize>(
        self,
        s: S,
        right: B,
        steps: Steps<'_>,
        output: &mut Output<'_>,
    ) {
        const { assert!(R * V * S::LANES <= MAX_SUMS) };
        let Tile { left, region, first, last } = self;
        let wide = Several::<S, V>(s);
        let width = V * S::LANES;
        if !(first && last) {
            // The next tile's unfinished sums, while this one is at work.
            for r in 0..R {
                let next = output.partial.row(region.row + R + r);
                s.prefetch(next.wrapping_add(region.col));
            }
        }
        let mut held = Sums(MaybeUninit::uninit());
        let held = Place { data: held.0.as_mut_ptr().cast(), stride: width };
        let partial = output.partial.from(region);
        // A whole tile comes from where it waits, and is stored where it belongs; others by way
        // of `held`.
        let whole = region.rows == R && region.cols == width;
        let target = if last { output.place.map(|all| all.from(region)) } else { Some(partial) };
        let (from, to, is_stored) = match target {
            Some(place) if whole => (partial, place, true),
            _ => (if whole { partial } else { held }, held, false),
        };
        // SAFETY: the caller vouches for all that is reached; `held` has room for the tile.
        unsafe {
            if !first && !whole {
                for r in 0..region.rows {
                    wide.store(held.row(r), wide.load_upto(partial.row(r), region.cols));
                }
                for r in region.rows..R {
                    wide.store(held.row(r), wide.splat(0.0));
                }
            }
            let from = (!first).then_some(from);
            match left {
                Left::Rows(first, stride) => {
                    // Rows past the end repeat the last one; their sums are dropped. (Without a k
                    // there may be no numbers for a row to stand at.)
                    let mut rows = [first; R];
                    for (r, row) in rows.iter_mut().enumerate() {
                        *row = first.wrapping_add(r.min(region.rows - 1) * stride);
                    }
                    let left = Rows(rows);
                    s.run(Accumulate::<_, _, R, V> { left, right, steps, from, to });
                }
                Left::Columns(first, stride) => {
                    let left = Columns(first, stride);
                    s.run(Accumulate::<_, _, R, V> { left, right, steps, from, to });
                }
            }
            if is_stored {
                return;
            }
            if last {
                output.epilogue.finish(output.isa, held, region);
            } else {
                for r in 0..region.rows {
                    wide.store_upto(partial.row(r), region.cols, wide.load(held.row(r)));
                }
            }
        }
    }
}

/// `to[r][v] = from[r][v] + a(r, k) * b[k][v] + ..`, step by step: the micro-kernel. It is a
/// function of its own ([`Simd::run`]), so that nothing around it takes its registers.
///
/// Its maker vouches for what [`Tile::sum`] requires, and for `R * V` vectors at both places.
struct Accumulate<'a, A, B, const R: usize, const V: usize> {
    left: A,
    right: B,
    steps: Steps<'a>,
    from: Option<Place>,
    to: Place,
}

impl<A: Numbers, B: Vectors, const R: usize, const V: usize> Kernel for Accumulate<'_, A, B, R, V> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Accumulate { left, right, steps, from, to } = self;
        let mut held = [[s.splat(0.0); V]; R];
        // SAFETY: its maker vouches for every step and for the sums.
        unsafe {
            if let Some(from) = from {
                for r in 0..R {
                    for v in 0..V {
                        held[r][v] = s.load(from.row(r).add(v * S::LANES));
                    }
                }
            }
            match steps {
                Steps::All(depth) => {
                    let mut k = 0;
                    // Four at once hide the loop's own arithmetic.
                    while k + 4 <= depth {
                        step(s, left, right, k, &mut held);
                        step(s, left, right, k + 1, &mut held);
                        step(s, left, right, k + 2, &mut held);
                        step(s, left, right, k + 3, &mut held);
                        k += 4;
                    }
                    while k < depth {
                        step(s, left, right, k, &mut held);
                        k += 1;
                    }
                }
                Steps::Only(list) => {
                    for &k in list {
                        step(s, left, right, k as usize, &mut held);
                    }
                }
            }
            for r in 0..R {
                for v in 0..V {
                    s.store(to.row(r).add(v * S::LANES), held[r][v]);
                }
            }
        }
    }
}

/// One step of [`Accumulate`].
///
/// # Safety
/// As for [`Tile::sum`].
#[inline(always)]
unsafe fn step<S: Simd, A: Numbers, B: Vectors, const R: usize, const V: usize>(
    s: S,
    left: A,
    right: B,
    k: usize,
    held: &mut [[S::V; V]; R],
) {
    // SAFETY: the caller vouches for this step.
    unsafe {
        let mut b = [s.splat(0.0); V];
        for v in 0..V {
            b[v] = right.vector(s, k, v);
        }
        for r in 0..R {
            let a = s.splat(*left.at(r, k));
            for v in 0..V {
                held[r][v] = s.mul_add(a, b[v], held[r][v]);
            }
        }
    }
}
