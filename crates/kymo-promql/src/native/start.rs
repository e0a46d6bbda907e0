//! Start: what the time at which a counter began says about resets. 0 is unknown.

/// Does the start timestamp of a sample say that its counter was reset after the sample before?
///
/// It does if it lies after that sample. On it, it is the next delta of a delta series, if the sample before has
/// a start timestamp that makes sense; otherwise it is how a cumulative series says that it does not know.
pub(crate) fn is_reset(start_before: i64, time_before: i64, start: i64, time: i64) -> bool {
    if start == 0 || start >= time || start < time_before {
        return false;
    }
    start > time_before || (start_before != 0 && start_before < time_before)
}

/// Does a sample claim time that the sample before it covers, without being its continuation?
pub(crate) fn overlaps(start_before: i64, time_before: i64, start: i64) -> bool {
    start != 0 && start < time_before && start != start_before
}
