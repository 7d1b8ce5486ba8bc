# shellcheck shell=bash
# Where the servers are installed, and how their programs are found. Sourced by install.sh and start.sh.

SERVERS=(consul kafka postgres redis s3 milvus nginx chromium)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=${RAGMESH_SERVERS_DIR:-$(cd "$here/../.." && pwd)/.servers}

stop() { printf '%s\n' "$1" >&2; exit 1; }

check_name() {
  [[ " ${SERVERS[*]} " == *" $1 "* ]] || stop "there is no server '$1' here: choose from ${SERVERS[*]}"
}

# The machine's own program where it has one, else the one that install.sh brought.
program() {
  local name=$1 installed=$2
  if [[ -x $installed ]]; then echo "$installed"; else command -v "$name"; fi
}

consul_program() { program consul "$servers/consul/usr/bin/consul"; }
nginx_program() { program nginx "$servers/nginx/usr/sbin/nginx"; }
redis_program() { program redis-server "$servers/redis/usr/bin/redis-server"; }
postgres_programs() {
  local folder
  for folder in "$servers"/postgres/usr/lib/postgresql/*/bin /usr/lib/postgresql/*/bin; do
    [[ -x $folder/initdb && -x $folder/postgres ]] && { echo "$folder"; return; }
  done
  folder=$(command -v initdb) && dirname "$folder"
}
chromium_program() { program chromium "$servers/chromium/usr/lib/chromium/chromium"; }

has_consul() { [[ -n $(consul_program) ]]; }
has_nginx() { [[ -n $(nginx_program) ]]; }
has_redis() { [[ -n $(redis_program) ]]; }
has_postgres() { [[ -n $(postgres_programs) ]]; }
has_kafka() { [[ -f $servers/kafka/complete ]]; }
has_s3() { [[ -f $servers/s3/complete ]]; }
has_milvus() { [[ -f $servers/milvus/complete ]]; }
has_chromium() { [[ -n $(chromium_program) ]]; }
