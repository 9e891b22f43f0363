package inplace

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// maxRuleProblems bounds what a finding lists.
const maxRuleProblems = 10

// RuleFindings has the new major read the user's pg_hba.conf and pg_ident.conf:
// a server that does not understand the first does not start, nor does the old
// one again once it was stopped. empty is a cluster of the new major that
// initdb made, that never ran and does not run.
func RuleFindings(ctx context.Context, s *Site, empty string) ([]node.Finding, error) {
	hba, ident, err := pg.UserRules(ctx, s.Old, s.PGData, s.Args, &s.User, s.Environ)
	if err != nil {
		return nil, err
	}
	badHBA, badIdent, err := pg.CheckRules(ctx, s.New, empty, hba, ident, &s.User, s.Environ)
	if err != nil {
		return nil, err
	}
	var res []node.Finding
	if len(badHBA) > 0 {
		res = append(res, node.Finding{
			Level: node.Refuse, Code: "config-hba",
			Text:   fmt.Sprintf("PostgreSQL %d does not understand %s, and would not start with it.", s.New.Major, hba),
			Hint:   "Correct the lines that the server names, and reload the old server to see that it takes them.",
			Detail: someOf(badHBA),
		})
	}
	if len(badIdent) > 0 {
		res = append(res, node.Finding{
			Level: node.Note, Code: "config-ident",
			Text:   fmt.Sprintf("PostgreSQL %d does not understand %s, and would start without any of its maps.", s.New.Major, ident),
			Hint:   "Correct the lines that the server names.",
			Detail: someOf(badIdent),
		})
	}
	return res, nil
}

func someOf(problems []string) string {
	if more := len(problems) - maxRuleProblems; more > 0 {
		problems = append(problems[:maxRuleProblems:maxRuleProblems], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(problems, "\n")
}
