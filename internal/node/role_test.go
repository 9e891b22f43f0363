package node

import (
	"encoding/json"
	"testing"
)

func TestLSNsAreWrittenAndReadAsPostgreSQLDoes(t *testing.T) {
	for in, want := range map[string]LSN{"0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := ParseLSN(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%q: %s %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "/", "0/", "x/1", "1/100000000", "-1/0"} {
		if _, err := ParseLSN(in); err == nil {
			t.Errorf("%q was understood", in)
		}
	}
	var p Promotion
	text, err := json.Marshal(Promotion{At: 1 << 32})
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.At != 1<<32 {
		t.Errorf("%s %v %v", text, p, err)
	}
}
