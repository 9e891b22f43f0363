package vrrp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/notify"
)

// past ends a read at once.
var past = time.Unix(1, 0)

// jsonFile is what keepalived writes into its TMPDIR on SIGJSON.
const jsonFile = "keepalived.json"

// vrrpStates are keepalived's numbers (vrrp.h, VRRP_STATE_*).
var vrrpStates = map[int]string{1: notify.VRRPBackup, 2: notify.VRRPMaster, 3: notify.VRRPFault}

// jsonSignal asks the program which real-time signal makes it write its state:
// 36 in 2.2.7 and 2.3.3.
func jsonSignal(ctx context.Context, env []string) (syscall.Signal, error) {
	out, err := proc.Output(ctx, proc.Spec{Args: []string{program, "--signum=JSON"}, Env: env})
	if err != nil {
		return 0, fmt.Errorf("ask keepalived for its signals: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || n < 1 || n > 64 {
		return 0, fmt.Errorf("ask keepalived for its signals: it answered %.40q", out)
	}
	return syscall.Signal(n), nil
}

// askState asks a running keepalived in which state our instance is: the level
// and not the latest event. The answer takes some milliseconds.
func askState(ctx context.Context, dir string, p *proc.Process, env []string) (notify.Event, error) {
	signal, err := jsonSignal(ctx, env)
	if err != nil {
		return notify.Event{}, err
	}
	path := filepath.Join(dir, jsonFile)
	_ = os.Remove(path) // an answer of before
	if err := p.Signal(signal); err != nil {
		return notify.Event{}, err
	}
	for {
		if raw, err := os.ReadFile(path); err == nil {
			if e, err := parseState(raw); !errors.Is(err, errHalf) {
				return e, err
			}
		}
		select {
		case <-ctx.Done():
			return notify.Event{}, fmt.Errorf("ask keepalived for its state: %w", context.Cause(ctx))
		case <-p.Done():
			return notify.Event{}, fmt.Errorf("ask keepalived for its state: it has ended: %s", p.Status())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// errHalf: keepalived is still writing.
var errHalf = errors.New("half-written")

func parseState(raw []byte) (notify.Event, error) {
	if !json.Valid(raw) {
		return notify.Event{}, errHalf
	}
	var all []struct {
		Data struct {
			Name     string `json:"iname"`
			State    int    `json:"state"`
			Priority int    `json:"effective_priority"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return notify.Event{}, fmt.Errorf("read keepalived's state: %w", err)
	}
	for _, i := range all {
		if i.Data.Name == notify.Instance {
			return notify.Event{
				Type: notify.TypeInstance, Name: notify.Instance,
				State: vrrpStates[i.Data.State], Priority: i.Data.Priority,
			}, nil
		}
	}
	return notify.Event{}, fmt.Errorf("read keepalived's state: it has no instance %s", notify.Instance)
}
