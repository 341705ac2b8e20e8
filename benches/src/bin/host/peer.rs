//! ONNX Runtime, by its Python package, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use foveola_benches::Result;

const SCRIPT: &str = include_str!("peer.py");

/// A model loaded there.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Its version.
    pub version: String,
}

fn python(path: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]).arg(path);
    command
}

impl Peer {
    /// Starts it, or says what is missing.
    pub fn start(path: &Path) -> Result<std::result::Result<Self, String>> {
        let started = python(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            return Ok(Err(String::from("missing: python3")));
        };
        let to = child.stdin.take().ok_or("no stdin")?;
        let mut from = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim().split_once(' ') {
            Some(("version", version)) => Ok(Ok(Self {
                child,
                to,
                from,
                version: version.to_owned(),
            })),
            Some(("missing", package)) => {
                child.wait()?;
                Ok(Err(format!("missing: pip install {package}")))
            }
            _ => Err(format!("ONNX Runtime could not load {}", path.display()).into()),
        }
    }

    /// Milliseconds of each of `runs` runs.
    pub fn run(&mut self, runs: usize) -> Result<Vec<f64>> {
        writeln!(self.to, "{runs}")?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let times = line.split_whitespace().map(str::parse);
        Ok(times.collect::<std::result::Result<_, _>>()?)
    }
}

impl Drop for Peer {
    /// The process would end by itself once nobody asks.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// MB that a process of it peaks at, beyond what Python with its packages
/// takes before the model is loaded.
pub fn peak(path: &Path) -> Result<f64> {
    let output = python(path).arg("load-only").output()?;
    let text = String::from_utf8(output.stdout)?;
    let sizes = text.split_whitespace().map(str::parse::<f64>);
    match sizes.collect::<std::result::Result<Vec<_>, _>>()?[..] {
        [before, peak] => Ok((peak - before) * 1024.0 / 1e6),
        _ => Err("ONNX Runtime's process failed".into()),
    }
}
