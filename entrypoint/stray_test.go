package entrypoint

import "testing"

func TestAServerIsAdoptedWithTheOptionsThatItMustHaveAndNoOthers(t *testing.T) {
	t.Parallel()
	const data = "/var/lib/postgresql/17/docker"
	given := "-c work_mem=9MB -c hba_file=/run/pgbaton/rules/pg_hba.conf -c ident_file=/run/pgbaton/rules/pg_ident.conf"
	for _, test := range []struct {
		name, cmdline, given string
		want                 bool
	}{
		{"our own, whose supervisor died", "postgres " + given, given, true},
		{"pg_ctl restart", "/usr/lib/postgresql/17/bin/postgres " + given, given, true},
		{"pg_ctl -D restart", "/usr/lib/postgresql/17/bin/postgres -D " + data + " " + given, given, true},
		{"pg_ctl start", "/usr/lib/postgresql/17/bin/postgres -D " + data, given, false},
		{"pg_ctl restart -o", "/usr/lib/postgresql/17/bin/postgres -c work_mem=9MB", given, false},
		{"the temporary server, restarted by an init script", "/usr/lib/postgresql/17/bin/postgres -c work_mem=9MB -c listen_addresses= -p 5432", "", false},
		{"one before any of ours", "/usr/lib/postgresql/17/bin/postgres ", "", false},
		{"ours and something in front", "postgres -c listen_addresses= " + given, given, false},
		{"ours and something behind", "postgres " + given + " -c fsync=off", given, false},
		{"of another data directory", "postgres -D /srv/other " + given, given, false},
	} {
		if got := hasOptions(test.cmdline, data, test.given); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
