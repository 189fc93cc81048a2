use super::super::*;
use super::*;
use crate::{Error, ErrorKind, Result, Tensors};

fn csv(text: &str, signature: &Signature) -> Result<Tensors<'static>> {
    TableReader::from_bytes("test.csv", text.as_bytes(), signature, &TableOptions::default())?.read_all()
}

fn refused(text: &str, signature: &Signature) -> Error {
    csv(text, signature).unwrap_err()
}

fn check_mixed(read: &Tensors<'_>, name: &str) {
    let ages = read.get::<f32>("age").unwrap();
    assert_eq!(ages.shape(), [3, 1], "{name}");
    // 43.1 as f32 is what rounding the decimal text gives, and what rounding the f64 gives.
    assert!(ages[[0, 0]] == 43.1 && ages[[1, 0]] == 46.6 && ages[[2, 0]].is_nan(), "{name}: {ages}");
    assert_eq!(read.tensor("visits").unwrap().as_slice::<i32>().unwrap(), [1, 2, 3], "{name}");
    assert_eq!(read.tensor("plan").unwrap().as_slice::<String>().unwrap(), ["ent", "", "pro, max"], "{name}");
}

#[test]
fn one_frame_in_every_format() {
    for name in [
        "mixed.npz",
        "mixed_compressed.npz",
        "mixed.csv",
        "mixed_snappy.parquet",
        "mixed_zstd.parquet",
        "mixed_gzip.parquet",
        "mixed_lz4.parquet",
        "mixed_brotli.parquet",
        "mixed_None.parquet",
        "mixed_float_visits.parquet",
    ] {
        let read = TableReader::open(golden(name), &mixed()).unwrap().read_all().unwrap();
        check_mixed(&read, name);
        // The same from memory, and in batches.
        let bytes = std::fs::read(golden(name)).unwrap();
        let mut reader =
            TableReader::from_reader("memory", std::io::Cursor::new(bytes), &mixed(), &TableOptions::default())
                .unwrap();
        let mut parts = Vec::new();
        while let Some(part) = reader.next_batch(2).unwrap() {
            parts.push(part);
        }
        assert_eq!(parts.len(), 2, "{name}");
        check_mixed(&Tensors::concat_rows(&parts).unwrap(), name);
        assert_eq!((reader.rows_read(), reader.total_rows().unwrap_or(3)), (3, 3), "{name}");
    }
}

#[test]
fn categories_and_the_index_of_pandas_are_read_as_columns() {
    let read = TableReader::open(golden("mixed_categorical_indexed.parquet"), &mixed()).unwrap().read_all().unwrap();
    assert_eq!(read.tensor("plan").unwrap().as_slice::<String>().unwrap(), ["ent", "", "pro, max"]);
    assert!(read.get::<f32>("age").unwrap()[[0, 0]].is_nan());
}

#[test]
fn values_of_parquet_that_do_not_survive_name_row_and_column() {
    for (name, kind, row) in [
        ("mixed_fraction.parquet", ErrorKind::InvalidValue, Some(1)),
        ("mixed_null.parquet", ErrorKind::InvalidValue, Some(1)),
        ("mixed_dates.parquet", ErrorKind::InvalidValue, Some(0)),
    ] {
        let e = TableReader::open(golden(name), &mixed()).unwrap().read_all().unwrap_err();
        assert_eq!((e.kind(), e.row_index()), (kind, row), "{name}: {e}");
        assert!(matches!(e.column_name(), Some("visits" | "age")), "{name}: {e}");
    }
}

