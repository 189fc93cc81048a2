use super::*;
use crate::ndarray::{Array2, array};
use crate::table::{Column, Columns};
use crate::validate::stats::Random;
use crate::validate::{Metric, Task};
use crate::{ErrorKind, LinearModel, Link, Model, Tensors, tensors};

const ROWS: usize = 2000;

/// A model of two columns that is right where `country` is not `FR`, and guesses where it is.
fn data() -> (LinearModel, Tensors<'static>, Columns) {
    let model = LinearModel::new(array![[4.0], [0.0]], array![0.0], Link::Logistic)
        .unwrap()
        .feature_names(["income", "name"])
        .unwrap()
        .class_names(["no", "yes"])
        .unwrap();
    let mut r = Random::new(1, 0);
    let (mut x, mut label, mut country, mut age) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..ROWS {
        let income = r.normal() as f32;
        x.extend([income, i as f32]);
        let french = i % 5 == 0;
        let noisy = if french { 0.5 } else { 0.05 };
        label.push(if (income >= 0.0) != (r.unit() < noisy) { "yes" } else { "no" });
        country.push(if french { "FR" } else { "DE" });
        age.push((i % 60) as i64);
    }
    let mut columns = Columns::new();
    columns.push("label", Column::text(label)).unwrap();
    columns.push("country", Column::text(country)).unwrap();
    columns.push("age", Column::Int(age)).unwrap();
    let inputs = tensors! { "x" => Array2::from_shape_vec((ROWS, 2), x).unwrap() }.unwrap().into_owned();
    (model, inputs, columns)
}

const SUITE: &str = r#"
name = "loans"
label = "label"
positive = "yes"
min_support = 50

[[metric]]
metric = "accuracy"
at_least = 0.8
[[metric]]
metric = "roc_auc"
at_least = 0.8
surely = true
[[metric]]
metric = "log_loss"

[[slice]]
by = "country"
[[slice]]
name = "young"
where = 'age < 20 and not country == "FR"'
[gaps]
metrics = ["accuracy"]
max_gap = 0.05

[[fairness]]
by = "country"
metric = "accuracy"
max_difference = 0.1
min_ratio = 0.9

[[must_pass]]
input = { income = 2.0, name = 1 }
expect = "yes"
[[must_pass]]
name = "poor"
input = { income = -2.0, name = 1 }
expect = "yes"

[[invariance]]
name = "the name does not matter"
change = [{ column = "name", to = [0, 77] }]
tolerance = 0.0
[[direction]]
name = "more income, no lower chance"
change = [{ column = "income", add = 1.0 }]
expect = "not_down"
[[direction]]
change = [{ column = "income", range = [-2.0, 2.0], steps = 8 }]
expect = "not_up"
where = "age < 10"
[[metamorphic]]
change = [{ column = "income", multiply = -1.0 }]
expect = "different"

[[minimum]]
where = "country == 'DE'"
max_failure_rate = 0.1
[[minimum]]
where = "country == 'FR'"
max_failure_rate = 0.1

[contract]
predict_is_predict_batch = true
deterministic = true
round_trip = false
max_bytes = 1000000

[against]
max_worse = 0.01
max_slice_worse = 0.02
max_flips = 0.5
"#;

fn check<'r>(report: &'r Report, kind: CheckKind, name: &str) -> &'r CheckResult {
    let found = report.verdict.evidence.iter().find(|c| c.kind == kind && c.name == name);
    found.unwrap_or_else(|| panic!("no check {name} in {:#?}", report.verdict.evidence))
}

