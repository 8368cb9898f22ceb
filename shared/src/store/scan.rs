//! How far a search inside one thread may look before it answers with what it has.

/// Messages that one request looks at.
const MESSAGES_MAX: usize = 100_000;
/// Bytes of text that one request folds: about a second of one core.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What one search has looked at so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    messages: usize,
    bytes: usize,
}

impl Scan {
    /// Counts one message with a body of so many bytes.
    pub(super) fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// Whether it must end here.
    pub(super) fn is_over(self) -> bool {
        self.messages >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_after_many_messages_or_much_text() {
        let mut many = Scan::default();
        (1..MESSAGES_MAX).for_each(|_| many.count(1));
        assert!(!many.is_over());
        many.count(1);
        assert!(many.is_over());
        let mut long = Scan::default();
        long.count(BYTES_MAX);
        assert!(long.is_over() && !Scan::default().is_over());
    }
}
