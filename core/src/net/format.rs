//! The `.fov` model file.
