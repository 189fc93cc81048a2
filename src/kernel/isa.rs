use std::sync::OnceLock;

/// An instruction set that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Level);

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every target has.
    Scalar,
    /// AVX2, FMA and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL, FMA and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The widest set of this processor.
    #[inline]
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().pop().unwrap_or(Isa(Level::Scalar)))
    }

    /// What every processor of the target has.
    pub(crate) const fn portable() -> Self {
        Self(Level::Scalar)
    }

    /// Every set of this processor, narrowest first.
    pub(crate) fn all() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "only x86-64 has more than one"))]
        let mut all = vec![Self(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("popcnt") {
            all.push(Self(Level::Avx2));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                all.push(Self(Level::Avx512));
            }
        }
        all
    }

    /// The bytes of a register.
    pub(crate) const fn bytes(self) -> usize {
        match self.0 {
            Level::Scalar => 16,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 32,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 64,
        }
    }

    pub(crate) const fn level(self) -> Level {
        self.0
    }
}

/// Defines `$name`, which runs `$body::<FMA, ...>` compiled for the instruction set of an [`Isa`]. `$body` must be
/// `#[inline(always)]` and generic over `const FMA: bool` first: whether `mul_add` is one instruction.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $([$($g:ident: $bound:path),*])? ($($arg:ident: $t:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        #[inline]
        $vis fn $name $(<$($g: $bound),*>)? (isa: $crate::kernel::Isa, $($arg: $t),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($g: $bound),*>)? ($($arg: $t),*) $(-> $ret)? {
                $body::<true $($(, $g)*)?>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512 $(<$($g: $bound),*>)? ($($arg: $t),*) $(-> $ret)? {
                $body::<true $($(, $g)*)?>($($arg),*)
            }
            match isa.level() {
                $crate::kernel::isa::Level::Scalar => $body::<false $($(, $g)*)?>($($arg),*),
                // SAFETY: an `Isa` of this level exists only where the processor was found to have these features.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::isa::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::isa::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use dispatch;

/// Asks for the line of memory at `at`, which need not be readable, and goes on to the next line.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn prefetch<T>(at: &mut *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 has SSE, and asking for memory reads nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    *at = at.wrapping_byte_add(64);
}
