//! The register tile: `R` rows by `V` vectors of sums, kept in registers along a block of k.

use core::mem::MaybeUninit;

use super::Epilogue;
use crate::matrix::MatrixMut;
use crate::simd::{Kernel, Several, Simd};

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
pub(super) trait Strip: Copy {
    /// Vector `v` of a k.
    /// # Safety
    /// The strip covers them.
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V;
}

/// The first vector of the first k, and the distance of the k.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub strip: *const f32,
    pub stride: usize,
}

impl Strip for Right {
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load(self.strip.add(k * self.stride + v * S::LANES)) }
    }
}

/// A strip in place that is copied, without gaps, to `panel` as it is read: the first tile's
/// multiply-adds leave the store unit idle, so the copy that the other tiles read costs nothing.
#[derive(Clone, Copy)]
pub(super) struct Copying {
    pub strip: Right,
    pub panel: *mut f32,
    /// Floats of a k in the panel.
    pub width: usize,
}

impl Strip for Copying {
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, k: usize, v: usize) -> S::V {
        // SAFETY: the caller's promise, for the panel too.
        unsafe {
            let vector = self.strip.vector(s, k, v);
            s.store(self.panel.add(k * self.width + v * S::LANES), vector);
            if v == 0 {
                // The next strip's, which no prefetcher follows from row to row.
                s.prefetch_far(
                    self.strip.strip.wrapping_add(k * self.strip.stride + 2 * self.width),
                );
            }
            vector
        }
    }
}

/// Which k a tile sums over.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    /// All of so many.
    All(usize),
    /// These, rising.
    Only(&'a [u32]),
}

/// Where a tile stands in the product, and in the blocks of k.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub row: usize,
    pub rows: usize,
    pub col: usize,
    pub cols: usize,
    pub first: bool,
    pub last: bool,
}

/// Floats of the widest tile.
const MOST_SUMS: usize = 12 * 2 * 16;

/// Where a tile's sums are: the first row, and the distance of the rows.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub data: *mut f32,
    pub stride: usize,
}

impl Place {
    /// All of a matrix.
    pub fn of(matrix: &MatrixMut<'_>) -> Place {
        Place { data: matrix.data, stride: matrix.row_stride }
    }
    #[inline(always)]
    fn row(self, r: usize) -> *mut f32 {
        self.data.wrapping_add(r * self.stride)
    }
    #[inline(always)]
    fn tile(self, at: At) -> Place {
        Place { data: self.row(at.row).wrapping_add(at.col), ..self }
    }
}

/// An epilogue with the set that it is compiled for.
pub(super) struct Compiled<'a, S, E> {
    pub s: S,
    pub epilogue: &'a mut E,
}

/// A [`Compiled`] epilogue as the loop nest calls it, which so is the same for all of them.
#[derive(Clone, Copy)]
pub(super) struct Sink {
    compiled: *mut (),
    /// See [`Epilogue::place`].
    place: Option<Place>,
    /// [`finish`] for tiles of all vectors, half of them, and one.
    finish: [unsafe fn(*mut (), Place, At); 3],
}

impl Sink {
    #[inline(always)]
    pub fn new<S: Simd, E: Epilogue, const V: usize, const HALF: usize>(
        compiled: &mut Compiled<'_, S, E>,
    ) -> Self {
        let finish = [finish::<S, E, V>, finish::<S, E, HALF>, finish::<S, E, 1>];
        Sink { place: compiled.epilogue.place(), finish, compiled: (&raw mut *compiled).cast() }
    }
}

