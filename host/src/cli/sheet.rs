//! `foveola sheet`: methods by pictures, on one page.

use std::path::{Path, PathBuf};

use clap::Args;
use foveola_core::explain::{METHODS, Needs, Outcome};
use image::{Rgb, RgbImage};

use super::limit_args::LimitArgs;
use super::model_args::{ModelArgs, failed};
use super::progress::{Terminal, catch_interrupts};
use super::{CliError, Ending, note, print};
use crate::explainer::{DEFAULT_SEED, Explainer, Question, SaliencyMap, Watch};
use crate::method_spec::MethodSpec;
use crate::model::BackendKind;
use crate::photo::Photo;
use crate::report::files::png;
use crate::report::folder::write_file;
use crate::report::sheet::{Cell, draw, has_both_signs, panel};

/// Methods that ask much, as a page of all of them asks: enough to see what each
/// looks at, in minutes.
const SHORTER: [&str; 12] = [
    "rise:estimator=centred,masks=800",
    "lime:samples=400",
    "kernel-shap:samples=500",
    "anchors:segments=grid,count=16,passes=3000",
    "sobol:count=36,designs=16",
    "hsic:count=36,samples=300",
    "meaningful-perturbation:steps=80",
    "smooth-grad:samples=16",
    "var-grad:samples=16",
    "square-grad:samples=16",
    "integrated-gradients:steps=20",
    "hoc:max-passes=1500",
];

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  foveola sheet model.onnx a.jpg b.jpg c.jpg -o sheet.png           # every method that the model allows
  foveola sheet model.onnx a.jpg b.jpg -m grad-cam -m lime -m rise:masks=500

A row a method, a column a picture, in blocks side by side; each picture's best class is explained.
Without -m methods that sample ask less than by themselves; --thorough leaves them as they are.")]
pub struct SheetArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Pictures: PNG, JPEG, BMP
    #[arg(required = true)]
    pub pictures: Vec<PathBuf>,

    /// Method, NAME[:key=value,...]; repeats [default: all]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    /// Ask as much as methods ask by themselves
    #[arg(long, conflicts_with = "methods")]
    pub thorough: bool,

    #[command(flatten)]
    pub limits: LimitArgs,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub seed: u64,

    /// The page
    #[arg(short, long, value_name = "FILE", default_value = "sheet.png")]
    pub out: PathBuf,
}

/// Runs the command.
pub fn run(args: &SheetArgs) -> Result<Ending, CliError> {
    let model = args.model.open()?;
    let methods = match args.methods.is_empty() {
        true => all_methods(model.backend(), args.thorough)?,
        false => args.methods.clone(),
    };
    let within = |spec: MethodSpec| spec.within(args.limits.limits());
    let methods = methods.into_iter().map(within).collect();
    let mut explainer = Explainer::new(model, args.model.threads());
    let methods = possible(&explainer, methods)?;
    let mut question = Question::of([""; 0]).map_err(|error| CliError::Usage(error.to_string()))?;
    question.seed = args.seed;
    question.methods = methods;
    // The page is tried before anything is computed for it.
    write_file(&args.out, &[])?;
    catch_interrupts();
    let mut terminal = Terminal::new();
    let mut columns: Vec<Column> = Vec::new();
    for path in &args.pictures {
        if terminal.stopped() {
            break;
        }
        let made = column(&mut explainer, path, &question, &mut terminal);
        columns.push(made.map_err(|error| failed(error, explainer.model()))?);
        explainer.model().sound()?;
    }
    let (cells, across) = by_rows(&cells(&columns));
    let heading = format!(
        "{} methods, {} pictures",
        question.methods.len(),
        columns.len()
    );
    let page = draw(&heading, &cells, across as u32);
    write_file(&args.out, &png(&page))?;
    print(&format!("{heading}: {}\n", args.out.display()));
    match terminal.stopped() {
        true => Ok(Ending::Stopped),
        false => Ok(Ending::Done),
    }
}

/// Every method that the backend can run.
fn all_methods(backend: BackendKind, thorough: bool) -> Result<Vec<MethodSpec>, CliError> {
    let white = matches!(backend, BackendKind::Core | BackendKind::Gpu);
    let rows = METHODS.iter();
    let runs = rows.filter(|row| white || row.needs == Needs::Scores);
    let asked = |name: &'static str| {
        let short = SHORTER
            .iter()
            .find(|text| text.split(':').next() == Some(name));
        short.copied().filter(|_| !thorough).unwrap_or(name)
    };
    let specs = runs.map(|row| asked(row.name).parse::<MethodSpec>());
    let specs: Result<Vec<_>, _> = specs.collect();
    specs.map_err(|error| CliError::Usage(error.to_string()))
}

/// The methods that can run on this model; the others are named with their reason.
fn possible(explainer: &Explainer, methods: Vec<MethodSpec>) -> Result<Vec<MethodSpec>, CliError> {
    let costs = explainer.costs(&methods, 1)?;
    let mut left = Vec::new();
    for (method, cost) in methods.into_iter().zip(costs) {
        match cost {
            Ok(_) => left.push(method),
            Err(reason) => note(&format!("left out: {reason}")),
        }
    }
    match left.is_empty() {
        true => Err(CliError::Usage(String::from(
            "none of the methods can run on this model",
        ))),
        false => Ok(left),
    }
}

/// A picture and every method on it.
struct Column {
    /// The picture by itself.
    first: Cell,
    photo: Photo,
    maps: Vec<SaliencyMap>,
}

