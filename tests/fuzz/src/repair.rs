//! Makes a broken file whole again where that takes no thought, so that the
//! break reaches what is checked last and what runs: sizes follow the input's,
//! weights are as many as the node needs, plans fit.

use foveola_core::net::format::{
    BufferRecord, FOREVER, NetworkRecord, NodeRecord, PlanRecord, TO_INPUT, TensorRecord, op_code,
    pass, section,
};
use foveola_core::net::int8;
use foveola_core::net::op::{Geometry, Op};
use foveola_core::net::ops::{Keeps, check, packing};
use foveola_core::{Shape, TensorId};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::file::{File, fields};
use crate::number::Random;

/// Most bytes that are added to a section.
const MOST: usize = 1 << 14;

/// A file's tables as they are.
struct Tables {
    tensors: Vec<TensorRecord>,
    nodes: Vec<NodeRecord>,
    edges: Vec<U16>,
    network: NetworkRecord,
}

fn records<T: FromBytes + Immutable + KnownLayout + Copy>(bytes: &[u8]) -> Vec<T> {
    let whole = bytes.len() / size_of::<T>() * size_of::<T>();
    <[T]>::ref_from_bytes(&bytes[..whole]).map_or_else(|_| Vec::new(), <[T]>::to_vec)
}

impl Tables {
    fn of(file: &File) -> Option<Self> {
        Some(Self {
            tensors: records(file.section(section::TENSORS)),
            nodes: records(file.section(section::NODES)),
            edges: records(file.section(section::EDGES)),
            network: *records(file.section(section::NETWORK)).first()?,
        })
    }

    fn tensor(&self, id: TensorId) -> Option<&TensorRecord> {
        self.tensors.get(usize::from(id.0))
    }

    /// Its shape, if that is small.
    fn shape(&self, id: TensorId) -> Option<Shape> {
        let [h, w, c] = self.tensor(id)?.shape.map(|n| n.get() as usize);
        let small = [h, w, c].iter().all(|n| (1..=64).contains(n));
        small.then_some(Shape::new(h, w, c))
    }

    fn inputs(&self, node: &NodeRecord) -> Vec<TensorId> {
        let first = node.first_input.get() as usize;
        let inputs = self.edges.get(first..).unwrap_or_default().iter();
        let ids = inputs.take(usize::from(node.inputs.get()).min(64));
        ids.map(|id| TensorId(id.get())).collect()
    }

    fn is_int8(&self, node: &NodeRecord) -> bool {
        let output = self.tensor(TensorId(node.output.get()));
        output.is_some_and(|t| t.data_type != 0) && !op_code::is_quantise(node)
    }
}

/// Repairs shapes (sometimes), weights and plans.
pub fn repair(file: &mut File, random: &mut Random) {
    let Some(mut tables) = Tables::of(file) else {
        return;
    };
    let follow = random.chance(2);
    for index in 0..tables.nodes.len() {
        if follow {
            follow_input(&mut tables, index);
        }
        fill_weights(file, &mut tables, index);
    }
    file.section_mut(section::TENSORS).clear();
    file.section_mut(section::TENSORS)
        .extend(tables.tensors.as_bytes());
    file.section_mut(section::NODES).clear();
    file.section_mut(section::NODES)
        .extend(tables.nodes.as_bytes());
    plans(file, &tables);
}

/// Sizes of what a window makes, no more padding than before the input.
fn slid(g: &Geometry, input: Shape, c: usize) -> Option<Shape> {
    let along = |size: usize, i: usize| {
        let [k, s, d, p] = [g.kernel[i], g.stride[i], g.dilation[i], g.pad[i]].map(usize::from);
        let span = k.checked_sub(1)? * d + 1;
        (size + 2 * p)
            .checked_sub(span)?
            .checked_div(s)
            .map(|n| n + 1)
    };
    Some(Shape::new(along(input.h, 0)?, along(input.w, 1)?, c))
}

