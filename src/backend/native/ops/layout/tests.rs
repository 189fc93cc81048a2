//! Small cases worked out by hand; those with NaN, ties and odd attributes copied from ONNX Runtime 1.32 (CPU).

use crate::backend::native::ops::trial::{Trial, op, texts, value};
use crate::backend::native::value::{Item, Value};
use crate::onnx::builder::{dense_tensor, int, ints, string};
use crate::onnx::{AttributeProto, attribute_type};
use crate::{ErrorKind, Limits};

fn counting(shape: &[usize]) -> Value<'static> {
    value(shape, (0..shape.iter().product::<usize>()).map(|i| i as f32).collect::<Vec<_>>())
}

fn indices(items: &[i64]) -> Value<'static> {
    value(&[items.len()], items)
}

/// The output holds these elements in this shape, with the last inputs computed and with them constant.
#[track_caller]
fn check<T: Item + PartialEq + std::fmt::Debug>(trial: Trial, shape: &[usize], items: &[T]) {
    let out = trial.run().unwrap();
    assert_eq!((out.shape(), out.as_slice::<T>().unwrap()), (shape, items));
}

#[track_caller]
fn refuses(trial: Trial, kind: ErrorKind) {
    let error = trial.run().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}

#[test]
fn reshape_keeps_and_infers_dimensions() {
    let reshape = |dims: &[i64]| op("Reshape", 14, []).input(counting(&[2, 3])).constant(indices(dims));
    check(reshape(&[0, -1, 1]), &[2, 3, 1], &[0., 1., 2., 3., 4., 5.0f32]);
    check(reshape(&[-1]), &[6], &[0., 1., 2., 3., 4., 5.0f32]);
    refuses(reshape(&[-1, -1]), ErrorKind::Malformed);
    refuses(reshape(&[-1, 4]), ErrorKind::WrongShape);
    refuses(reshape(&[7]), ErrorKind::WrongShape);
    refuses(reshape(&[0, 0, 0]), ErrorKind::WrongShape);
    refuses(op("Reshape", 14, []).input(counting(&[2])).input(indices(&[i64::MAX, i64::MAX])), ErrorKind::WrongShape);
    let zero = op("Reshape", 14, [int("allowzero", 1)]).input(counting(&[0, 3])).constant(indices(&[3, 0]));
    check::<f32>(zero, &[3, 0], &[]);
    let old = op("Reshape", 1, [ints("shape", [3, -1])]).input(counting(&[2, 3]));
    check(old, &[3, 2], &[0., 1., 2., 3., 4., 5.0f32]);
    // No rows: what -1 stands for can't be told from them.
    refuses(op("Reshape", 14, []).input(counting(&[0, 4])).constant(indices(&[0, -1])), ErrorKind::WrongShape);
}

#[test]
fn reshaping_keeps_rows_apart_where_the_batch_stays_first() {
    let trial = |dims: &[i64]| op("Reshape", 14, []).input(counting(&[2, 3])).input(indices(dims));
    let shape: [&[usize]; 2] = [&[2], &[2]];
    let mixes = |a: [&[usize]; 2], b: [&[usize]; 2]| trial(&[-1]).mixes(&[a, shape], &[b]);
    assert!(!mixes([&[2, 3], &[3, 3]], [&[6], &[9]]));
    assert!(!mixes([&[2, 3], &[3, 3]], [&[1, 2, 3], &[1, 3, 3]]));
    assert!(mixes([&[2, 3], &[3, 3]], [&[3, 2], &[3, 3]]));
    assert!(mixes([&[4, 2], &[4, 3]], [&[8], &[12]]));
}

