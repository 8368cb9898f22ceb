//! Bellhop's workers: everything that follows a commit.

pub mod backend;
