package inplace

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// helperDir has what pg_upgrade's servers read, in the scratch directory.
const helperDir = "helper"

// helperRules let everybody in over a socket that only the server's user can
// reach: the directory is closed to others.
const helperRules = "local all all trust\nlocal replication all reject\n"

// plainValue is what passes a shell unchanged; see pg.PgUpgrade.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9_./,:@%+=-]*$`)

// HelperOptions are the options for the old and the new servers that pg_upgrade
// starts, and makes the files that they name: private rules and, where the
// user's arguments say more than a shell would leave unchanged, a configuration
// file that includes the user's. The old server has the user's settings but
// for those that would touch the world; the new one is as initdb made it.
func HelperOptions(_ context.Context, s *Site, f upgrade.Facts) (oldOptions, newOptions []string, err error) {
	dir := path.Join(ScratchDir, helperDir)
	if err := s.makeDir(helperDir); err != nil {
		return nil, nil, err
	}
	user, extra := userSettings(s, f)
	old := bothSettings(f)
	files := map[string]string{"pg_hba.conf": helperRules, "pg_ident.conf": ""}
	if extra != "" {
		files["old.conf"] = extra
		old["config_file"] = s.Scratch(helperDir) + "/old.conf"
	}
	uid, gid := s.owner()
	for name, text := range files {
		if err := durable.WriteFile(s.Root, path.Join(dir, name), []byte(text), uid, gid); err != nil {
			return nil, nil, fmt.Errorf("prepare pg_upgrade's servers: %w", err)
		}
	}
	rules := s.Scratch(helperDir)
	return pg.UpgradeOptions(s.Old, s.PGData, rules, old, user), pg.UpgradeOptions(s.New, s.Scratch("new"), rules, newSettings(f), nil), nil
}

// userSettings are what the old server needs beside what is in its files: the
// user's arguments. Those that a shell would change go into a file, which
// postgresql.auto.conf then wins over.
func userSettings(s *Site, f upgrade.Facts) (set map[string]string, file string) {
	set = map[string]string{}
	var odd []upgrade.ConfArg
	for _, a := range upgrade.ParseServerArgs(s.Args) {
		name := strings.ToLower(a.Name)
		switch {
		case strings.HasSuffix(name, "_file"), name == "data_directory", name == "port",
			name == "listen_addresses", strings.HasPrefix(name, "unix_socket_"):
			// pg_upgrade's, or the place of another file.
		case plainValue.MatchString(a.Value) && plainValue.MatchString(name):
			set[name] = a.Value
		default:
			odd = append(odd, upgrade.ConfArg{Name: name, Value: a.Value})
		}
	}
	config := f.Server.Settings["config_file"]
	if config == "" {
		config = filepath.Join(s.PGData, "postgresql.conf")
	}
	if len(odd) == 0 && filepath.Clean(config) == filepath.Join(s.PGData, "postgresql.conf") {
		return set, ""
	}
	return set, upgrade.OldConf(config, odd)
}

func newSettings(f upgrade.Facts) map[string]string {
	set := bothSettings(f)
	subs := 0
	if f.From >= 17 {
		subs = len(f.Server.Subscriptions)
	}
	// A slot is made, and an origin for each subscription
	// (check_new_cluster_logical_replication_slots in check.c).
	if slots := f.LogicalSlots(); slots > 0 {
		set["wal_level"] = "logical"
	}
	set["max_replication_slots"] = strconv.Itoa(max(10, f.LogicalSlots(), subs))
	if f.To >= 18 {
		set["max_active_replication_origins"] = strconv.Itoa(max(10, subs))
	}
	if strings.Contains(set["shared_preload_libraries"], "timescaledb") {
		set["timescaledb.restoring"] = "on" // as its manual is remembered; not tried here
	}
	return set
}

func bothSettings(f upgrade.Facts) map[string]string {
	set := map[string]string{
		"shared_preload_libraries":  strings.Join(f.Preload(), ","),
		"max_locks_per_transaction": strconv.FormatInt(f.Locks(), 10),
	}
	if strings.Contains(set["shared_preload_libraries"], "pg_cron") {
		set["cron.launch_active_jobs"] = "off"
	}
	return set
}