#[test]
fn flatten_squeeze_and_unsqueeze() {
    check(op("Flatten", 13, [int("axis", 0)]).input(counting(&[2, 2])), &[1, 4], &[0., 1., 2., 3.0f32]);
    check(op("Flatten", 13, [int("axis", 2)]).input(counting(&[2, 2])), &[4, 1], &[0., 1., 2., 3.0f32]);
    refuses(op("Flatten", 13, [int("axis", 3)]).input(counting(&[2, 2])), ErrorKind::Malformed);
    check(op("Squeeze", 13, []).input(counting(&[1, 2, 1])), &[2], &[0., 1.0f32]);
    check(op("Squeeze", 13, []).input(counting(&[1, 2, 1])).constant(indices(&[-1])), &[1, 2], &[0., 1.0f32]);
    check(op("Squeeze", 11, [ints("axes", [0])]).input(counting(&[1, 2])), &[2], &[0., 1.0f32]);
    refuses(op("Squeeze", 13, []).input(counting(&[1, 2])).constant(indices(&[1])), ErrorKind::WrongShape);
    check(op("Unsqueeze", 13, []).input(counting(&[2])).constant(indices(&[0, -1])), &[1, 2, 1], &[0., 1.0f32]);
    refuses(op("Unsqueeze", 13, []).input(counting(&[2])).constant(indices(&[0, 0])), ErrorKind::Malformed);
}

