//! Small graphs with subgraphs, worked out by hand or held against the same thing computed otherwise.

use crate::backend::native::ops::trial::{Trial, info, node, op, texts, value};
use crate::backend::native::value::Value;
use crate::onnx::builder::{dense_tensor, graph, int, ints, subgraph};
use crate::onnx::{AttributeProto, GraphProto, NodeProto};
use crate::{ErrorKind, Limits};

fn body(inputs: &[&str], nodes: impl Into<Vec<NodeProto>>, outputs: &[&str]) -> GraphProto {
    let infos = |names: &[&str]| names.iter().map(|n| info(n)).collect::<Vec<_>>();
    graph("body", infos(inputs), nodes, [], infos(outputs))
}

fn floats(items: &[f32]) -> Value<'static> {
    value(&[items.len()], items)
}

#[track_caller]
fn holds(out: &Value<'_>, shape: &[usize], items: &[f32]) {
    assert_eq!((out.shape(), out.as_slice::<f32>().unwrap()), (shape, items));
}

/// state + row, handed on and given out.
fn running_sum() -> GraphProto {
    let nodes = [node("Add", &["s", "r"], &["t"], []), node("Identity", &["t"], &["y"], [])];
    body(&["s", "r"], nodes, &["t", "y"])
}

fn scan(attributes: &[AttributeProto], rows: Value<'static>) -> Trial {
    let mut all = vec![int("num_scan_inputs", 1), subgraph("body", running_sum())];
    all.extend_from_slice(attributes);
    op("Scan", 11, all).input(floats(&[0., 0.])).input(rows).outputs(2)
}

#[test]
fn scan_walks_both_ways_and_along_any_axis() {
    let rows = || value(&[3, 2], [1.0f32, 2., 3., 4., 5., 6.]);
    let outs = scan(&[], rows()).all().unwrap();
    holds(&outs[0], &[2], &[9., 12.]);
    holds(&outs[1], &[3, 2], &[1., 2., 4., 6., 9., 12.]);
    let outs = scan(&[ints("scan_input_directions", [1])], rows()).all().unwrap();
    holds(&outs[1], &[3, 2], &[5., 6., 8., 10., 9., 12.]);
    let outs = scan(&[ints("scan_output_directions", [1]), ints("scan_output_axes", [-1])], rows()).all().unwrap();
    holds(&outs[1], &[2, 3], &[9., 4., 1., 12., 6., 2.]);
    let columns = value(&[2, 3], [1.0f32, 3., 5., 2., 4., 6.]);
    let outs = scan(&[ints("scan_input_axes", [1])], columns).all().unwrap();
    holds(&outs[1], &[3, 2], &[1., 2., 4., 6., 9., 12.]);
    let outs = scan(&[], value::<f32>(&[0, 2], [])).all().unwrap();
    holds(&outs[0], &[2], &[0., 0.]);
    assert_eq!(outs[1].shape()[0], 0);
}

#[test]
fn scan_of_version_8_has_a_batch_and_lengths() {
    let trial = op("Scan", 8, [int("num_scan_inputs", 1), subgraph("body", running_sum())])
        .input(value(&[2], [2i64, 1]))
        .input(value(&[2, 1], [0.0f32, 10.]))
        .input(value(&[2, 2, 1], [1.0f32, 2., 3., 4.]))
        .outputs(2);
    let outs = trial.all().unwrap();
    holds(&outs[0], &[2, 1], &[3., 13.]);
    holds(&outs[1], &[2, 2, 1], &[1., 3., 13., 0.]);
}

#[test]
fn malformed_loops_are_refused() {
    let refused = |trial: Trial| assert_eq!(trial.all().unwrap_err().kind(), ErrorKind::Malformed);
    refused(op("Scan", 11, [int("num_scan_inputs", 1)]).input(floats(&[0.])));
    refused(op("Scan", 11, [int("num_scan_inputs", 3), subgraph("body", running_sum())]).input(floats(&[0.])));
    refused(scan(&[ints("scan_input_directions", [2])], floats(&[0.])));
    refused(scan(&[ints("scan_input_axes", [4])], value(&[1, 2], [0.0f32; 2])));
    refused(op("Loop", 11, [subgraph("body", running_sum())]).input(value(&[], [1i64])).outputs(3));
    refused(op("If", 11, [subgraph("then_branch", running_sum())]).input(value(&[], [true])));
    let lengths = op("Scan", 11, [int("num_scan_inputs", 2), subgraph("body", running_sum())]);
    let lengths = lengths.input(floats(&[1., 2.])).input(floats(&[1.])).outputs(2);
    assert_eq!(lengths.all().unwrap_err().kind(), ErrorKind::WrongShape);
}

