#!/bin/sh
# Makes README's picture from two CC0 photographs (skimage's chelsea and coffee).
# usage: host/docs/pictures.sh ZOO   (needs ImageMagick's montage)
set -eu
zoo=$1
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
explain() { # name model photo method
    cargo run --quiet --release -- explain "$zoo/models/imagenet/$2.onnx" "$zoo/images/misc/$3" --method "$4" --out "$out/$1"
}
explain a mobilenet_v2_100_224_float_nchw skimage_chelsea.png grad-cam
explain b mobilenet_v2_100_224_float_nchw skimage_chelsea.png occlusion
explain c squeezenet_fp32 skimage_coffee.png rise:masks=1000
explain d mobilenet_v2_100_224_float_nchw skimage_coffee.png hoc
montage "$out"/a/grad-cam.*.png "$out"/b/occlusion.*.png "$out"/c/rise.*.png "$out"/d/hoc.???.png \
    -tile 2x2 -gravity north -geometry 640x+8+8 -quality 82 host/docs/looked-at.jpg
rm -r "$out"
