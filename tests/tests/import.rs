//! Import of ONNX and simplification of the graph, held to stored references
//! and to tract.

mod import {
    mod folding;
    mod operators;
    mod zoo;
}
