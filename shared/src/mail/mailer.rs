//! The way to the mail server: SMTP in two steps over a few kept connections, all within the provider deadline.
//!
//! A server takes a mail when it answers the end of its text, and not before. Whatever fails up to its leave to
//! write (`354`) is thus a mail that was surely not taken; from then on only the server's own answer tells, and
//! without one the outcome is unknown. lettre's own transport does not tell the two apart, so it is used one command
//! at a time. Answers are never logged or kept: they quote addresses.

use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::server::{Security, Server};
use crate::config::Smtp;
use crate::providers::judge::Judge;
use crate::providers::{Classes, Lost, Provider, SendOutcome, UnknownCause};

/// Connections kept for the next mail.
const IDLE_MAX: usize = 4;
/// How long one is kept: below the shortest patience of usual servers.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// The server closes the connection: said to one that was idle for too long for its taste.
const CLOSING: u16 = 421;

/// Why there can be no mailer.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL or the sender cannot be used; the values are not repeated.
    #[error("the settings of the mail server are not usable")]
    Settings,
    /// TLS cannot be set up.
    #[error("prepare TLS for the mail server")]
    Tls,
}

/// Sends mails. Clones share the connections.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    server: Server,
    sender: Mailbox,
    hello: ClientId,
    tls: Option<TlsParameters>,
    deadline: Duration,
    judge: Judge,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

/// What ended the talk before any text was written.
enum Trouble {
    /// The server's word.
    Refused(u16),
    /// No connection, or it broke.
    Broken,
    /// What this channel asks for, the server does not have.
    Unfit(&'static str),
    /// The server cannot write to such an address.
    Address,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        error.status().map_or(Self::Broken, |code| Self::Refused(code.into()))
    }
}

/// A connection with the server's leave to write one mail. Dropping it takes everything back.
pub struct Prepared {
    mailer: Mailer,
    connection: AsyncSmtpConnection,
    until: Instant,
}

impl Mailer {
    /// Sends by the server of `config`; a mail takes at most `deadline`, both steps together.
    ///
    /// # Errors
    /// [`MailerError`]; never because the server is away.
    pub fn new(
        config: &Smtp,
        public_url: &Url,
        deadline: Duration,
        classes: Arc<Classes>,
    ) -> Result<Self, MailerError> {
        let url = config.url.expose().parse().map_err(|_| MailerError::Settings)?;
        let server = Server::parse(&url).map_err(|_| MailerError::Settings)?;
        let sender = super::sender(&config.from).ok_or(MailerError::Settings)?;
        let tls = match server.security {
            Security::None => None,
            _ => Some(TlsParameters::new(server.host.clone()).map_err(|_| MailerError::Tls)?),
        };
        let hello = match public_url.host() {
            Some(Host::Domain(name)) => ClientId::Domain(name.to_owned()),
            Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
            Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
            None => ClientId::default(),
        };
        let judge = Judge { classes, provider: Provider::Smtp };
        Ok(Self(Arc::new(Inner { server, sender, hello, tls, deadline, judge, idle: Mutex::default() })))
    }

    /// The configured sender.
    pub fn sender(&self) -> &Mailbox {
        &self.0.sender
    }

    /// Goes as far as the server's leave to write a mail to `to`, in at most half of the deadline.
    ///
    /// # Errors
    /// The outcome: always a refusal, since nothing was written.
    pub async fn prepare(&self, to: &Address) -> Result<Prepared, SendOutcome> {
        let (now, deadline) = (Instant::now(), self.0.deadline);
        let asked = timeout_at(now + deadline / 2, self.ask(to)).await;
        let trouble = match asked.unwrap_or(Err(Trouble::Broken)) {
            Ok(connection) => {
                return Ok(Prepared { mailer: self.clone(), connection, until: now + deadline });
            }
            Err(trouble) => trouble,
        };
        let judge = &self.0.judge;
        Err(judge.count(match trouble {
            Trouble::Refused(code) => judge.replied(code),
            Trouble::Broken => judge.lost(Lost::NotSent),
            Trouble::Unfit(why) => judge.lost(Lost::Blocked(why)),
            Trouble::Address => judge.unwritable(),
        }))
    }

    async fn ask(&self, to: &Address) -> Result<AsyncSmtpConnection, Trouble> {
        while let Some(mut kept) = self.kept() {
            match self.envelope(&mut kept, to).await {
                Ok(()) => return Ok(kept),
                // The server had closed it; another, or a new one, will do.
                Err(Trouble::Broken | Trouble::Refused(CLOSING)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let mut connection = self.connect().await?;
        self.envelope(&mut connection, to).await?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let Inner { server, hello, tls, .. } = &*self.0;
        let address = (server.host.as_str(), server.port);
        let wrapped = tls.clone().filter(|_| server.security == Security::Wrapped);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, hello, wrapped, None).await?;
        if let (Security::Offered | Security::Required, Some(tls)) = (server.security, tls) {
            if connection.can_starttls() {
                connection.starttls(tls.clone(), hello).await?;
            } else if server.security == Security::Required {
                return Err(Trouble::Unfit("the mail server offers no encryption"));
            }
        }
        if let Some(credentials) = &server.credentials {
            if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
                return Err(Trouble::Unfit("the mail server offers no way to sign in"));
            }
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// Names sender and recipient and asks for leave to write.
    async fn envelope(&self, connection: &mut AsyncSmtpConnection, to: &Address) -> Result<(), Trouble> {
        let from = &self.0.sender.email;
        let mut parameters = Vec::new();
        if ![from, to].iter().all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Trouble::Address);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        connection.command(Mail::new(Some(from.clone()), parameters)).await?;
        connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
        connection.command(Data).await?;
        Ok(())
    }

    /// A connection of an earlier mail.
    fn kept(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.0.idle.lock();
        idle.retain(|(since, _)| since.elapsed() < IDLE_FOR);
        idle.pop().map(|(_, connection)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.0.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), connection));
        }
    }
}

impl Prepared {
    /// Writes `mail`, whose `Message-ID` is `id`. Once this was called the mail may have been taken.
    pub async fn send(mut self, mail: &[u8], id: &str) -> SendOutcome {
        let judge = &self.mailer.0.judge;
        let answer = timeout_at(self.until, self.connection.message(mail)).await;
        let outcome = match answer {
            Ok(Ok(_)) => SendOutcome::Accepted { provider_id: id.to_owned(), recipient_id: None },
            Ok(Err(error)) => match error.status() {
                Some(code) => judge.replied(code.into()),
                None => judge.lost(Lost::AfterWrite(UnknownCause::ConnectionLost)),
            },
            Err(_) => judge.lost(Lost::AfterWrite(UnknownCause::Timeout)),
        };
        let outcome = judge.count(outcome);
        if matches!(outcome, SendOutcome::Accepted { .. }) {
            self.mailer.keep(self.connection);
        }
        outcome
    }
}
