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
