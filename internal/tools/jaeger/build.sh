#!/usr/bin/env bash
# Builds a real Jaeger v2, and unpacks its web UI, for the tests that look at our spans the way a user does.
#
#   internal/tools/jaeger/build.sh [DEST]
#
# DEST is a directory outside the source tree; without it, ${SOCKETFLOW_CACHE:-${XDG_CACHE_HOME:-~/.cache}/socketflow}/jaeger-v1.76.0.
# The only line on standard output is the path of the binary, DEST/jaeger; progress goes to standard error. A DEST that is
# complete costs a fraction of a second, the first build some minutes. Two builds of one DEST wait for each other, and an
# interrupted one leaves nothing that a later run would take for finished.
#
# Start it (see jaeger.yaml beside this file for the ports; a port left out has Jaeger's well-known number):
#
#   jaeger=$(internal/tools/jaeger/build.sh)
#   SOCKETFLOW_JAEGER_OTLP_GRPC_PORT=… SOCKETFLOW_JAEGER_OTLP_HTTP_PORT=… \
#   SOCKETFLOW_JAEGER_QUERY_PORT=… SOCKETFLOW_JAEGER_HEALTH_PORT=… \
#   SOCKETFLOW_JAEGER_UI="${jaeger%/*}/ui" \
#     "$jaeger" --config internal/tools/jaeger/jaeger.yaml
#
# The web UI: SOCKETFLOW_JAEGER_UI names the directory DEST/ui, which jaeger.yaml passes on as
# extensions.jaeger_query.ui.assets_path; the UI is then at http://127.0.0.1:$SOCKETFLOW_JAEGER_QUERY_PORT/search. Left out,
# Jaeger serves a placeholder page, and the query API all the same.

set -euo pipefail

readonly jaeger_version=v1.76.0 # Jaeger v2.13.0: one release, two numbers; Go modules know it by this one
readonly jaeger_module=github.com/jaegertracing/jaeger
readonly ui_version=v0.0.0-20250408171107-3dd17559e117
readonly ui_module=github.com/tonistiigi/jaeger-ui-rest

cache=${SOCKETFLOW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/socketflow}
dest=${1:-$cache/jaeger-$jaeger_version}
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
readonly dest

complete() {
	[[ -f $dest/ui/index.html && -x $dest/jaeger ]] && "$dest/jaeger" version >/dev/null 2>&1
}

if complete; then
	echo "$dest/jaeger"
	exit 0
fi

exec 9>"$dest/lock"
flock --nonblock 9 || {
	echo "jaeger: waiting for another build in $dest" >&2
	flock 9
}
if complete; then
	echo "$dest/jaeger"
	exit 0
fi

# Everything is made in $work, on the same file system, and renamed into place when whole. Whoever holds the lock owns it, so
# what a killed build left there is swept first.
readonly work=$dest/work
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
mkdir "$work"
cd "$work"

# `go install` refuses Jaeger because its go.mod has a replace directive, which counts in a main module only. So it is built
# as a tool of a module of its own, with that directive repeated, under the checksums that Jaeger's release carries. The
# sums below pin the two modules themselves: a download that differs is refused.
export GOWORK=off CGO_ENABLED=0
cat >go.mod <<MOD
module socketflow.test/jaeger

go 1.25.0

tool $jaeger_module/cmd/jaeger

require $jaeger_module $jaeger_version

replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
MOD
cat >go.sum <<SUM
$jaeger_module $jaeger_version h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=
$jaeger_module $jaeger_version/go.mod h1:hqcuJlLDTv7G2x5eFd/BhwcPdLxj3N+90aKhIzdOcKo=
$ui_module $ui_version h1:XFwyh2JZwR5aiKLXHX2C1n0v5F11dCJpyGL1W/Cpl3U=
$ui_module $ui_version/go.mod h1:3Ez1Paeg+0Ghu3KwpEGC1HgZ4CHDlg+Ez/5Baeomk54=
SUM
echo "jaeger: building $jaeger_version into $dest, which takes some minutes the first time" >&2
go mod download "$jaeger_module@$jaeger_version" "$ui_module@$ui_version"
modules=$(go env GOMODCACHE)
cat "$modules/$jaeger_module@$jaeger_version/go.sum" >>go.sum

# The module holds each file of the UI gzipped under its plain name; Jaeger serves files as they are.
public=$modules/$ui_module@$ui_version/public
(cd "$public" && find . -type f -print0) | while IFS= read -r -d '' file; do
	mkdir -p "ui/${file%/*}"
	gzip --decompress --stdout <"$public/$file" >"ui/$file"
done
rm -rf "$dest/ui"
mv -T ui "$dest/ui"

go build -mod=mod -trimpath -o jaeger \
	-ldflags "-s -w -X $jaeger_module/internal/version.latestVersion=$jaeger_version" \
	"$jaeger_module/cmd/jaeger" >&2
./jaeger version >/dev/null 2>&1
mv -T jaeger "$dest/jaeger"
echo "$dest/jaeger"
