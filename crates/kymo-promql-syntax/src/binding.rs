//! Which operator binds tighter: between the builder, which puts chains together by it, and the printer, which must not take
//! them apart.

use crate::ast::BinaryOp;

/// How tight operators bind, loosest first; `^` alone groups from the right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binding {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Sign,
    Power,
}

impl Binding {
    pub(crate) const fn of(op: BinaryOp) -> Binding {
        match op {
            BinaryOp::Or => Binding::Or,
            BinaryOp::And | BinaryOp::Unless => Binding::And,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Gt | BinaryOp::Le | BinaryOp::Ge => {
                Binding::Comparison
            }
            BinaryOp::TrimUpper | BinaryOp::TrimLower => Binding::Comparison,
            BinaryOp::Add | BinaryOp::Sub => Binding::Sum,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => Binding::Product,
            BinaryOp::Pow => Binding::Power,
        }
    }
}
