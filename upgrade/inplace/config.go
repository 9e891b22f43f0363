package inplace

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// ConfigPlan is how the old cluster's configuration is carried over.
type ConfigPlan struct {
	final    string   // the new PGDATA as it will be called
	oldDirs  []string // the old one: as it is called, and without links where that differs
	files    []*configFile
	includes map[upgrade.ConfPlace]includeTarget
	autoConf int // index of postgresql.auto.conf in files; negative: there is none
	edits    map[int]map[int]upgrade.ConfEdit
	values   map[string]string
	sound    bool // nothing was refused: it can be applied
}

// Value is what the old server would start with: its arguments win over
// postgresql.auto.conf, and that over postgresql.conf. ok is false where
// nothing sets it and the default holds. Names are not case sensitive.
func (c *ConfigPlan) Value(name string) (value string, ok bool) {
	value, ok = c.values[strings.ToLower(name)]
	return value, ok
}

// PlanConfig reads everything that configures the old server (running or not),
// has the new major's program look at each setting, and says what becomes of
// them: notes for what is changed on the way, refusals for what cannot be
// mended because it is outside the old PGDATA. final is the new PGDATA as it
// will be called after the switch; it need not exist, and may be the old name.
//
// Nothing but the scratch directory is written. It costs some 15 ms, and as
// much for each setting that is refused; what was asked before is remembered,
// so it is cheap to call it again after the stop. The plan is nil with an error,
// which means that nothing was learned.
func PlanConfig(ctx context.Context, s *Site, final string) (*ConfigPlan, []node.Finding, error) {
	r, err := newConfigReader(s)
	if err != nil {
		return nil, nil, err
	}
	args := upgrade.ParseServerArgs(s.Args)
	autoConf := r.readAll(args)
	c := &ConfigPlan{
		final: filepath.Clean(final), oldDirs: r.oldDirs(), files: r.files, includes: r.includes,
		autoConf: autoConf, values: r.values(args),
	}
	if r.refused() {
		return c, r.findings, nil
	}
	scratch := s.newConfigScratch()
	defer scratch.remove()
	facts := upgrade.ConfFacts{
		From: s.Old.Major, To: s.New.Major, OldDirs: c.oldDirs, NewDir: c.final,
		Files: r.sources(), Args: args, Shadowed: r.shadowed(),
	}
	tries := facts.ConfTries()
	if len(tries) > maxTries {
		return c, append(r.findings, tooManySettings(len(tries))), nil
	}
	if facts.Verdicts, err = s.trySettings(ctx, scratch, tries); err != nil {
		return nil, nil, err
	}
	var decided []node.Finding
	c.edits, decided = upgrade.DecideConf(facts)
	findings := append(r.findings, decided...)
	findings = append(findings, c.misplaced()...)
	if refuses(findings) {
		return c, findings, nil
	}
	problem, err := c.checkWhole(ctx, s, scratch)
	if err != nil {
		return nil, nil, err
	}
	if problem != "" {
		return c, append(findings, wholeRefused(s, problem)), nil
	}
	c.sound = true
	links, err := c.danglingLinks(s)
	return c, append(findings, links...), err
}

// maxTries bounds the distinct settings, of which a server has some 350.
const maxTries = 5000

func tooManySettings(n int) node.Finding {
	return node.Finding{
		Level: node.Refuse, Code: "config-size",
		Text: fmt.Sprintf("The configuration has %d different settings and values; more than %d are not compared.", n, maxTries),
		Hint: "Remove lines that later ones override.",
	}
}

func wholeRefused(s *Site, problem string) node.Finding {
	return node.Finding{
		Level: node.Refuse, Code: "config-whole",
		Text:   fmt.Sprintf("PostgreSQL %d would not start with the configuration as it would be carried over.", s.New.Major),
		Hint:   "Correct what the server names; each setting for itself was accepted.",
		Detail: problem,
	}
}

func refuses(findings []node.Finding) bool { return len(refusing(findings)) > 0 }

// misplaced refuses configuration files in directories of the server's own,
// which are not carried over.
func (c *ConfigPlan) misplaced() []node.Finding {
	var res []node.Finding
	for _, f := range c.files {
		top, _, _ := strings.Cut(f.rel, "/")
		if f.rel == "" || mainFiles[f.rel] || len(c.owned([]string{top})) > 0 {
			continue
		}
		res = append(res, node.Finding{
			Level: node.Refuse, Code: "config-place",
			Text: fmt.Sprintf("The configuration file %s lies in a directory of the server's own, which is not carried over.", f.path),
			Hint: "Move it to a directory of its own in the data directory.",
		})
	}
	return res
}

// mainFiles are carried one by one.
var mainFiles = map[string]bool{
	"postgresql.conf": true, "postgresql.auto.conf": true, "pg_hba.conf": true, "pg_ident.conf": true,
}

// owned are those names at the top of the old PGDATA that are the user's.
func (c *ConfigPlan) owned(entries []string) []string {
	return upgrade.UsersOwn(entries, c.topOf("log_directory", "log"), c.topOf("external_pid_file", ""))
}

// topOf is the entry at the top of the old PGDATA that a setting names, empty
// where it names something else. A directory further down is part of the user's.
func (c *ConfigPlan) topOf(setting, fallback string) string {
	value, ok := c.Value(setting)
	if !ok {
		value = fallback
	}
	if value == "" {
		return ""
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(c.oldDirs[0], value)
	}
	for _, dir := range c.oldDirs {
		if rel, ok := below(dir, value); ok && !strings.Contains(rel, "/") {
			return rel
		}
	}
	return ""
}

// below is path relative to dir, where it lies below it.
func below(dir, path string) (rel string, ok bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return rel, true
}

// asVerdict translates what internal/pg says.
func asVerdict(v pg.Verdict) upgrade.ConfVerdict {
	kinds := map[pg.Answer]upgrade.ConfKind{
		pg.Taken: upgrade.ConfAccepted, pg.NoSetting: upgrade.ConfUnknown,
		pg.BadValue: upgrade.ConfBadValue, pg.Unclear: upgrade.ConfDoubtful,
	}
	return upgrade.ConfVerdict{Kind: kinds[v.Answer], Said: v.Said}
}
