// The round's questions, beside what every int8 kernel reads.
@group(0) @binding(6) var<storage, read> questions: array<Question>;
@group(0) @binding(7) var<storage, read> sources: array<u32>;
@group(0) @binding(8) var<storage, read> masks: array<u32>;
