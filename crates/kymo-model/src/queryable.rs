//! Queryable: how samples come out of a store. A select pins a snapshot; samples are then pulled series by series.
//!
//! A select returns one object for all its series and not one per series, so that selecting a million series costs the
//! store what its own snapshot costs, and nothing here (docs/decisions.md has the measurement).

use std::sync::Arc;

use crate::{CancelToken, Estimate, Labels, Matcher, Samples, Selector, StoreError, TimeRange};

/// Anything that can be queried: the database, a remote end, a union of others, a map in memory.
pub trait Queryable: Send + Sync {
    /// The series that match, pinned: what is written after this call is not seen through the returned set.
    ///
    /// Series without a sample in the range may be included; reading them gives no run.
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError>;

    /// What a select would find at least, if the store knows without reading samples; cheap beside reading them. Counting
    /// may end as soon as it is more than the limits in the hints.
    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        let _ = wanted;
        Ok(None)
    }

    /// The names of the labels of all series that match and have samples in the range; sorted, distinct. No matchers match
    /// every series. Times may be judged coarsely (by chunk or block).
    ///
    /// A store looks at `cancel` while it walks over many series or values, and then ends with an error of kind
    /// [`Canceled`](crate::StoreErrorKind::Canceled).
    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError>;

    /// The values of the label `name` of all series that match and have samples in the range; sorted, distinct.
    /// `cancel` as in [`label_names`](Queryable::label_names).
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError>;
}

/// What points to something that can be queried can be.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Queryable + ?Sized> Queryable for $pointer {
            fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
                (**self).select(wanted)
            }
            fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
                (**self).estimate(wanted)
            }
            fn label_names(
                &self,
                matchers: &[Matcher],
                range: TimeRange,
                cancel: &CancelToken,
            ) -> Result<Vec<String>, StoreError> {
                (**self).label_names(matchers, range, cancel)
            }
            fn label_values(
                &self,
                name: &str,
                matchers: &[Matcher],
                range: TimeRange,
                cancel: &CancelToken,
            ) -> Result<Vec<String>, StoreError> {
                (**self).label_values(name, matchers, range, cancel)
            }
        }
    )*};
}

forward!(&T, Arc<T>);

/// What a store implements behind a [`SeriesSet`]: a pinned snapshot of series, addressed by index.
pub trait SeriesSource: Send + Sync {
    /// How many series.
    fn len(&self) -> usize;

    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of a series, `index < len()`. Cheap: a reference count.
    fn labels(&self, index: usize) -> Labels;

    /// At least those labels that [`LabelsNeeded::AllOfFew`](crate::LabelsNeeded::AllOfFew) names. Under this hint all labels of a
    /// series may be dearer, as few are asked for.
    fn key_labels(&self, index: usize) -> Labels {
        self.labels(index)
    }

    /// Refills `out` with the next run of the series and moves `resume` on; `false` when there is no further run, with
    /// `out` emptied. A run is never empty, has one kind of value, and lies after the runs before it. May be called from
    /// several threads at once.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError>;

    /// As [`read`](SeriesSource::read), but samples may be left out as `sparing` allows; `gaps` is refilled with where.
    /// A store that knows nothing shorter of its samples reads them all. Whichever of both methods read a run, the other may read
    /// the next one.
    fn read_sparse(
        &self,
        index: usize,
        resume: &mut Resume,
        _sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        gaps.clear();
        self.read(index, resume, out)
    }

    /// The time in milliseconds and the value of the newest sample of the series in the range, if it is a float and the store has
    /// it at hand; `None` sends the caller to [`read`](SeriesSource::read). Asked under
    /// [`Hints::newest_only`](crate::Hints::newest_only), where it spares a million series their decoding.
    fn newest(&self, _index: usize) -> Option<(i64, f64)> {
        None
    }

    /// What a reader should be told as things are now: a part of the data that could not be read and was left out, say. Reading
    /// may add to it, so whoever answers somebody asks at the end.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Which samples a reader can do without, as functions over sliding windows can that need the samples at the edges of a window
/// and only counts of what is between (`rate`, `changes`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sparing {
    /// Only from here samples may be left out, and never the first and the last one: every window has all of it.
    pub range: TimeRange,
    /// May values go down among them?
    pub resets: bool,
}

