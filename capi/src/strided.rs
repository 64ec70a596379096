//! Matrices in C's memory.

use crate::error::{Result, invalid};
use crate::pointers::{check, check_size};

/// Values of C's, `[rows, cols]`; the strides are the distances of rows and columns, in values.
#[derive(Clone, Copy, Debug)]
pub struct Strided<T> {
    data: *const T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<T: Copy> Strided<T> {
    /// Checks everything but that the memory exists, which is the caller's obligation.
    pub fn new(
        name: &str,
        data: *const T,
        (rows, cols): (usize, usize),
        (row_stride, col_stride): (usize, usize),
    ) -> Result<Self> {
        check(name, data)?;
        if rows == 0 || cols == 0 {
            let problem = format!("expected at least one row and column, got {rows} x {cols}");
            return Err(invalid(name, problem));
        }
        if row_stride == 0 || col_stride == 0 {
            let problem = format!(
                "expected strides of at least 1 (row-major: {cols} and 1), got {row_stride} and \
                 {col_stride}"
            );
            return Err(invalid(name, problem));
        }
        let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        let span = last(rows, row_stride).zip(last(cols, col_stride));
        let span = span.and_then(|(down, along)| down.checked_add(along)?.checked_add(1));
        check_size::<T>(name, span.unwrap_or(usize::MAX))?;
        Ok(Strided { data, rows, cols, row_stride, col_stride })
    }

    /// Values from the first to the last of the matrix, including those between them.
    pub fn span(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }

    /// The values as one slice, if they are row-major without gaps.
    ///
    /// # Safety
    /// The memory is as described to [`Strided::new`], and nobody writes to it through `'a`.
    pub unsafe fn contiguous<'a>(self) -> Option<&'a [T]> {
        let dense = self.col_stride == 1 && (self.row_stride == self.cols || self.rows == 1);
        // SAFETY: `new` has checked the pointer and the length.
        dense.then(|| unsafe { std::slice::from_raw_parts(self.data, self.rows * self.cols) })
    }

    /// A row-major copy of the values.
    ///
    /// # Safety
    /// As for [`Strided::append_to`].
    pub unsafe fn to_vec(self, name: &str) -> Result<Vec<T>> {
        let mut values = Vec::new();
        // SAFETY: passed on.
        unsafe { self.append_to(name, &mut values) }?;
        Ok(values)
    }

    /// Appends the values to `to`, row-major.
    ///
    /// # Safety
    /// The memory is as described to [`Strided::new`], and nobody writes to it meanwhile.
    pub unsafe fn append_to(self, name: &str, to: &mut Vec<T>) -> Result<()> {
        let count = self.rows.checked_mul(self.cols);
        if count.is_none_or(|count| to.try_reserve_exact(count).is_err()) {
            let problem = format!("out of memory for {} x {} values", self.rows, self.cols);
            return Err(invalid(name, problem));
        }
        for row in 0..self.rows {
            // SAFETY: `new` has checked that no offset overflows; the rest is the caller's
            // obligation.
            let value = |col: usize| unsafe {
                self.data.add(row * self.row_stride + col * self.col_stride).read()
            };
            to.extend((0..self.cols).map(value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_checked_before_memory_is_read() {
        let data = [1u8; 4].as_ptr();
        let problem = |shape, strides| Strided::new("data", data, shape, strides).unwrap_err().text;
        assert!(problem((0, 1), (1, 1)).contains("got 0 x 1"));
        assert!(problem((2, 2), (0, 1)).contains("got 0 and 1"));
        assert!(problem((2, 2), (2, 0)).contains("got 2 and 0"));
        for (shape, strides) in [
            ((usize::MAX, 1), (2, 1)),
            ((2, 2), (usize::MAX, 1)),
            ((2, 2), (usize::MAX / 2, usize::MAX / 2 + 1)),
            ((1, usize::MAX), (1, 1)),
        ] {
            assert!(problem(shape, strides).contains("exceed the address space"));
        }
        let view = Strided::new("data", data, (2, 2), (2, 1)).unwrap();
        assert_eq!(view.span(), 4);
        let odd = data.wrapping_add(1).cast::<f32>();
        if !odd.is_aligned() {
            let problem = Strided::new("data", odd, (1, 1), (1, 1)).unwrap_err().text;
            assert!(problem.contains("a multiple of 4"), "{problem}");
        }
    }

    #[test]
    fn strided_values_are_read_row_by_row() {
        // [3, 2], column-major, with a gap of one value between the columns.
        let data = [1, 3, 5, 0, 2, 4, 6];
        let view = Strided::new("data", data.as_ptr(), (3, 2), (1, 4)).unwrap();
        // SAFETY: the last value is at (3 - 1) + 4 = 6, which `data` has.
        assert_eq!(unsafe { view.to_vec("data") }.unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(view.span(), data.len());
        // SAFETY: as above.
        assert!(unsafe { view.contiguous() }.is_none());
        let view = Strided::new("data", data.as_ptr(), (2, 3), (3, 1)).unwrap();
        // SAFETY: six of the seven.
        assert_eq!(unsafe { view.contiguous() }, Some(&data[..6]));
    }
}
