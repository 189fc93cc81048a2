//! Cases of operators that look at groups of elements: reductions, softmax, normalisations, quantisation.

use super::*;

#[test]
fn reductions() {
    let x = || value(&[2, 3], [1.0f32, 2.0, 4.0, -3.0, 5.0, 0.0]);
    let along = |name, axis: i64| op(name, 11, [ints("axes", [axis]), int("keepdims", 0)]);
    close(&along("ReduceSum", 0).run(&[x()]).unwrap(), &[3], &[-2.0, 7.0, 4.0]);
    close(&along("ReduceSum", -1).run(&[x()]).unwrap(), &[2], &[7.0, 2.0]);
    close(&along("ReduceMean", 1).run(&[x()]).unwrap(), &[2], &[7.0 / 3.0, 2.0 / 3.0]);
    close(&along("ReduceL2", 1).run(&[x()]).unwrap(), &[2], &[4.582_576, 5.830_952]);
    close(&along("ReduceLogSumExp", 1).run(&[x()]).unwrap(), &[2], &[4.169_846, 5.007_047_7]);
    close(&op("ReduceProd", 13, []).run(&[x()]).unwrap(), &[1, 1], &[0.0]);
    let no_op = op("ReduceSumSquare", 18, [int("noop_with_empty_axes", 1)]);
    close(&no_op.run(&[x()]).unwrap(), &[2, 3], &[1.0, 4.0, 16.0, 9.0, 25.0, 0.0]);
    close(&op("ReduceMax", 18, []).run(&[x(), vector([1i64, -1])]).unwrap(), &[2, 1], &[4.0, 5.0]);
    assert_eq!(op("ReduceL2", 18, []).run(&[vector([1i64, 2, 4]), vector([0i64])]).unwrap(), vector([4i64]));
    assert_eq!(op("ReduceMean", 18, []).run(&[vector([-3i64, -4]), vector([0i64])]).unwrap(), vector([-3i64]));
    assert_eq!(op("ReduceMin", 20, []).run(&[vector([true, false])]).unwrap(), vector([false]));
    assert_eq!(op("ReduceSum", 13, []).fails(&[vector([true, false])]), ErrorKind::WrongType);
    let nothing = || zeros::<f32>(&[2, 0]);
    for (name, want) in [
        ("ReduceSum", 0.0),
        ("ReduceMean", 0.0),
        ("ReduceMax", -INF),
        ("ReduceMin", INF),
        ("ReduceProd", 1.0),
        ("ReduceLogSum", -INF),
        ("ReduceLogSumExp", -INF),
    ] {
        close(&along(name, 1).run(&[nothing()]).unwrap(), &[2], &[want, want]);
        close(&along(name, 1).run(&[zeros::<f32>(&[0, 3])]).unwrap(), &[0], &[]);
    }
    // NaN at the start of a group wins, elsewhere it loses, as in ONNX Runtime.
    close(&along("ReduceMax", 1).run(&[value(&[2, 2], [NAN, 1.0, 1.0, NAN])]).unwrap(), &[2], &[NAN, 1.0]);
    close(&along("ReduceMin", 0).run(&[value(&[2, 2], [NAN, 1.0, 1.0, NAN])]).unwrap(), &[2], &[NAN, 1.0]);
    close(&along("ReduceLogSumExp", 0).run(&[vector([-INF, -INF])]).unwrap(), &[], &[-INF]);
    close(&along("ReduceLogSumExp", 0).run(&[vector([INF, 0.0])]).unwrap(), &[], &[INF]);
    assert_eq!(along("ReduceSum", 2).fails(&[x()]), ErrorKind::WrongShape);
    assert_eq!(along("ReduceSum", i64::MIN).fails(&[x()]), ErrorKind::WrongShape);
    assert_eq!(op("ReduceSum", 11, [int("axes", 1)]).fails(&[x()]), ErrorKind::Malformed);
    let huge = along("ReduceSum", 0).fails(&[zeros::<f32>(&[0, 1 << 40, 1 << 40])]);
    assert_eq!(huge, ErrorKind::LimitExceeded);
}

