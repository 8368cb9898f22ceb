//! Programs under measurement: started here, or found by the port they listen on; read in `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

/// Clock ticks per second in `/proc/{pid}/stat`: 100 on every Linux that is in use.
const TICKS_PER_SEC: f64 = 100.0;
/// How long a program may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// A process by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pid(pub(crate) u32);

impl Pid {
    /// CPU seconds used so far, in user space and in the kernel; 0 when the process is gone.
    pub(crate) fn cpu_secs(self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // The name stands in parentheses and may hold blanks.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |field: usize| {
            after_name.split_whitespace().nth(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
        };
        (ticks(11) + ticks(12)) / TICKS_PER_SEC
    }

    /// Resident memory now and at its highest, in MiB.
    pub(crate) fn resident_mib(self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        (mib("VmRSS:"), mib("VmHWM:"))
    }

    /// Open files and sockets.
    pub(crate) fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).map_or(0, Iterator::count)
    }

    /// Who listens on `port` of this machine; `None` when nobody does or it may not be seen.
    pub(crate) fn listening_on(port: u16) -> Option<Self> {
        let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| inode_of(table, port))?;
        let socket = format!("socket:[{inode}]");
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
            let is_it = |file: fs::DirEntry| {
                fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str())
            };
            files.any(is_it).then_some(Pid(pid))
        })
    }
}

fn inode_of(table: &str, port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    let table = fs::read_to_string(table).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local_port, 16) == Ok(port) && fields.get(3) == Some(&LISTENING);
        matches.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

/// A port that is free now, below the range of outgoing connections.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    (0..100)
        .map(|_| rand::random_range(20_000..32_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port")
}

/// A program that was started here; killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `path` with `args` and the settings in `env`; no other `BELLHOP_` variable reaches it. What it
    /// prints goes to a file in `logs`.
    pub(crate) fn start(
        name: &str,
        path: &Path,
        args: &[String],
        env: &[(String, String)],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(logs).context("make the folder of logs")?;
        let log = logs.join(format!("{name}.log"));
        let file = fs::File::create(&log).context("make a log file")?;
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        isolate(&mut command, env);
        let child = command.spawn().with_context(|| format!("start {}", path.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its id; `None` once it has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.child.id().map(Pid)
    }

    /// An error with the end of its log, when it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(10).collect();
            bail!(
                "{} ended with {status}:\n{}",
                self.name,
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(Pid(pid)) = self.pid() {
            Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await.context("send SIGTERM")?;
        }
        let ended = tokio::time::timeout(STOP, self.child.wait()).await;
        ended.with_context(|| format!("{} does not stop", self.name))??;
        Ok(())
    }
}

/// What a program prints to standard output.
pub(crate) async fn output(path: &Path, args: &[&str], env: &[(String, String)]) -> anyhow::Result<String> {
    let mut command = Command::new(path);
    command.args(args);
    isolate(&mut command, env);
    let done = command.output().await.with_context(|| format!("run {}", path.display()))?;
    if !done.status.success() {
        bail!("{} failed: {}", path.display(), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

fn isolate(command: &mut Command, env: &[(String, String)]) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BELLHOP_") {
            command.env_remove(name);
        }
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_port_and_its_figures_are_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pid = Pid::listening_on(port).expect("somebody listens");
        assert_eq!(pid, Pid(std::process::id()));
        assert!(pid.resident_mib().0 > 0.0 && pid.open_files() > 0);
    }
}
