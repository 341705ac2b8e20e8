//! Writes the `.fov` model file; `foveola_core::net::format` specifies it.

use foveola_core::net::format::{
    ALIGNMENT, BufferRecord, Header, MAGIC, NetworkRecord, NodeRecord, PlanRecord, QuantRecord,
    SectionRecord, TensorRecord, VERSION, op_code, section,
};
use foveola_core::net::model::{crc32c, digest};
use foveola_core::net::ops::packing;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{F32, I32, U16, U32};

use super::integers::{integers, is_integer};
use super::network::Network;
use super::plan::Plan;
use crate::card::{Card, Channels, Resize};
use crate::graph::{InputType, Layout, Node, Quant};

/// What goes into the sections while they are filled.
#[derive(Default)]
struct Content {
    edges: Vec<U16>,
    weights: Vec<F32>,
    bytes: Vec<i8>,
    words: Vec<I32>,
    quants: Vec<QuantRecord>,
    names: String,
}

/// Makes the bytes of a model file.
pub fn write(network: &Network, card: Option<&Card>, plans: &[Plan]) -> Vec<u8> {
    let mut content = Content::default();
    let tensors = tensors(network, &mut content);
    let nodes = nodes(network, &mut content);
    let mut buffers = Vec::new();
    let plans: Vec<PlanRecord> = plans.iter().map(|p| plan(p, &mut buffers)).collect();
    let labels = card.map_or_else(Vec::new, |c| labels(network, &c.labels));
    let network = network_record(network, card);
    assemble(&[
        network.as_bytes(),
        tensors.as_bytes(),
        nodes.as_bytes(),
        content.edges.as_bytes(),
        content.quants.as_bytes(),
        content.weights.as_bytes(),
        &labels,
        content.names.as_bytes(),
        plans.as_bytes(),
        buffers.as_bytes(),
        content.bytes.as_bytes(),
        content.words.as_bytes(),
    ])
}

fn wide(n: usize) -> U32 {
    U32::new(u32::try_from(n).expect("compile limits the size of a model file"))
}

fn narrow(n: usize) -> U16 {
    U16::new(u16::try_from(n).expect("compile limits the number of tensors and nodes"))
}

impl Content {
    /// Adds a name, cut to what a record can point at.
    fn name(&mut self, name: &str) -> (U32, U16) {
        let start = wide(self.names.len());
        let mut end = name.len().min(usize::from(u16::MAX));
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        self.names.push_str(&name[..end]);
        (start, narrow(end))
    }

    /// Adds values; returns the index of the first.
    fn values(&mut self, values: impl IntoIterator<Item = f32>) -> U32 {
        let start = wide(self.weights.len());
        self.weights.extend(values.into_iter().map(F32::new));
        start
    }

    fn bytes(&mut self, bytes: impl IntoIterator<Item = i8>) -> U32 {
        let start = wide(self.bytes.len());
        self.bytes.extend(bytes);
        start
    }

    fn words(&mut self, words: impl IntoIterator<Item = i32>) -> U32 {
        let start = wide(self.words.len());
        self.words.extend(words.into_iter().map(I32::new));
        start
    }

    /// Type of a tensor and index of its quantisation record.
    fn quantisation(&mut self, quant: Option<Quant>) -> (u8, U16) {
        let Some(quant) = quant else {
            return (0, U16::new(u16::MAX));
        };
        let index = narrow(self.quants.len());
        self.quants.push(QuantRecord {
            scale: F32::new(quant.scale),
            zero_point: I32::new(quant.zero_point.into()),
        });
        (1 + u8::from(quant.unsigned), index)
    }
}

fn tensors(network: &Network, content: &mut Content) -> Vec<TensorRecord> {
    let mut records = Vec::new();
    for tensor in &network.graph.tensors {
        let (name, name_length) = content.name(&tensor.name);
        let data = match (&tensor.constant, &tensor.quant) {
            (Some(values), None) => content.values(values.iter().copied()),
            (Some(values), Some(quant)) => {
                let quantisation = quant.quantisation();
                content.bytes(values.iter().map(|&v| quantisation.stored(v)))
            }
            (None, _) => U32::new(0),
        };
        let (data_type, quant) = content.quantisation(tensor.quant);
        records.push(TensorRecord {
            shape: [tensor.shape.h, tensor.shape.w, tensor.shape.c].map(wide),
            kind: u8::from(tensor.constant.is_some()),
            data_type,
            quant,
            data,
            name,
            name_length,
            reserved: [0; 6],
        });
    }
    records
}

