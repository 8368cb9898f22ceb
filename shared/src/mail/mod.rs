//! E-mail: what a notification says, the signed link that ends them, and the way to the mail server.
//!
//! [`Mailer`] speaks SMTP in two steps, so that the moment from which a mail may have been taken is known exactly:
//! [`Mailer::prepare`] goes as far as the server's leave to write, [`Prepared::send`] writes. [`Digest`] and
//! [`FlagNotice`] are the contents, [`compose`] makes a mail of one, [`Unsubscribe`] signs and reads the link. Names and
//! texts come from strangers: they are cut, freed of control characters and escaped before they reach a header or HTML.

mod digest;
mod flag_notice;
mod letter;
mod mailer;
mod server;
mod unsubscribe;
mod words;

pub use digest::{Digest, Entry, Reader};
pub use flag_notice::FlagNotice;
pub use letter::{Letter, compose};
pub use lettre::Address;
pub use lettre::message::Mailbox;
pub use mailer::{Mailer, MailerError, Prepared};
pub use unsubscribe::{OptOutId, Unsubscribe};

pub(crate) use server::Server;

/// Reads a sender, `a@example.com` or `Name <a@example.com>`.
pub fn sender(text: &str) -> Option<lettre::message::Mailbox> {
    text.parse().ok().filter(|_| !text.chars().any(char::is_control))
}
