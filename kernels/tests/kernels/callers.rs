//! A panic names the line of who called with shapes that do not fit, not a line of this crate.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use sae_kernels::sparse::{
    Candidates, CodeGradient, Encode, Grouped, add_tanh_gradient, code_delta,
};
use sae_kernels::{
    Activation, AdamOptions, Bands, Division, Forward, Gemm, HiddenDelta, Isa, Lists, ListsMut,
    Loss, Matrix, MatrixMut, Operand, Outer, OutputDelta, Parts, Penalty, Scratch, Update,
    add_weight_decay, convert, gemm, sparse, sparsity,
};

use crate::common;

thread_local! {
    /// Where this thread has panicked, while it looks.
    static PLACE: RefCell<Option<Option<(String, u32)>>> = const { RefCell::new(None) };
}

/// Where the work panics: file and line.
fn place_of_panic(work: impl FnOnce()) -> (String, u32) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let looks = PLACE.with_borrow_mut(|place| {
                let Some(place) = place else { return false };
                *place = info.location().map(|at| (at.file().to_owned(), at.line()));
                true
            });
            if !looks {
                before(info);
            }
        }));
    });
    PLACE.set(Some(None));
    let ended = catch_unwind(AssertUnwindSafe(work));
    let place = PLACE.take().flatten();
    assert!(ended.is_err(), "a panic was expected");
    place.expect("a place")
}

/// Panics unless each statement panics, at a place in this file.
macro_rules! panic_here {
    ($($work:expr;)*) => {$({
        let (file, line) = place_of_panic(|| {
            let _ = $work;
        });
        assert!(file.ends_with("callers.rs"), "{} panics at {file}:{line}", stringify!($work));
    })*};
}

#[test]
fn the_line_is_that_of_the_call() {
    let (_, line) = place_of_panic(|| _ = Matrix::new(&[0.0; 6], 2, 2));
    assert_eq!(line, line!() - 1);
}

#[test]
fn views() {
    let x = [0.0; 6];
    let mut y = [0.0; 6];
    let matrix = Matrix::new(&x, 2, 3);
    panic_here! {
        Matrix::new(&x, 2, 2);
        Matrix::new(&x, usize::MAX, 2);
        Matrix::strided(&x, 2, 3, 4);
        Matrix::strided(&x, 2, 3, 2);
        Matrix::with_strides(&x, (2, 2), (5, 5));
        matrix.row(2);
        matrix.transposed().row(0);
        matrix.get(0, 3);
        matrix.rows(1..3);
        matrix.columns(0..4);
        MatrixMut::new(&mut y, 2, 2);
        MatrixMut::strided(&mut y, 2, 3, 4);
        MatrixMut::strided(&mut y, 2, 3, 2);
        MatrixMut::with_strides(&mut y, (2, 2), (1, 1));
        MatrixMut::new(&mut y, 2, 3).row_mut(2);
        MatrixMut::new(&mut y, 2, 3).transposed().row_mut(0);
        MatrixMut::new(&mut y, 2, 3).into_row();
        MatrixMut::new(&mut y, 2, 3).rows_mut(1..3);
    }
}

#[test]
fn divisions_and_lists() {
    let mut y = [0.0; 6];
    let division = Division::new(3, 1, 2);
    let lists = Lists::new(&[0, 1], &[1, 2], &[0, 1], &[1.0, 2.0]);
    panic_here! {
        Division::new(3, 0, 2);
        Bands::new(&mut y, 3, division);
        Bands::ragged(&mut y, division, |row| 6 - row);
        Bands::new(&mut y, 2, division).take(2);
        Parts::rows(MatrixMut::new(&mut y, 2, 3), division);
        Parts::columns(MatrixMut::new(&mut y, 3, 2), division);
        Parts::rows(MatrixMut::new(&mut y, 3, 2), division).take(2);
        Lists::new(&[0], &[2], &[0], &[1.0]);
        Lists::new(&[0], &[], &[0], &[1.0]);
        lists.row(2);
        lists.entries(2);
        lists.slice(1..3);
        lists.with_values(&[1.0]);
        Operand::Sparse(lists).rows(1..3);
        Operand::Dense(Matrix::new(&[0.0; 4], 2, 2)).rows(1..3);
        Grouped { starts: &mut [0], ends: &mut [0], samples: &mut [0; 2], places: &mut [0; 2] }.fill(lists);
        Grouped { starts: &mut [0; 2], ends: &mut [0; 2], samples: &mut [0], places: &mut [0] }.fill(lists);
    }
}

