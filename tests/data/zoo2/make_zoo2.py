"""An extended zoo: what make_zoo.py leaves out, and many more variants of each export.

usage: make_zoo2.py OUT [--jobs N] [--only SUBSTRING] [--select LIST DEST]
       (numpy pandas scikit-learn skl2onnx onnx onnxruntime lightgbm xgboost catboost onnxmltools)

The files are those of make_zoo.py. For each model NAME: NAME.onnx; NAME.npz with in:* the inputs, src:*
what the source library predicts, ort:* what ONNX Runtime predicts (CPU, one thread); NAME.csv with the
inputs as well where one of them holds strings (an empty cell is the empty string, or NaN in a number's
column); MANIFEST.json with the operators of each. Differences from make_zoo.py:
- in:* is always there, strings as <U arrays;
- a sequence of maps (ZipMap) is stored as ort:<name>, a float array (m, classes) in the order of the keys
  that ZipMap declares, with MANIFEST "classes";
- a sequence of tensors is stored as ort:<name>_0, ort:<name>_1, ...;
- a source answer that is a list (one array per output column) is stored as src:<method>_0, ...
LOG.txt says for every attempt "ok" or why there is no file.
"""
import argparse, hashlib, json, os, re, signal, sys, time, warnings
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd, scipy.sparse as sp
import sklearn
from sklearn.utils import all_estimators
from sklearn.base import clone, is_classifier, is_outlier_detector, BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris, load_digits, load_breast_cancer, load_wine, load_diabetes, load_linnerud
from sklearn.pipeline import make_pipeline, make_union, Pipeline, FeatureUnion
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.preprocessing import *
from sklearn.impute import SimpleImputer, KNNImputer, MissingIndicator
from sklearn.feature_extraction import FeatureHasher, DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer, TfidfTransformer, HashingVectorizer
from sklearn.feature_selection import *
from sklearn.linear_model import *
from sklearn.ensemble import *
from sklearn.tree import *
from sklearn.svm import *
from sklearn.neighbors import *
from sklearn.naive_bayes import *
from sklearn.mixture import GaussianMixture, BayesianGaussianMixture
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, TruncatedSVD, KernelPCA, IncrementalPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier, OneVsOneClassifier, OutputCodeClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor, ClassifierChain, RegressorChain
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (RBF, DotProduct, ExpSineSquared, RationalQuadratic, WhiteKernel,
                                              ConstantKernel as C, Matern, PairwiseKernel)
from sklearn.cross_decomposition import PLSRegression
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import (FloatTensorType, DoubleTensorType, Int64TensorType, StringTensorType,
                                        BooleanTensorType, DictionaryType)
from skl2onnx.common.shape_calculator import (calculate_linear_classifier_output_shapes,
                                              calculate_linear_regressor_output_shapes)
import onnx, onnxruntime as ort
ort.set_default_logger_severity(4)

# Newer protobuf builds refuse lists that mix numpy's integers with Python's (histogram boosting): make them plain.
import skl2onnx.common._container as _container
_make_node = _container.make_node
def plain(v):
    if isinstance(v, np.ndarray) and v.ndim == 1 and v.dtype.kind in "fiub": return v.tolist()
    if isinstance(v, (list, tuple)): return [x.item() if isinstance(x, np.generic) and not isinstance(x, (str, bytes)) else int(x) if isinstance(x, bool) else x for x in (y.item() if isinstance(y, np.bool_) else y for y in v)]
    return v
_container.make_node = lambda *a, **k: _make_node(*a, **{n: plain([int(x) if isinstance(x, (bool, np.bool_)) else x for x in v] if isinstance(v, list) else v) for n, v in k.items()})

SEED, ROWS, LIMIT_BYTES, LIMIT_S = 11, 60, 1_500_000, 20
ap = argparse.ArgumentParser()
ap.add_argument("out")
ap.add_argument("--jobs", type=int, default=2)
ap.add_argument("--only", default="", help="keep to the names that hold this")
ap.add_argument("--select", nargs=2, metavar=("LIST", "DEST"), help="copy the models named in LIST to DEST, make nothing")
args = ap.parse_args()
out = args.out
if args.select:
    import shutil
    os.makedirs(args.select[1], exist_ok=True)
    for name in open(args.select[0]).read().split():
        for ext in ("onnx", "npz", "csv"):
            if os.path.exists(f"{out}/{name}.{ext}"):
                shutil.copy(f"{out}/{name}.{ext}", args.select[1])
    sys.exit()
os.makedirs(out, exist_ok=True)


# ---- keeping one model -------------------------------------------------------------------------------------
class Timeout(Exception): pass
def alarm(*_): raise Timeout()
signal.signal(signal.SIGALRM, alarm)
manifest, log = [], []

def text(v):
    v = np.asarray(v)
    return v.astype("U") if v.dtype.kind == "O" else v

def with_locale(data):
    """StringNormalizer's default locale is en_US, which a bare machine lacks: answer with C.UTF-8, keep the file."""
    m = onnx.load_from_string(data)
    lacking = [n for n in m.graph.node if n.op_type == "StringNormalizer"]
    for n in lacking:
        kept = [a for a in n.attribute if a.name != "locale"]
        del n.attribute[:]
        n.attribute.extend(kept + [onnx.helper.make_attribute("locale", "C.UTF-8")])
    return m.SerializeToString() if lacking else data

def spread(key, v):
    """One named answer as arrays: lists of maps and lists of tensors taken apart."""
    if isinstance(v, list):
        if v and isinstance(v[0], dict):
            classes = sorted(set().union(*v), key=lambda k: (str(type(k)), k))
            return {key: np.array([[r[c] for c in classes] for r in v])}
        return {f"{key}_{i}": text(x) for i, x in enumerate(v)}
    if sp.issparse(v): v = v.toarray()
    return {key: text(v)}

def zipmap_order(graph):
    for n in graph.node:
        if n.op_type == "ZipMap":
            for a in n.attribute:
                if a.name == "classlabels_strings": return [s.decode() for s in a.strings]
                if a.name == "classlabels_int64s": return list(a.ints)

def keep(name, model, feeds, expect, note=""):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    if len(data) > LIMIT_BYTES: return f"too large ({len(data)} bytes)"
    so = ort.SessionOptions(); so.intra_op_num_threads = 1; so.inter_op_num_threads = 1
    s = ort.InferenceSession(with_locale(data), so, providers=["CPUExecutionProvider"])
    got = dict(zip([o.name for o in s.get_outputs()], s.run(None, {k: (v.astype(object) if v.dtype.kind == "U" else v) for k, v in feeds.items()})))
    graph = onnx.load_from_string(data).graph
    order, arrays = zipmap_order(graph), {}
    for k, v in got.items():
        if isinstance(v, list) and v and isinstance(v[0], dict) and order and all(c in v[0] for c in order):
            arrays["ort:" + k] = np.array([[r[c] for c in order] for r in v])
        else: arrays |= spread("ort:" + k, v)
    for k, v in expect.items(): arrays |= spread("src:" + k, v)
    if sum(a.nbytes for a in arrays.values()) > 4 * LIMIT_BYTES: return "too large an answer"
    for k, v in feeds.items(): arrays["in:" + k] = text(v)
    if any(a.dtype.kind in "OU" for a in feeds.values()):
        cols = {}
        for k, v in feeds.items():
            for j in range(v.shape[1]):
                cols[k if v.shape[1] == 1 else f"{k}_{j}"] = v[:, j]
        pd.DataFrame(cols).to_csv(f"{out}/{name}.csv", index=False)
    np.savez_compressed(f"{out}/{name}.npz", **arrays)
    open(f"{out}/{name}.onnx", "wb").write(data)
    local = {n for f in onnx.load_from_string(data).functions for n in ops_of(f)}     # model-local functions
    entry = dict(name=name, ops=sorted(set(ops_of(graph)) | local), outputs=list(got), note=note)
    if local: entry["functions"] = True
    if order: entry["classes"] = order
    manifest.append(entry)
    return "ok"

def ops_of(graph):
    for n in graph.node:
        yield (n.domain + ":" if n.domain else "") + n.op_type
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH: yield from ops_of(a.g)

def expected(est, X):
    e = {}
    for m in ("predict", "predict_proba", "decision_function", "transform", "score_samples", "kneighbors"):
        if hasattr(est, m):
            try: v = getattr(est, m)(X)
            except Exception: continue
            e[m] = list(v) if isinstance(v, tuple) else v
    return e

todo = []
def attempt(name, build):
    """Puts an attempt on the list; build() answers "ok" or the reason why there is no file."""
    todo.append((name, build))

def run(jobs):
    for i, (name, build) in enumerate(jobs):
        t = time.time()
        try:
            signal.alarm(LIMIT_S); said = build()
        except Timeout: said = "timeout"
        except Exception as e: said = type(e).__name__ + ": " + str(e)[:160].replace("\n", " ")
        finally: signal.alarm(0)
        log.append(f"{'ok  ' if said == 'ok' else 'none'} {name:44s} {time.time() - t:5.1f}s {'' if said == 'ok' else said}".rstrip())
        if i % 50 == 0: print(f"{i}/{len(jobs)} {name}", file=sys.stderr, flush=True)

def type_of(dtype, width):
    kind = {"f4": FloatTensorType, "f8": DoubleTensorType, "i8": Int64TensorType, "b1": BooleanTensorType}
    return kind.get(np.dtype(dtype).str[1:], StringTensorType)([None, width])

def last(est):
    return est.steps[-1][1] if isinstance(est, Pipeline) else est

def feeds_of(X):
    """(initial types, feeds): a frame gives one (m, 1) input per column, an array one (m, n) input."""
    if isinstance(X, pd.DataFrame):
        types, feeds = [], {}
        for c in X.columns:
            v = X[c].to_numpy()
            v = v.astype(object) if v.dtype.kind not in "fib" else v.astype({"f": np.float32, "i": np.int64, "b": bool}[v.dtype.kind])
            types.append((c, type_of(v.dtype, 1))); feeds[c] = v.reshape(-1, 1)
        return types, feeds
    X = np.asarray(X)
    if X.ndim == 1: return [("X", type_of(X.dtype, 1))], {"X": X.reshape(-1, 1)}
    return [("X", type_of(X.dtype, X.shape[1]))], {"X": X}