#[test]
fn concat_joins_narrow_and_wide_pieces() {
    let column = value(&[2, 1], [7.0f32, 8.0]);
    let trial = op("Concat", 13, [int("axis", -1)]).input(counting(&[2, 2])).input(column).input(counting(&[2, 0]));
    check(trial, &[2, 3], &[0., 1., 7., 2., 3., 8.0f32]);
    let words = op("Concat", 13, [int("axis", 0)]).input(texts(&[1], &["a"])).input(texts(&[2], &["b", "c"]));
    check(words, &[3], &["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    let misfit = op("Concat", 13, [int("axis", 0)]).input(counting(&[2, 2])).input(counting(&[2, 3]));
    refuses(misfit, ErrorKind::WrongShape);
    let types = op("Concat", 13, [int("axis", 0)]).input(counting(&[2])).input(indices(&[1]));
    refuses(types, ErrorKind::WrongType);
    refuses(op("Concat", 13, []).input(counting(&[2])), ErrorKind::Malformed);
    let both = op("Concat", 13, [int("axis", 1)]).input(counting(&[2, 1])).input(counting(&[2, 1]));
    assert!(!both.mixes(&[[&[2, 1], &[3, 1]], [&[2, 1], &[3, 1]]], &[[&[2, 2], &[3, 2]]]));
    assert!(both.mixes(&[[&[1, 2], &[1, 3]], [&[1, 2], &[1, 3]]], &[[&[1, 4], &[1, 6]]]));
}

#[test]
fn split_by_lengths_and_by_number() {
    let halves = op("Split", 13, [int("axis", 1)]).input(counting(&[2, 3])).constant(indices(&[1, 2])).outputs(2);
    let outs = halves.all().unwrap();
    assert_eq!(outs[0].as_slice::<f32>().unwrap(), [0., 3.]);
    assert_eq!(outs[1].as_slice::<f32>().unwrap(), [1., 2., 4., 5.]);
    let ragged = op("Split", 18, [int("num_outputs", 3)]).input(counting(&[7])).outputs(3);
    let lengths: Vec<usize> = ragged.all().unwrap().iter().map(Value::len).collect();
    assert_eq!(lengths, [3, 3, 1]);
    refuses(op("Split", 13, []).input(counting(&[3])).outputs(2), ErrorKind::WrongShape);
    let sum = op("Split", 13, []).input(counting(&[3])).input(indices(&[1, i64::MAX])).outputs(2);
    refuses(sum, ErrorKind::WrongShape);
}

#[test]
fn slice_clamps_and_walks_backwards() {
    let slice = |start: i64, end: i64, step: i64| {
        op("Slice", 13, [])
            .input(counting(&[2, 4]))
            .constant(indices(&[start]))
            .constant(indices(&[end]))
            .constant(indices(&[1]))
            .constant(indices(&[step]))
    };
    check(slice(1, i64::MAX, 1), &[2, 3], &[1., 2., 3., 5., 6., 7.0f32]);
    check(slice(-1, i64::MIN, -2), &[2, 2], &[3., 1., 7., 5.0f32]);
    check(slice(100, -100, -1), &[2, 4], &[3., 2., 1., 0., 7., 6., 5., 4.0f32]);
    check(slice(0, 4, i64::MAX), &[2, 1], &[0., 4.0f32]);
    check(slice(3, 0, i64::MIN), &[2, 1], &[3., 7.0f32]);
    check::<f32>(slice(3, 1, 1), &[2, 0], &[]);
    refuses(slice(0, 4, 0), ErrorKind::Malformed);
    let old = op("Slice", 9, [ints("starts", [1]), ints("ends", [-1]), ints("axes", [1])]).input(counting(&[1, 4]));
    check(old, &[1, 2], &[1., 2.0f32]);
    assert!(!slice(1, 3, 1).mixes(&[[&[2, 4], &[3, 4]]], &[[&[2, 2], &[3, 2]]]));
    let rows = op("Slice", 13, []).input(counting(&[2, 4])).constant(indices(&[1])).constant(indices(&[9]));
    assert!(rows.mixes(&[[&[2, 4], &[3, 4]]], &[[&[1, 4], &[2, 4]]]));
}

#[test]
fn gather_takes_pieces_and_checks_indices() {
    let gather = |at: &[i64]| op("Gather", 13, [int("axis", 1)]).input(counting(&[2, 3])).input(indices(at));
    check(gather(&[-1, 0]), &[2, 2], &[2., 0., 5., 3.0f32]);
    check::<f32>(gather(&[]), &[2, 0], &[]);
    for bad in [3, -4, i64::MIN, i64::MAX] {
        refuses(gather(&[bad]), ErrorKind::InvalidValue);
    }
    assert!(!gather(&[0]).mixes(&[[&[2, 3], &[3, 3]], [&[1], &[1]]], &[[&[2, 1], &[3, 1]]]));
    assert!(gather(&[0]).mixes(&[[&[4, 2], &[4, 3]], [&[1], &[1]]], &[[&[4, 1], &[4, 1]]]));
    // A table looked up by rows keeps them apart.
    let table = op("Gather", 13, []).constant(counting(&[4])).input(indices(&[1]));
    assert!(!table.mixes(&[[&[4], &[4]], [&[2], &[3]]], &[[&[2], &[3]]]));
}

#[test]
fn gather_elements_and_nd() {
    let at = value(&[2, 1], [2i64, -3]);
    check(op("GatherElements", 13, [int("axis", 1)]).input(counting(&[2, 3])).input(at), &[2, 1], &[2., 3.0f32]);
    let long = value(&[3, 1], [0i64; 3]);
    refuses(op("GatherElements", 13, [int("axis", 1)]).input(counting(&[2, 3])).input(long), ErrorKind::WrongShape);
    let tuples = value(&[2, 2], [0i64, 1, 1, -1]);
    check(op("GatherND", 13, []).input(counting(&[2, 3])).input(tuples), &[2], &[1., 5.0f32]);
    let batched = value(&[2, 1], [2i64, 0]);
    let trial = op("GatherND", 13, [int("batch_dims", 1)]).input(counting(&[2, 3])).input(batched);
    check(trial, &[2], &[2., 3.0f32]);
    let deep = value(&[1, 3], [0i64; 3]);
    refuses(op("GatherND", 13, []).input(counting(&[2, 3])).input(deep), ErrorKind::WrongShape);
}

#[test]
fn scatter_replaces_and_combines() {
    let trial = |how: &str, new: [f32; 3]| {
        op("ScatterElements", 18, [string("reduction", how)])
            .input(value(&[3], [2.0f32; 3]))
            .input(indices(&[0, 0, -1]))
            .input(value(&[3], new))
    };
    check(trial("none", [5., 3., 1.]), &[3], &[3., 2., 1.0f32]);
    check(trial("add", [5., 3., 1.]), &[3], &[10., 2., 3.0f32]);
    check(trial("mul", [5., 3., 1.]), &[3], &[30., 2., 2.0f32]);
    check(trial("min", [5., 3., 1.]), &[3], &[2., 2., 1.0f32]);
    let nan = trial("max", [5., 3., f32::NAN]).run().unwrap();
    assert!(nan.as_slice::<f32>().unwrap()[2].is_nan());
    refuses(trial("median", [5., 3., 1.]), ErrorKind::Malformed);
    let words = op("ScatterElements", 18, [string("reduction", "add")]);
    let words = words.input(texts(&[1], &["a"])).input(indices(&[0])).input(texts(&[1], &["b"]));
    refuses(words, ErrorKind::WrongType);
    let nd = op("ScatterND", 16, []).input(counting(&[3, 2]));
    check(
        nd.input(value(&[1, 1], [-1i64])).input(value(&[1, 2], [8.0f32, 9.0])),
        &[3, 2],
        &[0., 1., 2., 3., 8., 9.0f32],
    );
}

#[test]
fn transpose_permutes_any_number_of_axes() {
    check(op("Transpose", 13, []).input(counting(&[2, 3])), &[3, 2], &[0., 3., 1., 4., 2., 5.0f32]);
    let three = op("Transpose", 13, [ints("perm", [2, 0, 1])]).input(counting(&[2, 2, 2]));
    check(three, &[2, 2, 2], &[0., 2., 4., 6., 1., 3., 5., 7.0f32]);
    let large = op("Transpose", 13, []).input(counting(&[37, 53])).run().unwrap();
    let items = large.as_slice::<f32>().unwrap();
    assert!((0..53).all(|c| (0..37).all(|r| items[c * 37 + r] == (r * 53 + c) as f32)));
    refuses(op("Transpose", 13, [ints("perm", [0, 0])]).input(counting(&[2, 3])), ErrorKind::Malformed);
    refuses(op("Transpose", 13, [ints("perm", [1, 0])]).input(counting(&[2])), ErrorKind::WrongShape);
}

#[test]
fn repeats_are_checked_before_memory_is_taken() {
    check(
        op("Expand", 13, []).input(counting(&[2, 1])).constant(indices(&[3, 1, 2])),
        &[3, 2, 2],
        &[0., 0., 1., 1., 0., 0., 1., 1., 0., 0., 1., 1.0f32],
    );
    check(op("Expand", 13, []).input(counting(&[2])).constant(indices(&[1])), &[2], &[0., 1.0f32]);
    refuses(op("Expand", 13, []).input(counting(&[1])).input(indices(&[1 << 40])), ErrorKind::LimitExceeded);
    refuses(op("Expand", 13, []).input(counting(&[1])).input(indices(&[-1])), ErrorKind::InvalidValue);
    check(
        op("Tile", 13, []).input(counting(&[1, 2])).constant(indices(&[2, 2])),
        &[2, 4],
        &[0., 1., 0., 1., 0., 1., 0., 1.0f32],
    );
    let huge = op("Tile", 13, []).input(counting(&[1, 2])).input(indices(&[i64::MAX, i64::MAX]));
    refuses(huge, ErrorKind::LimitExceeded);
    let tile = op("Tile", 13, []).input(counting(&[2])).constant(indices(&[2]));
    assert!(tile.mixes(&[[&[2], &[3]]], &[[&[4], &[6]]]));
}

#[test]
fn pad_modes() {
    let pad = |mode: &str| op("Pad", 19, [string("mode", mode)]).input(counting(&[3])).constant(indices(&[2, 4]));
    check(pad("constant"), &[9], &[0., 0., 0., 1., 2., 0., 0., 0., 0.0f32]);
    check(pad("edge"), &[9], &[0., 0., 0., 1., 2., 2., 2., 2., 2.0f32]);
    check(pad("reflect"), &[9], &[2., 1., 0., 1., 2., 1., 0., 1., 2.0f32]);
    check(pad("wrap"), &[9], &[1., 2., 0., 1., 2., 0., 1., 2., 0.0f32]);
    refuses(pad("mirror"), ErrorKind::Malformed);
    let cut = op("Pad", 18, []).input(counting(&[3])).constant(indices(&[-1, 1])).constant(value(&[], [9.0f32]));
    check(cut, &[3], &[1., 2., 9.0f32]);
    let axes = op("Pad", 18, []).input(counting(&[1, 2])).constant(indices(&[1, 0]));
    check(axes.absent().constant(indices(&[1])), &[1, 3], &[0., 0., 1.0f32]);
    refuses(op("Pad", 13, []).input(counting(&[3])).input(indices(&[i64::MAX, 1])), ErrorKind::LimitExceeded);
    refuses(op("Pad", 13, []).input(counting(&[3])).input(indices(&[-2, -2])), ErrorKind::WrongShape);
    let nothing = op("Pad", 13, []).input(counting(&[1, 1])).input(indices(&[-1, i64::MAX, 0, 0]));
    assert_eq!(nothing.run().map(|v| v.len()).unwrap_or(0), 0);
}

fn tensor_attribute(name: &str, item: i64) -> AttributeProto {
    let tensor = dense_tensor("", &[1], vec![item]).unwrap();
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_type::TENSOR),
        t: Some(Box::new(tensor)),
        ..AttributeProto::default()
    }
}

