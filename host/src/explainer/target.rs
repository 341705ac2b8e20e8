//! Which classes are explained.

use std::convert::Infallible;
use std::str::FromStr;

use super::Question;
use crate::card::label;
use crate::method_spec::MethodSpec;
use crate::suggest::hint;

/// A class as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The class with the highest probability.
    Top,
    /// Every class above the threshold.
    Predicted,
    /// A class by its index, or else by its label.
    Named(String),
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "top" => Self::Top,
            "predicted" => Self::Predicted,
            other => Self::Named(other.to_string()),
        })
    }
}

/// Why there is no class to explain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// An index beyond the last class.
    #[error("target {target} is out of range: the model has {classes} classes, 0 to {}", classes - 1)]
    OutOfRange {
        /// What was asked for.
        target: usize,
        /// Number of classes.
        classes: usize,
    },
    /// No class has this label.
    #[error("no class is called `{label}`: {hint}")]
    Label {
        /// What was asked for.
        label: String,
        /// The nearest labels.
        hint: String,
    },
    /// Several classes have this label.
    #[error("`{label}` names {} classes ({}); give the index", classes.len(), list(classes))]
    Ambiguous {
        /// What was asked for.
        label: String,
        /// The classes.
        classes: Vec<usize>,
    },
    /// A label for a model without labels.
    #[error("the model has no labels, so `{0}` names no class; give an index, or `--labels FILE`")]
    NoLabels(String),
    /// A class that is held against itself.
    #[error("{0} cannot be held against itself")]
    Itself(String),
    /// No class is predicted.
    #[error(
        "no class is above the threshold of {threshold}: the best, {best}, has {probability:.3}"
    )]
    NonePredicted {
        /// The threshold.
        threshold: f32,
        /// The best class.
        best: String,
        /// Its probability.
        probability: f32,
    },
}

fn list(classes: &[usize]) -> String {
    let shown: Vec<String> = classes.iter().take(8).map(usize::to_string).collect();
    shown.join(", ")
}

/// The index of the highest value, the first among equals.
pub fn best(values: &[f32]) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (0..values.len()).reduce(better).unwrap_or(0)
}

/// The classes that a question is about, each once, in the order asked.
pub fn choose(
    question: &Question,
    probabilities: &[f32],
    labels: &[String],
) -> Result<Vec<usize>, TargetError> {
    let mut targets = Vec::new();
    for target in &question.targets {
        let found = match target {
            Target::Top => vec![best(probabilities)],
            Target::Predicted => predicted(probabilities, question.threshold, labels)?,
            Target::Named(name) => vec![named(name, probabilities.len(), labels)?],
        };
        for class in found {
            if !targets.contains(&class) {
                targets.push(class);
            }
        }
    }
    Ok(targets)
}

/// The class that all of `targets` are held against, if there is one. Of the
/// predicted classes it is the best.
pub fn rival(
    question: &Question,
    targets: &[usize],
    probabilities: &[f32],
    labels: &[String],
) -> Result<Option<usize>, TargetError> {
    let rival = match &question.against {
        None => return Ok(None),
        Some(Target::Named(name)) => named(name, probabilities.len(), labels)?,
        Some(Target::Top | Target::Predicted) => best(probabilities),
    };
    match targets.contains(&rival) {
        true => Err(TargetError::Itself(label(labels, rival))),
        false => Ok(Some(rival)),
    }
}

/// A method with the class that it holds `targets` against itself, if it does:
/// its own, or else the question's rival.
pub fn with_rival(
    spec: &MethodSpec,
    targets: &[usize],
    rival: Option<usize>,
    (classes, labels): (usize, &[String]),
) -> Result<MethodSpec, TargetError> {
    let own = spec.against().map(|name| named(name, classes, labels));
    let Some(class) = own.transpose()?.or(rival) else {
        return Ok(spec.clone());
    };
    match targets.contains(&class) && spec.against().is_some() {
        true => Err(TargetError::Itself(label(labels, class))),
        false => Ok(spec.clone().with_against(class)),
    }
}

