//! What the tests share: numbers, buffers that begin or end at a guard page, strided blocks in
//! them, and comparisons that say where two results part.
use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use sae_kernels::{Isa, Lists, Matrix, MatrixMut, Scratch, reference};

pub use guarded::Guarded;

/// Which side of a buffer lies at a guard page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// The page behind its last number.
    #[default]
    Behind,
    /// The page before its first number.
    Before,
}

/// What stands in memory that no kernel may write, or use: a NaN with bits of its own.
pub const CANARY: f32 = f32::from_bits(0x7fc5_a5a5);

/// Settings of the property tests; a failure is noted beside the test's source.
pub fn settings() -> ProptestConfig {
    let failures = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(failures)), ..ProptestConfig::default() }
}

/// Every set of this machine whose results are the same bits.
pub fn fused() -> Vec<Isa> {
    Isa::all().filter(|isa| isa.is_fused()).collect()
}

/// The set that the others are compared with.
pub fn scalar() -> Isa {
    Isa::forced("scalar").expect("the scalar set is on every machine")
}

/// Every set of this machine, with and without the skipping of zeros, each in some ways.
pub fn each_isa<W: Copy>(ways: &[W]) -> impl Iterator<Item = (Isa, bool, W)> {
    Isa::all().flat_map(move |isa| {
        let ways = ways.iter().map(move |&way| (isa, false, way));
        ways.clone().chain(ways.map(|(isa, _, way)| (isa, true, way)))
    })
}

/// A generator of numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// Of either sign, between 2^-6 and 2^3: sums of them depend on their order.
    pub fn number(&mut self) -> f32 {
        let size = ((self.bits() % 9) as f32 - 6.0).exp2() * (1.0 + self.unit());
        if self.bits() & 1 == 0 { size } else { -size }
    }

    pub fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.number()).collect()
    }

    /// `[rows, cols]`, of which a column is 0 with one probability and any number with another; a
    /// few of the zeros are -0.
    pub fn sparse(&mut self, rows: usize, cols: usize, zeros: Zeros) -> Vec<f32> {
        let none: Vec<bool> = (0..cols).map(|_| self.unit() < zeros.columns).collect();
        let number = |ij: usize| {
            let zero = none[ij % cols] || self.unit() < zeros.numbers;
            match zero {
                true if self.bits().is_multiple_of(100) => -0.0,
                true => 0.0,
                false => self.number(),
            }
        };
        (0..rows * cols).map(number).collect()
    }
}

/// How much of a matrix is 0.
#[derive(Clone, Copy, Debug)]
pub struct Zeros {
    pub columns: f32,
    pub numbers: f32,
}

pub fn zeros() -> impl Strategy<Value = Zeros> {
    let share = || prop_oneof![2 => Just(0.0), 1 => Just(1.0), 4 => 0.0f32..1.0];
    (share(), prop_oneof![2 => Just(0.0f32), 1 => 0.0f32..1.0])
        .prop_map(|(columns, numbers)| Zeros { columns, numbers })
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Numbers before the first.
    pub lead: usize,
    /// Numbers between the end of a row and the next.
    pub gap: usize,
    /// Columns are contiguous instead of rows.
    pub transposed: bool,
    /// With the page before it, there is no lead.
    pub guard: Guard,
}

/// Any layout; some with rows as long as half a page of floats, or a page.
pub fn layout() -> impl Strategy<Value = Layout> {
    (rows_layout(), any::<bool>()).prop_map(|(layout, transposed)| Layout { transposed, ..layout })
}

/// Rows contiguous, any lead and gap.
pub fn rows_layout() -> impl Strategy<Value = Layout> {
    let gap = prop_oneof![
        6 => Just(0usize),
        8 => 1..20usize,
        1 => 440..515usize,
        1 => 960..1030usize,
    ];
    let guard = prop_oneof![3 => Just(Guard::Behind), 1 => Just(Guard::Before)];
    (0..9usize, gap, guard).prop_map(|(lead, gap, guard)| {
        let lead = if guard == Guard::Before { 0 } else { lead };
        Layout { lead, gap, transposed: false, guard }
    })
}

