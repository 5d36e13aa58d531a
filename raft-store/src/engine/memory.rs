//! Placeholder for the in-memory engine.
