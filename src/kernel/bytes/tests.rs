use super::*;
use crate::kernel::{Isa, Left, Places};

/// A stream of bytes.
fn bytes(count: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// Every element of the product of (a - za) (m, k) and (w - zw) (k, n).
fn plain(a: &[i32], za: i32, w: &[i8], zw: &[i32], k: usize, n: usize) -> Vec<i32> {
    let m = a.len() / k;
    let sum = |r: usize, j: usize| (0..k).map(|i| (a[r * k + i] - za) * (i32::from(w[i * n + j]) - zw[j])).sum();
    (0..m * n).map(|at| sum(at / n, at % n)).collect()
}

#[test]
fn products_are_exact_on_every_instruction_set() {
    for (m, k, n) in
        [(1, 1, 1), (1, 64, 10), (7, 5, 17), (12, 3, 16), (33, 10, 33), (40, 131, 50), (5, 4, 100), (30, 2100, 70)]
    {
        for (case, signed) in [(0, false), (1, true), (2, false)] {
            // The first case has the extremes alone, where sums of two products leave 16 bits.
            let a = if case == 0 { vec![255u8; m * k] } else { bytes(m * k, 1) };
            let w: Vec<i8> =
                if case == 0 { vec![-128; k * n] } else { bytes(k * n, 2).into_iter().map(|b| b as i8).collect() };
            let za = [0, -7, 200][case];
            let zw: Vec<i32> = (0..n).map(|j| if case == 2 { j as i32 * 5 % 255 - 128 } else { 0 }).collect();
            let numbers: Vec<i32> = a.iter().map(|&b| if signed { i32::from(b as i8) } else { i32::from(b) }).collect();
            let wanted = plain(&numbers, za, &w, &zw, k, n);
            for dot in Dot::all() {
                let matrix = ByteMatrix::new(dot, [1, k, n], |_, i, j| w[i * n + j], |j| zw[j]);
                let mut x = Bytes::new(dot, Vec::new(), Vec::new());
                x.start(za, signed);
                if signed {
                    x.push_signed(&a.iter().map(|&b| b as i8).collect::<Vec<_>>());
                } else {
                    x.push_unsigned(&a);
                }
                x.end();
                let mut out = vec![0; m * n];
                matrix.multiply(&x, Left::rows(m, k), &mut ToSums { n, out: &mut out });
                assert!(out == wanted, "{dot:?} ({m}, {k}, {n}) case {case}");
            }
        }
    }
}

#[test]
fn rows_in_pieces_are_windows_of_an_image() {
    // An image (h, w, c), windows of (2, 3) at every place where one fits.
    let (h, w, c, n) = (5usize, 6usize, 3usize, 20usize);
    let image = bytes(h * w * c, 5);
    let weights: Vec<i8> = bytes(2 * 3 * c * n, 6).into_iter().map(|b| b as i8).collect();
    let places: Vec<u32> = (0..h - 1).flat_map(|y| (0..w - 2).map(move |x| ((y * w + x) * c) as u32)).collect();
    let pieces = [0, (w * c) as u32];
    let run = 3 * c;
    let rows: Vec<i32> = places
        .iter()
        .flat_map(|&p| pieces.iter().flat_map(move |&q| (0..run).map(move |i| (p + q) as usize + i)))
        .map(|at| i32::from(image[at]))
        .collect();
    let wanted = plain(&rows, 100, &weights, &vec![3; n], 2 * run, n);
    for dot in Dot::all() {
        let matrix = ByteMatrix::new(dot, [2, run, n], |s, i, j| weights[(s * run + i) * n + j], |_| 3);
        let mut x = Bytes::new(dot, Vec::new(), Vec::new());
        x.start(100, false);
        x.push_unsigned(&image);
        x.end();
        let mut out = vec![0; places.len() * n];
        let left = Left { m: places.len(), places: Places::Table(&places), pieces: &pieces };
        matrix.multiply(&x, left, &mut ToSums { n, out: &mut out });
        assert!(out == wanted, "{dot:?}");
    }
}

#[test]
fn floats_are_quantised_as_the_operator_defines_it() {
    let x = [-3.0f32, 0.0, 0.3, 1.5, 2.5, 1e9, f32::NAN, -1e9];
    for isa in Isa::all() {
        let mut out = [0; 8];
        quantise(isa, &x, 1.0, 3, false, &mut out);
        assert_eq!(out, [0, 3, 3, 5, 5, 255, 0, 0]);
        quantise(isa, &x, 1.0, -3, true, &mut out);
        assert_eq!(out.map(|b| b as i8), [-6, -3, -3, -1, -1, 127, -128, -128]);
        assert_eq!(range(isa, &[0.0; 40]), (1.0, 0));
        let (scale, zero) = range(isa, &[-1.0, 0.5, 2.0]);
        assert_eq!((scale, zero), (3.0 / 255.0, 85));
    }
    for dot in Dot::all() {
        let mut bytes = Bytes::new(dot, Vec::new(), Vec::new());
        bytes.start(3, false);
        bytes.push_floats(Isa::best(), &x, 1.0);
        let numbers: Vec<i32> = (0..8).map(|i| bytes.at(i)).collect();
        assert_eq!(numbers, [-3, 0, 0, 2, 2, 252, -3, -3], "{dot:?}");
    }
}

#[test]
fn sums_become_floats_or_bytes() {
    let (m, k, n) = (3, 4, 18);
    let a = bytes(m * k, 8);
    let w: Vec<i8> = bytes(k * n, 9).into_iter().map(|b| b as i8).collect();
    let numbers: Vec<i32> = a.iter().map(|&b| b.into()).collect();
    let sums = plain(&numbers, 9, &w, &vec![0; n], k, n);
    for dot in Dot::all() {
        let matrix = ByteMatrix::new(dot, [1, k, n], |_, i, j| w[i * n + j], |_| 0);
        let mut x = Bytes::new(dot, Vec::new(), Vec::new());
        x.start(9, false);
        x.push_unsigned(&a);
        x.end();
        let mut floats = vec![0.0; m * n];
        let (rows, columns, bias) = ([0.5, 0.25, 2.0], [[0.5; NR]; 2], [[1.0; NR]; 2]);
        let mut to = ToFloats { n, rows: &rows, columns: &columns, bias: &bias, relu: true, out: &mut floats };
        matrix.multiply(&x, Left::rows(m, k), &mut to);
        for (i, (got, sum)) in floats.iter().zip(&sums).enumerate() {
            assert_eq!(*got, (*sum as f32 * (rows[i / n] * 0.5) + 1.0).max(0.0), "{dot:?} {i}");
        }
        let mut out = vec![0; m * n];
        let to = &mut ToBytes {
            n,
            bias: &[[7; NR]; 2],
            factors: &[[0.01; NR]; 2],
            bounds: [-128, 127],
            zero: -5,
            out: &mut out,
        };
        matrix.multiply(&x, Left::rows(m, k), to);
        for (got, sum) in out.iter().zip(&sums) {
            let exact = ((sum + 7) as f32 * 0.01).round_ties_even() as i32 - 5;
            assert_eq!(i32::from(*got as i8), exact.clamp(-128, 127), "{dot:?}");
        }
    }
}