/// A side of a matrix: up to 70, and often a prime or about the width of a vector or of a tile.
pub fn side() -> impl Strategy<Value = usize> {
    let special = vec![
        1usize, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19, 23, 24, 25, 31, 32, 33, 36, 37,
        47, 48, 49, 53, 60, 61, 63, 64, 65, 67,
    ];
    prop_oneof![2 => 1..=70usize, 3 => prop::sample::select(special)]
}

/// A matrix `[rows, cols]` in a buffer that ends, with its last number, at a guard page, or begins
/// at one with its first. All of the buffer that is not the matrix is [`CANARY`].
pub struct Block {
    rows: usize,
    cols: usize,
    layout: Layout,
    buffer: Guarded<f32>,
}

impl Block {
    /// Holding these numbers, `[rows, cols]` row by row.
    pub fn holding(numbers: &[f32], rows: usize, cols: usize, layout: Layout) -> Block {
        assert_eq!(numbers.len(), rows * cols);
        let (lines, length) = if layout.transposed { (cols, rows) } else { (rows, cols) };
        let span =
            if lines * length == 0 { 0 } else { (lines - 1) * (length + layout.gap) + length };
        let buffer = Guarded::filled(layout.lead + span, CANARY, layout.guard);
        let mut block = Block { rows, cols, layout, buffer };
        for (ij, number) in numbers.iter().enumerate() {
            let at = block.at(ij);
            block.buffer[at] = *number;
        }
        block
    }

    /// To be written: nothing in it is a number yet.
    pub fn unwritten(rows: usize, cols: usize, layout: Layout) -> Block {
        Block::holding(&vec![CANARY; rows * cols], rows, cols, layout)
    }

    fn stride(&self) -> usize {
        self.layout.gap + if self.layout.transposed { self.rows } else { self.cols }
    }

    fn at(&self, ij: usize) -> usize {
        let (i, j) = (ij / self.cols, ij % self.cols);
        let (line, along) = if self.layout.transposed { (j, i) } else { (i, j) };
        self.layout.lead + line * self.stride() + along
    }

    pub fn view(&self) -> Matrix<'_> {
        let numbers = &self.buffer[self.layout.lead..];
        if self.layout.transposed {
            Matrix::strided(numbers, self.cols, self.rows, self.stride()).transposed()
        } else {
            Matrix::strided(numbers, self.rows, self.cols, self.stride())
        }
    }

    pub fn view_mut(&mut self) -> MatrixMut<'_> {
        assert!(!self.layout.transposed, "only rows are written");
        let stride = self.stride();
        MatrixMut::strided(&mut self.buffer[self.layout.lead..], self.rows, self.cols, stride)
    }

    /// The numbers, row by row, after a look at everything around them.
    pub fn numbers(&self) -> Vec<f32> {
        let inside: Vec<usize> = (0..self.rows * self.cols).map(|ij| self.at(ij)).collect();
        let mut outside = vec![true; self.buffer.len()];
        inside.iter().for_each(|&at| outside[at] = false);
        for (at, number) in self.buffer.iter().enumerate() {
            let whole = !outside[at] || number.to_bits() == CANARY.to_bits();
            assert!(whole, "number {at} of the buffer lies between the rows, and was written");
        }
        inside.iter().map(|&at| self.buffer[at]).collect()
    }
}

/// What is not 0 of a matrix, as lists, in buffers that end at guard pages.
pub struct Listed {
    pub starts: Guarded<u32>,
    pub ends: Guarded<u32>,
    pub indices: Guarded<u32>,
    pub values: Guarded<f32>,
}

