//! Buckets: quantiles of a classic histogram at all steps at once, where every bucket has a count at every step.
//!
//! Columns are compared with their neighbours as a whole, without branches: which steps have counts that grow with their bounds,
//! so that nothing needs repair, and how many buckets lie below the rank. What is left for each step is one division. Steps
//! that need repair are left to `classic`.

use super::classic::{CLEARLY_MORE, SOMETHING};

/// Steps that are looked at together; their columns fit into the nearest cache.
const TILE: usize = 64;

/// A bound and the counts at every step.
pub(super) type Column<'a> = (f64, &'a [f64]);

/// Calls `found` at every step, in order, with the value below which the fraction `q`, from 0 to 1, of the observations lies;
/// with `None` where counts do not grow as they should. `false`, and no call, if the bounds are not those of a histogram.
pub(super) fn quantiles<E>(
    q: f64,
    columns: &[Column<'_>],
    mut found: impl FnMut(usize, Option<f64>) -> Result<(), E>,
) -> Result<bool, E> {
    let [below @ .., (highest, observations)] = columns else { return Ok(false) };
    let grow = columns.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if below.is_empty() || !grow || *highest != f64::INFINITY || !(0.0..=1.0).contains(&q) {
        return Ok(false);
    }
    let steps = observations.len();
    for start in (0..steps).step_by(TILE) {
        let end = steps.min(start + TILE);
        let tile = Tile::of(q, columns, start..end);
        for step in start..end {
            let at = step - start;
            found(step, (tile.sound[at] != 0).then(|| tile.value(at, below, step)))?;
        }
    }
    Ok(true)
}

struct Tile {
    /// Not 0 where nothing needs repair.
    sound: [u64; TILE],
    observations: [f64; TILE],
    rank: [f64; TILE],
    /// How many buckets have a count below the rank.
    below: [u64; TILE],
}

impl Tile {
    fn of(q: f64, columns: &[Column<'_>], part: std::ops::Range<usize>) -> Tile {
        let mut tile =
            Tile { sound: [1; TILE], observations: [0.0; TILE], rank: [0.0; TILE], below: [0; TILE] };
        let len = part.len();
        if let Some((_, observations)) = columns.last() {
            tile.observations[..len].copy_from_slice(&observations[part.clone()]);
        }
        for (rank, observations) in tile.rank.iter_mut().zip(&tile.observations) {
            *rank = q * observations;
        }
        for pair in columns.windows(2) {
            let counts = pair[0].1[part.clone()].iter().zip(&pair[1].1[part.clone()]);
            let steps = tile.sound.iter_mut().zip(tile.below.iter_mut()).zip(&tile.rank);
            for ((before, after), ((sound, below), rank)) in counts.zip(steps) {
                let least = if *before == 0.0 { SOMETHING } else { before * CLEARLY_MORE };
                *sound &= u64::from((*before >= 0.0) & ((after == before) | (*after > least)));
                // A rank that is not a number is above all.
                *below += 1 - u64::from(before >= rank);
            }
        }
        tile
    }

    fn value(&self, at: usize, buckets: &[Column<'_>], step: usize) -> f64 {
        if self.observations[at] == 0.0 {
            return f64::NAN;
        }
        let found = self.below[at] as usize;
        let Some((end, count)) = buckets.get(found) else { return buckets[buckets.len() - 1].0 };
        match found.checked_sub(1) {
            None if *end <= 0.0 => *end,
            None => end * (self.rank[at] / count[step]),
            Some(before) => {
                let (start, counted) = buckets[before];
                let counted = counted[step];
                start + (end - start) * ((self.rank[at] - counted) / (count[step] - counted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::classic::{self, Bucket};
    use super::*;

    fn count() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (0u32..40).prop_map(f64::from),
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(-1.0),
            1 => Just(5e-324),
            1 => 1.0f64..2.0,
        ]
    }

    proptest! {
        /// As one step after the other gives it.
        #[test]
        fn as_step_by_step(
            q in prop_oneof![Just(0.0), Just(1.0), Just(0.5), 0.0f64..=1.0],
            bounds in prop::collection::btree_set(-3i32..9, 1..6),
            counts in prop::collection::vec(count(), 7 * 150),
            sorted: bool,
        ) {
            let mut bounds: Vec<f64> = bounds.into_iter().map(|bound| f64::from(bound) / 2.0).collect();
            bounds.push(f64::INFINITY);
            let mut rows: Vec<Vec<f64>> = counts.chunks(150).take(bounds.len()).map(<[f64]>::to_vec).collect();
            if sorted {
                for step in 0..150 {
                    let mut column: Vec<f64> = rows.iter().map(|row| row[step]).collect();
                    column.sort_by(f64::total_cmp);
                    rows.iter_mut().zip(column).for_each(|(row, count)| row[step] = count);
                }
            }
            let columns: Vec<Column<'_>> = bounds.iter().copied().zip(rows.iter().map(Vec::as_slice)).collect();
            let (mut steps, mut unsound) = (0, 0);
            let answered = quantiles(q, &columns, |step, value| {
                assert_eq!(step, steps);
                steps += 1;
                let mut buckets: Vec<Bucket> =
                    columns.iter().map(|(bound, counts)| Bucket { bound: *bound, count: counts[step] }).collect();
                let (expected, repaired) = classic::quantile(q, &mut buckets);
                match value {
                    Some(value) => {
                        assert_eq!((value.to_bits(), repaired), (expected.to_bits(), None), "{value} {expected}");
                    }
                    None => unsound += 1,
                }
                Ok::<(), ()>(())
            });
            prop_assert_eq!((answered, steps), (Ok(true), 150));
            prop_assert!(!sorted || unsound < 150);
        }
    }

    #[test]
    fn bounds_that_are_none() {
        let counts = [1.0, 2.0];
        for (q, bounds) in [
            (0.5, &[1.0, 2.0][..]),
            (0.5, &[f64::INFINITY]),
            (0.5, &[1.0, 1.0, f64::INFINITY]),
            (0.5, &[]),
            (1.5, &[1.0, f64::INFINITY]),
            (f64::NAN, &[1.0, f64::INFINITY]),
        ] {
            let columns: Vec<Column<'_>> = bounds.iter().map(|bound| (*bound, &counts[..])).collect();
            let called = quantiles(q, &columns, |_, _| Err(()));
            assert_eq!(called, Ok(false), "{bounds:?}");
        }
    }
}
