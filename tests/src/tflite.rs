//! Small TFLite networks of every operator with every tensor by TFLite's
//! reference kernels (`tests/golden/make_tflite.py`), and TFLite files made
//! by hand.

use std::fs::File;
use std::path::PathBuf;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use tract_tflite::tflite::{
    Buffer, BufferArgs, BuiltinOperator, BuiltinOptions, Model, ModelArgs, Operator, OperatorArgs,
    OperatorCode, OperatorCodeArgs, QuantizationParameters, QuantizationParametersArgs, SubGraph,
    SubGraphArgs, Tensor, TensorArgs, TensorType, finish_model_buffer,
};

/// The folder of the small networks.
pub fn folder() -> PathBuf {
    crate::root().join("tests/golden/tflite")
}

/// Names of the small networks whose numbers are `float`, `int8` or `uint8`.
pub fn names(kind: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the golden files are there");
    let ending = format!("_{kind}.tflite");
    let mut names: Vec<String> = files
        .filter_map(|f| f.ok()?.file_name().into_string().ok())
        .filter_map(|f| Some(format!("{}_{kind}", f.strip_suffix(&ending)?)))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "golden {kind} networks");
    names
}

/// Stored values of TFLite networks.
pub struct Reference(NpzReader<File>);

impl Reference {
    /// Those of the small networks.
    pub fn small() -> Self {
        Self::open(&folder().join("golden.npz"))
    }

    /// An npz file.
    pub fn open(path: &std::path::Path) -> Self {
        let file = File::open(path).expect("the references are there");
        Self(NpzReader::new(file).expect("an npz file"))
    }

    /// Keys that start with `prefix`, and what follows it.
    pub fn keys(&mut self, prefix: &str) -> Vec<String> {
        let names = self.0.names().expect("names");
        let keys = names
            .iter()
            .map(|n| n.trim_end_matches(".npy"))
            .filter_map(|n| n.strip_prefix(prefix));
        keys.map(String::from).collect()
    }

    /// An array.
    pub fn get<T: ReadableElement>(&mut self, key: &str) -> ArrayD<T> {
        let read = self.0.by_name::<OwnedRepr<T>, IxDyn>(&format!("{key}.npy"));
        read.unwrap_or_else(|e| panic!("{key}: {e}"))
    }

    /// An array in reading order.
    pub fn flat<T: ReadableElement + Copy>(&mut self, key: &str) -> Vec<T> {
        self.get::<T>(key).iter().copied().collect()
    }
}

/// A tensor of a file made by hand.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<i32>,
    /// Number type.
    pub kind: TensorType,
    /// Index of its buffer; `None` makes one of `data`.
    pub buffer: Option<u32>,
    /// Bytes of a constant, or empty.
    pub data: Vec<u8>,
    /// Scales.
    pub scales: Vec<f32>,
    /// Zero points.
    pub zero_points: Vec<i64>,
    /// Quantised dimension.
    pub dimension: i32,
    /// Shape with -1 for what is open.
    pub signature: Vec<i32>,
}

impl Piece {
    /// A float tensor that some operator makes.
    pub fn float(shape: &[i32]) -> Self {
        Self {
            name: String::new(),
            shape: shape.to_vec(),
            kind: TensorType::FLOAT32,
            buffer: None,
            data: vec![],
            scales: vec![],
            zero_points: vec![],
            dimension: 0,
            signature: vec![],
        }
    }

    /// A tensor of `kind` with a scale and zero point.
    pub fn stored(shape: &[i32], kind: TensorType, scale: f32, zero_point: i64) -> Self {
        Self {
            kind,
            scales: vec![scale],
            zero_points: vec![zero_point],
            ..Self::float(shape)
        }
    }

    /// Constant floats.
    pub fn floats(shape: &[i32], values: &[f32]) -> Self {
        Self {
            data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..Self::float(shape)
        }
    }

    /// Constant 32-bit integers.
    pub fn ints(shape: &[i32], values: &[i32]) -> Self {
        Self {
            kind: TensorType::INT32,
            data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..Self::float(shape)
        }
    }
}

/// Writes an operator's options.
pub type Options =
    fn(&mut FlatBufferBuilder<'static>) -> (BuiltinOptions, WIPOffset<UnionWIPOffset>);

/// An operator of a file made by hand.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which.
    pub code: BuiltinOperator,
    /// Tensors that it reads; -1 for none.
    pub inputs: Vec<i32>,
    /// Tensors that it makes.
    pub outputs: Vec<i32>,
    /// Its options.
    pub options: Option<Options>,
}