impl Listed {
    /// Of `[rows, cols]`; before each row's entries are `gap` that no row has, and that no kernel
    /// may use.
    pub fn of(dense: &[f32], rows: usize, cols: usize, gap: usize) -> Listed {
        assert_eq!(dense.len(), rows * cols);
        let [mut starts, mut ends, mut indices] = [(); 3].map(|()| Vec::new());
        let mut values = Vec::new();
        for row in 0..rows {
            indices.resize(indices.len() + gap, u32::MAX);
            values.resize(values.len() + gap, CANARY);
            starts.push(values.len() as u32);
            for (col, &value) in dense[row * cols..][..cols].iter().enumerate() {
                if value != 0.0 {
                    indices.push(col as u32);
                    values.push(value);
                }
            }
            ends.push(values.len() as u32);
        }
        let [starts, ends, indices] = [starts, ends, indices].map(|indices| {
            let mut guarded = Guarded::filled(indices.len(), 0, Guard::Behind);
            guarded.copy_from_slice(&indices);
            guarded
        });
        Listed { starts, ends, indices, values: guarded(&values) }
    }

    pub fn lists(&self) -> Lists<'_> {
        Lists::new(&self.starts, &self.ends, &self.indices, &self.values)
    }
}

/// Numbers in a row that end at a guard page.
pub fn guarded(numbers: &[f32]) -> Guarded<f32> {
    guarded_at(Guard::Behind, numbers)
}

/// Numbers in a row beside a guard page.
pub fn guarded_at(guard: Guard, numbers: &[f32]) -> Guarded<f32> {
    let mut buffer = Guarded::filled(numbers.len(), CANARY, guard);
    buffer.copy_from_slice(numbers);
    buffer
}

/// Lends this thread's scratch, full of canaries at first and later of what other products left.
pub fn with_scratch<T>(work: impl FnOnce(&mut Scratch<'_>) -> T) -> T {
    thread_local! {
        static MEMORY: RefCell<(Guarded<f32>, Guarded<u32>)> = {
            let (floats, indices) = Scratch::LENGTHS;
            RefCell::new((
                Guarded::filled(floats, CANARY, Guard::Behind),
                Guarded::filled(indices, u32::MAX, Guard::Behind),
            ))
        };
    }
    MEMORY.with_borrow_mut(|(floats, indices)| work(&mut Scratch::new(floats, indices)))
}

pub fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| f64::from(x)).collect()
}

/// The product of `[m, k]` and `[k, n]` in `f64`, and how far an `f32` sum in any order may be off.
pub fn product_f64(m: usize, k: usize, n: usize, a: &[f32], b: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let size = |x: &[f32]| x.iter().map(|&x| f64::from(x.abs())).collect::<Vec<f64>>();
    let (mut exact, mut error) = (vec![0.0; m * n], vec![0.0; m * n]);
    reference::gemm(m, k, n, &wide(a), &wide(b), &mut exact);
    reference::gemm(m, k, n, &size(a), &size(b), &mut error);
    error.iter_mut().for_each(|e| *e *= k as f64 * f64::from(f32::EPSILON));
    (exact, error)
}

/// Panics unless both are the same bits, naming the first number that is not.
#[track_caller]
pub fn assert_bits(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}: the lengths");
    let differs = |i: &usize| got[*i].to_bits() != want[*i].to_bits();
    if let Some(i) = (0..got.len()).find(differs) {
        let count = (0..got.len()).filter(differs).count();
        panic!(
            "{what}: {count} of {} numbers differ, the first is number {i}: got {:e} ({:#010x}), \
             expected {:e} ({:#010x})",
            got.len(),
            got[i],
            got[i].to_bits(),
            want[i],
            want[i].to_bits(),
        );
    }
}

/// Panics unless a set with fused multiply-add gives the bits of `want`, or another one numbers within `error` of
/// `exact`.
#[track_caller]
pub fn assert_numbers(
    isa: Isa,
    what: &str,
    got: &[f32],
    want: &[f32],
    (exact, error): (&[f64], &[f64]),
) {
    if isa.is_fused() {
        assert_bits(what, got, want);
    } else {
        assert_close(what, got, exact, error);
    }
}

