//! Live sockets: how many, how slow they may be, how much they may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Reader;
use super::values::Rate;

/// Limits of live sockets.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// Sockets of one process.
    pub max: usize,
    /// Sockets of one user or customer, per process.
    pub per_caller: usize,
    /// Events that may wait for one client.
    pub buffer: usize,
    /// How often a client is asked whether it is there.
    pub ping_interval: Duration,
    /// After which a silent client, or one that takes nothing, is gone.
    pub ping_timeout: Duration,
    /// Events that one client may send.
    pub event_rate: Rate,
}

impl Sockets {
    pub(super) fn read(r: &mut Reader) -> Self {
        let least = Duration::from_millis(100);
        let slowest = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) };
        Self {
            max: r.number("sockets.max", 1..=1_000_000) as usize,
            per_caller: r.number("sockets.per_caller", 1..=1_000_000) as usize,
            buffer: r.number("sockets.buffer", 8..=65_536) as usize,
            ping_interval: r.duration("sockets.ping_interval", least),
            ping_timeout: r.duration("sockets.ping_timeout", least),
            event_rate: r.own("sockets.event_rate", slowest),
        }
    }
}
