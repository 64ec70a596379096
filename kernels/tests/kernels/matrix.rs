//! Views of slices, and their division among threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sae_kernels::matrix::MAX_PARTS;
use sae_kernels::{Bands, Division, Isa, Matrix, MatrixMut, Parts, gemm};

use crate::common::{self, Block, Layout};

#[test]
fn ranges_of_a_division_cover_all_once() {
    for total in (0..80).chain([255, 256, 257, 784, 1000, 4096]) {
        for unit in [1, 2, 3, 8, 12, 16, 32, 100] {
            for parts in (0..20).chain([64, 255, 256, 257, 1000]) {
                let division = Division::new(total, unit, parts);
                let count = division.parts();
                assert!(count >= 1 && count <= parts.max(1) && count <= MAX_PARTS);
                let ranges: Vec<_> = (0..count).map(|part| division.range(part)).collect();
                let what = format!("{division:?}: {ranges:?}");
                assert_eq!((ranges[0].start, ranges[count - 1].end), (0, total), "{what}");
                assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{what}");
                let whole = ranges[..count - 1].iter().all(|range| range.len() % unit == 0);
                assert!(whole, "{what}");
                let units = || ranges.iter().map(|range| range.len().div_ceil(unit));
                let (most, least) = (units().max().unwrap_or(0), units().min().unwrap_or(0));
                assert!(most - least <= 1, "{what}");
                assert!(least > 0 || total == 0, "{what}");
                // As many parts as were asked for, where there is work for them.
                let expected = parts.min(total.div_ceil(unit)).clamp(1, MAX_PARTS);
                assert_eq!(count, expected, "{what}");
            }
        }
    }
}

/// A side so long that its length times a part leaves 32 bits.
#[test]
fn a_long_side() {
    let division = Division::new(1 << 29, 1, MAX_PARTS);
    assert_eq!(division.range(MAX_PARTS - 1), (1 << 29) - (1 << 21)..1 << 29);
}

#[test]
#[should_panic(expected = "a division by units of 0")]
fn a_division_by_units_of_0() {
    Division::new(10, 0, 2);
}

/// Writes `value` into every number of a matrix, as a product.
fn fill(isa: Isa, whole: MatrixMut<'_>, (rows, cols): (usize, usize), value: f32) {
    let (ones, values) = (vec![1.0; rows], vec![value; cols]);
    let (ones, values) = (Matrix::new(&ones, rows, 1), Matrix::new(&values, 1, cols));
    common::with_scratch(|scratch| gemm(isa, ones, values, whole, scratch));
}

