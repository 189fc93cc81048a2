use super::calibrate::Values;
use super::grid::{Grid, Quantised, transposed};
use super::settings::Calibration;
use super::{Quantize, Target, WeightForm};
use crate::onnx::{GraphProto, ModelProto, NodeProto, builder, data_type};
use crate::optimize::Data;
use crate::{Artifact, Error, ErrorKind, Loader, Tensor, Tensors, tensors};

fn artifact(model: &ModelProto) -> Artifact {
    Artifact::in_memory("onnx", "model.onnx", model.encode_to_vec())
}

fn decode(artifact: &Artifact) -> ModelProto {
    let bytes = artifact.files[0].content().unwrap();
    ModelProto::decode(bytes, &crate::onnx::DecodeLimits::default()).unwrap()
}

fn input(k: i64) -> crate::onnx::ValueInfoProto {
    builder::value_info("x", data_type::FLOAT, &[builder::Dim::Symbolic("n"), builder::Dim::Fixed(k)])
}

fn output(name: &str, k: i64) -> crate::onnx::ValueInfoProto {
    builder::value_info(name, data_type::FLOAT, &[builder::Dim::Symbolic("n"), builder::Dim::Fixed(k)])
}

fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// x (n, 32) by a matrix (32, 16).
fn product(opset: i64) -> ModelProto {
    let w = builder::f32_tensor("w", &[32, 16], weights(512)).unwrap();
    let node = builder::node("MatMul", "", &["x", "w"], &["y"], []);
    builder::model(8, &[("", opset)], builder::graph("g", [input(32)], [node], [w], [output("y", 16)]))
}

fn rows(n: usize) -> Tensors<'static> {
    let values = (0..n * 32).map(|i| ((i * 31) % 97) as f32 / 48.0 - 1.0).collect();
    Tensors::one("x", Tensor::from_vec(&[n, 32], values).unwrap())
}

fn refused(quantize: Quantize<'_>, model: &ModelProto) -> Error {
    quantize.run_artifact(&artifact(model)).unwrap_err()
}

#[test]
fn scales_and_zero_points_are_those_of_the_formula() {
    // numpy: scale = 2 / 254; scale = 3 / 255, zero = round(-128 + 1 / scale).
    assert_eq!(Grid::weights(true, false).fit(-1.0, 0.5), ((2.0f64 / 254.0) as f32, 0));
    assert_eq!(Grid::weights(true, true).fit(-1.0, 0.5), ((2.0f64 / 128.0) as f32, 0));
    assert_eq!(Grid::activations(false).fit(-1.0, 2.0), ((3.0f64 / 255.0) as f32, -43));
    assert_eq!(Grid::weights(false, false).fit(0.0, 2.0), ((2.0f64 / 255.0) as f32, 0));
    assert_eq!(Grid::activations(false).fit(0.0, 0.0).0, 1.0);
}

#[test]
fn halves_go_to_the_even_number() {
    let grid = Grid::weights(true, false);
    let got: Vec<i32> = [0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9].iter().map(|&x| grid.nearest(x, 1.0, 0)).collect();
    assert_eq!(got, [0, 2, 2, 0, -2, 127, -127]);
}

