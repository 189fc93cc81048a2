use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ndarray::{Array3, array};

use super::super::*;
use super::*;
use crate::{ErrorKind, Tensors, tensors};

/// Two outputs, of labels and of probabilities with class names.
fn answers() -> (Signature, Tensors<'static>) {
    let classes = vec!["no".to_string(), "yes".to_string()];
    let signature = Signature::new(
        Vec::new(),
        vec![
            TensorSpec::new("label", DType::String, [Dim::Batch]),
            TensorSpec::new("p", DType::F32, [Dim::Batch, Dim::Fixed(2)]).with_features(classes),
            TensorSpec::new("score", DType::F64, [Dim::Batch, Dim::Fixed(1)]),
        ],
    );
    let outputs = tensors! {
        "label" => vec!["a,\"b\"".to_string(), "größe".to_string()],
        "p" => array![[0.1f32, 0.9], [1e-30, f32::NAN]],
        "score" => array![[1.0f64], [f64::INFINITY]],
    }
    .unwrap();
    (signature, outputs)
}

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("modelberth-out-{}-{name}", std::process::id()))
}

fn written(name: &str, signature: &Signature, batches: &[&Tensors<'_>]) -> Vec<u8> {
    let path = place(name);
    let mut writer = TableWriter::create(&path, signature).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    assert!(!path.exists());
    writer.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
}

#[test]
fn csv_has_a_column_per_output_or_class() {
    let (signature, outputs) = answers();
    let text = String::from_utf8(written("a.csv", &signature, &[&outputs, &outputs.rows(0..1).unwrap()])).unwrap();
    assert_eq!(
        text,
        "label,p_no,p_yes,score\n\
         \"a,\"\"b\"\"\",0.1,0.9,1.0\n\
         größe,1e-30,NaN,inf\n\
         \"a,\"\"b\"\"\",0.1,0.9,1.0\n"
    );
}

#[test]
fn outputs_come_back_as_the_inputs_of_the_next_model() {
    let (named, outputs) = answers();
    let unnamed = named.outputs().iter().map(|s| s.clone().with_features(Vec::new())).collect();
    let signature = Signature::new(Vec::new(), unnamed);
    let inputs = Signature::new(signature.outputs().to_vec(), Vec::new());
    let both = Tensors::concat_rows(&[outputs.as_view(), outputs.as_view()]).unwrap();
    for name in ["a.npz", "a.parquet", "a.csv"] {
        let bytes = written(name, &signature, &[&outputs, &outputs]);
        let back = TableReader::from_bytes(name, bytes, &inputs, &TableOptions::default()).unwrap();
        // As text, since NaN is not equal to itself.
        assert_eq!(format!("{:?}", back.read_all().unwrap()), format!("{both:?}"), "{name}");
    }
}

#[test]
fn every_type_survives_parquet_and_npz() {
    macro_rules! check {
        ($($t:ty: $values:expr),* $(,)?) => {$({
            let values: Vec<$t> = $values;
            let dtype = <$t as crate::Element>::DTYPE;
            let outputs = Tensors::one("v", values.clone());
            let signature = Signature::new(Vec::new(), vec![TensorSpec::new("v", dtype, [Dim::Batch])]);
            let inputs = Signature::new(signature.outputs().to_vec(), Vec::new());
            for name in ["t.npz", "t.parquet", "t.npy", "t.csv"] {
                let bytes = written(&format!("{dtype}-{name}"), &signature, &[&outputs]);
                let back = TableReader::from_bytes(name, bytes, &inputs, &TableOptions::default()).unwrap();
                assert_eq!(back.read_all().unwrap().tensor("v").unwrap().as_slice::<$t>().unwrap(), values, "{dtype} {name}");
            }
        })*};
    }
    use half::{bf16, f16};
    check! {
        bool: vec![true, false], u8: vec![0, u8::MAX], u16: vec![0, u16::MAX], u32: vec![0, u32::MAX],
        u64: vec![0, u64::MAX], i8: vec![i8::MIN, i8::MAX], i16: vec![i16::MIN, i16::MAX],
        i32: vec![i32::MIN, i32::MAX], i64: vec![i64::MIN, i64::MAX],
        f16: vec![f16::MIN, f16::EPSILON], bf16: vec![bf16::MIN, bf16::EPSILON],
        f32: vec![f32::MIN, f32::MIN_POSITIVE, 0.1], f64: vec![f64::MIN, f64::MIN_POSITIVE, 0.1],
        String: vec!["x".into(), "\u{1f980}, \"quoted\"\nline".into()],
    }
}

#[test]
fn types_are_numpys() {
    let outputs =
        tensors! { "h" => vec![half::f16::ONE], "b" => vec![half::bf16::ONE], "s" => vec!["abc".to_string()] };
    let bytes = written("types.npz", &Signature::default(), &[&outputs.unwrap()]);
    let has = |needle: &str| bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
    assert!(has("h.npy") && has("'<f2'") && has("b.npy") && has("'<f4'") && has("s.npy") && has("'<U3'"));
}

#[test]
fn higher_ranks_fit_only_an_archive() {
    let dims = [Dim::Batch, Dim::Fixed(2), Dim::Fixed(2)];
    let signature = Signature::new(Vec::new(), vec![TensorSpec::new("image", DType::F32, dims)]);
    let outputs = Tensors::one("image", Array3::<f32>::zeros((1, 2, 2)));
    assert!(!written("rank.npz", &signature, &[&outputs]).is_empty());
    for name in ["rank.csv", "rank.parquet"] {
        let path = place(name);
        let mut writer = TableWriter::create(&path, &signature).unwrap();
        let e = writer.write(&outputs).unwrap_err();
        assert!(e.kind() == ErrorKind::Unsupported && e.message().contains(".npz"), "{e}");
        drop(writer);
        assert!(!path.exists());
    }
}

#[test]
fn nothing_follows_a_first_batch_that_could_not_be_written() {
    let signature = Signature::new(Vec::new(), vec![TensorSpec::new("x", DType::F32, [Dim::Batch])]);
    let good = Tensors::one("x", vec![1.0f32]);
    let bad = Tensors::one("x", Array3::<f32>::zeros((1, 2, 2)));
    let mut writer = TableWriter::create(place("failed.csv"), &signature).unwrap();
    assert_eq!(writer.write(&bad).unwrap_err().kind(), ErrorKind::Unsupported);
    // Nothing is there to write to any more: to accept a batch would be to lose it.
    assert!(writer.write(&good).unwrap_err().message().contains("first batch"));
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!place("failed.csv").exists());
}

