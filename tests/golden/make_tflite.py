"""Writes tests/golden/tflite: small TFLite networks of every operator in
float, int8 and uint8, and every tensor of each by TFLite's reference kernels.

    pip install ai-edge-litert==2.3.0 tflite==2.18.0 numpy
    python tests/golden/make_tflite.py

Each network ends in a small fully connected layer, so that it has a vector of
scores. int8 and uint8 networks have the float network's weights; the scales of
their tensors follow from the float network's values.
"""

import pathlib

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

HERE = pathlib.Path(__file__).parent / "tflite"
TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
SAME, VALID = 0, 1
NONE, RELU, RELU_N1, RELU6 = 0, 1, 2, 3
#: The scale and zero point that TFLite fixes for an operator's int8 output.
FIXED = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
#: The output has the scale of input 0.
LIKE = set(
    "AVERAGE_POOL_2D MAX_POOL_2D RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE PAD PADV2 MIRROR_PAD "
    "SLICE STRIDED_SLICE REDUCE_MAX".split()
)


def table(b, name, **fields):
    getattr(tflite, f"{name}Start")(b)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(b, value)
    return getattr(tflite, f"{name}End")(b)


def vector(b, values, kind):
    values = np.asarray(values, kind)
    return b.CreateNumpyVector(values)


def offsets(b, values):
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependUOffsetTRelative(value)
    return b.EndVector()


def write(tensors, ops, inputs, outputs):
    """tensors: (name, shape, type, data, scales, zero_points, dimension)."""
    b = flatbuffers.Builder(1024)
    codes = sorted({op[0] for op in ops})
    buffers = [table(b, "Buffer")]
    records = []
    for name, shape, kind, data, scales, zero_points, dimension in tensors:
        buffer = 0
        if data is not None:
            data = vector(b, np.frombuffer(data.tobytes(), np.uint8), np.uint8)
            buffer = len(buffers)
            buffers.append(table(b, "Buffer", Data=data))
        fields = {"Shape": vector(b, shape, np.int32), "Type": TYPES[kind], "Buffer": buffer}
        if scales is not None:
            s, z = vector(b, scales, np.float32), vector(b, zero_points, np.int64)
            fields["Quantization"] = table(
                b, "QuantizationParameters", Scale=s, ZeroPoint=z, QuantizedDimension=dimension
            )
        fields["Name"] = b.CreateString(name)
        records.append(table(b, "Tensor", **fields))
    operators = []
    for code, ins, outs, kind, options in ops:
        fields = {"OpcodeIndex": codes.index(code)}
        if kind:
            options = {
                k: (vector(b, v, np.int32) if isinstance(v, list) else v) for k, v in options.items()
            }
            fields["BuiltinOptions"] = table(b, kind, **options)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, kind)
        fields["Inputs"] = vector(b, ins, np.int32)
        fields["Outputs"] = vector(b, outs, np.int32)
        operators.append(table(b, "Operator", **fields))
    lists = {"Tensors": offsets(b, records), "Operators": offsets(b, operators)}
    lists["Inputs"] = vector(b, inputs, np.int32)
    lists["Outputs"] = vector(b, outputs, np.int32)
    graph = table(b, "SubGraph", **lists)
    number = lambda c: getattr(tflite.BuiltinOperator, c)
    codes = [
        table(b, "OperatorCode", DeprecatedBuiltinCode=min(number(c), 127), BuiltinCode=number(c), Version=version(c))
        for c in codes
    ]
    fields = {"OperatorCodes": offsets(b, codes), "Subgraphs": offsets(b, [graph])}
    fields["Buffers"] = offsets(b, buffers)
    fields["Description"] = b.CreateString("tests/golden/make_tflite.py")
    model = table(b, "Model", Version=3, **fields)
    b.Finish(model, b"TFL3")
    return bytes(b.Output())


def version(code):
    """The operator's first version that takes all of our number types."""
    three = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}
    one = "RESHAPE SQUEEZE EXPAND_DIMS HARD_SWISH PRELU RELU_N1_TO_1".split()
    return 1 if code in one else three.get(code, 2)


