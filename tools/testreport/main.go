// Command testreport reads the output of go test -json. It prints go test's
// own line of each package, the output of every failed test, and a summary. It
// fails if a test failed, or was skipped without being on the list of skips.
//
//	go test -json ./... | testreport -skips .ci/skips
//
// The list has a line for each test that may be skipped: its name (subtests as
// Test/sub), blanks, and the reason. A listed test covers its subtests.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Elapsed    float64
	Output     string
}

// id names a test, or with an empty test its package.
type id struct{ pkg, test string }

type report struct {
	out      io.Writer
	allowed  map[string]string // test name to reason
	output   map[id]*strings.Builder
	unended  map[id]bool
	closing  []string // go test's last line of each package
	passed   int
	failed   []string
	skipped  []string // on the list
	unlisted []string // skipped, not on the list
	broken   bool     // a package failed, whatever its tests say
}

func main() {
	skips := flag.String("skips", "", "file that lists the tests that may be skipped")
	flag.Parse()
	allowed, err := readSkips(*skips)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	r := &report{out: os.Stdout, allowed: allowed, output: map[id]*strings.Builder{}, unended: map[id]bool{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !r.summary() {
		os.Exit(1)
	}
}

func readSkips(name string) (map[string]string, error) {
	allowed := map[string]string{}
	if name == "" {
		return allowed, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		test, reason, _ := strings.Cut(line, " ")
		if reason = strings.TrimSpace(reason); reason == "" {
			return nil, fmt.Errorf("%s:%d: %s has no reason", name, n+1, test)
		}
		allowed[test] = reason
	}
	return allowed, nil
}

func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(r.out, line) // not an event: go's own messages
			} else {
				r.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) event(e event) {
	who := id{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = true
	case "run":
		r.unended[who] = true
	case "output":
		if e.Test == "" && (strings.HasPrefix(e.Output, "ok ") || strings.HasPrefix(e.Output, "FAIL\t")) {
			fmt.Fprint(r.out, e.Output)
			r.closing = append(r.closing, e.Output)
			return
		}
		if r.output[who] == nil {
			r.output[who] = &strings.Builder{}
		}
		r.output[who].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packageEnds(e)
			return
		}
		r.testEnds(e, who)
	}
}

func (r *report) testEnds(e event, who id) {
	delete(r.unended, who)
	name := e.Package + " " + e.Test
	switch {
	case e.Action == "pass":
		r.passed++
		delete(r.output, who)
	case e.Action == "fail":
		r.failed = append(r.failed, name)
		r.show(who)
	case r.listed(e.Test):
		r.skipped = append(r.skipped, name)
		delete(r.output, who)
	default:
		r.unlisted = append(r.unlisted, name)
		r.show(who)
	}
}

// packageEnds shows, of a package that failed, its own output (a panic outside
// of a test, a failed TestMain) and that of tests that never ended.
func (r *report) packageEnds(e event) {
	if e.Action == "fail" {
		r.broken = true
		for who := range r.unended {
			if who.pkg == e.Package {
				r.failed = append(r.failed, who.pkg+" "+who.test+" (did not end)")
				r.show(who)
				delete(r.unended, who)
			}
		}
		r.show(id{e.Package, ""})
	}
	for who := range r.output {
		if who.pkg == e.Package {
			delete(r.output, who)
		}
	}
}

func (r *report) show(who id) {
	if text := r.output[who]; text != nil {
		fmt.Fprint(r.out, text)
		delete(r.output, who)
	}
}

func (r *report) listed(test string) bool {
	for {
		if _, ok := r.allowed[test]; ok {
			return true
		}
		cut := strings.LastIndex(test, "/")
		if cut < 0 {
			return false
		}
		test = test[:cut]
	}
}

// summary prints the closing lines and reports whether all is well.
func (r *report) summary() bool {
	fmt.Fprintln(r.out, "---")
	sort.Strings(r.closing)
	fmt.Fprint(r.out, strings.Join(r.closing, ""))
	list := func(what string, names []string) {
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(r.out, "%s: %s\n", what, name)
		}
	}
	list("skipped, listed", r.skipped)
	list("SKIPPED, not listed", r.unlisted)
	list("FAILED", r.failed)
	good := len(r.failed) == 0 && len(r.unlisted) == 0 && !r.broken && r.passed > 0
	word := "PASS"
	if !good {
		word = "FAIL"
	}
	fmt.Fprintf(r.out, "%s: %d tests passed, %d failed, %d skipped as listed, %d skipped but not listed\n",
		word, r.passed, len(r.failed), len(r.skipped), len(r.unlisted))
	return good
}
