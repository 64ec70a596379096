//! Scratch of what a product needs: it suffices, a part of the product needs no more, and less is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use sae_kernels::sparse::{Candidates, Encode};
use sae_kernels::{
    Activation, AdamOptions, Forward, Gemm, HiddenDelta, Isa, ListsMut, Loss, Matrix, MatrixMut,
    Operand, OutputDelta, Penalty, Scratch, Update,
};

use crate::common::{self, CANARY, Guard, Guarded, Listed, Random, Zeros};

type Shape = (usize, usize, usize);

/// The left side, the right side, and a number for each column.
struct Inputs {
    a: Vec<f32>,
    lists: Listed,
    b: Vec<f32>,
    shape: Shape,
}

impl Inputs {
    fn new(shape: Shape) -> Inputs {
        let (m, k, n) = shape;
        let mut random = Random(5);
        let a = random.sparse(m, k, Zeros { columns: 0.2, numbers: 0.3 });
        let lists = Listed::of(&a, m, k, 0);
        Inputs { a, lists, b: random.numbers(k * n), shape }
    }

    fn operands(&self) -> [Operand<'_>; 3] {
        let a = Matrix::new(&self.a, self.shape.0, self.shape.1);
        [Operand::Dense(a), Operand::SkipZeros(a), Operand::Sparse(self.lists.lists())]
    }

    fn b(&self) -> Matrix<'_> {
        Matrix::new(&self.b, self.shape.1, self.shape.2)
    }
}

