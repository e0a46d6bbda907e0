//! Cold columns: any bytes are an error or columns, the same from every range; any values and times come back to the bit.
#![no_main]

use kymo_chunk::cold::{decode_times, decode_values, encode_times, encode_values, sample_count};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([how, from], bytes)) = data.split_first_chunk::<2>() else { return };
    if how & 1 == 0 {
        let count = sample_count(bytes).unwrap_or(0);
        let from = usize::from(*from) * count / 256;
        let (mut values, mut part, mut times) = (Vec::new(), Vec::new(), Vec::new());
        if decode_values(bytes, 0..count, &mut values).is_ok() {
            assert_eq!(values.len(), count);
            decode_values(bytes, from..count, &mut part).expect("a part of what can be read");
            assert!(part.iter().zip(&values[from..]).all(|(a, b)| a.to_bits() == b.to_bits()));
        } else {
            assert!(values.is_empty());
        }
        if decode_times(bytes, 0..count, &mut times).is_ok() {
            let mut part = Vec::new();
            decode_times(bytes, from..count, &mut part).expect("a part of what can be read");
            assert_eq!(part, times[from..]);
        }
        return;
    }
    // Numbers of eight, four, two or one bytes, taken as bits, as decimals or summed up.
    let size = 1 << (how >> 1 & 3);
    let numbers = bytes.chunks_exact(size).map(|bytes| {
        let mut eight = [0; 8];
        eight[..size].copy_from_slice(bytes);
        i64::from_le_bytes(eight)
    });
    let mut sum = 0i64;
    let values: Vec<f64> = numbers
        .clone()
        .map(|number| match how >> 3 & 3 {
            0 => f64::from_bits(number as u64),
            1 => number as f64 / 10f64.powi(i32::from(*from % 20)),
            2 => {
                sum = sum.wrapping_add(number);
                sum as f64
            }
            _ => f64::from(number as u32 as f32),
        })
        .collect();
    let (mut column, mut read) = (Vec::new(), Vec::new());
    encode_values(&values, &mut column);
    decode_values(&column, 0..values.len(), &mut read).expect("a column just written");
    assert!(read.len() == values.len() && read.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()));
    let times: Vec<i64> = numbers
        .scan(0i64, |last, number| {
            *last = last.wrapping_add(number);
            Some(*last)
        })
        .collect();
    let (mut column, mut read) = (Vec::new(), Vec::new());
    encode_times(&times, &mut column);
    decode_times(&column, 0..times.len(), &mut read).expect("a column just written");
    assert_eq!(read, times);
});
