"""PyTorch and Captum as peers: the same questions on the same card.

peer.py SIDE MASKS SECONDS NETWORK..: prints a CSV line a figure: network, what,
arithmetic, pictures a second. Weights are random. What is not installed is
said in one line and nothing else is printed.
"""

import sys
import time

try:
    import captum
    import torch
    import torchvision
    from captum.attr import GuidedBackprop, Occlusion
except ImportError as missing:
    print(f"# not installed: {missing.name}", flush=True)
    sys.exit(0)

SIDE, MASKS, SECONDS = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
if not torch.cuda.is_available():
    print("# not installed: a PyTorch that sees a CUDA card", flush=True)
    sys.exit(0)

MODES = {
    "f32": (torch.float32, False),
    "tf32": (torch.float32, True),
    "fp16": (torch.float16, True),
}


def rate(work, pictures):
    work()
    torch.cuda.synchronize()
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        work()
        torch.cuda.synchronize()
        done += pictures
    return done / (time.perf_counter() - begin)


def best(work):
    """Pictures a second at the best batch."""
    found = 0.0
    for batch in (32, 64, 128, 256, 512, 1024):
        try:
            found = max(found, work(batch))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
    return found


def rise(model, picture, batch, dtype):
    """RISE with masks made on the card, as fast as plain PyTorch says it."""
    cells = SIDE // 7 + 1
    saliency = torch.zeros(SIDE, SIDE, device="cuda", dtype=torch.float32)
    for _ in range(0, MASKS, batch):
        grid = (torch.rand(batch, 1, 7, 7, device="cuda") < 0.5).to(dtype)
        size = (8 * cells, 8 * cells)
        large = torch.nn.functional.interpolate(grid, size=size, mode="bilinear")
        y, x = torch.randint(0, cells, (2,)).tolist()
        masks = large[:, :, y : y + SIDE, x : x + SIDE]
        scores = model(picture * masks).softmax(1)[:, 0].float()
        saliency += (scores[:, None, None] * masks[:, 0].float()).sum(0)
    return saliency


def figures(name, mode):
    dtype, fast = MODES[mode]
    torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
    model = torchvision.models.get_model(name, weights=None).eval().cuda().to(dtype)
    model = model.to(memory_format=torch.channels_last)
    picture = torch.rand(1, 3, SIDE, SIDE, device="cuda", dtype=dtype)

    def forward(batch):
        x = picture.repeat(batch, 1, 1, 1).to(memory_format=torch.channels_last)
        return rate(lambda: model(x), batch)

    with torch.inference_mode():
        yield "forward", best(forward)
        yield f"RISE {MASKS}", best(lambda b: rate(lambda: rise(model, picture, b, dtype), MASKS))
    with torch.no_grad():
        windows = (-(-(SIDE - 32) // 16) + 1) ** 2
        occlusion = Occlusion(model)
        ask = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 16, 16), "target": 0}
        once = lambda b: rate(lambda: occlusion.attribute(picture, perturbations_per_eval=b, **ask), windows)
        yield "occlusion 32/16", best(once)
    guided = GuidedBackprop(model)
    x = picture.clone().requires_grad_()
    yield "guided backprop", rate(lambda: guided.attribute(x, target=0), 1)


print(f"# torch {torch.__version__}, captum {captum.__version__}, {torch.cuda.get_device_name()}")
for network in sys.argv[4:]:
    for mode in MODES:
        for what, value in figures(network, mode):
            print(f"{network},{what},{mode},{value:.2f}", flush=True)
