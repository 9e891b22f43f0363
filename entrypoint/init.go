package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	reap "github.com/hashicorp/go-reap"
	"golang.org/x/sys/unix"
)

const (
	// firstPause and longestPause bound the back-off between two starts of a
	// supervisor that keeps dying; one that lived steadyAfter begins anew.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	steadyAfter  = time.Minute
)

// child is what Init runs: the supervisor, or the runner of another command.
type child struct {
	args    []string // of this same binary
	restart bool     // a crash is no end: start it again
}

// Init is PID 1: it reaps, proxies signals to its child and ends with the code
// that the child gives it, or with 128+n where the child, a command's runner,
// was killed. It returns that code. Messages go to standard error without a
// logger: this process must stay small, and must not fail for lack of memory.
func Init(args []string) int {
	runtime.GOMAXPROCS(1) // every further thread costs memory, and there is nothing to do at once
	dir := workingDir()
	if err := os.Chdir("/"); err != nil {
		complain("change to /", err)
	}
	if os.Getpid() != 1 {
		// docker run --init, a shared PID namespace: orphans come to us all the same.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			complain("become a subreaper", err)
		}
	}
	c := childFor(args)
	if !c.restart {
		giveUpTerminal()
	}
	signals := make(chan os.Signal, 256)
	signal.Notify(signals, proxied()...)
	outlivePipes()
	go reap.ReapChildren(nil, nil, nil, nil)
	_ = syscall.Kill(os.Getpid(), syscall.SIGCHLD) // a first sweep: go-reap waits for a signal before it looks
	return (&initProcess{child: c, dir: dir, signals: signals, lock: -1}).run()
}

func complain(what string, err error) {
	fmt.Fprintf(os.Stderr, "pgbaton: %s: %v\n", what, err)
}

func childFor(args []string) child {
	if serves(args) {
		return child{args: append([]string{"pgbaton", "supervise"}, args...), restart: true}
	}
	return child{args: append([]string{"pgbaton", "run"}, args...)}
}

// giveUpTerminal lets go of the controlling terminal, so that the command can
// become the leader of a session that owns it: it then has job control, and
// ^Z cannot stop it with nobody there to continue it. The kernel sends SIGHUP
// and SIGCONT to the foreground group, which is this process.
func giveUpTerminal() {
	sid, err := unix.Getsid(0)
	if err != nil || sid != os.Getpid() {
		return
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGCONT)
	_ = unix.IoctlSetInt(0, unix.TIOCNOTTY, 0) // no terminal: nothing to give up
	signal.Reset(syscall.SIGHUP, syscall.SIGCONT)
}

// initProcess is Init's state.
type initProcess struct {
	child    child
	dir      string // where the container was told to work: the child begins there
	signals  chan os.Signal
	link     link
	ready    bool
	queue    []syscall.Signal // for a child that is not ready
	stops    []syscall.Signal // that ask for the container's end: every supervisor hears of them
	restarts int
	note     []byte
	notes    notes
	lock     int // descriptor of the volume's lock, -1 while there is none
}

// run starts the child again and again until it gives a verdict.
func (p *initProcess) run() int {
	pause := firstPause
	for {
		started := time.Now()
		code, done := p.session()
		if done {
			return code
		}
		if !p.child.restart {
			return 128 + int(syscall.SIGKILL) // nothing else ends a runner without a word
		}
		if time.Since(started) > steadyAfter {
			pause = firstPause
		}
		p.restarts++
		fmt.Fprintf(os.Stderr, "pgbaton: the supervisor died without a verdict; postgres is untouched, the next one starts in %s\n", pause)
		p.sleep(pause)
		pause = min(2*pause, longestPause)
	}
}

// sleep waits and goes on collecting signals for the next child.
func (p *initProcess) sleep(d time.Duration) {
	timer := time.After(d)
	for {
		select {
		case <-timer:
			return
		case s := <-p.signals:
			p.pass(s)
		}
	}
}

