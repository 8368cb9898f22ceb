//! The provider simulator as a program: WhatsApp Cloud, Twilio and the guest platform on one port.
//!
//! docs/SIMULATOR.md shows how to ask for outcomes by hand. Every flag is also a variable, `SIMULATOR_…`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tests::simulator::{
    DEV_ACCESS_TOKEN, DEV_ACCOUNT_SID, DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_DISPLAY_NUMBER, DEV_GUEST_SECRET,
    DEV_PHONE_NUMBER_ID, DEV_VERIFY_TOKEN, Fidelity, InboundPlan, Limits, Secret, Settings, Simulator,
    SimulatorConfig, StatusPlan, TwilioAccount, WhatsappNumber,
};
use tokio::signal::unix::{SignalKind, signal};

/// Pretends to be WhatsApp Cloud, Twilio and the guest platform. The defaults are for development.
#[derive(Parser)]
#[command(name = "simulator", version)]
struct Flags {
    /// Address to listen on; port 0 takes a free one, which is logged.
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Where ingest is reached; status webhooks go to its /webhooks/whatsapp.
    #[arg(long, env = "SIMULATOR_WEBHOOK_BASE", default_value = "http://127.0.0.1:8080")]
    webhook_base: String,
    /// Send Twilio callbacks to the webhook base, signed for the URL that was given.
    #[arg(long, env = "SIMULATOR_REWRITE_CALLBACKS")]
    rewrite_callbacks: bool,
    /// WhatsApp phone number ids, separated by commas.
    #[arg(long, env = "SIMULATOR_PHONE_NUMBER_ID", value_delimiter = ',', default_value = DEV_PHONE_NUMBER_ID)]
    phone_number_id: Vec<String>,
    /// WhatsApp access token.
    #[arg(long, env = "SIMULATOR_ACCESS_TOKEN", default_value = DEV_ACCESS_TOKEN, hide_env_values = true)]
    access_token: String,
    /// WhatsApp app secret; signs the status webhooks.
    #[arg(long, env = "SIMULATOR_APP_SECRET", default_value = DEV_APP_SECRET, hide_env_values = true)]
    app_secret: String,
    /// WhatsApp webhook verify token.
    #[arg(long, env = "SIMULATOR_VERIFY_TOKEN", default_value = DEV_VERIFY_TOKEN, hide_env_values = true)]
    verify_token: String,
    /// Twilio account sid.
    #[arg(long, env = "SIMULATOR_ACCOUNT_SID", default_value = DEV_ACCOUNT_SID)]
    account_sid: String,
    /// Twilio auth token; signs the status callbacks.
    #[arg(long, env = "SIMULATOR_AUTH_TOKEN", default_value = DEV_AUTH_TOKEN, hide_env_values = true)]
    auth_token: String,
    /// Senders of the Twilio account, separated by commas; without them any valid number may send.
    #[arg(long, env = "SIMULATOR_TWILIO_NUMBERS", value_delimiter = ',')]
    twilio_numbers: Vec<String>,
    /// Standard Webhooks secret of the guest platform.
    #[arg(long, env = "SIMULATOR_GUEST_SECRET", default_value = DEV_GUEST_SECRET, hide_env_values = true)]
    guest_secret: String,
    /// Append each accepted send to this file as one JSON line.
    #[arg(long, env = "SIMULATOR_RECORD")]
    record: Option<PathBuf>,
    /// Milliseconds from the acceptance to the answer.
    #[arg(long, env = "SIMULATOR_ANSWER_DELAY_MS", default_value_t = 0)]
    answer_delay_ms: u64,
    /// Send no status webhooks.
    #[arg(long, env = "SIMULATOR_NO_STATUSES")]
    no_statuses: bool,
    /// Also send the status `read`.
    #[arg(long, env = "SIMULATOR_READ")]
    read: bool,
    /// Milliseconds from the acceptance to the status `sent`.
    #[arg(long, env = "SIMULATOR_SENT_MS", default_value_t = 20)]
    sent_ms: u64,
    /// Milliseconds from the acceptance to the status `delivered`.
    #[arg(long, env = "SIMULATOR_DELIVERED_MS", default_value_t = 50)]
    delivered_ms: u64,
    /// Milliseconds from the acceptance to the status `read`.
    #[arg(long, env = "SIMULATOR_READ_MS", default_value_t = 90)]
    read_ms: u64,
    /// How often each status webhook is posted.
    #[arg(long, env = "SIMULATOR_COPIES", default_value_t = 1)]
    copies: u32,
    /// Let the statuses of a message arrive in an order drawn from this seed.
    #[arg(long, env = "SIMULATOR_SHUFFLE_SEED")]
    shuffle_seed: Option<u64>,
    /// Enforce the providers' rate limits.
    #[arg(long, env = "SIMULATOR_LIMITS")]
    limits: bool,
    /// Judge as strictly as the providers: windows, templates, media, opt-outs; any refused webhook is tried again.
    #[arg(long, env = "SIMULATOR_STRICT")]
    strict: bool,
    /// The product's public URL, which Twilio signs customers' messages for; the webhook base unless set.
    #[arg(long, env = "SIMULATOR_PUBLIC_URL")]
    public_url: Option<String>,
    /// The number that customers write to by SMS, where the account names none.
    #[arg(long, env = "SIMULATOR_SMS_NUMBER", default_value_t = format!("+{DEV_DISPLAY_NUMBER}"))]
    sms_number: String,
    /// WhatsApp statuses, and messages of customers, that share one webhook at most.
    #[arg(long, env = "SIMULATOR_BATCH", default_value_t = 1)]
    batch: u32,
    /// Hold each answer back until its first status was taken.
    #[arg(long, env = "SIMULATOR_BEFORE_ANSWER")]
    before_answer: bool,
    /// Of 100 accepted messages so many fail in a status.
    #[arg(long, env = "SIMULATOR_FAIL_PERCENT", default_value_t = 0)]
    fail_percent: u32,
    /// The codes they fail with, separated by commas.
    #[arg(long, env = "SIMULATOR_FAIL_CODES", value_delimiter = ',')]
    fail_codes: Vec<u32>,
    /// Of 100 statuses so many come two seconds late.
    #[arg(long, env = "SIMULATOR_LATE_PERCENT", default_value_t = 0)]
    late_percent: u32,
    /// Decides which messages fail and which statuses are late.
    #[arg(long, env = "SIMULATOR_SEED", default_value_t = 0)]
    seed: u64,
    /// Ignore markers in texts and magic recipients.
    #[arg(long, env = "SIMULATOR_NO_MAGIC")]
    no_magic: bool,
}