fn nodes(network: &Network, content: &mut Content) -> Vec<NodeRecord> {
    let mut records = Vec::new();
    for node in &network.graph.nodes {
        let mut record = NodeRecord::default();
        op_code::encode(&node.op, &node.activation, &mut record);
        (record.name, record.name_length) = content.name(&node.name);
        record.first_input = wide(content.edges.len());
        record.inputs = narrow(node.inputs.len());
        content
            .edges
            .extend(node.inputs.iter().map(|id| U16::new(id.0)));
        record.output = U16::new(node.output.0);
        match is_integer(&network.graph, node) {
            true => {
                let integers =
                    integers(&network.graph, node).expect("compile asked for these numbers before");
                record.weights_length = wide(integers.bytes.len());
                record.weights = content.bytes(integers.bytes);
                record.bias_length = wide(integers.words.len());
                record.bias = content.words(integers.words);
                record.range = integers.range;
                record.weights_zero_point = integers.weights_zero_point;
            }
            false => {
                let weights = packed(network, node);
                record.weights_length = wide(weights.len());
                record.weights = content.values(weights);
                record.bias_length = wide(node.bias.len());
                record.bias = content.values(node.bias.iter().copied());
            }
        }
        record.flags = U16::new(u16::from(node.dropout.is_some()));
        record.dropped = F32::new(node.dropout.unwrap_or(0.0));
        records.push(record);
    }
    records
}

/// The weights in the order in which the kernels read them.
fn packed(network: &Network, node: &Node) -> Vec<f32> {
    let input = network.graph.tensor(node.inputs[0]).shape;
    let output = network.graph.tensor(node.output).shape;
    let mut packed = vec![0.0; packing::packed_len(node.op, input, output)];
    for (plain, &weight) in node.weights.iter().enumerate() {
        packed[packing::packed_index(node.op, input, output, plain)] = weight;
    }
    packed
}

fn plan(plan: &Plan, buffers: &mut Vec<BufferRecord>) -> PlanRecord {
    let first_buffer = wide(buffers.len());
    buffers.extend(plan.buffers.iter().map(|b| BufferRecord {
        offset: wide(b.offset),
        length: wide(b.length),
        birth: U16::new(b.birth),
        death: U16::new(b.death),
    }));
    let (pass, to) = plan.pass.code();
    PlanRecord {
        pass: U16::new(pass),
        to: U16::new(to),
        arena: wide(plan.arena),
        first_buffer,
        buffers: wide(plan.buffers.len()),
    }
}

fn labels(network: &Network, labels: &[String]) -> Vec<u8> {
    let classes = network.graph.tensor(network.graph.output).shape.len();
    if labels.len() != classes {
        return Vec::new();
    }
    let mut ends = Vec::new();
    let mut text = String::new();
    for label in labels {
        text.push_str(label);
        ends.push(wide(text.len()));
    }
    [ends.as_bytes(), text.as_bytes()].concat()
}

fn network_record(network: &Network, card: Option<&Card>) -> NetworkRecord {
    let graph = &network.graph;
    let mut record = NetworkRecord {
        input: U16::new(graph.input.0),
        output: U16::new(graph.output.0),
        logits: U16::new(network.logits.0),
        probabilities: U16::new(network.probabilities.0),
        resize: 0,
        channels: 5,
        layout: match graph.layout {
            Layout::Nchw => 0,
            Layout::Nhwc => 1,
            Layout::Flat => 2,
        },
        input_type: match graph.input_type {
            InputType::F32 => 0,
            InputType::F16 => 1,
            InputType::U8 => 2,
            InputType::I8 => 3,
        },
        mean: [F32::new(0.0); 4],
        scale: [F32::new(1.0); 4],
        reserved: [0; 20],
    };
    let channels = graph.tensor(graph.input).shape.c;
    if let Some(card) = card.filter(|c| c.channels.count() == channels) {
        add_card(&mut record, card);
    }
    record
}

/// Only a network with as many channels as the card takes pictures; others
/// take tensors alone.
fn add_card(record: &mut NetworkRecord, card: &Card) {
    record.resize = match card.resize {
        Resize::Squash => 0,
        Resize::Crop => 1,
        Resize::Letterbox => 2,
    };
    record.channels = match card.channels {
        Channels::Gray => 0,
        Channels::Rgb => 1,
        Channels::Bgr => 2,
        Channels::Rgba => 3,
        Channels::Bgra => 4,
    };
    for (to, &from) in record.mean.iter_mut().zip(&card.mean) {
        *to = F32::new(from);
    }
    for (to, &from) in record.scale.iter_mut().zip(&card.scale) {
        *to = F32::new(from);
    }
}

/// Lays the sections out and adds lengths, checksums and the digest.
fn assemble(sections: &[&[u8]; section::COUNT]) -> Vec<u8> {
    let start = size_of::<Header>() + size_of::<SectionRecord>() * section::COUNT;
    let mut table = Vec::new();
    let mut body = vec![0; start];
    for (kind, content) in (1..).zip(sections) {
        body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
        table.push(SectionRecord {
            kind: U16::new(kind),
            reserved: U16::new(0),
            offset: wide(body.len()),
            length: wide(content.len()),
            crc: U32::new(crc32c(content)),
        });
        body.extend_from_slice(content);
    }
    let mut header = Header {
        magic: MAGIC,
        version: U16::new(VERSION),
        flags: U16::new(0),
        length: wide(body.len()),
        sections: wide(section::COUNT),
        digest: [0; 32],
        signature: [0; 64],
        release: U32::new(0),
        reserved: [0; 12],
    };
    body[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    body[size_of::<Header>()..start].copy_from_slice(table.as_bytes());
    header.digest = digest(&body);
    body[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    body
}
