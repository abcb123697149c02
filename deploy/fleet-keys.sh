#!/usr/bin/env bash
# What a fleet of containers is given before its first start: the key ceremony, certificates, passwords. Runs in the container
# `ceremony`, which has no network and every volume; in earnest each part is made where it belongs (docs/operations.md).
set -euo pipefail
umask 077
deploy=$(dirname "$0") fleet=/fleet sites=5

# authority NAME: whoever trusts NAME.pem trusts what NAME signs, and nothing else.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=coffer $1" \
        -addext "keyUsage=critical,keyCertSign" -keyout "$fleet/authorities/$1.key" -out "$fleet/authorities/$1.pem" 2>/dev/null
}

# certificate AUTHORITY FILE NAME [SUBJECT-ALTERNATIVE-NAMES]: FILE.pem and FILE.key.
certificate() {
    local by=$fleet/authorities/$1 extensions="extendedKeyUsage=serverAuth,clientAuth"
    mkdir -p "$(dirname "$2")"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" \
        -keyout "$2.key" -out "$fleet/authorities/request" 2>/dev/null
    openssl x509 -req -in "$fleet/authorities/request" -CA "$by.pem" -CAkey "$by.key" -CAcreateserial -days 365 \
        -extfile <(printf '%s\nsubjectAltName=%s\n' "$extensions" "${4:-DNS:$3}") -out "$2.pem" 2>/dev/null
}

trust() { cp "$fleet/authorities/$1.pem" "$2/$1-ca.pem"; }

COFFER_VAULT_PROGRAM=coffer-vault "$deploy/ceremony-demo.sh" "$fleet" "$sites"
fingerprint=$(cat "$fleet/fingerprint")
cp "$fleet/fleet/manifest.json" "$fleet/fingerprint" "$fleet/public/"
sed -n 's/^fleet *//p' "$fleet/verified" >"$fleet/public/fleet"

# The messaging service: it vouches for accounts, and is neither gateway nor vault.
coffer-vault dev-token --new-issuer --data "$fleet/messenger" --account nobody \
    --device-key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >/dev/null
cp "$fleet/messenger/jwks.json" "$fleet/public/"

mkdir -p "$fleet/authorities"
for one in gateway vaults sites members clients; do authority "$one"; done
certificate gateway "$fleet/gateway/gateway" gateway "DNS:gateway,DNS:localhost,IP:127.0.0.1"
trust vaults "$fleet/gateway"
trust gateway "$fleet/public"
# etcd takes a certificate's name for a user's where no password was given: of the names below only `operator` is one.
certificate clients "$fleet/operator/operator" operator
trust members "$fleet/operator"
for site in $(seq "$sites"); do
    vault=$fleet/site-$site member=$fleet/etcd-$site
    certificate vaults "$vault/tls/api" "vault-$site"
    certificate sites "$vault/tls/site" "vault-$site"
    certificate clients "$vault/tls/etcd" "vault-$site"
    trust sites "$vault/tls"
    trust members "$vault/tls"
    certificate members "$member/tls/member" "etcd-$site"
    trust members "$member/tls"
    trust clients "$member/tls"
    openssl rand -hex 24 >"$vault/etcd-password"
    cp "$vault/etcd-password" "$fleet/operator/site$site.password"
    printf '[fleet]\nroots_fingerprint = "%s"\n' "$fingerprint" >"$vault/vault.toml"
done