def add(name, est, X, y=None, opt=None, opset=17, ml=None, test=None, zipmap=False, note="", fitted=False, types=None):
    """Fits est on X, exports it, keeps the answers for `test` (or the last rows of X)."""
    def build():
        model = est
        if not fitted: model.fit(X) if y is None else model.fit(X, y)
        T = test if test is not None else X[-ROWS:]
        ty, feeds = feeds_of(T)
        o = dict(opt or {})
        if is_classifier(model) and not zipmap: o.setdefault("zipmap", False)
        target = opset if ml is None else {"": opset, "ai.onnx.ml": ml}
        kw = dict(initial_types=types or ty, target_opset=target)
        def export(o, kw): return keep(name, to_onnx(model, options={id(last(model)): o} if o else None, **kw), feeds, expected(model, T), note)
        ways = [(o, kw)] + ([(None, kw)] if o and not opt else [])
        if o and not opt: ways += [({"nocl": False}, kw)]      # LinearSVC at the end of a pipeline knows no zipmap
        if ml is None: ways += [(w, kw | dict(target_opset={"": opset, "ai.onnx.ml": 3})) for w, _ in ways]
        for i, (w, k) in enumerate(ways):
            try: return export(w, k)
            except Timeout: raise
            except Exception as e:
                if i == 0: first = e
        raise first
    attempt(name, build)


# ---- data, shuffled so that the last rows hold every class -------------------------------------------------
rng = np.random.default_rng(SEED)
def shuffled(load, n=400, cast=np.float32, ):
    X, y = load(return_X_y=True)
    i = np.random.default_rng(SEED).permutation(len(X))[:n]
    return X[i].astype(cast), y[i]
Xi, yi = shuffled(load_iris); Xw, yw = shuffled(load_wine); Xb, yb = shuffled(load_breast_cancer)
Xd, yd = shuffled(load_digits, 500); Xr, yr = shuffled(load_diabetes); yrp = np.abs(yr) / 50 + .1
Xb8 = Xb[:, :8]
names3 = np.array(["setosa", "versi color", "Vé"])
def holes(X, share=.05, seed=1):
    X = X.copy(); X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X
def nanrow(X):
    """Test rows: a copy with a row all NaN and one with a single NaN."""
    T = X[-ROWS:].copy(); T[3] = np.nan; T[7, 0] = np.nan
    return T


