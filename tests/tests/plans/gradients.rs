//! Gradients that pass from node to node row by row have the bits that they have
//! where each gradient lies whole in the arena.

use foveola::aligned::AlignedBytes;
use foveola::compile::Goal;
use foveola_core::classifier::{At, Layers, Rule, Score};
use foveola_core::net::arch::Isa;
use foveola_core::net::format::{ALIGNMENT, BufferRecord, FOREVER, pass};
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{Error, TensorId};
use foveola_tests::random::Drawn;
use zerocopy::little_endian::{U16, U32};

use super::{buffers, compiled, masked, networks, set_arena, set_buffers};

/// Memory behind the plan: weights in another order lie there.
const SCRATCH: usize = 1 << 20;

/// Buffers of a plan of gradients in which nothing takes another one's place, and
/// the arena's size: gradients whole, but rings of as many rows as their readers
/// reach between a node and the next where `rings` says so.
fn places(model: &Model<'_>, own: &[BufferRecord], rings: &[bool]) -> (Vec<BufferRecord>, usize) {
    let (tensors, nodes) = (model.tensor_count(), model.node_count());
    let node = |n: usize| model.node(n).expect("a node");
    let mut all = own.to_vec();
    let mut arena = 0;
    for (i, buffer) in all.iter_mut().enumerate() {
        if buffer.length.get() == 0 {
            continue;
        }
        let id = TensorId((i % tensors) as u16);
        let tensor = model.tensor(id).expect("a tensor");
        let maker = (0..nodes).find(|&n| node(n).output == id);
        if i < tensors {
            buffer.length = U32::new(tensor.size() as u32);
            buffer.birth = U16::new(maker.map_or(0, |n| n as u16));
        } else if i < 2 * tensors {
            let row = tensor.shape.row() * size_of::<f32>();
            let ring = maker.filter(|&n| rings[n]);
            let window = ring.and_then(|n| model.row_window(&node(n)));
            let rows = window.map_or(tensor.shape.h, |window| window.reach().min(tensor.shape.h));
            buffer.length = U32::new((row * rows) as u32);
            // Gradients of scores are there from the seed on, others from when
            // the nodes run that run together with the last reader.
            let seeded = usize::from(buffer.birth.get()) <= nodes;
            let reader = (0..nodes).rfind(|&n| node(n).inputs().any(|input| input == id));
            if let Some(last) = reader.filter(|_| !seeded) {
                let end = last + rings[last..].iter().take_while(|&&ring| ring).count();
                buffer.birth = U16::new((2 * nodes - 1 - end) as u16);
            }
        } else {
            buffer.birth = U16::new((i - 2 * tensors) as u16);
        }
        buffer.death = U16::new(FOREVER);
        buffer.offset = U32::new(arena as u32);
        arena += (buffer.length.get() as usize).next_multiple_of(ALIGNMENT);
    }
    (all, arena)
}

/// The file with another plan of gradients: see [`places`].
fn placed(bytes: &AlignedBytes, rings: &[bool]) -> AlignedBytes {
    let model = Model::from_bytes(bytes).expect("it is sound");
    let (own, _) = buffers(bytes, pass::BACKWARD);
    let (all, arena) = places(&model, &own, rings);
    let mut placed = AlignedBytes::copy_of(bytes);
    set_buffers(&mut placed, pass::BACKWARD, &all);
    set_arena(&mut placed, pass::BACKWARD, arena);
    placed
}

/// The file with a plan without rings, and with one of all the rings that the
/// check of a plan lets through: the compiler makes them for integers alone.
fn whole_and_ringed(bytes: &AlignedBytes) -> [AlignedBytes; 2] {
    let nodes = Model::from_bytes(bytes).expect("it is sound").node_count();
    let mut rings = vec![false; nodes];
    let whole = placed(bytes, &rings);
    let mut ringed = AlignedBytes::copy_of(&whole);
    for i in (0..nodes).rev() {
        rings[i] = true;
        let tried = placed(bytes, &rings);
        match Model::from_bytes_unhashed(&tried) {
            Ok(_) => ringed = tried,
            Err(_) => rings[i] = false,
        }
    }
    [whole, ringed]
}

/// The bits of the picture's gradient of every class together, unless the pass
/// meets NaN.
fn gradient(drawn: &Drawn, model: &Model<'_>, isa: Isa) -> Option<Vec<u32>> {
    let plan = model.plan(Pass::Backward(At::Input)).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len() + SCRATCH);
    // What lies in the arena before says nothing.
    arena.fill(0x5A);
    let mut session = Session::new(model, &mut arena, isa).expect("a session");
    let normalisation = model.normalisation();
    let seed: Vec<(usize, f32)> = (0..model.classes()).map(|c| (c, 1.0 + c as f32)).collect();
    let mut bits = vec![0; model.input().len()];
    let mut sink = |first: usize, row: &[f32]| {
        let to = &mut bits[first..][..row.len()];
        for (to, value) in to.iter_mut().zip(row) {
            *to = value.to_bits();
        }
        Ok(())
    };
    let run = session.run(&masked(drawn, &normalisation), At::Input, Rule::Gradient);
    match run.and_then(|()| session.backward_pieces(&seed, Score::Logit, &mut sink)) {
        Ok(()) => Some(bits),
        Err(Error::NotFinite { .. }) => None,
        Err(other) => panic!("a checked plan runs: {other}"),
    }
}

/// Groups of nodes that run backward together; those among them with two or more
/// convolutions of real numbers, whose weights are laid out anew.
fn groups(model: &Model<'_>) -> [usize; 2] {
    let plan = model.plan(Pass::Backward(At::Input)).expect("a plan");
    let mut counts = [0; 2];
    let mut end = model.node_count();
    while let Some(last) = end.checked_sub(1) {
        let group = model.together_back(&plan, last);
        end = group.start;
        if !model.streams_back(&plan, &group) {
            continue;
        }
        let nodes = group.filter_map(|n| model.node(n));
        let convolutions = nodes.filter(|node| {
            let output = model.tensor(node.output).expect("a tensor");
            let is_conv = matches!(node.op, Op::Conv { .. });
            is_conv && output.quant.is_none() && output.shape.area() > 2
        });
        counts[0] += 1;
        counts[1] += usize::from(convolutions.count() > 1);
    }
    counts
}

#[test]
fn gradients_by_rows_have_the_bits_of_whole_ones() {
    let mut seen = [[0; 2]; 2];
    for (name, drawn) in networks() {
        let Some(bytes) = compiled(&drawn, Goal::Small) else {
            continue;
        };
        let [whole, ringed] = whole_and_ringed(&bytes);
        let model = |bytes| Model::from_bytes_unhashed(bytes).expect("it is sound");
        let [own, whole, ringed] = [&bytes, &whole, &ringed].map(|bytes| model(bytes));
        assert_eq!(groups(&whole), [0; 2], "{name}");
        let kind = usize::from(name.starts_with("int8"));
        for (seen, count) in seen[kind].iter_mut().zip(groups(&ringed)) {
            *seen += count;
        }
        for isa in [Isa::portable(), Isa::detect()] {
            let wanted = gradient(&drawn, &whole, isa);
            for model in [&own, &ringed] {
                let have = gradient(&drawn, model, isa);
                assert!(have == wanted, "{name}: {isa:?}");
            }
        }
    }
    println!("f32, int8: groups by rows, with several convolutions: {seen:?}");
    let [[real, several], [int8, _]] = seen;
    assert!(real > 20 && several > 10 && int8 > 20, "{seen:?}");
}
