//! The functions of PromQL and their signatures.

/// A function of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function(pub(crate) u8);
