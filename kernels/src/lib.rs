//! Arithmetic of sparse autoencoders.
