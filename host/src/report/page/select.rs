//! Which pictures go into the page: the worst of every class first.

use std::collections::BTreeMap;

use crate::run::view::{Answer, Flag, Run, Sample, Verdict};

/// Numbers of all samples, the most worth a look first: classes take turns,
/// each with the worst that it has left.
pub fn order(run: &Run) -> Vec<usize> {
    let mut groups: BTreeMap<Option<usize>, Vec<(f64, usize)>> = BTreeMap::new();
    for (i, sample) in run.samples.iter().enumerate() {
        let class = sample.truth.first().copied();
        let class = class.or_else(|| sample.answers.first().map(|a| a.label));
        let group = groups.entry(class).or_default();
        group.push((concern(sample), i));
    }
    let mut queues: Vec<_> = groups.into_values().collect();
    for queue in &mut queues {
        queue.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    let rounds = queues.iter().map(Vec::len).max().unwrap_or(0);
    let turn = |round: usize| queues.iter().filter_map(move |q| q.get(round));
    (0..rounds).flat_map(turn).map(|&(_, i)| i).collect()
}

/// How much a picture is worth a look: what kind of fault, then how sure the
/// network was of it.
fn concern(sample: &Sample) -> f64 {
    let answers = sample.answers.iter().map(|a| answer_concern(sample, a));
    let doubt = 1.0 - sample.margin.unwrap_or(1.0).clamp(0.0, 1.0);
    answers.fold(doubt, f64::max)
}

fn answer_concern(sample: &Sample, answer: &Answer) -> f64 {
    let p = f64::from(
        sample
            .probabilities
            .get(answer.label)
            .copied()
            .unwrap_or(0.0),
    );
    match (answer.verdict, answer.flag) {
        (Some(Verdict::Wrong), Flag::FalseNegative) => 3.0 + (1.0 - p),
        (Some(Verdict::Wrong), _) => 3.0 + p,
        (Some(Verdict::RightWrongReason), _) => 2.0 + p,
        (Some(Verdict::Right), _) => 0.0,
        (None, _) => answer.uncertainty.map_or(0.0, |u| u.deviation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(truth: usize, verdict: Verdict, p: f32) -> Sample {
        let answer = Answer {
            label: truth,
            flag: Flag::TruePositive,
            verdict: Some(verdict),
            looked_at: None,
            uncertainty: None,
            maps: Vec::new(),
            agreement: Vec::new(),
            region: None,
            nearest: Vec::new(),
        };
        Sample {
            truth: vec![truth],
            probabilities: vec![p; 3],
            answers: vec![answer],
            margin: Some(1.0),
            ..Sample::default()
        }
    }

    #[test]
    fn classes_take_turns_with_their_worst() {
        use Verdict::{Right, RightWrongReason, Wrong};
        let run = Run {
            samples: vec![
                sample(0, Right, 0.9),
                sample(0, Wrong, 0.7),
                sample(0, Wrong, 0.8),
                sample(2, Right, 0.9),
                sample(2, RightWrongReason, 0.6),
                sample(1, Right, 0.9),
            ],
            ..Run::default()
        };
        assert_eq!(order(&run), [2, 5, 4, 1, 3, 0]);
    }
}