#[test]
fn parts_are_their_ranges() {
    let (rows, cols) = (23, 41);
    for isa in Isa::all() {
        for by_rows in [true, false] {
            let division = Division::new(if by_rows { rows } else { cols }, 3, 5);
            let layout = Layout { lead: 2, gap: 3, ..Layout::default() };
            let mut block = Block::unwritten(rows, cols, layout);
            let whole = block.view_mut();
            let parts = if by_rows {
                Parts::rows(whole, division)
            } else {
                Parts::columns(whole, division)
            };
            // In any order: the last first.
            for part in (0..division.parts()).rev() {
                let length = division.range(part).len();
                let shape = if by_rows { (length, cols) } else { (rows, length) };
                fill(isa, parts.take(part), shape, part as f32);
            }
            let of = |at: usize| (0..5).find(|&part| division.range(part).contains(&at));
            for (ij, number) in block.numbers().iter().enumerate() {
                let part = of(if by_rows { ij / cols } else { ij % cols }).expect("a part");
                assert_eq!(*number, part as f32, "number {ij}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "a part was taken twice")]
fn a_part_is_taken_once() {
    let mut numbers = [0.0; 12];
    let parts = Parts::rows(MatrixMut::new(&mut numbers, 4, 3), Division::new(4, 1, 4));
    for part in [0, 2, 0] {
        parts.take(part);
    }
}

#[test]
#[should_panic(expected = "no such part")]
fn a_part_that_is_not_there() {
    let mut numbers = [0.0; 12];
    Parts::columns(MatrixMut::new(&mut numbers, 4, 3), Division::new(3, 1, 8)).take(3);
}

#[test]
#[should_panic(expected = "a division made for another length")]
fn a_division_of_columns_for_rows() {
    let mut numbers = [0.0; 12];
    Parts::rows(MatrixMut::new(&mut numbers, 4, 3), Division::new(3, 1, 2));
}

/// However many threads ask for a part, one gets it; numbers beyond 64 are their own parts.
#[test]
fn threads_that_ask_for_the_same_parts() {
    const PARTS: usize = 70;
    let mut numbers = vec![0.0; PARTS * 2];
    let division = Division::new(PARTS, 1, PARTS);
    let parts = Parts::rows(MatrixMut::new(&mut numbers, PARTS, 2), division);
    let mut taken = std::thread::scope(|scope| {
        let take_all = || {
            let take = |part: &usize| catch_unwind(AssertUnwindSafe(|| parts.take(*part))).is_ok();
            (0..PARTS).filter(take).collect::<Vec<usize>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take_all)).collect();
        let taken = threads.into_iter().flat_map(|thread| thread.join().expect("a thread"));
        taken.collect::<Vec<usize>>()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..PARTS).collect::<Vec<usize>>());
}

#[test]
fn bands_are_their_ranges() {
    for (total, width, unit, parts) in [(23, 3, 1, 5), (23, 1, 4, 3), (100, 2, 8, 70), (0, 4, 1, 2)]
    {
        let mut numbers = vec![0usize; total * width];
        let division = Division::new(total, unit, parts);
        let bands = Bands::new(&mut numbers, width, division);
        for part in (0..division.parts()).rev() {
            let band = bands.take(part);
            assert_eq!(band.len(), division.range(part).len() * width);
            band.fill(part + 1);
        }
        for (at, number) in numbers.iter().enumerate() {
            assert!(division.range(number - 1).contains(&(at / width)), "number {at}");
        }
    }
    let mut none: [u64; 0] = [];
    let division = Division::new(5, 1, 2);
    assert!(Bands::new(&mut none, 0, division).take(1).is_empty());
}

#[test]
#[should_panic(expected = "a part was taken twice")]
fn a_band_is_taken_once() {
    let mut numbers = [0u32; 12];
    let bands = Bands::new(&mut numbers, 3, Division::new(4, 1, 4));
    for part in [0, 2, 0] {
        bands.take(part);
    }
}

#[test]
#[should_panic(expected = "no such part")]
fn a_band_that_is_not_there() {
    let mut numbers = [0u32; 12];
    Bands::new(&mut numbers, 3, Division::new(4, 1, 8)).take(4);
}

#[test]
#[should_panic(expected = "3 elements for each row")]
fn bands_of_another_length() {
    let mut numbers = [0u32; 11];
    Bands::new(&mut numbers, 3, Division::new(4, 1, 2));
}

/// However many threads ask for a band, one gets it, and what each writes stays.
#[test]
fn threads_that_ask_for_the_same_bands() {
    const PARTS: usize = 130;
    let mut numbers = vec![0u64; PARTS * 2];
    let bands = Bands::new(&mut numbers, 2, Division::new(PARTS, 1, PARTS));
    let taken = std::thread::scope(|scope| {
        let take_all = || {
            let add = |part: &usize| {
                let take = || bands.take(*part).iter_mut().for_each(|x| *x += *part as u64 + 1);
                catch_unwind(AssertUnwindSafe(take)).is_ok()
            };
            (0..PARTS).filter(add).count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take_all)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum::<usize>()
    });
    assert_eq!(taken, PARTS);
    assert!(numbers.iter().enumerate().all(|(at, x)| *x == at as u64 / 2 + 1));
}
