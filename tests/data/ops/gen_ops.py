"""Goldens of single operators: small ONNX models with the answers of ONNX Runtime.

usage: gen_ops.py OUT      (numpy onnx onnxruntime; Tokenizer is skipped where the build lacks it)

For each case <Op>_<case>: .onnx of one or a few nodes, and .npz with in:* the inputs and ort:* what ONNX
Runtime (CPU, one thread, no graph rewriting) answers; strings as <U. Numpy drops trailing NUL characters
of <U, nothing else. A ZipMap's sequence of maps is a float array (m, classes) in the order of its class labels.
A map as input (DictVectorizer, CastMap) is stored as in:<name>__keys and in:<name>__values.
Inputs declared with the symbol N at axis 0 are batched; all other shapes are fixed, so that the case is one
answer, not m of them. MANIFEST.json: per case the operators, the operator sets, and `raises` with ONNX
Runtime's words where it refuses the input (those cases have no ort:*).
"""
import itertools, json, os, sys
import numpy as np
import onnx, onnxruntime as ort
from onnx import helper as h, numpy_helper as nh, TensorProto as T
ort.set_default_logger_severity(4)
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
ML, MS = "ai.onnx.ml", "com.microsoft"
nan, inf = np.nan, np.inf
f4, f8, i8, i4, b1, u1 = np.float32, np.float64, np.int64, np.int32, np.bool_, np.uint8
manifest, skipped = {}, []

def S(*v, shape=None):
    a = np.array(v, dtype=object)
    return a.reshape(shape) if shape else a

def tensor(a, name=""):
    a = np.asarray(a)
    if a.dtype.kind in "OU":
        return h.make_tensor(name, T.STRING, a.shape, [str(x).encode() for x in a.ravel()])
    return nh.from_array(a, name)

def node(op, ins, outs, domain="", **at):
    """A node whose attributes are lists of numbers of one kind, strings, arrays (tensors) or graphs."""
    n = h.make_node(op, ins, outs, domain=domain)
    if op == "StringNormalizer": at.setdefault("locale", "C.UTF-8")     # the default, en_US, is not on every machine
    for k, v in at.items():
        if v is None: continue
        n.attribute.append(h.make_attribute(k, tensor(v, k) if isinstance(v, np.ndarray) else v))
    return n

def elem(a):
    return T.STRING if a.dtype.kind in "OU" else h.np_dtype_to_tensor_dtype(a.dtype)

def value(name, a, batch):
    a = np.asarray(a)
    dims = ["N" if (i == 0 and batch) or d == 0 else d for i, d in enumerate(a.shape)]
    return h.make_tensor_value_info(name, elem(a), dims)

def case(name, nodes, feeds, outs=("Y",), opset=17, ml=3, init=None, batch=None, fails=False):
    if name.startswith(UNDEFINED): return
    nodes = nodes if isinstance(nodes, list) else [nodes]
    if batch is None: batch = any(n.domain == ML for n in nodes)
    feeds = {k: v if isinstance(v, dict) else np.asarray(v) for k, v in feeds.items()}
    ins = []
    for k, v in feeds.items():
        if isinstance(v, dict):
            kt, vt = (type(next(iter(x))) for x in (v, v.values()))
            t = {str: T.STRING, int: T.INT64, float: T.FLOAT}
            ins.append(h.make_value_info(k, h.make_map_type_proto(t[kt], h.make_tensor_type_proto(t[vt], []))))
        else: ins.append(value(k, v, batch))
    imports = [h.make_opsetid("", opset)]
    domains = {n.domain for n in nodes}
    if ML in domains: imports.append(h.make_opsetid(ML, ml))
    if MS in domains: imports.append(h.make_opsetid(MS, 1))
    inits = [tensor(v, k) for k, v in (init or {}).items()]
    def model(infos): return h.make_model(h.make_graph(nodes, "g", ins, infos, inits), opset_imports=imports, ir_version=8 if opset < 19 else 9 if opset < 21 else 10)
    so = ort.SessionOptions(); so.intra_op_num_threads = 1; so.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    entry = dict(ops=sorted({(n.domain + ":" if n.domain else "") + n.op_type for n in nodes}), opset=opset)
    arrays = {}
    for k, v in feeds.items():
        if isinstance(v, dict): arrays[f"in:{k}__keys"] = np.array(list(v)); arrays[f"in:{k}__values"] = np.array(list(v.values()))
        else: arrays["in:" + k] = v.astype("U") if v.dtype.kind == "O" else v
    bare = model([onnx.ValueInfoProto(name=o) for o in outs])
    try: s = ort.InferenceSession(bare.SerializeToString(), so, providers=["CPUExecutionProvider"])
    except Exception as e:
        skipped.append(f"{name}: not loaded: {str(e)[-330:]}"); return
    try: got = s.run(list(outs), {k: (v.astype(object) if not isinstance(v, dict) and v.dtype.kind == "U" else v) for k, v in feeds.items()})
    except Exception as e:
        if not fails: skipped.append(f"{name}: not run: {str(e)[-330:]}"); return
        entry["raises"] = str(e).split("Status Message:")[-1].strip()[:160]
        got = None
    infos = []
    for i, o in enumerate(outs):
        if got is None: infos.append(h.make_tensor_value_info(o, T.STRING if "STRING" in name else T.FLOAT, None)); continue
        v = got[i]
        if isinstance(v, list) and v and isinstance(v[0], dict):
            z = next(n for n in nodes if n.op_type == "ZipMap"); keys = next(list(a.ints) or [x.decode() for x in a.strings] for a in z.attribute)
            arrays["ort:" + o] = np.array([[r[c] for c in keys] for r in v], f4)
            kt = T.STRING if isinstance(keys[0], str) else T.INT64
            infos.append(h.make_value_info(o, h.make_sequence_type_proto(h.make_map_type_proto(kt, h.make_tensor_type_proto(T.FLOAT, []))))); continue
        if isinstance(v, list):
            for j, x in enumerate(v): arrays[f"ort:{o}_{j}"] = np.asarray(x).astype("U") if np.asarray(x).dtype.kind == "O" else np.asarray(x)
            infos.append(h.make_value_info(o, h.make_sequence_type_proto(h.make_tensor_type_proto(elem(np.asarray(v[0])), None)))); continue
        v = np.asarray(v)
        arrays["ort:" + o] = v.astype("U") if v.dtype.kind == "O" else v
        infos.append(h.make_tensor_value_info(o, elem(v), ["N" if batch and j == 0 and v.ndim else f"{o}{j}" for j in range(v.ndim)]))
    final = model(infos).SerializeToString()
    if got is not None:
        try: ort.InferenceSession(final, so, providers=["CPUExecutionProvider"])
        except Exception: final = bare.SerializeToString()
    assert name not in manifest, name
    open(f"{out}/{name}.onnx", "wb").write(final)
    np.savez_compressed(f"{out}/{name}.npz", **arrays)
    manifest[name] = entry

# Answers that ONNX Runtime reads from memory it never wrote (PROBIT of a binary model of one score) or that hang on
# the C++ compiler (out-of-range floats as unsigned or short integers, NaN as a sorted map's key): no goldens.
UNDEFINED = ("LinearClassifier_bin1_PROBIT", "TreeEnsembleClassifier_bin0_PROBIT", "TreeEnsembleClassifier_bin0pos_PROBIT", "TreeEnsembleClassifier_binbase1_PROBIT",
             "SVMClassifier_postbin_PROBIT", "Cast_f32edge_UINT", "Cast_f32edge_INT16", "Cast_f32edge_INT8", "Cast_f64edge_UINT", "Cast_f64edge_INT16", "Cast_f64edge_INT8")

def one(name, op, *xs, domain="", outs=("Y",), opset=17, ml=3, init=None, batch=None, fails=False, **at):
    """One node: arrays are inputs X0, X1, ...; a (array,) tuple is an initialiser; None an absent input."""
    feeds, ini, ins = {}, dict(init or {}), []
    for i, x in enumerate(xs):
        if x is None: ins.append(""); continue
        ins.append(f"X{i}")
        if isinstance(x, tuple): ini[f"X{i}"] = np.asarray(x[0])
        else: feeds[f"X{i}"] = x
    case(f"{op}_{name}", node(op, ins, list(outs), domain, **at), feeds, outs, opset, ml, ini, batch, fails)

def ml(name, op, *xs, v=3, **kw): one(name, op, *xs, domain=ML, ml=v, **kw)

E = np.array([[nan, inf, -inf], [-0.0, 1e-40, 3e38], [1, 2, 3], [-1.5, 2.5, -3.25], [0, 0, 0]], f4)
X = np.array([[.5, -1.25, 2], [1, 0, -1], [3, 4, 0], [-.5, .5, .25], [1e3, -1e3, 1e-3]], f4)
R = np.random.default_rng(5)
KINDS = dict(f32=f4, f64=f8, i64=i8, i32=i4)
def as_kind(k, x=X): return x.astype(KINDS[k]) if k[0] == "f" else np.round(np.clip(np.nan_to_num(x), -1e6, 1e6)).astype(KINDS[k])

# ==== ai.onnx.ml ============================================================================================
for k in KINDS:
    ml(f"vector_{k}", "Scaler", as_kind(k, E), offset=[1., -2., .5], scale=[2., .1, -3.])
    ml(f"scalar_{k}", "Scaler", as_kind(k), offset=[1.5], scale=[.3])
    for n in ("MAX", "L1", "L2"):
        x = np.array([[-4, 3, 1], [0, 0, 0], [-1, -2, -3], [5, -5, 2], [1, 0, 0]], f4)
        ml(f"{n}_{k}", "Normalizer", as_kind(k, x), norm=n)
    ml(f"plain_{k}", "Binarizer", as_kind(k), threshold=.5)
    ml(f"two_{k}", "FeatureVectorizer", as_kind(k), as_kind(k, X[:, :2]), inputdimensions=[3, 2])
    ml(f"lin_{k}", "LinearRegressor", as_kind(k), coefficients=[.5, -1., 2., .1, .2, .3], intercepts=[.5, -1.], targets=2)
    ml(f"2d_{k}", "ArrayFeatureExtractor", as_kind(k), (np.array([2, 0, 2], i8),))
ml("empty", "Scaler", X[:0], offset=[1., 2., 3.], scale=[2., 2., 2.])
ml("scalarboth", "Scaler", X, offset=[1., 2., 3.], scale=[2.], fails=True)
ml("3d", "Scaler", X.reshape(1, 5, 3).transpose(1, 0, 2).copy(), offset=[1., 2., 3.], scale=[2., 3., 4.])
ml("1d", "Scaler", X[0], offset=[1., 2., 3.], scale=[2., 3., 4.], batch=False)
for n in ("MAX", "L1", "L2"):
    ml(f"{n}_edge", "Normalizer", E, norm=n); ml(f"{n}_1d", "Normalizer", X[0], norm=n, batch=False); ml(f"{n}_empty", "Normalizer", X[:0], norm=n); ml(f"{n}_onecol", "Normalizer", X[:, :1], norm=n)
