#!/usr/bin/env bash
# Initialises the database if there is none and ends: nothing is served. Under
# the name docker-enforce-initdb.sh an existing database is an error.
set -Eeuo pipefail

source /usr/local/bin/docker-entrypoint.sh

# Arguments are postgres's, as those of the entrypoint.
if [ "$#" -eq 0 ] || [ "$1" != postgres ]; then
	set -- postgres "$@"
fi

docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = 0 ]; then
	exec gosu postgres "$BASH_SOURCE" "$@"
fi

if [ -n "$DATABASE_ALREADY_EXISTS" ]; then
	case ${0##*/} in
	docker-enforce-initdb.sh)
		echo >&2 "error: (unexpected) database found in '$PGDATA'!"
		exit 1
		;;
	esac
	echo >&2 "note: database already initialized in '$PGDATA'!"
	exit 0
fi
_pg_initialise "$@"
