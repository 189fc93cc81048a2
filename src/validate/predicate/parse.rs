use crate::{Error, ErrorKind, Result};

/// How deeply parentheses and `not` may nest.
const MOST_DEPTH: usize = 64;

/// A predicate as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        column: String,
        at: usize,
        op: Op,
        value: Literal,
    },
    In {
        column: String,
        at: usize,
        values: Vec<Literal>,
    },
    Missing {
        column: String,
        at: usize,
    },
    /// `quantile(column, n) == i`: the i-th of n bins, counted from 1.
    Quantile {
        column: String,
        at: usize,
        bins: usize,
        op: Op,
        bin: f64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
    Bool(bool),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    /// A column in backticks, whatever it is called.
    Quoted(String),
    Literal(Literal),
    Op(Op),
    Open,
    Close,
    ListOpen,
    ListClose,
    Comma,
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) | Self::Quoted(name) => format!("`{name}`"),
            Self::Literal(Literal::Number(x)) => format!("`{x}`"),
            Self::Literal(Literal::Text(text)) => format!("\"{}\"", text.escape_debug()),
            Self::Literal(Literal::Bool(b)) => format!("`{b}`"),
            Self::Op(_) => "a comparison".into(),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::ListOpen => "`[`".into(),
            Self::ListClose => "`]`".into(),
            Self::Comma => "`,`".into(),
            Self::End => "the end".into(),
        }
    }
}

/// An error at a character of the predicate, counted from 1.
pub(super) fn located(kind: ErrorKind, message: impl std::fmt::Display, text: &str, at: usize) -> Error {
    let character = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
    Error::new(kind, format!("{message}, at character {character} of `{text}`"))
}

pub(super) fn parse(text: &str) -> Result<Expr> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.any()?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => Err(parser.expected("`and`, `or` or the end", &other.shown())),
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>> {
    let bad = |message: &str, at: usize| located(ErrorKind::Malformed, message, text, at);
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let from = at;
        let two = bytes.get(at..at + 2).unwrap_or(&[]);
        let (token, length) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            _ if two == b"==" => (Token::Op(Op::Equal), 2),
            _ if two == b"!=" => (Token::Op(Op::Unequal), 2),
            _ if two == b"<=" => (Token::Op(Op::AtMost), 2),
            _ if two == b">=" => (Token::Op(Op::AtLeast), 2),
            _ if two == b"&&" || two == b"||" => return Err(bad("write `and` and `or`", at)),
            b'<' => (Token::Op(Op::Less), 1),
            b'>' => (Token::Op(Op::More), 1),
            b'=' => return Err(bad("write `==` to compare", at)),
            b'(' => (Token::Open, 1),
            b')' => (Token::Close, 1),
            b'[' => (Token::ListOpen, 1),
            b']' => (Token::ListClose, 1),
            b',' => (Token::Comma, 1),
            b'"' | b'\'' | b'`' => {
                let (content, length) =
                    quoted(&text[at..], char::from(byte)).ok_or_else(|| bad("a quotation mark is not closed", from))?;
                let token = if byte == b'`' { Token::Quoted(content) } else { Token::Literal(Literal::Text(content)) };
                (token, length)
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                let length = text[at..]
                    .char_indices()
                    .find(|&(i, c)| {
                        let sign = (c == '-' || c == '+') && (i == 0 || text[at..][..i].ends_with(['e', 'E']));
                        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign)
                    })
                    .map_or(text.len() - at, |(i, _)| i);
                let number = text[at..at + length].replace('_', "");
                let number = number.parse().map_err(|_| bad("this is not a number", from))?;
                (Token::Literal(Literal::Number(number)), length)
            }
            _ => {
                let rest = &text[at..];
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
                if length == 0 {
                    return Err(bad("this character has no meaning here", from));
                }
                let token = match &rest[..length] {
                    "true" => Token::Literal(Literal::Bool(true)),
                    "false" => Token::Literal(Literal::Bool(false)),
                    name => Token::Name(name.to_string()),
                };
                (token, length)
            }
        };
        tokens.push((token, from));
        at += length;
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

