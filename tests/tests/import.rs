//! Import of ONNX and simplification of the graph, held to stored references
//! and to tract.

mod import {
    mod files;
    mod folding;
    mod malformed;
    mod operators;
    mod quantised;
    mod quantised_operators;
    mod tflite;
    mod tflite_malformed;
    mod zoo;
}
