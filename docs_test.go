package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryGuaranteeNamesATestThatExists keeps docs/guarantees.md honest.
func TestEveryGuaranteeNamesATestThatExists(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	named := regexp.MustCompile(`\bTest[A-Za-z0-9_]+`).FindAllString(string(page), -1)
	if len(named) < 50 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, name := range named {
		if !tests[name] {
			t.Errorf("docs/guarantees.md names %s, which does not exist", name)
		}
	}
}

// TestEveryPitfallNamesATestThatExists keeps docs/pitfalls.md honest: every row
// names a test, or says by a dash that nothing holds it.
func TestEveryPitfallNamesATestThatExists(t *testing.T) {
	page, err := os.ReadFile("docs/pitfalls.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| pitfall ") {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("a row with %d cells: %s", len(cells), line)
			continue
		}
		last := strings.Trim(cells[3], " |\n")
		if last == "–" {
			continue
		}
		for name := range strings.SplitSeq(last, ", ") {
			if !tests[name] {
				t.Errorf("docs/pitfalls.md names %s, which does not exist: %.60s", name, line)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows", rows)
	}
}

// TestEveryContainerTestHoldsAGuarantee finds tests of promises that nobody reads.
func TestEveryContainerTestHoldsAGuarantee(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"image", "entrypoint/pid1test", "entrypoint/faulttest", "entrypoint/clustertest", "upgrade/upgradetest"} {
		for name := range testNamesIn(t, dir) {
			if name != "TestMain" && !strings.Contains(string(page), name) {
				t.Errorf("docs/guarantees.md does not name %s of %s", name, dir)
			}
		}
	}
}

// TestTheRunbookQuotesWhatNodesOfAClusterSay looks for the quoted sentences of
// the runbook's table in the sources: an operator searches for them as they are.
func TestTheRunbookQuotesWhatNodesOfAClusterSay(t *testing.T) {
	page, err := os.ReadFile("docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	said := sources(t, "notify") + sources(t, "entrypoint")
	_, cluster, _ := strings.Cut(string(page), "\n## A cluster\n")
	quotes := regexp.MustCompile(`(?m)^\| "([^|]+)" \|`).FindAllStringSubmatch(cluster, -1)
	if len(quotes) < 15 {
		t.Errorf("only %d sentences are quoted", len(quotes))
	}
	for _, quote := range quotes {
		for _, part := range regexp.MustCompile(`\b[XYN]\b|…`).Split(quote[1], -1) { // names, numbers, what is left out
			if !strings.Contains(said, strings.Trim(part, " ,")) {
				t.Errorf("no node says %q", quote[1])
			}
		}
	}
}

// sources is the text of a directory's files, tests left out, with string
// literals that are continued on the next line in one piece.
func sources(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	var all strings.Builder
	for _, file := range files {
		text, e := os.ReadFile(file)
		if err == nil {
			err = e
		}
		if !strings.HasSuffix(file, "_test.go") {
			all.Write(text)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`" \+\n\s*"`).ReplaceAllString(all.String(), "")
}

func testNames(t *testing.T) map[string]bool { return testNamesIn(t, ".") }

func testNamesIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(source), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
