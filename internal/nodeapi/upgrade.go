package nodeapi

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgbaton/pgbaton/internal/node"
)

// upgrade answers with the latest upgrade alone; its body is that of
// upgrade.result.json.
func (a *api) upgrade(w http.ResponseWriter, _ *http.Request) {
	if u := a.cfg.Source.State().Upgrade; u != nil {
		writeJSON(w, http.StatusOK, u)
		return
	}
	writeError(w, http.StatusNotFound, "this node knows of no upgrade", "`pgbaton upgrade check` asks whether one would succeed")
}

var (
	descUpgrade     = desc("upgrade_info", "The latest upgrade, check or rehearsal, and what became of it; always 1.", "do", "from", "to", "mode", "outcome")
	descStep        = desc("upgrade_step", "1 for the step of an upgrade that runs now.", "step", "number")
	descStepTime    = desc("upgrade_step_seconds", "How long each step of the latest upgrade took; a running one until now.", "step")
	descPercent     = desc("upgrade_percent", "How far the running step is, where that is known.")
	descOutage      = desc("upgrade_outage_seconds", "The latest upgrade's time without service: from the stop until clients were let in.")
	descForecast    = desc("upgrade_forecast_seconds", "The time without service that the latest rehearsal expects.")
	descNewer       = desc("upgrade_available", "1 for each major newer than the data directory's whose programs are here.", "major")
	descNoStatistic = desc("statistics_missing", "Relations with rows and without statistics for the planner.")
)

// upgradeDescs are the metrics of upgrades.
func upgradeDescs() []*prometheus.Desc {
	return []*prometheus.Desc{
		descUpgrade, descStep, descStepTime, descPercent, descOutage, descForecast, descNewer, descNoStatistic,
	}
}

// collectUpgrade is Collect's part about upgrades.
func collectUpgrade(st node.State, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	for _, major := range slices.Compact(slices.Clone(st.Available)) {
		if st.Major > 0 && major > st.Major {
			gauge(descNewer, 1, strconv.Itoa(major))
		}
	}
	if st.Server != nil {
		gauge(descNoStatistic, float64(st.Server.StatisticsMissing))
	}
	if st.Upgrade != nil {
		collectLatest(*st.Upgrade, st, gauge)
	}
}

func collectLatest(u node.Upgrade, st node.State, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	gauge(descUpgrade, 1, string(u.Do), strconv.Itoa(u.From), strconv.Itoa(u.To), string(u.Mode), string(u.Outcome))
	for i, s := range u.Steps {
		gauge(descStep, truth(s.State == node.StepRunning), string(s.Name), strconv.Itoa(i+1))
		switch {
		case s.State == node.StepRunning && !s.Started.IsZero():
			gauge(descStepTime, max(0, st.Time.Sub(s.Started).Seconds()), string(s.Name))
		case s.Took > 0:
			gauge(descStepTime, s.Took.Seconds(), string(s.Name))
		}
	}
	if u.Step() != nil && u.Percent > 0 {
		gauge(descPercent, u.Percent)
	}
	if u.Outage > 0 {
		gauge(descOutage, u.Outage.Seconds())
	}
	if u.Forecast > 0 {
		gauge(descForecast, u.Forecast.Seconds())
	}
}
