//! PromQL evaluator over anything that is Queryable: series-major columns, sliding kernels.
