# upgrade.sh start FROM: starts the server.
# upgrade.sh upgrade FROM TO: upgrades it by links, with nothing done ahead.
set -eu
home=/var/lib/postgresql log=$home/log
old=/usr/lib/postgresql/$2/bin olddata=$home/$2/docker
cd "$home"
if [ "$1" = start ]; then
	exec "$old/pg_ctl" -D "$olddata" -l "$log" -w -s start
fi
new=/usr/lib/postgresql/$3/bin newdata=$home/$3/docker
now() { echo $(($(date +%s%N) / 1000000)); }
began=$(now)
took() {
	t=$(now)
	echo "$1 $((t - began))"
	began=$t
}
"$old/pg_ctl" -D "$olddata" -m fast -w -s stop
took stop
"$new/initdb" -D "$newdata" -U postgres >/dev/null
took initdb
"$new/pg_upgrade" -b "$old" -B "$new" -d "$olddata" -D "$newdata" -U postgres --link --check >/dev/null
took check
"$new/pg_upgrade" -b "$old" -B "$new" -d "$olddata" -D "$newdata" -U postgres --link >/dev/null
took pg_upgrade
cp "$olddata"/pg_hba.conf "$olddata"/postgresql.conf "$newdata"/
"$new/pg_ctl" -D "$newdata" -l "$log" -w -s start
took start