#[test]
fn no_file_is_left_when_a_writer_is_dropped() {
    let (signature, outputs) = answers();
    let folder = place("folder");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a.csv", "a.npz", "a.parquet"] {
        let mut writer = TableWriter::create(folder.join(name), &signature).unwrap();
        writer.write(&outputs).unwrap();
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn bad_places_and_formats_are_refused() {
    let (signature, _) = answers();
    let create = |name: &str| TableWriter::create(name, &signature).unwrap_err();
    assert!(create("answers.xlsx").to_string().contains(".parquet"));
    assert!(create("answers.npy").to_string().contains("several outputs"));
    assert_eq!(create("/no/such/folder/a.csv").kind(), ErrorKind::NotFound);
    let twice = tensors! { "a_0" => vec![1.0f32], "a" => array![[1.0f32, 2.0]] }.unwrap();
    let mut writer = TableWriter::to_stream("test", std::io::sink(), TableFormat::Csv, &Signature::default()).unwrap();
    assert_eq!(writer.write(&twice).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_format_goes_to_a_stream() {
    let (signature, outputs) = answers();
    for format in [TableFormat::Csv, TableFormat::Npz, TableFormat::Parquet] {
        let out = Shared::default();
        let mut writer = TableWriter::to_stream("test", out.clone(), format, &signature).unwrap();
        writer.write(&outputs).unwrap();
        assert_eq!(writer.rows_written(), 2);
        writer.finish().unwrap();
        assert_eq!(TableFormat::sniff(&out.0.lock().unwrap()), format);
    }
}
