//! Looks at every log line of the process for texts that must not stand there.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Once};

use parking_lot::{Mutex, RwLock};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The watches of all tests that run.
static WATCHES: LazyLock<RwLock<Vec<Arc<Texts>>>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct Texts {
    forbidden: Mutex<Vec<String>>,
    found: Mutex<Vec<String>>,
}

/// What one test does not want to be logged, for as long as it lives.
pub struct SecretWatch(Arc<Texts>);

impl SecretWatch {
    /// Begins to watch for `texts`. The first watch of a process starts to look at its logs, in all detail.
    pub fn start(texts: &[&str]) -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let filter = EnvFilter::new("info,ingest=debug,workers=debug,shared=debug");
            let layer = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(Looking);
            // Where another subscriber is set already, `sees` says so.
            let _ = layer.try_init();
        });
        let watch = Self(Arc::default());
        texts.iter().for_each(|text| watch.add(text));
        WATCHES.write().push(Arc::clone(&watch.0));
        watch
    }

    /// One more text, of at least 4 bytes: a shorter one stands anywhere.
    ///
    /// # Panics
    /// When it is shorter.
    pub fn add(&self, text: &str) {
        assert!(text.len() >= 4, "too short to watch for");
        self.0.forbidden.lock().push(text.to_owned());
    }

    /// The lines in which a forbidden text stood.
    pub fn found(&self) -> Vec<String> {
        self.0.found.lock().clone()
    }
}

impl Drop for SecretWatch {
    fn drop(&mut self) {
        WATCHES.write().retain(|texts| !Arc::ptr_eq(texts, &self.0));
    }
}

#[derive(Clone, Copy)]
struct Looking;

impl Write for Looking {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        for watch in WATCHES.read().iter() {
            if watch.forbidden.lock().iter().any(|forbidden| text.contains(forbidden.as_str())) {
                watch.found.lock().push(text.to_string());
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Looking {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}
