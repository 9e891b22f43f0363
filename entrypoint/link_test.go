package entrypoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pair returns both ends of a link.
func pair(t *testing.T) (link, link) {
	t.Helper()
	near, far, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Close(near.fd)
		_ = far.Close()
	})
	return near, link{int(far.Fd())}
}

func TestHelloCarriesTheNoteAndTheLock(t *testing.T) {
	init, child := pair(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := init.sendHello(3, []byte("remember"), int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	h, err := child.receiveHello()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.lock.Close() }()
	if h.restarts != 3 || string(h.note) != "remember" {
		t.Errorf("got %d restarts and note %q", h.restarts, h.note)
	}
	a, _ := file.Stat()
	if b, err := h.lock.Stat(); err != nil || !os.SameFile(a, b) {
		t.Errorf("the lock is another file: %v", err)
	}
}

// TestANoteOfAnyLengthReachesTheNextSupervisor: what init scripts exported, and a
// long command line, may be larger than a packet; nothing of it is ever left out.
func TestANoteOfAnyLengthReachesTheNextSupervisor(t *testing.T) {
	for _, n := range []int{0, 1, maxPacket - 6, maxPacket - 5, maxPacket - 4, maxPacket - 2, maxPacket - 1, maxPacket, maxPacket + 1, 2*maxPacket - 2, 1 << 20} {
		note := []byte(strings.Repeat("note", n/4+1)[:n])
		init, child := pair(t)
		p := &initProcess{lock: -1}
		told := make(chan error, 1)
		go func() { told <- child.sendNote(note) }()
		for whole := false; !whole; {
			pk, err := init.receive(make([]byte, maxPacket))
			if err != nil {
				t.Fatal(err)
			}
			p.take(pk)
			whole = pk.kind == kindNote
		}
		greeted := make(chan error, 1)
		go func() { greeted <- init.sendHello(1, p.note, -1) }()
		h, err := child.receiveHello()
		if err := errors.Join(err, <-told, <-greeted); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if string(h.note) != string(note) {
			t.Errorf("of a note of %d bytes %d arrived", n, len(h.note))
		}
	}
}

// TestANoteThatItsSupervisorDiedOverIsNone: the one before stays.
func TestANoteThatItsSupervisorDiedOverIsNone(t *testing.T) {
	p := &initProcess{note: []byte("the one before"), lock: -1}
	p.take(packet{kind: kindPart, body: []byte("half of"), fd: -1})
	if string(p.note) != "the one before" {
		t.Errorf("the note is %q", p.note)
	}
}

func TestTheEndOfTheLinkIsSeen(t *testing.T) {
	near, far, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(near.fd) }()
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := near.receive(make([]byte, maxPacket)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

func TestAnUnexpectedGreetingIsRefused(t *testing.T) {
	init, child := pair(t)
	if err := init.send(kindSignal, []byte{2}, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := child.receiveHello(); err == nil || !strings.Contains(err.Error(), "unexpected packet G") {
		t.Errorf("got %v", err)
	}
}

func TestAPacketThatIsTooLargeIsRefused(t *testing.T) {
	init, _ := pair(t)
	if err := init.send(kindNote, make([]byte, maxPacket), -1); err == nil {
		t.Error("no error")
	}
}
