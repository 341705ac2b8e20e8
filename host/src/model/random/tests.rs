use super::*;

/// Random weights of a layer of 3 output channels, as the operator lays them out.
fn int8() -> Vec<i8> {
    (0..3 * 40).map(|i| (i * 37 % 251 - 125) as i8).collect()
}

fn sorted(values: impl Iterator<Item = i8>) -> Vec<i8> {
    let mut values: Vec<i8> = values.collect();
    values.sort_unstable();
    values
}

/// Each channel keeps its weights, elsewhere.
#[test]
fn int8_weights_stay_in_their_channel() {
    let before = int8();
    let mut dense = before.clone();
    permute(&mut dense, (Op::Dense, 3), 7, 5);
    for (old, new) in before.chunks(40).zip(dense.chunks(40)) {
        assert_ne!(old, new);
        let [old, new] = [old, new].map(|c| sorted(c.iter().copied()));
        assert_eq!(old, new);
    }
    let geometry = foveola_core::net::op::Geometry {
        kernel: [5, 8],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let mut depthwise = before.clone();
    permute(&mut depthwise, (Op::Depthwise { geometry }, 3), 7, 5);
    assert_ne!(before, depthwise);
    for channel in 0..3 {
        let own = |values: &[i8]| sorted(values.iter().skip(channel).step_by(3).copied());
        assert_eq!(own(&before), own(&depthwise));
    }
}

/// No place keeps its weight more often than chance has it (1 in 40).
#[test]
fn every_order_is_as_likely() {
    let mut kept = 0;
    for seed in 0..200 {
        let before: Vec<i8> = (0..40).collect();
        let mut after = before.clone();
        permute(&mut after, (Op::Dense, 1), seed, 0);
        kept += before.iter().zip(&after).filter(|(a, b)| a == b).count();
    }
    // 200 expected; Poisson, four standard deviations.
    assert!((143..=257).contains(&kept), "{kept}");
}

#[test]
fn f32_weights_keep_mean_and_deviation() {
    let before: Vec<f32> = (0..9001).map(|i| (i % 7) as f32 + 10.0).collect();
    let mut after = before.clone();
    redraw(&mut after, 1, 2, 0);
    let mean = after.iter().sum::<f32>() / 9001.0;
    let variance = after.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 9001.0;
    assert!((mean - 13.0).abs() < 0.1, "{mean}");
    assert!((variance - 4.0).abs() < 0.25, "{variance}");
    let close = before
        .iter()
        .zip(&after)
        .filter(|(a, b)| (**a - **b).abs() < 0.01);
    assert!(close.count() < 60);
    let mut other = before;
    redraw(&mut other, 1, 3, 0);
    assert_ne!(after, other);
}