#[test]
fn a_suite_finds_what_is_wrong_and_only_that() {
    let (model, inputs, columns) = data();
    let suite = Suite::parse(SUITE).unwrap();
    let worse = LinearModel::new(array![[-4.0], [0.0]], array![0.0], Link::Logistic)
        .unwrap()
        .feature_names(["income", "name"])
        .unwrap()
        .class_names(["no", "yes"])
        .unwrap();
    let twice = |t: &Tensors<'_>| Ok(t.as_view().into_owned());
    let report = suite
        .test(&model)
        .against(&worse)
        .metamorphic("nothing changed", Expect::Same, Some(0.0), &twice)
        .on(&inputs, &columns)
        .unwrap();
    assert_eq!((report.rows, report.task), (ROWS as u64, Task::Classification));
    assert_eq!(report.classes, ["no", "yes"]);
    let expect = |kind, name: &str, pass: bool| {
        let found = check(&report, kind, name);
        assert_eq!(found.pass, pass, "{found:?}");
    };
    expect(CheckKind::Metric, "accuracy", true);
    expect(CheckKind::Metric, "roc_auc", true);
    expect(CheckKind::Slice, "country = FR", false);
    expect(CheckKind::Slice, "country = DE", true);
    expect(CheckKind::Slice, "young", true);
    expect(CheckKind::Fairness, "accuracy by country", false);
    expect(CheckKind::MustPass, "example 1", true);
    expect(CheckKind::MustPass, "poor", false);
    expect(CheckKind::Invariance, "the name does not matter", true);
    expect(CheckKind::Direction, "more income, no lower chance", true);
    expect(CheckKind::Direction, "change of income", false);
    expect(CheckKind::Metamorphic, "change of income", true);
    expect(CheckKind::Metamorphic, "nothing changed", true);
    expect(CheckKind::Minimum, "country == 'DE'", true);
    expect(CheckKind::Minimum, "country == 'FR'", false);
    expect(CheckKind::Contract, "predict_is_predict_batch", true);
    expect(CheckKind::Contract, "deterministic", true);
    expect(CheckKind::Against, "max_worse", true);
    expect(CheckKind::Against, "max_flips", false);
    assert!(!report.passed());
    assert_eq!(report.verdict.reasons.len(), report.verdict.evidence.iter().filter(|c| !c.pass).count());
    let examples = &check(&report, CheckKind::Slice, "country = FR").examples;
    assert!(!examples.is_empty() && examples.iter().all(|e| e.row.unwrap() % 5 == 0));
    let against = report.against.as_ref().unwrap();
    assert!(against.worse_by < -0.5 && against.p_value.unwrap() < 1e-6);
    assert!(against.interval.unwrap().high < 0.0);
    // The other way round the new model is worse.
    let report = suite.test(&worse).against(&model).on(&inputs, &columns).unwrap();
    assert!(!check(&report, CheckKind::Against, "max_worse").pass);
    assert!(!check(&report, CheckKind::Against, "country = DE").pass);
    assert!(check(&report, CheckKind::Against, "country = FR").pass);
}

#[test]
fn a_suite_of_numbers() {
    let model = LinearModel::new(array![[2.0]], array![1.0], Link::Identity).unwrap();
    let x: Vec<f32> = (0..100).map(|i| i as f32).collect();
    let y: Vec<f64> = (0..100).map(|i| 2.0 * f64::from(i) + 1.5 - f64::from(i % 2)).collect();
    let mut columns = Columns::new();
    columns.push("y", Column::Float(y)).unwrap();
    let inputs = tensors! { "x" => Array2::from_shape_vec((100, 1), x).unwrap() }.unwrap();
    let suite = Suite::new("y")
        .require(Metric::Mae, 0.6)
        .require(Metric::R2, 0.99)
        .slice("y > 100")
        .max_gap([Metric::Mae], 0.1);
    let report = suite.test(&model).against(&model).on(&inputs, &columns).unwrap();
    assert!(report.passed(), "{:?}", report.verdict.reasons);
    assert_eq!(report.task, Task::Regression);
    assert_eq!(report.against.unwrap().worse_by, 0.0);
    let bounded = Suite::parse("label = 'y'\n[[must_pass]]\nrow = [10]\nexpect = 21.1\ntolerance = 0.2").unwrap();
    assert!(bounded.test(&model).on(&inputs, &columns).unwrap().passed());
}