fn column(
    explainer: &mut Explainer,
    path: &Path,
    question: &Question,
    terminal: &mut Terminal,
) -> Result<Column, CliError> {
    let photo = Photo::open(path, &explainer.model().intake())?;
    let explanation = explainer.explain_watched(&photo, question, terminal)?;
    let class = explanation.targets.first().copied().unwrap_or(0);
    let label = explainer.model().card.label(class);
    let sure = explanation
        .probabilities
        .get(class)
        .map_or(0.0, |p| 100.0 * p);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let first = Cell {
        panel: photo.display().clone(),
        title: name.into_owned(),
        caption: format!("{label}, {sure:.1} %"),
    };
    Ok(Column {
        first,
        photo,
        maps: explanation.maps,
    })
}

/// The cells of every column. A method has the same colours on all pictures:
/// those of both signs where one of its maps has both.
fn cells(columns: &[Column]) -> Vec<Vec<Cell>> {
    let methods = columns.iter().map(|column| column.maps.len()).max();
    let signed: Vec<bool> = (0..methods.unwrap_or(0))
        .map(|i| has_both_signs(columns.iter().filter_map(|column| column.maps.get(i))))
        .collect();
    let of = |column: &Column| {
        let maps = column.maps.iter().zip(&signed);
        let shown = maps.map(|(map, &signed)| cell(map, &column.photo, signed));
        [column.first.clone()].into_iter().chain(shown).collect()
    };
    columns.iter().map(of).collect()
}

fn cell(map: &SaliencyMap, photo: &Photo, around_zero: bool) -> Cell {
    Cell {
        panel: panel(map, photo, around_zero),
        title: map.spec.title().to_owned(),
        caption: match (map.reason(), map.outcome) {
            (Some(reason), _) => reason,
            (None, Outcome::Partial { done, total }) => {
                format!("partial: {done} of {total} passes")
            }
            _ => String::new(),
        },
    }
}

/// The columns' cells, row by row, and how many columns the page has. Many
/// methods stand in blocks side by side, each under the pictures, so that the
/// page is about as wide as high. A column that was stopped ends in empty cells.
fn by_rows(columns: &[Vec<Cell>]) -> (Vec<Cell>, usize) {
    let methods = columns
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .saturating_sub(1);
    let ratio = methods as f64 / columns.len().max(1) as f64;
    let blocks = (ratio.sqrt().round() as usize).max(1);
    let rows = methods.div_ceil(blocks);
    let empty = || Cell {
        panel: RgbImage::from_pixel(1, 1, Rgb([255; 3])),
        title: String::new(),
        caption: String::new(),
    };
    let mut cells = Vec::new();
    for row in 0..=rows {
        for block in 0..blocks {
            // Row 0 is the pictures'; the methods' cells begin at 1.
            let index = match row {
                0 => 0,
                _ => block * rows + row,
            };
            let cell = |column: &Vec<Cell>| column.get(index).cloned().unwrap_or_else(empty);
            cells.extend(columns.iter().map(cell));
        }
    }
    (cells, blocks * columns.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OpenModel, OpenOptions};

    #[test]
    fn all_methods_are_on_the_page() {
        for thorough in [false, true] {
            let specs = all_methods(BackendKind::Core, thorough).expect("they parse");
            let names: Vec<&str> = specs.iter().map(|spec| spec.row.name).collect();
            let rows: Vec<&str> = METHODS.iter().map(|row| row.name).collect();
            assert_eq!(names, rows);
        }
    }

    /// A column with the map of one method, its values shown as these of its
    /// picture's pixels: a value for the left half, one for the right.
    fn with_values(column: &Column, halves: [f32; 2]) -> Column {
        let mut map = column.maps[0].clone();
        let [_, width] = map.size;
        for (i, pixel) in map.pixels.iter_mut().enumerate() {
            *pixel = halves[usize::from(i % width >= width / 2)];
        }
        Column {
            first: column.first.clone(),
            photo: column.photo.clone(),
            maps: vec![map],
        }
    }

    #[test]
    fn a_method_has_the_same_colours_on_all_pictures() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let options = OpenOptions {
            card_file: Some(demo.join("poles.card.toml")),
            ..OpenOptions::default()
        };
        let model = OpenModel::open(&demo.join("honest.onnx"), &options).expect("a model");
        let question = Question::of(["grad-cam"]).expect("a method");
        let mut explainer = Explainer::new(model, 1);
        let path = demo.join("scene.png");
        let mut terminal = Terminal::new();
        let column = column(&mut explainer, &path, &question, &mut terminal);
        let column = column.expect("an answer");
        let positive = with_values(&column, [1.0, 3.0]);
        let both = with_values(&column, [-2.0, 2.0]);
        let panels = |columns: &[Column]| -> Vec<RgbImage> {
            let cells = cells(columns).into_iter();
            cells.map(|column| column[1].panel.clone()).collect()
        };
        let alone = panels(&[with_values(&positive, [1.0, 3.0])]);
        let beside = panels(&[positive, both]);
        assert!(alone[0] != beside[0], "the colours of one sign beside both");
        // Values of the same size and sign have the same colour on both pictures.
        let at = |panel: &RgbImage| *panel.get_pixel(panel.width() - 1, panel.height() / 2);
        assert_eq!(at(&beside[0]), at(&beside[1]));
        assert_ne!(at(&alone[0]), at(&beside[1]));
    }
}
