//! Images with their borders, and the places of windows on them.

use super::window::{Frame, Images, Window};
use crate::kernel::{Left, Places};

/// The windows of a convolution on one size of padded image, channels last: where each begins, and its pieces.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) places: Vec<u32>,
    pub(super) pieces: Vec<u32>,
}

impl Layout {
    /// For images of `channels`, of which a group takes `taken`.
    pub(super) fn new(window: &Window, frame: &Frame, channels: usize, taken: usize) -> Self {
        let width = frame.padded[1];
        let at = |y: usize, x: usize| ((y * width + x) * channels) as u32;
        let [rows, columns] = frame.windows;
        let [down, right] = window.strides;
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| at(y * down, x * right))).collect();
        Self { places, pieces: pieces(window, channels, taken).into_iter().map(|(y, x)| at(y, x)).collect() }
    }

    /// How many pieces a window has, and how long they are.
    pub(super) fn shape(window: &Window, channels: usize, taken: usize) -> [usize; 2] {
        let [rows, columns] = window.kernel;
        if whole_rows(window, channels, taken) { [rows, columns * taken] } else { [rows * columns, taken] }
    }

    /// The rows of a product with `m` windows from `from` on.
    pub(super) fn left(&self, from: usize, m: usize) -> Left<'_> {
        Left { m, places: Places::Table(&self.places[from..from + m]), pieces: &self.pieces }
    }
}

/// Row and column at which each piece of a window begins.
fn pieces(window: &Window, channels: usize, taken: usize) -> Vec<(usize, usize)> {
    let [rows, columns] = window.kernel;
    let [down, right] = window.dilations;
    if whole_rows(window, channels, taken) {
        return (0..rows).map(|y| (y * down, 0)).collect();
    }
    (0..rows).flat_map(|y| (0..columns).map(move |x| (y * down, x * right))).collect()
}

/// Whether a row of a window is one piece of memory.
pub(super) fn whole_rows(window: &Window, channels: usize, taken: usize) -> bool {
    window.kernel[1] == 1 || (channels == taken && window.dilations[1] == 1)
}

/// Copies image `from`, channels last or first, into the middle of a padded image, channels last, whose border is there.
pub(super) fn frame_image<T: Copy>(from: &[T], images: Images, last: bool, frame: &Frame, to: &mut [T]) {
    let (c, [h, w]) = (images.channels, images.size);
    for y in 0..h {
        let start = ((y + frame.offset[0]) * frame.padded[1] + frame.offset[1]) * c;
        let row = &mut to[start..start + w * c];
        if last {
            row.copy_from_slice(&from[y * w * c..(y + 1) * w * c]);
        } else {
            turn(&from[y * w..], h * w, row, c);
        }
    }
}

/// `to` (pixels, channels) from channels that lie `plane` apart in `from`.
fn turn<T: Copy>(from: &[T], plane: usize, to: &mut [T], channels: usize) {
    let pixels = to.len() / channels;
    if channels == 1 {
        to.copy_from_slice(&from[..pixels]);
        return;
    }
    for (channel, from) in from.chunks(plane).take(channels).enumerate() {
        for (t, f) in to[channel..].iter_mut().step_by(channels).zip(&from[..pixels]) {
            *t = *f;
        }
    }
}

/// `to` (channels, pixels) from `from` (pixels, channels).
pub(super) fn channels_first<T: Copy>(from: &[T], channels: usize, to: &mut [T]) {
    let pixels = from.len() / channels;
    for (channel, plane) in to.chunks_exact_mut(pixels).enumerate() {
        for (t, f) in plane.iter_mut().zip(from[channel..].iter().step_by(channels)) {
            *t = *f;
        }
    }
}
