//! Edits of protobuf files that leave them protobuf files: what random bytes would never get past, these do.

use crate::Random;

/// How deep messages are taken apart.
const MAX_DEPTH: usize = 12;

/// Numbers that stand at the edges of what shapes, indices and codes may be.
const EDGES: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    64,
    127,
    128,
    255,
    256,
    65_535,
    1 << 20,
    1 << 24,
    i32::MAX as u64,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
    u64::MAX - 1,
];
const FLOATS: [f32; 10] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 1e-42, f32::MAX, f32::MIN_POSITIVE];

#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

#[derive(Debug, Clone)]
struct Field {
    number: u64,
    value: Value,
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// The fields of a message, if that is what `bytes` are. Text that happens to be one is taken for one, which only
/// makes for other edits.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        if number == 0 || number > 64 {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            2 => {
                let count = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = take(&mut bytes, count)?;
                let message = (depth < MAX_DEPTH && !inner.is_empty()).then(|| parse(inner, depth + 1)).flatten();
                message.map_or_else(|| Value::Bytes(inner.to_vec()), Value::Message)
            }
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for field in fields {
        let wire = match field.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) | Value::Message(_) => 2,
            Value::Fixed32(_) => 5,
        };
        put_varint(out, field.number << 3 | wire);
        match &field.value {
            Value::Varint(value) => put_varint(out, *value),
            Value::Fixed64(bytes) => out.extend_from_slice(bytes),
            Value::Fixed32(bytes) => out.extend_from_slice(bytes),
            Value::Bytes(bytes) => {
                put_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Value::Message(inner) => {
                let mut body = Vec::new();
                write(inner, &mut body);
                put_varint(out, body.len() as u64);
                out.extend_from_slice(&body);
            }
        }
    }
}

fn count(fields: &[Field]) -> usize {
    fields.iter().map(|f| if let Value::Message(inner) = &f.value { 1 + count(inner) } else { 1 }).sum()
}

/// Calls `edit` on the list that holds the `at`-th field (counted as [`count`] does) and its place there.
fn at(fields: &mut Vec<Field>, mut index: usize, edit: &mut dyn FnMut(&mut Vec<Field>, usize)) -> usize {
    let mut i = 0;
    while i < fields.len() {
        if index == 0 {
            edit(fields, i);
            return usize::MAX;
        }
        index -= 1;
        if let Value::Message(inner) = &mut fields[i].value {
            index = at(inner, index, edit);
            if index == usize::MAX {
                return index;
            }
        }
        i += 1;
    }
    index
}

fn strings(fields: &[Field], found: &mut Vec<Vec<u8>>) {
    for field in fields {
        match &field.value {
            Value::Bytes(bytes) if bytes.len() < 64 => found.push(bytes.clone()),
            Value::Message(inner) => strings(inner, found),
            _ => {}
        }
    }
}

/// One edit of the message `bytes`: a field dropped, doubled, moved, copied from elsewhere, or changed in value. `None`
/// where `bytes` are no message. `words` are texts worth putting in, such as names of operators and attributes.
pub fn mutate(bytes: &[u8], random: &mut Random, words: &[&str]) -> Option<Vec<u8>> {
    let mut fields = parse(bytes, 0)?;
    for _ in 0..=random.below(3) {
        let total = count(&fields);
        if total == 0 {
            return None;
        }
        let mut names = Vec::new();
        strings(&fields, &mut names);
        let mut donor = None;
        at(&mut fields, random.below(total), &mut |list, i| donor = Some(list[i].clone()));
        let target = random.below(total);
        let mut edit = |list: &mut Vec<Field>, i: usize| change(list, i, random, &names, words, &mut donor);
        at(&mut fields, target, &mut edit);
    }
    let mut out = Vec::new();
    write(&fields, &mut out);
    Some(out)
}

fn change(
    list: &mut Vec<Field>,
    i: usize,
    random: &mut Random,
    names: &[Vec<u8>],
    words: &[&str],
    donor: &mut Option<Field>,
) {
    match random.below(16) {
        0 => drop(list.remove(i)),
        1 => list.insert(i, list[i].clone()),
        2 => {
            let j = random.below(list.len());
            list.swap(i, j);
        }
        3 => {
            if let Some(field) = donor.take() {
                list.insert(i, field);
            }
        }
        4 => {
            if let Some(field) = donor.take() {
                list[i].value = field.value;
            }
        }
        5 => list[i].number = 1 + random.below(26) as u64,
        _ => value(&mut list[i].value, random, names, words),
    }
}

fn value(value: &mut Value, random: &mut Random, names: &[Vec<u8>], words: &[&str]) {
    match value {
        Value::Varint(number) => {
            *number = match random.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                2 => random.below(16) as u64,
                _ => random.one_of(&EDGES),
            }
        }
        Value::Fixed64(bytes) => *bytes = f64::from(random.one_of(&FLOATS)).to_le_bytes(),
        Value::Fixed32(bytes) => *bytes = random.one_of(&FLOATS).to_le_bytes(),
        Value::Bytes(bytes) => match random.below(5) {
            0 if !names.is_empty() => *bytes = names[random.below(names.len())].clone(),
            1 if !words.is_empty() => *bytes = random.one_of(words).into(),
            2 => bytes.truncate(random.below(bytes.len() + 1)),
            3 => packed(bytes, random),
            _ => {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.bits() as u8;
                }
            }
        },
        // Of a message taken apart a wrong piece is a wrong message; its fields have their own edits.
        Value::Message(inner) => inner.truncate(random.below(inner.len() + 1)),
    }
}

/// Changes a number within raw data or a packed list.
fn packed(bytes: &mut [u8], random: &mut Random) {
    let wide = random.below(2) == 1;
    let width = if wide { 8 } else { 4 };
    if bytes.len() < width {
        return;
    }
    let at = random.below(bytes.len() / width) * width;
    let number = match (wide, random.below(2)) {
        (false, 0) => random.one_of(&FLOATS).to_bits().into(),
        (true, 0) => f64::from(random.one_of(&FLOATS)).to_bits(),
        _ => random.one_of(&EDGES),
    };
    bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
}
