package config

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// prefix begins every variable of ours.
const prefix = "PGBATON_"

// Setting is one row of the table of settings.
type Setting struct {
	Name        string // key in the YAML file, such as "stop_grace"
	Env         string // variable in the environment, such as "PGBATON_STOP_GRACE"
	Default     string // as one would write it; empty means not set
	DefaultText string // what an empty default means, in words
	Example     string // a value for the documentation where the default is empty
	Kind        Kind   // what is accepted
	Meaning     string // one or two sentences in Markdown
	Secret      bool   // never shown; may also come from a file, see FileEnv
	EnvOnly     bool   // not a key of the YAML file
}

// FileEnv is the variable that names a file with the value, or empty where the
// setting is no secret.
func (s Setting) FileEnv() string {
	if !s.Secret {
		return ""
	}
	return s.Env + "_FILE"
}

// fileName is the YAML key that names a file with the value, or empty.
func (s Setting) fileName() string {
	if !s.Secret {
		return ""
	}
	return s.Name + "_file"
}

// Table returns all settings in the order of the documentation. A setting is
// defined here and nowhere else; a field of Settings with its name as tag
// receives the value.
func Table() []Setting { return slices.Clone(table) }

// table is the one definition of all settings; nothing writes to it.
var table = []Setting{
	setting("config", Setting{
		Default: "/etc/pgbaton.yaml", Kind: pathKind(), EnvOnly: true,
		Meaning: "The YAML file with settings. The default file may be missing; a file named here may not.",
	}),
	setting("node", Setting{
		DefaultText: "the host name", Example: "db1", Kind: nameKind(),
		Meaning: "Name of this node in status, logs and metrics.",
	}),
	setting("binaries", Setting{
		Default: "/usr/lib/postgresql", Kind: pathsKind(),
		Meaning: "Directories that hold PostgreSQL's programs as `<major>/bin`, searched in this order.",
	}),
	setting("volume", Setting{
		DefaultText: "the mount that holds PGDATA", Example: "/var/lib/postgresql", Kind: pathKind(),
		Meaning: "The directory in which pgbaton keeps its own `.pgbaton`.",
	}),
	setting("control_dir", Setting{
		Default: "/run/pgbaton", Kind: socketDirKind(),
		Meaning: "Where the control socket, the links to the running major and the generated `pg_hba.conf` are. It must not lie on the volume, which belongs to postgres.",
	}),
	setting("listen", Setting{
		Default: ":8008", Kind: listenKind(),
		Meaning: "Address for health checks, metrics and the API. `off` opens no TCP port; the control socket stays.",
	}),
	setting("token", Setting{
		DefaultText: "none", Example: "/run/secrets/pgbaton_token", Kind: secretKind(minToken, maxToken), Secret: true,
		Meaning: "The cluster token that `/v1` demands over TCP. Without it TCP answers health checks and metrics only.",
	}),
	setting("log_format", Setting{
		Default: string(LogText), Kind: wordKind(LogText, LogJSON),
		Meaning: "Form of pgbaton's own log lines. PostgreSQL's log is left as it is.",
	}),
	setting("log_level", Setting{
		Default: "info", Kind: levelKind(slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError),
		Meaning: "The least important of pgbaton's own messages that is still logged.",
	}),
	setting("on_exit", Setting{
		Default: string(OnExitRestart), Kind: wordKind(OnExitRestart, OnExitExit),
		Meaning: "What happens when postgres, having served, dies by itself: it is started again, or the container ends with its exit code.",
	}),
	setting("stop_grace", Setting{
		Default: "10s", Kind: durationKind(time.Second, time.Hour),
		Meaning: "The container's stop grace period (`stop_grace_period` in Compose; Docker's default is 10 s). Half of it is how long a smart stop by SIGTERM waits for clients before it becomes fast.",
	}),
	setting("smart_timeout", Setting{
		Default: "60s", Kind: durationKind(time.Second, 24*time.Hour),
		Meaning: "How long `pgbaton stop --mode smart` waits for clients before it becomes fast.",
	}),
	setting("backoff_max", Setting{
		Default: "30s", Kind: durationKind(time.Second, time.Hour),
		Meaning: "Longest pause between two starts of a postgres that keeps dying.",
	}),
	setting("hung_after", Setting{
		Default: "30s", Kind: durationKind(0, time.Hour),
		Meaning: "How long postgres may give no answer at all before it counts as hung in a node with `PGBATON_PEERS`: it is killed then, and handed over or started again. A lock that is held, or a refusal, is an answer. `0s` means never.",
	}),
	setting("unready_after", Setting{
		Default: "0s", Kind: durationKind(0, 24*time.Hour),
		Meaning: "How long commits may wait for a silent heir before this primary stops counting as ready: `/readiness`, `/primary` and the paths that mean the same answer 503 then, and so does `pgbaton status --ready`, until commits return. `0s` means never: reads are served all the time.",
	}),
	setting("init_only", Setting{
		Default: "false", Kind: boolKind(),
		Meaning: "Initialise an empty data directory, then end with exit code 0.",
	}),
	setting("slot_keep", Setting{
		Default: "16GB", Kind: sizeKind(maxDiskWarn),
		Meaning: "How much WAL is kept at most for a standby that is away, in a node with `PGBATON_PEERS` (`max_slot_wal_keep_size`); one that was away for longer copies the primary anew. `0` leaves it to postgresql.conf, whose default is no bound: a standby that never comes back then fills the primary's disk.",
	}),
	setting("disk_warn", Setting{
		Default: "1GB", Kind: sizeKind(maxDiskWarn),
		Meaning: "Warn at start and in `pgbaton status` when less than this is free on the volume. `0` never warns.",
	}),
	setting("upgrade", Setting{
		Default: string(UpgradeMarker), Kind: wordKind(UpgradeOff, UpgradeMarker, UpgradeAuto),
		Meaning: "What may begin an upgrade to another major: nothing (`off` ignores the marker file and refuses `pgbaton upgrade now`), a request by marker file or command (`marker`), or also the programs of a newer major that appear (`auto`). See [upgrade.md](upgrade.md).",
	}),
	setting("upgrade_keep", Setting{
		Default: "0s", Kind: durationKind(0, node.MaxKeep),
		Meaning: "How long the old cluster is kept after an upgrade; `0s` means until `pgbaton upgrade finish`. A marker and a command may say otherwise.",
	}),
	setting("hooks", Setting{
		Default: "/etc/pgbaton/hooks.d", Kind: pathKind(),
		Meaning: "Directory of executables that run before and after each step of an upgrade and may veto it. It and they must belong to root and be writable by nobody else, outside the volume; it may be missing.",
	}),
	setting("hook_timeout", Setting{
		Default: "5m", Kind: durationKind(time.Second, 24*time.Hour),
		Meaning: "How long one hook may run. One that takes longer is ended, which counts as a veto.",
	}),
	setting("tls_cert", Setting{
		DefaultText: "none: in the clear", Example: "/run/secrets/pgbaton.crt", Kind: pathKind(),
		Meaning: "Certificate of the API's TCP side, PEM, with those between it and its authority. It and its key are read again when they change. With `PGBATON_TLS_CA` it is the one of replication too.",
	}),
	setting("tls_key", Setting{
		DefaultText: "none", Example: "/run/secrets/pgbaton.key", Kind: pathKind(),
		Meaning: "Key of that certificate, PEM.",
	}),
	setting("tls_ca", Setting{
		DefaultText: "none", Example: "/run/secrets/pgbaton-ca.crt", Kind: pathKind(),
		Meaning: "Authority of the cluster's certificates, PEM, and of no others: whoever has a certificate of it needs no token, and nodes ask each other over TLS with theirs. They replicate so too: see [roles.md](roles.md#tls-between-the-nodes).",
	}),
	setting("peers", Setting{
		DefaultText: "none: a node alone", Example: "db1,db2,db3", Kind: peersKind(),
		Meaning: "The nodes of the cluster, by the addresses of their APIs; names that resolve to several addresses mean all of them. The port of `PGBATON_LISTEN` holds where none is given. This node may be among them. Needs `PGBATON_TOKEN` and `PGBATON_REPLICATION_PASSWORD`.",
	}),
	setting("cluster", Setting{
		Default: "main", Kind: nameKind(),
		Meaning: "Name of the cluster, the same on all of its nodes. A peer of another cluster is named in a warning and never acted upon.",
	}),
	setting("nodes", Setting{
		DefaultText: "none: each of `PGBATON_PEERS` is one node", Example: "db1,db2,db3", Kind: namesKind(),
		Meaning: "Names (`PGBATON_NODE`) of all nodes of the cluster. Needed where a name in `PGBATON_PEERS` stands for several nodes, such as `tasks.db`: it is known by nothing else who is missing, and without it no new cluster is made. A node that is named here and does not answer counts as silent, until `pgbaton forget`.",
	}),
	setting("bootstrap", Setting{
		DefaultText: "none", Example: "db1", Kind: nameKind(),
		Meaning: "Name of the one node that may make a new cluster, and only once every peer has answered that it is empty. The same on all nodes; it may stay set.",
	}),
	setting("on_silence", Setting{
		Default: string(OnSilencePromote), Kind: wordKind(OnSilencePromote, OnSilenceContinue, OnSilenceBoth),
		Meaning: "What it means when the other side of replication is silent. `promote`: the armed heir promotes, and a primary whose armed heir is silent waits; no acknowledged commit is lost. `continue`: the primary goes on alone, and a standby promotes only by handover, by proof of death or by an operator. `both`: both go on; a partition makes two histories, and the losing one is kept and reported.",
	}),
	setting("etcd", Setting{
		DefaultText: "none: no arbiter", Example: "https://etcd1:2379,https://etcd2:2379,https://etcd3:2379", Kind: etcdKind(),
		Meaning: "The endpoints of a cluster of etcd that decides where silence is ambiguous: a primary whose armed heir is silent goes on, and an heir whose primary is silent promotes, by themselves and without loss. The same on all nodes. See [roles.md](roles.md#with-an-arbiter).",
	}),
	setting("etcd_user", Setting{
		DefaultText: "none", Example: "pgbaton", Kind: nameKind(),
		Meaning: "User of etcd that may read and write `/pgbaton/`, where etcd asks for one.",
	}),
	setting("etcd_password", Setting{
		DefaultText: "none", Example: "/run/secrets/pgbaton_etcd", Kind: secretKind(1, maxPassword), Secret: true,
		Meaning: "Password of that user.",
	}),
	setting("etcd_ca", Setting{
		DefaultText: "`PGBATON_TLS_CA`, else the system's", Example: "/run/secrets/etcd-ca.crt", Kind: pathKind(),
		Meaning: "Authority of the certificates of https endpoints, PEM. Where `PGBATON_TLS_CERT` is set, this node shows that certificate there.",
	}),
	setting("replication_user", Setting{
		Default: "pgbaton_replication", Kind: roleKind(),
		Meaning: "Role by which standbys connect; pgbaton makes it. The same on all nodes.",
	}),
	setting("replication_password", Setting{
		DefaultText: "none", Example: "/run/secrets/pgbaton_replication", Kind: secretKind(minPassword, maxPassword), Secret: true,
		Meaning: "Password of that role. The same on all nodes.",
	}),
	setting("vip", Setting{
		DefaultText: "none", Example: "10.0.0.9/24", Kind: vipKind(),
		Meaning: "The virtual address that clients use, with the length of its network. Where it is set, keepalived runs in the container, which needs the capabilities NET_ADMIN and NET_RAW.",
	}),
	setting("vrid", Setting{
		Default: "51", Kind: numberKind(1, 255),
		Meaning: "VRRP's virtual router id: the same on all nodes of a cluster, another one for each cluster on a network.",
	}),
	setting("advert", Setting{
		Default: "100ms", Kind: stepsKind(10*time.Millisecond, 10*time.Second),
		Meaning: "Interval of VRRP advertisements. The same on all nodes.",
	}),
	setting("down_adverts", Setting{
		Default: "20", Kind: numberKind(3, 100),
		Meaning: "After how many missing advertisements the holder of the VIP counts as gone: 20 of 100 ms are 2 s. The same on all nodes.",
	}),
}

// setting completes a row: the variable's name follows from the key.
func setting(name string, s Setting) Setting {
	s.Name, s.Env = name, prefix+strings.ToUpper(name)
	return s
}