/// The content of a quotation at the start of `text`, and its length with the marks. A backslash takes the next
/// character as it is.
fn quoted(text: &str, mark: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((i, c)) = characters.next() {
        match c {
            '\\' => content.push(characters.next()?.1),
            c if c == mark => return Some((content, i + c.len_utf8())),
            c => content.push(c),
        }
    }
    None
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        // The end stays where it is.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn expected(&self, what: &str, got: &str) -> Error {
        located(ErrorKind::Malformed, format_args!("{what} was expected and not {got}"), self.text, self.at())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if name == word)
    }

    fn any(&mut self) -> Result<Expr> {
        let mut parts = vec![self.all()?];
        while self.is_word("or") {
            self.take();
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expr::Or))
    }

    fn all(&mut self) -> Result<Expr> {
        let mut parts = vec![self.unary()?];
        while self.is_word("and") {
            self.take();
            parts.push(self.unary()?);
        }
        Ok(one_or(parts, Expr::And))
    }

    fn unary(&mut self) -> Result<Expr> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(located(ErrorKind::LimitExceeded, "the predicate nests too deeply", self.text, self.at()));
        }
        let expr = if self.is_word("not") {
            self.take();
            Expr::Not(Box::new(self.unary()?))
        } else if *self.peek() == Token::Open {
            self.take();
            let inner = self.any()?;
            self.close(Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn close(&mut self, token: Token) -> Result<()> {
        if *self.peek() != token {
            return Err(self.expected(&token.shown(), &self.peek().shown()));
        }
        self.take();
        Ok(())
    }

    fn comparison(&mut self) -> Result<Expr> {
        let at = self.at();
        let column = match self.peek().clone() {
            Token::Name(name) if !["and", "or", "not", "in", "is"].contains(&name.as_str()) => {
                self.take();
                if name == "quantile" && *self.peek() == Token::Open {
                    return self.quantile(at);
                }
                name
            }
            Token::Quoted(name) => {
                self.take();
                name
            }
            other => return Err(self.expected("a column", &other.shown())),
        };
        match self.peek().clone() {
            Token::Op(op) => {
                self.take();
                Ok(Expr::Compare { column, at, op, value: self.literal()? })
            }
            Token::Name(word) if word == "in" => {
                self.take();
                Ok(Expr::In { column, at, values: self.list()? })
            }
            Token::Name(word) if word == "not" => {
                self.take();
                if !self.is_word("in") {
                    return Err(self.expected("`in`", &self.peek().shown()));
                }
                self.take();
                Ok(Expr::Not(Box::new(Expr::In { column, at, values: self.list()? })))
            }
            Token::Name(word) if word == "is" => {
                self.take();
                let negated = self.is_word("not");
                if negated {
                    self.take();
                }
                if !self.is_word("missing") {
                    return Err(self.expected("`missing`", &self.peek().shown()));
                }
                self.take();
                let missing = Expr::Missing { column, at };
                Ok(if negated { Expr::Not(Box::new(missing)) } else { missing })
            }
            other => Err(self.expected("a comparison, `in`, `not in` or `is missing`", &other.shown())),
        }
    }

    fn quantile(&mut self, at: usize) -> Result<Expr> {
        self.close(Token::Open)?;
        let column = match self.take() {
            Token::Name(name) | Token::Quoted(name) => name,
            other => return Err(self.expected("a column", &other.shown())),
        };
        self.close(Token::Comma)?;
        let count_at = self.at();
        let bins = match self.literal()? {
            Literal::Number(n) if (1.0..=1000.0).contains(&n) && n.fract() == 0.0 => n as usize,
            _ => {
                return Err(located(
                    ErrorKind::InvalidValue,
                    "the number of bins is from 1 to 1000",
                    self.text,
                    count_at,
                ));
            }
        };
        self.close(Token::Close)?;
        let Token::Op(op) = self.peek().clone() else {
            return Err(self.expected("a comparison with the number of a bin", &self.peek().shown()));
        };
        self.take();
        let bin_at = self.at();
        match self.literal()? {
            Literal::Number(bin) => Ok(Expr::Quantile { column, at, bins, op, bin }),
            _ => Err(located(ErrorKind::InvalidValue, "bins are numbered from 1", self.text, bin_at)),
        }
    }

    fn literal(&mut self) -> Result<Literal> {
        match self.peek().clone() {
            Token::Literal(literal) => {
                self.take();
                Ok(literal)
            }
            other => Err(self.expected("a number, text in quotation marks, `true` or `false`", &other.shown())),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>> {
        let close = match self.peek() {
            Token::ListOpen => Token::ListClose,
            Token::Open => Token::Close,
            other => return Err(self.expected("a list in `[` and `]`", &other.shown())),
        };
        self.take();
        let mut values = vec![self.literal()?];
        while *self.peek() == Token::Comma {
            self.take();
            values.push(self.literal()?);
        }
        self.close(close)?;
        Ok(values)
    }
}

fn one_or(mut parts: Vec<Expr>, many: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 { parts.swap_remove(0) } else { many(parts) }
}
