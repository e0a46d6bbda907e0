//! The API as a client sees it: requests in, status, headers and JSON out, over a store in memory.

mod bounds;
mod browsers;
mod client;
mod errors;
mod federate;
mod notifications;
mod queries;
mod read;
mod rules;
mod series;
mod status;
mod write;