#[test]
fn groups_lie_as_far_apart_as_fairlearn_says() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/validate/fairness.json")).unwrap();
    let list = |name: &str| golden[name].as_array().unwrap().iter();
    let floats = |name: &str| -> Vec<f64> { list(name).map(|v| v.as_f64().unwrap()).collect() };
    let mut columns = Columns::new();
    columns.push("group", Column::text(list("group").map(|v| v.as_str().unwrap()))).unwrap();
    columns.push("label", Column::Int(list("label").map(|v| v.as_i64().unwrap()).collect())).unwrap();
    columns.push("number", Column::Float(floats("number"))).unwrap();
    let x: Vec<f32> = floats("x").into_iter().map(|v| v as f32).collect();
    let inputs = tensors! { "x" => Array2::from_shape_vec((x.len(), 1), x).unwrap() }.unwrap();
    let classifier = LinearModel::new(array![[3.0]], array![0.0], Link::Logistic).unwrap();
    let classifier = classifier.class_names(["0", "1"]).unwrap();
    let regressor = LinearModel::new(array![[2.0]], array![1.0], Link::Identity).unwrap();
    let tasks: [(&str, &str, &dyn Model); 2] =
        [("classification", "label", &classifier), ("regression", "number", &regressor)];
    for (task, label, model) in tasks {
        for (name, expected) in golden[task].as_object().unwrap() {
            let suite =
                Suite { min_support: 1, ..Suite::new(label).fair("group", name.parse().unwrap(), Some(1.0), None) };
            let report = suite.test(model).on(&inputs, &columns).unwrap();
            let [found] = report.fairness.as_slice() else { panic!("{:?}", report.fairness) };
            let close = |what: &str, ours: Option<f64>, theirs: &serde_json::Value| {
                let (ours, theirs) = (ours.unwrap(), theirs.as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-9, "{name}, {what}: {ours} is not {theirs}");
            };
            close("difference", found.difference, &expected["difference"]);
            close("ratio", found.ratio, &expected["ratio"]);
            let groups = expected["groups"].as_array().unwrap();
            assert_eq!(found.groups.len(), groups.len());
            for golden in groups {
                let group = found.groups.iter().find(|g| golden[0] == g.0.as_str()).unwrap();
                close(&group.0, group.1.value(), &golden[1]);
            }
        }
    }
}

