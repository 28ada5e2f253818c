//! The run report. Pure.
