package inplace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// Stopped ends the step stop: the old server is down, and cleanly.
func (o *Operation) Stopped(ctx context.Context) error {
	c, err := pg.ReadControl(o.Site.PGData)
	if err != nil {
		return err
	}
	if !pg.CleanShutdown(c) {
		return fmt.Errorf("the old server did not shut down cleanly (pg_control says %q); it serves again and nothing was changed", c.State)
	}
	if err := o.Hooks.run(ctx, o, "after", node.StepStop); err != nil {
		return err
	}
	s := o.Journal.StepOf(node.StepStop)
	s.State, s.Took = node.StepDone, time.Since(o.Journal.StopBegan)
	return nil
}

// Down runs pg_upgrade and puts the new cluster in the old one's place. No
// server runs meanwhile.
func (o *Operation) Down(ctx context.Context) error {
	err := o.down(ctx)
	if cancelled(ctx, err) {
		// The container ends, and everything in it is killed soon.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperGrace)
		defer cancel()
		return errors.Join(err, o.endHelpers(last))
	}
	return err
}

func (o *Operation) down(ctx context.Context) error {
	if err := o.doStep(ctx, node.StepPgUpgrade, o.pgUpgrade); err != nil {
		return err
	}
	if err := o.doStep(ctx, node.StepSwitch, o.switchOver); err != nil {
		return err
	}
	if err := o.Hooks.run(ctx, o, "before", node.StepStart); err != nil {
		return err
	}
	s := o.Journal.StepOf(node.StepStart)
	s.State, s.Started = node.StepRunning, time.Now().UTC()
	return o.Save()
}

func (o *Operation) pgUpgrade(ctx context.Context) error {
	work := o.Site.Scratch("work")
	if err := o.Site.makeSockets(); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.Site.Sockets) }()
	run := pg.PgUpgrade{
		Old: o.Site.Old, New: o.Site.New, OldData: o.Site.PGData, NewData: o.Journal.Build.PGData,
		Superuser: o.Site.Superuser, SocketDir: o.Site.Sockets, Jobs: o.jobs(), Mode: o.Journal.Mode,
		OldOptions: o.Prepared.OldOptions, NewOptions: o.Prepared.NewOptions, NoSync: true,
	}
	lines := newUpgradeLines(o.progress)
	add := func(line string) {
		o.noteDisabled()
		lines.add(line)
	}
	if err := run.Run(ctx, &o.Site.User, o.Site.Environ, work, add); err != nil {
		return fmt.Errorf("pg_upgrade failed, %s: %w", lines.last(), err)
	}
	durable.Point("pg_upgrade", "ran")
	// pg_upgrade's last server runs with fsync=off (start_postmaster in
	// server.c), after its own sync: so the sync comes after it, and is ours.
	o.progress("making the new cluster durable", 95)
	if err := o.syncNew(ctx); err != nil {
		return fmt.Errorf("make the new cluster durable: %w", err)
	}
	o.progress("carrying the configuration over", 98)
	return o.planSwitch(ctx)
}

// jobs is how many processes the upgrade may use.
func (o *Operation) jobs() int { return o.Site.jobs(o.Journal.Request) }

// upgradeLines turns pg_upgrade's report into progress. It prints a line per
// phase, about as many between any two majors.
type upgradeLines struct {
	tell Progress
	seen int
	text string
}

// expectedLines is how many lines pg_upgrade prints, from 15 to 18.
const expectedLines = 45

func newUpgradeLines(tell Progress) *upgradeLines { return &upgradeLines{tell: tell} }

func (l *upgradeLines) add(line string) {
	text := strings.TrimRight(strings.TrimSpace(line), "ok \t.")
	// A line comes when its phase begins and again when it has ended. All
	// phases say what is being done ("Linking user relation files"); the rest
	// is advice for whoever runs pg_upgrade by hand.
	if verb, _, _ := strings.Cut(text, " "); text == l.text || !strings.HasSuffix(verb, "ing") {
		return
	}
	l.seen++
	l.text = text
	l.tell("pg_upgrade: "+text, min(94, 94*float64(l.seen)/expectedLines))
}

func (l *upgradeLines) last() string {
	if l.text == "" {
		return "before it said anything"
	}
	return "at “" + l.text + "”"
}

// planSwitch completes the new cluster with what the user had in the old one,
// and lists the renames of the switch.
func (o *Operation) planSwitch(ctx context.Context) error {
	j := &o.Journal
	config, found, err := PlanConfig(ctx, &o.Site, j.New.PGData)
	if err != nil {
		return err
	}
	if bad := refusing(found); len(bad) > 0 {
		return errors.New(bad[0].Text + "; " + bad[0].Hint)
	}
	o.findNew(found)
	own, err := config.Apply(ctx, &o.Site, j.Build.PGData, j.New.PGData)
	if err != nil {
		return err
	}
	layout := upgrade.Layout{Own: own, Ours: carriedNever}
	for to, from := range map[*string]string{&layout.Old: j.Old.PGData, &layout.Build: j.Build.PGData, &layout.New: j.New.PGData, &layout.Kept: j.Kept} {
		if *to, err = filepath.Rel(o.Site.Volume, from); err != nil {
			return err
		}
	}
	if layout.OldNames, err = o.Site.names(layout.Old); err != nil {
		return err
	}
	if layout.BuildNames, err = o.Site.names(layout.Build); err != nil {
		return err
	}
	j.Moves = upgrade.MakeMoves(layout)
	return nil
}

// findNew adds findings that are not there yet.
func (o *Operation) findNew(found []node.Finding) {
	for _, f := range found {
		known := func(old node.Finding) bool { return old.Code == f.Code && old.Text == f.Text }
		if !slices.ContainsFunc(o.Journal.Findings, known) {
			o.find(f)
		}
	}
}
