use super::{super::proto::data_location, *};
use half::{bf16, f16};
use std::sync::atomic::{AtomicU32, Ordering};

const MOST: usize = 1 << 20;

fn tensor(code: i32, dims: &[i64]) -> TensorProto {
    TensorProto { name: Some("w".into()), data_type: Some(code), dims: dims.to_vec(), ..Default::default() }
}

fn kind(tensor: &TensorProto) -> ErrorKind {
    let error = tensor.to_dense(None, MOST).unwrap_err();
    assert_eq!(error.tensor_name(), Some("w"), "{error}");
    error.kind()
}

#[test]
fn every_type_round_trips() {
    let all: Vec<TensorData> = vec![
        vec![true, false].into(),
        vec![1_u8, 255].into(),
        vec![1_u16, u16::MAX].into(),
        vec![1_u32, u32::MAX].into(),
        vec![1_u64, u64::MAX].into(),
        vec![-1_i8, 127].into(),
        vec![-1_i16, i16::MAX].into(),
        vec![-1_i32, i32::MIN].into(),
        vec![-1_i64, i64::MIN].into(),
        vec![f16::from_f32(0.5), f16::MAX].into(),
        vec![bf16::from_f32(0.5), bf16::MIN].into(),
        vec![-0.5_f32, f32::INFINITY].into(),
        vec![-0.5_f64, f64::MIN_POSITIVE].into(),
        vec![String::new(), String::from("naïve")].into(),
    ];
    for data in all {
        let dense = DenseTensor::new(vec![2, 1], data).unwrap();
        let bytes = TensorProto::from_dense("w", &dense).encode_to_vec();
        let proto = TensorProto::decode(bytes, &DecodeLimits::default()).unwrap();
        assert_eq!(proto.to_dense(None, 2).unwrap(), dense);
        assert_eq!(proto.to_dense(None, 1).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
    assert!(DenseTensor::new(vec![usize::MAX, 2], vec![0_u8]).is_err());
}

#[test]
fn typed_fields_are_read() {
    let of = |code, values: &[i32]| {
        let proto = TensorProto { int32_data: values.to_vec(), ..tensor(code, &[values.len() as i64]) };
        proto.to_dense(None, MOST).map(|dense| dense.data)
    };
    assert_eq!(of(data_type::FLOAT16, &[0x3c00]).unwrap(), TensorData::F16(vec![f16::ONE]));
    assert_eq!(of(data_type::BFLOAT16, &[0x3f80]).unwrap(), TensorData::Bf16(vec![bf16::ONE]));
    assert_eq!(of(data_type::BOOL, &[0, 1]).unwrap(), TensorData::Bool(vec![false, true]));
    assert_eq!(of(data_type::INT8, &[-128]).unwrap(), TensorData::I8(vec![-128]));
    assert_eq!(of(data_type::UINT8, &[255]).unwrap(), TensorData::U8(vec![255]));
    assert_eq!(of(data_type::INT16, &[-2]).unwrap(), TensorData::I16(vec![-2]));
    assert_eq!(of(data_type::UINT16, &[65535]).unwrap(), TensorData::U16(vec![65535]));
    for (code, value) in [(data_type::UINT8, -1), (data_type::INT8, 128), (data_type::FLOAT16, 65536)] {
        assert_eq!(of(code, &[value]).unwrap_err().kind(), ErrorKind::Malformed);
    }
    let wide = TensorProto { uint64_data: vec![7], ..tensor(data_type::UINT32, &[]) };
    assert_eq!(wide.to_dense(None, MOST).unwrap(), DenseTensor { dims: vec![], data: TensorData::U32(vec![7]) });
    let wide = TensorProto { uint64_data: vec![1 << 32], ..tensor(data_type::UINT32, &[]) };
    assert_eq!(kind(&wide), ErrorKind::Malformed);
}

#[test]
fn empty_tensors_are_read() {
    for code in [data_type::FLOAT, data_type::STRING, data_type::INT64, data_type::BOOL] {
        for raw_data in [None, Some(Bytes::default())] {
            let dense = TensorProto { raw_data, ..tensor(code, &[2, 0]) }.to_dense(None, MOST).unwrap();
            assert_eq!((dense.dims, dense.data.len()), (vec![2, 0], 0));
        }
    }
}

#[test]
fn hostile_tensors_are_refused() {
    let raw = |code, dims: &[i64], bytes: &[u8]| TensorProto { raw_data: Some(bytes.into()), ..tensor(code, dims) };
    let malformed = [
        raw(data_type::FLOAT, &[-1], &[]),
        raw(data_type::FLOAT, &[i64::MIN], &[]),
        raw(data_type::FLOAT, &[1 << 31, 1 << 31, 2], &[]),
        raw(data_type::FLOAT, &[0, i64::MAX], &[]),
        raw(data_type::FLOAT, &[1000], &[0; 8]),
        raw(data_type::FLOAT, &[1], &[0; 5]),
        raw(data_type::FLOAT, &[], &[]),
        raw(data_type::STRING, &[1], &[0]),
        raw(data_type::STRING, &[1], &[]),
        raw(data_type::UNDEFINED, &[1], &[0]),
        TensorProto { float_data: vec![1.0], ..raw(data_type::FLOAT, &[1], &[0; 4]) },
        TensorProto { float_data: vec![1.0], ..tensor(data_type::INT64, &[1]) },
        TensorProto { float_data: vec![1.0, 2.0], ..tensor(data_type::FLOAT, &[1]) },
        TensorProto { string_data: vec![vec![0xff]], ..tensor(data_type::STRING, &[1]) },
        TensorProto { data_location: Some(9), ..tensor(data_type::FLOAT, &[1]) },
        TensorProto { data_location: Some(data_location::EXTERNAL), ..tensor(data_type::FLOAT, &[1]) },
    ];
    for tensor in &malformed {
        assert_eq!(kind(tensor), ErrorKind::Malformed, "{tensor:?}");
    }
    for code in [data_type::INT4, data_type::FLOAT8E4M3FN, data_type::COMPLEX64, 99] {
        let error = tensor(code, &[1]).to_dense(None, MOST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(data_type::name(code)), "{error}");
    }
    let segment = TensorProto { segment: Some(Box::default()), ..tensor(data_type::FLOAT, &[0]) };
    assert_eq!(kind(&segment), ErrorKind::Unsupported);
    // Three gigabytes declared and none there: refused for the bytes where the limit allows the count.
    let big = raw(data_type::FLOAT, &[750_000_000], &[0; 1000]);
    assert_eq!(kind(&big), ErrorKind::LimitExceeded);
    assert_eq!(big.to_dense(None, usize::MAX).unwrap_err().kind(), ErrorKind::Malformed);
    let strings = tensor(data_type::STRING, &[1 << 40]);
    assert_eq!(strings.to_dense(None, usize::MAX).unwrap_err().kind(), ErrorKind::Malformed);
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("modelberth-onnx-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("model/weights")).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn external(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
        ..Default::default()
    };
    TensorProto {
        data_location: Some(data_location::EXTERNAL),
        external_data: entries.iter().map(entry).collect(),
        ..tensor(data_type::INT16, &[2])
    }
}

#[test]
fn external_data_is_read() {
    let folder = Folder::new();
    fs::write(folder.0.join("model/weights/w.bin"), [9, 9, 1, 0, 0xff, 0xff, 7]).unwrap();
    let data = ExternalData::new(folder.0.join("model"));
    for location in ["weights/w.bin", "./weights/w.bin"] {
        for length in [None, Some(("length", "4"))] {
            let entries: Vec<_> = [("location", location), ("offset", "2")].into_iter().chain(length).collect();
            let dense = external(&entries).to_dense(Some(&data), MOST).unwrap();
            assert_eq!(dense.data, TensorData::I16(vec![1, -1]));
        }
    }
    assert_eq!(data.used(), ["weights/w.bin"]);
    let error = external(&[("location", "weights/w.bin")]).to_dense(None, MOST).unwrap_err();
    assert!(error.message().contains("from memory"), "{error}");
}

#[test]
fn much_external_data_is_mapped_from_any_offset() {
    let folder = Folder::new();
    let numbers: Vec<i16> = (0..700_001i32).map(|i| (i % 30_011) as i16).collect();
    let bytes: Vec<u8> = [7].into_iter().chain(numbers.iter().flat_map(|n| n.to_le_bytes())).collect();
    fs::write(folder.0.join("model/weights/w.bin"), &bytes).unwrap();
    let data = ExternalData::new(folder.0.join("model"));
    let tensor = TensorProto { dims: vec![700_001], ..external(&[("location", "weights/w.bin"), ("offset", "1")]) };
    let raw = data.read(&tensor, 1_400_002).unwrap();
    assert_eq!(raw[..], bytes[1..]);
    // Given back, it is read again.
    raw.release();
    raw.slice(100, 5_000).release();
    assert_eq!(raw[..], bytes[1..]);
    assert_eq!(tensor.to_dense(Some(&data), MOST).unwrap().data, TensorData::I16(numbers));
    let past = TensorProto { dims: vec![700_002], ..tensor };
    assert_eq!(past.to_dense(Some(&data), MOST).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn external_data_stays_in_the_directory() {
    let folder = Folder::new();
    fs::write(folder.0.join("secret"), [0; 64]).unwrap();
    fs::write(folder.0.join("model/w.bin"), [0; 6]).unwrap();
    let data = ExternalData::new(folder.0.join("model"));
    let absolute = folder.0.join("model/w.bin");
    #[allow(unused_mut, reason = "links are tested where they exist")]
    let mut refused: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("location", "")],
        vec![("location", ".")],
        vec![("location", "weights")],
        vec![("location", "../secret")],
        vec![("location", "weights/../../secret")],
        vec![("location", absolute.to_str().unwrap())],
        vec![("location", "w.bin"), ("offset", "3")],
        vec![("location", "w.bin"), ("offset", "18446744073709551615")],
        vec![("location", "w.bin"), ("offset", "-1")],
        vec![("location", "w.bin"), ("length", "5")],
        vec![("location", "w.bin"), ("length", "x")],
    ];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(folder.0.join("secret"), folder.0.join("model/link")).unwrap();
        symlink(&folder.0, folder.0.join("model/out")).unwrap();
        symlink("w.bin", folder.0.join("model/inside")).unwrap();
        refused.extend([vec![("location", "link")], vec![("location", "out/secret")]]);
        assert!(external(&[("location", "inside")]).to_dense(Some(&data), MOST).is_ok());
    }
    for entries in refused {
        let error = external(&entries).to_dense(Some(&data), MOST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{entries:?}: {error}");
        assert_eq!(error.tensor_name(), Some("w"));
        if let Some((_, location)) = entries.first() {
            assert!(error.message().contains(location), "{error}");
        }
    }
    let error = external(&[("location", "absent")]).to_dense(Some(&data), MOST).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
