use super::*;

/// `spec/vectors`: trapezoid over both ends, 4 steps.
#[test]
fn curves_of_the_numeric_example() {
    let subject = subject(SHAPE, &X, &S);
    let deletion = Deletion {
        steps: 4,
        ..Deletion::default()
    };
    let insertion = Insertion {
        steps: 4,
        ..Insertion::default()
    };
    let (found, seen) = run(&deletion, &mut example(), &subject);
    close(found.value().unwrap(), 0.189_298_4);
    let shares: Vec<f64> = seen.points.iter().map(|p| p.1).collect();
    assert_eq!(shares, [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert!(seen.points.iter().all(|p| p.0 == "deletion"));
    close(seen.points[0].2, 0.974_913_038);
    close(value(&insertion, &mut example(), &subject), 0.844_335_3);
}

/// With one pixel a step and a score that is linear in the picture, insertion
/// is sum of weights by rank: pixel of rank r shows from step r + 1 on.
#[test]
fn linear_scores_in_closed_form() {
    let x: Vec<f32> = (0..12).map(|i| 1.0 + (i as f32 * 0.9).sin()).collect();
    let evidence: Vec<f32> = (0..12).map(|i| ((i * 7) % 12) as f32).collect();
    let shape = Shape::new(3, 4, 1);
    let mut net = Net::new(shape, 1, |x, _| x.iter().map(|v| f64::from(*v)).sum());
    let subject = subject(shape, &x, &evidence);
    let expected: f64 = (0..12)
        .map(|i| {
            let rank = 11.0 - f64::from(evidence[i]);
            f64::from(x[i]) * (12.0 - rank - 0.5) / 12.0
        })
        .sum();
    let score = Score::Logit;
    let insertion = Insertion {
        score,
        ..Insertion::default()
    };
    let deletion = Deletion {
        score,
        ..Deletion::default()
    };
    close(value(&insertion, &mut net, &subject), expected);
    let whole: f64 = x.iter().map(|v| f64::from(*v)).sum();
    close(value(&deletion, &mut net, &subject), whole - expected);
}

/// MindSpore's formula written out on predictions computed one by one.
#[test]
fn mindspore_keeps_its_formula() {
    let mut order: Vec<usize> = (0..16).collect();
    order.sort_by(|a, b| S[*b].total_cmp(&S[*a]));
    let rank = |i: usize| order.iter().position(|o| *o == i).unwrap();
    let area = |changes: [f64; 4]| (changes[1] + changes[2]) / 4.0;
    let drops = [2, 4, 6, 8].map(|n| probability(|_| true) - probability(|i| rank(i) >= n));
    let rises = [2, 4, 6, 8].map(|n| probability(|i| rank(i) < n) - probability(|_| false));
    let mut own = subject(SHAPE, &X, &S);
    own.fill = Fill::Colour([9.0; MAX_CHANNELS]);
    let deletion = Deletion {
        mindspore: true,
        ..Deletion::default()
    };
    let insertion = Insertion {
        mindspore: true,
        ..Insertion::default()
    };
    close(
        value(&deletion, &mut example(), &own),
        f64::midpoint(1.0, 1.0 - area(drops)),
    );
    close(
        value(&insertion, &mut example(), &own),
        f64::midpoint(1.0, area(rises)),
    );
}

#[test]
fn what_cannot_be_ranked_is_undefined() {
    let flat = [0.5; 16];
    let mut infinite = S;
    infinite[3] = f32::INFINITY;
    for (evidence, reason) in [
        (&flat, "the evidence is flat"),
        (&infinite, "the evidence is not finite"),
    ] {
        let subject = subject(SHAPE, &X, evidence);
        let (found, _) = run(&Deletion::default(), &mut example(), &subject);
        assert_eq!(found, Scored::Undefined(reason));
    }
    let shape = Shape::new(1, 1, 1);
    let mut net = Net::new(shape, 1, |x, _| f64::from(x[0]));
    let (found, _) = run(
        &Insertion::default(),
        &mut net,
        &subject(shape, &[0.3], &[1.0]),
    );
    assert_eq!(found, Scored::Undefined("the picture has one pixel"));
}

#[test]
fn wrong_subjects_and_stops_are_errors() {
    let mut scratch = [0.0; 99];
    let metric = Deletion::default();
    let mut score = |subject: &Subject<'_>, witness: &mut dyn Witness| {
        metric.score(
            &mut example(),
            subject,
            &mut Finished,
            &mut scratch,
            witness,
        )
    };
    let good = subject(SHAPE, &X, &S);
    assert_eq!(score(&good, &mut StopAfter(3)), Err(Error::Stopped));
    let mut silent = crate::explain::Silent;
    let target = Subject { target: 2, ..good };
    assert_eq!(
        score(&target, &mut silent),
        Err(Error::TargetOutOfRange {
            target: 2,
            classes: 2
        })
    );
    let short = Subject {
        evidence: &S[1..],
        ..good
    };
    let error = Error::BufferTooSmall { need: 16, have: 15 };
    assert_eq!(score(&short, &mut silent), Err(error));
}
