#!/usr/bin/env bash
# Fetches Swagger UI and ReDoc from npm into this folder. To update, change the versions and run it.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent swagger-ui-dist@5.35.0 redoc@2.5.4 >/dev/null)
tar -xzf "$work"/swagger-ui-dist-*.tgz -C "$work" && mv "$work/package" "$work/swagger"
tar -xzf "$work"/redoc-*.tgz -C "$work"
# -n: no time stamp, so that the same versions give the same files.
gzip -9nc "$work/swagger/swagger-ui-bundle.js" >swagger-ui-bundle.js.gz
gzip -9nc "$work/swagger/swagger-ui.css" >swagger-ui.css.gz
# ReDoc's badge is the one thing that it would load from elsewhere: an empty picture takes its place.
empty='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='
sed "s#https://cdn.redoc.ly/redoc/logo-mini.svg#$empty#" "$work/package/bundles/redoc.standalone.js" |
  gzip -9nc >redoc.standalone.js.gz
{
  echo "Swagger UI (swagger-ui-dist), Apache License 2.0"
  echo
  cat "$work/swagger/NOTICE" "$work/swagger/LICENSE"
  echo
  echo "ReDoc (redoc), MIT"
  echo
  cat "$work/package/LICENSE"
} >LICENSES
