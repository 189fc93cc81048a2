//! From a list of fields to a message: the codecs of single values, the ways a field can occur, and the `message!`
//! macro that puts them together.

use super::{
    bytes::Bytes,
    wire::{Budget, Counter, Reader, Sink, Wire},
};
use crate::error::{ErrorKind, Result};
use core::marker::PhantomData;
use std::{boxed::Box, string::String, vec::Vec};

/// A message type, as `message!` makes it.
pub(crate) trait Message: Default {
    /// The name in `onnx.proto`.
    const NAME: &'static str;

    /// Reads fields until the reader is at its end. A scalar that occurs twice keeps the last value.
    fn merge(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Result<()>;

    /// Writes all fields that are set, then the unknown ones.
    fn encode(&self, out: &mut impl Sink);

    /// How many bytes [`encode`](Self::encode) writes.
    fn encoded_len(&self) -> usize {
        let mut counter = Counter::default();
        self.encode(&mut counter);
        counter.0
    }
}

/// How one value of a protobuf type is read and written.
pub(crate) trait Codec {
    /// The Rust type of a value.
    type Value: Default;
    /// The layout of a value.
    const WIRE: Wire;
    /// Reads a value, the key already read.
    fn merge(value: &mut Self::Value, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()>;
    /// Writes a value without its key.
    fn write(value: &Self::Value, out: &mut impl Sink);
    /// How many more values the budget allows; memory for more is not taken ahead.
    fn at_most(_budget: &Budget) -> usize {
        usize::MAX
    }
}

macro_rules! codecs {
    ($($(#[$doc:meta])* $name:ident: $value:ty, $wire:ident, $read:expr, $write:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Codec for $name {
            type Value = $value;
            const WIRE: Wire = Wire::$wire;

            fn merge(value: &mut $value, reader: &mut Reader<'_>, _budget: &mut Budget) -> Result<()> {
                let read: fn(&mut Reader<'_>) -> Result<$value> = $read;
                *value = read(reader)?;
                Ok(())
            }

            fn write(value: &$value, out: &mut impl Sink) {
                ($write)(value, out);
            }
        }
    )*};
}

codecs! {
    /// `int64`.
    Int64: i64, Varint, |r| Ok(r.varint()? as i64), |v: &i64, out: &mut _| Sink::put_varint(out, *v as u64);
    /// `int32` and enums. The upper half of the varint is dropped, as protobuf demands; a negative value is written
    /// with its sign extended to 64 bits.
    Int32: i32, Varint, |r| Ok(r.varint()? as i32), |v: &i32, out: &mut _| Sink::put_varint(out, i64::from(*v) as u64);
    /// `uint64`.
    Uint64: u64, Varint, |r| r.varint(), |v: &u64, out: &mut _| Sink::put_varint(out, *v);
    /// `float`.
    Float: f32, Fixed32, |r| r.fixed32().map(f32::from_bits), |v: &f32, out: &mut _| Sink::put(out, &v.to_le_bytes());
    /// `double`.
    Double: f64, Fixed64, |r| r.fixed64().map(f64::from_bits), |v: &f64, out: &mut _| Sink::put(out, &v.to_le_bytes());
    /// `string`.
    Text: String, Len, |r| r.text().map(String::from), |v: &String, out: &mut _| Sink::put_len_bytes(out, v.as_bytes());
    /// `bytes` that are short, copied out of the file so that they do not keep it in memory.
    Blob: Vec<u8>, Len, |r| r.len_bytes().map(<[u8]>::to_vec), |v: &Vec<u8>, out: &mut _| Sink::put_len_bytes(out, v);
    /// `bytes` that may be long, shared with the file.
    Shared: Bytes, Len, |r| r.len_shared(), |v: &Bytes, out: &mut _| Sink::put_len_bytes(out, v);
}

/// Reads a sub-message.
pub(crate) fn merge_message<M: Message>(value: &mut M, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
    budget.enter(reader)?;
    value.merge(reader.nested(M::NAME)?, budget)?;
    budget.leave();
    Ok(())
}

/// Writes a sub-message with its length.
pub(crate) fn write_message<M: Message>(value: &M, out: &mut impl Sink) {
    let length = value.encoded_len();
    out.put_varint(length as u64);
    out.body(length, |out| value.encode(out));
}

/// How a field occurs in its message.
pub(crate) trait Occurrence {
    /// The Rust type of the field.
    type Field: Default;
    /// Reads one occurrence.
    fn merge(field: &mut Self::Field, wire: Wire, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()>;
    /// Writes all that is there.
    fn write(field: &Self::Field, number: u32, out: &mut impl Sink);
}

/// `optional` scalar: an `Option`.
#[derive(Debug)]
pub(crate) struct Optional<C>(PhantomData<C>);

impl<C: Codec> Occurrence for Optional<C> {
    type Field = Option<C::Value>;

    fn merge(field: &mut Self::Field, wire: Wire, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
        reader.expect(wire, C::WIRE)?;
        C::merge(field.get_or_insert_default(), reader, budget)
    }

    fn write(field: &Self::Field, number: u32, out: &mut impl Sink) {
        if let Some(value) = field {
            out.put_key(number, C::WIRE);
            C::write(value, out);
        }
    }
}

/// `optional` message: an `Option` of a `Box`, since messages contain themselves.
#[derive(Debug)]
pub(crate) struct Nested<C>(PhantomData<C>);

impl<C: Codec> Occurrence for Nested<C> {
    type Field = Option<Box<C::Value>>;

    fn merge(field: &mut Self::Field, wire: Wire, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
        reader.expect(wire, C::WIRE)?;
        // Protobuf would merge the two. No writer relies on it, and lists that grow by pieces could not be given
        // exactly the memory they need.
        if field.is_some() {
            return Err(reader.malformed("the field holds one message and occurs twice"));
        }
        C::merge(field.get_or_insert_default(), reader, budget)
    }

    fn write(field: &Self::Field, number: u32, out: &mut impl Sink) {
        if let Some(value) = field {
            out.put_key(number, C::WIRE);
            C::write(value, out);
        }
    }
}

/// `repeated`: a `Vec`, written one key a value; numbers are read packed too.
#[derive(Debug)]
pub(crate) struct Repeated<C>(PhantomData<C>);

impl<C: Codec> Occurrence for Repeated<C> {
    type Field = Vec<C::Value>;

    fn merge(field: &mut Self::Field, wire: Wire, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
        merge_repeated::<C>(field, wire, reader, budget)
    }

    fn write(field: &Self::Field, number: u32, out: &mut impl Sink) {
        for value in field {
            out.put_key(number, C::WIRE);
            C::write(value, out);
        }
    }
}

/// `repeated` and `packed`: a `Vec` of numbers, written in one run; read packed or not.
#[derive(Debug)]
pub(crate) struct Packed<C>(PhantomData<C>);

impl<C: Codec> Occurrence for Packed<C> {
    type Field = Vec<C::Value>;

    fn merge(field: &mut Self::Field, wire: Wire, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
        merge_repeated::<C>(field, wire, reader, budget)
    }

    fn write(field: &Self::Field, number: u32, out: &mut impl Sink) {
        if field.is_empty() {
            return;
        }
        let mut counter = Counter::default();
        field.iter().for_each(|value| C::write(value, &mut counter));
        out.put_key(number, Wire::Len);
        out.put_varint(counter.0 as u64);
        out.body(counter.0, |out| field.iter().for_each(|value| C::write(value, out)));
    }
}

fn merge_repeated<C: Codec>(
    field: &mut Vec<C::Value>,
    wire: Wire,
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<()> {
    let here = reader.clone();
    let mut run = None;
    if wire == Wire::Len && C::WIRE != Wire::Len {
        let packed = reader.packed()?;
        // Before the look ahead: without this, a file of nothing but empty runs would be walked once for each.
        if packed.is_empty() {
            return Ok(());
        }
        run = Some(packed);
    } else {
        reader.expect(wire, C::WIRE)?;
    }
    if field.capacity() == 0 {
        let count = here.count_elements(C::WIRE).min(C::at_most(budget));
        field
            .try_reserve_exact(count)
            .map_err(|e| here.error(ErrorKind::LimitExceeded, "there is no memory for the values").with_source(e))?;
    }
    let mut read = |reader: &mut Reader<'_>| -> Result<()> {
        let mut value = C::Value::default();
        C::merge(&mut value, reader, budget)?;
        field.push(value);
        Ok(())
    };
    match run {
        None => {
            read(reader)?;
            while reader.again() {
                read(reader)?;
            }
            Ok(())
        }
        Some(mut run) => {
            while !run.is_empty() {
                read(&mut run)?;
            }
            Ok(())
        }
    }
}

/// Makes message types: `Name { field: Occurrence<Codec> = number, ... }`. Fields stand in the order of their numbers,
/// which is the order other writers use, so that an untouched file encodes to the same bytes.
macro_rules! message {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $how:ty = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: <$how as Occurrence>::Field,)*
            /// The fields that this version does not know, keys included, as they stood in the file.
            pub(crate) unknown: Vec<u8>,
        }

        impl Message for $name {
            const NAME: &'static str = stringify!($name);

            fn merge(&mut self, mut reader: Reader<'_>, budget: &mut Budget) -> Result<()> {
                while let Some((field, wire)) = reader.next_field()? {
                    match field {
                        $($number => <$how as Occurrence>::merge(&mut self.$field, wire, &mut reader, budget)?,)*
                        _ => reader.skip_into(wire, &mut self.unknown)?,
                    }
                }
                Ok(())
            }

            fn encode(&self, out: &mut impl Sink) {
                $(<$how as Occurrence>::write(&self.$field, $number, out);)*
                out.put(&self.unknown);
            }
        }

        impl Codec for $name {
            type Value = Self;
            const WIRE: Wire = Wire::Len;

            fn merge(value: &mut Self, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<()> {
                merge_message(value, reader, budget)
            }

            fn write(value: &Self, out: &mut impl Sink) {
                write_message(value, out);
            }

            fn at_most(budget: &Budget) -> usize {
                budget.messages_left()
            }
        }

        impl $name {
            /// Decodes the message from the protobuf bytes. Long byte strings share `bytes` and are not copied.
            ///
            /// # Errors
            /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) with the message type, the field number and the
            /// byte offset; [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded).
            pub(crate) fn decode(bytes: impl Into<Bytes>, limits: &DecodeLimits) -> Result<Self> {
                let bytes = bytes.into();
                let mut message = Self::default();
                message.merge(Reader::new(&bytes, Self::NAME), &mut Budget::new(limits))?;
                Ok(message)
            }

            /// The protobuf bytes of the message.
            pub(crate) fn encode_to_vec(&self) -> Vec<u8> {
                let mut out = Vec::with_capacity(self.encoded_len());
                self.encode(&mut out);
                out
            }
        }
    )*};
}
pub(crate) use message;
