package entrypoint

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	// availableSettle is how long nothing of a major may have changed: a
	// package manager that works in the running container unpacks for a while.
	availableSettle = 5 * time.Second
	// brokenAgain is how often programs that do not run are tried again: a
	// missing library may be installed anywhere.
	brokenAgain = 30 * time.Second
)

// catalogue knows which majors are available: their set of programs is whole,
// has not changed for some seconds, and runs as the server's user. Looking
// runs programs when something changed, so it is for one goroutine beside the
// loop; what was found may be read from any.
type catalogue struct {
	roots []string
	user  proc.User
	env   []string            // of the programs
	known map[string]*edition // by directory of programs

	mu         sync.Mutex
	problems   []string
	identities map[int]string
}

// edition is what is known of the programs in one directory.
type edition struct {
	seen    stamp     // as of the last look
	since   time.Time // when that was first seen
	listing listing   // made when seen changed
	tried   time.Time // when the programs were run last; zero: not since it changed
	broken  error     // why they do not run
}

func newCatalogue(roots []string, user proc.User, env []string) *catalogue {
	return &catalogue{roots: roots, user: user, env: env, known: map[string]*edition{}}
}

// Look returns the majors that are available, ascending. The major that
// serves is in it for as long as its programs are whole, so that it does not
// vanish while its packages are being renewed; 0 is none. Where nothing
// changed a look costs some dozen stat(2) for each major; the first one, and
// one after a change, runs five programs of it (tens of milliseconds).
func (c *catalogue) Look(ctx context.Context, now time.Time, serving int) []pg.Binaries {
	var available []pg.Binaries
	var problems []string
	identities, known := map[int]string{}, map[string]*edition{}
	for _, b := range pg.Find(c.roots) {
		e := c.known[b.Bin]
		if e == nil {
			e = &edition{}
		}
		known[b.Bin] = e
		ready := c.examine(ctx, b, e, now)
		if e.broken != nil {
			problems = append(problems, e.broken.Error())
		}
		if ready || b.Major == serving {
			available = append(available, b)
			identities[b.Major] = e.listing.identity
		}
	}
	c.known = known
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems, c.identities = problems, identities
	return available
}

// examine brings what is known of a major up to date, and reports whether it
// is available.
func (c *catalogue) examine(ctx context.Context, b pg.Binaries, e *edition, now time.Time) bool {
	if seen := stampOf(b); seen != e.seen || e.listing.partial || e.listing.identity == "" {
		list := listOf(b)
		if seen != e.seen || list != e.listing {
			*e = edition{seen: seen, since: now, listing: list, broken: e.broken}
		}
	}
	if e.tried.IsZero() && !e.settled(now) {
		return false
	}
	if e.tried.IsZero() || (e.broken != nil && now.Sub(e.tried) >= brokenAgain) {
		if e.tried.IsZero() && installing() {
			return false
		}
		broken := runs(ctx, b, c.user, c.env)
		if ctx.Err() != nil {
			return e.broken == nil && !e.tried.IsZero()
		}
		e.tried, e.broken = now, broken
	}
	return e.broken == nil
}

// settled reports whether nothing has changed for long enough: by the ctimes
// of the files, which nobody can set, so that what an image brought is
// available at once; else by when the last change was seen here, because a
// file server's clock may be ahead.
func (e *edition) settled(now time.Time) bool {
	if e.listing.partial {
		return false
	}
	newest := time.Unix(0, max(e.listing.newest, e.seen.newest))
	return now.Sub(newest) >= availableSettle || now.Sub(e.since) >= availableSettle
}

// Problems says, as of the last look, which majors are installed and cannot
// run, in the words of the loader or the system.
func (c *catalogue) Problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.problems)
}

// Identities tells, for each major available as of the last look, its files
// from others of the same major: another minor release, or another set of
// extensions. It stays the same in a new container of the same image.
func (c *catalogue) Identities() map[int]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identities // never changed, only replaced
}
