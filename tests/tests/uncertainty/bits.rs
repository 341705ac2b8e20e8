//! Random networks: the plan, the number of threads and the instruction set
//! change no bit of a dropout pass, and with everything kept it is the usual one.

use std::sync::Arc;

use foveola::aligned::AlignedBytes;
use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::compile::{CompileOptions, Goal, compile};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::session::Session;
use foveola_core::{
    Classifier, Dropout, Error, Masked, Normalisation, Picture, Saturation, Score, Values,
};
use foveola_tests::random::{Drawn, Numbers};

/// Draws of each kind.
const NETWORKS: u64 = 200;

fn masked<'a>(drawn: &'a Drawn, normalisation: &'a Normalisation) -> Masked<'a> {
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

/// Networks of both kinds; every other one has dropouts of its own.
fn networks() -> impl Iterator<Item = (String, Drawn)> {
    let both = |seed| {
        [
            ("f32", Drawn::real(seed, 0)),
            ("int8", Drawn::int8(seed, 0)),
        ]
    };
    (0..NETWORKS).flat_map(move |seed| {
        both(seed).map(|(kind, mut drawn)| {
            if seed % 2 == 1 {
                let every = 1 + seed as usize % 3;
                for node in drawn.graph.nodes.iter_mut().step_by(every) {
                    node.dropout = Some(0.3);
                }
            }
            (format!("{kind} {seed}"), drawn)
        })
    })
}

fn compiled(drawn: &Drawn, goal: Goal) -> Option<ModelFile> {
    let options = CompileOptions {
        goal,
        ..drawn.options.clone()
    };
    let compiled = compile(drawn.graph.clone(), &drawn.card, &options).ok()?;
    Some(ModelFile::new(&compiled.bytes).expect("it is sound"))
}

/// The bits of the last layer of a pass; `None` stands for a usual pass.
fn last(file: &ModelFile, drawn: &Drawn, dropout: Option<&Dropout>, isa: Isa) -> Option<Vec<u32>> {
    let model = file.model();
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len() + 65_536);
    arena.fill(0x5A);
    let mut session = Session::new(model, &mut arena, isa).expect("a session");
    let mut last = Vec::new();
    let normalisation = model.normalisation();
    let x = masked(drawn, &normalisation);
    let end = model.node_count() - 1;
    let mut tap = |node: usize, _: usize, values: Values<'_>| {
        if node == end {
            last.extend(values.iter().map(f32::to_bits));
        }
        Ok(())
    };
    let ends = match dropout {
        None => session.forward_tapped(&x, &mut tap),
        Some(dropout) => session
            .forward_dropped(&x, dropout, 2, Some(&mut tap))
            .map(drop),
    };
    match ends {
        Ok(()) => Some(last),
        Err(Error::NotFinite { .. } | Error::NotWhiteBox) => None,
        Err(other) => panic!("it runs: {other}, {dropout:?}"),
    }
}

#[test]
fn plans_and_instruction_sets_change_nothing() {
    let dropout = Dropout {
        seed: 11,
        keep: 0.4,
    };
    let (mut compared, mut changed) = (0, 0);
    for (name, drawn) in networks() {
        let Some(fast) = compiled(&drawn, Goal::Fast) else {
            continue;
        };
        let small = compiled(&drawn, Goal::Small).expect("it compiled before");
        let wanted = last(&fast, &drawn, Some(&dropout), Isa::detect());
        for (file, isa) in [
            (&fast, Isa::portable()),
            (&small, Isa::detect()),
            (&small, Isa::portable()),
        ] {
            assert_eq!(last(file, &drawn, Some(&dropout), isa), wanted, "{name}");
        }
        compared += usize::from(wanted.is_some());
        changed +=
            usize::from(wanted.is_some() && last(&fast, &drawn, None, Isa::detect()) != wanted);
    }
    assert!(compared > NETWORKS as usize, "only {compared} networks ran");
    assert!(2 * changed > compared, "{changed} of {compared} changed");
}

/// A dropout that keeps all is no dropout.
#[test]
fn everything_kept_is_the_usual_pass() {
    let all = Dropout { seed: 1, keep: 1.0 };
    let mut compared = 0;
    for (name, mut drawn) in networks() {
        for node in &mut drawn.graph.nodes {
            node.dropout = None;
        }
        let Some(file) = compiled(&drawn, Goal::Small) else {
            continue;
        };
        let wanted = last(&file, &drawn, None, Isa::detect());
        if let Some(found) = last(&file, &drawn, Some(&all), Isa::detect()) {
            // A dropped activation of -0 is 0; nothing is dropped here.
            assert_eq!(Some(found), wanted, "{name}");
            compared += 1;
        }
    }
    assert!(compared > NETWORKS, "only {compared} networks ran");
}

#[test]
fn threads_change_nothing() {
    let dropout = Dropout { seed: 5, keep: 0.5 };
    for (name, drawn) in networks().take(60) {
        let Some(file) = compiled(&drawn, Goal::Small) else {
            continue;
        };
        let file = Arc::new(file);
        let answers = [1, 2, 5].map(|threads| {
            let mut backend = CoreBackend::new(Arc::clone(&file), threads).expect("threads");
            let mut answers: Vec<(usize, Vec<u32>, Saturation)> = Vec::new();
            let normalisation = file.model().normalisation();
            let x = masked(&drawn, &normalisation);
            let mut sink = |pass: usize, scores: &[f32], seen: Saturation| {
                let bits = scores.iter().map(|v| v.to_bits()).collect();
                answers.push((pass, bits, seen));
                Ok(())
            };
            let mut scores = vec![0.0; backend.classes()];
            let ends = backend.classify_dropped(
                &x,
                &dropout,
                23,
                Score::Probability,
                &mut scores,
                &mut sink,
            );
            (ends, answers)
        });
        let [one, two, five] = &answers;
        assert_eq!(one, two, "{name}");
        assert_eq!(one, five, "{name}");
        let passes = one.1.iter().map(|answer| answer.0);
        assert!(passes.eq(0..one.1.len()) && (one.0.is_err() || one.1.len() == 23));
    }
}

#[test]
fn settings_out_of_range() {
    let drawn = Drawn::real(3, 0);
    let file = compiled(&drawn, Goal::Small).expect("it compiles");
    let mut backend = CoreBackend::new(Arc::new(file), 1).expect("threads");
    let picture = vec![0.0; backend.input().len()];
    let x = Masked::whole(Picture::Tensor {
        shape: backend.input(),
        data: &picture,
    });
    for keep in [0.0, -0.5, 1.5, f32::NAN] {
        let dropout = Dropout { seed: 0, keep };
        let mut scores = vec![0.0; backend.classes()];
        let ends = backend.classify_dropped(
            &x,
            &dropout,
            1,
            Score::Logit,
            &mut scores,
            &mut |_, _, _| Ok(()),
        );
        assert_eq!(ends, Err(Error::BadParameter("keep")), "{keep}");
    }
}
