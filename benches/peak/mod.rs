//! The FMA peak: multiply-adds that stay in registers, on a given number of threads.

use std::hint::black_box;
use std::time::Instant;

use sae_kernels::Isa;
use sae_kernels::simd::{Kernel, Simd};

/// 12 independent chains: two units of latency 4 need at least 8.
const CHAINS: usize = 12;

struct Spin(usize);

impl Kernel for Spin {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(black_box(0.5)); CHAINS];
        let (a, b) = (s.splat(black_box(0.999)), s.splat(black_box(0.002)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, a, b);
            }
        }
        let mut lanes = [0.0f32; 16];
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = s.add(total, *sum);
        }
        // SAFETY: 16 floats hold the lanes of any set.
        unsafe { s.store(lanes.as_mut_ptr(), total) };
        lanes.iter().sum()
    }
}

/// GFLOP/s, the median of nine runs of about 20 ms.
pub fn gflops(isa: Isa, threads: usize) -> f64 {
    const TURNS: usize = 2_000_000;
    let flops = (TURNS * CHAINS * isa.lanes() * 2 * threads) as f64;
    let mut rates: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| black_box(isa.run(Spin(black_box(TURNS)))));
                }
            });
            flops / start.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    median(&mut rates)
}

/// The median time of `f` in seconds, over at least 7 calls and about `seconds`.
pub fn median_time(seconds: f64, mut f: impl FnMut()) -> f64 {
    f();
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 7 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        f();
        times.push(start.elapsed().as_secs_f64());
    }
    median(&mut times)
}

/// The median; sorts them.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
