//! The API as a client sees it: requests in, status, headers and JSON out, over a store in memory.

mod admin;
mod bounds;
mod browsers;
mod client;
mod errors;
mod exemplars;
mod federate;
mod metadata;
mod notifications;
mod queries;
mod read;
mod rules;
mod series;
mod status;
mod write;
