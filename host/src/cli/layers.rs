//! `foveola layers`: what a layer holds, and the sum behind one number of it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::CliError;
use super::model_args::ModelArgs;
use super::table::{lay_out, row};
use crate::activations::{Activations, LayerValues, Sum, Term};
use crate::model::OpenModel;
use crate::photo::Photo;
use crate::report::activation_sheet::{Span, draw};
use crate::report::colour::short_number;
use crate::report::files::{npy, png};
use crate::report::folder::OutputFolder;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  foveola layers model.onnx photo.jpg                              # every layer: shape, range, share of zeros
  foveola layers model.onnx photo.jpg --layer /layer4/Relu_output_0 -o maps/    # its channels as a picture
  foveola layers model.onnx photo.jpg --layer /conv1/Conv_output_0 --value 3,10,12   # window, products, sum")]
pub struct LayersArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Picture: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    pub picture: PathBuf,

    /// Node or tensor to draw; `foveola inspect` lists them
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,

    /// What the colours of a channel span
    #[arg(long, value_enum, default_value_t)]
    pub span: Span,

    /// Take the value at this channel, row and column apart instead
    #[arg(long, value_name = "C,Y,X", value_parser = place, requires = "layer")]
    pub value: Option<[usize; 3]>,

    /// Products shown, the largest first
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub terms: usize,

    /// Print JSON: all products of a value, or the table of layers
    #[arg(long)]
    pub json: bool,

    /// Folder for the picture and the array of a layer
    #[arg(short, long, value_name = "DIR", default_value = "foveola-out/layers")]
    pub out: PathBuf,
}

fn place(text: &str) -> Result<[usize; 3], String> {
    let numbers: Result<Vec<usize>, _> = text.split([',', '/']).map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[c, y, x]) => Ok([c, y, x]),
        _ => Err(String::from(
            "it takes channel, row and column, counted from 0, as 3,10,12",
        )),
    }
}

/// Runs the command.
pub fn run(args: &LayersArgs) -> Result<String, CliError> {
    let model = args.model.open()?;
    let photo = Photo::open(&args.picture, &model.intake())?;
    match (&args.layer, args.value) {
        (None, _) => table(args, &model, &photo),
        (Some(name), None) => sheet(args, &model, &photo, name),
        (Some(name), Some(place)) => {
            let all = Activations::of(&model, &photo, std::slice::from_ref(name))?;
            let sum = all.sum(name, place)?;
            Ok(match args.json {
                true => format!("{}\n", to_json(name, place, &sum)),
                false => words(name, place, &sum, args.terms),
            })
        }
    }
}

fn least_and_most(layer: &LayerValues) -> [f32; 2] {
    let values = || layer.values.iter().copied();
    [
        values().fold(f32::INFINITY, f32::min),
        values().fold(f32::NEG_INFINITY, f32::max),
    ]
}

fn table(args: &LayersArgs, model: &OpenModel, photo: &Photo) -> Result<String, CliError> {
    let layers = Activations::of(model, photo, &[])?.all();
    if args.json {
        let each = layers.iter().map(|layer| {
            let [least, most] = least_and_most(layer);
            let shape = [layer.shape.h, layer.shape.w, layer.shape.c];
            json!({ "layer": layer.name, "op": layer.op, "shape": shape,
                    "least": least, "most": most, "zeros": layer.zeros() })
        });
        return Ok(format!("{}\n", json!(each.collect::<Vec<_>>())));
    }
    let mut rows = vec![row([
        &"op",
        &"h x w x c",
        &"least",
        &"most",
        &"zeros",
        &"layer",
    ])];
    for layer in &layers {
        let [least, most] = least_and_most(layer).map(short_number);
        let shape = layer.shape;
        rows.push(row([
            &layer.op,
            &format!("{}x{}x{}", shape.h, shape.w, shape.c),
            &least,
            &most,
            &format!("{:.0} %", 100.0 * layer.zeros()),
            &layer.name,
        ]));
    }
    Ok(lay_out(&rows, &[1, 2, 3, 4]))
}

