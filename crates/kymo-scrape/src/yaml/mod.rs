//! YAML as a tree that knows where each value stands, and its printer.
//!
//! Configuration is read through this tree and not straight into structs, so that every fault of a file can be listed
//! with its line and column, not only the first, and so that numbers keep the text they were written in.

pub(crate) mod node;
pub(crate) mod parse;
pub(crate) mod print;

pub(crate) use node::{Entry, Node, Place, Value};
pub(crate) use parse::parse;
pub(crate) use print::{Doc, print};
