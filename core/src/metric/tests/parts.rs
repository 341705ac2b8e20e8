use super::*;
use crate::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use core::cell::RefCell;

fn part(seen: &Seen, name: &str) -> f64 {
    seen.parts.iter().find(|p| p.0 == name).unwrap().1
}

/// 20 % of 16 pixels are 3: numbers 5, 1 and 4 of the example.
#[test]
fn what_stays_and_what_goes() {
    let own = subject(SHAPE, &X, &S);
    let top = |i: usize| [5, 1, 4].contains(&i);
    let whole = probability(|_| true);
    let (found, seen) = run(&KeepOnly::default(), &mut example(), &own);
    close(found.value().unwrap(), probability(top) / whole);
    close(part(&seen, "ratio"), probability(top) / whole);
    assert_eq!(part(&seen, "stays"), 1.0);
    let (found, seen) = run(&RemoveOnly::default(), &mut example(), &own);
    close(found.value().unwrap(), probability(|i| !top(i)) / whole);
    assert_eq!(part(&seen, "goes"), 1.0);
    let most = RemoveOnly { share: 0.05 };
    let (_, seen) = run(&most, &mut example(), &own);
    assert_eq!(part(&seen, "goes"), 0.0);
    // More than all of the probability still counts as all of it.
    let mut less = Net::new(SHAPE, 1, |x, _| {
        1.0 / (1.0 + x.iter().map(|v| f64::from(*v)).sum::<f64>())
    });
    let (found, seen) = run(&KeepOnly::default(), &mut less, &own);
    assert_eq!(found, Scored::Value(1.0));
    close(part(&seen, "ratio"), 7.4 / 3.6);
    assert!(seen.parts.iter().all(|p| p.0 != "stays"));
}

#[test]
fn shares_of_nothing_are_undefined() {
    let mut never = Net::new(SHAPE, 2, |_, k| k as f64);
    let own = subject(SHAPE, &X, &S);
    for metric in [
        &KeepOnly::default() as &dyn Metric,
        &RemoveOnly::default(),
        &AverageDrop,
    ] {
        let found = undefined(metric, &mut never, &own);
        assert_eq!(found, "the probability is 0");
    }
    let certain = Subject { target: 1, ..own };
    let found = undefined(&AverageGain, &mut never, &certain);
    assert_eq!(found, "the probability is 1");
    let scratch = &mut [0.0; 99];
    for share in [0.0, 1.0, f32::NAN] {
        let error = KeepOnly { share }.score(
            &mut example(),
            &own,
            &mut Finished,
            scratch,
            &mut crate::explain::Silent,
        );
        assert_eq!(
            error,
            Err(Error::BadParameter("share of the strongest pixels"))
        );
    }
}

/// Weights (s - 0.01) / 0.99 over black, in a sum of weighted pixels.
#[test]
fn drop_increase_and_gain_behind_the_map() {
    let own = subject(SHAPE, &X, &S);
    let behind: f64 = (0..16)
        .map(|i| f64::from(X[i] * W[i]) * (f64::from(S[i]) - 0.01) / 0.99)
        .sum();
    let after = 1.0 / (1.0 + (3.0 - 2.0 * behind).exp());
    let before = probability(|_| true);
    assert!(after < before);
    close(
        value(&AverageDrop, &mut example(), &own),
        (before - after) / before,
    );
    assert_eq!(value(&AverageIncrease, &mut example(), &own), 0.0);
    assert_eq!(value(&AverageGain, &mut example(), &own), 0.0);
    let other = Subject { target: 1, ..own };
    assert_eq!(value(&AverageDrop, &mut example(), &other), 0.0);
    assert_eq!(value(&AverageIncrease, &mut example(), &other), 1.0);
    let gain = (before - after) / before;
    close(value(&AverageGain, &mut example(), &other), gain);
}

