package entrypoint

import (
	"errors"
	"strings"
	"testing"
)

func TestTheLastWordsOfAServerAreItsReasonAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"LOG:  starting PostgreSQL\n": "",
		"2026 [1] FATAL:  recovery aborted because of insufficient parameter settings\n2026 [1] DETAIL:  max_connections = 100 is a lower setting than on the primary server, where its value was 120.\n" +
			"2026 [1] HINT:  You can restart the server after making the necessary configuration changes.\n": "recovery aborted because of insufficient parameter settings; max_connections = 100 is a lower setting than on the primary server, where its value was 120.; " +
			"You can restart the server after making the necessary configuration changes.",
		"FATAL:  a reason\nFATAL:  the database system is starting up\nLOG:  shut down\n": "a reason",
		"DETAIL:  of nothing\n":          "",
		"PANIC:  one\nFATAL:  another\n": "another",
		"FATAL:  without an end":         "",
	} {
		words := &lastWords{}
		for _, part := range strings.SplitAfter(text, " ") { // in pieces, as a pipe may give it
			if _, err := words.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if got := words.text(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	why := errors.New("exit status 1")
	if got := (&lastWords{said: []string{"a reason"}}).explain(why); !errors.Is(got, why) || got.Error() != "exit status 1: PostgreSQL says: a reason" {
		t.Error(got)
	}
}