/// Gives a node's output the shape that its inputs lead to, where the old one does not fit.
fn follow_input(tables: &mut Tables, index: usize) -> Option<()> {
    let node = *tables.nodes.get(index)?;
    let inputs = tables.inputs(&node).into_iter().map(|id| tables.shape(id));
    let inputs: Vec<Shape> = inputs.collect::<Option<_>>()?;
    let (first, id) = (*inputs.first()?, TensorId(node.output.get()));
    let old = tables.shape(id)?;
    let (op, activation) = (
        op_code::decode_op(&node)?,
        op_code::decode_activation(&node)?,
    );
    if check(op, activation, &inputs, old) {
        return None;
    }
    let new = match op {
        Op::Conv { geometry, .. } => slid(&geometry, first, old.c)?,
        Op::Depthwise { geometry } | Op::MaxPool(geometry) => slid(&geometry, first, first.c)?,
        Op::AveragePool { geometry, .. } => slid(&geometry, first, first.c)?,
        Op::Binary(_) => inputs.iter().skip(1).fold(first, |a, b| {
            Shape::new(a.h.max(b.h), a.w.max(b.w), a.c.max(b.c))
        }),
        Op::Concat { axis } => {
            let sum = |of: fn(&Shape) -> usize| inputs.iter().map(of).sum();
            match axis {
                0 => Shape::new(sum(|s| s.h), first.w, first.c),
                1 => Shape::new(first.h, sum(|s| s.w), first.c),
                _ => Shape::new(first.h, first.w, sum(|s| s.c)),
            }
        }
        Op::Mean { axes: [h, w, c] } => {
            let kept = |gone, size| if gone { 1 } else { size };
            Shape::new(kept(h, first.h), kept(w, first.w), kept(c, first.c))
        }
        Op::GlobalMaxPool => Shape::new(1, 1, first.c),
        Op::Dense | Op::Slice { .. } | Op::Pad { .. } => old,
        _ => first,
    };
    let record = tables.tensors.get_mut(usize::from(id.0))?;
    record.shape = [new.h, new.w, new.c].map(|n| U32::new(n as u32));
    Some(())
}

/// Gives a node as many weights and biases as it needs, from where they were
/// or from the start of the section, which grows if it has to.
fn fill_weights(file: &mut File, tables: &mut Tables, index: usize) -> Option<()> {
    let node = *tables.nodes.get(index)?;
    let inputs = tables.inputs(&node).into_iter().map(|id| tables.shape(id));
    let inputs: Vec<Shape> = inputs.collect::<Option<_>>()?;
    let output = tables.shape(TensorId(node.output.get()))?;
    let (op, activation) = (
        op_code::decode_op(&node)?,
        op_code::decode_activation(&node)?,
    );
    if !check(op, activation, &inputs, output) {
        return None;
    }
    let first = *inputs.first()?;
    let is_int8 = tables.is_int8(&node);
    let (weights, bias) = match is_int8 {
        true => (
            int8::bytes_len(op, first, output),
            int8::words_len(op, inputs.len(), output),
        ),
        false if node.bias_length.get() == 0 && !matches!(op, Op::Affine) => {
            (packing::packed_len(op, first, output), 0)
        }
        false => {
            let weights = packing::packed_len(op, first, output);
            (weights, if weights == 0 { 0 } else { output.c })
        }
    };
    let kinds = if is_int8 {
        [section::BYTES, section::WORDS]
    } else {
        [section::WEIGHTS; 2]
    };
    let record = tables.nodes.get_mut(index)?;
    record.weights = room(file, kinds[0], node.weights, weights)?;
    record.weights_length = U32::new(weights as u32);
    record.bias = room(file, kinds[1], node.bias, bias)?;
    record.bias_length = U32::new(bias as u32);
    Some(())
}

/// Where so many numbers lie in a section.
fn room(file: &mut File, kind: u16, start: U32, count: usize) -> Option<U32> {
    let width = fields(kind).1;
    let section = file.section_mut(kind);
    let have = section.len() / width;
    let end = (start.get() as usize).checked_add(count)?;
    if end <= have {
        return Some(start);
    }
    if count * width > MOST {
        return None;
    }
    while section.len() / width < count {
        let again = section.len().clamp(width, MOST);
        let mut more = section
            .get(..again)
            .map_or_else(|| vec![0; width], <[u8]>::to_vec);
        section.append(&mut more);
    }
    Some(U32::new(0))
}

