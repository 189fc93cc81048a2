use serde_json::Value;

use super::*;
use crate::validate::stats::{DEFAULT_LEVEL, Random};
use crate::validate::{Adjustment, Bootstrap, Mean, Measured, adjust, mcnemar, two_proportions, wilson};

const L: f64 = DEFAULT_LEVEL;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/data/validate/metrics.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn codes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

fn close(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{what}: {ours} is not {theirs}");
}

/// Holds a value, and an interval where the golden has one.
fn held(what: &str, ours: &Measured, golden: &[f64]) {
    let e = ours.estimate().unwrap_or_else(|| panic!("{what}: {ours}"));
    close(what, e.value, golden[0]);
    if let [_, low, high] = golden {
        close(&format!("{what}, lower end"), e.interval.low, *low);
        close(&format!("{what}, upper end"), e.interval.high, *high);
    }
}

#[test]
fn classification_matches_scikit_learn_and_statsmodels() {
    for set in ["binary", "multi"] {
        let g = &golden()[set];
        let (y, predicted, w) = (codes(&g["y"]), codes(&g["pred"]), floats(&g["w"]));
        let p: Vec<Vec<f64>> = g["p"].as_array().unwrap().iter().map(floats).collect();
        for (weighting, checks) in g["checks"].as_object().unwrap() {
            let weight = |i: usize| if weighting == "plain" { 1.0 } else { w[i] };
            // In two parts that are merged, as batches are.
            let mut parts = [(); 2].map(|()| (Confusion::new(2), Probabilities::default(), Scores::new()));
            for i in 0..y.len() {
                let part = &mut parts[usize::from(i >= 40)];
                part.0.add(y[i], predicted[i], weight(i));
                part.1.add(y[i], &p[i], weight(i)).unwrap();
                part.2.add(p[i][1], y[i] == 1, weight(i)).unwrap();
            }
            let [(mut confusion, mut probabilities, mut scores), rest] = parts;
            confusion.merge(&rest.0);
            probabilities.merge(&rest.1).unwrap();
            scores.merge(&rest.2);
            let ranked = scores.ranked();
            for (name, values) in checks.as_object().unwrap() {
                let rate = |text: &str| match text {
                    "precision" => Rate::Precision,
                    "recall" => Rate::Recall,
                    _ => Rate::F1,
                };
                let ours = match name.as_str() {
                    "accuracy" => confusion.accuracy(L),
                    "balanced_accuracy" => confusion.balanced_accuracy(L),
                    "log_loss" => probabilities.log_loss().estimate(L),
                    "brier" => probabilities.brier().estimate(L),
                    "ece" => probabilities.calibration_error(L),
                    "roc_auc" => ranked.roc_auc(L),
                    "pr_auc" => ranked.pr_auc(L),
                    other => match other.split_once(':') {
                        Some((r, class)) => confusion.of_class(rate(r), class.parse().unwrap(), L),
                        None => {
                            let (r, average) = other.split_once('_').unwrap();
                            let average = match average {
                                "macro" => Average::Macro,
                                "micro" => Average::Micro,
                                _ => Average::Weighted,
                            };
                            confusion.average(rate(r), average, L)
                        }
                    },
                };
                held(&format!("{set}, {weighting}, {name}"), &ours, &floats(values));
            }
            for (t, row) in g["confusion"].as_array().unwrap().iter().enumerate() {
                for (c, n) in floats(row).into_iter().enumerate() {
                    assert_eq!(confusion.rows(t, c) as f64, n);
                }
            }
        }
    }
}

#[test]
fn regression_matches_scikit_learn() {
    let g = &golden()["regression"];
    let (y, predicted, w) = (floats(&g["y"]), floats(&g["pred"]), floats(&g["w"]));
    for (weighting, checks) in g["checks"].as_object().unwrap() {
        let mut parts = [(); 2].map(|()| Regression::with_quantile(0.9));
        for i in 0..y.len() {
            let weight = if weighting == "plain" { 1.0 } else { w[i] };
            parts[usize::from(i >= 30)].add(y[i], predicted[i], weight).unwrap();
        }
        let [mut all, rest] = parts;
        all.merge(&rest);
        for (name, ours) in [
            ("mae", all.mae(L)),
            ("rmse", all.rmse(L)),
            ("mape", all.mape(L)),
            ("quantile", all.quantile_loss(L)),
            ("r2", all.r2(L)),
        ] {
            held(&format!("{weighting}, {name}"), &ours, &floats(&checks[name]));
        }
    }
}

