//! How windows stand along one axis of an image.

/// How the border of an axis is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// Before the image and behind it.
    Given(usize, usize),
    /// As many outputs as strides fit into the image; an odd rest goes behind, or in front.
    Same { upper: bool },
}

/// How windows stand along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) before: usize,
    pub(crate) after: usize,
    /// How many there are.
    pub(crate) windows: usize,
}

/// Windows that reach over `reach` pixels, a `stride` apart, on `len` pixels and their border; where `ceil`, windows that reach
/// past the border count too. `Err` is the length with the border when a window is larger than that.
pub(crate) fn stand(
    len: usize,
    reach: usize,
    stride: usize,
    border: Border,
    ceil: bool,
) -> std::result::Result<Stand, usize> {
    let (before, after) = match border {
        Border::Given(before, after) => (before, after),
        Border::Same { upper } => {
            let total = (len.div_ceil(stride).saturating_sub(1) * stride).saturating_add(reach).saturating_sub(len);
            let small = total / 2;
            if upper { (small, total - small) } else { (total - small, small) }
        }
    };
    let whole = len + before + after;
    let room = whole.checked_sub(reach).ok_or(whole)?;
    let mut windows = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
    // A window that begins behind the image and its front border does not count.
    if ceil && (windows - 1) * stride >= len + before {
        windows -= 1;
    }
    Ok(Stand { before, after, windows })
}