class Net:
    """A network by real numbers; `tensors` of it in any number type."""

    def __init__(self, shape, low=-1.0, high=1.0):
        self.random = np.random.default_rng(5)
        self.constants, self.ops = {}, []
        self.shapes, self.input_range = {"x": list(shape)}, (low, high)
        self.last = "x"

    def noise(self, *shape, scale=1.0):
        return (self.random.normal(size=shape) * scale).astype(np.float32)

    def constant(self, values, role):
        name = f"c{len(self.constants)}"
        self.constants[name] = (np.asarray(values), role)
        return name

    def op(self, code, inputs, shape, kind=None, outs=None, **options):
        names = outs or [f"t{len(self.shapes)}"]
        for name, s in zip(names, shape if outs else [shape]):
            self.shapes[name] = list(s)
        self.ops.append((code, inputs, names, kind, options))
        self.last = names[0]
        return self.last

    def conv(self, weights, shape, padding=SAME, stride=(1, 1), dilation=(1, 1), act=NONE):
        w = self.constant(weights, ("weights", 0))
        ins = [self.last, w, self.constant(self.noise(len(weights)), ("bias", 0))]
        return self.op(
            "CONV_2D", ins, shape, "Conv2DOptions", Padding=padding, StrideH=stride[0], StrideW=stride[1],
            DilationHFactor=dilation[0], DilationWFactor=dilation[1], FusedActivationFunction=act,
        )

    def depthwise(self, weights, shape, multiplier, padding=SAME, stride=(1, 1), dilation=(1, 1), act=NONE):
        w = self.constant(weights, ("weights", 3))
        bias = self.constant(self.noise(weights.shape[3]), ("bias", 0))
        return self.op(
            "DEPTHWISE_CONV_2D", [self.last, w, bias], shape, "DepthwiseConv2DOptions", Padding=padding,
            StrideH=stride[0], StrideW=stride[1], DilationHFactor=dilation[0], DilationWFactor=dilation[1],
            FusedActivationFunction=act, DepthMultiplier=multiplier,
        )

    def dense(self, outputs, shape, act=NONE, keep=False, bias=True):
        k = self.shapes[self.last][-1] if keep else int(np.prod(self.shapes[self.last]) // np.prod(shape[:-1]))
        w = self.constant(self.noise(outputs, k, scale=k**-0.5), ("weights", None))
        ins = [self.last, w] + ([self.constant(self.noise(outputs), ("bias", 0))] if bias else [])
        return self.op(
            "FULLY_CONNECTED", ins, shape, "FullyConnectedOptions", FusedActivationFunction=act, KeepNumDims=keep
        )

    def pool(self, code, kernel, shape, stride=(1, 1), padding=VALID, act=NONE):
        return self.op(
            code, [self.last], shape, "Pool2DOptions", Padding=padding, StrideH=stride[0], StrideW=stride[1],
            FilterHeight=kernel[0], FilterWidth=kernel[1], FusedActivationFunction=act,
        )

    def binary(self, code, a, b, shape, act=NONE):
        kind = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[code]
        return self.op(code, [a, b], shape, kind, FusedActivationFunction=act)

    def operand(self, *shape):
        return self.constant(self.noise(*shape), "operand")

    def ints(self, values):
        return self.constant(np.asarray(values, np.int32), "ints")

    def scores(self):
        """The closing layer."""
        return self.dense(3, [1, 3])


def scale_of(low, high, kind):
    """Asymmetric scale and zero point that hold 0."""
    low, high = min(low, 0.0), max(high, 1e-3)
    scale = np.float32((high - low) / 255)
    zero = int(np.clip(round(-low / float(scale)), 0, 255))
    return scale, zero if kind == "uint8" else zero - 128


def quantised(values, scale, zero, kind):
    info = np.iinfo(kind)
    return np.clip(np.round(values / scale) + zero, info.min, info.max).astype(kind)


class Quantiser:
    def __init__(self, net, kind, ranges):
        self.net, self.kind, self.scales = net, kind, {}
        self.set("x", *net.input_range)
        for code, inputs, outputs, _, _ in net.ops:
            source = next((i for i in inputs if i in self.scales), "x")
            for name in outputs:
                if code in FIXED:
                    s, z = FIXED[code]
                    self.scales[name] = (np.float32(s), z + (128 if kind == "uint8" else 0))
                elif code in LIKE or code in ("SPLIT", "SPLIT_V"):
                    self.scales[name] = self.scales[source]
                elif code == "CONCATENATION" and kind == "int8":
                    self.scales[name] = self.scales[source]
                else:
                    self.set(name, *ranges[name])

    def set(self, name, low, high):
        self.scales[name] = scale_of(low, high, self.kind)

    def weights(self, values, dimension):
        """Per channel and symmetric in int8 (per tensor where dimension is None), asymmetric in uint8."""
        if self.kind == "uint8":
            scale, zero = scale_of(values.min(), values.max(), "uint8")
            return quantised(values, scale, zero, "uint8"), [scale], [zero], 0
        axes = tuple(d for d in range(values.ndim) if d != dimension)
        scales = (np.abs(values).max(axis=axes if dimension is not None else None, keepdims=True) / 127).astype(
            np.float32
        )
        flat = scales.ravel()
        return quantised(values, scales, 0, "int8"), flat, np.zeros(len(flat)), dimension or 0


def tensors(net, kind, ranges=None):
    """The file's tensors and each name's index."""
    q = None if kind == "float" else Quantiser(net, kind, ranges)
    real = "float32" if q is None else kind
    records, at = [], {}

    def add(name, shape, k, data=None, scales=None, zeros=None, dimension=0):
        at[name] = len(records)
        records.append((name, list(shape), k, data, scales, zeros, dimension))

    for name, shape in net.shapes.items():
        if q is None:
            add(name, shape, real)
        else:
            scale, zero = q.scales[name]
            add(name, shape, real, None, [scale], [zero])
    for code, inputs, _, _, _ in net.ops:
        weights = None
        for name in inputs:
            if name not in net.constants or name in at:
                continue
            values, role = net.constants[name]
            if role == "ints":
                add(name, values.shape, str(values.dtype), values)
            elif q is None:
                add(name, values.shape, real, values.astype(np.float32))
            elif role == "operand":
                source = q.scales[inputs[0]] if code in ("CONCATENATION", "PADV2") else None
                scale, zero = source or scale_of(values.min(), values.max(), kind)
                add(name, values.shape, real, quantised(values, scale, zero, kind), [scale], [zero])
            elif role[0] == "weights":
                data, scales, zeros, dimension = q.weights(values, role[1])
                weights = np.asarray(scales)
                add(name, values.shape, real, data, scales, zeros, dimension)
            else:
                scales = (weights * q.scales[inputs[0]][0]).astype(np.float32)
                data = np.round(values / scales).astype(np.int32)
                add(name, values.shape, "int32", data, scales, np.zeros(len(scales)), 0)
    return records, at


def build(net, kind, ranges=None):
    records, at = tensors(net, kind, ranges)
    ops = [(c, [at[i] for i in ins], [at[o] for o in outs], k, o) for c, ins, outs, k, o in net.ops]
    return write(records, ops, [at["x"]], [at[net.last]]), at


def run(file, picture):
    """Values of all tensors by the reference kernels."""
    interpreter = Interpreter(
        model_content=file,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor


def cases():
    """Name and network."""
    n = Net([1, 6, 7, 3])
    n.conv(n.noise(4, 3, 3, 3, scale=0.3), [1, 3, 4, 4], stride=(2, 2), act=RELU)
    n.conv(n.noise(5, 1, 1, 4, scale=0.5), [1, 3, 4, 5], act=RELU6)
    n.conv(n.noise(4, 2, 3, 5, scale=0.3), [1, 2, 2, 4], padding=VALID, act=RELU_N1)
    n.scores()
    yield "conv", n
    n = Net([1, 9, 8, 2])
    n.conv(n.noise(4, 3, 2, 2, scale=0.4), [1, 5, 5, 4], padding=VALID, dilation=(2, 3))
    n.conv(n.noise(3, 3, 3, 4, scale=0.3), [1, 5, 5, 3], dilation=(2, 2))
    n.scores()
    yield "dilated", n
    n = Net([1, 6, 5, 4])
    n.conv(n.noise(6, 3, 3, 2, scale=0.4), [1, 6, 5, 6])
    n.scores()
    yield "grouped", n
    n = Net([1, 7, 6, 3])
    n.depthwise(n.noise(1, 3, 3, 3, scale=0.5), [1, 4, 3, 3], 1, stride=(2, 2), act=RELU)
    n.depthwise(n.noise(1, 2, 3, 6, scale=0.5), [1, 4, 3, 6], 2)
    n.depthwise(n.noise(1, 2, 2, 6, scale=0.5), [1, 3, 2, 6], 1, padding=VALID)
    n.scores()
    yield "depthwise", n
    n = Net([1, 5, 6, 1])
    n.depthwise(n.noise(1, 3, 3, 8, scale=0.5), [1, 3, 3, 8], 8, stride=(2, 2), act=RELU6)
    n.scores()
    yield "depthwise_of_one", n
    n = Net([1, 3, 4, 6])
    n.dense(5, [12, 5], act=RELU)
    n.op("RESHAPE", [n.last, n.ints([1, 3, 4, 5])], [1, 3, 4, 5])
    n.dense(4, [1, 3, 4, 4], keep=True, bias=False)
    n.scores()
    yield "dense", n
    for code in ["ADD", "SUB", "MUL"]:
        n = Net([1, 4, 5, 3])
        n.conv(n.noise(3, 1, 1, 3, scale=0.5), [1, 4, 5, 3])
        n.binary(code, "x", n.last, [1, 4, 5, 3], act=RELU)
        n.binary(code, n.last, n.operand(3), [1, 4, 5, 3])
        n.binary(code, n.operand(1, 4, 1, 1), n.last, [1, 4, 5, 3], act=RELU6)
        n.binary(code, n.last, n.operand(1, 4, 5, 3), [1, 4, 5, 3])
        n.scores()
        yield code.lower(), n
    n = Net([1, 7, 6, 3])
    n.pool("AVERAGE_POOL_2D", (3, 2), [1, 4, 3, 3], (2, 2), SAME)
    n.pool("AVERAGE_POOL_2D", (2, 2), [1, 3, 2, 3], act=RELU)
    n.scores()
    yield "average_pool", n
    n = Net([1, 7, 6, 3])
    n.pool("MAX_POOL_2D", (3, 3), [1, 4, 3, 3], (2, 2), SAME)
    n.pool("MAX_POOL_2D", (2, 1), [1, 3, 3, 3], act=RELU)
    n.scores()
    yield "max_pool", n
    n = Net([1, 4, 5, 6])
    a = n.op("MEAN", ["x", n.ints([1, 2])], [1, 6], "ReducerOptions", KeepDims=False)
    b = n.op("MEAN", ["x", n.ints([-2])], [1, 4, 1, 6], "ReducerOptions", KeepDims=True)
    n.op("MEAN", [b, n.ints([1, 2])], [1, 1, 1, 6], "ReducerOptions", KeepDims=True)
    n.binary("ADD", n.last, a, [1, 1, 1, 6])
    n.scores()
    yield "mean", n
    n = Net([1, 4, 5, 6])
    n.op("REDUCE_MAX", ["x", n.ints([1, 2])], [1, 6], "ReducerOptions", KeepDims=False)
    n.scores()
    yield "reduce_max", n
    n = Net([1, 3, 4, 2])
    a = n.pool("MAX_POOL_2D", (2, 2), [1, 3, 4, 2], padding=SAME)
    n.op("CONCATENATION", ["x", a, n.operand(1, 3, 4, 3)], [1, 3, 4, 7], "ConcatenationOptions", Axis=-1)
    n.op("CONCATENATION", [n.last, n.last], [1, 6, 4, 7], "ConcatenationOptions", Axis=1)
    n.scores()
    yield "concatenation", n
    n = Net([1, 3, 4, 2])
    n.op("PAD", ["x", n.ints([[0, 0], [1, 2], [0, 1], [1, 0]])], [1, 6, 5, 3], "PadOptions")
    n.scores()
    yield "pad", n
    n = Net([1, 3, 4, 2])
    value = n.constant(np.float32([0.75]), "operand")
    n.op("PADV2", ["x", n.ints([[0, 0], [1, 1], [2, 1], [0, 0]]), value], [1, 5, 7, 2], "PadV2Options")
    n.scores()
    yield "padv2", n
    n = Net([1, 3, 4, 2])
    n.op("MIRROR_PAD", ["x", n.ints([[0, 0], [1, 2], [2, 1], [0, 0]])], [1, 6, 7, 2], "MirrorPadOptions", Mode=0)
    n.scores()
    yield "mirror_pad", n
    n = Net([1, 6, 6, 6])
    n.op("SPLIT", [n.ints(3), "x"], [[1, 6, 6, 3]] * 2, "SplitOptions", ["a", "b"], NumSplits=2)
    n.binary("MUL", "a", "b", [1, 6, 6, 3])
    n.op("SLICE", [n.last, n.ints([0, 1, 0, 1]), n.ints([1, 3, -1, 2])], [1, 3, 6, 2], "SliceOptions")
    n.op(
        "STRIDED_SLICE", [n.last, n.ints([0, 0, 1, 0]), n.ints([1, 3, -1, 0]), n.ints([1, 2, 2, 1])], [1, 2, 2, 2],
        "StridedSliceOptions", BeginMask=1, EndMask=8, EllipsisMask=0, NewAxisMask=0, ShrinkAxisMask=0,
    )
    n.scores()
    yield "slices", n
    n = Net([1, 6, 5, 6])
    n.op("SPLIT_V", ["x", n.ints([1, 3, -1]), n.ints(1)], [[1, 1, 5, 6], [1, 3, 5, 6], [1, 2, 5, 6]], "SplitVOptions",
         ["a", "b", "c"], NumSplits=3)
    n.binary("ADD", "a", "c", [1, 2, 5, 6])
    n.op(
        "STRIDED_SLICE", [n.last, n.ints([0, 1, 0, 0]), n.ints([1, 2, 5, 6]), n.ints([1, 1, 1, 1])], [1, 5, 6],
        "StridedSliceOptions", BeginMask=0, EndMask=0, EllipsisMask=0, NewAxisMask=0, ShrinkAxisMask=2,
    )
    n.scores()
    yield "split_v", n
    for code, options in [
        ("RELU", {}), ("RELU6", {}), ("RELU_N1_TO_1", {}), ("HARD_SWISH", {}), ("LOGISTIC", {}), ("TANH", {}),
        ("LEAKY_RELU", {"Alpha": 0.25}),
    ]:
        n = Net([1, 5, 5, 4], -8.0, 8.0)
        kind = {"HARD_SWISH": "HardSwishOptions", "LEAKY_RELU": "LeakyReluOptions"}.get(code)
        n.op(code, ["x"], [1, 5, 5, 4], kind, **options)
        n.scores()
        yield code.lower(), n
    n = Net([1, 4, 5, 3])
    n.op("PRELU", ["x", n.operand(1, 1, 3)], [1, 4, 5, 3])
    n.scores()
    yield "prelu", n
    n = Net([1, 2, 3, 5], -4.0, 4.0)
    n.op("SOFTMAX", ["x"], [1, 2, 3, 5], "SoftmaxOptions", Beta=1.0)
    n.dense(4, [1, 4])
    n.op("SOFTMAX", [n.last], [1, 4], "SoftmaxOptions", Beta=1.0)
    yield "softmax", n
    n = Net([1, 4, 3, 6])
    n.op("RESHAPE", ["x", n.ints([1, 4, 3, 2, 3])], [1, 4, 3, 2, 3])
    n.op("TRANSPOSE", [n.last, n.ints([0, 1, 2, 4, 3])], [1, 4, 3, 3, 2], "TransposeOptions")
    n.op("RESHAPE", [n.last, n.ints([1, 4, 3, 6])], [1, 4, 3, 6])
    n.conv(n.noise(4, 1, 1, 6, scale=0.5), [1, 4, 3, 4])
    n.pool("AVERAGE_POOL_2D", (4, 3), [1, 1, 1, 4])
    n.op("SQUEEZE", [n.last], [1, 4], "SqueezeOptions", SqueezeDims=[1, 2])
    n.op("EXPAND_DIMS", [n.last, n.ints([1])], [1, 1, 4], "ExpandDimsOptions")
    n.scores()
    yield "rename", n
    n = Net([1, 4, 3, 2])
    n.op("TRANSPOSE", ["x", n.ints([0, 3, 1, 2])], [1, 2, 4, 3], "TransposeOptions")
    n.binary("ADD", n.last, n.operand(1, 2, 4, 3), [1, 2, 4, 3])
    n.dense(4, [1, 4])
    n.scores()
    yield "transpose", n


def main():
    HERE.mkdir(exist_ok=True)
    stored = {}
    for name, net in cases():
        random = np.random.default_rng(7)
        low, high = net.input_range
        picture = random.uniform(low, high, net.shapes["x"]).astype(np.float32)
        ranges = None
        for kind in ["float", "int8", "uint8"]:
            file, at = build(net, kind, ranges)
            given = picture
            if kind != "float":
                q = Quantiser(net, kind, ranges)
                given = quantised(picture, *q.scales["x"], kind)
            try:
                value = run(file, given)
            except (RuntimeError, ValueError) as refused:
                if kind == "float":
                    raise
                print(f"{name} {kind}: left out, {str(refused).splitlines()[0]}")
                continue
            if kind == "float":
                ranges = {n: (float(value(at[n]).min()), float(value(at[n]).max())) for n in net.shapes}
            case = f"{name}_{kind}"
            (HERE / f"{case}.tflite").write_bytes(file)
            stored[f"{case}.input"] = given
            for code, _, outputs, _, _ in net.ops:
                for output in outputs:
                    stored[f"{case}.{at[output]}"] = value(at[output])
    np.savez_compressed(HERE / "golden.npz", **stored)


if __name__ == "__main__":
    main()
