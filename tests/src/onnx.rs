//! Small ONNX models, written by hand as protobufs, and tract to judge them.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::*;

/// An attribute's value.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// A number.
    Int(i64),
    /// A number.
    Float(f32),
    /// A text.
    Text(&'static str),
    /// Numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Texts.
    Texts(Vec<&'static str>),
    /// A tensor.
    Tensor(Box<TensorProto>),
}

/// Attributes of a node by name.
pub type Attributes<'a> = &'a [(&'a str, Attribute)];

/// A model under construction. Its input is `x`.
#[derive(Clone, Debug)]
pub struct Onnx {
    /// The protobuf.
    pub proto: ModelProto,
    /// Dimensions of `x`.
    pub dims: Vec<usize>,
}

/// A tensor of floats.
pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A vector of 64-bit integers.
pub fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A tensor of 8-bit or 32-bit integers; no dimensions for a single one.
pub fn integers(name: &str, kind: DataType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        int32_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Numbers between -1 and 1 that repeat only after a long while.
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Declares a float tensor; -1 leaves a dimension open.
pub fn declared(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dimension = |&d: &i64| Dimension {
        value: Some(match d {
            -1 => dimension::Value::DimParam("n".into()),
            d => dimension::Value::DimValue(d),
        }),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dimension).collect(),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: kind as i32,
                shape: Some(shape),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut a = AttributeProto {
        name: name.into(),
        ..AttributeProto::default()
    };
    let kind = match value.clone() {
        Attribute::Int(v) => (a.i = v, AttributeType::Int).1,
        Attribute::Float(v) => (a.f = v, AttributeType::Float).1,
        Attribute::Text(v) => (a.s = v.into(), AttributeType::String).1,
        Attribute::Ints(v) => (a.ints = v, AttributeType::Ints).1,
        Attribute::Floats(v) => (a.floats = v, AttributeType::Floats).1,
        Attribute::Texts(v) => {
            a.strings = v.into_iter().map(|s| s.as_bytes().to_vec()).collect();
            AttributeType::Strings
        }
        Attribute::Tensor(v) => (a.t = Some(*v), AttributeType::Tensor).1,
    };
    a.r#type = kind as i32;
    a
}

impl Onnx {
    /// A model without nodes that takes floats of these dimensions.
    pub fn new(opset: i64, dims: &[usize]) -> Self {
        let signed: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let graph = GraphProto {
            name: "test".into(),
            input: vec![declared("x", DataType::Float, &signed)],
            ..GraphProto::default()
        };
        let proto = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: opset,
            }],
            graph: Some(graph),
            ..ModelProto::default()
        };
        Self {
            proto,
            dims: dims.to_vec(),
        }
    }

    /// The graph.
    pub fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.as_mut().expect("the model has a graph")
    }

    /// Adds an initialiser.
    pub fn tensor(&mut self, tensor: TensorProto) -> &mut Self {
        self.graph().initializer.push(tensor);
        self
    }

    /// Adds an initialiser of made-up numbers.
    pub fn weights(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let seed = name.bytes().map(u32::from).sum();
        let values = numbers(dims.iter().product(), seed);
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        self.tensor(floats(name, &dims, &values))
    }

    /// Adds an initialiser of integers.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> &mut Self {
        self.tensor(ints(name, values))
    }

    /// Adds a node; inputs and outputs are separated by blanks, `_` is an omitted one.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &str,
        outputs: &str,
        with: Attributes<'_>,
    ) -> &mut Self {
        let names = |list: &str| {
            list.split_whitespace()
                .map(|n| {
                    if n == "_" {
                        String::new()
                    } else {
                        n.to_owned()
                    }
                })
                .collect()
        };
        let node = NodeProto {
            op_type: op.into(),
            name: format!("{op} of {outputs}"),
            input: names(inputs),
            output: names(outputs),
            attribute: with.iter().map(|(k, v)| attribute(k, v)).collect(),
            ..NodeProto::default()
        };
        self.graph().node.push(node);
        self
    }

    /// Declares an output.
    pub fn output(&mut self, name: &str) -> &mut Self {
        self.graph().output.push(ValueInfoProto {
            name: name.into(),
            ..declared(name, DataType::Float, &[])
        });
        // No shape is stated: each reader works it out.
        if let Some(type_proto::Value::TensorType(t)) = self
            .graph()
            .output
            .last_mut()
            .and_then(|o| o.r#type.as_mut())
            .and_then(|t| t.value.as_mut())
        {
            t.shape = None;
        }
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// What tract computes, in ONNX order.
    pub fn tract(&self, input: &[f32]) -> TractResult<Vec<f32>> {
        let input = Tensor::from_shape(&self.dims, input)?;
        let model = onnx()
            .model_for_read(&mut &self.bytes()[..])?
            .with_input_fact(0, f32::fact(&self.dims).into())?
            .into_optimized()?
            .into_runnable()?;
        let output = model.run(tvec!(input.into()))?;
        let array = output[0].to_plain_array_view::<f32>()?;
        Ok(array.iter().copied().collect())
    }
}
