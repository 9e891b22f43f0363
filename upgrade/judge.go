package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Judge says what the facts mean for the upgrade: reasons to refuse it, and
// notes, in the order in which a person would mend them.
func Judge(f Facts) []node.Finding {
	var res []node.Finding
	for _, judge := range []func(Facts) []node.Finding{
		judgePrograms, judgeLogin, judgeRole, judgeRights, judgeMounts, judgeDatabases, judgeNames, judgePrepared,
		judgeExtensions, judgePreload, judgeTablespaces, judgeMode, judgeSpace, judgeLocale,
		judgeSlots, judgeSubscriptions, judgeEventTriggers,
	} {
		res = append(res, judge(f)...)
	}
	return res
}

// Blocks reports whether looking further makes no sense with these facts: there
// are no programs to look with, or no way into the server as a superuser.
func (f *Facts) Blocks() bool {
	su := f.Server.Superuser
	return len(f.Broken) > 0 || f.NoSocket || f.NoLogin != "" || su.Name != "" && !su.Super
}

func refuse(code, hint, format string, args ...any) node.Finding {
	return node.Finding{Level: node.Refuse, Code: code, Hint: hint, Text: fmt.Sprintf(format, args...)}
}

func note(code, hint, format string, args ...any) node.Finding {
	f := refuse(code, hint, format, args...)
	f.Level = node.Note
	return f
}

// listed is how many names a sentence can bear.
const listed = 10

// list joins names for a sentence.
func list(names []string) string {
	more := len(names) - listed
	if more > 1 {
		return strings.Join(names[:listed], ", ") + fmt.Sprintf(" and %d others", more)
	}
	return strings.Join(names, ", ")
}

// ident writes a name as SQL does.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// namesOf maps and removes repetitions, in their order.
func namesOf[T any](items []T, name func(T) string) []string {
	var res []string
	for _, item := range items {
		if n := name(item); n != "" && !slices.Contains(res, n) {
			res = append(res, n)
		}
	}
	return res
}

func judgePrograms(f Facts) []node.Finding {
	var res []node.Finding
	for _, p := range f.Broken {
		res = append(res, refuse("program-broken",
			"install PostgreSQL's packages of both majors completely, the client's too; if that goes on right now, wait for its end",
			"%s %s", p.Path, p.Problem))
	}
	if f.NewFiles != "" {
		res = append(res, refuse("installation-broken", "install the new major's server package completely", "%s", f.NewFiles))
	}
	return res
}

func judgeLogin(f Facts) []node.Finding {
	switch {
	case f.NoSocket:
		return []node.Finding{refuse("no-socket", "give unix_socket_directories a directory and restart: pg_upgrade looks at the running server over it",
			"the running server listens on no Unix socket (unix_socket_directories is empty)")}
	case f.NoLogin != "":
		bad := refuse("no-login",
			"see that the role that initdb made may log in (ALTER ROLE … LOGIN, by another superuser) and that template1 accepts connections",
			"the server does not let its bootstrap superuser %s in", ident(f.Superuser))
		bad.Detail = f.NoLogin
		return []node.Finding{bad}
	}
	su := f.Server.Superuser
	if su.Name != "" && (!su.Super || !su.Login) {
		return []node.Finding{refuse("superuser-limited", "as another superuser: ALTER ROLE "+ident(su.Name)+" SUPERUSER LOGIN",
			"the role %s, which initdb made, has lost SUPERUSER or LOGIN, and pg_upgrade works as nobody else", ident(su.Name))}
	}
	return nil
}

func judgeRole(f Facts) []node.Finding {
	var res []node.Finding
	if len(f.Signals) > 0 {
		res = append(res, refuse("standby-signal",
			"upgrade the primary; if this is one and the file was left behind, remove it from the data directory",
			"%s is in the data directory: at its next start this server would be a standby or restore a backup", list(f.Signals)))
	}
	if f.Server.Recovery {
		res = append(res, refuse("in-recovery", "upgrade the primary, then make this standby anew from it; or promote it first",
			"this server is a standby (pg_is_in_recovery() is true), and a standby cannot be upgraded"))
	}
	return res
}

func judgeRights(f Facts) []node.Finding {
	if len(f.Unwritable) == 0 {
		return nil
	}
	return []node.Finding{refuse("not-writable", "give them to the server's operating system user (chown), or mount them for writing",
		"the server's operating system user cannot make files in %s", list(f.Unwritable))}
}