ml("default", "Binarizer", E[1:]); ml("inf", "Binarizer", np.array([[inf, -inf, 0.]], f4), threshold=.5); ml("nan_raises", "Binarizer", E, threshold=.5, fails=True); ml("neg", "Binarizer", X, threshold=-1.25)
ml("nan_vector", "Imputer", E, imputed_value_floats=[7., 8., 9.], replaced_value_float=nan); ml("nan_scalar", "Imputer", E, imputed_value_floats=[7.], replaced_value_float=nan); ml("value", "Imputer", E, imputed_value_floats=[7., 8., 9.], replaced_value_float=-1.5); ml("zero", "Imputer", E, imputed_value_floats=[7., 8., 9.], replaced_value_float=0.); ml("default", "Imputer", E, imputed_value_floats=[7.]); ml("tonan", "Imputer", E, imputed_value_floats=[nan], replaced_value_float=1.); ml("inf", "Imputer", E, imputed_value_floats=[5.], replaced_value_float=inf)
ml("f64", "Imputer", E.astype(f8), imputed_value_floats=[7., 8., 9.], replaced_value_float=nan); ml("i64", "Imputer", as_kind("i64", E), imputed_value_int64s=[7, 8, 9], replaced_value_int64=0); ml("i64_scalar", "Imputer", as_kind("i64", E), imputed_value_int64s=[-7], replaced_value_int64=2); ml("i64_default", "Imputer", as_kind("i64", E), imputed_value_int64s=[-7]); ml("i32", "Imputer", as_kind("i32", E), imputed_value_int64s=[7], replaced_value_int64=0); ml("empty", "Imputer", E[:0], imputed_value_floats=[7.])

strs, ints, flts = ["a", "b", "", "Å b"], [1, -5, 0, 1 << 40], [.5, nan, -0.0, 1e10]
ask = dict(strings=S("a", "zz", "", "Å b", "A").reshape(5, 1), int64s=np.array([[1], [-5], [0], [7], [1 << 40]], i8), floats=np.array([[.5], [nan], [0.], [2.], [1e10]], f4))
vals = dict(strings=["x", "", "y", "Ω"], int64s=[10, -20, 30, 40], floats=[.25, nan, -3., inf])
keys = dict(strings=strs, int64s=ints, floats=flts)
dflt = dict(strings=("default_string", "other"), int64s=("default_int64", -99), floats=("default_float", -.75))
for a, b in itertools.product(keys, vals):
    for d in (False, True):
        ml(f"{a}_{b}{'_default' if d else ''}", "LabelEncoder", ask[a], v=2, **{f"keys_{a}": keys[a], f"values_{b}": vals[b]}, **({dflt[b][0]: dflt[b][1]} if d else {}))
ml("v4_attrs", "LabelEncoder", ask["strings"], v=4, keys_strings=strs, values_int64s=[1, 2, 3, 4], default_int64=5)
tk = dict(s=S(*strs), i64=np.array(ints, i8), f32=np.array(flts, f4), f64=np.array(flts, f8), i16=np.array([1, -5, 0, 9], np.int16))
ta = dict(s=ask["strings"], i64=ask["int64s"], f32=ask["floats"], f64=ask["floats"].astype(f8), i16=np.array([[1], [-5], [0], [3]], np.int16))
tv = dict(s=S("x", "", "y", "Ω"), i64=np.array([10, -20, 30, 40], i8), f32=np.array([.25, nan, -3, inf], f4), f64=np.array([.1, nan, -3, 1e300], f8), i16=np.array([3, 4, -5, 6], np.int16))
td = dict(s=S("other"), i64=np.array([-9], i8), f32=np.array([2.5], f4), f64=np.array([1e-300], f8), i16=np.array([8], np.int16))
for a, b in itertools.product(tk, tv):
    for d in (False, True):
        ml(f"tensor_{a}_{b}{'_default' if d else ''}", "LabelEncoder", ta[a], v=4, keys_tensor=tk[a], values_tensor=tv[b], default_tensor=td[b] if d else None)
ml("v1_s2i", "LabelEncoder", ask["strings"], v=1, classes_strings=["b", "a", ""], default_int64=-4); ml("v1_i2s", "LabelEncoder", np.array([[0], [2], [9], [-1]], i8), v=1, classes_strings=["b", "a", ""], default_string="?"); ml("v1_s2i_nodefault", "LabelEncoder", ask["strings"], v=1, classes_strings=["b", "a"])
ml("1d", "LabelEncoder", ask["strings"].ravel(), v=2, keys_strings=strs, values_int64s=ints); ml("3d", "LabelEncoder", np.arange(8, dtype=i8).reshape(2, 2, 2), v=2, keys_int64s=[1, 5], values_floats=[.5, 1.5]); ml("empty", "LabelEncoder", ask["strings"][:0], v=2, keys_strings=strs, values_int64s=ints); ml("dupkeys", "LabelEncoder", ask["strings"], v=2, keys_strings=["a", "a", ""], values_int64s=[1, 2, 3]); ml("nankeytwice", "LabelEncoder", ask["floats"], v=2, keys_floats=[nan, .5, nan], values_int64s=[1, 2, 3]); ml("negzero", "LabelEncoder", np.array([[0.], [-0.]], f4), v=2, keys_floats=[-0., 0.], values_int64s=[1, 2])
for z in (0, 1):
    known = S("a", "", "b", "a").reshape(4, 1); unk = S("a", "q", "", "b").reshape(4, 1)
    ml(f"str_{z}", "OneHotEncoder", unk if z else known, cats_strings=["a", "b", ""], zeros=z); ml(f"int_{z}", "OneHotEncoder", np.array([[1], [7], [3 if z else 2]], i8), cats_int64s=[1, 2, 7], zeros=z)
    for k in ("f32", "f64", "i32"): ml(f"int_{k}_{z}", "OneHotEncoder", np.array([[1], [7], [3 if z else 2]], KINDS[k]), cats_int64s=[1, 2, 7], zeros=z)
ml("default", "OneHotEncoder", np.array([[1], [9]], i8), cats_int64s=[1, 2]); ml("frac", "OneHotEncoder", np.array([[1.7], [-1.2], [-.5], [7.]], f4), cats_int64s=[1, 2, 7, -1, 0], zeros=1); ml("nan", "OneHotEncoder", np.array([[nan], [inf], [-inf], [1]], f4), cats_int64s=[1, 2, 0], zeros=1); ml("unknown_raises", "OneHotEncoder", np.array([[1], [9]], i8), cats_int64s=[1, 2], zeros=0, fails=True)
ml("1d", "OneHotEncoder", np.array([1, 2, 5], i8), cats_int64s=[1, 2], zeros=1); ml("wide", "OneHotEncoder", np.array([[1, 2], [5, 1]], i8), cats_int64s=[1, 2], zeros=1); ml("3d", "OneHotEncoder", np.array([[[1, 2]], [[5, 1]]], i8), cats_int64s=[1, 2], zeros=1); ml("strwide", "OneHotEncoder", S("a", "b", "c", "a", shape=(2, 2)), cats_strings=["a", "b"], zeros=1); ml("empty", "OneHotEncoder", np.zeros((0, 1), i8), cats_int64s=[1, 2], zeros=1); ml("dupcats", "OneHotEncoder", np.array([[1], [2]], i8), cats_int64s=[1, 2, 1], zeros=1)
cm = dict(cats_strings=["a", "b", ""], cats_int64s=[10, 20, 30])
ml("s2i", "CategoryMapper", ask["strings"], default_int64=-7, **cm); ml("i2s", "CategoryMapper", np.array([[10], [30], [5]], i8), default_string="none", **cm); ml("s2i_nodefault", "CategoryMapper", ask["strings"], **cm); ml("i2s_nodefault", "CategoryMapper", np.array([[10], [30], [5]], i8), **cm); ml("1d", "CategoryMapper", S("a", "q"), **cm)
ml("s2f", "DictVectorizer", {"a": 1.5, "c": 2., "zz": 9.}, string_vocabulary=["c", "b", "a"], batch=False); ml("i2f", "DictVectorizer", {5: 1.5, 7: 2.}, int64_vocabulary=[7, 6, 5], batch=False); ml("s2i", "DictVectorizer", {"a": 4, "c": -2}, string_vocabulary=["a", "b", "c"], batch=False)
for ct, conv in (("TO_FLOAT", 0), ("TO_INT64", 0), ("TO_STRING", 0)):
    ml(f"dense_f_{ct}", "CastMap", {0: 1.5, 2: -2.}, cast_to=ct, map_form="DENSE", batch=False); ml(f"sparse_f_{ct}", "CastMap", {0: 1.5, 2: -2.}, cast_to=ct, map_form="SPARSE", max_map=4, batch=False); ml(f"dense_s_{ct}", "CastMap", {0: "1.5", 2: "-2"}, cast_to=ct, map_form="DENSE", batch=False)
ml("mixed", "FeatureVectorizer", X, X[:, :1], X[:, 1:], inputdimensions=[3, 1, 2]); ml("declared_less", "FeatureVectorizer", X, X[:, :2], inputdimensions=[2, 2]); ml("declared_more", "FeatureVectorizer", X, X[:, :2], inputdimensions=[4, 3]); ml("one", "FeatureVectorizer", E, inputdimensions=[3])
ml("str", "ArrayFeatureExtractor", S("a", "b", "c", "", "é", "f", shape=(2, 3)), (np.array([1, 2], i8),)); ml("1d", "ArrayFeatureExtractor", X[0], (np.array([2, 1], i8),), batch=False); ml("3d", "ArrayFeatureExtractor", R.normal(size=(2, 3, 4)).astype(f4), (np.array([3, 0], i8),)); ml("2dindex", "ArrayFeatureExtractor", X, (np.array([[2, 0]], i8),)); ml("asinput", "ArrayFeatureExtractor", X, np.array([1], i8), batch=False); ml("empty", "ArrayFeatureExtractor", X[:0], (np.array([1], i8),)); ml("outofrange", "ArrayFeatureExtractor", X, (np.array([3], i8),), fails=True); ml("classes", "ArrayFeatureExtractor", (np.array([[10, 20, 30]], i8),), np.array([2, 0, 0, 1], i8), batch=False); ml("classes_str", "ArrayFeatureExtractor", (S("x", "y", "z", shape=(1, 3)),), np.array([[2], [0], [1]], i8), batch=False)
# -- linear
POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
LX = np.vstack([X, [[0, 0, 0], [2, 2, 2]]]).astype(f4)
W1, W3 = [.5, -.25, 1.], [.5, -.25, 1., -.5, .75, .1, 0., 0., 0.]
PX = np.array([[.1, .2, .05], [.3, .1, .2], [.05, .02, .01]], f4)     # sums within (0, 1), where PROBIT is defined
for p in POST:
    x = PX if p == "PROBIT" else LX
    for lab, kw in dict(int=dict(classlabels_ints=[3, 7]), str=dict(classlabels_strings=["no", "yes"])).items():
        ml(f"bin1_{p}_{lab}", "LinearClassifier", x, coefficients=W1, intercepts=[.1], post_transform=p, outs=("L", "P"), **kw)
        ml(f"bin2_{p}_{lab}", "LinearClassifier", x, coefficients=[-w for w in W1] + W1, intercepts=[.1, .05], post_transform=p, outs=("L", "P"), **kw)
    ml(f"multi_{p}_int", "LinearClassifier", x, coefficients=W3, intercepts=[.1, 0., 0.], post_transform=p, outs=("L", "P"), classlabels_ints=[5, -1, 2])
    ml(f"multi_{p}_str", "LinearClassifier", x, coefficients=W3, intercepts=[.1, 0., 0.], post_transform=p, multi_class=1, outs=("L", "P"), classlabels_strings=["a", "", "c"])
    ml(f"t1_{p}", "LinearRegressor", x, coefficients=W1, intercepts=[.1], post_transform=p); ml(f"t3_{p}", "LinearRegressor", x, coefficients=W3, intercepts=[.1, 0., .2], targets=3, post_transform=p)
