//! Upper and lower case, character by character as C libraries change it: one character stays one character.

/// The lower case of `text`, where only ASCII letters change when `ascii`.
pub(super) fn lower(text: &str, ascii: bool) -> String {
    if ascii || text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(lower_char).collect()
}

/// The upper case of `text`, where only ASCII letters change when `ascii`.
pub(super) fn upper(text: &str, ascii: bool) -> String {
    if ascii || text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(upper_char).collect()
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next()?;
    mapped.next().is_none().then_some(first)
}

fn lower_char(c: char) -> char {
    // The one character whose lower case is two.
    if c == 'İ' { 'i' } else { single(c.to_lowercase()).unwrap_or(c) }
}

fn upper_char(c: char) -> char {
    single(c.to_uppercase()).unwrap_or_else(|| {
        // Greek letters with an iota below have a capital of their own beside the two letters of the full mapping.
        let code = c as u32;
        let capital = match code {
            0x1F80..=0x1FAF if code & 8 == 0 => code + 8,
            0x1FB3 | 0x1FC3 | 0x1FF3 => code + 9,
            _ => code,
        };
        char::from_u32(capital).unwrap_or(c)
    })
}
