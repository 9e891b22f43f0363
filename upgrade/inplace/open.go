package inplace

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
)

// VerifyError is a new cluster that is not what the old one was.
type VerifyError struct{ Findings []node.Finding }

func (e *VerifyError) Error() string {
	return fmt.Sprintf("the new cluster does not hold what the old one held: %s", (&RefusedError{e.Findings}).Error())
}

// Verify compares the new cluster, which runs closed, with what the old one
// held, and rebuilds what must be right before the first client. Both are
// mostly new connections, which are slow, so they go on at a time.
func (o *Operation) Verify(ctx context.Context, session Session) error {
	o.progress("verifying what the new cluster holds", 20)
	rebuilding, stop := context.WithCancel(ctx)
	defer stop()
	var rebuilt []node.Finding
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		rebuilt, failed = RebuildBeforeOpening(rebuilding, &o.Site, session, o.Journal.Census, o.Journal.Request, o.jobs(), o.progress)
	})
	found, err := Verify(ctx, &o.Site, session, o.Journal.Census)
	bad := refusing(found)
	if err != nil || len(bad) > 0 {
		stop()
	}
	wg.Wait()
	o.find(found...)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return &VerifyError{bad}
	case failed != nil:
		return failed
	}
	o.find(rebuilt...)
	return o.Hooks.run(ctx, o, "after", node.StepStart)
}

// Opened notes that clients are about to be let in: from here on they may have
// written to the new cluster.
func (o *Operation) Opened(at time.Time) error {
	j := &o.Journal
	s := j.StepOf(node.StepStart)
	s.State, s.Took = node.StepDone, at.Sub(s.Started)
	j.Opened, j.Doing, j.Percent = true, "", 0
	if !j.StopBegan.IsZero() {
		j.Outage = at.Sub(j.StopBegan)
	}
	j.Why = fmt.Sprintf("PostgreSQL %d serves", j.To)
	return o.Save()
}

// After does what can be done beside clients, and ends the upgrade. Nothing in
// it vetoes.
func (o *Operation) After(ctx context.Context, session Session) error {
	if err := o.complete(ctx, session); err != nil {
		return err
	}
	o.dropEmpty()
	if err := o.Site.clearScratch(); err != nil {
		o.Log.Warn("remove the scratch directory", "error", err)
	}
	j := &o.Journal
	j.Reminders = upgrade.Reminders(*j)
	if j.Request.Keep > 0 {
		j.FinishAt = time.Now().Add(j.Request.Keep).UTC()
	}
	return o.End(node.UpgradeDone, fmt.Sprintf("PostgreSQL %d serves; the cluster of %d is kept at %s", j.To, j.From, j.Retired))
}

// complete is the step after.
func (o *Operation) complete(ctx context.Context, session Session) error {
	return o.step(ctx, node.StepAfter, func(ctx context.Context) error {
		found, err := After(ctx, &o.Site, session, o.Journal.Request, o.jobs(), o.progress)
		o.find(found...)
		if err != nil && !cancelled(ctx, err) {
			o.find(node.Finding{
				Level: node.Note, Code: "after", Text: "extensions, statistics or indexes are not all up to date: " + err.Error(),
				Hint: "run vacuumdb --all --analyze-in-stages, and see the server's log",
			})
			return nil
		}
		return err
	})
}
