//! [`Encode`]: what is listed is what a simple selection takes from the dense product, in the same
//! bits on every fused set, whatever the division of the samples.

use std::collections::HashSet;

use proptest::prelude::*;
use sae_kernels::sparse::{Candidates, Encode, Pool, from_order_key};
use sae_kernels::{Activation, Bands, Division, Forward, Isa, ListsMut, MatrixMut, Operand};

use crate::common::{self, Block, CANARY, Guard, Guarded, Layout, Random, Zeros};
use crate::layer::{ACTIVATIONS, EPSILON, weights};

/// What the activations are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All different, of either sign before the activation.
    Random,
    /// Sums of a few small integers: many are equal, and many are 0.
    Ties,
    /// All units are the same.
    AllTies,
    /// All are negative before the activation.
    Negative,
}

#[derive(Clone, Debug)]
struct Case {
    /// Samples, inputs, units.
    shape: (usize, usize, usize),
    kind: Kind,
    activation: Activation,
    /// Of the inputs, and of the weights.
    layouts: [Layout; 2],
    /// Into how many the samples are divided.
    parts: usize,
    seed: u64,
}

fn shape() -> impl Strategy<Value = (usize, usize, usize)> {
    let k_edge = prop_oneof![2 => 382..=402usize, 1 => 766..=772usize, 2 => 1020..=1042usize];
    prop_oneof![
        6 => (common::side(), common::side(), common::side()),
        2 => (1..=40usize, 1..=20usize, prop_oneof![186..=210usize, 380..=390usize]),
        2 => (1..=40usize, k_edge, prop_oneof![2 => 1..=40usize, 1 => 190..=210usize]),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = [Kind::Random, Kind::Random, Kind::Ties, Kind::Ties, Kind::AllTies, Kind::Negative];
    let kind = prop::sample::select(kinds.to_vec());
    let activation = prop::sample::select(ACTIVATIONS.to_vec());
    let layouts = [common::layout().boxed(), common::rows_layout().boxed()];
    (shape(), kind, activation, layouts, 1..5usize, any::<u64>()).prop_map(
        |(shape, kind, activation, layouts, parts, seed)| Case {
            shape,
            kind,
            activation,
            layouts,
            parts,
            seed,
        },
    )
}

/// A case's numbers.
struct Layer {
    case: Case,
    input: Block,
    weights: Block,
    biases: Guarded<f32>,
}

/// A unit and its activation.
type Entry = (u32, f32);

impl Layer {
    fn new(case: &Case) -> Layer {
        let (n, inputs, units) = case.shape;
        let mut random = Random(case.seed);
        let mut few = |count: usize, from: i32, to: i32| -> Vec<f32> {
            let span = (to - from + 1) as u64;
            (0..count).map(|_| (from + (random.bits() % span) as i32) as f32).collect()
        };
        let (x, w, b) = match case.kind {
            Kind::Ties => (few(n * inputs, 0, 1), few(units * inputs, -1, 1), few(units, -1, 1)),
            Kind::Negative => {
                (few(n * inputs, 0, 2), few(units * inputs, -2, 0), few(units, -3, -1))
            }
            Kind::AllTies => {
                let row = few(inputs, -1, 1);
                (few(n * inputs, -1, 2), row.repeat(units), vec![0.5; units])
            }
            Kind::Random => {
                let mut random = Random(case.seed);
                let zeros = Zeros { columns: 0.1, numbers: 0.1 };
                let x = random.sparse(n, inputs, zeros);
                (x, weights(&mut random, inputs, units), random.numbers(units))
            }
        };
        Layer {
            case: case.clone(),
            input: Block::holding(&x, n, inputs, case.layouts[0]),
            weights: Block::holding(&w, units, inputs, case.layouts[1]),
            biases: common::guarded(&b),
        }
    }

    fn samples(&self) -> usize {
        self.case.shape.0
    }

    fn units(&self) -> usize {
        self.case.shape.2
    }

    fn encode(&self) -> Encode<'_> {
        Encode {
            input: self.input.view(),
            weights: self.weights.view(),
            biases: &self.biases,
            activation: self.case.activation,
        }
    }

    /// All activations, `[samples, units]`, as the dense product has them.
    fn dense(&self, isa: Isa) -> Vec<f32> {
        let (n, _, units) = self.case.shape;
        let (mut output, mut sums) = (vec![0.0; n * units], vec![0.0; units]);
        let forward = Forward {
            input: Operand::Dense(self.input.view()),
            weights: self.weights.view().transposed(),
            biases: &self.biases,
            activation: self.case.activation,
            output: MatrixMut::new(&mut output, n, units),
            sums: &mut sums,
        };
        common::with_scratch(|scratch| forward.run(isa, scratch));
        output
    }

    /// Where the activations of the set come from that the selection is compared with: on a fused set
    /// the scalar set's dense product; on the portable one, whose products are not the same bits
    /// in every shape, its own encoder's, which are near the dense ones.
    fn activations(&self, isa: Isa, dense: &[f32]) -> Vec<f32> {
        if isa.is_fused() {
            return dense.to_vec();
        }
        let (n, inputs, units) = self.case.shape;
        let mut all = vec![0.0; n * units];
        let floors = vec![f32::NEG_INFINITY; units];
        for (row, entries) in all.chunks_mut(units).zip(above(self, isa, &floors, 1)) {
            entries.iter().for_each(|&(unit, a)| row[unit as usize] = a);
        }
        let error = |a: &f32| (inputs as f64 + 20.0) * 20.0 * EPSILON * (1.0 + f64::from(a.abs()));
        let errors: Vec<f64> = dense.iter().map(error).collect();
        common::assert_close("activations", &all, &common::wide(dense), &errors);
        all
    }
}

