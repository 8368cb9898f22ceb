//! failpoints (see config helper)