#[test]
fn tensors_made_of_little() {
    let filled = op("ConstantOfShape", 9, [tensor_attribute("value", 7)]).input(indices(&[2, 1]));
    check(filled, &[2, 1], &[7i64, 7]);
    check(op("ConstantOfShape", 9, []).input(indices(&[])), &[], &[0.0f32]);
    refuses(op("ConstantOfShape", 9, []).input(indices(&[1 << 62])), ErrorKind::LimitExceeded);
    refuses(op("ConstantOfShape", 9, []).input(indices(&[-1])), ErrorKind::InvalidValue);
    let range = |a: i64, b: i64, d: i64| {
        op("Range", 11, []).input(value(&[], [a])).input(value(&[], [b])).input(value(&[], [d]))
    };
    check(range(5, -1, -2), &[3], &[5i64, 3, 1]);
    check::<i64>(range(5, 9, -2), &[0], &[]);
    refuses(range(i64::MIN, i64::MAX, 1), ErrorKind::LimitExceeded);
    refuses(range(0, 1, 0), ErrorKind::InvalidValue);
    let reals = op("Range", 11, []).input(value(&[], [0.0f32])).input(value(&[], [f32::INFINITY]));
    refuses(reals.input(value(&[], [1.0f32])), ErrorKind::InvalidValue);
    let eye = op("EyeLike", 9, [int("k", 1)]).input(counting(&[2, 3]));
    check(eye, &[2, 3], &[0., 1., 0., 0., 0., 1.0f32]);
    check::<f32>(op("EyeLike", 9, [int("k", i64::MAX)]).input(counting(&[1, 1])), &[1, 1], &[0.]);
    let hot = op("OneHot", 11, []).input(indices(&[1, -1, 7])).constant(value(&[], [3i64]));
    check(hot.constant(value(&[2], [0.0f32, 1.0])), &[3, 3], &[0., 1., 0., 0., 0., 1., 0., 0., 0.0f32]);
    check(op("Shape", 15, [int("start", -1)]).input(counting(&[2, 3])), &[1], &[3i64]);
    check::<i64>(op("Shape", 15, [int("start", 2), int("end", 1)]).input(counting(&[2, 3])), &[0], &[]);
    check(op("Size", 13, []).input(counting(&[2, 3])), &[], &[6i64]);
}