/// New plans: forward, and backward to the input, every buffer in a place of its own.
fn plans(file: &mut File, tables: &Tables) {
    let mut buffers = Vec::new();
    let mut records = Vec::new();
    for backward in [false, true] {
        let first = buffers.len();
        let Some(made) = buffers_of(tables, backward) else {
            continue;
        };
        let last = made
            .iter()
            .map(|b: &BufferRecord| b.offset.get() + b.length.get());
        let arena = last.max().unwrap_or(0).next_multiple_of(16);
        records.push(PlanRecord {
            pass: U16::new(if backward {
                pass::BACKWARD
            } else {
                pass::FORWARD
            }),
            to: U16::new(TO_INPUT),
            arena: U32::new(arena),
            first_buffer: U32::new(first as u32),
            buffers: U32::new(made.len() as u32),
        });
        buffers.extend(made);
    }
    if buffers.is_empty() {
        return;
    }
    file.section_mut(section::PLANS).clear();
    file.section_mut(section::PLANS).extend(records.as_bytes());
    file.section_mut(section::BUFFERS).clear();
    file.section_mut(section::BUFFERS)
        .extend(buffers.as_bytes());
}

fn buffers_of(tables: &Tables, backward: bool) -> Option<Vec<BufferRecord>> {
    let (tensors, nodes) = (tables.tensors.len(), tables.nodes.len());
    let input = usize::from(tables.network.input.get());
    let mut lengths = vec![
        (0, 0);
        if backward {
            2 * tensors + nodes
        } else {
            tensors
        }
    ];
    let size = |t: usize| Some(tables.shape(TensorId(t as u16))?.len());
    for (t, (record, length)) in tables.tensors.iter().zip(&mut lengths).enumerate() {
        let width = if record.data_type == 0 { 4 } else { 1 };
        let made = |n: &NodeRecord| usize::from(n.output.get()) == t;
        let maker = tables.nodes.iter().position(made);
        if record.kind == 0 {
            *length = (size(t)? * width, maker.unwrap_or(0));
        }
    }
    let mut depends = vec![false; tensors];
    *depends.get_mut(input)? = backward;
    for (i, node) in tables.nodes.iter().enumerate().filter(|_| backward) {
        let ids = tables.inputs(node);
        if !ids
            .iter()
            .any(|id| depends.get(usize::from(id.0)) == Some(&true))
        {
            continue;
        }
        *depends.get_mut(usize::from(node.output.get()))? = true;
        for id in ids
            .iter()
            .filter(|id| depends.get(usize::from(id.0)) == Some(&true))
        {
            // The last reader comes first on the way back.
            lengths[tensors + usize::from(id.0)] =
                (4 * size(usize::from(id.0))?, 2 * nodes - 1 - i);
        }
        lengths[2 * tensors + i] = (keeps(tables, node, &ids)?, i);
    }
    for id in [
        tables.network.logits.get(),
        tables.network.probabilities.get(),
    ] {
        let id = usize::from(id);
        if depends.get(id) == Some(&true) {
            lengths[tensors + id] = (4 * size(id)?, nodes);
        }
    }
    Some(one_after_the_other(&lengths))
}

fn keeps(tables: &Tables, node: &NodeRecord, inputs: &[TensorId]) -> Option<usize> {
    let (op, activation) = (op_code::decode_op(node)?, op_code::decode_activation(node)?);
    let output = TensorId(node.output.get());
    let is_int8 = tables.tensor(output)?.data_type != 0;
    let shapes: Vec<Shape> = inputs
        .iter()
        .map(|&id| tables.shape(id))
        .collect::<Option<_>>()?;
    let made = tables.shape(output)?;
    if !check(op, activation, &shapes, made) {
        return None;
    }
    Some(Keeps::of(op, activation, is_int8, *shapes.first()?, made).bytes)
}

/// Buffers of these lengths and births that live until the next run.
fn one_after_the_other(lengths: &[(usize, usize)]) -> Vec<BufferRecord> {
    let mut offset = 0;
    let place = |&(length, birth): &(usize, usize)| {
        let buffer = BufferRecord {
            offset: U32::new(offset),
            length: U32::new(length as u32),
            birth: U16::new(birth as u16),
            death: U16::new(FOREVER),
        };
        offset += (length as u32).next_multiple_of(16);
        buffer
    };
    lengths.iter().map(place).collect()
}
