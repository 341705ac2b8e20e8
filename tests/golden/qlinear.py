#!/usr/bin/env python3
"""Writes one small model for each QLinear operator, and what ONNX Runtime
makes of it: NAME.onnx and outputs.npz (x, and NAME for each) in qlinear/.

usage: qlinear.py

Made with onnx 1.23.2 and onnxruntime 1.31.1 on its CPU provider, optimisations off.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

here = pathlib.Path(__file__).parent / "qlinear"
here.mkdir(exist_ok=True)
random = np.random.default_rng(8)
x = random.uniform(-1, 1, (1, 3, 5, 4)).astype(np.float32)


class Model:
    """`x` is stored as `q`; what `node` makes is dequantised as `y`."""

    def __init__(self, kind):
        self.kind, self.lower = kind, 128 if kind == np.uint8 else 0
        self.nodes, self.constants = [], []
        self.plain("QuantizeLinear", ["x", *self.step("q", 0.008, 3)], "q")

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def step(self, name, scale, zero):
        scale = self.constant(f"{name}.scale", np.float32(scale))
        return scale, self.constant(f"{name}.zero", self.kind(zero + self.lower))

    def plain(self, op, inputs, output, domain="", **with_):
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **with_))

    def node(self, op, inputs, output=(0.02, 5), domain="com.microsoft", at=None, **with_):
        """`at` is where scale and zero point of the output go; else at the end."""
        step = list(self.step("out", *output))
        at = len(inputs) if at is None else at
        self.plain(op, [*inputs[:at], *step, *inputs[at:]], "out", domain, **with_)
        self.plain("DequantizeLinear", ["out", *step], "y")

    def save(self, name, dims):
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, name, [info("x", TensorProto.FLOAT, x.shape)],
            [info("y", TensorProto.FLOAT, dims)], self.constants)
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.save(model, here / f"{name}.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        outputs[name] = session.run(None, {"x": x})[0]


def weights(m, dims, kind, scales):
    """A constant with scale and zero point; one scale, or one an output."""
    values = random.integers(0, 256, dims) if kind == np.uint8 else random.integers(-127, 128, dims)
    zero = 131 if kind == np.uint8 else 0
    scales = np.float32(scales)
    zeros = np.full(scales.shape, zero, kind)
    return [m.constant("w", values.astype(kind)), m.constant("w.scale", scales), m.constant("w.zero", zeros)]


outputs = {"x": x}
stored = ["q", "q.scale", "q.zero"]
for kind, suffix in ((np.int8, ""), (np.uint8, "_u8")):
    m = Model(kind)
    # On uint8, ONNX Runtime wants weights of either type; on int8, int8 ones.
    w = weights(m, (4, 3, 3, 3), kind, [0.004, 0.002, 0.003, 0.001] if kind == np.int8 else 0.004)
    b = m.constant("b", random.integers(-9000, 9000, 4).astype(np.int32))
    m.node("QLinearConv", [*stored, *w, b], at=6, domain="", pads=[1, 1, 1, 1])
    m.save(f"conv{suffix}", (1, 4, 5, 4))
    m = Model(kind)
    m.plain("Flatten", ["q"], "f")
    w = weights(m, (60, 6), kind, 0.01)
    m.node("QLinearMatMul", ["f", *stored[1:], *w], (0.05, 5), domain="")
    m.save(f"matmul{suffix}", (1, 6))
    m = Model(kind)
    m.plain("Flatten", ["q"], "f")
    w = weights(m, (5, 60), kind, [0.01, 0.02, 0.03, 0.02, 0.01] if kind == np.int8 else 0.01)
    b = m.constant("b", random.integers(-9000, 9000, 5).astype(np.int32))
    m.node("QGemm", ["f", *stored[1:], *w, b], (0.2, 0), transB=1, alpha=1.5)
    m.save(f"gemm{suffix}", (1, 5))
    for name in ("Add", "Mul"):
        m = Model(kind)
        m.plain("QLinearSigmoid", [*stored, *m.step("s", 1 / 256, -128)], "s", "com.microsoft")
        m.node(f"QLinear{name}", [*stored, "s", "s.scale", "s.zero"], (0.013, 4))
        m.save(f"{name.lower()}{suffix}", (1, 3, 5, 4))
    m = Model(kind)
    m.plain("QLinearLeakyRelu", [*stored, *m.step("s", 0.006, -60)], "s", "com.microsoft", alpha=0.2)
    m.node("QLinearConcat", [*stored, "s", "s.scale", "s.zero"], (0.009, 0), at=0, axis=1)
    m.save(f"concat{suffix}", (1, 6, 5, 4))
    m = Model(kind)
    m.node("QLinearAveragePool", stored, (0.008, 3), kernel_shape=[2, 2], strides=[2, 1])
    m.save(f"average{suffix}", (1, 3, 2, 3))
    m = Model(kind)
    m.node("QLinearGlobalAveragePool", stored, (0.003, 20), channels_last=0)
    m.save(f"mean{suffix}", (1, 3, 1, 1))
    m = Model(kind)
    m.plain("MaxPool", ["q"], "p", kernel_shape=[2, 2])
    m.plain("Transpose", ["p"], "t", perm=[0, 2, 3, 1])
    m.plain("DequantizeLinear", ["t", *stored[1:]], "y")
    m.save(f"max{suffix}", (1, 4, 3, 3))
    m = Model(kind)
    m.plain("Flatten", ["q"], "f")
    w = weights(m, (60, 5), kind, 0.01)
    m.plain("QLinearMatMul", ["f", *stored[1:], *w, *m.step("l", 0.05, 0)], "l")
    m.node("QLinearSoftmax", ["l", "l.scale", "l.zero"], (1 / 256, -128), axis=1, opset=13)
    m.save(f"softmax{suffix}", (1, 5))
np.savez_compressed(here / "outputs.npz", **outputs)
