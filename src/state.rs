//! The state object: codec and compare-and-swap.
