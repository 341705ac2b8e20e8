//! What a board is asked, and how it answers: files in one folder, which is
//! QEMU's working directory. They travel through semihosting.
//!
//! # The job: `job.txt`
//!
//! ASCII, one `key=value` a line; empty lines and lines that begin with `#`
//! say nothing.
//!
//! | key | value | if absent |
//! |---|---|---|
//! | `model` | name of a `.fov` file in the folder | the model linked into the program |
//! | `picture` | name of a file: HWC, channels in the model's order, `u8` bytes or little-endian `f32` | required |
//! | `format` | `u8` (pixels; the model's card normalises them) or `f32` (a tensor in model space) | `u8` |
//! | `shape` | `H/W/C` of the picture | the model's input |
//! | `target` | a class, or `top` for the one with the highest probability; of a model that ends at a unit (`foveola compile --unit`), the unit's channel | `top` |
//! | `score` | `logit` or `probability`: the score that methods explain | each method's own |
//! | `seed` | key of every random number | `core`'s default |
//! | `screen` | `1`: draw each map over the picture into `screenN.ppm`, or what went wrong into `fail.ppm` | `0` |
//! | `show` | instructions in millions for which a board's panel keeps its last picture, be it FAIL | `0` |
//! | `profile` | `1`: also say what each node costs, forward and, for methods with gradients, backward | `0` |
//! | `rows` | `1`: maps of gradients at the input go into their files row by row, as they are made; they take no memory and are not drawn | `0` |
//! | `layers` | `1`: write the output of every node as well | `0` |
//! | `arena` | bytes of arena, instead of what each pass needs | exact |
//! | `edits` | `incremental`: where the memory has room, pictures that differ from one in a box are computed only where the box can reach; `full`: all of them whole; boards with little flash do not have the key | `full` |
//! | `limit` | instructions in millions after which a method is stopped | none |
//! | `link` | `1`: nothing of all this; answer on the UART (`foveola_core::wire`) until switched off | `0` |
//! | `audit` | `1`: the frames `frame.0.bin`, `frame.1.bin` and so on are judged by the policy of the model that the board keeps in `flash.bin`; one named by `model` is an update that comes first | `0` |
//! | `method` | a method ([`crate::method`]), one line each, at most [`MAX_METHODS`]; boards with little flash have seven | none |
//!
//! # The answer
//!
//! `answer.txt`, written as the work goes on, `key=value` lines as well. Real
//! numbers that matter are in files of little-endian `f32`:
//!
//! | file | content |
//! |---|---|
//! | `logits.bin`, `probabilities.bin` | one score a class |
//! | `layerN.bin` | output of node N, HWC, if asked for |
//! | `mapN.bin` | map of method N (from 0, in the order of the job), HWC |
//! | `screenN.ppm` | that map over the picture, with class and method, as a display would show it |
//! | `verdictN.ppm` | frame N with the map that decided, class, PASS or FAIL and why |
//! | `log.bin` | the board's log after an audit |
//! | `fail.ppm` | FAIL and the reason, as a display would show them |
//!
//! | key | value |
//! |---|---|
//! | `board` | its name |
//! | `model` | SHA-256 of the model as its file states it, hexadecimal |
//! | `input`, `classes`, `nodes` | `H/W/C` and counts |
//! | `firmware`, `firmware_sha256` | version of the program, and SHA-256 of it as it lies in memory, hexadecimal |
//! | `picture_sha256` | SHA-256 of the picture's bytes as they lie in memory, hexadecimal |
//! | `target` | the class explained |
//! | `classify` | what one forward pass cost, see below |
//! | `method.N` | the method as the job has it |
//! | `shape.N` | `H/W/C` of its map |
//! | `outcome.N` | `ok`, `flat`, `undefined REASON` or `partial DONE TOTAL` |
//! | `cost.N` | what it cost: `instructions=I stack=S arena=A scratch=B map=M passes=P` |
//! | `edits.N` | if asked for by `edits`: `incremental COUNT`, so many pictures computed only where they changed (0 where boxes are too large to save anything), in the arena that `cost.N` states; or `full`, if the method asks about no such pictures or there is no room |
//! | `forward.N` | if asked for by `profile`: instructions of node N in a plain forward pass; the first one includes the load of the picture |
//! | `forward.M.N`, `backward.M.N` | the same of method M's forward pass, which keeps what the way back needs, and of that way back |
//! | `update` | of an audit: `kept`, or why the model was refused |
//! | `verdict.N` | of frame N: `pass` or `fail RULE REASON`; RULE is 0 for what is no rule's fault |
//! | `class.N`, `inside.N` | its class; the share of the evidence inside the region, in thousandths |
//! | `cost.N` | what it cost: `instructions=I stack=S arena=A`, that of frame 0 with the self-test |
//! | `rate` | frames behind the first one that 10^9 instructions judge, in thousandths |
//! | `ended` | with an `error`: instructions since the start |
//! | `error` | why it ended early, in words; the program then exits with 1 |
//! | `done` | `1`, the last line of a job without errors; the program exits with 0 |
//!
//! A profile is taken in runs of its own, before the one that is answered for;
//! each of its figures includes about a hundred instructions of the reading.
//! In a cost, `I` counts executed instructions; `S` is the deepest stack in
//! bytes from its top, the program's own frames included; `A`, `B` and `M` are
//! bytes of arena, scratch and map.
//! A panic exits with 3, a fault of the processor with 4.
//!
//! # Many jobs in one run: `batch.txt`
//!
//! Where the folder holds a `batch.txt`, its lines name folders beside it, one
//! a line; empty lines and lines that begin with `#` say nothing. Each folder
//! has its own `job.txt`, whose files lie in it and whose answer goes there.
//! The jobs run in this order, and a `job.txt` beside `batch.txt` does not run.
//! A job that fails says so in its own answer and does not end the others; the
//! program exits with 1 if any failed. A path, `FOLDER/FILE`, has at most
//! [`MAX_PATH`] bytes.