/// Lists that are written part by part.
struct Written {
    width: usize,
    counts: Guarded<u32>,
    indices: Guarded<u32>,
    values: Guarded<f32>,
}

impl Written {
    fn new(rows: usize, width: usize) -> Written {
        Written {
            width,
            counts: Guarded::filled(rows, u32::MAX, Guard::Behind),
            indices: Guarded::filled(rows * width, u32::MAX, Guard::Behind),
            values: Guarded::filled(rows * width, CANARY, Guard::Behind),
        }
    }

    fn rows(&self) -> Vec<Vec<Entry>> {
        let row = |row: usize| {
            let entries = row * self.width..row * self.width + self.counts[row] as usize;
            let units = self.indices[entries.clone()].iter().copied();
            units.zip(self.values[entries].iter().copied()).collect()
        };
        (0..self.counts.len()).map(row).collect()
    }
}

/// Runs `encode` on each part of the samples, the last first, with the part's lists.
fn in_parts(
    layer: &Layer,
    written: &mut Written,
    parts: usize,
    mut encode: impl FnMut(usize, Encode<'_>, ListsMut<'_>),
) {
    let division = Division::new(layer.samples(), 1, parts);
    let counts = Bands::new(&mut written.counts, 1, division);
    let indices = Bands::new(&mut written.indices, written.width, division);
    let values = Bands::new(&mut written.values, written.width, division);
    for part in (0..division.parts()).rev() {
        let lists = ListsMut {
            counts: counts.take(part),
            indices: indices.take(part),
            values: values.take(part),
        };
        let input = layer.input.view().rows(division.range(part));
        encode(part, Encode { input, ..layer.encode() }, lists);
    }
}

fn largest(layer: &Layer, isa: Isa, k: usize, parts: usize) -> Vec<Vec<Entry>> {
    let (n, units) = (layer.samples(), layer.units());
    let mut written = Written::new(n, k);
    let width = Candidates::width(k, units);
    let mut keys = Guarded::filled(n * width, u64::MAX, Guard::Behind);
    let mut floors = Guarded::filled(n, CANARY, Guard::Behind);
    let division = Division::new(n, 1, parts);
    let (keys, floors) =
        (Bands::new(&mut keys, width, division), Bands::new(&mut floors, 1, division));
    in_parts(layer, &mut written, parts, |part, encode, lists| {
        let candidates = Candidates { keys: keys.take(part), floors: floors.take(part) };
        common::with_scratch(|scratch| encode.largest(isa, k, candidates, lists, scratch));
    });
    written.rows()
}

