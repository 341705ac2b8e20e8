//! Where the shared test data lies, and readers for it.
