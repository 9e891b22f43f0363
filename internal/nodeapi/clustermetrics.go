package nodeapi

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgbaton/pgbaton/internal/node"
)

var (
	descClusterInfo = desc("cluster_info", "The cluster that this node belongs to; always 1.", "cluster", "node")
	descPlace       = desc("cluster_role", "1 for this node's place by its role record: primary, heir (armed), standby, or none.", "role")
	descEpoch       = desc("cluster_epoch", "Promotions of the cluster that this node knows of.")
	descOpen        = desc("cluster_open", "1 while this node is a primary that lets clients in.")
	descArmed       = desc("cluster_heir_armed", "1 where a primary has an armed heir, and on the armed heir itself.")
	descWait        = desc("cluster_commits_waiting", "1 while commits on this primary wait for a standby that does not confirm them: writes hang.")
	descWaitTime    = desc("cluster_commits_waiting_seconds", "For how long they have been waiting; 0 while they return.")
	descWaiters     = desc("cluster_commits_waiting_sessions", "Sessions that wait then; left out where the server does not say.")
	descPaused      = desc("cluster_paused", "1 while an operator wants no change of roles by itself here.")
	descVIP         = desc("cluster_vip", "1 while the virtual address is on this node.")
	descEligible    = desc("cluster_eligible", "1 while this node may hold the virtual address.")
	descStreaming   = desc("cluster_streaming", "1 while this standby streams.")
	descLag         = desc("cluster_lag_bytes", "WAL that the primary has written and this standby has not replayed; left out where it is not known.")
	descLagTime     = desc("cluster_lag_seconds", "How far this standby's replay is behind in time; left out where it is not known.")
	descSenderTime  = desc("cluster_standby_lag_seconds", "How far the replay of a standby that is connected to this primary is behind in time; left out where the server does not know.", "standby", "sync_state")
	descSenderLag   = desc("cluster_standby_lag_bytes", "WAL that this primary has written and a connected standby has not replayed.", "standby", "sync_state")
	descArbiter     = desc("cluster_arbiter_up", "1 while the arbiter (PGBATON_ETCD) answers this node; left out where none is set.")
	descPeers       = desc("cluster_peers", "Peers by whether they answered last.", "answers")
)

// clusterDescs are the metrics of clusters.
func clusterDescs() []*prometheus.Desc {
	return []*prometheus.Desc{
		descClusterInfo, descPlace, descEpoch, descOpen, descArmed, descWait, descWaitTime, descWaiters, descPaused, descVIP, descEligible,
		descStreaming, descLag, descLagTime, descSenderLag, descSenderTime, descPeers, descArbiter,
	}
}

// collectCluster is Collect's part about clusters.
func collectCluster(f Fleet, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	st, c := f.Node, f.Node.Cluster
	gauge(descClusterInfo, 1, c.Name, st.Node)
	place := PlaceOf(c.Record)
	for _, p := range []string{PlacePrimary, PlaceHeir, PlaceStandby, PlaceNone} {
		gauge(descPlace, truth(p == place), p)
	}
	armed, paused := false, false
	if r := c.Record; r != nil {
		gauge(descEpoch, float64(r.Epoch))
		armed = r.Armed != nil || place == PlacePrimary && r.Heir != nil && r.Heir.Armed
		paused = r.Paused
	}
	gauge(descArmed, truth(armed))
	collectWaiting(st, gauge)
	gauge(descPaused, truth(paused))
	gauge(descOpen, truth(c.Open))
	gauge(descVIP, truth(c.VIP))
	gauge(descEligible, truth(c.Eligible))
	if st.Role == node.Standby {
		gauge(descStreaming, truth(c.Streaming))
	}
	if c.Arbiter != nil {
		gauge(descArbiter, truth(c.Arbiter.Answers))
	}
	if lag, known := f.Lag(st); known {
		gauge(descLag, float64(lag))
	}
	if lag, known := f.LagTime(st); known {
		gauge(descLagTime, lag.Seconds())
	}
	collectPeers(f, gauge)
}

// collectWaiting tells whether commits wait.
func collectWaiting(st node.State, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	w := st.Cluster.CommitsWait
	gauge(descWait, truth(w != nil))
	if w == nil {
		gauge(descWaitTime, 0)
		gauge(descWaiters, 0)
		return
	}
	gauge(descWaitTime, max(0, st.Time.Sub(w.Since).Seconds()))
	if w.Sessions != nil {
		gauge(descWaiters, float64(*w.Sessions))
	}
}

// collectPeers tells of those that this node asks and sends to.
func collectPeers(f Fleet, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	answering, silent := 0, 0
	for _, p := range f.Node.Cluster.Peers {
		if p.Error == "" {
			answering++
		} else {
			silent++
		}
	}
	gauge(descPeers, float64(answering), "yes")
	gauge(descPeers, float64(silent), "no")
	if f.Node.Role != node.Primary || f.Node.Server == nil {
		return
	}
	end, err := node.ParseLSN(f.Node.Server.LSN)
	if err != nil {
		return
	}
	seen := map[string]bool{} // a stale walsender beside a new one of the same node would be the same metric twice
	for _, s := range f.Node.Cluster.Senders {
		if key := s.Node + " " + s.SyncState; !seen[key] {
			seen[key] = true
			name := strings.ToValidUTF8(s.Node, "?")
			gauge(descSenderLag, float64(uint64(end)-uint64(min(end, s.Replay))), name, s.SyncState)
			if s.ReplayLag != nil {
				gauge(descSenderTime, s.ReplayLag.Seconds(), name, s.SyncState)
			}
		}
	}
}