for k in KINDS: ml(f"type_{k}", "LinearClassifier", as_kind(k), coefficients=W3, intercepts=[.1, 0., 0.], post_transform="SOFTMAX", outs=("L", "P"), classlabels_ints=[5, -1, 2])
ml("zerointercept", "LinearClassifier", LX, coefficients=W3, intercepts=[0., 0., 0.], outs=("L", "P"), classlabels_ints=[0, 1, 2]); ml("nointercept", "LinearRegressor", LX, coefficients=W1); ml("edge", "LinearRegressor", E, coefficients=W1, intercepts=[1.]); ml("empty", "LinearRegressor", E[:0], coefficients=W3, targets=3); ml("1d", "LinearRegressor", X[0], coefficients=W1, batch=False); ml("multiclass1_bin", "LinearClassifier", LX, coefficients=W1, intercepts=[.1], multi_class=1, post_transform="LOGISTIC", outs=("L", "P"), classlabels_ints=[0, 1])
for p in ("NONE", "SOFTMAX", "LOGISTIC"):
    ml(f"edge_{p}", "LinearClassifier", E, coefficients=W3, intercepts=[.1, 0., 0.], post_transform=p, outs=("L", "P"), classlabels_ints=[0, 1, 2]); ml(f"edgebin_{p}", "LinearClassifier", E, coefficients=W1, intercepts=[0.], post_transform=p, outs=("L", "P"), classlabels_ints=[0, 1])
ml("empty", "LinearClassifier", E[:0], coefficients=W3, intercepts=[0., 0., 0.], outs=("L", "P"), classlabels_ints=[0, 1, 2]); ml("onelabel", "LinearClassifier", LX, coefficients=W1, intercepts=[0.], outs=("L", "P"), classlabels_ints=[4]); ml("ties", "LinearClassifier", LX, coefficients=[0.] * 9, intercepts=[1., 1., 1.], outs=("L", "P"), classlabels_ints=[4, 5, 6]); ml("1d", "LinearClassifier", X[0], coefficients=W3, intercepts=[0., 0., 0.], outs=("L", "P"), classlabels_ints=[0, 1, 2], batch=False)
# -- support vectors
SV = [.5, .2, -1., 1., .3, .4, -.2, .8, .6, .9, -.5, .1, .3, .3, -.7, .2, -.4, .5]
KP = dict(LINEAR=[.5, 0., 3.], POLY=[.5, .3, 2.], RBF=[.7, 0., 0.], SIGMOID=[.2, .1, 0.])
SX = np.vstack([R.normal(size=(6, 3)), E[:1]]).astype(f4)
for kt, kp in KP.items():
    for lab, kw in dict(int=dict(classlabels_ints=[2, 5]), str=dict(classlabels_strings=["n", "y"])).items():
        base = dict(kernel_type=kt, kernel_params=kp, support_vectors=SV, outs=("L", "P"))
        ml(f"bin_{kt}_{lab}", "SVMClassifier", SX, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.1], vectors_per_class=[3, 3], **base, **kw)
        ml(f"binprob_{kt}_{lab}", "SVMClassifier", SX, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.1], vectors_per_class=[3, 3], prob_a=[-1.5], prob_b=[.2], **base, **kw)
    m3 = dict(coefficients=[.5, .8, -.3, -.6, .4, -.8, .1, .7, -.9, .2, -.4, .35], rho=[.1, -.2, .05], vectors_per_class=[2, 2, 2], classlabels_ints=[4, 0, 9])
    ml(f"multi_{kt}", "SVMClassifier", SX, **base, **m3); ml(f"multiprob_{kt}", "SVMClassifier", SX, prob_a=[-1.5, -1., -2.], prob_b=[.2, -.1, 0.], **base, **m3)
    ml(f"reg_{kt}", "SVMRegressor", SX, kernel_type=kt, kernel_params=kp, support_vectors=SV, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.25], n_supports=6); ml(f"oneclass_{kt}", "SVMRegressor", SX, kernel_type=kt, kernel_params=kp, support_vectors=SV, coefficients=[.5, .8, .3, .6, .4, .8], rho=[-1.5], n_supports=6, one_class=1)
base = dict(kernel_type="RBF", kernel_params=KP["RBF"], support_vectors=SV, outs=("L", "P"))
m3 = dict(coefficients=[.5, .8, -.3, -.6, .4, -.8, .1, .7, -.9, .2, -.4, .35], rho=[.1, -.2, .05], vectors_per_class=[2, 2, 2])
b2 = dict(coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.1], vectors_per_class=[3, 3], classlabels_ints=[0, 1])
for p in POST:
    ml(f"post_{p}", "SVMClassifier", SX[:-1], post_transform=p, classlabels_strings=["a", "b", "c"], **base, **m3); ml(f"postbin_{p}", "SVMClassifier", SX[:-1], post_transform=p, **base, **b2); ml(f"postprob_{p}", "SVMClassifier", SX[:-1], post_transform=p, prob_a=[-1.5, -1., -2.], prob_b=[.2, -.1, 0.], classlabels_strings=["a", "b", "c"], **base, **m3); ml(f"postbinprob_{p}", "SVMClassifier", SX[:-1], post_transform=p, prob_a=[-1.5], prob_b=[.2], **base, **b2)
    ml(f"linear_{p}", "SVMClassifier", SX[:-1], kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W3, rho=[.1], post_transform=p, classlabels_ints=[0, 1, 2], outs=("L", "P")); ml(f"post_{p}", "SVMRegressor", SX[:-1], kernel_type="RBF", kernel_params=KP["RBF"], support_vectors=SV, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.25], n_supports=6, post_transform=p)
for k in KINDS: ml(f"type_{k}", "SVMClassifier", as_kind(k, SX * 2), classlabels_ints=[1, 2, 3], **base, **m3); ml(f"type_{k}", "SVMRegressor", as_kind(k, SX * 2), kernel_type="RBF", kernel_params=KP["RBF"], support_vectors=SV, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.25], n_supports=6)
ml("linear_weights", "SVMRegressor", SX, kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W1, rho=[.25]); ml("linear_oneclass", "SVMRegressor", SX, kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W1, rho=[.25], one_class=1); ml("linear_str", "SVMClassifier", SX, kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W3, rho=[.1], classlabels_strings=["a", "b", "c"], outs=("L", "P")); ml("linear_bin", "SVMClassifier", SX, kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W3[:6], rho=[.1], classlabels_ints=[0, 1], outs=("L", "P")); ml("linear_prob", "SVMClassifier", SX, kernel_type="LINEAR", kernel_params=KP["LINEAR"], coefficients=W3, rho=[.1], prob_a=[-1., -1., -1.], prob_b=[0., 0., 0.], classlabels_ints=[0, 1, 2], outs=("L", "P")); ml("empty", "SVMClassifier", SX[:0], classlabels_ints=[1, 2, 3], **base, **m3); ml("empty", "SVMRegressor", SX[:0], kernel_type="RBF", kernel_params=KP["RBF"], support_vectors=SV, coefficients=[.5, .8, -.3, -.6, .4, -.8], rho=[.25], n_supports=6)
m4 = dict(coefficients=list(R.normal(size=18).round(2)), rho=[.1, -.2, .05, 0., .3, -.1], vectors_per_class=[2, 1, 2, 1], classlabels_ints=[3, 1, 2, 0]); ml("four", "SVMClassifier", SX, **base, **m4); ml("fourprob", "SVMClassifier", SX, prob_a=[-1.] * 6, prob_b=[.1] * 6, **base, **m4)
allpos = dict(coefficients=[.5, .8, .3, .6, .4, .8], rho=[.1], vectors_per_class=[3, 3], classlabels_ints=[0, 1]); ml("allpositive", "SVMClassifier", SX, **base, **allpos); ml("allpositive_prob", "SVMClassifier", SX, prob_a=[-1.], prob_b=[.1], **base, **allpos)
# -- trees
def forest(depths, feats=3, modes=("BRANCH_LEQ",), missing=None, seed=1, splits=(-.5, .0, .5, 1.)):
    """Complete trees of the given depths; nodes in breadth-first order, modes cycling."""
    r = np.random.default_rng(seed); a = {k: [] for k in "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true".split()}; leaves = []; c = 0
    for t, d in enumerate(depths):
        for i in range(2 ** (d + 1) - 1):
            leaf = i >= 2 ** d - 1; a["treeids"].append(t); a["nodeids"].append(i); a["featureids"].append(0 if leaf else int(r.integers(feats)))
            a["modes"].append("LEAF" if leaf else modes[c % len(modes)]); a["values"].append(0. if leaf else float(r.choice(splits))); a["truenodeids"].append(0 if leaf else 2 * i + 1); a["falsenodeids"].append(0 if leaf else 2 * i + 2); a["missing_value_tracks_true"].append(0 if leaf or missing is None else (c % 2 if missing == "mix" else int(missing))); c += not leaf
            if leaf: leaves.append((t, i))
    if missing is None: del a["missing_value_tracks_true"]
    return {f"nodes_{k}": v for k, v in a.items()}, leaves
def votes(prefix, leaves, ids, seed=2, every=True):
    """Weights of the leaves: one for each id in `ids`, or one id per leaf in turn."""
    r = np.random.default_rng(seed); o = {f"{prefix}_treeids": [], f"{prefix}_nodeids": [], f"{prefix}_ids": [], f"{prefix}_weights": []}
    for j, (t, n) in enumerate(leaves):
        for i in (ids if every else [ids[j % len(ids)]]):
            o[f"{prefix}_treeids"].append(t); o[f"{prefix}_nodeids"].append(n); o[f"{prefix}_ids"].append(i); o[f"{prefix}_weights"].append(round(float(r.normal()), 3))
    return o
