//! A checked model file.
