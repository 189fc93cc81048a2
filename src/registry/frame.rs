//! Records as bytes: a JSON object that begins with the layout's number and a nonce, and ends with the digest of all before it.
//!
//! Every layout to come keeps this frame, so that an older build can tell a newer record from a broken one. Readable
//! by hand, and `jq` takes it as it is; the digest is that of the bytes up to the comma before `"sha256"`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Digest, Error, ErrorKind, Result};

/// The layout that this build writes, and the highest that it reads.
pub(crate) const LAYOUT: u32 = 1;
/// The largest record that is written or read, in bytes.
pub(crate) const LARGEST: u64 = 16 << 20;

const BEFORE: &str = ",\n  \"sha256\": \"";
const AFTER: &str = "\"\n}\n";
const HEX: usize = 64;
const TAIL: usize = BEFORE.len() + HEX + AFTER.len();

/// `value`, which must serialise as an object that is not empty, as a record. Its nonce tells it from every other, even
/// one of the same content: a writer whose answer was lost on the way finds out whether it had won.
pub(crate) fn seal(value: &impl Serialize) -> Result<Vec<u8>> {
    let failed = |e: serde_json::Error| {
        Error::new(ErrorKind::InvalidValue, "the record can't be written as JSON").with_source(e)
    };
    let text = serde_json::to_string_pretty(value).map_err(failed)?;
    let inner = text.strip_prefix("{\n").and_then(|t| t.strip_suffix("\n}")).expect("an object with fields");
    let nonce = super::blobs::random();
    let mut record = format!("{{\n  \"layout\": {LAYOUT},\n  \"nonce\": \"{nonce:016x}\",\n{inner}").into_bytes();
    let digest = Digest::of(&record);
    record.extend_from_slice(format!("{BEFORE}{digest}{AFTER}").as_bytes());
    if record.len() as u64 > LARGEST {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "the record is too large; keep long texts and lists out of tags, descriptions and notes",
        )
        .expected(format!("at most {LARGEST} bytes"))
        .actual(format!("{} bytes", record.len())));
    }
    Ok(record)
}

/// The value in a record, and the record's digest; `place` is for messages.
///
/// # Errors
/// [`ErrorKind::Integrity`] with the digest expected and found; [`ErrorKind::Unsupported`] for a newer layout;
/// [`ErrorKind::Malformed`].
pub(crate) fn open<T: DeserializeOwned>(record: &[u8], place: &str) -> Result<(T, Digest)> {
    let cut = record.len().saturating_sub(TAIL);
    let (body, tail) = record.split_at(cut);
    let found = Digest::of(body);
    let stated = tail
        .strip_prefix(BEFORE.as_bytes())
        .and_then(|t| t.strip_suffix(AFTER.as_bytes()))
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .filter(|hex| hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    let head = format!("{{\n  \"layout\": {LAYOUT},\n");
    if stated.is_none_or(|hex| hex != found.to_string()) {
        let expected = stated.map_or_else(|| "a record that ends with its digest".to_owned(), str::to_owned);
        let newer = layout(record).filter(|layout| *layout > LAYOUT);
        let error = match newer {
            Some(layout) => newer_layout(layout),
            None => {
                Error::new(ErrorKind::Integrity, "the record was changed after it was written; restore it from a copy")
            }
        };
        return Err(error.file(place).expected(expected).actual(found));
    }
    if !body.starts_with(head.as_bytes()) {
        return Err(match layout(record) {
            Some(layout) if layout > LAYOUT => newer_layout(layout).file(place),
            _ => Error::new(ErrorKind::Malformed, "the record does not say its layout").file(place),
        });
    }
    let value = serde_json::from_slice(record).map_err(|e| {
        Error::new(ErrorKind::Malformed, "the record lacks what its layout demands").file(place).with_source(e)
    })?;
    Ok((value, found))
}

fn newer_layout(layout: u32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "this record is of layout {layout}, and this build knows none above {LAYOUT}; use a newer version of modelberth"
        ),
    )
}

/// The layout that a record states, if that can be told.
fn layout(record: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Head {
        layout: u32,
    }
    serde_json::from_slice::<Head>(record).ok().map(|head| head.layout)
}

/// The records of a pack: whole records one after the other. The object of each is indented, so that only its last line
/// is a brace alone.
pub(crate) fn split(pack: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    let mut rest = pack;
    while let Some(end) = find(rest, b"\n}\n") {
        let (record, after) = rest.split_at(end + 3);
        records.push(record);
        rest = after;
    }
    records
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    // Braces are rarer than line ends, so that few windows are compared.
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|b| *b == b'}') {
        let brace = from + at;
        if brace > 0 && text[brace - 1..].starts_with(needle) {
            return Some(brace - 1);
        }
        from = brace + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Record {
        name: String,
        nested: Vec<Vec<u8>>,
    }

    fn record() -> Record {
        Record { name: "a \n}\n \"sha256\": b".to_owned(), nested: vec![vec![1], vec![]] }
    }

    #[test]
    fn a_record_comes_back() {
        let bytes = seal(&record()).unwrap();
        assert_eq!(open::<Record>(&bytes, "here").unwrap().0, record());
        let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&whole["layout"], whole["sha256"].as_str().unwrap().len()), (&1.into(), 64));
        let pack = [bytes.clone(), bytes.clone()].concat();
        assert_eq!(split(&pack), [&bytes, &bytes]);
    }

    #[test]
    fn every_flipped_bit_is_refused_with_both_digests() {
        let bytes = seal(&record()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let error = open::<Record>(&broken, "here").unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::Unsupported), "bit {bit}: {error}");
            assert!(error.expected_text().is_some() && error.actual_text().is_some_and(|t| t.len() == 64), "{error}");
        }
        for length in 0..bytes.len() {
            assert!(open::<Record>(&bytes[..length], "here").is_err());
        }
    }

    #[test]
    fn a_newer_layout_is_named() {
        let bytes = seal(&record()).unwrap();
        let body =
            String::from_utf8(bytes[..bytes.len() - TAIL].to_vec()).unwrap().replace("\"layout\": 1", "\"layout\": 2");
        let newer = format!("{body}{BEFORE}{}{AFTER}", Digest::of(body.as_bytes()));
        let error = open::<Record>(newer.as_bytes(), "here").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("layout 2"), "{error}");
    }
}