#[test]
fn places_of_extremes() {
    let ties = || value(&[2, 4], [3.0, 1.0, 3.0, 1.0, NAN, 2.0, INF, 0.0]);
    let along = |name, axis: i64, last: i64| {
        op(name, 13, [int("axis", axis), int("keepdims", 0), int("select_last_index", last)])
    };
    assert_eq!(along("ArgMax", 1, 0).run(&[ties()]).unwrap(), vector([0i64, 0]));
    assert_eq!(along("ArgMax", -1, 1).run(&[ties()]).unwrap(), vector([2i64, 0]));
    assert_eq!(along("ArgMin", 1, 1).run(&[ties()]).unwrap(), vector([3i64, 0]));
    assert_eq!(along("ArgMin", 0, 0).run(&[ties()]).unwrap(), vector([0i64, 0, 0, 1]));
    assert_eq!(op("ArgMax", 13, []).run(&[zeros::<f32>(&[2, 0])]).unwrap(), zeros::<i64>(&[1, 0]));
    assert_eq!(along("ArgMax", 1, 0).fails(&[zeros::<f32>(&[2, 0])]), ErrorKind::WrongShape);
    assert_eq!(op("ArgMax", 13, []).fails(&[Value::scalar(1f32)]), ErrorKind::WrongShape);
}

#[test]
fn softmaxes() {
    let x = || value(&[2, 1, 2], [1.0, 2.0, 1e4, -1e4]);
    close(&op("Softmax", 13, []).run(&[x()]).unwrap(), &[2, 1, 2], &[0.268_941_43, 0.731_058_6, 1.0, 0.0]);
    close(&op("LogSoftmax", 13, []).run(&[x()]).unwrap(), &[2, 1, 2], &[-1.313_261_7, -0.313_261_7, 0.0, -2e4]);
    close(&op("Softmax", 13, [int("axis", 0)]).run(&[x()]).unwrap(), &[2, 1, 2], &[0.0, 1.0, 1.0, 0.0]);
    close(&op("Softmax", 11, [int("axis", 0)]).run(&[x()]).unwrap(), &[2, 1, 2], &[0.0, 0.0, 1.0, 0.0]);
    close(&op("Hardmax", 11, []).run(&[x()]).unwrap(), &[2, 1, 2], &[0.0, 1.0, 1.0, 0.0]);
    close(&op("Hardmax", 13, []).run(&[vector([NAN, 1.0, 1.0])]).unwrap(), &[3], &[0.0; 3]);
    close(&op("Hardmax", 13, []).run(&[vector([0.0, 1.0, NAN, 1.0])]).unwrap(), &[4], &[0.0, 1.0, 0.0, 0.0]);
    for lost in [[NAN, 0.0], [INF, 0.0], [-INF, -INF]] {
        close(&op("Softmax", 13, []).run(&[vector(lost)]).unwrap(), &[2], &[NAN, NAN]);
    }
    close(&op("Softmax", 13, []).run(&[zeros::<f32>(&[0, 3])]).unwrap(), &[0, 3], &[]);
    close(&op("Softmax", 13, []).run(&[zeros::<f32>(&[3, 0])]).unwrap(), &[3, 0], &[]);
    assert_eq!(op("Softmax", 13, [int("axis", 3)]).fails(&[x()]), ErrorKind::WrongShape);
    assert_eq!(op("Softmax", 11, [int("axis", 4)]).fails(&[x()]), ErrorKind::WrongShape);
}

#[test]
fn running_sums() {
    let x = || value(&[2, 2], [1i64, 2, 3, 4]);
    let sum =
        |attributes: Vec<AttributeProto>, axis: i32| op("CumSum", 14, attributes).run(&[x(), Value::scalar(axis)]);
    assert_eq!(sum(vec![], 0).unwrap(), value(&[2, 2], [1i64, 2, 4, 6]));
    assert_eq!(sum(vec![int("exclusive", 1), int("reverse", 1)], -1).unwrap(), value(&[2, 2], [2i64, 0, 4, 0]));
    assert_eq!(sum(vec![], 2).unwrap_err().kind(), ErrorKind::WrongShape);
    assert_eq!(op("CumSum", 14, []).fails(&[x(), vector([0i64, 1])]), ErrorKind::WrongShape);
}