// session runs one child to its end. done is false where it ended without a verdict.
func (p *initProcess) session() (code int, done bool) {
	packets, err := p.start()
	if err != nil {
		complain("start the supervisor", err)
		return 0, false
	}
	defer func() {
		_ = syscall.Close(p.link.fd)
		p.ready = false
	}()
	for {
		select {
		case s := <-p.signals:
			p.pass(s)
		case pk, ok := <-packets:
			if !ok {
				return 0, false
			}
			if pk.kind == kindExit && len(pk.body) == 1 {
				return int(pk.body[0]), true
			}
			p.take(pk)
		}
	}
}

// start forks the child and greets it.
func (p *initProcess) start() (<-chan packet, error) {
	l, far, err := newLink()
	if err != nil {
		return nil, err
	}
	p.link, p.notes = l, notes{}
	attr := &syscall.ProcAttr{
		Dir:   p.dir,
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2, far.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: p.child.restart},
	}
	_, err = syscall.ForkExec(self(), p.child.args, attr)
	if err != nil && p.dir != "/" {
		attr.Dir, p.dir = "/", "/" // that directory may be gone by now
		_, err = syscall.ForkExec(self(), p.child.args, attr)
	}
	_ = far.Close() // the child has its own
	if err == nil {
		err = l.sendHello(p.restarts, p.note, p.lock)
	}
	if err != nil {
		_ = syscall.Close(l.fd)
		return nil, err
	}
	packets := make(chan packet)
	go receiveAll(l, packets)
	return packets, nil
}

// self is the path of this binary; by its own name, because a process list
// shows the last part of it.
func self() string {
	if path, err := os.Readlink("/proc/self/exe"); err == nil && unix.Access(path, unix.X_OK) == nil {
		return path
	}
	return "/proc/self/exe"
}

// receiveAll hands over every packet and closes the channel when the child is gone.
func receiveAll(l link, packets chan<- packet) {
	defer close(packets)
	buf := make([]byte, maxPacket)
	for {
		pk, err := l.receive(buf)
		if err != nil {
			return
		}
		pk.body = slices.Clone(pk.body)
		packets <- pk
	}
}

// take keeps what a packet brings.
func (p *initProcess) take(pk packet) {
	switch pk.kind {
	case kindReady:
		p.ready = true
		queue := slices.Concat(p.stops, p.queue)
		p.queue = nil
		for _, s := range queue {
			p.sendSignal(s)
		}
	case kindPart, kindNote:
		if note, whole := p.notes.take(pk); whole {
			p.note = note
		}
	case kindLock:
		if p.lock >= 0 {
			_ = syscall.Close(p.lock)
		}
		p.lock = pk.fd
	}
}

// pass proxies a signal, at once or when the child is ready for it.
func (p *initProcess) pass(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	switch {
	case p.child.restart && stops(sig):
		if !slices.Contains(p.stops, sig) {
			p.stops = append(p.stops, sig)
		}
	case !p.ready:
		p.keep(sig)
	}
	if p.ready {
		p.sendSignal(sig)
	}
}

// stops reports whether a signal asks for the container's end, once and for all.
// A supervisor that was given it may die before it reads it, or does anything.
func stops(s syscall.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT
}

// keep keeps a signal for the next child that is ready.
func (p *initProcess) keep(s syscall.Signal) {
	if len(p.queue) < cap(p.signals) {
		p.queue = append(p.queue, s)
	}
}

func (p *initProcess) sendSignal(s syscall.Signal) {
	switch err := p.link.send(kindSignal, []byte{byte(s)}, -1); {
	case errors.Is(err, syscall.EPIPE): // the child is gone, which is heard next
		p.keep(s)
	case err != nil:
		complain("pass a signal on", err)
	}
}

// proxied are the signals that are meant for the child: all that a process
// can catch, but for SIGCHLD, which is ours and comes by the thousand, SIGURG,
// with which the Go runtime preempts goroutines, and SIGPIPE, which tells of a
// write of this process.
func proxied() []os.Signal {
	var list []os.Signal
	for n := 1; n <= 64; n++ {
		switch s := syscall.Signal(n); s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
		default:
			list = append(list, s)
		}
	}
	return list
}

// outlivePipes keeps this process alive when nobody reads its output any more:
// the Go runtime dies of SIGPIPE on descriptors 1 and 2 unless somebody asks
// for the signal. It is not ignored, because children would inherit that.
func outlivePipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