fn sheet(
    args: &LayersArgs,
    model: &OpenModel,
    photo: &Photo,
    name: &str,
) -> Result<String, CliError> {
    let mut folder = OutputFolder::open(&args.out)?;
    let layer = Activations::of(model, photo, &[name.to_owned()])?.layer(name)?;
    let stem = file_stem(name);
    let shape = [layer.shape.h, layer.shape.w, layer.shape.c];
    let picture = draw(&layer, args.span);
    folder.stage(&format!("{stem}.png"), &png(&picture))?;
    let [least, most] = least_and_most(&layer).map(short_number);
    let text = format!(
        "{name}: {}, {} channels of {} x {}, {least} to {most}, {:.0} % zeros\nwrote {stem}.png, {stem}.npy (h, w, c) to {}\n",
        layer.op,
        shape[2],
        shape[0],
        shape[1],
        100.0 * layer.zeros(),
        args.out.display(),
    );
    folder.stage(&format!("{stem}.npy"), &npy(&shape, layer.values))?;
    folder.commit()?;
    Ok(text)
}

/// A layer's name as a file's.
fn file_stem(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let stem: String = name.chars().map(safe).take(100).collect();
    match stem.trim_matches('_') {
        "" => String::from("layer"),
        stem => stem.to_owned(),
    }
}

fn to_json(name: &str, [c, y, x]: [usize; 3], sum: &Sum) -> serde_json::Value {
    let term = |t: &Term| json!({ "input": t.input, "at": t.at, "value": t.value, "weight": t.weight, "product": t.product });
    json!({
        "layer": name, "at": [c, y, x], "value": sum.value, "stored": sum.stored,
        "bias": sum.bias, "sum": sum.total, "factor": sum.factor, "zero_point": sum.zero_point,
        "activation": format!("{:?}", sum.activation),
        "terms": sum.terms.iter().map(term).collect::<Vec<_>>(),
    })
}

fn words(name: &str, [c, y, x]: [usize; 3], sum: &Sum, shown: usize) -> String {
    let mut order: Vec<&Term> = sum.terms.iter().collect();
    order.sort_by(|a, b| b.product.abs().total_cmp(&a.product.abs()));
    let heading = ["channel", "row", "column", "value", "weight", "product"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    let number = |v: f64| match sum.factor {
        Some(_) => format!("{v}"),
        None => format!("{v:.6}"),
    };
    for term in order.iter().take(shown) {
        let [c, y, x] = term.at;
        let numbers = [term.value, term.weight, term.product].map(number);
        let [value, weight, product] = numbers;
        rows.push(row([&c, &y, &x, &value, &weight, &product]));
    }
    let mut text = format!("{name} at channel {c}, row {y}, column {x}\n\n");
    text += &lay_out(&rows, &[0, 1, 2, 3, 4, 5]);
    let rest: f64 = order.iter().skip(shown).map(|t| t.product).sum();
    let more = order.len().saturating_sub(shown);
    if more > 0 {
        let _ = writeln!(
            text,
            "and {more} smaller products, together {}",
            number(rest)
        );
    }
    let _ = writeln!(text, "bias {}", number(sum.bias));
    let _ = writeln!(text, "sum {}", number(sum.total));
    if let (Some(factor), Some(stored)) = (sum.factor, sum.stored) {
        let scaled = sum.total * factor;
        let _ = writeln!(
            text,
            "times {factor:.9} = {scaled:.3}, and the output's zero point: stored as {stored}"
        );
    }
    let _ = match sum.activation {
        foveola_core::net::op::Activation::None => writeln!(text, "value {}", sum.value),
        other => writeln!(text, "value {} (after {other:?})", sum.value),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layers_become_names_of_files() {
        assert_eq!(file_stem("/layer4/Relu_output_0"), "layer4_Relu_output_0");
        assert_eq!(file_stem("../../x"), "x");
        assert_eq!(file_stem("//"), "layer");
    }
}
