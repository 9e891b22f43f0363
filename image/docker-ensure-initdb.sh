#!/usr/bin/env bash
# Initialises an empty data directory and ends, successfully where there is a
# database already. Arguments are those of postgres, for the temporary server.
set -Eeuo pipefail

PGBATON_INIT_ONLY=true exec pgbaton entrypoint postgres "$@"
