//! Numbers that a method finds beside its map.

use std::collections::BTreeMap;

/// Numbers by name, as the method names them.
pub type Figures = BTreeMap<&'static str, f64>;

/// Maps by name, each of the shape of the map that they come with.
pub type Companions = BTreeMap<&'static str, Vec<f32>>;

/// What they say, in words; `None` for methods whose numbers say nothing to people.
pub(super) fn statement(method: &str, figures: &Figures) -> Option<String> {
    let get = |name| figures.get(name).copied();
    match method {
        "lime" | "kernel-shap" => {
            let r2 = get("r2")?;
            Some(format!(
                "a sum over segments explains {:.0} % of how the score varies (R2)",
                100.0 * r2
            ))
        }
        "anchors" => {
            let share = |name| Some(format!("{:.0} %", 100.0 * get(name)?));
            let kept = match get("segments")? {
                0.0 => String::from("whatever is hidden"),
                1.0 => String::from("as long as 1 segment is kept"),
                n => format!("as long as {n} segments are kept"),
            };
            let found = format!(
                "it stays the prediction {kept}, with a precision of {} ({} to {}) and a coverage of {:.2} %",
                share("precision")?,
                share("precision_low")?,
                share("precision_high")?,
                100.0 * get("coverage")?
            );
            Some(match get("qualifies") {
                Some(1.0) => found,
                _ => format!("no anchor qualifies, the best candidate: {found}"),
            })
        }
        "integrated-gradients" => Some(format!(
            "its sum misses the change of the score by {:.3} after {} steps",
            get("completeness_error")?,
            get("steps")?
        )),
        "lrp" => Some(format!(
            "biases took {:.3} of its score and stabilisers {:.3}",
            get("taken_by_bias")?,
            get("taken_by_stabiliser")?
        )),
        "meaningful-perturbation" => {
            let steps = get("steps")?;
            Some(match get("became")? {
                1.0 => format!("it becomes the other class after {steps} steps"),
                _ => format!("it does not become the other class in {steps} steps"),
            })
        }
        "aise" => Some(format!(
            "the best window is at {:.0} % from the top and {:.0} % from the left, worth {:.3}",
            100.0 * get("row")?,
            100.0 * get("column")?,
            get("best")?
        )),
        "activation-maximisation" => Some(format!(
            "the score rises from {:.3} to {:.3}",
            get("score_before")?,
            get("score")?
        )),
        "full-grad" => Some(format!(
            "its parts miss the score by {:.3}",
            get("completeness_error")?
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_flagged() {
        let mut figures = Figures::from([
            ("segments", 2.0),
            ("precision", 0.97),
            ("precision_low", 0.91),
            ("precision_high", 1.0),
            ("coverage", 0.25),
            ("qualifies", 1.0),
        ]);
        let said = statement("anchors", &figures).expect("words");
        assert_eq!(
            said,
            "it stays the prediction as long as 2 segments are kept, with a precision of 97 % \
             (91 % to 100 %) and a coverage of 25.00 %"
        );
        figures.insert("qualifies", 0.0);
        let said = statement("anchors", &figures).expect("words");
        assert!(said.starts_with("no anchor qualifies"), "{said}");
        assert_eq!(statement("rise", &figures), None);
    }
}
