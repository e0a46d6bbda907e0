//! Pack: numbers of equal width, one behind the other, lowest bit first. Every width has an unpacker of its own, so that all shifts
//! are known when it is compiled.

/// Numbers in a group. All groups of a column but the last have so many.
pub(super) const GROUP: usize = 128;

/// Numbers that fill whole bytes together, whatever their width.
const BLOCK: usize = 8;

/// Loads of eight bytes reach so far behind the block that they begin in.
const SPARE_BYTES: usize = 8;

/// The narrowest width that is written for numbers of so many bits. Of the others some would need two loads for a number.
pub(super) const fn width_for(bits: u32) -> u32 {
    match bits {
        59 => 60,
        61..=64 => 64,
        _ => bits,
    }
}

/// Is there an unpacker for it?
pub(super) const fn is_width(width: u32) -> bool {
    width <= 64 && width_for(width) == width
}

/// Bytes of `count` numbers.
pub(super) const fn packed_bytes(width: u32, count: usize) -> usize {
    (width as usize * count).div_ceil(8)
}

/// Appends numbers, none of which has more than `width` bits.
pub(super) fn pack(out: &mut Vec<u8>, width: u32, numbers: &[u64]) {
    let (mut held, mut bits) = (0u128, 0);
    for number in numbers {
        held |= u128::from(*number) << bits;
        bits += width;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
}

/// Reads a group of which `packed` are the first bytes, and possibly more behind it. Numbers behind `count` are anything.
pub(super) fn unpack(packed: &[u8], width: u32, count: usize, numbers: &mut [u64; GROUP]) {
    let wanted = GROUP / BLOCK * width as usize + SPARE_BYTES;
    if packed.len() >= wanted {
        return UNPACKERS[width as usize](packed, numbers);
    }
    let mut padded = [0; GROUP * 8 + SPARE_BYTES];
    let there = packed.len().min(packed_bytes(width, count));
    padded[..there].copy_from_slice(&packed[..there]);
    UNPACKERS[width as usize](&padded, numbers);
}

type Unpacker = fn(&[u8], &mut [u64; GROUP]);

/// By width; those that are not written read no number.
const UNPACKERS: [Unpacker; 65] = [
    unpack_zeros,
    fixed::<1>,
    fixed::<2>,
    fixed::<3>,
    fixed::<4>,
    fixed::<5>,
    fixed::<6>,
    fixed::<7>,
    fixed::<8>,
    fixed::<9>,
    fixed::<10>,
    fixed::<11>,
    fixed::<12>,
    fixed::<13>,
    fixed::<14>,
    fixed::<15>,
    fixed::<16>,
    fixed::<17>,
    fixed::<18>,
    fixed::<19>,
    fixed::<20>,
    fixed::<21>,
    fixed::<22>,
    fixed::<23>,
    fixed::<24>,
    fixed::<25>,
    fixed::<26>,
    fixed::<27>,
    fixed::<28>,
    fixed::<29>,
    fixed::<30>,
    fixed::<31>,
    fixed::<32>,
    fixed::<33>,
    fixed::<34>,
    fixed::<35>,
    fixed::<36>,
    fixed::<37>,
    fixed::<38>,
    fixed::<39>,
    fixed::<40>,
    fixed::<41>,
    fixed::<42>,
    fixed::<43>,
    fixed::<44>,
    fixed::<45>,
    fixed::<46>,
    fixed::<47>,
    fixed::<48>,
    fixed::<49>,
    fixed::<50>,
    fixed::<51>,
    fixed::<52>,
    fixed::<53>,
    fixed::<54>,
    fixed::<55>,
    fixed::<56>,
    fixed::<57>,
    fixed::<58>,
    unpack_zeros,
    fixed::<60>,
    unpack_zeros,
    unpack_zeros,
    unpack_zeros,
    fixed::<64>,
];

fn unpack_zeros(_: &[u8], numbers: &mut [u64; GROUP]) {
    numbers.fill(0);
}

fn fixed<const WIDTH: usize>(packed: &[u8], numbers: &mut [u64; GROUP]) {
    let mask = u64::MAX >> (64 - WIDTH);
    for (place, block) in numbers.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let bytes = &packed[place * WIDTH..][..WIDTH + SPARE_BYTES];
        for (at, number) in block.iter_mut().enumerate() {
            let bit = at * WIDTH;
            let eight =
                bytes[bit / 8..].first_chunk::<8>().expect("BUG: the block and its spare bytes are there");
            *number = u64::from_le_bytes(*eight) >> (bit % 8) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(numbers in prop::collection::vec(any::<u64>(), 1..=GROUP), bits in 0u32..=64, spare in 0usize..1200) {
            let width = width_for(bits);
            prop_assert!(is_width(width) && width >= bits);
            let numbers: Vec<u64> = numbers.into_iter().map(|number| number.checked_shr(64 - width).unwrap_or(0)).collect();
            let mut packed = Vec::new();
            pack(&mut packed, width, &numbers);
            prop_assert_eq!(packed.len(), packed_bytes(width, numbers.len()));
            packed.resize(packed.len() + spare, 0xa5);
            let mut unpacked = [1; GROUP];
            unpack(&packed, width, numbers.len(), &mut unpacked);
            prop_assert_eq!(&unpacked[..numbers.len()], numbers.as_slice());
        }
    }
}
