//! Estimate: what a select would find at least, known without reading samples.

/// What a store says of a selector before anything is read. Every number is a lower bound: never more than what reading
/// would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Series with samples in the range, as far as the times of their chunks say.
    pub series: u64,
    /// Samples in the range, staleness markers included. Chunks that lie in the range as a whole count in full.
    pub samples: u64,
}

impl Estimate {
    /// Of two parts of the same series whose times do not overlap: samples add up.
    ///
    /// ```
    /// use kymo_model::Estimate;
    /// let (old, new) = (Estimate { series: 3, samples: 10 }, Estimate { series: 2, samples: 5 });
    /// assert_eq!(old.beside(new), Estimate { series: 3, samples: 15 });
    /// assert_eq!(old.over(new), Estimate { series: 3, samples: 10 });
    /// ```
    pub fn beside(self, other: Estimate) -> Estimate {
        Estimate {
            series: self.series.max(other.series),
            samples: self.samples.saturating_add(other.samples),
        }
    }

    /// Of two parts that may hold the same samples.
    pub fn over(self, other: Estimate) -> Estimate {
        Estimate { series: self.series.max(other.series), samples: self.samples.max(other.samples) }
    }

    /// Is there more than a caller takes (0: any number), so that counting on is in vain?
    pub fn exceeds(&self, series_limit: usize, samples_limit: usize) -> bool {
        let over = |found: u64, limit: usize| limit > 0 && found > limit as u64;
        over(self.series, series_limit) || over(self.samples, samples_limit)
    }
}