/// Gives a tile's sums to an epilogue.
///
/// # Safety
/// `compiled` is a [`Compiled`] of these types that nobody else uses; for the rest as for [`run`].
unsafe fn finish<S: Simd, E: Epilogue, const V: usize>(compiled: *mut (), held: Place, at: At) {
    // SAFETY: the caller's promise.
    let Compiled { s, epilogue } = unsafe { &mut *compiled.cast::<Compiled<'_, S, E>>() };
    s.run(Finish::<E, V> { held, at, epilogue });
}

/// A tile's sums, row after row.
#[repr(align(64))]
struct Sums(MaybeUninit<[f32; MOST_SUMS]>);

/// Sums a tile over its steps and stores the sums for the next block of k, or gives them to the
/// epilogue. A tile is `V` vectors wide, or `HALF` or one where its columns fit into that.
///
/// # Safety
/// `left` and `right` are readable for `R` rows (`at.rows` rows where they are contiguous along k)
/// and the tile's vectors at every step; `partial` and the epilogue are valid at `at`.
#[inline(always)]
pub(super) unsafe fn run<S: Simd, B: Strip, const R: usize, const V: usize, const HALF: usize>(
    s: S,
    left: Left,
    right: B,
    steps: Steps<'_>,
    at: At,
    partial: Place,
    sink: Sink,
) {
    // SAFETY: passed on.
    unsafe {
        if at.cols > HALF * S::LANES {
            run_vectors::<S, B, R, V>(s, left, right, steps, at, partial, sink, 0);
        } else if at.cols > S::LANES {
            run_vectors::<S, B, R, HALF>(s, left, right, steps, at, partial, sink, 1);
        } else {
            run_vectors::<S, B, R, 1>(s, left, right, steps, at, partial, sink, 2);
        }
    }
}

/// [`run`] for so many vectors, the `width_at`th of [`Sink::finish`].
///
/// # Safety
/// As for [`run`].
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn run_vectors<S: Simd, B: Strip, const R: usize, const V: usize>(
    s: S,
    left: Left,
    right: B,
    steps: Steps<'_>,
    at: At,
    partial: Place,
    sink: Sink,
    width_at: usize,
) {
    const { assert!(R * V * S::LANES <= MOST_SUMS) };
    let wide = Several::<S, V>(s);
    let width = V * S::LANES;
    if !(at.first && at.last) {
        // The next tile's unfinished sums, while this one is at work.
        for r in 0..R {
            s.prefetch(partial.row(at.row + R + r).wrapping_add(at.col));
        }
    }
    let mut held = Sums(MaybeUninit::uninit());
    let held = Place { data: held.0.as_mut_ptr().cast(), stride: width };
    let waiting = partial.tile(at);
    // A whole tile comes from where it waits, and goes where it is wanted; others by way of `held`.
    let whole = at.rows == R && at.cols == width;
    let direct = if at.last { sink.place.map(|place| place.tile(at)) } else { Some(waiting) };
    let (from, to, direct) = match direct {
        Some(place) if whole => (waiting, place, true),
        _ => (if whole { waiting } else { held }, held, false),
    };
    // SAFETY: the caller vouches for all that is reached; `held` has room for the tile.
    unsafe {
        if !at.first && !whole {
            for r in 0..at.rows {
                let row = wide.load_upto(waiting.row(r), at.cols);
                wide.store(held.row(r), row);
            }
            for r in at.rows..R {
                wide.store(held.row(r), wide.splat(0.0));
            }
        }
        let from = (!at.first).then_some(from);
        match left {
            Left::Rows(first, stride) => {
                // Rows past the end repeat the last one; their sums are dropped. (Without a k there
                // may be no numbers for a row to stand at.)
                let mut rows = [first; R];
                for (r, row) in rows.iter_mut().enumerate() {
                    *row = first.wrapping_add(r.min(at.rows - 1) * stride);
                }
                let left = Rows(rows);
                s.outlined(Accumulate::<_, _, R, V> { left, right, steps, from, to });
            }
            Left::Columns(first, stride) => {
                let left = Columns(first, stride);
                s.outlined(Accumulate::<_, _, R, V> { left, right, steps, from, to });
            }
        }
        if direct {
            return;
        }
        if at.last {
            (sink.finish[width_at])(sink.compiled, held, at);
        } else {
            for r in 0..at.rows {
                wide.store_upto(waiting.row(r), at.cols, wide.load(held.row(r)));
            }
        }
    }
}

/// See [`finish`].
///
/// Whoever runs it vouches for what [`run`] is promised.
struct Finish<'a, E, const V: usize> {
    held: Place,
    at: At,
    epilogue: &'a mut E,
}

impl<E: Epilogue, const V: usize> Kernel for Finish<'_, E, V> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { held, at, epilogue } = self;
        let wide = Several::<S, V>(s);
        // SAFETY: whoever runs it vouches for the sums and for the epilogue.
        unsafe {
            let mut column = epilogue.begin(wide, at.col, at.cols);
            for r in 0..at.rows {
                let sum = wide.load(held.row(r));
                let vector = super::At { row: at.row + r, col: at.col, lanes: at.cols };
                epilogue.apply(wide, &mut column, vector, sum);
            }
            epilogue.end(wide, column, at.col, at.cols);
        }
    }
}

/// `to[r][v] = from[r][v] + a(r, k) * b[k][v] + ..`, step by step: the micro-kernel. It is compiled as a function
/// of its own, so that nothing around it takes its registers.
///
/// Whoever runs it vouches for what [`run`] is promised, and for `R * V` vectors at both places.
struct Accumulate<'a, A, B, const R: usize, const V: usize> {
    left: A,
    right: B,
    steps: Steps<'a>,
    from: Option<Place>,
    to: Place,
}

impl<A: Numbers, B: Strip, const R: usize, const V: usize> Kernel for Accumulate<'_, A, B, R, V> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Accumulate { left, right, steps, from, to } = self;
        let mut held = [[s.splat(0.0); V]; R];
        // SAFETY: whoever runs it vouches for every step and for the sums.
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
/// As for [`run`].
#[inline(always)]
unsafe fn step<S: Simd, A: Numbers, B: Strip, const R: usize, const V: usize>(
    s: S,
    a: A,
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
            let a = s.splat(*a.at(r, k));
            for v in 0..V {
                held[r][v] = s.mul_add(a, b[v], held[r][v]);
            }
        }
    }
}
