//! Index: from labels to series and from matchers to series. Changed only when series come or go.

mod cardinality;
mod matching;
mod postings;
mod table;
mod texts;

pub use cardinality::{Cardinality, Counted};
pub(crate) use cardinality::{Top, cardinality};
pub(crate) use matching::resolve;
pub(crate) use postings::Postings;
pub(crate) use table::LabelsTable;
pub(crate) use texts::Texts;

/// A series in this head and in its files. Given out upwards from 0 and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeriesId(pub(crate) u32);
