package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// catalogueEvery is how often the programs are looked at. The first look runs
// each of them, so it comes as late, unless somebody asks before.
const catalogueEvery = 10 * time.Second

// watchForUpgrades begins to look for markers and for new majors, once the
// volume is ours. Both run until the supervisor ends.
func (s *supervisor) watchForUpgrades(v *volume) {
	if s.up.watching {
		return
	}
	s.up.watching, s.up.look = true, make(chan struct{}, 1)
	ctx := context.Background()
	if s.set.Upgrade != config.UpgradeOff {
		go watchMarker(ctx, []string{v.place.volume}, markerPoll, func() { s.post(s.lookForMarker) }, s.log)
	}
	c := newCatalogue(s.set.Binaries, s.user, s.programEnv())
	op := s.operation()
	go func() {
		// What a killed supervisor left; nothing begins before it is gone.
		if err := op.Site.CleanRehearsal(ctx); err != nil {
			s.log.Error("remove what a rehearsal left", "error", err)
		}
		mode := op.Site.AutoMode()
		s.post(func() { s.up.auto = mode })
		var lacks lacking
		for {
			select {
			case <-s.up.look:
			case <-time.After(catalogueEvery):
			}
			asked := make(chan serving, 1)
			s.post(func() { asked <- s.servesNow() })
			now, err := await(ctx, s.mail, asked)
			if err != nil {
				return
			}
			found := c.Look(ctx, time.Now(), now.major)
			unknown := lacks.look(ctx, now, found, c.Identities(), s.log)
			s.post(func() {
				s.up.unknown = unknown
				s.available(found, c)
			})
		}
	}()
}

// lookAtMajors has the programs looked at now, and not at the next time.
func (s *supervisor) lookAtMajors() {
	select {
	case s.up.look <- struct{}{}:
	default: // it is asked for already
	}
}

// serving is what serves when the majors are looked at.
type serving struct {
	major int                      // 0: none
	login func(db string) pg.Login // nil: it does not accept connections
}

func (s *supervisor) servesNow() serving {
	if s.server == nil || s.volume == nil {
		return serving{}
	}
	now := serving{major: s.volume.major}
	if s.server.ready && s.server.file.SocketDir != "" {
		a := access{file: s.server.file, uid: int(s.user.UID), user: s.view.superuser}
		now.login = a.login
	}
	return now
}

// available takes over which majors there are, and upgrades to a newer one
// where the policy says so.
func (s *supervisor) available(found []pg.Binaries, c *catalogue) {
	v := s.volume
	s.up.runs = pg.Majors(found)
	v.available, s.up.identities = s.up.runs, c.Identities()
	if !s.up.known {
		s.up.known = true
		s.lookForMarker() // and for what a crash left claimed
	}
	if s.up.journal.Failed() {
		s.up.tried = upgrade.Tried{Target: s.up.journal.To, Binaries: s.up.journal.Binaries}
	}
	problems := c.Problems()
	for _, p := range problems {
		if !slices.Contains(s.up.broken, p) {
			s.log.Warn(p)
		}
	}
	s.up.broken = problems
	target, begin, why := upgrade.Offer(s.set.Upgrade, upgrade.Majors{
		Have: v.major, Available: s.up.identities, Unknown: s.up.unknown, Peers: s.clustered(), Latest: s.up.journal,
	}, s.up.tried)
	if why != s.up.offer && why != "" {
		s.log.Info(why)
	}
	s.up.offer = why
	if !begin || s.server == nil || !s.server.ready || s.up.busy() {
		return
	}
	s.up.tried = upgrade.Tried{Target: target, Binaries: s.up.identities[target]}
	if err := s.beginUpgrade(node.UpgradeRequest{Do: node.UpgradeNow, Target: target}, node.ByBinaries); err != nil {
		s.log.Warn("begin the upgrade", "error", err)
	}
}

// lookForMarker claims a marker, beside the loop, when an upgrade could begin.
func (s *supervisor) lookForMarker() {
	v := s.volume
	if !s.up.known {
		s.lookAtMajors()
	}
	if v == nil || s.set.Upgrade == config.UpgradeOff || s.up.asking || !s.mayBegin() || s.wish.Ending {
		return
	}
	s.up.asking = true
	known, latest := s.up.marker, s.up.journal.Upgrade
	go func() {
		m, ok, err := pendingClaim(v.root)
		if err == nil && ok && m.doneWith(latest) {
			ok, err = false, dropClaim(v.root)
		}
		if err == nil && !ok {
			m, err = claimMarker(context.Background(), v.root, s.user, known)
		}
		s.post(func() {
			s.up.asking = false
			s.claimed(m, err)
		})
	}()
}

