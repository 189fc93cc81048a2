"""Writes metrics.json: metrics and intervals from scikit-learn, statsmodels and scipy, which the tests are held against.

    python -m venv env && env/bin/pip install numpy scipy scikit-learn statsmodels pandas sliceline
    env/bin/python make_validate.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics as m
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import DescrStatsW

HERE = Path(__file__).parent
Z = stats.norm.ppf(0.975)
warnings.simplefilter("ignore")


def wilson_at(value, se, rows):
    n = value * (1 - value) / se**2 if se > 0 and 0 < value < 1 else rows
    low, high = proportion_confint(value * n, n, method="wilson")
    return [float(low), float(high)]


def numeric_se(f, w):
    """The infinitesimal jackknife by differentiating with respect to each row's weight."""
    h = 1e-3
    d = lambda e, k: f(w + k * h * e) - f(w - k * h * e)
    g = np.array([(8 * d(e, 1) - d(e, 2)) / (12 * h) for e in np.eye(len(w))])
    return float(np.sqrt(np.sum(w**2 * g**2)))


def mean_interval(x, w=None):
    if w is None:
        d = DescrStatsW(x)
        return [float(v) for v in d.tconfint_mean()]
    mu, n = np.average(x, weights=w), len(x)
    se = np.sqrt(np.sum(w**2 * (x - mu) ** 2)) / w.sum() * np.sqrt(n / (n - 1))
    reach = stats.t.ppf(0.975, n - 1) * se
    return [float(mu - reach), float(mu + reach)]


def delong(y, s):
    pos, neg = s[y == 1], s[y == 0]
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    auc = psi.mean()
    se = np.sqrt(psi.mean(1).var(ddof=1) / len(pos) + psi.mean(0).var(ddof=1) / len(neg))
    return [float(max(auc - Z * se, 0)), float(min(auc + Z * se, 1))]


def classification(seed, n, k):
    r = np.random.default_rng(seed)
    y = r.integers(0, k, n)
    logits = np.round(r.normal(size=(n, k)) + 1.2 * np.eye(k)[y], 2)
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    pred = p.argmax(1)
    w = np.round(r.uniform(0.2, 3, n), 3)
    out = {"y": y.tolist(), "p": p.tolist(), "pred": pred.tolist(), "w": w.tolist(), "checks": {}}
    for name, weight in [("plain", None), ("weighted", w)]:
        ones = np.ones(n) if weight is None else weight
        c = {}
        acc = m.accuracy_score(y, pred, sample_weight=weight)
        c["accuracy"] = [acc, *(proportion_confint((y == pred).sum(), n, method="wilson") if weight is None else wilson_at(
            acc, numeric_se(lambda v: m.accuracy_score(y, pred, sample_weight=v), ones), 0))]
        if weight is None:
            for rate, f in [("precision", m.precision_score), ("recall", m.recall_score)]:
                for cls in range(k):
                    value = f(y, pred, labels=[cls], average=None)[0]
                    rows = (pred == cls).sum() if rate == "precision" else (y == cls).sum()
                    c[f"{rate}:{cls}"] = [value, *proportion_confint(value * rows, rows, method="wilson")]
        for cls in range(k):
            f = lambda v: m.f1_score(y, pred, labels=[cls], average=None, sample_weight=v)[0]
            c[f"f1:{cls}"] = [f(ones), *wilson_at(f(ones), numeric_se(f, ones), 0)]
        for avg in ["macro", "micro", "weighted"]:
            for rate, g in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]:
                f = lambda v: g(y, pred, average=avg, sample_weight=v)
                c[f"{rate}_{avg}"] = [f(ones), *wilson_at(f(ones), numeric_se(f, ones), 0)]
        f = lambda v: m.balanced_accuracy_score(y, pred, sample_weight=v)
        c["balanced_accuracy"] = [f(ones), *wilson_at(f(ones), numeric_se(f, ones), 0)]
        own = p[np.arange(n), y]
        c["log_loss"] = [m.log_loss(y, p, sample_weight=weight), *mean_interval(-np.log(own), weight)]
        if k == 2:
            brier = (p[:, 1] - y) ** 2
            c["brier"] = [m.brier_score_loss(y, p[:, 1], sample_weight=weight), *mean_interval(brier, weight)]
            s = p[:, 1]
            auc = m.roc_auc_score(y, s, sample_weight=weight)
            if weight is None:
                c["roc_auc"] = [auc, *delong(y, s)]
            else:
                c["roc_auc"] = [auc]
            ap = lambda v: m.average_precision_score(y, s, sample_weight=v)
            value, se = ap(ones), numeric_se(ap, ones)
            t, reach = np.log(value / (1 - value)), Z * se / (value * (1 - value))
            c["pr_auc"] = [value, 1 / (1 + np.exp(-(t - reach))), 1 / (1 + np.exp(-(t + reach)))]
        else:
            brier = ((p - np.eye(k)[y]) ** 2).sum(1)
            c["brier"] = [m.brier_score_loss(y, p, sample_weight=weight, scale_by_half=False), *mean_interval(brier, weight)]
        conf, right = p.max(1), (pred == y).astype(float)
        bins = np.clip(np.ceil(conf * 15).astype(int), 1, 15)
        ece = lambda v: sum(abs(np.sum((v * (conf - right))[bins == b])) for b in range(1, 16)) / v.sum()
        value, se = ece(ones), numeric_se(ece, ones)
        c["ece"] = [value, max(value - Z * se, 0), value + Z * se]
        c = {key: [float(x) for x in values] for key, values in c.items()}
        out["checks"][name] = c
    out["confusion"] = m.confusion_matrix(y, pred).tolist()
    return out


