use super::*;
use crate::table::Columns;
use crate::validate::stats::Random;

/// Predicates as column and code, the score, the size.
type Scored = (Vec<(usize, u32)>, f64, u64);

/// Every slice of the table that scores above 0, best first, by looking at all of them.
fn brute_force(codes: &[Vec<u32>], errors: &[f64], alpha: f64, least: usize, levels: usize, top: usize) -> Vec<Scored> {
    let (n, total) = (errors.len(), errors.iter().sum::<f64>());
    let mut all = Vec::new();
    let mut stack: Vec<Vec<(usize, u32)>> = vec![Vec::new()];
    while let Some(slice) = stack.pop() {
        let from = slice.last().map_or(0, |(c, _)| c + 1);
        for column in from..codes.len() {
            for code in 0..=*codes[column].iter().max().unwrap() {
                let mut child = slice.clone();
                child.push((column, code));
                let inside = |row: &usize| child.iter().all(|&(c, v)| codes[c][*row] == v);
                let rows: Vec<usize> = (0..n).filter(inside).collect();
                let error: f64 = rows.iter().map(|&r| errors[r]).sum();
                if rows.len() >= least && error > 0.0 {
                    let score = slice_score(n as u64, total, rows.len() as u64, error, alpha);
                    if score > 0.0 {
                        all.push((child.clone(), score, rows.len() as u64));
                    }
                    if child.len() < levels {
                        stack.push(child);
                    }
                }
            }
        }
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.len().cmp(&b.0.len())).then(a.0.cmp(&b.0)));
    all.truncate(top);
    all
}

#[test]
fn the_search_finds_what_looking_at_all_slices_finds() {
    for table in 0..1000 {
        let mut r = Random::new(3, table);
        let (rows, columns) = (5 + r.below(80), 1 + r.below(5));
        let codes: Vec<Vec<u32>> = (0..columns)
            .map(|_| {
                let values = 1 + r.below(4);
                (0..rows).map(|_| r.below(values) as u32).collect()
            })
            .collect();
        let errors: Vec<f64> = (0..rows)
            .map(|_| match table % 3 {
                0 => f64::from(r.unit() < 0.3),
                1 => r.unit(),
                _ => r.below(5) as f64,
            })
            .collect();
        if errors.iter().all(|e| *e == 0.0) {
            continue;
        }
        let alpha = [0.5, 0.8, 0.95, 1.0][r.below(4)];
        let (least, levels, top) = (1 + r.below(6), 1 + r.below(5), 1 + r.below(12));
        let finder = SliceFinder::new().alpha(alpha).min_support(least).max_level(levels).top(top);
        let features: Vec<CodedColumn> =
            codes.iter().enumerate().map(|(c, v)| CodedColumn::from_codes(c.to_string(), v.clone())).collect();
        let ours = finder.find(&features, &errors).unwrap();
        let theirs = brute_force(&codes, &errors, alpha, least, levels, top);
        assert_eq!(ours.len(), theirs.len(), "table {table}");
        for (a, (predicates, score, size)) in ours.iter().zip(theirs) {
            let named: Vec<(String, SliceValue)> =
                predicates.iter().map(|&(c, v)| (c.to_string(), SliceValue::Int(v.into()))).collect();
            assert_eq!((&a.predicates, a.score, a.size), (&named, score, size), "table {table}");
            assert!(a.p_value <= a.p_adjusted && a.p_adjusted <= 1.0);
            assert!(a.interval.low <= a.mean_error && a.mean_error <= a.interval.high);
        }
    }
}

#[test]
fn the_search_agrees_with_the_sliceline_package() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/validate/sliceline.json")).unwrap();
    for set in golden.as_array().unwrap() {
        let floats =
            |v: &serde_json::Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
        let errors = floats(&set["errors"]);
        let columns = set["columns"].as_array().unwrap();
        let features: Vec<CodedColumn> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| CodedColumn::from_codes(format!("c{i}"), floats(c).iter().map(|&x| x as u32).collect()))
            .collect();
        for case in set["cases"].as_array().unwrap() {
            let number = |name: &str| case[name].as_u64().unwrap() as usize;
            let scores = floats(&case["scores"]);
            let ours = SliceFinder::new()
                .alpha(case["alpha"].as_f64().unwrap())
                .min_support(number("min_support"))
                .max_level(number("max_level"))
                .top(10)
                .find(&features, &errors)
                .unwrap();
            // The package lists every slice that ties with the tenth.
            assert_eq!(ours.len(), scores.len().min(10), "{}", set["name"]);
            for (i, (slice, score)) in ours.iter().zip(&scores).enumerate() {
                assert!((slice.score - score).abs() < 1e-9, "{} {i}: {} is not {score}", set["name"], slice.score);
            }
            // Scores that stand alone name one slice.
            for (i, predicates) in case["slices"].as_array().unwrap().iter().enumerate() {
                let alone = scores.iter().enumerate().all(|(j, s)| i == j || (s - scores[i]).abs() > 1e-9);
                if alone && i + 1 < ours.len() {
                    let theirs: Vec<(String, SliceValue)> = predicates
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(c, v)| (c.clone(), SliceValue::Int(v.as_i64().unwrap())))
                        .collect();
                    let mut named = ours[i].predicates.clone();
                    named.sort_by(|a, b| a.0.cmp(&b.0));
                    assert_eq!(named, theirs, "{} {i}", set["name"]);
                }
            }
        }
    }
}

#[test]
fn the_published_score() {
    assert_eq!(slice_score(32561, 4966.0, 2756, 993.0, 0.96), 0.875_360_340_007_259_4);
}

