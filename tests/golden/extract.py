#!/usr/bin/env python3
"""Copies what the tests need out of the project's golden references.

usage: extract.py GOLDEN_FOLDER    (writes n1..n5 beside this script)

The references were computed in float64 by Captum 0.9.0, grad-cam 1.5.7, PyTorch
2.15.0 and NumPy; each entry of a manifest names its peer, parameters and tolerance.
"""
import json
import pathlib
import re
import shutil
import sys

import numpy as np

METHODS = re.compile(
    r"^(saliency|saliency_prob|deconvolution|guided_backprop|occlusion_[ab]|rise|rise_norm|rise_scores"
    r"|layer_gradcam_(last|inner)(_relu|_up)?|gc_GradCAM_(raw|final|inner_raw))$"
)
METRICS = re.compile(
    r"^((curve|auc)_(deletion|insertion)_(zero|blur)|infidelity_\w+|sensitivity_max_saliency)$"
)
MAPS = re.compile(r"^(saliency|ig_riemann_middle)$")
SEGMENTED = re.compile(r"^(feature_ablation_(slic|grid)|lime_coef|lime_intercept_r2|shapley_exact_grid)$")
here = pathlib.Path(__file__).parent


def of_segments(key, golden, inputs):
    """A map over segments as one value a segment; other answers as they are."""
    method = key.split(".")[-1]
    if not method.startswith("feature_ablation"):
        return golden[key]
    cut = inputs["seg_grid"] if method.endswith("grid") else inputs[f"{key.split('.')[0]}.seg_slic"]
    values = golden[key].reshape(cut.shape)
    each = [values[cut == s] for s in range(cut.max() + 1)]
    assert all((v == v[0]).all() for v in each), key
    return np.array([v[0] for v in each], np.float32)


def wanted(key):
    return key in ("logits", "output_ort") or METHODS.match(key.split(".")[-1])


# Boxed pictures of each network that are kept.
BOXED = {"n2": 24, "n3": 24, "n4": 6, "n5": 6}

for folder in sorted(pathlib.Path(sys.argv[1]).glob("n?")):
    out = here / folder.name
    out.mkdir(exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    golden = np.load(folder / "golden.npz")
    inputs = np.load(folder / "inputs.npz")
    entries = {k: e for k, e in manifest["entries"].items() if wanted(k) and e.get("gate", True)}
    manifest["entries"] = entries
    (out / "manifest.json").write_text(json.dumps(manifest, indent=0, sort_keys=True) + "\n")
    np.savez_compressed(out / "golden.npz", **{k: golden[k] for k in sorted(entries)})
    np.savez_compressed(out / "inputs.npz", x=inputs["x"], rise_masks=inputs["rise_masks"])
    if (folder / "localisation.npz").exists():
        boxed = np.load(folder / "localisation.npz")
        kept = ("images_u8", "cls", "boxes", "hit_saliency", "hit_gradcam", "iosr_gradcam")
        first = BOXED[folder.name]
        np.savez_compressed(out / "localisation.npz", **{k: boxed[k][:first] for k in kept})
    if (folder / "golden_int8.npz").exists():
        int8 = np.load(folder / "golden_int8.npz")
        logits = {k: int8[k] for k in int8.files if "logits" in k}
        np.savez_compressed(out / "golden_int8.npz", **logits)
    models = ("model", "model_bn", "model_fused", "model_int8", "model_int8_u8")
    for model in (f"{m}.onnx" for m in models):
        if (folder / model).exists():
            shutil.copy(folder / model, out / model)
    if folder.name in ("n1", "n2"):
        # Scores of maps of the first picture, with the maps, and what they were perturbed by.
        scores = {
            k: e
            for k, e in json.loads((folder / "manifest.json").read_text())["entries"].items()
            if k.startswith("i0.") and METRICS.match(k.split(".")[-1]) and e.get("gate", True)
        }
        (out / "metrics.json").write_text(json.dumps(scores, indent=0, sort_keys=True) + "\n")
        maps = {k for k in golden.files if k.startswith("i0.") and MAPS.match(k.split(".")[-1])}
        arrays = {k: golden[k] for k in golden.files if k in scores or k in maps}
        stored = {k: inputs[k] for k in inputs.files if re.match(r"i0\.(pert|blur|delmap_t\d+)$", k)}
        np.savez_compressed(out / "metrics.npz", **arrays, **stored)
    # Methods over segments, and the segments and designs that they were asked with.
    all_entries = json.loads((folder / "manifest.json").read_text())["entries"]
    cuts = {k: inputs[k].astype(np.uint8) for k in inputs.files if re.search(r"seg_|lime_Z", k)}
    kept = {
        k: {part: e[part] for part in ("atol", "peer", "score")}
        for k, e in all_entries.items()
        if SEGMENTED.match(k.split(".")[-1]) and e.get("gate", True)
    }
    (out / "segments.json").write_text(json.dumps(kept, sort_keys=True) + "\n")
    answers = {k: of_segments(k, golden, inputs) for k in sorted(kept)}
    np.savez_compressed(out / "segments.npz", **cuts, **answers)
