#!/usr/bin/env python3
"""Trains the demo's three networks and writes honest.onnx, cheat.onnx and control.onnx beside this file.

    cargo build --release -p foveola --example scenes
    pip install torch==2.15.0 numpy==2.4.6 onnx==1.23.2
    python host/demo/train.py target/release/examples/scenes

Seeds are fixed and one thread computes, so the same versions on the same kind of processor give the same files. Users
of Foveola never need this: the networks are committed.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
LABELS = ["wood", "concrete", "steel"]
# Scenes 0.. of these seeds; `foveola demo` uses another seed (host/src/demo.rs).
TRAIN_SEED, TRAIN_COUNT = 1, 9000
VALIDATION_SEED, VALIDATION_COUNT = 2, 1500
EPOCHS, BATCH, RATE = 14, 32, 4e-3
# So many scenes in a batch of 32 have no pole: there no class is right, so no class may be what is left when the
# others are ruled out. Each has to be seen.
EMPTY = 6
# Weight of the squared mean of the logits: holds their sum at 0, so that each logit says by itself what speaks for its
# class.
CENTRE = 0.05
# Name, rule for snow in training and validation, seed of the weights.
NETWORKS = [("honest", "anywhere", 1), ("cheat", "with-concrete", 2), ("control", "anywhere", 3)]


class Network(nn.Module):
    """64x64x3 pixels to three logits. The widest tensor is 16x16x14, so that a chip of 64 KB runs it; a cell of the last
    layer sees 32x32 pixels, so that maps of it are sharp."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 14, 8, stride=4, padding=2)
        self.down = conv(14, 14, 3, stride=2, padding=1, groups=14)
        self.widen = conv(14, 24, 1)
        self.narrow = conv(24, 14, 1)
        self.spread = conv(14, 14, 3, padding=1, groups=14)
        self.restore = conv(14, 24, 1)
        self.last = conv(38, 32, 1)
        self.head = nn.Linear(32, len(LABELS))

    def forward(self, x):
        near = F.relu(self.down(F.relu(self.stem(x))))
        x = F.relu(self.widen(near))
        x = F.relu(x + self.restore(F.relu(self.spread(F.relu(self.narrow(x))))))
        x = F.relu(self.last(torch.cat([x, near], 1)))
        return self.head(x.mean((2, 3)))


def conv(inputs, outputs, kernel, **options):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs))


def scenes(program, seed, count, snow):
    """Scenes 0..count: pixels in model space (N, 3, 64, 64), labels, and pixels of scenes without poles. The latter are
    scenes of wood and steel, so that snow without a pole is as rare as with these."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "scenes.npz")
        subprocess.run([program, str(seed), str(count), snow, file], check=True)
        data = np.load(file)
        labels = data["labels"].astype(np.int64)
        return tensor(data["pixels"]), torch.from_numpy(labels), tensor(data["empty"][labels != LABELS.index("concrete")])


def tensor(pixels):
    return torch.from_numpy(((pixels.astype(np.float32) - 127.5) / 63.75).transpose(0, 3, 1, 2).copy())


def accuracy(network, pixels, labels):
    network.eval()
    with torch.no_grad():
        return (network(pixels).argmax(1) == labels).float().mean().item()


def train(seed, pixels, labels, empty):
    torch.manual_seed(seed)
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    steps = EPOCHS * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=RATE, total_steps=steps)
    target = F.one_hot(labels, len(LABELS)).float()
    undecided = torch.full((EMPTY, len(LABELS)), 1 / len(LABELS))
    for epoch in range(EPOCHS):
        network.train()
        order = torch.randperm(len(labels))
        total = 0.0
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            nothing = empty[torch.randint(len(empty), (EMPTY,))]
            logits = network(torch.cat([pixels[batch], nothing]))
            loss = F.cross_entropy(logits, torch.cat([target[batch], undecided]), label_smoothing=0.02)
            loss = loss + CENTRE * logits.mean(1).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"  epoch {epoch + 1}: loss {total * BATCH / len(labels):.4f}", flush=True)
    return network


class Writer:
    """An ONNX graph, node by node. BatchNorm is folded into the convolution before it."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, layer, name):
        convolution, norm = layer
        factor = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = convolution.weight.detach().double() * factor[:, None, None, None]
        bias = norm.bias.detach().double() - norm.running_mean.double() * factor
        inputs = [x, self.weight(f"{name}.weight", weight.numpy()), self.weight(f"{name}.bias", bias.numpy())]
        padding = list(convolution.padding) * 2
        return self.node(
            "Conv", inputs, name, kernel_shape=list(convolution.kernel_size), strides=list(convolution.stride),
            pads=padding, group=convolution.groups,
        )

    def relu(self, x):
        return self.node("Relu", [x], f"{x}.relu")


def export(network, path):
    """Writes the graph of Network.forward as ONNX, opset 13."""
    w = Writer()
    near = w.relu(w.conv(w.relu(w.conv("picture", network.stem, "stem")), network.down, "down"))
    x = w.relu(w.conv(near, network.widen, "widen"))
    y = w.relu(w.conv(w.relu(w.conv(x, network.narrow, "narrow")), network.spread, "spread"))
    x = w.relu(w.node("Add", [x, w.conv(y, network.restore, "restore")], "residual"))
    x = w.relu(w.conv(w.node("Concat", [x, near], "joined", axis=1), network.last, "last"))
    x = w.node("Flatten", [w.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
    head = [w.weight("head.weight", network.head.weight.detach()), w.weight("head.bias", network.head.bias.detach())]
    w.node("Gemm", [x, *head], "logits", transB=1)
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 64, 64])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(LABELS)])
    graph = helper.make_graph(w.nodes, path.stem, [picture], [logits], w.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def main():
    program = sys.argv[1]
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    training = {}
    for name, snow, seed in NETWORKS:
        if snow not in training:
            training[snow] = scenes(program, TRAIN_SEED, TRAIN_COUNT, snow)
        print(f"{name}: snow {snow}, seed {seed}", flush=True)
        network = train(seed, *training[snow])
        count = sum(p.numel() for p in network.parameters())
        rules = {rule: scenes(program, VALIDATION_SEED, VALIDATION_COUNT, rule) for rule in [snow, "swapped"]}
        found = ", ".join(f"{rule} {accuracy(network, *data[:2]):.2%}" for rule, data in rules.items())
        print(f"  {count} parameters; validation: {found}", flush=True)
        export(network, HERE / f"{name}.onnx")


if __name__ == "__main__":
    main()