#[test]
fn channels_have_their_own_scales() {
    let q = Quantised::of(&[1.0, 10.0, -2.0, 5.0], &[2, 2], Some(1), Grid::weights(true, false));
    assert_eq!(q.scales, [(4.0f64 / 254.0) as f32, (20.0f64 / 254.0) as f32]);
    assert_eq!(q.numbers, [64, 127, -127, 64]);
    assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn ranges_do_not_depend_on_how_the_data_are_cut() {
    let all: Vec<f32> = (0..10_000).map(|i| ((i * 7919) % 10_007) as f32 / 5000.0 - 0.5).collect();
    for calibration in [Calibration::MinMax, Calibration::Percentile(99.0), Calibration::Entropy] {
        let range = |batch: usize| {
            let mut values = Values::new(calibration);
            for part in all.chunks(batch) {
                values.add("x", &Tensor::from_vec(&[part.len()], part.to_vec()).unwrap()).unwrap();
            }
            values.range(calibration)
        };
        let (low, high) = range(10_000);
        for batch in [64, 1000] {
            let (a, b) = range(batch);
            assert!((a - low).abs() < 0.01 && (b - high).abs() < 0.01, "{calibration:?}: {a} {b}, {low} {high}");
        }
        assert!(low >= -0.5 && high <= 1.51);
    }
}

#[test]
fn percentiles_and_entropy_leave_out_what_is_far_off() {
    let mut values: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
    values.push(50.0);
    let tensor = Tensor::from_vec(&[values.len()], values).unwrap();
    for calibration in [Calibration::Percentile(99.9), Calibration::Entropy] {
        let mut seen = Values::new(calibration);
        seen.add("x", &tensor).unwrap();
        let (low, high) = seen.range(calibration);
        assert!(low == 0.0 && (0.9..40.0).contains(&high), "{calibration:?}: {low} to {high}");
    }
}

#[test]
fn every_target_answers_nearly_as_before() {
    let model = product(17);
    let float = Loader::new().load_artifact(&artifact(&model)).unwrap();
    let x = rows(8);
    let want = float.predict_batch(&x).unwrap();
    let want = want.get::<f32>("y").unwrap();
    for (target, form, most) in [
        (Target::Int8Dynamic, None, 0.1),
        (Target::Int8Static, None, 0.1),
        (Target::Int8Weights, None, 0.05),
        (Target::Int8Weights, Some(WeightForm::NBits), 0.05),
        (Target::Int4Weights, None, 0.6),
        (Target::F16, None, 0.01),
        (Target::Bf16, None, 0.05),
    ] {
        let mut quantize =
            Quantize::to(target).block(32).data(Data::arrays(rows(40))).latency_time(std::time::Duration::ZERO);
        if let Some(form) = form {
            quantize = quantize.form(form);
        }
        let done = quantize.run_artifact(&artifact(&model)).unwrap();
        let got = done.load(&Loader::new()).unwrap().predict_batch(&x).unwrap();
        let got = got.get::<f32>("y").unwrap();
        let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < most, "{target} {form:?}: {worst}");
        assert_eq!(done.report.layers.len(), 1, "{target}");
        assert!(done.report.layers[0].weight_sqnr_db.unwrap() > 15.0);
        assert!(done.report.to_json().unwrap().contains("weight_sqnr_db"));
        assert!(done.report.to_markdown().contains("| bytes |"));
    }
}

#[test]
fn shared_weights_are_stored_once_and_subgraphs_are_reached() {
    let branch = |name: &str| {
        let node = builder::node("MatMul", "", &["x", "w"], &[name], []);
        builder::graph(name, [], [node], [], [output(name, 16)])
    };
    let mut model = product(17);
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(builder::node("MatMul", "", &["x", "w"], &["z"], []));
    graph.node.push(builder::node(
        "If",
        "",
        &["c"],
        &["u"],
        [builder::subgraph("then_branch", branch("a")), builder::subgraph("else_branch", branch("b"))],
    ));
    graph.initializer.push(builder::dense_tensor("c", &[], vec![true]).unwrap());
    graph.output.extend([output("z", 16), output("u", 16)]);
    let done = Quantize::to(Target::Int8Dynamic).run_artifact(&artifact(&model)).unwrap();
    assert_eq!(done.report.layers.len(), 4);
    let made = decode(done.artifact());
    let graph = made.graph.as_ref().unwrap();
    let of = |kind: i32| graph.initializer.iter().filter(|t| t.data_type == Some(kind)).count();
    assert_eq!((of(data_type::INT8), graph.initializer.iter().any(|t| t.name.as_deref() == Some("w"))), (1, false));
    let quantisations = graph.node.iter().filter(|n| n.operator() == "DynamicQuantizeLinear").count();
    assert_eq!(quantisations, 1);
    let x = rows(3);
    let [want, got] = [artifact(&model), done.artifact().clone()].map(|a| {
        let model = Loader::new().load_artifact(&a).unwrap();
        model.predict_batch(&x).unwrap().get::<f32>("u").unwrap().to_owned()
    });
    assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() < 0.1));
}

