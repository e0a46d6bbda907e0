//! Remote write 1.0: bodies to batches (the receiving end), and requests to bodies. Remote read: questions to answers.
//!
//! Pure: bytes in, an answer out. Whoever speaks HTTP hands the body to [`WriteReceiver::receive`] and answers with 204,
//! or with [`ReceiveError::http_status`] and the error's text. Questions go to [`ReadRequest::from_snappy`], and the pieces
//! of their [`ReadAnswer`] to the client.
//!
//! ```
//! use kymo_model::{Labels, MemoryStore};
//! use kymo_remote::{RequestEncoder, WriteReceiver};
//!
//! let mut request = RequestEncoder::new();
//! request.series(&Labels::from_pairs([("__name__", "up"), ("job", "node")]), &[(1000, 1.0), (2000, 0.0)]);
//!
//! let receiver = WriteReceiver::default();
//! let store = MemoryStore::default();
//! let written = receiver.receive(&request.to_snappy(), &store).unwrap();
//! assert_eq!(written.samples, 2);
//! ```
#![forbid(unsafe_code)]

mod body;
mod cache;
mod encode;
mod error;
mod exemplar;
mod histogram;
mod labels;
mod put;
mod read;
mod receive;
mod request;
mod wire;

pub use body::BodyError;
pub use encode::RequestEncoder;
pub use error::{ReceiveError, Refused};
pub use read::{ReadAnswer, ReadError, ReadOptions, ReadQuery, ReadRequest, ResponseType};
pub use receive::{Options, WriteReceiver, Written};
pub use wire::{WireError, WireErrorKind};
