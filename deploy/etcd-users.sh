#!/usr/bin/env bash
# What a new cell needs before any site uses it: the fence, a role and a user for each site. Runs in the container `operator`.
set -euo pipefail
fleet=$(cat /fleet/public/fleet)

etcdctl put "coffer/$fleet/fence" 1:1
etcdctl role add coffer
etcdctl role grant-permission coffer readwrite --prefix "coffer/$fleet/records/"
etcdctl role grant-permission coffer read "coffer/$fleet/fence"
for site in 1 2 3 4 5; do
    etcdctl user add "site$site" --interactive=false <"/fleet/operator/site$site.password"
    etcdctl user grant-role "site$site" coffer
done
# Neither has a password. Nobody has a certificate of root's; the operator's certificate is the operator.
for user in root operator; do
    etcdctl user add "$user" --no-password
    etcdctl user grant-role "$user" root
done
etcdctl auth enable
