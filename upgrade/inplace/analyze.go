package inplace

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// analyzeStages is in how many steps vacuumdb --analyze-in-stages works.
const analyzeStages = 3

// analyze makes statistics. From 18 on pg_upgrade keeps most of them, and only
// what is missing is made in stages: the first stage would replace good ones by
// poor ones.
func (s *Site) analyze(
	ctx context.Context, login func(db string) pg.Login, mode node.AnalyzeMode, jobs int, progress Progress,
) ([]node.Finding, error) {
	args, steps := []string{"--analyze-in-stages"}, analyzeStages
	switch mode {
	case node.AnalyzeOff:
		return nil, nil
	case node.AnalyzeFull:
		args, steps = []string{"--analyze-only"}, 1
	default:
		if s.New.Major >= 18 {
			args = append(args, "--missing-stats-only")
		}
	}
	args = append(args, "--jobs="+strconv.Itoa(max(1, jobs)))
	dbs, err := pg.Databases(ctx, login("template1"))
	if err != nil {
		return nil, err
	}
	all := login("")
	all.Database = "" // all of them, stage by stage
	n := 0
	err = all.Vacuumdb(ctx, s.New, s.User, s.Environ, func(line string) {
		progress("making statistics: "+strings.TrimPrefix(line, "vacuumdb: "), min(99, 100*float64(n)/float64(steps*len(dbs))))
		n++
	}, args...)
	if err == nil || ctx.Err() != nil {
		return nil, err
	}
	return s.analyzeEach(ctx, login, dbs, args, progress), nil
}

// analyzeEach goes database by database, so that one that fails does not keep
// the others without statistics.
func (s *Site) analyzeEach(
	ctx context.Context, login func(db string) pg.Login, dbs, args []string, progress Progress,
) (found []node.Finding) {
	for i, db := range dbs {
		progress("making statistics in database "+db, 100*float64(i)/float64(len(dbs)))
		err := login(db).Vacuumdb(ctx, s.New, s.User, s.Environ, nil, args...)
		if ctx.Err() != nil {
			return found
		}
		if err != nil {
			f := failed("statistics", fmt.Sprintf("statistics of database %q are not all made, and queries may be slow", db), err)
			f.Hint = fmt.Sprintf("run: vacuumdb %s --dbname=%q", strings.Join(args, " "), db)
			found = append(found, f)
		}
	}
	return found
}