/// A file made by hand; nothing is checked.
#[derive(Clone, Debug)]
pub struct Tflite {
    /// Version of the schema.
    pub version: u32,
    /// Tensors.
    pub tensors: Vec<Piece>,
    /// Operators.
    pub operators: Vec<Step>,
    /// Input tensors.
    pub inputs: Vec<i32>,
    /// Output tensors.
    pub outputs: Vec<i32>,
}

impl Tflite {
    /// A network from tensor 0 to tensor 1 by one operator that also reads
    /// the tensors after them.
    pub fn one(code: BuiltinOperator, options: Option<Options>, tensors: Vec<Piece>) -> Self {
        let others = 2..tensors.len() as i32;
        Self {
            version: 3,
            operators: vec![Step {
                code,
                inputs: [0].into_iter().chain(others).collect(),
                outputs: vec![1],
                options,
            }],
            tensors,
            inputs: vec![0],
            outputs: vec![1],
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut b = FlatBufferBuilder::new();
        let mut buffers = vec![Buffer::create(&mut b, &BufferArgs::default())];
        let mut tensors = vec![];
        for (i, piece) in self.tensors.iter().enumerate() {
            tensors.push(tensor(&mut b, i, piece, &mut buffers));
        }
        let operators: Vec<_> = (0..self.operators.len())
            .map(|i| operator(&mut b, i, &self.operators[i]))
            .collect();
        let codes: Vec<_> = self
            .operators
            .iter()
            .map(|o| code(&mut b, o.code))
            .collect();
        let args = SubGraphArgs {
            tensors: Some(b.create_vector(&tensors)),
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&self.outputs)),
            operators: Some(b.create_vector(&operators)),
            ..SubGraphArgs::default()
        };
        let graph = SubGraph::create(&mut b, &args);
        let args = ModelArgs {
            version: self.version,
            operator_codes: Some(b.create_vector(&codes)),
            subgraphs: Some(b.create_vector(&[graph])),
            buffers: Some(b.create_vector(&buffers)),
            ..ModelArgs::default()
        };
        let model = Model::create(&mut b, &args);
        finish_model_buffer(&mut b, model);
        b.finished_data().to_vec()
    }
}

type Builder = FlatBufferBuilder<'static>;

fn tensor(
    b: &mut Builder,
    index: usize,
    piece: &Piece,
    buffers: &mut Vec<WIPOffset<Buffer<'static>>>,
) -> WIPOffset<Tensor<'static>> {
    let buffer = match (piece.buffer, piece.data.is_empty()) {
        (Some(buffer), _) => buffer,
        (None, true) => 0,
        (None, false) => {
            let data = Some(b.create_vector(&piece.data));
            buffers.push(Buffer::create(b, &BufferArgs { data }));
            buffers.len() as u32 - 1
        }
    };
    let quantization = (!piece.scales.is_empty()).then(|| {
        let args = QuantizationParametersArgs {
            scale: Some(b.create_vector(&piece.scales)),
            zero_point: Some(b.create_vector(&piece.zero_points)),
            quantized_dimension: piece.dimension,
            ..QuantizationParametersArgs::default()
        };
        QuantizationParameters::create(b, &args)
    });
    let name = match piece.name.as_str() {
        "" => format!("tensor{index}"),
        name => name.to_owned(),
    };
    let args = TensorArgs {
        shape: Some(b.create_vector(&piece.shape)),
        type_: piece.kind,
        buffer,
        name: Some(b.create_string(&name)),
        quantization,
        shape_signature: (!piece.signature.is_empty()).then(|| b.create_vector(&piece.signature)),
        ..TensorArgs::default()
    };
    Tensor::create(b, &args)
}

fn operator(b: &mut Builder, index: usize, step: &Step) -> WIPOffset<Operator<'static>> {
    let options = step.options.map(|write| write(b));
    let args = OperatorArgs {
        opcode_index: index as u32,
        inputs: Some(b.create_vector(&step.inputs)),
        outputs: Some(b.create_vector(&step.outputs)),
        builtin_options_type: options.map_or(BuiltinOptions::NONE, |(kind, _)| kind),
        builtin_options: options.map(|(_, written)| written),
        ..OperatorArgs::default()
    };
    Operator::create(b, &args)
}

fn code(b: &mut Builder, code: BuiltinOperator) -> WIPOffset<OperatorCode<'static>> {
    let args = OperatorCodeArgs {
        deprecated_builtin_code: i8::try_from(code.0).unwrap_or(127),
        builtin_code: code,
        version: 1,
        ..OperatorCodeArgs::default()
    };
    OperatorCode::create(b, &args)
}
