//! From file and environment to one parsed `Config`. The only reader of the environment.
