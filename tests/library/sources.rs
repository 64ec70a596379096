//! Training on sources: the same bits from any files that have the same rows, in any order, with any
//! number of threads and batches read ahead; and sources that wait, fail or panic.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::uniform;
use crate::folder::Folder;
use crate::formats::{npy, safetensors};
use sae::compute::ThreadPool;
use sae::data::{Array, ReadOptions, Row, Shards, Source, write_npy};
use sae::files::{Checkpoint, Checkpoints};
use sae::{Activation, Code, Engine, Error, Isa, SampleOrder, Samples, Scaling, Settings, Trainer};

const FEATURES: usize = 6;
const SAMPLES: usize = 50;

/// Numbers that `f16` has: multiples of 1/64 in [-2, 2).
fn numbers() -> Vec<f32> {
    uniform(5, SAMPLES * FEATURES).into_iter().map(|x| (256.0 * x).floor() / 64.0 - 2.0).collect()
}

/// The bits of a number as an `f16`, which is normal or 0.
fn half(number: f32) -> u16 {
    let bits = number.to_bits();
    if bits << 1 == 0 {
        return 0;
    }
    let exponent = (bits >> 23 & 255) - 112;
    (bits >> 16 & 0x8000 | exponent << 10 | bits >> 13 & 0x3ff) as u16
}

fn halves(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| half(number).to_le_bytes()).collect()
}

const ORDERS: [SampleOrder; 3] =
    [SampleOrder::Shuffle, SampleOrder::Sequential, SampleOrder::Window { samples: 32 }];

fn settings(order: SampleOrder) -> Settings {
    let layers = vec![FEATURES, 5, FEATURES];
    let code = Code::TopK(3);
    let output_activation = Activation::Linear;
    Settings { layers, batch: 7, order, code, output_activation, beta: 0.0, ..Settings::default() }
}

/// Settings with which building a trainer reads no sample.
fn simple(order: SampleOrder) -> Settings {
    let output_activation = Activation::Sigmoid;
    Settings { output_activation, allow_unreachable: true, ..settings(order) }
}

/// How a training is computed, which must not matter.
#[derive(Clone, Copy, Debug)]
struct Way {
    threads: usize,
    ahead: usize,
    /// A checkpoint half-way, and another trainer that resumes from it and reads so far ahead.
    resumed: Option<usize>,
}

/// The bits of the parameters and losses of a training over four epochs.
fn trained(samples: &Samples, order: SampleOrder, way: Way) -> Vec<u64> {
    let builder = |ahead: usize| {
        Trainer::builder(settings(order)).pool(ThreadPool::exactly(way.threads)).read_ahead(ahead)
    };
    let mut trainer = builder(way.ahead).build(samples).unwrap();
    let mut bits = Vec::new();
    for step in 0..30 {
        if step == 13
            && let Some(ahead) = way.resumed
        {
            let folder = Folder::new("sources");
            let path = folder.0.join("run.ckpt");
            let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
            checkpoints.save(&mut trainer).unwrap();
            checkpoints.finish().unwrap();
            let checkpoint = Checkpoint::load(&path).unwrap();
            trainer = builder(ahead).resume(checkpoint).build(samples).unwrap();
        }
        bits.push(trainer.step().unwrap().loss.to_bits());
    }
    bits.extend(trainer.autoencoder().parameters().iter().map(|x| u64::from(x.to_bits())));
    bits
}

