//! What strides demand of a slice, and where they put a number.

/// Panics unless a `[rows, cols]` matrix has this many numbers.
#[track_caller]
pub(super) fn check_area(length: usize, rows: usize, cols: usize) {
    let area = rows.checked_mul(cols).expect("a matrix larger than the address space");
    assert_eq!(length, area, "a {rows} x {cols} matrix needs that many numbers");
}

/// Floats from the first to the last of a `[rows, cols]` view with these strides.
#[track_caller]
fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 {
        return 0;
    }
    let (down, along) = ((rows - 1).checked_mul(row_stride), (cols - 1).checked_mul(col_stride));
    let last = down.zip(along).and_then(|(down, along)| down.checked_add(along));
    last.and_then(|last| last.checked_add(1)).expect("a matrix larger than the address space")
}

/// Panics unless rows of `cols` floats that begin `row_stride` floats apart do not overlap.
#[track_caller]
pub(super) fn check_rows(cols: usize, row_stride: usize) {
    assert!(row_stride >= cols, "a row stride of {row_stride} is below the {cols} columns");
}

/// Panics unless the slice of this length holds the view.
#[track_caller]
pub(super) fn check_length(
    length: usize,
    (rows, cols): (usize, usize),
    (row, col): (usize, usize),
) {
    let need = span(rows, cols, row, col);
    assert!(
        length >= need,
        "the slice is too short for its view: a {rows} x {cols} matrix of strides {row} and {col} \
         spans {need} numbers, the slice has {length}"
    );
}

/// Whether no two numbers of a view share a place, as far as its strides tell: the lines of one
/// direction lie between those of the other.
pub(super) fn is_distinct((rows, cols): (usize, usize), (row, col): (usize, usize)) -> bool {
    if rows == 0 || cols == 0 {
        return true;
    }
    if rows == 1 || cols == 1 {
        return (rows == 1 || row > 0) && (cols == 1 || col > 0);
    }
    let exceeds = |other: usize, length: usize, stride: usize| {
        stride > 0 && other > (length - 1).saturating_mul(stride)
    };
    exceeds(row, cols, col) || exceeds(col, rows, row)
}

/// The offset of a number. (Of an empty view any stride is valid, so it may wrap.)
#[inline(always)]
pub(super) fn offset(row: usize, row_stride: usize, col: usize, col_stride: usize) -> usize {
    row.wrapping_mul(row_stride).wrapping_add(col.wrapping_mul(col_stride))
}
