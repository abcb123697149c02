//! Empty: Cargo wants a target in every package, and this one is there for its dependencies.
