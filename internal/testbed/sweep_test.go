package testbed

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"testing"
)

func TestOver(t *testing.T) {
	tests := []struct {
		name, run string
		want      bool
	}{
		{"this process runs", runID, false},
		{"its PID with another start is another process", "1-1", true},
		{"a PID that nobody has", "4194304-17", true},
		{"a label of another kind is not ours to judge", "1", false},
		{"an empty label neither", "", false},
		{"words neither", "a-b", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := over(tt.run); got != tt.want {
				t.Errorf("over(%q) = %v, want %v", tt.run, got, tt.want)
			}
		})
	}
}

func TestSweepSparesRunningTests(t *testing.T) {
	t.Parallel()
	mine := NewVolume(t)
	const dead = "1-1"
	docker, err := dockerEngine()
	if err != nil {
		t.Fatal(err)
	}
	left := newName(t.Name())
	in := map[string]any{"Name": left, "Labels": map[string]string{Label: dead}}
	if err := docker.call(t.Context(), http.MethodPost, "/volumes/create", nil, in, nil); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", loopPrefix+dead+"-")
	if err != nil {
		t.Fatal(err)
	}
	table := "pgbaton-" + dead + "-test"
	_, err1 := run(t.Context(), "nft", "table bridge "+table+" { }")
	cable := tailPrefix + "dead"
	_, err2 := run(t.Context(), "ip", "link", "add", cable, "type", "veth", "peer", "name", cable+"t")
	_, err3 := run(t.Context(), "ip", "link", "set", cable, "alias", Label+"="+dead)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	network := NewNetwork(t)
	// Of the dead only the one made here: others may be kept on purpose.
	gone, err := sweep(t.Context(), func(run string) bool { return run == dead && over(run) })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"volume " + left, "loop mount " + dir, "rules " + table, "interface " + cable} {
		if !slices.Contains(gone, want) {
			t.Errorf("sweep removed %q, and not the %s", gone, want)
		}
	}
	if slices.Contains(gone, "volume "+mine.Name) || slices.Contains(gone, "network "+network.Name) {
		t.Errorf("sweep removed %q", gone)
	}
	if err := docker.call(t.Context(), http.MethodGet, "/volumes/"+mine.Name, nil, nil, nil); err != nil {
		t.Errorf("the volume of a running test: %v", err)
	}
}