#[test]
fn top_k_orders_ties_by_index_and_nan_as_the_largest() {
    let top = |items: &[f32], k: i64, largest: i64| {
        let trial = op("TopK", 11, [int("largest", largest)]).input(value(&[items.len()], items));
        trial.constant(indices(&[k])).outputs(2).all().unwrap().swap_remove(1)
    };
    let at = |out: Value<'_>| out.as_slice::<i64>().unwrap().to_vec();
    assert_eq!(at(top(&[1., 3., 3., 0., 3.], 3, 1)), [1, 2, 4]);
    assert_eq!(at(top(&[1., 3., 0., 0., 3.], 3, 0)), [2, 3, 0]);
    let nan = f32::NAN;
    assert_eq!(at(top(&[1., nan, 5., nan, 0.], 3, 1)), [1, 3, 2]);
    assert_eq!(at(top(&[1., nan, 5., nan, 0.], 4, 0)), [4, 0, 2, 1]);
    assert_eq!(at(top(&[nan, 2., 3.], 1, 1)), [0]);
    assert_eq!(at(top(&[nan, 3., 2.], 1, 0)), [2]);
    // Scanning and sorting agree.
    let many: Vec<f32> = (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 22) as f32).collect();
    for k in [2, 5, 31, 64, 65, 499, 500] {
        let mut order: Vec<usize> = (0..many.len()).collect();
        order.sort_by(|&i, &j| many[i].total_cmp(&many[j]).then(i.cmp(&j)));
        let wanted: Vec<i64> = order[..k].iter().map(|&i| i as i64).collect();
        assert_eq!(at(top(&many, k as i64, 0)), wanted);
    }
    let columns = op("TopK", 11, [int("axis", 0)]).input(counting(&[3, 2])).constant(indices(&[1])).outputs(2);
    assert_eq!(columns.all().unwrap()[0].as_slice::<f32>().unwrap(), [4., 5.]);
    refuses(op("TopK", 11, []).input(counting(&[3])).input(indices(&[4])).outputs(2), ErrorKind::InvalidValue);
    refuses(op("TopK", 11, []).input(counting(&[3])).constant(indices(&[-1])).outputs(2), ErrorKind::Malformed);
    check::<f32>(op("TopK", 1, [int("k", 0)]).input(counting(&[2, 3])).outputs(2), &[2, 0], &[]);
}

