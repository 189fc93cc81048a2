//! What kernels of others leave behind.

/// Clears the upper halves of the vector registers. Assembly that leaves them in use, as tract's kernels for AVX-512 do, slows every
/// instruction for short registers that follows, until somebody does.
pub(crate) fn clear_upper_halves() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        #[target_feature(enable = "avx")]
        fn clear() {
            std::arch::x86_64::_mm256_zeroupper();
        }
        if std::arch::is_x86_feature_detected!("avx") {
            // SAFETY: the processor has AVX.
            unsafe { clear() }
        }
    }
}
