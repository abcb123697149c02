# Five sites as containers (deploy/compose.yaml), for the demo and for whoever wants to look at a fleet. To be sourced from the
# repository's root; the functions are those of deploy/fleet-local.sh.
#
# FOLDER of fleet_up gets logs and what is public. Keys, records and ledgers lie in volumes, which fleet_down removes; the
# images stay. fleet_ca_file is the authority that clients are given. COFFER_VAULT_PROGRAM and COFFER_GATEWAY_PROGRAM name the
# programs, which go into the images.

fleet_sites=5

fleet_up() {
    fleet_folder=$1 fleet_project=coffer-fleet-$$
    mkdir -p "$fleet_folder/logs"
    install -D "$COFFER_VAULT_PROGRAM" target/image/coffer-vault || return
    install -D "$COFFER_GATEWAY_PROGRAM" target/image/coffer-gateway || return
    fleet_compose build vault-1 gateway etcd-1 prometheus storage ceremony >"$fleet_folder/logs/build" || fleet_fail build || return
    fleet_by_hand ceremony || return
    cat "$fleet_folder/logs/ceremony"
    fleet_start_all etcd 2381/health || return
    fleet_by_hand operator || return
    fleet_start_all vault 7879/readyz || return
    fleet_compose up -d gateway prometheus storage || return
    fleet_follow gateway
    fleet_follow prometheus
    fleet_follow storage
    fleet_wait_for gateway 7881/readyz || return
    # It does not start with rules that make no sense.
    fleet_wait_for prometheus 9090/-/ready || return
    fleet_wait_for storage 8080/ || return
    docker cp "$(fleet_id gateway):/fleet/public/." "$fleet_folder/public" >/dev/null || return
    fleet_ca_file=$fleet_folder/public/gateway-ca.pem
    fleet_address="https://$(docker port "$(fleet_id gateway)" 7880)/#$(cat "$fleet_folder/public/fingerprint")"
}

# One after the other: Docker 20.10 hangs now and then when several containers leave a network at once (libnetwork issue 2649).
fleet_stop() {
    docker kill "$(fleet_id "vault-$1")" >/dev/null
    docker kill "$(fleet_id "etcd-$1")" >/dev/null
}

fleet_start() {
    local now
    now=$(date +%s)
    docker start "$(fleet_id "etcd-$1")" "$(fleet_id "vault-$1")" >/dev/null
    fleet_follow "etcd-$1" "$now"
    fleet_follow "vault-$1" "$now"
}

# fleet_storage NAME: the address of an archive with the storage provider.
fleet_storage() {
    echo "webdav://$(docker port "$(fleet_id storage)" 8080)/$1?insecure=true"
}

fleet_leader() {
    local site metrics
    for site in $(seq "$fleet_sites"); do
        metrics=$(fleet_ask "etcd-$site" 2381/metrics 2>/dev/null) || continue
        grep -q '^etcd_server_is_leader 1$' <<<"$metrics" && echo "$site" && return
    done
    return 1
}

fleet_token() {
    fleet_compose run --rm -T messenger dev-token --account "$1" --device-key "$2"
}

fleet_down() {
    [ -n "${fleet_project:-}" ] || return 0
    local container
    for container in $(docker ps -aq --filter "label=com.docker.compose.project=$fleet_project"); do
        docker rm -f "$container" >/dev/null
    done
    fleet_compose --profile by-hand down --volumes
}

fleet_wait_ready() {
    fleet_wait_for "vault-$1" 7879/readyz
}

fleet_compose() {
    local program=(docker-compose)
    docker compose version >/dev/null 2>&1 && program=(docker compose)
    # Ports that are free. For the demonstration: no waiting between guesses, and a locked key is soon erased.
    COFFER_GATEWAY_PORT=0 COFFER_PROMETHEUS_PORT=0 COFFER_STORAGE_PORT=0 \
        COFFER_VAULT_LOG_LEVEL=warn COFFER_GATEWAY_LOG_LEVEL=warn \
        COFFER_VAULT_POLICY_WAITS=0s COFFER_VAULT_POLICY_OPEN_AT_ZERO=2s \
        "${program[@]}" -f deploy/compose.yaml -p "$fleet_project" "$@" 2>>"$fleet_folder/logs/compose"
}

fleet_by_hand() {
    fleet_compose run --rm -T "$1" >"$fleet_folder/logs/$1" || fleet_fail "$1"
}

# fleet_start_all KIND PORT/PATH: of every site, until all are ready.
fleet_start_all() {
    local site
    fleet_compose up -d "$1"-{1..5} || return
    for site in $(seq "$fleet_sites"); do fleet_follow "$1-$site"; done
    for site in $(seq "$fleet_sites"); do fleet_wait_for "$1-$site" "$2" || return; done
}

fleet_id() {
    docker ps -aq --filter "label=com.docker.compose.project=$fleet_project" \
        --filter "label=com.docker.compose.service=$1" --filter "label=com.docker.compose.oneoff=False"
}

# fleet_ask SERVICE PORT/PATH
fleet_ask() {
    docker exec "$(fleet_id "$1")" curl -sf "http://127.0.0.1:$2"
}

# fleet_follow SERVICE [SINCE]
fleet_follow() {
    docker logs -f ${2:+--since "$2"} "$(fleet_id "$1")" >>"$fleet_folder/logs/$1" 2>&1 &
}

# fleet_wait_for SERVICE PORT/PATH: for half a minute.
fleet_wait_for() {
    for _ in $(seq 300); do
        fleet_ask "$1" "$2" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fleet_fail "$1"
}

# fleet_fail WHAT: shows the end of its log.
fleet_fail() {
    echo "error: $1 has failed or is not ready:" >&2
    tail -n 5 "$fleet_folder/logs/compose" "$fleet_folder/logs/$1" >&2
    return 1
}