fn main() -> anyhow::Result<()> {
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal).init();
    let flags = Flags::parse();
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let simulator = Simulator::bind(flags.into_config()).context("start the simulator")?;
    tracing::info!(address = %simulator.address(), "simulator listens on {}", simulator.url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let accepted = simulator.accepted_count();
    simulator.stop().await;
    tracing::info!(accepted, "simulator stopped");
    Ok(())
}

impl Flags {
    fn into_config(self) -> SimulatorConfig {
        let settings = self.settings();
        let numbers = self.phone_number_id.iter().enumerate();
        let number = |(index, id): (usize, &String)| WhatsappNumber {
            phone_number_id: id.clone(),
            display_phone_number: display_number(index),
            access_token: Secret(self.access_token.clone()),
            app_secret: Secret(self.app_secret.clone()),
        };
        SimulatorConfig {
            listen: self.listen,
            whatsapp: numbers.map(number).collect(),
            verify_token: Secret(self.verify_token),
            twilio: vec![TwilioAccount {
                account_sid: self.account_sid,
                auth_token: Secret(self.auth_token),
                numbers: self.twilio_numbers,
            }],
            guest_secret: Secret(self.guest_secret),
            record: self.record,
            sms_number: self.sms_number,
            settings,
            ..SimulatorConfig::default()
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            webhook_base: Some(self.webhook_base.trim_end_matches('/').to_owned()),
            rewrite_callbacks: self.rewrite_callbacks,
            answer_delay_ms: self.answer_delay_ms,
            magic: !self.no_magic,
            public_url: self.public_url.clone(),
            statuses: self.statuses(),
            inbound: InboundPlan { batch: self.batch, ..InboundPlan::default() },
            fidelity: if self.strict { Fidelity::full() } else { Fidelity::default() },
            webhook_retry_refusals: self.strict,
            limits: Limits { enabled: self.limits, ..Limits::default() },
            ..Settings::default()
        }
    }
}

impl Flags {
    fn statuses(&self) -> StatusPlan {
        StatusPlan {
            enabled: !self.no_statuses,
            sent_ms: self.sent_ms,
            delivered_ms: self.delivered_ms,
            read_ms: self.read_ms,
            read: self.read,
            copies: self.copies,
            shuffle_seed: self.shuffle_seed,
            batch: self.batch,
            before_answer: self.before_answer,
            fail_percent: self.fail_percent,
            fail_codes: self.fail_codes.clone(),
            late_percent: self.late_percent,
            seed: self.seed,
            ..StatusPlan::default()
        }
    }
}

/// The first number is the development number; further ones count up from it.
fn display_number(index: usize) -> String {
    let first: u64 = DEV_DISPLAY_NUMBER.parse().unwrap_or_default();
    (first + index as u64).to_string()
}
