#!/usr/bin/env bash
# Runs a server in the foreground, on 127.0.0.1 alone: deploy/local/start.sh NAME DATA_DIR PORT
# Its data are in DATA_DIR, which is made on the first start. SIGTERM ends it; the process is the server itself.
# shellcheck disable=SC2155 # where there are no libraries to be found, the system has its own
set -euo pipefail
source "$(dirname "$0")/places.sh"

main() {
  (($# == 3)) || stop "usage: $0 NAME DATA_DIR PORT"
  check_name "$1"
  mkdir -p "$2"
  data=$(cd "$2" && pwd) port=$3
  "has_$1" || stop "$1 is not installed: run deploy/local/install.sh $1"
  "start_$1"
}

start_consul() {
  mkdir -p "$data/config" # what an operator adds: ACLs, TLS
  # The ports of its Raft and Serf stay what they were: a server that came back elsewhere would not know itself.
  [[ -f $data/ports ]] || free_ports 2 > "$data/ports"
  read -r raft serf < "$data/ports"
  exec "$(consul_program)" agent -server -bootstrap-expect=1 -node=local -data-dir="$data/state" -config-dir="$data/config" -log-level=warn \
    -bind=127.0.0.1 -client=127.0.0.1 -http-port="$port" -dns-port=-1 -grpc-port=-1 \
    -server-port="$raft" -serf-lan-port="$serf" -serf-wan-port=-1 \
    -hcl='performance { raft_multiplier = 1 }' -hcl='disable_update_check = true'
}

start_kafka() {
  local jars=$servers/kafka/jars controller
  controller=$(free_ports 1)
  sed -e "s|@DATA@|$data|g; s|@PORT@|$port|g; s|@CONTROLLER@|$controller|g; s|@ADVERTISED@|${KAFKA_ADVERTISED:-127.0.0.1}|g" \
    "$here/kafka.properties" > "$data/server.properties"
  export CLASSPATH="$jars/*"
  [[ -f $data/log/meta.properties ]] ||
    java -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=error kafka.tools.StorageTool format --cluster-id ragmesh-local-00000000 --config "$data/server.properties" > /dev/null
  exec java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    kafka.Kafka "$data/server.properties"
}

start_postgres() {
  local programs
  programs=$(postgres_programs)
  export LD_LIBRARY_PATH=$(libraries postgres)
  as_user
  if [[ ! -f $data/complete ]]; then
    rm -rf "$data/cluster"
    "${user[@]}" "$programs/initdb" --pgdata="$data/cluster" --username=ragmesh --auth=trust --encoding=UTF8 --locale=C > /dev/null
    echo 'CREATE DATABASE ragmesh' | "${user[@]}" "$programs/postgres" --single -D "$data/cluster" postgres > /dev/null
    touch "$data/complete"
  fi
  exec "${user[@]}" "$programs/postgres" -D "$data/cluster" -c listen_addresses=127.0.0.1 -c port="$port" \
    -c unix_socket_directories= -c max_connections=200 -c shared_buffers=64MB -c log_min_messages=error
}

start_redis() {
  export LD_LIBRARY_PATH=$(libraries redis)
  # A cache: what it forgets is computed again.
  exec "$(redis_program)" --bind 127.0.0.1 --port "$port" --dir "$data" --save '' --appendonly no \
    --maxmemory 256mb --maxmemory-policy allkeys-lru --loglevel warning
}

start_nginx() {
  export LD_LIBRARY_PATH=$(libraries nginx)
  RUN=$data ACCESS_LOG=$data/access.log LISTEN=127.0.0.1:$port "$here/../nginx/render.sh" > "$data/nginx.conf"
  local directives="daemon off;"
  ((EUID)) || directives+=" user root;" # its workers write into a folder of this user's
  exec "$(nginx_program)" -e stderr -p "$data" -c "$data/nginx.conf" -g "$directives"
}

start_s3() {
  local jars=$servers/s3/jars
  mkdir -p "$data/buckets"
  sed -e "s|@DATA@|$data|g; s|@PORT@|$port|g" "$here/s3.properties" > "$data/s3.properties"
  exec java -Xmx512m -Dlogback.configurationFile="$here/logback.xml" -cp "$jars/*" \
    org.gaul.s3proxy.Main --properties "$data/s3.properties"
}

start_milvus() {
  PYTHONPATH=$servers/milvus exec python3 "$here/become_milvus.py" "$data" "$port" > /dev/null
}

# Listens for the DevTools protocol. The sandbox needs rights that root in a container has not.
start_chromium() {
  local options=(--headless=new --no-first-run --disable-gpu --disable-dev-shm-usage --hide-scrollbars)
  ((EUID)) || options+=(--no-sandbox)
  if [[ -d $servers/chromium ]]; then
    export LD_LIBRARY_PATH=$(libraries chromium):$servers/chromium/usr/lib/$(uname -m)-linux-gnu/pulseaudio
    export FONTCONFIG_FILE=$servers/chromium/fonts.conf
  fi
  exec "$(chromium_program)" "${options[@]}" --user-data-dir="$data" --remote-debugging-port="$port" about:blank
}

# PostgreSQL refuses to run as root: in a user namespace root is somebody else, who owns the same files.
as_user() {
  user=()
  ((EUID)) || user=(unshare --user --map-user=65534 --map-group=65534)
}

# The libraries that were unpacked beside a program; empty where it is the system's own.
libraries() { echo "$servers/$1/usr/lib/$(uname -m)-linux-gnu:$servers/$1/usr/lib"; }

free_ports() {
  python3 - "$1" << 'PYTHON'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(opened.getsockname()[1] for opened in sockets))
PYTHON
}

main "$@"