#[test]
fn ranking_matches_scikit_learn() {
    let g = &golden()["ranking"];
    let mut rankings = Rankings::new(Some(5));
    for query in g["queries"].as_array().unwrap() {
        rankings.add(&floats(&query["relevance"]), &floats(&query["scores"]), 1.0).unwrap();
    }
    for (name, ours) in [("ndcg", rankings.ndcg(L)), ("map", rankings.map(L)), ("mrr", rankings.mrr(L))] {
        held(name, &ours, &floats(&g["checks"][name]));
    }
}

#[test]
fn tests_match_scipy_and_statsmodels() {
    let g = &golden()["tests"];
    let p = floats(&g["p_values"]);
    for (name, adjustment) in [("holm", Adjustment::Holm), ("bh", Adjustment::BenjaminiHochberg)] {
        for (ours, theirs) in adjust(&p, adjustment).into_iter().zip(floats(&g[name])) {
            close(name, ours, theirs);
        }
    }
    let each = |name: &str| g[name].as_array().unwrap().clone();
    for case in each("welch") {
        let mean = |name: &str| floats(&case[name]).into_iter().fold(Mean::new(), |mut m, x| (m.add(x), m).1);
        close("welch", mean("a").welch(&mean("b")).unwrap(), case["p"].as_f64().unwrap());
    }
    let two = |v: &Value| [v[0].as_u64().unwrap(), v[1].as_u64().unwrap()];
    for case in each("proportions") {
        close("two proportions", two_proportions(two(&case["cases"]), two(&case["rows"])), case["p"].as_f64().unwrap());
    }
    for case in each("mcnemar") {
        let [b, c] = two(&case["only"]);
        close("mcnemar", mcnemar(b, c), case["p"].as_f64().unwrap());
    }
    for case in each("t") {
        let df = case["df"].as_f64().unwrap();
        let reach = crate::validate::stats::t_reach(L, df);
        close(&format!("t quantile at {df}"), reach, case["reach"].as_f64().unwrap());
        close("t tail", crate::validate::stats::t_two_sided(2.5, df), case["p"].as_f64().unwrap());
    }
    for case in each("wilson") {
        let c = floats(&case);
        let interval = wilson(c[0] / c[1], c[1], L);
        close("wilson", interval.low, c[2]);
        close("wilson", interval.high, c[3]);
    }
}

#[test]
fn what_is_undefined_is_said() {
    let mut scores = Scores::new();
    scores.add(0.3, true, 1.0).unwrap();
    scores.add(0.4, true, 1.0).unwrap();
    assert!(scores.ranked().roc_auc(L).reason().unwrap().contains("positive class"));
    assert!(Scores::new().ranked().pr_auc(L).reason().unwrap().contains("no rows"));
    assert!(scores.add(f64::NAN, true, 1.0).is_err());
    assert!(scores.add(0.5, true, -1.0).is_err());
    let mut confusion = Confusion::new(2);
    assert!(confusion.accuracy(L).reason().is_some());
    confusion.add(0, 0, 1.0);
    assert!(confusion.of_class(Rate::Precision, 1, L).reason().unwrap().contains("predicted"));
    assert_eq!(confusion.accuracy(L).value(), Some(1.0));
    let mut regression = Regression::new();
    for p in [1.0, 2.0, 3.0] {
        regression.add(5.0, p, 1.0).unwrap();
    }
    assert!(regression.r2(L).reason().unwrap().contains("labels are the same"));
    assert!(regression.add(f64::NAN, 1.0, 1.0).is_err());
    assert!(Mean::new().estimate(L).reason().is_some());
    assert!(Probabilities::default().add(0, &[f64::NAN, 0.5], 1.0).is_err());
    assert!(Probabilities::default().add(2, &[0.5, 0.5], 1.0).is_err());
    assert!(Rankings::new(None).add(&[1.0], &[1.0, 2.0], 1.0).is_err());
    assert!(!serde_json::to_string(&scores.ranked().roc_auc(L)).unwrap().contains("null"));
}

/// The share of simulations in which an interval holds the truth.
fn coverage(simulations: u64, holds: impl Fn(&mut Random) -> bool) -> f64 {
    let held = (0..simulations).filter(|&s| holds(&mut Random::new(7, s))).count();
    held as f64 / simulations as f64
}

