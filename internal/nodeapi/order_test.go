package nodeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestOrdersThatAreUnderstood(t *testing.T) {
	for in, want := range map[string]node.Order{
		`{"do":"stop"}`: {Do: node.Stop},
		`{"do":"restart","mode":"smart","timeout":5000000000}` + "\n": {Do: node.Restart, Mode: node.Smart, Timeout: 5 * time.Second},
		`{"do":"start","force":true}`:                                 {Do: node.Start, Force: true},
		`{"do":"reload"}`:                                             {Do: node.Reload},
		`{"do":"switchover"}`:                                         {Do: node.Switchover},
		`{"do":"switchover","to":"db2"}`:                              {Do: node.Switchover, To: "db2"},
		`{"do":"restart","node":"db2"}`:                               {Do: node.Restart, Node: "db2"},
		`{"do":"switchover","node":"db1","to":"db2"}`:                 {Do: node.Switchover, Node: "db1", To: "db2"},
		`{"do":"promote","force":true}`:                               {Do: node.Promote, Force: true},
		`{"do":"alone","force":true}`:                                 {Do: node.Alone, Force: true},
		`{"do":"reclone","force":true}`:                               {Do: node.Reclone, Force: true},
		`{"do":"pause"}`:                                              {Do: node.Pause},
		`{"do":"forget","to":"db3","force":true}`:                     {Do: node.Forget, To: "db3", Force: true},
		`{"do":"resume"}`:                                             {Do: node.Resume},
		`{"do":"upgrade","upgrade":{"do":"now","target":17,"mode":"link","keep":3600000000000}}`: {
			Do: node.DoUpgrade, Upgrade: &node.UpgradeRequest{Do: node.UpgradeNow, Target: 17, Mode: node.ModeLink, Keep: time.Hour},
		},
		`{"do":"upgrade","upgrade":{"do":"undo","force":true}}`: {
			Do: node.DoUpgrade, Upgrade: &node.UpgradeRequest{Do: node.UpgradeUndo, Force: true},
		},
	} {
		if got, err := decodeOrder(strings.NewReader(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
}

func TestOrdersThatAreRefusedSayWhyInOneLine(t *testing.T) {
	for in, why := range map[string]string{
		``:                              "empty",
		`{`:                             "unexpected EOF",
		`stop`:                          "invalid character",
		`[]`:                            "cannot unmarshal array",
		`null`:                          `do is ""`,
		`{}`:                            `do is ""`,
		`{"do":"halt"}`:                 `do is "halt"`,
		`{"do":"stop","node":"db2"}`:    "node belongs to restart and switchover",
		`{"do":7}`:                      "do cannot be a number",
		`{"do":"stop","mod":1}`:         `unknown field "mod"`,
		`{"do":"stop"}{}`:               "something follows",
		`{"do":"stop"} x`:               "invalid character",
		`{"do":"stop","mode":1}`:        "mode cannot be a number",
		`{"do":"stop","mode":"hard"}`:   `mode is "hard"`,
		`{"do":"start","mode":"fast"}`:  "belong to stop and restart",
		`{"do":"reload","timeout":1}`:   "belong to stop and restart",
		`{"do":"stop","timeout":-1}`:    "timeout is -1ns",
		`{"do":"stop","timeout":"60s"}`: "timeout cannot be a string",
		`{"do":"stop","timeout":1e30}`:  "timeout cannot be a number",
		`{"do":"stop","timeout":90000000000000000}`:                  "not between",
		`{"do":"stop","force":true}`:                                 "force belongs to start",
		`{"do":"switchover","force":true}`:                           "force belongs to start",
		`{"do":"pause","force":true}`:                                "not to pause",
		`{"do":"forget"}`:                                            "forget names no node",
		`{"do":"promote","to":"db2"}`:                                "to belongs to switchover",
		`{"do":"switchover","to":7}`:                                 "to cannot be a number",
		`{"do":"alone","mode":"fast"}`:                               "belong to stop and restart",
		`{"do":"reclone","upgrade":{"do":"now"}}`:                    "upgrade belongs to the order upgrade",
		`{"do":"switchover","to":"` + strings.Repeat("x", 64) + `"}`: "64 characters",
		`{"do":"upgrade"}`:                                           "has no upgrade",
		`{"do":"stop","upgrade":{"do":"now"}}`:                       "upgrade belongs to the order upgrade",
		`{"do":"upgrade","upgrade":{}}`:                              `upgrade: do is ""`,
		`{"do":"upgrade","upgrade":{"do":"now","targt":17}}`:         `unknown field "targt"`,
		`{"do":"upgrade","upgrade":{"do":"now","target":"17"}}`:      "upgrade.target cannot be a string",
		`{"do":"upgrade","upgrade":{"do":"now","target":9}}`:         "upgrade: target is 9",
		`{"do":"upgrade","upgrade":{"do":"undo","mode":"link"}}`:     "undo takes no target, mode",
		`{"do":"upgrade","upgrade":{"do":"now"},"force":true}`:       "force belongs to start",
		`{"do":"upgrade","upgrade":{"do":"now"},"mode":"fast"}`:      "belong to stop and restart",
		`{"do":"` + strings.Repeat("x", 5000) + `"}`:                 "do is",
		`{"do":"stop","` + strings.Repeat("\n", 10) + `":1}`:         "",
		`{"do":"stop","timeout":` + strings.Repeat("9", 400) + `}`:   "",
	} {
		_, err := decodeOrder(strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "nothing was done") {
			t.Errorf("%.60s: %v", in, err)
			continue
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "json:") {
			t.Errorf("%.60s: not one plain line: %v", in, err)
		}
	}
}

// FuzzOrder: whatever comes in, an order that is accepted is a valid one and
// comes out of JSON as it went in; an error is one line.
func FuzzOrder(f *testing.F) {
	for _, s := range []string{
		`{"do":"stop","mode":"smart","timeout":1000000000}`, `{"do":"start","force":true}`, `{"do":"reload"}{}`, `{"do":"sto`, `null`,
		`{"do":"stop","x":{"y":[]}}`, `{"do":"upgrade","upgrade":{"do":"now","target":17}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := decodeOrder(bytes.NewReader(in))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		if err := checkOrder(o); err != nil {
			t.Errorf("accepted %+v: %v", o, err)
		}
		out, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeOrder(bytes.NewReader(out)); err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%+v became %+v, %v", o, again, err)
		}
	})
}

func TestAnOrderForAnotherNodeIsRefusedOnTCPAndLeftToTheSupervisorOnTheSocket(t *testing.T) {
	var got []node.Order
	long := "postgres ended before it was ready: " + strings.Repeat("why ", 100)
	cfg := Config{Token: "a-token-of-tests", Steerer: steer(func(_ context.Context, o node.Order) error {
		got = append(got, o)
		if o.Do == node.Restart {
			return errors.New(long)
		}
		return nil
	})}
	s, tcp := serve(t, cfg)
	tcp = strings.TrimPrefix(tcp, "http://")
	p := NewPeer(tcp, "a-token-of-tests")
	if err := p.Order(t.Context(), node.Order{Do: node.Switchover, Node: "b"}); err == nil || !strings.Contains(err.Error(), "the order is for b, and this is a; nothing was done") || len(got) > 0 {
		t.Error(err, got)
	}
	if err := p.Order(t.Context(), node.Order{Do: node.Switchover, Node: "a"}); err != nil || len(got) != 1 {
		t.Error(err, got)
	}
	if err := p.Order(t.Context(), node.Order{Do: node.Restart, Node: "a"}); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(long)) {
		t.Error("the reason is cut:", err)
	}
	if err := NewPeer(tcp, "another-token").Order(t.Context(), node.Order{Do: node.Restart, Node: "a"}); err == nil || len(got) != 2 {
		t.Error("an order without the token:", err, got)
	}
	if _, err := NewClient(s.cfg.Socket).Do(t.Context(), node.Order{Do: node.Switchover, Node: "b"}); err != nil || got[2].Node != "b" {
		t.Error(err, got)
	}
}