TX = np.vstack([R.choice([-.5, 0, .5, 1, .25, -2], size=(8, 3)), E]).astype(f4)
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
for m in MODES:
    for miss in (None, 0, 1, "mix"):
        n, l = forest([2, 1], modes=(m,), missing=miss); ml(f"{m}_{miss}", "TreeEnsembleRegressor", TX, n_targets=1, **n, **votes("target", l, [0]))
    n, l = forest([2, 2], modes=(m,), missing="mix"); ml(f"{m}", "TreeEnsembleClassifier", TX, classlabels_int64s=[0, 1, 2], outs=("L", "P"), **n, **votes("class", l, [0, 1, 2], every=False))
n, l = forest([3, 2, 3], modes=MODES, missing="mix"); nl, ll = forest([2, 3, 1])
for m, mode in (("mixed", n), ): ml("mixedmodes", "TreeEnsembleRegressor", TX, n_targets=2, **n, **votes("target", l, [0, 1])); ml("mixedmodes", "TreeEnsembleClassifier", TX, classlabels_strings=["x", "y", "z"], outs=("L", "P"), **n, **votes("class", l, [0, 1, 2]))
for agg in ("SUM", "AVERAGE", "MIN", "MAX"):
    for nt in (1, 3):
        for bv in (False, True): ml(f"{agg}_{nt}{'_base' if bv else ''}", "TreeEnsembleRegressor", TX, n_targets=nt, aggregate_function=agg, base_values=[.5, -1., 10.][:nt] if bv else None, **nl, **votes("target", ll, list(range(nt))))
    ml(f"{agg}_partial", "TreeEnsembleRegressor", TX, n_targets=3, aggregate_function=agg, **nl, **votes("target", ll, [0, 2], every=False)); ml(f"{agg}_onetree", "TreeEnsembleRegressor", TX, n_targets=2, aggregate_function=agg, base_values=[1., 2.], **forest([2])[0], **votes("target", forest([2])[1], [0, 1]))
