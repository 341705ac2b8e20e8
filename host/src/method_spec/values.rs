//! Parameters as values for the report.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Baseline, Parameters, relevance, sides, white_box};

/// Values by name, built up one by one.
#[derive(Default)]
pub(super) struct Values(BTreeMap<&'static str, Value>);

impl Values {
    pub(super) fn put(mut self, key: &'static str, value: impl Serialize) -> Self {
        self.0.insert(key, json!(value));
        self
    }

    /// A value, if there is one.
    pub(super) fn may(self, key: &'static str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// A list, if it is not empty.
    fn list(self, key: &'static str, list: &[usize]) -> Self {
        self.may(key, (!list.is_empty()).then_some(list))
    }

    pub(super) fn baseline(self, baseline: Baseline) -> Self {
        match baseline {
            Baseline::Number(number) => self.put("baseline", decimal(number)),
            named => self.put("baseline", named.to_string()),
        }
    }

    fn compat(self, mindspore: bool) -> Self {
        self.may("compat", mindspore.then_some("mindspore"))
    }
}

/// A number as it is written: a whole one without a point.
pub(super) fn decimal_of(number: f64) -> Value {
    if number.fract() == 0.0 {
        return json!(number as u64);
    }
    json!(number)
}

/// The shortest decimal that reads back as this number: 0.1 stays 0.1.
pub(super) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// All parameters; what is left to the method is absent.
pub fn of(parameters: &Parameters) -> BTreeMap<&'static str, Value> {
    let none = Values::default();
    let values = match parameters {
        Parameters::Plain => none,
        Parameters::GradCam {
            layer,
            relu,
            counterfactual,
        } => none
            .may("layer", layer.as_ref())
            .put("relu", relu)
            .may("counterfactual", counterfactual.then_some(true)),
        Parameters::Noise {
            samples,
            noise,
            file,
        } => none
            .put("samples", samples)
            .put("noise", decimal(*noise))
            .may("file", file.as_ref()),
        Parameters::Path { .. } => white_box::path(parameters, none),
        Parameters::Ascent(ascent) => white_box::ascent(ascent, none),
        Parameters::Relevance(rules) => relevance::values(rules, none),
        Parameters::OnLayer { layer, kind } => {
            white_box::on_layer(kind, none.may("layer", layer.as_ref()))
        }
        Parameters::Occlusion {
            window,
            stride,
            baseline,
            mindspore,
        } => none
            .may("window", window.map(sides))
            .may("stride", stride.map(sides))
            .baseline(*baseline)
            .compat(*mindspore),
        Parameters::Rise { .. } => rise(none, parameters),
        Parameters::Hoc {
            cover,
            threshold,
            windows,
            strides,
            beam,
            minimal,
            baseline,
        } => none
            .may("beam", (*beam > 1).then_some(beam))
            .may("minimal", minimal.then_some(true))
            .put("mode", if *cover { "cover" } else { "reveal" })
            .put("threshold", decimal(*threshold))
            .list("windows", windows)
            .list("strides", strides)
            .baseline(*baseline),
        Parameters::Segmented(segmented) => segmented.put(none),
        Parameters::Aise {
            widths,
            samples,
            epsilon,
            baseline,
        } => {
            let widths: Vec<String> = widths.iter().map(f32::to_string).collect();
            none.put("widths", widths.join("/"))
                .put("samples", samples)
                .put("epsilon", decimal(*epsilon))
                .baseline(*baseline)
        }
        Parameters::MeaningfulPerturbation {
            grid,
            steps,
            rate,
            sparsity,
            smoothness,
            pairs,
            against,
            baseline,
        } => none
            .may("grid", *grid)
            .may("against", against.as_ref())
            .put("steps", steps)
            .put("rate", decimal(*rate))
            .put("sparsity", decimal(*sparsity))
            .put("smoothness", decimal(*smoothness))
            .put("pairs", pairs)
            .baseline(*baseline),
    };
    values.0
}

fn rise(none: Values, parameters: &Parameters) -> Values {
    let Parameters::Rise {
        masks,
        grid,
        keep,
        baseline,
        file,
        by_coverage,
        estimator,
        tolerance,
        even,
        mindspore,
    } = parameters
    else {
        return none;
    };
    let divisor = if *by_coverage { "coverage" } else { "keep" };
    none.may("masks", *masks)
        .may("grid", *grid)
        .put("keep", decimal(*keep))
        .baseline(*baseline)
        .may("file", file.as_ref())
        .put("divisor", divisor)
        .may("estimator", estimator.unusual())
        .may("tolerance", tolerance.map(decimal))
        .may("sequence", even.then_some("sobol"))
        .compat(*mindspore)
}