#[test]
fn alien_fields_and_metadata_survive() {
    let mut model = product(17);
    // Field 4000, a string.
    let alien = [0x82, 0xfa, 0x01, 0x02, b'h', b'i'].to_vec();
    model.unknown.clone_from(&alien);
    model.metadata_props.push(crate::onnx::StringStringEntryProto {
        key: Some("team".into()),
        value: Some("churn".into()),
        ..Default::default()
    });
    let graph = model.graph.as_mut().unwrap();
    graph.unknown.clone_from(&alien);
    graph.node[0].unknown.clone_from(&alien);
    graph.input[0].unknown.clone_from(&alien);
    let done = Quantize::to(Target::Int8Dynamic).run_artifact(&artifact(&model)).unwrap();
    let made = decode(done.artifact());
    assert_eq!((&made.unknown, &made.metadata_props), (&alien, &model.metadata_props));
    let graph = made.graph.as_ref().unwrap();
    assert_eq!((&graph.unknown, &graph.input[0].unknown), (&alien, &alien));
    let heart = graph.node.iter().find(|n| n.operator() == "MatMulInteger").unwrap();
    assert_eq!(heart.unknown, alien);
}

/// Weights in a file beside the model are brought to fewer bits as those inside are, and the result is one file.
#[test]
fn weights_in_another_file_are_quantised_too() {
    let inside = product(17);
    let mut beside = inside.clone();
    let tensor = &mut beside.graph.as_mut().unwrap().initializer[0];
    let dense = tensor.to_dense(None, 1 << 20).unwrap();
    let crate::onnx::TensorData::F32(numbers) = dense.data else { panic!("weights are f32") };
    *tensor = crate::onnx::TensorProto {
        name: tensor.name.clone(),
        dims: tensor.dims.clone(),
        data_type: tensor.data_type,
        data_location: Some(1),
        external_data: vec![crate::onnx::StringStringEntryProto {
            key: Some("location".into()),
            value: Some("w.bin".into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut files = artifact(&beside);
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    files.files.push(crate::ArtifactFile::in_memory("w.bin", bytes));
    let x = rows(5);
    for target in [Target::Int8Dynamic, Target::Int8Weights, Target::Int4Weights, Target::F16] {
        let [one, other] = [artifact(&inside), files.clone()]
            .map(|files| Quantize::to(target).latency_time(std::time::Duration::ZERO).run_artifact(&files).unwrap());
        assert_eq!(other.artifact().files.len(), 1, "{target:?}");
        assert_eq!(built(one.artifact(), &x), built(other.artifact(), &x), "{target:?}");
    }
}

#[test]
fn an_old_opset_is_upgraded_or_refused_by_name() {
    let e = refused(Quantize::to(Target::Int8Dynamic), &product(9));
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.to_string().contains("opset 11") && e.to_string().contains("opset 9"), "{e}");
    let mut model = product(13);
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(builder::node("ReduceMean", "", &["y"], &["m"], [builder::ints("axes", vec![1i64])]));
    graph.output.push(output("m", 1));
    let done = Quantize::to(Target::Int8Weights).form(WeightForm::BlockedQdq).run_artifact(&artifact(&model)).unwrap();
    let made = decode(done.artifact());
    assert_eq!(made.opset_import[0].version, Some(21));
    let mean: &NodeProto = made.graph.as_ref().unwrap().node.iter().find(|n| n.operator() == "ReduceMean").unwrap();
    assert_eq!((mean.input.len(), mean.attribute.len()), (2, 0));
    assert!(done.report.notes[0].contains("raised from opset 13"));
}

#[test]
fn bad_inputs_are_named() {
    let quantised = Quantize::to(Target::Int8Dynamic).run_artifact(&artifact(&product(17))).unwrap();
    let e = Quantize::to(Target::F16).run_artifact(quantised.artifact()).unwrap_err();
    assert!(e.to_string().contains("quantised already"), "{e}");

    let node = builder::node("Relu", "", &["x"], &["y"], []);
    let plain: GraphProto = builder::graph("g", [input(32)], [node], [], [output("y", 32)]);
    let e = refused(Quantize::to(Target::Int8Dynamic), &builder::model(8, &[("", 17)], plain));
    assert!(e.to_string().contains("no part of the model qualifies"), "{e}");

    let mut silent = product(17);
    silent.graph.as_mut().unwrap().node.push(builder::node("Relu", "", &["x"], &[], []));
    let e = refused(Quantize::to(Target::Int8Dynamic), &silent);
    assert!(e.kind() == ErrorKind::Malformed && e.to_string().contains("no outputs"), "{e}");

    let e = refused(Quantize::to(Target::Int8Static), &product(17));
    assert!(e.to_string().contains("needs data"), "{e}");
    let e = refused(Quantize::to(Target::Int8Static).data(Data::arrays(rows(0))), &product(17));
    assert!(e.to_string().contains("no rows"), "{e}");
    let nan = Tensors::one("x", Tensor::from_vec(&[1, 32], vec![f32::NAN; 32]).unwrap());
    let e = refused(Quantize::to(Target::Int8Static).data(Data::arrays(nan)), &product(17));
    assert_eq!((e.kind(), e.tensor_name()), (ErrorKind::InvalidValue, Some("x")));

    let budget = crate::optimize::Budget { max_metric_drop: Some(0.01), ..Default::default() };
    let e = refused(Quantize::to(Target::Int8Dynamic).budget(budget), &product(17));
    assert!(e.to_string().contains("labels"), "{e}");
    let budget = crate::optimize::Budget { max_bytes: Some(0), ..Default::default() };
    let e = refused(Quantize::to(Target::Int8Dynamic).budget(budget), &product(17));
    assert!(e.to_string().contains("contradicts itself"), "{e}");

    let mut model = product(17);
    model.graph.as_mut().unwrap().initializer[0] = builder::f32_tensor("w", &[32, 16], vec![f32::NAN; 512]).unwrap();
    let e = refused(Quantize::to(Target::Int8Dynamic), &model);
    assert!(e.to_string().contains("NaN"), "{e}");

    let e =
        Quantize::to(Target::F16).run_artifact(&Artifact::in_memory("csv", "a.csv", &b"a,b\n1,2\n"[..])).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
}

#[test]
fn kept_layers_and_numbers_out_of_range_stay() {
    let e = refused(Quantize::to(Target::Int8Dynamic).keep(["y"]), &product(17));
    assert!(e.to_string().contains("as asked for"), "{e}");
    let mut model = product(17);
    let big = builder::f32_tensor("w", &[32, 16], vec![1e6; 512]).unwrap();
    model.graph.as_mut().unwrap().initializer[0] = big;
    let e = refused(Quantize::to(Target::F16), &model);
    assert!(e.to_string().contains("out of the range of f16"), "{e}");
    assert!(Quantize::to(Target::Bf16).run_artifact(&artifact(&model)).is_ok());
}

#[test]
fn batches_of_differing_shapes_calibrate() {
    let batches = || -> Box<dyn Iterator<Item = crate::Result<Tensors<'static>>>> {
        Box::new([3, 1, 7].into_iter().map(|n| Ok(rows(n))))
    };
    let done = Quantize::to(Target::Int8Static)
        .data(Data::stream(batches))
        .latency_time(std::time::Duration::ZERO)
        .run_artifact(&artifact(&product(17)))
        .unwrap();
    assert!(done.report.layers[0].sqnr_db.unwrap() > 30.0);
    let _ = tensors! {}.unwrap();
}

#[test]
fn a_budget_that_cannot_be_held_says_so() {
    let budget = crate::optimize::Budget { max_bytes: Some(10), ..Default::default() };
    let done = Quantize::to(Target::Int8Dynamic).budget(budget).run_artifact(&artifact(&product(17))).unwrap();
    let result = done.report.budget.unwrap();
    assert!(!result.held && result.missed[0].contains("10 are allowed"), "{result:?}");
}

fn built(artifact: &Artifact, x: &Tensors<'_>) -> Vec<f32> {
    let answers = Loader::new().load_artifact(artifact).unwrap().predict_batch(x).unwrap();
    answers.get::<f32>("y").unwrap().iter().copied().collect()
}

/// The mean squared difference from what the float model gives.
fn loss(quantize: Quantize<'_>, model: &ModelProto, x: &Tensors<'_>) -> (f64, Vec<String>) {
    let done = quantize.latency_time(std::time::Duration::ZERO).run_artifact(&artifact(model)).unwrap();
    let (want, got) = (built(&artifact(model), x), built(done.artifact(), x));
    let squares = want.iter().zip(&got).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / want.len() as f64, done.report.notes)
}

/// Rows in which neighbouring columns are alike.
fn alike(n: usize) -> Tensors<'static> {
    let plain = rows(n);
    let plain = plain.get::<f32>("x").unwrap();
    let values = (0..n * 32).map(|i| plain[[i / 32, i % 32]] + 3.0 * plain[[i / 32, i % 32 / 8]]).collect();
    Tensors::one("x", Tensor::from_vec(&[n, 32], values).unwrap())
}

