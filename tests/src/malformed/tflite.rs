//! TFLite files made wrong: structure, tensors, scales, operators.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use tract_tflite::tflite::{
    ActivationFunctionType, AddOptions, AddOptionsArgs, BuiltinOperator, BuiltinOptions,
    ConcatenationOptions, ConcatenationOptionsArgs, Conv2DOptions, Conv2DOptionsArgs,
    DepthwiseConv2DOptions, DepthwiseConv2DOptionsArgs, FullyConnectedOptions,
    FullyConnectedOptionsArgs, Padding, Pool2DOptions, Pool2DOptionsArgs, ReducerOptions,
    ReducerOptionsArgs, SoftmaxOptions, SoftmaxOptionsArgs, StridedSliceOptions,
    StridedSliceOptionsArgs, TensorType,
};

use super::Case;
use crate::tflite::{Options, Piece, Tflite};

/// A file and the words that its message must hold.
type Wrong = (Tflite, &'static [&'static str]);

type Builder = FlatBufferBuilder<'static>;
type Written = (BuiltinOptions, WIPOffset<UnionWIPOffset>);

fn conv_with(b: &mut Builder, args: &Conv2DOptionsArgs) -> Written {
    let options = Conv2DOptions::create(b, args);
    (BuiltinOptions::Conv2DOptions, options.as_union_value())
}

fn strides(stride: i32) -> Conv2DOptionsArgs {
    Conv2DOptionsArgs {
        stride_h: stride,
        stride_w: 1,
        ..Conv2DOptionsArgs::default()
    }
}

fn conv(b: &mut Builder) -> Written {
    conv_with(b, &strides(1))
}

fn depthwise(b: &mut Builder) -> Written {
    let args = DepthwiseConv2DOptionsArgs {
        stride_h: 1,
        stride_w: 1,
        ..DepthwiseConv2DOptionsArgs::default()
    };
    let options = DepthwiseConv2DOptions::create(b, &args);
    (
        BuiltinOptions::DepthwiseConv2DOptions,
        options.as_union_value(),
    )
}

fn pool_of(b: &mut Builder, side: i32) -> Written {
    let args = Pool2DOptionsArgs {
        stride_h: 1,
        stride_w: 1,
        filter_height: side,
        filter_width: 2,
        padding: Padding::VALID,
        ..Pool2DOptionsArgs::default()
    };
    let options = Pool2DOptions::create(b, &args);
    (BuiltinOptions::Pool2DOptions, options.as_union_value())
}

fn dense(b: &mut Builder) -> Written {
    let options = FullyConnectedOptions::create(b, &FullyConnectedOptionsArgs::default());
    (
        BuiltinOptions::FullyConnectedOptions,
        options.as_union_value(),
    )
}

/// Options of an `ADD`.
pub fn add(b: &mut Builder) -> Written {
    let options = AddOptions::create(b, &AddOptionsArgs::default());
    (BuiltinOptions::AddOptions, options.as_union_value())
}

fn softmax_of(b: &mut Builder, beta: f32) -> Written {
    let options = SoftmaxOptions::create(b, &SoftmaxOptionsArgs { beta });
    (BuiltinOptions::SoftmaxOptions, options.as_union_value())
}

fn joined_along(b: &mut Builder, axis: i32) -> Written {
    let args = ConcatenationOptionsArgs {
        axis,
        ..ConcatenationOptionsArgs::default()
    };
    let options = ConcatenationOptions::create(b, &args);
    (
        BuiltinOptions::ConcatenationOptions,
        options.as_union_value(),
    )
}

fn reducer(b: &mut Builder) -> Written {
    let options = ReducerOptions::create(b, &ReducerOptionsArgs { keep_dims: false });
    (BuiltinOptions::ReducerOptions, options.as_union_value())
}

fn strided(b: &mut Builder) -> Written {
    let options = StridedSliceOptions::create(b, &StridedSliceOptionsArgs::default());
    (
        BuiltinOptions::StridedSliceOptions,
        options.as_union_value(),
    )
}

const PICTURE: [i32; 4] = [1, 4, 4, 2];

/// Floats of 0.5.
pub fn weights(shape: &[i32]) -> Piece {
    let count = shape.iter().product::<i32>().max(0) as usize;
    Piece::floats(shape, &vec![0.5; count])
}

