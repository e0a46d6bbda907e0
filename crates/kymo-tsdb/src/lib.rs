//! An embeddable time-series database: head, write-ahead log, postings, query.
