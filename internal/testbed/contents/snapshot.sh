# Prints what a server has: sections that begin with "=== name". Needs PGUSER
# and the like, and BIN, the programs of the newest major: so the text is the
# same whatever the server's own major is.
set -euo pipefail
echo "=== globals"
"$BIN/pg_dumpall" --globals-only
databases=$("$BIN/psql" -XAtq -d postgres -c "select datname from pg_database where datallowconn and datname <> 'template0' order by 1")
while IFS= read -r name; do
	quoted=${name//\\/\\\\}
	quoted=${quoted//\'/\\\'}
	echo "=== schema of $name"
	if [[ -z ${ROWS_ONLY:-} ]]; then
		"$BIN/pg_dump" --schema-only --create --exclude-table='*.pgbaton_load*' -d "dbname='$quoted'" </dev/null
	fi
	echo "=== data of $name"
	"$BIN/psql" -XAtq -v ON_ERROR_STOP=1 -d "dbname='$quoted'" -f /dev/fd/3 3<<<"$SNAPSHOT" </dev/null
done <<<"$databases"