// mayBegin reports whether an upgrade could be begun right now.
func (s *supervisor) mayBegin() bool {
	return s.server != nil && s.server.ready && s.server.told == "" && s.server.file.Status == "ready" &&
		!s.up.busy() && s.up.known
}

// claimed does what a marker says.
func (s *supervisor) claimed(m claimed, err error) {
	var refused *markerRefused
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errMarkerKnown), errors.Is(err, errMarkerUnsettled):
		return
	case errors.As(err, &refused):
		s.up.marker = refused.ID
		s.refuseRequest(node.UpgradeRequest{Do: node.UpgradeNow}, "marker", err.Error())
	case err != nil:
		s.log.Error("take the upgrade marker", "error", err)
		return
	default:
		req, err := upgrade.ParseMarker(m.Content)
		if err != nil {
			s.refuseRequest(node.UpgradeRequest{Do: node.UpgradeNow}, "marker", err.Error())
			break
		}
		s.log.Info("an upgrade marker was found", "do", string(req.Do), "target", req.Target)
		if err := s.beginUpgrade(req, node.ByMarker); err != nil {
			s.refuseRequest(req, "marker", err.Error())
		}
	}
	if err := dropClaim(s.volume.root); err != nil {
		s.log.Error("remove the claimed marker", "error", err)
	}
}

// refuseRequest says in the result file what became of a request that cannot
// be begun.
func (s *supervisor) refuseRequest(req node.UpgradeRequest, code, why string) {
	j := upgrade.Begin(req, node.ByMarker, time.Now())
	j.From = s.volume.major
	j.Findings = []node.Finding{{Level: node.Refuse, Code: code, Text: why, Hint: "see docs/upgrade.md for what a marker may say"}}
	if err := s.keepDone(); err != nil {
		s.log.Error("write the result of the upgrade", "refused", why, "error", err)
		return
	}
	s.up.journal = j
	op := s.operation()
	if err := op.End(node.UpgradeRefused, "nothing was stopped or changed: "+why); err != nil {
		s.log.Error("write the result of the upgrade", "error", err)
	}
	s.up.journal = op.Journal
}

// beginUpgrade begins what was asked for. The error says why nothing was begun.
func (s *supervisor) beginUpgrade(req node.UpgradeRequest, by node.Trigger) error {
	switch {
	case s.set.Upgrade == config.UpgradeOff && req.Do == node.UpgradeNow:
		return errors.New("PGBATON_UPGRADE is off; nothing was changed")
	case s.clustered() && req.Do == node.UpgradeNow:
		return errors.New("this node has peers (PGBATON_PEERS): one node of a cluster cannot be upgraded by itself, its standbys could not follow; nothing was changed. " +
			"The upgrade of a whole cluster is not part of this version yet. `pgbaton upgrade check` and `rehearse` work here")
	case s.up.busy():
		return errors.New("an upgrade is under way; nothing was changed. See `pgbaton upgrade status`")
	case !s.mayBegin():
		return errors.New("postgres does not serve as a primary now; nothing was changed. An upgrade begins beside a running server")
	}
	if req.Keep == 0 {
		req.Keep = s.set.UpgradeKeep
	}
	j := upgrade.Begin(req, by, time.Now())
	j.From = s.volume.major
	target, finding := upgrade.ChooseTarget(j.From, s.volume.available, req.Target)
	if finding != nil {
		text := finding.Text
		if finding.Hint != "" {
			text += "\nhint: " + finding.Hint
		}
		return errors.New(text)
	}
	j.To, j.Binaries = target, s.up.identities[target]
	j.Old.PGData = s.volume.place.pgdata
	j.Why = fmt.Sprintf("upgrading from %d to %d", j.From, j.To)
	if err := s.keepDone(); err != nil {
		return err
	}
	before := s.up.journal
	s.up.journal, s.up.prepared = j, inplace.Prepared{}
	op := s.operation()
	if err := op.Save(); err != nil {
		s.up.journal = before
		return fmt.Errorf("write the journal of the upgrade: %w; nothing was changed", err)
	}
	s.log.Info("upgrade: begins", "id", j.ID, "do", string(req.Do), "from", j.From, "to", j.To, "trigger", string(by))
	return nil
}

// orderUpgrade carries out what `pgbaton upgrade` asks for.
func (s *supervisor) orderUpgrade(req node.UpgradeRequest) error {
	switch req.Do {
	case node.UpgradeUndo:
		return s.orderUndo(req)
	case node.UpgradeFinish:
		return s.orderFinish(req)
	default:
		return s.beginUpgrade(req, node.ByCommand)
	}
}
