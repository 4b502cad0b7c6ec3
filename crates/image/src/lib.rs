//! The file format of ahead-of-time images.
