//! ONNX Runtime and Captum, by their Python packages, in a process of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use foveola_benches::Result;

const SCRIPT: &str = include_str!("peer.py");

/// One network loaded there.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Version of ONNX Runtime, if it is installed.
    pub onnx_runtime: Option<String>,
    /// Version of Captum, if it is installed with PyTorch and torchvision.
    pub captum: Option<String>,
}

impl Peer {
    /// Starts it; `None` without Python or NumPy.
    pub fn start(python: &str, path: &Path, name: &str, masks: u32) -> Result<Option<Self>> {
        let started = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(path)
            .args([name, &masks.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            return Ok(None);
        };
        let to = child.stdin.take().ok_or("no stdin")?;
        let mut from = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        from.read_line(&mut line)?;
        let version = |key: &str| {
            let found = line.split_whitespace().find_map(|w| w.strip_prefix(key));
            found.filter(|v| *v != "-").map(String::from)
        };
        let (onnx_runtime, captum) = (version("ort="), version("captum="));
        if line.is_empty() {
            child.wait()?;
            return Ok(None);
        }
        Ok(Some(Self {
            child,
            to,
            from,
            onnx_runtime,
            captum,
        }))
    }

    /// Milliseconds that a question took.
    pub fn ask(&mut self, question: &str) -> Result<f64> {
        writeln!(self.to, "{question}")?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        match line.trim().parse() {
            Ok(time) => Ok(time),
            Err(_) => Err(format!("the peer failed at `{question}`").into()),
        }
    }
}

impl Drop for Peer {
    /// The process would end by itself once nobody asks.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
