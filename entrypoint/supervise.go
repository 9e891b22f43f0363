package entrypoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	// exitRefused is the code of every refusal before anything was served, as
	// the official entrypoint has it.
	exitRefused = 1
	// tickEvery is how often the supervisor looks without being woken.
	tickEvery = time.Second
	// readyPoll is how often a starting server's postmaster.pid is read.
	readyPoll = 5 * time.Millisecond
	// askEvery is how often the running server is asked about itself.
	askEvery = 10 * time.Second
	// memoryLimit makes the garbage collector keep the supervisor small.
	memoryLimit = 20 << 20
)

// supervisor is all state of the process below Init. Only its loop touches it;
// everything else puts closures into its mailbox.
type supervisor struct {
	version string
	args    []string // of postgres, without the leading word
	dir     string   // where the container was told to work
	setup
	control  string // directory of the control socket and links
	link     link
	log      *slog.Logger
	api      *nodeapi.Server
	started  time.Time
	restarts int // of the supervisor
	mail     *mailbox
	snapshot atomic.Pointer[node.State]
	still    *standstill                  // nil: without peers
	recent   atomic.Pointer[[]node.Event] // what happened last

	wish     wish
	volume   *volume // nil until the lock was taken
	lock     lockState
	holder   string
	refusal  error // ends the container unless something was served
	job      job
	server   *server
	past     past
	view     view
	watch    *rulesWatch // while a server runs
	up       upgrading
	cl       clustering
	controls controlCache
	waiters  []waiter
	endings  []ending // in their order

	tls *nodeapi.TLS // of the API; nil: in the clear

	phase node.Phase
	why   string
	since time.Time
}

// wish is what somebody asked for. Like past it survives a crash of the
// supervisor: a stop that is under way goes on.
type wish struct {
	Ending   bool          `json:"ending"`
	EndCode  int           `json:"end_code"`
	Halted   bool          `json:"halted"`
	Again    bool          `json:"again"` // start again once it is down
	Mode     node.Mode     `json:"mode"`
	Patience time.Duration `json:"patience"`
	AskedAt  time.Time     `json:"asked_at"`
	Vouched  bool          `json:"vouched"`
}

// job is what runs beside the loop, one at a time.
type job struct {
	name   string // what it does; empty: none runs
	phase  node.Phase
	why    string // the sentence that began it
	cancel context.CancelCauseFunc
}

// past is what happened since the container started. It survives a crash of
// the supervisor (note).
type past struct {
	Served      bool        `json:"served"`
	Exited      bool        `json:"exited"`
	Asked       bool        `json:"asked"`
	Deaths      int         `json:"deaths"` // of postgres, unasked
	InARow      int         `json:"in_a_row"`
	Status      proc.Status `json:"status"`
	Command     string      `json:"command"` // command line of the last postmaster
	Died        uint64      `json:"died"`    // when it had ended, clock ticks since boot
	Given       string      `json:"given"`   // options of the last server that a supervisor here started
	NextStart   time.Time   `json:"next_start"`
	Postponed   string      `json:"postponed,omitempty"` // why the last start was not even tried; empty: it was
	Scripts     group       `json:"scripts"`             // the init scripts' processes
	Initialized bool        `json:"initialized"`         // by this container
	Unready     bool        `json:"unready,omitzero"`    // the last server ended before it was ready, unasked
	Words       string      `json:"words,omitempty"`     // … and said so
	Exported    []string    `json:"exported,omitempty"`  // by init scripts, for postgres
}

// group is a process group: its leader's pid, and when that started.
type group struct {
	ID    int    `json:"id"`
	Start uint64 `json:"start"`
}

// note is what Init keeps for the next supervisor.
type note struct {
	PID       int       `json:"pid"` // of the postmaster, 0 while none runs
	Start     uint64    `json:"start"`
	Told      node.Mode `json:"told"` // the strongest shutdown that it was told
	Volume    string    `json:"volume"`
	PGData    string    `json:"pgdata"`
	Prepared  bool      `json:"prepared"`
	Named     bool      `json:"named"`
	Ambiguous string    `json:"ambiguous"`
	Follows   string    `json:"follows"` // whom the running standby follows
	Source    string    `json:"source"`  // host:port by which
	Hook      hook      `json:"hook"`    // what keepalived's hook said last
	Past      past      `json:"past"`
	Wish      wish      `json:"wish"`
}

// view is what the server told about itself last.
type view struct {
	server    *node.Server
	role      node.Role
	asked     time.Time
	asking    bool
	warnings  []string // from the host and the volume
	mismatch  []string // collations
	missing   int      // relations without statistics; -1: to be counted
	sqlError  string
	verdict   node.Verdict // as it was shown last
	rules     pg.Rules
	lostEdits []string // of the generated rules
	superuser string
}