def regression(seed, n):
    r = np.random.default_rng(seed)
    y = np.round(r.normal(50, 10, n), 3)
    pred = np.round(y + r.normal(0, 4, n), 3)
    w = np.round(r.uniform(0.2, 3, n), 3)
    out = {"y": y.tolist(), "pred": pred.tolist(), "w": w.tolist(), "checks": {}}
    e = y - pred
    for name, weight in [("plain", None), ("weighted", w)]:
        ones = np.ones(n) if weight is None else weight
        r2 = lambda v: m.r2_score(y, pred, sample_weight=v)
        pinball = np.where(e >= 0, 0.9 * e, -0.1 * e)
        mse = mean_interval(e**2, weight)
        se = numeric_se(r2, ones)
        c = {
            "mae": [m.mean_absolute_error(y, pred, sample_weight=weight), *mean_interval(abs(e), weight)],
            "rmse": [m.root_mean_squared_error(y, pred, sample_weight=weight), *np.sqrt(np.maximum(mse, 0))],
            "mape": [m.mean_absolute_percentage_error(y, pred, sample_weight=weight), *mean_interval(abs(e / y), weight)],
            "quantile": [m.mean_pinball_loss(y, pred, alpha=0.9, sample_weight=weight), *mean_interval(pinball, weight)],
            "r2": [r2(ones), r2(ones) - Z * se, min(r2(ones) + Z * se, 1)],
        }
        out["checks"][name] = {key: [float(x) for x in values] for key, values in c.items()}
    return out


def ranking(seed, queries):
    r = np.random.default_rng(seed)
    out, ndcg, ap, rr = [], [], [], []
    for _ in range(queries):
        d = int(r.integers(3, 12))
        rel = r.integers(0, 4, d).astype(float)
        rel[0] = 1.0
        score = np.round(rel + r.normal(0, 2, d), 1)
        out.append({"relevance": rel.tolist(), "scores": score.tolist()})
        ndcg.append(m.ndcg_score([rel], [score], k=5))
        ap.append(m.average_precision_score(rel > 0, score))
        # Ties stand with the irrelevant ones first.
        order = np.lexsort((rel > 0, -score))
        rr.append(1 / (1 + np.argmax((rel > 0)[order])))
    checks = {name: [float(np.mean(x)), *mean_interval(np.array(x))] for name, x in [("ndcg", ndcg), ("map", ap), ("mrr", rr)]}
    return {"queries": out, "checks": checks}


