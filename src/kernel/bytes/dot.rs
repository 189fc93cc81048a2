use std::sync::OnceLock;

use crate::kernel::Isa;

/// The instructions by which this processor multiplies 8-bit numbers. A value is the proof that it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dot(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One at a time: the oracle.
    Scalar,
    /// Two products of i16 in each lane of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Four products of u8 and i8 in each lane of 256 bits.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// The same in 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Dot {
    /// The fastest of this processor.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Dot> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().pop().unwrap_or(Self(Kind::Scalar)))
    }

    /// All of this processor, slowest first.
    pub(crate) fn all() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "only x86-64 has more than one"))]
        let mut all = vec![Self(Kind::Scalar)];
        #[cfg(target_arch = "x86_64")]
        if Isa::all().len() > 1 {
            all.push(Self(Kind::Avx2));
            if is_x86_feature_detected!("avxvnni") {
                all.push(Self(Kind::AvxVnni));
            }
            if Isa::all().len() > 2 && is_x86_feature_detected!("avx512vnni") {
                all.push(Self(Kind::Avx512Vnni));
            }
        }
        all
    }

    pub(super) const fn kind(self) -> Kind {
        self.0
    }

    /// Whether the numbers that are multiplied stay bytes, four to a step; else they are i16, two to a step.
    pub(super) const fn by_fours(self) -> bool {
        match self.0 {
            Kind::Scalar => false,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => false,
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni | Kind::Avx512Vnni => true,
        }
    }

    /// How many numbers of a row are taken at a step.
    pub(super) const fn step(self) -> usize {
        if self.by_fours() { 4 } else { 2 }
    }
}