/// Panics unless `got[i]` is within `error[i]` of `want[i]`.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], want: &[f64], error: &[f64]) {
    assert_eq!((got.len(), error.len()), (want.len(), want.len()), "{what}: the lengths");
    for (i, (&got, (want, error))) in got.iter().zip(want.iter().zip(error)).enumerate() {
        let off = (f64::from(got) - want).abs();
        assert!(off <= *error, "{what}: number {i} is {got:e}, not {want:e} to {error:e}");
    }
}

#[cfg(all(unix, not(miri)))]
mod guarded {
    use std::ops::{Deref, DerefMut};
    use std::ptr::null_mut;

    use super::Guard;

    /// A slice in pages of its own, between two pages that may not be touched. It begins where the
    /// first ends or ends where the second begins; the other bytes of its pages are checked when
    /// it goes.
    pub struct Guarded<T> {
        map: *mut u8,
        size: usize,
        page: usize,
        data: *mut T,
        len: usize,
    }

    // SAFETY: it owns its memory as a `Vec` does.
    unsafe impl<T: Send> Send for Guarded<T> {}
    // SAFETY: as above.
    unsafe impl<T: Sync> Sync for Guarded<T> {}

    const PADDING: u8 = 0xa5;

    impl<T: Copy> Guarded<T> {
        pub fn filled(len: usize, value: T, guard: Guard) -> Guarded<T> {
            // SAFETY: asks for a number.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            let bytes = len * size_of::<T>();
            let body = bytes.div_ceil(page).max(1) * page;
            let size = body + 2 * page;
            let (flags, access) = (libc::MAP_PRIVATE | libc::MAP_ANON, libc::PROT_NONE);
            // SAFETY: a new mapping, at an address that the system chooses.
            let map = unsafe { libc::mmap(null_mut(), size, access, flags, -1, 0) };
            assert!(map != libc::MAP_FAILED, "no memory for a guarded buffer");
            let map = map.cast::<u8>();
            // SAFETY: the pages between the first and the last of the mapping, which is ours.
            let data = unsafe {
                let body_at = map.add(page);
                let access = libc::PROT_READ | libc::PROT_WRITE;
                assert_eq!(libc::mprotect(body_at.cast(), body, access), 0, "mprotect failed");
                body_at.write_bytes(PADDING, body);
                let before = if guard == Guard::Behind { body - bytes } else { 0 };
                body_at.add(before).cast::<T>()
            };
            assert!(data.is_aligned());
            for i in 0..len {
                // SAFETY: `len` values fit between `data` and the last page.
                unsafe { data.add(i).write(value) };
            }
            Guarded { map, size, page, data, len }
        }
    }

    impl<T> Deref for Guarded<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            // SAFETY: `filled` wrote `len` values there, and the mapping lives as long as `self`.
            unsafe { std::slice::from_raw_parts(self.data, self.len) }
        }
    }

    impl<T> DerefMut for Guarded<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            // SAFETY: as in `deref`; `self` is borrowed alone.
            unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
        }
    }

    impl<T> Drop for Guarded<T> {
        fn drop(&mut self) {
            let before = self.data as usize - (self.map as usize + self.page);
            let bytes = self.len * size_of::<T>();
            // SAFETY: all between the two pages, which `filled` wrote; nobody writes it any more.
            let body = unsafe {
                std::slice::from_raw_parts(self.map.add(self.page), self.size - 2 * self.page)
            };
            let (lead_in, tail) = (&body[..before], &body[before + bytes..]);
            let whole = lead_in.iter().chain(tail).all(|&byte| byte == PADDING);
            // SAFETY: the mapping is ours, and nothing borrows from it any more.
            unsafe { libc::munmap(self.map.cast(), self.size) };
            assert!(whole || std::thread::panicking(), "memory beside a buffer was written");
        }
    }
}

/// Where there are no guard pages to be had.
#[cfg(any(not(unix), miri))]
mod guarded {
    pub struct Guarded<T>(Vec<T>);

    impl<T: Copy> Guarded<T> {
        pub fn filled(len: usize, value: T, _: super::Guard) -> Guarded<T> {
            Guarded(vec![value; len])
        }
    }

    impl<T> std::ops::Deref for Guarded<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> std::ops::DerefMut for Guarded<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}
