//! Cases of whole operators. Expected values were worked out by hand or, where they have many digits, copied from ONNX
//! Runtime 1.32 (CPU).

mod groups;

use half::{bf16, f16};

use crate::backend::native::compile::{self, Context};
use crate::backend::native::op::{Flow, Scratch};
use crate::backend::native::value::{Item, Shape, Value};
use crate::onnx::builder::{self, Dim, dense_tensor, float, graph, int, ints, string, value_info};
use crate::onnx::{AttributeProto, data_type};
use crate::{ErrorKind, Limits, Result};

/// A node to run.
struct Case {
    op: &'static str,
    domain: &'static str,
    opset: i64,
    attributes: Vec<AttributeProto>,
}

fn op(op: &'static str, opset: i64, attributes: impl Into<Vec<AttributeProto>>) -> Case {
    Case { op, domain: "", opset, attributes: attributes.into() }
}

impl Case {
    /// The program of the node; `constants` gives the inputs that are initialisers.
    fn compile(
        &self,
        inputs: &[Option<Value<'static>>],
        outputs: usize,
        constants: &[usize],
    ) -> Result<compile::Compiled> {
        let names: Vec<String> =
            inputs.iter().enumerate().map(|(i, v)| if v.is_some() { format!("x{i}") } else { String::new() }).collect();
        let outs: Vec<String> = (0..outputs).map(|i| format!("y{i}")).collect();
        let [ins, ys] = [&names, &outs].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
        let node = builder::node(self.op, self.domain, &ins, &ys, self.attributes.clone());
        let info = |name: &&str| value_info(name, data_type::FLOAT, &[Dim::Unknown]);
        let mut initialisers = Vec::new();
        for &i in constants {
            let value = inputs[i].as_ref().unwrap();
            let dense = match value.dtype().unwrap() {
                crate::DType::F32 => dense_tensor(&names[i], value.shape(), value.as_slice::<f32>().unwrap().to_vec()),
                _ => dense_tensor(&names[i], value.shape(), value.to_i64s().unwrap()),
            };
            initialisers.push(dense.unwrap());
        }
        let given = ins.iter().enumerate().filter(|(i, n)| !n.is_empty() && !constants.contains(i));
        let infos: Vec<_> = given.map(|(_, n)| info(n)).collect();
        let graph = graph("g", infos, [node], initialisers, ys.iter().map(info).collect::<Vec<_>>());
        let opsets = [("".to_owned(), self.opset), (self.domain.to_owned(), 1)];
        let opsets = opsets.into_iter().rev().collect();
        compile::compile(
            &Context {
                opsets,
                limits: Limits::default(),
                external: None,
                tree_engine: crate::TreeEngine::Auto,
                row_ranges: false,
            },
            &graph,
            None,
            None,
        )
    }

    fn outputs(&self, inputs: &[Option<Value<'static>>], outputs: usize) -> Result<Vec<Value<'static>>> {
        let compiled = self.compile(inputs, outputs, &[])?;
        let values: Vec<_> = inputs.iter().flatten().cloned().collect();
        let mut scratch = Scratch::new(Limits::default());
        let views = compiled.program.run(values.iter().map(Value::as_view).collect::<Vec<_>>(), &mut scratch);
        let views: Result<Vec<_>> = views.map(|all| all.into_iter().map(Value::into_static).collect());
        let owned = compiled.program.run(values.clone(), &mut scratch);
        let owned: Result<Vec<_>> = owned.map(|all| all.into_iter().map(Value::into_static).collect());
        // In place or not, the answer is the same (NaN compares as text).
        assert_eq!(format!("{views:?}"), format!("{owned:?}"), "{}", self.op);
        owned
    }

    fn run(&self, inputs: &[Value<'static>]) -> Result<Value<'static>> {
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        self.outputs(&inputs, 1).map(|mut all| all.remove(0))
    }

    fn fails(&self, inputs: &[Value<'static>]) -> ErrorKind {
        self.run(inputs).unwrap_err().kind()
    }

    /// Whether rows are mixed when the dry runs of batches of 2 and 3 have these shapes.
    fn mixes(&self, inputs: &[[&[usize]; 2]], outputs: [&[usize]; 2], constants: &[(usize, Value<'static>)]) -> bool {
        let flow = |shapes: &[&[usize]; 2]| Flow { shapes: shapes.map(Shape::from_slice) };
        let mut values: Vec<_> = inputs.iter().map(|s| Some(zeros::<f32>(s[0]))).collect();
        for (i, value) in constants {
            values.resize(values.len().max(i + 1), None);
            values[*i] = Some(value.clone());
        }
        let at: Vec<usize> = constants.iter().map(|(i, _)| *i).collect();
        let compiled = self.compile(&values, 1, &at).unwrap();
        let inputs: Vec<Flow> = inputs.iter().map(flow).collect();
        compiled.program.steps[0].op.mixes_rows(&inputs, &[flow(&outputs)])
    }
}

fn zeros<T: Item>(shape: &[usize]) -> Value<'static> {
    Value::new(shape, vec![T::default(); shape.iter().product()])
}

fn value<T: Item>(shape: &[usize], items: impl Into<Vec<T>>) -> Value<'static> {
    Value::new(shape, items.into())
}

fn vector<T: Item>(items: impl Into<Vec<T>>) -> Value<'static> {
    let items = items.into();
    Value::new([items.len()].as_slice(), items)
}

#[track_caller]
fn close(got: &Value<'_>, shape: &[usize], want: &[f32]) {
    assert_eq!(got.shape(), shape);
    let got = got.to_f32s().unwrap();
    let near = |(x, y): (&f32, &f32)| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 3e-6 * y.abs() + 1e-7;
    assert!(got.len() == want.len() && got.iter().zip(want).all(near), "{got:?}, expected {want:?}");
}

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn activations_at_their_edges() {
    let x = || vector([NAN, INF, -INF, -0.0, 1.0, -1.0, 2.5]);
    let known: [(&str, [f32; 7]); 12] = [
        ("Relu", [NAN, INF, 0.0, 0.0, 1.0, 0.0, 2.5]),
        ("Sigmoid", [NAN, 1.0, 0.0, 0.5, 0.731_058_6, 0.268_941_43, 0.924_141_8]),
        ("Tanh", [NAN, 1.0, -1.0, 0.0, 0.761_594_2, -0.761_594_2, 0.986_614_35]),
        ("Softplus", [NAN, INF, 0.0, std::f32::consts::LN_2, 1.313_261_7, 0.313_261_7, 2.578_889_8]),
        ("Elu", [NAN, INF, -1.0, 0.0, 1.0, -0.632_120_55, 2.5]),
        ("Selu", [NAN, INF, -1.758_099_3, 0.0, 1.050_701, -1.111_330_7, 2.626_752_6]),
        ("Mish", [NAN, INF, NAN, 0.0, 0.865_098_4, -0.303_401_44, 2.471_392_4]),
        ("HardSwish", [NAN, INF, NAN, 0.0, 0.666_666_7, -0.333_333_3, 2.291_666_7]),
        ("HardSigmoid", [NAN, 1.0, 0.0, 0.5, 0.7, 0.3, 1.0]),
        ("ThresholdedRelu", [0.0, INF, 0.0, 0.0, 0.0, 0.0, 2.5]),
        ("Gelu", [NAN, INF, NAN, 0.0, 0.841_344_7, -0.158_655_26, 2.484_476]),
        ("Erf", [NAN, 1.0, -1.0, 0.0, 0.842_700_8, -0.842_700_8, 0.999_593_1]),
    ];
    for (name, want) in known {
        close(&op(name, 20, []).run(&[x()]).unwrap(), &[7], &want);
    }
    close(
        &op("LeakyRelu", 16, [float("alpha", 0.5)]).run(&[x()]).unwrap(),
        &[7],
        &[NAN, INF, -INF, 0.0, 1.0, -0.5, 2.5],
    );
    let halves = op("Sigmoid", 13, []).run(&[vector([f16::from_f32(1.0), f16::NAN])]).unwrap();
    assert!(halves.as_slice::<f16>().is_ok_and(|h| h[0] == f16::from_f32(0.731_058_6) && h[1].is_nan()));
    assert_eq!(op("Gelu", 20, [string("approximate", "fast")]).fails(&[x()]), ErrorKind::Malformed);
    assert_eq!(op("Exp", 13, []).fails(&[vector([1i64])]), ErrorKind::WrongType);
    assert_eq!(op("LeakyRelu", 16, [int("alpha", 1)]).fails(&[x()]), ErrorKind::Malformed);
}

#[test]
fn rounding_and_signs() {
    let x = || vector([0.5, 1.5, -2.5, -0.5, NAN, -INF, 2.4999]);
    close(&op("Round", 11, []).run(&[x()]).unwrap(), &[7], &[0.0, 2.0, -2.0, 0.0, NAN, -INF, 2.0]);
    close(&op("Sign", 13, []).run(&[x()]).unwrap(), &[7], &[1.0, 1.0, -1.0, -1.0, NAN, -1.0, 1.0]);
    let least = || vector([i64::MIN, -3, 0]);
    assert_eq!(op("Abs", 13, []).run(&[least()]).unwrap(), vector([i64::MIN, 3, 0]));
    assert_eq!(op("Neg", 13, []).run(&[least()]).unwrap(), vector([i64::MIN, 3, 0]));
    assert_eq!(op("Sign", 13, []).run(&[vector([7u8, 0])]).unwrap(), vector([1u8, 0]));
    let inf = [int("detect_negative", 0)];
    assert_eq!(op("IsInf", 10, inf).run(&[vector([INF, -INF, NAN])]).unwrap(), vector([true, false, false]));
    assert_eq!(op("IsNaN", 13, []).run(&[vector([f64::NAN, 0.0])]).unwrap(), vector([true, false]));
}

#[test]
fn arithmetic_broadcasts_and_wraps() {
    let row = || vector([10.0f32, 20.0, 30.0]);
    let table = || value(&[2, 3], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    close(&op("Add", 14, []).run(&[table(), row()]).unwrap(), &[2, 3], &[11.0, 22.0, 33.0, 14.0, 25.0, 36.0]);
    close(&op("Sub", 14, []).run(&[row(), table()]).unwrap(), &[2, 3], &[9.0, 18.0, 27.0, 6.0, 15.0, 24.0]);
    let column = value(&[2, 1], [2.0f32, 4.0]);
    close(&op("Div", 14, []).run(&[table(), column]).unwrap(), &[2, 3], &[0.5, 1.0, 1.5, 1.0, 1.25, 1.5]);
    close(&op("Mul", 14, []).run(&[zeros::<f32>(&[0, 3]), row()]).unwrap(), &[0, 3], &[]);
    assert_eq!(op("Add", 14, []).run(&[vector([250u8]), vector([10u8])]).unwrap(), vector([4u8]));
    assert_eq!(
        op("Div", 14, []).run(&[vector([-7i32, i32::MIN, 5]), vector([2, -1, 0])]).unwrap(),
        vector([-3, i32::MIN, 0])
    );
    assert_eq!(op("Add", 14, []).fails(&[table(), vector([1.0f32, 2.0])]), ErrorKind::WrongShape);
    assert_eq!(op("Add", 14, []).fails(&[table(), vector([1i64])]), ErrorKind::WrongType);
    assert_eq!(op("Add", 14, []).fails(&[vector([true]), vector([true])]), ErrorKind::WrongType);
    assert_eq!(op("Add", 14, []).fails(&[table()]), ErrorKind::Malformed);
    let outer = op("Mul", 14, []);
    let [a, b] = [Value::new([4, 1].as_slice(), vec![0u8; 4]), Value::new([1, 1 << 16].as_slice(), vec![0u8; 1 << 16])];
    let compiled = outer.compile(&[Some(a.clone()), Some(b.clone())], 1, &[]).unwrap();
    let mut scratch = Scratch::new(Limits { max_elements: 1 << 17, ..Limits::default() });
    assert_eq!(compiled.program.run([a, b], &mut scratch).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn old_operator_sets_align_the_right_operand() {
    let table = || value(&[2, 3], [0.0f32; 6]);
    let aligned = op("Add", 6, [int("broadcast", 1), int("axis", 0)]);
    close(&aligned.run(&[table(), vector([1.0f32, 2.0])]).unwrap(), &[2, 3], &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    let last = op("Add", 6, [int("broadcast", 1)]);
    close(&last.run(&[table(), vector([1.0f32, 2.0, 3.0])]).unwrap(), &[2, 3], &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(op("Add", 6, []).fails(&[table(), vector([1.0f32, 2.0, 3.0])]), ErrorKind::WrongShape);
    assert_eq!(
        op("Add", 6, [int("broadcast", 1), int("axis", i64::MIN)]).fails(&[table(), vector([1.0f32])]),
        ErrorKind::WrongShape
    );
    assert_eq!(last.fails(&[vector([1.0f32]), table()]), ErrorKind::WrongShape);
}

#[test]
fn extremes_keep_nan_and_clip_has_a_strong_upper_bound() {
    let (a, b) = (|| vector([NAN, 1.0, 3.0]), || vector([1.0, NAN, 2.0]));
    close(&op("Max", 13, []).run(&[a(), b()]).unwrap(), &[3], &[NAN, NAN, 3.0]);
    close(&op("Min", 13, []).run(&[a(), b(), vector([0.0f32])]).unwrap(), &[3], &[NAN, NAN, 0.0]);
    close(&op("Mean", 13, []).run(&[vector([1.0f32, 2.0]), vector([4.0f32])]).unwrap(), &[2], &[2.5, 3.0]);
    assert_eq!(op("Sum", 6, []).fails(&[vector([1.0f32, 2.0]), vector([4.0f32])]), ErrorKind::WrongShape);
    assert_eq!(op("Max", 13, []).fails(&[]), ErrorKind::Malformed);
    let x = || vector([NAN, INF, -INF, 0.5]);
    close(
        &op("Clip", 13, []).run(&[x(), Value::scalar(3f32), Value::scalar(1f32)]).unwrap(),
        &[4],
        &[NAN, 1.0, 1.0, 1.0],
    );
    close(&op("Clip", 13, []).run(&[x()]).unwrap(), &[4], &[NAN, f32::MAX, f32::MIN, 0.5]);
    close(&op("Clip", 13, []).run(&[x(), Value::scalar(NAN)]).unwrap(), &[4], &[NAN, f32::MAX, -INF, 0.5]);
    close(&op("Clip", 6, [float("max", 0.25)]).run(&[x()]).unwrap(), &[4], &[NAN, 0.25, f32::MIN, 0.25]);
    assert_eq!(op("Clip", 13, []).fails(&[x(), vector([1.0f32, 2.0])]), ErrorKind::WrongShape);
    let skipped = op("Clip", 13, []).outputs(&[Some(vector([5i64, -5])), None, Some(Value::scalar(2i64))], 1).unwrap();
    assert_eq!(skipped[0], vector([2i64, -5]));
}

#[test]
fn powers_of_mixed_types() {
    let base = || vector([2i64, -1, 1]);
    assert_eq!(op("Pow", 15, []).run(&[base(), vector([-1i64, -3, -2])]).unwrap(), vector([0i64, -1, 1]));
    assert_eq!(op("Pow", 15, []).run(&[base(), Value::scalar(0.5f32)]).unwrap(), vector([1i64, i64::MIN, 1]));
    let x = || vector([4.0, 0.0, -0.0, -4.0, INF, NAN, -INF]);
    close(&op("Pow", 15, []).run(&[x(), Value::scalar(0.5f32)]).unwrap(), &[7], &[2.0, 0.0, 0.0, NAN, INF, NAN, INF]);
    close(&op("Pow", 15, []).run(&[x(), Value::scalar(0i64)]).unwrap(), &[7], &[1.0; 7]);
    close(&op("Pow", 15, []).run(&[Value::scalar(2f32), vector([1.0f64, 3.0])]).unwrap(), &[2], &[2.0, 8.0]);
    assert_eq!(op("Pow", 15, []).fails(&[x(), vector([true])]), ErrorKind::WrongType);
}

#[test]
fn remainders() {
    let (a, b) = (|| vector([7i32, -7, 7, -7, 5]), || vector([3i32, 3, -3, -3, 0]));
    assert_eq!(op("Mod", 13, []).run(&[a(), b()]).unwrap(), vector([1i32, 2, -2, -1, 0]));
    assert_eq!(op("Mod", 13, [int("fmod", 1)]).run(&[a(), b()]).unwrap(), vector([1i32, -1, 1, -1, 0]));
    close(
        &op("Mod", 13, [int("fmod", 1)]).run(&[vector([7.5, INF, 1.0]), vector([3.0, 2.0, INF])]).unwrap(),
        &[3],
        &[1.5, NAN, 1.0],
    );
    assert_eq!(op("Mod", 13, []).fails(&[vector([1.0f32]), vector([1.0f32])]), ErrorKind::Malformed);
}

#[test]
fn comparisons_logic_and_choice() {
    let text = |t: &[&str]| vector(t.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    let same = op("Equal", 19, []).run(&[text(&["a", "", "é"]), text(&["a", "b", "é"])]).unwrap();
    assert_eq!(same, vector([true, false, true]));
    let x = || vector([NAN, 1.0, 2.0]);
    assert_eq!(op("Equal", 13, []).run(&[x(), x()]).unwrap(), vector([false, true, true]));
    assert_eq!(op("LessOrEqual", 16, []).run(&[x(), Value::scalar(1f32)]).unwrap(), vector([false, true, false]));
    assert_eq!(
        op("Xor", 7, []).run(&[vector([true, false]), value(&[1, 1], [true])]).unwrap(),
        value(&[1, 2], [false, true])
    );
    assert_eq!(op("And", 7, []).fails(&[vector([1u8]), vector([1u8])]), ErrorKind::WrongType);
    assert_eq!(op("BitwiseAnd", 18, []).fails(&[vector([true]), vector([true])]), ErrorKind::WrongType);
    assert_eq!(op("BitwiseNot", 18, []).run(&[vector([0u8, 255])]).unwrap(), vector([255u8, 0]));
    let left = op("BitShift", 11, [string("direction", "LEFT")]);
    assert_eq!(left.run(&[vector([1u8, 16]), vector([3u8, 200])]).unwrap(), vector([8u8, 0]));
    assert_eq!(op("BitShift", 11, []).fails(&[vector([1u8]), vector([1u8])]), ErrorKind::Malformed);
    let chosen = op("Where", 16, []).run(&[value(&[2, 1], [true, false]), text(&["a", "b"]), text(&["z"])]).unwrap();
    assert_eq!(chosen, value(&[2, 2], ["a", "b", "z", "z"].map(String::from)));
    assert_eq!(op("Where", 16, []).fails(&[vector([1i64]), x(), x()]), ErrorKind::WrongType);
    assert_eq!(op("Where", 16, []).fails(&[vector([true]), x(), vector([1i64])]), ErrorKind::WrongType);
}

#[test]
fn casts() {
    let to = |code: i32| op("Cast", 13, [int("to", code.into())]);
    let x = || vector([1.5, -2.7, NAN, INF, -INF, 3e9, 65504.0]);
    let least = i32::MIN;
    assert_eq!(to(data_type::INT32).run(&[x()]).unwrap(), vector([1, -2, least, least, least, least, 65504]));
    assert_eq!(to(data_type::UINT8).run(&[vector([-2.7f32, 65504.0, NAN])]).unwrap(), vector([254u8, 224, 0]));
    assert_eq!(to(data_type::UINT64).run(&[vector([-2.7f32, INF, NAN])]).unwrap(), vector([u64::MAX - 1, 0, 1 << 63]));
    assert_eq!(to(data_type::BOOL).run(&[vector([0.0, -0.0, NAN])]).unwrap(), vector([false, false, true]));
    assert_eq!(to(data_type::INT8).run(&[vector([128i64, 255, -129])]).unwrap(), vector([-128i8, -1, 127]));
    assert_eq!(
        to(data_type::FLOAT16).run(&[vector([65535i64, 2049])]).unwrap(),
        vector([f16::INFINITY, f16::from_f32(2048.0)])
    );
    assert_eq!(to(data_type::BFLOAT16).run(&[vector([1.0f32])]).unwrap(), vector([bf16::ONE]));
    let texts = to(data_type::STRING).run(&[vector([255.9f32, NAN, -INF, 1e10])]).unwrap();
    assert_eq!(texts, vector(["255.89999", "NaN", "-INF", "1e+10"].map(String::from)));
    assert_eq!(to(data_type::STRING).run(&[vector([true])]).unwrap(), vector(["1".to_owned()]));
    assert_eq!(to(data_type::FLOAT).run(&[vector(["1.5abc".to_owned()])]).unwrap(), vector([1.5f32]));
    assert_eq!(to(data_type::INT64).fails(&[vector(["".to_owned()])]), ErrorKind::InvalidValue);
    assert_eq!(to(data_type::FLOAT).run(&[zeros::<String>(&[0, 2])]).unwrap(), zeros::<f32>(&[0, 2]));
    assert_eq!(to(14).fails(&[x()]), ErrorKind::Unsupported);
    assert_eq!(op("Cast", 13, []).fails(&[x()]), ErrorKind::Malformed);
    assert_eq!(op("Cast", 1, [string("to", "INT64")]).run(&[vector([2.5f32])]).unwrap(), vector([2i64]));
    assert_eq!(op("CastLike", 15, []).run(&[vector([2.5f32]), vector([0i64])]).unwrap(), vector([2i64]));
}

#[test]
fn rows_are_mixed_only_along_axes_that_vary() {
    let table: [&[usize]; 2] = [&[2, 3], &[3, 3]];
    let fixed: [&[usize]; 2] = [&[3], &[3]];
    let axes = |axis: i64| [(1, vector([axis]))];
    assert!(!op("Add", 14, []).mixes(&[table, fixed], table, &[]));
    assert!(op("Sub", 14, []).mixes(&[[&[2, 1], &[3, 1]], [&[1, 2], &[1, 3]]], [&[2, 2], &[3, 3]], &[]));
    assert!(!op("Exp", 13, []).mixes(&[table], table, &[]));
    assert!(!op("ReduceSum", 13, []).mixes(&[table], [&[2, 1], &[3, 1]], &axes(1)));
    assert!(op("ReduceSum", 13, []).mixes(&[table], [&[1, 3], &[1, 3]], &axes(-2)));
    assert!(op("ReduceSum", 13, []).mixes(&[table], [&[1, 1], &[1, 1]], &[]));
    assert!(!op("ReduceMax", 18, [int("noop_with_empty_axes", 1)]).mixes(&[table], table, &[]));
    assert!(op("Softmax", 13, [int("axis", 0)]).mixes(&[table], table, &[]));
    assert!(!op("Softmax", 13, []).mixes(&[table], table, &[]));
    assert!(!op("Softmax", 11, []).mixes(&[table], table, &[]));
    assert!(op("Softmax", 11, [int("axis", 0)]).mixes(&[table], table, &[]));
    assert!(op("ArgMax", 13, []).mixes(&[table], [&[1, 3], &[1, 3]], &[]));
    assert!(!op("CumSum", 14, []).mixes(&[table], table, &[(1, vector([1i64]))]));
    assert!(op("CumSum", 14, []).mixes(&[table, [&[], &[]]], table, &[]));
    assert!(!op("LayerNormalization", 17, []).mixes(&[table, fixed], table, &[]));
    assert!(op("MeanVarianceNormalization", 13, [ints("axes", [0])]).mixes(&[table], table, &[]));
    assert!(op("DynamicQuantizeLinear", 11, []).mixes(&[table], table, &[]));
}

/// Every operator with every pair of inputs from a bag of awkward ones: an answer or an error, no panic.
#[test]
fn nothing_panics() {
    let bag = [
        zeros::<f32>(&[]),
        zeros::<f32>(&[0]),
        zeros::<f32>(&[2, 3]),
        zeros::<f64>(&[3]),
        zeros::<f16>(&[3, 1]),
        zeros::<f32>(&[0, 1 << 40, 1 << 40]),
        zeros::<f32>(&[9, 0, 3]),
        zeros::<f32>(&[9, 0]),
        zeros::<i64>(&[2]),
        vector([i64::MIN, i64::MAX]),
        vector([-1i64]),
        zeros::<i8>(&[2, 3]),
        zeros::<u8>(&[3]),
        zeros::<bool>(&[3]),
        zeros::<String>(&[3]),
        Value::sequence(vec![zeros::<f32>(&[1])]),
    ];
    let mut scratch = Scratch::new(Limits { max_elements: 1 << 20, ..Limits::default() });
    let attributes: [&dyn Fn() -> Vec<AttributeProto>; 4] = [
        &Vec::new,
        &|| vec![int("axis", i64::MIN), int("to", 7), string("direction", "LEFT"), int("num_groups", i64::MAX)],
        &|| vec![int("axis", 0), ints("axes", [1, -1, 0]), int("num_groups", 1), int("keepdims", 0), int("to", 8)],
        &|| vec![int("broadcast", 1), int("axis", 1), int("fmod", 1), string("direction", "RIGHT"), int("to", 2)],
    ];
    for (domain, group) in super::GROUPS {
        for (name, _) in *group {
            for (opset, attributes) in [6, 11, 18, 21].into_iter().zip(attributes) {
                let case = Case { op: name, domain, opset, attributes: attributes() };
                for count in 1..=5 {
                    let any = vec![Some(zeros::<f32>(&[])); count];
                    let Ok(compiled) = case.compile(&any, 1, &[]) else { continue };
                    for a in &bag {
                        for b in &bag {
                            let mut inputs = vec![b.clone(); count];
                            inputs[0] = a.clone();
                            let _ = compiled.program.run(inputs, &mut scratch);
                        }
                    }
                }
            }
        }
    }
}
