//! The order in which activations are selected: the largest first, of equal ones the first.

/// A number's key in descending order: the greater the number, the smaller the key.
///
/// -0 comes after 0; every NaN before all numbers, whatever its sign, which differs between
/// machines: so a NaN is never left out of a code for a number.
///
/// ```
/// use sae_kernels::sparse::order_key;
///
/// assert!(order_key(2.0) < order_key(1.0) && order_key(1.0) < order_key(-1.0));
/// ```
#[inline(always)]
pub fn order_key(value: f32) -> u32 {
    if value.is_nan() {
        return 0;
    }
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits ^ 0x7fff_ffff } else { bits }
}

/// The number of an [`order_key`]; of every NaN's, one NaN.
///
/// ```
/// use sae_kernels::sparse::{from_order_key, order_key};
///
/// assert_eq!(from_order_key(order_key(-1.5)), -1.5);
/// ```
#[inline(always)]
pub fn from_order_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 0 { key ^ 0x7fff_ffff } else { key })
}
