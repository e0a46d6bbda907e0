//! The bounds of templates: what a rule file from outside may cost.

/// Bounds on parsing and expanding one template.
#[derive(Clone, Copy, Debug)]
pub struct TemplateLimits {
    /// Actions, function calls and rounds of `range` of one expansion.
    pub steps_max: u64,
    /// Bytes of text that one expansion writes or builds on the way.
    pub bytes_max: usize,
    /// Nesting of `{{ template }}` calls.
    pub depth_max: usize,
    /// Queries of one expansion.
    pub queries_max: usize,
}

impl Default for TemplateLimits {
    fn default() -> TemplateLimits {
        TemplateLimits { steps_max: 200_000, bytes_max: 4 << 20, depth_max: 64, queries_max: 100 }
    }
}

/// Nesting of blocks and parentheses in a template's text.
pub(super) const NESTING_MAX: usize = 64;
/// Bytes of a template's text.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a pattern for `match` and `reReplaceAll`.
pub(super) const PATTERN_BYTES_MAX: usize = 4096;
/// Nesting of `args` in `args`.
pub(super) const ARGS_DEPTH_MAX: usize = 32;
/// Steps that compiling a pattern costs, besides one for each of its bytes.
pub(super) const PATTERN_STEPS: u64 = 100;
