#!/usr/bin/env bash
# mkdocs: --quiet switches --strict off: a build with a broken link ends with 0.
#
# Guess: -q hides what is printed, and a warning still fails a strict build.
# Seen:  mkdocs 1.6.1: `build --strict` ends with 1 at a link to a page that does not exist, `build --strict -q` with 0 and
#        without a word; strict: true in mkdocs.yml does the same. The warnings are counted by a handler of the logger
#        whose level -q raises, so that none arrives.
# Use:   --strict without -q, and its output into a file where it is too long.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check mkdocs==1.6.1
cd "$folder"
mkdir docs
echo "[a page](missing.md)" > docs/index.md
build() {  # prints the status and the lines of output
    status=0
    env/bin/python -m mkdocs build "$@" > output.txt 2>&1 || status=$?
    echo "$status $(wc -l < output.txt)"
}
env/bin/python -m mkdocs --version
echo "site_name: links" > mkdocs.yml
loud=$(build --strict) quiet=$(build --strict -q)
echo "strict: true" >> mkdocs.yml
configured=$(build) configured_quiet=$(build -q)
echo "--strict: status and lines $loud; --strict -q: $quiet; strict: true: $configured; with -q: $configured_quiet"
[[ $loud == "1 "* && $configured == "1 "* ]]
[[ $quiet == "0 0" && $configured_quiet == "0 0" ]]
echo "as described"