#[test]
fn a_table_becomes_codes() {
    let csv = "kind,n,x,wrong\na,1,0.5,1\nb,2,1.5,0\n,2,2.5,0\na,,3.5,1\n";
    let table = Columns::from_bytes(csv.as_bytes(), None).unwrap();
    let found = SliceFinder::new().min_support(1).max_level(1).top(3).find_in(&table, "wrong").unwrap();
    assert_eq!(found[0].to_string(), "kind = a");
    let json = serde_json::to_value(&found[0]).unwrap();
    assert_eq!(json["predicates"]["kind"], "a");
    assert_eq!(json["size"], 2);
    let coded = CodedColumn::from_column("n", table.column("n").unwrap(), 10);
    assert!(coded.values.contains(&SliceValue::Missing));
    let cells: Vec<f64> = (0..100).map(f64::from).collect();
    let bins = quantile_bins(&cells, 4);
    assert_eq!(bins[0].to_string(), "[0, 24]");
    assert_eq!(bins[3].to_string(), "(74, 99]");
    let coded = CodedColumn::from_column("x", &crate::table::Column::Float(cells), 4);
    assert_eq!((0..4).map(|c| coded.codes.iter().filter(|&&x| x == c).count()).collect::<Vec<_>>(), [25; 4]);
}

#[test]
fn bad_errors_are_refused() {
    let table = Columns::from_bytes(b"k,e\na,-1\nb,0\n", None).unwrap();
    let finder = SliceFinder::new();
    assert!(finder.find_in(&table, "e").unwrap_err().to_string().contains("negative"));
    assert_eq!(finder.find_in(&table, "none").unwrap_err().kind(), crate::ErrorKind::NotFound);
    assert_eq!(finder.find_in(&table, "k").unwrap_err().kind(), crate::ErrorKind::WrongType);
    assert!(finder.clone().alpha(0.0).find(&[], &[1.0]).is_err());
    assert!(finder.find(&[CodedColumn::from_codes("a", vec![0])], &[1.0, 0.0]).is_err());
    assert!(finder.find(&[CodedColumn::from_codes("a", vec![0, 1])], &[0.0, 0.0]).unwrap().is_empty());
}

/// Adult as SliceLine's authors prepared it, with the errors of their model; see `make_adult.py`.
fn adult() -> (Vec<CodedColumn>, Vec<f64>, serde_json::Value) {
    let tensors = crate::table::read_npz(include_bytes!("../../../tests/data/validate/adult.npz")).unwrap();
    let (codes, errors) = (tensors.get::<u8>("x").unwrap(), tensors.get::<u8>("errors").unwrap());
    let codes = codes.into_dimensionality::<crate::ndarray::Ix2>().unwrap();
    let columns = codes.columns().into_iter().enumerate();
    let features = columns.map(|(i, c)| CodedColumn::from_codes(format!("{i}"), c.iter().map(|&x| x.into()).collect()));
    let golden = serde_json::from_str(include_str!("../../../tests/data/validate/adult.json")).unwrap();
    (features.collect(), errors.iter().map(|&e| e.into()).collect(), golden)
}

#[test]
fn adult_comes_out_as_published() {
    let (features, errors, golden) = adult();
    assert_eq!((errors.len(), errors.iter().sum::<f64>()), (32561, 4966.0));
    let finder = SliceFinder::new().alpha(0.95).min_support(326).top(10);
    let best = golden["best_by_level"].as_array().unwrap();
    for (level, published) in (1..).zip(best).take(6) {
        let found = finder.clone().max_level(level).find(&features, &errors).unwrap();
        let (ours, published) = (found[0].score, published.as_f64().unwrap());
        assert!((ours - published).abs() < 1e-12, "level {level}: {ours} is not {published}");
    }
    for (alpha, list) in golden["top_by_alpha"].as_object().unwrap() {
        let found = finder.clone().alpha(alpha.parse().unwrap()).max_level(3).find(&features, &errors).unwrap();
        for (slice, published) in found.iter().zip(list.as_array().unwrap()) {
            let number = |name: &str| published[name].as_f64().unwrap();
            let wrong = (slice.mean_error * slice.size as f64).round();
            assert_eq!((slice.size as f64, wrong), (number("size"), number("errors")), "alpha {alpha}: {slice}");
            assert!((slice.score - number("score")).abs() < 1e-12, "alpha {alpha}: {slice}");
        }
    }
}

#[test]
fn rare_values_cost_nothing_and_change_nothing() {
    let mut r = Random::new(17, 0);
    let rows = 4000;
    let plan: Vec<u32> = (0..rows).map(|_| r.below(3) as u32).collect();
    // A column of identifiers with one value that is frequent.
    let id: Vec<u32> = (0..rows).map(|row| if row % 10 == 0 { 2500 } else { row as u32 }).collect();
    let constant = CodedColumn::from_codes("constant", vec![0; rows]);
    let errors: Vec<f64> = (0..rows).map(|i| f64::from(u8::from(plan[i] == 1 && id[i] == 2500))).collect();
    let features = [CodedColumn::from_codes("plan", plan), CodedColumn::from_codes("id", id), constant];
    let found = SliceFinder::new().find(&features, &errors).unwrap();
    assert_eq!(found[0].to_string(), "plan = 1 and id = 2500");
    assert_eq!(found[0].mean_error, 1.0);
    // The same rows with the constant are a slice of their own.
    assert_eq!(found[1].predicates.len(), 3);
    assert_eq!(found[1].score, found[0].score);
    assert!(found.iter().all(|s| s.predicates.iter().all(|(c, v)| c != "id" || *v == SliceValue::Int(2500))));
}
