use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm::gemm, gemm::gemm_skipping};
use std::time::Instant;
fn median(mut f: impl FnMut(), n: usize) -> f64 {
    let mut t = vec![];
    for _ in 0..n { let s = Instant::now(); for _ in 0..10 { f(); } t.push(s.elapsed().as_secs_f64() / 10.0); }
    t.sort_by(f64::total_cmp); t[n / 2]
}
fn peak() -> f64 {
    // register-only FMA
    #[target_feature(enable = "avx2,fma")]
    fn spin(n: usize) -> f32 {
        use std::arch::x86_64::*;
        let mut a = [_mm256_set1_ps(1.0); 12];
        let (x, y) = (_mm256_set1_ps(0.999), _mm256_set1_ps(0.001));
        let (x, y) = (std::hint::black_box(x), std::hint::black_box(y)); for _ in 0..n { for i in 0..12 { a[i] = _mm256_fmadd_ps(a[i], x, y); } unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) a[0]); } }
        let mut s = a[0]; for v in &a[1..] { s = _mm256_add_ps(s, *v); }
        _mm256_cvtss_f32(s)
    }
    let n = 100000; let t = median(|| { std::hint::black_box(unsafe { spin(std::hint::black_box(n)) }); }, 7);
    n as f64 * 12.0 * 16.0 / t / 1e9
}
fn main() {
    let isa = Isa::from_environment().unwrap();
    let pk = peak();
    println!("{} peak {:.1}", isa.name(), pk);
    let (f, i) = Scratch::LENGTHS;
    let (mut f, mut i) = (vec![0f32; f], vec![0u32; i]);
    let mut sc = Scratch::new(&mut f, &mut i);
    for (kind, m, k, n) in [("n",60,784,300),("n",60,300,30),("n",60,30,300),("n",60,300,784),("b",60,784,300),("b",60,30,300),("a",300,60,784),("a",784,60,300),("a",30,60,300),("n",1024,1024,1024),("n",256,784,4096),("a",784,256,4096), ("b",256,784,4096),("n",60,784,150)] {
        let a: Vec<f32> = (0..m*k).map(|i| (i % 17) as f32 * 0.1 + 0.1).collect();
        let b: Vec<f32> = (0..n*k).map(|i| (i % 13) as f32 * 0.1 + 0.1).collect();
        let mut c = vec![0f32; m*n];
        let am = if kind == "a" { Matrix::new(&a, k, m).transposed() } else { Matrix::new(&a, m, k) };
        let bm = if kind == "b" { Matrix::new(&b, n, k).transposed() } else { Matrix::new(&b, k, n) };
        let it = ((2e8 / (m*n*k) as f64) as usize).clamp(3, 200);
        let t = median(|| gemm(isa, am, bm, MatrixMut::new(&mut c, m, n), &mut sc), it.min(60));
        let mut c2 = vec![0f32; m*n];
        let (ra, ca) = if kind == "a" {(1, m)} else {(k,1)};
        let (rb, cb) = if kind == "b" {(1, k)} else {(n,1)};
        let t2 = median(|| unsafe { matrixmultiply::sgemm(m,k,n,1.0,a.as_ptr(),ra as isize,ca as isize,b.as_ptr(),rb as isize,cb as isize,0.0,c2.as_mut_ptr(),n as isize,1) }, it.min(60));
        let g = |t: f64| 2.0*(m*n*k) as f64/t/1e9;
        // 81 % zeros
        let az: Vec<f32> = (0..m*k).map(|i| if (i * 2654435761 >> 7) % 100 < 19 {0.5} else {0.0}).collect();
        let azm = if kind == "a" { Matrix::new(&az, k, m).transposed() } else { Matrix::new(&az, m, k) };
        let t3 = median(|| gemm_skipping(isa, azm, bm, MatrixMut::new(&mut c, m, n), true, &mut sc), it.min(60));
        println!("{kind} {m}x{k}x{n}: {:.1} ({:.0}%)  mm {:.1}   skip {:.1}", g(t), g(t)/pk*100.0, g(t2), g(t3));
    }
}
