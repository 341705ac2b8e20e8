//! Memory plans: whatever a plan does (rings of rows, values written over
//! others, rows put straight into a `Concat`), every layer has the bits that it
//! has where each tensor has a place of its own; and whatever the check of a
//! plan lets through, too. Gradients have them where rings of rows pass them on.

#[path = "plans/gradients.rs"]
mod gradients;

use foveola::aligned::AlignedBytes;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Goal, compile};
use foveola::import;
use foveola_core::net::arch::Isa;
use foveola_core::net::format::{
    ALIGNMENT, BufferRecord, FOREVER, Header, PlanRecord, SectionRecord, TO_INPUT, pass, section,
};
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::tensor::Values;
use foveola_core::{Error, Masked, Picture, TensorId};
use foveola_tests::random::{Drawn, Numbers};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

/// Draws of each kind.
const NETWORKS: u64 = 300;

/// The bits of each layer.
type Layers = Option<Vec<Vec<u32>>>;

/// The networks of both kinds.
fn networks() -> impl Iterator<Item = (String, Drawn)> {
    (0..NETWORKS).flat_map(|seed| {
        [
            (format!("f32 {seed}"), Drawn::real(seed, 0)),
            (format!("int8 {seed}"), Drawn::int8(seed, 0)),
        ]
    })
}

fn compiled(drawn: &Drawn, goal: Goal) -> Option<AlignedBytes> {
    let options = CompileOptions {
        goal,
        ..drawn.options.clone()
    };
    let compiled = compile(drawn.graph.clone(), &drawn.card, &options).ok()?;
    Some(AlignedBytes::copy_of(&compiled.bytes))
}

fn masked<'a>(drawn: &'a Drawn, normalisation: &'a foveola_core::Normalisation) -> Masked<'a> {
    let shape = drawn.graph.tensor(drawn.graph.input).shape;
    Masked::whole(match &drawn.picture {
        Numbers::Pixels(data) => Picture::Pixels {
            shape,
            data,
            normalisation,
        },
        Numbers::Tensor(data) => Picture::Tensor { shape, data },
    })
}

/// The bits of every layer that a pass makes, unless it meets NaN: what was
/// made until then depends on the plan.
fn layers(drawn: &Drawn, model: &Model<'_>) -> Layers {
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    // What lies in the arena before says nothing.
    arena.fill(0x5A);
    let mut session = Session::new(model, &mut arena, Isa::portable()).expect("a session");
    let mut layers = vec![Vec::new(); model.node_count()];
    let normalisation = model.normalisation();
    let ends = session.forward_tapped(&masked(drawn, &normalisation), &mut |i, _, values| {
        let layer: &mut Vec<u32> = &mut layers[i];
        match values {
            Values::Real(data) => layer.extend(data.iter().map(|v| v.to_bits())),
            Values::Stored { data, .. } => layer.extend(data.iter().map(|&v| v as u32)),
        }
        Ok(())
    });
    match ends {
        Ok(()) => Some(layers),
        Err(Error::NotFinite { .. }) => None,
        Err(other) => panic!("a checked plan runs: {other}"),
    }
}

/// Fails at the first layer that differs.
fn same(model: &Model<'_>, have: &Layers, wanted: &Layers, name: &str) {
    if let (Some(have), Some(wanted)) = (have, wanted) {
        // Rows that nobody reads are not made where a layer is made row by row.
        let alike = |(a, b): (&Vec<u32>, &Vec<u32>)| a.starts_with(b) || b.starts_with(a);
        let differs = have.iter().zip(wanted).position(|pair| !alike(pair));
        assert_eq!(have.last(), wanted.last(), "{name}");
        let node = differs.and_then(|i| model.node(i));
        assert!(differs.is_none(), "{name}: node {differs:?}: {node:?}");
    }
    assert_eq!(have.is_some(), wanted.is_some(), "{name}");
}

/// Where a section lies in a file.
fn place(bytes: &[u8], kind: u16) -> std::ops::Range<usize> {
    let (header, rest) = Header::ref_from_prefix(bytes).expect("a header");
    let count = header.sections.get() as usize;
    let (records, _) = <[SectionRecord]>::ref_from_prefix_with_elems(rest, count).expect("them");
    let of = records.iter().find(|s| s.kind.get() == kind);
    let of = of.expect("the section");
    let start = of.offset.get() as usize;
    start..start + of.length.get() as usize
}

/// Whether a plan is the forward one (`pass::FORWARD`) or the one of gradients
/// down to the input (`pass::BACKWARD`).
fn is_plan(plan: &PlanRecord, pass: u16) -> bool {
    plan.pass.get() == pass && plan.to.get() == TO_INPUT
}

