use super::*;

/// `spec/vectors`.
#[test]
fn naive_faithfulness_of_the_numeric_example() {
    let own = subject(SHAPE, &X, &S);
    let found = value(&Faithfulness::default(), &mut example(), &own);
    close(found, 0.839_886_7);
    let mindspore = Faithfulness {
        mindspore: true,
        ..Faithfulness::default()
    };
    let white = Subject {
        fill: Fill::Colour([1.0; MAX_CHANNELS]),
        ..own
    };
    close(value(&mindspore, &mut example(), &white), 0.919_943_3);
    assert_ne!(
        value(&Faithfulness::default(), &mut example(), &white),
        found
    );
}

#[test]
fn a_score_that_never_moves_has_no_correlation() {
    let mut still = Net::new(SHAPE, 2, |_, _| 0.5);
    let own = subject(SHAPE, &X, &S);
    for metric in [
        &Faithfulness::default() as &dyn Metric,
        &MuFidelity::default(),
    ] {
        assert_eq!(undefined(metric, &mut still, &own), "the score never moves");
    }
    let mindspore = Faithfulness {
        mindspore: true,
        ..Faithfulness::default()
    };
    close(value(&mindspore, &mut still, &own), 0.5);
    close(
        value(&mindspore, &mut still, &subject(SHAPE, &X, &[2.0; 16])),
        0.5,
    );
    let flat = subject(SHAPE, &X, &[2.0; 16]);
    let found = undefined(&Faithfulness::default(), &mut example(), &flat);
    assert_eq!(found, "the evidence is flat");
    assert_eq!(
        undefined(&MuFidelity::default(), &mut example(), &flat),
        "the map is flat"
    );
    let shape = Shape::new(1, 3, 1);
    let mut net = Net::new(shape, 1, |x, _| f64::from(x[0]));
    let few = subject(shape, &X, &S);
    assert_eq!(
        undefined(&Faithfulness::default(), &mut net, &few),
        "the picture has too few pixels"
    );
}

/// In a linear network w (x - b) says exactly what goes with a part: the
/// correlation is 1, and -1 for its opposite.
#[test]
fn mu_fidelity_of_a_linear_network() {
    let shape = Shape::new(20, 23, 2);
    let wave = |step: f32| move |i: usize| (i as f32 * step).sin();
    let x: Vec<f32> = (0..shape.len()).map(wave(0.9)).collect();
    let weights = [(0..shape.len()).map(wave(1.7)).collect::<Vec<f32>>()];
    let mut net = Net::linear(shape, &weights);
    let evidence = vec![1.0; shape.area()];
    for sign in [1.0, -1.0] {
        let pairs = weights[0].iter().zip(&x).enumerate();
        let own = |(i, (w, x)): (usize, (&f32, &f32))| sign * w * (x - [0.25, -0.5][i % 2]);
        let map: Vec<f32> = pairs.map(own).collect();
        let own = Subject {
            fill: Fill::Colour([0.25, -0.5, 0.0, 0.0]),
            attribution: Attribution {
                shape,
                values: &map,
                score: Score::Logit,
            },
            ..subject(shape, &x, &evidence)
        };
        let found = value(&MuFidelity::default(), &mut net, &own);
        assert!((found - f64::from(sign)).abs() < 1e-3, "{found}");
    }
}

/// One cell of a 2x2 grid goes at a time; each of the four is drawn, and each
/// subset takes exactly one.
#[test]
fn mu_fidelity_takes_the_share_it_says() {
    let shape = Shape::new(6, 6, 1);
    let x = [1.0; 36];
    let gone = core::cell::RefCell::new(Vec::new());
    let mut net = Net::new(shape, 1, |x, _| {
        let corner = [0, 5, 30, 35].map(|i| x[i] == 0.0);
        let hidden = x.iter().filter(|v| **v == 0.0).count();
        gone.borrow_mut().push((hidden, corner));
        f64::from(x[0])
    });
    let map: Vec<f32> = (0..36).map(|i| i as f32).collect();
    let metric = MuFidelity {
        samples: 40,
        grid: 2,
        ..MuFidelity::default()
    };
    let (found, _) = run(&metric, &mut net, &subject(shape, &x, &map));
    assert!(found.value().is_some());
    let gone = gone.borrow();
    let mut drawn = [0; 4];
    for (hidden, corner) in gone.iter().skip(1).take(40) {
        assert_eq!((*hidden, corner.iter().filter(|c| **c).count()), (9, 1));
        (0..4).for_each(|i| drawn[i] += usize::from(corner[i]));
    }
    assert!(drawn.iter().all(|n| (4..=18).contains(n)), "{drawn:?}");
}

/// A map of another resolution counts as it is shown: enlarged.
#[test]
fn maps_of_a_layer_are_enlarged() {
    let coarse = [1.0, 0.0, 0.0, 0.0];
    let map = Attribution {
        shape: Shape::new(2, 2, 1),
        values: &coarse,
        score: Score::Logit,
    };
    let mut fine = [0.0; 16];
    super::super::signed::pixels(&map, SHAPE, &mut fine).unwrap();
    assert_eq!(fine[..4], [1.0, 0.75, 0.25, 0.0]);
    let mut both = [9.0; 32];
    super::super::signed::elements(&map, Shape::new(4, 4, 2), &mut both).unwrap();
    assert_eq!(both[..8], [0.5, 0.5, 0.375, 0.375, 0.125, 0.125, 0.0, 0.0]);
    let wrong = Attribution {
        shape: Shape::new(2, 1, 2),
        ..map
    };
    let error = super::super::signed::pixels(&wrong, SHAPE, &mut fine).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }));
}
