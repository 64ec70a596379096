//! The register tile: `R` rows by `V` vectors of sums, kept in registers along a block of k.

use core::mem::MaybeUninit;

use super::epilogue::{Finish, Place, Region};
use crate::simd::{Isa, Kernel, Several, Simd};

/// A's side of a column of tiles.
#[derive(Clone, Copy)]
pub(super) enum Left {
    /// The first row, contiguous along k, and the distance of the rows.
    Rows(*const f32, usize),
    /// `R` contiguous numbers for the first k, the distance of the k, and that of the tiles.
    Columns(*const f32, usize, usize),
}

/// Where a tile finds A's numbers. (Methods and not closures: what is not `#[inline(always)]` is
/// compiled without the instruction set.)
trait Numbers: Copy {
    /// The number of a row at a k.
    fn at(self, row: usize, k: usize) -> *const f32;
    /// Those of the next tile, that many floats on.
    fn next(self, distance: usize) -> Self;
}

/// See [`Left::Rows`].
#[derive(Clone, Copy)]
struct Rows<const R: usize>([*const f32; R]);

impl<const R: usize> Numbers for Rows<R> {
    #[inline(always)]
    fn at(self, row: usize, k: usize) -> *const f32 {
        self.0[row].wrapping_add(k)
    }
    #[inline(always)]
    fn next(self, distance: usize) -> Self {
        let mut rows = self.0;
        for r in 0..R {
            rows[r] = rows[r].wrapping_add(distance);
        }
        Rows(rows)
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
    #[inline(always)]
    fn next(self, distance: usize) -> Self {
        Columns(self.0.wrapping_add(distance), self.1)
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

impl Output<'_> {
    /// Where the sums of a block of k go as they are, `last` or not, if they do.
    #[inline(always)]
    pub fn target(&self, last: bool) -> Option<Place> {
        if last { self.place } else { Some(self.partial) }
    }
}

/// Floats of the widest tile.
const MAX_SUMS: usize = 12 * 2 * 16;

/// A tile's sums, row after row.
#[repr(align(64))]
struct Sums(MaybeUninit<[f32; MAX_SUMS]>);

/// Tiles of a product, one below the other, along a block of k: one tile, or several whole ones
/// whose sums go as they are to the [`Output::target`].
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub left: Left,
    pub region: Region,
    /// Whether the block of k is the first, and the last.
    pub first: bool,
    pub last: bool,
}

impl Column {
    /// Sums the tiles over their steps and stores the sums for the next block of k, or gives them
    /// to the epilogue.
    ///
    /// # Safety
    /// `left` and `right` are readable for all rows of the tiles (`region.rows` rows where they are
    /// contiguous along k) and `V` vectors at every step; the output is valid for the region.
    #[inline(always)]
    pub unsafe fn sum<S: Simd, B: Vectors, const R: usize, const V: usize>(
        self,
        s: S,
        right: B,
        steps: Steps<'_>,
        output: &mut Output<'_>,
    ) {
        const { assert!(R * V * S::LANES <= MAX_SUMS) };
        let Column { left, region, first, last } = self;
        let wide = Several::<S, V>(s);
        let width = V * S::LANES;
        let tiles = region.rows.div_ceil(R);
        let mut held = Sums(MaybeUninit::uninit());
        let held = Place { data: held.0.as_mut_ptr().cast(), stride: width };
        let partial = output.partial.from(region);
        // Whole tiles come from where they wait, and are stored where they belong; others by way
        // of `held`.
        let whole = region.rows == tiles * R && region.cols == width;
        let target = output.target(last).map(|all| all.from(region));
        let (from, to, is_stored) = match target {
            Some(place) if whole => (partial, place, true),
            _ => (if whole { partial } else { held }, held, false),
        };
        // SAFETY: the caller vouches for all that is reached; `held` has room for a tile.
        unsafe {
            if !first && !whole {
                for r in 0..region.rows {
                    wide.store(held.row(r), wide.load_upto(partial.row(r), region.cols));
                }
                for r in region.rows..R {
                    wide.store(held.row(r), wide.splat(0.0));
                }
            }
            let sums = Waiting { from: (!first).then_some(from), to, ahead: !(first && last) };
            match left {
                Left::Rows(first, stride) => {
                    // Rows past the end repeat the last one; their sums are dropped. (Without a k
                    // there may be no numbers for a row to stand at.)
                    let mut rows = [first; R];
                    for (r, row) in rows.iter_mut().enumerate() {
                        *row = first.wrapping_add(r.min(region.rows - 1) * stride);
                    }
                    // (Of a single row the stride is any number.)
                    let distance = R.wrapping_mul(stride);
                    let tiles = Tiles { left: Rows(rows), distance, count: tiles };
                    s.run(Accumulate::<_, _, R, V> { tiles, right, steps, sums });
                }
                Left::Columns(first, stride, distance) => {
                    let tiles = Tiles { left: Columns(first, stride), distance, count: tiles };
                    s.run(Accumulate::<_, _, R, V> { tiles, right, steps, sums });
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

/// A's side of the tiles of [`Accumulate`].
struct Tiles<A> {
    /// The first tile's.
    left: A,
    /// From a tile to the next, in floats.
    distance: usize,
    count: usize,
}

/// The sums of the tiles of [`Accumulate`].
struct Waiting {
    /// Those that are added to, unless the sums begin with 0.
    from: Option<Place>,
    to: Place,
    /// Whether the next tile's are asked for while a tile is at work.
    ahead: bool,
}

/// `to[r][v] = from[r][v] + a(r, k) * b[k][v] + ..`, step by step, tile by tile: the micro-kernel.
/// It is a function of its own ([`Simd::run`]), so that nothing around it takes its registers; the
/// tiles of a column are one call, since a call takes as long as some steps.
///
/// Its maker vouches for what [`Column::sum`] requires, and for `R * V` vectors of every tile at
/// both places.
struct Accumulate<'a, A, B, const R: usize, const V: usize> {
    tiles: Tiles<A>,
    right: B,
    steps: Steps<'a>,
    sums: Waiting,
}

impl<A: Numbers, B: Vectors, const R: usize, const V: usize> Kernel for Accumulate<'_, A, B, R, V> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Accumulate { tiles: Tiles { mut left, distance, count }, right, steps, sums } = self;
        let Waiting { mut from, mut to, ahead } = sums;
        for _ in 0..count {
            let below = to.below(R);
            if ahead {
                let next = from.map_or(below, |from| from.below(R));
                for r in 0..R {
                    s.prefetch(next.row(r));
                }
            }
            // SAFETY: its maker vouches for every step and for the sums.
            unsafe { tile::<S, A, B, R, V>(s, left, right, steps, (from, to)) };
            left = left.next(distance);
            from = from.map(|from| from.below(R));
            to = below;
        }
    }
}

/// A tile of [`Accumulate`].
///
/// # Safety
/// As for [`Column::sum`]; there are `R * V` vectors at both places.
#[inline(always)]
unsafe fn tile<S: Simd, A: Numbers, B: Vectors, const R: usize, const V: usize>(
    s: S,
    left: A,
    right: B,
    steps: Steps<'_>,
    (from, to): (Option<Place>, Place),
) {
    let mut held = [[s.splat(0.0); V]; R];
    // SAFETY: the caller vouches for every step and for the sums.
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

/// One step of [`Accumulate`].
///
/// # Safety
/// As for [`Column::sum`].
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
