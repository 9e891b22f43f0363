#!/usr/bin/env bash
# Initialises an empty data directory and ends; fails where there is a database
# already. Arguments are those of postgres, for the temporary server.
set -Eeo pipefail

# shellcheck source=image/docker-entrypoint.sh
source /usr/local/bin/docker-entrypoint.sh
docker_setup_env
if [ -n "$DATABASE_ALREADY_EXISTS" ]; then
	echo >&2 "error: the data directory $PGDATA holds a database already; it was not touched"
	exit 1
fi
PGBATON_INIT_ONLY=true exec pgbaton entrypoint postgres "$@"
