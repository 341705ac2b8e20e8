//! How many inputs ONNX operators take at most: of the schemas of opset 7 to
//! 21 the largest, and of onnxruntime's operators. Fewer than the least are
//! noticed where the missing one is read.

/// Most inputs of an operator; `None` if it takes any number or is not known.
pub(super) fn most(op: &str) -> Option<usize> {
    Some(match op {
        "Constant" => 0,
        "Relu" | "LeakyRelu" | "HardSigmoid" | "HardSwish" | "Sigmoid" | "Swish" | "Tanh"
        | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "Softmax" | "LRN"
        | "ImageScaler" | "Flatten" | "Transpose" | "Identity" | "Cast" | "ArgMax"
        | "LogSoftmax" | "Shape" | "Size" | "ConstantOfShape" | "Neg" | "Sqrt" | "Floor"
        | "Ceil" | "Reciprocal" | "Abs" => 1,
        "MatMul" | "PRelu" | "Add" | "Sub" | "Mul" | "Div" | "Split" | "Gather" | "ReduceMean"
        | "ReduceMax" | "Reshape" | "Squeeze" | "Unsqueeze" | "Expand" => 2,
        "Conv" | "Gemm" | "Clip" | "Dropout" | "QuantizeLinear" | "DequantizeLinear" => 3,
        "Pad" => 4,
        "Slice"
        | "BatchNormalization"
        | "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
        | "QLinearReduceMean"
        | "QLinearSoftmax"
        | "QLinearSigmoid"
        | "QLinearLeakyRelu" => 5,
        "QLinearMatMul" | "QLinearAdd" | "QLinearMul" => 8,
        "QLinearConv" | "QGemm" => 9,
        _ => return None,
    })
}
