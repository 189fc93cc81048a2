"""Writes the tables that the tests read: python make_tables.py OUT_DIR (numpy, pandas and pyarrow).

Each holds the same small frame in another form, or one that must be refused.
"""
import pathlib
import sys

import numpy as np
import pandas as pd

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

# One matrix (3, 4) in every element type and both orders.
x = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
for code in ["|b1", "|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", ">f4", ">i8"]:
    name = code.replace("|", "n").replace("<", "l").replace(">", "b")
    np.save(out / f"x_{name}.npy", x.astype(code))
np.save(out / "x_fortran.npy", np.asfortranarray(x.astype("<f4")))
np.save(out / "column.npy", np.array([1.5, np.nan, -np.inf], "<f8"))
np.save(out / "no_rows.npy", np.zeros((0, 4), "<f4"))
np.save(out / "text.npy", np.array(["a", "", "größe \U0001f980"]))
np.save(out / "text_big_endian.npy", np.array(["a", "", "größe \U0001f980"]).astype(">U7"))
np.save(out / "bytes.npy", np.array([b"ab", b"", b"c"]))
np.save(out / "objects.npy", np.array(["a", None], dtype=object), allow_pickle=True)
np.save(out / "structured.npy", np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]))
np.save(out / "complex.npy", np.array([1 + 2j]))
np.save(out / "dates.npy", np.array(["2024-01-01"], dtype="M8[D]"))
for version in [(1, 0), (2, 0), (3, 0)]:
    with open(out / f"version{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, x.astype("<f4"), version=version)

# A frame of mixed columns: what the `Mixed` model of the tests takes.
frame = pd.DataFrame({
    "age": np.array([43.1, 46.6, np.nan]),
    "visits": np.array([1, 2, 3], "int64"),
    "plan": ["ent", "", "pro, max"],
})
np.savez(out / "mixed.npz", **{"in:age": frame["age"].to_numpy(), "in:visits": frame["visits"].to_numpy(),
                               "in:plan": frame["plan"].to_numpy().astype(str), "ort:label": np.array([1, 2, 3]),
                               "junk": np.array(["a", None], dtype=object)})
np.savez_compressed(out / "mixed_compressed.npz", age=frame["age"], visits=frame["visits"],
                    plan=frame["plan"].to_numpy().astype(str))
np.savez(out / "one_in.npz", **{"in:whatever": x.astype("<f4"), "ort:y": x})
np.savez(out / "two_in.npz", **{"in:a": x.astype("<f4"), "in:b": x.astype("<f4")})
frame.to_csv(out / "mixed.csv", index=False)
for codec in ["snappy", "zstd", "gzip", "lz4", "brotli", None]:
    frame.to_parquet(out / f"mixed_{codec}.parquet", index=False, compression=codec)
odd = frame.assign(plan=frame["plan"].astype("category"), visits=frame["visits"].astype("Int8"))
odd.loc[0, "age"] = np.nan
odd.index = [7, 8, 9]
odd.to_parquet(out / "mixed_categorical_indexed.parquet")
frame.assign(visits=frame["visits"].astype("float64")).to_parquet(out / "mixed_float_visits.parquet", index=False)
frame.assign(visits=[1.0, 2.5, 3.0]).to_parquet(out / "mixed_fraction.parquet", index=False)
frame.assign(visits=pd.array([1, None, 3], "Int64")).to_parquet(out / "mixed_null.parquet", index=False)
frame.assign(age=pd.to_datetime(["2024-01-01"] * 3)).to_parquet(out / "mixed_dates.parquet", index=False)
pd.DataFrame(x.astype("float64"), columns=list("abcd")).to_parquet(out / "x.parquet", row_group_size=2)
pd.DataFrame(np.zeros((0, 4)), columns=list("abcd")).to_parquet(out / "no_rows.parquet")
