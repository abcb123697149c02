#!/usr/bin/env bash
# The main job, from beginning to end: back up a real chat archive, lose the device, get everything back: from 64 digits,
# and from a password that a vault guards. `make demo` builds the programs and runs this. COFFER_PROGRAMS names the folder that
# they are in.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/story.sh
. deploy/story.sh

built=$(realpath -m "${COFFER_PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}")
program=$built/coffer
vault_program=$built/coffer-vault
sample=$(realpath tests/data/sample-chats)
for needed in "$program" "$vault_program"; do
    [ -x "$needed" ] || { echo "error: $needed is not there; \`make demo\` builds it" >&2 && exit 1; }
done

work=$(mktemp -d)
vault_pid=
trap '[ -z "$vault_pid" ] || kill "$vault_pid" 2>/dev/null; rm -rf "$work"' EXIT
begin=$(date +%s%N)

# A home of the demo's own, and the key in a file of it: nothing of yours is touched.
export COFFER_HOME=$work/phone/home NO_COLOR=1
unset COFFER_ARCHIVE COFFER_VAULT COFFER_VAULT_TOKEN_FILE
chats=$work/phone/chats
provider=$work/provider
paper=$work/paper

coffer() { "$program" "$@"; }
coffer-vault() { "$vault_program" "$@"; }
# size PATH: bytes in all files below.
size() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }'; }
kib() { echo $((($1 + 1023) / 1024)) KiB; }

step "1. A phone with chats on it"
mkdir -p "$chats/Databases" "$chats/Media/WhatsApp Images" "$work/phone"
cp -r "$sample/irc-ubuntu" "$chats/irc-ubuntu"
cat "$sample"/whatsapp-viewer/{msgstore.db.schema.sql,test-database.sql} | sqlite3 "$chats/Databases/msgstore.db"
for number in 1 2 3 4 5 6; do
    { printf '\xff\xd8\xff\xe0' && head -c $((number * 60000)) /dev/urandom; } >"$chats/Media/WhatsApp Images/IMG-$number.jpg"
