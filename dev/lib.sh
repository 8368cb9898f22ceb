# Shared by the scripts in dev/: places, messages, programs that run in the background.
# Source it first: `. "$(dirname "$0")/lib.sh"`. Needs bash and /proc.
# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=versions
. "$ROOT/dev/versions"

# What is installed, shared by all clones of one user.
CACHE=${BELLHOP_CACHE:-${HOME:-~}/.cache/bellhop}
# What runs: pid files, logs and data. One folder for dev/up, another for each test run.
STATE=${BELLHOP_DEV_STATE:-$ROOT/.bellhop}
# The programs that cargo built.
BIN=${CARGO_TARGET_DIR:-$ROOT/target}/release

MONGODB_PORT=${BELLHOP_DEV_MONGODB_PORT:-27100}
REDIS_PORT=${BELLHOP_DEV_REDIS_PORT:-6390}
ELASTICSEARCH_PORT=${BELLHOP_DEV_ELASTICSEARCH_PORT:-9290}
ELASTICSEARCH_TRANSPORT_PORT=${BELLHOP_DEV_ELASTICSEARCH_TRANSPORT_PORT:-$((ELASTICSEARCH_PORT + 100))}

# Elasticsearch refuses to run as root; as root its programs and data belong to this user.
ELASTICSEARCH_USER=bellhop
AIOSMTPD_HOME=$CACHE/aiosmtpd-$AIOSMTPD_VERSION
SECANTUS_BIN=$CACHE/secantus/bin/secantusd-rs
COMPOSE_GO_BIN=$CACHE/compose-go-$COMPOSE_GO_VERSION/cmd
# The packages of tests/clients/socketio, a folder for each lock file.
SOCKETIO_CLIENTS=$CACHE/socketio-clients-$(cksum <"$ROOT/tests/clients/socketio/package-lock.json" | cut -d ' ' -f 1)
# The packages of tests/clients/validators, likewise.
VALIDATORS=$CACHE/validators-$(cksum <"$ROOT/tests/clients/validators/package-lock.json" | cut -d ' ' -f 1)

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as root: directly, or by sudo.
as_root() {
  if is_root; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root and there is no sudo: $*"
  fi
}

# Prefix of a command that must not run as root: nothing for an ordinary user. setpriv execs, so that the
# pid of the program is the pid that was started.
unprivileged=()
if is_root; then
  unprivileged=(setpriv "--reuid=$ELASTICSEARCH_USER" "--regid=$ELASTICSEARCH_USER" --clear-groups)
fi

# Whether the Elasticsearch user may enter a folder (root's home, for one, is closed to it).
elasticsearch_may_enter() {
  mkdir -p "$1"
  "${unprivileged[@]}" test -r "$1" -a -x "$1" 2>/dev/null
}

# Where the Elasticsearch programs lie.
elasticsearch_home() {
  local base=$CACHE
  elasticsearch_may_enter "$CACHE" || base=/opt/bellhop
  printf '%s/elasticsearch-%s' "$base" "$ELASTICSEARCH_VERSION"
}

# Where one running Elasticsearch keeps configuration, data and temporary files.
elasticsearch_state() {
  if elasticsearch_may_enter "$STATE/data"; then
    printf '%s/data/elasticsearch' "$STATE"
  else
    printf '/opt/bellhop/run/%s' "$(printf '%s' "$STATE" | cksum | cut -d ' ' -f 1)"
  fi
}

# The home of a Java that runs Elasticsearch (17 to 24), or nothing.
java_home() {
  local candidate version
  for candidate in "${ES_JAVA_HOME:-}" /usr/lib/jvm/*-17-* /usr/lib/jvm/*17* "${JAVA_HOME:-}" \
    /usr/lib/jvm/*21* "$(dirname "$(dirname "$(readlink -f "$(command -v java || printf /none/bin/java)")")")"; do
    if [ -z "$candidate" ] || [ ! -x "$candidate/bin/java" ]; then continue; fi
    version=$("$candidate/bin/java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
    if [ "${version:-0}" -ge 17 ] && [ "$version" -le 24 ]; then
      printf '%s' "$candidate"
      return
    fi
  done
  return 1
}

# The start time of a process in clock ticks: with the pid it names one process for ever, where a pid alone
# may be given to another program. Fails for a process that is gone or only waits to be reaped.
started_at() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ] && printf '%s' "${fields[19]}"
}

# Whether the program that was launched under this name still runs.
running() {
  local pid ticks
  [ -f "$STATE/pid/$1" ] || return 1
  read -r pid ticks <"$STATE/pid/$1" || return 1
  [ -n "$ticks" ] && [ "$(started_at "$pid" || true)" = "$ticks" ]
}

pid_of() { cut -d ' ' -f 1 "$STATE/pid/$1"; }

# launch NAME COMMAND…: runs a program in the background in a session of its own, its output in log/NAME.log
# (the log of the start before is kept as NAME.log.1). Fails when one of that name runs already.
launch() {
  local name=$1 log=$STATE/log/$1.log pid
  shift
  running "$name" && die "$name runs already (pid $(pid_of "$name"))"
  mkdir -p "$STATE/pid" "$STATE/log"
  [ -f "$log" ] && mv "$log" "$log.1"
  setsid "$@" </dev/null >"$log" 2>&1 &
  pid=$!
  printf '%s %s\n' "$pid" "$(started_at "$pid" || true)" >"$STATE/pid/$name"
}

# halt NAME [SECONDS]: asks the program to stop, waits until it is gone, kills it after SECONDS (30). Only what
# launch started is ever ended. When it returns, the program's folder and port are free.
halt() {
  local name=$1 patience=${2:-30} pid deadline
  if running "$name"; then
    pid=$(pid_of "$name")
    kill -TERM "$pid" 2>/dev/null || true
    deadline=$((SECONDS + patience))
    while running "$name"; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        warn "$name did not stop in $patience s and is killed"
        kill -KILL "$pid" 2>/dev/null || true
        deadline=$((SECONDS + patience))
      fi
      sleep 0.05
    done
  fi
  rm -f "$STATE/pid/$name"
}

# await NAME SECONDS COMMAND…: polls until the command succeeds. Stops with the end of the log when the program
# dies or the time is over.
await() {
  local name=$1 patience=$2 deadline
  shift 2
  deadline=$((SECONDS + patience))
  until "$@" >/dev/null 2>&1; do
    if ! running "$name" || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 30 "$STATE/log/$name.log" >&2 || true
      if running "$name"; then
        die "$name did not become ready in $patience s; its log is $STATE/log/$name.log"
      fi
      die "$name ended while starting; its log is $STATE/log/$name.log"
    fi
    sleep 0.1
  done
}

# Whether something listens on a port of this machine.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Stops with a hint when a port that NAME needs belongs to another program.
claim_port() {
  if port_taken "$2"; then
    die "port $2, which $1 needs, is taken by another program; choose another with $3"
  fi
}

# Exported variables that are for these scripts and the tests, as `env -u` options. Ingest and workers refuse
# to start with a BELLHOP_ key they do not know.
script_variables() {
  local name
  for name in $(compgen -e BELLHOP_ || true); do
    case $name in
      BELLHOP_CACHE | BELLHOP_DEV_* | BELLHOP_TEST_*) printf '%s\n%s\n' -u "$name" ;;
    esac
  done
}

# Succeeds when a URL answers with a 2xx status within two seconds.
answers() { curl --silent --fail --max-time 2 --output /dev/null "$1"; }