/// The same, with the units in several products.
fn largest_in_pieces(layer: &Layer, isa: Isa, k: usize, pieces: usize) -> Vec<Vec<Entry>> {
    let (n, units) = (layer.samples(), layer.units());
    let mut written = Written::new(n, k);
    let mut keys = Guarded::filled(n * Candidates::width(k, units), u64::MAX, Guard::Behind);
    let mut floors = Guarded::filled(n, CANARY, Guard::Behind);
    in_parts(layer, &mut written, 1, |_, encode, lists| {
        let mut candidates = Candidates { keys: &mut keys, floors: &mut floors };
        candidates.begin(encode.activation, lists.counts);
        let division = Division::new(units, 1, pieces);
        for units in (0..division.parts()).map(|piece| division.range(piece)) {
            let (first, biases) = (units.start, &encode.biases[units.clone()]);
            let piece = Encode { weights: encode.weights.rows(units), biases, ..encode };
            let Candidates { keys, floors } = &mut candidates;
            let again = Candidates { keys, floors };
            common::with_scratch(|scratch| {
                piece.add_largest(isa, k, first, again, lists.counts, scratch);
            });
        }
        candidates.list(k, lists);
    });
    written.rows()
}

fn above(layer: &Layer, isa: Isa, floors: &[f32], parts: usize) -> Vec<Vec<Entry>> {
    let mut written = Written::new(layer.samples(), layer.units());
    let floors = common::guarded(floors);
    in_parts(layer, &mut written, parts, |_, encode, lists| {
        common::with_scratch(|scratch| encode.above(isa, &floors, lists, scratch));
    });
    written.rows()
}

/// A candidate of a batch: its activation, sample and unit.
type Candidate = (f32, usize, u32);

/// The selection's order: the largest first, a NaN before all, of equal ones the first sample's, and
/// then the lowest unit's.
fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| {
        let nans = b.0.is_nan().cmp(&a.0.is_nan());
        let values = b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal);
        nans.then(values).then((a.1, a.2).cmp(&(b.1, b.2)))
    });
}

/// The candidates that the pools of a batch's parts end with; one pool for each length.
fn pooled(layer: &Layer, isa: Isa, kept: usize, floor: f32, lens: &[usize]) -> Vec<Candidate> {
    let division = Division::new(layer.samples(), 1, lens.len());
    let mut all = Vec::new();
    for part in (0..division.parts()).rev() {
        let range = division.range(part);
        let [mut candidates, mut spare] =
            [(); 2].map(|()| Guarded::filled(lens[part], u128::MAX, Guard::Behind));
        let mut pool = Pool::new(&mut candidates, &mut spare, kept, floor);
        let input = layer.input.view().rows(range.clone());
        let encode = Encode { input, ..layer.encode() };
        common::with_scratch(|scratch| encode.candidates(isa, range.start, &mut pool, scratch));
        assert_eq!(pool.candidates().len(), pool.count());
        all.extend(pool.candidates().iter().map(|&key| {
            let value = from_order_key((key >> 64) as u32);
            let (sample, unit) = ((key >> 32) as u32 as usize, key as u32);
            assert!(range.contains(&sample) && key >> 96 == 0, "{key:#x} of samples {range:?}");
            (value, sample, unit)
        }));
    }
    all
}

/// All that may be part of a code, in the selection's order.
fn active(activations: &[f32], units: usize) -> Vec<Candidate> {
    let entries = activations.iter().enumerate().filter(|(_, a)| **a != 0.0);
    let mut all: Vec<Candidate> =
        entries.map(|(ij, &a)| (a, ij / units, (ij % units) as u32)).collect();
    sort(&mut all);
    all
}

#[track_caller]
fn assert_lists(what: &str, got: &[Vec<Entry>], want: &[Vec<Entry>]) {
    assert_eq!(got.len(), want.len(), "{what}: the samples");
    for (sample, (got, want)) in got.iter().zip(want).enumerate() {
        let of = |entries: &[Entry]| entries.iter().map(|entry| entry.0).collect::<Vec<u32>>();
        assert_eq!(of(got), of(want), "{what}: the units of sample {sample}");
        for (got, want) in got.iter().zip(want) {
            let same = got.1.to_bits() == want.1.to_bits() || got.1.is_nan() && want.1.is_nan();
            assert!(same, "{what}: sample {sample} has {got:?}, not {want:?}");
        }
    }
}

/// The `k` largest of each sample, by sorting all.
fn largest_of(activations: &[f32], units: usize, k: usize) -> Vec<Vec<Entry>> {
    let of_sample = |row: &[f32]| {
        let mut kept: Vec<Entry> =
            active(row, units).iter().map(|&(a, _, unit)| (unit, a)).collect();
        kept.truncate(k);
        kept.sort_by_key(|entry| entry.0);
        kept
    };
    activations.chunks(units).map(of_sample).collect()
}

