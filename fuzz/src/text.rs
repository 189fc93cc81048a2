//! Edits of files made of lines that leave most of their numbers and keys whole.

use crate::Random;

/// Numbers and words that stand at the edges of what counts, indices, thresholds and names may be.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "3",
    "31",
    "32",
    "127",
    "128",
    "-128",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "18446744073709551615",
    "0.5",
    "-0.0",
    "1e-35",
    "-1e-35",
    "1e-36",
    "1e300",
    "-1e300",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "0,5",
    "",
    " ",
    "null",
    "[]",
    "\"\"",
    "true",
];

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// `text` with one to four edits: a word or number replaced by an edge case or by another word of the file; a line
/// taken out, doubled, or exchanged with another.
pub fn mutate_lines(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(4) {
        text = match random.below(8) {
            0 => with_lines(&text, random),
            _ => with_words(&text, random),
        };
    }
    text
}

/// The words of `text`, as ranges.
fn words(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut words = Vec::new();
    let mut from = None;
    for (i, &byte) in text.iter().chain([&b' ']).enumerate() {
        match (is_part(byte), from) {
            (true, None) => from = Some(i),
            (false, Some(start)) => {
                words.push(start..i);
                from = None;
            }
            _ => {}
        }
    }
    words
}

fn with_words(text: &[u8], random: &mut Random) -> Vec<u8> {
    let words = words(text);
    if words.is_empty() {
        return text.to_vec();
    }
    let at = words[random.below(words.len())].clone();
    let new = match random.below(3) {
        0 => &text[words[random.below(words.len())].clone()],
        _ => random.one_of(WORDS).as_bytes(),
    };
    [&text[..at.start], new, &text[at.end..]].concat()
}

fn with_lines(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(4) {
        0 => {
            lines.remove(a);
        }
        1 => lines.insert(a, lines[b]),
        2 => lines.truncate(a),
        _ => lines.swap(a, b),
    }
    lines.join(&b'\n')
}