/// The same rows in files of several kinds.
fn same_rows(folder: &Folder) -> Vec<(&'static str, Samples)> {
    let all = numbers();
    let make = |name: &str| {
        let folder = folder.0.join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let sets = ["single", "halves", "three", "mixed"].map(|name| (name, make(name)));
    let [single, half, three, mixed] = sets.each_ref().map(|(_, folder)| folder);
    write_npy(single.join("1.npy"), &[SAMPLES, FEATURES], &all).unwrap();
    let file = npy("<f2", "False", "(50, 6)", &halves(&all));
    fs::write(half.join("1.npy"), file).unwrap();
    let ends = [0, 17, 37, 50].map(|row| row * FEATURES);
    for (at, range) in ends.windows(2).enumerate() {
        let part = &all[range[0]..range[1]];
        let dims = [part.len() / FEATURES, FEATURES];
        write_npy(three.join(format!("{at}.npy")), &dims, part).unwrap();
        let doubles: Vec<f64> = part.iter().map(|&x| x.into()).collect();
        let shape = format!("[{},{}]", dims[0], dims[1]);
        match at {
            0 => write_npy(mixed.join("0.npy"), &dims, &doubles).unwrap(),
            1 => {
                let bytes = safetensors(&[("x", "F16", &shape, &halves(part))], 1);
                fs::write(mixed.join("1.safetensors"), bytes).unwrap();
            }
            _ => write_npy(mixed.join("2.npy"), &dims, part).unwrap(),
        }
    }
    let open = |folder: &PathBuf| {
        let shards = Shards::open([folder], &ReadOptions::default()).unwrap();
        Samples::new(shards, Scaling::AsIs)
    };
    let mut sets: Vec<_> = sets.iter().map(|(name, folder)| (*name, open(folder))).collect();
    sets.push(("memory", Samples::from_values(all, FEATURES).unwrap()));
    sets
}

#[test]
fn the_same_rows_train_to_the_same_bits() {
    let folder = Folder::new("sources");
    let sets = same_rows(&folder);
    let mut outcomes = Vec::new();
    for order in ORDERS {
        let plain = Way { threads: 1, ahead: 0, resumed: None };
        let want = trained(&sets[0].1, order, plain);
        for (name, samples) in &sets {
            for (threads, ahead, resumed) in [
                (1, 0, None),
                (2, 0, Some(0)),
                (3, 0, Some(1)),
                (1, 1, None),
                (2, 1, Some(5)),
                (3, 1, Some(0)),
                (1, 5, Some(0)),
                (2, 5, Some(1)),
                (3, 5, None),
            ] {
                let way = Way { threads, ahead, resumed };
                assert!(trained(samples, order, way) == want, "{order} {name} {way:?}");
            }
        }
        outcomes.push(want);
    }
    assert!(outcomes[0] != outcomes[1] && outcomes[1] != outcomes[2] && outcomes[0] != outcomes[2]);
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Nothing,
    Fails(usize),
    Short(usize),
    Panics(usize),
    Nan(usize),
}

/// The numbers above, from a source that may take its time.
#[derive(Debug)]
struct Own {
    numbers: Vec<f32>,
    bad: Bad,
    wait: Duration,
    /// The threads that have read a row, as Linux numbers them.
    threads: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Own {
    fn new(bad: Bad) -> Self {
        Own { numbers: numbers(), bad, wait: Duration::ZERO, threads: Arc::default() }
    }
}

impl Source for Own {
    fn samples(&self) -> usize {
        self.numbers.len() / FEATURES
    }

    fn features(&self) -> usize {
        FEATURES
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> sae::Result<Row<'a>> {
        if let Ok(thread) = fs::read_link("/proc/thread-self") {
            self.threads.lock().unwrap().insert(thread);
        }
        sleep(self.wait);
        memory.clear();
        memory.extend(&self.numbers[row * FEATURES..][..FEATURES]);
        match self.bad {
            Bad::Fails(bad) if bad == row => {
                return Err(Error::Shape(format!("row {row} is not there")));
            }
            Bad::Short(bad) if bad == row => _ = memory.pop(),
            Bad::Panics(bad) => assert_ne!(bad, row, "row {row} panics"),
            Bad::Nan(bad) if bad == row => memory[2] = f32::NAN,
            _ => {}
        }
        Ok(Row::new(&memory[..]))
    }
}

#[test]
fn a_source_of_ones_own_trains_as_an_array() {
    let array = Samples::from_values(numbers(), FEATURES).unwrap();
    let mut own = Own::new(Bad::Nothing);
    own.wait = Duration::from_micros(50);
    let own = Samples::new(own, Scaling::AsIs);
    for order in ORDERS {
        let want = trained(&array, order, Way { threads: 1, ahead: 0, resumed: None });
        for ahead in [0, 1, 5] {
            let way = Way { threads: 2, ahead, resumed: Some(5 - ahead) };
            assert!(trained(&own, order, way) == want, "{order} {ahead}");
        }
    }
    // Without a choice a thread reads ahead.
    let mut default = Trainer::builder(settings(ORDERS[0])).threads(1).build(&own).unwrap();
    let mut chosen = Trainer::builder(settings(ORDERS[0])).threads(1).build(&array).unwrap();
    for _ in 0..20 {
        assert_eq!(default.step().unwrap(), chosen.step().unwrap());
    }
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(2));
    let (net, other) = (default.autoencoder(), chosen.autoencoder());
    assert_eq!(net.encode(&mut engine, &own).unwrap(), other.encode(&mut engine, &array).unwrap());
    assert_eq!(
        net.evaluate(&mut engine, &own).unwrap().objective,
        other.evaluate(&mut engine, &array).unwrap().objective
    );
}

/// Steps of a training: the loss's bits or the error, and the hash of the parameters.
fn steps(samples: &Samples, threads: usize, ahead: usize) -> Vec<(Result<u64, String>, Vec<u32>)> {
    let builder = Trainer::builder(simple(SampleOrder::Shuffle));
    let builder = builder.pool(ThreadPool::exactly(threads)).read_ahead(ahead);
    let mut trainer = builder.build(samples).unwrap();
    let mut before = (trainer.steps(), Vec::new());
    let mut all = Vec::new();
    for _ in 0..25 {
        let step = trainer.step();
        let bits = |x: &f32| x.to_bits();
        let parameters: Vec<u32> = trainer.autoencoder().parameters().iter().map(bits).collect();
        if step.is_err() && !before.1.is_empty() {
            assert_eq!((trainer.steps(), &parameters), (before.0, &before.1));
        }
        before = (trainer.steps(), parameters.clone());
        all.push((step.map(|s| s.loss.to_bits()).map_err(|e| e.to_string()), parameters));
    }
    all
}

#[test]
fn a_batch_that_fails_is_left_out() {
    for (bad, sentence) in [
        (Bad::Nan(23), "sample 23, feature 2 is NaN; finite numbers were expected"),
        (Bad::Fails(31), "row 31 is not there"),
        (Bad::Short(4), "sample 4 has 5 numbers; expected 6, as in the others"),
    ] {
        let samples = Samples::new(Own::new(bad), Scaling::AsIs);
        let want = steps(&samples, 1, 0);
        let problems: Vec<_> = want.iter().filter_map(|step| step.0.as_ref().err()).collect();
        // Once in each of three epochs and a half.
        assert!(
            matches!(problems.len(), 3 | 4) && problems.iter().all(|p| *p == sentence),
            "{bad:?}"
        );
        for (threads, ahead) in [(2, 0), (3, 0), (1, 1), (2, 1), (2, 5), (1, 100)] {
            assert!(steps(&samples, threads, ahead) == want, "{bad:?} {threads} {ahead}");
        }
        let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(2));
        let trainer = Trainer::new(simple(SampleOrder::Shuffle), &samples).unwrap();
        let problem = trainer.autoencoder().evaluate(&mut engine, &samples).unwrap_err();
        assert_eq!(problem.to_string(), sentence);
    }
}