#[test]
fn unique_in_both_orders_and_by_rows() {
    let unique = |sorted| op("Unique", 11, [int("sorted", sorted)]).input(value(&[4], [2.0f32, -0.0, 2.0, 0.0]));
    let outs = unique(1).outputs(4).all().unwrap();
    assert_eq!(outs[0].as_slice::<f32>().unwrap(), [0., 2.]);
    assert_eq!(outs[1].as_slice::<i64>().unwrap(), [1, 0]);
    assert_eq!(outs[2].as_slice::<i64>().unwrap(), [1, 0, 1, 0]);
    assert_eq!(outs[3].as_slice::<i64>().unwrap(), [2, 2]);
    check(unique(0), &[2], &[2., 0.0f32]);
    let rows = op("Unique", 11, [int("axis", 0)]).input(value(&[3, 2], [2i64, 1, 1, 5, 2, 1]));
    check(rows, &[2, 2], &[1i64, 5, 2, 1]);
    check::<f32>(op("Unique", 11, []).input(counting(&[0])), &[0], &[]);
    let nan = op("Unique", 11, []).input(value(&[3], [f32::NAN, 1.0, f32::NAN])).run().unwrap();
    assert_eq!(nan.len(), 2);
}

#[test]
fn chosen_elements() {
    let some = value(&[2, 2], [0.0f32, f32::NAN, 1.0, 0.0]);
    check(op("NonZero", 13, []).input(some), &[2, 2], &[0i64, 1, 1, 0]);
    check(op("NonZero", 13, []).input(value(&[], [3i64])), &[1, 1], &[0i64]);
    let condition = value(&[2], [false, true]);
    let rows = op("Compress", 11, [int("axis", 0)]).input(counting(&[3, 2])).input(condition);
    check(rows, &[1, 2], &[2., 3.0f32]);
    check(op("Compress", 11, []).input(counting(&[2, 2])).input(value(&[3], [true; 3])), &[3], &[0., 1., 2.0f32]);
}

#[test]
fn triangles_and_determinants() {
    check(op("Trilu", 14, [int("upper", 0)]).input(counting(&[2, 2])), &[2, 2], &[0., 0., 2., 3.0f32]);
    let far = op("Trilu", 14, []).input(counting(&[2, 2])).input(value(&[], [i64::MAX]));
    check(far, &[2, 2], &[0., 0., 0., 0.0f32]);
    check(op("Det", 11, []).input(value(&[1, 2, 2], [0.0f32, 2.0, 3.0, 4.0])), &[1], &[-6.0f32]);
    check(op("Det", 11, []).input(counting(&[0, 0])), &[], &[1.0f32]);
    refuses(op("Det", 11, []).input(counting(&[2, 3])), ErrorKind::WrongShape);
}

#[test]
fn blocks_and_sequences() {
    let depth = op("DepthToSpace", 13, [int("blocksize", 2)]).input(counting(&[1, 4, 1, 2]));
    check(depth, &[1, 1, 2, 4], &[0., 2., 1., 3., 4., 6., 5., 7.0f32]);
    let space = op("SpaceToDepth", 13, [int("blocksize", 2)]).input(counting(&[1, 1, 2, 4]));
    check(space, &[1, 4, 1, 2], &[0., 2., 1., 3., 4., 6., 5., 7.0f32]);
    refuses(op("DepthToSpace", 13, [int("blocksize", i64::MAX)]).input(counting(&[1, 4, 1, 2])), ErrorKind::WrongShape);
    refuses(op("SpaceToDepth", 13, [int("blocksize", 0)]).input(counting(&[1, 1, 2, 4])), ErrorKind::Malformed);
    let reverse = op("ReverseSequence", 10, [int("time_axis", 1), int("batch_axis", 0)]);
    check(reverse.input(counting(&[2, 3])).input(indices(&[2, 0])), &[2, 3], &[1., 0., 2., 3., 4., 5.0f32]);
    refuses(op("ReverseSequence", 10, []).input(counting(&[2, 1])).input(indices(&[3])), ErrorKind::InvalidValue);
}