# ---- every estimator, as make_zoo.py sets them -------------------------------------------------------------
LR = lambda: LogisticRegression(max_iter=300)
def make(name, Est, kind, seed):
    kw = {}
    sig = Est.__init__.__code__.co_varnames
    if "random_state" in sig: kw["random_state"] = seed
    if "max_iter" in sig and kind != "cluster": kw["max_iter"] = 200
    if "n_estimators" in sig: kw["n_estimators"] = 15
    if name in ("VotingClassifier", "StackingClassifier"): kw = (dict(flatten_transform=False) if name[0] == "V" else {}) | dict(estimators=[("a", LR()), ("b", DecisionTreeClassifier(max_depth=3))])
    if name in ("VotingRegressor", "StackingRegressor"): kw = dict(estimators=[("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))])
    if name in ("OneVsRestClassifier", "OneVsOneClassifier", "OutputCodeClassifier", "CalibratedClassifierCV", "BaggingClassifier", "FixedThresholdClassifier", "TunedThresholdClassifierCV", "RFE", "RFECV", "SelectFromModel"): kw = dict(estimator=LR())
    if name in ("MultiOutputClassifier",): kw = dict(estimator=DecisionTreeClassifier(max_depth=4))
    if name in ("MultiOutputRegressor", "RegressorChain"): kw = dict(estimator=Ridge())
    if name == "ClassifierChain": kw = dict(estimator=LR())
    if name == "GridSearchCV": kw = dict(estimator=LR(), param_grid=dict(C=[.1, 1]))
    if name == "FeatureUnion": kw = dict(transformer_list=[("a", StandardScaler()), ("b", MinMaxScaler())])
    if name == "ColumnTransformer": kw = dict(transformers=[("a", StandardScaler(), [0, 2]), ("b", MinMaxScaler(), [1])], remainder="passthrough")
    return Est(**kw)

COUNTS = ("ComplementNB", "MultinomialNB", "BernoulliNB", "CategoricalNB", "Binarizer")
for kind in ("classifier", "regressor", "transformer", "cluster", "outlier_detector"):
    found = all_estimators(type_filter=kind) if kind != "outlier_detector" else [(e, c) for e, c in all_estimators() if e in ("IsolationForest", "LocalOutlierFactor", "OneClassSVM", "SGDOneClassSVM", "EllipticEnvelope", "NearestNeighbors", "GaussianMixture", "BayesianGaussianMixture", "KernelDensity", "GridSearchCV")]
    for name, Est in found:
        h = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2
        sets = {"iris": (Xi, yi), "wine": (Xw, yw), "bc": (Xb, yb), "digits": (Xd, yd)}
        if kind == "regressor": sets = {"diab": (Xr, yr), "bcreg": (Xb8, Xb[:, 10] * 10)}
        if kind in ("transformer", "cluster", "outlier_detector"): sets = {"iris": (Xi, yi), "bc": (Xb8, yb)}
        for tag, (X, y) in sets.items():
            if tag in ("iris", "diab") and h == 0 and kind != "outlier_detector": continue
            if name in COUNTS: X = np.abs(np.round(X)).astype(np.float32)
            if name.startswith("Multi") and "Output" in name or "Chain" in name:
                y = np.column_stack([y, (y + X[:, 0] > np.median(y + X[:, 0])).astype(int)])
            if name in ("GammaRegressor", "PoissonRegressor", "TweedieRegressor"): y = np.abs(y) / 50 + .1
            try: est = make(name, Est, kind, SEED)
            except Exception as e: log.append(f"none {kind}_{name} {e}"[:150]); continue
            add(f"{kind}_{name}_{tag}", est, X, y)
            if name == "GaussianProcessClassifier" and tag == "wine": break

# ---- what a data scientist does not set: ZipMap, labels of other kinds ------------------------------------
f64labels = np.array([-1.0, 0.0, 2.0])
for tag, (X, y) in {"wine": (Xw, yw), "bc": (Xb8, yb)}.items():
    for mn, m in {"logreg": LR(), "rf": RandomForestClassifier(8, max_depth=4, random_state=1), "svc": SVC(probability=True), "mlp": MLPClassifier((8,), max_iter=80, random_state=1), "knn": KNeighborsClassifier(5), "gnb": GaussianNB(), "linsvc": LinearSVC(), "sgd": SGDClassifier(random_state=1), "gb": GradientBoostingClassifier(n_estimators=6, random_state=1), "hgb": HistGradientBoostingClassifier(max_iter=6), "dt": DecisionTreeClassifier(max_depth=4), "ridge": RidgeClassifier(), "ovr": OneVsRestClassifier(LR()), "vote": VotingClassifier([("a", LR()), ("b", GaussianNB())], voting="soft", flatten_transform=False), "cal": CalibratedClassifierCV(LinearSVC(), cv=3), "lda": LinearDiscriminantAnalysis(), "bag": BaggingClassifier(DecisionTreeClassifier(max_depth=3), 5, random_state=1), "ada": AdaBoostClassifier(n_estimators=5, random_state=1), "stack": StackingClassifier([("a", LR()), ("b", DecisionTreeClassifier(max_depth=3))])}.items():
        pm = make_pipeline(StandardScaler(), m) if mn in ("logreg", "svc", "mlp", "knn", "sgd", "linsvc") else m
        add(f"zipmap_{mn}_{tag}", clone(pm), X, y, zipmap=True)
        add(f"strlab_{mn}_{tag}", clone(pm), X, names3[y])
        add(f"strzip_{mn}_{tag}", clone(pm), X, names3[y], zipmap=True)
        add(f"boollab_{mn}_{tag}", clone(pm), X, y == 1)
        if mn in ("logreg", "rf", "dt", "knn", "gnb"):
            add(f"f64lab_{mn}_{tag}", clone(pm), X, f64labels[y])
            add(f"neglab_{mn}_{tag}", clone(pm), X, np.array([-3, 10, 7])[y])
            add(f"columns_{mn}_{tag}", clone(pm), X, names3[y], opt={"zipmap": "columns"})
            add(f"labelsout_{mn}_{tag}", clone(pm), X, y, opt={"zipmap": False, "output_class_labels": True})
            add(f"nocl_{mn}_{tag}", clone(pm), X, names3[y], opt={"zipmap": False, "nocl": True})
        add(f"raw_{mn}_{tag}", clone(pm), X, y, opt={"zipmap": False, "raw_scores": True})

# ---- other element types of the input ----------------------------------------------------------------------
reals = {"logreg": (LR(), 0), "rf": (RandomForestClassifier(6, max_depth=4, random_state=2), 0), "gb": (GradientBoostingClassifier(n_estimators=5), 0), "svc": (SVC(probability=True), 0), "mlp": (MLPClassifier((6,), max_iter=60, random_state=1), 0), "knn": (KNeighborsClassifier(3), 0), "gnb": (GaussianNB(), 0), "hgb": (HistGradientBoostingClassifier(max_iter=5), 0), "lda": (LinearDiscriminantAnalysis(), 0), "qda": (QuadraticDiscriminantAnalysis(), 0), "sgd": (SGDClassifier(loss="log_loss", random_state=1), 0), "bnb": (BernoulliNB(), 0), "perc": (Perceptron(), 0), "linsvc": (LinearSVC(), 0),
         "lin": (LinearRegression(), 1), "rfr": (RandomForestRegressor(6, max_depth=4, random_state=2), 1), "gbr": (GradientBoostingRegressor(n_estimators=5), 1), "svr": (SVR(), 1), "mlpr": (MLPRegressor(hidden_layer_sizes=(6,), max_iter=60, random_state=1), 1), "knr": (KNeighborsRegressor(3), 1), "gpr": (GaussianProcessRegressor(), 1), "hgbr": (HistGradientBoostingRegressor(max_iter=5), 1), "etr": (ExtraTreesRegressor(4, max_depth=4, random_state=1), 1), "dtr": (DecisionTreeRegressor(max_depth=5), 1), "bayes": (BayesianRidge(), 1), "tweedie": (TweedieRegressor(power=1.5), 2), "huber": (HuberRegressor(), 1), "lsvr": (LinearSVR(), 1),
         "ss": (StandardScaler(), 0), "mm": (MinMaxScaler(clip=True), 0), "maxabs": (MaxAbsScaler(), 0), "rob": (RobustScaler(), 0), "norm": (Normalizer(), 0), "binz": (Binarizer(threshold=1.), 0), "pca": (PCA(2), 0), "tsvd": (TruncatedSVD(2), 0), "poly": (PolynomialFeatures(2), 0), "pt": (PowerTransformer(), 0), "qt": (QuantileTransformer(n_quantiles=20), 0), "kb": (KBinsDiscretizer(4, encode="ordinal"), 0), "kmeans": (KMeans(3, n_init=2, random_state=1), 0), "imp": (SimpleImputer(), 0), "selk": (SelectKBest(k=2), 0), "kpca": (KernelPCA(2, kernel="rbf"), 0), "gmm": (GaussianMixture(2, random_state=1), 0), "iso": (IsolationForest(n_estimators=5, random_state=1), 0), "ocsvm": (OneClassSVM(), 0), "lof": (LocalOutlierFactor(novelty=True), 0), "rte": (RandomTreesEmbedding(3, max_depth=3, random_state=1), 0), "ohe": (OneHotEncoder(handle_unknown="ignore"), 0), "ordi": (OrdinalEncoder(), 0)}
for mn, (m, kind) in reals.items():
    X, y = (Xi, yi) if kind == 0 else (Xr[:, :6] * 20, yr if kind == 1 else yrp)
    if mn in ("ohe", "ordi"): X = np.round(X)
    add(f"f64_{mn}", clone(m), X.astype(np.float64), y)
    add(f"i64_{mn}", clone(m), np.round(X * 3).astype(np.int64), y)

# ---- operator set versions ---------------------------------------------------------------------------------
vers = {"logreg": LR(), "rf": RandomForestClassifier(5, max_depth=3, random_state=1), "svc": SVC(probability=True), "mlp": MLPClassifier((5,), max_iter=50, random_state=1), "knn": KNeighborsClassifier(3), "ada": AdaBoostClassifier(n_estimators=4, random_state=1), "gnb": GaussianNB(), "mnb": MultinomialNB(), "gb": GradientBoostingClassifier(n_estimators=4), "ovo": OneVsOneClassifier(LR()), "vote": VotingClassifier([("a", LR()), ("b", GaussianNB())], voting="soft", flatten_transform=False), "kb": KBinsDiscretizer(3, encode="onehot-dense"), "qt": QuantileTransformer(n_quantiles=10), "poly": PolynomialFeatures(2), "gpr": GaussianProcessRegressor(), "gmm": GaussianMixture(2, random_state=1), "kmeans": KMeans(3, n_init=2, random_state=1), "pt": PowerTransformer(), "iso": IsolationForest(n_estimators=4, random_state=1), "knr": KNeighborsRegressor(3, weights="distance"), "lof": LocalOutlierFactor(novelty=True), "hgb": HistGradientBoostingClassifier(max_iter=4), "mm": MinMaxScaler(clip=True), "bnb": BernoulliNB(), "cal": CalibratedClassifierCV(LR(), cv=2), "imp": SimpleImputer()}
for v in (9, 10, 11, 12, 13, 15, 18, 19, 21, 22):
    for mn, m in vers.items(): add(f"opset{v}_{mn}", clone(m), Xi, yi, opset=v)
for v in (1, 2, 3, 4, 5):
    for mn in ("rf", "gb", "knn", "logreg"): add(f"ml{v}_{mn}", clone(vers[mn]), Xi, names3[yi], opset=21, ml=v)
    f = pd.DataFrame(dict(a=np.array(["x", "y", "z"])[yi], b=Xi[:, 0]))
    add(f"ml{v}_ordinal", make_column_transformer((OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["a"]), ("passthrough", ["b"])), f, opset=21 if v > 2 else 12, ml=v)

# ---- neighbours --------------------------------------------------------------------------------------------
for w in ("uniform", "distance"):
    for metric, kw in {"euclidean": {}, "manhattan": {}, "minkowski3": dict(metric="minkowski", p=3), "chebyshev": {}, "cosine": dict(algorithm="brute"), "l2": dict(metric="l2"), "canberra": {}}.items():
        kw = dict(metric=metric) | kw
        for optim in ("", "cdist"):
            o = {"optim": "cdist"} if optim else None
            t = f"{metric}_{w}{'_cdist' if optim else ''}"
            add(f"knnc_{t}", KNeighborsClassifier(4, weights=w, **kw), Xi, yi, opt=(o | {"zipmap": False}) if o else None)
            add(f"knnr_{t}", KNeighborsRegressor(4, weights=w, **kw), Xr, yr, opt=o)
            add(f"radc_{t}", RadiusNeighborsClassifier(1.5, weights=w, outlier_label=0, **kw), Xi, yi, opt=(o | {"zipmap": False}) if o else None)
            add(f"radr_{t}", RadiusNeighborsRegressor(1.5, weights=w, **kw), Xi, Xi[:, 0] * 2, opt=o)
    for optim in (None, "cdist"):
        o = {"optim": optim} if optim else None
        add(f"knnimp_{w}_{optim}", KNNImputer(n_neighbors=3, weights=w), holes(Xi, .1), opt=o, opset=18)
add("knnr_multi", KNeighborsRegressor(3), Xr, np.column_stack([yr, yr * 2]))
add("knnr_multi_distance", KNeighborsRegressor(3, weights="distance"), Xr, np.column_stack([yr, yr * 2]))
add("knnc_multi", KNeighborsClassifier(3), Xi, np.column_stack([yi, (Xi[:, 0] > 5.8).astype(int)]))
add("nn_search", NearestNeighbors(n_neighbors=3, radius=None), Xi)
add("nn_search_cdist", NearestNeighbors(n_neighbors=3, radius=None), Xi, opt={"optim": "cdist"})
add("nn_transformer", KNeighborsTransformer(n_neighbors=3), Xi)
add("nca", NeighborhoodComponentsAnalysis(2, max_iter=10, random_state=1), Xi, yi)

# ---- Gaussian processes, mixtures, outliers ----------------------------------------------------------------
kernels = {"rbf": RBF(2.), "c_rbf": C(2.) * RBF(1.), "dot": DotProduct(1.), "sum": RBF(2.) + WhiteKernel(.1), "ess": ExpSineSquared(1., 5.), "rq": RationalQuadratic(1., 1.), "matern": Matern(nu=1.5), "matern25": Matern(nu=2.5), "pair": PairwiseKernel(metric="rbf"), "cos": PairwiseKernel(metric="cosine"), "ard": RBF(np.ones(4))}
for kn, k in kernels.items():
    X = Xi[:100]
    add(f"gpr_{kn}", GaussianProcessRegressor(k, optimizer=None, alpha=.5), X, X[:, 0] + yi[:100], test=Xi[-50:])
    add(f"gpr_{kn}_std", GaussianProcessRegressor(k, optimizer=None, alpha=.5), X.astype(np.float64), X[:, 0] + yi[:100], opt={"return_std": True}, test=Xi[-50:].astype(np.float64))
    add(f"gpc_{kn}", GaussianProcessClassifier(k, optimizer=None), X, yi[:100], test=Xi[-50:])
    add(f"gpcbin_{kn}", GaussianProcessClassifier(k, optimizer=None), X.astype(np.float64), (yi[:100] > 0) + 0, test=Xi[-50:].astype(np.float64))
add("gpr_norm", GaussianProcessRegressor(RBF(2.), optimizer=None, alpha=.5, normalize_y=True), Xi, Xi[:, 0] + yi)
for cov in ("full", "tied", "diag", "spherical"):
    for ss in (False, True):
        o = {"score_samples": True} if ss else None
        add(f"gmm_{cov}{'_score' if ss else ''}", GaussianMixture(3, covariance_type=cov, random_state=1), Xi, opt=o)
        add(f"bgmm_{cov}{'_score' if ss else ''}", BayesianGaussianMixture(n_components=2, covariance_type=cov, random_state=1), Xi, opt=o)
for ss in (False, True):
    o = {"score_samples": True} if ss else None
    add(f"isoforest{'_score' if ss else ''}", IsolationForest(n_estimators=8, random_state=1), Xi, opt=o)
    add(f"isoforest_sub{'_score' if ss else ''}", IsolationForest(n_estimators=6, max_features=.5, contamination=.1, random_state=1), Xb8, opt=o)
    add(f"lof{'_score' if ss else ''}", LocalOutlierFactor(n_neighbors=8, novelty=True), Xi, opt=o)
    add(f"lof_cont{'_score' if ss else ''}", LocalOutlierFactor(n_neighbors=8, novelty=True, contamination=.1, metric="manhattan"), Xi, opt=o)
for k in ("rbf", "linear", "poly", "sigmoid"): add(f"ocsvm_{k}", OneClassSVM(kernel=k, gamma=.1), Xi)
add("sgdocsvm", SGDOneClassSVM(random_state=1), Xi)

# ---- support vectors ---------------------------------------------------------------------------------------
Xws = StandardScaler().fit_transform(Xw).astype(np.float32)
Xbs = StandardScaler().fit_transform(Xb8).astype(np.float32)
for k in ("linear", "poly", "rbf", "sigmoid"):
    for prob in (False, True):
        for tag, (X, y) in {"wine": (Xws, yw), "bc": (Xbs, yb)}.items():
            t = f"{k}_{'prob_' if prob else ''}{tag}"
            add(f"svc_{t}", SVC(kernel=k, probability=prob, coef0=.3, degree=2, random_state=1), X, y)
            add(f"svcstr_{t}", SVC(kernel=k, probability=prob, random_state=1), X, names3[y])
            add(f"svcovo_{t}", SVC(kernel=k, probability=prob, decision_function_shape="ovo", random_state=1), X, y)
            add(f"svcbt_{t}", SVC(kernel=k, probability=prob, break_ties=True, random_state=1), X, y)
            add(f"svcraw_{t}", SVC(kernel=k, probability=prob, random_state=1), X, y, opt={"zipmap": False, "raw_scores": True})
            add(f"nusvc_{t}", NuSVC(nu=.2, kernel=k, probability=prob, random_state=1), X, y)
            add(f"nusvcraw_{t}", NuSVC(nu=.2, kernel=k, probability=prob, random_state=1), X, y, opt={"zipmap": False, "raw_scores": True})
    add(f"svr_{k}", SVR(kernel=k), Xr, yr); add(f"nusvr_{k}", NuSVR(kernel=k), Xr, yr)
    add(f"svrscaled_{k}", make_pipeline(StandardScaler(), SVR(kernel=k, C=10)), Xr, yr)
add("svc_digits", SVC(), Xd, yd); add("svc_digits_prob", SVC(probability=True), Xd[:300], yd[:300]); add("linsvc_digits", LinearSVC(), Xd, yd)

# ---- meta estimators ---------------------------------------------------------------------------------------
for tag, (X, y) in {"wine": (Xws, yw), "bc": (Xbs, yb)}.items():
    for meth in ("sigmoid", "isotonic"):
        for bn, base in {"lsvc": LinearSVC(), "logreg": LR(), "rf": RandomForestClassifier(4, max_depth=3, random_state=1), "gnb": GaussianNB(), "sgd": SGDClassifier(random_state=1), "svc": SVC(), "perc": Perceptron(), "gb": GradientBoostingClassifier(n_estimators=4)}.items():
            add(f"cal_{meth}_{bn}_{tag}", CalibratedClassifierCV(clone(base), method=meth, cv=2), X, y)
    for voting in ("soft", "hard"):
        for wt in (None, np.array([2, 1, 3])):
            add(f"vote_{voting}{'_w' if wt is not None else ''}_{tag}", VotingClassifier([("a", LR()), ("b", GaussianNB()), ("c", DecisionTreeClassifier(max_depth=3))], voting=voting, weights=wt, flatten_transform=False), X, y)
            add(f"votestr_{voting}{'_w' if wt is not None else ''}_{tag}", VotingClassifier([("a", LR()), ("b", GaussianNB()), ("c", DecisionTreeClassifier(max_depth=3))], voting=voting, weights=wt, flatten_transform=False), X, names3[y])
    add(f"vote_flat_{tag}", VotingClassifier([("a", LR()), ("b", GaussianNB())], voting="soft", flatten_transform=False), X, y)
    for fin in (None, RandomForestClassifier(4, max_depth=3, random_state=1)):
        for ps in (False, True):
            add(f"stack_{'rf' if fin is not None else 'lr'}{'_pass' if ps else ''}_{tag}", StackingClassifier([("a", LR()), ("b", DecisionTreeClassifier(max_depth=3)), ("c", LinearSVC())], final_estimator=fin, passthrough=ps, cv=2), X, y)
    for bn, base in {"dt": DecisionTreeClassifier(max_depth=3), "lr": LR(), "svc": SVC(), "lsvc": LinearSVC(), "knn": KNeighborsClassifier(3)}.items():
        add(f"bag_{bn}_{tag}", BaggingClassifier(clone(base), 3, random_state=1), X, y)
        add(f"bagsub_{bn}_{tag}", BaggingClassifier(clone(base), 3, max_features=.6, random_state=1), X, y)
        add(f"ovr_{bn}_{tag}", OneVsRestClassifier(clone(base)), X, y)
        add(f"ovo_{bn}_{tag}", OneVsOneClassifier(clone(base)), X, y)
        add(f"ovostr_{bn}_{tag}", OneVsOneClassifier(clone(base)), X, names3[y])
        add(f"ovrstr_{bn}_{tag}", OneVsRestClassifier(clone(base)), X, names3[y])
        add(f"occ_{bn}_{tag}", OutputCodeClassifier(clone(base), random_state=1), X, y)
        add(f"ada_{bn}_{tag}", AdaBoostClassifier(clone(base), n_estimators=4, random_state=1), X, y)
    add(f"ovr_mlp_{tag}", OneVsRestClassifier(MLPClassifier((4,), max_iter=40, random_state=1)), X, y)
    add(f"ovr_gb_{tag}", OneVsRestClassifier(GradientBoostingClassifier(n_estimators=3)), X, y)
    add(f"grid_{tag}", GridSearchCV(LR(), dict(C=[.1, 1])), X, y)
    add(f"grid_svc_{tag}", GridSearchCV(SVC(probability=True), dict(C=[.1, 1]), cv=2), X, y)
    add(f"grid_pipe_{tag}", make_pipeline(StandardScaler(), GridSearchCV(KNeighborsClassifier(), dict(n_neighbors=[2, 4]), cv=2)), X, y)
    add(f"tuned_{tag}", TunedThresholdClassifierCV(LR()), X, y)
for lossname in ("linear", "square", "exponential"): add(f"adar_{lossname}", AdaBoostRegressor(n_estimators=6, loss=lossname, random_state=1), Xr, yr)
add("voter_w", VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3)), ("c", SVR())], weights=[1, 2, 3]), Xr, yr)
add("stackr", StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3)), ("c", KNeighborsRegressor(3))], cv=2), Xr, yr)
add("stackr_pass", StackingRegressor([("a", Ridge()), ("b", LinearSVR())], final_estimator=RandomForestRegressor(4, max_depth=3, random_state=1), passthrough=True, cv=2), Xr, yr)
add("bagr", BaggingRegressor(DecisionTreeRegressor(max_depth=3), 4, random_state=1), Xr, yr)
add("bagr_sub", BaggingRegressor(Ridge(), 4, max_features=.5, random_state=1), Xr, yr)
add("gridr", GridSearchCV(make_pipeline(StandardScaler(), Ridge()), dict(ridge__alpha=[.1, 1])), Xr, yr)
add("ttr", TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), Xr, yr)
Y2 = np.column_stack([yr, yr[::-1], yr ** .5]); C2 = np.column_stack([yi, (Xi[:, 0] > 5.8).astype(int)]); ML = np.column_stack([(yw == 0), (Xw[:, 0] > 13), (yw == 2)]).astype(int)
for rn, m in {"lin": LinearRegression(), "ridge": Ridge(), "rf": RandomForestRegressor(4, max_depth=4, random_state=1), "et": ExtraTreesRegressor(4, max_depth=4, random_state=1), "dt": DecisionTreeRegressor(max_depth=4), "mlp": MLPRegressor(hidden_layer_sizes=(6,), max_iter=50, random_state=1), "mo_gb": MultiOutputRegressor(GradientBoostingRegressor(n_estimators=4)), "mo_svr": MultiOutputRegressor(SVR()), "mo_ridge": MultiOutputRegressor(Ridge()), "chain": RegressorChain(Ridge()), "pls": PLSRegression(2), "gpr": GaussianProcessRegressor(RBF(.1), optimizer=None, alpha=.1), "mtl": MultiTaskLasso(), "mten": MultiTaskElasticNet(), "mtlcv": MultiTaskLassoCV(cv=2), "lassolars": LassoLars(), "bagmo": BaggingRegressor(Ridge(), 3, random_state=1), "omp": OrthogonalMatchingPursuit(), "knn": KNeighborsRegressor(2), "lars": Lars()}.items():
    add(f"multir_{rn}", m, Xr, Y2)