#[test]
fn a_panic_reaches_the_caller() {
    for (threads, ahead) in [(1, 0), (3, 0), (1, 1), (2, 5)] {
        let own = Own::new(Bad::Panics(40));
        let seen = own.threads.clone();
        let samples = Samples::new(own, Scaling::AsIs);
        let builder = Trainer::builder(simple(SampleOrder::Sequential));
        let builder = builder.pool(ThreadPool::exactly(threads)).read_ahead(ahead);
        let mut trainer = builder.build(&samples).unwrap();
        // Row 40 is in the sixth batch of seven.
        for _ in 0..5 {
            trainer.step().unwrap();
        }
        let mut text = || {
            let panic = catch_unwind(AssertUnwindSafe(|| trainer.step())).unwrap_err();
            let text = panic.downcast_ref::<String>().cloned();
            text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned())
        };
        assert!(text().contains("row 40 panics"), "{threads} {ahead}");
        if ahead > 0 {
            assert_eq!(text(), "the source of the samples has panicked at an earlier step");
        }
        drop(trainer);
        ended(&seen);
    }
}

/// Waits until no thread is left that has read a row, but for this one.
fn ended(threads: &Mutex<HashSet<PathBuf>>) {
    let own = fs::read_link("/proc/thread-self").unwrap_or_default();
    let start = Instant::now();
    let is_left = |thread: &PathBuf| *thread != own && Path::new("/proc").join(thread).exists();
    while threads.lock().unwrap().iter().any(is_left) {
        // A thread that has been joined may still be shown for a moment.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", threads.lock().unwrap());
        sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_reads_ahead_ends_with_its_trainer() {
    for (wait, taken) in [(0, 0), (0, 1), (0, 30), (300, 0), (300, 2)] {
        let mut own = Own::new(Bad::Nothing);
        own.wait = Duration::from_micros(wait);
        let (seen, token) = (own.threads.clone(), own.threads.clone());
        let samples = Samples::new(own, Scaling::AsIs);
        let mut trainer =
            Trainer::builder(simple(ORDERS[0])).threads(1).read_ahead(5).build(&samples).unwrap();
        for _ in 0..taken {
            trainer.step().unwrap();
        }
        if taken > 0 {
            let here = fs::read_link("/proc/thread-self").unwrap();
            let threads = token.lock().unwrap();
            assert!(threads.len() == 1 && !threads.contains(&here), "{threads:?}");
        }
        drop((samples, trainer));
        // The source is gone with both.
        drop(token);
        assert_eq!(Arc::strong_count(&seen), 1);
        ended(&seen);
    }
}

#[test]
fn a_source_of_no_samples_is_refused() {
    let mut own = Own::new(Bad::Nothing);
    own.numbers.clear();
    let samples = Samples::new(own, Scaling::AsIs);
    let problem = Trainer::new(settings(ORDERS[0]), &samples).unwrap_err().to_string();
    assert_eq!(problem, "samples: expected at least 1, got 0");
    assert!(samples.split(0).is_err());
    let net = sae::Autoencoder::new(settings(ORDERS[0]), Scaling::AsIs).unwrap();
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(1));
    assert!(net.encode(&mut engine, &samples).unwrap().is_empty());
}

/// Batches of more samples than there are, and a window of more.
#[test]
fn orders_of_few_samples_train() {
    let samples =
        Samples::new(Array::from_values(numbers()[..18].to_vec(), 6).unwrap(), Scaling::AsIs);
    let all = [SampleOrder::Window { samples: 1 }, SampleOrder::Window { samples: usize::MAX }];
    for order in ORDERS.into_iter().chain(all) {
        let want = trained(&samples, order, Way { threads: 1, ahead: 0, resumed: None });
        let way = Way { threads: 2, ahead: 5, resumed: Some(1) };
        assert!(trained(&samples, order, way) == want, "{order}");
    }
}