for p in POST:
    pr = p == "PROBIT"
    def vt(prefix, ids, every=True):
        o = votes(prefix, ll, ids, every=every)
        if pr: o[f"{prefix}_weights"] = [abs(w) % .3 + .01 for w in o[f"{prefix}_weights"]]
        return o
    for nt in (1, 3): ml(f"post_{p}_{nt}", "TreeEnsembleRegressor", TX, n_targets=nt, post_transform=p, **nl, **vt("target", list(range(nt))))
    for lab, kw in dict(int=dict(classlabels_int64s=[4, 9]), str=dict(classlabels_strings=["no", "yes"])).items():
        ml(f"bin0_{p}_{lab}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), **kw, **nl, **vt("class", [0])); ml(f"bin1_{p}_{lab}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), **kw, **nl, **vt("class", [1])); ml(f"bin2_{p}_{lab}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), **kw, **nl, **vt("class", [0, 1]))
    ml(f"bin0pos_{p}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), classlabels_int64s=[4, 9], **nl, **(v := vt("class", [0])) | dict(class_weights=[abs(w) % .4 for w in v["class_weights"]]))
    ml(f"multi_{p}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), classlabels_int64s=[5, 3, 8], **nl, **vt("class", [0, 1, 2])); ml(f"multibase_{p}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), base_values=[.1, .2, .05], classlabels_strings=["r", "s", "t"], **nl, **vt("class", [0, 1, 2], every=False))
    for bv in ([.25], [.25, .1]): ml(f"binbase{len(bv)}_{p}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), base_values=bv, classlabels_int64s=[0, 1], **nl, **vt("class", [0])); ml(f"bin2base{len(bv)}_{p}", "TreeEnsembleClassifier", TX, post_transform=p, outs=("L", "P"), base_values=bv, classlabels_int64s=[0, 1], **nl, **vt("class", [0, 1]))
v0 = votes("class", ll, [0, 1, 2])
for k in KINDS: ml(f"type_{k}", "TreeEnsembleClassifier", as_kind(k, np.nan_to_num(TX, posinf=1e6, neginf=-1e6)), outs=("L", "P"), classlabels_int64s=[5, 3, 8], **nl, **v0); ml(f"type_{k}", "TreeEnsembleRegressor", as_kind(k, np.nan_to_num(TX, posinf=1e6, neginf=-1e6)), n_targets=1, **nl, **votes("target", ll, [0]))
def doubled(d, names): return {(k + "_as_tensor" if k in names else k): (np.array(v, f8) + (1e-12 if "values" in k else 0) if k in names else v) for k, v in d.items()}
D = TX.astype(f8); D = np.vstack([D, D[:3] + 1e-12, D[:3] - 1e-13])
for agg in ("SUM", "AVERAGE", "MIN", "MAX"): ml(f"tensor64_{agg}", "TreeEnsembleRegressor", D, n_targets=2, aggregate_function=agg, base_values_as_tensor=np.array([.1, .2], f8), **doubled(nl, {"nodes_values"}), **doubled(votes("target", ll, [0, 1]), {"target_weights"}))
for p in ("NONE", "SOFTMAX", "LOGISTIC"): ml(f"tensor64_{p}", "TreeEnsembleClassifier", D, outs=("L", "P"), post_transform=p, classlabels_int64s=[5, 3, 8], base_values_as_tensor=np.array([.1, .2, .3], f8), **doubled(nl, {"nodes_values"}), **doubled(v0, {"class_weights"})); ml(f"tensor64bin_{p}", "TreeEnsembleClassifier", D, outs=("L", "P"), post_transform=p, classlabels_strings=["n", "y"], **doubled(nl, {"nodes_values"}), **doubled(votes("class", ll, [0]), {"class_weights"}))
ml("tensor32", "TreeEnsembleRegressor", TX, n_targets=1, **{(k + "_as_tensor" if k == "nodes_values" else k): (np.array(v, f4) if k == "nodes_values" else v) for k, v in nl.items()}, **{(k + "_as_tensor" if k == "target_weights" else k): (np.array(v, f4) if k == "target_weights" else v) for k, v in votes("target", ll, [0]).items()})
ml("empty", "TreeEnsembleRegressor", TX[:0], n_targets=2, **nl, **votes("target", ll, [0, 1])); ml("empty", "TreeEnsembleClassifier", TX[:0], outs=("L", "P"), classlabels_int64s=[5, 3, 8], **nl, **v0); ml("hitrates", "TreeEnsembleRegressor", TX, n_targets=1, nodes_hitrates=[1.] * len(nl["nodes_values"]), **nl, **votes("target", ll, [0]))
ml("ties", "TreeEnsembleClassifier", TX, outs=("L", "P"), classlabels_int64s=[5, 3, 8], **nl, **votes("class", ll, [0, 1, 2]) | dict(class_weights=[1.] * len(v0["class_weights"]))); ml("leafonly", "TreeEnsembleRegressor", TX, n_targets=1, nodes_treeids=[0], nodes_nodeids=[0], nodes_featureids=[0], nodes_modes=["LEAF"], nodes_values=[0.], nodes_truenodeids=[0], nodes_falsenodeids=[0], target_treeids=[0], target_nodeids=[0], target_ids=[0], target_weights=[2.5]); ml("leafonly", "TreeEnsembleClassifier", TX, outs=("L", "P"), classlabels_int64s=[0, 1], nodes_treeids=[0], nodes_nodeids=[0], nodes_featureids=[0], nodes_modes=["LEAF"], nodes_values=[0.], nodes_truenodeids=[0], nodes_falsenodeids=[0], class_treeids=[0, 0], class_nodeids=[0, 0], class_ids=[0, 1], class_weights=[.25, .75])
perm = np.random.default_rng(3).permutation(len(nl["nodes_values"])); ml("shuffled", "TreeEnsembleRegressor", TX, n_targets=1, **{k: [v[i] for i in perm] for k, v in nl.items()}, **votes("target", ll, [0])); ml("treeids", "TreeEnsembleRegressor", TX, n_targets=1, **nl | dict(nodes_treeids=[t * 7 + 3 for t in nl["nodes_treeids"]]), **(q := votes("target", ll, [0])) | dict(target_treeids=[t * 7 + 3 for t in q["target_treeids"]]))
def tree5(modes, dt, nt=1, members=None, missing=None, seed=4):
    """The TreeEnsemble of opset 5: leaves apart from nodes; two trees of three inner nodes each."""
    r = np.random.default_rng(seed); k = 6
    a = dict(nodes_featureids=[int(x) for x in r.integers(0, 3, k)], nodes_splits=r.choice([-.5, 0, .5, 1], k).astype(dt), nodes_modes=np.array([modes[i % len(modes)] for i in range(k)], u1), nodes_truenodeids=[1, 0, 2, 4, 6, 5], nodes_falsenodeids=[2, 1, 3, 5, 7, 6], nodes_trueleafs=[0, 1, 1, 0, 1, 1], nodes_falseleafs=[0, 1, 1, 0, 1, 1], tree_roots=[0, 3], n_targets=nt, leaf_targetids=[i % nt for i in range(8)], leaf_weights=r.normal(size=8).round(3).astype(dt))
    a["nodes_truenodeids"], a["nodes_falsenodeids"] = [1, 0, 2, 4, 4, 6], [2, 1, 3, 5, 5, 7]
    if missing is not None: a["nodes_missing_value_tracks_true"] = [missing if missing < 2 else i % 2 for i in range(k)]
    if members is not None: a["membership_values"] = np.array(members, dt)
    return a
M5 = dict(LEQ=0, LT=1, GTE=2, GT=3, EQ=4, NEQ=5)
for dn, dt in (("f32", f4), ("f64", f8)):
    x = TX.astype(dt)
    for mn, mc in M5.items():
        for miss in (None, 1): ml(f"{dn}_{mn}_{miss}", "TreeEnsemble", x, v=5, opset=21, **tree5([mc], dt, missing=miss))
    ml(f"{dn}_all", "TreeEnsemble", x, v=5, opset=21, **tree5(list(M5.values()), dt, 2, missing=2))
    for ai, an in enumerate(("AVERAGE", "SUM", "MIN", "MAX")): ml(f"{dn}_{an}", "TreeEnsemble", x, v=5, opset=21, aggregate_function=ai, **tree5([0], dt, 2))
    for pi, pn in enumerate(POST): ml(f"{dn}_{pn}", "TreeEnsemble", np.abs(x), v=5, opset=21, post_transform=pi, **(t := tree5([0], dt, 2)) | (dict(leaf_weights=np.abs(t["leaf_weights"]) % dt(.3) + dt(.05)) if pn == "PROBIT" else {}))
    member = [1., 2., 5., nan, -2., 1., nan, 0., nan, 3., 1., nan, 40., nan, 2., 2., nan]
    ml(f"{dn}_MEMBER", "TreeEnsemble", np.vstack([x, [[5, 2, 1], [3, .25, 2]]]).astype(dt), v=5, opset=21, **tree5([6, 6, 6], dt, members=member)); ml(f"{dn}_MEMBER_mixed", "TreeEnsemble", np.vstack([x, [[5, 2, 1], [3, .25, 2]]]).astype(dt), v=5, opset=21, **tree5([6, 0], dt, members=member[:9], missing=2)); ml(f"{dn}_MEMBER_one", "TreeEnsemble", np.array([[0., 0, 0], [1, 1, 1], [2, 2, 2], [nan, 0, 1], [.5, .5, .5], [5, 5, 5]], dt), v=5, opset=21, nodes_featureids=[0], nodes_splits=np.array([0], dt), nodes_modes=np.array([6], u1), nodes_truenodeids=[0], nodes_falsenodeids=[1], nodes_trueleafs=[1], nodes_falseleafs=[1], tree_roots=[0], n_targets=1, leaf_targetids=[0, 0], leaf_weights=np.array([10, -10], dt), membership_values=np.array([1, 5, .5, nan], dt))
P3 = np.array([[.1, .2, .7], [nan, inf, -1]], f4)
ml("int", "ZipMap", P3, classlabels_int64s=[3, 1, 2], batch=True); ml("str", "ZipMap", P3, classlabels_strings=["b", "", "a"], batch=True); ml("lin", "ZipMap", np.array([[.25, .75]], f4), classlabels_int64s=[0, 1])

# ==== standard operators ====================================================================================
e1 = np.array([nan, inf, -inf, -0.0, 0, 1, -1, .5, -.5, 1.5, 2.5, -2.5, 1e-40, 3e38, 88.9, -104, 7.999, 1e-8], f4)
for op, v in dict(Abs=13, Neg=13, Sign=13, Floor=13, Ceil=13, Round=11, Sqrt=13, Log=13, Exp=13, Erf=13, Sigmoid=13, Tanh=13, Relu=14, Softplus=1, Softsign=1, Reciprocal=13, Sin=7, Cos=7, Tan=7, Asin=7, Acos=7, Atan=7, Sinh=9, Cosh=9, Asinh=9, Acosh=9, Atanh=9, IsNaN=13, IsInf=10, LeakyRelu=6, Elu=6, Selu=6, HardSigmoid=6, ThresholdedRelu=10, Celu=12, HardSwish=14, Mish=18, Identity=16).items():
    one("f32", op, e1, opset=max(17, v)); one("f64", op, e1.astype(f8), opset=max(17, v))
for op in ("Abs", "Neg", "Sign", "Relu"):
    one("i64", op, np.array([-3, 0, 5, np.iinfo(i8).min], i8)); one("i32", op, np.array([-3, 0, 5], i4))
one("pos", "IsInf", e1, detect_negative=0); one("neg", "IsInf", e1, detect_positive=0); one("none", "Gelu", e1, opset=20); one("tanh", "Gelu", e1, approximate="tanh", opset=20); one("ms", "Gelu", e1, domain=MS); one("alpha", "LeakyRelu", e1, alpha=.3); one("alpha", "Elu", e1, alpha=2.)
pairs = (np.array([[1, nan, inf, -0.0], [0, -3, 7, 2.5]], f4), np.array([nan, 2, inf, 0], f4))
for op in ("Add", "Sub", "Mul", "Div", "Pow", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"):
    one("f32", op, *pairs); one("f64", op, *(p.astype(f8) for p in pairs)); one("bcast", op, np.arange(6, dtype=f4).reshape(2, 1, 3), np.arange(-2, 2, dtype=f4).reshape(4, 1)); one("empty", op, np.zeros((0, 3), f4), np.ones(3, f4)); one("scalar", op, np.array([1., -2], f4), np.array(2., f4))
    one("i64", op, np.array([7, -7, 7, -7, 5], i8), np.array([2, 2, -2, -2, 3], i8)); one("i32", op, np.array([7, -7, 7, -7], i4), np.array([2, 2, -2, -2], i4))
one("zero_i64", "Div", np.array([7], i8), np.array([0], i8), fails=True) if os.environ.get("DIV_BY_ZERO") else None
one("u8", "Add", np.array([250, 3], u1), np.array([10, 1], u1)); one("u8", "Sub", np.array([2, 3], u1), np.array([10, 1], u1)); one("wrap_i32", "Mul", np.array([2 ** 30], i4), np.array([8], i4))
one("str", "Equal", S("a", "", "é"), S("a", "b", "é"), opset=19); one("bool", "Equal", np.array([True, False]), np.array([True, True]))
for a, b in itertools.product(("f32", "f64", "i64", "i32"), repeat=2): one(f"{a}_{b}", "Pow", np.array([2, 3, -2, 0, 9], KINDS[a]), np.array([3, 2, 3, 0, .5] if b[0] == "f" else [3, 2, 3, 0, 1], KINDS[b]))
one("half", "Pow", np.array([4., 0, -0., -4, inf, nan, -inf], f4), np.array([.5], f4)); one("nanzero", "Pow", np.array([nan, inf, 0, 1, -8], f4), np.array([0, 0, 0, nan, 1 / 3], f4)); one("negint", "Pow", np.array([2, -1, 1], i8), np.array([-1, -3, -2], i8))
for a in ("i64", "i32"): one(a, "Mod", np.array([7, -7, 7, -7], KINDS[a]), np.array([3, 3, -3, -3], KINDS[a])); one(f"fmod_{a}", "Mod", np.array([7, -7, 7, -7], KINDS[a]), np.array([3, 3, -3, -3], KINDS[a]), fmod=1)
one("fmod_f32", "Mod", np.array([7.5, -7.5, 7.5, -7.5, inf, 1, nan, 1], f4), np.array([3, 3, -3, -3, 2, inf, 1, 0], f4), fmod=1); one("fmod_f64", "Mod", np.array([7.5, -7.5], f8), np.array([3, -3.], f8), fmod=1)
for op in ("Max", "Min", "Sum", "Mean"):
    one("nan", op, np.array([nan, 1, -0., 3], f4), np.array([1, nan, 0., 2], f4)); one("three", op, X, X[:1], np.array([[1.]], f4)); one("single", op, X); one("f64", op, X.astype(f8), X[:1].astype(f8))
    if op[0] == "M" and op != "Mean": one("i64", op, np.array([1, -5], i8), np.array([0], i8)); one("i32", op, np.array([1, -5], i4), np.array([0], i4))
for op in ("And", "Or", "Xor"): one("bool", op, np.array([[True], [False]]), np.array([True, False]))
one("bool", "Not", np.array([True, False]))
# -- Cast
nums = np.array([0, -0., 1.5, -1.5, 2.5, .5, 255.9, 256, -1, 1e10, 3e9, -3e9, 1e19, nan, inf, -inf, 127, 128, 300], f4)
TO = dict(FLOAT=1, UINT8=2, INT8=3, UINT16=4, INT16=5, INT32=6, INT64=7, STRING=8, BOOL=9, FLOAT16=10, DOUBLE=11, UINT32=12, UINT64=13, BFLOAT16=16)
for tn, t in TO.items():
    if tn == "BFLOAT16": continue
    safe = nums[np.isfinite(nums) & (np.abs(nums) < 1e9)]
    one(f"f32_{tn}", "Cast", safe, to=t); one(f"f32edge_{tn}", "Cast", nums, to=t); one(f"f64edge_{tn}", "Cast", nums.astype(f8) * 1.0000001, to=t); one(f"i64_{tn}", "Cast", np.array([0, 1, -1, 127, 128, 255, 256, 65535, 1 << 31, -(1 << 31) - 1, 1 << 40, np.iinfo(i8).max, np.iinfo(i8).min, 9007199254740993, 16777217], i8), to=t); one(f"bool_{tn}", "Cast", np.array([True, False]), to=t); one(f"i32_{tn}", "Cast", np.array([0, -1, 300, np.iinfo(i4).max], i4), to=t); one(f"u8_{tn}", "Cast", np.array([0, 200], u1), to=t); one(f"f16_{tn}", "Cast", np.array([0, 1.5, -2.7, 65504, inf, nan], np.float16), to=t)
sn = ["1.5", "-2", "0", "1e-5", "1E5", "nan", "NaN", "inf", "-inf", "INF", "+INF", "-INF", "3.4e39", "1e-50", "0.1", "16777217", "-0", "007"]
for i, s in enumerate(sn):
    for tn in ("FLOAT", "DOUBLE"): one(f"str{i}_{tn}", "Cast", S(s), to=TO[tn], fails=True) if i > 4 else None
one("str_FLOAT", "Cast", S(*sn[:5]), to=1); one("str_DOUBLE", "Cast", S(*sn[:5]), to=11)
for i, s in enumerate(["", " ", "abc", " 1.5", "1.5 ", "1,5", "+1.5", "1.5abc", "Infinity", "0x10", "1e", ".5", "5.", "true"]): one(f"strbad{i}_FLOAT", "Cast", S(s), to=1, fails=True)
for i, s in enumerate(["5", "-5", "+5", "9223372036854775807", "9223372036854775808", "1.5", "1e3", "", " 7", "7 ", "0x1F", "abc", "12abc"]): one(f"strint{i}_INT64", "Cast", S(s), to=7, fails=True)
for i, s in enumerate(["1", "0", "", "true", "True", "abc", "-1"]): one(f"strbool{i}_BOOL", "Cast", S(s), to=9, fails=True)
one("str_INT32", "Cast", S("5", "-5", "2147483647"), to=6); one("str_UINT8", "Cast", S("5", "255"), to=2); one("str_STRING", "Cast", S("a", "", "é"), to=8); one("strempty_FLOAT", "Cast", S().reshape(0, 1).astype(object), to=1)
digits = np.array([0, -0., 1, -1, 10, 100, 123456, 1234567, 12345678, 123456789, 1e7, 1e8, 1e9, 1e10, 1e15, 1e16, 1e20, 1e38, .1, .2, .3, 1 / 3, 2 / 3, .001, .0001, .00001, .000123456, 1e-5, 1e-10, 1.17e-38, 1e-45, 3.14159274, 16777216, 33554432, 0.99999994, 1.0000001, 5.5, 1e5, 999999.9, 9999999., 99999995., 1.5e6], f4)
one("f32digits_STRING", "Cast", digits, to=8); one("f64digits_STRING", "Cast", np.concatenate([digits.astype(f8), [.1, 1 / 3, 1e300, 5e-324, 123456789.123456789, 1e16, 1e17, 1e21, 2 ** 53 + 2, .1 + .2]]), to=8); one("f16digits_STRING", "Cast", np.array([.1, 1.5, 65504, 1e-4], np.float16), to=8)
one("sat_FLOAT8", "Cast", np.array([1000., .3], f4), to=17, opset=19) if False else None
# -- selection, order
tie = np.array([[3, 1, 3, 2, 1, 3], [5, 5, 5, 5, 5, 5], [nan, 2, nan, 1, inf, -inf], [1, 2, nan, 0, 3, 3]], f4)
for la in (0, 1):
    for so in (0, 1): one(f"ties_l{la}s{so}", "TopK", tie[:2], (np.array([4], i8),), largest=la, sorted=so, outs=("V", "I"))
    one(f"axis0_l{la}", "TopK", tie[:2], (np.array([1], i8),), axis=0, largest=la, outs=("V", "I")); one(f"full_l{la}", "TopK", tie[:2], (np.array([6], i8),), largest=la, outs=("V", "I")); one(f"nan_l{la}", "TopK", tie, (np.array([3], i8),), largest=la, outs=("V", "I")); one(f"one_l{la}", "TopK", tie[:2], (np.array([1], i8),), largest=la, outs=("V", "I"))
    for k in ("f64", "i64", "i32"): one(f"{k}_l{la}", "TopK", tie[:2].astype(KINDS[k]), (np.array([3], i8),), largest=la, outs=("V", "I"))
one("v10", "TopK", tie[:2], (np.array([3], i8),), opset=10, outs=("V", "I")); one("v1", "TopK", tie[:2], k=3, opset=9, outs=("V", "I")); one("kinput", "TopK", tie[:2], np.array([2], i8), outs=("V", "I")); one("k0", "TopK", tie[:2], (np.array([0], i8),), outs=("V", "I")); one("3d", "TopK", R.integers(0, 4, (2, 3, 4)).astype(f4), (np.array([2], i8),), axis=1, outs=("V", "I")); one("big", "TopK", np.round(R.normal(size=(2, 60)), 1).astype(f4), (np.array([20], i8),), largest=0, outs=("V", "I"))
for op in ("ArgMax", "ArgMin"):
    for kd in (0, 1):
        for sl in (0, 1): one(f"k{kd}s{sl}", op, tie[:2], axis=1, keepdims=kd, select_last_index=sl); one(f"axis0_k{kd}s{sl}", op, tie[:2], axis=0, keepdims=kd, select_last_index=sl)
    one("nan", op, tie, axis=1); one("nanlast", op, tie, axis=-1, select_last_index=1); one("nan0", op, tie.T.copy(), axis=0); one("i64", op, np.array([[1, 5, 5], [0, -1, -1]], i8), axis=1); one("f64", op, tie.astype(f8)[:2], axis=1); one("i32", op, np.array([[1, 5, 5]], i4), axis=1); one("v11", op, tie[:2], axis=-1, opset=11); one("empty", op, np.zeros((0, 3), f4), axis=1)
sm = np.array([[[1, 2, 3], [1e4, 0, -1e4]], [[nan, 0, 1], [inf, 0, -inf]]], f4)
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    for v in (11, 13):
        for ax in (0, 1, 2, -1): one(f"v{v}_{ax}".replace("-", "m"), op, sm[:1] if ax == 0 and v == 13 else sm, axis=ax, opset=v)
        one(f"v{v}_default", op, sm[:1], opset=v); one(f"v{v}_f64", op, sm.astype(f8), opset=v); one(f"v{v}_empty", op, np.zeros((0, 3), f4), opset=v)
    one("allneginf", op, np.array([[-inf, -inf], [inf, inf]], f4))
RED = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")
r3 = np.abs(R.normal(size=(2, 3, 2))).astype(f4).round(2) + f4(.1)
for op in RED:
    for v in (11, 13, 18):
        for tag, ax in dict(none=None, a1=[1], a02=[0, 2], neg=[-1]).items():
            for kd in (0, 1):
                if kd and v != 18 or (v == 13 and op != "ReduceSum"): continue
                asinput = v == 18 or (op == "ReduceSum" and v == 13)
                if asinput: one(f"v{v}_{tag}_{kd}", op, r3, *([(np.array(ax, i8),)] if ax else []), keepdims=kd, opset=v)
                else: one(f"v{v}_{tag}_{kd}", op, r3, axes=ax, keepdims=kd, opset=v)
    one("noop", op, r3, noop_with_empty_axes=1, opset=18); one("noop_empty", op, r3, (np.zeros(0, i8),), noop_with_empty_axes=1, opset=18); one("emptyaxes", op, r3, (np.zeros(0, i8),), opset=18); one("edge", op, E, (np.array([1], i8),), opset=18); one("zero", op, np.zeros((2, 0), f4), (np.array([1], i8),), keepdims=0, opset=18, fails=True); one("f64", op, r3.astype(f8), (np.array([1], i8),), opset=18); one("zerorows", op, np.zeros((0, 3), f4), (np.array([1], i8),), keepdims=0, opset=18)
    if op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean", "ReduceL1", "ReduceSumSquare", "ReduceL2"): one("i64", op, np.array([[1, 2, 4], [-3, 5, 0]], i8), (np.array([1], i8),), opset=18); one("i32", op, np.array([[1, 2, 4], [-3, 5, 0]], i4), (np.array([0], i8),), opset=18)
for o in (6, 11, 13):
    if o == 6: one("v6", "Clip", e1, min=-1., max=2., opset=6); one("v6_nomax", "Clip", e1, min=-1., opset=6); one("v6_none", "Clip", e1, opset=6)
    else: one(f"v{o}", "Clip", e1, np.array(-1, f4), np.array(2, f4), opset=o); one(f"v{o}_nomin", "Clip", e1, None, (np.array(2, f4),), opset=o); one(f"v{o}_nomax", "Clip", e1, (np.array(0, f4),), opset=o); one(f"v{o}_cross", "Clip", e1, np.array(3, f4), np.array(1, f4), opset=o)
one("nanmin", "Clip", e1, np.array(nan, f4), np.array(1, f4)); one("i64", "Clip", np.array([-5, 0, 9], i8), np.array(-1, i8), np.array(4, i8)); one("f64", "Clip", e1.astype(f8), np.array(-1, f8), np.array(1, f8)); one("none", "Clip", e1)
# -- shape and moving
A = np.arange(24, dtype=f4).reshape(2, 3, 4); I = lambda *v: np.array(v, i8)
for tag, (s, e, ax, st) in dict(plain=(I(0, 1), I(2, 3), I(0, 1), I(1, 1)), neg=(I(-1), I(-1000), I(2), I(-1)), negstep2=(I(3), I(0), I(2), I(-2)), clampend=(I(1), I(1 << 40), I(-1), I(1)), step3=(I(0), I(9), I(2), I(3)), empty=(I(3), I(1), I(1), I(1)), negaxes=(I(-2), I(-1), I(-2), I(1)), startbig=(I(100), I(0), I(2), I(-1)), intmin=(I(-1), I(np.iinfo(i8).min), I(1), I(-1))).items(): one(tag, "Slice", A, (s,), (e,), (ax,), (st,))
one("noaxes", "Slice", A, (I(0, 1),), (I(1, 2),)); one("v9", "Slice", A, starts=[1, 0], ends=[2, -1], axes=[1, 2], opset=9); one("i32idx", "Slice", A, (np.array([1], i4),), (np.array([3], i4),), (np.array([1], i4),)); one("str", "Slice", S("a", "b", "c"), (I(2),), (I(-9),), (I(0),), (I(-1),)); one("dynamic", "Slice", A, I(1), I(2), I(0)); one("bool", "Slice", np.array([True, False, True]), (I(1),), (I(3),))
for v in (13, 18):
    one(f"v{v}_even", "Split", A, (I(2, 2),), axis=2, outs=("A", "B"), opset=v); one(f"v{v}_uneven", "Split", A, (I(1, 3),), axis=-1, outs=("A", "B"), opset=v); one(f"v{v}_zero", "Split", A, (I(0, 3),), axis=1, outs=("A", "B"), opset=v)
one("v13_equal", "Split", A, axis=2, outs=("A", "B"), opset=13); one("v18_num", "Split", A, axis=2, num_outputs=3, outs=("A", "B", "C"), opset=18); one("v18_num_uneven", "Split", np.arange(7, dtype=f4), axis=0, num_outputs=3, outs=("A", "B", "C"), opset=18); one("v11", "Split", A, axis=1, split=[1, 2], outs=("A", "B"), opset=11); one("str", "Split", S("a", "b", "c"), (I(1, 2),), outs=("A", "B"))
for t, x in dict(f32=A, i64=A.astype(i8), str=S(*"abcdefghijklmnopqrstuvwx", shape=(2, 3, 4)), bool=A > 11).items():
    one(f"{t}", "Gather", x, I(0, -1, 1), axis=1); one(f"{t}_2d", "Gather", x, (np.array([[0, -1], [1, 0]], i8),), axis=2); one(f"{t}_scalar", "Gather", x, np.array(1, i8), axis=0); one(t, "Transpose", x, perm=[2, 0, 1]); one(f"{t}_default", "Transpose", x); one(t, "Concat", x, x, axis=-1); one(t, "Reshape", x, (I(0, -1),)); one(t, "Squeeze", x[:, :1], (I(1),)); one(t, "Unsqueeze", x, (I(0, -1),)); one(t, "Flatten", x, axis=1); one(t, "Expand", x[:, :1], (I(2, 2, 1),)); one(t, "Tile", x[:, :1, :2], (I(1, 2, 2),)); one(t, "GatherElements", x, np.array([[[0, -1, 1, 0]]], i8), axis=1) if t != "f32" else one(t, "GatherElements", x, np.array([[[0, -1, 1, 0]], [[2, 2, 0, 1]]], i8), axis=1); one(t, "GatherND", x, np.array([[0, 1], [1, -1]], i8)); one(t, "ScatterElements", x, np.array([[[1, 0, 2, -1]]], i8), x[:1, :1].copy(), axis=1); one(t, "ScatterND", x, np.array([[0, 1], [1, 2]], i8), x[0, :2].copy()); one(t, "Where", np.array([[True], [False], [True]]), x, x[:1, ::-1].copy()); one(t, "Shape", x); one(t, "Size", x); one(t, "Compress", x, np.array([False, True, True]), axis=1); one(f"{t}_flat", "Compress", x, np.array([False, True, True])); one(t, "ReverseSequence", x, np.array([2, 1, 2], i8)) if t != "str" else None
one("i32idx", "Gather", A, np.array([1, 0], i4)); one("oob", "Gather", A, I(9), fails=True); one("empty", "Gather", A, np.zeros(0, i8)); one("allowzero", "Reshape", np.zeros((0, 3), f4), (I(3, 0),), allowzero=1, opset=14); one("emptyinfer", "Reshape", np.zeros((0, 4), f4), (I(0, -1),), fails=True); one("neg0", "Reshape", np.zeros((0, 4), f4), (I(-1, 4),)); one("slice", "Shape", A, start=-2, end=3, opset=15); one("start", "Shape", A, start=1, opset=15); one("all", "Squeeze", A[:1, :, :1]); one("v11", "Squeeze", A[:1], axes=[0], opset=11); one("v11", "Unsqueeze", A, axes=[0, 2], opset=11); one("axis0", "Flatten", A, axis=0); one("neg", "Flatten", A, axis=-1); one("rank", "Flatten", A, axis=3); one("batch", "GatherND", A, np.array([[1], [2]], i8), batch_dims=1); one("slices", "GatherND", A, np.array([[1], [0]], i8)); one("emptyrow", "Concat", A[:, :0], A, axis=1)
for red in ("add", "mul", "max", "min", "none"):
    one(f"red_{red}", "ScatterElements", np.ones((3, 3), f4) * 2, np.array([[0, 0, 1], [0, 2, -1]], i8) if red != "none" else np.array([[0, 2, 1], [1, 0, -1]], i8), np.array([[5, 3, nan], [1, -1, 4]], f4), axis=0, reduction=red, opset=18); one(f"red_{red}", "ScatterND", np.ones((3, 2), f4) * 2, np.array([[0], [0], [-1]], i8) if red != "none" else np.array([[0], [1], [-1]], i8), np.array([[5, 3], [1, -1], [4, 4]], f4), reduction=red, opset=18); one(f"red_{red}_i64", "ScatterElements", np.ones(3, i8) * 2, I(0, 0, 1) if red != "none" else I(0, 2, 1), I(5, 3, 9), reduction=red, opset=18)
one("nanbcast", "Where", np.array([True, False]), np.array([[nan], [1]], f4), np.array(7, f4)); one("i64scalar", "Where", np.array([[True], [False]]), I(1, 2, 3), np.array([0], i8))
for ex in (0, 1):
    for rv in (0, 1): one(f"e{ex}r{rv}", "CumSum", A, np.array(1, i4), exclusive=ex, reverse=rv); one(f"e{ex}r{rv}_i64", "CumSum", I(1, 2, 3, -4), np.array(-1, i8), exclusive=ex, reverse=rv)
one("f64", "CumSum", A.astype(f8), np.array([2], i8)); one("nan", "CumSum", e1, np.array(0, i8))
for t, d in dict(f32=f4, i64=i8, i32=i4, f64=f8).items(): one(t, "OneHot", np.array([[0, -1], [2, 5]], d), (np.array(3, d),), np.array([-1, 9], f4 if t == "i32" else d)); one(f"{t}_ax0", "OneHot", np.array([0, 2, -4], d), (np.array([3], d),), np.array([0, 1], f4), axis=0)
one("str", "OneHot", I(0, 1), (I(2),), S("off", "on")); one("fracidx", "OneHot", np.array([1.9, .2, -1.5], f4), (np.array([3], f4),), np.array([0, 1], f4))
for t, x in dict(f32=np.array([2, inf, 1, 2, inf, -0., 0], f4), i64=I(3, 1, 3, -1), f64=np.array([2, 1, 2.], f8), str=S("b", "a", "b", "", "é")).items():
    for so in (0, 1): one(f"{t}_s{so}", "Unique", x, sorted=so, outs=("Y", "I", "V", "C"))
for so in (0, 1): one(f"axis0_s{so}", "Unique", np.array([[2, 1], [1, 5], [2, 1]], f4), axis=0, sorted=so, outs=("Y", "I", "V", "C")); one(f"axis1_s{so}", "Unique", np.array([[2, 1, 2], [1, 5, 1]], i8), axis=1, sorted=so, outs=("Y", "I", "V", "C"))
for m in ("constant", "edge", "reflect", "wrap"): one(m, "Pad", A[0], (I(1, 2, 0, 1),), **({} if m != "constant" else {}), mode=m, opset=19); one(f"{m}_neg", "Pad", A[0], (I(-1, 1, 0, 2),), mode=m, opset=19)
one("value", "Pad", A[0], (I(0, 1, 1, 0),), (np.array(-7, f4),)); one("axes", "Pad", A[0], (I(1, 2),), (np.array(5, f4),), (I(1),), opset=18); one("i64", "Pad", A[0].astype(i8), (I(0, 1, 1, 0),), (np.array(3, i8),)); one("v2", "Pad", A[0], pads=[0, 1, 1, 0], value=2., opset=10); one("bool", "Pad", A[0] > 3, (I(0, 1, 1, 0),))
one("diff", "NonZero", np.array([[0, nan, 1], [-0., 2, 0]], f4)); one("i64", "NonZero", np.array([[0, 3], [1, 0]], i8)); one("bool", "NonZero", np.array([True, False, True])); one("scalar", "NonZero", np.array(3., f4)); one("f32", "Range", np.array(1, f4), np.array(2, f4), np.array(.3, f4)); one("i64", "Range", np.array(5, i8), np.array(-1, i8), np.array(-2, i8)); one("empty", "Range", np.array(5, i8), np.array(9, i8), np.array(-2, i8)); one("f64", "Range", np.array(0, f8), np.array(1, f8), np.array(.1, f8)); one("f32", "ConstantOfShape", I(2, 3), value=np.array([2.5], f4)); one("default", "ConstantOfShape", I(2)); one("i64", "ConstantOfShape", I(0, 3), value=np.array([7], i8)); one("bool", "ConstantOfShape", I(1), value=np.array([True])); one("scalar", "ConstantOfShape", np.zeros(0, i8), value=np.array([4], i4)); one("k", "EyeLike", A[0], k=1); one("i64", "EyeLike", A[0], dtype=7); one("tril", "Trilu", A, upper=0); one("triu_k", "Trilu", A, np.array(1, i8), upper=1); one("tril_k", "Trilu", A.astype(i8), np.array(-1, i8), upper=0)
for at, vv in dict(value_float=1.5, value_floats=[1., 2.], value_int=3, value_ints=[4, 5], value_string="é", value_strings=["a", ""]).items(): case(f"Constant_{at}", [node("Constant", [], ["C"], **{at: vv}), node("Identity", ["X"], ["Z"])], {"X": np.ones(1, f4)}, ("C", "Z"))
# -- products
B = R.normal(size=(4, 3)).astype(f4); V3 = R.normal(size=3).astype(f4)
for t in ("f32", "f64", "i64", "i32"):
    d = KINDS[t]; q = lambda x: (x * (10 if t[0] == "i" else 1)).astype(d)
    one(t, "MatMul", q(X), q(B.T)); one(f"{t}_vec", "MatMul", q(X), q(V3)); one(f"{t}_vecl", "MatMul", q(V3), q(B.T)); one(f"{t}_batch", "MatMul", q(R.normal(size=(2, 2, 3))), q(R.normal(size=(3, 2)))); one(f"{t}_batch2", "MatMul", q(R.normal(size=(2, 1, 2, 3))), q(R.normal(size=(3, 3, 2)))); one(f"{t}_dot", "MatMul", q(V3), q(V3))
    for ta, tb in itertools.product((0, 1), repeat=2): one(f"{t}_{ta}{tb}", "Gemm", q(X[:4] if not ta else X[:4].T.copy()), q(B.T.copy() if not tb else B), q(np.arange(4)), transA=ta, transB=tb) if t[0] == "f" else None
one("alphabeta", "Gemm", X, B.T.copy(), np.arange(5, dtype=f4).reshape(5, 1), alpha=.5, beta=-2.); one("noc", "Gemm", X, B.T.copy()); one("scalarc", "Gemm", X, B.T.copy(), np.array(3, f4)); one("zerorows", "Gemm", X[:0], B.T.copy(), np.arange(4, dtype=f4)); one("zerok", "Gemm", np.zeros((2, 0), f4), np.zeros((0, 3), f4), np.arange(3, dtype=f4)); one("zerorows", "MatMul", X[:0], B.T.copy()); one("zerok", "MatMul", np.zeros((2, 0), f4), np.zeros((0, 3), f4)); one("inf", "MatMul", E, B.T.copy())
for eq, xs in {"ij,jk->ik": (X, B.T), "ij,kj->ik": (X, B), "ij->ji": (X,), "ij->": (X,), "ij->j": (X,), "ii->i": (X[:3],), "ii": (X[:3],), "i,i->": (V3, V3), "i,j->ij": (V3, V3), "bij,bjk->bik": (A, A.transpose(0, 2, 1)), "...ij,jk->...ik": (A, R.normal(size=(4, 2))), "ij,ij->i": (X, X), "ij,jk": (X, B.T), "bnd,ndh->bnh": (A, R.normal(size=(3, 4, 2))), "ij,jk,kl->il": (X, B.T, B), "...i->...": (A,), "i...->...i": (A,)}.items():
    one(eq.replace("->", "_to_").replace(",", "_").replace("...", "E"), "Einsum", *(np.ascontiguousarray(x, f4) for x in xs), equation=eq)
one("f64", "Einsum", X.astype(f8), B.astype(f8), equation="nd,kd->nk"); one("i64", "Einsum", I(1, 2), I(3, 4), equation="i,j->ij"); one("spaces", "Einsum", X, B, equation=" n d , k d -> n k ")
for m in ("sqeuclidean", "euclidean"): one(f"{m}", "CDist", X, B, domain=MS, metric=m); one(f"{m}_f64", "CDist", X.astype(f8), B.astype(f8), domain=MS, metric=m); one(f"{m}_same", "CDist", X, X, domain=MS, metric=m)
for ta, tb in itertools.product((0, 1), repeat=2): one(f"{ta}{tb}", "FusedMatMul", X if not ta else X.T.copy(), B.T.copy() if not tb else B, domain=MS, transA=ta, transB=tb, alpha=.5)
one("f32", "Det", np.array([[[1, 2], [3, 4]], [[0, 0], [1, 1]]], f4)); one("plain", "LpNormalization", X, axis=1, p=2); one("p1", "LpNormalization", X, axis=0, p=1); one("mv", "MeanVarianceNormalization", A[None], axes=[0, 2, 3]); one("eval", "BatchNormalization", X, *(V3 for _ in range(3)), np.abs(V3)); one("plain", "LayerNormalization", X, V3, V3); one("plain", "Dropout", X, outs=("Y",)); one("mask", "Dropout", X, (np.array(.5, f4),), outs=("Y", "M")); one("f32", "CastLike", X, np.zeros(1, i8)); one("plain", "PRelu", X, V3); one("u8", "BitShift", np.array([1, 16], u1), np.array([3, 2], u1), direction="LEFT"); one("plain", "BitwiseAnd", I(6, 3), I(3, 5), opset=18); one("plain", "Shrink", X, lambd=.6, bias=.1); one("d1", "DepthToSpace", np.arange(16, dtype=f4).reshape(1, 4, 2, 2), blocksize=2); one("f32", "Hardmax", tie[:2])
for op, y in dict(BitwiseOr=I(3, 5), BitwiseXor=I(3, 5)).items(): one("plain", op, I(6, 3), y, opset=18)
# -- control flow
F = lambda name, dims, t=T.FLOAT: h.make_tensor_value_info(name, t, dims)
def graph(nodes, ins, outs, inits=()): return h.make_graph(nodes, "body", ins, outs, [tensor(v, k) for k, v in dict(inits).items()])
dist = graph([node("Sub", ["x", "row"], ["d"]), node("ReduceSumSquare", ["d"], ["s"], axes=[1], keepdims=0), node("Identity", ["x"], ["xo"])], [F("x", None), F("row", [3])], [F("xo", None), F("s", None)])
case("Scan_cdist", node("Scan", ["X", "B"], ["Xo", "Y"], num_scan_inputs=1, body=dist), {"X": X, "B": B}, ("Y",))
acc = graph([node("Add", ["st", "row"], ["so"]), node("Identity", ["so"], ["yo"])], [F("st", [3]), F("row", [3])], [F("so", [3]), F("yo", [3])])
for i, o in itertools.product((0, 1), repeat=2): case(f"Scan_dir{i}{o}", node("Scan", ["S", "X"], ["F", "Y"], num_scan_inputs=1, body=acc, scan_input_directions=[i], scan_output_directions=[o]), {"S": np.zeros(3, f4), "X": X}, ("F", "Y"))
case("Scan_axes", node("Scan", ["S", "X"], ["F", "Y"], num_scan_inputs=1, body=acc, scan_input_axes=[1], scan_output_axes=[1]), {"S": np.zeros(3, f4), "X": X.T.copy()}, ("F", "Y")); case("Scan_negaxes", node("Scan", ["S", "X"], ["F", "Y"], num_scan_inputs=1, body=acc, scan_input_axes=[-1], scan_output_axes=[-1]), {"S": np.zeros(3, f4), "X": X.T.copy()}, ("F", "Y")); case("Scan_zero", node("Scan", ["S", "X"], ["F", "Y"], num_scan_inputs=1, body=acc), {"S": np.ones(3, f4), "X": X[:0]}, ("F", "Y"))
outer = graph([node("Mul", ["row", "W"], ["p"]), node("ReduceSum", ["p"], ["yo"], keepdims=0)], [F("row", [3])], [F("yo", [])]); case("Scan_outer", node("Scan", ["X"], ["Y"], num_scan_inputs=1, body=outer), {"X": X, "W": V3}, ("Y",))
two = graph([node("Sub", ["a", "b"], ["yo"]), node("ArgMax", ["a"], ["zo"], axis=0)], [F("a", [3]), F("b", [3])], [F("yo", [3]), F("zo", [1], T.INT64)]); case("Scan_two", node("Scan", ["A", "B"], ["Y", "Z"], num_scan_inputs=2, body=two), {"A": X, "B": X[::-1].copy()}, ("Y", "Z"))
nest = graph([node("Scan", ["row2"], ["yo"], num_scan_inputs=1, body=graph([node("Mul", ["r", "k"], ["z"])], [F("r", [2])], [F("z", [2])])), node("Identity", ["k"], ["ko"])], [F("k", []), F("row2", [3, 2])], [F("ko", []), F("yo", [3, 2])]); case("Scan_nested", node("Scan", ["K", "X"], ["Ko", "Y"], num_scan_inputs=1, body=nest), {"K": np.array(2, f4), "X": np.arange(12, dtype=f4).reshape(2, 3, 2)}, ("Ko", "Y"))
body = graph([node("Add", ["v", "one"], ["vo"]), node("Less", ["vo", "lim"], ["co"]), node("Mul", ["vo", "vo"], ["sc"])], [F("i", [], T.INT64), F("c", [], T.BOOL), F("v", [1])], [F("co", None, T.BOOL), F("vo", [1]), F("sc", [1])], {"one": np.ones(1, f4), "lim": np.array(4, f4)})
for tag, (m, c) in dict(trip=(I(3), True), cond=(I(100), True), none=(I(3), False), zero=(I(0), True)).items(): case(f"Loop_{tag}", node("Loop", ["M", "C", "V"], ["F", "Y"], body=body), {"M": m.reshape(()), "C": np.array(c), "V": np.zeros(1, f4)}, ("F", "Y"))
case("Loop_nomax", node("Loop", ["", "C", "V"], ["F", "Y"], body=body), {"C": np.array(True), "V": np.zeros(1, f4)}, ("F", "Y")); case("Loop_nocond", node("Loop", ["M", "", "V"], ["F", "Y"], body=graph([node("Cast", ["i"], ["fi"], to=1), node("Add", ["v", "fi"], ["vo"]), node("Identity", ["c"], ["co"]), node("Identity", ["i"], ["sc"])], [F("i", [], T.INT64), F("c", [], T.BOOL), F("v", [1])], [F("co", None, T.BOOL), F("vo", [1]), F("sc", [], T.INT64)])), {"M": np.array(4, i8), "V": np.zeros(1, f4)}, ("F", "Y"))
for c in (True, False): case(f"If_{c}", node("If", ["C"], ["Y"], then_branch=graph([node("Add", ["X", "X"], ["t"])], [], [F("t", None)]), else_branch=graph([node("ReduceSum", ["X"], ["e"])], [], [F("e", None)])), {"C": np.array(c), "X": X}, ("Y",))
case("Sequence_at", [node("SequenceConstruct", ["A", "B"], ["s"]), node("SequenceAt", ["s", "i"], ["Y"])], {"A": X, "B": X[:2], "i": np.array(-1, i8)}, ("Y",)); case("Sequence_concat", [node("SequenceConstruct", ["A", "B"], ["s"]), node("ConcatFromSequence", ["s"], ["Y"], axis=0), node("SequenceLength", ["s"], ["L"])], {"A": X, "B": X[:2]}, ("Y", "L")); case("Sequence_out", [node("SequenceConstruct", ["A", "B"], ["Y"])], {"A": X, "B": X[:2]}, ("Y",)); case("Sequence_split", [node("SplitToSequence", ["A"], ["Y"], axis=1, keepdims=0)], {"A": X}, ("Y",))
# -- strings
toks = np.array([[1, 2, 3, 1, 2, 3, 9], [2, 2, 1, 3, 3, 1, 2]], i8)
for m in ("TF", "IDF", "TFIDF"):
    for ms in (0, 1, 5):
        for lo, hi in ((1, 1), (1, 2), (2, 2)):
            if ms and hi == 1: continue
            one(f"i64_{m}_{ms}_{lo}{hi}", "TfIdfVectorizer", toks, mode=m, min_gram_length=lo, max_gram_length=hi, max_skip_count=ms, ngram_counts=[0, 3], ngram_indexes=[0, 1, 2, 3, 4, 5], pool_int64s=[1, 2, 3, 1, 2, 2, 3, 3, 1], weights=[.5, 1., 2., .25, 3., 1.5])
    one(f"str_{m}", "TfIdfVectorizer", S("a", "b", "a", "é", "b", "", shape=(2, 3)), mode=m, min_gram_length=1, max_gram_length=2, max_skip_count=0, ngram_counts=[0, 3], ngram_indexes=[2, 0, 1, 3, 4], pool_strings=["a", "b", "é", "a", "b", "b", "a"], weights=[1., 2., 3., 4., 5.]); one(f"str_noweights_{m}", "TfIdfVectorizer", S("a", "b", "a", "é", "b", "", shape=(2, 3)), mode=m, min_gram_length=1, max_gram_length=1, max_skip_count=0, ngram_counts=[0], ngram_indexes=[2, 0, 1], pool_strings=["a", "b", "é"])
one("1d", "TfIdfVectorizer", toks[0], mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[1, 2, 3]); one("i32", "TfIdfVectorizer", toks.astype(i4), mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[1, 2, 3])
one("gaps", "TfIdfVectorizer", toks, mode="TF", min_gram_length=3, max_gram_length=3, max_skip_count=1, ngram_counts=[0, 0, 0], ngram_indexes=[4, 0], pool_int64s=[1, 2, 3, 3, 3, 2])
w = S("Monday", "", "the", "THE", "ÉCOLE", "ß", "İ")
for c in ("LOWER", "UPPER", "NONE"): one(c, "StringNormalizer", w, case_change_action=c, is_case_sensitive=1, stopwords=["the", ""]); one(f"{c}_insens", "StringNormalizer", w, case_change_action=c, is_case_sensitive=0, stopwords=["The"]); one(f"{c}_2d", "StringNormalizer", w[None, :], case_change_action=c, is_case_sensitive=1, stopwords=["the"]); one(f"{c}_nostop", "StringNormalizer", w, case_change_action=c)
one("allstop", "StringNormalizer", S("a", "a"), is_case_sensitive=1, stopwords=["a"]); one("allstop2d", "StringNormalizer", S("a", "a", shape=(1, 2)), is_case_sensitive=1, stopwords=["a"]); one("locale_c", "StringNormalizer", w, case_change_action="LOWER", locale="C"); one("2drows", "StringNormalizer", S("a", "b", shape=(2, 1)), fails=True)
txt = S("the cat, sat", "", "  a  b ", "café-42 X_y", "ab")
for tag, at in dict(space=dict(separators=[" "], mark=0), mark=dict(separators=[" "], mark=1), regexsep=dict(separators=["[ ,-]+"], mark=0), two=dict(separators=[" ", ","], mark=0), exp=dict(tokenexp="[a-zA-Z0-9_]+", mark=0), exp2=dict(tokenexp=r"\b\w\w+\b", mark=0), dot=dict(tokenexp=".", mark=0), expmark=dict(tokenexp="[a-z]+", mark=1), minchars=dict(separators=[" "], mark=0, mincharnum=2), chars=dict(separators=[""], mark=0), charsmark=dict(separators=[""], mark=1)).items():
    at = dict(pad_value="#", mincharnum=1) | at; one(tag, "Tokenizer", txt, domain=MS, **at); one(f"{tag}_2d", "Tokenizer", txt[:4].reshape(2, 2), domain=MS, **at)
one("emptypad", "Tokenizer", txt, domain=MS, separators=[" "], mark=0, mincharnum=1, pad_value=""); one("allempty", "Tokenizer", S("", ""), domain=MS, separators=[" "], mark=0, mincharnum=1, pad_value="#"); one("onlyseps", "Tokenizer", S("  ", " "), domain=MS, separators=[" "], mark=0, mincharnum=1, pad_value="#"); one("zerorows", "Tokenizer", S().astype(object), domain=MS, separators=[" "], mark=0, mincharnum=1, pad_value="#"); one("col", "Tokenizer", txt.reshape(5, 1), domain=MS, separators=[" "], mark=0, mincharnum=1, pad_value="#")
one("plain", "StringConcat", S("a", "", "é"), S("x", "y", "z"), opset=20); one("bcast", "StringConcat", S("a", "b", shape=(2, 1)), S("x", "y"), opset=20)
for tag, at in dict(space=dict(delimiter=" "), default={}, comma=dict(delimiter=","), maxsplit=dict(delimiter=" ", maxsplit=1), emptydel=dict(delimiter=""), two=dict(delimiter="at")).items(): one(tag, "StringSplit", txt, outs=("Y", "Z"), opset=20, **at)
for tag, pat in dict(word=r"\w+", dig=r".*\d+.*", any=".*", anchored="^ab$", alt="ab|cat", cls=r"[a-z ,]*", empty="").items(): one(tag, "RegexFullMatch", txt, opset=20, pattern=pat)

json.dump(manifest, open(f"{out}/MANIFEST.json", "w"), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
size = sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out))
print(len(manifest), "cases,", size, "bytes;", len(skipped), "not creatable:")
for s in skipped: print("  -", s)
