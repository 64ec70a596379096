//! Trains the default network for a long time and watches its memory and the time of its steps. The
//! steps are compared with those of a new trainer, in alternation, so that other work on the machine
//! slows both.
//!
//! `soak FILE SECONDS [THREADS]`; `scripts/soak.sh` draws digits for it.

use std::time::{Duration, Instant};

use sae::{Samples, Settings, Trainer};

/// Time from one measurement to the next.
const EVERY: Duration = Duration::from_secs(10);
/// Time in which memory may grow, because pages are touched for the first time.
const WARM: Duration = Duration::from_secs(60);
/// Allowed growth of anonymous memory, in KiB.
const GROWTH: u64 = 1024;
/// Allowed ratio of the step time to a new trainer's: the median over the last quarter of all
/// measurements.
const DRIFT: f64 = 1.03;
/// Rounds of a comparison, and steps in each.
const ROUNDS: (usize, usize) = (12, 10);

/// A measurement.
struct Sample {
    seconds: f64,
    steps: u64,
    /// VmRSS and RssAnon in KiB; `None` where the system has no `/proc/self/status`.
    memory: Option<[u64; 2]>,
    /// Median time of the steps since the previous measurement, in ms.
    median: f64,
    /// Ratio of the median step time to a new trainer's.
    drift: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, seconds, rest @ ..] = &arguments[..] else {
        return Err("usage: soak FILE SECONDS [THREADS]".into());
    };
    let duration = Duration::from_secs(seconds.parse()?);
    let threads = rest.first().map_or(Ok(1), |threads| threads.parse())?;
    let training = Samples::open(data)?;
    let mut trainer = Trainer::builder(Settings::default()).threads(threads).build(&training)?;
    println!(
        "{} on {} thread(s), batch {}",
        trainer.parts().0.isa().name(),
        trainer.parts().0.threads(),
        trainer.autoencoder().settings().batch
    );
    println!(
        "{:>8} {:>10} {:>12} {:>13} {:>12} {:>12}",
        "s", "steps", "VmRSS KiB", "RssAnon KiB", "ms/step", "ratio to new"
    );

    // Allocated and touched now, so that these lists do not count as growth of the trainer.
    let mut samples = Vec::with_capacity(seconds.parse::<usize>()? / EVERY.as_secs() as usize + 2);
    let mut times = vec![1.0f32; 1 << 18];
    times.clear();
    let start = Instant::now();
    let mut next = EVERY;
    let mut now = Duration::ZERO;
    while now < duration {
        let report = trainer.step()?;
        let then = start.elapsed();
        if times.len() < times.capacity() {
            times.push((then - now).as_secs_f32() * 1e3);
        }
        now = then;
        if now < next.min(duration) {
            continue;
        }
        if !trainer.objective(report).is_finite() {
            return Err("the objective is not finite".into());
        }
        let drift = against_a_new_one(&mut trainer, &training, threads)?;
        let sample = Sample {
            seconds: now.as_secs_f64(),
            steps: trainer.steps(),
            memory: memory(),
            median: median(&mut times),
            drift,
        };
        print(&sample);
        samples.push(sample);
        times.clear();
        next += EVERY;
        now = start.elapsed();
    }
    verdict(&samples)
}

/// Ratio of a trainer's median step time to that of a new trainer, measured in alternation.
fn against_a_new_one(
    old: &mut Trainer,
    training: &Samples,
    threads: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut new = Trainer::builder(Settings::default()).threads(threads).build(training)?;
    let (rounds, steps) = ROUNDS;
    let mut times = [Vec::with_capacity(rounds * steps), Vec::with_capacity(rounds * steps)];
    for round in 0..=rounds {
        for (trainer, times) in [&mut *old, &mut new].into_iter().zip(&mut times) {
            for _ in 0..steps {
                let start = Instant::now();
                trainer.step()?;
                // The first round fills caches.
                if round > 0 {
                    times.push(start.elapsed().as_secs_f32());
                }
            }
        }
    }
    let [old, new] = &mut times;
    Ok(median(old) / median(new))
}

fn print(sample: &Sample) {
    let [all, anonymous] = sample.memory.unwrap_or_default();
    let Sample { seconds, steps, median, drift, .. } = sample;
    println!("{seconds:8.0} {steps:10} {all:12} {anonymous:13} {median:12.4} {drift:12.4}");
}

/// Prints the results, and fails if memory or the step time has grown too much. Memory counts from the
/// first minute on.
fn verdict(samples: &[Sample]) -> Result<(), Box<dyn std::error::Error>> {
    let quarter = (samples.len() / 4).max(1);
    let of = |quarter: &[Sample], value: &dyn Fn(&Sample) -> f64| {
        median(&mut quarter.iter().map(|s| value(s) as f32).collect::<Vec<f32>>())
    };
    let (first, last) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    println!(
        "median step: {:.4} ms in the first quarter, {:.4} ms in the last (other work on the machine \
         counts)",
        of(first, &|s| s.median),
        of(last, &|s| s.median)
    );
    let (before, drift) = (of(first, &|s| s.drift), of(last, &|s| s.drift));
    println!(
        "ratio to a new trainer: {before:.4} in the first quarter, {drift:.4} in the last ({DRIFT} \
         allowed)"
    );
    let warm = samples.iter().position(|s| s.seconds >= WARM.as_secs_f64() - 1.0);
    let Some(warm) = warm.filter(|&warm| warm + 1 < samples.len()) else {
        return Err("no verdict on memory: expected more than a minute".into());
    };
    let anonymous: Option<Vec<u64>> = samples.iter().map(|s| Some(s.memory?[1])).collect();
    let Some(anonymous) = anonymous else {
        return Err("no verdict on memory: the system has no /proc/self/status".into());
    };
    let max = anonymous[warm..].iter().max().copied().unwrap_or_default();
    let growth = max - anonymous[warm];
    println!("RssAnon grew by {growth} KiB after the first minute ({GROWTH} allowed)");
    if growth >= GROWTH {
        return Err("FAILED: memory grows".into());
    }
    if drift > DRIFT {
        return Err("FAILED: steps take longer".into());
    }
    println!("passed");
    Ok(())
}

fn median(times: &mut [f32]) -> f64 {
    times.sort_unstable_by(f32::total_cmp);
    times.get(times.len() / 2).map_or(f64::NAN, |&time| time.into())
}

/// VmRSS and RssAnon.
fn memory() -> Option<[u64; 2]> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
    };
    Some([field("VmRSS")?, field("RssAnon")?])
}
