#!/usr/bin/env python3
"""Writes what ONNX Runtime makes of the zoo's quantised networks: the stored
logits and the scores when its optimisations are off (it then runs each node
literally, in float), and the logits when they are on.

usage: unoptimised.py ZOO_FOLDER    (writes unoptimised.npz beside this script)

Made with onnxruntime 1.31.1 on its CPU provider.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

MODELS = [
    "imagenet/mobilenet_v2_100_224_ort_int8_qdq",
    "imagenet/mobilenet_v2_100_224_uint8_qdq",
    "imagenet/squeezenet_int8_qdq",
    "imagenet/squeezenet_uint8_qoperator",
    "tinyml/resnet8_cifar10_int8_qdq",
    "tinyml/vww96_int8_qdq",
]
Level = onnxruntime.GraphOptimizationLevel


def stored_logits(graph):
    """The integers that the softmax, or the dequantiser before it, reads."""
    softmax = next(n for n in graph.node if n.op_type in ("Softmax", "QLinearSoftmax"))
    if softmax.op_type == "QLinearSoftmax":
        return softmax.input[0]
    return next(n for n in graph.node if n.output[0] == softmax.input[0]).input[0]


def run(model, picture, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {session.get_inputs()[0].name: picture})


zoo = pathlib.Path(sys.argv[1])
arrays = {}
for name in MODELS:
    model = onnx.load(zoo / "models" / f"{name}.onnx")
    logits = stored_logits(model.graph)
    model.graph.output.append(onnx.ValueInfoProto(name=logits))
    key = name.replace("/", "__")
    picture = np.load(zoo / "expected" / key / "input.npy")
    scores, literal = run(model, picture, Level.ORT_DISABLE_ALL)
    _, fast = run(model, picture, Level.ORT_ENABLE_ALL)
    arrays[f"{key}.scores"] = scores.ravel().astype(np.float32)
    arrays[f"{key}.logits"] = literal.ravel().astype(np.float32)
    arrays[f"{key}.logits_optimised"] = fast.ravel().astype(np.float32)
np.savez_compressed(pathlib.Path(__file__).parent / "unoptimised.npz", **arrays)