/// Rows in which column 3 reaches a hundred times as far as the others.
fn uneven(n: usize) -> Tensors<'static> {
    let plain = rows(n);
    let plain = plain.get::<f32>("x").unwrap();
    let values = plain.iter().enumerate().map(|(i, x)| if i % 32 == 3 { 100.0 * x } else { *x }).collect();
    Tensors::one("x", Tensor::from_vec(&[n, 32], values).unwrap())
}

/// [`product`] with a small row of weights where [`uneven`] rows are large.
fn uneven_product() -> ModelProto {
    let mut model = product(17);
    let values = weights(512).into_iter().enumerate().map(|(i, w)| if i / 16 == 3 { w / 100.0 } else { w });
    model.graph.as_mut().unwrap().initializer[0] =
        builder::f32_tensor("w", &[32, 16], values.collect::<Vec<_>>()).unwrap();
    model
}

#[test]
fn outliers_of_activations_move_into_the_weights() {
    let (model, x) = (uneven_product(), uneven(20));
    let dynamic = || Quantize::to(Target::Int8Dynamic).data(Data::arrays(uneven(200)));
    let (plain, notes) = loss(dynamic().activation_aware(false), &model, &x);
    assert!(!notes.iter().any(|n| n.contains("outliers")), "{notes:?}");
    let (smooth, notes) = loss(dynamic(), &model, &x);
    assert!(smooth * 50.0 < plain, "{smooth} {plain}");
    assert!(notes.iter().any(|n| n.contains("1 activations")), "{notes:?}");
    // Nothing is to be gained where all columns are alike: no `Mul` is added.
    let even = Quantize::to(Target::Int8Dynamic).data(Data::arrays(rows(200)));
    assert!(!loss(even, &product(17), &rows(20)).1.iter().any(|n| n.contains("outliers")));
}

