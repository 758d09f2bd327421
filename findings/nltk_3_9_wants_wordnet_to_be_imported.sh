#!/usr/bin/env bash
# nltk: 3.9 cannot be imported where no corpus has been downloaded, which is where every new environment begins.
#
# Guess: corpora are looked for when they are used; a bare import needs none. A floor of 3.9 is as good as 3.9.1.
# Seen:  nltk 3.9: `import nltk` ends in a LookupError about wordnet, since a class body of its stemmers takes a method of
#        that corpus. What imports nltk for one tokenizer or metric fails with it. 3.9.1 and 3.10.4 import without any.
# Use:   nltk>=3.9.1.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
for version in 3.9 3.9.1 3.10.4; do
    "$folder/env/bin/python" -m pip install -q --disable-pip-version-check "nltk==$version"
    seen=$(cd "$folder" && NLTK_DATA="$folder/none" "$folder/env/bin/python" -W ignore -c 'import nltk; print("imports")' 2>&1 | grep -oE 'imports|wordnet not found|Resource .*wordnet.* not found' | head -n 1 || true)
    echo "nltk $version without corpora: $seen"
    case $version in
        3.9) [[ $seen == *wordnet* ]] ;;
        *) [[ $seen == imports ]] ;;
    esac
done
echo "as described"
