#!/usr/bin/env bash
# What images derived from the official one source, and what init scripts are
# run with. Every function has the name and the meaning that it has there; the
# work is done by the pgbaton binary. As a command this starts the container
# as the image's own entrypoint does.

_pgbaton() {
	"${PGBATON_BINARY:-pgbaton}" docker "$@"
}

# file_env NAME [DEFAULT]: NAME from $NAME, from the file that $NAME_FILE names, or DEFAULT.
file_env() {
	local assignments
	assignments=$(_pgbaton file-env "$@") || exit 1
	eval "$assignments"
}

_is_sourced() {
	[ "${#FUNCNAME[@]}" -ge 2 ] && [ "${FUNCNAME[0]}" = '_is_sourced' ] && [ "${FUNCNAME[1]}" = 'source' ]
}

# Sets POSTGRES_* from their _FILE variants, PGDATA, and DATABASE_ALREADY_EXISTS.
docker_setup_env() {
	local assignments
	assignments=$(_pgbaton setup-env) || exit 1
	eval "$assignments"
}

docker_create_db_directories() {
	_pgbaton create-directories
}

docker_verify_minimum_env() {
	_pgbaton verify-minimum-env
}

# docker_init_database_dir [initdb arguments]
docker_init_database_dir() {
	_pgbaton init-database-dir "$@"
}

# pg_setup_hba_conf [postgres arguments]
pg_setup_hba_conf() {
	_pgbaton setup-hba-conf "$@"
}

# docker_temp_server_start [postgres arguments]: a server that only listens on its Unix socket.
docker_temp_server_start() {
	_pgbaton temp-server-start "$@"
}

docker_temp_server_stop() {
	_pgbaton temp-server-stop
}

docker_setup_db() {
	_pgbaton setup-db
}

# docker_process_sql [psql arguments]: SQL on the temporary server, as the superuser in POSTGRES_DB.
docker_process_sql() {
	local run=( psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc )
	if [ -n "$POSTGRES_DB" ]; then
		run+=( --dbname "$POSTGRES_DB" )
	fi
	PGHOST='' PGHOSTADDR='' "${run[@]}" "$@"
}

# docker_process_init_files FILE...: each by its kind. A script that is not
# executable is sourced: it may use "${psql[@]}", and what it exports reaches
# the server.
docker_process_init_files() {
	# shellcheck disable=SC2034 # for sourced scripts
	psql=( docker_process_sql )
	echo
	local f
	for f; do
		case "$f" in
			*.sh)
				if [ -x "$f" ]; then
					printf '%s: running %s\n' "$0" "$f"
					"$f"
				else
					printf '%s: sourcing %s\n' "$0" "$f"
					. "$f"
				fi
				;;
			*.sql) printf '%s: running %s\n' "$0" "$f"; docker_process_sql -f "$f"; echo ;;
			*.sql.gz) printf '%s: running %s\n' "$0" "$f"; gunzip -c "$f" | docker_process_sql; echo ;;
			*.sql.xz) printf '%s: running %s\n' "$0" "$f"; xzcat "$f" | docker_process_sql; echo ;;
			*.sql.zst) printf '%s: running %s\n' "$0" "$f"; zstd -dc "$f" | docker_process_sql; echo ;;
			*) printf '%s: ignoring %s\n' "$0" "$f" ;;
		esac
		echo
	done
}

# Whether an argument makes postgres print something and exit.
_pg_want_help() {
	local arg
	for arg; do
		case "$arg" in
			-'?' | --help | --describe-config | -V | --version) return 0 ;;
		esac
	done
	return 1
}

_main() {
	exec "${PGBATON_BINARY:-pgbaton}" entrypoint "$@"
}

if ! _is_sourced; then
	_main "$@"
fi
