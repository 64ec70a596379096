//! Matrix products of a training step and a 1024 cube on one thread, compared with the crates
//! `matrixmultiply` and `gemm`, packing included. Before criterion's figures it prints a table of
//! GFLOP/s and shares of the FMA peak, measured alternately in the same run.

mod peak;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use sae_kernels::{Isa, Matrix, MatrixMut, Scratch};

/// `C = A B`, with A or B stored transposed.
#[derive(Clone, Copy)]
struct Shape {
    m: usize,
    k: usize,
    n: usize,
    a_transposed: bool,
    b_transposed: bool,
}

const fn shape(m: usize, k: usize, n: usize, form: u8) -> Shape {
    Shape { m, k, n, a_transposed: form == b'a', b_transposed: form == b'b' }
}

const SHAPES: [Shape; 10] = [
    shape(60, 784, 300, b'n'),
    shape(60, 300, 30, b'n'),
    shape(60, 30, 300, b'n'),
    shape(60, 300, 784, b'n'),
    shape(60, 784, 300, b'b'),
    shape(60, 30, 300, b'b'),
    shape(300, 60, 784, b'a'),
    shape(784, 60, 300, b'a'),
    shape(30, 60, 300, b'a'),
    shape(1024, 1024, 1024, b'n'),
];

impl Shape {
    fn name(&self) -> String {
        let suffix = match (self.a_transposed, self.b_transposed) {
            (true, _) => ", A transposed",
            (_, true) => ", B transposed",
            _ => "",
        };
        format!("{}x{}x{}{suffix}", self.m, self.k, self.n)
    }

    fn flops(&self) -> f64 {
        2.0 * (self.m * self.k * self.n) as f64
    }

    /// Row and column strides of A and of B as they are stored.
    fn strides(&self) -> [isize; 4] {
        let (m, k, n) = (self.m as isize, self.k as isize, self.n as isize);
        let (a_row, a_col) = if self.a_transposed { (1, m) } else { (k, 1) };
        let (b_row, b_col) = if self.b_transposed { (1, k) } else { (n, 1) };
        [a_row, a_col, b_row, b_col]
    }
}

struct Case {
    shape: Shape,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    floats: Vec<f32>,
    indices: Vec<u32>,
}

impl Case {
    fn new(shape: Shape) -> Self {
        let fill = |count: usize| (0..count).map(|i| (i % 17) as f32 * 0.06 + 0.01).collect();
        let (floats, indices) = Scratch::LENGTHS;
        Case {
            shape,
            a: fill(shape.m * shape.k),
            b: fill(shape.k * shape.n),
            c: vec![0.0; shape.m * shape.n],
            floats: vec![0.0; floats],
            indices: vec![0; indices],
        }
    }

    fn sae(&mut self, isa: Isa) {
        let Shape { m, k, n, a_transposed, b_transposed } = self.shape;
        let a = if a_transposed {
            Matrix::new(&self.a, k, m).transposed()
        } else {
            Matrix::new(&self.a, m, k)
        };
        let b = if b_transposed {
            Matrix::new(&self.b, n, k).transposed()
        } else {
            Matrix::new(&self.b, k, n)
        };
        let mut scratch = Scratch::new(&mut self.floats, &mut self.indices);
        sae_kernels::gemm(isa, a, b, MatrixMut::new(&mut self.c, m, n), &mut scratch);
    }

    fn matrixmultiply(&mut self) {
        let Shape { m, k, n, .. } = self.shape;
        let [a_row, a_col, b_row, b_col] = self.shape.strides();
        let (a, b, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
        // SAFETY: the buffers have the shape's sizes and the strides stay inside.
        unsafe {
            matrixmultiply::sgemm(
                m, k, n, 1.0, a, a_row, a_col, b, b_row, b_col, 0.0, c, n as isize, 1,
            );
        }
    }

    fn gemm(&mut self) {
        let Shape { m, k, n, .. } = self.shape;
        let [a_row, a_col, b_row, b_col] = self.shape.strides();
        let (a, b, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
        // SAFETY: the buffers have the shape's sizes and the strides stay inside.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c,
                1,
                n as isize,
                false,
                a,
                a_col,
                a_row,
                b,
                b_col,
                b_row,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

fn main() {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .configure_from_args();
    // `cargo test --benches` runs each benchmark once; a table of single runs would mean nothing.
    if !std::env::args().any(|word| word == "--test") {
        let peak = peak::gflops(isa, 1);
        println!("{}: FMA peak {peak:.1} GFLOP/s on one thread", isa.name());
        println!("| m x k x n | sae | share of peak | matrixmultiply | gemm |");
        println!("| --- | --- | --- | --- | --- |");
        for shape in SHAPES {
            let mut case = Case::new(shape);
            let mut rates = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..9 {
                let seconds = 0.04;
                let times = [
                    peak::median_time(seconds, || case.sae(isa)),
                    peak::median_time(seconds, || case.matrixmultiply()),
                    peak::median_time(seconds, || case.gemm()),
                ];
                for (rates, time) in rates.iter_mut().zip(times) {
                    rates.push(shape.flops() / time / 1e9);
                }
            }
            let [sae, mm, gemm] = rates.map(|mut rates| peak::median(&mut rates));
            let share = sae / peak * 100.0;
            println!("| {} | {sae:.1} | {share:.0} % | {mm:.1} | {gemm:.1} |", shape.name());
        }
    }
    let mut group = criterion.benchmark_group("gemm");
    for shape in SHAPES {
        let mut case = Case::new(shape);
        group.throughput(Throughput::Elements(shape.flops() as u64));
        group.bench_function(BenchmarkId::new("sae", shape.name()), |b| b.iter(|| case.sae(isa)));
        group.bench_function(BenchmarkId::new("matrixmultiply", shape.name()), |b| {
            b.iter(|| case.matrixmultiply());
        });
        group.bench_function(BenchmarkId::new("gemm", shape.name()), |b| b.iter(|| case.gemm()));
    }
    group.finish();
    criterion.final_summary();
}
