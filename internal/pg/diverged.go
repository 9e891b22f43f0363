package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// DivergedSpec says which WAL of a data directory is kept before the data is
// given up.
type DivergedSpec struct {
	Binaries Binaries // of its major, for pg_waldump
	Data     string   // of the server that is down, absolute
	Timeline uint32   // that its server wrote last; 0: what pg_control says
	Fork     node.LSN // the end of what the new primary has too
	User     *proc.User
	Env      []string

	Root *os.Root // of the volume
	Into string   // directory below Root, made where it is missing
	Why  string   // a sentence for the report
}

// Diverged is the report of what the new primary lacks.
type Diverged struct {
	Time     time.Time `json:"time"`
	Why      string    `json:"why,omitempty"`
	System   uint64    `json:"system_identifier,string"`
	Timeline uint32    `json:"timeline"` // that was written last
	From     node.LSN  `json:"from"`     // the fork
	To       node.LSN  `json:"to"`       // end of the last whole record, or From; 0: not known
	Parts    []Part    `json:"parts"`    // by timeline
	Files    []WALFile `json:"files"`    // copied, in order of their content
	Missing  []string  `json:"missing"`  // WAL files that were gone already
	Commits  int       `json:"commits"`  // after the fork, our own probes among them; -1: not known
	Unread   string    `json:"unread,omitempty"`
}

// Part is the WAL of one timeline after the fork.
type Part struct {
	Timeline uint32    `json:"timeline"`
	From     node.LSN  `json:"from"`
	To       node.LSN  `json:"to"`
	Commits  int       `json:"commits"`
	First    time.Time `json:"first,omitzero"` // commit, by the server's clock
	Last     time.Time `json:"last,omitzero"`
}

// WALFile is a copied file.
type WALFile struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// reportFile is the report's name in its directory.
const reportFile = "report.json"

// SaveDiverged copies the WAL files that hold what was written after the fork,
// with the timelines' histories, counts the transactions in it, and writes
// report.json last: all of it is durable when it returns. Where nothing was
// written after the fork there is a report and no files. Nothing in Data is
// changed. A report that cannot count (pg_waldump missing or WAL gone) says why
// and copies all that may be of interest.
func SaveDiverged(ctx context.Context, d DivergedSpec) (rep Diverged, err error) {
	if rep, err = d.save(ctx); err != nil {
		err = fmt.Errorf("keep the WAL of %s after %s: %w", d.Data, d.Fork, err)
	}
	return rep, err
}

func (d DivergedSpec) save(ctx context.Context) (rep Diverged, err error) {
	c, err := ReadControl(d.Data)
	if err != nil {
		return rep, err
	}
	size, err := segmentSize(d.Data)
	if err != nil {
		return rep, err
	}
	if d.Timeline == 0 {
		d.Timeline = max(c.Timeline, c.MinRecoveryTimeline)
	}
	rep = Diverged{
		Time: time.Now().UTC(), Why: d.Why, System: c.SystemIdentifier, Timeline: d.Timeline, From: d.Fork,
		Files: []WALFile{}, Missing: []string{},
	}
	if rep.Parts, err = d.parts(); err != nil {
		return rep, err
	}
	d.count(ctx, &rep)
	if err := context.Cause(ctx); err != nil {
		return rep, err
	}
	uid, gid := owner(d.User)
	if err := durable.MkdirAll(d.Root, d.Into, uid, gid); err != nil {
		return rep, err
	}
	if err := d.copyAll(ctx, &rep, size); err != nil {
		return rep, err
	}
	return rep, durable.WriteJSON(d.Root, path.Join(d.Into, reportFile), rep, uid, gid)
}

// parts divides what lies after the fork by timeline; the last one has no end yet.
func (d DivergedSpec) parts() ([]Part, error) {
	switches, err := ReadHistory(d.Data, d.Timeline)
	if err != nil {
		return nil, err
	}
	var parts []Part
	from := d.Fork
	for _, s := range switches {
		if s.At > from {
			parts = append(parts, Part{Timeline: s.Timeline, From: from, To: s.At})
			from = s.At
		}
	}
	return append(parts, Part{Timeline: d.Timeline, From: from}), nil
}

// count reads each part with pg_waldump.
func (d DivergedSpec) count(ctx context.Context, rep *Diverged) {
	for i := range rep.Parts {
		p := &rep.Parts[i]
		end, err := d.readPart(ctx, p)
		if err != nil {
			rep.Commits, rep.Unread = -1, err.Error()
			return
		}
		if p.To == 0 {
			p.To = end
		}
		rep.Commits += p.Commits
		rep.To = p.To
	}
}

// readPart counts the part's commits and returns the end of its last whole record.
func (d DivergedSpec) readPart(ctx context.Context, p *Part) (end node.LSN, err error) {
	scan := &walScan{end: p.From}
	args := []string{
		d.Binaries.Path("pg_waldump"), fmt.Sprintf("--path=%s/pg_wal", d.Data),
		fmt.Sprintf("--timeline=%d", p.Timeline), "--start=" + p.From.String(),
	}
	if p.To != 0 {
		args = append(args, "--end="+p.To.String())
	}
	err = proc.Run(ctx, proc.Spec{Args: args, Env: append(helperEnv(d.Env), "TZ=UTC"), Dir: "/", User: d.User, Stdout: scan, Group: true})
	p.Commits, p.First, p.Last = scan.commits, scan.first, scan.last
	// Where WAL ends pg_waldump ends with an error: it looks for one record more.
	var exit *proc.Error
	if errors.As(err, &exit) && ctx.Err() == nil && d.hasSegment(p) {
		err = nil
	}
	return scan.end, err
}
