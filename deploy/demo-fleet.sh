#!/usr/bin/env bash
# Five data centres in one story: a key behind a password, two sites lost with the leader among them, everything restored
# on a new device, a third loss refused honestly, the sites back, and an account locked.
#
#   deploy/demo-fleet.sh local         sites as processes          (make demo-fleet-local)
#   deploy/demo-fleet.sh containers    sites as containers         (make demo-fleet)
#
# COFFER_PROGRAMS names the folder that the programs are in.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/story.sh
. deploy/story.sh

kind=${1:?usage: deploy/demo-fleet.sh local|containers}
built=$(realpath -m "${COFFER_PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}")
program=$built/coffer
export COFFER_VAULT_PROGRAM=$built/coffer-vault COFFER_GATEWAY_PROGRAM=$built/coffer-gateway
for needed in "$program" "$COFFER_VAULT_PROGRAM" "$COFFER_GATEWAY_PROGRAM"; do
    [ -x "$needed" ] || { echo "error: $needed is not there; \`make demo-fleet-local\` builds it" >&2 && exit 1; }
done
# shellcheck source=deploy/fleet-local.sh
. "deploy/fleet-$kind.sh"

work=$(mktemp -d)
end() {
    local status=$?
    # Whoever is impatient leaves nothing behind either.
    trap '' INT TERM HUP
    [ "$status" -eq 0 ] || tail -n 8 "$work"/fleet/logs/{vault,gateway}* 2>/dev/null || true
    fleet_down >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT
export NO_COLOR=1
unset COFFER_ARCHIVE COFFER_VAULT COFFER_VAULT_TOKEN_FILE

coffer() { "$program" "$@"; }
# token ACCOUNT: for this device; and what a device that does not know the vault yet has to be told.
token() {
    fleet_token "$1" "$(coffer vault device-key)" >"$work/token"
    vault=(--vault "$fleet_address" --token-file "$work/token")
    [ -z "${fleet_ca_file:-}" ] || vault+=(--vault-ca-file "$fleet_ca_file")
}
compare() {
    local differences
    differences=$(rsync -nacXH --delete --itemize-changes "$chats/" "$1/") && [ -z "$differences" ] ||
        fail "what was restored differs: $differences"
    say "$(find "$1" -type f | wc -l) files: the same as what was lost (rsync -nacXH)"
}
begin=$(date +%s%N)

step "1. Five sites: a key ceremony, etcd, a gateway"
say "For this demonstration the waiting times between guesses are zero, and a locked key is erased after two seconds." ""
fleet_up "$work/fleet" >"$work/up" 2>&1 || { cat "$work/up" && fail "the fleet has not started"; }
sed "s|$work/||g; s/^/    /" "$work/up"
say "" "clients are given this address: $fleet_address"

step "2. A phone, its chats, and a password"
export COFFER_HOME=$work/phone
chats=$work/chats
cp -r tests/data/sample-chats "$chats"
echo "correct horse battery staple" >"$work/password"
echo "correct horse battery stable" >"$work/mistyped"
provider=$(fleet_storage chats)
run coffer init --key-store file "$provider"
token alice
run coffer protect password "${vault[@]}" --password-file "$work/password"
run coffer backup "$chats"
run coffer status

step "3. Two data centres are lost, etcd's leader among them; and so is the phone"
leader=$(fleet_leader) || fail "no member leads"
other=$((leader % 5 + 1))
third=$((other % 5 + 1))
fleet_stop "$leader"
fleet_stop "$other"
rm -rf "$work/phone"
say "sites $leader (its etcd member was the leader) and $other: killed"

step "4. A new phone: a password mistyped, and the right one"
export COFFER_HOME=$work/new-phone
token alice
expect 20 "a wrong password" coffer restore --archive "$provider" "${vault[@]}" --password-file "$work/mistyped" --to "$work/restored"
[ ! -e "$work/restored" ] || fail "something was restored with a wrong password"
run coffer restore --archive "$provider" "${vault[@]}" --password-file "$work/password" --to "$work/restored"
compare "$work/restored/chats"

step "5. A third data centre is lost"
fleet_stop "$third"
say "site $third: killed. Two of five are left, and three are needed: no guess can be made, and none is spent."
export COFFER_HOME=$work/third-phone
token alice
expect 24 "a vault without a majority" \
    coffer restore --archive "$provider" "${vault[@]}" --password-file "$work/password" --to "$work/restored-again"
[ ! -e "$work/restored-again" ] || fail "something was restored without a majority"

step "6. They come back"
for site in "$leader" "$other" "$third"; do fleet_start "$site"; done
for site in "$leader" "$other" "$third"; do fleet_wait_ready "$site"; done
run coffer restore --archive "$provider" "${vault[@]}" --password-file "$work/password" --to "$work/restored-again"
compare "$work/restored-again/chats"

step "7. Somebody who has only guesses: ten of them"
export COFFER_HOME=$work/other-phone
run coffer init --key-store file "$(fleet_storage other)"
token bob
run coffer protect password "${vault[@]}" --password-file "$work/password"
guess_ten_times

milliseconds=$((($(date +%s%N) - begin) / 1000000))
printf '\nOK. All of this took %d.%d seconds.\n' $((milliseconds / 1000)) $((milliseconds % 1000 / 100))
