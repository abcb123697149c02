# Five sites as processes of this machine, for the demo and for whoever wants to look at a fleet. To be sourced.
#
#   fleet_up FOLDER         ceremony, etcd, sites, gateway; sets fleet_address
#   fleet_storage NAME      the address of an archive with a storage provider
#   fleet_stop SITE         kills a site: its vault and its member of etcd, as if the data centre were gone
#   fleet_start SITE        brings it back
#   fleet_leader            the site whose etcd member leads
#   fleet_token ACCOUNT DEVICE-KEY    a token of the messaging service
#   fleet_down              ends everything
#
# COFFER_VAULT_PROGRAM and COFFER_GATEWAY_PROGRAM (exported) name the programs. All of it speaks TLS but clients to the
# gateway, on loopback. With fleet_network=wan every site has a network namespace of its own (benches/wan.py).

fleet_sites=5
fleet_pids=()

# Where a site is, and a command there.
fleet_host() { [ -n "${fleet_network:-}" ] && echo "10.77.0.$1" || echo 127.0.0.1; }
fleet_at() {
    if [ -n "${fleet_network:-}" ]; then exec ip netns exec "$fleet_network$1" "${@:2}"; else exec "${@:2}"; fi
}

fleet_up() {
    fleet_folder=$1
    mkdir -p "$fleet_folder/logs"
    deploy/ceremony-demo.sh "$fleet_folder" "$fleet_sites" || return
    fleet_fingerprint=$(cat "$fleet_folder/fingerprint")
    mapfile -t fleet_ports < <(fleet_free_ports $((fleet_sites * 5 + 2)))
    fleet_certificates
    # The messaging service: it vouches for accounts, and is neither gateway nor vault.
    fleet_token nobody AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >/dev/null
    local site
    for site in $(seq "$fleet_sites"); do fleet_start_etcd "$site" new; done
    fleet_wait_for etcd fleet_etcdctl endpoint health || return
    (fleet_at 1 "$COFFER_VAULT_PROGRAM" set-fence --cell 1 $(fleet_settings 1)) >/dev/null || return
    for site in $(seq "$fleet_sites"); do fleet_start_vault "$site"; done
    for site in $(seq "$fleet_sites"); do fleet_wait_ready "$site" || return; done
    fleet_start_gateway || return
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

# fleet_storage NAME: the address of an archive with a storage provider, here a folder.
fleet_storage() {
    echo "$fleet_folder/storage/$1"
}

fleet_leader() {
    local site leader status
    for site in $(seq "$fleet_sites"); do
        status=$(fleet_endpoints=https://$(fleet_host "$site"):$(fleet_port etcd "$site") fleet_etcdctl endpoint status -w fields) || continue
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
    for site in "$1" $(fleet_others "$1"); do members+=,https://$(fleet_host "$site"):$(fleet_port etcd "$site"); done
    echo "${members#,}"
}

fleet_etcdctl() {
    (
        export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${fleet_endpoints:-$(fleet_members 1)} ETCDCTL_CACERT=$fleet_folder/tls/ca.pem
        export ETCDCTL_CERT=$fleet_folder/tls/site-1.pem ETCDCTL_KEY=$fleet_folder/tls/site-1.key
        fleet_at 1 etcdctl "$@" 2>>"$fleet_folder/logs/etcdctl"
    )
}

fleet_start_etcd() {
    local site=$1 other cluster= tls=$fleet_folder/tls host
    host=https://$(fleet_host "$site")
    for other in $(seq "$fleet_sites"); do
        cluster+=,site$other=https://$(fleet_host "$other"):$(fleet_port etcd-peer "$other")
    done
    fleet_at "$site" etcd --name "site$site" --data-dir "$fleet_folder/etcd-$site" --logger zap --log-level warn \
        --listen-client-urls "$host:$(fleet_port etcd "$site")" \
        --advertise-client-urls "$host:$(fleet_port etcd "$site")" \
        --listen-peer-urls "$host:$(fleet_port etcd-peer "$site")" \
        --initial-advertise-peer-urls "$host:$(fleet_port etcd-peer "$site")" \
        --client-cert-auth --trusted-ca-file "$tls/ca.pem" --cert-file "$tls/site-$site.pem" --key-file "$tls/site-$site.key" \
        --peer-client-cert-auth --peer-trusted-ca-file "$tls/ca.pem" \
        --peer-cert-file "$tls/site-$site.pem" --peer-key-file "$tls/site-$site.key" \
        --initial-cluster "${cluster#,}" --initial-cluster-state "$2" --initial-cluster-token coffer-cell-1 \
        --heartbeat-interval "${fleet_heartbeat:-50}" --election-timeout "$((${fleet_heartbeat:-50} * 10))" >>"$fleet_folder/logs/etcd-$site" 2>&1 &
    fleet_etcd_pids[$site]=$!
    fleet_pids+=($!)
}

# fleet_settings SITE: how it finds its manifest and its record store.
fleet_settings() {
    local tls=$fleet_folder/tls
    echo --fleet-manifest-file "$fleet_folder/fleet/manifest.json" --fleet-site "$1" \
        --fleet-roots-fingerprint "$fleet_fingerprint" --etcd-members "$(fleet_members "$1")" \
        --etcd-ca-file "$tls/ca.pem" --etcd-certificate-file "$tls/site-$1.pem" --etcd-key-file "$tls/site-$1.key"
}

fleet_start_vault() {
    local site=$1 other others=
    local host tls=$fleet_folder/tls
    host=$(fleet_host "$site")
    for other in $(fleet_others "$site"); do others+=,$other=https://$(fleet_host "$other"):$(fleet_port peers "$other"); done
    fleet_at "$site" "$COFFER_VAULT_PROGRAM" serve --data "$fleet_folder/site-$site" --gateway true --log-level warn \
        --listen "$host:$(fleet_port api "$site")" --ops-listen "$host:$(fleet_port ops "$site")" \
        --tls-certificate-file "$tls/site-$site.pem" --tls-key-file "$tls/site-$site.key" \
        --peers-listen "$host:$(fleet_port peers "$site")" --peers-sites "${others#,}" \
        --peers-certificate-file "$tls/site-$site.pem" --peers-key-file "$tls/site-$site.key" \
        --peers-ca-file "$tls/ca.pem" $(fleet_settings "$site") \
        --tokens-jwks-file "$fleet_folder/messenger/jwks.json" --tokens-issuer coffer-vault:local \
        --tokens-audience coffer-vault --limits-address-per-minute 0 \
        --policy-waits 0s --policy-open-at-zero 2s ${fleet_vault_flags:-} \
        >/dev/null 2>>"$fleet_folder/logs/vault-$site" &
    fleet_vault_pids[$site]=$!
    fleet_pids+=($!)
}

fleet_start_gateway() {
    local site file=$fleet_folder/gateway.toml
    for site in $(seq "$fleet_sites"); do
        printf '[[sites]]\nnumber = %s\nurl = "https://%s:%s"\nca_file = "%s"\n' "$site" "$(fleet_host "$site")" \
            "$(fleet_port api "$site")" "$fleet_folder/tls/ca.pem"
    done >"$file"
    fleet_at 1 "$COFFER_GATEWAY_PROGRAM" serve --config "$file" --listen "127.0.0.1:$(fleet_port gateway)" \
        --ops-listen "127.0.0.1:$(fleet_port gateway-ops)" --log-level warn \
        --tokens-jwks-file "$fleet_folder/messenger/jwks.json" --tokens-issuer coffer-vault:local \
        --tokens-audience coffer-vault ${fleet_gateway_flags:-} >/dev/null 2>>"$fleet_folder/logs/gateway" &
    fleet_pids+=($!)
    fleet_wait_for "the gateway" fleet_ask 1 "http://127.0.0.1:$(fleet_port gateway-ops)/readyz"
}

fleet_wait_ready() {
    fleet_wait_for "site $1" fleet_ask "$1" "http://$(fleet_host "$1"):$(fleet_port ops "$1")/readyz"
}

fleet_ask() { (fleet_at "$1" curl -sf "$2"); }

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

# An authority for the sites, and a certificate for each: for its connections to clients, other sites and etcd alike. In
# earnest each purpose has an authority of its own.
fleet_certificates() {
    local tls=$fleet_folder/tls site
    mkdir -p "$tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=coffer sites" \
        -addext "keyUsage=critical,keyCertSign" -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
    for site in $(seq "$fleet_sites"); do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=site$site" \
            -keyout "$tls/site-$site.key" -out "$tls/site-$site.csr" 2>/dev/null
        openssl x509 -req -in "$tls/site-$site.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
            -extfile <(printf 'subjectAltName=IP:127.0.0.1,IP:10.77.0.%s\nextendedKeyUsage=serverAuth,clientAuth' "$site") \
            -out "$tls/site-$site.pem" 2>/dev/null
    done
}