/// A sound convolution of a picture.
pub fn convolution() -> Tflite {
    Tflite::one(
        BuiltinOperator::CONV_2D,
        Some(conv),
        vec![
            Piece::float(&PICTURE),
            Piece::float(&[1, 4, 4, 3]),
            weights(&[3, 3, 3, 2]),
            weights(&[3]),
        ],
    )
}

/// The same in int8.
pub fn int8() -> Tflite {
    let mut file = convolution();
    let stored = |shape: &[i32], scale| Piece::stored(shape, TensorType::INT8, scale, 3);
    file.tensors[0] = stored(&PICTURE, 0.5);
    file.tensors[1] = stored(&[1, 4, 4, 3], 0.25);
    file.tensors[2] = Piece {
        data: vec![7; 54],
        ..Piece::stored(&[3, 3, 3, 2], TensorType::INT8, 0.1, 0)
    };
    file.tensors[3] = Piece {
        scales: vec![0.05],
        zero_points: vec![0],
        ..Piece::ints(&[3], &[1, 2, 3])
    };
    file
}

/// A file with a change.
pub fn with(mut file: Tflite, change: impl FnOnce(&mut Tflite)) -> Tflite {
    change(&mut file);
    file
}

/// A network of one operator over the picture that makes `made` and reads `others`.
fn one(
    code: BuiltinOperator,
    options: Option<Options>,
    made: &[i32],
    others: Vec<Piece>,
) -> Tflite {
    let mut tensors = vec![Piece::float(&PICTURE), Piece::float(made)];
    tensors.extend(others);
    Tflite::one(code, options, tensors)
}

fn structural() -> Vec<Wrong> {
    let c = convolution;
    let loop_through = |f: &mut Tflite| f.operators[0].inputs[0] = 1;
    vec![
        (with(c(), |f| f.version = 4), &["version 4"]),
        (with(c(), |f| f.operators.clear()), &["input"]),
        (with(c(), |f| f.tensors.clear()), &["lists a tensor 0"]),
        (with(c(), |f| f.inputs = vec![9]), &["lists a tensor 9"]),
        (with(c(), |f| f.inputs = vec![-1]), &["lists a tensor -1"]),
        (
            with(c(), |f| f.inputs = vec![]),
            &["no output depends on an input"],
        ),
        (with(c(), |f| f.outputs = vec![77]), &["lists a tensor 77"]),
        (
            with(c(), |f| f.outputs = vec![]),
            &["no output depends on an input"],
        ),
        (
            with(c(), |f| f.outputs = vec![2]),
            &["no output depends on an input"],
        ),
        (with(c(), loop_through), &["no output depends on an input"]),
        (
            with(c(), |f| f.operators[0].inputs = vec![0, 2, 1]),
            &["circle"],
        ),
        (
            with(c(), |f| f.operators[0].inputs = vec![0, 50]),
            &["operator 0", "reads tensor 50"],
        ),
        (
            with(c(), |f| f.operators[0].inputs = vec![0, -7]),
            &["reads tensor -7"],
        ),
        (
            with(c(), |f| f.operators[0].inputs = vec![0]),
            &["CONV_2D", "input 1 is missing"],
        ),
        (
            with(c(), |f| f.operators[0].inputs = vec![0, -1]),
            &["input 1 is missing"],
        ),
        (
            with(c(), |f| f.operators[0].outputs = vec![1, 99]),
            &["makes tensor 99"],
        ),
        (
            with(c(), |f| f.operators[0].outputs = vec![1, 1]),
            &["made twice"],
        ),
        (
            with(c(), |f| f.operators[0].outputs = vec![]),
            &["no output depends on an input"],
        ),
        (
            with(c(), |f| f.operators[0].options = None),
            &["options are missing"],
        ),
        (
            with(c(), |f| f.operators[0].options = Some(add)),
            &["options are missing"],
        ),
        (
            with(c(), |f| f.operators[0].code = BuiltinOperator(158)),
            &["tensor1"],
        ),
        (
            with(c(), |f| f.operators[0].code = BuiltinOperator(100_000)),
            &["builtin operator 100000"],
        ),
        (
            with(c(), |f| f.operators[0].code = BuiltinOperator(-5)),
            &["not supported"],
        ),
        (
            with(c(), |f| f.operators[0].code = BuiltinOperator::CUSTOM),
            &["operator 0 CUSTOM", "tensor1"],
        ),
        (
            with(c(), |f| f.operators.push(f.operators[0].clone())),
            &["made twice"],
        ),
    ]
}

