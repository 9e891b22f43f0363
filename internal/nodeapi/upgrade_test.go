package nodeapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// upgrading is a node in the middle of an upgrade.
func upgrading() fixed {
	st := primary()
	now := time.Date(2026, 11, 23, 8, 0, 10, 0, time.UTC)
	st.Time, st.Phase, st.Role, st.Ready = now, node.Upgrading, "", false
	st.Major, st.Available = 15, []int{15, 17, 18}
	st.Server.StatisticsMissing = 7
	st.Upgrade = &node.Upgrade{
		ID: "20261123T080000Z", Do: node.UpgradeNow, Trigger: node.ByMarker, Outcome: node.UpgradeRunning,
		From: 15, To: 17, Mode: node.ModeLink, Percent: 40, Doing: "restoring schemas", Attempt: 1,
		Steps: []node.UpgradeStep{
			{Name: node.StepPreflight, State: node.StepDone, Took: 1500 * time.Millisecond},
			{Name: node.StepPgUpgrade, State: node.StepRunning, Started: now.Add(-2 * time.Second)},
			{Name: node.StepSwitch, State: node.StepPending},
		},
	}
	return st
}

func TestTheMetricsTellOfAnUpgradeWhileItRuns(t *testing.T) {
	body := ask(testHandler(t, upgrading(), remote), "GET", "/metrics").Body.String()
	wantLines(t, body,
		`pgbaton_upgrade_info{do="now",from="15",mode="link",outcome="running",to="17"} 1`,
		`pgbaton_upgrade_step{number="1",step="preflight"} 0`,
		`pgbaton_upgrade_step{number="2",step="pg_upgrade"} 1`,
		`pgbaton_upgrade_step_seconds{step="preflight"} 1.5`,
		`pgbaton_upgrade_step_seconds{step="pg_upgrade"} 2`,
		`pgbaton_upgrade_percent 40`,
		`pgbaton_upgrade_available{major="17"} 1`,
		`pgbaton_upgrade_available{major="18"} 1`,
		`pgbaton_statistics_missing 7`,
		`pgbaton_phase{phase="upgrading"} 1`)
	for _, not := range []string{`available{major="15"}`, "upgrade_outage_seconds", "upgrade_forecast_seconds", `seconds{step="switch"}`} {
		if strings.Contains(body, not) {
			t.Errorf("the metrics hold %s, which is not known or not so", not)
		}
	}
}

func TestTheMetricsTellOfAnUpgradeThatEnded(t *testing.T) {
	st := upgrading()
	st.Upgrade.Outcome, st.Upgrade.Outage, st.Upgrade.Forecast = node.UpgradeDone, 4*time.Second, 5*time.Second
	st.Upgrade.Steps[1] = node.UpgradeStep{Name: node.StepPgUpgrade, State: node.StepDone, Took: 3 * time.Second}
	st.Major = 17
	body := ask(testHandler(t, st, remote), "GET", "/metrics").Body.String()
	wantLines(t, body,
		`pgbaton_upgrade_info{do="now",from="15",mode="link",outcome="done",to="17"} 1`,
		`pgbaton_upgrade_step{number="2",step="pg_upgrade"} 0`,
		`pgbaton_upgrade_outage_seconds 4`, `pgbaton_upgrade_forecast_seconds 5`,
		`pgbaton_upgrade_available{major="18"} 1`)
	if strings.Contains(body, "pgbaton_upgrade_percent") || strings.Contains(body, `available{major="17"}`) {
		t.Error("the metrics hold a percentage of no step, or an upgrade to the running major")
	}
}

func TestANodeWithoutAnUpgradeHasNoMetricsOfOne(t *testing.T) {
	st := primary()
	st.Major = 0 // an empty volume: nothing to upgrade
	st.Available = []int{15, 17}
	body := ask(testHandler(t, st, remote), "GET", "/metrics").Body.String()
	if strings.Contains(body, "pgbaton_upgrade") {
		t.Error(body)
	}
}

func wantLines(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestTheLatestUpgradeHasAPathOfItsOwn(t *testing.T) {
	st := upgrading()
	w := ask(testHandler(t, st, local), "GET", "/v1/upgrade")
	var got node.Upgrade
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || !reflect.DeepEqual(got, *st.Upgrade) {
		t.Errorf("%d %v %+v", w.Code, err, got)
	}
	if w := ask(testHandler(t, primary(), local), "GET", "/v1/upgrade"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "knows of no upgrade") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(testHandler(t, st, local), "POST", "/v1/upgrade"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if w := ask(testHandler(t, st, remote), "GET", "/v1/upgrade"); w.Code != http.StatusForbidden {
		t.Errorf("over TCP without a token: %d", w.Code)
	}
}
