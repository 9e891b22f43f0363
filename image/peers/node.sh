#!/bin/bash
# A node of the compared cluster: Patroni as PID 1, as its own image has it,
# and vip-manager beside it.
#
#   NODE ADDRESS        name and address of this node
#   ETCD                http://… of etcd
#   VIP                 the virtual address, in a /24 on eth0
#   POSTGRES_PASSWORD   of the superuser and of replication
#   TTL LOOP_WAIT RETRY_TIMEOUT PRIMARY_START_TIMEOUT    Patroni's, in seconds
#   VIP_INTERVAL        vip-manager's, in milliseconds
set -euo pipefail
: "${NODE:?}" "${ADDRESS:?}" "${ETCD:?}" "${VIP:?}" "${POSTGRES_PASSWORD:?}"
: "${TTL:?}" "${LOOP_WAIT:?}" "${RETRY_TIMEOUT:?}" "${PRIMARY_START_TIMEOUT:?}" "${VIP_INTERVAL:?}"

# Both of Debian's packages meet on etcd's second API: its vip-manager knows
# no other. The server's settings are those that a cluster of ours has too.
cat >/etc/patroni.yml <<CFG
scope: peers
name: $NODE
etcd:
  url: $ETCD
restapi:
  listen: 0.0.0.0:8008
  connect_address: $ADDRESS:8008
bootstrap:
  dcs:
    ttl: $TTL
    loop_wait: $LOOP_WAIT
    retry_timeout: $RETRY_TIMEOUT
    primary_start_timeout: $PRIMARY_START_TIMEOUT
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      remove_data_directory_on_rewind_failure: true
      remove_data_directory_on_diverged_timelines: true
      parameters:
        wal_level: logical
        hot_standby: "on"
        wal_log_hints: "on"
  initdb:
    - encoding: UTF8
    - data-checksums
postgresql:
  listen: 0.0.0.0:5432
  connect_address: $ADDRESS:5432
  data_dir: /var/lib/postgresql/$PG_MAJOR/data
  bin_dir: /usr/lib/postgresql/$PG_MAJOR/bin
  pgpass: /tmp/pgpass
  use_unix_socket: true
  parameters:
    unix_socket_directories: /var/run/postgresql
  basebackup:
    - checkpoint: fast
  pg_hba:
    - local all all trust
    - host all all all scram-sha-256
    - host replication all all scram-sha-256
  authentication:
    superuser: {username: postgres, password: "$POSTGRES_PASSWORD"}
    replication: {username: replicator, password: "$POSTGRES_PASSWORD"}
CFG
chown postgres:postgres /etc/patroni.yml
chmod 0600 /etc/patroni.yml

# Started again when it fails, as Debian's unit says.
(until vip-manager --ip="$VIP" --netmask=24 --interface=eth0 --interval="$VIP_INTERVAL" \
	--trigger-key=/service/peers/leader --trigger-value="$NODE" \
	--dcs-type=etcd --dcs-endpoints="$ETCD"; do sleep 0.1; done) &

exec gosu postgres patroni /etc/patroni.yml