// Supervise is the process below Init that runs postgres. It returns the
// container's exit code.
func Supervise(args []string, version string) int {
	debug.SetMemoryLimit(memoryLimit)
	debug.SetGCPercent(50)
	outlivePipes()
	dir := workingDir()
	if err := os.Chdir("/"); err != nil {
		complain("change to /", err)
	}
	l, err := openLink()
	if err != nil {
		complain("supervise", err)
		return exitRefused
	}
	h, err := l.receiveHello()
	if err != nil {
		complain("supervise", err)
		return exitRefused
	}
	s := &supervisor{
		version: version, args: withPostgres(args)[1:], dir: dir, link: l, restarts: h.restarts,
		started: time.Now(), since: time.Now(), phase: node.Starting, why: "looking at the volume",
		mail: newMailbox(),
	}
	code := s.main(h)
	if err := l.exit(code); err != nil {
		complain("hand over the exit code", err)
	}
	return code
}

func (s *supervisor) main(h hello) int {
	if err := s.configure(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if len(h.note) == 0 {
			return exitRefused
		}
		if err := s.degrade(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitRefused
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.joinCluster(ctx)
	s.resume(h)
	s.publish()
	if s.clustered() {
		s.watchStandstill(ctx)
	}
	if err := s.serveAPI(); err != nil {
		fmt.Fprintf(os.Stderr, "pgbaton: %v\n", err)
		if s.server == nil {
			return exitRefused
		}
	}
	go s.listen()
	if err := s.link.send(kindReady, nil, -1); err != nil {
		complain("get signals from init", err)
	}
	go s.watchHost()
	return s.loop()
}

// configure reads every setting. An error is for people, whole lines.
func (s *supervisor) configure() (err error) {
	var warnings []string
	s.setup, warnings, err = readSetup(os.Environ())
	s.log = newLogger(s.set)
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if err != nil {
		return err
	}
	if err := s.checkArgs(); err != nil {
		return err
	}
	if s.set.TLSCert != "" {
		if s.tls, err = nodeapi.LoadTLS(s.set.TLSCert, s.set.TLSKey, s.set.TLSCA); err != nil {
			return err
		}
	}
	return s.openControl()
}

// openControl makes the control directory and, for a uid without a name, what
// gives it one.
func (s *supervisor) openControl() (err error) {
	if s.control, err = openControlDir(s.set.ControlDir); err != nil {
		return err
	}
	s.env, err = nameless(s.env, s.control, &s.user)
	return err
}

// degrade goes on with the environment's settings where a file that the first
// supervisor could read (the settings file, a secret) has become unreadable: a
// running server must not end for that.
func (s *supervisor) degrade() (err error) {
	s.setup, _, err = readSetup(withoutFiles(os.Environ()))
	if err != nil {
		return err
	}
	s.log = newLogger(s.set)
	s.log.Error("going on without the files that cannot be read; mend them, then restart the container")
	return s.openControl()
}

// withoutFiles drops every variable that names a file to read.
func withoutFiles(environ []string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "PGBATON_CONFIG" || strings.HasSuffix(name, "_FILE")
	})
	return append(out, "PGBATON_CONFIG=/dev/null")
}