#[test]
fn errors_of_rounding_make_up_for_each_other() {
    let (model, x) = (product(17), alike(20));
    for form in [WeightForm::NBits, WeightForm::BlockedQdq] {
        let four = || Quantize::to(Target::Int4Weights).form(form).block(16).data(Data::arrays(alike(200)));
        let (alone, _) = loss(four().activation_aware(false), &model, &x);
        let (together, notes) = loss(four(), &model, &x);
        assert!(together * 2.0 < alone, "{form:?}: {together} {alone}");
        assert!(notes.iter().any(|n| n.contains("make up for each other")), "{notes:?}");
    }
}

#[test]
fn rounding_brings_what_errors_cost_down() {
    let (k, n) = (48, 5);
    let x: Vec<f32> = (0..200 * k).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0 + (i % 3) as f32).collect();
    let values = weights(n * k);
    let mut products = super::compensate::Products::new(k);
    assert!(!products.add("x", &Tensor::from_vec(&[200, k], x.clone()).unwrap()).unwrap());
    let costs = products.costs().unwrap();
    let cost = |approximate: &[f32]| -> f64 {
        let error: Vec<f32> = values.iter().zip(approximate).map(|(a, b)| a - b).collect();
        let along = |row: &[f32], e: &[f32]| row.iter().zip(e).map(|(a, b)| f64::from(a * b)).sum::<f64>().powi(2);
        x.chunks(k).flat_map(|row| error.chunks(k).map(move |e| along(row, e))).sum()
    };
    for symmetric in [true, false] {
        let mut together = vec![0.0; n * k];
        // Blocks of 32 leave a shorter one at the end.
        costs.round(&values, (32, 4, symmetric), &mut |r| {
            for (j, &q) in r.numbers.iter().enumerate() {
                together[r.row * k + r.block * 32 + j] = (f32::from(q) - f32::from(r.zero)) * r.scale;
            }
        });
        let mut alone = Vec::new();
        for part in values.chunks(k).flat_map(|row| row.chunks(32)) {
            let (scale, zero) = super::blocks::fit(part, 4, symmetric);
            let back = |&w: &f32| (f32::from(super::blocks::nearest(w, scale, zero, 15.0)) - f32::from(zero)) * scale;
            alone.extend(part.iter().map(back));
        }
        let (alone, together) = (cost(&alone), cost(&together));
        assert!(together * 1.5 < alone, "{together} {alone}");
    }
    assert!(super::compensate::Products::new(4).costs().is_none());
}

