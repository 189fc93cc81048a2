//! From 64-bit hashes to places: an index that a hostile file can't make slow.

/// Sorted hashes under a directory by their highest bits. However the hashes are chosen, a look-up is at worst a binary
/// search.
#[derive(Debug)]
pub(super) struct Index {
    hashes: Vec<u64>,
    /// Where the hashes begin whose highest bits are 0, 1, ..., and at last their number.
    starts: Vec<u32>,
    /// By how much a hash is shifted to give its highest bits.
    shift: u32,
}

impl Index {
    /// An index of hashes, which are sorted here and lose their repetitions.
    pub(super) fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let bits = hashes.len().next_power_of_two().trailing_zeros().clamp(1, 24);
        let shift = 64 - bits;
        let starts = (0..=1_u64 << bits)
            .map(|top| if top >> bits == 1 { hashes.len() } else { hashes.partition_point(|&h| h < top << shift) } as u32)
            .collect();
        Self { hashes, starts, shift }
    }

    /// The number of hashes.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The place of a hash.
    #[inline]
    pub(super) fn place(&self, hash: u64) -> Option<usize> {
        let top = (hash >> self.shift) as usize;
        let (from, to) = (self.starts[top] as usize, self.starts[top + 1] as usize);
        self.hashes[from..to].binary_search(&hash).ok().map(|at| from + at)
    }

    /// The size in memory.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.len() * size_of::<u64>() + self.starts.len() * size_of::<u32>()
    }
}
