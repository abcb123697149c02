#!/usr/bin/env bash
# The main job, from beginning to end: back up a real chat archive, lose the device, get everything back from 64 digits.
# `make demo` builds the program and runs this. COFFER names another build of it.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath -m "${COFFER:-${CARGO_TARGET_DIR:-target}/release/coffer}")
sample=$(realpath tests/data/sample-chats)
[ -x "$program" ] || { echo "error: $program is not there; \`make demo\` builds it" >&2 && exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
begin=$(date +%s%N)

# A home of the demo's own, and the key in a file of it: nothing of yours is touched.
export COFFER_HOME=$work/phone/home NO_COLOR=1
unset COFFER_ARCHIVE
chats=$work/phone/chats
provider=$work/provider
paper=$work/paper

step() { printf '\n\n=== %s\n' "$*"; }
say() { printf '    %s\n' "$@" | sed 's/ *$//'; }
# Shows a command as it would be typed, and runs it.
run() {
    printf '\n$ %s\n' "$*" | sed "s|$work/||g"
    (cd "$work" && "$@") 2>&1 | sed "s|$work/||g"
}
coffer() { "$program" "$@"; }
fail() {
    printf '\nFAILED: %s\n' "$*" >&2
    exit 1
}
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
status=0
run coffer restore --archive "$provider" --recovery-key-file "$work/mistyped" --to "$work/new-phone" || status=$?
say "" "(exit code $status)"
[ "$status" -eq 10 ] || fail "a wrong key should end with exit code 10"
[ ! -e "$work/new-phone/chats" ] || fail "something was restored with a wrong key"

step "7. The right digits"
run coffer restore --archive "$provider" --recovery-key-file "$paper" --to "$work/new-phone"

step "8. Is it what was lost?"
differences=$(rsync -nacXH --delete --itemize-changes "$work/what-was-lost/" "$work/new-phone/chats/")
[ -z "$differences" ] || fail "rsync finds differences:" "$differences"
diff -r --no-dereference "$work/what-was-lost" "$work/new-phone/chats" || fail "diff finds differences"
[ "$(sqlite3 "$work/new-phone/chats/Databases/msgstore.db" 'PRAGMA integrity_check')" = ok ] || fail "the message store is broken"
say "$(find "$work/new-phone/chats" -type f | wc -l) files: contents, names, times, permissions and owners are the same (rsync -nacXH, diff -r)"
milliseconds=$((($(date +%s%N) - begin) / 1000000))
printf '\nOK. All of this took %d.%d seconds.\n' $((milliseconds / 1000)) $((milliseconds % 1000 / 100))