/// Whether the state stays below 4, the state plus one, the counter.
fn counting() -> GraphProto {
    let mut body = body(
        &["i", "c", "v"],
        [
            node("Add", &["v", "one"], &["w"], []),
            node("Less", &["w", "four"], &["d"], []),
            node("Identity", &["w"], &["y"], []),
        ],
        &["d", "w", "y"],
    );
    body.initializer.push(dense_tensor("one", &[1], vec![1.0f32]).unwrap());
    body.initializer.push(dense_tensor("four", &[1], vec![4.0f32]).unwrap());
    body
}

#[test]
fn loops_end_by_count_or_condition() {
    let run = |trips: Option<i64>, condition: bool| {
        let trial = op("Loop", 11, [subgraph("body", counting())]);
        let trial = match trips {
            Some(trips) => trial.input(value(&[], [trips])),
            None => trial.absent(),
        };
        trial.input(value(&[], [condition])).input(floats(&[0.])).outputs(2).all().unwrap()
    };
    holds(&run(Some(2), true)[1], &[2, 1], &[1., 2.]);
    holds(&run(Some(100), true)[0], &[1], &[4.]);
    holds(&run(None, true)[1], &[4, 1], &[1., 2., 3., 4.]);
    holds(&run(Some(100), false)[0], &[1], &[0.]);
    assert_eq!(run(Some(-5), true)[1].shape()[0], 0);
}

