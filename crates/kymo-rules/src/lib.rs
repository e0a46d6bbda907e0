//! Recording and alerting rules: rule files, evaluation, Go-style templates, unit tests.