use core::str::FromStr;

use foveola_core::ask::ALL_METHODS;
use foveola_core::rng::DEFAULT_SEED;
use foveola_core::{Score, Shape};
use heapless::Vec;

/// Most methods of a job.
pub const MAX_METHODS: usize = 16;

/// Most bytes of a path, the folder of a batch and the `/` included.
pub const MAX_PATH: usize = 63;

/// The folders of a `batch.txt`, in order.
pub fn folders(text: &str) -> impl Iterator<Item = &str> {
    contents(text).map(|(_, folder)| folder)
}

/// Lines that say something, with their numbers from 1.
fn contents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, content)| !content.is_empty() && !content.starts_with('#'))
}

/// Numbers of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Pixels.
    U8,
    /// A tensor in model space.
    F32,
}

/// A line that says nothing or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(target_os = "none", derive(defmt::Format))]
pub struct BadLine {
    /// Number of the line, from 1; 0 for a line that is missing.
    pub line: usize,
    /// What it should hold.
    pub wants: &'static str,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job<'t> {
    /// Whether the board answers on its UART instead.
    pub link: bool,
    /// Whether the board audits frames instead.
    pub audit: bool,
    /// Name of the model's file.
    pub model: Option<&'t str>,
    /// Name of the picture's file.
    pub picture: &'t str,
    /// Its numbers.
    pub format: Format,
    /// Its shape.
    pub shape: Option<Shape>,
    /// The class to explain; `None` for the best one.
    pub target: Option<usize>,
    /// The score to explain.
    pub score: Option<Score>,
    /// Key of every random number.
    pub seed: u64,
    /// Whether to draw into files.
    pub screen: bool,
    /// Instructions for which a panel keeps its last picture, in millions.
    pub show: u64,
    /// Whether to say what each node costs.
    pub profile: bool,
    /// Whether to write gradients at the input row by row.
    pub rows: bool,
    /// Whether to write every layer.
    pub layers: bool,
    /// Bytes of arena.
    pub arena: Option<usize>,
    /// Whether pictures are computed only where they changed.
    pub edits: bool,
    /// Instructions, in millions.
    pub limit: Option<u64>,
    /// The methods.
    pub methods: Vec<&'t str, MAX_METHODS>,
}

impl<'t> Job<'t> {
    /// Reads a job.
    ///
    /// # Errors
    /// The first line that cannot be read.
    #[inline(never)]
    pub fn parse(text: &'t str) -> Result<Self, BadLine> {
        let mut job = Self {
            link: false,
            audit: false,
            model: None,
            picture: "",
            format: Format::U8,
            shape: None,
            target: None,
            score: None,
            seed: DEFAULT_SEED,
            screen: false,
            show: 0,
            profile: false,
            rows: false,
            layers: false,
            arena: None,
            edits: false,
            limit: None,
            methods: Vec::new(),
        };
        for (line, content) in contents(text) {
            job.read(content).map_err(|wants| BadLine { line, wants })?;
        }
        if job.picture.is_empty() && !job.link && !job.audit {
            return Err(BadLine {
                line: 0,
                wants: "picture=FILE",
            });
        }
        Ok(job)
    }

