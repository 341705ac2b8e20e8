#!/usr/bin/env python3
"""Copies the small references of the methods that look inside out of the
project's golden references: maps of layers and errors of completeness of the
first picture of three networks, and one attribution to input elements.

usage: white_box.py GOLDEN_FOLDER    (writes white_box.npz and white_box.json beside this script)

The references were computed in float64 by Captum 0.9.0 and grad-cam 1.5.7.
"""
import json
import pathlib
import re
import sys

import numpy as np

SMALL = re.compile(
    r"^i0\.t\d+\.(ig_(riemann_middle|gausslegendre)_delta|cam"
    r"|gc_(GradCAMPlusPlus|HiResCAM|LayerCAM|ScoreCAM|EigenCAM)_raw)$"
)
LARGE = re.compile(r"^i0\.t\d+\.(input_x_gradient|guided_gradcam_bilinear|ig_gausslegendre)$")
here = pathlib.Path(__file__).parent
arrays, tolerances = {}, {}
for net in ("n1", "n3", "n5"):
    folder = pathlib.Path(sys.argv[1]) / net
    golden = np.load(folder / "golden.npz")
    for key, entry in json.loads((folder / "manifest.json").read_text())["entries"].items():
        small = SMALL.match(key) or (net == "n1" and LARGE.match(key))
        if small and entry.get("gate"):
            arrays[f"{net}.{key}"] = golden[key]
            tolerances[f"{net}.{key}"] = entry["atol"]
np.savez_compressed(here / "white_box.npz", **arrays)
(here / "white_box.json").write_text(json.dumps(tolerances, indent=0, sort_keys=True) + "\n")
