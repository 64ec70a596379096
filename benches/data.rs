//! Gathering and scaling batches from mapped files, in shuffled order: of 60 samples of 784 features, as
//! images are, and of 1024 samples of 384 features of every kind of number, as activations are.

use std::fs;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sae::{
    Engine, Isa, Samples, Scaling,
    compute::ThreadPool,
    data::{Array, Order, ScalingKind, digits, write_idx, write_npy},
};

fn engine() -> Engine {
    Engine::new(Isa::from_environment().expect("a set of this machine"), ThreadPool::new(1))
}

fn run(criterion: &mut Criterion, name: &str, samples: &Samples, batch: usize) {
    let mut engine = engine();
    let mut order = Order::new(samples.len(), 1);
    let (mut rows, mut out) = (vec![0; batch], vec![0.0; batch * samples.features()]);
    let mut group = criterion.benchmark_group("gather");
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            order.next(&mut rows);
            samples.gather_batch(&mut engine, &rows, &mut out).expect("finite numbers");
        });
    });
    group.finish();
}

/// A file in the temporary folder; one that stays there does no harm.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        File(std::env::temp_dir().join(format!("sae-bench-{}-{name}", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn images(criterion: &mut Criterion) {
    let file = File::new("images");
    let drawn = digits::draw(60_000, 1, 2);
    write_idx(&file.0, &[60_000, digits::SIDE, digits::SIDE], &drawn.images).expect("a file");
    let samples = Samples::open(&file.0).expect("the file just written");
    run(criterion, "60 x 784 u8", &samples, 60);
}

const ROWS: usize = 60_000;
const FEATURES: usize = 384;

/// A NumPy file of half precision: of numbers from 1 to 2.
fn write_f16(file: &File) {
    let text =
        format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({ROWS}, {FEATURES})}}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend((0..ROWS * FEATURES).flat_map(|at| (0x3c00 | (at % 1021) as u16).to_le_bytes()));
    fs::write(&file.0, bytes).expect("a file");
}

fn activations(criterion: &mut Criterion) {
    let dims = [ROWS, FEATURES];
    let numbers = || (0..ROWS * FEATURES).map(|at| at % 1021);
    let files = ["u8", "i16", "f32", "f64", "f16"].map(File::new);
    let [u8s, i16s, f32s, f64s, f16s] = &files;
    let write = [
        write_npy(&u8s.0, &dims, &numbers().map(|x| x as u8).collect::<Vec<_>>()),
        write_npy(&i16s.0, &dims, &numbers().map(|x| x as i16).collect::<Vec<_>>()),
        write_npy(&f32s.0, &dims, &numbers().map(|x| x as f32 / 64.0).collect::<Vec<_>>()),
        write_npy(&f64s.0, &dims, &numbers().map(|x| x as f64 / 64.0).collect::<Vec<_>>()),
    ];
    write.into_iter().for_each(|written| written.expect("a file"));
    write_f16(f16s);
    for (file, name) in files.iter().zip(["u8", "i16", "f32", "f64", "f16"]) {
        let open = || Array::open(&file.0).expect("the file just written");
        run(criterion, &format!("1024 x 384 {name}"), &Samples::new(open(), Scaling::AsIs), 1024);
        for kind in [ScalingKind::UnitRms, ScalingKind::LayerNorm] {
            if name == "f16" || name == "f32" {
                let scaling = kind.fit(&open()).expect("finite numbers");
                let name = format!("1024 x 384 {name}, {kind}");
                run(criterion, &name, &Samples::new(open(), scaling), 1024);
            }
        }
    }
}

criterion_group!(benches, images, activations);
criterion_main!(benches);