/// Buffers of a plan, and where they lie in the file.
fn buffers(bytes: &[u8], pass: u16) -> (Vec<BufferRecord>, usize) {
    let plans = <[PlanRecord]>::ref_from_bytes(&bytes[place(bytes, section::PLANS)]);
    let plans = plans.expect("plans");
    let plan = plans.iter().find(|p| is_plan(p, pass)).expect("a plan");
    let first = plan.first_buffer.get() as usize * size_of::<BufferRecord>();
    let start = place(bytes, section::BUFFERS).start + first;
    let length = plan.buffers.get() as usize * size_of::<BufferRecord>();
    let records = <[BufferRecord]>::ref_from_bytes(&bytes[start..start + length]);
    (records.expect("buffers").to_vec(), start)
}

fn set_buffers(bytes: &mut [u8], pass: u16, buffers: &[BufferRecord]) {
    let (_, start) = self::buffers(bytes, pass);
    let all = buffers.as_bytes();
    bytes[start..start + all.len()].copy_from_slice(all);
}

fn set_arena(bytes: &mut [u8], pass: u16, arena: usize) {
    let place = place(bytes, section::PLANS);
    let plans = <[PlanRecord]>::mut_from_bytes(&mut bytes[place]).expect("plans");
    for plan in plans.iter_mut().filter(|p| is_plan(p, pass)) {
        plan.arena = U32::new(arena as u32);
    }
}

/// The file with a forward plan in which every tensor lies whole, for ever,
/// at a place of its own.
fn roomy(bytes: &AlignedBytes) -> AlignedBytes {
    let mut roomy = AlignedBytes::copy_of(bytes);
    let (mut all, _) = buffers(bytes, pass::FORWARD);
    let mut arena = 0;
    {
        let model = Model::from_bytes(bytes).expect("it is sound");
        for (i, buffer) in all.iter_mut().enumerate() {
            let id = TensorId(i as u16);
            let tensor = model.tensor(id).expect("a tensor");
            if tensor.constant.is_some() {
                continue;
            }
            let mut nodes = (0..model.node_count()).filter_map(|n| Some((n, model.node(n)?)));
            let maker = nodes.find(|(_, node)| node.output == id);
            *buffer = BufferRecord {
                offset: U32::new(arena as u32),
                length: U32::new(tensor.size() as u32),
                birth: U16::new(maker.map_or(0, |(n, _)| n) as u16),
                death: U16::new(FOREVER),
            };
            arena += tensor.size().next_multiple_of(ALIGNMENT);
        }
    }
    set_buffers(&mut roomy, pass::FORWARD, &all);
    set_arena(&mut roomy, pass::FORWARD, arena);
    roomy
}

/// What a plan does: rings between nodes, poured rows, values written over others.
fn deeds(model: &Model<'_>) -> [usize; 3] {
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut deeds = [0; 3];
    for node in (0..model.node_count()).filter_map(|i| model.node(i)) {
        for id in node.inputs().filter(|id| *id != model.input_id()) {
            let short = model.is_short(&plan, id);
            let poured = model.is_poured(&plan, &node, id);
            let value = plan.value(id);
            let over = value.length > 0 && value.range() == plan.value(node.output).range();
            deeds[0] += usize::from(short && !poured);
            deeds[1] += usize::from(poured);
            deeds[2] += usize::from(over);
        }
    }
    deeds
}

#[test]
fn every_plan_gives_the_bits_of_the_roomiest() {
    let mut seen = [[0; 3]; 2];
    let mut smaller = 0;
    for (name, drawn) in networks() {
        let Some(fast) = compiled(&drawn, Goal::Fast) else {
            continue;
        };
        let roomy = roomy(&fast);
        let model = Model::from_bytes_unhashed(&roomy).expect("room for all is sound");
        let expected = layers(&drawn, &model);
        let small = compiled(&drawn, Goal::Small).expect("it compiled before");
        let arena = |bytes: &[u8]| {
            let model = Model::from_bytes(bytes).expect("it is sound");
            model.plan(Pass::Forward).expect("a plan").arena_len()
        };
        let (most, least) = (arena(&fast), arena(&small));
        assert!(least <= most, "{name}");
        smaller += usize::from(least < most);
        let middle = (most + least) / 2;
        let between = compiled(&drawn, Goal::Arena(middle)).expect("the small plan fits");
        assert!(arena(&between) <= middle, "{name}");
        for bytes in [&fast, &between, &small] {
            let model = Model::from_bytes(bytes).expect("it is sound");
            let kind = usize::from(name.starts_with("int8"));
            for (seen, deed) in seen[kind].iter_mut().zip(deeds(&model)) {
                *seen += deed;
            }
            same(&model, &layers(&drawn, &model), &expected, &name);
        }
        if least > 0 {
            let options = CompileOptions {
                goal: Goal::Arena(0),
                ..drawn.options.clone()
            };
            assert!(compile(drawn.graph.clone(), &drawn.card, &options).is_err());
        }
    }
    println!("f32, int8: rings, poured rows, written over: {seen:?}; {smaller} smaller");
    for [rings, poured, over] in seen {
        assert!(rings > 20 && poured > 1 && over > 20, "{seen:?}");
    }
}

