package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sweepFaults removes the tables and interfaces that killed tests left.
func sweepFaults(ctx context.Context, goes func(run string) bool) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil // and so they could not have been made
	}
	tables, err1 := sweepTables(ctx, goes)
	cables, err2 := sweepCables(ctx, goes)
	return append(tables, cables...), errors.Join(err1, err2)
}

// sweepTables knows a table by its name: pgbaton-<pid>-<start>-<interface>.
func sweepTables(ctx context.Context, goes func(run string) bool) (gone []string, err error) {
	if !installed("nft") {
		return nil, nil // and so there are no tables
	}
	out, err := run(ctx, "nft", "list", "tables")
	if err != nil {
		return nil, fmt.Errorf("list the rules that tests left: %w", err)
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // table bridge NAME
		if len(f) != 3 || !strings.HasPrefix(f[2], "pgbaton-") {
			continue
		}
		parts := strings.SplitN(strings.TrimPrefix(f[2], "pgbaton-"), "-", 3)
		if len(parts) != 3 || !goes(parts[0]+"-"+parts[1]) {
			continue
		}
		if _, e := run(ctx, "nft", "delete", "table", f[1], f[2]); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the rules %s: %w", f[2], e))
			continue
		}
		gone = append(gone, "rules "+f[2])
	}
	return gone, err
}

// sweepCables knows them by the interface's alias.
func sweepCables(ctx context.Context, goes func(run string) bool) (gone []string, err error) {
	found, err := filepath.Glob("/sys/class/net/" + tailPrefix + "*/ifalias")
	for _, path := range found {
		alias, _ := os.ReadFile(path)
		owner, ours := strings.CutPrefix(strings.TrimSpace(string(alias)), Label+"=")
		if !ours || !goes(owner) {
			continue
		}
		name := filepath.Base(filepath.Dir(path))
		if _, e := run(ctx, "ip", "link", "del", name); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the interface %s: %w", name, e))
			continue
		}
		gone = append(gone, "interface "+name)
	}
	return gone, err
}