/// Ids that choose rows of a table, times a matrix; the model takes nothing but whole numbers.
fn encoder() -> ModelProto {
    let table = (0..100 * 32).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect::<Vec<f32>>();
    let table = table.into_iter().enumerate().map(|(i, v)| if i % 32 == 5 { v * 40.0 } else { v });
    let constants = [
        builder::f32_tensor("t", &[100, 32], table.collect::<Vec<_>>()).unwrap(),
        builder::f32_tensor("w", &[32, 16], weights(512)).unwrap(),
    ];
    let nodes =
        [builder::node("Gather", "", &["t", "ids"], &["x"], []), builder::node("MatMul", "", &["x", "w"], &["y"], [])];
    let dims = [builder::Dim::Symbolic("n"), builder::Dim::Symbolic("s")];
    let ids = builder::value_info("ids", data_type::INT64, &dims);
    let y = builder::value_info("y", data_type::FLOAT, &[dims[0], dims[1], builder::Dim::Fixed(16)]);
    builder::model(8, &[("", 17)], builder::graph("g", [ids], nodes, constants, [y]))
}

#[test]
fn ids_are_made_up_for_a_model_that_takes_nothing_else() {
    let ids = Tensor::from_vec(&[4, 32], (0..128i64).map(|i| i * 29 % 100).collect()).unwrap();
    let x = Tensors::one("ids", ids);
    for (target, word) in [(Target::Int8Dynamic, "outliers"), (Target::Int4Weights, "make up")] {
        let quantize = || match target {
            Target::Int4Weights => Quantize::to(target).form(WeightForm::BlockedQdq).block(16),
            _ => Quantize::to(target),
        };
        let (plain, _) = loss(quantize().activation_aware(false), &encoder(), &x);
        let (aware, notes) = loss(quantize(), &encoder(), &x);
        assert!(aware < plain, "{target}: {aware} {plain}");
        assert!(notes.iter().any(|n| n.contains(word) && n.contains("made-up ids")), "{notes:?}");
    }
    // Floats can't be made up.
    assert_eq!(loss(Quantize::to(Target::Int4Weights), &product(17), &rows(3)).1, Vec::<String>::new());
}

#[test]
fn nan_in_what_products_are_given_is_refused() {
    let nan = || Data::arrays(Tensors::one("x", Tensor::from_vec(&[1, 32], vec![f32::NAN; 32]).unwrap()));
    for target in [Target::Int8Dynamic, Target::Int4Weights] {
        let e = refused(Quantize::to(target).data(nan()), &product(17));
        assert_eq!((e.kind(), e.tensor_name()), (ErrorKind::InvalidValue, Some("x")), "{e}");
    }
}