fn predicted(
    probabilities: &[f32],
    threshold: f32,
    labels: &[String],
) -> Result<Vec<usize>, TargetError> {
    let above = |i: &usize| probabilities[*i] > threshold;
    let mut found: Vec<usize> = (0..probabilities.len()).filter(above).collect();
    found.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    if !found.is_empty() {
        return Ok(found);
    }
    let best = best(probabilities);
    Err(TargetError::NonePredicted {
        threshold,
        best: label(labels, best),
        probability: probabilities[best],
    })
}

/// An index, a label, or one of the names in a label of several
/// (`tabby, tabby cat`); case does not matter.
fn named(name: &str, classes: usize, labels: &[String]) -> Result<usize, TargetError> {
    if let Ok(target) = name.parse::<usize>() {
        return match target < classes {
            true => Ok(target),
            false => Err(TargetError::OutOfRange { target, classes }),
        };
    }
    if labels.is_empty() {
        return Err(TargetError::NoLabels(name.to_string()));
    }
    let wanted = name.trim().to_lowercase();
    let whole = |label: &String| label.trim().to_lowercase() == wanted;
    let part = |label: &String| label.to_lowercase().split(',').any(|p| p.trim() == wanted);
    let with = |test: &dyn Fn(&String) -> bool| -> Vec<usize> {
        (0..labels.len()).filter(|&i| test(&labels[i])).collect()
    };
    let found = match with(&whole) {
        found if found.is_empty() => with(&part),
        found => found,
    };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(TargetError::Label {
            label: name.to_string(),
            hint: hint(name, labels.iter().map(String::as_str)),
        }),
        many => Err(TargetError::Ambiguous {
            label: name.to_string(),
            classes: many.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(targets: &[&str]) -> Result<Vec<usize>, TargetError> {
        let labels = [
            "background",
            "tabby, tabby cat",
            "crane",
            "crane",
            "goldfish",
        ];
        let labels: Vec<String> = labels.map(String::from).to_vec();
        let mut question = Question::of([]).unwrap();
        question.targets = targets.iter().map(|t| t.parse().unwrap()).collect();
        question.threshold = 0.15;
        choose(&question, &[0.1, 0.2, 0.1, 0.1, 0.5], &labels)
    }

    #[test]
    fn classes_come_once_in_the_order_asked() {
        assert_eq!(ask(&["top"]).unwrap(), [4]);
        assert_eq!(ask(&["predicted"]).unwrap(), [4, 1]);
        assert_eq!(
            ask(&["0", "top", "goldfish", "Tabby Cat"]).unwrap(),
            [0, 4, 1]
        );
    }

    #[test]
    fn mistakes_are_explained() {
        let cases = [
            ("5", "0 to 4"),
            ("goldfihs", "did you mean `goldfish`?"),
            ("crane", "2, 3"),
            ("-1", "no class is called"),
        ];
        for (target, part) in cases {
            let message = ask(&[target]).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_rival_is_another_class() {
        let mut question = Question::of([]).unwrap();
        let labels = ["cat", "dog", "owl"].map(String::from);
        let mut ask = |against: &str, targets: &[usize]| {
            question.against = Some(against.parse().unwrap());
            rival(&question, targets, &[0.2, 0.7, 0.1], &labels)
        };
        assert_eq!(ask("owl", &[1, 0]), Ok(Some(2)));
        assert_eq!(ask("top", &[0]), Ok(Some(1)));
        let message = ask("dog", &[0, 1]).unwrap_err().to_string();
        assert_eq!(message, "dog cannot be held against itself");
        assert_eq!(
            rival(&Question::of([]).unwrap(), &[0], &[1.0], &labels),
            Ok(None)
        );
    }

    #[test]
    fn nothing_predicted_is_said() {
        let mut question = Question::of([]).unwrap();
        question.targets = vec![Target::Predicted];
        let message = choose(&question, &[0.3, 0.4], &[]).unwrap_err().to_string();
        assert!(
            message.contains("class 1") && message.contains("0.400"),
            "{message}"
        );
        question.targets = vec![Target::Named(String::from("cat"))];
        let message = choose(&question, &[0.3, 0.4], &[]).unwrap_err().to_string();
        assert!(message.contains("no labels"), "{message}");
    }
}
