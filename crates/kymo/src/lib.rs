//! Prometheus as libraries: one dependency, features choose the layers.
