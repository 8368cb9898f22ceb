//! E-mail: what a notification says, the signed link that ends them, and the way to the mail server.
//!
//! [`Mailer`] speaks SMTP in two steps, so that the moment from which a mail may have been taken is known exactly:
//! [`Mailer::prepare`] goes as far as the server's leave to write, [`Prepared::send`] writes. [`Digest`] is the
//! content, [`compose`] makes a mail of it, [`Unsubscribe`] signs and reads the link. Names and texts come from
//! strangers: they are cut, freed of control characters and escaped before they reach a header or HTML.

mod digest;
mod letter;
mod mailer;
mod server;
mod unsubscribe;
mod words;

pub use digest::{Digest, Entry, Reader};
pub use letter::{Letter, compose};
pub use lettre::Address;
pub use mailer::{Mailer, MailerError, Prepared};
pub use unsubscribe::{OptOutId, Unsubscribe};

pub(crate) use server::Server;

/// Reads the configured sender, `a@example.com` or `Name <a@example.com>`.
pub(crate) fn sender(text: &str) -> Option<lettre::message::Mailbox> {
    text.parse().ok().filter(|_| !text.chars().any(char::is_control))
}
