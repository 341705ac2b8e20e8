//! Every shader, in both ways of storing tensors, is held to WGSL by naga.

use foveola::backend::gpu::Storage;
use foveola::backend::gpu::kernels::{Access, Shader, ShaderKind};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess};

#[test]
fn shaders_are_wgsl() {
    for &kind in ShaderKind::ALL {
        for storage in [Storage::Full, Storage::Half] {
            if !kind.takes(storage) {
                continue;
            }
            let shader = Shader { kind, storage };
            let source = shader.source();
            let module = naga::front::wgsl::parse_str(&source)
                .unwrap_or_else(|e| panic!("{}: {}", shader.name(), e.emit_to_string(&source)));
            let mut validator = Validator::new(
                ValidationFlags::all(),
                Capabilities::SHADER_FLOAT16
                    | Capabilities::SHADER_FLOAT16_IN_FLOAT32
                    | Capabilities::COOPERATIVE_MATRIX,
            );
            validator
                .validate(&module)
                .unwrap_or_else(|e| panic!("{}: {e:?}", shader.name()));
            bindings_are_declared(&shader, &module);
        }
    }
}

/// The buffers that the host binds are those of the shader.
fn bindings_are_declared(shader: &Shader, module: &naga::Module) {
    for (access, binding) in shader.buffers().iter().zip(2..) {
        let mut variables = module.global_variables.iter();
        let found = variables.find(|(_, v)| v.binding.is_some_and(|b| b.binding == binding));
        let (_, variable) = found.unwrap_or_else(|| panic!("{} {binding}", shader.name()));
        let AddressSpace::Storage { access: own } = variable.space else {
            panic!("{} {binding} is no storage", shader.name());
        };
        let writes = own.contains(StorageAccess::STORE);
        assert_eq!(
            writes,
            *access == Access::Write,
            "{} {binding}",
            shader.name()
        );
    }
}
