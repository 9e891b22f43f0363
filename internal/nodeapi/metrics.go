package nodeapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgbaton/pgbaton/internal/node"
)

// metrics belong to one server, in a registry of their own: tests run several
// servers in one process.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(src Source) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgbaton_api_requests_total",
			Help: "Answers of the API by path and status code; unknown paths are \"other\".",
		}, []string{"path", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pgbaton_api_request_duration_seconds",
			Help:    "Time until the answer was written; an order lasts until it is carried out, a stream of events until it ends.",
			Buckets: []float64{.001, .01, .1, 1, 10, 100},
		}, []string{"path"}),
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.requests, m.duration, stateCollector{src},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		// Without memstats: reading those stops the world.
		collectors.NewGoCollector(collectors.WithGoCollectorMemStatsMetricsDisabled()))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		DisableCompression:  true, // a compressor costs more memory than the text
		MaxRequestsInFlight: 4,
	})
	return m
}

func (m *metrics) observe(path string, code int, took time.Duration) {
	m.requests.WithLabelValues(path, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(path).Observe(took.Seconds())
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pgbaton_"+name, help, labels, nil)
}

var (
	descUp          = desc("up", "1 while postgres accepts connections.")
	descReady       = desc("ready", "1 while clients are served.")
	descVerdict     = desc("verdict", "1 for how the whole cluster is, as this node sees it: well, degraded, or down (no primary serves).", "health")
	descPhase       = desc("phase", "1 for the phase that the node is in.", "phase")
	descRole        = desc("role", "1 for the role of the running server.", "role")
	descPGRestarts  = desc("postgres_restarts_total", "Deaths of postgres that nobody asked for, since the container started.")
	descSupRestarts = desc("supervisor_restarts_total", "Crashes of the supervisor, since the container started.")
	descTimeline    = desc("timeline", "Timeline that the server writes or reads; while none runs, that of the latest checkpoint.")
	descConns       = desc("connections", "Client backends.")
	descMaxConns    = desc("max_connections", "The setting max_connections.")
	descCollations  = desc("collation_mismatches", "Databases and collations whose recorded version differs from the library's.")
	descInfo        = desc("info", "Versions; always 1.", "version", "server_version", "major")
)

// stateCollector turns the node's state into metrics when they are asked for;
// what is not known is left out.
type stateCollector struct{ src Source }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{
		descUp, descReady, descVerdict, descPhase, descRole, descPGRestarts, descSupRestarts,
		descTimeline, descConns, descMaxConns, descCollations, descInfo,
	}, append(upgradeDescs(), clusterDescs()...)...) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.src.State()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descUp, truth(st.Phase == node.Running))
	gauge(descReady, truth(st.Ready))
	for _, h := range node.Healths() {
		gauge(descVerdict, truth(st.Verdict.Health == h), string(h))
	}
	for _, p := range node.Phases() {
		gauge(descPhase, truth(st.Phase == p), string(p))
	}
	for _, r := range []node.Role{node.Primary, node.Standby} {
		gauge(descRole, truth(st.Role == r), string(r))
	}
	ch <- prometheus.MustNewConstMetric(descPGRestarts, prometheus.CounterValue, float64(st.Restarts.Postgres))
	ch <- prometheus.MustNewConstMetric(descSupRestarts, prometheus.CounterValue, float64(st.Restarts.Supervisor))
	if st.Control != nil {
		gauge(descTimeline, float64(TimelineOf(st)))
	}
	serverVersion := ""
	if st.Server != nil {
		serverVersion = st.Server.Version
		gauge(descConns, float64(st.Server.Connections))
		gauge(descMaxConns, float64(st.Server.MaxConns))
		gauge(descCollations, float64(st.Server.Mismatch))
	}
	gauge(descInfo, 1, st.Version, serverVersion, strconv.Itoa(st.Major))
	collectUpgrade(st, gauge)
	if st.Cluster != nil {
		collectCluster(Fleet{Node: st, Peers: peersOf(c.src)}, gauge)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
