#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _CMP_LT_OQ, _mm256_castpd_si256, _mm256_castps_si256, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_loadu_pd,
    _mm256_loadu_ps, _mm256_movemask_epi8, _mm256_packs_epi16, _mm256_packs_epi32, _mm256_set1_pd, _mm256_set1_ps,
    _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_loadu_pd, _mm512_loadu_ps, _mm512_set1_pd, _mm512_set1_ps,
};

#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::{Isa, Real};

/// The most thresholds of one [`Cuts`], whose ranks fill a byte.
pub(crate) const MOST_CUTS: usize = 255;
/// The lowest rank, which a number has that is not above any threshold.
pub(crate) const LOWEST_RANK: i8 = i8::MIN;
/// The thresholds of one block.
const BLOCK: usize = 16;

/// Sorted thresholds among which numbers are ranked: in blocks, with the last of every block apart, so that a rank is
/// counted in two short rows.
#[derive(Debug, Clone)]
pub(crate) struct Cuts<T> {
    last: [T; BLOCK],
    blocks: Vec<[T; BLOCK]>,
}

impl<T: Ranked> Cuts<T> {
    /// Of at most [`MOST_CUTS`] ascending thresholds; `nan` fills the rest up.
    ///
    /// # Panics
    /// When there are more.
    pub(crate) fn new(thresholds: &[T], nan: T) -> Self {
        assert!(thresholds.len() <= MOST_CUTS, "ranks must fit a byte");
        let mut last = [nan; BLOCK];
        let mut blocks = vec![[nan; BLOCK]; thresholds.len() / BLOCK + 1];
        for (i, &t) in thresholds.iter().enumerate() {
            blocks[i / BLOCK][i % BLOCK] = t;
            if i % BLOCK == BLOCK - 1 {
                last[i / BLOCK] = t;
            }
        }
        Self { last, blocks }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks)
    }

    /// How many thresholds each number is above, counted from [`LOWEST_RANK`]; NaN is above none. `x` holds rows of `n`
    /// numbers, of which the first counts.
    pub(crate) fn ranks(&self, isa: Isa, x: &[T], n: usize, ranks: &mut [i8]) {
        match isa.level() {
            Level::Scalar => self.each(x, n, ranks, above),
            // SAFETY: an `Isa` of this level exists only where the processor was found to have AVX2 and POPCNT.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.ranks_avx2(x, n, ranks) },
            // SAFETY: as above, and AVX-512.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.ranks_avx512(x, n, ranks) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt")]
    fn ranks_avx2(&self, x: &[T], n: usize, ranks: &mut [i8]) {
        // SAFETY: this function has the features.
        self.each(x, n, ranks, |block, x| unsafe { T::above_avx2(block, x) });
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,popcnt")]
    fn ranks_avx512(&self, x: &[T], n: usize, ranks: &mut [i8]) {
        // SAFETY: this function has the features.
        self.each(x, n, ranks, |block, x| unsafe { T::above_avx512(block, x) });
    }

    #[inline(always)]
    fn each(&self, x: &[T], n: usize, ranks: &mut [i8], above: impl Fn(&[T; BLOCK], T) -> u32) {
        for (rank, &x) in ranks.iter_mut().zip(x.iter().step_by(n)) {
            // Not more than the blocks before the last: it is full up with NaN, which nothing is above.
            let block = above(&self.last, x) as usize;
            let within = above(&self.blocks[block], x) as usize;
            *rank = (block * BLOCK + within) as u8 as i8 ^ LOWEST_RANK;
        }
    }
}

/// How many thresholds of a sorted block, NaN after all others, a number is above.
#[inline(always)]
fn above<T: PartialOrd + Copy>(block: &[T; BLOCK], x: T) -> u32 {
    let mut at = 0;
    for step in [8, 4, 2, 1] {
        at += if block[at + step - 1] < x { step } else { 0 };
    }
    at as u32 + u32::from(block[at] < x)
}

/// Numbers that can be ranked.
pub(crate) trait Ranked: Real {
    /// How many thresholds of a sorted block, NaN after all others, a number is above.
    ///
    /// # Safety
    /// The processor must have AVX2 and POPCNT.
    #[cfg(target_arch = "x86_64")]
    unsafe fn above_avx2(block: &[Self; BLOCK], x: Self) -> u32;
    /// The same.
    ///
    /// # Safety
    /// The processor must have AVX-512 F and POPCNT.
    #[cfg(target_arch = "x86_64")]
    unsafe fn above_avx512(block: &[Self; BLOCK], x: Self) -> u32;
}

#[cfg(target_arch = "x86_64")]
impl Ranked for f32 {
    #[target_feature(enable = "avx2,popcnt")]
    #[inline]
    unsafe fn above_avx2(block: &[Self; BLOCK], x: Self) -> u32 {
        let x = _mm256_set1_ps(x);
        let (eights, _) = block.as_chunks::<8>();
        // SAFETY: the references are to as many numbers as are loaded.
        let [a, b] = unsafe { [_mm256_loadu_ps(eights[0].as_ptr()), _mm256_loadu_ps(eights[1].as_ptr())] };
        let [a, b] = [a, b].map(|t| _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(t, x)));
        // Two bytes of ones for each threshold that is below.
        (_mm256_movemask_epi8(_mm256_packs_epi32(a, b)) as u32).count_ones() / 2
    }

    #[target_feature(enable = "avx512f,popcnt")]
    #[inline]
    unsafe fn above_avx512(block: &[Self; BLOCK], x: Self) -> u32 {
        // SAFETY: the reference is to as many numbers as are loaded.
        let t = unsafe { _mm512_loadu_ps(block.as_ptr()) };
        u32::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(t, _mm512_set1_ps(x))).count_ones()
    }
}

#[cfg(target_arch = "x86_64")]
impl Ranked for f64 {
    #[target_feature(enable = "avx2,popcnt")]
    #[inline]
    unsafe fn above_avx2(block: &[Self; BLOCK], x: Self) -> u32 {
        let x = _mm256_set1_pd(x);
        let (fours, _) = block.as_chunks::<4>();
        let below = |i: usize| {
            // SAFETY: the reference is to as many numbers as are loaded.
            let t = unsafe { _mm256_loadu_pd(fours[i].as_ptr()) };
            _mm256_castpd_si256(_mm256_cmp_pd::<_CMP_LT_OQ>(t, x))
        };
        let [a, b] = [_mm256_packs_epi32(below(0), below(1)), _mm256_packs_epi32(below(2), below(3))];
        // Two bytes of ones for each threshold that is below.
        (_mm256_movemask_epi8(_mm256_packs_epi16(a, b)) as u32).count_ones() / 2
    }

    #[target_feature(enable = "avx512f,popcnt")]
    #[inline]
    unsafe fn above_avx512(block: &[Self; BLOCK], x: Self) -> u32 {
        let x = _mm512_set1_pd(x);
        let (eights, _) = block.as_chunks::<8>();
        let below = |i: usize| {
            // SAFETY: the reference is to as many numbers as are loaded.
            let t = unsafe { _mm512_loadu_pd(eights[i].as_ptr()) };
            u32::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(t, x))
        };
        (below(0) | below(1) << 8).count_ones()
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Ranked for f32 {}
#[cfg(not(target_arch = "x86_64"))]
impl Ranked for f64 {}
