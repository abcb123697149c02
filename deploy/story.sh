# How the demos tell what they do. To be sourced; `work` is the folder that they work in.

step() { printf '\n\n=== %s\n' "$*"; }
say() { printf '    %s\n' "$@" | sed 's/ *$//'; }
# Shows a command as it would be typed, and runs it.
run() {
    printf '\n$ %s\n' "$*" | sed "s|$work/||g"
    (cd "$work" && "$@") 2>&1 | sed "s|$work/||g"
}
# expect CODE WHY COMMAND…: runs a command that has to end with this exit code.
expect() {
    local code=$1 why=$2 status=0
    shift 2
    run "$@" || status=$?
    say "" "(exit code $status)"
    [ "$status" -eq "$code" ] || fail "$why should end with exit code $code"
}
fail() {
    printf '\nFAILED: %s\n' "$*" >&2
    exit 1
}
# Ten wrong passwords, each refused as such, and then the right one, which opens nothing any more.
guess_ten_times() {
    local guess status
    for guess in 1 2 3 4 5 6 7 8 9 10; do
        echo "letmein-$guess" >"$work/guess"
        status=0
        coffer key verify --yes --password-file "$work/guess" >"$work/said" 2>&1 || status=$?
        say "guess $guess: $(head -n 1 "$work/said")"
        [ "$status" -eq 20 ] || fail "guess $guess should end with exit code 20, not $status: $(cat "$work/said")"
    done
    sleep 3
    say "" "and now the right one:"
    expect 21 "a locked key" coffer key verify --yes --password-file "$work/password"
}
