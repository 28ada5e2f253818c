//! Cloud Storage.
