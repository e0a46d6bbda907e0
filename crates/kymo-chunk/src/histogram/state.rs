//! State: the newest sample of a chunk and what the next one is written against. The same for reading and for writing, so
//! that a chunk that was read can be gone on with.
//!
//! ```text
//! first, integer   t:signed   count:unsigned   zero count:unsigned   sum:64   bucket:signed...
//! first, float     t:signed   count:64         zero count:64         sum:64   bucket:64...
//! other, integer   t, count, zero count: deltas of deltas   sum: change   buckets: deltas of deltas
//! other, float     t: delta of delta                        all others: changes
//! ```
//!
//! Of a staleness marker no buckets are written, and no counts with integers. It has the sum for which it is known.

use kymo_model::is_stale;

use super::form::{Form, Raw};
use super::layout::Layout;
use crate::bits::{BitReader, BitWriter, Window};
use crate::{ChunkError, ChunkErrorKind};

/// One number of the samples.
#[derive(Clone, Copy, Debug)]
struct Field {
    bits: u64,
    /// Integers: by how much it changed.
    delta: u64,
    /// Floats: which bits changed.
    window: Window,
}

impl Field {
    fn starting(bits: u64) -> Field {
        Field { bits, delta: 0, window: Window::UNSET }
    }

    fn read_dod(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.delta = self.delta.wrapping_add_signed(reader.varbit_signed()?);
        self.bits = self.bits.wrapping_add(self.delta);
        Ok(())
    }

    fn read_change(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.bits ^= reader.change(&mut self.window)?;
        Ok(())
    }

    fn write_dod(&mut self, writer: &mut BitWriter, bits: u64) {
        let delta = bits.wrapping_sub(self.bits);
        writer.push_varbit_signed(delta.wrapping_sub(self.delta) as i64);
        (self.bits, self.delta) = (bits, delta);
    }

    fn write_change(&mut self, writer: &mut BitWriter, bits: u64) {
        writer.push_change(bits ^ self.bits, &mut self.window);
        self.bits = bits;
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) form: Form,
    pub(super) layout: Layout,
    pub(super) t_ms: i64,
    t_delta: i64,
    count: Field,
    zero_count: Field,
    sum: Field,
    /// Positive, then negative.
    buckets: Vec<Field>,
    positive: usize,
}

