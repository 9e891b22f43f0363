package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// plainScript upgrades as a plain script does: everything while the server is
// down. It prints how long each of its parts took, in ms.
//
//go:embed upgrade.sh
var plainScript string

// byUs upgrades by the product.
func (m *measured) byUs(tb testbed.TB, o upgradeOptions, original *testbed.Volume) {
	v := copyOf(tb, o, original)
	c := testbed.Run(tb, ourSpec(o, v, ""))
	c.WaitReady(long)
	args := []string{"--target", strconv.Itoa(o.to), "--mode", "link", "-o", "json"}
	if m.tables > 5000 { // beside clients, a default server has no room for the locks of the trial's dump
		args = append(args, "--no-trial")
	}
	var began time.Time
	outage := m.underLoad(tb, c, func() {
		if o.rehearse { // with the clients at work, as it would be
			u, err := askUpgrade(c, append([]string{"rehearse"}, args...))
			switch {
			case err != "":
				progress("no forecast: %s", err)
			case u.Forecast > 0:
				m.forecast = append(m.forecast, u.Forecast)
			}
		}
		began = time.Now()
		u, err := askUpgrade(c, append([]string{"now"}, args...))
		if err != "" || u.Outcome != node.UpgradeDone {
			tb.Fatalf("the upgrade: %s\n%s", err, c.LogsSince(began))
		}
		m.journal = append(m.journal, u.Outage)
	})
	m.ours = append(m.ours, outage)
	parts := partsOf(c.LogsSince(began), outage)
	m.parts = append(m.parts, parts)
	for _, p := range parts {
		progress("  %5d ms  %s", p.took.Milliseconds(), p.name)
		if p.name == "pg_upgrade" {
			m.within = append(m.within, p.took)
		}
	}
	end(c, v)
}

// askUpgrade gives an order and returns what became of it; problem says why
// that is not what was asked for. A supervisor that has just started does not
// know its programs yet.
func askUpgrade(c *testbed.Container, args []string) (u node.Upgrade, problem string) {
	var r testbed.Result
	for range 20 {
		r = c.Do(testbed.Command{Args: append([]string{"pgbaton", "upgrade"}, args...), Timeout: long})
		if r.Stdout != "" || !strings.Contains(r.Stderr, "try again in a moment") {
			break
		}
		time.Sleep(time.Second)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &u); err != nil {
		return u, r.Stderr
	}
	if r.Code != 0 {
		return u, u.Why
	}
	return u, ""
}

// byScript upgrades by a plain script, in a container without the product.
func (m *measured) byScript(tb testbed.TB, o upgradeOptions, original *testbed.Volume) {
	v := copyOf(tb, o, original)
	c := plainContainer(tb, o, v)
	must(tb, c, "postgres", "bash", "-s", "start", strconv.Itoa(o.from), "<<<", plainScript)
	c.WaitReady(long)
	m.script = append(m.script, m.underLoad(tb, c, func() {
		took := must(tb, c, "postgres", "bash", "-s", "upgrade", strconv.Itoa(o.from), strconv.Itoa(o.to), "<<<", plainScript)
		progress("  script: %s", strings.ReplaceAll(strings.TrimSpace(took), "\n", ", "))
		m.alone = append(m.alone, msOf(tb, took, "pg_upgrade"))
	}))
	end(c, v)
}

// msOf finds "name 123" in what the script printed.
func msOf(tb testbed.TB, text, name string) time.Duration {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			if n, err := strconv.Atoi(f[1]); err == nil {
				return time.Duration(n) * time.Millisecond
			}
		}
	}
	tb.Fatalf("the script told no time of %s:\n%s", name, text)
	return 0
}

// byDebian upgrades by the tools of Debian's package postgresql-common.
func (m *measured) byDebian(tb testbed.TB, o upgradeOptions, original *testbed.Volume) {
	v := copyOf(tb, o, original)
	c := plainContainer(tb, o, v)
	from := strconv.Itoa(o.from)
	must(tb, c, "root", "pg_createcluster", "--port", "5432", "--datadir", home+"/"+from+"/docker", from, "main")
	must(tb, c, "root", "pg_ctlcluster", from, "main", "start")
	c.WaitReady(long)
	m.debian = append(m.debian, m.underLoad(tb, c, func() {
		to := strconv.Itoa(o.to)
		must(tb, c, "root", "pg_upgradecluster", "-m", "link", "-v", to, from, "main", home+"/"+to+"/main")
	}))
	end(c, v)
}

// underLoad upgrades while clients write, audits what they were told, and
// returns the outage that the worst of them saw.
func (m *measured) underLoad(tb testbed.TB, c *testbed.Container, upgrade func()) time.Duration {
	load := testbed.Load{Target: c.DSN, Think: 2 * time.Millisecond}
	if err := load.Prepare(tb.Context()); err != nil {
		tb.Fatalf("start the load: %v", err)
	}
	r := load.Start(tb.Context())
	flow(tb, r)
	time.Sleep(time.Second)
	upgrade()
	flow(tb, r)
	seen := r.Stop()
	rep, err := r.Audit(tb.Context(), c.DB())
	if err != nil {
		tb.Fatalf("audit: %v", err)
	}
	m.acked, m.lost, m.duplicated = m.acked+rep.Acked, m.lost+rep.Lost, m.duplicated+rep.Duplicated
	progress("  %s", rep)
	return seen.WorstWriter
}

func flow(tb testbed.TB, r *testbed.Running) {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	if err := r.Flowing(ctx, 20); err != nil {
		tb.Fatalf("see commits flow: %v", err)
	}
}

func end(c *testbed.Container, v *testbed.Volume) {
	c.Remove()
	v.Remove()
}