fn check_largest(case: &Case, k: usize) {
    let layer = Layer::new(case);
    let dense = layer.dense(common::scalar());
    for isa in Isa::all() {
        let want = largest_of(&layer.activations(isa, &dense), layer.units(), k);
        for parts in [1, case.parts] {
            let got = largest(&layer, isa, k, parts);
            assert_lists(&format!("{}, k {k}, {parts} parts, {case:?}", isa.name()), &got, &want);
        }
        for pieces in [2, 7] {
            let got = largest_in_pieces(&layer, isa, k, pieces);
            assert_lists(&format!("{}, k {k}, {pieces} pieces, {case:?}", isa.name()), &got, &want);
        }
    }
}

fn check_above(case: &Case, seed: u64) {
    let layer = Layer::new(case);
    let (n, _, units) = case.shape;
    let dense = layer.dense(common::scalar());
    let mut random = Random(seed);
    let mut floors: Vec<f32> = Vec::new();
    for unit in 0..units {
        let of_sample = dense[random.bits() as usize % n * units + unit];
        floors.push(match random.bits() % 8 {
            0 => f32::NEG_INFINITY,
            1 => f32::INFINITY,
            2 => 0.0,
            3 => of_sample.next_up(),
            4 => random.number(),
            // The floor itself passes.
            _ => of_sample,
        });
    }
    for isa in Isa::all() {
        let activations = layer.activations(isa, &dense);
        let listed = |row: &[f32]| {
            let entries = (0..units).map(|unit| (unit as u32, row[unit]));
            entries.filter(|&(unit, a)| a >= floors[unit as usize] && a != 0.0).collect()
        };
        let want: Vec<Vec<Entry>> = activations.chunks(units).map(listed).collect();
        for parts in [1, case.parts] {
            let got = above(&layer, isa, &floors, parts);
            assert_lists(&format!("{}, {parts} parts, {case:?}", isa.name()), &got, &want);
        }
    }
}

/// The largest `kept` of the batch are among the pools' candidates. `room` is what a pool has beyond
/// them; if none is given, that of [`Pool::len_for`].
fn check_pool(case: &Case, kept: usize, room: Option<usize>) {
    let layer = Layer::new(case);
    let (n, _, units) = case.shape;
    let dense = layer.dense(common::scalar());
    for isa in Isa::all() {
        let all = active(&layer.activations(isa, &dense), units);
        // The highest floor that is allowed, and none.
        let highest = all.get(kept - 1).map_or(f32::NEG_INFINITY, |last| last.0);
        for (parts, floor) in [1, case.parts].into_iter().zip([f32::NEG_INFINITY, highest]) {
            let division = Division::new(n, 1, parts);
            let len = |part: usize| {
                let activations = division.range(part).len() * units;
                let len = room.map(|room| (kept + room).min(activations));
                len.unwrap_or(Pool::len_for(kept, activations))
            };
            let lens: Vec<usize> = (0..division.parts()).map(len).collect();
            let what = format!("{}, {kept} kept in {lens:?}, {case:?}", isa.name());
            let mut got = pooled(&layer, isa, kept, floor, &lens);
            sort(&mut got);
            let key = |&(a, sample, unit): &Candidate| (a.to_bits(), sample, unit);
            let known: HashSet<(u32, usize, u32)> = all.iter().map(key).collect();
            let unknown = got.iter().find(|candidate| !known.contains(&key(candidate)));
            assert_eq!(unknown, None, "{what}: it is no activation");
            assert!(got.windows(2).all(|pair| pair[0] != pair[1]), "{what}: one came twice");
            let bits = |of: &[Candidate]| of.iter().take(kept).map(key).collect::<Vec<_>>();
            assert_eq!(bits(&got), bits(&all), "{what}");
        }
    }
}

/// 1, all units, or some.
fn k_of(random: u64, units: usize) -> usize {
    match random % 6 {
        0 => 1,
        1 => units,
        2 => 1 + (random >> 8) as usize % units,
        _ => 1 + (random >> 8) as usize % units.min(9),
    }
}

proptest! {
    #![proptest_config(crate::layer::settings())]

    #[test]
    fn lists_the_largest(case in case(), k in any::<u64>()) {
        check_largest(&case, k_of(k, case.shape.2));
    }

    #[test]
    fn lists_what_is_above_floors(case in case(), seed in any::<u64>()) {
        check_above(&case, seed);
    }

    #[test]
    fn pools_hold_the_largest_of_the_batch(
        case in case(),
        kept in prop_oneof![1 => Just(1usize), 3 => 1..40usize, 2 => 1..2000usize],
        room in prop_oneof![Just(None), (1..30usize).prop_map(Some)],
    ) {
        check_pool(&case, kept, room);
    }
}