#[test]
fn bad_suites_are_refused_with_their_place() {
    for (text, place, message) in [
        ("label = 'y'\nlevels = 3", "line 2, column 1", "levels"),
        ("label = 3", "line 1, column 9", "string"),
        ("name = 'x'", "line 1", "label"),
        ("label = 'y'\n[[metric]]\nmetric = 'acuracy'", "line 3", "no metric has this name"),
        ("label = 'y'\n[[slice]]\nname = 'a'", "line 2, column 1", "either `where` or `by`"),
        ("label = 'y'\n[[slice]]\nby = []", "line 3, column 6", "at least one column"),
        ("label = 'y'\n\n[[slice]]\nwhere = 'a <'", "line 4, column 9", "character"),
        ("label = 'y'\nlevel = 1.5", "line 2, column 9", "between 0 and 1"),
        ("label = 'y'\n[gaps]\nmax_gap = -1.0", "line 3, column 11", "0 or more"),
        ("label = 'y'\n[[minimum]]\nwhere = 'a == 1'\nmax_failure_rate = 2.0", "line 4, column 20", "share"),
        ("label = 'y'\n[[invariance]]\nchange = [{ column = 'a' }]", "line 3, column 11", "one of `to`"),
        ("label = 'y'\n[[invariance]]\nchange = []", "line 3, column 10", "at least one"),
        (
            "label = 'y'\n[[direction]]\nchange = [{ column = 'a', add = 1 }]",
            "line 2, column 1",
            "says what it expects",
        ),
        (
            "label = 'y'\n[[direction]]\nexpect = 'up'\nchange = [{ column = 'a', range = [0, 1], steps = 1_000_000_000 }]",
            "line 4, column 51",
            "steps",
        ),
        ("label = 'y'\n[contract]\nlatency_batch = 9_999_999_999", "line 3, column 17", "batches"),
        ("label = 'y'\n[[must_pass]]\nexpect = 1", "line 2, column 1", "either `input` or `row`"),
    ] {
        let error = Suite::parse(text).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(place), "{text}: {error}");
    }
    assert_eq!(Suite::read("no such file.toml").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn bad_data_are_refused() {
    let (model, inputs, columns) = data();
    let run = |text: &str, columns: &Columns| Suite::parse(text).unwrap().test(&model).on(&inputs, columns).map(|_| ());
    assert_eq!(run("label = 'none'", &columns).unwrap_err().kind(), ErrorKind::NotFound);
    for (text, kind, place) in [
        ("label = 'none'", ErrorKind::NotFound, "line 1, column 9"),
        ("label = 'label'\nweight = 'none'", ErrorKind::NotFound, "line 2, column 10"),
        ("label = 'label'\npositive = 'perhaps'", ErrorKind::InvalidArgument, "line 2, column 12"),
        ("label = 'label'\n[[slice]]\nby = ['age', 'town']", ErrorKind::NotFound, "line 3, column 14"),
        ("label = 'label'\n[[slice]]\nwhere = 'age > 1 and town == 1'", ErrorKind::NotFound, "line 3, column 9"),
        ("label = 'label'\n[[slice]]\nwhere = 'country < 1'", ErrorKind::WrongType, "line 3, column 9"),
        ("label = 'label'\n[[minimum]]\nwhere = 'age == \"x\"'", ErrorKind::WrongType, "line 3, column 9"),
        ("label = 'label'\n[[fairness]]\nmetric = 'accuracy'\nby = 'town'", ErrorKind::NotFound, "line 4, column 6"),
        (
            "label = 'label'\n[[must_pass]]\ninput = { a = 1 }\nexpect = 'no'",
            ErrorKind::MissingInput,
            "line 2, column 1",
        ),
        (
            "label = 'label'\n[[invariance]]\nclass = 'x'\nchange = [{ column = 'income', add = 1 }]",
            ErrorKind::InvalidArgument,
            "line 3, column 9",
        ),
    ] {
        let error = run(text, &columns).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.to_string().starts_with(place), "{text}: {error}");
    }
    let error = run("label = 'label'\n[[slice]]\nwhere = 'age > 1 and town == 1'", &columns).unwrap_err().to_string();
    assert!(error.contains("at character 13") && error.contains("`town`"), "{error}");
    let fewer = |t: &Tensors<'_>| t.iter().map(|(name, x)| Ok((name.clone(), x.rows(0..1)?.into_owned()))).collect();
    let suite = Suite::new("label");
    let error = suite.test(&model).metamorphic("fewer", Expect::Same, None, &fewer).on(&inputs, &columns).unwrap_err();
    assert!(error.to_string().contains("another number of rows"), "{error}");
    let mut short = Columns::new();
    short.push("label", Column::text(["yes", "no"])).unwrap();
    assert_eq!(run("label = 'label'", &short).unwrap_err().kind(), ErrorKind::WrongShape);
    let mut holed = Columns::new();
    holed.push("label", Column::text((0..ROWS).map(|i| if i == 7 { "" } else { "no" }))).unwrap();
    let error = run("label = 'label'", &holed).unwrap_err();
    assert_eq!((error.kind(), error.row_index()), (ErrorKind::InvalidValue, Some(7)));
    let mut weighted = columns.clone();
    weighted.push("w", Column::Float(vec![0.0; ROWS])).unwrap();
    assert!(run("label = 'label'\nweight = 'w'", &weighted).unwrap_err().to_string().contains("sum to 0"));
    let error = run("label = 'label'\n[[invariance]]\nchange = [{ column = 'b', to = 1 }]", &columns).unwrap_err();
    assert_eq!((error.kind(), error.column_name()), (ErrorKind::NotFound, Some("b")));
    assert!(error.to_string().starts_with("line 3, column 22"), "{error}");
    let other = LinearModel::new(array![[1.0]], array![0.0], Link::Logistic).unwrap();
    let suite = Suite::new("label");
    let error = suite.test(&model).against(&other).on(&inputs, &columns).unwrap_err();
    assert!(error.to_string().contains("another signature"), "{error}");
    // One class only: said, and no failure of the run.
    let mut single = Columns::new();
    single.push("label", Column::text(vec!["yes"; ROWS])).unwrap();
    let report = Suite::new("label").require(Metric::RocAuc, 0.5).test(&model).on(&inputs, &single).unwrap();
    assert!(!report.passed());
    assert!(report.metrics[0].value.reason().unwrap().contains("positive class"));
}

