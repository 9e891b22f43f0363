package nodeapi

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestTheStatusPageIsForEverybodyAndRunsNothingButItself(t *testing.T) {
	resp := ask(testHandler(t, primary(), remote), "GET", "/status")
	if resp.Code != 200 || resp.Body.String() != pageHTML || resp.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatal(resp.Code, resp.Header())
	}
	csp := resp.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s is not in %s", want, csp)
		}
	}
	if len(regexp.MustCompile(`(script|style)-src 'sha256-[A-Za-z0-9+/]{43}='(;|$)`).FindAllString(csp, -1)) != 2 || strings.Contains(csp, "unsafe") {
		t.Error("script and style are not held to their hashes:", csp)
	}
	if resp.Header().Get("X-Content-Type-Options") != "nosniff" || resp.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Error(resp.Header())
	}
	if code := ask(testHandler(t, primary(), remote), "POST", "/status").Code; code != 405 {
		t.Error("POST:", code)
	}
}

// TestTheStatusPageNeedsNothingFromElsewhere: its policy would forbid it, and
// what it lets through is escaped by the browser.
func TestTheStatusPageNeedsNothingFromElsewhere(t *testing.T) {
	for what, found := range map[string]*regexp.Regexp{
		"an address":                 regexp.MustCompile(`(?i)[a-z]+://|["'(]//`),
		"something that is loaded":   regexp.MustCompile(`(?i)<link|<img|<iframe|\ssrc=|\shref=|@import|url\(`),
		"a handler in an attribute":  regexp.MustCompile(`(?i)\son[a-z]+\s*=`),
		"a style in an attribute":    regexp.MustCompile(`(?i)\sstyle\s*=`),
		"text that is taken as HTML": regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|setAttribute`),
		"a token that is kept":       regexp.MustCompile(`localStorage|document\.cookie`),
	} {
		if at := found.FindString(pageHTML); at != "" {
			t.Errorf("the page has %s: %s", what, at)
		}
	}
	for _, element := range []string{"script", "style"} { // the policy knows one of each
		if n := strings.Count(pageHTML, "<"+element); n != 1 || !strings.Contains(pageHTML, "<"+element+">") {
			t.Errorf("%d elements %s", n, element)
		}
	}
	if verdict := strings.Index(pageHTML, `id="verdict"`); verdict < 0 || verdict > strings.Index(pageHTML, `id="risk"`) || verdict > strings.Index(pageHTML, `id="nodes"`) {
		t.Error("the verdict is not the first that the page shows")
	}
	if n := strings.Count(pageHTML, "\n"); n > 300 {
		t.Errorf("%d lines", n)
	}
}

// eventful remembers.
type eventful struct{ fixed }

func (eventful) Events() []node.Event { return []node.Event{{What: "it happened"}} }

func TestTheClustersAnswerTellsWhatHappenedLast(t *testing.T) {
	if body := ask(testHandler(t, eventful{primary()}, local), "GET", "/v1/cluster").Body.String(); !strings.Contains(body, `"events":[{"time":`) || !strings.Contains(body, "it happened") {
		t.Error(body)
	}
}