for cn, m in {"rf": RandomForestClassifier(4, max_depth=4, random_state=1), "et": ExtraTreesClassifier(4, max_depth=4, random_state=1), "dt": DecisionTreeClassifier(max_depth=4), "mo_lr": MultiOutputClassifier(LR()), "mo_gb": MultiOutputClassifier(GradientBoostingClassifier(n_estimators=3)), "mo_svc": MultiOutputClassifier(SVC(probability=True)), "chain": ClassifierChain(LR())}.items():
    add(f"multic_{cn}", m, Xi, C2)
    add(f"multicstr_{cn}", clone(m), Xi, np.array(["p", "q", "r"])[C2])
for cn, m in {"rf": RandomForestClassifier(4, max_depth=4, random_state=1), "dt": DecisionTreeClassifier(max_depth=4), "mlp": MLPClassifier((6,), max_iter=60, random_state=1), "knn": KNeighborsClassifier(3), "ovr_lr": OneVsRestClassifier(LR()), "ovr_svc": OneVsRestClassifier(SVC(probability=True)), "ovr_dt": OneVsRestClassifier(DecisionTreeClassifier(max_depth=3)), "mo_lr": MultiOutputClassifier(LR()), "mo_rf": MultiOutputClassifier(RandomForestClassifier(3, max_depth=3, random_state=1)), "chain": ClassifierChain(LR()), "ridge": RidgeClassifier(), "et": ExtraTreesClassifier(4, max_depth=3, random_state=1), "ovr_mlp": OneVsRestClassifier(MLPClassifier((4,), max_iter=40, random_state=1))}.items():
    add(f"multilabel_{cn}", m, Xws, ML)

# ---- trees -------------------------------------------------------------------------------------------------
trees = {"dtc": DecisionTreeClassifier(max_depth=4), "etc1": ExtraTreeClassifier(max_depth=4, random_state=1), "rfc": RandomForestClassifier(3, max_depth=3, random_state=1), "etc": ExtraTreesClassifier(3, max_depth=3, random_state=1)}
treesr = {"dtr": DecisionTreeRegressor(max_depth=4), "etr1": ExtraTreeRegressor(max_depth=4, random_state=1), "rfr": RandomForestRegressor(3, max_depth=3, random_state=1), "etr": ExtraTreesRegressor(3, max_depth=3, random_state=1)}
for tn, m in (trees | treesr).items():
    X, y = (Xi, yi) if tn in trees else (Xr, yr)
    z = {"zipmap": False} if tn in trees else {}
    add(f"{tn}_path", clone(m), X, y, opt=z | {"decision_path": True}); add(f"{tn}_leaf", clone(m), X, y, opt=z | {"decision_leaf": True}); add(f"{tn}_both", clone(m), X, y, opt=z | {"decision_leaf": True, "decision_path": True})
    add(f"{tn}_nan", clone(m), holes(X), y, test=nanrow(holes(X)))
    add(f"{tn}_constant", clone(m), X, np.zeros(len(X), int) if tn in trees else np.full(len(X), 2.5))
for ln in ("log_loss", "exponential"):
    add(f"gbc_{ln}", GradientBoostingClassifier(n_estimators=8, loss=ln), Xb8, yb)
