//! Numbers that the writer and the reader of the format share.

use super::Error;

/// What a packed model begins with.
pub(crate) const MAGIC: [u8; 4] = *b"MBPK";
/// The version of the format that is written and read.
pub(crate) const VERSION: u16 = 1;
/// The bytes of the header: magic, version, a reserved u16, length, checksum, floats of scratch, and the numbers of texts,
/// inputs, outputs and steps, all of them u32 from the length on.
pub(crate) const HEADER: usize = 36;
/// Added to the element type of an input or output that has no batch axis.
pub(crate) const WHOLE: u8 = 0x80;
/// Where the checksum stands; it covers all that follows it.
pub(crate) const CHECKSUM: usize = 12;
/// What a tree's node says in the place of a feature when it is a leaf.
pub(crate) const LEAF: u16 = u16::MAX;
/// The bytes of a tree's node: feature u16, test u8, where NaN goes u8, threshold f32, and the other child u32. The child for
/// rows that pass comes next.
pub(crate) const NODE: usize = 12;

/// The most comparisons that sorting one row may take: its numbers times those that are wanted.
pub(crate) const MOST_COMPARED: usize = 1 << 24;

/// FNV-1a of 32 bits.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Makes an enum of codes of one byte, with the way back.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum $name {
            $($(#[$what])* $variant = $code,)*
        }

        impl $name {
            pub(crate) const fn of(code: u8) -> Result<Self, Error> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    _ => Err(Error::Malformed),
                }
            }
        }
    };
}

codes! {
    /// The steps of a program. Each is this code, then its fields in the order in which the reader names them.
    Code {
        Constant = 1,
        Gather = 2,
        Map = 3,
        Zip = 4,
        Select = 5,
        Dense = 6,
        Reduce = 7,
        Softmax = 8,
        Lookup = 9,
        OneHot = 10,
        Trees = 11,
        Distances = 12,
        Copy = 13,
        Product = 14,
        Convolve = 15,
        Recurrent = 16,
        Order = 17,
        Pick = 18,
        Rows = 19,
        Couple = 20,
        Normalise = 21,
    }
}

codes! {
    /// Functions of one number.
    Unary {
        Negate = 1,
        Absolute = 2,
        Relu = 3,
        Sigmoid = 4,
        Tanh = 5,
        Exp = 6,
        Log = 7,
        Sqrt = 8,
        Reciprocal = 9,
        Not = 10,
        IsNan = 11,
        Floor = 12,
        Ceil = 13,
        /// To nearest, ties to even.
        Round = 14,
        Erf = 15,
        Sign = 16,
        Truncate = 17,
        /// 1 for what is not 0.
        Truth = 18,
        Sin = 19,
        Cos = 20,
        Tan = 21,
        Asin = 22,
        Acos = 23,
        Atan = 24,
        Sinh = 25,
        Cosh = 26,
        Asinh = 27,
        Acosh = 28,
        Atanh = 29,
    }
}

codes! {
    /// Functions of two numbers; comparisons give 0 or 1.
    Binary {
        Add = 1,
        Subtract = 2,
        Multiply = 3,
        Divide = 4,
        Power = 5,
        Minimum = 6,
        Maximum = 7,
        Equal = 8,
        Less = 9,
        LessOrEqual = 10,
        Greater = 11,
        GreaterOrEqual = 12,
        And = 13,
        Or = 14,
        Xor = 15,
        /// What is left of a division, with the sign of what is divided.
        Remainder = 16,
        /// Of whole numbers, bit by bit.
        BitAnd = 17,
        BitOr = 18,
        BitXor = 19,
    }
}

#[cfg(feature = "optimize")]
impl Binary {
    /// Whether it gives 0 or 1.
    pub(crate) const fn is_test(self) -> bool {
        (self as u8) >= Self::Equal as u8 && (self as u8) <= Self::Xor as u8
    }
}

codes! {
    /// What a recurrent step computes, with ONNX's gates in ONNX's order.
    Cell {
        /// h = tanh(x + R h)
        Tanh = 1,
        /// h = max(x + R h, 0)
        Relu = 2,
        /// z, r, h; the reset gate is applied before the product.
        GruBefore = 3,
        /// z, r, h; the reset gate is applied behind the product, which has a bias of its own.
        GruBehind = 4,
        /// i, o, f, c.
        Lstm = 5,
    }
}

impl Cell {
    pub(crate) const fn gates(self) -> usize {
        match self {
            Self::Tanh | Self::Relu => 1,
            Self::GruBefore | Self::GruBehind => 3,
            Self::Lstm => 4,
        }
    }

    /// Floats of work for each hidden number, behind the answers; an LSTM's begin with the last cell state.
    pub(crate) const fn work(self) -> usize {
        match self {
            Self::Tanh | Self::Relu => 0,
            Self::GruBefore | Self::GruBehind => 3,
            Self::Lstm => 5,
        }
    }
}

codes! {
    /// What is made of the numbers along an axis.
    Reduction {
        Sum = 1,
        Mean = 2,
        Maximum = 3,
        Minimum = 4,
        Product = 5,
        L1 = 6,
        L2 = 7,
        SumSquare = 8,
        LogSumExp = 9,
        /// Where the first of the greatest stands.
        ArgMax = 10,
        /// Where the first of the least stands.
        ArgMin = 11,
    }
}

codes! {
    /// How the answers of trees are brought together.
    Aggregate {
        Sum = 1,
        Average = 2,
        Minimum = 3,
        Maximum = 4,
    }
}

codes! {
    /// The element type of an input or output on a host; in the evaluator all are f32.
    Kind {
        F32 = 1,
        I64 = 2,
        Bool = 3,
        /// The place of a text in the table of texts.
        Text = 4,
        F64 = 5,
        F16 = 6,
        Bf16 = 7,
        I32 = 8,
        I16 = 9,
        I8 = 10,
        U64 = 11,
        U32 = 12,
        U16 = 13,
        U8 = 14,
        I4 = 15,
        U4 = 16,
    }
}

#[cfg(feature = "optimize")]
impl Kind {
    /// Whether it holds whole numbers.
    pub(crate) const fn is_whole(self) -> bool {
        !matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16 | Self::Bool | Self::Text)
    }

    /// The least and the greatest of a type of 16 bits or less.
    pub(crate) const fn range(self) -> Option<[f32; 2]> {
        match self {
            Self::I16 => Some([-32768.0, 32767.0]),
            Self::U16 => Some([0.0, 65535.0]),
            Self::I8 => Some([-128.0, 127.0]),
            Self::U8 => Some([0.0, 255.0]),
            Self::I4 => Some([-8.0, 7.0]),
            Self::U4 => Some([0.0, 15.0]),
            _ => None,
        }
    }
}

codes! {
    /// The test of a node of a tree: `x OP threshold`.
    Test {
        LessOrEqual = 1,
        Less = 2,
        GreaterOrEqual = 3,
        Greater = 4,
        Equal = 5,
        NotEqual = 6,
    }
}