#[test]
fn endless_loops_run_into_the_limit() {
    let forever = body(
        &["i", "c", "v"],
        [node("Identity", &["c"], &["d"], []), node("Identity", &["v"], &["w"], [])],
        &["d", "w"],
    );
    let trial = op("Loop", 11, [subgraph("body", forever)])
        .input(value(&[], [1i64 << 62]))
        .input(value(&[], [true]))
        .input(floats(&[0.]))
        .limits(Limits::default().max_elements(1 << 20));
    assert_eq!(trial.all().unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn branches_see_the_values_around_them() {
    let branch = |name: &str, operator: &str| subgraph(name, body(&[], [node(operator, &["x1"], &["t"], [])], &["t"]));
    // The branches use the second input of the node, which no input of theirs gives.
    let nodes = |condition: bool| {
        op("If", 13, [branch("then_branch", "Neg"), branch("else_branch", "Abs")])
            .input(value(&[], [condition]))
            .input(floats(&[-1., 2.]))
            .all()
    };
    // `If` takes one input; the second one is only there to be seen.
    holds(&nodes(true).unwrap()[0], &[2], &[1., -2.]);
    holds(&nodes(false).unwrap()[0], &[2], &[1., 2.]);
}

/// The body that measures the rows of the state against one point.
fn measuring(power: Option<f32>) -> GraphProto {
    let mut nodes = vec![node("Identity", &["x"], &["xo"], []), node("Sub", &["x", "p"], &["d"], [])];
    match power {
        None => nodes.push(node("ReduceSumSquare", &["d"], &["s"], [ints("axes", [1]), int("keepdims", 0)])),
        Some(_) => nodes.extend([
            node("Abs", &["d"], &["a"], []),
            node("Pow", &["a", "power"], &["b"], []),
            node("ReduceSum", &["b"], &["s"], [ints("axes", [1]), int("keepdims", 0)]),
        ]),
    }
    nodes.push(node("Identity", &["s"], &["so"], []));
    let mut body = body(&["x", "p"], nodes, &["xo", "so"]);
    body.initializer.push(dense_tensor("power", &[], vec![power.unwrap_or(2.0)]).unwrap());
    body
}

#[test]
fn distances_are_the_same_as_the_loop_gives() {
    let (m, n) = (5, 37);
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    for k in [1, 3, 4, 7, 8, 9, 13, 24] {
        let rows = value(&[m, k], (0..m * k).map(noise).collect::<Vec<_>>());
        let points = value(&[n, k], (0..n * k).map(|i| noise(i + 9999)).collect::<Vec<_>>());
        for power in [None, Some(1.0), Some(2.0), Some(3.0)] {
            let scan = |trial: Trial| trial.input(rows.clone()).outputs(2);
            let trial = || op("Scan", 11, [int("num_scan_inputs", 1), subgraph("body", measuring(power))]);
            let fast = scan(trial()).constant(points.clone());
            let slow = scan(trial()).input(points.clone());
            assert!(format!("{:?}", fast.compile().unwrap().program).contains("Distances"));
            assert!(!format!("{:?}", slow.compile().unwrap().program).contains("Distances"));
            let (fast, slow) = (fast.all().unwrap(), slow.all().unwrap());
            assert_eq!(fast[0].as_slice::<f32>().unwrap(), slow[0].as_slice::<f32>().unwrap());
            assert_eq!((fast[1].shape(), fast[1].len()), (slow[1].shape(), m * n));
            for (a, b) in fast[1].as_slice::<f32>().unwrap().iter().zip(slow[1].as_slice::<f32>().unwrap()) {
                assert!((a - b).abs() <= 1e-6 * b.max(1.0), "{a} {b}");
            }
        }
    }
}

#[test]
fn distances_keep_rows_apart() {
    let trial = op("Scan", 11, [int("num_scan_inputs", 1), subgraph("body", measuring(None))])
        .input(value(&[2, 1], [0.0f32; 2]))
        .constant(value(&[3, 1], [0.0f32; 3]))
        .outputs(2);
    let points: [&[usize]; 2] = [&[3, 1], &[3, 1]];
    assert!(!trial.mixes(&[[&[2, 1], &[3, 1]], points], &[[&[2, 1], &[3, 1]], [&[3, 2], &[3, 3]]]));
    // A running sum over the rows of the batch does not.
    let sum = scan(&[], value(&[3, 2], [0.0f32; 6]));
    let state: [&[usize]; 2] = [&[2], &[2]];
    assert!(sum.mixes(&[state, [&[2, 2], &[3, 2]]], &[state, [&[2, 2], &[3, 2]]]));
}

#[test]
fn sequences_are_made_changed_and_read() {
    let sequence = || Value::sequence(vec![floats(&[1.]), floats(&[2., 3.])]);
    let at = |i: i64| op("SequenceAt", 11, []).input(sequence()).input(value(&[], [i])).run();
    holds(&at(-1).unwrap(), &[2], &[2., 3.]);
    assert_eq!(at(2).unwrap_err().kind(), ErrorKind::InvalidValue);
    let length = op("SequenceLength", 11, []).input(sequence()).run().unwrap();
    assert_eq!(length.as_slice::<i64>().unwrap(), [2]);
    let insert =
        |i: i64| op("SequenceInsert", 11, []).input(sequence()).input(floats(&[9.])).input(value(&[], [i])).run();
    holds(&insert(2).unwrap().as_sequence().unwrap()[2], &[1], &[9.]);
    holds(&insert(-2).unwrap().as_sequence().unwrap()[0], &[1], &[9.]);
    assert_eq!(insert(3).unwrap_err().kind(), ErrorKind::InvalidValue);
    let erased = op("SequenceErase", 11, []).input(sequence()).run().unwrap();
    assert_eq!(erased.as_sequence().unwrap().len(), 1);
    let empty = op("SequenceErase", 11, []).input(Value::sequence(Vec::new())).run();
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::InvalidValue);
    let joined = op("ConcatFromSequence", 11, [int("axis", 0)]).input(sequence()).run().unwrap();
    holds(&joined, &[3], &[1., 2., 3.]);
    let built = op("SequenceConstruct", 11, []).input(floats(&[1.])).input(floats(&[2.])).run().unwrap();
    let stacked = op("ConcatFromSequence", 11, [int("axis", -1), int("new_axis", 1)]).input(built).run().unwrap();
    holds(&stacked, &[1, 2], &[1., 2.]);
    let none = op("ConcatFromSequence", 11, [int("axis", 0)]).input(Value::sequence(Vec::new())).run();
    assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(op("SequenceLength", 11, []).input(floats(&[1.])).run().unwrap_err().kind(), ErrorKind::WrongType);
    assert_eq!(op("Flatten", 11, []).input(sequence()).run().unwrap_err().kind(), ErrorKind::WrongType);
}

#[test]
fn splitting_to_a_sequence() {
    let split = |attributes: &[AttributeProto], lengths: Option<Value<'static>>| {
        let trial = op("SplitToSequence", 11, attributes).input(texts(&[1, 5], &["a", "b", "c", "d", "e"]));
        let trial = match lengths {
            Some(lengths) => trial.input(lengths),
            None => trial,
        };
        trial.run().map(|s| s.as_sequence().unwrap().iter().map(|v| v.shape().to_vec()).collect::<Vec<_>>())
    };
    let along = int("axis", 1);
    assert_eq!(split(std::slice::from_ref(&along), Some(value(&[], [2i64]))).unwrap(), [[1, 2], [1, 2], [1, 1]]);
    assert_eq!(split(std::slice::from_ref(&along), Some(value(&[2], [1i64, 4]))).unwrap(), [[1, 1], [1, 4]]);
    assert_eq!(split(&[along.clone(), int("keepdims", 0)], None).unwrap(), vec![[1]; 5]);
    for bad in [value(&[], [0i64]), value(&[2], [1i64, 1]), value(&[2], [-1i64, 6])] {
        assert_eq!(split(std::slice::from_ref(&along), Some(bad)).unwrap_err().kind(), ErrorKind::WrongShape);
    }
}
