//! The numbers of the XOR layout, in the order in which they lie in a chunk. Written and read by the files beside this one.
//!
//! ```text
//! chunk    count:u16 BE   first   second   other...   zero bits to the byte
//! first    t:zigzag varint          value:64
//! second   t-t0:unsigned varint     value change
//! other    delta of delta           value change
//! delta of delta   0 | 10 n:14 | 110 n:17 | 1110 n:20 | 1111 n:64
//! value change     0 | 10 bits:window | 11 leading:5 significant:6 bits:significant
//! ```

/// The most samples a chunk can count.
pub const SAMPLES_MAX: u16 = u16::MAX;

/// The widths of a delta of delta, by the number of ones in its prefix. None is needed for zero.
pub(super) const DOD_BITS: [u32; 5] = [0, 14, 17, 20, 64];

/// Does a delta of delta fit in `bits`? The range is shifted by one against two's complement: −8191 to 8192 for 14 bits.
pub(super) const fn dod_fits(dod: i64, bits: u32) -> bool {
    let half = 1i64 << (bits - 1);
    -(half - 1) <= dod && dod <= half
}

/// A delta of delta from its `bits` as read: above half the range it is negative.
pub(super) const fn dod_from_raw(raw: u64, bits: u32) -> i64 {
    if bits < 64 && raw > 1 << (bits - 1) { raw.wrapping_sub(1 << bits) as i64 } else { raw as i64 }
}