def tests(seed):
    r = np.random.default_rng(seed)
    p = np.concatenate([r.uniform(0, 1, 12), r.uniform(0, 0.02, 6)])
    welch = []
    for n1, n2, shift in [(10, 30, 0.0), (200, 50, 0.3), (4, 5, 2.0)]:
        a, b = r.normal(0, 1, n1), r.normal(shift, 2, n2)
        welch.append({"a": a.tolist(), "b": b.tolist(), "p": float(stats.ttest_ind(a, b, equal_var=False).pvalue)})
    proportions = []
    for c1, n1, c2, n2 in [(3, 10, 1, 30), (0, 8, 20, 400), (30, 100, 300, 800), (1, 2000, 4, 3000), (500, 1000, 450, 1000), (7, 7, 0, 9)]:
        table = np.array([[c1, n1 - c1], [c2, n2 - c2]])
        exact = stats.contingency.expected_freq(table).min() < 10
        value = stats.fisher_exact(table).pvalue if exact else stats.chi2_contingency(table, correction=False).pvalue
        proportions.append({"cases": [c1, c2], "rows": [n1, n2], "p": float(value)})
    mc = []
    for b, c in [(0, 0), (3, 9), (12, 12), (20, 41), (1, 0), (300, 250)]:
        mc.append({"only": [b, c], "p": float(mcnemar([[5, b], [c, 5]], exact=b + c < 25, correction=True).pvalue) if b + c else 1.0})
    quantiles = [{"df": d, "reach": float(stats.t.ppf(0.975, d)), "p": float(2 * stats.t.sf(2.5, d))} for d in [1, 2, 5, 30.5, 1000, 50000, 2e6]]
    return {
        "p_values": p.tolist(),
        "holm": multipletests(p, method="holm")[1].tolist(),
        "bh": multipletests(p, method="fdr_bh")[1].tolist(),
        "welch": welch,
        "proportions": proportions,
        "mcnemar": mc,
        "t": quantiles,
        "wilson": [[x, n, *map(float, proportion_confint(x, n, method="wilson"))] for x, n in [(0, 5), (5, 5), (45, 50), (990, 100000)]],
    }


golden = {
    "binary": classification(1, 150, 2),
    "multi": classification(2, 160, 4),
    "regression": regression(3, 120),
    "ranking": ranking(4, 40),
    "tests": tests(5),
}
(HERE / "metrics.json").write_text(json.dumps(golden))


def sliceline_golden():
    """The `sliceline` package on data sets of scikit-learn, with the errors of a cross-validated model."""
    from sklearn import datasets, linear_model
    from sklearn.model_selection import cross_val_predict
    from sliceline.slicefinder import Slicefinder

    def quantile_codes(X, bins):
        return np.array([np.searchsorted(np.quantile(c, np.arange(1, bins) / bins), c, side="left") for c in X.T]).T

    cancer, wine, diabetes = datasets.load_breast_cancer(), datasets.load_wine(), datasets.load_diabetes()
    tree = lambda: __import__("sklearn.tree").tree.DecisionTreeClassifier(max_depth=2, random_state=0)
    sets = [
        ("breast_cancer", quantile_codes(cancer.data[:, :10], 4), (cross_val_predict(tree(), cancer.data, cancer.target) != cancer.target).astype(float)),
        ("wine", quantile_codes(wine.data[:, :8], 3), (cross_val_predict(tree(), wine.data, wine.target) != wine.target).astype(float)),
        ("diabetes", quantile_codes(diabetes.data[:, :8], 3), np.round(abs(cross_val_predict(linear_model.LinearRegression(), diabetes.data, diabetes.target) - diabetes.target), 3)),
    ]
    out = []
    for name, X, errors in sets:
        cases = []
        for alpha, support, level in [(0.95, 10, 1), (0.95, 10, 2), (0.95, 10, 3), (0.8, 5, 4), (0.98, 20, X.shape[1])]:
            finder = Slicefinder(alpha=alpha, k=10, max_l=level, min_sup=support, verbose=False)
            finder.fit(X, errors)
            statistics = finder.top_slices_statistics_
            slices = [
                {f"c{j}": int(v) for j, v in sorted(enumerate(s), key=lambda p: f"c{p[0]}") if v is not None}
                for s in finder.top_slices_
            ]
            cases.append({
                "alpha": alpha, "min_support": support, "max_level": level,
                "scores": [float(s["slice_score"]) for s in statistics], "slices": slices,
            })
            print(name, alpha, support, level, [round(float(s["slice_score"]), 4) for s in statistics][:3])
        out.append({"name": name, "columns": X.T.tolist(), "errors": errors.tolist(), "cases": cases})
    return out


(HERE / "sliceline.json").write_text(json.dumps(sliceline_golden()))
