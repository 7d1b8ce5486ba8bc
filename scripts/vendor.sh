#!/usr/bin/env bash
# Renews gateway/web/vendor: the web page's libraries as plain ES modules, committed, so that running needs no npm.
# package-lock.json pins each one by its hash; npm refuses what differs.
set -euo pipefail
cd "$(dirname "$0")/../gateway/web/vendor"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --silent
from=$work/node_modules

# Browsers resolve no bare names without an inline import map, which the page's policy forbids.
module() {
  sed -E -e 's#from ?"preact/hooks"#from"./hooks.js"#g; s#from ?"preact"#from"./preact.js"#g' \
    -e 's#from ?"@preact/signals-core"#from"./signals-core.js"#g' -e 's,//# sourceMappingURL=.*,,' "$from/$1" > "$2"
}

module preact/dist/preact.mjs preact.js
module preact/hooks/dist/hooks.mjs hooks.js
module @preact/signals-core/dist/signals-core.mjs signals-core.js
module @preact/signals/dist/signals.mjs signals.js
module htm/dist/htm.mjs htm.js
module uplot/dist/uPlot.iife.min.js uplot.js
echo 'export default uPlot;' >> uplot.js
cp "$from/uplot/dist/uPlot.min.css" uplot.css

for name in preact @preact/signals htm uplot; do
  printf '%s %s\n\n' "$name" "$(node -p "require('$from/$name/package.json').version")"
  cat "$from/$name/LICENSE"
  printf '\n\n'
done > LICENSES.txt
