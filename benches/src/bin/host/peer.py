"""One thread of ONNX Runtime as a peer: answers lines on stdin.

peer.py PATH [quiet]: loads the model, prints version and input, then for each
line with a number runs so many times and prints the milliseconds of each run.
At the end of input it prints the peak resident memory of this process in KiB.
With 'load-only' as second argument it runs once and prints the peak alone.
"""

import sys
import time

try:
    import numpy
    import onnxruntime
except ImportError as missing:
    print("missing", missing.name, flush=True)
    sys.exit(0)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def peak():
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith("VmHWM"))


def main():
    before = peak()
    run = session(sys.argv[1])
    first = run.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in first.shape]
    kind = {"tensor(float)": numpy.float32, "tensor(uint8)": numpy.uint8, "tensor(int8)": numpy.int8}[first.type]
    values = numpy.arange(numpy.prod(shape)) % 251
    values = values / 125.0 - 1.0 if kind is numpy.float32 else values % 128
    x = {first.name: values.astype(kind).reshape(shape)}
    run.run(None, x)
    if sys.argv[2:] == ["load-only"]:
        print(before, peak(), flush=True)
        return
    print("version", onnxruntime.__version__, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run.run(None, x)
            times.append((time.perf_counter() - start) * 1e3)
        print(*times, flush=True)


main()
