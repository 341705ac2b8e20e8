//! Networks, what is wanted of them, and what peers take.
//!
//! The peers are TFLite Micro 90b983c with CMSIS-NN 99f736a6, built by
//! arm-none-eabi-gcc 12.2 at -O3 and counted in the same QEMU, requantisation
//! included; their figures are quoted, they are not run here.

/// Boards, the one without vectors first.
pub const BOARDS: [&str; 2] = ["mps2-an386", "mps3-an547"];

/// Whose figures are quoted.
pub const PEER: &str = "TFLite Micro 90b983c + CMSIS-NN 99f736a6 (quoted)";

/// A network of the zoo.
pub struct Network {
    /// Its name in the table.
    pub name: &'static str,
    /// Its file, in the zoo's folder of models.
    pub file: &'static str,
    /// Whether channels that can only be constant are removed.
    pub prune: bool,
    /// Side of the last large tensor that Grad-CAM is asked about as well.
    pub side: Option<usize>,
    /// Inference in millions of instructions, by board: wanted, and the peer's.
    pub inference: [Figures; 2],
    /// Bytes of the arena of inference.
    pub arena: Figures,
    /// Bytes of flash, program and model.
    pub flash: Figures,
    /// Whether Grad-CAM and guided backpropagation have wanted figures.
    pub explained: bool,
    /// Whether the first board is asked every method.
    pub every: bool,
}

/// At most how much is wanted, and what the peer takes.
#[derive(Clone, Copy)]
pub struct Figures {
    pub wanted: Option<f64>,
    pub peer: Option<f64>,
}

const fn figures(wanted: f64, peer: f64) -> Figures {
    Figures {
        wanted: Some(wanted),
        peer: Some(peer),
    }
}

/// Nothing is wanted or known.
pub const OPEN: Figures = Figures {
    wanted: None,
    peer: None,
};

pub const NETWORKS: [Network; 4] = [
    Network {
        name: "VWW int8",
        file: "tinyml/vww96_int8.tflite",
        prune: false,
        side: Some(12),
        inference: [figures(15.0, 24.72), figures(4.5, 6.44)],
        arena: figures(40_000.0, 100_708.0),
        flash: figures(260_000.0, 445_000.0),
        explained: true,
        every: false,
    },
    Network {
        name: "VWW int8, pruned",
        file: "tinyml/vww96_int8.tflite",
        prune: true,
        side: Some(12),
        inference: [figures(8.0, 24.72), figures(2.8, 6.44)],
        arena: figures(40_000.0, 100_708.0),
        flash: figures(110_000.0, 445_000.0),
        explained: true,
        every: true,
    },
    Network {
        name: "ResNet-8 int8",
        file: "tinyml/resnet8_cifar10_int8.tflite",
        prune: false,
        side: None,
        inference: [figures(19.0, 29.88), figures(3.8, 4.81)],
        arena: figures(35_000.0, 54_996.0),
        flash: OPEN,
        explained: false,
        every: false,
    },
    Network {
        name: "VWW f32",
        file: "tinyml/vww96_float.onnx",
        prune: false,
        side: Some(12),
        inference: [figures(40.0, 126.8), OPEN],
        arena: OPEN,
        flash: OPEN,
        explained: false,
        every: false,
    },
];
