//! Runs: loops for samples of one kind each. Read path, under `Batch`.
//!
//! A step reads one sample of its kind; its run goes on until a sample of another kind comes. Every run reads at least one.
//! Steps branch on what is seldom or regular only: a branch that is guessed wrong costs as much as a sample.

use super::batch::{Cursor, Fault, PEEK_BITS, SPARE_BYTES, Window};
use super::layout::dod_from_raw;

/// The longest window that one look shows together with its description.
const SHORT_BITS: u32 = PEEK_BITS - 14;

/// The same behind a delta of delta of 14 bits.
const SHORT_MOVED_BITS: u32 = PEEK_BITS - 29;

/// After so many changes one behind the other a run of mixed samples ends.
const CHANGES_MAX: u64 = 8;

/// Tells the compiler to branch, and which way is the usual one.
#[cold]
fn seldom() {}

/// Eight bytes from the one on in which `bit` lies, `bit` at the top.
#[inline(always)]
fn look(bytes: &[u8], bit: usize) -> Option<u64> {
    let eight = bytes.get(bit >> 3..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*eight) << (bit & 7))
}

/// The window that a change beginning with `11` describes, if it is at most so long.
#[inline(always)]
fn described(change: u64, bits_max: u32) -> Option<Window> {
    let (window, bad) = Window::described((change >> 57) as u32 & 31, (change >> 51) as u32 & 63);
    if bad | (window.width > bits_max) { None } else { Some(window) }
}

/// All bits if the highest one is set, otherwise none.
#[inline(always)]
fn all_if_first(bits: u64) -> u64 {
    (bits as i64 >> 63) as u64
}

/// What follows a delta of delta of 0 or 14 bits.
#[inline(always)]
fn behind_dod(bits: u64) -> u64 {
    if bits >> 63 == 0 { bits << 1 } else { bits << 16 }
}