/// Samples that were left out of a run, between two that were not. All are floats, none is NaN, and none is known to have a
/// start timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// They follow the sample with this index in the run.
    pub after: usize,
    /// How many.
    pub samples: usize,
    /// How often the value changes from that sample to the next one that is there.
    pub changes: usize,
    /// How often it goes down.
    pub resets: usize,
}

/// Where a reader stands in a series. Starts as the default; what the numbers mean is the store's own business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// First number.
    pub a: u64,
    /// Second number.
    pub b: u64,
}

/// The series that a select found: a pinned snapshot, shared by reference count, readable from several threads.
#[derive(Clone)]
pub struct SeriesSet {
    source: Arc<dyn SeriesSource>,
    warnings: Vec<String>,
}

impl std::fmt::Debug for SeriesSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeriesSet").field("len", &self.len()).field("warnings", &self.warnings()).finish()
    }
}

impl SeriesSet {
    /// A set over a store's snapshot.
    pub fn new(source: Arc<dyn SeriesSource>) -> SeriesSet {
        SeriesSet { source, warnings: Vec::new() }
    }

    /// A set of no series.
    pub fn empty() -> SeriesSet {
        struct Empty;
        impl SeriesSource for Empty {
            fn len(&self) -> usize {
                0
            }
            fn labels(&self, _: usize) -> Labels {
                Labels::empty()
            }
            fn read(&self, _: usize, _: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
                out.clear();
                Ok(false)
            }
        }
        SeriesSet::new(Arc::new(Empty))
    }

    /// The same set with things its reader should be told that are known already (a store that does not answer, say). What
    /// reading finds is told by [`SeriesSource::warnings`].
    pub fn with_warnings(mut self, warnings: Vec<String>) -> SeriesSet {
        self.warnings = warnings;
        self
    }

    /// What the reader should be told: what was known when the set was made, and then what reading it has found up to now. So it
    /// is asked when everything was read.
    ///
    /// ```
    /// use kymo_model::SeriesSet;
    /// let set = SeriesSet::empty().with_warnings(vec!["one of three stores did not answer".to_owned()]);
    /// assert_eq!(set.warnings(), ["one of three stores did not answer"]);
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        warnings.extend(self.source.warnings());
        warnings
    }

    /// How many series.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One series, `index < len()`.
    pub fn series(&self, index: usize) -> Series<'_> {
        Series { source: &*self.source, index }
    }

    /// As [`SeriesSource::read`], for stores that pass on the series of others: `resume` starts as the default.
    pub fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        self.source.read(index, resume, out)
    }

    /// As [`SeriesSource::read_sparse`]; `resume` starts as the default.
    pub fn read_sparse(
        &self,
        index: usize,
        resume: &mut Resume,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        self.source.read_sparse(index, resume, sparing, out, gaps)
    }

    /// As [`SeriesSource::newest`].
    pub fn newest(&self, index: usize) -> Option<(i64, f64)> {
        self.source.newest(index)
    }

    /// Every series, in the set's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Series<'_>> + '_ {
        (0..self.len()).map(|index| self.series(index))
    }
}

/// One series of a set.
#[derive(Clone, Copy)]
pub struct Series<'a> {
    source: &'a dyn SeriesSource,
    index: usize,
}

impl<'a> Series<'a> {
    /// Its labels.
    pub fn labels(&self) -> Labels {
        self.source.labels(self.index)
    }

    /// As [`SeriesSource::key_labels`].
    pub fn key_labels(&self) -> Labels {
        self.source.key_labels(self.index)
    }

    /// A reader at its first run.
    pub fn reader(&self) -> SeriesReader<'a> {
        SeriesReader { source: self.source, index: self.index, resume: Resume::default() }
    }
}

/// Reads the runs of one series in order.
pub struct SeriesReader<'a> {
    source: &'a dyn SeriesSource,
    index: usize,
    resume: Resume,
}

impl SeriesReader<'_> {
    /// Refills `out` with the next run; `false` when there is none. See [`SeriesSource::read`].
    pub fn read(&mut self, out: &mut Samples) -> Result<bool, StoreError> {
        self.source.read(self.index, &mut self.resume, out)
    }

    /// The same without samples that `sparing` can spare. See [`SeriesSource::read_sparse`].
    pub fn read_sparse(
        &mut self,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        self.source.read_sparse(self.index, &mut self.resume, sparing, out, gaps)
    }
}
