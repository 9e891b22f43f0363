#!/usr/bin/env bash
# Initialises an empty data directory and ends; fails where there is a database
# already. Arguments are those of postgres, for the temporary server.
set -Eeo pipefail

# shellcheck source=image/docker-entrypoint.sh
source /usr/local/bin/docker-entrypoint.sh
docker_setup_env
if [ -n "$DATABASE_ALREADY_EXISTS" ]; then
	echo >&2 "error: (unexpected) database found in '$PGDATA'!"
	echo >&2 "It was not touched. docker-ensure-initdb.sh ends with 0 where there is one."
	exit 1
fi
PGBATON_INIT_ONLY=true exec pgbaton entrypoint postgres "$@"
