/// Where rows begin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Places<'a> {
    /// So far apart, the first at 0.
    Every(usize),
    /// Each at a place of its own.
    Table(&'a [u32]),
}

/// The rows that a packed matrix multiplies: `m` rows that begin at `places`, each in pieces that begin at `pieces` from
/// there. A window of an image is such a row, so that a convolution is a product without a copy of its windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) m: usize,
    pub(crate) places: Places<'a>,
    pub(crate) pieces: &'a [u32],
}

impl Left<'_> {
    /// `m` whole rows of `k` elements, one after the other.
    pub(crate) fn rows(m: usize, k: usize) -> Self {
        Self { m, places: Places::Every(k), pieces: &[0] }
    }

    /// Where row `row` begins.
    #[inline(always)]
    pub(crate) fn place(&self, row: usize) -> usize {
        match self.places {
            Places::Every(stride) => row * stride,
            Places::Table(table) => table[row] as usize,
        }
    }

    /// Where `ROWS` rows from `row` on begin.
    #[inline(always)]
    pub(super) fn starts<const ROWS: usize>(&self, row: usize) -> [usize; ROWS] {
        let mut starts = [0; ROWS];
        for (r, start) in starts.iter_mut().enumerate() {
            *start = self.place(row + r);
        }
        starts
    }

    /// The first element past all rows, when each piece is `run` long.
    pub(crate) fn end(&self, run: usize) -> usize {
        let last = match self.places {
            _ if self.m == 0 => return 0,
            Places::Every(stride) => (self.m - 1) * stride,
            Places::Table(table) => table[..self.m].iter().copied().max().unwrap_or(0) as usize,
        };
        last + self.pieces.iter().copied().max().unwrap_or(0) as usize + run
    }
}

/// Where pieces of rows that begin at `starts` lie in `x`.
///
/// # Safety
/// They must begin within `x`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn pointers<T, const ROWS: usize>(x: &[T], starts: [usize; ROWS], piece: u32) -> [*const T; ROWS] {
    let mut at = [x.as_ptr(); ROWS];
    for r in 0..ROWS {
        // SAFETY: as promised by the caller.
        at[r] = unsafe { at[r].add(starts[r] + piece as usize) };
    }
    at
}