fn simple(shape: (usize, usize, usize), kind: Kind, activation: Activation) -> Case {
    let seed = (shape.0 + shape.1 + shape.2) as u64;
    Case { shape, kind, activation, layouts: [Layout::default(); 2], parts: 3, seed }
}

/// More samples and units than the sums have room for that wait between blocks of k, and more samples
/// than panels that are kept.
#[test]
#[cfg_attr(miri, ignore)]
fn of_many_blocks() {
    use {Activation::*, Kind::*};
    let shapes = [(260, 385, 800), (259, 1030, 30), (7, 1030, 770), (1050, 5, 200), (513, 400, 9)];
    let kinds = [(Ties, Relu), (Random, Linear)].into_iter().cycle();
    for (shape, (kind, activation)) in shapes.into_iter().zip(kinds) {
        let case = simple(shape, kind, activation);
        check_largest(&case, 3);
        check_above(&case, 5);
    }
    let case = simple((257, 390, 790), Ties, Relu);
    check_pool(&case, 100, None);
}

/// Every unit is the same: the lowest are listed.
#[test]
fn of_equal_activations_the_lowest_units() {
    for activation in ACTIVATIONS {
        for units in [1, 30, 205] {
            let case = simple((19, 6, units), Kind::AllTies, activation);
            for k in [1, 2.min(units), units.div_ceil(2), units] {
                check_largest(&case, k);
                for rows in largest(&Layer::new(&case), Isa::detect(), k, 1) {
                    assert!(rows.iter().enumerate().all(|(at, &(unit, _))| at == unit as usize));
                }
            }
            check_pool(&case, 7, Some(1));
        }
    }
}

/// Zeros are no part of a code: of what a ReLU closes nothing is listed; of what is signed,
/// negative activations are.
#[test]
fn zeros_are_left_out() {
    let case = simple((33, 12, 70), Kind::Negative, Activation::Relu);
    let layer = Layer::new(&case);
    for isa in Isa::all() {
        let lists = [largest(&layer, isa, 70, 2), above(&layer, isa, &[f32::NEG_INFINITY; 70], 2)];
        assert!(lists.iter().flatten().all(Vec::is_empty));
        assert_eq!(pooled(&layer, isa, 5, f32::NEG_INFINITY, &[33 * 70]), []);
    }
    let linear = simple((33, 12, 70), Kind::Negative, Activation::Linear);
    for isa in Isa::all() {
        let layer = Layer::new(&linear);
        let lists = largest(&layer, isa, 4, 2);
        assert!(lists.iter().all(|row| row.len() == 4 && row.iter().all(|entry| entry.1 < 0.0)));
    }
    check_largest(&linear, 4);
    check_largest(&simple((33, 12, 70), Kind::Ties, Activation::Linear), 60);
}

/// Activations that rise from unit to unit, so that all are candidates at first and are sorted out
/// again and again; and that fall.
#[test]
fn activations_in_order() {
    let (n, units) = (21, 700);
    for sign in [1.0, -1.0] {
        let case = simple((n, 1, units), Kind::Random, Activation::Linear);
        let mut layer = Layer::new(&case);
        layer.input = Block::holding(&vec![1.0; n], n, 1, Layout::default());
        let rising: Vec<f32> = (0..units).map(|unit| sign * (unit / 2) as f32).collect();
        layer.weights = Block::holding(&rising, units, 1, Layout::default());
        layer.biases = common::guarded(&vec![0.25; units]);
        let dense = layer.dense(common::scalar());
        let all = active(&dense, units);
        for isa in Isa::all() {
            for k in [1, 5, 100, 350] {
                let want = largest_of(&dense, units, k);
                assert_lists(isa.name(), &largest(&layer, isa, k, 2), &want);
            }
            for (kept, len) in [(1, 2), (50, 51), (333, 1357)] {
                let mut got = pooled(&layer, isa, kept, f32::NEG_INFINITY, &[len; 3]);
                sort(&mut got);
                assert_eq!(got[..kept], all[..kept], "{}, {kept} kept", isa.name());
            }
        }
    }
}