add("gbc_multi", GradientBoostingClassifier(n_estimators=5), Xd[:300], yd[:300])
add("gbc_init", GradientBoostingClassifier(n_estimators=5, init="zero"), Xi, yi); add("gbc_initbin", GradientBoostingClassifier(n_estimators=5, init="zero"), Xb8, yb)
for ln in ("squared_error", "absolute_error", "huber", "quantile"): add(f"gbr_{ln}", GradientBoostingRegressor(n_estimators=6, loss=ln), Xr, yr)
add("gbr_zero", GradientBoostingRegressor(n_estimators=6, init="zero"), Xr, yr)
for tag, (X, y) in {"wine": (Xw, yw), "bc": (Xb8, yb)}.items():
    add(f"hgbc_nan_{tag}", HistGradientBoostingClassifier(max_iter=8), holes(X, .1), y, test=nanrow(holes(X, .1)))
for ln in ("squared_error", "absolute_error", "poisson", "quantile", "gamma"): add(f"hgbr_{ln}", HistGradientBoostingRegressor(max_iter=8, loss=ln, **(dict(quantile=.7) if ln == "quantile" else {})), holes(Xr), yr, test=nanrow(holes(Xr)))
add("hgbr_cat", HistGradientBoostingRegressor(max_iter=6, categorical_features=[0]), np.column_stack([np.random.default_rng(1).integers(0, 6, len(Xr)), Xr[:, :3]]).astype(np.float32), yr)
add("hgbr_monotone", HistGradientBoostingRegressor(max_iter=6, monotonic_cst=[1] * 10), Xr, yr)
add("rte_dense", RandomTreesEmbedding(4, max_depth=3, sparse_output=False, random_state=1), Xi)
add("rf_big", RandomForestClassifier(30, max_depth=6, random_state=1), Xd, yd); add("rfr_big", RandomForestRegressor(60, max_depth=6, random_state=1), Xr, yr)

# ---- transformers of numbers -------------------------------------------------------------------------------
for enc in ("ordinal", "onehot", "onehot-dense"):
    for st in ("uniform", "quantile", "kmeans"):
        add(f"kbins_{enc}_{st}", KBinsDiscretizer(4, encode=enc, strategy=st, random_state=1), Xi)
add("kbins_uneven", KBinsDiscretizer([2, 3, 4, 5], encode="onehot-dense"), Xi)
for d in (2, 3, (2, 3)):
    for io in (False, True):
        for b in (False, True): add(f"poly_{d}_{int(io)}{int(b)}".replace("(", "").replace(", ", "-").replace(")", ""), PolynomialFeatures(d, interaction_only=io, include_bias=b), Xi)
for meth in ("yeo-johnson", "box-cox"):
    for std in (False, True):
        add(f"power_{meth}_{int(std)}", PowerTransformer(meth, standardize=std), Xi + .1)
add("power_yj_neg", PowerTransformer(), Xr * 20); add("power_yj_nan", PowerTransformer(), holes(Xr * 20), test=nanrow(holes(Xr * 20)))
for od in ("uniform", "normal"): add(f"quantile_{od}", QuantileTransformer(n_quantiles=25, output_distribution=od), Xr); add(f"quantile_{od}_nan", QuantileTransformer(n_quantiles=25, output_distribution=od), holes(Xr), test=nanrow(holes(Xr)))
for ex in ("constant", "linear", "continue", "periodic"): add(f"spline_{ex}", SplineTransformer(extrapolation=ex), Xi)
add("func_id", FunctionTransformer(), Xi); add("func_log1p", FunctionTransformer(np.log1p), Xi)
add("pipe_func", make_pipeline(FunctionTransformer(), StandardScaler(), LR()), Xi, yi)
wild = Xi[-ROWS:].copy(); wild[0] = np.nan; wild[1, 0] = np.inf; wild[2, 1] = -np.inf; wild[3] = 0; wild[4] = -wild[4]; wild[5] = 1e30
for sn, m in {"ss": StandardScaler(), "ssnomean": StandardScaler(with_mean=False), "ssnostd": StandardScaler(with_std=False), "mm": MinMaxScaler((-1, 2)), "mmclip": MinMaxScaler(clip=True), "maxabs": MaxAbsScaler(), "rob": RobustScaler(), "robnc": RobustScaler(with_centering=False), "robns": RobustScaler(with_scaling=False), "n1": Normalizer("l1"), "n2": Normalizer("l2"), "nmax": Normalizer("max"), "bin": Binarizer(threshold=2.), "pca": PCA(2), "pcaw": PCA(2, whiten=True), "ipca": IncrementalPCA(2), "tsvd": TruncatedSVD(2), "vt": VarianceThreshold(.1), "kc": KernelCenterer()}.items():
    if sn == "kc": add("wild_kc", m, Xi[:20] @ Xi[:20].T, test=(Xi[-10:] @ Xi[:20].T)); continue
    add(f"wild_{sn}", m, Xi, test=wild)
    add(f"wild64_{sn}", clone(m), Xi.astype(float), test=wild.astype(float))
add("ss_div", StandardScaler(), Xi, opt={"div": "div"}); add("ss_divcast", StandardScaler(), Xi.astype(float), opt={"div": "div_cast"})
for k in ("linear", "poly", "rbf", "sigmoid", "cosine"):
    for optim in (None, "cdist"): add(f"kpca_{k}_{optim}", KernelPCA(2, kernel=k, gamma=.1), Xi[:80], opt={"optim": optim} if optim else None, test=Xi[-40:])
for st in ("mean", "median", "most_frequent", "constant"):
    for ind in (False, True):
        H = holes(Xi, .15); add(f"imputer_{st}{'_ind' if ind else ''}", SimpleImputer(strategy=st, fill_value=-7. if st == "constant" else None, add_indicator=ind), H, test=nanrow(H))
add("imputer_m1", SimpleImputer(missing_values=-1, strategy="most_frequent"), np.where(np.isnan(holes(Xi, .1)), -1, Xi)); add("imputer_i64", SimpleImputer(missing_values=0, strategy="most_frequent"), np.round(Xi).astype(np.int64))
add("imputer_allnan", SimpleImputer(), np.column_stack([holes(Xi, .1), np.full(len(Xi), np.nan)]).astype(np.float32))
add("missing_indicator", MissingIndicator(), holes(Xi, .1)); add("missing_indicator_all", MissingIndicator(features="all"), holes(Xi, .1))
strm = np.array([["a", "x"], ["b", ""], ["", "y"], ["a", "x"]] * 20, dtype=object)
add("imputer_str", SimpleImputer(strategy="most_frequent", missing_values=""), strm); add("imputer_strc", SimpleImputer(strategy="constant", fill_value="zz", missing_values=""), strm)
for gn, m in {"gem": KMeans(3, n_init=2, random_state=1), "mb": MiniBatchKMeans(3, n_init=2, random_state=1)}.items():
    for g in (True, False): add(f"kmeans_{gn}_{int(g)}", m, Xi, opt={"gemm": g})
for sn, m in {"kb": SelectKBest(k=2), "pct": SelectPercentile(percentile=50), "fpr": SelectFpr(), "fdr": SelectFdr(), "fwe": SelectFwe(), "gus": GenericUnivariateSelect(), "rfe": RFE(LR(), n_features_to_select=2), "rfecv": RFECV(LR(), cv=2), "sfm": SelectFromModel(DecisionTreeClassifier(max_depth=3)), "vt": VarianceThreshold(.3)}.items():
    add(f"select_{sn}", m, Xi, yi); add(f"select_{sn}_pipe", make_pipeline(clone(m), LR()), Xi, yi)
add("rp", __import__("sklearn.random_projection", fromlist=["x"]).GaussianRandomProjection(3, random_state=1), Xi)
add("lb", LabelBinarizer(), yi.reshape(-1, 1).ravel()); add("lb_neg", LabelBinarizer(neg_label=-1, pos_label=2), yi)
add("lb_str", LabelBinarizer(), names3[yi].astype(object)); add("lb_bin", LabelBinarizer(), (yi > 0) + 0)
def label_encoder(name, y, Ty, **kw):
    def build():
        m = LabelEncoder().fit(y); onx = to_onnx(m, initial_types=[("X", Ty([None]))], **kw)
        T = y[-ROWS:]; return keep(name, onx, {"X": T.astype(object).reshape(-1, 1)[:, 0] if T.dtype.kind == "U" else T}, {"transform": m.transform(T)}, "input (m,)")
    attempt(name, build)
label_encoder("le_int", yi.astype(np.int64), Int64TensorType, target_opset=17); label_encoder("le_float", (yi * 1.5).astype(np.float32), FloatTensorType, target_opset=17)

