# The configuration of the development programs. Sourced after lib.sh, by the scripts that run them.
# shellcheck shell=bash disable=SC2154 # lib.sh sets the ports of the servers

INGEST_PORT=${BELLHOP_DEV_INGEST_PORT:-8080}
WORKERS_PORT=${BELLHOP_DEV_WORKERS_PORT:-8081}
ADMIN_PORT=${BELLHOP_DEV_ADMIN_PORT:-8082}
SIMULATOR_PORT=${BELLHOP_DEV_SIMULATOR_PORT:-9090}
ENV_FILE=$STATE/env

# Random text of so many bytes, base64.
random() { head -c "$1" /dev/urandom | base64 -w 0; }

# What was generated for a key at an earlier start, so that tokens and stored secrets stay good.
kept() { sed -n "s/^export $1='\(.*\)'$/\1/p" "$ENV_FILE" 2>/dev/null || true; }

# Writes the configuration to a file that people source as well. The providers' credentials are those that
# the simulator knows; the other secrets are made here, once.
write_env() {
  local jwt secrets
  jwt=$(kept BELLHOP_AUTH__HS256_SECRET)
  secrets=$(kept BELLHOP_SECRETS_KEY)
  mkdir -p "$STATE"
  (umask 077 && cat >"$ENV_FILE.new") <<END
export BELLHOP_HTTP__LISTEN='127.0.0.1:$INGEST_PORT'
export BELLHOP_HTTP__ADMIN_LISTEN='127.0.0.1:$ADMIN_PORT'
export BELLHOP_WORKERS__LISTEN='127.0.0.1:$WORKERS_PORT'
export BELLHOP_PUBLIC_URL='http://127.0.0.1:$INGEST_PORT'
export BELLHOP_MONGODB__URI='mongodb://127.0.0.1:$MONGODB_PORT/?replicaSet=secantus&w=majority&journal=true'
export BELLHOP_MONGODB__DATABASE='bellhop'
export BELLHOP_REDIS__URL='redis://127.0.0.1:$REDIS_PORT/0'
export BELLHOP_ELASTICSEARCH__URL='http://127.0.0.1:$ELASTICSEARCH_PORT'
export BELLHOP_ELASTICSEARCH__PREFIX='bellhop-'
export BELLHOP_AUTH__HS256_SECRET='${jwt:-$(random 32)}'
export BELLHOP_SECRETS_KEY='${secrets:-$(random 32)}'
export BELLHOP_WHATSAPP__BASE_URL='http://127.0.0.1:$SIMULATOR_PORT/whatsapp/v23.0'
export BELLHOP_WHATSAPP__PHONE_NUMBER_ID='100000000000001'
export BELLHOP_WHATSAPP__ACCESS_TOKEN='dev-access-token'
export BELLHOP_WHATSAPP__APP_SECRET='dev-app-secret'
export BELLHOP_WHATSAPP__VERIFY_TOKEN='dev-verify-token'
export BELLHOP_TWILIO__BASE_URL='http://127.0.0.1:$SIMULATOR_PORT/twilio'
export BELLHOP_TWILIO__ACCOUNT_SID='AC00000000000000000000000000000001'
export BELLHOP_TWILIO__AUTH_TOKEN='dev-auth-token'
export BELLHOP_TWILIO__FROM='+15550783881'
export BELLHOP_GUEST__URL='http://127.0.0.1:$SIMULATOR_PORT/guest/events'
export BELLHOP_GUEST__SECRET='whsec_ZGV2ZWxvcG1lbnQtZ3Vlc3QtcGxhdGZvcm0tc2VjcmV0'
export BELLHOP_LOG__FORMAT='${BELLHOP_LOG__FORMAT:-pretty}'
END
  mv "$ENV_FILE.new" "$ENV_FILE"
}
