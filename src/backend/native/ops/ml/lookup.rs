//! Finding a key of a file's table: text, integers or floats.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::backend::native::value::{Data, Value};
use crate::{Error, ErrorKind, Result};

/// A multiplicative hash of eight bytes at a time. Only a file's own keys are ever stored, so nobody who sends inputs
/// can crowd a bucket.
#[derive(Debug, Default, Clone)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        // The table takes its control bits from the top and its bucket from the bottom.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, i: u8) {
        self.write_u64(i.into());
    }

    fn write_u64(&mut self, i: u64) {
        self.0 = (self.0.rotate_left(5) ^ i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Map<K> = HashMap<K, u32, BuildHasherDefault<Mix>>;

/// The places of a table's keys.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    Strings(Map<String>),
    Ints(Map<u64>),
    /// By the bits of the f64, of which NaN and zero have one pattern each.
    Floats(Map<u64>),
}

/// Which of two equal keys is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    First,
    Last,
}

/// Bits that are equal exactly when the numbers are, with all NaNs equal.
fn bits(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else if x == 0.0 {
        0
    } else {
        x.to_bits()
    }
}

fn table<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>, repeated: Repeated) -> Map<K> {
    let mut map = Map::default();
    for (i, key) in keys.enumerate() {
        match repeated {
            Repeated::First => {
                map.entry(key).or_insert(i as u32);
            }
            Repeated::Last => {
                map.insert(key, i as u32);
            }
        }
    }
    map
}

impl Keys {
    /// The table of these keys.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for keys of a type that can't be looked up.
    pub(super) fn new(keys: &Value<'_>, repeated: Repeated) -> Result<Self> {
        if u32::try_from(keys.len()).is_err() {
            return Err(Error::new(ErrorKind::LimitExceeded, "a table has more than 2^32 keys"));
        }
        Ok(match keys.data() {
            Data::String(k) => Self::Strings(table(k.iter().cloned(), repeated)),
            Data::I64(k) => Self::Ints(table(k.iter().map(|&i| i as u64), repeated)),
            Data::I32(k) => Self::Ints(table(k.iter().map(|&i| i64::from(i) as u64), repeated)),
            Data::I16(k) => Self::Ints(table(k.iter().map(|&i| i64::from(i) as u64), repeated)),
            Data::F32(k) => Self::Floats(table(k.iter().map(|&x| bits(x.into())), repeated)),
            Data::F64(k) => Self::Floats(table(k.iter().map(|&x| bits(x)), repeated)),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "the keys of a table have a type that is not looked up",
                )
                .expected("strings, i64, i32, i16, f32 or f64")
                .actual(keys.type_text()));
            }
        })
    }

    /// Shows `visit` the place of every element of `value`, `None` where it is no key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when the elements are not of the keys' kind.
    #[inline]
    pub(super) fn find(&self, value: &Value<'_>, mut visit: impl FnMut(Option<u32>)) -> Result<()> {
        match (self, value.data()) {
            (Self::Strings(map), Data::String(x)) => x.iter().for_each(|x| visit(map.get(x.as_str()).copied())),
            (Self::Ints(map), Data::I64(x)) => x.iter().for_each(|&x| visit(map.get(&(x as u64)).copied())),
            (Self::Ints(map), Data::I32(x)) => x.iter().for_each(|&x| visit(map.get(&(i64::from(x) as u64)).copied())),
            (Self::Ints(map), Data::I16(x)) => x.iter().for_each(|&x| visit(map.get(&(i64::from(x) as u64)).copied())),
            (Self::Floats(map), Data::F32(x)) => x.iter().for_each(|&x| visit(map.get(&bits(x.into())).copied())),
            (Self::Floats(map), Data::F64(x)) => x.iter().for_each(|&x| visit(map.get(&bits(x)).copied())),
            (Self::Strings(_), _) => return Err(value.type_error("string, as the keys of the table")),
            (Self::Ints(_), _) => return Err(value.type_error("an integer, as the keys of the table")),
            (Self::Floats(_), _) => return Err(value.type_error("f32 or f64, as the keys of the table")),
        }
        Ok(())
    }

    /// As [`find`](Self::find); floats are cut to integers first where the keys are integers.
    pub(super) fn find_cut(&self, value: &Value<'_>, mut visit: impl FnMut(Option<u32>)) -> Result<()> {
        // What no i64 can hold becomes the smallest one, as the processor's own conversion has it.
        let cut = |x: f64| {
            const END: f64 = (1u64 << 63) as f64;
            if (-END..END).contains(&x) { x as i64 } else { i64::MIN }
        };
        match (self, value.data()) {
            (Self::Ints(map), Data::F32(x)) => {
                x.iter().for_each(|&x| visit(map.get(&(cut(x.into()) as u64)).copied()));
                Ok(())
            }
            (Self::Ints(map), Data::F64(x)) => {
                x.iter().for_each(|&x| visit(map.get(&(cut(x) as u64)).copied()));
                Ok(())
            }
            _ => self.find(value, visit),
        }
    }
}
