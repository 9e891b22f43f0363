package pg

import (
	"maps"
	"slices"
)

// UpgradeOptions are the options of a server of b that pg_upgrade starts on
// data: private and harmless like a Helper's, whatever the configuration says.
// What pg_upgrade sets by itself (sockets, port, fsync, autovacuum:
// start_postmaster in pg_upgrade/server.c) is not in them. rules is a directory
// with pg_hba.conf and pg_ident.conf; set wins over all other settings, and all
// others over the user's.
func UpgradeOptions(b Binaries, data, rules string, set, user map[string]string) []string {
	s := HelperSpec{Binaries: b, Data: data}
	all := maps.Clone(user)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, s.harmless())
	maps.Copy(all, s.undisturbed())
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit", "autovacuum"} {
		delete(all, name)
	}
	maps.Copy(all, map[string]string{
		"hba_file": rules + "/pg_hba.conf", "ident_file": rules + "/pg_ident.conf",
		"ssl": "off", "bonjour": "off", "unix_socket_group": "",
	})
	// A slot must not lose its WAL while it is moved; some minor versions refuse
	// slots where these are otherwise.
	if b.Major <= 17 {
		all["max_slot_wal_keep_size"] = "-1"
	}
	if b.Major >= 18 {
		all["idle_replication_slot_timeout"] = "0"
	}
	if b.Major >= 17 {
		all["sync_replication_slots"] = "off"
	}
	maps.Copy(all, set)
	var words []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		words = append(words, "-c", name+"="+all[name])
	}
	return words
}
