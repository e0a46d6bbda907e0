//! Test parts of kymo: naive model store, generators, faulty disk.