    fn read(&mut self, line: &'t str) -> Result<(), &'static str> {
        let (key, value) = line.split_once('=').ok_or("key=value")?;
        match key {
            "link" => self.link = number::<u8>(value, "link=0 or 1")? != 0,
            "audit" => self.audit = number::<u8>(value, "audit=0 or 1")? != 0,
            "model" => self.model = Some(value),
            "picture" => self.picture = value,
            "format" => {
                self.format = match value {
                    "u8" => Format::U8,
                    "f32" => Format::F32,
                    _ => return Err("format=u8 or f32"),
                };
            }
            "shape" => self.shape = Some(shape(value).ok_or("shape=H/W/C")?),
            "target" if value == "top" => self.target = None,
            "target" => self.target = Some(number(value, "target=top or a class")?),
            "score" => {
                self.score = Some(match value {
                    "logit" => Score::Logit,
                    "probability" => Score::Probability,
                    _ => return Err("score=logit or probability"),
                });
            }
            "seed" => self.seed = number(value, "seed=a whole number")?,
            "screen" => self.screen = number::<u8>(value, "screen=0 or 1")? != 0,
            "show" => self.show = number(value, "show=MILLIONS")?,
            "profile" => self.profile = number::<u8>(value, "profile=0 or 1")? != 0,
            "rows" => self.rows = number::<u8>(value, "rows=0 or 1")? != 0,
            "layers" => self.layers = number::<u8>(value, "layers=0 or 1")? != 0,
            "arena" => self.arena = Some(number(value, "arena=BYTES")?),
            "edits" if ALL_METHODS => {
                self.edits = match value {
                    "incremental" => true,
                    "full" => false,
                    _ => return Err("edits=incremental or full"),
                };
            }
            "limit" => self.limit = Some(number(value, "limit=MILLIONS")?),
            "method" => self.methods.push(value).map_err(|_| "16 methods at most")?,
            _ => return Err("a key that exists"),
        }
        Ok(())
    }
}

fn number<T: FromStr>(text: &str, wants: &'static str) -> Result<T, &'static str> {
    text.parse().map_err(|_| wants)
}

fn shape(text: &str) -> Option<Shape> {
    let mut sides = text.split('/').map(|side| side.parse().ok());
    let shape = Shape::new(sides.next()??, sides.next()??, sides.next()??);
    sides.next().is_none().then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key() {
        let job = Job::parse(
            "# a job\nmodel=n.fov\npicture=p.bin\r\nformat=f32\nshape=6/7/3\ntarget=2\n\
             score=logit\nseed=9\nscreen=1\nshow=5\nprofile=1\nrows=1\nlayers=1\narena=512\nedits=incremental\nlimit=70\n\nmethod=gradient\n\
             method=rise:masks=4,keep=0.25\n",
        );
        let job = job.expect("a job");
        assert_eq!((job.model, job.picture), (Some("n.fov"), "p.bin"));
        assert_eq!(
            (job.format, job.shape),
            (Format::F32, Some(Shape::new(6, 7, 3)))
        );
        assert_eq!((job.target, job.score), (Some(2), Some(Score::Logit)));
        assert_eq!((job.seed, job.layers, job.arena), (9, true, Some(512)));
        assert_eq!((job.limit, job.screen, job.show), (Some(70), true, 5));
        assert!(job.profile && job.rows && job.edits);
        assert_eq!(job.methods, ["gradient", "rise:masks=4,keep=0.25"]);
    }

    #[test]
    fn folders_of_a_batch() {
        let text = "# three jobs\nfirst\r\n\n  second  \n#third\nfourth/fifth";
        let found: std::vec::Vec<&str> = folders(text).collect();
        assert_eq!(found, ["first", "second", "fourth/fifth"]);
        assert_eq!(folders("# nothing\n \n").count(), 0);
    }

    #[test]
    fn a_link_needs_no_picture() {
        let job = Job::parse("link=1\n").expect("a job");
        assert!(job.link && job.picture.is_empty());
        let job = Job::parse("audit=1\nmodel=m.fov\n").expect("a job");
        assert!(job.audit && !job.link && job.model == Some("m.fov"));
    }

    #[test]
    fn bad_lines_by_number() {
        let line = |text| Job::parse(text).expect_err("a bad line").line;
        assert_eq!(line("model=x"), 0);
        assert_eq!(line("picture=p\nshape=1/2"), 2);
        assert_eq!(line("picture=p\nshape=1/2/3/4"), 2);
        assert_eq!(line("\npicture=p\nseed=-1"), 3);
        assert_eq!(line("picture"), 1);
        assert_eq!(line("picture=p\nedits=1"), 2);
        assert_eq!(line("colour=red"), 1);
        assert_eq!(line(&"method=hoc\n".repeat(17)), 17);
    }
}