#[test]
fn normalisations() {
    let x = || value(&[2, 3], [0.5f32, -1.25, 2.0, 1.0, 0.0, -1.0]);
    let weights = || vector([2.0f32, 1.0, 0.5]);
    let bias = || vector([0.0f32, 1.0, 0.0]);
    let layer = op("LayerNormalization", 17, []).outputs(&[Some(x()), Some(weights()), Some(bias())], 3).unwrap();
    close(&layer[0], &[2, 3], &[0.125_490_77, -0.254_908_08, 0.596_081_3, 2.449_471_2, 1.0, -0.612_367_8]);
    close(&layer[1], &[2, 1], &[0.416_666_66, 0.0]);
    close(&layer[2], &[2, 1], &[0.752_944_8, 1.224_735_6]);
    let lp = op("LpNormalization", 1, [int("p", 1)]);
    close(&lp.run(&[value(&[2, 2], [0.0f32, 0.0, 1.0, -3.0])]).unwrap(), &[2, 2], &[0.0, 0.0, 0.25, -0.75]);
    assert_eq!(op("LpNormalization", 1, [int("p", 3)]).fails(&[x()]), ErrorKind::Malformed);
    let flat = op("MeanVarianceNormalization", 13, [ints("axes", [1])]);
    close(&flat.run(&[value(&[2, 2], [1.0f32, 2.0, 1.0, 1.0])]).unwrap(), &[2, 2], &[-1.0, 1.0, 0.0, 0.0]);
    let learned = [x(), vector([1.0f32; 3]), vector([0.0f32; 3]), vector([1.0f32; 3]), vector([3.0f32; 3])];
    let batch = op("BatchNormalization", 15, [float("epsilon", 1.0)]);
    close(&batch.run(&learned).unwrap(), &[2, 3], &[-0.25, -1.125, 0.5, 0.0, -0.5, -1.0]);
    let training = op("BatchNormalization", 15, [int("training_mode", 1)]);
    close(
        &training.run(&learned).unwrap(),
        &[2, 3],
        &[-0.999_92, -0.999_987_2, 0.999_997_8, 0.999_92, 0.999_987_2, -0.999_997_8],
    );
    let groups = op("GroupNormalization", 21, [int("num_groups", 2)]);
    assert_eq!(groups.fails(&[x(), weights(), bias()]), ErrorKind::WrongShape);
    assert_eq!(op("GroupNormalization", 21, []).fails(&[x(), weights(), bias()]), ErrorKind::Malformed);
    let single = op("InstanceNormalization", 6, []).run(&[x(), weights(), bias()]).unwrap();
    close(&single, &[2, 3], &[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    let empty = op("LayerNormalization", 17, []).outputs(&[Some(zeros::<f32>(&[2, 0])), Some(zeros::<f32>(&[0]))], 2);
    assert_eq!(empty.unwrap()[1].shape(), [2, 1]);
}

#[test]
fn quantisation() {
    let x = || vector([-1.0f32, 0.5, 1.5, 2.5, 1e9, -1e9, NAN, INF]);
    let to = |zero: Value<'static>| op("QuantizeLinear", 21, []).run(&[x(), Value::scalar(1f32), zero]).unwrap();
    assert_eq!(to(Value::scalar(3u8)), vector([2u8, 3, 5, 5, 255, 0, 0, 255]));
    assert_eq!(to(Value::scalar(3i8)), vector([2i8, 3, 5, 5, 127, -128, -128, 127]));
    let back = op("DequantizeLinear", 13, [int("axis", 0)]);
    close(&back.run(&[vector([-128i8, 5]), vector([0.5f32, 2.0]), vector([2i8, 1])]).unwrap(), &[2], &[-65.0, 8.0]);
    assert_eq!(back.fails(&[vector([1i8, 5]), vector([0.5f32; 3])]), ErrorKind::WrongShape);
    let blocks = op("QuantizeLinear", 21, [int("block_size", 2), int("axis", 0)]);
    assert_eq!(blocks.fails(&[x(), Value::scalar(1f32)]), ErrorKind::WrongShape);
    let given = [vector([1.0f32, 2.0, 3.0]), vector([1.0f32, 0.5]), vector([0u8, 1])];
    assert_eq!(blocks.run(&given).unwrap(), vector([1u8, 2, 7]));
    let found = op("DynamicQuantizeLinear", 11, []).outputs(&[Some(vector([-1.0f32, 0.0, 1.55]))], 3).unwrap();
    assert_eq!(found[0], vector([0u8, 100, 255]));
    close(&found[1], &[], &[0.01]);
    assert_eq!(found[2], Value::scalar(100u8));
}