#[test]
fn einsum_equations() {
    let einsum = |equation: &str| op("Einsum", 12, [string("equation", equation)]);
    let (a, b) = (|| counting(&[2, 3]), || counting(&[3, 2]));
    check(einsum("ij,jk->ik").input(a()).input(b()), &[2, 2], &[10., 13., 28., 40.0f32]);
    check(einsum("ij, jk").input(a()).input(b()), &[2, 2], &[10., 13., 28., 40.0f32]);
    check(einsum("ij->").input(a()), &[], &[15.0f32]);
    check(einsum("ji").input(a()), &[3, 2], &[0., 3., 1., 4., 2., 5.0f32]);
    check(einsum("ii->i").input(counting(&[3, 3])), &[3], &[0., 4., 8.0f32]);
    check(einsum("...i->i...").input(a()), &[3, 2], &[0., 3., 1., 4., 2., 5.0f32]);
    check(einsum("ij,ij->i").input(a()).input(a()), &[2], &[5., 50.0f32]);
    check(einsum("i,j->ji").input(counting(&[2])).input(counting(&[2])), &[2, 2], &[0., 0., 0., 1.0f32]);
    check(einsum("ij,jk->ik").input(counting(&[2, 0])).input(counting(&[0, 1])), &[2, 1], &[0., 0.0f32]);
    refuses(einsum("ij,jk->iz").input(a()).input(b()), ErrorKind::Malformed);
    refuses(einsum("ij->i").input(a()).input(b()), ErrorKind::Malformed);
    refuses(einsum("i1").input(a()), ErrorKind::Malformed);
    refuses(einsum("ijk").input(a()), ErrorKind::WrongShape);
    refuses(einsum("ii").input(a()), ErrorKind::WrongShape);
    let product = einsum("ij,jk->ik").input(a()).input(b());
    assert!(!product.mixes(&[[&[2, 3], &[3, 3]], [&[3, 2], &[3, 2]]], &[[&[2, 2], &[3, 2]]]));
    assert!(product.mixes(&[[&[2, 2], &[2, 3]], [&[2, 2], &[3, 2]]], &[[&[2, 2], &[2, 2]]]));
}

#[test]
fn distances_and_products() {
    let trial = |metric: &str| {
        op("CDist", 17, [string("metric", metric)])
            .domain("com.microsoft")
            .input(value(&[2, 2], [0.0f32, 0.0, 3.0, 4.0]))
            .constant(value(&[1, 2], [0.0f32, 0.0]))
    };
    check(trial("sqeuclidean"), &[2, 1], &[0., 25.0f32]);
    check(trial("euclidean"), &[2, 1], &[0., 5.0f32]);
    refuses(trial("cosine"), ErrorKind::Unsupported);
    let both = op("CDist", 17, []).domain("com.microsoft");
    refuses(both.input(counting(&[2, 2])).input(counting(&[2, 3])), ErrorKind::WrongShape);
    let transposed = op("FusedMatMul", 17, [int("transA", 1)]).domain("com.microsoft");
    check(transposed.input(counting(&[2, 1])).input(counting(&[2, 2])), &[1, 2], &[2., 3.0f32]);
}

#[test]
fn limits_hold_for_products_of_shapes() {
    let small = Limits::default().max_elements(100);
    let outer = op("Einsum", 12, [string("equation", "i,j->ij")]).input(counting(&[20])).input(counting(&[20]));
    refuses(outer.limits(small), ErrorKind::LimitExceeded);
    let distances = op("CDist", 17, []).domain("com.microsoft");
    refuses(distances.input(counting(&[20, 1])).input(counting(&[20, 1])).limits(small), ErrorKind::LimitExceeded);
}