#[test]
fn a_matrix_takes_columns_by_position_when_their_number_fits() {
    for name in ["x.parquet", "x_lf8.npy", "x_fortran.npy", "x_li8.npy", "one_in.npz"] {
        let read = TableReader::open(golden(name), &matrix(DType::F32)).unwrap().read_all().unwrap();
        let expected: Vec<f32> = (0u8..12).map(f32::from).collect();
        assert_eq!(read.tensor("X").unwrap().shape(), [3, 4], "{name}");
        assert_eq!(read.tensor("X").unwrap().as_slice::<f32>().unwrap(), expected, "{name}");
    }
    let e = TableReader::open(golden("two_in.npz"), &matrix(DType::F32)).unwrap_err();
    assert!(e.kind() == ErrorKind::MissingInput && e.to_string().contains("in:a"), "{e}");
    for (text, columns) in [("a,b,c\n1,2,3\n", "3 columns"), ("a,b,c,d,e\n1,2,3,4,5\n", "5 columns")] {
        let e = refused(text, &matrix(DType::F32));
        assert_eq!(e.kind(), ErrorKind::WrongShape);
        assert!(e.to_string().contains(columns) && e.to_string().contains("`b`"), "{e}");
    }
    assert!(refused("a;b;c;d\n1;2;3;4\n", &matrix(DType::F32)).to_string().contains("commas"));
}

