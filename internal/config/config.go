// Package config reads what the user set: pgbaton's own settings from the
// environment and one YAML file, and the variables of the official postgres
// image. It owns the table of settings, from which defaults, decoding, checks,
// `pgbaton config print` and docs/configuration.md all come.
//
// It is the only user of viper, and it keeps clear of viper's traps: a fresh
// instance for every load, no package-level instance, no WatchConfig (which
// ends the process when inotify is exhausted), no AutomaticEnv (USER and PATH
// are no settings), and no conversion by viper, which turns bad values into
// zero without a word. The variables of the official image do not go through
// viper, because the shell's rules for them differ.
//
// The package reads files and decides nothing about the server.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Settings are pgbaton's own settings after Load: every field is within the
// bounds that the table states. The tags are the names in the table.
type Settings struct {
	ConfigFile   string        `mapstructure:"config"`        // absolute path; a missing file is possible for the default only
	Node         string        `mapstructure:"node"`          // name of this node; never empty
	Binaries     []string      `mapstructure:"binaries"`      // absolute directories, in the order of search; each holds <major>/bin
	Volume       string        `mapstructure:"volume"`        // absolute directory; empty means the mount that holds PGDATA
	ControlDir   string        `mapstructure:"control_dir"`   // absolute directory, short enough for a Unix socket in it
	Listen       string        `mapstructure:"listen"`        // host:port; empty means no TCP
	Token        Secret        `mapstructure:"token"`         // cluster token; empty means none
	LogFormat    LogFormat     `mapstructure:"log_format"`    //
	LogLevel     slog.Level    `mapstructure:"log_level"`     //
	OnExit       OnExit        `mapstructure:"on_exit"`       //
	StopGrace    time.Duration `mapstructure:"stop_grace"`    // 1s to 1h
	SmartTimeout time.Duration `mapstructure:"smart_timeout"` // 1s to 24h
	BackoffMax   time.Duration `mapstructure:"backoff_max"`   // 1s to 1h
	HungAfter    time.Duration `mapstructure:"hung_after"`    // 0 to 1h; 0 means never
	UnreadyAfter time.Duration `mapstructure:"unready_after"` // 0 to 24h; 0 means never
	InitOnly     bool          `mapstructure:"init_only"`     //
	SlotKeep     int64         `mapstructure:"slot_keep"`     // bytes; 0 means what postgresql.conf says
	DiskWarn     int64         `mapstructure:"disk_warn"`     // bytes; 0 means no warning
	Upgrade      UpgradePolicy `mapstructure:"upgrade"`       //
	UpgradeKeep  time.Duration `mapstructure:"upgrade_keep"`  // 0 to ten years; 0 means until `upgrade finish`
	Hooks        string        `mapstructure:"hooks"`         // absolute directory, outside the volume; may be missing
	HookTimeout  time.Duration `mapstructure:"hook_timeout"`  // 1s to 24h

	TLSCert string `mapstructure:"tls_cert"` // absolute path; empty means no TLS
	TLSKey  string `mapstructure:"tls_key"`  // absolute path; set where TLSCert is
	TLSCA   string `mapstructure:"tls_ca"`   // absolute path; empty means no client certificates

	Peers               []string      `mapstructure:"peers"`                // host:port of other nodes' APIs, perhaps of this one too; nil means a node alone
	Cluster             string        `mapstructure:"cluster"`              // name of the cluster; never empty
	Nodes               []string      `mapstructure:"nodes"`                // names of all nodes, perhaps of this one too; nil means that Peers tell
	Bootstrap           string        `mapstructure:"bootstrap"`            // name of the node that may make a new cluster; empty means none
	OnSilence           OnSilence     `mapstructure:"on_silence"`           //
	Etcd                []string      `mapstructure:"etcd"`                 // URLs of one cluster of etcd; nil means no arbiter
	EtcdUser            string        `mapstructure:"etcd_user"`            // empty means none
	EtcdPassword        Secret        `mapstructure:"etcd_password"`        // set where EtcdUser is
	EtcdCA              string        `mapstructure:"etcd_ca"`              // absolute path; empty means TLSCA, or the system's authorities
	ReplicationUser     string        `mapstructure:"replication_user"`     // name of a role, usable without quotes
	ReplicationPassword Secret        `mapstructure:"replication_password"` // never empty where Peers are set
	VIP                 netip.Prefix  `mapstructure:"vip"`                  // the address with its network's length; not valid means none
	VRID                int           `mapstructure:"vrid"`                 // 1 to 255
	Advert              time.Duration `mapstructure:"advert"`               // 10ms to 10s in steps of 10ms
	DownAdverts         int           `mapstructure:"down_adverts"`         // 3 to 100

	rows []Row // what Rows returns; made once, by Load
}

// LogFormat is how pgbaton's own log lines look.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// OnExit is what happens when postgres, having served, dies by itself.
type OnExit string

// What may happen when postgres dies by itself.
const (
	OnExitRestart OnExit = "restart" // it is started again, after a pause that grows
	OnExitExit    OnExit = "exit"    // the container ends with postgres's exit code
)

// OnSilence is what a node does when the other side of replication is silent.
type OnSilence string

// What silence may mean.
const (
	OnSilencePromote  OnSilence = "promote"  // the armed heir promotes; a primary whose armed heir is silent waits
	OnSilenceContinue OnSilence = "continue" // the primary goes on alone; no standby promotes by itself
	OnSilenceBoth     OnSilence = "both"     // both go on: a partition makes two histories, of which one is kept
)

// UpgradePolicy is what may begin an upgrade to another major.
type UpgradePolicy string

// The policies.
const (
	UpgradeOff    UpgradePolicy = "off"    // nothing: the marker file is left alone, the command is refused
	UpgradeMarker UpgradePolicy = "marker" // a request: the marker file or the command
	UpgradeAuto   UpgradePolicy = "auto"   // also the programs of a newer major that appear
)
