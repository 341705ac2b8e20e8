"""ONNX Runtime and Captum as peers, one thread: answers lines on stdin.

peer.py ONNX NETWORK MASKS: says what is there (ort=VERSION captum=VERSION, or
- for what is missing), then for each line with a question prints the
milliseconds that it took once:

  forward         one run of ONNX Runtime
  occlusion-loop  32/16 windows of zeros, a bare loop over ONNX Runtime
  rise-loop       MASKS masks, made beforehand, a bare loop over ONNX Runtime
  occlusion       Captum's Occlusion, 32/16
  guided          Captum's GuidedBackprop
  integrated      Captum's IntegratedGradients, 50 steps, 10 at a time

NETWORK is mobilenet_v2 or resnet18 of torchvision, with random weights, which
do not matter for time, and batch normalisation folded, as in the ONNX file.
"""

import sys
import time
import types
import warnings

import numpy

warnings.filterwarnings("ignore")

PATH, NETWORK, MASKS = sys.argv[1], sys.argv[2], int(sys.argv[3])
WINDOW, STRIDE = 32, 16

try:
    import onnxruntime
except ImportError:
    onnxruntime = None
try:
    import captum
    import torch
    import torchvision
    from captum.attr import GuidedBackprop, IntegratedGradients, Occlusion
except ImportError:
    captum = None


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(PATH, options, providers=["CPUExecutionProvider"])


def picture(shape):
    values = numpy.arange(numpy.prod(shape)) % 251 / 125.0 - 1.0
    return values.astype(numpy.float32).reshape(shape)


def loops(questions):
    run = session()
    first = run.get_inputs()[0]
    x = picture([d if isinstance(d, int) else 1 for d in first.shape])
    h, w = x.shape[2:]

    def score(tensor):
        return run.run(None, {first.name: tensor})[0].reshape(-1)

    top = int(score(x).argmax())

    def occlusion():
        whole = score(x)[top]
        total, count = numpy.zeros((h, w)), numpy.zeros((h, w))
        for y in range(0, h - WINDOW + 1, STRIDE):
            for left in range(0, w - WINDOW + 1, STRIDE):
                hidden = x.copy()
                box = numpy.s_[y : y + WINDOW, left : left + WINDOW]
                hidden[(..., *box)] = 0.0
                total[box] += whole - score(hidden)[top]
                count[box] += 1
        return total / count

    masks = numpy.random.default_rng(1).random((min(MASKS, 64), h, w), dtype=numpy.float32)

    def rise():
        total = numpy.zeros((h, w), dtype=numpy.float32)
        for i in range(MASKS):
            mask = masks[i % len(masks)]
            total += score(x * mask)[top] * mask
        return total / MASKS

    questions["forward"] = lambda: score(x)
    questions["occlusion-loop"] = occlusion
    questions["rise-loop"] = rise


def fold(first, norm):
    return torch.nn.utils.fusion.fuse_conv_bn_eval(first, norm)


def network():
    """The network, batch normalisation folded, no ReLU used twice."""
    model = getattr(torchvision.models, NETWORK)(weights=None).eval()
    for module in list(model.modules()):
        if isinstance(module, torch.nn.Sequential):
            for i in range(len(module) - 1):
                if isinstance(module[i], torch.nn.Conv2d) and isinstance(module[i + 1], torch.nn.BatchNorm2d):
                    module[i] = fold(module[i], module[i + 1])
                    module[i + 1] = torch.nn.Identity()
        if isinstance(module, torchvision.models.resnet.BasicBlock):
            for n in "12":
                conv, norm = getattr(module, "conv" + n), getattr(module, "bn" + n)
                setattr(module, "conv" + n, fold(conv, norm))
                setattr(module, "bn" + n, torch.nn.Identity())
            module.relu, module.relu2 = torch.nn.ReLU(), torch.nn.ReLU()
            module.forward = types.MethodType(block, module)
    if NETWORK == "resnet18":
        model.conv1, model.bn1 = fold(model.conv1, model.bn1), torch.nn.Identity()
    return model


def block(self, x):
    around = x if self.downsample is None else self.downsample(x)
    return self.relu2(self.conv2(self.relu(self.conv1(x))) + around)


def explainers(questions):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = network()
    x = torch.from_numpy(picture([1, 3, 224, 224]))
    with torch.no_grad():
        top = int(model(x).argmax())
    occlusion, guided, path = Occlusion(model), GuidedBackprop(model), IntegratedGradients(model)
    window, stride = (3, WINDOW, WINDOW), (3, STRIDE, STRIDE)

    def occlude():
        with torch.no_grad():
            occlusion.attribute(x, sliding_window_shapes=window, strides=stride, baselines=0, target=top)

    questions["occlusion"] = occlude
    questions["guided"] = lambda: guided.attribute(x, target=top)
    questions["integrated"] = lambda: path.attribute(x, target=top, n_steps=50, internal_batch_size=10)


def main():
    questions = {}
    if onnxruntime:
        loops(questions)
    if captum:
        explainers(questions)
    versions = [m.__version__ if m else "-" for m in (onnxruntime, captum)]
    print(f"ort={versions[0]} captum={versions[1]}", flush=True)
    for line in sys.stdin:
        question = questions[line.strip()]
        begin = time.perf_counter()
        question()
        print((time.perf_counter() - begin) * 1e3, flush=True)


main()