/// A NaN counts as largest, whatever its sign: it is not lost, so that a step whose numbers are no
/// longer finite fails.
#[test]
fn nans_are_listed() {
    let (n, inputs, units) = (9, 5, 300);
    for (activation, nan) in ACTIVATIONS.into_iter().flat_map(|f| [(f, f32::NAN), (f, -f32::NAN)]) {
        let case = simple((n, inputs, units), Kind::Random, activation);
        let mut layer = Layer::new(&case);
        for unit in [3, 100, 299] {
            layer.biases[unit] = nan;
        }
        for isa in Isa::all() {
            let dense = layer.dense(isa);
            let count = dense.iter().filter(|a| a.is_nan()).count();
            assert_eq!(count, 3 * n, "{activation:?} of a NaN");
            let fused = isa.is_fused().then(|| largest_of(&dense, units, 5));
            for k in [1, 2, 3, 5] {
                let rows = largest(&layer, isa, k, 2);
                for row in &rows {
                    let nans = row.iter().filter(|entry| entry.1.is_nan()).map(|entry| entry.0);
                    assert_eq!(nans.collect::<Vec<u32>>(), [3, 100, 299][..k.min(3)]);
                }
                if let Some(want) = fused.as_ref().filter(|_| k == 5) {
                    assert_lists(isa.name(), &rows, want);
                }
            }
            let rows = above(&layer, isa, &[f32::INFINITY; 300], 1);
            assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|e| e.1.is_nan())));
            let mut got = pooled(&layer, isa, 20, f32::NEG_INFINITY, &[22; 2]);
            sort(&mut got);
            assert!(got[..20].iter().all(|candidate| candidate.0.is_nan()));
        }
    }
}

/// No input, so that activations are those of the biases; no sample; no unit.
#[test]
fn sides_of_0() {
    check_largest(&simple((20, 0, 40), Kind::Random, Activation::Sigmoid), 7);
    check_above(&simple((20, 0, 40), Kind::Random, Activation::Linear), 1);
    for isa in Isa::all() {
        let none = Layer::new(&simple((0, 5, 40), Kind::Random, Activation::Relu));
        assert!(largest(&none, isa, 7, 3).is_empty());
        assert!(pooled(&none, isa, 3, 0.0, &[10]).is_empty());
        let none = Layer::new(&simple((4, 5, 0), Kind::Random, Activation::Relu));
        assert_eq!(above(&none, isa, &[], 2), vec![vec![]; 4]);
    }
}

#[test]
#[should_panic(expected = "k is from 1 to the number of units")]
fn none_of_the_units() {
    largest(&Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Relu)), Isa::detect(), 0, 1);
}

#[test]
#[should_panic(expected = "k is from 1 to the number of units")]
fn more_than_all_units() {
    largest(&Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Relu)), Isa::detect(), 7, 1);
}

#[test]
#[should_panic(expected = "room for candidates")]
fn more_units_than_room_for_candidates() {
    let layer = Layer::new(&simple((2, 3, 9), Kind::Random, Activation::Relu));
    let (mut keys, mut floors, mut counts) = ([0; 6], [0.0; 2], [0; 2]);
    let candidates = Candidates { keys: &mut keys, floors: &mut floors };
    common::with_scratch(|scratch| {
        layer.encode().add_largest(common::scalar(), 3, 0, candidates, &mut counts, scratch);
    });
}

#[test]
#[should_panic(expected = "a floor for each unit")]
fn floors_of_other_units() {
    above(
        &Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Relu)),
        Isa::detect(),
        &[0.0],
        1,
    );
}

#[test]
#[should_panic(expected = "a bias for each unit")]
fn biases_of_other_units() {
    let mut layer = Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Relu));
    layer.biases = common::guarded(&[0.0; 5]);
    largest(&layer, Isa::detect(), 2, 1);
}

#[test]
#[should_panic(expected = "as many weights as inputs for each unit")]
fn weights_of_other_inputs() {
    let mut layer = Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Relu));
    layer.weights = Block::holding(&[0.0; 24], 6, 4, Layout::default());
    largest(&layer, Isa::detect(), 2, 1);
}

#[test]
#[should_panic(expected = "a pool without room for its samples' activations")]
fn a_pool_too_small() {
    let layer = Layer::new(&simple((4, 5, 6), Kind::Random, Activation::Linear));
    pooled(&layer, Isa::detect(), 20, f32::NEG_INFINITY, &[10]);
}
