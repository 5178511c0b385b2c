//! What a program of the language is, and what can be wrong with one.
//!
//! ```text
//! program   = function*
//! function  = "fn" name "(" [name ("," name)*] ")" block
//! block     = "{" statement* expression "}"
//! statement = "let" name "=" expression ";" | name "=" expression ";"
//!           | "while" expression "{" statement* "}"
//! expression = "if" expression block "else" (block | expression) | either
//! either    = both ("|" both)*            both = relation ("&" relation)*
//! relation  = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
//! sum       = product (("+" | "-") product)*
//! product   = unary (("*" | "/" | "%") unary)*
//! unary     = "-" unary | number | name | name "(" [arguments] ")" | "(" expression ")"
//! ```
//!
//! Every value is an `i64` that wraps around. A relation is 1 or 0; `if` and `while` take
//! everything but 0 as true. What is divided by 0 is 0, and its remainder as well.

/// A place in the text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A function of the language.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) body: Block,
}

/// Statements, and the value after them.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) statements: Vec<Statement>,
    pub(crate) value: Expression,
}

/// What is done for its effect.
#[derive(Debug)]
pub(crate) enum Statement {
    Let {
        name: String,
        value: Expression,
    },
    Assign {
        name: String,
        value: Expression,
        at: Position,
    },
    While {
        condition: Expression,
        body: Vec<Self>,
    },
}

/// What has a value.
#[derive(Debug)]
pub(crate) enum Expression {
    Number(i64),
    Name {
        name: String,
        at: Position,
    },
    Call {
        name: String,
        arguments: Vec<Self>,
        at: Position,
    },
    Negated(Box<Self>),
    /// Values with operators between them, evaluated from left to right.
    Chain {
        first: Box<Self>,
        rest: Vec<(Operator, Self)>,
    },
    If {
        condition: Box<Self>,
        then: Box<Block>,
        otherwise: Box<Block>,
    },
}

/// What stands between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Why a text is not a program, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {kind}", at.line, at.column)]
pub(crate) struct SyntaxError {
    pub(crate) at: Position,
    pub(crate) kind: SyntaxErrorKind,
}

/// What is wrong at a place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxErrorKind {
    #[error("{0:?} belongs to no word or sign of the language")]
    Character(char),
    #[error("{0} is not a number between 0 and 2^63 - 1")]
    Number(String),
    #[error("expected {expected}, found {found}")]
    Unexpected {
        expected: &'static str,
        found: String,
    },
    #[error("nested too deeply")]
    TooDeep,
    #[error("there is no variable {0}")]
    UnknownVariable(String),
    #[error("there is no function {0}")]
    UnknownFunction(String),
    #[error("{name} takes {expected} arguments, not {found}")]
    ArgumentCount {
        name: String,
        expected: usize,
        found: usize,
    },
    #[error("there are two of {0}")]
    Twice(String),
}
