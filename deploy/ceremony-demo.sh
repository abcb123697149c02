#!/usr/bin/env bash
# The key ceremony of a fleet, all of it in one folder with SoftHSM: five sites, a spare, three roots.
#
#   deploy/ceremony-demo.sh FOLDER [SITES]
#
# leaves FOLDER/site-N (data folders for `coffer-vault serve --data`), FOLDER/fleet (manifest, sealed keys, transcript)
# and FOLDER/fingerprint. In earnest every step has a place and a person of its own: docs/operations.md.
set -euo pipefail
folder=$1 sites=${2:-5}
vault=${COFFER_VAULT_PROGRAM:-coffer-vault}
umask 077
mkdir -p "$folder"

cards=()
for site in $(seq "$sites"); do
    "$vault" hsm init --data "$folder/site-$site" --fleet "$folder/site-$site.card"
    cards+=("$folder/site-$site.card")
done
"$vault" hsm init --data "$folder/spare" --fleet "$folder/spare.card"

for root in a b c; do
    head -c 24 /dev/urandom | base64 >"$folder/root-$root.passphrase"
    "$vault" ceremony root new --out "$folder/root-$root" --passphrase-file "$folder/root-$root.passphrase"
done

"$vault" ceremony fleet --cards "${cards[@]}" --spares "$folder/spare.card" \
    --roots "$folder/root-a" "$folder/root-b" "$folder/root-c" --threshold $((sites / 2 + 1)) --out "$folder/fleet"
for root in a b; do
    "$vault" ceremony sign --root "$folder/root-$root" --passphrase-file "$folder/root-$root.passphrase" "$folder/fleet"
done
"$vault" ceremony verify "$folder/fleet" | tee "$folder/verified"
sed -n 's/^fingerprint *//p' "$folder/verified" >"$folder/fingerprint"

for site in $(seq "$sites"); do
    "$vault" hsm import --data "$folder/site-$site" --sealed "$folder/fleet/site-$site.json" \
        --fingerprint "$(cat "$folder/fingerprint")"
done
