# Five sites as processes of this machine, for the demo and for whoever wants to look at a fleet. To be sourced.
#
#   fleet_up FOLDER         ceremony, etcd, sites, gateway; sets fleet_address
#   fleet_stop SITE         kills a site: its vault and its member of etcd, as if the data centre were gone
#   fleet_start SITE        brings it back
#   fleet_leader            the site whose etcd member leads
#   fleet_token ACCOUNT DEVICE-KEY    a token of the messaging service
#   fleet_down              ends everything
#
# COFFER_VAULT_PROGRAM and COFFER_GATEWAY_PROGRAM (exported) name the programs. Vaults and gateway speak plain HTTP on loopback, the sites TLS with one
# another; etcd without TLS, which is for loopback alone. deploy/compose.yaml has all of it.

fleet_sites=5
fleet_pids=()

fleet_up() {
    fleet_folder=$1
    mkdir -p "$fleet_folder/logs"
    deploy/ceremony-demo.sh "$fleet_folder" "$fleet_sites"
    fleet_id=$(sed -n 's/^fleet *//p' "$fleet_folder/verified")
    fleet_fingerprint=$(cat "$fleet_folder/fingerprint")
    mapfile -t fleet_ports < <(fleet_free_ports $((fleet_sites * 5 + 2)))
    fleet_certificates
    # The messaging service: it vouches for accounts, and is neither gateway nor vault.
    fleet_token nobody AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >/dev/null
    local site
    for site in $(seq "$fleet_sites"); do fleet_start_etcd "$site" new; done
    fleet_wait_for etcd fleet_etcdctl endpoint health
    fleet_etcdctl put "coffer/$fleet_id/fence" 1:1 >/dev/null
    for site in $(seq "$fleet_sites"); do fleet_start_vault "$site"; done
    for site in $(seq "$fleet_sites"); do fleet_wait_ready "$site"; done
    fleet_start_gateway
    fleet_address="http://127.0.0.1:$(fleet_port gateway)/#$fleet_fingerprint"
}

fleet_stop() {
    kill -KILL "${fleet_vault_pids[$1]}" "${fleet_etcd_pids[$1]}" 2>/dev/null
    wait "${fleet_vault_pids[$1]}" "${fleet_etcd_pids[$1]}" 2>/dev/null || true
}

fleet_start() {
    fleet_start_etcd "$1" existing
    fleet_start_vault "$1"
}

fleet_leader() {
    local site leader status
    for site in $(seq "$fleet_sites"); do
        status=$(fleet_endpoints=http://127.0.0.1:$(fleet_port etcd "$site") fleet_etcdctl endpoint status -w fields) || continue
        leader=$(sed -n 's/^"Leader" : //p' <<<"$status")
        [ "$leader" = "$(sed -n 's/^"MemberID" : //p' <<<"$status")" ] && echo "$site" && return
    done
    return 1
}

fleet_token() {
    "$COFFER_VAULT_PROGRAM" dev-token --new-issuer --data "$fleet_folder/messenger" --account "$1" --device-key "$2"
}

fleet_down() {
    kill -KILL "${fleet_pids[@]}" 2>/dev/null
    wait "${fleet_pids[@]}" 2>/dev/null || true
}

# fleet_port WHAT [SITE]
fleet_port() {
    case $1 in
        etcd) echo "${fleet_ports[$2 - 1]}" ;;
        etcd-peer) echo "${fleet_ports[fleet_sites + $2 - 1]}" ;;
        api) echo "${fleet_ports[fleet_sites * 2 + $2 - 1]}" ;;
        ops) echo "${fleet_ports[fleet_sites * 3 + $2 - 1]}" ;;
        peers) echo "${fleet_ports[fleet_sites * 4 + $2 - 1]}" ;;
        gateway) echo "${fleet_ports[fleet_sites * 5]}" ;;
        gateway-ops) echo "${fleet_ports[fleet_sites * 5 + 1]}" ;;
    esac
}

# fleet_others SITE: the numbers of the others, the next one first.
fleet_others() {
    local step
    for step in $(seq $((fleet_sites - 1))); do echo $((($1 - 1 + step) % fleet_sites + 1)); done
}

# The members' addresses, that of SITE first.
fleet_members() {
    local site members=
    for site in "$1" $(fleet_others "$1"); do members+=,http://127.0.0.1:$(fleet_port etcd "$site"); done
    echo "${members#,}"
}

fleet_etcdctl() {
    ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${fleet_endpoints:-$(fleet_members 1)} etcdctl "$@" 2>>"$fleet_folder/logs/etcdctl"
}

