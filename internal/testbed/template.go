package testbed

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// suite is the TB of the whole test binary; see Main.
var suite TB

// Main runs the tests of a package and then removes what they share. It is
// for TestMain, and needed by tests that use Initialized:
//
//	func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }
//
// An interrupt removes everything that this binary has made, at once.
func Main(m *testing.M) int {
	code := 0
	if c := Program("suite", func(tb TB) {
		suite = tb
		defer context.AfterFunc(tb.Context(), interrupted)()
		code = m.Run()
	}); c != 0 {
		return c
	}
	return code
}

// interrupted ends the test binary: testing itself knows no interrupts.
func interrupted() {
	if !keep() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := sweep(ctx, func(run string) bool { return run == runID }); err != nil {
			suite.Logf("testbed: clean up: %v", err)
		}
	}
	os.Exit(130)
}

// templates are the initialised volumes that this test binary has made.
var templates = struct {
	sync.Mutex
	byKey map[string]*template
}{byKey: map[string]*template{}}

type template struct {
	once   sync.Once
	volume *Volume // nil if it could not be made
}

// Initialized returns a volume of its own that the image has initialised and
// stopped cleanly, with the password Password. Initdb takes seconds; this is
// a copy of the first such volume of the test binary, so all have the same
// system identifier. Without the right to copy volumes (root) it is an empty
// one, which serves the same tests more slowly.
func Initialized(tb TB, image, target string) *Volume {
	tb.Helper()
	if suite == nil {
		tb.Fatalf("testbed: Initialized needs a TestMain that calls testbed.Main")
	}
	v := NewVolume(tb)
	if os.Geteuid() != 0 {
		return v
	}
	templates.Lock()
	key := image + " " + target
	t := templates.byKey[key]
	if t == nil {
		t = &template{}
		templates.byKey[key] = t
	}
	templates.Unlock()
	t.once.Do(func() { t.volume = initialize(tb, image, target) })
	if t.volume == nil {
		tb.Fatalf("testbed: there is no initialised volume of %s; see the first failure", image)
	}
	if _, err := run(tb.Context(), "cp", "-a", "--reflink=auto", t.volume.Path()+"/.", v.Path()+"/"); err != nil {
		tb.Fatalf("testbed: copy the initialised volume: %v", err)
	}
	return v
}

// Password is the superuser's on volumes of Initialized.
const Password = "baton"

// initialize makes the template: the volume belongs to the suite, the
// container to the test that needed it first.
func initialize(tb TB, image, target string) *Volume {
	v := NewVolume(suite)
	c := Run(tb, Spec{
		Image: image, Mounts: []Mount{v.At(target)}, Env: map[string]string{"POSTGRES_PASSWORD": Password},
	})
	c.WaitReady(2 * time.Minute)
	if code, _ := c.Stop(time.Minute); code != 0 {
		tb.Fatalf("testbed: %s ended with exit code %d", c.Name, code)
	}
	c.Remove()
	return v
}