# ---- categories --------------------------------------------------------------------------------------------
n = 300
r2 = np.random.default_rng(SEED)
df = pd.DataFrame(dict(age=r2.normal(40, 12, n).round(1), fare=r2.gamma(2, 20, n).round(2), sex=r2.choice(["male", "female"], n), port=r2.choice(["S", "C", "Q", "Ø"], n, p=[.6, .27, .1, .03]), plan=r2.choice(["free", "pro", "team", "ent", "rare one"], n, p=[.4, .3, .2, .08, .02]), visits=r2.integers(0, 6, n), member=r2.random(n) < .5))
df["sex"], df["port"], df["plan"] = (df[c].astype(object) for c in ("sex", "port", "plan"))
df.loc[r2.random(n) < .1, "age"] = np.nan
yy = ((df.fare > 35) ^ (df.sex == "female") ^ (r2.random(n) < .1)).astype(int).values
num, cat = ["age", "fare"], ["sex", "port", "plan"]
odd = df.iloc[-ROWS:].copy(); odd.iloc[0, 2:5] = ["?", "", "unheard"]; odd.iloc[1, 3] = ""
S = df[cat].to_numpy(dtype=object); So = odd[cat].to_numpy(dtype=object); I = np.column_stack([df.visits, df.visits % 3, (df.fare // 10)]).astype(np.int64); Io = I[-ROWS:].copy(); Io[0] = 99; Io[1] = -5
ohes = {"ignore": dict(handle_unknown="ignore"), "dropfirst": dict(drop="first", handle_unknown="ignore"), "dropbin": dict(drop="if_binary", handle_unknown="ignore"), "infreq": dict(min_frequency=20, handle_unknown="infrequent_if_exist"), "maxcat": dict(max_categories=3, handle_unknown="infrequent_if_exist"), "error": {}, "dense": dict(sparse_output=False, handle_unknown="ignore"), "dropvals": dict(drop=None, categories="auto", handle_unknown="ignore", dtype=np.int64)}
for on, kw in ohes.items():
    ok = on != "error"
    add(f"ohe_str_{on}", OneHotEncoder(**kw), S, test=So if ok else None); add(f"ohe_int_{on}", OneHotEncoder(**kw), I, test=Io if ok else None); add(f"ohe_f32_{on}", OneHotEncoder(**kw), I.astype(np.float32), test=Io.astype(np.float32) if ok else None)
    add(f"ohe_cols_{on}", OneHotEncoder(**kw), df[cat], test=odd[cat] if ok else None)
ords = {"plain": {}, "unk": dict(handle_unknown="use_encoded_value", unknown_value=-1), "unknan": dict(handle_unknown="use_encoded_value", unknown_value=np.nan), "infreq": dict(min_frequency=20, handle_unknown="use_encoded_value", unknown_value=-1), "maxcat": dict(max_categories=3), "i64": dict(dtype=np.int64)}
for on, kw in ords.items():
    ok = on.startswith("unk")
    add(f"ord_str_{on}", OrdinalEncoder(**kw), S, test=So if ok else None); add(f"ord_int_{on}", OrdinalEncoder(**kw), I, test=Io if ok else None); add(f"ord_f32_{on}", OrdinalEncoder(**kw), I.astype(np.float32), test=Io.astype(np.float32) if ok else None)
    add(f"ord_cols_{on}", OrdinalEncoder(**kw), df[cat], test=odd[cat] if ok else None)
for tn, yt in {"cont": df.fare.to_numpy(), "bin": yy, "multi": (df.visits % 3).to_numpy()}.items():
    add(f"target_str_{tn}", TargetEncoder(random_state=1), S, yt, test=So); add(f"target_int_{tn}", TargetEncoder(random_state=1), I, yt, test=Io); add(f"target_f32_{tn}", TargetEncoder(random_state=1), I.astype(np.float32), yt)
add("catnb", CategoricalNB(), I, yy); add("catnb_f32", CategoricalNB(), I.astype(np.float32), yy)
add("hasher_str", FeatureHasher(8, input_type="string"), df[["sex"]].to_numpy(dtype=object)); add("hasher_str3", FeatureHasher(16, input_type="string", alternate_sign=False), S)
add("hasher_i64", FeatureHasher(16, input_type="string", dtype=np.int64), S)
encs = {"onehot": OneHotEncoder(handle_unknown="ignore"), "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), "target": TargetEncoder(random_state=1), "onehotdrop": OneHotEncoder(drop="first", handle_unknown="ignore"), "imponehot": make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=""), OneHotEncoder(handle_unknown="ignore"))}
heads = {"logreg": LR(), "rf": RandomForestClassifier(8, max_depth=4, random_state=1), "gb": GradientBoostingClassifier(n_estimators=8), "mlp": MLPClassifier((8,), max_iter=80, random_state=1), "svc": SVC(probability=True, random_state=1), "knn": KNeighborsClassifier(3), "hgb": HistGradientBoostingClassifier(max_iter=6), "sgd": SGDClassifier(loss="log_loss", random_state=1), "et": ExtraTreesClassifier(6, max_depth=4, random_state=1), "lsvc": LinearSVC(), "gnb": GaussianNB(), "cal": CalibratedClassifierCV(LinearSVC(), cv=2), "stack": StackingClassifier([("a", LR()), ("b", DecisionTreeClassifier(max_depth=3))], cv=2)}
def mixed(e, sparse=0, **kw):
    return ColumnTransformer([("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), num), ("c", e, cat)], sparse_threshold=sparse, **kw)
for en, e in encs.items():
    for hn, m in heads.items():
        add(f"pipe_{en}_{hn}", Pipeline([("pre", mixed(clone(e))), ("m", clone(m))]), df[num + cat], yy, test=odd[num + cat])
    add(f"pipe_{en}_ridge", Pipeline([("pre", mixed(clone(e))), ("m", Ridge())]), df[num + cat], df.fare.to_numpy(), test=odd[num + cat])
    add(f"pipe_{en}_only", mixed(clone(e)), df[num + cat], yy, test=odd[num + cat])
    add(f"pipe_{en}_sparse", Pipeline([("pre", mixed(clone(e), .9)), ("m", LR())]), df[num + cat], yy, test=odd[num + cat])
    add(f"pipe_{en}_zip", Pipeline([("pre", mixed(clone(e))), ("m", LR())]), df[num + cat], names3[yy], test=odd[num + cat], zipmap=True)
cols = num + cat + ["visits"]
add("pipe_passthrough", Pipeline([("pre", ColumnTransformer([("n", SimpleImputer(), num), ("c", OneHotEncoder(handle_unknown="ignore"), cat)], remainder="passthrough", sparse_threshold=0)), ("m", LR())]), df[cols], yy, test=odd[cols])
add("pipe_drop", Pipeline([("pre", ColumnTransformer([("n", KNNImputer(n_neighbors=2), num), ("d", "drop", ["sex"]), ("k", KBinsDiscretizer(3, encode="onehot-dense"), ["visits"])])), ("m", LR())]), df[num + ["sex", "visits"]], yy, opset=18)
add("pipe_select", Pipeline([("pre", mixed(OneHotEncoder(handle_unknown="ignore"))), ("s", SelectKBest(k=3)), ("m", RandomForestClassifier(4, max_depth=3, random_state=1))]), df[num + cat], yy, test=odd[num + cat])
add("pipe_pca", Pipeline([("pre", mixed(OneHotEncoder(handle_unknown="ignore"))), ("s", PCA(3)), ("m", SVC())]), df[num + cat], yy, test=odd[num + cat])
add("pipe_poly", Pipeline([("pre", ColumnTransformer([("n", make_pipeline(SimpleImputer(), PolynomialFeatures(2), StandardScaler()), num), ("i", OneHotEncoder(handle_unknown="ignore"), ["visits"])])), ("m", LR())]), df[num + ["visits"]], yy)
add("pipe_bool", Pipeline([("pre", ColumnTransformer([("n", SimpleImputer(), num), ("b", "passthrough", ["member"])])), ("m", LR())]), df[num + ["member"]], yy)
add("pipe_ind", Pipeline([("pre", ColumnTransformer([("n", SimpleImputer(add_indicator=True), num), ("c", OneHotEncoder(handle_unknown="ignore"), cat)])), ("m", DecisionTreeClassifier(max_depth=4))]), df[num + cat], yy, test=odd[num + cat])
add("union", make_union(StandardScaler(), PCA(2), PolynomialFeatures(2)), Xi); add("union_w", FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())], transformer_weights=dict(a=2., b=.5)), Xi)
add("union_pipe", make_pipeline(make_union(StandardScaler(), SelectKBest(k=2)), LR()), Xi, yi); add("ct_slices", make_pipeline(ColumnTransformer([("a", StandardScaler(), slice(0, 2)), ("b", MinMaxScaler(), [3]), ("c", "passthrough", [2, 0])]), LR()), Xi, yi)
add("deep_pipe", make_pipeline(SimpleImputer(), make_pipeline(StandardScaler(), PolynomialFeatures(2)), PCA(4), StandardScaler(), LR()), holes(Xi), yi, test=nanrow(holes(Xi)))
add("pipe_kbins_lr", make_pipeline(KBinsDiscretizer(4, encode="onehot-dense"), LR()), Xi, yi); add("pipe_qt_svc", make_pipeline(QuantileTransformer(n_quantiles=20), SVC(probability=True)), Xi, yi); add("pipe_norm_knn", make_pipeline(Normalizer(), KNeighborsClassifier(3)), Xi, yi); add("pipe_digits", make_pipeline(StandardScaler(), LR()), Xd, yd); add("pipe_digits_pca", make_pipeline(StandardScaler(), PCA(16), SVC()), Xd, yd); add("pipe_digits_mlp", make_pipeline(MinMaxScaler(), MLPClassifier((32, 16), max_iter=60, random_state=1)), Xd, yd); add("pipe_kmeans_lr", make_pipeline(KMeans(5, n_init=2, random_state=1), LR()), Xi, yi)

# ---- text --------------------------------------------------------------------------------------------------
words = "the cat sat on a mat while dogs ran fast over green hills and rivers never sleep because stars shine above old towns café naïve données".split()
docs = np.array([" ".join(r2.choice(words, r2.integers(2, 12))) + r2.choice(["", ".", "!", ", ok"]) for _ in range(160)], dtype=object)
docs[5] = docs[5].upper(); docs[-3] = ""; docs[-5] = "UNKNOWN words Only"; docs[-7] = "   spaced   out  \t tab\nline "; docs[-9] = docs[-9].title(); docs[-11] = "a b c"; docs[-13] = "cat, cat; cat-cat cat_cat 42 7"
yt = np.array([("cat" in d or "stars" in d) + 0 for d in docs])
vecs = {"plain": {}, "bigram": dict(ngram_range=(1, 2)), "bionly": dict(ngram_range=(2, 2)), "tri": dict(ngram_range=(1, 3), max_features=60), "binary": dict(binary=True), "nolower": dict(lowercase=False), "char": dict(analyzer="char"), "char23": dict(analyzer="char", ngram_range=(2, 3), max_features=80), "charwb": dict(analyzer="char_wb"), "charwb3": dict(analyzer="char_wb", ngram_range=(2, 3)), "stop": dict(stop_words=["the", "a", "on"]), "stopen": dict(stop_words="english"), "mindf": dict(min_df=5, max_df=.8), "token": dict(token_pattern=r"[a-zA-Z]+"), "token1": dict(token_pattern=r"(?u)\b\w+\b"), "vocab": dict(vocabulary=["cat", "dogs", "zebra"]), "strip": dict(strip_accents="unicode")}
tf = {"l2": {}, "l1": dict(norm="l1"), "nonorm": dict(norm=None), "sub": dict(sublinear_tf=True), "noidf": dict(use_idf=False), "nosmooth": dict(smooth_idf=False)}
def text_model(name, est, y=None, opt=None, opset=17, zipmap=False, shape=1):
    """The input is (m, 1) in ONNX, (m,) for scikit-learn."""
    def build():
        est.fit(docs) if y is None else est.fit(docs, y)
        o = {}
        if opt: o[id(est.steps[0][1] if isinstance(est, Pipeline) else est)] = opt
        if is_classifier(est) and not zipmap: o[id(last(est))] = {"zipmap": False}
        onx = to_onnx(est, initial_types=[("X", StringTensorType([None, shape] if shape else [None]))], options=o or None, target_opset=opset)
        T = docs[-ROWS:]
        return keep(name, onx, {"X": T.reshape(-1, 1)} if shape else {"X": T.reshape(-1, 1)}, expected(est, T))
    attempt(name, build)
for vn, kw in vecs.items():
    text_model(f"count_{vn}", CountVectorizer(**kw)); text_model(f"tfidf_{vn}", TfidfVectorizer(**kw))
    text_model(f"textpipe_{vn}", make_pipeline(TfidfVectorizer(**kw), LR()), yt)
for tn, kw in tf.items():
    text_model(f"tfidfvar_{tn}", TfidfVectorizer(**kw)); text_model(f"counttf_{tn}", make_pipeline(CountVectorizer(), TfidfTransformer(**kw)))
    add(f"tfidftrans_{tn}", TfidfTransformer(**kw), np.round(Xd[:120] / 3))
for v in (11, 13, 15, 18, 21): text_model(f"tfidf_opset{v}", TfidfVectorizer(), opset=v)
text_model("count_sep", CountVectorizer(), opt={"separators": [" ", "[.]", "\\?", ",", ";", ":", "\\!"]}); text_model("tfidf_tokenexp", TfidfVectorizer(), opt={"tokenexp": "[a-zA-Z0-9_]+"}); text_model("count_nan", CountVectorizer(), opt={"nan": True}); text_model("count_locale", CountVectorizer(), opt={"locale": "en_US"}); text_model("count_keepempty", CountVectorizer(), opt={"keep_empty_string": True})
for hn, m in {"mnb": MultinomialNB(), "cnb": ComplementNB(), "bnb": BernoulliNB(), "lsvc": LinearSVC(), "sgd": SGDClassifier(random_state=1), "rf": RandomForestClassifier(5, max_depth=4, random_state=1), "svc": SVC(probability=True), "pac": PassiveAggressiveClassifier(random_state=1), "knn": KNeighborsClassifier(3), "ridge": RidgeClassifier(), "nbstr": None}.items():
    text_model(f"texthead_{hn}", make_pipeline(TfidfVectorizer(), m if m is not None else MultinomialNB()), yt if m is not None else np.array(["no", "yes"])[yt])
    text_model(f"texthead_zip_{hn}", make_pipeline(CountVectorizer(), clone(m) if m is not None else MultinomialNB()), yt if m is not None else np.array(["no", "yes"])[yt], zipmap=True)
text_model("text_svd", make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=1), LR()), yt); text_model("text_union", make_pipeline(make_union(CountVectorizer(), TfidfVectorizer(ngram_range=(1, 2))), LR()), yt); text_model("text_hash", make_pipeline(HashingVectorizer(n_features=32), LR()), yt)
dt = pd.DataFrame(dict(text=docs, kind=r2.choice(["p", "q"], len(docs)).astype(object), x=r2.normal(size=len(docs))))
for vn, v in {"tfidf": TfidfVectorizer(), "count": CountVectorizer(ngram_range=(1, 2))}.items():
    add(f"textmix_{vn}", Pipeline([("pre", ColumnTransformer([("t", v, "text"), ("k", OneHotEncoder(), ["kind"]), ("x", StandardScaler(), ["x"])])), ("m", LR())]), dt, yt)
    add(f"textmix_{vn}_rf", Pipeline([("pre", ColumnTransformer([("t", clone(v), "text"), ("x", "passthrough", ["x"])], sparse_threshold=0)), ("m", RandomForestClassifier(5, max_depth=4, random_state=1))]), dt[["text", "x"]], yt)

# ---- linear models -----------------------------------------------------------------------------------------
for pw in (0, 1, 1.5, 2, 3): add(f"tweedie_{pw}", TweedieRegressor(power=pw), Xr, yrp)
add("tweedie_log", TweedieRegressor(power=0, link="log"), Xr, yrp); add("tweedie_id", TweedieRegressor(power=1, link="identity", alpha=10), Xr, yrp); add("poisson", PoissonRegressor(), Xr, yrp); add("gamma", GammaRegressor(), Xr, yrp); add("poisson_pipe", make_pipeline(StandardScaler(), PoissonRegressor()), Xr, yrp)
for ls in ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"):
    add(f"sgd_{ls}_wine", SGDClassifier(loss=ls, random_state=1), Xws, yw); add(f"sgd_{ls}_bc", SGDClassifier(loss=ls, random_state=1), Xbs, yb); add(f"sgdraw_{ls}_wine", SGDClassifier(loss=ls, random_state=1), Xws, yw, opt={"zipmap": False, "raw_scores": True})
    if ls.startswith(("squared_e", "hub", "eps")): add(f"sgdr_{ls}", SGDRegressor(loss=ls, random_state=1), Xr, yr)
for act in ("identity", "logistic", "tanh", "relu"):
    add(f"mlp_{act}_wine", MLPClassifier((6, 5), activation=act, max_iter=80, random_state=1), Xws, yw); add(f"mlp_{act}_bc", MLPClassifier((6,), activation=act, max_iter=80, random_state=1), Xbs, yb); add(f"mlpr_{act}", MLPRegressor(hidden_layer_sizes=(6, 4), activation=act, max_iter=80, random_state=1), Xr, yr); add(f"mlp_{act}_ml", MLPClassifier((6,), activation=act, max_iter=80, random_state=1), Xws, ML)
for tag, (X, y) in {"wine": (Xws, yw), "bc": (Xbs, yb), "digits": (Xd / 16, yd)}.items():
    for ln, m in {"l1": LogisticRegression(l1_ratio=1, solver="saga", max_iter=100), "none": LogisticRegression(C=np.inf, max_iter=100), "noint": LogisticRegression(fit_intercept=False, max_iter=100), "cv": LogisticRegressionCV(Cs=2, cv=2, max_iter=100), "liblin": LogisticRegression(solver="liblinear"), "ridge": RidgeClassifier(), "pac": PassiveAggressiveClassifier(random_state=1), "perc": Perceptron(), "lda_lsqr": LinearDiscriminantAnalysis(solver="lsqr"), "lda_shr": LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"), "qda": QuadraticDiscriminantAnalysis(reg_param=.1), "gnb": GaussianNB(), "bnb": BernoulliNB(binarize=.3), "mnb": MultinomialNB(), "cnbnorm": ComplementNB(norm=True)}.items():
        add(f"lin_{ln}_{tag}", clone(m), np.abs(X) if "nb" in ln else X, y)
        if tag != "digits": add(f"linnan_{ln}_{tag}", clone(m), np.abs(X) if "nb" in ln else X, y, test=nanrow(X), note="rows of NaN, which the source refuses")
Xt1 = nanrow(Xi)
for mn, m in {"rf": RandomForestClassifier(5, max_depth=3, random_state=1), "logreg": LR(), "svc": SVC(probability=True), "mlp": MLPClassifier((5,), max_iter=50, random_state=1), "gb": GradientBoostingClassifier(n_estimators=4), "kmeans": KMeans(3, n_init=2, random_state=1), "gmm": GaussianMixture(2, random_state=1), "iso": IsolationForest(n_estimators=4, random_state=1), "ada": AdaBoostClassifier(n_estimators=3, random_state=1), "knn": KNeighborsClassifier(3), "ovo": OneVsOneClassifier(LR()), "lin": LinearRegression(), "et": ExtraTreesRegressor(3, max_depth=3, random_state=1), "qt": QuantileTransformer(n_quantiles=10), "kb": KBinsDiscretizer(3, encode="onehot-dense"), "poly": PolynomialFeatures(2)}.items(): add(f"nan_{mn}", m, Xi, yi, test=Xt1, note="rows of NaN, which the source may refuse")

# ---- boosters through onnxmltools and their own export ----------------------------------------------------
def boosters():
    import lightgbm as lgb, xgboost as xgb, catboost as cb, onnxmltools
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as F
    for est, nm, cv, shp in ((lgb.LGBMClassifier, "LightGbmLGBMClassifier", convert_lightgbm, calculate_linear_classifier_output_shapes), (lgb.LGBMRegressor, "LightGbmLGBMRegressor", convert_lightgbm, calculate_linear_regressor_output_shapes), (xgb.XGBClassifier, "XGBoostXGBClassifier", convert_xgboost, calculate_linear_classifier_output_shapes), (xgb.XGBRegressor, "XGBoostXGBRegressor", convert_xgboost, calculate_linear_regressor_output_shapes)):
        update_registered_converter(est, nm, shp, cv, options={"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]} if "Classifier" in nm else {"split": None})
    def tool(name, conv, model, X, y, fit=None, expect=None, T=None, **kw):
        def build():
            model.fit(X, y, **(fit or {})); t = T if T is not None else X[-ROWS:]
            onx = conv(model, initial_types=[("X", F([None, X.shape[1]]))], **kw)
            return keep(name, onx, {"X": t}, expected(model, t) if expect is None else expect(t))
        attempt(name, build)
    L, G = onnxmltools.convert_lightgbm, onnxmltools.convert_xgboost
    HB, HR, HW = holes(Xb), holes(Xr), holes(Xw)
    TB, TR, TW = nanrow(HB), nanrow(HR), nanrow(HW)
    k = dict(n_estimators=12, verbose=-1, n_jobs=1)
    xk = dict(n_estimators=12, max_depth=4, n_jobs=1)
    ck = dict(iterations=15, depth=4, verbose=0, allow_writing_files=False, thread_count=1, random_seed=1)
    for z in (False, True):
        zt = "_zip" if z else ""
        for op in (13, 15):
            tool(f"lgb_binary{zt}_{op}", L, lgb.LGBMClassifier(**k), HB, yb, T=TB, zipmap=z, target_opset=op); tool(f"lgb_multi{zt}_{op}", L, lgb.LGBMClassifier(**k), HW, yw, T=TW, zipmap=z, target_opset=op)
        tool(f"lgb_str{zt}", L, lgb.LGBMClassifier(**k), HW, names3[yw], T=TW, zipmap=z, target_opset=15)
    for bt in ("dart", "rf", "gbdt"): tool(f"lgb_{bt}", L, lgb.LGBMClassifier(boosting_type=bt, **k | (dict(subsample=.5, subsample_freq=1) if bt == "rf" else {})), HB, yb, T=TB, zipmap=False, target_opset=15); tool(f"lgbr_{bt}", L, lgb.LGBMRegressor(boosting_type=bt, **k | (dict(subsample=.5, subsample_freq=1) if bt == "rf" else {})), HR, yr, T=TR, target_opset=15)
    for ob in ("regression", "l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "cross_entropy"): tool(f"lgbr_{ob}", L, lgb.LGBMRegressor(objective=ob, **k), HR, yrp / 10, T=TR, target_opset=15)
    tool("lgbr_nonan", L, lgb.LGBMRegressor(use_missing=False, **k), Xr, yr, T=nanrow(Xr), target_opset=15); tool("lgbr_zero", L, lgb.LGBMRegressor(zero_as_missing=True, **k), np.round(Xr * 20), yr, target_opset=15); tool("lgb_ova", L, lgb.LGBMClassifier(objective="multiclassova", **k), HW, yw, T=TW, zipmap=False, target_opset=15)
    tool("lgbr_split", L, lgb.LGBMRegressor(**k), HR, yr, T=TR, target_opset=15, split=5); tool("lgb_wo_prob", L, lgb.LGBMClassifier(objective="cross_entropy", **k), HB, yb, T=TB, zipmap=False, target_opset=15)
    Xk = np.column_stack([r2.integers(0, 12, 400), r2.integers(0, 4, 400), r2.normal(size=400)]).astype(np.float32); yk = np.isin(Xk[:, 0], [1, 5, 9]) * 2. + Xk[:, 1] * .3 + Xk[:, 2]; Tk = Xk[-ROWS:].copy(); Tk[0, 0] = 99; Tk[1, 0] = np.nan; Tk[2, 0] = -1; Tk[3, 0] = 5.7
    tool("lgbr_cat", L, lgb.LGBMRegressor(min_data_per_group=5, max_cat_to_onehot=2, **k), Xk, yk, fit=dict(categorical_feature=[0, 1]), T=Tk, target_opset=15); tool("lgb_cat", L, lgb.LGBMClassifier(min_data_per_group=5, max_cat_to_onehot=2, **k), Xk, (yk > 1) + 0, fit=dict(categorical_feature=[0, 1]), T=Tk, zipmap=False, target_opset=15)
    tool("lgb_rank", L, lgb.LGBMRanker(**k), HR, (yr // 80).astype(int), fit=dict(group=[100] * (len(yr) // 100) + ([len(yr) % 100] if len(yr) % 100 else [])), T=TR, target_opset=15)
    for op in (9, 13, 15):
        tool(f"xgb_binary_{op}", G, xgb.XGBClassifier(**xk), HB, yb, T=TB, target_opset=op); tool(f"xgb_multi_{op}", G, xgb.XGBClassifier(**xk), HW, yw, T=TW, target_opset=op); tool(f"xgbr_{op}", G, xgb.XGBRegressor(**xk), HR, yr, T=TR, target_opset=op)
    for ob in ("reg:squarederror", "reg:logistic", "count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror", "binary:logitraw", "reg:quantileerror"): tool(f"xgbr_{ob.replace(':', '_')}", G, xgb.XGBRegressor(objective=ob, **xk | (dict(quantile_alpha=.5) if "quant" in ob else {})), HR, (yrp / 10).clip(.01, .99), T=TR, target_opset=15)
    for ob in ("binary:logistic", "binary:hinge"): tool(f"xgbc_{ob.replace(':', '_')}", G, xgb.XGBClassifier(objective=ob, **xk), HB, yb, T=TB, target_opset=15)
    tool("xgbc_softmax", G, xgb.XGBClassifier(objective="multi:softmax", **xk), HW, yw, T=TW, target_opset=15); tool("xgbc_dart", G, xgb.XGBClassifier(booster="dart", **xk), HB, yb, T=TB, target_opset=15); tool("xgbr_dart", G, xgb.XGBRegressor(booster="dart", rate_drop=.3, **xk), HR, yr, T=TR, target_opset=15); tool("xgbr_linear", G, xgb.XGBRegressor(booster="gblinear", n_estimators=12), Xr, yr, target_opset=15)
    tool("xgb_rf", G, xgb.XGBRFClassifier(n_estimators=8, max_depth=4), HB, yb, T=TB, target_opset=15); tool("xgbr_rf", G, xgb.XGBRFRegressor(n_estimators=8, max_depth=4), HR, yr, T=TR, target_opset=15)
    tool("xgb_rank", G, xgb.XGBRanker(objective="rank:pairwise", **xk), HR, (yr // 80).astype(int), fit=dict(group=[100] * (len(yr) // 100) + ([len(yr) % 100] if len(yr) % 100 else [])), T=TR, target_opset=15); tool("xgbr_base", G, xgb.XGBRegressor(base_score=.7, **xk), HR, yr, T=TR, target_opset=15); tool("xgb_base", G, xgb.XGBClassifier(base_score=.3, **xk), HB, yb, T=TB, target_opset=15); tool("xgbr_multi", G, xgb.XGBRegressor(**xk), HR, np.column_stack([yr, yr ** .5]), T=TR, target_opset=15); tool("xgbr_early", G, xgb.XGBRegressor(early_stopping_rounds=2, **xk), HR, yr, fit=dict(eval_set=[(HR[:100], yr[:100])], verbose=False), T=TR, target_opset=15)
    def own(name, model, X, y, T):
        def build():
            model.fit(X, y); p = f"{out}/.{name}.tmp"
            model.save_model(p, format="onnx", export_parameters={"onnx_domain": "ai.test", "onnx_graph_name": "g"}); data = open(p, "rb").read(); os.remove(p)
            return keep(name, data, {"features": T}, expected(model, T) | {"raw": model.predict(T, prediction_type="RawFormulaVal")})
        attempt(name, build)
    for nm, extra in {"": {}, "_leafwise": dict(grow_policy="Lossguide"), "_depthwise": dict(grow_policy="Depthwise"), "_nanmax": dict(nan_mode="Max")}.items():
        own(f"cat_binary{nm}", cb.CatBoostClassifier(**ck | extra), HB, yb, TB); own(f"cat_multi{nm}", cb.CatBoostClassifier(**ck | extra), HW, yw, TW); own(f"cat_reg{nm}", cb.CatBoostRegressor(**ck | extra), HR, yr, TR)
    own("cat_nonan", cb.CatBoostRegressor(**ck), Xr, yr, nanrow(Xr)); own("cat_str", cb.CatBoostClassifier(**ck), HW, names3[yw], TW); own("cat_strbin", cb.CatBoostClassifier(**ck), HB, np.array(["no", "yes"])[yb], TB); own("cat_poisson", cb.CatBoostRegressor(loss_function="Poisson", **ck), HR, yrp, TR); own("cat_ova", cb.CatBoostClassifier(loss_function="MultiClassOneVsAll", **ck), HW, yw, TW); own("cat_ce", cb.CatBoostClassifier(loss_function="CrossEntropy", **ck), HB, yb, TB); own("cat_multirmse", cb.CatBoostRegressor(loss_function="MultiRMSE", **ck), HR, np.column_stack([yr, yr ** .5]), TR)
    ops = {"": 15, "ai.onnx.ml": 2}
    def piped(name, p, X, y, T, zipmap=False, classifier=True):
        def build():
            p.fit(X, y); ty, feeds = feeds_of(T)
            onx = to_onnx(p, initial_types=ty, options={id(last(p)): {"zipmap": zipmap}} if classifier else None, target_opset=ops)
            return keep(name, onx, feeds, expected(p, T))
        attempt(name, build)
    for bn, m in {"lgb": lgb.LGBMClassifier(**k), "xgb": xgb.XGBClassifier(**xk)}.items():
        for en, e in encs.items():
            piped(f"pipe_{en}_{bn}", Pipeline([("pre", mixed(clone(e))), ("m", clone(m))]), df[num + cat], yy, odd[num + cat])
            piped(f"pipe_{en}_{bn}_zip", Pipeline([("pre", mixed(clone(e))), ("m", clone(m))]), df[num + cat], yy, odd[num + cat], zipmap=True)
        piped(f"pipe_ss_{bn}", make_pipeline(StandardScaler(), clone(m)), HB, yb, TB); piped(f"pipe_ss_{bn}_multi", make_pipeline(StandardScaler(), clone(m)), HW, yw, TW)
        add(f"vote_{bn}", VotingClassifier([("a", clone(m)), ("b", LR())], voting="soft", flatten_transform=False), Xi, yi, opset=15, ml=2); add(f"cal_{bn}", CalibratedClassifierCV(clone(m), cv=2), Xi, yi, opset=15, ml=2); add(f"stack_{bn}", StackingClassifier([("a", clone(m)), ("b", LR())], cv=2), Xi, yi, opset=15, ml=2)
    piped("pipe_ss_lgbr", make_pipeline(StandardScaler(), lgb.LGBMRegressor(**k)), HR, yr, TR, classifier=False); piped("pipe_ss_xgbr", make_pipeline(StandardScaler(), xgb.XGBRegressor(**xk)), HR, yr, TR, classifier=False)
try: boosters()
except ImportError as e: log.append(f"none boosters {e}")


# ---- running -----------------------------------------------------------------------------------------------
todo = [(n, b) for n, b in todo if args.only in n]
assert len({n for n, _ in todo}) == len(todo), "two models of one name"
children = []
for j in range(args.jobs):
    if (pid := os.fork()) == 0:
        if j: log.clear()
        run(todo[j::args.jobs])
        json.dump([manifest, log], open(f"{out}/.part{j}", "w"))
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
entries, lines = [], []
for j in range(args.jobs):
    m, l = json.load(open(f"{out}/.part{j}")); entries += m; lines += l; os.remove(f"{out}/.part{j}")
if args.only and os.path.exists(f"{out}/MANIFEST.json"):
    new = {e["name"] for e in entries}
    entries += [e for e in json.load(open(f"{out}/MANIFEST.json")) if e["name"] not in new]
json.dump(sorted(entries, key=lambda e: e["name"]), open(f"{out}/MANIFEST.json", "w"), indent=1)
open(f"{out}/LOG.txt", "a" if args.only else "w").write("\n".join(sorted(lines)) + "\n")
print("kept", sum(l.startswith("ok") for l in lines), "of", len(lines))
