#!/bin/sh
# Shows the main jobs: a cluster of two with a VIP or, with -upgrade, one node
# and its upgrade from PostgreSQL 15 to 17. make demo and make demo-upgrade
# build the image first.
# KEEP=1 leaves the containers running and says how to enter them.
set -eu
cd "$(dirname "$0")/.."
exec go run ./internal/testbed/demo "$@"
