package entrypoint

import (
	"slices"
	"testing"
)

func TestServes(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want bool
	}{
		{"no arguments", nil, true},
		{"postgres", []string{"postgres"}, true},
		{"postgres with settings", []string{"postgres", "-c", "work_mem=64MB"}, true},
		{"only flags", []string{"-c", "work_mem=64MB"}, true},
		{"help anywhere", []string{"postgres", "-c", "x=1", "--help"}, false},
		{"help as the only flag", []string{"-?"}, false},
		{"version", []string{"-V"}, false},
		{"describe-config", []string{"postgres", "--describe-config"}, false},
		{"single-user mode", []string{"postgres", "--single", "mydb"}, false},
		{"single later is no mode", []string{"postgres", "-c", "--single"}, true},
		{"another command", []string{"bash"}, false},
		{"another command with a flag", []string{"psql", "--help"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := serves(tt.args); got != tt.want {
				t.Errorf("serves(%q) is %v", tt.args, got)
			}
		})
	}
}

func TestWithPostgresPutsTheProgramBeforeFlags(t *testing.T) {
	if got := withPostgres([]string{"-c", "x=1"}); !slices.Equal(got, []string{"postgres", "-c", "x=1"}) {
		t.Errorf("got %q", got)
	}
	if got := withPostgres([]string{"bash", "-c", "x"}); !slices.Equal(got, []string{"bash", "-c", "x"}) {
		t.Errorf("got %q", got)
	}
}
