//! Regular expressions in the dialect of RE2, which ONNX names, on top of the crate `regex`.
//!
//! The two differ little: in RE2 `\w`, `\d`, `\s` and `\b` know ASCII alone, and brackets have no set operations. Where
//! the longest match is wanted instead of the first alternative, a second engine measures it.

use regex::Regex;
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use crate::{Error, ErrorKind, Result};

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Finds the longest match where the first alternative need not be the longest.
    longest: Option<PikeVM>,
}

impl Pattern {
    /// Compiles `pattern`; `longest` prefers the longest of all matches at the leftmost place.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it can't be read.
    pub(super) fn new(pattern: &str, longest: bool) -> Result<Self> {
        let translated = translate(pattern);
        let bad = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Malformed, "a regular expression of the file can't be read")
                .expected("an expression of RE2")
                .actual(format!("`{pattern}`: {e}"))
        };
        let regex = Regex::new(&translated).map_err(|e| bad(&e))?;
        let longest = if longest && is_ambiguous(pattern) {
            let engine = PikeVM::builder()
                .configure(pikevm::Config::new().match_kind(MatchKind::All))
                .syntax(syntax::Config::new().utf8(true))
                .build(&translated)
                .map_err(|e| bad(&e))?;
            Some(engine)
        } else {
            None
        };
        Ok(Self { regex, longest })
    }

    /// Compiles `pattern` so that it only matches whole strings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn whole(pattern: &str) -> Result<Self> {
        // Read by itself first, so that a bracket left open is not closed by what is put around it.
        Self::new(pattern, false)?;
        Self::new(&format!(r"\A(?:{pattern})\z"), false)
    }

    /// Whether `text` matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match at or after `from`, which may be anything up to the length of `text`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let found = self.regex.find_at(text, from)?;
        let (start, mut end) = (found.start(), found.end());
        if let Some(engine) = &self.longest {
            let input = Input::new(text).range(start..).anchored(Anchored::Yes);
            if let Some(longest) = engine.find_iter(&mut engine.create_cache(), input).next() {
                end = end.max(longest.end());
            }
        }
        Some((start, end))
    }
}

/// Whether an expression may have a longer match than the one found first: with at most one quantifier and no choice
/// it can't.
fn is_ambiguous(pattern: &str) -> bool {
    let quantifiers = pattern.matches(['*', '+', '{']).count();
    pattern.contains(['|', '?']) || quantifiers > 1
}

/// The expression in the dialect of the crate `regex`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // How many characters of a bracket have been read; a `]` among the first is a letter.
    let mut in_class: Option<usize> = None;
    while let Some(c) = chars.next() {
        if c == '\\' {
            escape(chars.next(), in_class.is_some(), &mut chars, &mut out);
            in_class = in_class.map(|n| n + 1);
            continue;
        }
        let Some(read) = in_class else {
            out.push(c);
            if c == '[' {
                in_class = Some(0);
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            continue;
        };
        in_class = Some(read + 1);
        match c {
            ']' if read > 0 => {
                out.push(c);
                in_class = None;
            }
            '[' if chars.peek() == Some(&':') => {
                // A named class such as [:alpha:].
                out.push(c);
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            // Letters here, operators there.
            ']' | '[' | '&' | '~' => out.extend(['\\', c]),
            '-' if chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
    }
    out
}

/// The escape `\c`.
fn escape(c: Option<char>, in_class: bool, rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let class = match c {
        Some('w') => "0-9A-Za-z_",
        Some('W') => "^0-9A-Za-z_",
        Some('d') => "0-9",
        Some('D') => "^0-9",
        Some('s') => "\\t\\n\\f\\r ",
        Some('S') => "^\\t\\n\\f\\r ",
        Some('b') if !in_class => return out.push_str("(?-u:\\b)"),
        Some('Q') if !in_class => {
            // Letters up to \E.
            let mut quoted = String::new();
            while let Some(c) = rest.next() {
                if c == '\\' && rest.next_if_eq(&'E').is_some() {
                    break;
                }
                quoted.push(c);
            }
            return out.push_str(&regex::escape(&quoted));
        }
        Some(c) => return out.extend(['\\', c]),
        None => return out.push('\\'),
    };
    out.extend(["[", class, "]"]);
}