impl Cursor {
    /// Reads samples until the columns are full or the end of `bytes` is near. Says how many.
    #[inline(never)]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        timestamps_ms: &mut [i64],
        values: &mut [f64],
    ) -> Result<usize, Fault> {
        let wanted = timestamps_ms.len();
        let values = &mut values[..wanted];
        let safe_bits = 8 * bytes.len().saturating_sub(SPARE_BYTES);
        let mut at = *self;
        let mut fault = false;
        let mut done = 0;
        while done < wanted && at.bit < safe_bits {
            let bits = look(bytes, at.bit).ok_or(Fault)?;
            let outs = timestamps_ms[done..].iter_mut().zip(&mut values[done..]);
            let width = at.window.width;
            let mut changes = 0;
            done += match (bits >> 61, behind_dod(bits) >> 62) {
                // Two zero bits a sample for as long as neither interval nor value change: fewer than four are no run.
                (0b000 | 0b001, _) if bits >> 56 == 0 || width > SHORT_BITS => at.repeat(bits, outs),
                (0b000 | 0b001, _) => {
                    let step = |at: &mut Cursor, bits| at.mixed(bits, &mut changes);
                    at.run(bytes, bits, outs, step, |bits| bits >> 63 == 0 && bits >> 56 > 0)
                }
                (0b010, _) if width <= SHORT_BITS => {
                    at.run(bytes, bits, outs, Cursor::steady_short, |bits| bits >> 62 == 0b01)
                }
                (0b010, _) if width <= PEEK_BITS - 3 => {
                    at.run(bytes, bits, outs, Cursor::steady, |bits| bits >> 61 == 0b010)
                }
                (0b010, _) => {
                    let step = |at: &mut Cursor, bits| at.steady_wide(bytes, bits);
                    at.run(bytes, bits, outs, step, |bits| bits >> 61 == 0b010)
                }
                (0b100 | 0b101, 0b00 | 0b01) if width <= SHORT_MOVED_BITS => {
                    let step = |at: &mut Cursor, bits| at.jittered_mixed(bits, &mut changes);
                    at.run(bytes, bits, outs, step, |bits| bits >> 62 != 0b11 && bits >> 56 > 0)
                }
                (0b100 | 0b101, 0b10) if width <= SHORT_MOVED_BITS => {
                    let stays = |bits: u64| bits >> 62 != 0b11 && behind_dod(bits) >> 63 == 1;
                    at.run(bytes, bits, outs, Cursor::jittered_short, stays)
                }
                (0b100 | 0b101, 0b10) if width <= PEEK_BITS - 18 => {
                    let step = |at: &mut Cursor, bits| at.jittered::<false>(bytes, bits);
                    let stays = |bits: u64| bits >> 62 != 0b11 && behind_dod(bits) >> 62 == 0b10;
                    at.run(bytes, bits, outs, step, stays)
                }
                (0b100 | 0b101, 0b10) if width <= PEEK_BITS => {
                    let step = |at: &mut Cursor, bits| at.jittered::<true>(bytes, bits);
                    let stays = |bits: u64| bits >> 62 != 0b11 && behind_dod(bits) >> 62 == 0b10;
                    at.run(bytes, bits, outs, step, stays)
                }
                _ => {
                    fault |= at.any(bytes, bits)?;
                    timestamps_ms[done] = at.t_ms;
                    values[done] = f64::from_bits(at.value_bits);
                    1
                }
            };
        }
        *self = at;
        if fault { Err(Fault) } else { Ok(done) }
    }

    /// Samples of two zero bits each, the first at the top of `bits`.
    #[inline(always)]
    fn repeat<'o>(&mut self, bits: u64, outs: impl Iterator<Item = (&'o mut i64, &'o mut f64)>) -> usize {
        let most = (bits | 1 << 7).leading_zeros() as usize / 2;
        let mut done = 0;
        for (t_out, value_out) in outs.take(most) {
            self.t_ms = self.t_ms.wrapping_add_unsigned(self.delta);
            *t_out = self.t_ms;
            *value_out = f64::from_bits(self.value_bits);
            done += 1;
        }
        self.bit += 2 * done;
        done
    }

    /// Takes steps, the first at the top of `bits`, as long as a step can be made and the next sample stays of the kind.
    #[inline(always)]
    fn run<'o>(
        &mut self,
        bytes: &[u8],
        mut bits: u64,
        outs: impl Iterator<Item = (&'o mut i64, &'o mut f64)>,
        mut step: impl FnMut(&mut Cursor, u64) -> Option<()>,
        stays: impl Fn(u64) -> bool,
    ) -> usize {
        let mut done = 0;
        for (t_out, value_out) in outs {
            if step(self, bits).is_none() {
                break;
            }
            *t_out = self.t_ms;
            *value_out = f64::from_bits(self.value_bits);
            done += 1;
            let Some(next) = look(bytes, self.bit) else { break };
            bits = next;
            if !stays(bits) {
                break;
            }
        }
        done
    }

    /// To the next sample: so many bits on, at another time, with other bits of the value.
    #[inline(always)]
    fn advance(&mut self, used: usize, dod: u64, flipped: u64) {
        self.bit += used;
        self.delta = self.delta.wrapping_add(dod);
        self.t_ms = self.t_ms.wrapping_add_unsigned(self.delta);
        self.value_bits ^= flipped;
    }

    /// The same interval, and a change in the window of the one before: `010`.
    #[inline(always)]
    fn steady(&mut self, bits: u64) -> Option<()> {
        self.advance(3 + self.window.width as usize, 0, self.window.place(bits << 3));
        Some(())
    }

    /// The same, and one look does not show all of the window.
    #[inline(always)]
    fn steady_wide(&mut self, bytes: &[u8], bits: u64) -> Option<()> {
        let two = bytes.get(self.bit / 8 + 8..)?.first_chunk::<2>()?;
        let change = bits << 3 | u64::from(u16::from_be_bytes(*two)) >> (13 - self.bit % 8);
        self.advance(3 + self.window.width as usize, 0, self.window.place(change));
        Some(())
    }

    /// The same interval, and a change in the window of the one before or in another one, both short: `01`. Counters describe
    /// a window every few samples.
    #[inline(always)]
    fn steady_short(&mut self, bits: u64) -> Option<()> {
        let (mut used, mut change) = (3, bits << 3);
        if bits >> 61 == 0b011 {
            self.window = described(bits << 1, SHORT_BITS)?;
            (used, change) = (14, bits << 14);
        }
        self.advance(used + self.window.width as usize, 0, self.window.place(change));
        Some(())
    }

    /// The same interval, and a short change or none: `0`. Which of them it is, is not guessed.
    #[inline(always)]
    fn mixed(&mut self, bits: u64, changes: &mut u64) -> Option<()> {
        let changed = all_if_first(bits << 1);
        if *changes == CHANGES_MAX {
            return None;
        }
        *changes = (*changes + 1) & changed;
        let (mut used, mut change) = (2 + (u64::from(self.window.width + 1) & changed), bits << 3);
        if bits >> 61 == 0b011 {
            self.window = described(bits << 1, SHORT_BITS)?;
            (used, change) = (14 + u64::from(self.window.width), bits << 14);
        }
        self.advance(used as usize, 0, self.window.place(change) & changed);
        Some(())
    }

    /// An interval that changes by milliseconds, or seldom not at all, and a change in the window of the one before. Without a
    /// `WIDE` window one look shows the whole sample.
    #[inline(always)]
    fn jittered<const WIDE: bool>(&mut self, bytes: &[u8], bits: u64) -> Option<()> {
        let (mut used, mut change) = (18, bits << 18);
        let mut dod = dod_from_raw(bits >> 48 & 0x3fff, 14) as u64;
        if bits >> 63 == 0 {
            seldom();
            (used, change, dod) = (3, bits << 3, 0);
        }
        if WIDE {
            change = look(bytes, self.bit + used)?;
        }
        self.advance(used + self.window.width as usize, dod, self.window.place(change));
        Some(())
    }

    /// [`Cursor::steady_short`] with such an interval.
    #[inline(always)]
    fn jittered_short(&mut self, bits: u64) -> Option<()> {
        let (mut used, mut change) = (16, bits << 16);
        let mut dod = dod_from_raw(bits >> 48 & 0x3fff, 14) as u64;
        if bits >> 63 == 0 {
            seldom();
            (used, change, dod) = (1, bits << 1, 0);
        }
        let mut head = 2;
        if change >> 62 == 0b11 {
            self.window = described(change, SHORT_MOVED_BITS)?;
            head = 13;
        }
        used += head + self.window.width as usize;
        self.advance(used, dod, self.window.place(change << head));
        Some(())
    }

    /// [`Cursor::mixed`] with such an interval, or the same one, which is not guessed either.
    #[inline(always)]
    fn jittered_mixed(&mut self, bits: u64, changes: &mut u64) -> Option<()> {
        let moved = all_if_first(bits);
        let dod = dod_from_raw(bits >> 48 & 0x3fff, 14) as u64 & moved;
        let change = behind_dod(bits);
        let changed = all_if_first(change);
        if *changes == CHANGES_MAX {
            return None;
        }
        *changes = (*changes + 1) & changed;
        let mut used = 2 + (15 & moved) + (u64::from(self.window.width + 1) & changed);
        let mut flipped = change << 2;
        if change >> 62 == 0b11 {
            self.window = described(change, SHORT_MOVED_BITS)?;
            (used, flipped) = (14 + (15 & moved) + u64::from(self.window.width), change << 13);
        }
        self.advance(used as usize, dod, self.window.place(flipped) & changed);
        Some(())
    }
}
