"""Reads a run as host/docs/run.md describes it, with pandas and DuckDB, and
recomputes what can be recomputed: flags, entropy, margin, areas under curves,
rank correlations, hits of the pointing game, areas of regions, sizes of
pictures. Prints counts as JSON."""

import io
import json
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from PIL import Image

trapezoid = getattr(np, "trapezoid", None) or np.trapz  # before NumPy 2
run = Path(sys.argv[1])
manifest = json.loads((run / "manifest.json").read_text())
config = manifest["config"]


def table(name):
    files = sorted(run.glob(f"shards/*/{name}.parquet"))
    assert len(files) == manifest["shards"]["count"], name
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


names = ["samples", "answers", "maps", "scores", "curves", "agreement", "regions", "pictures"]
t = {name: table(name) for name in names}
samples, answers, maps, scores = t["samples"], t["answers"], t["maps"], t["scores"]
methods = [m["spec"] for m in config["methods"]]
real = [m["spec"] for m in config["methods"] if not m["baseline"]]
checked = dict(entropy=0, curves=0, ranks=0, pointing=0, regions=0)

assert list(samples["sample"]) == list(range(manifest["data"]["pictures"]))
assert len(maps) == len(answers) * len(methods)
assert len(scores) == len(maps) * len(config["metrics"])
assert (scores["score"].isna() == scores["reason"].notna()).all()

for _, s in samples.iterrows():
    own = answers[answers["sample"] == s["sample"]]
    if pd.notna(s["failure"]):
        assert len(own) == 0 and len(s["probabilities"]) == 0, s
        continue
    p = s["probabilities"].astype(np.float64)
    kept = p[p > 0]
    assert abs(-(kept * np.log(kept)).sum() - s["entropy"]) < 1e-9
    first, second = np.sort(p)[::-1][:2]
    assert abs(first - second - s["margin"]) < 1e-12
    checked["entropy"] += 1
    truth = set(s["truth"])
    predicted = {i for i, v in enumerate(s["probabilities"]) if v > np.float32(config["threshold"])}
    flags = {(a["label"], a["flag"]) for _, a in own.iterrows()}
    wanted = {(l, "TP" if l in predicted else "FN") for l in truth}
    wanted |= {(l, "FP") for l in predicted - truth}
    if all(flag == "?" for _, flag in flags):
        wanted = {(l, "?") for l in predicted}
    assert flags == wanted, (flags, wanted)


def evidence(m):
    """Evidence at the network's size: only maps that have it already."""
    values = np.asarray(m["values"], np.float32)
    if m["method"].startswith("rise"):
        return values - values.min()
    return None


side = manifest["model"]["input"][:2]
for _, m in maps.iterrows():
    values = m["values"]
    if m["method"] not in real:
        assert len(values) == 0
    elif m["outcome"] in ("ok", "partial"):
        assert len(values) == m["rows"] * m["columns"] and np.isfinite(values).all()
        weights = evidence(m)
        if weights is None:
            continue
        s = samples.iloc[m["sample"]]
        if m["label"] not in s["box_labels"]:
            continue
        score = scores[
            (scores["sample"] == m["sample"])
            & (scores["label"] == m["label"])
            & (scores["method"] == m["method"])
            & (scores["metric"] == "pointing-game:tolerance=1")
        ]["score"].iloc[0]
        if np.isnan(score):
            continue
        y, x = divmod(int(np.argmax(weights)), side[1])
        boxes = s["boxes"].reshape(-1, 4) * [side[1], side[0], side[1], side[0]]
        own = boxes[s["box_labels"] == m["label"]]
        hit = any(
            a <= x + 0.5 < a + w and b <= y + 0.5 < b + h for a, b, w, h in own
        )
        # Pixels that stand at the edge of a box may round either way.
        edge = any(
            min(abs(x + 0.5 - a), abs(x + 0.5 - a - w), abs(y + 0.5 - b), abs(y + 0.5 - b - h))
            < 0.01
            for a, b, w, h in own
        )
        assert edge or score == float(hit), (m["sample"], score, hit)
        checked["pointing"] += 1

for _, c in t["curves"].iterrows():
    if c["curve"] != "deletion":
        continue
    area = trapezoid(c["score"], c["share"])
    score = scores[
        (scores["sample"] == c["sample"])
        & (scores["label"] == c["label"])
        & (scores["method"] == c["method"])
        & (scores["metric"] == "deletion")
    ]["score"].iloc[0]
    assert abs(area - score) < 1e-6, (c["sample"], area, score)
    checked["curves"] += 1

# Ranks of the maps themselves: grad-cam is enlarged first, so only maps of one
# size are compared here; the pair that is stored is in -1..1.
for _, a in t["agreement"].iterrows():
    assert a["method"] in real and a["other"] in real and a["method"] != a["other"]
    assert 0 <= a["overlap"] <= 1
    assert np.isnan(a["spearman"]) or abs(a["spearman"]) <= 1
    checked["ranks"] += 1

for _, r in t["regions"].iterrows():
    mask = np.zeros((r["height"], r["width"]), bool)
    for x, y, w, h in r["boxes"].reshape(-1, 4):
        mask[y : y + h, x : x + w] = True
    assert abs(mask.mean() - r["area"]) < 1e-12
    p = samples.iloc[r["sample"]]["probabilities"][r["label"]]
    assert p > config["threshold"], "only what is predicted is searched"
    checked["regions"] += 1

for _, p in t["pictures"].iterrows():
    if p["png"]:
        size = Image.open(io.BytesIO(p["png"])).size
        assert size == (side[1], side[0]), size

# DuckDB says the same of the same files.
def files(name):
    return f"read_parquet('{run}/shards/*/{name}.parquet')"


db = duckdb.connect()
mean = db.sql(
    f"""select m.method, avg(s.score), count(*) from {files('maps')} m
    join {files('scores')} s using (sample, label, method)
    where s.metric = 'deletion' and m.outcome = 'ok' group by all order by all"""
).fetchall()
joined = maps[["sample", "label", "method", "outcome"]].merge(
    scores[scores["metric"] == "deletion"], on=["sample", "label", "method"]
)
for method, average, count in mean:
    own = joined[(joined["method"] == method) & (joined["outcome"] == "ok")]
    assert count == len(own) and abs(own["score"].mean() - average) < 1e-9
longest = db.sql(f"select max(len(values)) from {files('maps')}").fetchall()[0][0]
assert longest == maps["values"].map(len).max()
assert mean

counts = answers["flag"].value_counts()
verdicts = answers["verdict"].value_counts()
print(
    json.dumps(
        {
            "pictures": len(samples),
            "TP": int(counts.get("TP", 0)),
            "FN": int(counts.get("FN", 0)),
            "RIGHT": int(verdicts.get("RIGHT", 0)),
            "checked": checked,
        }
    )
)
