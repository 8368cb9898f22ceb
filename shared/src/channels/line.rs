//! The lines of each kind, and whose they are.

use std::sync::Arc;

use lettre::message::Mailbox;

use super::accounts::{Lines, Own};
use crate::config::{Secret, UnknownPolicy};
use crate::domain::contact::SHARED;
use crate::domain::ids::{AccountId, ChannelId};
use crate::providers::guest::GuestChannel;
use crate::providers::twilio::TwilioChannel;
use crate::providers::whatsapp::WhatsappChannel;
use crate::store::Flag;

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `None`: the default of every account.
    pub account: Option<AccountId>,
    /// The account's name for it; `None` for a default.
    pub channel: Option<ChannelId>,
    /// Which of its credentials these are; 0 for a default.
    pub credentials: i64,
    /// What the account wants after an unknown outcome; `None`: what the configuration says.
    pub unknown_policy: Option<UnknownPolicy>,
    /// Its credentials were refused: nothing is sent by it until they are changed.
    pub flag: Option<Flag>,
}

impl Owner {
    pub(super) const DEFAULT: Self =
        Self { account: None, channel: None, credentials: 0, unknown_policy: None, flag: None };

    /// The account under which the line's contacts stand.
    pub fn of_contacts(&self) -> AccountId {
        match &self.account {
            Some(account) => account.clone(),
            None => AccountId::parse(SHARED).expect("the constant has the form of an account id"),
        }
    }

    /// A name for what signs in on `line`: new credentials have another, and so a circuit of their own.
    pub fn credential_of(&self, line: &str) -> String {
        format!("{line}:{}:{}", self.of_contacts(), self.credentials)
    }

    /// Whether the line may speak for `account`.
    pub fn serves(&self, account: &AccountId) -> bool {
        self.account.as_ref().is_none_or(|owner| owner == account)
    }

    /// Whether its credentials were refused.
    pub fn is_flagged(&self) -> bool {
        self.flag.is_some()
    }
}

/// A WhatsApp number.
#[derive(Debug, Clone)]
pub struct WhatsappLine {
    pub owner: Owner,
    pub channel: WhatsappChannel,
    /// Meta's id of the business account that owns the number: where its templates are listed.
    pub business_account_id: Option<String>,
    /// Verifies webhooks; without it they are refused.
    pub app_secret: Option<Secret>,
    /// Answers the subscription check.
    pub verify_token: Option<Secret>,
    /// What it cannot deliver may go out by SMS, once.
    pub fallback_to_sms: bool,
}

/// A sender of SMS.
#[derive(Debug, Clone)]
pub struct SmsLine {
    pub owner: Owner,
    pub channel: TwilioChannel,
}

/// A guest platform.
#[derive(Debug, Clone)]
pub struct GuestLine {
    pub owner: Owner,
    pub channel: GuestChannel,
}

/// Whom an account's e-mails come from. Not `Debug`: it holds addresses.
#[derive(Clone)]
pub struct EmailLine {
    pub owner: Owner,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
}

impl WhatsappLine {
    /// What the line is called in contacts, circuits and paces: `whatsapp:{phone_number_id}`.
    pub fn name(&self) -> String {
        format!("whatsapp:{}", self.channel.phone_number_id)
    }
}

impl SmsLine {
    /// As [`WhatsappLine::name`]: `sms:{account sid}:{sender}`. Holds a number of ours.
    pub fn name(&self) -> String {
        format!("sms:{}:{}", self.channel.account_sid, self.channel.from)
    }
}

/// What the book needs of a line of any kind.
pub(super) trait Line: Sized {
    fn owner(&self) -> &Owner;

    /// Those of its kind.
    fn among(lines: &Lines) -> &[Own<Self>];

    /// The same, to add to.
    fn among_mut(lines: &mut Lines) -> &mut Vec<Own<Self>>;

    /// Adds what `channel` is; `None` where it cannot be used.
    fn add(lines: &mut Lines, channel: &ChannelId, line: Option<Self>) {
        Self::among_mut(lines).push(Own { channel: channel.clone(), line: line.map(Arc::new) });
    }
}

macro_rules! line {
    ($type:ty, $field:ident) => {
        impl Line for $type {
            fn owner(&self) -> &Owner {
                &self.owner
            }

            fn among(lines: &Lines) -> &[Own<Self>] {
                &lines.$field
            }

            fn among_mut(lines: &mut Lines) -> &mut Vec<Own<Self>> {
                &mut lines.$field
            }
        }
    };
}

line!(WhatsappLine, whatsapp);
line!(SmsLine, sms);
line!(GuestLine, guest);
line!(EmailLine, email);