type Run = fn(&Inputs, usize, Isa, &mut Scratch<'_>) -> Vec<f32>;

/// Every product, with the operand of this number; what it writes.
const PRODUCTS: [(&str, Run); 7] = [
    ("gemm", |inputs, operand, isa, scratch| {
        let (m, _, n) = inputs.shape;
        let mut c = vec![1.0; m * n];
        let view = MatrixMut::new(&mut c, m, n);
        Gemm::new(inputs.operands()[operand], inputs.b(), view).run(isa, scratch);
        c
    }),
    ("a column-major sum", |inputs, operand, isa, scratch| {
        let (m, _, n) = inputs.shape;
        let mut c = vec![1.0; m * n];
        let view = MatrixMut::new(&mut c, n, m).transposed();
        let product = Gemm::new(inputs.operands()[operand], inputs.b(), view);
        product.accumulate().run(isa, scratch);
        c
    }),
    ("forward", |inputs, operand, isa, scratch| {
        let (m, _, n) = inputs.shape;
        let (mut output, mut sums) = (vec![0.0; m * n], vec![0.0; n]);
        let forward = Forward {
            input: inputs.operands()[operand],
            weights: inputs.b(),
            biases: &vec![0.5; n],
            activation: Activation::Tanh,
            output: MatrixMut::new(&mut output, m, n),
            sums: &mut sums,
        };
        forward.run(isa, scratch);
        [output, sums].concat()
    }),
    ("output delta", |inputs, operand, isa, scratch| {
        let (m, _, n) = inputs.shape;
        let (mut delta, mut sums) = (vec![0.0; m * n], vec![0.0; 2 * n]);
        let (losses, bias_gradient) = sums.split_at_mut(n);
        let target = vec![0.25; m * n];
        let output = OutputDelta {
            input: inputs.operands()[operand],
            weights: inputs.b(),
            biases: &vec![0.5; n],
            activation: Activation::Tanh,
            loss: Loss::SquaredError,
            target: Matrix::new(&target, m, n),
            scale: 2.0,
            delta: MatrixMut::new(&mut delta, m, n),
            losses,
            bias_gradient,
        };
        output.run(isa, scratch);
        [delta, sums].concat()
    }),
    ("hidden delta", |inputs, operand, isa, scratch| {
        let (m, k, n) = inputs.shape;
        let (mut delta, mut bias_gradient) = (vec![0.0; m * n], vec![0.0; n]);
        let activations = vec![0.5; m * n];
        // (Sparse deltas read the weights' columns: here they are rows.)
        let transposed: Vec<f32> = (0..n * k).map(|ij| inputs.b[ij % k * n + ij / k]).collect();
        let weights = match operand {
            2 => inputs.b().transposed(),
            _ => Matrix::new(&transposed, n, k),
        };
        let hidden = HiddenDelta {
            next: inputs.operands()[operand],
            weights,
            activations: Matrix::new(&activations, m, n),
            activation: Activation::Sigmoid,
            penalty: Penalty::default(),
            delta: MatrixMut::new(&mut delta, m, n),
            bias_gradient: &mut bias_gradient,
        };
        hidden.run(isa, scratch);
        [delta, bias_gradient].concat()
    }),
    ("update", |inputs, operand, isa, scratch| {
        let (m, _, n) = inputs.shape;
        let [mut weights, mut first, mut second] = [(); 3].map(|()| vec![0.5; m * n]);
        let rule = AdamOptions::default().at_step(3);
        for rule in [rule, rule.lazy(), rule.orthogonal()] {
            let update = Update {
                rule,
                a: inputs.operands()[operand],
                delta: inputs.b(),
                weights: MatrixMut::new(&mut weights, m, n),
                first_moment: MatrixMut::new(&mut first, m, n),
                second_moment: MatrixMut::new(&mut second, m, n),
                correction: None,
            };
            update.run(isa, scratch);
        }
        [weights, first, second].concat()
    }),
    ("encode", |inputs, _, isa, scratch| {
        let (m, k, n) = inputs.shape;
        let (width, kept) = (Candidates::width(2.min(m), m), 2.min(m));
        let (mut keys, mut floors) = (vec![0; n * width], vec![0.0; n]);
        let (mut counts, mut indices) = (vec![0; n], vec![0; n * kept]);
        let mut values = vec![0.0; n * kept];
        let samples: Vec<f32> = (0..n * k).map(|ij| inputs.b[ij % k * n + ij / k]).collect();
        let encode = Encode {
            input: Matrix::new(&samples, n, k),
            weights: Matrix::new(&inputs.a, m, k),
            biases: &vec![0.1; m],
            activation: Activation::Relu,
        };
        let candidates = Candidates { keys: &mut keys, floors: &mut floors };
        let lists = ListsMut { counts: &mut counts, indices: &mut indices, values: &mut values };
        encode.largest(isa, kept, candidates, lists, scratch);
        values
    }),
];

const SHAPES: [Shape; 9] = [
    (1, 1, 1),
    (3, 40, 300),
    (60, 30, 70),
    (25, 500, 33),
    (200, 33, 50),
    (2, 1030, 1100),
    (790, 390, 9),
    (40, 5, 1500),
    // Rows of A are copied.
    (24, 512, 390),
];

/// With exactly what it needs, at guard pages, every product has the bits that it has with all.
#[test]
fn what_is_said_to_suffice_does() {
    for shape in SHAPES {
        let inputs = Inputs::new(shape);
        for isa in Isa::all() {
            for (name, run) in PRODUCTS {
                for operand in 0..3 {
                    let want = common::with_scratch(|scratch| run(&inputs, operand, isa, scratch));
                    let (floats, indices) = Scratch::lengths_for(isa, shape.0, shape.1, shape.2);
                    let mut floats = Guarded::filled(floats, CANARY, Guard::Behind);
                    let mut indices = Guarded::filled(indices, u32::MAX, Guard::Behind);
                    let mut scratch = Scratch::sized(&mut floats, &mut indices);
                    let got = run(&inputs, operand, isa, &mut scratch);
                    let what = format!("{name} {shape:?} {operand} {}", isa.name());
                    common::assert_bits(&what, &got, &want);
                }
            }
        }
    }
}

/// One number less, and the panic says how many there have to be.
#[test]
fn less_is_refused() {
    let inputs = Inputs::new((5, 7, 9));
    for isa in Isa::all() {
        let (floats, indices) = Scratch::lengths_for(isa, 5, 7, 9);
        for (few_floats, few_indices) in [(floats - 1, indices), (floats, indices - 1), (0, 0)] {
            for (name, run) in PRODUCTS {
                let (mut floats_of, mut indices_of) = (vec![0.0; few_floats], vec![0; few_indices]);
                let mut scratch = Scratch::sized(&mut floats_of, &mut indices_of);
                let work = AssertUnwindSafe(|| run(&inputs, 0, isa, &mut scratch));
                let panic = catch_unwind(work).expect_err(name);
                let text = panic.downcast_ref::<String>().expect("a text");
                let need = format!("needs a scratch of {floats} floats and {indices} indices");
                assert!(text.contains(&need), "{name}: {text}");
            }
        }
    }
}

/// A fused product is refused as a whole, before anything is written.
#[test]
#[should_panic(expected = "the floats of a scratch are too few")]
fn a_full_scratch_is_full() {
    Scratch::new(&mut [0.0; 10], &mut []);
}

fn sides() -> impl Strategy<Value = Shape> {
    let side = || prop_oneof![1 => 0..40usize, 1 => 180..=400usize, 1 => 0..=5000usize];
    (side(), side(), side())
}

proptest! {
    #![proptest_config(common::settings())]

    #[test]
    fn parts_need_no_more((m, k, n) in sides(), rows in 0..=5000usize, cols in 0..=5000usize) {
        for isa in Isa::all() {
            let whole = Scratch::lengths_for(isa, m, k, n);
            let part = Scratch::lengths_for(isa, m.min(rows), k, n.min(cols));
            prop_assert!(part.0 <= whole.0 && part.1 <= whole.1, "{part:?} {whole:?}");
            prop_assert!(whole.0 <= Scratch::LENGTHS.0 && whole.1 <= Scratch::LENGTHS.1);
        }
    }
}

#[test]
fn any_shape_has_a_need() {
    let most = usize::MAX;
    for isa in Isa::all() {
        for (m, k, n) in [(most, most, most), (0, 0, 0), (most, 1, 1), (1, most, 1), (1, 1, most)] {
            let need = Scratch::lengths_for(isa, m, k, n);
            assert!(need.0 <= Scratch::LENGTHS.0 && need.1 <= Scratch::LENGTHS.1, "{need:?}");
        }
    }
}
