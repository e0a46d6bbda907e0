//! An expression as the generator makes it: a text with expressions in it, so that a failing one can be made smaller.

use std::fmt;

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Vector,
    Range,
}

impl Kind {
    /// The simplest of its kind.
    fn simplest(self) -> Expression {
        let text = match self {
            Kind::Scalar => "1",
            Kind::Vector => "g_load",
            Kind::Range => "g_load[5m]",
        };
        Expression::new(self).text(text)
    }
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// Can be left out.
    Option(String),
    Child(Expression),
}

/// Text and expressions in turn.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) kind: Kind,
    /// Does it need no parentheses as an operand?
    atomic: bool,
    pieces: Vec<Piece>,
}

impl Expression {
    pub(crate) fn new(kind: Kind) -> Expression {
        Expression { kind, atomic: true, pieces: Vec::new() }
    }

    /// An operator with operands.
    pub(crate) fn operation(kind: Kind) -> Expression {
        Expression { kind, atomic: false, pieces: Vec::new() }
    }

    pub(crate) fn text(mut self, text: impl Into<String>) -> Expression {
        self.pieces.push(Piece::Text(text.into()));
        self
    }

    pub(crate) fn option(mut self, text: impl Into<String>) -> Expression {
        self.pieces.push(Piece::Option(text.into()));
        self
    }

    pub(crate) fn child(mut self, child: Expression) -> Expression {
        self.pieces.push(Piece::Child(child));
        self
    }

    /// A child in parentheses unless it needs none.
    pub(crate) fn operand(self, child: Expression) -> Expression {
        if child.atomic { self.child(child) } else { self.text("(").child(child).text(")") }
    }

    fn children(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Child(child) => Some(child),
            _ => None,
        })
    }

    /// All below it.
    fn descendants(&self) -> Vec<&Expression> {
        self.children().flat_map(|child| std::iter::once(child).chain(child.descendants())).collect()
    }

    /// Simpler expressions of any kind that can stand alone, the simplest first.
    pub(crate) fn simplifications(&self) -> Vec<Expression> {
        let alone = self.descendants().into_iter().filter(|other| other.kind != Kind::Range).cloned();
        let mut simpler: Vec<Expression> = alone.chain(self.variants()).collect();
        simpler.sort_by_key(|expression| expression.to_string().len());
        simpler.retain(|expression| expression.to_string().len() < self.to_string().len());
        simpler
    }

    /// The same with one part left out or replaced by something simpler of its kind.
    fn variants(&self) -> Vec<Expression> {
        let mut variants = Vec::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            let mut with = |piece: Piece| {
                let mut variant = self.clone();
                variant.pieces[at] = piece;
                variants.push(variant);
            };
            match piece {
                Piece::Text(_) => {}
                Piece::Option(_) => with(Piece::Text(String::new())),
                Piece::Child(child) => {
                    with(Piece::Child(child.kind.simplest()));
                    for below in child.descendants().into_iter().filter(|below| below.kind == child.kind) {
                        with(Piece::Child(below.clone()));
                    }
                    child.variants().into_iter().for_each(|variant| with(Piece::Child(variant)));
                }
            }
        }
        variants
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) | Piece::Option(text) => f.write_str(text),
            Piece::Child(child) => child.fmt(f),
        })
    }
}
