package vrrp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Config is what a Daemon needs. All nodes of a cluster have the same VIP,
// VRID, Advert and DownAdverts.
type Config struct {
	Dir         string        // from Directory
	Node        string        // name
	VIP         netip.Prefix  // with its network's length
	VRID        int           // 1 to 255
	Advert      time.Duration // advertisement interval, in steps of 10 ms
	DownAdverts int           // advertisements that may be missing
	Peers       []netip.Addr  // of the other nodes, own and foreign ones are passed over
	Pref        int           // at first, see SetPref
	Env         []string      // PATH; nil: this process's
	Output      *os.File      // gets keepalived's own log; nil: standard error
	Log         *slog.Logger
	Changed     func() // Status.Deaf is another; must not block for long
}

// Status is what a Daemon knows now.
type Status struct {
	Running   bool       // keepalived runs
	Why       string     // what is wrong, in a sentence; empty: nothing
	State     string     // keepalived's word; STOP where it does not run, empty: none heard yet
	Priority  int        // effective, as keepalived said last
	VIP       bool       // the virtual address is on this node
	Interface string     // that it belongs to; empty: none has an address in its network
	Own       netip.Addr // this node's own address there
	Starts    int        // of keepalived, by this supervisor

	// Deaf is how long nothing has reached this node at Interface, although it
	// asked its gateway, which had answered until then; 0: something does, or
	// nobody can tell.
	Deaf time.Duration
}

// Daemon runs keepalived and keeps it running.
type Daemon struct {
	cfg   Config
	env   []string
	files *Files
	on    func(node.VRRPEvent)

	wake   chan struct{} // has room for one: look again
	ending chan struct{} // closed by Stop
	once   sync.Once
	done   chan struct{} // closed when the loop has ended

	said sync.Mutex // events leave in order

	voice   sync.Mutex
	speaker *announcer

	holding sync.Mutex // the address is put here, or away, without keepalived

	mu         sync.Mutex
	status     Status
	since      time.Time // of the status's State
	place      place
	peers      []netip.Addr
	eligible   bool  // wanted; written once the trackers are known to work
	proven     bool  // this keepalived heeds its trackers
	launched   int   // pref when it was started
	replacing  bool  // it ends because we end it
	regain     bool  // keepalived ended as MASTER: the address is kept here for the next one
	failed     error // why this keepalived cannot stay
	complained time.Time

	loop loop // of the loop's goroutine alone
}

// Start makes keepalived run, or adopts the one that a supervisor before this
// one left running, with its track files as they are; a fresh one begins with
// eligible 0. It returns at once; what goes wrong later is in Status and in the
// log, and tried again. The error is ErrUnable where keepalived cannot run here.
//
// on is called in order and never twice at a time, for everything that
// keepalived says of our instance, and, with Source "netlink", when the address
// came or went. It must not block.
//
// The end of ctx ends the watching and leaves keepalived as it is, like a crash
// of the supervisor; Stop ends keepalived too, before or after that.
func Start(ctx context.Context, cfg Config, on func(node.VRRPEvent)) (*Daemon, error) {
	if err := Able(cfg.Env); err != nil {
		return nil, err
	}
	if cfg.Output == nil {
		cfg.Output = os.Stderr
	}
	d := &Daemon{
		cfg: cfg, on: on, env: keepalivedEnv(cfg.Env, cfg.Dir), files: OpenFiles(cfg.Dir),
		wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{}),
		peers: slices.Clone(cfg.Peers), speaker: newAnnouncer(),
	}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	go d.run(ctx)
	go d.hear(ctx)
	return d, nil
}

// Stop gives the address up, ends keepalived and returns when it is gone, after
// some seconds at most.
func (d *Daemon) Stop() {
	_ = d.SetEligible(false) // the end of keepalived does the same, only later
	d.once.Do(func() {
		close(d.ending)
		<-d.done
		d.clean() // nothing is left to do where the loop has done it
	})
	<-d.done
}

// Status returns what is known now.
func (d *Daemon) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// SetEligible lets this node have the virtual address, or takes the right away
// at once. A right that is given while it is not known yet whether keepalived
// heeds its trackers counts from the moment when it is.
func (d *Daemon) SetEligible(on bool) error {
	d.mu.Lock()
	d.eligible = on
	held := d.regain && !on
	var err error
	if d.proven || !on {
		err = d.files.SetEligible(on)
	}
	d.mu.Unlock()
	if held { // no keepalived is MASTER here that would take the address away
		d.giveUp()
	}
	return err
}

// SetPref ranks this node: primary, heir and others should be 20 apart.
func (d *Daemon) SetPref(pref int) error { return d.files.SetPref(pref) }

// SetPeers tells keepalived the addresses of the other nodes. A MASTER stays
// MASTER meanwhile.
func (d *Daemon) SetPeers(peers []netip.Addr) {
	d.mu.Lock()
	same := slices.Equal(d.peers, peers)
	d.peers = slices.Clone(peers)
	d.mu.Unlock()
	if !same {
		d.look()
	}
}

// AddVIP puts the virtual address on this node before keepalived does. It is
// for a node that keepalived will make MASTER within moments: keepalived takes
// over the address that is there, and removes it in FAULT. An address that is
// there is no error.
func (d *Daemon) AddVIP() error {
	p, err := d.here()
	if err != nil {
		return err
	}
	return addAddress(p, d.cfg.VIP)
}

// RemoveVIP takes the virtual address away where AddVIP was in vain. Where
// keepalived is MASTER it must not be used: keepalived then becomes BACKUP,
// tells its peers so, and takes the address again; SetEligible(false) is the way.
func (d *Daemon) RemoveVIP() error { return removeAddress(d.cfg.VIP) }

// Announce tells every neighbour at once that the address is here, as
// keepalived does when it becomes MASTER.
func (d *Daemon) Announce() error {
	p, err := d.here()
	if err != nil {
		return err
	}
	d.voice.Lock()
	defer d.voice.Unlock()
	return d.speaker.announce(p, d.cfg.VIP.Addr())
}

func (d *Daemon) here() (place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.place.index == 0 {
		return place{}, errors.Join(errNowhere, d.failed)
	}
	return d.place, nil
}

// look wakes the loop.
func (d *Daemon) look() {
	select {
	case d.wake <- struct{}{}:
	default: // it will look anyway
	}
}
