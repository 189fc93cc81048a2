"""Writes types.parquet: a column of every kind that pandas writes, all of which tell the 50 wrong rows of 200 apart."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd

rows = range(200)
wrong = [i % 4 == 1 for i in rows]
pick = lambda yes, no: [yes if w else no for w in wrong]
frame = pd.DataFrame({
    "category": pd.Categorical(pick("b", "a")),
    "flag": wrong,
    "day": pick(date(2024, 2, 29), date(2023, 1, 1)),
    "count": pd.array(pick(None, 3), dtype="Int64"),
    "moment": pick(datetime(2024, 2, 29, 12, 30), datetime(2023, 1, 1)),
    "text": pick(None, "there"),
    "price": pick(Decimal("1.50"), Decimal("2.25")),
    "error": pick(1.0, 0.0),
})
frame.to_parquet(Path(__file__).parent / "types.parquet", index=False)