func newLogger(set config.Settings) *slog.Logger {
	opts := &slog.HandlerOptions{Level: set.LogLevel}
	if set.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

func (s *supervisor) serveAPI() (err error) {
	s.api, err = nodeapi.Start(nodeapi.Config{
		Source: s, Steerer: s,
		Socket: filepath.Join(s.control, nodeapi.SocketName),
		TCP:    s.set.Listen, Token: s.set.Token.Reveal(),
		AllowedUIDs: []int{int(s.user.UID)}, Log: s.log, Roles: s.roles(), TLS: s.tls, Still: s.Still,
	})
	if err != nil {
		return err
	}
	s.endings = append(s.endings, ending{"the API", s.closeAPI})
	return nil
}

func (s *supervisor) closeAPI() {
	if err := s.api.Close(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("close the API", "error", err)
	}
}

// resume takes over from a supervisor that died.
func (s *supervisor) resume(h hello) {
	var n note
	if len(h.note) == 0 || json.Unmarshal(h.note, &n) != nil {
		return
	}
	s.past, s.wish = n.Past, n.Wish
	s.past.NextStart = notAfter(s.past.NextStart, time.Now().Add(s.set.BackoffMax))
	s.wish.AskedAt = notAfter(s.wish.AskedAt, time.Now())
	s.cl.follows, s.cl.source, s.cl.hook = n.Follows, n.Source, n.Hook
	if h.lock != nil && n.PGData != "" {
		pl := place{volume: n.Volume, pgdata: n.PGData, why: "the supervisor before served it", named: n.Named}
		if v, err := reopenVolume(pl, h.lock); err == nil {
			v.prepared, v.ambiguous = n.Prepared, n.Ambiguous
			s.volume, s.lock = v, lockOurs
			s.sweep(v)
			s.loadJournal(v)
			s.inspect()
		} else {
			s.log.Error("cannot open the volume again", "error", err)
		}
	}
	if n.PID == 0 {
		return
	}
	p, err := proc.Adopt(n.PID, n.Start)
	if err != nil {
		s.log.Warn("the postmaster ended while no supervisor ran", "pid", n.PID)
		s.past.Asked = n.Told != ""
		s.ended(s.settle(proc.Status{}), nil)
		return
	}
	s.log.Info("adopted the running postmaster", "pid", p.PID)
	s.attach(p, true, nil)
	s.server.told = n.Told
}

// remember gives Init what the next supervisor needs.
func (s *supervisor) remember() {
	n := note{Past: s.past, Wish: s.wish, Follows: s.cl.follows, Source: s.cl.source, Hook: s.cl.hook}
	if s.server != nil {
		n.PID, n.Start, n.Told = s.server.proc.PID, s.server.proc.Start, s.server.told
	}
	if s.volume != nil {
		n.Volume, n.PGData = s.volume.place.volume, s.volume.place.pgdata
		n.Prepared, n.Ambiguous, n.Named = s.volume.prepared, s.volume.ambiguous, s.volume.place.named
	}
	data, err := json.Marshal(n)
	if err == nil {
		err = s.link.sendNote(data)
	}
	if err != nil {
		s.log.Error("leave a note for the next supervisor", "error", err)
	}
}

// listen turns what Init sends into events. Its end is Init's: nobody is left
// to pass signals on or to end the container, so postgres is shut down.
func (s *supervisor) listen() {
	buf := make([]byte, maxPacket)
	for {
		p, err := s.link.receive(buf)
		if err != nil {
			s.post(func() { s.onSignal(syscall.SIGINT) })
			return
		}
		if p.kind == kindSignal && len(p.body) == 1 {
			sig := syscall.Signal(p.body[0])
			s.post(func() { s.onSignal(sig) })
		}
	}
}

// post hands a closure to the loop; wake has it look anew.
func (s *supervisor) post(event func()) { s.mail.put(event) }
func (s *supervisor) wake()             { s.mail.ring() }

// loop observes, decides and acts until the container is to end.
func (s *supervisor) loop() int {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		v := decide(s.observe())
		s.enter(v)
		if v.do == actEnd {
			s.mail.close()
			return s.end(v.code)
		}
		if s.act(v) {
			continue
		}
		s.publish()
		s.answerWaiters()
		select {
		case <-s.mail.bell:
			if event := s.mail.next(); event != nil {
				event()
			}
		case <-tick.C:
			s.refresh()
		}
	}
}

// enter notes a change of phase or reason, once.
func (s *supervisor) enter(v verdict) {
	if v.phase == s.phase && v.why == s.why {
		return
	}
	if v.phase != s.phase {
		s.since = time.Now()
	}
	s.phase, s.why = v.phase, v.why
	if v.why != s.cl.verdict.Why { // else it is told as the role's
		s.happened("%s: %s", v.phase, v.why)
	}
	level := slog.LevelInfo
	if v.phase == node.Holding || v.phase == node.BackingOff || v.phase == node.Waiting {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, v.why, "phase", string(v.phase))
}

// onSignal maps what the container got to what the official image's postgres,
// as PID 1, would have done with it.
func (s *supervisor) onSignal(sig syscall.Signal) {
	switch sig {
	case syscall.SIGINT:
		s.stopContainer(node.Fast, sig)
	case syscall.SIGTERM:
		s.stopContainer(node.Smart, sig)
	case syscall.SIGQUIT:
		s.stopContainer(node.Immediate, sig)
	case syscall.SIGHUP:
		s.reload()
	default:
		if s.server != nil {
			if err := s.server.pass(sig); err != nil {
				s.log.Warn("pass a signal on to postgres", "error", err)
			}
		}
	}
}

func (s *supervisor) stopContainer(mode node.Mode, sig syscall.Signal) {
	w := &s.wish
	if w.Ending && strength[mode] <= strength[w.Mode] {
		return
	}
	if !w.Ending {
		w.AskedAt = time.Now()
		if s.server == nil && s.job.name != "" && !s.past.Served {
			w.EndCode = 128 + int(sig) // what was begun is not finished
		}
	}
	w.Ending, w.Again, w.Mode = true, false, mode
	if s.up.cancel != nil {
		s.up.cancel(errors.New("the container is to end"))
	}
	// Half of the container's grace for clients to leave, the other half for
	// the shutdown checkpoint.
	w.Patience = s.set.StopGrace / 2
	s.part()
	s.remember()
}
