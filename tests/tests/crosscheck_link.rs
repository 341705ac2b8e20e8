//! `foveola crosscheck` over a line: every verdict, every half and every output,
//! with devices in this process that can lie.

mod crosscheck_link {
    mod device;
    mod network;
    mod outputs;
    mod verdicts;
}