#[test]
fn a_gru_is_left_and_named() {
    let mut model = product(17);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(builder::f32_tensor("gw", &[1, 12, 16], weights(192)).unwrap());
    graph.initializer.push(builder::f32_tensor("gr", &[1, 12, 4], weights(48)).unwrap());
    graph.initializer.push(builder::dense_tensor("one", &[1], vec![1i64]).unwrap());
    graph.node.push(builder::node("Unsqueeze", "", &["y", "one"], &["steps"], []));
    graph.node.push(builder::node("GRU", "", &["steps", "gw", "gr"], &["states"], [builder::int("hidden_size", 4)]));
    let done = Quantize::to(Target::Int8Dynamic).run_artifact(&artifact(&model)).unwrap();
    let left = &done.report.skipped[0];
    assert_eq!((left.name.as_str(), left.operator.as_str()), ("states", "GRU"));
    assert!(left.reason.contains("no operator takes its activations"), "{}", left.reason);
}

#[test]
fn linear_models_become_products_and_keep_their_labels() {
    let coefficients = weights(64 * 20);
    let intercepts: Vec<f32> = (0..20).map(|i| (i as f32 - 10.0) / 10.0).collect();
    let labels: Vec<i64> = (100..120).collect();
    let mut node = builder::node(
        "LinearClassifier",
        "ai.onnx.ml",
        &["x"],
        &["label", "y"],
        [
            builder::floats("coefficients", coefficients),
            builder::floats("intercepts", intercepts),
            builder::ints("classlabels_ints", labels),
            builder::string("post_transform", "SOFTMAX"),
        ],
    );
    node.name = Some("model".into());
    let value = |name: &str, code: i32, dims: &[i64]| {
        let dims: Vec<builder::Dim<'_>> =
            [builder::Dim::Symbolic("n")].into_iter().chain(dims.iter().map(|&d| builder::Dim::Fixed(d))).collect();
        builder::value_info(name, code, &dims)
    };
    let outputs = [value("label", data_type::INT64, &[]), value("y", data_type::FLOAT, &[20])];
    let made = |node: NodeProto| {
        let graph = builder::graph("g", [value("x", data_type::FLOAT, &[64])], [node], [], outputs.clone());
        builder::model(8, &[("", 17), ("ai.onnx.ml", 3)], graph)
    };
    let model = made(node.clone());
    let values = (0..50 * 64).map(|i| ((i * 31) % 101) as f32 / 50.0 - 1.0).collect();
    let x = Tensors::one("x", Tensor::from_vec(&[50, 64], values).unwrap());
    let want = Loader::new().load_artifact(&artifact(&model)).unwrap().predict_batch(&x).unwrap();
    for target in [Target::Int8Dynamic, Target::Int8Static, Target::Int8Weights, Target::F16, Target::Bf16] {
        let data = Data::arrays(x.as_view().into_owned());
        let quantize = Quantize::to(target).data(data).latency_time(std::time::Duration::ZERO);
        let done = quantize.run_artifact(&artifact(&model)).unwrap();
        assert!(done.report.bytes.after < done.report.bytes.before, "{target}");
        assert!(done.report.layers.len() == 1, "{target}");
        let got = done.load(&Loader::new()).unwrap().predict_batch(&x).unwrap();
        let [old, new] = [&want, &got].map(|t| t.get::<i64>("label").unwrap().to_owned());
        assert!(old.iter().zip(&new).filter(|(a, b)| a == b).count() >= 48, "{target}");
        let kept = Quantize::to(target).keep(["model"]).data(Data::arrays(x.as_view().into_owned()));
        assert!(refused(kept, &model).to_string().contains("as asked for"));
    }
    // A small one stays as it is.
    node.attribute[0].floats.truncate(20);
    let e = refused(Quantize::to(Target::F16), &made(node));
    assert!(e.to_string().contains("too few coefficients"), "{e}");
}