done
ln -s "IMG-6.jpg" "$chats/Media/WhatsApp Images/newest.jpg"
chmod 600 "$chats/Databases/msgstore.db"
touch -d '2025-10-28 10:00:00.123456789 UTC' "$chats"/irc-ubuntu/* "$chats/Media/WhatsApp Images"/*
say "three days of a real IRC channel, a real WhatsApp message store, six made-up photos:" \
    "$(find "$chats" -type f | wc -l) files, $(kib "$(size "$chats")")"

step "2. An archive with a storage provider, and the key on paper"
run coffer init --key-store file "$provider"
run coffer protect recovery-key
coffer key show >"$paper"

step "3. Two backups"
run coffer backup "$chats"
before=$(size "$provider")
say "" "a day later: one new message, one new photo"
phrase=meet-me-at-the-lighthouse
sqlite3 "$chats/Databases/msgstore.db" \
    "INSERT INTO message (chat_row_id, from_me, key_id, text_data) VALUES (1, 1, 'demo', '$phrase')"
{ printf '\xff\xd8\xff\xe0' && head -c 20000 /dev/urandom; } >"$chats/Media/WhatsApp Images/IMG-7.jpg"
run coffer backup "$chats"
say "" "the first backup stored $(kib "$before"), the second added $(kib $(($(size "$provider") - before)))"

step "4. What the storage provider sees"
(cd "$provider" && find . -type f -printf '%9s bytes  %P\n' | sort -k3)
say "" "It looks for what it would like to know, in all of that:"
look_for() {
    # The phrase is there to be found in the source, or the search would prove nothing.
    grep -rqaF -- "$1" "$chats" || find "$chats" | grep -qF -- "$1" || fail "the chats do not hold \"$1\""
    ! grep -rqaF -- "$1" "$provider" || fail "the provider can read \"$1\""
    ! find "$provider" -type f -exec strings -n 4 {} + | grep -qF -- "$1" || fail "the provider can read \"$1\""
    ! find "$provider" | grep -qF -- "$1" || fail "the provider sees the name \"$1\""
    say "\"$1\": nothing"
}
irc_line="no need for a bootable flag if you will only use it for storage"
for secret in "$phrase" "$irc_line" MessageFromToday msgstore.db "WhatsApp Images" "SQLite format 3"; do
    look_for "$secret"
done

step "5. The phone is lost"
cp -a "$chats" "$work/what-was-lost"
rm -rf "$work/phone"
say "its chats, its key, its memory of the archive: all gone. What is left lies with the provider, and on paper."
export COFFER_HOME=$work/new-phone/home

step "6. A new phone, and a digit mistyped"
digit=$(head -c 1 "$paper")
wrong=$([ "$digit" = 7 ] && echo 1 || echo 7)
sed "1s/^./$wrong/" "$paper" >"$work/mistyped"
expect 10 "a wrong key" coffer restore --archive "$provider" --recovery-key-file "$work/mistyped" --to "$work/new-phone"
[ ! -e "$work/new-phone/chats" ] || fail "something was restored with a wrong key"

step "7. The right digits"
run coffer restore --archive "$provider" --recovery-key-file "$paper" --to "$work/new-phone"

step "8. Is it what was lost?"
compare() {
    local restored=$1 differences
    differences=$(rsync -nacXH --delete --itemize-changes "$work/what-was-lost/" "$restored/")
    [ -z "$differences" ] || fail "rsync finds differences:" "$differences"
    diff -r --no-dereference "$work/what-was-lost" "$restored" || fail "diff finds differences"
    [ "$(sqlite3 "$restored/Databases/msgstore.db" 'PRAGMA integrity_check')" = ok ] || fail "the message store is broken"
    say "$(find "$restored" -type f | wc -l) files: contents, names, times, permissions and owners are the same (rsync -nacXH, diff -r)"
}
compare "$work/new-phone/chats"

step "9. A vault, on SoftHSM"
say "For this demonstration the waiting times between guesses are zero, and a locked key is erased after two seconds," \
    "not after three days."
"$vault_program" serve --data "$work/vault" --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --log-level warn \
    --policy-waits 0s --policy-open-at-zero 2s >"$work/vault-address" 2>"$work/vault-log" &
vault_pid=$!
for _ in $(seq 300); do
    [ -s "$work/vault-address" ] && break
    kill -0 "$vault_pid" 2>/dev/null || fail "the vault has not started: $(cat "$work/vault-log")"
    sleep 0.1
done
address=$(cat "$work/vault-address")
[ -n "$address" ] || fail "the vault gives no address"
say "" "it serves at $address"
# token ACCOUNT: the messaging service vouches for this device.
token() {
    coffer-vault dev-token --data "$work/vault" --account "$1" --device-key "$(coffer vault device-key)" >"$work/token"
}

step "10. A password instead of paper"
export COFFER_HOME=$work/new-phone/home
run coffer init --key-store file --join "$provider" --recovery-key-file "$paper"
token alice
echo "correct horse battery staple" >"$work/password"
run coffer protect password --vault "$address" --token-file "$work/token" --password-file "$work/password"
run coffer backup "$work/new-phone/chats"
run coffer status

step "11. The new phone is lost too, and a password mistyped on the next"
rm -rf "$work/new-phone"
export COFFER_HOME=$work/third-phone/home
token alice
echo "correct horse battery stable" >"$work/mistyped"
restore_by_password() {
    coffer restore --archive "$provider" --vault "$address" --token-file "$work/token" --password-file "$1" --to "$2"
}
expect 20 "a wrong password" restore_by_password "$work/mistyped" "$work/third-phone"
[ ! -e "$work/third-phone/chats" ] || fail "something was restored with a wrong password"

step "12. The right password"
run restore_by_password "$work/password" "$work/third-phone"
compare "$work/third-phone/chats"

step "13. Somebody who has only guesses: ten of them"
export COFFER_HOME=$work/other-phone/home
run coffer init --key-store file "$work/other-provider"
token bob
run coffer protect password --vault "$address" --token-file "$work/token" --password-file "$work/password"
guess_ten_times
run coffer vault status

step "14. What the vault has written down"
secret_words="horse battery letmein"
for word in $secret_words; do
    ! grep -rqaF -- "$word" "$work/vault" "$work/vault-log" || fail "the vault has written down \"$word\""
done
key_bytes=$(tr -d ' \n' <"$paper")
! grep -rqaiF -- "$key_bytes" "$work/vault" "$work/vault-log" || fail "the vault has the key"
python3 - "$key_bytes" "$work/vault" <<'PYTHON' || fail "the vault has the key"
import pathlib, sys
key = bytes.fromhex(sys.argv[1])
sys.exit(any(key in path.read_bytes() for path in pathlib.Path(sys.argv[2]).rglob("*") if path.is_file()))
PYTHON
say "of the passwords and the key: nothing, in $(find "$work/vault" -type f | wc -l) files and the log"
kill "$vault_pid" && wait "$vault_pid" || fail "the vault should end with exit code 0"
vault_pid=
milliseconds=$((($(date +%s%N) - begin) / 1000000))
printf '\nOK. All of this took %d.%d seconds.\n' $((milliseconds / 1000)) $((milliseconds % 1000 / 100))