fleet_start_etcd() {
    local site=$1 other cluster=
    for other in $(seq "$fleet_sites"); do cluster+=,site$other=http://127.0.0.1:$(fleet_port etcd-peer "$other"); done
    etcd --name "site$site" --data-dir "$fleet_folder/etcd-$site" --logger zap --log-level warn \
        --listen-client-urls "http://127.0.0.1:$(fleet_port etcd "$site")" \
        --advertise-client-urls "http://127.0.0.1:$(fleet_port etcd "$site")" \
        --listen-peer-urls "http://127.0.0.1:$(fleet_port etcd-peer "$site")" \
        --initial-advertise-peer-urls "http://127.0.0.1:$(fleet_port etcd-peer "$site")" \
        --initial-cluster "${cluster#,}" --initial-cluster-state "$2" --initial-cluster-token coffer-cell-1 \
        --heartbeat-interval 50 --election-timeout 500 >>"$fleet_folder/logs/etcd-$site" 2>&1 &
    fleet_etcd_pids[$site]=$!
    fleet_pids+=($!)
}

fleet_start_vault() {
    local site=$1 other others=
    for other in $(fleet_others "$site"); do others+=,$other=https://127.0.0.1:$(fleet_port peers "$other"); done
    "$COFFER_VAULT_PROGRAM" serve --data "$fleet_folder/site-$site" --gateway true --log-level warn \
        --listen "127.0.0.1:$(fleet_port api "$site")" --ops-listen "127.0.0.1:$(fleet_port ops "$site")" \
        --fleet-manifest-file "$fleet_folder/fleet/manifest.json" --fleet-site "$site" \
        --fleet-roots-fingerprint "$fleet_fingerprint" \
        --peers-listen "127.0.0.1:$(fleet_port peers "$site")" --peers-sites "${others#,}" \
        --peers-certificate-file "$fleet_folder/tls/site-$site.pem" --peers-key-file "$fleet_folder/tls/site-$site.key" \
        --peers-ca-file "$fleet_folder/tls/ca.pem" --etcd-members "$(fleet_members "$site")" \
        --tokens-jwks-file "$fleet_folder/messenger/jwks.json" --tokens-issuer coffer-vault:local \
        --tokens-audience coffer-vault --limits-address-per-minute 0 \
        --policy-waits 0s --policy-open-at-zero 2s ${fleet_vault_flags:-} \
        >/dev/null 2>>"$fleet_folder/logs/vault-$site" &
    fleet_vault_pids[$site]=$!
    fleet_pids+=($!)
}

fleet_start_gateway() {
    local site sites=
    for site in $(seq "$fleet_sites"); do sites+=,$site=http://127.0.0.1:$(fleet_port api "$site"); done
    "$COFFER_GATEWAY_PROGRAM" serve --listen "127.0.0.1:$(fleet_port gateway)" \
        --ops-listen "127.0.0.1:$(fleet_port gateway-ops)" --sites "${sites#,}" --log-level warn \
        --tokens-jwks-file "$fleet_folder/messenger/jwks.json" --tokens-issuer coffer-vault:local \
        --tokens-audience coffer-vault >/dev/null 2>>"$fleet_folder/logs/gateway" &
    fleet_pids+=($!)
    fleet_wait_for "the gateway" curl -sf "http://127.0.0.1:$(fleet_port gateway-ops)/readyz"
}

fleet_wait_ready() {
    fleet_wait_for "site $1" curl -sf "http://127.0.0.1:$(fleet_port ops "$1")/readyz"
}

# fleet_wait_for WHAT COMMAND…
fleet_wait_for() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "$what is not ready after 30 seconds: see $fleet_folder/logs" >&2
    return 1
}

fleet_free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[one.getsockname()[1] for one in held], sep="\n")
PYTHON
}

# An authority for the sites' connections to one another, and a certificate for each.
fleet_certificates() {
    local tls=$fleet_folder/tls site
    mkdir -p "$tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=coffer sites" \
        -addext "keyUsage=critical,keyCertSign" -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
    for site in $(seq "$fleet_sites"); do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=site$site" \
            -keyout "$tls/site-$site.key" -out "$tls/site-$site.csr" 2>/dev/null
        openssl x509 -req -in "$tls/site-$site.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
            -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:site%s\nextendedKeyUsage=serverAuth,clientAuth' "$site") \
            -out "$tls/site-$site.pem" 2>/dev/null
    done
}