impl State {
    pub(super) fn new(form: Form) -> State {
        State {
            form,
            layout: Layout::default(),
            t_ms: 0,
            t_delta: 0,
            count: Field::starting(0),
            zero_count: Field::starting(0),
            sum: Field::starting(0),
            buckets: Vec::new(),
            positive: 0,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.bits
    }

    pub(super) fn zero_count(&self) -> u64 {
        self.zero_count.bits
    }

    pub(super) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.bits)
    }

    pub(super) fn is_stale(&self) -> bool {
        is_stale(self.sum())
    }

    fn side(&self, side: usize) -> &[Field] {
        let (positive, negative) = self.buckets.split_at(self.positive);
        [positive, negative][side]
    }

    /// Positive or negative buckets of the newest sample.
    pub(super) fn buckets(&self, side: usize) -> Vec<u64> {
        self.side(side).iter().map(|field| field.bits).collect()
    }

    /// Positive or negative buckets of the newest sample, as counts.
    pub(super) fn float_counts(&self, side: usize) -> Vec<f64> {
        let fields = self.side(side).iter();
        let mut sum = 0u64;
        match self.form {
            Form::Integer => fields
                .map(|field| {
                    sum = sum.wrapping_add(field.bits);
                    // A damaged one may be below zero.
                    sum as i64 as f64
                })
                .collect(),
            Form::Float => fields.map(|field| f64::from_bits(field.bits)).collect(),
        }
    }

    /// Has a histogram with the same buckets a lower count in one of them?
    pub(super) fn has_lower_bucket(&self, raw: &Raw<'_>) -> bool {
        (0..2).any(|side| {
            let (mut sum, mut raw_sum) = (0u64, 0u64);
            self.side(side).iter().zip(&raw.buckets[side]).any(|(field, bucket)| match self.form {
                Form::Integer => {
                    (sum, raw_sum) = (sum.wrapping_add(field.bits), raw_sum.wrapping_add(*bucket));
                    self.form.is_less(raw_sum, sum)
                }
                Form::Float => self.form.is_less(*bucket, field.bits),
            })
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Field>() + self.layout.parts() * 8
    }

    /// Writes layout and first sample.
    pub(super) fn write_first(&mut self, writer: &mut BitWriter, t_ms: i64, raw: &Raw<'_>) {
        *self = State { layout: Layout::of(raw), t_ms, ..State::new(self.form) };
        self.layout.write(writer);
        writer.push_varbit_signed(t_ms);
        for count in [raw.count, raw.zero_count] {
            match self.form {
                Form::Integer => writer.push_varbit_unsigned(count),
                Form::Float => writer.push(u128::from(count), 64),
            }
        }
        writer.push(u128::from(raw.sum.to_bits()), 64);
        for bucket in raw.buckets.iter().flatten() {
            match self.form {
                Form::Integer => writer.push_varbit_signed(*bucket as i64),
                Form::Float => writer.push(u128::from(*bucket), 64),
            }
            self.buckets.push(Field::starting(*bucket));
        }
        self.positive = raw.buckets[0].len();
        self.count.bits = raw.count;
        self.zero_count.bits = raw.zero_count;
        self.sum.bits = raw.sum.to_bits();
    }

    /// Writes a sample with the buckets of the layout, or a staleness marker.
    pub(super) fn write_next(&mut self, writer: &mut BitWriter, t_ms: i64, raw: &Raw<'_>) {
        let t_delta = t_ms.wrapping_sub(self.t_ms);
        writer.push_varbit_signed(t_delta.wrapping_sub(self.t_delta));
        (self.t_ms, self.t_delta) = (t_ms, t_delta);
        let stale = raw.is_stale();
        match self.form {
            // Two deltas of deltas of zero: nothing but markers follows in the chunk, so what they stand for is not missed.
            Form::Integer if stale => writer.push(0, 2),
            Form::Integer => {
                self.count.write_dod(writer, raw.count);
                self.zero_count.write_dod(writer, raw.zero_count);
            }
            Form::Float => {
                self.count.write_change(writer, raw.count);
                self.zero_count.write_change(writer, raw.zero_count);
            }
        }
        self.sum.write_change(writer, raw.sum.to_bits());
        if stale {
            return;
        }
        for (field, bucket) in self.buckets.iter_mut().zip(raw.buckets.iter().flatten()) {
            match self.form {
                Form::Integer => field.write_dod(writer, *bucket),
                Form::Float => field.write_change(writer, *bucket),
            }
        }
    }

    /// Reads layout and first sample of a chunk of `samples`.
    pub(super) fn read_first(&mut self, reader: &mut BitReader<'_>, samples: u16) -> Result<(), ChunkError> {
        let layout = Layout::read(reader)?;
        let lengths = layout.lengths();
        let bucket_bits = if self.form == Form::Integer { 1 } else { 64 };
        let (buckets, left_bits) = (lengths[0].saturating_add(lengths[1]), reader.left_bits());
        if buckets.saturating_mul(bucket_bits) > left_bits {
            return Err(reader.error(ChunkErrorKind::Buckets { buckets, left_bits }));
        }
        let copies = layout.parts().saturating_mul(usize::from(samples));
        if copies > LAYOUT_COPIES_MAX {
            return Err(
                reader.error(ChunkErrorKind::LayoutTooLarge { found: copies, max: LAYOUT_COPIES_MAX })
            );
        }
        *self = State { layout, positive: lengths[0], ..State::new(self.form) };
        self.t_ms = reader.varbit_signed()?;
        for field in [&mut self.count, &mut self.zero_count] {
            field.bits = match self.form {
                Form::Integer => reader.varbit_unsigned()?,
                Form::Float => reader.bits(64)?,
            };
        }
        self.sum.bits = reader.bits(64)?;
        self.buckets.reserve_exact(buckets);
        for _ in 0..buckets {
            self.buckets.push(Field::starting(match self.form {
                Form::Integer => reader.varbit_signed()? as u64,
                Form::Float => reader.bits(64)?,
            }));
        }
        Ok(())
    }

    /// Reads any further sample.
    pub(super) fn read_next(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.t_delta = self.t_delta.wrapping_add(reader.varbit_signed()?);
        self.t_ms = self.t_ms.wrapping_add(self.t_delta);
        for field in [&mut self.count, &mut self.zero_count] {
            match self.form {
                Form::Integer => field.read_dod(reader)?,
                Form::Float => field.read_change(reader)?,
            }
        }
        self.sum.read_change(reader)?;
        if self.is_stale() {
            return Ok(());
        }
        for field in &mut self.buckets {
            match self.form {
                Form::Integer => field.read_dod(reader)?,
                Form::Float => field.read_change(reader)?,
            }
        }
        Ok(())
    }
}

/// Spans and bounds are in every histogram that is read from a chunk; so many of them may come out of one chunk. A chunk of
/// 1,000 histograms with 1,000 spans has a sixteenth of it.
const LAYOUT_COPIES_MAX: usize = 1 << 24;