fn tensors() -> Vec<Wrong> {
    let c = convolution;
    let shape =
        |i: usize, shape: &[i32]| with(convolution(), |f| f.tensors[i].shape = shape.to_vec());
    vec![
        (shape(0, &[1, 4, 4, -2]), &["tensor 0", "[1, 4, 4, -2]"]),
        (shape(0, &[1, i32::MAX, i32::MAX, i32::MAX]), &["too large"]),
        (shape(0, &[1, 70_000, 1, 2]), &["too large"]),
        (shape(0, &[1, 0, 4, 2]), &["too large"]),
        (shape(0, &[2, 4, 4, 2]), &["batches of 2"]),
        (shape(0, &[1, 4, 4, 2, 1]), &["5 dimensions"]),
        (shape(0, &[1; 9]), &["9 dimensions"]),
        (shape(0, &[]), &["0 dimensions"]),
        (shape(0, &[1, 32]), &["height, width, channels"]),
        (
            shape(1, &[1, 4, 4, 4]),
            &["[1, 4, 4, 4] in the file", "[1, 4, 4, 3]"],
        ),
        (shape(2, &[3, 3, 3, 3]), &["needs 324 bytes", "216"]),
        (shape(2, &[54]), &["its weights are [54]"]),
        (shape(2, &[6, 3, 3, 1]), &["6 outputs"]),
        (shape(3, &[2]), &["needs 8 bytes"]),
        (
            with(c(), |f| f.tensors[2] = weights(&[3, 3, 3, 5])),
            &["do not fit 2 channels"],
        ),
        (
            with(c(), |f| f.tensors[2] = weights(&[3, 3, 3, 0])),
            &["nothing makes"],
        ),
        (
            with(c(), |f| f.tensors[3] = weights(&[4])),
            &["4 biases for 3 outputs"],
        ),
        (
            with(c(), |f| f.tensors[2].buffer = Some(999)),
            &["buffer 999"],
        ),
        (
            with(c(), |f| f.tensors[0].data = vec![0; 128]),
            &["it is a constant"],
        ),
        (with(c(), |f| f.tensors[2].data.truncate(17)), &["holds 17"]),
        (
            with(c(), |f| f.tensors[2].kind = TensorType(77)),
            &["of an unknown type"],
        ),
        (
            with(c(), |f| f.tensors[2].kind = TensorType::STRING),
            &["STRING"],
        ),
        (
            with(c(), |f| f.tensors[0].kind = TensorType::INT32),
            &["takes INT32"],
        ),
        (
            with(c(), |f| f.tensors[1].kind = TensorType::INT16),
            &["is INT16"],
        ),
        (
            with(c(), |f| f.tensors[2].data[2..4].fill(0xff)),
            &["weights is"],
        ),
        (
            with(c(), |f| f.tensors[0].signature = vec![1, -1, -1, 2]),
            &["--input-size"],
        ),
        (
            with(c(), |f| {
                f.operators[0].options = Some(|b| conv_with(b, &strides(0)))
            }),
            &["stride"],
        ),
        (
            with(c(), |f| {
                f.operators[0].options = Some(|b| conv_with(b, &strides(-4)))
            }),
            &["stride"],
        ),
        (
            with(c(), |f| {
                f.operators[0].options = Some(|b| conv_with(b, &strides(i32::MAX)))
            }),
            &["stride"],
        ),
        (
            with(c(), |f| f.operators[0].options = Some(odd_padding)),
            &["padding 9"],
        ),
        (
            with(c(), |f| f.operators[0].options = Some(odd_function)),
            &["fused activation 55"],
        ),
    ]
}

fn odd_padding(b: &mut Builder) -> Written {
    let args = Conv2DOptionsArgs {
        padding: Padding(9),
        ..strides(1)
    };
    conv_with(b, &args)
}

fn odd_function(b: &mut Builder) -> Written {
    let args = Conv2DOptionsArgs {
        fused_activation_function: ActivationFunctionType(55),
        ..strides(1)
    };
    conv_with(b, &args)
}