#[test]
fn contracts_hold_the_served_model_and_the_budget() {
    let (model, inputs, columns) = data();
    let mut suite = Suite::new("label");
    suite.contract.offline_is_online = true;
    suite.contract.max_bytes = Some(1_000_000);
    suite.contract.max_ns_per_row = Some(1e9);
    let served = suite.test(&model).served(&model).on(&inputs, &columns).unwrap();
    assert!(served.passed(), "{:?}", served.verdict.reasons);
    let same = |t: &Tensors<'_>| model.predict_batch(t);
    assert!(suite.test(&model).served_by(&same).on(&inputs, &columns).unwrap().passed());
    let shifted = LinearModel::new(array![[4.0], [0.0]], array![0.1], Link::Logistic)
        .unwrap()
        .feature_names(["income", "name"])
        .unwrap()
        .class_names(["no", "yes"])
        .unwrap();
    let other = |t: &Tensors<'_>| shifted.predict_batch(t);
    let report = suite.test(&model).served_by(&other).on(&inputs, &columns).unwrap();
    let found = check(&report, CheckKind::Contract, "offline_is_online");
    assert!(!found.pass && found.message.contains("row 61: no against yes"), "{found:?}");
    let alone = suite.test(&model).on(&inputs, &columns).unwrap();
    assert!(!check(&alone, CheckKind::Contract, "offline_is_online").pass);
    suite.contract = Contract { max_bytes: Some(0), max_ns_per_row: Some(1e-3), ..Contract::default() };
    let report = suite.test(&model).on(&inputs, &columns).unwrap();
    assert!(!check(&report, CheckKind::Contract, "max_bytes").pass);
    assert!(!check(&report, CheckKind::Contract, "max_ns_per_row").pass);
}

#[test]
fn the_incumbent_is_compared_on_every_slice_and_every_flip_is_listed() {
    let (model, inputs, columns) = data();
    let half = LinearModel::new(array![[4.0], [0.0]], array![1.0], Link::Logistic)
        .unwrap()
        .feature_names(["income", "name"])
        .unwrap()
        .class_names(["no", "yes"])
        .unwrap();
    let mut suite = Suite::new("label").slices_by(["country"]);
    suite.against.max_slice_worse = Some(0.0);
    let report = suite.test(&half).against(&model).on(&inputs, &columns).unwrap();
    let against = report.against.as_ref().unwrap();
    assert_eq!(against.flipped_rows.len() as f64, against.flips.unwrap() * ROWS as f64);
    assert!(against.flipped_rows.len() > 100 && against.flipped_rows.is_sorted());
    for slice in &against.slices {
        let interval = slice.interval.unwrap();
        assert!(interval.low <= slice.worse_by && slice.worse_by <= interval.high);
        assert!(slice.flips.unwrap() > 0.0 && slice.p_value.is_some());
    }
    // Both models guess on FR, so only DE is worse.
    assert!(check(&report, CheckKind::Against, "country = FR").pass);
    assert!(!check(&report, CheckKind::Against, "country = DE").pass);
}
