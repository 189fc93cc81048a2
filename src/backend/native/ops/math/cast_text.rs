//! Numbers as text and text as numbers, the way ONNX Runtime does it: `printf("%.8g")` one way, the functions `strtod`,
//! `strtoll` and `strtoull` of C the other way, which read the longest prefix that is a number.

/// A float with eight significant digits at most, as `%.8g` prints it; `NaN`, `INF` and `-INF`.
pub(super) fn digits(x: f64) -> String {
    const DIGITS: i32 = 8;
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "INF".to_owned() } else { "-INF".to_owned() };
    }
    let scientific = format!("{x:.7e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        trimmed(&format!("{x:.*}", (DIGITS - 1 - exponent) as usize)).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
    }
}

/// Decimals without zeros at their end.
fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

/// What C counts as white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Takes a sign off: whether it is minus, and the rest.
fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// The digits at the start, as a number, unless there is none or it does not fit.
fn leading(text: &str) -> Option<u64> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// As `strtoll`; `None` for what is no number or out of range.
pub(super) fn signed(text: &str) -> Option<i64> {
    let (minus, rest) = sign(text.trim_start_matches(is_space));
    let size = i128::from(leading(rest)?);
    i64::try_from(if minus { -size } else { size }).ok()
}

/// As `strtoull`, which takes a minus and wraps.
pub(super) fn unsigned(text: &str) -> Option<u64> {
    let (minus, rest) = sign(text.trim_start_matches(is_space));
    let size = leading(rest)?;
    Some(if minus { size.wrapping_neg() } else { size })
}

/// As `strtod`, `None` for what is no number or overflows.
pub(super) fn float(text: &str) -> Option<f64> {
    let (minus, rest) = sign(text.trim_start_matches(is_space));
    let starts = |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let size = if starts("inf") {
        f64::INFINITY
    } else if starts("nan") {
        f64::NAN
    } else if let Some(size) = starts("0x").then(|| hexadecimal(&rest[2..])).flatten() {
        size
    } else {
        decimal(rest)?
    };
    Some(if minus { -size } else { size })
}

/// The decimal number at the start of `text`.
fn decimal(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let start = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let power = if start <= bytes.len() { digits(start) } else { 0 };
        if power > 0 {
            end = start + power;
        }
    }
    text[..end].parse().ok().filter(|x: &f64| x.is_finite())
}

/// The hexadecimal number at the start of `text`, after `0x`: digits, a point, a power of two after `p`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mut size, mut power, mut seen, mut point) = (0f64, 0i32, false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c.to_digit(16) {
            Some(digit) => {
                // Sixteen digits are more than a double holds; the others only shift.
                if size < 2f64.powi(60) {
                    size = size * 16.0 + f64::from(digit);
                    power -= if point { 4 } else { 0 };
                } else {
                    power = power.saturating_add(if point { 0 } else { 4 });
                }
                seen = true;
            }
            None if c == '.' && !point => point = true,
            None => break,
        }
        rest = &rest[c.len_utf8()..];
    }
    if let Some(exponent) = rest.strip_prefix(['p', 'P']) {
        let (minus, digits) = sign(exponent);
        let by = leading(digits).map_or(0, |by| by.min(1 << 20) as i32);
        power = power.saturating_add(if minus { -by } else { by });
    }
    seen.then(|| size * 2f64.powi(power.clamp(-1100, 1100))).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits() {
        let known = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1e5, "100000"),
            (12345678.0, "12345678"),
            (123456789.0, "1.2345679e+08"),
            (f64::from(0.3f32), "0.30000001"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (f64::from(1e-45f32), "1.4012985e-45"),
            (99999999.5, "1e+08"),
            (1e300, "1e+300"),
            (f64::INFINITY, "INF"),
            (f64::NEG_INFINITY, "-INF"),
            (f64::NAN, "NaN"),
        ];
        for (x, text) in known {
            assert_eq!(digits(x), text);
        }
    }

    #[test]
    fn prefixes_that_are_numbers() {
        let known = [
            ("1.5abc", 1.5),
            (" \t-2", -2.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1,5", 1.0),
            ("+1E2x", 100.0),
            ("Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("0x1.8p1", 3.0),
            ("0xg", 0.0),
            ("1e-400", 0.0),
        ];
        for (text, x) in known {
            assert_eq!(float(text), Some(x), "{text}");
        }
        assert!(float("nan").is_some_and(f64::is_nan));
        for text in ["", " ", "abc", ".", "e5", "-", "1e400", "é", "--1"] {
            assert_eq!(float(text), None, "{text}");
        }
        let known = [
            ("7 ", Some(7)),
            ("1.5", Some(1)),
            ("0x1F", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("+", None),
        ];
        for (text, x) in known {
            assert_eq!(signed(text), x, "{text}");
        }
        assert_eq!([unsigned("-1"), unsigned("300"), unsigned("true")], [Some(u64::MAX), Some(300), None]);
    }
}