/// Class 0 is the first pixel, class 1 the mean of the others: it wins before
/// two of three backgrounds, and where it is all that is left.
#[test]
fn backgrounds_are_swapped() {
    let shape = Shape::new(2, 2, 1);
    let mut net = Net::new(shape, 2, |x, k| match k {
        0 => f64::from(x[0]),
        _ => x[1..].iter().map(|v| f64::from(*v)).sum::<f64>() / 3.0,
    });
    let x = [0.6, 0.1, 0.1, 0.1];
    let others = [[0.0; 4], [0.9; 4], [0.0, 0.5, 0.5, 0.5], [0.7; 4]];
    let backgrounds: Vec<_> = others.iter().map(|b| tensor(shape, b)).collect();
    let evidence = [1.0, 0.2, 0.1, 0.0];
    let own = Subject {
        backgrounds: &backgrounds,
        ..subject(shape, &x, &evidence)
    };
    let (found, seen) = run(&BackgroundSwap::default(), &mut net, &own);
    assert_eq!(found, Scored::Value(0.5));
    close(part(&seen, "ratio"), 1.0);
    assert_eq!(part(&seen, "backgrounds"), 4.0);
    let first = BackgroundSwap {
        backgrounds: 1,
        ..BackgroundSwap::default()
    };
    assert_eq!(value(&first, &mut net, &own), 1.0);
    // The region is the last pixel: the first one comes from the background.
    let region = BackgroundSwap {
        keep: Foreground::Region,
        ..BackgroundSwap::default()
    };
    assert_eq!(
        undefined(&region, &mut net, &own),
        "nobody said where the object is"
    );
    let last = Subject {
        region: Some(&[0, 0, 0, 7]),
        ..own
    };
    // 0 > .1/3 no; .9 > 1.9/3; 0 > 1.1/3 no; .7 > 1.5/3.
    assert_eq!(value(&region, &mut net, &last), 0.5);
    let all = Subject {
        region: Some(&[1; 4]),
        ..own
    };
    assert_eq!(
        undefined(&region, &mut net, &all),
        "the object covers all of the picture"
    );
    let none = subject(shape, &x, &evidence);
    let found = undefined(&BackgroundSwap::default(), &mut net, &none);
    assert_eq!(found, "there are no other backgrounds");
    let mut one = Net::new(shape, 1, |x, _| f64::from(x[0]));
    let found = undefined(&BackgroundSwap::default(), &mut one, &own);
    assert_eq!(found, "the network has one class");
}

/// Net L of `spec/vectors`: of 56x56 pixels a box of 28x28 is enough.
#[test]
fn a_quarter_is_sufficient() {
    let shape = Shape::new(56, 56, 1);
    let weight = |i: usize| {
        let (y, x) = ((i / 56) as f64 - 17.0, (i % 56) as f64 - 38.0);
        (-(x * x + y * y) / 72.0).exp()
    };
    let total: f64 = (0..56 * 56).map(weight).sum();
    let mut net = Net::new(shape, 1, move |x, _| {
        let t: f64 = x
            .iter()
            .enumerate()
            .map(|(i, v)| weight(i) * f64::from(*v))
            .sum();
        1.0 / (1.0 + (6.0 - 12.0 * t / total).exp())
    });
    let (mut steps, mut boxes) = ([Step::UNUSED; 64], [UNUSED_WINDOW; 64]);
    let metric = SufficientRegion {
        threshold: 0.5,
        windows: &[],
        strides: &[],
        storage: RefCell::new(Storage {
            steps: &mut steps,
            boxes: &mut boxes,
        }),
    };
    let x = [1.0; 56 * 56];
    let own = subject(shape, &x, &x);
    let (found, seen) = run(&metric, &mut net, &own);
    assert_eq!(found, Scored::Value(0.25));
    close(part(&seen, "probability"), 0.996_037);
    let mut never = Net::new(shape, 1, |_, _| 0.4);
    let reason = "the score of the picture as it is does not exceed the threshold";
    assert_eq!(undefined(&metric, &mut never, &own), reason);
}