/// Parts of the largest concatenations of SqueezeNet never lie whole in a small arena.
#[test]
fn fire_modules_pour_their_rows() {
    let Some(zoo) = foveola_tests::zoo() else {
        return;
    };
    for name in ["squeezenet_fp32", "squeezenet_int8_qdq"] {
        let path = zoo.join(format!("models/imagenet/{name}.onnx"));
        let imported = import::load(&path, &import::Options::default()).expect("it imports");
        let shape = imported.graph.tensor(imported.graph.input).shape;
        let card = Card {
            size: [shape.h, shape.w],
            resize: Resize::Squash,
            channels: Channels::Rgb,
            mean: vec![0.0; 3],
            scale: vec![1.0; 3],
            activation: OutputActivation::None,
            labels: Vec::new(),
        };
        let drawn = Drawn {
            graph: imported.graph,
            card,
            picture: Numbers::Tensor((0..shape.len()).map(|i| (i as f32 * 0.37).sin()).collect()),
            options: CompileOptions::shipped(&[], false),
        };
        let [fast, small] = [Goal::Fast, Goal::Small].map(|goal| compiled(&drawn, goal));
        let (roomy, small) = (roomy(&fast.expect("it compiles")), small.expect("too"));
        let [roomy, small] = [&roomy, &small].map(|b| Model::from_bytes_unhashed(b).expect("it"));
        let [_, poured, _] = deeds(&small);
        assert!(poured >= 4, "{name}: {poured}");
        same(
            &small,
            &layers(&drawn, &small),
            &layers(&drawn, &roomy),
            name,
        );
    }
}

/// A plan with one number changed is refused, or does no harm.
#[test]
fn what_the_check_lets_through_gives_the_same_bits() {
    let (mut accepted, mut refused) = (0, 0);
    for (name, drawn) in networks() {
        for goal in [Goal::Fast, Goal::Small] {
            let Some(bytes) = compiled(&drawn, goal) else {
                continue;
            };
            let model = Model::from_bytes(&bytes).expect("it is sound");
            let expected = layers(&drawn, &model);
            let (all, _) = buffers(&bytes, pass::FORWARD);
            for (what, changed) in mutants(&all) {
                let mut mutant = AlignedBytes::copy_of(&bytes);
                set_buffers(&mut mutant, pass::FORWARD, &changed);
                match Model::from_bytes_unhashed(&mutant) {
                    Err(_) => refused += 1,
                    Ok(model) => {
                        accepted += 1;
                        let name = format!("{name} {goal:?}: {what}");
                        same(&model, &layers(&drawn, &model), &expected, &name);
                    }
                }
            }
        }
    }
    println!("{refused} refused, {accepted} accepted");
    assert!(refused > 10_000 && accepted > 100, "{refused} {accepted}");
}

/// Plans with one buffer elsewhere, of another size, or of another life.
fn mutants(all: &[BufferRecord]) -> Vec<(String, Vec<BufferRecord>)> {
    let mut mutants = Vec::new();
    let stored: Vec<usize> = (0..all.len())
        .filter(|&i| all[i].length.get() > 0)
        .collect();
    for &i in &stored {
        let mut add = |what: String, change: &dyn Fn(&mut BufferRecord)| {
            let mut changed = all.to_vec();
            change(&mut changed[i]);
            if changed[i].as_bytes() != all[i].as_bytes() {
                mutants.push((what, changed));
            }
        };
        let (birth, death) = (all[i].birth.get(), all[i].death.get());
        for by in [-1, 1] {
            add(format!("birth of {i} by {by}"), &|b| {
                b.birth = U16::new(birth.wrapping_add_signed(by));
            });
            add(format!("death of {i} by {by}"), &|b| {
                b.death = U16::new(death.wrapping_add_signed(by));
            });
        }
        add(format!("half of {i}"), &|b| {
            b.length = U32::new(b.length.get() / 2);
        });
        for &j in stored.iter().filter(|&&j| j != i) {
            let there = all[j].offset;
            add(format!("{i} to the place of {j}"), &|b| b.offset = there);
        }
    }
    mutants
}
