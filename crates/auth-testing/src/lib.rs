//! A development provider, a demo API, and their faults on demand.
//!
//! [`DevProvider`] is an OpenID provider in the same process, on a loopback port, without passwords. It is strict
//! where real providers are: exact redirect URIs, PKCE with S256, single-use codes, refresh tokens that rotate and
//! whose reuse ends everything. [`Control`] makes it fail in the ways real providers fail, and tells what reached it.
//!
//! ```
//! use auth_testing::{Client, DevProvider, Endpoint, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = DevProvider::builder()
//!     .client(Client::confidential("my-app", "a secret").redirect_uri("http://127.0.0.1:3000/auth/callback"))
//!     .start()
//!     .await?;
//! println!("issuer: {}", provider.issuer());
//!
//! // The next two token requests find the provider out of order.
//! provider.control().fail_next(Endpoint::Token, 2, Fault::status(503));
//! # provider.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! It is no provider for production: anyone who reaches it signs in as anyone. It therefore listens on loopback
//! addresses only, and refuses others.

mod api;
mod control;
mod encryption;
mod hostile;
#[cfg(feature = "kit")]
mod kit;
#[cfg(feature = "mtls")]
pub mod mtls;
mod pages;
mod params;
mod provider;
mod random;
mod server;
#[cfg(feature = "servers")]
pub mod servers;
mod traffic;
mod wire;

pub use control::{Control, Endpoint, Fault, Hold, HoldTimeout, RecordedRequest};
pub use encryption::encrypt;
pub use hostile::HostileAnswer;
#[cfg(feature = "kit")]
pub use kit::{
    ApiAnswer, ApiRequest, Guest, SessionBuilder, SignInError, TestApi, TestAuth, TestAuthBuilder, TestSession, TestToken,
    TokenBuilder,
};
pub use provider::approve::{Approval, ApproveError};
pub use provider::client::Client;
pub use provider::dpop::DpopNonces;
pub use provider::keys::{OldKeys, PublicKey, PublicKeyError, SigningAlgorithm};
pub use provider::user::User;
pub use provider::{DevProvider, DevProviderBuilder, StartError};
pub use wire::Wire;
