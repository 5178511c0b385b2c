//! Tokens to functions, by recursive descent.

use crate::lexer::{Token, tokens};
use crate::syntax::{
    Block, Expression, Function, Operator, Position, Statement, SyntaxError, SyntaxErrorKind,
};

/// Deeper programs are refused, so that neither parser nor compiler can run out of stack.
const DEPTH_MAX: usize = 64;

const KEYWORDS: [&str; 5] = ["fn", "let", "while", "if", "else"];

/// Operators by how tightly they bind, loosest first; relations do not chain.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("|", Operator::Or)],
    &[("&", Operator::And)],
    &[
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];
const RELATIONS: usize = 2;

/// Reads a whole program. Names are not looked up yet.
///
/// # Errors
/// The first place where the text is not the language.
pub(crate) fn parse(text: &str) -> Result<Vec<Function>, SyntaxError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let mut functions: Vec<Function> = Vec::new();
    while parser.peek() != Token::End {
        let at = parser.position();
        let function = parser.function()?;
        if functions.iter().any(|other| other.name == function.name) {
            return Err(SyntaxError {
                at,
                kind: SyntaxErrorKind::Twice(function.name),
            });
        }
        functions.push(function);
    }
    Ok(functions)
}

struct Parser<'a> {
    /// Ends with [`Token::End`], which is never passed.
    tokens: Vec<(Token<'a>, Position)>,
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.next].0
    }

    fn position(&self) -> Position {
        self.tokens[self.next].1
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn accept(&mut self, wanted: Token<'_>) -> bool {
        let found = self.peek() == wanted;
        if found {
            self.advance();
        }
        found
    }

    fn unexpected<T>(&self, expected: &'static str) -> Result<T, SyntaxError> {
        let found = match self.peek() {
            Token::Word(word) => word.to_owned(),
            Token::Number(number) => number.to_string(),
            Token::Sign(sign) => sign.to_owned(),
            Token::End => "the end".to_owned(),
        };
        let kind = SyntaxErrorKind::Unexpected { expected, found };
        Err(SyntaxError {
            at: self.position(),
            kind,
        })
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), SyntaxError> {
        if self.accept(Token::Sign(sign)) {
            Ok(())
        } else {
            self.unexpected(sign)
        }
    }

    fn keyword(&mut self, keyword: &'static str) -> Result<(), SyntaxError> {
        if self.accept(Token::Word(keyword)) {
            Ok(())
        } else {
            self.unexpected(keyword)
        }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Token::Word(word) if !KEYWORDS.contains(&word) => {
                self.advance();
                Ok(word.to_owned())
            }
            _ => self.unexpected("a name"),
        }
    }

    /// Everything between here and `)`, with a comma between each two.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = Vec::new();
        if self.accept(Token::Sign(")")) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if !self.accept(Token::Sign(",")) {
                self.sign(")")?;
                return Ok(items);
            }
        }
    }

    fn function(&mut self) -> Result<Function, SyntaxError> {
        self.keyword("fn")?;
        let name = self.name()?;
        self.sign("(")?;
        let mut parameters: Vec<String> = Vec::new();
        self.list(|parser| {
            let at = parser.position();
            let parameter = parser.name()?;
            if parameters.contains(&parameter) {
                return Err(SyntaxError {
                    at,
                    kind: SyntaxErrorKind::Twice(parameter),
                });
            }
            parameters.push(parameter);
            Ok(())
        })?;
        Ok(Function {
            name,
            parameters,
            body: self.block()?,
        })
    }

    fn block(&mut self) -> Result<Block, SyntaxError> {
        self.sign("{")?;
        let statements = self.statements()?;
        let value = self.expression()?;
        self.sign("}")?;
        Ok(Block { statements, value })
    }

    fn statements(&mut self) -> Result<Vec<Statement>, SyntaxError> {
        let mut statements = Vec::new();
        while let Some(statement) = self.statement()? {
            statements.push(statement);
        }
        Ok(statements)
    }

    /// A statement, if one begins here.
    fn statement(&mut self) -> Result<Option<Statement>, SyntaxError> {
        let at = self.position();
        if self.accept(Token::Word("let")) {
            let name = self.name()?;
            return Ok(Some(Statement::Let {
                name,
                value: self.assigned()?,
            }));
        }
        if self.accept(Token::Word("while")) {
            return self.deeper(|parser| {
                let condition = parser.expression()?;
                parser.sign("{")?;
                let body = parser.statements()?;
                parser.sign("}")?;
                Ok(Some(Statement::While { condition, body }))
            });
        }
        let after = self.tokens.get(self.next + 1).map(|(token, _at)| *token);
        if after == Some(Token::Sign("=")) {
            let name = self.name()?;
            return Ok(Some(Statement::Assign {
                name,
                value: self.assigned()?,
                at,
            }));
        }
        Ok(None)
    }

    fn assigned(&mut self) -> Result<Expression, SyntaxError> {
        self.sign("=")?;
        let value = self.expression()?;
        self.sign(";")?;
        Ok(value)
    }

    fn expression(&mut self) -> Result<Expression, SyntaxError> {
        self.deeper(|parser| {
            if !parser.accept(Token::Word("if")) {
                return parser.level(0);
            }
            let condition = Box::new(parser.expression()?);
            let then = Box::new(parser.block()?);
            parser.keyword("else")?;
            let otherwise = if parser.peek() == Token::Sign("{") {
                parser.block()?
            } else {
                Block {
                    statements: Vec::new(),
                    value: parser.expression()?,
                }
            };
            Ok(Expression::If {
                condition,
                then,
                otherwise: Box::new(otherwise),
            })
        })
    }

    /// Values that operators of [`LEVELS`] from `level` on stand between.
    fn level(&mut self, level: usize) -> Result<Expression, SyntaxError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let first = self.level(level + 1)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(operators) {
            if level == RELATIONS && !rest.is_empty() {
                return self.unexpected("parentheses");
            }
            rest.push((operator, self.level(level + 1)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expression::Chain {
            first: Box::new(first),
            rest,
        })
    }

    fn operator(&mut self, operators: &[(&'static str, Operator)]) -> Option<Operator> {
        let found = operators
            .iter()
            .find(|(sign, _)| self.peek() == Token::Sign(sign))?;
        self.advance();
        Some(found.1)
    }

    fn unary(&mut self) -> Result<Expression, SyntaxError> {
        let at = self.position();
        if self.accept(Token::Sign("-")) {
            return self.deeper(|parser| Ok(Expression::Negated(Box::new(parser.unary()?))));
        }
        if self.accept(Token::Sign("(")) {
            let inner = self.expression()?;
            self.sign(")")?;
            return Ok(inner);
        }
        if let Token::Number(number) = self.peek() {
            self.advance();
            return Ok(Expression::Number(number));
        }
        let Ok(name) = self.name() else {
            return self.unexpected("a value");
        };
        if self.accept(Token::Sign("(")) {
            let arguments = self.list(Self::expression)?;
            return Ok(Expression::Call {
                name,
                arguments,
                at,
            });
        }
        Ok(Expression::Name { name, at })
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEPTH_MAX {
            return Err(SyntaxError {
                at: self.position(),
                kind: SyntaxErrorKind::TooDeep,
            });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }
}