fn scales() -> Vec<Wrong> {
    let q = int8;
    let scale = |i: usize, scales: &[f32]| {
        with(int8(), |f| {
            f.tensors[i].scales = scales.to_vec();
            f.tensors[i].zero_points = vec![0; scales.len()];
        })
    };
    vec![
        (scale(1, &[0.0]), &["one of its scales is 0"]),
        (scale(1, &[f32::NAN]), &["one of its scales is NaN"]),
        (scale(1, &[f32::INFINITY]), &["one of its scales is inf"]),
        (scale(1, &[-0.5]), &["one of its scales is -0.5"]),
        (scale(1, &[]), &["INT8 without a scale"]),
        (scale(1, &[0.1; 3]), &["3 scales along dimension 0"]),
        (scale(2, &[0.1; 2]), &["2 scales along dimension 0"]),
        (scale(2, &[]), &["weights have no scale"]),
        (scale(3, &[0.5]), &["bias has scale 0.5"]),
        (
            with(q(), |f| f.tensors[1].zero_points = vec![300]),
            &["zero point 300"],
        ),
        (
            with(q(), |f| f.tensors[1].zero_points = vec![i64::MIN]),
            &["zero point"],
        ),
        (
            with(q(), |f| f.tensors[1].zero_points = vec![1, 2]),
            &["1 scales and 2 zero points"],
        ),
        (
            with(q(), |f| f.tensors[2].zero_points = vec![5]),
            &["zero point other than 0"],
        ),
        (
            with(q(), |f| f.tensors[2].kind = TensorType::UINT8),
            &["its weights are UINT8"],
        ),
        (
            with(q(), |f| f.tensors[1].kind = TensorType::UINT8),
            &["is int8", "is uint8"],
        ),
        (
            with(q(), |f| f.tensors[1] = Piece::float(&[1, 4, 4, 3])),
            &["is int8", "is float"],
        ),
        (
            with(q(), |f| f.tensors[3] = weights(&[3])),
            &["bias is FLOAT32"],
        ),
        (along_third(), &["3 scales along dimension 3"]),
    ]
}

/// Weights with a scale for each index of a dimension that a convolution has none for.
fn along_third() -> Tflite {
    with(int8(), |f| {
        f.tensors[2] = Piece {
            data: vec![7; 81],
            scales: vec![0.1; 3],
            zero_points: vec![0; 3],
            dimension: 3,
            ..Piece::stored(&[3, 3, 3, 3], TensorType::INT8, 0.1, 0)
        };
        f.tensors[0].shape = vec![1, 4, 4, 3];
    })
}

