//! The acker: acknowledges handled entries, as many at a time as have come together.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::StreamConfig;
use super::held::Held;
use super::outage::Outage;
use super::stream::Stream;

/// Entries in one acknowledgement.
const BATCH_MAX: usize = 512;

/// Acknowledges until `finish` is called and nothing is left. A failed call is made again for ever: no new entry
/// can be read meanwhile, so what waits here stays bounded.
pub(super) async fn acknowledge(
    stream: Stream,
    held: Arc<Held>,
    config: StreamConfig,
    mut to_ack: mpsc::UnboundedReceiver<String>,
    finish: CancellationToken,
) {
    let mut outage = Outage::new(config.queue, "acknowledging");
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            biased;
            count = to_ack.recv_many(&mut batch, BATCH_MAX) => if count == 0 { return },
            () = finish.cancelled(), if !to_ack.is_closed() => {
                to_ack.close();
                continue;
            }
        }
        while let Err(error) = stream.ack(&batch).await {
            outage.failed(&error);
            outage.pause().await;
        }
        outage.over();
        held.remove(batch.iter().map(String::as_str));
        batch.clear();
    }
}