#[test]
fn intervals_cover_as_they_say() {
    let inside = |m: &Measured, truth: f64| {
        let e = m.estimate().unwrap();
        e.interval.low <= truth && truth <= e.interval.high
    };
    // AUC of scores N(1, 1) against N(0, 1).
    let auc = 0.5 * libm::erfc(-0.5);
    let share = coverage(1000, |r| {
        let mut scores = Scores::new();
        for i in 0..200 {
            scores.add(r.normal() + f64::from(i % 2 == 0), i % 2 == 0, 1.0).unwrap();
        }
        inside(&scores.ranked().roc_auc(L), auc)
    });
    assert!((0.93..=0.97).contains(&share), "AUC: {share}");
    // F1 of a class with precision 0.75 and recall 0.6: 2/3.
    let share = coverage(1000, |r| {
        let mut confusion = Confusion::new(2);
        for _ in 0..300 {
            let (truth, u) = (r.unit() < 0.5, r.unit());
            let predicted = if truth { u < 0.6 } else { u < 0.2 };
            confusion.add(usize::from(truth), usize::from(predicted), 1.0);
        }
        inside(&confusion.of_class(Rate::F1, 1, L), 2.0 / 3.0)
    });
    assert!((0.93..=0.97).contains(&share), "F1: {share}");
    let share = coverage(400, |r| {
        let values: Vec<f64> = (0..150).map(|_| r.normal()).collect();
        let interval = Bootstrap::default().replicates(500).mean(&values, None).unwrap();
        interval.low <= 0.0 && 0.0 <= interval.high
    });
    assert!((0.93..=0.97).contains(&share), "bootstrap of a mean: {share}");
    let share = coverage(400, |r| {
        let values: Vec<f64> = (0..160).map(|i| r.normal() + f64::from(i % 2)).collect();
        let strata = [(0..160).step_by(2).collect::<Vec<_>>(), (1..160).step_by(2).collect()];
        let mean = |rows: &[usize]| Some(rows.iter().map(|&i| values[i]).sum::<f64>() / rows.len() as f64);
        let interval = Bootstrap::default().replicates(500).stratified(&strata, mean).unwrap();
        interval.low <= 0.5 && 0.5 <= interval.high
    });
    assert!((0.93..=0.97).contains(&share), "stratified bootstrap: {share}");
}

#[test]
fn a_hundred_slices_of_a_sound_model_raise_no_alarm() {
    let simulations = 500;
    let mut alarms = 0;
    for s in 0..simulations {
        let mut r = Random::new(11, s);
        let (mut rows, mut cases) = ([0u64; 100], [0u64; 100]);
        for _ in 0..5000 {
            let slice = r.below(100);
            rows[slice] += 1;
            cases[slice] += u64::from(r.unit() < 0.1);
        }
        let (all_rows, all_cases) = (rows.iter().sum::<u64>(), cases.iter().sum::<u64>());
        let p: Vec<f64> = (0..100)
            .map(|i| two_proportions([cases[i], all_cases - cases[i]], [rows[i], all_rows - rows[i]]))
            .collect();
        alarms += usize::from(adjust(&p, Adjustment::Holm).iter().any(|p| *p <= 0.05));
    }
    assert!(alarms as f64 / simulations as f64 <= 0.05, "{alarms} of {simulations}");
}

/// A hundred slices of about `rows` rows each, none of them weak: how often, of 500 simulations, any of them is told from
/// the rest by a metric of skewed losses, and by areas.
fn false_alarms(rows: usize, positive_share: f64) -> [f64; 2] {
    let simulations = 500;
    let mut alarms = [0; 2];
    for s in 0..simulations {
        let mut r = Random::new(13, s);
        let (mut losses, mut scores) = (vec![Mean::new(); 100], vec![Scores::new(); 100]);
        for _ in 0..100 * rows {
            let (slice, positive) = (r.below(100), r.unit() < positive_share);
            losses[slice].add(-(1.0 - r.unit()).ln());
            scores[slice].add(r.normal() + f64::from(positive), positive, 1.0).unwrap();
        }
        let (mut rest, mut others) = (Mean::new(), Scores::new());
        losses[1..].iter().for_each(|m| rest.merge(m));
        // All other rows would only be less certain by the one slice; this keeps the simulation short.
        scores[..20].iter().for_each(|s| others.merge(s));
        let area = |scores: &Scores| scores.ranked().area_of(|_| true, L).ok().map(|(_, area)| area);
        let other = area(&others).unwrap();
        let of_losses: Vec<f64> = losses.iter().filter_map(|m| m.differs(&rest)).collect();
        let of_areas: Vec<f64> = scores.iter().filter_map(|s| Some(area(s)?.p_value(&other))).collect();
        for (alarm, p) in alarms.iter_mut().zip([of_losses, of_areas]) {
            *alarm += usize::from(adjust(&p, Adjustment::Holm).iter().any(|p| *p <= 0.05));
        }
    }
    alarms.map(|a| a as f64 / simulations as f64)
}

#[test]
fn slices_of_skewed_losses_and_areas_raise_no_alarm_either() {
    for (rows, share) in [(50, 0.5), (50, 0.1)] {
        let rates = false_alarms(rows, share);
        assert!(rates.iter().all(|rate| *rate <= 0.05), "{rows} rows, {share} positive: {rates:?}");
    }
}
