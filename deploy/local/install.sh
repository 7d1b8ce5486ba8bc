#!/usr/bin/env bash
# Installs servers of the mesh profile into the project's folder .servers: deploy/local/install.sh [NAME...]
# NAME is one of consul, kafka, postgres, redis, s3, milvus, nginx; without one, the four that the mesh profile starts.
# chromium is the browser that the tests of the web page look through.
# Nothing needs root but Java and Maven, where the machine has none. What is there already is left as it is.
set -euo pipefail
source "$(dirname "$0")/places.sh"

JAVA_PACKAGES="default-jre-headless maven"
DEBIAN_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
CONSUL_SUITE=bullseye # Debian's last release with Consul; its program is one file that runs on later ones
MILVUS=2.3.5          # the last release that is published as a wheel with the server inside

main() {
  local name
  for name in "${@:-}"; do [[ -z $name ]] || check_name "$name"; done
  (($#)) || set -- consul kafka postgres redis
  mkdir -p "$servers"
  exec 9> "$servers/lock"
  flock 9 # two installations at once would write the same files
  for name in "$@"; do
    "has_$name" && continue
    echo "installing $name into $servers"
    "install_$name"
    "has_$name" || stop "$name could not be installed: see above, or install it yourself so that it is on the PATH"
  done
}

install_redis() { install_packages redis redis-server; }
install_postgres() { install_packages postgres postgresql; }
install_nginx() { install_packages nginx nginx; }
install_kafka() { fetch_jars kafka; }
install_s3() { fetch_jars s3; }

install_chromium() {
  install_packages chromium chromium fonts-inter fonts-wqy-zenhei
  cp "$here/fonts.conf" "$servers/chromium/fonts.conf"
}

install_consul() {
  local site source=""
  # shellcheck disable=SC2016 # apt's own variable
  site=$(apt-get indextargets --format '$(SITE)' | grep '/debian$' | head -n 1) || true
  [[ -z $site ]] || source="deb [signed-by=$DEBIAN_KEYS] $site $CONSUL_SUITE main"
  private_apt consul "$source"
  (cd "$archives" && apt-get "${apt[@]}" download consul)
  unpack consul
}

install_milvus() {
  local pip=("$here/../../.venv/bin/python" -m pip)
  [[ -x ${pip[0]} ]] || pip=(python3 -m pip)
  rm -rf "$servers/milvus"
  "${pip[@]}" install --quiet --root-user-action=ignore --no-deps --only-binary :all: --target "$servers/milvus" "milvus==$MILVUS"
  touch "$servers/milvus/complete"
}

# Debian packages with whatever they need that the system lacks: install_packages NAME PACKAGE...
install_packages() {
  private_apt "$1" ""
  apt-get "${apt[@]}" -y --no-install-recommends --download-only install "${@:2}"
  unpack "$1"
}

# Lets this user ask apt for packages, in a state of its own, from the system's sources or from another one.
private_apt() {
  local state=$servers/.apt/$1
  archives=$state/cache/archives
  rm -rf "$state"
  mkdir -p "$state/lists/partial" "$archives/partial"
  apt=(
    -qq -o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" -o Dir::Cache::archives="$archives"
    -o APT::Sandbox::User= -o Debug::NoLocking=1
  )
  if [[ -n $2 ]]; then
    echo "$2" > "$state/sources.list"
    apt+=(-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=-)
  fi
  apt-get "${apt[@]}" update || true # a foreign source that is away is no reason to stop
}

unpack() {
  local deb
  rm -rf "${servers:?}/$1"
  for deb in "$archives"/*.deb; do dpkg -x "$deb" "$servers/$1"; done
  rm -rf "$servers/.apt"
}

# A Java program's jars, as Maven resolves them.
fetch_jars() {
  local name=$1
  need_java
  rm -rf "${servers:?}/$name"
  mvn -q -B -f "$here/maven/$name.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$servers/$name/jars" >&2
  touch "$servers/$name/complete"
}

need_java() {
  command -v java > /dev/null && command -v mvn > /dev/null && return
  ((EUID == 0)) || stop "Java and Maven are needed: sudo apt-get install $JAVA_PACKAGES"
  # shellcheck disable=SC2086 # several packages
  apt-get -qq update && apt-get -qq -y --no-install-recommends install $JAVA_PACKAGES > /dev/null
}

main "$@"