#[test]
fn a_matrix_takes_columns_by_name_in_any_order() {
    let features = ["a", "b", "c", "d"].map(String::from).to_vec();
    let spec = TensorSpec::new("X", DType::F32, [Dim::Batch, Dim::Fixed(4)]).with_features(features);
    let named = Signature::new(vec![spec], Vec::new());
    let read = csv("d,c,b,a\n4,3,2,1\n", &named).unwrap();
    assert_eq!(read.tensor("X").unwrap().as_slice::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    let e = refused("d,c,b,z\n4,3,2,1\n", &named);
    assert_eq!(e.kind(), ErrorKind::MissingInput);
    assert!(e.message().contains("`a`") && e.to_string().contains("`z`"), "{e}");
    let read = csv("X_3,X_2,X_1,X_0\n4,3,2,1\n", &matrix(DType::F32)).unwrap();
    assert_eq!(read.tensor("X").unwrap().as_slice::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    assert!(refused("a,a,b,c,d\n1,2,3,4,5\n", &named).to_string().contains("two columns"));
}

#[test]
fn missing_and_extra_columns_are_named() {
    let e = refused("age,plan\n1,a\n", &mixed());
    assert_eq!(e.kind(), ErrorKind::MissingInput);
    assert!(e.message().contains("`visits`") && e.actual_text().unwrap().contains("`plan`"), "{e}");
    let extra = "age,visits,plan,id\n1,2,a,9\n";
    let e = refused(extra, &mixed());
    assert!(e.kind() == ErrorKind::InvalidArgument && e.message().contains("`id`"), "{e}");
    let e = refused(",age,visits,plan\n0,1,2,a\n", &mixed());
    assert!(e.message().contains("index=False"), "{e}");
    let options = TableOptions::default().extra_columns(true);
    let read = TableReader::from_bytes("t", extra, &mixed(), &options).unwrap().read_all().unwrap();
    assert_eq!(read.len(), 3);
    let e = TableReader::open(golden("one_in.npz"), &mixed()).unwrap_err();
    assert!(e.kind() == ErrorKind::MissingInput && e.message().contains("`age`"), "{e}");
    let e = TableReader::open(golden("x_lf4.npy"), &mixed()).unwrap_err();
    assert!(e.kind() == ErrorKind::MissingInput && e.message().contains("savez"), "{e}");
}

#[test]
fn ragged_rows_are_counted() {
    for (text, row, cells) in
        [("age,visits,plan\n1,2,a\n1,2\n", 1, "2 cells"), ("age,visits,plan\n1,2,a,b\n", 0, "4 cells")]
    {
        let e = refused(text, &mixed());
        assert_eq!((e.kind(), e.row_index()), (ErrorKind::Malformed, Some(row)));
        assert!(e.to_string().contains(cells) && e.to_string().contains("rows count from 0"), "{e}");
    }
}

#[test]
fn a_table_without_rows_gives_one_batch_of_none() {
    let mut reader = TableReader::from_bytes("t", "age,visits,plan\n", &mixed(), &TableOptions::default()).unwrap();
    let none = reader.next_batch(100).unwrap().unwrap();
    assert!(none.iter().all(|(_, t)| t.shape() == [0, 1]));
    assert!(reader.next_batch(100).unwrap().is_none());
    for name in ["no_rows.npy", "no_rows.parquet"] {
        let mut reader = TableReader::open(golden(name), &matrix(DType::F32)).unwrap();
        assert_eq!(reader.next_batch(8).unwrap().unwrap().tensor("X").unwrap().shape(), [0, 4], "{name}");
        assert!(reader.next_batch(8).unwrap().is_none(), "{name}");
    }
    assert_eq!(refused("", &mixed()).kind(), ErrorKind::Malformed);
}

#[test]
fn text_becomes_the_declared_type_or_an_error() {
    let cell = |text: &str, dtype| {
        csv(&format!("v\n0\n\"{text}\"\n"), &single(dtype))
            .map(|t| t.tensor("v").unwrap().rows(1..2).unwrap().into_owned())
    };
    let float = |text: &str| cell(text, DType::F32).unwrap().as_slice::<f32>().unwrap()[0];
    // Through f64 this would round twice, to 1.0 and not to the next float above.
    assert_eq!(float("1.00000005960464484375000001"), 1.000_000_1);
    assert_eq!((float(" 2.5 "), float("1e-3"), float("+7"), float("-inf")), (2.5, 1e-3, 7.0, f32::NEG_INFINITY));
    assert!(float("").is_nan() && float("nan").is_nan() && float("NaN").is_nan());
    for (text, dtype) in
        [("3", DType::I64), ("3.0", DType::I64), ("3e0", DType::U8), ("1", DType::Bool), ("True", DType::Bool)]
    {
        cell(text, dtype).unwrap();
    }
    assert_eq!(cell("9223372036854775807", DType::I64).unwrap().as_slice::<i64>().unwrap(), [i64::MAX]);
    for (text, dtype, says) in [
        ("abc", DType::F32, "not a number"),
        ("1e39", DType::F32, "infinite"),
        ("65520", DType::F16, "infinite"),
        ("1e999", DType::F64, "infinite"),
        ("2.5", DType::I64, "fraction"),
        ("", DType::I64, "empty"),
        ("nan", DType::I64, "not a number"),
        ("256", DType::U8, "range"),
        ("-1", DType::U64, "range"),
        ("9223372036854775808", DType::I64, "range"),
        ("2", DType::Bool, "neither true nor false"),
    ] {
        let e = cell(text, dtype).unwrap_err();
        assert_eq!((e.kind(), e.row_index(), e.column_name()), (ErrorKind::InvalidValue, Some(1), Some("v")), "{e}");
        assert!(e.message().contains(says), "{text} as {dtype}: {e}");
    }
    assert_eq!(cell("nan", DType::String).unwrap().as_slice::<String>().unwrap(), ["nan"]);
    assert_eq!(cell("", DType::String).unwrap().as_slice::<String>().unwrap(), [""]);
}

#[test]
fn arrays_become_the_declared_type_or_an_error() {
    let read = TableReader::open(golden("column.npy"), &single(DType::F32)).unwrap().read_all().unwrap();
    let values = read.get::<f32>("v").unwrap();
    assert!(
        values.shape() == [3, 1] && values[[0, 0]] == 1.5 && values[[1, 0]].is_nan() && values[[2, 0]].is_infinite()
    );
    let mut reader = TableReader::open(golden("column.npy"), &single(DType::I64)).unwrap();
    let e = reader.next_batch(2).unwrap_err();
    assert!(e.kind() == ErrorKind::InvalidValue && e.row_index() == Some(0) && e.message().contains("fraction"), "{e}");
    // The row is counted from the start of the data set, not of the batch.
    let text = "v\n1\n2\n3\nx\n";
    let mut reader = TableReader::from_bytes("t", text, &single(DType::F32), &TableOptions::default()).unwrap();
    reader.next_batch(2).unwrap();
    assert_eq!(reader.next_batch(2).unwrap_err().row_index(), Some(3));
    let e = TableReader::open(golden("x_lf4.npy"), &single(DType::String)).unwrap().read_all().unwrap_err();
    assert!(e.message().contains("takes strings"), "{e}");
    let numbers = TableReader::open(golden("x_li8.npy"), &matrix(DType::String)).unwrap().read_all().unwrap();
    assert_eq!(numbers.tensor("X").unwrap().as_slice::<String>().unwrap()[11], "11");
}

#[test]
fn lengths_that_differ_are_named() {
    let both = Signature::new(vec![column("a", DType::F32), column("b", DType::F32)], Vec::new());
    let path = std::env::temp_dir().join(format!("modelberth-lengths-{}.npz", std::process::id()));
    let outputs = Signature::default();
    let mut writer = TableWriter::create(&path, &outputs).unwrap();
    writer.write(&crate::tensors! { "a" => vec![1.0f32, 2.0], "b" => vec![1.0f32] }.unwrap()).unwrap();
    writer.finish().unwrap();
    let e = TableReader::open(&path, &both).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(e.kind() == ErrorKind::WrongShape && e.tensor_name() == Some("b"), "{e}");
}

#[test]
fn a_table_of_numbers_without_a_header_is_read_from_its_first_line() {
    let options = TableOptions::default();
    for (text, headless, rows) in [
        ("0.5,1,2,3\n4,5,6,7\n", true, 2),
        ("0,1,2,3\n4,5,6,7\n", false, 1),
        ("1,2,3,4\n4,5,6,7\n", false, 1),
        ("a,1,2,3\n4,5,6,7\n", false, 1),
    ] {
        let mut reader = TableReader::from_bytes("t", text, &matrix(DType::F32), &options).unwrap();
        assert_eq!(reader.is_headless(), headless, "{text}");
        assert_eq!(reader.next_batch(9).unwrap().unwrap().tensor("X").unwrap().shape(), [rows, 4], "{text}");
    }
}

#[test]
fn what_is_no_table_is_refused() {
    let open = |name: &str| TableReader::open(golden(name), &mixed()).unwrap_err();
    assert_eq!(open("absent.csv").kind(), ErrorKind::NotFound);
    assert_eq!(open("").kind(), ErrorKind::InvalidArgument);
    let options = TableOptions::default();
    for bytes in [&b"\x00\x01\x02"[..], b"\xff\xfe,a\n", b"PK\x03\x04 nothing", b"PAR1 nothing", b"\x93NUMPY"] {
        let e = TableReader::from_bytes("t", bytes, &mixed(), &options).unwrap_err();
        assert_eq!((e.kind(), e.file_name()), (ErrorKind::Malformed, Some("t")), "{e}");
    }
    let e =
        TableReader::from_bytes("t", "age,visits,plan\n1,2,a\n", &mixed(), &options.clone().max_bytes(4)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::LimitExceeded);
    // Text under the name of a binary format.
    let path = std::env::temp_dir().join(format!("modelberth-wrong-{}.npz", std::process::id()));
    std::fs::write(&path, "age,visits,plan\n").unwrap();
    let e = TableReader::open(&path, &mixed()).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(e.kind() == ErrorKind::Malformed && e.message().contains("extension"), "{e}");
}

#[test]
fn broken_archives_and_files_are_errors() {
    for name in ["mixed_compressed.npz", "mixed_snappy.parquet"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        let read = |bytes: &[u8]| {
            TableReader::from_bytes("t", bytes, &mixed(), &TableOptions::default()).and_then(TableReader::read_all)
        };
        for end in (4..bytes.len()).step_by(7) {
            assert!(read(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
        for at in (0..bytes.len()).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x41;
            let _ = read(&flipped);
        }
    }
}

#[test]
fn all_arrays_of_an_archive() {
    let read = read_npz(&std::fs::read(golden("one_in.npz")).unwrap()).unwrap();
    assert_eq!(read.tensor("in:whatever").unwrap().shape(), [3, 4]);
    assert_eq!(read.get::<i64>("ort:y").unwrap()[[2, 3]], 11);
    let e = read_npz(&std::fs::read(golden("mixed.npz")).unwrap()).unwrap_err();
    assert_eq!((e.kind(), e.tensor_name()), (ErrorKind::Unsupported, Some("junk")));
}