#[test]
fn products() {
    let isa = Isa::detect();
    let x = [0.0; 6];
    let (mut y, mut sums) = ([0.0; 6], [0.0; 3]);
    let wide = Matrix::new(&x, 2, 3);
    let lists = Lists::new(&[0, 1], &[1, 2], &[0, 1], &[1.0, 2.0]);
    common::with_scratch(|scratch| {
        panic_here! {
            gemm(isa, wide, wide, MatrixMut::new(&mut y, 2, 3), scratch);
            gemm(isa, wide, wide.transposed(), MatrixMut::new(&mut y, 2, 3), scratch);
            Gemm::new(lists, wide, MatrixMut::new(&mut y, 3, 2)).run(isa, scratch);
            Gemm::new(lists, wide.transposed(), MatrixMut::new(&mut y[..4], 2, 2)).run(isa, scratch);
            Gemm::new(wide, wide.transposed(), MatrixMut::new(&mut y[..4], 2, 2))
                .run(isa, &mut Scratch::sized(&mut [], &mut []));
            Scratch::new(&mut [], &mut []);
            Forward {
                input: wide.into(),
                weights: wide.transposed(),
                biases: &x[..2],
                activation: Activation::Linear,
                output: MatrixMut::new(&mut y, 3, 2),
                sums: &mut sums[..2],
            }
            .run(isa, scratch);
            OutputDelta {
                input: wide.into(),
                weights: wide.transposed(),
                biases: &x[..2],
                activation: Activation::Linear,
                loss: Loss::CrossEntropy,
                target: Matrix::new(&x[..4], 2, 2),
                scale: 1.0,
                delta: MatrixMut::new(&mut y[..4], 2, 2),
                losses: &mut sums[..2],
                bias_gradient: &mut [0.0; 2],
            }
            .run(isa, scratch);
            HiddenDelta {
                next: wide.into(),
                weights: wide,
                activations: wide,
                activation: Activation::Linear,
                penalty: Penalty::default(),
                delta: MatrixMut::new(&mut y[..4], 2, 2),
                bias_gradient: &mut sums[..2],
            }
            .run(isa, scratch);
            Update {
                rule: AdamOptions::default().at_step(1),
                a: wide.into(),
                delta: wide,
                weights: MatrixMut::new(&mut y, 2, 3),
                first_moment: MatrixMut::new(&mut [0.0; 6], 2, 3),
                second_moment: MatrixMut::new(&mut [0.0; 6], 2, 3),
                correction: None,
            }
            .run(isa, scratch);
            Encode { input: wide, weights: wide, biases: &x[..1], activation: Activation::Relu }
                .above(
                    isa,
                    &x[..2],
                    ListsMut { counts: &mut [0; 2], indices: &mut [0; 4], values: &mut [0.0; 4] },
                    scratch,
                );
            Candidates { keys: &mut [0; 2], floors: &mut [0.0; 2] }
                .begin(Activation::Relu, &mut [0]);
        }
    });
}

#[test]
fn slices() {
    let isa = Isa::detect();
    let (x, mut y) = ([0.0; 6], [0.0; 5]);
    let rule = AdamOptions::default().at_step(1);
    let wide = Matrix::new(&x, 2, 3);
    let lists = Lists::new(&[0, 1], &[1, 2], &[0, 1], &[1.0, 2.0]);
    let mut z = [[0.0; 6]; 3];
    let [a, b, c] = &mut z;
    panic_here! {
        rule.update_rows(
            isa,
            MatrixMut::from_row(a),
            MatrixMut::from_row(b),
            MatrixMut::from_row(&mut c[..5]),
            Matrix::from_row(&x),
        );
        add_weight_decay(isa, 0.1, &x, &mut y);
        Outer { rows: &x[..2], cols: &x[..2] }.block(0..3, 0..1);
        Outer { rows: &x[..2], cols: &x[..2] }.subtract_from(isa, MatrixMut::from_row(&mut y));
        sparsity::kl_gradient(isa, 0.1, 1.0, &x, &mut y);
        sparse::row_products(isa, wide, &x, &mut y);
        CodeGradient { codes: lists, delta: wide, weights: wide }.run(isa, &mut y[..1]);
        code_delta(isa, lists, Activation::Relu, Penalty::default(), &mut y[..1]);
        add_tanh_gradient(isa, lists, 1.0, 1.0, &mut y[..1]);
        convert::scale_bytes(isa, &[0; 3], 0.0, 1.0, &mut y);
        convert::f16_to_f32s(isa, &[0; 3], &mut y);
        convert::bf16_to_f32s(isa, &[0; 3], &mut y);
    }
}

/// Every public function whose documentation has a section `Panics` has `#[track_caller]`.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_documented_panic_names_the_caller() {
    fn visit(folder: &Path, count: &mut usize) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, count);
            } else {
                look(&path, count);
            }
        }
    }
    fn look(path: &Path, count: &mut usize) {
        let text = std::fs::read_to_string(path).expect("a file");
        let (mut panics, mut tracks) = (false, false);
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if line.starts_with("///") {
                panics |= line == "/// # Panics";
            } else if line.starts_with("#[") {
                tracks |= line == "#[track_caller]";
            } else {
                if line.starts_with("pub fn ") && panics {
                    assert!(tracks, "{}:{}: #[track_caller] is missing", path.display(), at + 1);
                    *count += 1;
                }
                (panics, tracks) = (false, false);
            }
        }
    }
    let mut count = 0;
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut count);
    assert!(count > 50, "only {count} functions were found");
}