fn operators() -> Vec<Wrong> {
    use BuiltinOperator as O;
    let ints = |shape: &[i32], values: &[i32]| vec![Piece::ints(shape, values)];
    let pads = |values: [i32; 8]| one(O::PAD, None, &[1, 4, 4, 2], ints(&[4, 2], &values));
    let slice = |begin: &[i32], size: &[i32]| {
        let n = begin.len() as i32;
        let others = vec![Piece::ints(&[n], begin), Piece::ints(&[n], size)];
        one(O::SLICE, None, &PICTURE, others)
    };
    vec![
        (pads([0, 0, -1, 0, 0, 0, 0, 0]), &["pads are -1 and 0"]),
        (pads([0, 0, i32::MAX, 0, 0, 0, 0, 0]), &["pad"]),
        (
            one(O::PAD, None, &PICTURE, ints(&[2, 2], &[0; 4])),
            &["4 pads for 4 dimensions"],
        ),
        (
            one(O::PAD, None, &PICTURE, vec![weights(&[4, 2])]),
            &["FLOAT32 where integers belong"],
        ),
        (
            slice(&[0; 4], &[1, 9, 4, 2]),
            &["it takes 9 elements from 0 on, of 4"],
        ),
        (slice(&[0, -3, 0, 0], &[-1; 4]), &["from -3 on"]),
        (slice(&[0; 3], &[1; 3]), &["do not fit 4 dimensions"]),
        (slice(&[0, 4, 0, 0], &[-1; 4]), &["nothing is left"]),
        (
            one(O::TRANSPOSE, None, &PICTURE, ints(&[4], &[0, 1, 1, 2])),
            &["no order of 4"],
        ),
        (
            one(O::TRANSPOSE, None, &PICTURE, ints(&[4], &[0, 1, 2, 8])),
            &["axis 8 does not exist"],
        ),
        (
            one(O::RESHAPE, None, &[1, 33], vec![]),
            &["cannot become [1, 33]"],
        ),
        (
            one(O::MEAN, Some(reducer), &[1, 2], ints(&[2], &[1, 9])),
            &["axis 9 does not exist"],
        ),
        (
            one(O::MAX_POOL_2D, Some(|b| pool_of(b, 9)), &PICTURE, vec![]),
            &["reaches over 9"],
        ),
        (
            one(O::MAX_POOL_2D, Some(|b| pool_of(b, 0)), &PICTURE, vec![]),
            &["window is [0, 2]"],
        ),
        (
            one(
                O::MAX_POOL_2D,
                Some(|b| pool_of(b, i32::MIN)),
                &PICTURE,
                vec![],
            ),
            &["its window is"],
        ),
        (
            one(O::ADD, Some(add), &PICTURE, vec![weights(&[7])]),
            &["does not fit"],
        ),
        (one(O::ADD, Some(add), &PICTURE, vec![]), &["1 inputs"]),
        (
            one(
                O::FULLY_CONNECTED,
                Some(dense),
                &[1, 3],
                vec![weights(&[3, 5])],
            ),
            &["rows of 5"],
        ),
        (
            one(
                O::FULLY_CONNECTED,
                Some(dense),
                &[1, 3],
                vec![weights(&[3, 0])],
            ),
            &["nothing makes"],
        ),
        (
            one(
                O::FULLY_CONNECTED,
                Some(dense),
                &[1, 3],
                vec![weights(&[15])],
            ),
            &["weights are [15]"],
        ),
        (
            one(
                O::SOFTMAX,
                Some(|b| softmax_of(b, f32::NAN)),
                &PICTURE,
                vec![],
            ),
            &["beta is NaN"],
        ),
        (
            one(
                O::CONCATENATION,
                Some(|b| joined_along(b, 7)),
                &PICTURE,
                vec![],
            ),
            &["axis 7"],
        ),
        (
            one(
                O::CONCATENATION,
                Some(|b| joined_along(b, i32::MIN)),
                &PICTURE,
                vec![],
            ),
            &["axis -2147483648"],
        ),
        (
            one(
                O::DEPTHWISE_CONV_2D,
                Some(depthwise),
                &PICTURE,
                vec![weights(&[1, 3, 3, 3])],
            ),
            &["do not fit 2 channels"],
        ),
        (
            one(
                O::DEPTHWISE_CONV_2D,
                Some(depthwise),
                &PICTURE,
                vec![weights(&[2, 3, 3, 2])],
            ),
            &["weights are"],
        ),
        (
            one(O::DEQUANTIZE, None, &PICTURE, vec![]),
            &["float already"],
        ),
        (
            one(O::QUANTIZE, None, &PICTURE, vec![]),
            &["output is FLOAT32"],
        ),
        (
            one(O::STRIDED_SLICE, Some(strided), &PICTURE, vec![]),
            &["input 1 is missing"],
        ),
        (backwards(), &["step is -1"]),
    ]
}

fn backwards() -> Tflite {
    let bounds = |v: &[i32]| Piece::ints(&[4], v);
    let others = vec![bounds(&[0; 4]), bounds(&PICTURE), bounds(&[1, -1, 1, 1])];
    one(
        BuiltinOperator::STRIDED_SLICE,
        Some(strided),
        &PICTURE,
        others,
    )
}

/// The bytes of a sound network: a convolution and a mean.
pub fn sound() -> Vec<u8> {
    let path = crate::tflite::folder().join("conv_int8.tflite");
    std::fs::read(path).expect("the golden files are there")
}

/// Every file, its kind, and the words that its message must hold.
pub fn wrong() -> Vec<(&'static str, Wrong)> {
    let kinds: [(&str, Vec<Wrong>); 4] = [
        ("TFLite structure", structural()),
        ("TFLite tensors", tensors()),
        ("TFLite scales", scales()),
        ("TFLite operators", operators()),
    ];
    let of = |(kind, files): (&'static str, Vec<Wrong>)| files.into_iter().map(move |f| (kind, f));
    kinds.into_iter().flat_map(of).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(i, (kind, (file, words))): (usize, (&'static str, Wrong))| {
        Case::tflite(
            kind,
            format!("number {i}: {}", words.join(", ")),
            file.bytes(),
            words,
        )
    };
    wrong().into_iter().enumerate().map(case).collect()
}
