use super::exp::{exp_f32, exp_f64, logistic_f32};
use super::*;

/// Distance in units of the last place.
fn ulps(a: f32, b: f32) -> u32 {
    if a == b || (a.is_nan() && b.is_nan()) { 0 } else { (a.to_bits() as i32).abs_diff(b.to_bits() as i32) }
}

#[test]
fn exp_is_within_two_ulps_everywhere() {
    // Every 997th float of either sign: some 4.3 million.
    let mut worst = (0, 0.0f32);
    for bits in (0..=u32::MAX).step_by(997) {
        let x = f32::from_bits(bits);
        let exact = f64::from(x).exp() as f32;
        let far = ulps(exp_f32::<true>(x), exact).max(ulps(exp_f32::<false>(x), exact));
        if far > worst.0 {
            worst = (far, x);
        }
    }
    assert!(worst.0 <= 2, "{} ulps at {:e}", worst.0, worst.1);
}

#[test]
fn exp_of_f64_is_within_three_ulps_everywhere() {
    // The library's own is within one ulp.
    let ulps = |a: f64, b: f64| if a == b { 0 } else { (a.to_bits() as i64).abs_diff(b.to_bits() as i64) };
    let steps = (0..1_000_000).map(|i| -750.0 + 1.47e-3 * f64::from(i));
    let small = (0..2_000).flat_map(|i| [2f64.powi(-i / 2) * 1.1, -(2f64.powi(-i / 2)) * 1.3]);
    let mut worst = (0, 0.0);
    for x in steps.chain(small) {
        let far = ulps(exp_f64::<true>(x), x.exp()).max(ulps(exp_f64::<false>(x), x.exp()));
        if far > worst.0 {
            worst = (far, x);
        }
    }
    assert!(worst.0 <= 3, "{} ulps at {:e}", worst.0, worst.1);
    assert!(exp_f64::<true>(f64::NAN).is_nan() && exp_f64::<false>(f64::NAN).is_nan());
    assert_eq!((exp_f64::<true>(f64::INFINITY), exp_f64::<true>(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
}

#[test]
fn logistic_and_exp_keep_their_limits() {
    let cases = [(f32::INFINITY, 1.0), (f32::NEG_INFINITY, 0.0), (0.0, 0.5), (-200.0, 0.0), (200.0, 1.0)];
    for (x, y) in cases {
        assert_eq!(logistic_f32::<true>(x), y, "at {x}");
    }
    assert!(logistic_f32::<true>(f32::NAN).is_nan() && exp_f32::<false>(f32::NAN).is_nan());
    assert_eq!((exp_f32::<true>(f32::INFINITY), exp_f32::<true>(f32::NEG_INFINITY)), (f32::INFINITY, 0.0));
}

/// A stream of numbers between -1 and 1.
fn numbers(count: usize, mut state: u64) -> Vec<f64> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn product_matches<T: Real>(tolerance: f64) {
    for (m, k, n) in [
        (1, 1, 1),
        (1, 64, 10),
        (7, 5, 17),
        (8, 3, 16),
        (33, 10, 33),
        (9, 0, 4),
        (0, 4, 4),
        (100, 70, 1),
        (3, 15, 1),
        (2, 48, 1),
        (26, 800, 20),
        (50, 1000, 33),
        (29, 40, 1550),
    ] {
        let (x, w, b) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
        let cast = |v: &[f64]| v.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
        let (xt, wt, bt) = (cast(&x), cast(&w), cast(&b));
        let packed = Packed::new(k, n, |i, j| wt[i * n + j], Some(&bt));
        for isa in Isa::all() {
            let mut out = vec![T::ZERO; m * n];
            packed.multiply_with(isa, &xt, m, &mut out);
            for (i, got) in out.iter().enumerate() {
                let (r, j) = (i / n, i % n);
                let exact = b[j] + (0..k).map(|t| x[r * k + t] * w[t * n + j]).sum::<f64>();
                assert!(
                    (got.to_f64() - exact).abs() <= tolerance * (1.0 + exact.abs()) * (1.0 + k as f64 / 100.0),
                    "{isa:?} {m} {k} {n} at {i}"
                );
            }
            // One row alone gives what it gives among others.
            for r in (0..m).filter(|_| k > 0) {
                let mut one = vec![T::ZERO; n];
                packed.multiply_with(isa, &xt[r * k..(r + 1) * k], 1, &mut one);
                assert!(one == out[r * n..(r + 1) * n], "{isa:?} row {r} of {m} {k} {n}");
            }
        }
    }
}

#[test]
fn products_match_a_plain_sum() {
    product_matches::<f32>(1e-5);
    product_matches::<f64>(1e-13);
}

/// Rows in pieces are multiplied as the same elements in one piece are, however the matrix is cut along k, and as one alone is.
#[test]
fn pieces_of_rows_are_multiplied_like_whole_ones() {
    let cases = [
        (30, 3, 500, 7, 21),
        (40, 9, 100, 100, 21),
        (25, 2, 384, 3, 21),
        (5, 4, 200, 11, 21),
        (31, 3, 20, 7, 1550),
        (31, 8, 128, 7, 1550),
        (9, 2, 256, 5, 1088),
    ];
    for (m, pieces, run, stride, n) in cases {
        let (k, step) = (pieces * run, run + 13);
        let x: Vec<f32> = numbers(m * stride + pieces * step, 6).into_iter().map(|v| v as f32).collect();
        let w: Vec<f32> = numbers(k * n, 2).into_iter().map(|v| v as f32).collect();
        let b: Vec<f32> = numbers(n, 3).into_iter().map(|v| v as f32).collect();
        let packed = Packed::new(k, n, |i, j| w[i * n + j], Some(&b));
        let pieces: Vec<u32> = (0..pieces as u32).map(|p| p * step as u32).collect();
        let whole: Vec<f32> = (0..m)
            .flat_map(|row| pieces.iter().flat_map(move |&p| (row * stride + p as usize..).take(run)))
            .map(|at| x[at])
            .collect();
        for isa in Isa::all() {
            let (mut expected, mut out) = (vec![0.0; m * n], vec![0.0; m * n]);
            packed.multiply_with(isa, &whole, m, &mut expected);
            packed.multiply_left(isa, &x, Left { m, places: Places::Every(stride), pieces: &pieces }, &mut out);
            assert_eq!(out, expected, "{isa:?} {m} {run}");
            // Nor does it matter how many rows there are.
            packed.multiply_with(isa, &whole[2 * k..3 * k], 1, &mut out[..n]);
            assert_eq!(out[..n], expected[2 * n..3 * n], "{isa:?} {m} {run}, one row");
        }
    }
}

#[test]
fn a_matrix_is_packed_the_same_from_any_strides() {
    for (k, n) in [(32, 128), (128, 32), (5, 17), (1, 1), (7, 1), (0, 3), (3, 16)] {
        let items: Vec<f32> = numbers(4 * (k + 3) * (n + 3), 5).into_iter().map(|v| v as f32).collect();
        for [row, column] in [[n + 3, 1], [1, k + 3], [2 * (n + 3), 2]] {
            let expected = Packed::new(k, n, |i, j| items[i * row + j * column], None);
            let packed = Packed::strided(k, n, &items, [row, column]);
            assert_eq!(format!("{packed:?}"), format!("{expected:?}"), "{k} {n} {row} {column}");
        }
    }
}

#[test]
fn softmax_matches_a_plain_one() {
    for n in [1, 2, 3, 10, 16, 17, 40] {
        let rows: Vec<f32> = numbers(n * 15, 4).into_iter().map(|v| (v * 30.0) as f32).collect();
        for isa in Isa::all() {
            let mut out = rows.clone();
            softmax_rows(isa, &mut out, n);
            for (row, got) in rows.chunks(n).zip(out.chunks(n)) {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let exps: Vec<f64> = row.iter().map(|v| f64::from(v - max).exp()).collect();
                let sum: f64 = exps.iter().sum();
                for (e, g) in exps.iter().zip(got) {
                    assert!((e / sum - f64::from(*g)).abs() < 1e-6, "{isa:?} n = {n}");
                }
            }
        }
    }
    let mut with_nan = [1.0, f32::NAN, 2.0];
    softmax_rows(Isa::best(), &mut with_nan, 3);
    assert!(with_nan.iter().all(|v| v.is_nan()));
}

/// The sum of the terms in the order in which 128-bit vectors of `width` elements add them.
fn ordered(terms: &[f32], width: usize) -> f32 {
    let (mut a, mut b) = (vec![0.0f32; width], vec![0.0f32; width]);
    let pairs = terms.len() / (2 * width) * (2 * width);
    for (i, t) in terms[..pairs].iter().enumerate() {
        let chain = if (i / width).is_multiple_of(2) { &mut a } else { &mut b };
        chain[i % width] += t;
    }
    a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
    let mut rest = &terms[pairs..];
    if rest.len() >= width {
        a.iter_mut().zip(rest).for_each(|(a, t)| *a += t);
        rest = &rest[width..];
    }
    rest.iter().fold((a[0] + a[2]) + (a[1] + a[3]), |sum, t| sum + t)
}

#[test]
fn distances_are_the_same_to_the_bit_on_every_instruction_set() {
    for (m, n, k) in [(3, 1, 1), (13, 16, 4), (5, 33, 7), (4, 17, 12), (1, 40, 30), (0, 5, 3), (3, 5, 0), (3, 0, 5)] {
        let x: Vec<f32> = numbers(m * k, 7).iter().map(|&v| v as f32).collect();
        let y: Vec<f32> = numbers(n * k, 11).iter().map(|&v| v as f32).collect();
        let points = Points::new(&y, n, k);
        assert_eq!((points.n(), points.k()), (n, k));
        for metric in [Metric::Manhattan, Metric::SquaredEuclidean, Metric::Cubic] {
            let mut wanted = Vec::new();
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let terms: Vec<f32> = (0..k)
                    .map(|c| {
                        let d = (x[i * k + c] - y[j * k + c]).abs();
                        match metric {
                            Metric::Manhattan => d,
                            Metric::SquaredEuclidean => d * d,
                            Metric::Cubic => d * d * d,
                        }
                    })
                    .collect();
                wanted.push(match metric {
                    Metric::SquaredEuclidean => terms.iter().fold(0.0, |sum, t| sum + t),
                    _ => ordered(&terms, 4),
                });
            }
            for isa in Isa::all() {
                let mut out = Vec::new();
                points.distances(isa, metric, &x, m, &mut out);
                assert_eq!(out, wanted, "{m} {n} {k} {metric:?} {isa:?}");
            }
        }
        let wide = Points::new(&numbers(n * k, 11), n, k);
        let mut out = Vec::new();
        wide.distances(Isa::best(), Metric::SquaredEuclidean, &numbers(m * k, 7), m, &mut out);
        assert_eq!(out.len(), m * n);
    }
}

#[test]
fn exits_agree_with_descent_on_every_instruction_set() {
    // A tree in which node i asks feature i % 3 for t[i] and has nodes 2i + 1 (true) and 2i + 2 (false) below it; its
    // 64 exits from left to right are the exits in order.
    const DEPTH: usize = 6;
    let t = numbers((1 << DEPTH) - 1, 5);
    let lenient = |node: usize| node.is_multiple_of(4);
    let passes = |node: usize, x: f64| x <= t[node] || (lenient(node) && x.is_nan());
    let mut sections = vec![Section { plain: Vec::new(), lenient: Vec::new() }; 2];
    for (node, &threshold) in t.iter().enumerate() {
        let level = (node + 1).ilog2() as usize;
        let below = 1 << (DEPTH - level - 1);
        let from = (node + 1 - (1 << level)) * 2 * below;
        for (s, section) in sections.iter_mut().enumerate() {
            let mask =
                (from..from + below).filter(|e| e / SECTION == s).fold(u32::MAX, |m, e| m & !(1 << (e % SECTION)));
            if mask != u32::MAX {
                let test = Test { threshold, feature: (node % 3) as u32, mask };
                if lenient(node) { section.lenient.push(test) } else { section.plain.push(test) }
            }
        }
    }
    let mut x = numbers(2 * GROUP * 3, 9);
    x.iter_mut().step_by(17).for_each(|x| *x = f64::NAN);
    let mut columns = vec![[0.0; GROUP]; 6];
    for (i, &x) in x.iter().enumerate() {
        columns[i / GROUP][i % GROUP] = x;
    }
    let expected = |g: usize, l: usize| {
        let step = |node: usize, _| 2 * node + if passes(node, columns[g * 3 + node % 3][l]) { 1 } else { 2 };
        (0..DEPTH).fold(0, step) - t.len()
    };
    for isa in Isa::all() {
        let mut found = vec![[u16::MAX; GROUP]; 2];
        exits(isa, &sections, &columns, 3, &mut found);
        for (g, group) in found.iter().enumerate() {
            for (l, exit) in group.iter().enumerate() {
                assert_eq!(usize::from(*exit), expected(g, l), "{isa:?}, row {l} of group {g}");
            }
        }
    }
}

#[cfg(feature = "candle")]
mod transformer {
    use super::*;
    use crate::kernel::transformer::erf_f32;

    #[test]
    fn erf_is_that_of_libm() {
        let mut most = 0.0f32;
        for i in -60_000..=60_000 {
            let x = i as f32 / 10_000.0;
            most =
                most.max((erf_f32::<true>(x) - libm::erff(x)).abs()).max((erf_f32::<false>(x) - libm::erff(x)).abs());
        }
        assert!(most < 5e-7, "{most}");
        assert!(erf_f32::<true>(f32::NAN).is_nan());
        assert_eq!(erf_f32::<true>(f32::INFINITY), erf_f32::<true>(4.0));
    }

    /// Numbers of both signs, and as many as make whole registers and a rest.
    fn values(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 17.0 - 3.0).collect()
    }

    #[test]
    fn epilogues_are_their_formulas() {
        let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()));
        let tanh =
            |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
        let formulas: [(Epilogue, &dyn Fn(f64) -> f64); 4] = [
            (Epilogue::Bias, &|x| x),
            (Epilogue::Gelu, &gelu),
            (Epilogue::GeluTanh, &tanh),
            (Epilogue::Relu, &|x: f64| x.max(0.0)),
        ];
        let (n, bias) = (37, values(37));
        for isa in Isa::all() {
            for (epilogue, formula) in formulas {
                let (before, mut after) = (values(5 * n), values(5 * n));
                finish_rows(isa, epilogue, &mut after, &bias);
                for (i, (b, a)) in before.iter().zip(&after).enumerate() {
                    let expected = formula(f64::from(b + bias[i % n]));
                    assert!((f64::from(*a) - expected).abs() < 2e-6, "{isa:?} {epilogue:?}: {a}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn rows_are_normalised_and_attended_to() {
        let n = 37;
        let (bias, scale, shift, residual) = (values(n), values(n), values(n + 3), values(4 * n));
        let mask: Vec<f32> = (0..n).map(|i| if i < 30 { 0.0 } else { f32::MIN }).collect();
        for isa in Isa::all() {
            let (before, mut after) = (values(4 * n + 1)[1..].to_vec(), values(4 * n + 1)[1..].to_vec());
            add_norm_rows(
                isa,
                &mut after,
                &bias,
                &residual,
                LayerNorm { scale: &scale, shift: &shift[3..], epsilon: 1e-5 },
            );
            for r in 0..4 {
                let row: Vec<f64> = (0..n)
                    .map(|i| f64::from(before[r * n + i]) + f64::from(bias[i]) + f64::from(residual[r * n + i]))
                    .collect();
                let mean = row.iter().sum::<f64>() / n as f64;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
                for i in 0..n {
                    let expected =
                        (row[i] - mean) / (variance + 1e-5).sqrt() * f64::from(scale[i]) + f64::from(shift[i + 3]);
                    assert!((f64::from(after[r * n + i]) - expected).abs() < 1e-5, "{isa:?}");
                }
            }

            let (before, mut after) = (values(2 * n), values(2 * n));
            attention_rows(isa, &mut after, 0.5, &mask);
            for r in 0..2 {
                let e: Vec<f64> = (0..30).map(|i| (0.5 * f64::from(before[r * n + i])).exp()).collect();
                let sum: f64 = e.iter().sum();
                for i in 0..n {
                    let expected = e.get(i).map_or(0.0, |e| e / sum);
                    assert!((f64::from(after[r * n + i]) - expected).abs() < 1e-6, "{isa:?}");
                }
            }
        }
    }
}

/// Questions x <= -i about feature 0, each with a leaf above and the next question below it.
fn chain(length: u32) -> Vec<SmallNode> {
    let question = |i: u32| SmallNode::new(-(i as f32), 0, i % 2 == 1, 1);
    let leaf = || SmallNode::new(f32::NAN, 0, false, 0);
    let mut nodes = vec![question(0)];
    for i in 1..length {
        nodes.extend([leaf(), question(i)]);
    }
    nodes.extend([leaf(), leaf()]);
    nodes
}

#[test]
fn descent_takes_the_steps_of_single_nodes() {
    let nodes = chain(40);
    let packed = PackedNodes::new(nodes.clone());
    for x in [-100.0, -39.0, -17.5, -3.0, 0.0, 0.5, f32::NAN] {
        for steps in [0, 1, 3, 4, 5, 40, 1000] {
            let start = [0, 2, 4, 60];
            let expected = start.map(|at| (0..steps).fold(at, |at, _| nodes[at as usize].step::<true>(at, x)));
            assert_eq!(packed.descend::<true, 4>(&[x], start, steps), expected, "{x} {steps}");
            if !x.is_nan() {
                assert_eq!(packed.descend::<false, 4>(&[x], start, steps), expected, "{x} {steps}");
            }
        }
    }
}

#[test]
fn nodes_that_lead_astray_are_refused() {
    let refused = |nodes: &[SmallNode]| {
        let nodes = nodes.to_vec();
        std::panic::catch_unwind(|| PackedNodes::new(nodes)).is_err()
    };
    let leaf = SmallNode::new(f32::NAN, 0, false, 0);
    assert!(!refused(&[SmallNode::new(0.0, 0, false, 1), leaf, leaf]));
    assert!(refused(&[SmallNode::new(0.0, 0, false, 1), leaf]), "the second child is missing");
    assert!(refused(&[SmallNode::new(f32::NAN, 0, true, 1), leaf]), "NaN goes to a child that is missing");
    assert!(refused(&[leaf, SmallNode::new(f32::NAN, 0, false, -2)]), "before the first node");
    let packed = PackedNodes::new(vec![SmallNode::new(0.0, 3, false, 1), leaf, leaf]);
    let panics =
        |row: &'static [f32], at: u32| std::panic::catch_unwind(|| packed.descend::<false, 1>(row, [at], 1)).is_err();
    assert!(panics(&[0.0; 3], 0), "the row has no feature 3");
    assert!(panics(&[0.0; 4], 3), "no node 3");
    assert!(!panics(&[0.0; 4], 2));
}
